/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counterfactuals: the model that would have been, had some documents not been there.
 *
 *   sources ──► data.filter ──► data.curate ──► [tokenizer.train] ──► train
 *               without X       same options      held fixed unless     same options
 *                                                 asked for
 *
 * Every arrow is a recorded step, so the result is an artifact like any other: lineage
 * shows where it comes from, a second call finds it made, and replay recomputes it.  The
 * documents leave before curation; a duplicate that had given way to one comes back, as it
 * would have been kept.  The split is by content, so no other document changes sides.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "without.h"

typedef struct without {
    const sm_ctx *ctx;
    sm_store *store;
    const sm_without_config *config;
    origin before;
    sm_artifact dataset, tokenizer, model; /* without the documents */
    json_t *ids;                           /* {id: true} of those left out          */
    json_t *removed; /* [{"id", "path", "title", "source", "part"}] */
} without;

/* ------------------------------------------------------------ which documents */

static bool is_id_prefix(const char *name)
{
    size_t n = strlen(name);
    return n >= 8 && n <= 32 && strspn(name, "0123456789abcdef") == n;
}

static bool is_named(const sm_document *d, const char *name)
{
    return (is_id_prefix(name) && !strncmp(d->id, name, strlen(name))) ||
           !strcmp(d->path, name) || (*d->title && !strcmp(d->title, name)) ||
           fnmatch(name, d->path, 0) == 0;
}

static const char *part_of(const json_t *parts, const char *id)
{
    const char *part = json_string_value(json_object_get(parts, id));
    return part ? part : "none";
}

/* {id: "train" | "heldout" | "rejected"} of a dataset. */
static sm_status parts_of(json_t **out, const without *w, const sm_artifact *dataset,
                          sm_err *err)
{
    static const char *const part[] = {"train", "heldout", "rejected"};
    sm_status s = SM_OK;
    *out = json_object();
    for (size_t i = 0; i < 3 && !s; i++) {
        char file[24] = "";
        sm_dataset *d = NULL;
        sm_document doc;
        memcpy(file, part[i], strlen(part[i]));
        memcpy(file + strlen(part[i]), ".jsonl", 7);
        s = flow_open_part(&d, w->ctx, w->store, dataset, file, err);
        for (size_t at = 0; !s && sm_dataset_next(d, &at, &doc);)
            json_object_set_new(*out, doc.id, json_string(part[i]));
        sm_dataset_close(d);
    }
    return s;
}

static sm_status take_named(without *w, const char *name, const json_t *parts,
                            sm_err *err)
{
    size_t n = 0;
    sm_document d;
    for (size_t i = 0; i < w->before.n_source; i++)
        for (size_t at = 0; sm_dataset_next(w->before.docs[i], &at, &d);) {
            if (!is_named(&d, name))
                continue;
            n++;
            if (json_object_get(w->ids, d.id))
                continue;
            json_object_set_new(w->ids, d.id, json_true());
            json_array_append_new(w->removed,
                                  json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", d.id,
                                            "path", d.path, "title", d.title, "source",
                                            d.source, "part", part_of(parts, d.id)));
        }
    if (n == 0)
        return sm_fail(err, SM_ENOENT,
                       "no document of the model's sources has the id, path or title "
                       "'%.200s', and no path matches it",
                       name);
    return SM_OK;
}

static sm_status find_documents(without *w, sm_err *err)
{
    json_t *parts = NULL;
    w->ids = json_object();
    w->removed = json_array();
    sm_status s = parts_of(&parts, w, &w->before.dataset, err);
    for (size_t i = 0; i < w->config->n_document && !s; i++)
        s = take_named(w, w->config->document[i], parts, err);
    json_decref(parts);
    return s;
}

/* ---------------------------------------------------------------- remaking */

/* The recorded options of an artifact's step. */
static sm_status options_of(json_t **out, const without *w, const sm_artifact *a,
                            sm_err *err)
{
    const sm_step *step = NULL;
    sm_status s = flow_recorded_step(&step, a, err);
    if (!s && !(*out = flow_replay_options(w->store, step, a)))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    return s;
}

static sm_status remake_like(sm_artifact *out, const without *w, const sm_artifact *like,
                             const id_list *in, const char *ref, sm_err *err)
{
    json_t *options = NULL;
    const char *step = json_string_value(json_object_get(like->recipe_json, "step"));
    sm_status s = options_of(&options, w, like, err);
    if (!s)
        s = flow_remake(out, w->ctx, w->store, step, in, options, ref, err);
    json_decref(options);
    return s;
}

static sm_status remake_dataset(without *w, sm_err *err)
{
    id_list left = {0};
    sm_status s = SM_OK;
    for (size_t i = 0; i < w->before.n_source && !s; i++)
        s = flow_reduce(&left, w->ctx, w->store, &w->before, i, w->ids, err);
    if (!s && left.n == 0)
        s = sm_fail(err, SM_EINVAL, "no document is left to train on");
    if (!s)
        s = remake_like(&w->dataset, w, &w->before.dataset, &left, NULL, err);
    free(left.id);
    return s;
}

