/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged catalog: put aside, made again by open, metrics carried over.
 *
 * SQLite finds the log of a database by its name: a process that has the old catalog open would
 * mix it up with the new one's.  So nobody else may have the workspace open meanwhile; who opens
 * it waits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "internal.h"

/* The nearest workspace, as open would find it, without opening its catalog. */
static sm_status find_dir(char **out, const char *dir, sm_err *err)
{
    char *root = NULL;
    sm_status st = store_find_root(&root, dir, err);
    if (st)
        return st;
    *out = sm_path_join(root, ".smelt");
    free(root);
    return *out ? SM_OK : store_nomem(err);
}

/* What is at `to` belongs to another catalog, also where there is nothing at `from`. */
static sm_status move_or_remove(const char *from, const char *to, sm_err *err)
{
    if (rename(from, to) == 0)
        return SM_OK;
    if (errno != ENOENT)
        return sm_fail_errno(err, errno, "%s: rename", from);
    unlink(to);
    return SM_OK;
}

/* A catalog with what SQLite keeps beside it. */
static sm_status move_catalog(const char *from, const char *to, sm_err *err)
{
    static const char *const suffix[] = {"", "-wal", "-shm"};
    sm_status st = SM_OK;
    for (size_t i = 0; i < 3 && !st; i++) {
        sm_buf a = {0}, b = {0};
        sm_buf_printf(&a, "%s%s", from, suffix[i]);
        sm_buf_printf(&b, "%s%s", to, suffix[i]);
        if (a.failed || b.failed)
            st = store_nomem(err);
        else
            st = move_or_remove(a.data, b.data, err);
        sm_buf_free(&a);
        sm_buf_free(&b);
    }
    return st;
}

static sm_status name_both(char **catalog, char **aside, const char *at, sm_err *err)
{
    sm_buf to = {0};
    *catalog = sm_path_join(at, "catalog.db");
    sm_buf_printf(&to, "%s/catalog-damaged-%lld.db", at, (long long)sm_wall_ns());
    *aside = to.data;
    return *catalog && !to.failed ? SM_OK : store_nomem(err);
}

/* The log makes the catalog again; where it cannot, the damaged one stays. */
static sm_status make_again(sm_store **s, const char *dir, const char *catalog,
                            const char *aside, sm_err *err)
{
    sm_status st = move_catalog(catalog, aside, err);
    if (!st && (st = store_open_held(s, dir, err)))
        move_catalog(aside, catalog, NULL);
    return st;
}

/* ------------------------------------------------------------------- metrics */

/* Metrics are in no log: what the damaged file still yields is better than nothing.  One
 * bad page ends a scan, so the rows are read from both ends towards it. */
typedef struct carry {
    sqlite3 *from, *to;
    sqlite3_stmt *put;
    sm_rebuilt *told;
    char last[2][128]; /* the last row that each scan has read */
} carry;

static bool is_metric(sqlite3_stmt *q)
{
    return sqlite3_column_type(q, 0) == SQLITE_TEXT &&
           sqlite3_column_type(q, 1) == SQLITE_TEXT &&
           sqlite3_column_type(q, 2) == SQLITE_INTEGER &&
           sqlite3_column_type(q, 3) == SQLITE_FLOAT;
}

/* *is_new false: the row was there, so the scans have met. */
static sm_status put_row(bool *is_new, carry *c, sqlite3_stmt *q, sm_err *err)
{
    bool row;
    for (int i = 0; i < 4; i++)
        sqlite3_bind_value(c->put, i + 1, sqlite3_column_value(q, i));
    sm_status st = catalog_step(&row, c->to, c->put, err);
    sqlite3_reset(c->put);
    *is_new = sqlite3_changes(c->to) > 0;
    c->told->n_metric += !st && *is_new;
    return st;
}

