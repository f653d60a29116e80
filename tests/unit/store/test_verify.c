/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify finds and names every kind of damage: one flipped byte in each object, leaf
 * file, recipe, manifest, run record, ref, catalog row, log record and key.
 */
#include "testing.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* A small history: two sources, a dataset with a file of three leaves, a model, a tag. */
typedef struct history {
    sm_artifact source, dataset, model;
} history;

static void make_history(world *w, history *h)
{
    char *staging = NULL;
    size_t len = 2500000;
    char *big = malloc(len);
    OK(commit_text(&h->source, w->s, "source", "t.add", NULL, "raw", "raw"));
    for (size_t i = 0; i < len; i++)
        big[i] = (char)(i * 31 + (i >> 11));
    OK(sm_store_staging(&staging, w->s, "curate", &err));
    put_file(staging, "train.jsonl", big, len);
    put_file(staging, "stats.json", "{}", 2);
    json_t *options = json_pack("{s:i}", "min_words", 50);
    json_t *recipe =
        sm_recipe_new("t.curate", 2, &h->source.content, 1, options, "f32/1");
    json_t *run = json_pack("{s:s, s:f}", "id", "run-curate", "seconds", 1.5);
    OK(sm_store_commit(&h->dataset, w->s, "dataset", recipe, staging, "docs", run, &err));
    json_decref(options);
    json_decref(recipe);
    json_decref(run);
    free(staging);
    free(big);
    OK(commit_text(&h->model, w->s, "model", "t.train", &h->dataset, "weights", "unix"));
    OK(sm_store_set_ref(w->s, "unix:stable", &h->model.content, &err));
    OK(sm_audit_append(w->s, "gate.pass", NULL, &err));
}

static void free_history(history *h)
{
    sm_artifact_free(&h->source);
    sm_artifact_free(&h->dataset);
    sm_artifact_free(&h->model);
}

/* Verify must fail and some finding must hold both words. */
static void expect_found(world *w, const char *ref, const char *a, const char *b)
{
    findings f = {0};
    int64_t n = 0;
    sm_status st = sm_store_verify(w->s, ref, find_line, &f, &n, &err);
    if (st != SM_ECORRUPT)
        fail_msg("want ECORRUPT naming %s, got %s", a, sm_status_name(st));
    bool named = false;
    char *rest = f.text.data;
    for (char *line; (line = next_line(&rest));)
        named |= strstr(line, a) && strstr(line, b);
    if (!named)
        fail_msg("no finding names %s and %s; first: %s", a, b, err.msg);
    sm_buf_free(&f.text);
}

static void expect_clean(world *w, const char *ref)
{
    findings f = {0};
    sm_status st = sm_store_verify(w->s, ref, find_line, &f, NULL, &err);
    if (st)
        fail_msg("want clean, got: %s", f.n ? f.text.data : err.msg);
    sm_buf_free(&f.text);
}

static void test_clean(void **state)
{
    world *w = *state;
    history h = {0};
    int64_t n = 0, n_ref = 0;
    make_history(w, &h);
    OK(sm_store_verify(w->s, NULL, NULL, NULL, &n, &err));
    /* 4 files, 3 manifests, 3 recipes, 3 run records */
    assert_int_equal(n, 13);
    OK(sm_store_verify(w->s, "docs", NULL, NULL, &n_ref, &err));
    assert_int_equal(n_ref, 9); /* without the model's four */
    expect_clean(w, "unix:stable");
    assert_int_equal(sm_store_verify(w->s, "nothing", NULL, NULL, NULL, &err), SM_ENOENT);
    free_history(&h);
}

/* Every file below objects/: objects, manifests, recipes, run records, leaf tables. */
static void test_flip_in_every_object(void **state)
{
    world *w = *state;
    history h = {0};
    sm_list list = {0};
    make_history(w, &h);
    char *objects = path_of(w->dir, ".smelt/objects");
    OK(sm_list_files(&list, objects, &err));
    assert_int_equal(list.n, 26);
    for (size_t i = 0; i < list.n; i++) {
        char *path = path_of(objects, list.item[i]);
        char name[70];
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        long at = (long)(sm_rng_below((uint64_t)info.st_size, 3, SM_STREAM_TEST, 0, i));
        snprintf(name, sizeof name, "%.2s%.62s", list.item[i], list.item[i] + 3);
        bool is_leaf = strstr(list.item[i], ".leaf") != NULL;
        flip(path, at, 1 << (i % 8));
        expect_found(w, NULL, name, is_leaf ? "leaf table" : "leaf 0");
        flip(path, at, 1 << (i % 8));
        free(path);
    }
    expect_clean(w, NULL);
    sm_list_free(&list);
    free(objects);
    free_history(&h);
}

