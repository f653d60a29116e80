/* SPDX-License-Identifier: Apache-2.0 */
/* Taking results in: commit of a staging directory, copy from a workspace, moving refs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ----------------------------------------------------------------- moving a ref */

static sm_status newest_version(int64_t *version, char manifest[65], sqlite3 *db,
                                const char *name, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    *version = 0;
    manifest[0] = 0;
    sm_status st = catalog_query(&q, db, err,
                                 "SELECT version, manifest FROM ref WHERE name=? AND "
                                 "version > 0 ORDER BY version DESC LIMIT 1",
                                 "s", name);
    if (!st)
        st = catalog_step(&row, db, q, err);
    if (!st && row) {
        *version = sqlite3_column_int64(q, 0);
        snprintf(manifest, 65, "%.64s", catalog_text(q, 1));
    }
    sqlite3_finalize(q);
    return st;
}

static sm_status tag_manifest(char manifest[65], sqlite3 *db, const ref_name *r,
                              sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    manifest[0] = 0;
    sm_status st =
        catalog_query(&q, db, err,
                      "SELECT manifest FROM ref WHERE name=? AND version=0 AND "
                      "tag=?",
                      "ss", r->name, r->tag);
    if (!st)
        st = catalog_step(&row, db, q, err);
    if (!st && row)
        snprintf(manifest, 65, "%.64s", catalog_text(q, 0));
    sqlite3_finalize(q);
    return st;
}

/* What the audit record says of a move, inside a change; NULL when the ref is there
 * already. */
static sm_status plan_move(json_t **out, sqlite3 *db, const ref_name *r,
                           const sm_id *manifest, sm_err *err)
{
    char now[65];
    int64_t version = 0;
    *out = NULL;
    sm_status st = *r->tag ? tag_manifest(now, db, r, err)
                           : newest_version(&version, now, db, r->name, err);
    if (st || !strcmp(now, manifest->hex))
        return st;
    *out = *r->tag ? json_pack("{s:s, s:s}", "name", r->name, "tag", r->tag)
                   : json_pack("{s:s, s:I}", "name", r->name, "version",
                               (json_int_t)(version + 1));
    return *out ? SM_OK : store_nomem(err);
}

static sm_status parse_movable(ref_name *r, const char *ref, sm_err *err)
{
    if (!ref_parse(r, ref))
        return sm_fail(err, SM_EINVAL,
                       "ref: got \"%.200s\", want NAME or NAME:TAG of letters, digits, "
                       "'.', '_' and '-', NAME not of the form of an id (64 hex digits)",
                       ref);
    if (r->version)
        return sm_fail(err, SM_EINVAL, "ref: got \"%.200s\": a version never moves", ref);
    return SM_OK;
}

sm_status sm_ref_check(const char *ref, sm_err *err)
{
    ref_name r;
    return parse_movable(&r, ref, err);
}

static sm_status set_ref(sm_store *s, const ref_name *r, const sm_id *content,
                         sm_err *err)
{
    sm_id manifest;
    json_t *detail = NULL;
    sm_status st = manifest_of_content(&manifest, s->db, content->hex, err);
    if (st == SM_ENOENT)
        return sm_fail(err, st, "content %s: no such artifact", content->hex);
    if (!st)
        st = plan_move(&detail, s->db, r, &manifest, err);
    if (st || !detail)
        return st;
    if (json_object_set_new(detail, "manifest", json_string(manifest.hex)) ||
        json_object_set_new(detail, "content", json_string(content->hex)))
        st = store_nomem(err);
    if (!st)
        st = change_log(s, "ref.set", detail, err);
    json_decref(detail);
    return st;
}

sm_status sm_store_set_ref(sm_store *s, const char *ref, const sm_id *content,
                           sm_err *err)
{
    ref_name r;
    sm_status st = parse_movable(&r, ref, err);
    if (st)
        return st;
    store_enter(s);
    st = change_begin(s, err);
    if (!st)
        st = change_end(s, set_ref(s, &r, content, err), err);
    store_leave(s);
    return st;
}

