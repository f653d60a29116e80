/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify: everything is recomputed from the two things that cannot be guessed, the signed
 * log and the objects.
 *
 *   1. each log record: form, chain, signature; the end against the catalog's note
 *   2. the log is applied to an empty catalog in memory; the one on disk must have its
 *      tables and indexes and no others, and every row of them must equal it (so a changed
 *      ref, manifest, recipe, file or run row is found).  A ref means what it means there
 *   3. SQLite's own check of the file's structure
 *   4. the key pair
 *   5. each object against its name and its leaf table
 *
 * Metrics are the one thing that is not covered: they are figures for plots.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct verifier {
    sm_store *s;
    sqlite3 *mem; /* what the log says, with the catalog on disk attached as `disk` */
    sm_list found;
    size_t n_told; /* findings already given to emit */
    void (*emit)(void *self, const char *line);
    void *self;
    int64_t n_checked;
    bool has_log; /* a record of it at least could be read and verifies */
    bool failed;  /* out of memory while noting */
} verifier;

static void found(verifier *v, const char *fmt, ...) SM_PRINTF(2, 3);

static void found(verifier *v, const char *fmt, ...)
{
    char line[SM_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (!sm_list_push(&v->found, line))
        v->failed = true;
}

static bool is_found(const verifier *v, const char *line)
{
    for (size_t i = 0; i < v->found.n; i++)
        if (strcmp(v->found.item[i], line) == 0)
            return true;
    return false;
}

/* Findings reach the caller outside of all locks. */
static void tell(verifier *v)
{
    for (; v->n_told < v->found.n; v->n_told++)
        if (v->emit)
            v->emit(v->self, v->found.item[v->n_told]);
}

/* ------------------------------------------------------------------ log, catalog */

/* Temporary, so that main holds the catalog's own tables alone. */
static const char memory_schema[] =
    "PRAGMA temp_store=MEMORY;"
    "CREATE TEMP TABLE role(object TEXT, what TEXT, manifest TEXT);"
    "CREATE INDEX temp.role_object ON role(object);"
    "CREATE TEMP TABLE unread(manifest TEXT PRIMARY KEY, content TEXT);"
    "CREATE TEMP TABLE seen(object TEXT PRIMARY KEY);";

static sm_status note_role(verifier *v, const audit_record *rec, const char *key,
                           const char *what, sm_err *err)
{
    const char *object = json_string_value(json_object_get(rec->detail, key));
    const char *manifest = json_string_value(json_object_get(rec->detail, "manifest"));
    if (!object || !manifest)
        return SM_OK;
    return catalog_run(v->mem, err, "INSERT INTO role VALUES(?,?,?)", "sss", object, what,
                       manifest);
}

static sm_status apply_one(verifier *v, const audit_record *rec, sm_err *err)
{
    sm_err inner = {0};
    sm_status st = audit_check_record(v->s, rec, &inner);
    if (st == SM_ECORRUPT)
        found(v, "%s", inner.msg);
    else if (st)
        return sm_fail(err, st, "%s", inner.msg);
    if (strncmp(rec->event, "artifact.", 9) == 0) {
        st = note_role(v, rec, "manifest", "manifest", err);
        if (!st)
            st = note_role(v, rec, "recipe", "recipe", err);
        if (!st)
            st = note_role(v, rec, "run", "run record", err);
        if (st)
            return st;
    }
    st = apply_record(v->mem, v->s, rec, &inner);
    if (st == SM_EIO) /* now; it may be whole when the objects' turn comes */
        found(v, "catalog.db: the rows of record %lld cannot be compared: %s",
              (long long)rec->n, inner.msg);
    if (st == SM_ECORRUPT || st == SM_EIO) /* else the object check names it */
        return catalog_run(v->mem, err, "INSERT OR IGNORE INTO unread VALUES(?,?)", "ss",
                           json_string_value(json_object_get(rec->detail, "manifest")),
                           json_string_value(json_object_get(rec->detail, "content")));
    return st ? sm_fail(err, st, "%s", inner.msg) : SM_OK;
}

static sm_status log_one(void *self, const audit_record *rec, const char *finding,
                         sm_err *err)
{
    verifier *v = self;
    if (rec)
        return apply_one(v, rec, err);
    found(v, "%s", finding);
    return SM_OK;
}

/* An error that is a finding: note it, once, and go on. */
static sm_status as_finding(verifier *v, sm_status st, const sm_err *inner, sm_err *err)
{
    if (st == SM_OK)
        return SM_OK;
    if (st == SM_ENOMEM)
        return sm_fail(err, st, "%s", inner->msg);
    if (!is_found(v, inner->msg))
        found(v, "%s", inner->msg);
    return SM_OK;
}

/* A log of which nothing verifies is of another key: that is one finding, not one a line. */
static sm_status found_foreign(verifier *v, size_t n_before, int64_t n_records,
                               sm_err *err)
{
    char key[65];
    sm_status st = key_public_hex(key, v->s, err);
    if (st)
        return st;
    while (v->found.n > n_before)
        free(v->found.item[--v->found.n]);
    found(v,
          "audit/log.jsonl: none of %lld records verifies with the key %s of "
          "keys/ed25519.pub",
          (long long)n_records, key);
    return SM_OK;
}

static sm_status check_log(verifier *v, sm_err *err)
{
    sm_err inner = {0};
    audit_head start = {.n = 0}, head;
    audit_scan scan = {.each = log_one, .self = v};
    memset(start.hash.hex, '0', 64);
    size_t n_before = v->found.n;
    sm_status st = audit_read(&scan, v->s, &start, &inner);
    v->has_log = st == SM_OK && scan.end.n > 0;
    if (!st && scan.end.n == 0 && scan.n_bad > 1)
        return found_foreign(v, n_before, scan.n_bad, err);
    if (!st)
        st = catalog_head(&head, v->s->db, &inner);
    if (!st)
        st = audit_check_end(&scan, &head, &inner);
    return as_finding(v, st, &inner, err);
}

/* The same texts on disk as in memory: a view, a trigger or a table of another making
 * could show this comparison one catalog and every other reader another. */
static sm_status compare_schema(verifier *v, bool *same, sm_err *err)
{
    static const char both[] =
        "SELECT DISTINCT type || ' ' || name FROM ("
        "SELECT * FROM (SELECT type, name, tbl_name, sql FROM main.sqlite_master"
        " EXCEPT SELECT type, name, tbl_name, sql FROM disk.sqlite_master) UNION ALL "
        "SELECT * FROM (SELECT type, name, tbl_name, sql FROM disk.sqlite_master"
        " EXCEPT SELECT type, name, tbl_name, sql FROM main.sqlite_master))";
    sqlite3_stmt *q = NULL;
    bool row = false;
    *same = true;
    sm_status st = catalog_query(&q, v->mem, err, both, "");
    while (!st && !(st = catalog_step(&row, v->mem, q, err)) && row) {
        found(v,
              "catalog.db: %.200s: differs from the schema of a "
              "catalog; " STORE_REBUILD_HINT,
              catalog_text(q, 0));
        *same = false;
    }
    sqlite3_finalize(q);
    return st;
}

/* Tables that follow from the log; the label names a row. */
static const struct table {
    const char *name, *label;
} tables[] = {
    {"recipe", "'recipe ' || id"},
    {"artifact", "'artifact ' || content || ' (manifest ' || manifest || ')'"},
    {"file", "'file ' || path || ' (manifest ' || manifest || ')'"},
    {"ref", "'ref ' || name || CASE WHEN version > 0 THEN '@v' || version "
            "ELSE ':' || tag END"},
    {"run", "'run ' || id || ' (record ' || record || ')'"},
};

static sm_status compare_table(verifier *v, const struct table *t, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_buf sql = {0};
    bool is_recipe = !strcmp(t->name, "recipe");
    bool by_manifest = !is_recipe && strcmp(t->name, "ref") != 0;
    sm_buf_printf(&sql,
                  "SELECT DISTINCT %s FROM ("
                  "SELECT * FROM (SELECT * FROM main.%s EXCEPT SELECT * FROM disk.%s)"
                  " UNION ALL "
                  "SELECT * FROM (SELECT * FROM disk.%s EXCEPT SELECT * FROM main.%s))%s",
                  t->label, t->name, t->name, t->name, t->name,
                  by_manifest ? " WHERE manifest NOT IN (SELECT manifest FROM unread)"
                  : is_recipe ? " WHERE id NOT IN (SELECT recipe FROM disk.artifact"
                                " JOIN unread USING (manifest))"
                              : "");
    if (sql.failed)
        return store_nomem(err);
    sm_status st = catalog_query(&q, v->mem, err, sql.data, "");
    while (!st && !(st = catalog_step(&row, v->mem, q, err)) && row)
        found(v, "catalog.db: %s: differs from what the audit log and the objects say",
              catalog_text(q, 0));
    sqlite3_finalize(q);
    sm_buf_free(&sql);
    return st;
}

/* SQLite puts several lines into one row, the first of them a headline. */
static void found_lines(verifier *v, const char *text)
{
    while (*text) {
        int n = (int)strcspn(text, "\n");
        if (n > 0 && strncmp(text, "***", 3) != 0)
            found(v, "catalog.db: %.*s", n, text);
        text += n + (text[n] == '\n');
    }
}

static sm_status check_structure(verifier *v, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st = catalog_query(&q, v->mem, err, "PRAGMA disk.integrity_check", "");
    while (!st && !(st = catalog_step(&row, v->mem, q, err)) && row)
        if (strcmp(catalog_text(q, 0), "ok") != 0)
            found_lines(v, catalog_text(q, 0));
    sqlite3_finalize(q);
    return st;
}

/* A connection of its own reads the file again instead of pages already in memory.  Without
 * the log there is nothing to compare it with: every row would be found to differ. */
static sm_status check_catalog(verifier *v, sm_err *err)
{
    sm_err inner = {0};
    bool same = false;
    char *path = store_path(v->s, "catalog.db");
    if (!path)
        return store_nomem(err);
    sm_status st = catalog_run(v->mem, &inner, "ATTACH DATABASE ? AS disk", "s", path);
    free(path);
    if (!st)
        st = check_structure(v, &inner);
    if (!st)
        st = compare_schema(v, &same, &inner);
    same = same && v->has_log;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !st && same; i++)
        st = compare_table(v, &tables[i], &inner);
    if (st && st != SM_ENOMEM) {
        char why[SM_ERR_MAX];
        memcpy(why, inner.msg, sizeof why);
        sm_fail(&inner, SM_ECORRUPT, "catalog.db: cannot be compared: %.400s", why);
    }
    return as_finding(v, st, &inner, err);
}

