/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bisection: the good model with some of the changes, made by recorded steps and measured.
 *
 * Sources of the combination: the good one's without the documents removed, and of the
 * bad one's those added.  With every change applied the dataset is the bad one's, since
 * curation does not depend on how documents are spread over sources.
 */
#include <stdlib.h>
#include <string.h>

#include "bisect.h"

/* ids removed or added by the changes that are in. */
static sm_status gather(json_t **removed, json_t **added, const bisect *b, const bool *in,
                        sm_err *err)
{
    *removed = json_object();
    *added = json_object();
    bool ok = *removed && *added;
    for (size_t i = 0; ok && i < b->list.n; i++)
        if (in[i] && b->list.at[i].kind == CHANGE_DOCUMENTS)
            ok = !json_object_update(*removed, b->list.at[i].removed) &&
                 !json_object_update(*added, b->list.at[i].added);
    return ok ? SM_OK : sm_fail(err, SM_ENOMEM, "bisect: out of memory");
}

/* {id: true} of source i's documents that are not added. */
static json_t *not_added(const origin *o, size_t i, const json_t *added)
{
    sm_document d;
    json_t *ids = json_object();
    for (size_t at = 0; ids && sm_dataset_next(o->docs[i], &at, &d);)
        if (!json_object_get(added, d.id))
            json_object_set_new(ids, d.id, json_true());
    return ids;
}

static sm_status make_sources(id_list *out, bisect *b, const bool *in, sm_err *err)
{
    json_t *removed = NULL, *added = NULL;
    sm_status s = gather(&removed, &added, b, in, err);
    for (size_t i = 0; i < b->good.n_source && !s; i++)
        s = flow_reduce(out, b->ctx, b->store, &b->good, i, removed, err);
    for (size_t i = 0; i < b->bad.n_source && !s && json_object_size(added) > 0; i++) {
        json_t *rest = not_added(&b->bad, i, added);
        s = rest ? flow_reduce(out, b->ctx, b->store, &b->bad, i, rest, err)
                 : sm_fail(err, SM_ENOMEM, "bisect: out of memory");
        json_decref(rest);
    }
    json_decref(removed);
    json_decref(added);
    return s;
}

/* The good one's recorded options, with the bad one's where a change is in. */
static sm_status make_options(json_t **out, const bisect *b, const sm_artifact *good,
                              change_kind kind, const bool *in, sm_err *err)
{
    const sm_step *step = NULL;
    sm_status s = flow_recorded_step(&step, good, err);
    if (!s && !(*out = flow_replay_options(b->store, step, good)))
        s = sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    for (size_t i = 0; i < b->list.n && !s; i++) {
        const change *c = &b->list.at[i];
        if (!in[i] || c->kind != kind)
            continue;
        if (json_is_null(c->bad)) /* unset */
            json_object_del(*out, c->name);
        else
            json_object_set(*out, c->name, c->bad);
    }
    return s;
}

static sm_status make_dataset(sm_artifact *out, bisect *b, const bool *in, sm_err *err)
{
    id_list sources = {0};
    json_t *options = NULL;
    sm_status s = make_sources(&sources, b, in, err);
    if (!s)
        s = make_options(&options, b, &b->good.dataset, CHANGE_CURATE, in, err);
    if (!s)
        s = flow_remake(out, b->ctx, b->store, "data.curate", &sources, options, NULL,
                        err);
    json_decref(options);
    free(sources.id);
    return s;
}

sm_status bisect_make(sm_artifact *out, bisect *b, const bool *in, sm_err *err)
{
    sm_artifact dataset = {0};
    json_t *options = NULL;
    sm_id id[2];
    id_list inputs = {.id = id, .n = 2};
    sm_status s = make_dataset(&dataset, b, in, err);
    if (!s)
        s = make_options(&options, b, &b->good.model, CHANGE_TRAIN, in, err);
    if (!s) {
        id[0] = dataset.content;
        id[1] = b->good.tokenizer.content;
        for (size_t i = 0; i < b->list.n; i++)
            if (in[i] && b->list.at[i].kind == CHANGE_TOKENIZER)
                id[1] = b->bad.tokenizer.content;
        s = flow_remake(out, b->ctx, b->store, "train", &inputs, options, NULL, err);
    }
    json_decref(options);
    sm_artifact_free(&dataset);
    return s;
}

/* --------------------------------------------------------------- measuring */

static sm_status read_number(double *out, const bisect *b, const sm_artifact *a,
                             const char *file, const char *const *keys, sm_err *err)
{
    char *path = NULL;
    json_t *v = NULL;
    sm_status s = sm_store_path(&path, b->store, a, file, err);
    if (!s)
        s = sm_json_load(&v, path, err);
    const json_t *at = v;
    for (size_t i = 0; keys[i]; i++)
        at = json_object_get(at, keys[i]);
    if (!s && !json_is_number(at))
        s = sm_fail(err, SM_EINVAL, "metric: %s of %.12s has no figure '%.60s'", file,
                    a->content.hex, b->config->metric);
    if (!s)
        *out = json_number_value(at);
    json_decref(v);
    free(path);
    return s;
}

/* The good one's evaluation of another model: same dataset, index, options. */
static sm_status evaluate(double *out, bisect *b, const sm_artifact *model, sm_err *err)
{
    const sm_artifact *like = &b->good_eval;
    const sm_step *step = NULL;
    id_list in = {0};
    json_t *options = NULL, *v;
    sm_artifact made = {0};
    size_t i;
    const char *keys[] = {b->config->metric, "value", NULL};
    sm_status s = flow_recorded_step(&step, like, err);
    json_array_foreach(json_object_get(like->recipe_json, "inputs"), i, v)
    {
        sm_id id = model->content;
        const char *text = json_string_value(v);
        if (text && strcmp(text, b->good.model.content.hex) != 0)
            sm_id_parse(&id, text);
        if (!s)
            s = id_list_add(&in, &id, err);
    }
    if (!s && !(options = flow_replay_options(b->store, step, like)))
        s = sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    if (!s)
        s = flow_remake(&made, b->ctx, b->store, "eval", &in, options, NULL, err);
    if (!s)
        s = read_number(out, b, &made, "figures.json", keys, err);
    sm_artifact_free(&made);
    json_decref(options);
    free(in.id);
    return s;
}

sm_status bisect_measure(double *value, bisect *b, const sm_artifact *model, sm_err *err)
{
    static const char *const loss[] = {"last", "loss", NULL};
    sm_bound_model m = {0};
    if (b->good_eval.n_file > 0)
        return evaluate(value, b, model, err);
    if (!strcmp(b->config->metric, "loss"))
        return read_number(value, b, model, "training.json", loss, err);
    if (strcmp(b->config->metric, "heldout_bpb") != 0)
        return sm_fail(err, SM_EINVAL,
                       "metric: got '%.60s', want heldout_bpb or loss of models, or two "
                       "evaluations that have the figure",
                       b->config->metric);
    if (b->texts.n == 0)
        return sm_fail(err, SM_EINVAL,
                       "metric: no document is held out by both datasets, want some or "
                       "metric loss");
    sm_status s = sm_bind_model(&m, b->ctx, b->store, model, NULL, 1, err);
    if (!s)
        s = flow_bpb(value, b->ctx, &m, &b->texts, NULL, err);
    sm_bound_model_free(&m);
    return s;
}
