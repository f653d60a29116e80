/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the log whole?  The chain and its signatures expose a changed record; the catalog's
 * note of the last one exposes a shorter log; a checkpoint kept elsewhere exposes both,
 * also to somebody who holds the workspace's key and has rewritten everything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct checkpoint {
    int64_t n;
    sm_id head;
    bool seen;
} checkpoint;

typedef struct check {
    sm_store *s;
    checkpoint *point; /* NULL = none */
} check;

static sm_status check_first(sm_store *s, const audit_record *rec, sm_err *err)
{
    char key[65];
    sm_status st = key_public_hex(key, s, err);
    const char *said = json_string_value(json_object_get(rec->detail, "key"));
    if (st)
        return st;
    if (strcmp(rec->event, "workspace.init") != 0 || !said || strcmp(said, key) != 0)
        return sm_fail(err, SM_ECORRUPT,
                       "audit/log.jsonl line 1: want workspace.init with key %s", key);
    return SM_OK;
}

sm_status audit_check_record(sm_store *s, const audit_record *rec, sm_err *err)
{
    return rec->n == 1 ? check_first(s, rec, err) : SM_OK;
}

sm_status audit_check_end(const audit_scan *scan, const audit_head *head, sm_err *err)
{
    if (scan->size > scan->tail)
        return sm_fail(err, SM_ECORRUPT,
                       "audit/log.jsonl: %lld bytes after the last whole record",
                       (long long)(scan->size - scan->tail));
    if (scan->end.n < head->n || scan->size < head->bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "audit/log.jsonl: got %lld records, want %lld: truncated",
                       (long long)scan->end.n, (long long)head->n);
    if (scan->n_bad == 0 &&
        (scan->end.n != head->n || !id_equal(&scan->end.hash, &head->hash)))
        return sm_fail(err, SM_ECORRUPT,
                       "audit/log.jsonl: record %lld has hash %s, the catalog has seen "
                       "record %lld with %s: rewritten",
                       (long long)scan->end.n, scan->end.hash.hex, (long long)head->n,
                       head->hash.hex);
    return SM_OK;
}

static sm_status check_one(void *self, const audit_record *rec, const char *finding,
                           sm_err *err)
{
    check *c = self;
    if (!rec)
        return sm_fail(err, SM_ECORRUPT, "%s", finding);
    if (c->point && rec->n == c->point->n) {
        c->point->seen = true;
        if (!id_equal(&c->point->head, &rec->hash))
            return sm_fail(err, SM_ECORRUPT,
                           "audit/log.jsonl: record %lld has hash %s, the checkpoint has "
                           "%s: rewritten",
                           (long long)rec->n, rec->hash.hex, c->point->head.hex);
    }
    return audit_check_record(c->s, rec, err);
}

/* ------------------------------------------------------------------ checkpoints */

/* The signed text: the checkpoint without its signature, after a prefix of its own. */
static sm_status signed_text(sm_buf *out, const json_t *json, sm_err *err)
{
    json_t *bare = json_deep_copy(json);
    if (!bare)
        return store_nomem(err);
    json_object_del(bare, "signature");
    sm_buf_puts(out, "smelt checkpoint 1\n");
    sm_status st = sm_json_canonical(out, bare, err);
    json_decref(bare);
    return st;
}

static sm_status checkpoint_parse(checkpoint *out, sm_store *s, const json_t *json,
                                  const char *path, sm_err *err)
{
    unsigned char sig[64];
    EVP_PKEY *pub;
    sm_buf text = {0};
    const char *hex = json_string_value(json_object_get(json, "signature"));
    const json_t *n = json_object_get(json, "n");
    if (!json_is_integer(n) || json_integer_value(n) < 1 || !hex || strlen(hex) != 128 ||
        !hex_parse(sig, 64, hex) ||
        !sm_id_parse(&out->head, json_string_value(json_object_get(json, "head"))))
        return sm_fail(err, SM_ECORRUPT, "%s: want n, head, time and signature", path);
    out->n = json_integer_value(n);
    sm_status st = key_public(&pub, s, err);
    if (!st)
        st = signed_text(&text, json, err);
    if (!st && !key_check(pub, text.data, text.len, sig))
        st = sm_fail(err, SM_ECORRUPT,
                     "%s: the signature does not match the checkpoint and the key of %s",
                     path, s->dir);
    sm_buf_free(&text);
    return st;
}

static sm_status verify_log(sm_store *s, checkpoint *point, int64_t *n_records,
                            sm_err *err)
{
    audit_head start = {.n = 0}, head;
    check c = {s, point};
    audit_scan scan = {.each = check_one, .self = &c};
    memset(start.hash.hex, '0', 64);
    sm_status st = store_lock(s, err);
    if (st)
        return st;
    st = audit_read(&scan, s, &start, err);
    if (!st)
        st = catalog_head(&head, s->db, err);
    if (!st)
        st = audit_check_end(&scan, &head, err);
    store_unlock(s);
    if (!st && point && !point->seen)
        st = sm_fail(
            err, SM_ECORRUPT,
            "audit/log.jsonl: got %lld records, the checkpoint has %lld: truncated",
            (long long)scan.end.n, (long long)point->n);
    if (!st && n_records)
        *n_records = scan.end.n;
    return st;
}

sm_status sm_audit_verify(sm_store *s, const char *checkpoint_path, int64_t *n_records,
                          sm_err *err)
{
    checkpoint point = {0};
    json_t *json = NULL;
    sm_status st = SM_OK;
    store_enter(s);
    if (checkpoint_path)
        st = sm_json_load(&json, checkpoint_path, err);
    if (!st && checkpoint_path)
        st = checkpoint_parse(&point, s, json, checkpoint_path, err);
    if (!st)
        st = verify_log(s, checkpoint_path ? &point : NULL, n_records, err);
    store_leave(s);
    json_decref(json);
    return st;
}

static sm_status checkpoint_make(sm_buf *out, sm_store *s, sm_err *err)
{
    audit_head head;
    char time[32], key[65], hex[129];
    unsigned char sig[64];
    sm_buf text = {0};
    json_t *json = NULL;
    sm_status st = catalog_head(&head, s->db, err);
    if (!st)
        st = key_public_hex(key, s, err);
    if (st)
        return st;
    sm_wall_format(time, sm_wall_ns());
    json = json_pack("{s:I, s:s, s:s, s:s}", "n", (json_int_t)head.n, "head",
                     head.hash.hex, "time", time, "key", key);
    st = json ? signed_text(&text, json, err) : store_nomem(err);
    if (!st)
        st = key_sign(sig, s, text.data, text.len, err);
    if (!st) {
        hex_of(hex, sig, 64);
        st = json_object_set_new(json, "signature", json_string(hex)) ? store_nomem(err)
                                                                      : SM_OK;
    }
    if (!st)
        st = sm_json_pretty(out, json, err);
    json_decref(json);
    sm_buf_free(&text);
    return st;
}

sm_status sm_audit_checkpoint(sm_store *s, const char *out_path, sm_err *err)
{
    sm_buf text = {0};
    store_enter(s);
    /* a checkpoint of a log that is already wrong would vouch for it */
    sm_status st = verify_log(s, NULL, NULL, err);
    if (!st)
        st = checkpoint_make(&text, s, err);
    store_leave(s);
    if (!st)
        st = sm_file_write_named(out_path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    return st;
}