/* --------------------------------------------------------------------- commit */

typedef struct commit_ids {
    sm_id manifest, run;
    bool has_run;
} commit_ids;

/* The audit record and the rows that make an artifact visible, inside a change. */
static sm_status record_artifact(sm_store *s, const char *event, const sm_artifact *a,
                                 const commit_ids *ids, const ref_name *ref, sm_err *err)
{
    json_t *move = NULL;
    sm_status st = ref ? plan_move(&move, s->db, ref, &ids->manifest, err) : SM_OK;
    if (st)
        return st;
    json_t *detail =
        json_pack("{s:s, s:s, s:s, s:s}", "kind", a->kind, "content", a->content.hex,
                  "recipe", a->recipe.hex, "manifest", ids->manifest.hex);
    if (!detail ||
        (ids->has_run && json_object_set_new(detail, "run", json_string(ids->run.hex))))
        st = store_nomem(err);
    if (!st && move && json_object_set(detail, "ref", move))
        st = store_nomem(err);
    if (!st)
        st = change_log(s, event, detail, err);
    json_decref(detail);
    json_decref(move);
    return st;
}

static bool is_temporary(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, SM_TEMP_PREFIX, strlen(SM_TEMP_PREFIX)) == 0;
}

/* The files of a result.  A temporary that could not be removed is none of them, and to leave
 * it out in silence would hide that the disk fails. */
static sm_status list_results(sm_list *out, const char *staging, sm_err *err)
{
    sm_status st = sm_list_files(out, staging, err);
    if (!st && out->n == 0)
        st = sm_fail(err, SM_EINVAL, "%s: got no files, want at least one", staging);
    for (size_t i = 0; i < out->n && !st; i++)
        if (is_temporary(out->item[i]))
            st =
                sm_fail(err, SM_EIO,
                        "%s/%s: got a temporary file that could not be removed, want the "
                        "files of a result",
                        staging, out->item[i]);
    return st;
}

static sm_status take_files(sm_artifact *a, sm_store *s, const char *staging, sm_err *err)
{
    sm_list list = {0};
    sm_status st = list_results(&list, staging, err);
    if (!st && !(a->file = sm_alloc(list.n, sizeof *a->file)))
        st = store_nomem(err);
    for (size_t i = 0; i < list.n && !st; i++) {
        sm_artifact_file *f = &a->file[a->n_file];
        char *path = sm_path_join(staging, list.item[i]);
        if (!path) {
            st = store_nomem(err);
            break;
        }
        st = object_put_file(&f->object, &f->bytes, s, path, true, err);
        free(path);
        if (!st) {
            f->path = list.item[i];
            list.item[i] = NULL;
            a->n_file++;
        }
    }
    sm_list_free(&list);
    return st;
}

/* Recipe, manifest and run record become objects too: the catalog is only an index. */
static sm_status put_records(commit_ids *ids, sm_artifact *a, sm_store *s,
                             const json_t *run, sm_err *err)
{
    json_t *manifest = NULL;
    sm_status st = object_put_json(&a->recipe, NULL, s, a->recipe_json, err);
    if (!st)
        st = content_id(&a->content, a, err);
    if (!st)
        st = manifest_json(&manifest, a, err);
    if (!st)
        st = object_put_json(&ids->manifest, NULL, s, manifest, err);
    if (!st && run) {
        st = object_put_json(&ids->run, NULL, s, run, err);
        ids->has_run = true;
    }
    json_decref(manifest);
    return st;
}

static sm_status make_visible(sm_store *s, const char *event, const sm_artifact *a,
                              const commit_ids *ids, const ref_name *ref, sm_err *err)
{
    store_point(s, "commit.objects");
    sm_status st = change_begin(s, err);
    if (st)
        return st;
    return change_end(s, record_artifact(s, event, a, ids, ref, err), err);
}

