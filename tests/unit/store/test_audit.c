/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log against tampering: truncation, removal, reordering, insertion and a whole
 * rewrite with the workspace's own key, with and without a checkpoint.  Its hashes and
 * signatures are checked with the openssl program, which is not ours.
 */
#include "testing.h"

#include <sys/stat.h>

#include "internal.h" /* to sign what no workspace would */

typedef struct log_text {
    char *path, *text;
    size_t len;
    char *line[32];
    size_t n_line;
} log_text;

static void load(log_text *l, const world *w)
{
    *l = (log_text){.path = path_of(w->dir, ".smelt/audit/log.jsonl")};
    OK(sm_file_read(&l->text, &l->len, l->path, 0, &err));
    char *copy = sm_strdup(l->text), *rest = copy;
    for (char *p; l->n_line < 32 && (p = next_line(&rest));)
        l->line[l->n_line++] = sm_strdup(p);
    free(copy);
}

static void unload(log_text *l)
{
    for (size_t i = 0; i < l->n_line; i++)
        free(l->line[i]);
    free(l->text);
    free(l->path);
}

/* Write lines in the given order; -1 ends. */
static void store_lines(const log_text *l, const int *order)
{
    sm_buf b = {0};
    for (; *order >= 0; order++)
        sm_buf_printf(&b, "%s\n", l->line[*order]);
    OK(sm_file_write_atomic(l->path, b.data ? b.data : "", b.len, 0644, &err));
    sm_buf_free(&b);
}

static void make_log(world *w)
{
    for (int i = 0; i < 5; i++) {
        json_t *detail =
            json_pack("{s:i, s:s, s:f}", "i", i, "who", "réviseur", "x", 0.5);
        OK(sm_audit_append(w->s, "note", detail, &err));
        json_decref(detail);
    }
}

static void expect_bad(world *w, const char *word)
{
    assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
    if (!strstr(err.msg, word))
        fail_msg("want \"%s\" in: %s", word, err.msg);
    reopen(w);
    assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
    assert_int_equal(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err), SM_ECORRUPT);
}

static void test_append(void **state)
{
    world *w = *state;
    int64_t n = 0;
    make_log(w);
    OK(sm_audit_verify(w->s, NULL, &n, &err));
    assert_int_equal(n, 6);
    static const char *const own[] = {"artifact.commit", "ref.set", "", "audit.x"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        assert_int_equal(sm_audit_append(w->s, own[i], NULL, &err), SM_EINVAL);
    json_t *list = json_array();
    assert_int_equal(sm_audit_append(w->s, "note", list, &err), SM_EINVAL);
    json_decref(list);
    json_t *huge = json_pack("{s:I}", "x", (json_int_t)1 << 60);
    assert_int_equal(sm_audit_append(w->s, "note", huge, &err), SM_EINVAL);
    json_decref(huge);
    OK(sm_audit_verify(w->s, NULL, &n, &err));
    assert_int_equal(n, 6);
}

static void test_tampering(void **state)
{
    world *w = *state;
    log_text l;
    make_log(w);
    load(&l, w);
    assert_int_equal(l.n_line, 6);
    store_lines(&l, (const int[]){0, 1, 2, 3, 4, -1});
    expect_bad(w, "truncated");
    assert_int_equal(sm_audit_append(w->s, "note", NULL, &err), SM_ECORRUPT);
    store_lines(&l, (const int[]){-1});
    expect_bad(w, "truncated");
    store_lines(&l, (const int[]){0, 1, 3, 4, 5, -1});
    expect_bad(w, "line 3");
    store_lines(&l, (const int[]){0, 2, 1, 3, 4, 5, -1});
    expect_bad(w, "line 2");
    store_lines(&l, (const int[]){0, 1, 1, 3, 4, 5, -1});
    expect_bad(w, "line 3");
    store_lines(&l, (const int[]){1, 2, 3, 4, 5, -1});
    expect_bad(w, "line 1");
    store_lines(&l, (const int[]){0, 1, 2, 3, 4, 5, -1});
    OK(sm_audit_verify(w->s, NULL, NULL, &err));
    assert_int_equal(unlink(l.path), 0);
    assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
    assert_int_equal(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err), SM_ECORRUPT);
    unload(&l);
}

/* Another workspace's log, in its place: its key is not this one's. */
static void test_foreign_log(void **state)
{
    world *w = *state;
    void *other = NULL;
    log_text l;
    make_log(w);
    assert_int_equal(world_setup(&other), 0);
    make_log(other);
    load(&l, other);
    char *path = path_of(w->dir, ".smelt/audit/log.jsonl");
    OK(sm_file_write_atomic(path, l.text, l.len, 0644, &err));
    assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "signature"));
    free(path);
    unload(&l);
    world_teardown(&other);
}

