/* SPDX-License-Identifier: Apache-2.0 */
/* `data curate` as a whole: invariance, the split, refusals, what is written; the reader
 * of datasets; show, export and diff. */
#include "room.h"

#include "json_line.h"

static void put_doc(sm_buf *out, const char *id, const char *text, const char *licence)
{
    sm_document d = {id,  "s",     "dir/page", "text", "Title", "",   "",          "pkg",
                     "1", licence, "en",       "",     "",      text, strlen(text)};
    assert_true(sm_document_write(out, &d));
}

/* n documents of random words, every fifth a copy of the one before with a word more. */
static void make_docs(sm_buf *out, uint32_t from, uint32_t n)
{
    static const char *const word[] = {"the",   "file",   "of",    "open",   "process",
                                       "that",  "and",    "with",  "system", "reads",
                                       "every", "option", "line",  "writes", "to",
                                       "a",     "number", "shows", "list",   "user"};
    for (uint32_t i = from; i < from + n; i++) {
        sm_buf text = {0};
        char id[33];
        uint32_t seed = i % 5 == 4 ? i - 1 : i;
        for (uint32_t k = 0; k < 150; k++)
            sm_buf_printf(&text, "%s%s", k ? (k % 12 ? " " : ".\n") : "",
                          word[sm_rng_below(20, seed, SM_STREAM_TEST, 0, k)]);
        if (i % 5 == 4)
            sm_buf_puts(&text, " more");
        snprintf(id, sizeof id, "%08x%024x", i * 2654435761u, i);
        put_doc(out, id, text.data, i % 11 == 0 ? "unknown" : "MIT");
        sm_buf_free(&text);
    }
}

