/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of the workspace: who writes what, and what a crash leaves.
 *
 *   1 lock, BEGIN          crash: nothing
 *   2 rows (not visible)   crash: SQLite forgets them
 *   3 audit record, fsync  crash before its end: a torn line, removed by the next change
 *                          crash after: the log is ahead of the catalog; the next change
 * or open applies the record (redo), so the move happens 4 meta.audit, COMMIT   crash
 * after: done
 *
 * So the record is durable before the move is visible, and a record never stays without
 * its move.  A record is acknowledged once meta.audit covers it: bytes past that point
 * are the only ones that recovery may remove, and those are kept and recorded.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

static sm_status log_size(int64_t *out, const sm_store *s, sm_err *err)
{
    struct stat info;
    char *path = store_path(s, "audit/log.jsonl");
    if (!path)
        return store_nomem(err);
    sm_status st = SM_OK;
    if (stat(path, &info) != 0)
        st = sm_fail(err, SM_ECORRUPT, "%s: the audit log is missing", path);
    else
        *out = (int64_t)info.st_size;
    free(path);
    return st;
}

static sm_status redo_one(void *self, const audit_record *rec, const char *finding,
                          sm_err *err)
{
    sm_store *s = self;
    sm_err inner = {0};
    (void)finding;
    if (!rec)
        return SM_OK; /* verify names it */
    sm_status st = apply_record(s->db, s, rec, &inner);
    /* A damaged object must not keep the workspace shut: verify names it. */
    return st == SM_OK || st == SM_ECORRUPT ? SM_OK : sm_fail(err, st, "%s", inner.msg);
}

static sm_status log_repair(sm_store *s, const audit_scan *scan, sm_err *err)
{
    json_t *what = NULL;
    sm_status st = audit_cut(&what, s, scan, err);
    if (!st)
        st = change_log(s, "audit.repair", what, err);
    json_decref(what);
    return st;
}

/* Inside a transaction and the lock. */
static sm_status recover(sm_store *s, sm_err *err)
{
    audit_head head;
    int64_t size = 0;
    audit_scan scan = {.each = redo_one, .self = s};
    sm_status st = catalog_head(&head, s->db, err);
    if (!st)
        st = log_size(&size, s, err);
    if (st || size == head.bytes)
        return st;
    if (size < head.bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "%s/audit/log.jsonl: got %lld bytes, want %lld: the log was "
                       "truncated; nothing can be recorded",
                       s->dir, (long long)size, (long long)head.bytes);
    st = audit_read(&scan, s, &head, err);
    if (!st)
        st = catalog_set_head(s->db, &scan.end, err);
    if (!st && scan.size > scan.end.bytes)
        st = log_repair(s, &scan, err);
    return st;
}

sm_status change_begin(sm_store *s, sm_err *err)
{
    sm_status st = store_lock(s, err);
    if (st)
        return st;
    st = catalog_exec(s->db, "BEGIN IMMEDIATE", err);
    if (st) {
        store_unlock(s);
        return st;
    }
    st = recover(s, err);
    if (st) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        store_unlock(s);
    }
    return st;
}

sm_status change_log(sm_store *s, const char *event, const json_t *detail, sm_err *err)
{
    audit_head head;
    audit_record rec = {0};
    sm_buf line = {0};
    sm_status st = catalog_head(&head, s->db, err);
    if (!st)
        st = audit_make(&line, &rec, s, &head, event, detail, err);
    if (!st)
        st = apply_record(s->db, s, &rec, err);
    store_point(s, "change.rows");
    if (!st)
        st = audit_write(s, &head, &line, err);
    store_point(s, "change.audited");
    if (!st) {
        head.n = rec.n;
        head.bytes += (int64_t)line.len;
        head.hash = rec.hash;
        st = catalog_set_head(s->db, &head, err);
    }
    audit_record_free(&rec);
    sm_buf_free(&line);
    return st;
}

sm_status change_end(sm_store *s, sm_status st, sm_err *err)
{
    if (!st)
        st = catalog_exec(s->db, "COMMIT", err);
    store_point(s, "change.committed");
    if (st)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    store_unlock(s);
    return st;
}

sm_status change_recover(sm_store *s, sm_err *err)
{
    audit_head head;
    int64_t size = 0;
    sm_status st = catalog_head(&head, s->db, err);
    if (st)
        return st;
    /* A log that is shorter or gone is for verify to report: reading must stay possible.
     */
    if (log_size(&size, s, NULL) || size <= head.bytes)
        return SM_OK;
    st = change_begin(s, err);
    if (!st)
        st = change_end(s, SM_OK, err);
    /* On a full disk the old state can still be read; the move waits for room. */
    return st == SM_ENOSPC ? SM_OK : st;
}