/* The log as it is now must be these bytes. */
static void expect_log(const log_text *l)
{
    char *now = NULL;
    size_t len = 0;
    OK(sm_file_read(&now, &len, l->path, 0, &err));
    assert_int_equal(len, l->len);
    assert_memory_equal(now, l->text, len);
    free(now);
}

static void lose_catalog(world *w)
{
    char *db = path_of(w->dir, ".smelt/catalog.db");
    sm_store_close(w->s);
    w->s = NULL;
    assert_int_equal(unlink(db), 0);
    free(db);
}

/* Two records in a row, the first as told, signed with the key of the workspace. */
static void store_signed(world *w, const char *event, const char *key)
{
    audit_head head = {.n = 0};
    sm_buf text = {0};
    json_t *detail = json_pack("{s:s*}", "key", key);
    char *path = path_of(w->dir, ".smelt/audit/log.jsonl");
    memset(head.hash.hex, '0', 64);
    for (int i = 0; i < 2; i++) {
        audit_record rec = {0};
        sm_buf line = {0};
        OK(audit_make(&line, &rec, w->s, &head, i ? "note" : event, detail, &err));
        sm_buf_put(&text, line.data, line.len);
        head = (audit_head){.n = rec.n, .bytes = (int64_t)text.len, .hash = rec.hash};
        audit_record_free(&rec);
        sm_buf_free(&line);
    }
    OK(sm_file_write_atomic(path, text.data, text.len, 0644, &err));
    sm_buf_free(&text);
    json_decref(detail);
    free(path);
}

static void expect_bad_first(world *w, const char *key)
{
    findings f = {.n = 0};
    assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
    if (!strstr(err.msg, "line 1: want workspace.init with key") || !strstr(err.msg, key))
        fail_msg("%s", err.msg);
    assert_int_equal(sm_store_verify(w->s, NULL, find_line, &f, NULL, &err), SM_ECORRUPT);
    assert_non_null(strstr(f.text.data, "line 1: want workspace.init with key"));
    sm_buf_free(&f.text);
}

/* Who holds the key can sign any record, but the log of a workspace begins with the record
 * that names its key, also when the catalog is made again from it. */
static void test_first_record(void **state)
{
    world *w = *state;
    char own[65], other[65];
    OK(key_public_hex(own, w->s, &err));
    memcpy(other, own, sizeof own);
    other[63] = own[63] == '0' ? '1' : '0';
    const struct {
        const char *event, *key;
    } first[] = {{"workspace.init", other}, {"workspace.init", NULL}, {"note", own}};
    for (int i = 0; i < 3; i++) {
        store_signed(w, first[i].event, first[i].key);
        expect_bad_first(w, own);
        lose_catalog(w);
        OK(sm_store_open(&w->s, w->dir, &err));
        expect_bad_first(w, own);
    }
    store_signed(w, "workspace.init", own);
    lose_catalog(w);
    OK(sm_store_open(&w->s, w->dir, &err));
    OK(sm_audit_verify(w->s, NULL, NULL, &err));
}

/* Without its catalog a damaged log is still that log: no whole line of it is removed, it
 * does not look clean, and it goes on once it is whole again. */
static void test_lost_catalog(void **state)
{
    world *w = *state;
    static const int damaged[] = {5, 2, 0};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        log_text l, after;
        char line[32];
        make_log(w);
        load(&l, w);
        long at = strstr(l.text, l.line[damaged[i]]) - l.text + 30;
        flip(l.path, at, 1);
        l.text[at] ^= 1;
        lose_catalog(w);
        OK(sm_store_open(&w->s, w->dir, &err));
        snprintf(line, sizeof line, "line %d", damaged[i] + 1);
        assert_int_equal(sm_audit_verify(w->s, NULL, NULL, &err), SM_ECORRUPT);
        assert_non_null(strstr(err.msg, line));
        if (i == 0) { /* the end: nothing can be added to it */
            expect_log(&l);
            assert_int_equal(sm_audit_append(w->s, "note", NULL, &err), SM_ECORRUPT);
            assert_non_null(strstr(err.msg, "do not verify"));
            expect_log(&l);
        }
        flip(l.path, at, 1);
        OK(sm_audit_append(w->s, "note", NULL, &err));
        OK(sm_audit_verify(w->s, NULL, NULL, &err));
        load(&after, w);
        assert_non_null(strstr(after.text + l.len, "catalog.rebuild"));
        assert_null(strstr(after.text, "audit.repair"));
        unload(&after);
        unload(&l);
        world_teardown(state); /* a new one for the next */
        assert_int_equal(world_setup(state), 0);
        w = *state;
    }
}

