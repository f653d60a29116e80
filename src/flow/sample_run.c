/* SPDX-License-Identifier: Apache-2.0 */
/* Audit by sampling: what is recomputed, and what it is compared with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "curve.h"
#include "sample.h"

/* One run of training steps under audit. */
typedef struct watch {
    audit *a;
    size_t from; /* index of the state it began from; earlier ones are not compared */
    bool failed; /* a finding was noted: go no further */
} watch;

static size_t index_of(const audit *a, int64_t step)
{
    const chain_header *h = &a->chain.header;
    return (size_t)((step + h->commit_steps - 1) / h->commit_steps);
}

/* The first tensor in which a recomputed state and the kept one differ. */
static json_t *differing_tensor(const audit *a, size_t i, const sm_train_commit *c)
{
    char *path = NULL;
    sm_safetensors *f = NULL;
    json_t *out = NULL;
    if (a->states.n_file == 0 || audit_state_path(&path, a, i, NULL) ||
        sm_safetensors_open(&f, path, NULL)) {
        free(path);
        return NULL;
    }
    for (size_t k = 0; k < c->n_tensor && !out; k++) {
        const sm_tensor_entry *t = sm_safetensors_find(f, c->tensor[k].name);
        if (!t || t->bytes != c->tensor[k].bytes ||
            memcmp(t->data, c->tensor[k].data, t->bytes) != 0)
            out = json_pack("{s:s}", "tensor", c->tensor[k].name);
    }
    sm_safetensors_close(f);
    free(path);
    return out;
}

/* NULL when a state is the one committed to, else what it should have been; *got what it
 * is. */
static const char *differing_hash(const char **got, const chain_state *want,
                                  const chain_state *have)
{
    bool same = !strcmp(want->state.hex, have->state.hex);
    *got = same ? have->weights.hex : have->state.hex;
    const char *wanted = same ? want->weights.hex : want->state.hex;
    return strcmp(wanted, *got) != 0 ? wanted : NULL;
}

static sm_status compare_state(void *self, const sm_train_commit *c, sm_err *err)
{
    watch *w = self;
    audit *a = w->a;
    size_t i = index_of(a, c->step);
    const chain_state *want = &a->chain.at[i];
    chain_state got = {0};
    const char *wanted = NULL, *found = NULL;
    if (c->step > 0 && i == w->from)
        return SM_OK;
    sm_status s =
        chain_hash(&got, a->ctx, &a->chain.header, c->step, c->tensor, c->n_tensor, err);
    if (!s && !(wanted = differing_hash(&found, want, &got)))
        return SM_OK;
    if (!s)
        s = audit_finding(a, c->step == 0 ? "initial state" : "segment", c->step, wanted,
                          found, differing_tensor(a, i, c), err);
    w->failed = true;
    return s ? s : sm_fail(err, SM_EDENIED, "differs");
}

static sm_status compare_curve(void *self, const sm_train_metrics *m, sm_err *err)
{
    watch *w = self;
    json_t *v = curve_line(m);
    sm_buf got = {0}, want = {0};
    sm_status s =
        v ? sm_json_canonical(&got, v, err)
          : sm_fail(err, SM_ENUMERIC, "sample: step %lld: a figure that is not finite",
                    (long long)m->step);
    const json_t *line = json_array_get(w->a->curve, (size_t)m->step - 1);
    if (!s)
        s = line ? sm_json_canonical(&want, line, err)
            : sm_buf_puts(&want, "no line")
                ? SM_OK
                : sm_fail(err, SM_ENOMEM, "sample: out of memory");
    if (!s && strcmp(want.data, got.data) != 0)
        s = audit_finding(w->a, "curve", m->step, want.data, got.data, NULL, err);
    json_decref(v);
    sm_buf_free(&got);
    sm_buf_free(&want);
    return s;
}

/* Run steps from..to; *model may be NULL.  A difference is a finding, not an error. */
static sm_status run_steps(audit *a, const sm_train_segment *g, int64_t commit_steps,
                           sm_model **model, sm_err *err)
{
    sm_model *made = NULL;
    watch w = {.a = a, .from = index_of(a, g->from)};
    sm_train_io io = {.data = a->m.data,
                      .on_step = compare_curve,
                      .self = &w,
                      .on_commit = compare_state,
                      .commit_self = &w,
                      .commit_steps = commit_steps,
                      .segment = g};
    sm_status s = sm_train_run(&made, NULL, a->ctx, &a->m.config, &io, err);
    if (w.failed && s == SM_EDENIED)
        s = SM_OK;
    if (model)
        *model = made;
    else
        sm_model_free(made);
    return s;
}

/* ----------------------------------------------------------------- the ends */

static sm_status check_kept_states(audit *a, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; a->states.n_file > 0 && i < a->chain.n && !s; i++) {
        const chain_state *want = &a->chain.at[i];
        chain_state got = {0};
        const char *wanted = want->state.hex, *found = NULL;
        sm_err why = {0};
        char *path = NULL;
        s = audit_state_path(&path, a, i, &why);
        if (!s)
            s = chain_hash_file(&got, a->ctx, &a->chain.header, want->step, path, &why);
        free(path);
        if (s == SM_ENOMEM)
            return sm_fail(err, s, "%s", why.msg);
        if (s || (wanted = differing_hash(&found, want, &got)))
            s = audit_finding(a, "kept state", want->step, wanted, s ? why.msg : found,
                              NULL, err);
        sm_progress_update(a->ctx->progress, "check states", (int64_t)i + 1,
                           (int64_t)a->chain.n, "states", "");
        if (sm_stopped(a->ctx))
            return sm_fail(err, SM_ECANCEL, "sample: stopped on request");
    }
    return s;
}

