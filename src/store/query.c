/* SPDX-License-Identifier: Apache-2.0 */
/* What pages and `smelt status` show: listings of the catalog, and metrics. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ------------------------------------------------------------------- metrics */

static sm_status metric_ready(sm_store *s, sm_err *err)
{
    if (s->metric)
        return SM_OK;
    char *path = store_path(s, "catalog.db");
    if (!path)
        return store_nomem(err);
    /* Rows are not worth an fsync each: a connection of their own without it. */
    sm_status st = s->fast ? SM_OK : catalog_open(&s->fast, path, false, err);
    free(path);
    if (!st)
        st = catalog_check_plain(s->fast, err);
    if (st)
        return st;
    return catalog_query(&s->metric, s->fast, err,
                         "INSERT OR REPLACE INTO metric VALUES(?,?,?,?)", "");
}

static sm_status put_metric(sm_store *s, const char *run, const char *name, int64_t step,
                            double value, sm_err *err)
{
    bool row;
    sm_status st = metric_ready(s, err);
    if (st)
        return st;
    sqlite3_bind_text(s->metric, 1, run, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s->metric, 2, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s->metric, 3, step);
    sqlite3_bind_double(s->metric, 4, value);
    st = catalog_step(&row, s->fast, s->metric, err);
    sqlite3_reset(s->metric);
    return st;
}

sm_status sm_store_metric(sm_store *s, const char *run, const char *name, int64_t step,
                          double value, sm_err *err)
{
    if (!(value - value == 0)) /* NaN and infinity differ from themselves */
        return sm_fail(err, SM_ENUMERIC, "metric %s of run %.64s: step %lld: got %g",
                       name, run, (long long)step, value);
    store_enter(s);
    sm_status st = put_metric(s, run, name, step, value, err);
    store_leave(s);
    return st;
}

static bool add_point(json_t *all, const char *name, int64_t step, double value)
{
    json_t *series = json_object_get(all, name);
    if (!series) {
        series = json_array();
        if (json_object_set_new(all, name, series) != 0)
            return false;
    }
    return json_array_append_new(series, json_pack("[I, f]", (json_int_t)step, value)) ==
           0;
}

static sm_status read_metrics(json_t *all, sqlite3 *db, const char *run, const char *name,
                              sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st =
        catalog_query(&q, db, err,
                      "SELECT name, step, value FROM metric WHERE run = ?1 AND "
                      "(?2 IS NULL OR name = ?2) ORDER BY name, step",
                      "ss", run, name);
    while (!st && !(st = catalog_step(&row, db, q, err)) && row)
        if (!add_point(all, catalog_text(q, 0), sqlite3_column_int64(q, 1),
                       sqlite3_column_double(q, 2)))
            st = store_nomem(err);
    sqlite3_finalize(q);
    return st;
}

sm_status sm_store_metrics_read(json_t **out, sm_store *s, const char *run,
                                const char *name, sm_err *err)
{
    json_t *all = json_object();
    if (!all)
        return store_nomem(err);
    store_enter(s);
    sm_status st = read_metrics(all, s->db, run, name, err);
    store_leave(s);
    if (st)
        json_decref(all);
    else
        *out = all;
    return st;
}

/* ------------------------------------------------------------------- listings */

/* Append one JSON value a row, made by `make`, to a new array under `key`. */
static sm_status list_rows(json_t *out, const char *key, sqlite3 *db, const char *sql,
                           json_t *(*make)(sqlite3_stmt *q), sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    json_t *list = json_array();
    if (json_object_set_new(out, key, list) != 0)
        return store_nomem(err);
    sm_status st = catalog_query(&q, db, err, sql, "");
    while (!st && !(st = catalog_step(&row, db, q, err)) && row)
        if (json_array_append_new(list, make(q)) != 0)
            st = sm_fail(err, SM_ECORRUPT, "catalog: a row of %s is not UTF-8", key);
    sqlite3_finalize(q);
    return st;
}

/* "a\nb\n" (SQLite's group_concat) as ["a","b"]. */
static json_t *split_lines(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t n = strcspn(text, "\n");
        json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return list;
}

static json_t *step_of(const char *recipe)
{
    json_t *json = json_loads(recipe, 0, NULL);
    const char *step = json_string_value(json_object_get(json, "step"));
    json_t *out = json_string(step ? step : "");
    json_decref(json);
    return out;
}