static void test_leaf_is_located(void **state)
{
    world *w = *state;
    history h = {0};
    char *path = NULL;
    make_history(w, &h);
    OK(sm_store_path(&path, w->s, &h.dataset, "train.jsonl", &err));
    flip(path, (1 << 20) + 17, 0x10);
    expect_found(w, NULL, "leaf 1 (bytes 1048576..2097151)", "train.jsonl of docs@v1");
    expect_found(w, "unix", "leaf 1 (bytes 1048576..2097151)", "train.jsonl of docs@v1");
    expect_clean(w, "raw");
    flip(path, (1 << 20) + 17, 0x10);
    flip(path, -1, 0x10);
    expect_found(w, "docs", "leaf 2 (bytes 2097152..2499999)", "train.jsonl");
    flip(path, -1, 0x10);
    expect_clean(w, NULL);
    assert_int_equal(truncate(path, 2097152), 0);
    expect_found(w, NULL, "leaf 2", "train.jsonl of docs@v1");
    assert_int_equal(sm_store_path(&path, w->s, &h.dataset, "train.jsonl", &err),
                     SM_ECORRUPT);
    assert_int_equal(unlink(path), 0);
    expect_found(w, NULL, "is missing", "train.jsonl of docs@v1");
    free(path);
    free_history(&h);
}

/* Who reads a file gets bytes that were compared with its id, once a handle. */
static void test_whole_path(void **state)
{
    world *w = *state;
    history h = {0};
    char *path = NULL, *same = NULL;
    make_history(w, &h);
    OK(sm_store_path(&path, w->s, &h.dataset, "train.jsonl", &err));
    flip(path, (1 << 20) + 17, 0x10);
    assert_int_equal(sm_store_whole_path(&same, w->s, &h.dataset, "train.jsonl", &err),
                     SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "train.jsonl: object"));
    assert_non_null(strstr(err.msg, "leaf 1 (bytes 1048576..2097151)"));
    flip(path, (1 << 20) + 17, 0x10);
    OK(sm_store_whole_path(&same, w->s, &h.dataset, "train.jsonl", &err));
    assert_string_equal(same, path);
    free(same);
    flip(path, (1 << 20) + 17, 0x10); /* hashed by this handle already */
    OK(sm_store_whole_path(&same, w->s, &h.dataset, "train.jsonl", &err));
    free(same);
    reopen(w);
    assert_int_equal(sm_store_whole_path(&same, w->s, &h.dataset, "train.jsonl", &err),
                     SM_ECORRUPT);
    assert_int_equal(sm_store_whole_path(&same, w->s, &h.dataset, "other", &err),
                     SM_ENOENT);
    flip(path, (1 << 20) + 17, 0x10);
    free(path);
    free_history(&h);
}

static void test_damaged_object_is_repaired(void **state)
{
    world *w = *state;
    sm_artifact a = {0}, b = {0};
    char *path = NULL;
    sm_buf leaf = {0};
    OK(commit_text(&a, w->s, "source", "t.add", NULL, "precious", "raw"));
    OK(sm_store_path(&path, w->s, &a, "data", &err));
    flip(path, 2, 1);
    OK(commit_text(&b, w->s, "source", "t.add", NULL, "precious", "raw"));
    expect_clean(w, NULL);
    sm_artifact_free(&b);
    sm_buf_printf(&leaf, "%s.leaf", path);
    flip(leaf.data, 2, 1);
    expect_found(w, NULL, "leaf table", "data of raw@v1");
    OK(commit_text(&b, w->s, "source", "t.add", NULL, "precious", "raw"));
    expect_clean(w, NULL);
    sm_artifact_free(&b);
    assert_int_equal(unlink(path), 0);
    OK(commit_text(&b, w->s, "source", "t.add", NULL, "precious", "raw"));
    expect_clean(w, NULL);
    sm_artifact_free(&a);
    sm_artifact_free(&b);
    sm_buf_free(&leaf);
    free(path);
}

