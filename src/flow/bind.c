/* SPDX-License-Identifier: Apache-2.0 */
/* Models, indexes and releases of the workspace made ready to run. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/bind.h"
#include "smelt/kern.h"

static sm_status score(void *self, const char *prefix, size_t prefix_len,
                       const char *continuation, size_t continuation_len, double *nats,
                       int64_t *n_token, sm_err *err)
{
    return sm_engine_score(self, prefix, prefix_len, continuation, continuation_len, nats,
                           n_token, err);
}

/* The profile that training.json names; "bf16/1" for models from elsewhere. */
static sm_status profile_of(char out[16], sm_store *store, const sm_artifact *model,
                            sm_err *err)
{
    char *path = NULL;
    json_t *v = NULL;
    sm_status s = sm_store_path(&path, store, model, "training.json", NULL);
    memcpy(out, "bf16/1", 7);
    if (s)
        return SM_OK;
    s = sm_json_load(&v, path, err);
    const char *p =
        json_string_value(json_object_get(json_object_get(v, "config"), "profile"));
    if (!s && p && strlen(p) < 16)
        memcpy(out, p, strlen(p) + 1);
    json_decref(v);
    free(path);
    return s;
}

sm_status sm_bind_model(sm_bound_model *out, const sm_ctx *ctx, sm_store *store,
                        const sm_artifact *model, const char *profile,
                        int32_t max_streams, sm_err *err)
{
    static const char *const file[] = {"config.json", "model.safetensors",
                                       "tokenizer.json"};
    char *path[3] = {NULL, NULL, NULL}, trained[16] = "";
    sm_bound_model b = {0};
    sm_status s = SM_OK;
    if (profile && strlen(profile) >= sizeof trained)
        s = sm_fail(err, SM_EINVAL, "profile: got %s, want bf16/1 or f32/1", profile);
    if (!s && strcmp(model->kind, "model") != 0)
        s = sm_fail(err, SM_EINVAL, "got %s %s, want a model", flow_article(model->kind),
                    model->kind);
    for (int i = 0; i < 3 && !s; i++)
        s = sm_store_whole_path(&path[i], store, model, file[i], err);
    if (!s && profile)
        memcpy(trained, profile, strlen(profile) + 1);
    else if (!s)
        s = profile_of(trained, store, model, err);
    if (!s)
        s = sm_model_load(&b.model, path[0], path[1], err);
    if (!s)
        s = sm_tokenizer_load(&b.tokenizer, path[2], err);
    sm_engine_config c = {.profile = trained, .max_streams = max_streams};
    if (!s)
        s = sm_engine_create(&b.engine, ctx, b.model, b.tokenizer, &c, err);
    for (int i = 0; i < 3; i++)
        free(path[i]);
    if (s) {
        sm_bound_model_free(&b);
        return s;
    }
    b.scorer = (sm_scorer){.score = score, .self = b.engine};
    memcpy(b.profile, trained, sizeof b.profile);
    *out = b;
    return SM_OK;
}

void sm_bound_model_free(sm_bound_model *b)
{
    sm_engine_free(b->engine);
    sm_tokenizer_free(b->tokenizer);
    sm_model_free(b->model);
    *b = (sm_bound_model){0};
}

static sm_status cache_path(sm_buf *out, sm_store *store, const sm_artifact *index,
                            bool with_names, sm_err *err)
{
    char *dir = sm_path_join(sm_store_dir(store), "tmp/index");
    sm_status s = dir ? sm_mkdirs(dir, err) : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s && !sm_buf_printf(out, "%s/%.16s-%s.db", dir, index->content.hex,
                             with_names ? "names" : "no-names"))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    free(dir);
    return s;
}

sm_status sm_bind_index(sm_index **out, sm_store *store, const sm_artifact *index,
                        bool with_names, bool may_cache, sm_err *err)
{
    char *path = NULL;
    sm_buf cache = {0};
    sm_status s = SM_OK;
    if (strcmp(index->kind, "index") != 0)
        s = sm_fail(err, SM_EINVAL, "got %s %s, want an index", flow_article(index->kind),
                    index->kind);
    if (!s)
        s = sm_store_whole_path(&path, store, index, "passages.jsonl", err);
    if (!s && may_cache)
        s = cache_path(&cache, store, index, with_names, err);
    if (!s)
        s = sm_index_open(out, path, cache.data, with_names, err);
    sm_buf_free(&cache);
    free(path);
    return s;
}

/* ---------------------------------------------------------------- releases */