static json_t *artifact_row(sqlite3_stmt *q)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:s, s:o}", "content",
                     catalog_text(q, 0), "manifest", catalog_text(q, 1), "kind",
                     catalog_text(q, 2), "recipe", catalog_text(q, 3), "step",
                     step_of(catalog_text(q, 4)), "bytes",
                     (json_int_t)sqlite3_column_int64(q, 5), "files",
                     (json_int_t)sqlite3_column_int64(q, 6), "made", catalog_text(q, 7),
                     "refs", split_lines(catalog_text(q, 8)));
}

static json_t *ref_row(sqlite3_stmt *q)
{
    char text[256];
    const char *name = catalog_text(q, 0), *tag = catalog_text(q, 2);
    int64_t version = sqlite3_column_int64(q, 1);
    ref_format(text, name, version, tag);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:b}", "ref", text, "name",
                     name, "version", (json_int_t)version, "tag", tag, "content",
                     catalog_text(q, 3), "kind", catalog_text(q, 4), "moved",
                     catalog_text(q, 5), "newest", sqlite3_column_int(q, 6));
}

static json_t *run_row(sqlite3_stmt *q)
{
    json_t *run = json_loads(catalog_text(q, 5), 0, NULL);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", catalog_text(q, 0),
                     "made", catalog_text(q, 1), "content", catalog_text(q, 2), "kind",
                     catalog_text(q, 3), "step", step_of(catalog_text(q, 4)), "metrics",
                     split_lines(catalog_text(q, 6)), "run", run ? run : json_object());
}

static const char list_artifacts[] =
    "SELECT a.content, a.manifest, a.kind, a.recipe, coalesce(c.json, ''), a.bytes,"
    " a.files, a.made, coalesce((SELECT group_concat(CASE WHEN version > 0"
    "   THEN name || '@v' || version ELSE name || ':' || tag END, char(10))"
    "   FROM ref WHERE ref.manifest = a.manifest), '')"
    " FROM artifact a LEFT JOIN recipe c ON c.id = a.recipe ORDER BY a.record DESC";

static const char list_refs[] =
    "SELECT r.name, r.version, r.tag, r.content, coalesce(a.kind, ''), r.moved,"
    " r.version > 0 AND r.version = (SELECT max(version) FROM ref x WHERE x.name = "
    "r.name)"
    " FROM ref r LEFT JOIN artifact a ON a.manifest = r.manifest"
    " ORDER BY r.name, r.version DESC, r.tag";

static const char list_runs[] =
    "SELECT r.id, a.made, a.content, a.kind, coalesce(c.json, ''), r.json,"
    " coalesce((SELECT group_concat(name, char(10)) FROM"
    "   (SELECT DISTINCT name FROM metric m WHERE m.run = r.id)), '')"
    " FROM run r JOIN artifact a ON a.manifest = r.manifest"
    " LEFT JOIN recipe c ON c.id = a.recipe ORDER BY r.record DESC";

static json_t *run_name(sqlite3_stmt *q)
{
    return json_string(catalog_text(q, 0));
}

static const char list_unfinished[] =
    "SELECT DISTINCT run FROM metric WHERE run NOT IN (SELECT id FROM run) ORDER BY run";

static sm_status list_audit(json_t *all, sqlite3 *db, sm_err *err)
{
    audit_head head;
    sm_status st = catalog_head(&head, db, err);
    if (!st && json_object_set_new(all, "audit",
                                   json_pack("{s:I, s:s}", "n", (json_int_t)head.n,
                                             "head", head.hash.hex)))
        st = store_nomem(err);
    return st;
}

sm_status sm_store_list(json_t **out, sm_store *s, sm_err *err)
{
    json_t *all = json_object();
    if (!all)
        return store_nomem(err);
    store_enter(s);
    sm_status st = list_rows(all, "artifacts", s->db, list_artifacts, artifact_row, err);
    if (!st)
        st = list_rows(all, "refs", s->db, list_refs, ref_row, err);
    if (!st)
        st = list_rows(all, "runs", s->db, list_runs, run_row, err);
    if (!st)
        st = list_rows(all, "unfinished", s->db, list_unfinished, run_name, err);
    if (!st)
        st = list_audit(all, s->db, err);
    store_leave(s);
    if (st)
        json_decref(all);
    else
        *out = all;
    return st;
}