/* No record verifies: another workspace's log, or another's key.  Nothing is removed. */
static void test_lost_catalog_foreign_log(void **state)
{
    world *w = *state;
    void *other = NULL;
    log_text l;
    sm_list list = {0};
    assert_int_equal(world_setup(&other), 0);
    make_log(other);
    load(&l, other);
    free(l.path);
    l.path = path_of(w->dir, ".smelt/audit/log.jsonl");
    lose_catalog(w);
    OK(sm_file_write_atomic(l.path, l.text, l.len, 0644, &err));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sm_store_open(&w->s, w->dir, &err), SM_ECORRUPT);
        assert_non_null(strstr(err.msg, "no record verifies with the key"));
    }
    expect_log(&l);
    char *audit = path_of(w->dir, ".smelt/audit");
    OK(sm_list_files(&list, audit, &err));
    assert_int_equal(list.n, 1); /* nothing was removed */
    sm_list_free(&list);
    free(audit);
    unload(&l);
    world_teardown(&other);
}

/* Who cannot sign can still read; the record of the rebuild waits. */
static void test_lost_catalog_without_key(void **state)
{
    world *w = *state;
    log_text l;
    char *key = path_of(w->dir, ".smelt/keys/ed25519.pem");
    make_log(w);
    load(&l, w);
    assert_int_equal(chmod(key, 0640), 0);
    lose_catalog(w);
    OK(sm_store_open(&w->s, w->dir, &err));
    OK(sm_audit_verify(w->s, NULL, NULL, &err));
    expect_log(&l);
    unload(&l);
    assert_int_equal(chmod(key, 0600), 0);
    OK(sm_audit_append(w->s, "note", NULL, &err));
    load(&l, w);
    assert_int_equal(l.n_line, 8);
    assert_non_null(strstr(l.line[6], "catalog.rebuild"));
    unload(&l);
    free(key);
}

/* A checkpoint says which log it is of, and when it was made. */
static void test_checkpoint_says(void **state)
{
    world *w = *state;
    char *point = path_of(w->dir, "checkpoint.json"), before[32], after[32], key[65];
    json_t *said = NULL;
    make_log(w);
    sm_wall_format(before, sm_wall_ns());
    OK(sm_audit_checkpoint(w->s, point, &err));
    sm_wall_format(after, sm_wall_ns());
    OK(sm_json_load(&said, point, &err));
    OK(key_public_hex(key, w->s, &err));
    const char *time = sm_json_text(said, "time");
    if (strlen(time) != strlen(before) || strcmp(time, before) < 0 ||
        strcmp(time, after) > 0)
        fail_msg("got time %s, want %s to %s", time, before, after);
    assert_string_equal(sm_json_text(said, "key"), key);
    assert_int_equal(sm_json_int(said, "n"), 6);
    json_decref(said);
    free(point);
}

static void test_checkpoint(void **state)
{
    world *w = *state;
    char *point = path_of(w->dir, "checkpoint.json");
    make_log(w);
    OK(sm_audit_checkpoint(w->s, point, &err));
    OK(sm_audit_verify(w->s, point, NULL, &err));
    make_log(w);
    OK(sm_audit_verify(w->s, point, NULL, &err));
    reopen(w);
    OK(sm_audit_verify(w->s, point, NULL, &err));

    /* an insider with the key starts the log and the catalog again */
    sm_store_close(w->s);
    w->s = NULL;
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl");
    char *catalog = path_of(w->dir, ".smelt/catalog.db");
    char *first = NULL;
    OK(sm_file_read(&first, NULL, log, 0, &err));
    size_t one = strcspn(first, "\n") + 1;
    OK(sm_file_write_atomic(log, first, one, 0644, &err));
    assert_int_equal(unlink(catalog), 0);
    OK(sm_store_open(&w->s, w->dir, &err));
    OK(sm_audit_verify(w->s, NULL, NULL, &err)); /* looks whole from inside */
    assert_int_equal(sm_audit_verify(w->s, point, NULL, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "truncated"));
    make_log(w);
    assert_int_equal(sm_audit_verify(w->s, point, NULL, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "rewritten"));

    /* a checkpoint that was changed itself */
    for (long at = 4; at < 300; at += 29) {
        flip(point, at, 1);
        sm_status st = sm_audit_verify(w->s, point, NULL, &err);
        if (st != SM_ECORRUPT && st != SM_EINVAL)
            fail_msg("flip at %ld: got %s", at, sm_status_name(st));
        flip(point, at, 1);
    }
    assert_int_equal(sm_audit_verify(w->s, "/nowhere", NULL, &err), SM_ENOENT);
    free(first);
    free(catalog);
    free(log);
    free(point);
}

