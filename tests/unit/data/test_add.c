/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and `data add`: archives written by libarchive and by dpkg-like assembly, then
 * damaged, hostile and nested ones. */
#include "container.h"
#include "room.h"

#define MAN(title, text)                                                        \
    ".TH " title " 8 2024\n.SH NAME\n" title " \\- " text "\n.SH DESCRIPTION\n" \
    "This page describes the program and what it does with the files that are open.\n"

static const char *field(const json_t *d, const char *key)
{
    const char *s = json_string_value(json_object_get(d, key));
    return s ? s : "";
}

/* The document whose path ends in `tail`, from documents.jsonl by jansson. */
static json_t *find(room *r, const char *staging, const char *tail)
{
    char name[80];
    size_t len;
    snprintf(name, sizeof name, "%s/documents.jsonl", staging);
    char *text = room_get(r, name, &len);
    json_t *found = NULL;
    for (char *p = text; *p && !found;) {
        char *nl = strchr(p, '\n');
        assert_non_null(nl);
        json_t *d = json_loadb(p, (size_t)(nl - p), 0, NULL);
        assert_non_null(d);
        const char *path = field(d, "path");
        size_t n = strlen(path), m = strlen(tail);
        if (n >= m && strcmp(path + n - m, tail) == 0)
            found = d;
        else
            json_decref(d);
        p = nl + 1;
    }
    free(text);
    return found;
}

static void test_archives(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *name;
    } all[] = {{KIND_TAR, "a.tar"},
               {KIND_TAR_GZ, "a.tar.gz"},
               {KIND_TAR_XZ, "a.tar.xz"},
               {KIND_TAR_ZST, "a.tar.zst"},
               {KIND_ZIP, "a.zip"}};
    const member m[] = {
        {.name = "x/one.txt", .data = "The first of the texts is here.\n"},
        {.name = "x/two.md", .data = "# Two\n\nThe second of the texts.\n"},
        {.name = "x/pic.png", .data = "not read"}};
    room r;
    room_open(&r, 2);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sm_buf a = {0};
        char tail[64];
        json_t *figures = json_object();
        make_archive(&a, all[i].kind, m, 3);
        room_put(&r, all[i].name, a.data, a.len);
        sm_err e = {0};
        if (run_add(&r, all[i].name, all[i].name + 1, "", figures, &e))
            fail_msg("%s", e.msg);
        assert_int_equal(json_integer_value(json_object_get(figures, "documents")), 2);
        snprintf(tail, sizeof tail, "%s!x/two.md", all[i].name);
        json_t *d = find(&r, all[i].name + 1, tail);
        assert_non_null(d);
        assert_string_equal(field(d, "format"), "markdown");
        assert_string_equal(field(d, "title"), "Two");
        assert_non_null(strstr(field(d, "text"), "The second of the texts."));
        json_decref(d);
        json_decref(figures);
        sm_buf_free(&a);
    }
    room_close(&r);
}