/* One byte of each line of the log, and of its newline. */
static void test_flip_in_every_record(void **state)
{
    world *w = *state;
    history h = {0};
    char *text = NULL;
    size_t len = 0, from = 0;
    make_history(w, &h);
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl");
    OK(sm_file_read(&text, &len, log, 0, &err));
    int line = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n')
            continue;
        char name[32];
        snprintf(name, sizeof name, "log.jsonl line %d:", ++line);
        for (int k = 0; k < 3; k++) { /* two places inside and the newline */
            uint64_t r = sm_rng_below(i - from, 5, SM_STREAM_TEST, (uint32_t)k, i);
            long at = k == 2 ? (long)i : (long)(from + r);
            flip(log, at, 1);
            if (at == (long)len - 1)
                expect_found(w, NULL, "log.jsonl", "after the last whole record");
            else
                expect_found(w, "raw", "audit/", name);
            flip(log, at, 1);
        }
        from = i + 1;
    }
    assert_int_equal(line, 6);
    expect_clean(w, NULL);
    free(text);
    free(log);
    free_history(&h);
}

static void sql(world *w, const char *text)
{
    sqlite3 *db = NULL;
    char *path = path_of(w->dir, ".smelt/catalog.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
    free(path);
}

static void test_changed_catalog_rows(void **state)
{
    world *w = *state;
    history h = {0};
    static const struct {
        const char *change, *a, *b;
    } cases[] = {
        {"UPDATE ref SET manifest = (SELECT manifest FROM artifact WHERE kind='source') "
         "WHERE name='docs'",
         "ref docs@v1", "differs"},
        {"UPDATE ref SET content = replace(content, substr(content, 1, 1), 'x') "
         "WHERE tag='stable'",
         "ref unix:stable", "differs"},
        {"INSERT INTO ref SELECT 'fake', version, tag, manifest, content, moved, record "
         "FROM ref WHERE name='docs'",
         "ref fake@v1", "differs"},
        {"DELETE FROM ref WHERE name='raw'", "ref raw@v1", "differs"},
        {"UPDATE artifact SET kind='models' WHERE kind='model'", "artifact ", "manifest"},
        {"UPDATE artifact SET json = replace(json, 'dataset', 'dutaset')", "artifact ",
         ""},
        {"UPDATE artifact SET made = '2020-01-01T00:00:00Z' WHERE kind='model'",
         "artifact ", ""},
        {"UPDATE recipe SET json = replace(json, '50', '51')", "recipe ", "differs"},
        {"UPDATE file SET bytes = bytes + 1 WHERE path='stats.json'", "file stats.json",
         ""},
        {"UPDATE run SET json = replace(json, '1.5', '2.5')", "run run-curate",
         "differs"},
        {"DELETE FROM run", "run run-curate", "differs"},
        {"UPDATE meta SET value = replace(value, '6 ', '7 ') WHERE key='audit'",
         "log.jsonl", "truncated"},
    };
    make_history(w, &h);
    char *db = path_of(w->dir, ".smelt/catalog.db");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *before = NULL;
        size_t len = 0;
        sm_store_close(w->s); /* no write-ahead log is left behind */
        OK(sm_file_read(&before, &len, db, 0, &err));
        sql(w, cases[i].change);
        OK(sm_store_open(&w->s, w->dir, &err));
        expect_found(w, NULL, cases[i].a, cases[i].b);
        expect_found(w, "unix:stable", cases[i].a, cases[i].b);
        sm_store_close(w->s);
        OK(sm_file_write_atomic(db, before, len, 0644, &err));
        OK(sm_store_open(&w->s, w->dir, &err));
        free(before);
    }
    expect_clean(w, NULL);
    free(db);
    free_history(&h);
}

/* A catalog of another making: the same rows for the comparison with the log, others for
 * who looks a ref up. */