/* Steps 1 to 4, on a state that no process changes meanwhile. */
static sm_status check_records(verifier *v, sm_err *err)
{
    sm_err inner = {0};
    sm_status st = store_lock(v->s, err);
    if (st)
        return st;
    st = check_log(v, err);
    if (!st)
        st = check_catalog(v, err);
    store_unlock(v->s);
    if (!st)
        st = as_finding(v, key_verify(v->s, &inner), &inner, err);
    return st;
}

/* ---------------------------------------------------------------------- objects */

/* " (train.jsonl of docs@v3)"; "" when nothing names the object. */
static void describe(char out[256], verifier *v, const sm_id *id)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    out[0] = 0;
    sm_status st = catalog_query(
        &q, v->mem, NULL,
        "SELECT u.what, coalesce((SELECT name || CASE WHEN version > 0 THEN '@v' || "
        "version"
        " ELSE ':' || tag END FROM ref r WHERE r.manifest = u.manifest"
        " ORDER BY r.record LIMIT 1), 'manifest ' || substr(u.manifest, 1, 12)) FROM ("
        "SELECT what, manifest FROM role WHERE object = ?1 UNION ALL "
        "SELECT path, manifest FROM file WHERE object = ?1) u LIMIT 1",
        "s", id->hex);
    if (!st && !catalog_step(&row, v->mem, q, NULL) && row)
        snprintf(out, 256, " (%.120s of %.120s)", catalog_text(q, 0), catalog_text(q, 1));
    sqlite3_finalize(q);
}

