/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: SQLite in WAL mode with synchronous=FULL.  All of it but the metrics can
 * be made again from the audit log and the objects (apply.c); `meta` says how far into
 * the log it has come.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE recipe(id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE artifact(manifest TEXT PRIMARY KEY, content TEXT NOT NULL,"
    " kind TEXT NOT NULL, recipe TEXT NOT NULL, json TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, files INTEGER NOT NULL, made TEXT NOT NULL,"
    " record INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX artifact_content ON artifact(content, record);"
    "CREATE INDEX artifact_recipe ON artifact(recipe, record);"
    "CREATE TABLE file(manifest TEXT NOT NULL, path TEXT NOT NULL, object TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, PRIMARY KEY(manifest, path)) WITHOUT ROWID;"
    "CREATE INDEX file_object ON file(object);"
    "CREATE TABLE ref(name TEXT NOT NULL, version INTEGER NOT NULL, tag TEXT NOT NULL,"
    " manifest TEXT NOT NULL, content TEXT NOT NULL, moved TEXT NOT NULL,"
    " record INTEGER NOT NULL, PRIMARY KEY(name, version, tag)) WITHOUT ROWID;"
    "CREATE INDEX ref_manifest ON ref(manifest);"
    "CREATE TABLE run(record INTEGER PRIMARY KEY, id TEXT NOT NULL, manifest TEXT NOT "
    "NULL,"
    " object TEXT NOT NULL, json TEXT NOT NULL);"
    "CREATE INDEX run_manifest ON run(manifest);"
    "CREATE TABLE metric(run TEXT NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL,"
    " value REAL NOT NULL, PRIMARY KEY(run, name, step)) WITHOUT ROWID;";

/* The errno that a database's file or its log ran into last. */
static int errno_of_file(sqlite3 *db, const char *name)
{
    int e = 0;
    sqlite3_file *log = NULL;
    sqlite3_file_control(db, name, SQLITE_FCNTL_LAST_ERRNO, &e);
    if (e == 0 &&
        sqlite3_file_control(db, name, SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &e);
    return e;
}

/* The errno of the call that failed, for SQLite's errors of files; else 0. */
static int system_error(sqlite3 *db)
{
    int code = sqlite3_errcode(db) & 0xff, e = 0;
    if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
        return sqlite3_system_errno(db);
    /* A page that the disk does not give is to SQLite one that is malformed; its file knows,
     * which is attached as `disk` where verify compares. */
    if (code == SQLITE_CORRUPT)
        e = errno_of_file(db, "main");
    if (code == SQLITE_CORRUPT && e == 0)
        e = errno_of_file(db, "disk");
    return e;
}

/* SQLite says "disk I/O error" of a full disk when it is its index of the WAL, 32 KiB of
 * shared memory beside the catalog, that finds no room. */
static bool is_full(sqlite3 *db)
{
    int code = sqlite3_extended_errcode(db) & 0xff;
    return code == SQLITE_FULL || (code == SQLITE_IOERR && system_error(db) == ENOSPC);
}

sm_status catalog_fail(sm_err *err, sqlite3 *db, const char *what)
{
    int code = sqlite3_errcode(db) & 0xff, e = system_error(db);
    sm_status st = SM_EIO;
    if (is_full(db))
        st = SM_ENOSPC;
    else if (code == SQLITE_NOMEM)
        st = SM_ENOMEM;
    else if (e == 0 && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB))
        st = SM_ECORRUPT;
    const char *file = sqlite3_db_filename(db, "main");
    if (st == SM_ECORRUPT && file && *file)
        return sm_fail(err, st, "%s: %s; " STORE_REBUILD_HINT, file, sqlite3_errmsg(db));
    if (st == SM_EIO && e != 0 && e != ENOENT) /* that is of files that need not be */
        return sm_fail_errno(err, e, "%s: %s%s%s", file && *file ? file : "catalog", what,
                             code == SQLITE_CORRUPT ? "" : ": ",
                             code == SQLITE_CORRUPT ? "" : sqlite3_errmsg(db));
    return sm_fail(err, st, "%s: %s: %s", file && *file ? file : "catalog", what,
                   st == SM_ENOSPC ? "no space left on the disk" : sqlite3_errmsg(db));
}

sm_status catalog_exec(sqlite3 *db, const char *sql, sm_err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return catalog_fail(err, db, "catalog");
    return SM_OK;
}

/* The file may have been made by somebody else: its schema gets no say in what runs. */
static void distrust(sqlite3 *db)
{
#ifdef SQLITE_DBCONFIG_TRUSTED_SCHEMA
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
#endif
#ifdef SQLITE_DBCONFIG_DEFENSIVE
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
#endif
    (void)db;
}

/* SQLite names no file that it could not open. */
static sm_status fail_open(sm_err *err, sqlite3 *db, const char *path)
{
    struct stat info;
    if (!db)
        return store_nomem(err);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return sm_fail(err, SM_ECORRUPT,
                       "%s: got %s, want a regular file; " STORE_REBUILD_HINT, path,
                       S_ISDIR(info.st_mode) ? "a directory" : "a special file");
    sm_status st = catalog_fail(err, db, "open");
    int e = system_error(db);
    if (st == SM_EIO && e != 0 && e != ENOENT)
        return sm_fail_errno(err, e, "%s: open: %s", path, sqlite3_errmsg(db));
    return sm_fail(err, st, "%s: open: %s", path, sqlite3_errmsg(db));
}

sm_status catalog_open(sqlite3 **out, const char *path, bool durable, sm_err *err)
{
    sqlite3 *db = NULL;
    sm_status st = SM_OK;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        st = fail_open(err, db, path);
        goto done;
    }
    sqlite3_busy_timeout(db, 60000);
    distrust(db);
    st = catalog_exec(db,
                      durable ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
                              : "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
                      err);
done:
    if (st)
        sqlite3_close_v2(db);
    else
        *out = db;
    return st;
}

sm_status catalog_create(sqlite3 *db, sm_err *err)
{
    sm_status st = catalog_exec(db, "BEGIN IMMEDIATE", err);
    if (st)
        return st;
    st = catalog_exec(db, schema, err);
    if (!st)
        st = catalog_run(db, err, "INSERT INTO meta VALUES('schema', '1')", "");
    if (!st)
        return catalog_exec(db, "COMMIT", err);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

sm_status catalog_check_plain(sqlite3 *db, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st = catalog_query(&q, db, err,
                                 "SELECT type, name FROM sqlite_master"
                                 " WHERE type NOT IN ('table', 'index') LIMIT 1",
                                 "");
    if (!st)
        st = catalog_step(&row, db, q, err);
    if (!st && row)
        st = sm_fail(err, SM_ECORRUPT,
                     "%s: got a %.20s \"%.60s\", want tables and indexes "
                     "alone; " STORE_REBUILD_HINT,
                     sqlite3_db_filename(db, "main"), catalog_text(q, 0),
                     catalog_text(q, 1));
    sqlite3_finalize(q);
    return st;
}

static int bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;
    for (int i = 1; types[i - 1] && rc == SQLITE_OK; i++) {
        switch (types[i - 1]) {
        case 's':
            rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
            break;
        case 'i':
            rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            break;
        default:
            rc = sqlite3_bind_double(st, i, va_arg(ap, double));
            break;
        }
    }
    return rc;
}

static sm_status prepare(sqlite3_stmt **out, sqlite3 *db, sm_err *err, const char *sql,
                         const char *types, va_list ap)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
        bind_all(st, types, ap) != SQLITE_OK) {
        sm_status status = catalog_fail(err, db, sql);
        sqlite3_finalize(st);
        return status;
    }
    *out = st;
    return SM_OK;
}