static void test_changed_schema(void **state)
{
    world *w = *state;
    history h = {0};
    static const struct {
        const char *change, *name;
        bool refused; /* by open already */
    } cases[] = {
        {"ALTER TABLE ref RENAME TO honest; CREATE TABLE forged AS SELECT * FROM honest;"
         "UPDATE forged SET (manifest, content) = (SELECT manifest, content FROM artifact"
         " WHERE kind = 'source') WHERE name = 'unix';"
         "CREATE VIEW ref AS SELECT * FROM honest WHERE EXISTS(SELECT 1 FROM"
         " pragma_database_list WHERE name = 'disk') UNION ALL SELECT * FROM forged"
         " WHERE NOT EXISTS(SELECT 1 FROM pragma_database_list WHERE name = 'disk')",
         "view ref", true},
        {"CREATE TRIGGER later AFTER INSERT ON ref BEGIN DELETE FROM run; END",
         "trigger later", true},
        {"CREATE TABLE more(x)", "table more", false},
        {"DROP INDEX ref_manifest", "index ref_manifest", false},
    };
    make_history(w, &h);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sm_store *late = NULL;
        reopen(w);
        sql(w, cases[i].change); /* under a handle that is open */
        expect_found(w, NULL, cases[i].name, "schema");
        expect_found(w, "unix:stable", cases[i].name, "schema");
        sm_status st = sm_store_open(&late, w->dir, &err);
        assert_int_equal(st, cases[i].refused ? SM_ECORRUPT : SM_OK);
        if (cases[i].refused)
            assert_non_null(strstr(err.msg, "want tables and indexes alone"));
        sm_store_close(late);
        sm_store_close(w->s);
        w->s = NULL;
        OK(sm_store_rebuild(NULL, w->dir, &err));
        OK(sm_store_open(&w->s, w->dir, &err));
        expect_clean(w, NULL);
    }
    free_history(&h);
}

/* What a ref means is in the log: a ref of the catalog alone is a finding, whatever else
 * is whole, and the maker of an input is checked also where it cannot be read. */
static void test_ref_by_the_log(void **state)
{
    world *w = *state;
    history h = {0};
    sm_list list = {0};
    make_history(w, &h);
    sql(w,
        "INSERT INTO ref SELECT 'fake', version, tag, manifest, content, moved, record "
        "FROM ref WHERE name='docs'");
    expect_found(w, "fake", "fake", "nothing by the audit log");
    sql(w, "DELETE FROM ref WHERE name = 'fake'");
    char *objects = path_of(w->dir, ".smelt/objects");
    OK(sm_list_files(&list, objects, &err));
    int n_manifest = 0;
    for (size_t i = 0; i < list.n; i++) {
        char *path = path_of(objects, list.item[i]), *text = NULL, name[70];
        OK(sm_file_read(&text, NULL, path, 0, &err));
        snprintf(name, sizeof name, "%.2s%.62s", list.item[i], list.item[i] + 3);
        if (strstr(text, "\"manifest\":\"1\"")) {
            n_manifest++;
            flip(path, 5, 1);
            expect_found(w, h.model.content.hex, name, "leaf 0");
            expect_found(w, "unix", name, "leaf 0");
            flip(path, 5, 1);
        }
        free(text);
        free(path);
    }
    assert_int_equal(n_manifest, 3);
    expect_clean(w, "unix");
    sm_list_free(&list);
    free(objects);
    free_history(&h);
}

/* Bytes of the file that hold a ref, one after another: each flip is found, whether by
 * SQLite's own check or by the comparison with the log. */
static void test_flip_in_a_ref_row(void **state)
{
    world *w = *state;
    history h = {0};
    char *text = NULL;
    size_t len = 0;
    int n_tried = 0;
    make_history(w, &h);
    sm_store_close(w->s);
    w->s = NULL;
    char *db = path_of(w->dir, ".smelt/catalog.db");
    OK(sm_file_read(&text, &len, db, 0, &err));
    for (size_t i = 0; i + 70 < len && n_tried < 40; i++) {
        /* name, version (1 byte), tag (0), manifest: the row of docs@v1 in its table */
        if (memcmp(text + i, "docs", 4) != 0 ||
            memcmp(text + i + 4, "\x64\x6f", 2) == 0 ||
            !strspn(text + i + 4, "0123456789abcdef"))
            continue;
        for (size_t k = 0; k < 68 && n_tried < 40; k += 7) {
            flip(db, (long)(i + k), 1);
            OK(sm_store_open(&w->s, w->dir, &err));
            expect_found(w, NULL, "catalog.db", "");
            sm_store_close(w->s);
            w->s = NULL;
            flip(db, (long)(i + k), 1);
            n_tried++;
        }
    }
    assert_true(n_tried >= 10);
    OK(sm_store_open(&w->s, w->dir, &err));
    expect_clean(w, NULL);
    free(text);
    free(db);
    free_history(&h);
}

