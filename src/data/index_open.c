/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open passages and their full-text tables.  The tables are a cache: a file whose stamp
 * (format, hash of the passages, names in or out) does not fit is made anew under another
 * name and renamed, so that two processes never see half a cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "index_internal.h"
#include "smelt/sys.h"

enum { CACHE_FORMAT = 4 };

/* ------------------------------------------------------------ the passages */

static sm_status parse_lines(sm_index *x, const sm_map *m, const char *path, sm_err *err)
{
    const char *p = (const char *)m->data, *end = p + m->len;
    x->lines = json_array();
    for (int64_t line = 1; p < end; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        json_error_t je;
        json_t *o = json_loadb(p, n, JSON_REJECT_DUPLICATES, &je);
        if (!json_is_object(o) || !*sm_json_text(o, "doc") ||
            json_array_append_new(x->lines, o)) {
            json_decref(json_is_object(o) ? NULL : o);
            return sm_fail(err, SM_ECORRUPT,
                           "%s:%lld: got no passage, want a JSON object "
                           "with \"doc\" and \"text\"",
                           path, (long long)line);
        }
        p += n + 1;
    }
    x->n_passage = json_array_size(x->lines);
    if (x->n_passage == 0)
        return sm_fail(err, SM_EINVAL, "%s: got no passages, want one", path);
    return SM_OK;
}

static sm_status bind_passages(sm_index *x, sm_err *err)
{
    x->passage = sm_alloc(x->n_passage, sizeof *x->passage);
    x->first = sm_alloc(x->n_passage + 1, sizeof *x->first);
    if (!x->passage || !x->first)
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    for (size_t i = 0; i < x->n_passage; i++) {
        const json_t *o = json_array_get(x->lines, i);
        const char *id = sm_json_text(o, "doc");
        if (i == 0 || strcmp(id, x->passage[i - 1].id) != 0)
            x->first[x->n_doc++] = i;
        x->passage[i] = (sm_passage){.doc = (int32_t)(x->n_doc - 1),
                                     .id = id,
                                     .title = sm_json_text(o, "title"),
                                     .summary = sm_json_text(o, "summary"),
                                     .section = sm_json_text(o, "section"),
                                     .heading = sm_json_text(o, "heading"),
                                     .package = sm_json_text(o, "package"),
                                     .version = sm_json_text(o, "version"),
                                     .licence = sm_json_text(o, "licence"),
                                     .path = sm_json_text(o, "path"),
                                     .text = sm_json_text(o, "text")};
    }
    x->first[x->n_doc] = x->n_passage;
    return SM_OK;
}

/* -------------------------------------------------------------- the tables */

sm_status sm_index_sql(sqlite3 *db, const char *sql, sm_err *err)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK)
        return SM_OK;
    sm_status s = sm_fail(err, sqlite3_errcode(db) == SQLITE_FULL ? SM_ENOSPC : SM_EIO,
                          "index: SQLite: %s", why ? why : sqlite3_errmsg(db));
    sqlite3_free(why);
    return s;
}

static sm_status open_db(sqlite3 **out, const char *path, sm_err *err)
{
    if (sqlite3_open(path, out) == SQLITE_OK)
        return SM_OK;
    sm_status s = sm_fail(err, SM_EIO, "%s: SQLite: %s", path,
                          *out ? sqlite3_errmsg(*out) : "out of memory");
    sqlite3_close(*out);
    *out = NULL;
    return s;
}

static bool stamp_fits(sqlite3 *db, const char *stamp)
{
    sqlite3_stmt *q = NULL;
    bool fits =
        sqlite3_prepare_v2(db, "SELECT stamp FROM meta", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW &&
        !strcmp((const char *)sqlite3_column_text(q, 0), stamp);
    sqlite3_finalize(q);
    return fits;
}

static sm_status fill(sm_index *x, const char *stamp, sm_err *err)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "CREATE TABLE meta(stamp TEXT); INSERT INTO meta VALUES('%s')", stamp);
    sm_status s = sm_index_sql(
        x->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN", err);
    if (!s)
        s = sm_index_fill(x, err);
    if (!s)
        s = sm_index_sql(x->db, sql, err);
    return s ? s : sm_index_sql(x->db, "COMMIT", err);
}

static sm_status make_cache(sm_index *x, const char *path, const char *stamp, sm_err *err)
{
    sm_buf tmp = {0};
    if (!sm_buf_printf(&tmp, "%s.%ld", path, (long)getpid()))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    unlink(tmp.data);
    sm_status s = open_db(&x->db, tmp.data, err);
    if (!s)
        s = fill(x, stamp, err);
    sqlite3_close(x->db);
    x->db = NULL;
    if (!s && rename(tmp.data, path) != 0)
        s = sm_fail(err, SM_EIO, "%s: cannot rename the cache", path);
    if (s)
        unlink(tmp.data);
    else
        s = open_db(&x->db, path, err);
    sm_buf_free(&tmp);
    return s;
}

static sm_status attach_cache(sm_index *x, const char *cache_path, const sm_map *m,
                              sm_err *err)
{
    char stamp[80];
    snprintf(stamp, sizeof stamp, "%d %016llx %zu %d", CACHE_FORMAT,
             (unsigned long long)XXH3_64bits(m->data, m->len), m->len, x->with_names);
    if (!cache_path) {
        sm_status s = open_db(&x->db, ":memory:", err);
        return s ? s : fill(x, stamp, err);
    }
    if (sm_path_exists(cache_path)) {
        sm_status s = open_db(&x->db, cache_path, err);
        if (s)
            return s;
        if (stamp_fits(x->db, stamp))
            return SM_OK;
        sqlite3_close(x->db);
        x->db = NULL;
    }
    return make_cache(x, cache_path, stamp, err);
}

sm_status sm_index_open(sm_index **out, const char *passages_path, const char *cache_path,
                        bool with_names, sm_err *err)
{
    sm_map m;
    sm_status s = sm_map_open(&m, passages_path, err);
    if (s)
        return s;
    sm_index *x = sm_alloc(1, sizeof *x);
    if (!x) {
        sm_map_close(&m);
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    }
    x->with_names = with_names;
    s = parse_lines(x, &m, passages_path, err);
    if (!s)
        s = bind_passages(x, err);
    if (!s)
        s = attach_cache(x, cache_path, &m, err);
    sm_map_close(&m);
    if (s) {
        sm_index_close(x);
        return s;
    }
    *out = x;
    return SM_OK;
}

void sm_index_close(sm_index *x)
{
    if (!x)
        return;
    sqlite3_close(x->db);
    json_decref(x->lines);
    free(x->passage);
    free(x->first);
    free(x);
}

size_t sm_index_n_doc(const sm_index *x)
{
    return x->n_doc;
}

size_t sm_index_n_passage(const sm_index *x)
{
    return x->n_passage;
}

sm_passage sm_index_passage(const sm_index *x, size_t i)
{
    return x->passage[i];
}

size_t sm_index_first_passage(const sm_index *x, int32_t doc)
{
    return x->first[doc];
}