static sm_status remake_tokenizer(without *w, sm_err *err)
{
    const sm_artifact *t = &w->before.tokenizer;
    const json_t *inputs = json_object_get(t->recipe_json, "inputs");
    const char *from = json_string_value(json_array_get(inputs, 0));
    id_list in = {.id = &w->dataset.content, .n = 1};
    if (!w->config->retrain_tokenizer)
        return sm_store_find(&w->tokenizer, w->store, t->content.hex, err);
    if (!from || strcmp(from, w->before.dataset.content.hex) != 0)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "tokenizer %.12s was not trained on the model's dataset, so there "
                       "is nothing to retrain it on",
                       t->content.hex);
    return remake_like(&w->tokenizer, w, t, &in, NULL, err);
}

static sm_status remake(without *w, sm_err *err)
{
    sm_status s = remake_dataset(w, err);
    if (!s)
        s = remake_tokenizer(w, err);
    id_list in = {0};
    if (!s)
        s = id_list_add(&in, &w->dataset.content, err);
    if (!s)
        s = id_list_add(&in, &w->tokenizer.content, err);
    if (!s)
        s = remake_like(&w->model, w, &w->before.model, &in, w->config->as, err);
    free(in.id);
    return s;
}

/* --------------------------------------------------------------- comparing */

/* Documents that went from one part of the dataset to another, or came back. */
static sm_status compare_datasets(json_t **out, const without *w, sm_err *err)
{
    json_t *a = NULL, *b = NULL, *v, *list = json_array();
    const char *id;
    sm_status s = parts_of(&a, w, &w->before.dataset, err);
    if (!s)
        s = parts_of(&b, w, &w->dataset, err);
    json_object_foreach(b, id, v)
    {
        if (strcmp(part_of(a, id), json_string_value(v)) != 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "id", id, "before",
                                                  part_of(a, id), "after", v));
    }
    json_decref(a);
    json_decref(b);
    *out = list;
    return s;
}

/* Bits per byte on the held-out documents of both, and on the documents left out. */
static sm_status compare_scores(json_t *report, const without *w, const sm_bound_model *a,
                                const sm_bound_model *b, sm_err *err)
{
    sm_dataset *x = NULL, *y = NULL;
    json_t *ids = NULL, *v = NULL;
    text_set common = {0}, gone = {0};
    sm_status s =
        flow_open_part(&x, w->ctx, w->store, &w->before.dataset, "heldout.jsonl", err);
    if (!s)
        s = flow_open_part(&y, w->ctx, w->store, &w->dataset, "heldout.jsonl", err);
    if (!s)
        s = flow_ids_of(&ids, y, err);
    if (!s)
        s = text_set_of(&common, x, ids, w->config->heldout_docs, err);
    if (!s && common.n > 0) {
        s = flow_compare_bpb(&v, w->ctx, a, b, &common, err);
        if (!s)
            json_object_set_new(report, "heldout_bpb", v);
    }
    json_t *each = json_array();
    for (size_t i = 0; i < w->before.n_source && !s; i++) {
        s = text_set_of(&gone, w->before.docs[i], w->ids, SIZE_MAX, err);
        if (!s && gone.n > 0) {
            s = flow_compare_bpb(&v, w->ctx, a, b, &gone, err);
            if (!s)
                json_array_append_new(each, v);
        }
        text_set_free(&gone);
    }
    json_object_set_new(report, "removed_bpb", each); /* one a source that lost some */
    text_set_free(&common);
    json_decref(ids);
    sm_dataset_close(x);
    sm_dataset_close(y);
    return s;
}

static sm_status complete(json_t **out, const sm_bound_model *m, const char *prompt,
                          int32_t n_tok, sm_err *err)
{
    sm_sampling greedy = SM_SAMPLING_DEFAULT;
    sm_buf text = {0};
    greedy.temperature = 0;
    greedy.max_tokens = n_tok;
    sm_status s =
        sm_engine_complete(m->engine, prompt, strlen(prompt), &greedy, &text, NULL, err);
    if (!s && !(*out = flow_clean_string(&text)))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    sm_buf_free(&text);
    return s;
}

/* The best passage and the answer from it, by words alone. */
static sm_status ask(json_t **out, const without *w, const sm_artifact *dataset,
                     const char *question, sm_err *err)
{
    id_list in = {.id = (sm_id *)(uintptr_t)&dataset->content, .n = 1};
    sm_artifact index = {0};
    sm_index *x = NULL;
    sm_rank rank = SM_RANK_DEFAULT;
    sm_hit hit;
    int32_t n = 0;
    sm_buf text = {0};
    sm_status s = flow_remake(&index, w->ctx, w->store, "index", &in, NULL, NULL, err);
    if (!s)
        s = sm_bind_index(&x, w->store, &index, true, false, err);
    if (!s)
        s = sm_index_search(x, question, &rank, NULL, &hit, 1, &n, err);
    sm_buf_puts(&text, "");
    if (!s && n > 0) {
        sm_passage p = sm_index_passage(x, hit.passage);
        sm_index_extract_answer(&text, &p, question);
        sm_buf_printf(&text, " [%s, %s]", p.title, p.path);
    }
    if (!s && !(*out = flow_clean_string(&text)))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    sm_buf_free(&text);
    sm_index_close(x);
    sm_artifact_free(&index);
    return s;
}