static sm_status find_content(sm_artifact *out, sm_store *store, const json_t *verdict,
                              const char *key, sm_err *err)
{
    const char *id = json_string_value(json_object_get(verdict, key));
    if (!id || !*id)
        return SM_OK;
    return sm_store_find(out, store, id, err);
}

static sm_status read_release(sm_servable *v, sm_store *store, sm_err *err)
{
    char *path = NULL;
    sm_status s = sm_store_path(&path, store, &v->release, "verdict.json", err);
    if (!s)
        s = sm_json_load(&v->verdict, path, err);
    free(path);
    if (s)
        return s;
    v->passed = json_is_true(json_object_get(v->verdict, "passed"));
    const json_t *w = json_object_get(v->verdict, "w_model");
    if (json_is_number(w))
        v->rank.w_model = (float)json_number_value(w);
    return SM_OK;
}

static bool is_of_model(const sm_servable *v)
{
    const char *id = json_string_value(json_object_get(v->verdict, "model"));
    return id && !strcmp(id, v->model.content.hex);
}

static void drop_release(sm_servable *v)
{
    sm_artifact_free(&v->release);
    json_decref(v->verdict);
    v->release = (sm_artifact){0};
    v->verdict = NULL;
    v->passed = false;
}

/* The release of the model's last gate by the audit log; none is no error. */
static sm_status find_last_gate(sm_servable *v, sm_store *store, sm_err *err)
{
    json_t *detail = NULL;
    sm_status s = sm_audit_last(&detail, store, FLOW_GATE_EVENT, "model",
                                v->model.content.hex, err);
    if (s || !detail)
        return s;
    s = find_content(&v->release, store, detail, "release", err);
    v->cut_short = s == SM_ENOENT;
    if (v->cut_short)
        s = SM_OK;
    else if (!s)
        s = read_release(v, store, err);
    if (!s && !v->cut_short && !is_of_model(v))
        s = sm_fail(err, SM_ECORRUPT,
                    "release %.12s: got a verdict on another model, want "
                    "one on %.12s",
                    v->release.content.hex, v->model.content.hex);
    json_decref(detail);
    return s;
}

/* Where no gate is in the log (a copied workspace, an older one): the release made last
 * whose verdict names the model. */
static sm_status find_newest_release(sm_servable *v, sm_store *store, sm_err *err)
{
    json_t *all = NULL;
    size_t i;
    json_t *a;
    sm_status s = sm_store_list(&all, store, err);
    if (s)
        return s;
    json_array_foreach(json_object_get(all, "artifacts"), i, a)
    {
        if (strcmp(sm_json_text(a, "kind"), "release") != 0)
            continue;
        s = sm_store_find(&v->release, store, sm_json_text(a, "content"), err);
        if (!s)
            s = read_release(v, store, err);
        if (s || is_of_model(v))
            break;
        drop_release(v);
    }
    json_decref(all);
    return s;
}

/* What the last gate said of the model; none is no error. */
static sm_status find_release(sm_servable *v, sm_store *store, sm_err *err)
{
    sm_status s = find_last_gate(v, store, err);
    return s || v->verdict || v->cut_short ? s : find_newest_release(v, store, err);
}

sm_status sm_servable_find(sm_servable *out, sm_store *store, const char *ref,
                           const char *index_ref, sm_err *err)
{
    sm_servable v = {.rank = SM_RANK_DEFAULT};
    sm_artifact named = {0};
    sm_status s = sm_store_find(&named, store, ref, err);
    if (!s && !strcmp(named.kind, "release")) {
        v.release = named;
        s = read_release(&v, store, err);
        if (!s)
            s = find_content(&v.model, store, v.verdict, "model", err);
    } else if (!s && !strcmp(named.kind, "model")) {
        v.model = named;
        s = find_release(&v, store, err);
    } else if (!s) {
        s = sm_fail(err, SM_EINVAL, "%s: got %s %s, want a release or a model", ref,
                    flow_article(named.kind), named.kind);
        sm_artifact_free(&named);
    }
    if (!s && index_ref && *index_ref)
        s = sm_store_find(&v.index, store, index_ref, err);
    else if (!s && v.verdict)
        s = find_content(&v.index, store, v.verdict, "index", err);
    if (s) {
        sm_servable_free(&v);
        return s;
    }
    *out = v;
    return SM_OK;
}

void sm_servable_free(sm_servable *s)
{
    sm_artifact_free(&s->release);
    sm_artifact_free(&s->model);
    sm_artifact_free(&s->index);
    json_decref(s->verdict);
    *s = (sm_servable){0};
}