/* Two content ids with the same first digits: made up in the catalog, as nobody can make
 * them by hashing. */
static void test_ambiguous_prefix(void **state)
{
    world *w = *state;
    history h = {0};
    sm_artifact a = {0};
    char prefix[65];
    make_history(w, &h);
    snprintf(prefix, sizeof prefix, "%.10s", h.model.content.hex);
    OK(sm_store_find(&a, w->s, prefix, &err));
    sm_artifact_free(&a);
    sql(w, "INSERT INTO artifact SELECT 'x' || manifest, substr(content, 1, 10) || "
           "substr(content, 12) || 'a', kind, recipe, json, bytes, files, made, record "
           "FROM artifact WHERE kind = 'model'");
    assert_int_equal(sm_store_find(&a, w->s, prefix, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "2 content ids"));
    OK(sm_store_find(&a, w->s, h.model.content.hex, &err));
    sm_artifact_free(&a);
    free_history(&h);
}

static void test_stray_files(void **state)
{
    world *w = *state;
    history h = {0};
    make_history(w, &h);
    char *objects = path_of(w->dir, ".smelt/objects");
    put_file(objects, "ab/notes.txt", "x", 1);
    expect_found(w, NULL, "ab/notes.txt", "not the name");
    free(objects);
    free_history(&h);
}

static void test_keys(void **state)
{
    world *w = *state;
    history h = {0};
    make_history(w, &h);
    char *key = path_of(w->dir, ".smelt/keys/ed25519.pem");
    char *pub = path_of(w->dir, ".smelt/keys/ed25519.pub");
    assert_int_equal(chmod(key, 0640), 0);
    expect_found(w, NULL, "ed25519.pem", "0600");
    reopen(w);
    assert_int_equal(sm_audit_append(w->s, "x", NULL, &err), SM_EDENIED);
    assert_int_equal(chmod(key, 0600), 0);
    struct stat info;
    assert_int_equal(stat(key, &info), 0);
    for (long at = 0; at < info.st_size; at += 11) {
        flip(key, at, 1);
        expect_found(w, NULL, "keys", "");
        flip(key, at, 1);
    }
    assert_int_equal(stat(pub, &info), 0);
    for (long at = 0; at < info.st_size; at += 11) {
        flip(pub, at, 1);
        reopen(w);
        expect_found(w, NULL, "ed25519.pub", "");
        flip(pub, at, 1);
    }
    reopen(w);
    expect_clean(w, NULL);
    free(key);
    free(pub);
    free_history(&h);
}

/* A page of nonsense among the metrics costs what is on it, not the rest. */
static void test_rebuild_metrics(void **state)
{
    world *w = *state;
    enum { N = 4000 };
    json_t *m = NULL;
    sm_rebuilt told;
    sql(w,
        "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 4000)"
        " INSERT INTO metric SELECT 'run', 'loss', i, 1.0 / i FROM k");
    sm_store_close(w->s);
    w->s = NULL;
    char *db = path_of(w->dir, ".smelt/catalog.db"), *text = NULL;
    OK(sm_store_rebuild(&told, w->dir, &err));
    assert_int_equal(told.n_metric, N);
    assert_string_equal(told.lost, "");
    size_t len = 0, page = 0;
    OK(sm_file_read(&text, &len, db, 0, &err));
    int seen = 0; /* pages full of rows of the run; one in the middle */
    for (size_t at = 4096; at + 4096 <= len && seen < 8; at += 4096) {
        int n = 0;
        for (size_t i = at; i + 7 < at + 4096; i++)
            n += memcmp(text + i, "runloss", 7) == 0;
        if (n > 50 && ++seen == 8)
            page = at;
    }
    assert_true(page > 0);
    FILE *f = fopen(db, "r+b");
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    fseek(f, (long)page, SEEK_SET);
    fwrite(junk, 1, sizeof junk, f);
    fclose(f);
    OK(sm_store_rebuild(&told, w->dir, &err));
    assert_in_range(told.n_metric, N - 400, N - 50);
    if (!strstr(told.lost, "between loss of run run, step "))
        fail_msg("got \"%s\"", told.lost);
    OK(sm_store_open(&w->s, w->dir, &err));
    OK(sm_store_metrics_read(&m, w->s, "run", "loss", &err));
    const json_t *loss = json_object_get(m, "loss");
    assert_int_equal(json_array_size(loss), told.n_metric);
    json_t *last = json_array_get(loss, json_array_size(loss) - 1);
    assert_int_equal(json_integer_value(json_array_get(last, 0)), N); /* both ends */
    json_decref(m);
    free(text);
    free(db);
}

