/* SPDX-License-Identifier: Apache-2.0 */
/* `data add`: inputs that look alike, and licences of folders. */
#include "room.h"

#include <sys/stat.h>
#include <time.h>

#define MIT_TEXT                                                                    \
    "Permission is hereby granted, free of charge, to any person obtaining a copy " \
    "of this software, subject to: The above copyright notice and this permission " \
    "notice shall be included.\n"
#define GPL_NOTICE                                                              \
    "You may distribute it under the terms of the GNU General Public License, " \
    "version 3.\n"

/* Options for a list of paths below the room, `paths` being "a/docs b/docs". */
static json_t *options_of(const room *r, const char *paths)
{
    sm_buf json = {0};
    sm_buf_puts(&json, "{\"paths\": [");
    for (const char *p = paths; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        sm_buf_printf(&json, "%s\"%s/%.*s\"", p == paths ? "" : ", ", r->dir, (int)n, p);
        p += n;
    }
    sm_buf_puts(&json, "]}");
    json_t *o = options(sm_data_add_options, json.data);
    sm_buf_free(&json);
    return o;
}

static sm_status add_with(room *r, const json_t *o, const json_t *facts,
                          const char *staging, sm_err *err)
{
    char *to = room_path(r, staging);
    sm_mkdirs(to, NULL);
    sm_status s = sm_data_add(&r->ctx, o, facts, to, NULL, err);
    free(to);
    return s;
}

static sm_status add_paths(room *r, const char *paths, const char *staging, int n_threads,
                           sm_err *err)
{
    json_t *o = options_of(r, paths);
    sm_pool_free(r->pool);
    r->pool = NULL;
    assert_int_equal(sm_pool_create(&r->pool, n_threads, err), SM_OK);
    r->ctx.pool = r->pool;
    sm_status s = add_with(r, o, NULL, staging, err);
    json_decref(o);
    return s;
}

static bool contains(const room *r, const char *staging, const char *what)
{
    char name[80];
    size_t len;
    snprintf(name, sizeof name, "%s/documents.jsonl", staging);
    char *text = room_get(r, name, &len);
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

/* Every document whose text holds `word` has this licence, and there is one. */
static void want_licence(const room *r, const char *staging, const char *word,
                         const char *licence)
{
    char name[80];
    size_t len;
    int n = 0;
    snprintf(name, sizeof name, "%s/documents.jsonl", staging);
    char *text = room_get(r, name, &len), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (!strstr(line, word))
            continue;
        json_t *d = json_loads(line, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(d, "licence")), licence);
        json_decref(d);
        n++;
    }
    if (n == 0)
        fail_msg("no document with \"%s\"", word);
    free(text);
}

