/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets into steps.
 *
 *   tokens:  steps = budget / tokens a step
 *   FLOPs:   steps = budget / (FLOPs a token * tokens a step)
 *   seconds: steps = budget / seconds a step, measured with the tracks side by side as they
 *            will run
 *
 * rounded down to a multiple of `evals`, so that evaluations and rungs fall on whole steps.
 * A clock is read at most once a declaration: what came of it is in resolved.yaml.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/model.h"
#include "steps.h"
#include "tracks.h"
#include "train_options.h"

/* -------------------------------------------------------------- io of a step */

sm_status tracks_io_open(tracks_io *out, const sm_ctx *ctx, sm_store *store,
                         const tracks_file *f, const json_t *options, const char *where,
                         sm_err *err)
{
    tracks_io t = {0};
    size_t n = 0;
    const char *ref[2] = {f->in[0], f->in[1]};
    sm_status s = sm_options_resolve(&t.options, step_train.options, options, where, err);
    if (!s)
        s = flow_inputs_find(&t.input, &n, store, &step_train, ref, 2, where, err);
    if (s) {
        json_decref(t.options);
        return s;
    }
    *out = t;
    out->io = (sm_step_io){
        .ctx = ctx, .store = store, .options = t.options, .input = t.input, .n_input = n};
    return SM_OK;
}

void tracks_io_close(tracks_io *io)
{
    flow_inputs_free(io->input, io->io.n_input);
    json_decref(io->options);
    *io = (tracks_io){0};
}

/* ------------------------------------------------------------------- steps */

int64_t tracks_rung_evals(const tracks_file *f, int rung)
{
    int64_t evals = sm_opt_int(f->head, "evals"), part = 1;
    for (int i = rung + 1; i < f->rungs; i++)
        part *= f->eta;
    return (evals + part - 1) / part;
}

static int64_t steps_of(const tracks_file *f, const tracks_track *t, double budget)
{
    double per_step = f->kind == BUDGET_TOKENS ? (double)t->tok_per_step
                      : f->kind == BUDGET_FLOPS
                          ? t->flops_per_tok * (double)t->tok_per_step
                      : f->kind == BUDGET_SECONDS ? t->seconds_per_step
                                                  : 1;
    if (!(per_step > 0))
        return 0;
    double n = budget / per_step;
    int64_t steps = n > 1e9 ? 1000000000 : (int64_t)n;
    int64_t evals = sm_opt_int(f->head, "evals");
    if (steps < evals) /* too short to be divided: evaluated at its end */
        return f->rungs > 1 ? evals : steps > 0 ? steps : 1;
    return steps - steps % evals;
}

static void set_steps(tracks_file *f)
{
    for (int i = 0; i < f->n_track; i++)
        for (int b = 0; b < f->n_budget; b++)
            if (f->track[i].steps[b] == 0)
                f->track[i].steps[b] = steps_of(f, &f->track[i], f->budget[b]);
}

/* Each run is compared by what it says of held-out documents. */
static sm_status check_heldout(const tracks_io *io, const char *where, sm_err *err)
{
    const sm_artifact *set = &io->input[flow_input_of(&io->io, "dataset")];
    if (sm_opt_int(io->options, "eval_docs") == 0)
        return sm_fail(err, SM_EINVAL,
                       "%s: eval_docs: got 0, want held-out documents to compare by", where);
    for (size_t i = 0; i < set->n_file; i++)
        if (!strcmp(set->file[i].path, "heldout.jsonl") && set->file[i].bytes > 0)
            return SM_OK;
    return sm_fail(err, SM_EINVAL,
                   "%s: dataset %.12s: got no held-out documents, want some to compare by",
                   where, set->content.hex);
}

static sm_status facts_of(tracks_track *t, const tracks_file *f, const sm_ctx *ctx,
                          sm_store *store, sm_err *err)
{
    tracks_io io = {0};
    sm_train_config c;
    json_t *options = json_deep_copy(t->options);
    char where[96];
    snprintf(where, sizeof where, "track %.80s", t->name);
    json_object_set_new(options, "warmup_steps", json_integer(0)); /* fits any n_steps */
    sm_status s = tracks_io_open(&io, ctx, store, f, options, where, err);
    if (!s && (s = tracks_train_config(&c, &io.io, err)))
        sm_fail_context(err, s, "%s: ", where);
    if (!s)
        s = check_heldout(&io, where, err);
    if (!s) {
        t->n_param = sm_model_n_param(&c.model);
        t->n_active = sm_model_n_active(&c.model);
        t->flops_per_tok = sm_model_flops_per_token(&c.model, c.n_ctx);
        t->tok_per_step = c.n_seq * c.n_ctx;
        if (t->threads == 0)
            t->threads = (int)sm_opt_int(f->head, "threads");
        if (f->rungs > 1 && c.checkpoint_steps == 0)
            s = sm_fail(err, SM_EINVAL,
                        "%s: checkpoint_steps: got 0; halving goes on from checkpoints",
                        where);
    }
    tracks_io_close(&io);
    json_decref(options);
    return s;
}