/* *whole: it came to the other end, or to a row that the other scan has carried. */
static sm_status carry_from(bool *whole, carry *c, int end, sm_err *err)
{
    static const char *const sql[2] = {
        "SELECT run, name, step, value FROM metric ORDER BY run, name, step",
        "SELECT run, name, step, value FROM metric"
        " ORDER BY run DESC, name DESC, step DESC"};
    sqlite3_stmt *q = NULL;
    bool row = false, is_new = true;
    sm_status st = SM_OK;
    *whole = false;
    if (catalog_query(&q, c->from, NULL, sql[end], "") != SM_OK)
        return SM_OK;
    while (!st && is_new && !catalog_step(&row, c->from, q, NULL) && row) {
        if (!is_metric(q)) {
            c->told->n_bad++;
            continue;
        }
        snprintf(c->last[end], sizeof c->last[end], "%.40s of run %.40s, step %lld",
                 catalog_text(q, 1), catalog_text(q, 0),
                 (long long)sqlite3_column_int64(q, 2));
        st = put_row(&is_new, c, q, err);
    }
    *whole = !is_new || sqlite3_errcode(c->from) == SQLITE_DONE;
    sqlite3_finalize(q);
    return st;
}

static sm_status carry_both(carry *c, sm_err *err)
{
    bool whole = false;
    sm_status st = carry_from(&whole, c, 0, err);
    if (!st && !whole)
        st = carry_from(&whole, c, 1, err);
    if (!st && !whole)
        snprintf(c->told->lost, sizeof c->told->lost, "between %s and %s",
                 *c->last[0] ? c->last[0] : "the first",
                 *c->last[1] ? c->last[1] : "the last");
    return st;
}

static sm_status carry_metrics(sm_rebuilt *told, sm_store *s, const char *aside,
                               sm_err *err)
{
    carry c = {.to = s->db, .told = told};
    if (!sm_path_exists(aside))
        return SM_OK;
    if (catalog_open(&c.from, aside, false, NULL) != SM_OK ||
        catalog_check_plain(c.from, NULL) != SM_OK) {
        snprintf(told->lost, sizeof told->lost, "all: %.100s is no catalog", aside);
        sqlite3_close_v2(c.from);
        return SM_OK;
    }
    sm_status st = catalog_exec(s->db, "BEGIN IMMEDIATE", err);
    if (!st)
        st = catalog_query(&c.put, s->db, err,
                           "INSERT OR IGNORE INTO metric VALUES(?,?,?,?)", "");
    if (!st)
        st = carry_both(&c, err);
    sqlite3_finalize(c.put);
    if (!st)
        st = catalog_exec(s->db, "COMMIT", err);
    if (st)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close_v2(c.from);
    return st;
}

/* --------------------------------------------------------------------- rebuild */

/* A catalog that still says where the log ended is a witness: without it, a log that was
 * cut or written anew would look whole, and one that cannot be read would look empty. */
static sm_status refuse_bad_log(const char *dir, sm_err *err)
{
    sm_err why = {0};
    audit_head head;
    sm_store *s = NULL;
    sm_status st = store_open_held(&s, dir, NULL);
    bool knows = !st && !catalog_head(&head, s->db, NULL);
    st = knows ? sm_audit_verify(s, NULL, NULL, &why) : SM_OK;
    sm_store_close(s);
    if (st != SM_ECORRUPT)
        return st ? sm_fail(err, st, "%s", why.msg) : SM_OK;
    return sm_fail(err, SM_EDENIED,
                   "refused: the catalog is a witness that the log is not whole: %.300s; "
                   "to go on without it, move catalog.db away",
                   why.msg);
}

sm_status sm_store_rebuild(sm_rebuilt *out, const char *dir, sm_err *err)
{
    sm_rebuilt told = {0};
    char *at = NULL, *catalog = NULL, *aside = NULL;
    sm_store *s = NULL;
    int alone = -1;
    sm_status st = find_dir(&at, dir, err);
    if (!st)
        st = store_hold(&alone, at, LOCK_EX, err);
    if (!st)
        st = refuse_bad_log(dir, err);
    if (!st)
        st = name_both(&catalog, &aside, at, err);
    if (!st)
        st = make_again(&s, dir, catalog, aside, err);
    if (!st)
        st = carry_metrics(&told, s, aside, err);
    if (!st && out)
        *out = told;
    sm_store_close(s);
    if (alone >= 0)
        close(alone);
    free(aside);
    free(catalog);
    free(at);
    return st;
}
