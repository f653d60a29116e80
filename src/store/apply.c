/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each audit record does to a catalog.  Applying a record twice is the same as once,
 * and the rows depend on the record and on objects alone: a catalog made from the log
 * equals the one that grew with it (verify compares them row by row).
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static sm_status put_ref(sqlite3 *db, const audit_record *rec, const json_t *ref,
                         const char *manifest, const char *content, sm_err *err)
{
    int64_t version = json_integer_value(json_object_get(ref, "version"));
    return catalog_run(db, err, "INSERT OR REPLACE INTO ref VALUES(?,?,?,?,?,?,?)",
                       "sissssi", sm_json_text(ref, "name"), version,
                       sm_json_text(ref, "tag"), manifest, content, rec->time, rec->n);
}

/* An object that is gone, or not what its name says, is damage.  One that cannot be read now
 * (a failing disk, too many open files, no memory) may be whole: its rows must not be left
 * out for good. */
static sm_status as_damage(sm_status st)
{
    return st == SM_EIO || st == SM_ENOMEM ? st : SM_ECORRUPT;
}

static sm_status put_files(sqlite3 *db, const char *manifest, const sm_artifact *a,
                           sm_err *err)
{
    sm_status st = SM_OK;
    for (size_t i = 0; i < a->n_file && !st; i++)
        st = catalog_run(db, err, "INSERT OR IGNORE INTO file VALUES(?,?,?,?)", "sssi",
                         manifest, a->file[i].path, a->file[i].object.hex,
                         a->file[i].bytes);
    return st;
}

static sm_status put_artifact(sqlite3 *db, const audit_record *rec, const char *manifest,
                              const char *text, const char *recipe, const sm_artifact *a,
                              sm_err *err)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < a->n_file; i++)
        bytes += a->file[i].bytes;
    sm_status st = catalog_run(db, err, "INSERT OR IGNORE INTO recipe VALUES(?,?)", "ss",
                               a->recipe.hex, recipe);
    if (!st)
        st = catalog_run(db, err,
                         "INSERT OR IGNORE INTO artifact VALUES(?,?,?,?,?,?,?,?,?)",
                         "sssssiisi", manifest, a->content.hex, a->kind, a->recipe.hex,
                         text, bytes, (int64_t)a->n_file, rec->time, rec->n);
    return st ? st : put_files(db, manifest, a, err);
}

static sm_status put_run(sqlite3 *db, sm_store *s, const audit_record *rec,
                         const char *manifest, sm_err *err)
{
    sm_id id;
    json_t *run = NULL;
    char *text = NULL;
    const char *object = sm_json_text(rec->detail, "run");
    if (!*object)
        return SM_OK;
    if (!sm_id_parse(&id, object))
        return sm_fail(err, SM_ECORRUPT, "audit record %lld: bad run id",
                       (long long)rec->n);
    sm_status st = object_load_json(&run, &text, s, &id, err);
    if (st)
        return as_damage(st);
    const char *name = sm_json_text(run, "id");
    st = catalog_run(db, err, "INSERT OR IGNORE INTO run VALUES(?,?,?,?,?)", "issss",
                     rec->n, *name ? name : object, manifest, object, text);
    json_decref(run);
    free(text);
    return st;
}

static sm_status apply_commit(sqlite3 *db, sm_store *s, const audit_record *rec,
                              sm_err *err)
{
    sm_id id;
    sm_artifact a = {0};
    json_t *json = NULL;
    char *text = NULL, *recipe = NULL;
    const char *manifest = sm_json_text(rec->detail, "manifest");
    const json_t *ref = json_object_get(rec->detail, "ref");
    if (!sm_id_parse(&id, manifest))
        return sm_fail(err, SM_ECORRUPT, "audit record %lld: bad manifest id",
                       (long long)rec->n);
    /* The move needs the record alone: a ref to a damaged artifact stays a ref. */
    sm_status st =
        ref ? put_ref(db, rec, ref, manifest, sm_json_text(rec->detail, "content"), err)
            : SM_OK;
    if (st)
        return st;
    st = object_load_json(&json, &text, s, &id, err);
    if (!st)
        st = manifest_parse(&a, text, NULL, err);
    json_decref(json);
    json = NULL;
    if (!st)
        st = object_load_json(&json, &recipe, s, &a.recipe, err);
    if (st) {
        st = as_damage(st);
        goto done;
    }
    st = put_artifact(db, rec, manifest, text, recipe, &a, err);
    if (!st)
        st = put_run(db, s, rec, manifest, err);
done:
    json_decref(json);
    sm_artifact_free(&a);
    free(text);
    free(recipe);
    return st;
}

sm_status apply_record(sqlite3 *db, sm_store *s, const audit_record *rec, sm_err *err)
{
    if (!strcmp(rec->event, "artifact.commit") || !strcmp(rec->event, "artifact.copy"))
        return apply_commit(db, s, rec, err);
    if (!strcmp(rec->event, "ref.set"))
        return put_ref(db, rec, rec->detail, sm_json_text(rec->detail, "manifest"),
                       sm_json_text(rec->detail, "content"), err);
    return SM_OK;
}