/* A model saved in 16 bits: the last kept state saved in the same way. */
static sm_status hash_saved(sm_id *got, sm_id *want, audit *a, sm_err *err)
{
    char *dir = NULL, *path = NULL, *kept = NULL;
    sm_model *end = NULL;
    int64_t n = a->chain.header.n_steps;
    sm_status s = audit_state_path(&kept, a, a->chain.n - 1, err);
    sm_train_segment g = {.state_path = kept, .from = n, .to = n};
    *got = (sm_id){0}; /* a model without the file has no hash, which is a finding */
    if (!s)
        s = run_steps(a, &g, 0, &end, err);
    if (!s)
        s = flow_temporary(&dir, "sample", err);
    if (!s)
        s = sm_model_save(end, dir, SM_BF16, err);
    if (!s && !(path = sm_path_join(dir, "model.safetensors")))
        s = sm_fail(err, SM_ENOMEM, "sample: out of memory");
    if (!s)
        s = sm_id_of_file(want, path, err);
    for (size_t i = 0; i < a->model.n_file && !s; i++)
        if (!strcmp(a->model.file[i].path, "model.safetensors"))
            *got = a->model.file[i].object;
    if (dir)
        sm_remove_tree(dir, NULL);
    sm_model_free(end);
    free(dir);
    free(kept);
    free(path);
    return s;
}

static sm_status hash_weights(sm_id *got, audit *a, sm_err *err)
{
    char *config = NULL, *weights = NULL;
    sm_model *m = NULL;
    sm_status s = sm_store_path(&config, a->store, &a->model, "config.json", err);
    if (!s)
        s = sm_store_path(&weights, a->store, &a->model, "model.safetensors", err);
    if (!s)
        s = sm_model_load(&m, config, weights, err);
    if (!s)
        s = chain_hash_model(got, a->ctx, m, err);
    sm_model_free(m);
    free(config);
    free(weights);
    return s;
}

/* The chain must end at the weights that the artifact holds. */
static sm_status check_weights(audit *a, const char **end, sm_err *err)
{
    sm_id got = {0}, want = a->chain.at[a->chain.n - 1].weights;
    bool is_bf16 = !strcmp(sm_opt_str(a->options, "save_type"), "bf16");
    sm_status s = SM_OK;
    *end = "same";
    if (!is_bf16) {
        s = hash_weights(&got, a, err);
    } else if (a->states.n_file > 0 && json_array_size(a->findings) == 0) {
        s = hash_saved(&got, &want, a, err);
    } else { /* 16 bits do not say which 32 they were */
        *end = "not checked";
        return SM_OK;
    }
    if (!s && strcmp(got.hex, want.hex) != 0) {
        *end = "differs";
        s = audit_finding(a, "weights of the artifact", a->chain.header.n_steps, want.hex,
                          got.hex, NULL, err);
    }
    return s;
}

sm_status audit_ends(audit *a, const char **end, sm_err *err)
{
    sm_train_segment start = {.from = 0, .to = 0};
    sm_status s = run_steps(a, &start, 0, NULL, err);
    if (!s)
        s = check_kept_states(a, err);
    return s ? s : check_weights(a, end, err);
}

/* ------------------------------------------------------------- the segments */

static sm_status run_from_state(audit *a, size_t i, sm_err *err)
{
    char *path = NULL;
    sm_train_segment g = {.from = a->chain.at[i].step, .to = a->chain.at[i + 1].step};
    sm_status s = i > 0 ? audit_state_path(&path, a, i, err) : SM_OK;
    g.state_path = path;
    if (!s)
        s = run_steps(a, &g, 0, NULL, err);
    free(path);
    return s;
}

/* A state that is not the one committed to is no place to begin from. */
static bool has_bad_state(const audit *a, int64_t step)
{
    size_t i;
    json_t *v;
    json_array_foreach(a->findings, i, v)
    {
        const char *what = json_string_value(json_object_get(v, "what"));
        if (what && !strcmp(what, "kept state") &&
            json_integer_value(json_object_get(v, "step")) == step)
            return true;
    }
    return false;
}

sm_status audit_segments(audit *a, int64_t *n_steps, sm_err *err)
{
    sm_status s = SM_OK;
    size_t n = a->chain.n - 1, last = 0;
    *n_steps = 0;
    for (size_t i = 0; i < n; i++)
        last = a->sampled[i] ? i : last;
    if (a->states.n_file == 0) {
        sm_train_segment g = {.from = 0, .to = a->chain.at[last + 1].step};
        *n_steps = g.to;
        return run_steps(a, &g, a->chain.header.commit_steps, NULL, err);
    }
    for (size_t i = 0; i < n && !s; i++) {
        if (!a->sampled[i] || has_bad_state(a, a->chain.at[i].step))
            continue;
        *n_steps += a->chain.at[i + 1].step - a->chain.at[i].step;
        s = run_from_state(a, i, err);
    }
    return s;
}