/* A catalog that cannot be made again is not taken away either. */
static void test_rebuild_fails(void **state)
{
    world *w = *state;
    void *other = NULL;
    char *text = NULL;
    size_t len = 0;
    OK(sm_store_metric(w->s, "run", "loss", 1, 2.5, &err));
    sm_store_close(w->s);
    w->s = NULL;
    assert_int_equal(world_setup(&other), 0);
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl");
    char *db = path_of(w->dir, ".smelt/catalog.db");
    char *foreign = path_of(((world *)other)->dir, ".smelt/audit/log.jsonl");
    OK(sm_file_read(&text, &len, foreign, 0, &err));
    OK(sm_file_write_atomic(log, text, len, 0644, &err));
    free(text);
    flip(db, 3, 1);
    assert_int_equal(sm_store_rebuild(NULL, w->dir, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "no record verifies"));
    OK(sm_file_read(&text, &len, db, 0, &err));
    assert_int_equal(text[3], 'i' ^ 1); /* "SQLite format 3", as it was */
    free(text);
    free(foreign);
    free(db);
    free(log);
    world_teardown(&other);
}

static void test_rebuild(void **state)
{
    world *w = *state;
    history h = {0};
    json_t *before = NULL, *after = NULL;
    make_history(w, &h);
    OK(sm_store_metric(w->s, "t.train", "loss", 1, 2.5, &err));
    OK(sm_store_list(&before, w->s, &err));
    sm_store_close(w->s);
    w->s = NULL;
    /* a catalog with a page of nonsense in the middle */
    char *db = path_of(w->dir, ".smelt/catalog.db");
    FILE *f = fopen(db, "r+b");
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    fseek(f, 4096 * 4, SEEK_SET);
    fwrite(junk, 1, sizeof junk, f);
    fclose(f);
    OK(sm_store_rebuild(NULL, w->dir, &err));
    OK(sm_store_open(&w->s, w->dir, &err));
    expect_clean(w, NULL);
    OK(sm_store_list(&after, w->s, &err));
    assert_true(json_equal(json_object_get(before, "artifacts"),
                           json_object_get(after, "artifacts")));
    assert_true(
        json_equal(json_object_get(before, "refs"), json_object_get(after, "refs")));
    json_decref(after);
    /* a catalog that is no database: open says what to do */
    sm_store_close(w->s);
    w->s = NULL;
    flip(db, 3, 1);
    assert_int_equal(sm_store_open(&w->s, w->dir, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "verify --rebuild"));
    flip(db, 3, 1);
    sql(w, "UPDATE meta SET value = '2' WHERE key = 'schema'");
    assert_int_equal(sm_store_open(&w->s, w->dir, &err), SM_ECORRUPT);
    OK(sm_store_rebuild(NULL, w->dir, &err));
    OK(sm_store_open(&w->s, w->dir, &err));
    /* a catalog that is gone, or that was never filled */
    for (int i = 0; i < 2; i++) {
        sm_store_close(w->s);
        assert_int_equal(unlink(db), 0);
        if (i == 1)
            OK(sm_file_write_atomic(db, "", 0, 0644, &err));
        OK(sm_store_open(&w->s, w->dir, &err));
        expect_clean(w, NULL);
        OK(sm_store_list(&after, w->s, &err));
        assert_true(
            json_equal(json_object_get(before, "refs"), json_object_get(after, "refs")));
        json_decref(after);
    }
    json_decref(before);
    free(db);
    free_history(&h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_clean),
        T(test_flip_in_every_object),
        T(test_leaf_is_located),
        T(test_whole_path),
        T(test_damaged_object_is_repaired),
        T(test_flip_in_every_record),
        T(test_changed_catalog_rows),
        T(test_changed_schema),
        T(test_ref_by_the_log),
        T(test_flip_in_a_ref_row),
        T(test_ambiguous_prefix),
        T(test_stray_files),
        T(test_keys),
        T(test_rebuild),
        T(test_rebuild_metrics),
        T(test_rebuild_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
