/* SPDX-License-Identifier: Apache-2.0 */
/* Bisection: the differences of two models' recipes, options one by one, documents in
 * groups. */
#include <stdlib.h>
#include <string.h>

#include "bisect.h"

static void change_free(change *c)
{
    free(c->name);
    json_decref(c->good);
    json_decref(c->bad);
    json_decref(c->removed);
    json_decref(c->added);
}

void change_list_free(change_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        change_free(&l->at[i]);
    free(l->at);
    *l = (change_list){0};
}

/* Append an empty change; NULL when out of memory. */
static change *add_change(change_list *l, change_kind kind, const char *name)
{
    change *more = sm_realloc(l->at, l->n + 1, sizeof *more);
    char *copy = sm_strdup(name);
    if (more)
        l->at = more;
    if (!more || !copy) {
        free(copy);
        return NULL;
    }
    l->at[l->n] = (change){.kind = kind, .name = copy};
    return &l->at[l->n++];
}

static sm_status no_memory(sm_err *err)
{
    return sm_fail(err, SM_ENOMEM, "bisect: out of memory");
}

/* ----------------------------------------------------------------- options */

static sm_status resolved_options(json_t **out, const bisect *b, const sm_artifact *a,
                                  const sm_step **step, sm_err *err)
{
    sm_status s = flow_recorded_step(step, a, err);
    json_t *given = s ? NULL : flow_replay_options(b->store, *step, a);
    if (!s)
        s = sm_options_resolve(out, (*step)->options, given, "bisect", err);
    json_decref(given);
    return s;
}

static bool same_text(const json_t *x, const json_t *y)
{
    sm_buf a = {0}, b = {0};
    bool same = !sm_json_canonical(&a, x, NULL) && !sm_json_canonical(&b, y, NULL) &&
                a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    sm_buf_free(&a);
    sm_buf_free(&b);
    return same;
}

static sm_status diff_options(bisect *b, change_kind kind, const sm_artifact *good,
                              const sm_artifact *bad, sm_err *err)
{
    json_t *x = NULL, *y = NULL;
    const sm_step *step = NULL;
    sm_status s = resolved_options(&x, b, good, &step, err);
    if (!s)
        s = resolved_options(&y, b, bad, &step, err);
    for (const sm_option *o = step ? step->options : NULL; !s && o && o->key; o++) {
        json_t *v = json_object_get(x, o->key), *w = json_object_get(y, o->key);
        if (!o->affects_result || same_text(v, w))
            continue;
        change *c = add_change(&b->list, kind, o->key);
        if (!c) {
            s = no_memory(err);
        } else {
            c->good = json_incref(v);
            c->bad = json_incref(w);
        }
    }
    json_decref(x);
    json_decref(y);
    return s;
}

/* --------------------------------------------------------------- documents */

static sm_status all_ids(json_t **out, const origin *o, sm_err *err)
{
    sm_document d;
    *out = json_object();
    for (size_t i = 0; *out && i < o->n_source; i++)
        for (size_t at = 0; sm_dataset_next(o->docs[i], &at, &d);)
            json_object_set_new(*out, d.id, json_true());
    return *out ? SM_OK : no_memory(err);
}

/* The package, or source and directory. */
static bool group_name(sm_buf *out, const sm_document *d)
{
    const char *slash = strrchr(d->path, '/');
    if (*d->package)
        return sm_buf_puts(out, d->package);
    return sm_buf_printf(out, "%s:%.*s", d->source, slash ? (int)(slash - d->path) : 0,
                         d->path);
}

static change *group_of(change_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].kind == CHANGE_DOCUMENTS && !strcmp(l->at[i].name, name))
            return &l->at[i];
    change *c = add_change(l, CHANGE_DOCUMENTS, name);
    if (c && (!(c->removed = json_object()) || !(c->added = json_object())))
        return NULL;
    return c;
}

/* Documents of `o` that the other one lacks, into their groups. */
static sm_status diff_side(bisect *b, const origin *o, const json_t *others, bool is_bad,
                           sm_err *err)
{
    sm_document d;
    for (size_t i = 0; i < o->n_source; i++)
        for (size_t at = 0; sm_dataset_next(o->docs[i], &at, &d);) {
            sm_buf name = {0};
            if (json_object_get(others, d.id))
                continue;
            change *c = group_name(&name, &d) ? group_of(&b->list, name.data) : NULL;
            sm_buf_free(&name);
            if (!c || json_object_set_new(is_bad ? c->added : c->removed, d.id,
                                          json_string(d.path)))
                return no_memory(err);
        }
    return SM_OK;
}