static void test_deb(void **state)
{
    (void)state;
    sm_buf page = {0}, deb = {0}, deb2 = {0};
    room r;
    room_open(&r, 2);
    member raw = {.name = "data", .data = MAN("lsof", "list open files")};
    make_archive(&page, KIND_GZ, &raw, 1);
    const member m[] = {
        {.name = "./usr/share/man/man8/lsof.8.gz", .data = page.data, .len = page.len},
        {.name = "./usr/share/man/man8/alias.8", .data = ".so man8/lsof.8\n"},
        {.name = "./usr/share/man/man8/link.8.gz", .link = "lsof.8.gz"},
        {.name = "./usr/share/man/man8/hard.8.gz",
         .hard = "./usr/share/man/man8/lsof.8.gz"},
        {.name = "./usr/bin/lsof", .data = "#!/bin/sh\n"},
        {.name = "./usr/share/doc/lsof/copyright",
         .data = "Format: "
                 "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
                 "\nFiles: *\nCopyright: 2020 A\nLicense: GPL-2+ or Artistic\n\n"
                 "Files: debian/*\nCopyright: 2020 B\nLicense: GPL-3\n"},
        {.name = "./usr/share/doc/lsof/changelog.gz", .data = "x"}};
    make_deb(&deb, "Package: lsof\nVersion: 4.95-1\nArchitecture: amd64\n", m, 7);
    room_put(&r, "debs/lsof.deb", deb.data, deb.len);
    /* a package whose documentation folder is a link into the other one */
    const member m2[] = {
        {.name = "./usr/share/man/man8/other.8", .data = MAN("other", "something else")},
        {.name = "./usr/share/doc/other", .link = "lsof"}};
    make_deb(&deb2, "Package: other\nVersion: 1\nArchitecture: all\n", m2, 2);
    room_put(&r, "debs/other.deb", deb2.data, deb2.len);
    json_t *figures = json_object();
    sm_err e = {0};
    if (run_add(&r, "debs", "out", "", figures, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(json_integer_value(json_object_get(figures, "documents")), 2);
    assert_int_equal(json_integer_value(json_object_get(figures, "aliases")), 4);
    json_t *d = find(&r, "out", "lsof.deb!usr/share/man/man8/lsof.8.gz");
    assert_non_null(d);
    assert_string_equal(field(d, "package"), "lsof");
    assert_string_equal(field(d, "version"), "4.95-1");
    assert_string_equal(field(d, "licence"), "(Artistic-1.0 OR GPL-2.0-or-later)");
    assert_string_equal(field(d, "title"), "lsof(8)");
    assert_string_equal(field(d, "summary"), "list open files");
    assert_string_equal(field(d, "section"), "8");
    assert_string_equal(field(d, "lang"), "en");
    json_decref(d);
    d = find(&r, "out", "other.deb!usr/share/man/man8/other.8");
    assert_non_null(d);
    assert_string_equal(field(d, "licence"), "(Artistic-1.0 OR GPL-2.0-or-later)");
    json_decref(d);
    json_decref(figures);
    sm_buf_free(&page);
    sm_buf_free(&deb);
    sm_buf_free(&deb2);
    room_close(&r);
}

/* A nested archive, and one nested too deep. */
static void test_nested(void **state)
{
    (void)state;
    sm_buf inner = {0}, b[6] = {{0}};
    room r;
    room_open(&r, 1);
    const member text = {.name = "deep.txt",
                         .data = "The text in the innermost archive.\n"};
    make_archive(&inner, KIND_ZIP, &text, 1);
    const member outer = {.name = "in.zip", .data = inner.data, .len = inner.len};
    make_archive(&b[0], KIND_TAR_GZ, &outer, 1);
    room_put(&r, "out.tgz", b[0].data, b[0].len);
    sm_err e = {0};
    if (run_add(&r, "out.tgz", "o1", "", NULL, &e))
        fail_msg("%s", e.msg);
    json_t *d = find(&r, "o1", "out.tgz!in.zip!deep.txt");
    assert_non_null(d);
    json_decref(d);
    for (int i = 1; i < 6; i++) {
        const member m = {.name = "n.tar", .data = b[i - 1].data, .len = b[i - 1].len};
        make_archive(&b[i], KIND_TAR, &m, 1);
    }
    room_put(&r, "deep.tar", b[5].data, b[5].len);
    assert_int_equal(run_add(&r, "deep.tar", "o2", "", NULL, &e), SM_EINVAL);
    for (int i = 0; i < 6; i++)
        sm_buf_free(&b[i]);
    sm_buf_free(&inner);
    room_close(&r);
}

/* A package whose own two tars would be one level too many is an error, not nothing. */
static void test_nested_package(void **state)
{
    (void)state;
    sm_buf b[5] = {{0}};
    room r;
    room_open(&r, 1);
    const member page = {.name = "./usr/share/man/man8/a.8", .data = MAN("a", "a page")};
    make_deb(&b[0], "Package: a\nVersion: 1\n", &page, 1);
    for (int i = 1; i < 5; i++) {
        const member m[] = {{.name = "n.txt", .data = "The text beside the package.\n"},
                            {.name = i > 1 ? "n.tar" : "a.deb",
                             .data = b[i - 1].data,
                             .len = b[i - 1].len}};
        make_archive(&b[i], KIND_TAR, m, 2);
    }
    for (int deep = 3; deep < 5; deep++) {
        json_t *f = json_object();
        sm_err e = {0};
        room_put(&r, "p.tar", b[deep].data, b[deep].len);
        assert_int_equal(run_add(&r, "p.tar", "o", "", f, &e), SM_OK);
        assert_int_equal(json_integer_value(json_object_get(f, "documents")), 4);
        assert_int_equal(json_integer_value(json_object_get(f, "errors")), deep - 3);
        json_decref(f);
    }
    size_t len;
    char *report = room_get(&r, "o/source.json", &len);
    assert_non_null(strstr(report, "p.tar!n.tar!n.tar!n.tar!a.deb"));
    assert_non_null(strstr(report, "nested too deep"));
    free(report);
    for (int i = 0; i < 5; i++)
        sm_buf_free(&b[i]);
    room_close(&r);
}

static void test_traversal(void **state)
{
    (void)state;
    static const char *const bad[] = {"../evil.txt", "/etc/evil.txt", "a/../../evil.txt",
                                      "a\\..\\..\\evil.txt", "./x/.."};
    room r;
    room_open(&r, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sm_buf a = {0};
        sm_err e = {0};
        const member m[] = {{.name = "good.txt", .data = "A good text comes first.\n"},
                            {.name = bad[i], .data = "The text that leaves.\n"}};
        make_archive(&a, KIND_TAR, m, 2);
        room_put(&r, "t.tar", a.data, a.len);
        assert_int_equal(run_add(&r, "t.tar", "o", "", NULL, &e), SM_EDENIED);
        assert_non_null(strstr(e.msg, "t.tar"));
        assert_non_null(strstr(e.msg, "leaves the archive"));
        /* told to go on, it keeps what came before and records the error */
        json_t *figures = json_object();
        assert_int_equal(run_add(&r, "t.tar", "o", "\"skip_damaged\": true", figures, &e),
                         SM_OK);
        assert_int_equal(json_integer_value(json_object_get(figures, "errors")), 1);
        json_decref(figures);
        sm_buf_free(&a);
    }
    room_close(&r);
}

static void test_bomb(void **state)
{
    (void)state;
    size_t n = (size_t)40 << 20;
    char *zeros = calloc(1, n);
    sm_buf gz = {0}, nested = {0};
    room r;
    room_open(&r, 1);
    assert_non_null(zeros);
    memset(zeros, 'a', n);
    const member m = {.name = "data", .data = zeros, .len = n};
    make_archive(&gz, KIND_GZ, &m, 1);
    room_put(&r, "bomb.txt.gz", gz.data, gz.len);
    sm_err e = {0};
    assert_int_equal(run_add(&r, "bomb.txt.gz", "o", "", NULL, &e), SM_EDENIED);
    assert_non_null(strstr(e.msg, "ratio"));
    /* the same inside an archive, as an entry that is not even wanted */
    const member z = {.name = "x.png", .data = zeros, .len = n};
    make_archive(&nested, KIND_TAR_XZ, &z, 1);
    room_put(&r, "bomb.tar.xz", nested.data, nested.len);
    assert_int_equal(run_add(&r, "bomb.tar.xz", "o", "", NULL, &e), SM_EDENIED);
    free(zeros);
    sm_buf_free(&gz);
    sm_buf_free(&nested);
    room_close(&r);
}

/* Cut at every length: never a crash, and where it succeeds nothing invented. */
static void test_truncated(void **state)
{
    (void)state;
    sm_buf deb = {0};
    room r;
    room_open(&r, 1);
    const member m[] = {
        {.name = "./usr/share/man/man8/a.8", .data = MAN("a", "the first page")},
        {.name = "./usr/share/man/man8/b.8", .data = MAN("b", "the second page")}};
    make_deb(&deb, "Package: p\nVersion: 1\n", m, 2);
    int failed = 0, tried = 0;
    for (size_t n = 8; n < deb.len; n += 23, tried++) {
        sm_err e = {0};
        room_put(&r, "t.deb", deb.data, n);
        sm_status s = run_add(&r, "t.deb", "o", "", NULL, &e);
        assert_true(s != SM_OK);
        failed += s == SM_ECORRUPT;
    }
    assert_true(failed > tried / 2);
    room_puts(&r, "fake.tar.gz", "this is no archive\n");
    sm_err e = {0};
    assert_int_equal(run_add(&r, "fake.tar.gz", "o", "", NULL, &e), SM_ECORRUPT);
    assert_non_null(strstr(e.msg, "fake.tar.gz"));
    sm_buf_free(&deb);
    room_close(&r);
}

static void test_jsonl(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    room_puts(
        &r, "in/x.jsonl",
        "{\"text\": \"The first of all records.\", \"title\": \"One\", \"lang\": \"xx\","
        " \"license\": \"MIT\", \"n\": 5}\n"
        "\n"
        "{\"content\": \"The second of them, \\u00e9.\"}\n"
        "{broken\n"
        "[1]\n"
        "{\"id\": \"no text\"}\n"
        "{\"text\": \"  \"}\n"
        "{\"text\": \"The last has no line end.\"}");
    json_t *figures = json_object();
    sm_err e = {0};
    if (run_add(&r, "in", "out", "\"licence\": \"CC0-1.0\"", figures, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(json_integer_value(json_object_get(figures, "documents")), 3);
    assert_int_equal(json_integer_value(json_object_get(figures, "errors")), 3);
    json_t *d = find(&r, "out", "x.jsonl#1");
    assert_string_equal(field(d, "title"), "One");
    assert_string_equal(field(d, "lang"), "xx");
    assert_string_equal(field(d, "licence"), "MIT");
    json_decref(d);
    d = find(&r, "out", "x.jsonl#3");
    assert_string_equal(field(d, "text"), "The second of them, \xC3\xA9.");
    assert_string_equal(field(d, "licence"), "CC0-1.0");
    json_decref(d);
    d = find(&r, "out", "x.jsonl#8");
    assert_non_null(d);
    json_decref(d);
    json_decref(figures);
    room_close(&r);
}

static void test_directory(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    room_puts(
        &r, "tree/LICENSE",
        "Permission is hereby granted, free of charge, to any person obtaining a copy of "
        "this software, subject to: The above copyright notice and this permission "
        "notice "
        "shall be included.\n");
    room_puts(&r, "tree/a.txt", "The plain text of the tree.\n");
    room_puts(&r, "tree/b.md",
              "<!-- SPDX-License-Identifier: CC-BY-4.0 -->\n# B\n\nText of b.\n");
    room_puts(&r, "tree/c.c", "int main(void) { return 0; }\n");
    room_puts(&r, "tree/empty.txt", "");
    room_puts(&r, "tree/skip/me.txt", "The text that is left out.\n");
    char *link = room_path(&r, "tree/loop");
    assert_int_equal(symlink(".", link), 0);
    free(link);
    json_t *figures = json_object();
    sm_err e = {0};
    if (run_add(&r, "tree", "out", "\"exclude\": [\"skip/*\"], \"name\": \"mine\"",
                figures, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(json_integer_value(json_object_get(figures, "documents")), 3);
    json_t *d = find(&r, "out", "a.txt");
    assert_string_equal(field(d, "licence"), "MIT");
    assert_string_equal(field(d, "source"), "mine");
    json_decref(d);
    d = find(&r, "out", "b.md");
    assert_string_equal(field(d, "licence"), "CC-BY-4.0");
    json_decref(d);
    assert_int_equal(run_add(&r, "tree", "o2", "\"include\": [\"*.c\"]", figures, &e),
                     SM_OK);
    d = find(&r, "o2", "c.c");
    assert_non_null(d);
    json_decref(d);
    assert_int_equal(run_add(&r, "nowhere", "o3", "", NULL, &e), SM_ENOENT);
    json_decref(figures);
    room_close(&r);
}

/* Same bytes with 1 and 4 threads; facts change with a file's bytes and name. */
static void test_determinism(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    for (int i = 0; i < 60; i++) {
        char name[40], text[200];
        snprintf(name, sizeof name, "tree/d%d/f%d.txt", i % 7, i);
        snprintf(text, sizeof text, "This is the text of file number %d, of the tree.\n",
                 i);
        room_puts(&r, name, text);
    }
    sm_err e = {0};
    assert_int_equal(run_add(&r, "tree", "one", "", NULL, &e), SM_OK);
    sm_pool_free(r.pool);
    assert_int_equal(sm_pool_create(&r.pool, 4, &e), SM_OK);
    r.ctx.pool = r.pool;
    assert_int_equal(run_add(&r, "tree", "four", "", NULL, &e), SM_OK);
    static const char *const file[] = {"documents.jsonl", "source.json"};
    for (int i = 0; i < 2; i++) {
        char a[40], b[40];
        size_t n, m;
        snprintf(a, sizeof a, "one/%s", file[i]);
        snprintf(b, sizeof b, "four/%s", file[i]);
        char *x = room_get(&r, a, &n), *y = room_get(&r, b, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
        free(x);
        free(y);
    }
    char json[200];
    char *tree = room_path(&r, "tree");
    snprintf(json, sizeof json, "{\"paths\": [\"%s\"]}", tree);
    json_t *o = options(sm_data_add_options, json);
    json_t *f1 = sm_data_add_facts(&r.ctx, o, &e), *f2 = sm_data_add_facts(&r.ctx, o, &e);
    assert_true(json_equal(f1, f2));
    room_puts(&r, "tree/d0/f0.txt", "This is another text.\n");
    json_t *f3 = sm_data_add_facts(&r.ctx, o, &e);
    assert_false(json_equal(f1, f3));
    json_decref(f1);
    json_decref(f2);
    json_decref(f3);
    json_decref(o);
    free(tree);
    room_close(&r);
}

static const char *take_all(void *self, const char *path, bool in_package)
{
    (void)self;
    (void)path;
    (void)in_package;
    return NULL;
}

/* What opens and whose reads fail, as a folder does, is neither empty nor damaged. */
static void test_read_error(void **state)
{
    (void)state;
    room r;
    sm_err e = {0};
    sm_entry entry;
    bool got = true;
    sm_container *c = NULL;
    const sm_container_limits limits = {
        .max_file_bytes = 1 << 20, .floor_bytes = 1 << 20, .max_ratio = 100};
    room_open(&r, 1);
    sm_status s = sm_container_open(&c, r.dir, "notes.txt", &limits, take_all, NULL, &e);
    if (!s)
        s = sm_container_next(c, &entry, &got, &e);
    assert_int_equal(s, SM_EIO);
    assert_int_equal(e.status, SM_EIO);
    assert_non_null(strstr(e.msg, "notes.txt: cannot be read: Is a directory"));
    sm_container_close(c);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archives),       cmocka_unit_test(test_deb),
        cmocka_unit_test(test_nested),         cmocka_unit_test(test_traversal),
        cmocka_unit_test(test_bomb),           cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_read_error),     cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_directory),      cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_nested_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