static sm_status add_answer(json_t *list, const char *key, const char *what,
                            json_t *before, json_t *after, sm_err *err)
{
    json_t *v = json_pack("{s:s, s:O, s:O, s:b}", key, what, "before", before, "after",
                          after, "changed", !json_equal(before, after));
    return v && !json_array_append_new(list, v)
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "out of memory");
}

static sm_status compare_answers(json_t *report, const without *w,
                                 const sm_bound_model *a, const sm_bound_model *b,
                                 sm_err *err)
{
    json_t *list = json_array();
    sm_status s = SM_OK;
    for (size_t i = 0; i < w->config->n_prompt && !s; i++) {
        const char *prompt = w->config->prompt[i];
        json_t *x = NULL, *y = NULL;
        s = complete(&x, a, prompt, w->config->max_tokens, err);
        if (!s)
            s = complete(&y, b, prompt, w->config->max_tokens, err);
        if (!s)
            s = add_answer(list, "prompt", prompt, x, y, err);
        json_decref(x);
        json_decref(y);
    }
    for (size_t i = 0; i < w->config->n_ask && !s; i++) {
        const char *question = w->config->ask[i];
        json_t *x = NULL, *y = NULL;
        s = ask(&x, w, &w->before.dataset, question, err);
        if (!s)
            s = ask(&y, w, &w->dataset, question, err);
        if (!s)
            s = add_answer(list, "question", question, x, y, err);
        json_decref(x);
        json_decref(y);
    }
    json_object_set_new(report, "answers", list);
    return s;
}

static sm_status final_loss(double *out, const without *w, const sm_artifact *model,
                            sm_err *err)
{
    char *path = NULL;
    json_t *v = NULL;
    sm_status s = sm_store_path(&path, w->store, model, "training.json", err);
    if (!s)
        s = sm_json_load(&v, path, err);
    const json_t *loss = json_object_get(json_object_get(v, "last"), "loss");
    if (!s && !json_is_number(loss))
        s = sm_fail(err, SM_ECORRUPT, "%s: last.loss: want a number", path);
    *out = json_number_value(loss);
    json_decref(v);
    free(path);
    return s;
}

static sm_status compare(json_t *report, const without *w, sm_err *err)
{
    sm_bound_model a = {0}, b = {0};
    json_t *v = NULL;
    double x = 0, y = 0;
    sm_status s = final_loss(&x, w, &w->before.model, err);
    if (!s)
        s = final_loss(&y, w, &w->model, err);
    if (!s)
        s = sm_bind_model(&a, w->ctx, w->store, &w->before.model, NULL, 1, err);
    if (!s)
        s = sm_bind_model(&b, w->ctx, w->store, &w->model, NULL, 1, err);
    if (!s)
        s = compare_datasets(&v, w, err);
    if (!s)
        json_object_set_new(report, "moved", v);
    if (!s)
        s = flow_compare_weights(&v, a.model, b.model, err);
    if (!s) {
        json_object_set_new(report, "weights", v);
        json_object_set_new(
            report, "loss",
            json_pack("{s:f, s:f, s:f}", "before", x, "after", y, "difference", y - x));
        s = compare_scores(report, w, &a, &b, err);
    }
    if (!s)
        s = compare_answers(report, w, &a, &b, err);
    sm_bound_model_free(&a);
    sm_bound_model_free(&b);
    return s;
}

sm_status sm_flow_without(json_t **report, const sm_ctx *ctx, sm_store *store,
                          const char *ref, const sm_without_config *c, sm_err *err)
{
    without w = {.ctx = ctx, .store = store, .config = c};
    json_t *v = NULL;
    sm_status s = c->as ? sm_ref_check(c->as, err) : SM_OK;
    if (!s)
        s = origin_open(&w.before, ctx, store, ref, err);
    if (!s)
        s = find_documents(&w, err);
    if (!s)
        s = remake(&w, err);
    if (!s && !(v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "before",
                              w.before.model.content.hex, "after", w.model.content.hex,
                              "dataset_before", w.before.dataset.content.hex,
                              "dataset_after", w.dataset.content.hex, "tokenizer",
                              c->retrain_tokenizer ? "retrained" : "held", "same",
                              !strcmp(w.before.model.content.hex, w.model.content.hex),
                              "removed", w.removed)))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = compare(v, &w, err);
    if (s)
        sm_fail_context(err, s, "without: ");
    else
        *report = json_incref(v);
    json_decref(v);
    origin_free(&w.before);
    sm_artifact_free(&w.dataset);
    sm_artifact_free(&w.tokenizer);
    sm_artifact_free(&w.model);
    json_decref(w.ids);
    json_decref(w.removed);
    return s;
}
