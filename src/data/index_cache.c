/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The full-text tables: in memory, or in a file that is a cache.  Beside the file lies its
 * seal, one line: format, hash of the passages, names in or out, hash of the file.  A file
 * that its seal does not fit, because the passages are others, a disk or a crash damaged it,
 * or another process is replacing it, is made anew under another name and renamed.  So it
 * need not be durable; and against who would forge both it does not help.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "index_internal.h"

enum { CACHE_FORMAT = 6, SEAL_MAX = 160, BUSY_MS = 10000 };

sm_status sm_index_fail(sm_err *err, sqlite3 *db)
{
    int e = 0;
    const char *file = sqlite3_db_filename(db, "main"), *why = sqlite3_errmsg(db);
    sm_status s = sqlite3_errcode(db) == SQLITE_FULL ? SM_ENOSPC : SM_EIO;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &e);
    if (!file || !*file)
        return sm_fail(err, s, "index: SQLite: %s", why);
    /* FTS5 calls malformed what the disk does not give. */
    return e ? sm_fail_errno(err, e, "%s: SQLite", file)
             : sm_fail(err, s, "%s: SQLite: %s", file, why);
}

sm_status sm_index_sql(sqlite3 *db, const char *sql, sm_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? SM_OK
                                                                : sm_index_fail(err, db);
}

static sm_status open_db(sqlite3 **out, const char *path, int flags, sm_err *err)
{
    if (sqlite3_open_v2(path, out, flags, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(*out, BUSY_MS); /* a lock server may be slow */
        return SM_OK;
    }
    sm_status s = sm_fail(err, SM_EIO, "%s: SQLite: %s", path,
                          *out ? sqlite3_errmsg(*out) : "out of memory");
    sqlite3_close(*out);
    *out = NULL;
    return s;
}

static sm_status fill(sm_index *x, const char *path, sm_err *err)
{
    sm_status s = open_db(&x->db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!s)
        s = sm_index_sql(x->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN",
                         err);
    if (!s)
        s = sm_index_fill(x, err);
    return s ? s : sm_index_sql(x->db, "COMMIT", err);
}

/* The line that belongs to a cache file with the bytes that it has now. */
static sm_status seal_of(char out[SEAL_MAX], const sm_index *x, const sm_map *passages,
                         const char *path, sm_err *err)
{
    sm_map m;
    sm_status s = sm_map_open(&m, path, err);
    if (s)
        return s;
    XXH128_hash_t file = XXH3_128bits(m.data, m.len);
    XXH128_hash_t made_from = XXH3_128bits(passages->data, passages->len);
    snprintf(out, SEAL_MAX, "%d %016llx%016llx %d %016llx%016llx\n", CACHE_FORMAT,
             (unsigned long long)made_from.high64, (unsigned long long)made_from.low64,
             x->with_names, (unsigned long long)file.high64,
             (unsigned long long)file.low64);
    sm_map_close(&m);
    return SM_OK;
}

static bool is_sealed(const sm_index *x, const sm_map *passages, const char *path,
                      const char *seal_path)
{
    char want[SEAL_MAX], *got = NULL;
    bool fits = !sm_file_read(&got, NULL, seal_path, SEAL_MAX, NULL) &&
                !seal_of(want, x, passages, path, NULL) && !strcmp(got, want);
    free(got);
    return fits;
}

static sm_status make(sm_index *x, const sm_map *passages, const char *path,
                      const char *seal_path, sm_err *err)
{
    char seal[SEAL_MAX];
    sm_buf tmp = {0};
    if (!sm_buf_printf(&tmp, "%s.%ld", path, (long)getpid()))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    unlink(tmp.data);
    sm_status s = fill(x, tmp.data, err);
    sqlite3_close(x->db);
    x->db = NULL;
    if (!s)
        s = seal_of(seal, x, passages, tmp.data, err);
    if (!s && rename(tmp.data, path) != 0)
        s = sm_fail_errno(err, errno, "%s: rename", path);
    if (!s)
        s = sm_file_write_atomic(seal_path, seal, strlen(seal), 0644, err);
    if (s)
        unlink(tmp.data);
    sm_buf_free(&tmp);
    return s;
}

sm_status sm_index_attach(sm_index *x, const char *cache_path, const sm_map *passages,
                          sm_err *err)
{
    sm_buf seal_path = {0};
    sm_status s = SM_OK;
    if (!cache_path)
        return fill(x, ":memory:", err);
    if (!sm_buf_printf(&seal_path, "%s.seal", cache_path))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    if (!is_sealed(x, passages, cache_path, seal_path.data))
        s = make(x, passages, cache_path, seal_path.data, err);
    if (!s)
        s = open_db(&x->db, cache_path, SQLITE_OPEN_READONLY, err);
    sm_buf_free(&seal_path);
    return s;
}
