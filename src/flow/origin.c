/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model comes from, and making it again from other documents. */
#include <stdlib.h>
#include <string.h>

#include "without.h"

static sm_status find_input(sm_artifact *out, sm_store *store, const sm_artifact *a,
                            const char *kind, sm_err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(a->recipe_json, "inputs"), i, v)
    {
        sm_artifact x = {0};
        sm_status s = sm_store_find(&x, store, json_string_value(v), err);
        if (s)
            return s;
        if (!strcmp(x.kind, kind)) {
            *out = x;
            return SM_OK;
        }
        sm_artifact_free(&x);
    }
    return sm_fail(err, SM_EUNSUPPORTED, "%s %.12s: its recipe has no %s", a->kind,
                   a->content.hex, kind);
}

static sm_status want_step(const sm_artifact *a, const char *name, sm_err *err)
{
    const sm_step *step = NULL;
    sm_status s = flow_recorded_step(&step, a, err);
    if (!s && strcmp(step->name, name) != 0)
        s = sm_fail(err, SM_EUNSUPPORTED, "%s %.12s was made by %s, want %s", a->kind,
                    a->content.hex, step->name, name);
    return s;
}

sm_status flow_open_part(sm_dataset **out, const sm_ctx *ctx, sm_store *store,
                         const sm_artifact *a, const char *file, sm_err *err)
{
    char *path = NULL;
    sm_status s = sm_store_path(&path, store, a, file, err);
    const char *one = path;
    if (!s)
        s = sm_dataset_open(out, ctx, &one, 1, err);
    free(path);
    return s;
}

static sm_status open_sources(origin *o, const sm_ctx *ctx, sm_store *store, sm_err *err)
{
    json_t *inputs = json_object_get(o->dataset.recipe_json, "inputs");
    size_t n = json_array_size(inputs);
    sm_status s = SM_OK;
    o->source = sm_alloc(n + 1, sizeof *o->source);
    o->docs = sm_alloc(n + 1, sizeof *o->docs);
    if (!o->source || !o->docs)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && !s; i++) {
        s = sm_store_find(&o->source[i], store,
                          json_string_value(json_array_get(inputs, i)), err);
        o->n_source = i + 1;
        if (!s)
            s = flow_open_part(&o->docs[i], ctx, store, &o->source[i], "documents.jsonl",
                               err);
    }
    return s;
}

sm_status origin_open(origin *o, const sm_ctx *ctx, sm_store *store, const char *ref,
                      sm_err *err)
{
    sm_status s = sm_store_find(&o->model, store, ref, err);
    if (!s)
        s = want_step(&o->model, "train", err);
    if (!s)
        s = find_input(&o->dataset, store, &o->model, "dataset", err);
    if (!s)
        s = find_input(&o->tokenizer, store, &o->model, "tokenizer", err);
    if (!s)
        s = want_step(&o->dataset, "data.curate", err);
    return s ? s : open_sources(o, ctx, store, err);
}

void origin_free(origin *o)
{
    for (size_t i = 0; i < o->n_source; i++) {
        sm_dataset_close(o->docs[i]);
        sm_artifact_free(&o->source[i]);
    }
    free(o->docs);
    free(o->source);
    sm_artifact_free(&o->model);
    sm_artifact_free(&o->dataset);
    sm_artifact_free(&o->tokenizer);
    *o = (origin){0};
}

sm_status id_list_add(id_list *l, const sm_id *id, sm_err *err)
{
    sm_id *more = sm_realloc(l->id, l->n + 1, sizeof *more);
    if (!more)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    l->id = more;
    l->id[l->n++] = *id;
    return SM_OK;
}

sm_status flow_remake(sm_artifact *out, const sm_ctx *ctx, sm_store *store,
                      const char *step, const id_list *in, const json_t *options,
                      const char *ref, sm_err *err)
{
    sm_flow_result r = {0};
    const char **name = sm_alloc(in->n + 1, sizeof *name);
    if (!name)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < in->n; i++)
        name[i] = in->id[i].hex;
    sm_status s =
        sm_flow_step(&r, ctx, store, step, name, in->n, options, "replay", ref, err);
    if (!s) {
        *out = r.artifact;
        r.artifact = (sm_artifact){0};
    }
    sm_flow_result_free(&r);
    free(name);
    return s;
}

sm_status flow_reduce(id_list *out, const sm_ctx *ctx, sm_store *store, const origin *o,
                      size_t i, const json_t *without, sm_err *err)
{
    sm_document d;
    json_t *gone = json_array();
    sm_artifact left = {0};
    id_list in = {.id = (sm_id *)&o->source[i].content, .n = 1};
    for (size_t at = 0; sm_dataset_next(o->docs[i], &at, &d);)
        if (json_object_get(without, d.id))
            json_array_append_new(gone, json_string(d.id));
    sm_status s = SM_OK;
    if (json_array_size(gone) == 0) {
        s = id_list_add(out, &o->source[i].content, err);
    } else if (json_array_size(gone) < sm_dataset_n(o->docs[i])) {
        json_t *options = json_pack("{s:O}", "without", gone);
        s = flow_remake(&left, ctx, store, "data.filter", &in, options, NULL, err);
        if (!s)
            s = id_list_add(out, &left.content, err);
        json_decref(options);
    }
    sm_artifact_free(&left);
    json_decref(gone);
    return s;
}