static void same_file(const room *r, const char *a, const char *b, const char *name)
{
    char x[120], y[120];
    size_t n, m;
    snprintf(x, sizeof x, "%s/%s", a, name);
    snprintf(y, sizeof y, "%s/%s", b, name);
    char *p = room_get(r, x, &n), *q = room_get(r, y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

/* Any number of threads and any order of the paths makes the same bytes. */
static void same_always(room *r, const char *paths, const char *turned)
{
    static const int n_threads[] = {1, 2, 8};
    sm_err e = {0};
    for (int i = 0; i < 6; i++) {
        char to[40];
        snprintf(to, sizeof to, "out%d", i);
        if (add_paths(r, i % 2 ? turned : paths, to, n_threads[i / 2], &e))
            fail_msg("%s", e.msg);
        same_file(r, "out0", to, "documents.jsonl");
        same_file(r, "out0", to, "source.json");
    }
}

static void test_equal_folders(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    room_puts(&r, "a/docs/LICENSE", GPL_NOTICE);
    room_puts(&r, "b/docs/LICENSE", MIT_TEXT);
    for (int i = 0; i < 20; i++) {
        char name[40], text[80];
        snprintf(name, sizeof name, "a/docs/%d.txt", i);
        snprintf(text, sizeof text, "The page %d of the first project.\n", i);
        room_puts(&r, name, text);
        name[0] = 'b';
        snprintf(text, sizeof text, "The page %d of the second one.\n", i);
        room_puts(&r, name, text);
    }
    room_puts(&r, "a/docs/same.txt", "The text that both of them hold.\n");
    room_puts(&r, "b/docs/same.txt", "The text that both of them hold.\n");
    same_always(&r, "a/docs b/docs", "b/docs a/docs");
    want_licence(&r, "out0", "first project", "GPL-3.0-only");
    want_licence(&r, "out0", "second one", "MIT");
    room_close(&r);
}

static void put_tar(const room *r, const char *name, const char *licence,
                    const char *text)
{
    sm_buf a = {0};
    const member m[] = {{.name = "p/doc.txt", .data = text},
                        {.name = "p/LICENSE", .data = licence}};
    make_archive(&a, KIND_TAR_GZ, m, 2);
    room_put(r, name, a.data, a.len);
    sm_buf_free(&a);
}

static void test_equal_archives(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    put_tar(&r, "a/docs.tgz", GPL_NOTICE, "The text of the first archive.\n");
    put_tar(&r, "b/docs.tgz", MIT_TEXT, "The text of the second archive.\n");
    same_always(&r, "a/docs.tgz b/docs.tgz", "b/docs.tgz a/docs.tgz");
    want_licence(&r, "out0", "first archive", "GPL-3.0-only");
    want_licence(&r, "out0", "second archive", "MIT");
    room_close(&r);
}

static void put_deb(sm_buf *out, const char *version, const char *licence)
{
    char control[80], copyright[200], text[120];
    snprintf(control, sizeof control, "Package: tool\nVersion: %s\n", version);
    snprintf(
        copyright, sizeof copyright,
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "\nFiles: *\nCopyright: A\nLicense: %s\n",
        licence);
    snprintf(text, sizeof text, "The manual of version %s of it.\n", version);
    const member m[] = {{.name = "./usr/share/doc/tool/manual.txt", .data = text},
                        {.name = "./usr/share/doc/tool/copyright", .data = copyright}};
    make_deb(out, control, m, 2);
}

/* Packages of one name, as files and inside archives of one name. */
static void test_equal_packages(void **state)
{
    (void)state;
    static const char *const dir[] = {"a", "b"}, *const licence[] = {"GPL-3", "MIT"};
    static const char *const version[] = {"7.1", "8.2"};
    room r;
    room_open(&r, 1);
    for (int i = 0; i < 2; i++) {
        sm_buf deb = {0}, inner = {0}, tar = {0};
        char name[40], later[20];
        put_deb(&deb, version[i], licence[i]);
        snprintf(name, sizeof name, "%s/tool.deb", dir[i]);
        room_put(&r, name, deb.data, deb.len);
        snprintf(later, sizeof later, "%s.9", version[i]);
        put_deb(&inner, later, licence[1 - i]);
        const member m = {.name = "tool.deb", .data = inner.data, .len = inner.len};
        make_archive(&tar, KIND_TAR, &m, 1);
        snprintf(name, sizeof name, "%s/all.tar", dir[i]);
        room_put(&r, name, tar.data, tar.len);
        sm_buf_free(&deb);
        sm_buf_free(&inner);
        sm_buf_free(&tar);
    }
    same_always(&r, "a/tool.deb b/tool.deb a/all.tar b/all.tar",
                "b/all.tar a/all.tar b/tool.deb a/tool.deb");
    want_licence(&r, "out0", "version 7.1 of", "GPL-3.0-only");
    want_licence(&r, "out0", "version 8.2 of", "MIT");
    want_licence(&r, "out0", "version 7.1.9 of", "MIT");
    want_licence(&r, "out0", "version 8.2.9 of", "GPL-3.0-only");
    assert_true(contains(&r, "out0", "\"version\":\"8.2.9\""));
    room_close(&r);
}

/* A folder's licence file holds for it and what lies below, up to the next one. */
static void test_nearest_licence(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    sm_buf tar = {0};
    sm_err e = {0};
    room_puts(&r, "in/top.txt", "The text at the top.\n");
    room_puts(&r, "in/plain/deep/a.txt", "The text in the depth.\n");
    room_puts(&r, "in/vendor/LICENSE", MIT_TEXT);
    room_puts(&r, "in/vendor/v.txt", "The text of the vendor.\n");
    room_puts(&r, "in/vendor/sub/w.txt", "The text below the vendor.\n");
    room_puts(&r, "in/vendor/own/COPYING", GPL_NOTICE);
    room_puts(&r, "in/vendor/own/LICENCE.md", "SPDX-License-Identifier: CC-BY-4.0\n");
    room_puts(&r, "in/vendor/own/x.txt", "The text of the own folder.\n");
    room_puts(&r, "in/odd/LICENSE", "Ask my aunt.\n");
    room_puts(&r, "in/odd/o.txt", "The text of the odd one.\n");
    const member m[] = {{.name = "p-1.0/top.txt", .data = "The text inside the tar.\n"},
                        {.name = "p-1.0/LICENSE", .data = GPL_NOTICE},
                        {.name = "p-1.0/lib/x/LICENSE", .data = MIT_TEXT},
                        {.name = "p-1.0/lib/x/y/z.txt", .data = "The tar's library.\n"}};
    make_archive(&tar, KIND_TAR, m, 4);
    room_put(&r, "in/p.tar", tar.data, tar.len);
    sm_buf_free(&tar);
    if (add_paths(&r, "in", "o1", 2, &e))
        fail_msg("%s", e.msg);
    want_licence(&r, "o1", "at the top", "unknown");
    want_licence(&r, "o1", "in the depth", "unknown");
    want_licence(&r, "o1", "of the vendor", "MIT");
    want_licence(&r, "o1", "below the vendor", "MIT");
    want_licence(&r, "o1", "of the own", "CC-BY-4.0 AND GPL-3.0-only");
    want_licence(&r, "o1", "of the odd", "unknown");
    want_licence(&r, "o1", "inside the tar", "GPL-3.0-only");
    want_licence(&r, "o1", "tar's library", "MIT");
    room_puts(&r, "in/LICENSE", "SPDX-License-Identifier: Apache-2.0\n");
    assert_int_equal(add_paths(&r, "in", "o2", 2, &e), SM_OK);
    want_licence(&r, "o2", "at the top", "Apache-2.0");
    want_licence(&r, "o2", "in the depth", "Apache-2.0");
    want_licence(&r, "o2", "below the vendor", "MIT");
    want_licence(&r, "o2", "of the odd", "unknown");
    room_close(&r);
}

/* Rewrites a file once some of the work is done. */
static void rewrite(void *self, const char *what, int64_t done, int64_t total,
                    const char *unit, const char *detail)
{
    (void)what, (void)done, (void)total, (void)unit, (void)detail;
    room_puts(self, "in/a.txt", "The text that came in between.\n");
}

/* What is stored is of the bytes that its recipe names, or nothing is. */
static void test_changed(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    room_puts(&r, "in/a.txt", "The text as it was first.\n");
    room_puts(&r, "in/b.txt", "The other text.\n");
    sm_err e = {0};
    json_t *o = options_of(&r, "in"), *facts = sm_data_add_facts(&r.ctx, o, &e);
    assert_int_equal(add_with(&r, o, facts, "o1", &e), SM_OK);
    room_puts(&r, "in/b.txt", "The other text, changed.\n");
    assert_int_equal(add_with(&r, o, facts, "o2", &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "/in: changed while it was read"));
    json_decref(facts);
    facts = sm_data_add_facts(&r.ctx, o, &e);
    const sm_progress progress = {.update = rewrite, .self = &r};
    r.ctx.progress = &progress;
    assert_int_equal(add_with(&r, o, facts, "o3", &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "/in/a.txt: changed while it was read"));
    json_decref(facts);
    json_decref(o);
    room_close(&r);
}

/* Bytes that this process has read so far. */
static int64_t bytes_read(void)
{
    long long n = -1;
    FILE *f = fopen("/proc/self/io", "r");
    if (f && fscanf(f, "rchar: %lld", &n) != 1)
        n = -1;
    if (f)
        fclose(f);
    return n;
}

static json_t *facts_of(const room *r, const json_t *o, int64_t *n_read)
{
    sm_err e = {0};
    int64_t before = bytes_read();
    json_t *facts = sm_data_add_facts(&r->ctx, o, &e);
    assert_non_null(facts);
    *n_read = bytes_read() - before;
    return facts;
}

static void wait_until_settled(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    while (time(NULL) < st.st_ctime + 4)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

/* A file that stayed what it was is not read for its hash again: this program, which is
 * older than a few seconds. */
static void test_remembered(void **state)
{
    (void)state;
    room r;
    struct stat st;
    int64_t n;
    sm_err e = {0};
    const char *self = "/proc/self/exe";
    if (bytes_read() < 0)
        skip();
    room_open(&r, 2);
    assert_int_equal(stat(self, &st), 0);
    wait_until_settled(self);
    assert_int_equal(sm_file_hashes_create(&r.ctx.hashes, &e), SM_OK);
    json_t *o = options(sm_data_add_options, "{\"paths\": [\"/proc/self/exe\"]}");
    json_t *first = facts_of(&r, o, &n);
    assert_true(n >= st.st_size);
    json_t *again = facts_of(&r, o, &n);
    assert_true(n < st.st_size);
    assert_true(json_equal(first, again));
    json_decref(again);
    json_decref(first);
    json_decref(o);
    sm_file_hashes_free(r.ctx.hashes);
    r.ctx.hashes = NULL;
    room_close(&r);
}

/* One that has just been written is read again: a second write could bear the same time. */
static void test_too_young(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    static char big[SIZE + 1];
    room r;
    int64_t n;
    sm_err e = {0};
    if (bytes_read() < 0)
        skip();
    room_open(&r, 2);
    memset(big, 'x', SIZE);
    room_puts(&r, "in/a.txt", big);
    assert_int_equal(sm_file_hashes_create(&r.ctx.hashes, &e), SM_OK);
    json_t *o = options_of(&r, "in"), *first = facts_of(&r, o, &n);
    json_t *again = facts_of(&r, o, &n);
    assert_true(n >= SIZE);
    assert_true(json_equal(first, again));
    json_decref(again);
    big[SIZE / 2] = 'y';
    room_puts(&r, "in/a.txt", big);
    again = facts_of(&r, o, &n);
    assert_true(n >= SIZE);
    assert_false(json_equal(first, again));
    json_decref(again);
    json_decref(first);
    json_decref(o);
    sm_file_hashes_free(r.ctx.hashes);
    r.ctx.hashes = NULL;
    room_close(&r);
}

static int64_t member_of(const json_t *report, const char *key, const char *code)
{
    return json_integer_value(json_object_get(json_object_get(report, key), code));
}

static json_t *report_of(const room *r, const char *staging)
{
    char name[80];
    size_t len;
    snprintf(name, sizeof name, "%s/source.json", staging);
    char *text = room_get(r, name, &len);
    json_t *j = json_loadb(text, len, 0, NULL);
    assert_non_null(j);
    free(text);
    return j;
}

/* Names decide about archives that lie in a directory before they are opened. */
static void test_archive_names(void **state)
{
    (void)state;
    static const char *const name[] = {"in/a.zip", "in/book.epub", "in/lib.jar",
                                       "in/node_modules/x.zip"};
    room r;
    room_open(&r, 2);
    sm_buf zip = {0};
    sm_err e = {0};
    const member m = {.name = "inner.txt", .data = "The text in the archive.\n"};
    make_archive(&zip, KIND_ZIP, &m, 1);
    for (int i = 0; i < 4; i++)
        room_put(&r, name[i], zip.data, zip.len);
    room_puts(&r, "in/broken.tar.gz", "no archive at all");
    room_puts(&r, "in/readme.txt", "The text beside the archives.\n");
    assert_int_equal(run_add(&r, "in", "o1", "", NULL, &e), SM_ECORRUPT);
    if (run_add(&r, "in", "o1", "\"exclude\": [\"broken*\"]", NULL, &e))
        fail_msg("%s", e.msg);
    json_t *j = report_of(&r, "o1");
    assert_int_equal(json_integer_value(json_object_get(j, "documents")), 2);
    assert_int_equal(member_of(j, "skipped", "binary"), 2);
    assert_int_equal(member_of(j, "skipped", "code"), 1);
    assert_int_equal(member_of(j, "skipped", "excluded"), 1);
    json_decref(j);
    assert_int_equal(run_add(&r, "in", "o2",
                             "\"exclude\": [\"b*\", \"*.zip\"], "
                             "\"include\": [\"*.jar\"]",
                             NULL, &e),
                     SM_OK);
    j = report_of(&r, "o2");
    assert_int_equal(json_integer_value(json_object_get(j, "documents")), 2);
    assert_int_equal(member_of(j, "skipped", "excluded"), 4);
    json_decref(j);
    assert_true(contains(&r, "o2", "lib.jar!inner.txt"));
    sm_buf_free(&zip);
    room_close(&r);
}

/* Root may read everything; these tests are another user's. */
static void become_user(const room *r)
{
    if (geteuid() == 0) {
        assert_int_equal(chown(r->dir, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
}

static void set_mode(const room *r, const char *name, mode_t mode)
{
    char *p = room_path(r, name);
    assert_int_equal(chmod(p, mode), 0);
    free(p);
}

/* What cannot be read is refused with what to do about it, left out, or recorded. */
static void test_unreadable(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    become_user(&r);
    sm_err e = {0};
    room_puts(&r, "in/one.txt", "The text that can be read.\n");
    room_puts(&r, "in/closed.txt", "The text that cannot.\n");
    room_puts(&r, "in/dir/two.txt", "The text in a closed folder.\n");
    set_mode(&r, "in/closed.txt", 0);
    assert_int_not_equal(run_add(&r, "in", "o1", "", NULL, &e), SM_OK);
    assert_non_null(strstr(e.msg, "/in/closed.txt: Permission denied; --exclude leaves "
                                  "it out, --skip-damaged records it"));
    set_mode(&r, "in/dir", 0);
    static const char *const folder[] = {"\"dir\"", "\"dir/*\""};
    for (int i = 0; i < 2; i++) {
        char more[80];
        snprintf(more, sizeof more, "\"exclude\": [%s]", folder[i]);
        assert_int_not_equal(run_add(&r, "in", "o1", more, NULL, &e), SM_OK);
        assert_non_null(strstr(e.msg, "closed.txt"));
        snprintf(more, sizeof more, "\"exclude\": [\"closed.txt\", %s]", folder[i]);
        if (run_add(&r, "in", "o1", more, NULL, &e))
            fail_msg("%s", e.msg);
    }
    if (run_add(&r, "in", "o2", "\"skip_damaged\": true", NULL, &e))
        fail_msg("%s", e.msg);
    json_t *j = report_of(&r, "o2");
    assert_int_equal(json_integer_value(json_object_get(j, "documents")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "errors")), 2);
    char *text = json_dumps(j, JSON_COMPACT);
    assert_non_null(strstr(text, "[\"closed.txt\",\"Permission denied\"]"));
    assert_non_null(strstr(text, "[\"dir\",\"Permission denied\"]"));
    free(text);
    json_decref(j);
    set_mode(&r, "in/dir", 0755);
    if (geteuid() != getuid())
        assert_int_equal(seteuid(getuid()), 0);
    room_close(&r);
}

/* Links are counted; they and what is skipped are part of what the input is known by. */
static void test_links(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    sm_err e = {0};
    room_puts(&r, "in/one.txt", "The text that is linked to.\n");
    json_t *o = options_of(&r, "in"), *before = sm_data_add_facts(&r.ctx, o, &e);
    char *link = room_path(&r, "in/two.txt"), *gone = room_path(&r, "in/sub/gone");
    assert_int_equal(symlink("one.txt", link), 0);
    assert_int_equal(symlink("nowhere", gone), 0);
    json_t *after = sm_data_add_facts(&r.ctx, o, &e);
    assert_false(json_equal(before, after));
    assert_int_equal(add_with(&r, o, after, "o1", &e), SM_OK);
    json_t *j = report_of(&r, "o1");
    assert_int_equal(json_integer_value(json_object_get(j, "documents")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "aliases")), 2);
    json_decref(j);
    json_decref(before);
    json_decref(after);
    json_decref(o);
    free(link);
    free(gone);
    room_close(&r);
}

/* A path that is given is read whatever its name says; in a directory the name decides. */
static void test_named(void **state)
{
    (void)state;
    static const char text[] = "{\"page\": \"what the user asks for\"}\n";
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    room_puts(&r, "d/prog.json", text);
    room_puts(&r, "d/notes.txt", "The notes that lie beside it.\n");
    if (add_paths(&r, "d/prog.json", "named", 1, &e) ||
        add_paths(&r, "d", "below", 1, &e))
        fail_msg("%s", e.msg);
    assert_true(contains(&r, "named", "the user asks for"));
    assert_false(contains(&r, "below", "the user asks for"));
    room_puts(&r, "code/prog.json", text);
    assert_int_equal(add_paths(&r, "code", "none", 1, &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "; 1 code"));
    room_close(&r);
}

/* A document that two paths hold is counted once, and so is its text. */
static void test_repeated(void **state)
{
    (void)state;
    room r;
    sm_err e = {0};
    size_t len;
    room_open(&r, 1);
    room_puts(&r, "d/a.txt", "A text of 25 bytes here.\n");
    if (add_paths(&r, "d d d", "out", 1, &e))
        fail_msg("%s", e.msg);
    char *text = room_get(&r, "out/source.json", &len);
    json_t *j = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "documents")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "text_bytes")), 25);
    assert_int_equal(json_integer_value(json_object_get(j, "repeated")), 2);
    json_decref(j);
    free(text);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_folders),  cmocka_unit_test(test_equal_archives),
        cmocka_unit_test(test_equal_packages), cmocka_unit_test(test_nearest_licence),
        cmocka_unit_test(test_changed),        cmocka_unit_test(test_remembered),
        cmocka_unit_test(test_too_young),      cmocka_unit_test(test_archive_names),
        cmocka_unit_test(test_unreadable),     cmocka_unit_test(test_links),
        cmocka_unit_test(test_named),          cmocka_unit_test(test_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