static sm_status check_arguments(const char *kind, const json_t *recipe,
                                 const json_t *run, sm_err *err)
{
    if (!kind_is_valid(kind))
        return sm_fail(err, SM_EINVAL, "kind: got \"%.60s\", want 1..23 of a-z, '-', '_'",
                       kind);
    if (!json_is_object(recipe))
        return sm_fail(err, SM_EINVAL, "recipe: want a JSON object");
    if (run && !json_is_object(run))
        return sm_fail(err, SM_EINVAL, "run record: want a JSON object");
    return SM_OK;
}

static sm_status commit(sm_artifact *a, sm_store *s, const sm_commit *c,
                        const ref_name *ref, sm_err *err)
{
    commit_ids ids = {0};
    sm_status st = take_files(a, s, c->staging, err);
    if (!st)
        st = put_records(&ids, a, s, c->run, err);
    store_point(s, "commit.records");
    if (!st && c->before)
        st = c->before(c->self, a, err);
    return st ? st : make_visible(s, "artifact.commit", a, &ids, ref, err);
}

sm_status sm_store_commit_after(sm_artifact *out, sm_store *s, const sm_commit *c,
                                sm_err *err)
{
    sm_artifact a = {0};
    ref_name r;
    sm_status st = check_arguments(c->kind, c->recipe, c->run, err);
    if (!st && c->ref)
        st = parse_movable(&r, c->ref, err);
    if (st)
        return st;
    memcpy(a.kind, c->kind, strlen(c->kind) + 1);
    store_enter(s);
    a.recipe_json = json_deep_copy(c->recipe);
    st = a.recipe_json ? commit(&a, s, c, c->ref ? &r : NULL, err) : store_nomem(err);
    store_leave(s);
    if (st) {
        sm_artifact_free(&a);
        return st;
    }
    sm_remove_tree(c->staging, NULL); /* the session's end removes what is left */
    *out = a;
    return SM_OK;
}

sm_status sm_store_commit(sm_artifact *out, sm_store *s, const char *kind,
                          const json_t *recipe, const char *staging, const char *ref,
                          const json_t *run, sm_err *err)
{
    const sm_commit c = {
        .kind = kind, .recipe = recipe, .staging = staging, .ref = ref, .run = run};
    return sm_store_commit_after(out, s, &c, err);
}

/* ----------------------------------------------------------------------- copy */

static sm_status copy_file(sm_store *dst, sm_store *src, const sm_artifact *a, size_t i,
                           sm_err *err)
{
    const sm_artifact_file *f = &a->file[i];
    sm_id id;
    int64_t bytes;
    char *path = NULL;
    sm_status st = sm_store_path(&path, src, a, f->path, err);
    if (!st)
        st = object_put_file(&id, &bytes, dst, path, false, err);
    if (!st && !id_equal(&id, &f->object))
        st = sm_fail(err, SM_ECORRUPT, "%s: %s: object %s: bytes do not match the name",
                     src->dir, f->path, f->object.hex);
    free(path);
    return st;
}

sm_status sm_store_copy(sm_store *dst, sm_store *src, const sm_artifact *artifact,
                        const char *ref, sm_err *err)
{
    commit_ids ids = {0};
    ref_name r;
    sm_artifact a = *artifact; /* borrowed fields; only the ids are computed anew */
    sm_status st = ref ? parse_movable(&r, ref, err) : SM_OK;
    if (st)
        return st;
    store_enter(dst);
    for (size_t i = 0; i < a.n_file && !st; i++)
        st = copy_file(dst, src, &a, i, err);
    if (!st)
        st = put_records(&ids, &a, dst, NULL, err);
    if (!st && (!id_equal(&a.content, &artifact->content) ||
                !id_equal(&a.recipe, &artifact->recipe)))
        st = sm_fail(err, SM_EINVAL,
                     "copy: artifact %s does not match its files or recipe",
                     artifact->content.hex);
    if (!st)
        st = make_visible(dst, "artifact.copy", &a, &ids, ref ? &r : NULL, err);
    store_leave(dst);
    return st;
}