static sm_status diff_documents(bisect *b, sm_err *err)
{
    json_t *x = NULL, *y = NULL;
    sm_status s = all_ids(&x, &b->good, err);
    if (!s)
        s = all_ids(&y, &b->bad, err);
    if (!s)
        s = diff_side(b, &b->good, y, false, err);
    if (!s)
        s = diff_side(b, &b->bad, x, true, err);
    json_decref(x);
    json_decref(y);
    return s;
}

/* ----------------------------------------------------------------- splitting */

static sm_status split_side(change_list *out, const json_t *ids, bool is_bad, sm_err *err)
{
    const char *id;
    json_t *path;
    json_object_foreach((json_t *)(uintptr_t)ids, id, path)
    {
        change *c = group_of(out, json_string_value(path));
        if (!c || json_object_set(is_bad ? c->added : c->removed, id, path))
            return no_memory(err);
    }
    return SM_OK;
}

sm_status bisect_split(change_list *out, const bisect *b, const bool *in, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < b->list.n && !s; i++) {
        const change *c = &b->list.at[i];
        if (!in[i])
            continue;
        if (c->kind == CHANGE_DOCUMENTS) {
            s = split_side(out, c->removed, false, err);
            if (!s)
                s = split_side(out, c->added, true, err);
            continue;
        }
        change *copy = add_change(out, c->kind, c->name);
        if (!copy)
            return no_memory(err);
        copy->good = json_incref(c->good);
        copy->bad = json_incref(c->bad);
    }
    return s;
}

/* ------------------------------------------------------------------ opening */

/* An evaluation stands for its model. */
static sm_status open_side(origin *o, sm_artifact *eval, const bisect *b, const char *ref,
                           sm_err *err)
{
    sm_artifact a = {0};
    sm_status s = sm_store_find(&a, b->store, ref, err);
    size_t i;
    json_t *v;
    if (s || strcmp(a.kind, "evaluation") != 0) {
        sm_artifact_free(&a);
        return s ? s : origin_open(o, b->ctx, b->store, ref, err);
    }
    *eval = a;
    json_array_foreach(json_object_get(a.recipe_json, "inputs"), i, v)
    {
        sm_artifact m = {0};
        s = sm_store_find(&m, b->store, json_string_value(v), err);
        bool is_model = !s && !strcmp(m.kind, "model");
        sm_artifact_free(&m);
        if (s || is_model)
            return s ? s : origin_open(o, b->ctx, b->store, json_string_value(v), err);
    }
    return sm_fail(err, SM_EUNSUPPORTED, "%s: its recipe names no model", ref);
}

/* The documents that both hold out, as the good one has them. */
static sm_status open_texts(bisect *b, sm_err *err)
{
    sm_dataset *other = NULL;
    json_t *ids = NULL;
    sm_status s = flow_open_part(&b->heldout, b->ctx, b->store, &b->good.dataset,
                                 "heldout.jsonl", err);
    if (!s)
        s = flow_open_part(&other, b->ctx, b->store, &b->bad.dataset, "heldout.jsonl",
                           err);
    if (!s)
        s = flow_ids_of(&ids, other, err);
    if (!s)
        s = text_set_of(&b->texts, b->heldout, ids, b->config->heldout_docs, err);
    json_decref(ids);
    sm_dataset_close(other);
    return s;
}

sm_status bisect_open(bisect *b, const char *good, const char *bad, sm_err *err)
{
    b->history = json_array();
    b->seen = json_object();
    sm_status s = open_side(&b->good, &b->good_eval, b, good, err);
    if (!s)
        s = open_side(&b->bad, &b->bad_eval, b, bad, err);
    if (!s && (b->good_eval.n_file > 0) != (b->bad_eval.n_file > 0))
        s = sm_fail(err, SM_EINVAL, "got a model and an evaluation, want two of a kind");
    if (!s)
        s = diff_options(b, CHANGE_TRAIN, &b->good.model, &b->bad.model, err);
    if (!s)
        s = diff_options(b, CHANGE_CURATE, &b->good.dataset, &b->bad.dataset, err);
    if (!s && strcmp(b->good.tokenizer.content.hex, b->bad.tokenizer.content.hex) != 0 &&
        !add_change(&b->list, CHANGE_TOKENIZER, "tokenizer"))
        s = no_memory(err);
    if (!s)
        s = diff_documents(b, err);
    if (!s && b->list.n == 0)
        s = sm_fail(err, SM_EINVAL, "%s and %s do not differ in options or documents",
                    good, bad);
    return s ? s : open_texts(b, err);
}

void bisect_close(bisect *b)
{
    change_list_free(&b->list);
    text_set_free(&b->texts);
    sm_dataset_close(b->heldout);
    origin_free(&b->good);
    origin_free(&b->bad);
    sm_artifact_free(&b->good_eval);
    sm_artifact_free(&b->bad_eval);
    json_decref(b->history);
    json_decref(b->seen);
}