sm_status tracks_facts(tracks_file *f, const sm_ctx *ctx, sm_store *store, sm_err *err)
{
    sm_status s = SM_OK;
    for (int i = 0; i < f->n_track && !s; i++)
        s = facts_of(&f->track[i], f, ctx, store, err);
    if (!s)
        set_steps(f);
    return s;
}

/* ----------------------------------------------------------- resolved.yaml */

static bool is_resolved(const tracks_file *f)
{
    for (int i = 0; i < f->n_track; i++)
        for (int b = 0; b < f->n_budget; b++)
            if (f->track[i].steps[b] == 0)
                return false;
    return true;
}

/* Steps from an earlier resolution of the same declaration. */
static void take_earlier(tracks_file *f, const sm_ctx *ctx, const char *path)
{
    tracks_file old = {0};
    sm_err err = {0};
    if (!sm_path_exists(path))
        return;
    if (tracks_read(&old, path, &err)) {
        sm_log_line(ctx->log, SM_LOG_WARN, "%s; measured again", err.msg);
        return;
    }
    bool same = !strcmp(old.of, f->of) && old.n_budget == f->n_budget;
    for (int i = 0; i < f->n_track && same; i++)
        for (int j = 0; j < old.n_track; j++)
            if (!strcmp(old.track[j].name, f->track[i].name)) {
                memcpy(f->track[i].steps, old.track[j].steps, sizeof old.track[j].steps);
                f->track[i].seconds_per_step = old.track[j].seconds_per_step;
            }
    if (!same)
        sm_log_line(ctx->log, SM_LOG_WARN, "%s is of another declaration; replaced",
                    path);
    tracks_free(&old);
}

typedef struct measuring {
    tracks_file *f;
    sm_store *store;
} measuring;

static int threads_of(void *arg, int i)
{
    return ((measuring *)arg)->f->track[i].threads;
}

static sm_status measure(void *arg, int i, tracks_job *job, sm_err *err)
{
    measuring *m = arg;
    tracks_track *t = &m->f->track[i];
    tracks_io io = {0};
    json_t *options = json_deep_copy(t->options);
    if (t->seconds_per_step > 0) {
        json_decref(options);
        return SM_OK;
    }
    json_object_set_new(options, "n_steps", json_integer(1000000000));
    json_object_set_new(options, "eval_docs", json_integer(0));
    tracks_set_label(job, t->name);
    sm_status s = tracks_io_open(&io, &job->ctx, m->store, m->f, options, t->name, err);
    if (!s)
        s = tracks_measure(&t->seconds_per_step, &io.io,
                           sm_opt_float(m->f->head, "measure_seconds"), err);
    if (!s)
        sm_log_line(job->ctx.log, SM_LOG_INFO, "%s: %.4g ms a step, %.0f tokens/s",
                    t->name, t->seconds_per_step * 1e3,
                    (double)t->tok_per_step / t->seconds_per_step);
    tracks_io_close(&io);
    json_decref(options);
    return s;
}

static sm_status measure_all(tracks_file *f, const sm_ctx *ctx, sm_store *store,
                             sm_err *err)
{
    measuring m = {f, store};
    tracks_tasks t = {.n = f->n_track,
                      .n_jobs = (int)sm_opt_int(f->head, "jobs"),
                      .arg = &m,
                      .threads = threads_of,
                      .task = measure,
                      .what = "measure"};
    sm_status s = tracks_side_by_side(ctx, &t, err);
    if (!s)
        set_steps(f);
    return s;
}

sm_status tracks_resolve(tracks_file *f, const sm_ctx *ctx, sm_store *store,
                         const char *dir, sm_err *err)
{
    sm_buf text = {0};
    char *path = sm_path_join(dir, "resolved.yaml");
    sm_status s =
        path ? sm_mkdirs(dir, err) : sm_fail(err, SM_ENOMEM, "%s: out of memory", dir);
    if (!s && !is_resolved(f))
        take_earlier(f, ctx, path);
    if (!s && !is_resolved(f))
        s = measure_all(f, ctx, store, err);
    if (!s)
        s = tracks_write(&text, f, err);
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    free(path);
    return s;
}