static void report_leaves(verifier *v, const sm_id *id, const char *what,
                          const object_report *r)
{
    const int shown = (int)(sizeof r->leaf / sizeof *r->leaf);
    for (int i = 0; i < r->n_leaf && i < shown; i++) {
        char leaf[128];
        object_leaf_text(leaf, r, i);
        found(v, "object %s%s: %s", id->hex, what, leaf);
    }
    if (r->n_leaf > shown)
        found(v, "object %s%s: %d more leaves do not match", id->hex, what,
              r->n_leaf - shown);
    if (r->n_leaf == 0)
        found(v, "object %s%s: bytes do not match the name", id->hex, what);
}

static sm_status check_object(verifier *v, const sm_id *id, sm_err *err)
{
    object_report r;
    char what[256] = "";
    sm_status st = object_check(&r, v->s, id, err);
    v->n_checked++;
    if (!st && r.wrong == 0)
        store_note_whole(v->s, id);
    if (st || r.wrong == 0)
        return st;
    describe(what, v, id);
    if (r.wrong & OBJECT_MISSING)
        found(v, "object %s%s: is missing", id->hex, what);
    if (r.wrong & OBJECT_UNREADABLE)
        found(v, "object %s%s: cannot be read: %s", id->hex, what, r.why);
    if (r.wrong & OBJECT_BYTES)
        report_leaves(v, id, what, &r);
    if (r.wrong & OBJECT_LEAF_FILE)
        found(v, "leaf table of object %s%s: %s", id->hex, what, r.why);
    tell(v);
    return SM_OK;
}

/* Every object that `sql` yields. */
static sm_status check_query(verifier *v, const char *sql, const char *manifest,
                             sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_id id;
    sm_status st = catalog_query(&q, v->mem, err, sql, manifest ? "s" : "", manifest);
    while (!st && !(st = catalog_step(&row, v->mem, q, err)) && row)
        if (sm_id_parse(&id, catalog_text(q, 0)))
            st = check_object(v, &id, err);
    sqlite3_finalize(q);
    return st;
}