static void same_file(const room *r, const char *a, const char *b, const char *file)
{
    char x[80], y[80];
    size_t n, m;
    snprintf(x, sizeof x, "%s/%s", a, file);
    snprintf(y, sizeof y, "%s/%s", b, file);
    char *p = room_get(r, x, &n), *q = room_get(r, y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static const char *const files[] = {"train.jsonl", "heldout.jsonl", "rejected.jsonl",
                                    "stats.json"};
static const char plain_options[] = "{\"heldout_frac\": 0.1}";

/* The same bytes with 1, 2 and 5 threads, one file or two, in either order. */
static void test_invariance(void **state)
{
    (void)state;
    static const char *const one[] = {"all.jsonl", NULL};
    static const char *const two[] = {"a.jsonl", "b.jsonl", NULL};
    static const char *const other[] = {"b.jsonl", "a.jsonl", NULL};
    sm_buf all = {0}, a = {0}, b = {0};
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    make_docs(&all, 0, 300);
    make_docs(&a, 0, 130);
    make_docs(&b, 130, 170);
    room_put(&r, "all.jsonl", all.data, all.len);
    room_put(&r, "a.jsonl", a.data, a.len);
    room_put(&r, "b.jsonl", b.data, b.len);
    if (run_curate(&r, one, "out1", plain_options, NULL, &e))
        fail_msg("%s", e.msg);
    static const int threads[] = {2, 5};
    for (int t = 0; t < 2; t++) {
        sm_pool_free(r.pool);
        assert_int_equal(sm_pool_create(&r.pool, threads[t], &e), SM_OK);
        r.ctx.pool = r.pool;
        assert_int_equal(run_curate(&r, t ? two : other, "out2", plain_options, NULL, &e),
                         SM_OK);
        for (int f = 0; f < 4; f++)
            same_file(&r, "out1", "out2", files[f]);
    }
    sm_buf_free(&all);
    sm_buf_free(&a);
    sm_buf_free(&b);
    room_close(&r);
}

/* One document in two inputs that say different things of it: the same record stays in
 * either order. */
static void test_one_document_of_two_inputs(void **state)
{
    (void)state;
    static const char *const one[] = {"a.jsonl", "b.jsonl", NULL};
    static const char *const other[] = {"b.jsonl", "a.jsonl", NULL};
    static const char *const licence[] = {"MIT", "Apache-2.0", "unknown"};
    const char *o = "{\"steps\": [\"length\"], \"min_chars\": 1, \"heldout_frac\": 0}";
    sm_buf a = {0}, b = {0};
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    for (uint32_t i = 0; i < 9; i++) {
        char id[33];
        snprintf(id, sizeof id, "%032x", i + 1);
        put_doc(&a, id, "One text.", licence[i % 3]);
        put_doc(&b, id, "One text.", licence[i / 3]);
    }
    room_put(&r, "a.jsonl", a.data, a.len);
    room_put(&r, "b.jsonl", b.data, b.len);
    if (run_curate(&r, one, "out1", o, NULL, &e) ||
        run_curate(&r, other, "out2", o, NULL, &e))
        fail_msg("%s", e.msg);
    for (int f = 0; f < 4; f++)
        same_file(&r, "out1", "out2", files[f]);
    sm_buf_free(&a);
    sm_buf_free(&b);
    room_close(&r);
}

/* Documents stay in their part when others come; copies never straddle; ids occur once
 * and are sorted; the share is what was asked for. */
static void test_split(void **state)
{
    (void)state;
    static const char *const few[] = {"few.jsonl", NULL}, *const many[] = {"many.jsonl",
                                                                           NULL};
    sm_buf a = {0}, b = {0};
    room r;
    sm_err e = {0};
    room_open(&r, 2);
    make_docs(&a, 0, 400);
    make_docs(&b, 0, 900);
    room_put(&r, "few.jsonl", a.data, a.len);
    room_put(&r, "many.jsonl", b.data, b.len);
    const char *o = "{\"heldout_frac\": 0.2, \"allow_unknown_licence\": true}";
    if (run_curate(&r, few, "few", o, NULL, &e))
        fail_msg("%s", e.msg);
    if (run_curate(&r, many, "many", o, NULL, &e))
        fail_msg("%s", e.msg);
    char *path[8];
    sm_dataset *d[4];
    static const char *const part[] = {"few/train.jsonl", "few/heldout.jsonl",
                                       "many/train.jsonl", "many/heldout.jsonl"};
    for (int i = 0; i < 4; i++) {
        path[i] = room_path(&r, part[i]);
        const char *p = path[i];
        assert_int_equal(sm_dataset_open(&d[i], &r.ctx, &p, 1, &e), SM_OK);
        sm_document x, last = {.id = ""};
        for (size_t at = 0; sm_dataset_next(d[i], &at, &x); last = x)
            assert_true(strcmp(last.id, x.id) < 0);
    }
    for (int i = 0; i < 2; i++) {
        sm_document x, y;
        for (size_t at = 0; sm_dataset_next(d[i], &at, &x);) {
            bool found = false;
            for (size_t k = 0; sm_dataset_next(d[2 + i], &k, &y);)
                found = found || strcmp(x.id, y.id) == 0;
            assert_true(found);
        }
    }
    /* 720 kept, p = 0.2: 144 +- 4 standard deviations of 10.7 */
    size_t held = sm_dataset_n(d[3]), kept = held + sm_dataset_n(d[2]);
    assert_int_equal(kept, 720);
    assert_in_range(held, 101, 187);
    for (int i = 0; i < 4; i++) {
        sm_dataset_close(d[i]);
        free(path[i]);
    }
    sm_buf_free(&a);
    sm_buf_free(&b);
    room_close(&r);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const in[] = {"in.jsonl", NULL}, *const bad[] = {"bad.jsonl",
                                                                        NULL};
    static const char *const gone[] = {"gone.jsonl", NULL};
    sm_buf a = {0};
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    make_docs(&a, 0, 30);
    room_put(&r, "in.jsonl", a.data, a.len);
    json_t *figures = json_object();
    /* 0, 11, 22 are of unknown licence: refused unless told */
    assert_int_equal(run_curate(&r, in, "o", "{\"steps\": [\"licence\"]}", figures, &e),
                     SM_OK);
    assert_int_equal(json_integer_value(json_object_get(figures, "rejected")), 3);
    size_t len;
    char *text = room_get(&r, "o/rejected.jsonl", &len);
    assert_non_null(
        strstr(text, "\"reason\":\"licence.unknown\",\"detail\":\"unknown\""));
    free(text);
    assert_int_equal(
        run_curate(&r, in, "o",
                   "{\"steps\": [\"licence\"], \"allow_unknown_licence\": true}", figures,
                   &e),
        SM_OK);
    assert_int_equal(json_integer_value(json_object_get(figures, "rejected")), 0);
    assert_int_equal(run_curate(&r, in, "o",
                                "{\"steps\": [\"licence\"], \"licence_deny\": [\"M?T\"]}",
                                NULL, &e),
                     SM_EINVAL);
    assert_non_null(strstr(e.msg, "left to train on"));
    assert_int_equal(run_curate(&r, in, "o", "{\"steps\": [\"licences\"]}", NULL, &e),
                     SM_EINVAL);
    assert_non_null(strstr(e.msg, "got \"licences\", want one of repair, normalise"));
    assert_int_equal(run_curate(&r, gone, "o", "{}", NULL, &e), SM_ENOENT);
    room_puts(&r, "bad.jsonl",
              "{\"id\":\"00000000000000000000000000000000\",\"text\":\"x\"}\n"
              "{\"id\": \"zz\", \"text\": \"y\"}\n");
    assert_int_equal(run_curate(&r, bad, "o", "{}", NULL, &e), SM_ECORRUPT);
    assert_non_null(strstr(e.msg, "want 32 hex digits"));
    json_decref(figures);
    sm_buf_free(&a);
    room_close(&r);
}

/* How stats.json says that a step removed n documents for a reason. */
static void expect_removed(const json_t *stats, const char *step, const char *reason,
                           int n)
{
    const json_t *row = json_object_get(json_object_get(stats, "reasons"), reason);
    size_t i;
    json_t *s;
    if (!row || strcmp(sm_json_text(row, "step"), step) != 0)
        fail_msg("%s: got step \"%s\", want %s", reason, sm_json_text(row, "step"), step);
    assert_int_equal(sm_json_int(row, "documents"), n);
    json_array_foreach(json_object_get(stats, "steps"), i, s)
    {
        if (!strcmp(sm_json_text(s, "step"), step))
            assert_int_equal(sm_json_int(s, "removed"), n);
    }
}

/* A document is counted where it left, once: by a step that sees it alone, or by one that
 * sees them all, such as the last two here. */
static void test_who_removed_what(void **state)
{
    (void)state;
    static const char *const in[] = {"in.jsonl", NULL};
    const char *o = "{\"steps\": [\"length\", \"licence\", \"exact_dedup\", "
                    "\"minhash_dedup\"], \"min_chars\": 10, \"heldout_frac\": 0}";
    static const struct {
        const char *text, *licence;
    } doc[] = {
        {"short", "MIT"},           {"brief", "unknown"},        {"tiny", "MIT"},
        {"one of them", "MIT"},     {"a third text", "unknown"}, {"one of  them", "MIT"},
        {"yet another one", "MIT"}, {"and more text", ""}};
    sm_buf a = {0};
    room r;
    sm_err e = {0};
    size_t len;
    json_t *stats = NULL;
    room_open(&r, 2);
    for (uint32_t i = 0; i < sizeof doc / sizeof *doc; i++) {
        char id[33];
        snprintf(id, sizeof id, "%032x", i + 1);
        put_doc(&a, id, doc[i].text, doc[i].licence);
    }
    room_put(&r, "in.jsonl", a.data, a.len);
    if (run_curate(&r, in, "o", o, NULL, &e))
        fail_msg("%s", e.msg);
    char *text = room_get(&r, "o/stats.json", &len);
    assert_int_equal(sm_json_parse(&stats, text, len, "stats.json", &e), SM_OK);
    expect_removed(stats, "length", "length.short", 3);
    expect_removed(stats, "licence", "licence.unknown", 2);
    expect_removed(stats, "exact_dedup", "exact.duplicate", 1);
    assert_int_equal(json_object_size(json_object_get(stats, "reasons")), 3);
    json_decref(stats);
    free(text);
    sm_buf_free(&a);
    room_close(&r);
}

/* ------------------------------------------------------------- the reader */

static void test_dataset_round_trip(void **state)
{
    (void)state;
    const char *odd = "quote \" back \\ tab \t line \n control \x01 del \x7f \xC3\xA9 "
                      "\xF0\x9F\x98\x80 end";
    sm_buf a = {0};
    room r;
    sm_err e = {0};
    room_open(&r, 2);
    put_doc(&a, "0123456789abcdef0123456789abcdef", odd, "MIT");
    sm_buf_puts(
        &a,
        "{\"text\":\"\\u0041\\u00e9\\ud83d\\ude00\\/\", \"unknown\": [1], \"x\": null}"
        "\r\n");
    char *clash = strstr(a.data, "\"unknown\": [1]");
    memcpy(clash, "\"unknown\": 1.5", 14);
    sm_buf_puts(&a, "\n{\"id\":\"last\",\"text\":\"no line end\"}");
    room_put(&r, "x.jsonl", a.data, a.len);
    char *path = room_path(&r, "x.jsonl");
    const char *const p[] = {path};
    sm_dataset *d;
    if (sm_dataset_open(&d, &r.ctx, p, 1, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(sm_dataset_n(d), 3);
    sm_document x;
    assert_int_equal(sm_dataset_get(d, 0, &x, NULL), SM_OK);
    assert_string_equal(x.text, odd);
    assert_int_equal(x.text_len, strlen(odd));
    assert_string_equal(x.id, "0123456789abcdef0123456789abcdef");
    assert_string_equal(x.package, "pkg");
    assert_string_equal(x.reason, "");
    assert_int_equal(sm_dataset_get(d, 1, &x, NULL), SM_OK);
    assert_string_equal(x.text, "A\xC3\xA9\xF0\x9F\x98\x80/");
    assert_int_equal(sm_dataset_get(d, 3, &x, &e), SM_EINVAL);
    sm_text_source s = sm_dataset_text(d);
    const char *text;
    size_t len;
    assert_int_equal(s.n, 3);
    assert_int_equal(s.get(s.self, 2, &text, &len, NULL), SM_OK);
    assert_string_equal(text, "no line end");
    sm_dataset_close(d);
    free(path);
    sm_buf_free(&a);
    room_close(&r);
}

static void test_dataset_damaged(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"text\":\"a\"",        "{\"text\":\"a\"} x",     "{\"text\":\"a",
        "{\"text\":5}",           "{\"id\":\"a\"}",         "[]",
        "{\"text\":\"\\ud800\"}", "{\"text\":\"\\u0000\"}", "{\"text\":\"\\q\"}",
        "{\"text\":\"\xC3\"}",    "{\"text\":\"a\tb\"}",    "{text:\"a\"}",
        "{\"text\":\"a\",}",      "{\"text\" \"a\"}",       "{\"text\":\"a\",\"b\":{}}",
        "{\"text\":\"\\u12\"}"};
    room r;
    room_open(&r, 1);
    char *path = room_path(&r, "x.jsonl");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sm_err e = {0};
        sm_dataset *d = NULL;
        sm_buf b = {0};
        sm_buf_printf(&b, "{\"text\":\"good\"}\n%s\n", bad[i]);
        room_put(&r, "x.jsonl", b.data, b.len);
        const char *const p[] = {path};
        if (sm_dataset_open(&d, &r.ctx, p, 1, &e) != SM_ECORRUPT)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(e.msg, "x.jsonl:2:"));
        sm_buf_free(&b);
    }
    free(path);
    room_close(&r);
}

/* The in-place parser agrees with jansson on flat objects with random strings. */
static void test_json_line(void **state)
{
    (void)state;
    static const char *const piece[] = {"a",       "\\n",      "\\\"",           "\\\\",
                                        "\\u00e9", "\xC3\xA9", "\\ud83d\\ude00", " ",
                                        "\\/",     "\\t",      "\xE2\x82\xAC",   "{"};
    for (uint32_t n = 0; n < 3000; n++) {
        sm_buf line = {0};
        sm_buf_puts(&line, "{\"k\":\"");
        for (uint32_t k = 0; k < n % 17; k++)
            sm_buf_puts(&line, piece[sm_rng_below(12, 3, SM_STREAM_TEST, n, k)]);
        sm_buf_puts(&line, "\"}");
        json_t *want = json_loadb(line.data, line.len, 0, NULL);
        assert_non_null(want);
        sm_json_line j = {
            .at = line.data, .start = line.data, .end = line.data + line.len};
        char *key, *value;
        size_t len;
        assert_true(sm_json_line_next(&j, &key, &value, &len));
        assert_string_equal(key, "k");
        assert_string_equal(value, json_string_value(json_object_get(want, "k")));
        assert_int_equal(len, strlen(value));
        assert_false(sm_json_line_next(&j, &key, &value, &len));
        assert_null(j.problem);
        json_decref(want);
        sm_buf_free(&line);
    }
}

/* -------------------------------------------------- show, export and diff */

typedef struct paths {
    char *p[4];
    sm_data_files f;
} paths;

static void dataset_paths(paths *out, const room *r, const char *staging)
{
    for (int i = 0; i < 4; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s/%s", staging, files[i]);
        out->p[i] = room_path(r, name);
    }
    out->f = (sm_data_files){.name = "unit <b>&",
                             .train = out->p[0],
                             .heldout = out->p[1],
                             .rejected = out->p[2],
                             .stats = out->p[3]};
}

static void free_paths(paths *p)
{
    for (int i = 0; i < 4; i++)
        free(p->p[i]);
}

static void test_show(void **state)
{
    (void)state;
    static const char *const in[] = {"in.jsonl", NULL};
    sm_buf a = {0}, text = {0}, page = {0}, json = {0};
    room r;
    paths p;
    sm_err e = {0};
    room_open(&r, 1);
    make_docs(&a, 0, 50);
    put_doc(
        &a, "ffffffffffffffffffffffffffffffff",
        "<script>alert(1)</script> & the text of that page with \"quotes\" of the file "
        "that "
        "is open to the user and has enough words to be kept by the rules of the preset.",
        "MIT");
    room_put(&r, "in.jsonl", a.data, a.len);
    json_t *figures = json_object();
    if (run_curate(&r, in, "out", plain_options, figures, &e))
        fail_msg("%s", e.msg);
    dataset_paths(&p, &r, "out");
    json_t *o = options(sm_data_show_options, "{\"n_samples\": 100}");
    assert_int_equal(sm_data_show(&text, &r.ctx, &p.f, SM_DATA_TEXT, o, &e), SM_OK);
    assert_int_equal(sm_data_show(&page, &r.ctx, &p.f, SM_DATA_HTML, o, &e), SM_OK);
    assert_int_equal(sm_data_show(&json, &r.ctx, &p.f, SM_DATA_JSON, o, &e), SM_OK);
    assert_non_null(strstr(text.data, "licence.unknown"));
    assert_non_null(strstr(text.data, "minhash.duplicate"));
    /* nothing of a document or a name reaches the page unescaped; it loads nothing */
    assert_null(strstr(page.data, "<script"));
    assert_null(strstr(page.data, "unit <b>"));
    assert_null(strstr(page.data, "http"));
    assert_non_null(strstr(page.data, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(page.data, "<svg"));
    json_t *j = json_loadb(json.data, json.len, 0, NULL);
    int64_t kept = 0;
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(j, "parts"), i, part)
    {
        if (i < 2)
            kept += json_integer_value(json_object_get(part, "documents"));
    }
    assert_int_equal(kept, json_integer_value(json_object_get(figures, "kept")));
    json_decref(j);
    json_decref(o);
    json_decref(figures);
    free_paths(&p);
    sm_buf_free(&a);
    sm_buf_free(&text);
    sm_buf_free(&page);
    sm_buf_free(&json);
    room_close(&r);
}

/* A source is shown as its documents are, before anything has cleaned them: what they and
 * their paths hold must not drive the terminal. */
static void test_show_is_fit_for_a_terminal(void **state)
{
    (void)state;
    sm_buf line = {0}, text = {0};
    room r;
    sm_err e = {0};
    static const char body[] = "Red \x1b[31m and a title \x1b]0;x\x07 and \xC2\x9B"
                               "2J.";
    sm_document d = {"00000000000000000000000000000001",
                     "s",
                     "a\x1b[2Jb",
                     "text",
                     "T",
                     "",
                     "",
                     "pkg\x1b[1m",
                     "1",
                     "MIT",
                     "en",
                     "",
                     "",
                     body,
                     strlen(body)};
    room_open(&r, 1);
    assert_true(sm_document_write(&line, &d));
    room_put(&r, "documents.jsonl", line.data, line.len);
    char *documents = room_path(&r, "documents.jsonl");
    json_t *o = options(sm_data_show_options, "{}");
    sm_data_files files_of = {.name = "s\x1b[0m", .documents = documents};
    if (sm_data_show(&text, &r.ctx, &files_of, SM_DATA_TEXT, o, &e))
        fail_msg("%s", e.msg);
    assert_non_null(strstr(text.data, "and a title"));
    assert_null(strchr(text.data, '\x1b'));
    assert_null(strchr(text.data, '\x07'));
    assert_null(strstr(text.data, "\xC2\x9B"));
    json_decref(o);
    free(documents);
    sm_buf_free(&line);
    sm_buf_free(&text);
    room_close(&r);
}

/* What could not be read is shown, on the page as on the terminal, and how much is not. */
static void test_show_errors(void **state)
{
    (void)state;
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    room_puts(&r, "documents.jsonl", "{\"text\":\"One.\",\"path\":\"a.txt\"}\n");
    room_puts(&r, "source.json",
              "{\"errors\": 5, \"containers\": [{\"path\": \"x\", \"errors\": "
              "[[\"x#1\", \"<bad>\"], [\"x#2\", \"worse\"]]}]}");
    char *documents = room_path(&r, "documents.jsonl");
    char *source = room_path(&r, "source.json");
    sm_data_files f = {.name = "s", .documents = documents, .source = source};
    json_t *o = options(sm_data_show_options, "{}");
    static const char *const want[2][2] = {{"x#1: <bad>", "... and 3 more"},
                                           {"&lt;bad&gt;", "… and 3 more"}};
    for (int i = 0; i < 2; i++) {
        sm_buf out = {0};
        if (sm_data_show(&out, &r.ctx, &f, i ? SM_DATA_HTML : SM_DATA_TEXT, o, &e))
            fail_msg("%s", e.msg);
        assert_non_null(strstr(out.data, want[i][0]));
        assert_non_null(strstr(out.data, want[i][1]));
        sm_buf_free(&out);
    }
    json_decref(o);
    free(documents);
    free(source);
    room_close(&r);
}

static void test_export_diff(void **state)
{
    (void)state;
    static const char *const few[] = {"few.jsonl", NULL}, *const many[] = {"many.jsonl",
                                                                           NULL};
    sm_buf a = {0}, b = {0};
    room r;
    paths p, q;
    sm_err e = {0};
    room_open(&r, 1);
    make_docs(&a, 0, 100);
    make_docs(&b, 10, 120);
    room_put(&r, "few.jsonl", a.data, a.len);
    room_put(&r, "many.jsonl", b.data, b.len);
    if (run_curate(&r, few, "few", "{}", NULL, &e))
        fail_msg("%s", e.msg);
    if (run_curate(&r, many, "many", "{\"allow_unknown_licence\": true}", NULL, &e))
        fail_msg("%s", e.msg);
    dataset_paths(&p, &r, "few");
    dataset_paths(&q, &r, "many");
    json_t *j = NULL;
    if (sm_data_diff(&j, &r.ctx, &p.f, &q.f, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(json_integer_value(json_object_get(j, "removed")), 10);
    assert_int_equal(json_integer_value(json_object_get(j, "added")), 30);
    /* 11, 22, ... 99 were refused for their licence and are kept (or duplicates) now */
    assert_true(json_integer_value(json_object_get(j, "moved")) >= 5);
    assert_int_equal(json_integer_value(json_object_get(j, "changed")), 0);
    int64_t sum = 0;
    static const char *const kind[] = {"removed", "moved", "same", "changed"};
    for (int i = 0; i < 4; i++)
        sum += json_integer_value(json_object_get(j, kind[i]));
    assert_int_equal(sum, 100);
    char *to = room_path(&r, "export.jsonl");
    int64_t n = 0;
    sm_file_writer *w = NULL;
    assert_int_equal(sm_file_writer_open_named(&w, to, 0644, &e), SM_OK);
    assert_int_equal(sm_data_export(w, &p.f, "all", &n, &e), SM_OK);
    assert_int_equal(n, 100);
    assert_int_equal(sm_data_export(w, &p.f, "documents", &n, &e), SM_EINVAL);
    assert_int_equal(n, 0);
    sm_file_writer_abort(w);
    free(to);
    json_decref(j);
    free_paths(&p);
    free_paths(&q);
    sm_buf_free(&a);
    sm_buf_free(&b);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariance),
        cmocka_unit_test(test_one_document_of_two_inputs),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_who_removed_what),
        cmocka_unit_test(test_dataset_round_trip),
        cmocka_unit_test(test_dataset_damaged),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_is_fit_for_a_terminal),
        cmocka_unit_test(test_show_errors),
        cmocka_unit_test(test_export_diff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
