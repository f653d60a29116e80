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
 * its move.  A record is acknowledged once meta.audit covers it.  Recovery may remove an
 * unfinished line past that point and nothing else; its bytes are kept, and one rename
 * brings the log without them together with the record of it.
 */
#include <errno.h>
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
        st = errno == ENOENT
                 ? sm_fail(err, SM_ECORRUPT, "%s: the audit log is missing", path)
                 : sm_fail_errno(err, errno, "%s", path);
    else if (!S_ISREG(info.st_mode))
        st = sm_fail(err, SM_ECORRUPT, "%s: got %s, want a regular file", path,
                     S_ISDIR(info.st_mode) ? "a directory" : "a special file");
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

/* Make, apply and write one record; `write` says how it comes into the file. */
static sm_status log_by(sm_status (*write)(sm_store *s, const audit_head *head,
                                           const sm_buf *line, sm_err *err),
                        sm_store *s, const char *event, const json_t *detail, sm_err *err)
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
        st = write(s, &head, &line, err);
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

sm_status change_log(sm_store *s, const char *event, const json_t *detail, sm_err *err)
{
    return log_by(audit_write, s, event, detail, err);
}

/* -------------------------------------------------------------------- recovery */

/* A log whose every line looks bad is another workspace's, or the key is: nothing of it
 * may be taken for the remains of a crash. */
static sm_status fail_foreign(sm_store *s, sm_err *err)
{
    char key[65];
    sm_status st = key_public_hex(key, s, err);
    if (st)
        return st;
    return sm_fail(err, SM_ECORRUPT,
                   "%s/audit/log.jsonl: no record verifies with the key %s of "
                   "keys/ed25519.pub; want the log and the key of one workspace; nothing "
                   "was changed",
                   s->dir, key);
}

/* Apply what the catalog has not seen yet; one that has seen nothing was lost. */
static sm_status redo(audit_scan *scan, sm_store *s, sm_err *err)
{
    audit_head head;
    int64_t size = 0;
    sm_status st = catalog_head(&head, s->db, err);
    if (!st)
        st = log_size(&size, s, err);
    if (st)
        return st;
    *scan = (audit_scan){
        .each = redo_one, .self = s, .end = head, .tail = size, .size = size};
    if (size == head.bytes)
        return SM_OK;
    if (size < head.bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "%s/audit/log.jsonl: got %lld bytes, want %lld: the log was "
                       "truncated; nothing can be recorded",
                       s->dir, (long long)size, (long long)head.bytes);
    st = audit_read(scan, s, &head, err);
    if (!st && scan->end.n == 0)
        st = fail_foreign(s, err);
    if (!st && head.n == 0)
        st = catalog_run(s->db, err, "INSERT OR REPLACE INTO meta VALUES('lost', '1')",
                         "");
    return st ? st : catalog_set_head(s->db, &scan->end, err);
}

static sm_status log_repair(sm_store *s, const audit_scan *scan, sm_err *err)
{
    json_t *what = NULL;
    sm_status st = audit_keep_tail(&what, s, scan, err);
    store_point(s, "audit.kept");
    if (!st)
        st = log_by(audit_replace_tail, s, "audit.repair", what, err);
    json_decref(what);
    return st;
}

/* The note that a lost catalog was made again waits in meta until it can be recorded. */
static sm_status log_rebuild(sm_store *s, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st =
        catalog_query(&q, s->db, err, "SELECT 1 FROM meta WHERE key = 'lost'", "");
    if (!st)
        st = catalog_step(&row, s->db, q, err);
    sqlite3_finalize(q);
    if (st || !row)
        return st;
    st = change_log(s, "catalog.rebuild", NULL, err);
    return st ? st : catalog_run(s->db, err, "DELETE FROM meta WHERE key = 'lost'", "");
}

/* Record what recovery found.  Whole lines that do not verify are no crash's doing: they
 * stay for verify to name, and the log takes no record (audit_write says so). */
static sm_status mend(sm_store *s, const audit_scan *scan, sm_err *err)
{
    if (scan->end.bytes < scan->tail)
        return SM_OK;
    sm_status st = scan->size > scan->tail ? log_repair(s, scan, err) : SM_OK;
    return st ? st : log_rebuild(s, err);
}

static sm_status begin(sm_store *s, bool may_record, sm_err *err)
{
    audit_scan scan;
    sm_status st = store_lock(s, err);
    if (st)
        return st;
    st = catalog_exec(s->db, "BEGIN IMMEDIATE", err);
    if (st) {
        store_unlock(s);
        return st;
    }
    st = redo(&scan, s, err);
    if (!st && may_record)
        st = mend(s, &scan, err);
    if (st) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        store_unlock(s);
    }
    return st;
}

sm_status change_begin(sm_store *s, sm_err *err)
{
    return begin(s, true, err);
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

/* init's record is in the log before the workspace can be seen, so a log without records
 * is one that was lost; with an empty catalog beside it nothing says what there was. */
static sm_status fail_lost(sm_store *s, sm_status st, const sm_err *why, sm_err *err)
{
    if (st)
        return sm_fail(err, st, "%s; the catalog has seen no record of it either",
                       why->msg);
    return sm_fail(err, SM_ECORRUPT,
                   "%s/audit/log.jsonl: got no records, and the catalog has seen none; "
                   "want the log back from a copy",
                   s->dir);
}

sm_status change_recover(sm_store *s, sm_err *err)
{
    audit_head head;
    int64_t size = 0;
    sm_err why = {0};
    sm_status st = catalog_head(&head, s->db, err);
    if (st)
        return st;
    st = log_size(&size, s, &why);
    if (head.n == 0 && (st || size == 0))
        return fail_lost(s, st, &why, err);
    /* A log that is shorter or gone is for verify to report: what the catalog has seen can
     * still be read. */
    if (st || size <= head.bytes)
        return SM_OK;
    st = begin(s, true, err);
    if (st && st != SM_ENOMEM) /* who cannot sign can still read */
        st = begin(s, false, err);
    if (!st)
        st = change_end(s, SM_OK, err);
    /* On a full disk the old state can still be read; the move waits for room. */
    return st == SM_ENOSPC && head.n > 0 ? SM_OK : st;
}