static const char reachable[] =
    "WITH RECURSIVE up(m) AS (SELECT ?1 UNION SELECT b.manifest FROM up"
    " JOIN artifact a ON a.manifest = up.m JOIN recipe r ON r.id = a.recipe"
    " JOIN json_each(r.json, '$.inputs') j"
    " JOIN (SELECT manifest, content FROM artifact UNION SELECT manifest, content FROM"
    " unread) b ON b.content = j.value)"
    "SELECT object FROM role WHERE manifest IN up UNION "
    "SELECT object FROM file WHERE manifest IN up ORDER BY 1";

/* "ab/cdef..." as an id. */
static bool parse_name(sm_id *id, const char *rel)
{
    char hex[65];
    if (strlen(rel) != 65 || rel[2] != '/')
        return false;
    memcpy(hex, rel, 2);
    memcpy(hex + 2, rel + 3, 63);
    return sm_id_parse(id, hex);
}

static bool is_leaf_name(const char *rel)
{
    char name[66];
    sm_id id;
    if (strlen(rel) != 70 || strcmp(rel + 65, ".leaf") != 0)
        return false;
    memcpy(name, rel, 65);
    name[65] = 0;
    return parse_name(&id, name);
}

/* All that lies in objects/, named by a record or not. */
static sm_status check_all(verifier *v, sm_err *err)
{
    sm_list list = {0};
    sm_id id;
    char *dir = store_path(v->s, "objects");
    sm_status st = dir ? sm_list_files(&list, dir, err) : store_nomem(err);
    for (size_t i = 0; i < list.n && !st; i++) {
        if (parse_name(&id, list.item[i])) {
            st = catalog_run(v->mem, err, "INSERT INTO seen VALUES(?)", "s", id.hex);
            if (!st)
                st = check_object(v, &id, err);
        } else if (!is_leaf_name(list.item[i])) {
            found(v, "objects/%.200s: not the name of an object", list.item[i]);
        }
    }
    if (!st)
        st = check_query(v,
                         "SELECT object FROM role UNION SELECT object FROM file "
                         "EXCEPT SELECT object FROM seen",
                         NULL, err);
    sm_list_free(&list);
    free(dir);
    return st;
}

static sm_status memory_open(sqlite3 **out, sm_err *err)
{
    sqlite3 *db = NULL;
    sm_status st = catalog_open(&db, ":memory:", false, err);
    if (!st)
        st = catalog_create(db, err);
    if (!st)
        st = catalog_exec(db, memory_schema, err);
    if (st)
        sqlite3_close_v2(db);
    else
        *out = db;
    return st;
}

/* What `ref` means by the log.  Where only the catalog on disk knows it, that is a
 * finding, and so is an artifact of which nothing is there to be checked. */
static sm_status check_ref(verifier *v, const char *ref, sm_err *err)
{
    sm_id manifest;
    sm_status st = find_manifest(&manifest, v->s, v->mem, ref, err);
    if (st == SM_ENOENT) {
        store_enter(v->s);
        bool on_disk = !find_manifest(&manifest, v->s, v->s->db, ref, NULL);
        store_leave(v->s);
        if (!on_disk)
            return v->found.n ? SM_OK : st;
        found(v,
              "catalog.db: %.200s: is manifest %s there, and nothing by the audit log "
              "and the objects",
              ref, manifest.hex);
        st = SM_OK;
    }
    if (!st)
        st = check_query(v, reachable, manifest.hex, err);
    if (!st && v->n_checked == 0)
        found(v, "%.200s: got no objects to check, want those of manifest %s", ref,
              manifest.hex);
    return st;
}

sm_status sm_store_verify(sm_store *s, const char *ref,
                          void (*emit)(void *self, const char *line), void *self,
                          int64_t *n_checked, sm_err *err)
{
    verifier v = {.s = s, .emit = emit, .self = self};
    store_enter(s);
    sm_status st = memory_open(&v.mem, err);
    if (!st)
        st = check_records(&v, err);
    store_leave(s);
    tell(&v);
    if (!st)
        st = ref ? check_ref(&v, ref, err) : check_all(&v, err);
    tell(&v);
    if (!st && v.failed)
        st = store_nomem(err);
    if (!st && n_checked)
        *n_checked = v.n_checked;
    if (!st && v.found.n > 0)
        st = sm_fail(err, SM_ECORRUPT, "%s", v.found.item[0]);
    sqlite3_close_v2(v.mem);
    sm_list_free(&v.found);
    return st;
}