static void write_hex(const char *path, const char *hex)
{
    FILE *f = fopen(path, "wb");
    for (; *hex; hex += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        fputc((int)byte, f);
    }
    fclose(f);
}

/* openssl recomputes hash and signature of a record from the documented format. */
static void test_against_openssl(void **state)
{
    world *w = *state;
    log_text l;
    make_log(w);
    if (shell("command -v openssl >/dev/null 2>&1") != 0) {
        print_message(
            "openssl program absent: hashes and signatures not cross-checked\n");
        return;
    }
    load(&l, w);
    json_t *rec = json_loads(l.line[3], 0, NULL);
    char *hash = sm_strdup(json_string_value(json_object_get(rec, "hash")));
    char *sig = path_of(w->dir, "sig"), *msg = path_of(w->dir, "msg");
    write_hex(sig, json_string_value(json_object_get(rec, "sig")));
    json_object_del(rec, "hash");
    json_object_del(rec, "sig");
    char *bare = json_dumps(rec, JSON_SORT_KEYS | JSON_COMPACT);
    char command[512], got[65] = "";
    OK(sm_file_write_atomic(msg, bare, strlen(bare), 0644, &err));
    snprintf(command, sizeof command, "openssl dgst -sha256 -r %s", msg);
    FILE *p = popen(command, "r");
    assert_int_equal(fread(got, 1, 64, p), 64);
    pclose(p);
    assert_string_equal(got, hash);
    snprintf(command, sizeof command, "smelt audit 1\n%s", hash);
    OK(sm_file_write_atomic(msg, command, strlen(command), 0644, &err));
    snprintf(command, sizeof command,
             "openssl pkeyutl -verify -pubin -inkey %s/.smelt/keys/ed25519.pub -rawin "
             "-in %s -sigfile %s >/dev/null 2>&1",
             w->dir, msg, sig);
    assert_int_equal(shell(command), 0);
    free(bare);
    json_decref(rec);
    free(hash);
    free(sig);
    free(msg);
    unload(&l);
}

static void test_sign(void **state)
{
    world *w = *state;
    unsigned char sig[64];
    OK(sm_store_sign(sig, w->s, "release", 7, &err));
    OK(sm_store_check_signature(w->s, "release", 7, sig, &err));
    assert_int_equal(sm_store_check_signature(w->s, "releasE", 7, sig, &err), SM_EDENIED);
    sig[10] ^= 1;
    assert_int_equal(sm_store_check_signature(w->s, "release", 7, sig, &err), SM_EDENIED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* The last record of an event about something: newer ones of others do not hide it. */
static void test_last(void **state)
{
    static const char *const about[] = {"m1", "m2", "m1", "m3"};
    world *w = *state;
    json_t *detail = NULL;
    for (int i = 0; i < 4; i++) {
        json_t *d = json_pack("{s:s, s:i}", "model", about[i], "i", i);
        OK(sm_audit_append(w->s, "gate.verdict", d, &err));
        OK(sm_audit_append(w->s, "gate.other", d, &err));
        json_decref(d);
    }
    OK(sm_audit_last(&detail, w->s, "gate.verdict", "model", "m1", &err));
    assert_int_equal(json_integer_value(json_object_get(detail, "i")), 2);
    json_decref(detail);
    OK(sm_audit_last(&detail, w->s, "gate.verdict", "model", "m", &err));
    assert_null(detail);
    OK(sm_audit_last(&detail, w->s, "gate", "model", "m1", &err));
    assert_null(detail);
}

/* A verdict turned round in the file is not believed. */
static void test_last_forged(void **state)
{
    world *w = *state;
    json_t *detail = json_pack("{s:s, s:b}", "model", "m1", "passed", 0);
    OK(sm_audit_append(w->s, "gate.verdict", detail, &err));
    json_decref(detail);
    log_text l;
    load(&l, w);
    char *word = strstr(l.text, "\"passed\":false");
    assert_non_null(word);
    memcpy(word, "\"passed\":true ", 14);
    OK(sm_file_write_atomic(l.path, l.text, l.len, 0644, &err));
    unload(&l);
    assert_int_equal(sm_audit_last(&detail, w->s, "gate.verdict", "model", "m1", &err),
                     SM_ECORRUPT);
    assert_null(detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_append),
        T(test_tampering),
        T(test_foreign_log),
        T(test_first_record),
        T(test_lost_catalog),
        T(test_lost_catalog_foreign_log),
        T(test_lost_catalog_without_key),
        T(test_checkpoint_says),
        T(test_checkpoint),
        T(test_against_openssl),
        T(test_sign),
        T(test_last),
        T(test_last_forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