sm_status catalog_query(sqlite3_stmt **out, sqlite3 *db, sm_err *err, const char *sql,
                        const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sm_status st = prepare(out, db, err, sql, types, ap);
    va_end(ap);
    return st;
}

sm_status catalog_run(sqlite3 *db, sm_err *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *q = NULL;
    bool row;
    va_list ap;
    va_start(ap, types);
    sm_status st = prepare(&q, db, err, sql, types, ap);
    va_end(ap);
    if (!st)
        st = catalog_step(&row, db, q, err);
    sqlite3_finalize(q);
    return st;
}

sm_status catalog_step(bool *row, sqlite3 *db, sqlite3_stmt *st, sm_err *err)
{
    int rc = sqlite3_step(st);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return SM_OK;
    return catalog_fail(err, db, sqlite3_sql(st));
}

const char *catalog_text(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);
    return text ? (const char *)text : "";
}

/* --------------------------------------------------- how far the log is applied */

sm_status catalog_head(audit_head *out, sqlite3 *db, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    *out = (audit_head){0};
    memset(out->hash.hex, '0', 64);
    sm_status st =
        catalog_query(&q, db, err, "SELECT value FROM meta WHERE key = 'audit'", "");
    if (!st)
        st = catalog_step(&row, db, q, err);
    if (!st && row) {
        long long n = 0, bytes = 0;
        char hash[65] = "";
        sm_id id;
        if (sscanf(catalog_text(q, 0), "%lld %lld %64s", &n, &bytes, hash) != 3 ||
            n < 0 || bytes < 0 || !sm_id_parse(&id, hash))
            st = sm_fail(err, SM_ECORRUPT, "catalog: meta.audit: got \"%.100s\"",
                         catalog_text(q, 0));
        else
            *out = (audit_head){.n = n, .bytes = bytes, .hash = id};
    }
    sqlite3_finalize(q);
    return st;
}

sm_status catalog_set_head(sqlite3 *db, const audit_head *head, sm_err *err)
{
    char text[160];
    snprintf(text, sizeof text, "%lld %lld %s", (long long)head->n,
             (long long)head->bytes, head->hash.hex);
    return catalog_run(db, err, "INSERT OR REPLACE INTO meta VALUES('audit', ?)", "s",
                       text);
}
