/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training loop: steps, metrics, progress, checkpoints, evaluation, stop.
 *
 *        begin ──► resume? ──► step ──► report ──► save? ──► stop? ──► step ...
 *                                │                              │
 *                             SM_ENUMERIC                   SM_ECANCEL (saved)
 *
 * Invariant: the state (weights, moments, bias, step) is a pure function of config, data
 * and step; clocks and callbacks see it and never enter it.
 */
#include <stdio.h>

#include "train_internal.h"

typedef struct run {
    const sm_ctx *ctx;
    const sm_train_config *config;
    const sm_train_io *io;
    sm_model *model;
    train_optim optim;
    train_step step;
    train_state state;
    json_t *json;
    sm_train_summary summary;
    int64_t began_ns;
    int64_t saved_step; /* newest checkpoint */
} run;

/* ----------------------------------------------------------------- begin */

static sm_status check_io(const sm_train_config *c, const sm_train_io *io, sm_err *err)
{
    if (!io->data || sm_token_data_n_ctx(io->data) != c->n_ctx)
        return sm_fail(err, SM_EINVAL, "train: data: rows of %lld positions, want %lld",
                       io->data ? (long long)sm_token_data_n_ctx(io->data) : 0,
                       (long long)c->n_ctx);
    if (io->data->config.overlap_tok != 0)
        return sm_fail(err, SM_EINVAL, "train: data: overlap_tok: got %lld, want 0",
                       (long long)io->data->config.overlap_tok);
    if (io->held_out && sm_token_data_n_ctx(io->held_out) > c->model.max_ctx)
        return sm_fail(err, SM_EINVAL,
                       "train: held_out: rows of %lld positions, want up to "
                       "max_ctx = %d",
                       (long long)sm_token_data_n_ctx(io->held_out), c->model.max_ctx);
    return SM_OK;
}

/* Where checkpoints are looked for, whether or not any will be saved; NULL: nowhere. */
static const char *scratch_of(const run *r)
{
    return r->io->segment ? NULL : r->io->scratch;
}

static bool keeps_checkpoints(const run *r)
{
    return scratch_of(r) && r->config->checkpoint_steps > 0;
}

static sm_train_metrics measure(const run *r, const train_step_result *f, int64_t step,
                                int64_t ns)
{
    const sm_train_config *c = r->config;
    double tok = (double)c->n_seq * (double)c->n_ctx;
    sm_train_metrics m = {.step = step + 1,
                          .n_tok = (step + 1) * c->n_seq * c->n_ctx,
                          .epoch = (double)((step + 1) * c->n_seq) /
                                   (double)r->io->data->rows.n_row,
                          .loss = f->loss,
                          .aux_loss = f->aux_loss,
                          .router_z = f->router_z,
                          .lr = sm_train_lr(c, step),
                          .grad_norm = f->grad_norm,
                          .weight_norm = f->weight_norm,
                          .load_min = f->load_min,
                          .load_max = f->load_max};
    if (ns <= 0) /* read back from a checkpoint: no clock ran */
        return m;
    double seconds = (double)ns * 1e-9;
    m.tok_per_s = tok / seconds;
    m.step_ms = seconds * 1e3;
    m.gflops = m.tok_per_s * sm_model_flops_per_token(&c->model, c->n_ctx) * 1e-9;
    m.ceiling_frac = c->ceiling_gflops > 0 ? m.gflops / c->ceiling_gflops : 0;
    return m;
}

/* Where this call stops. */
static int64_t end_step(const run *r)
{
    return r->io->segment ? r->io->segment->to : sm_train_end(r->config);
}

static sm_status check_segment(const sm_train_config *c, const sm_train_segment *g,
                               sm_err *err)
{
    if (!g || (g->from >= 0 && g->from <= g->to && g->to <= c->n_steps &&
               (g->state_path || g->from == 0)))
        return SM_OK;
    return sm_fail(err, SM_EINVAL,
                   "train: segment: got steps %lld to %lld %s a state, want 0 <= from <= "
                   "to <= %lld",
                   (long long)g->from, (long long)g->to,
                   g->state_path ? "with" : "without", (long long)c->n_steps);
}

static sm_status resume(run *r, sm_err *err)
{
    int64_t step = 0;
    sm_status s = SM_OK;
    if (r->io->segment && r->io->segment->state_path) {
        step = r->io->segment->from;
        s = train_state_load(&r->state, r->io->segment->state_path, step, err);
    } else if (scratch_of(r)) {
        if (keeps_checkpoints(r))
            s = sm_mkdirs(r->io->scratch, err);
        if (!s)
            s = train_ckpt_resume(&step, r->io->scratch, &r->state, r->ctx, err);
    }
    s = train_ranks_agree(r->ctx, s, err);
    int64_t sum = step, ranks = r->ctx->comm ? r->ctx->comm->n_ranks : 1;
    if (!s)
        s = train_ranks_i64(r->ctx, &sum, 1, err);
    if (!s && !r->io->segment && step > sm_train_end(r->config))
        s = sm_fail(err, SM_EINVAL,
                    "train: %s has a checkpoint of step %lld, past stop_step = %lld",
                    r->io->scratch, (long long)step, (long long)sm_train_end(r->config));
    if (!s && sum != step * ranks)
        s = sm_fail(err, SM_EIO, "train: ranks see different checkpoints in %s",
                    r->io->scratch ? r->io->scratch : "segments");
    if (!s && !r->io->segment)
        s = train_announce(r->ctx, r->config, step, err);
    r->summary.resumed_step = r->saved_step = step;
    if (!s && step > 0)
        r->summary.last = measure(r, &r->state.last, step - 1, 0);
    return s;
}

static sm_status begin(run *r, sm_err *err)
{
    const sm_train_config *c = r->config;
    r->json = sm_train_config_to_json(c);
    if (!r->json)
        return sm_fail(err, SM_ENOMEM, "train: out of memory");
    json_object_del(r->json, "stop_step"); /* no part of a checkpoint's identity */
    sm_status s = sm_model_create(&r->model, &c->model, c->seed, err);
    if (!s)
        s = train_optim_init(&r->optim, r->ctx, c, r->model, err);
    if (s)
        return s;
    train_init_scale(r->model, c);
    r->state = (train_state){.model = r->model,
                             .optim = &r->optim,
                             .config = r->json,
                             .data_checksum = r->io->data->stats.checksum,
                             .n_seq = c->n_seq};
    s = train_state_name(&r->state, err);
    if (!s)
        s = resume(r, err);
    if (!s)
        s = train_step_init(&r->step, r->ctx, c, r->io->data, r->model, &r->optim, err);
    if (s)
        return s;
    r->summary.reran_forward = r->step.rerun;
    r->summary.peak_bytes = (size_t)r->model->n_weight * sizeof(float) +
                            train_optim_bytes(r->ctx, c, r->model) +
                            train_step_bytes(&r->step);
    return SM_OK;
}

static void end(run *r)
{
    train_step_fini(&r->step);
    train_optim_fini(&r->optim);
    sm_model_free(r->model);
    json_decref(r->json);
}

/* --------------------------------------------------------------- metrics */

json_t *sm_train_metrics_to_json(const sm_train_metrics *m)
{
    json_t *j = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
        "step", (json_int_t)m->step, "n_tok", (json_int_t)m->n_tok, "epoch", m->epoch,
        "loss", m->loss, "aux_loss", m->aux_loss, "router_z", m->router_z, "lr", m->lr,
        "grad_norm", m->grad_norm, "weight_norm", m->weight_norm, "load_min", m->load_min,
        "load_max", m->load_max, "tok_per_s", m->tok_per_s, "step_ms", m->step_ms,
        "gflops", m->gflops, "ceiling_frac", m->ceiling_frac);
    if (j && m->has_eval &&
        (json_object_set_new(j, "bpb", json_real(m->eval.bpb)) ||
         json_object_set_new(j, "bpb_std_err", json_real(m->eval.std_err)))) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* Short, so that all of it fits a line of 80 columns. */
static void show(const run *r, const sm_train_metrics *m)
{
    char text[120];
    size_t n = (size_t)snprintf(text, sizeof text, "loss %.3f  %.1fk tok/s", m->loss,
                                1e-3 * m->tok_per_s);
    if (m->ceiling_frac > 0)
        n += (size_t)snprintf(text + n, sizeof text - n, "  %.0f%% ceiling",
                              100 * m->ceiling_frac);
    if (m->load_max > 0)
        snprintf(text + n, sizeof text - n, "  load %.1f-%.1f", m->load_min, m->load_max);
    sm_progress_update(r->ctx->progress, "train", m->step, end_step(r), "steps", text);
}

static bool is_time(int64_t done, int64_t interval)
{
    return interval > 0 && done % interval == 0;
}

/* Rank 0 scores the held-out documents. */
static sm_status evaluate(const run *r, sm_train_metrics *m, sm_err *err)
{
    if (!r->io->held_out || (r->ctx->comm && r->ctx->comm->rank != 0))
        return SM_OK;
    sm_ctx ctx = *r->ctx; /* its operations are none of a step's */
    ctx.trace = NULL;
    sm_trace_span span = sm_trace_begin(r->ctx->trace, 0);
    sm_status s = sm_eval_bpb(&m->eval, &ctx, r->model, r->config->profile,
                              r->io->held_out, r->step.micro_seq, NULL, err);
    sm_trace_lap(&span, "evaluation", 0, 0);
    m->has_eval = s == SM_OK;
    return s;
}

/* ------------------------------------------------------------------ loop */

static sm_status save(run *r, int64_t done, sm_err *err)
{
    sm_status s = SM_OK;
    if (!keeps_checkpoints(r) || r->saved_step == done)
        return SM_OK;
    sm_trace_span span = sm_trace_begin(r->ctx->trace, 0);
    if (!r->ctx->comm || r->ctx->comm->rank == 0)
        s = train_ckpt_save(r->io->scratch, &r->state, done, r->ctx, err);
    sm_trace_lap(&span, "checkpoint", 0, 0);
    r->saved_step = done;
    return train_ranks_agree(r->ctx, s, err);
}

/* Collective also where nobody listens: on_commit is rank 0's alone. */
static sm_status commit(run *r, int64_t done, sm_err *err)
{
    sm_status s = SM_OK;
    if (r->io->on_commit && (!r->ctx->comm || r->ctx->comm->rank == 0))
        s = train_commit(r->io, &r->state, done, err);
    return train_ranks_agree(r->ctx, s, err);
}

static sm_status stop_asked(const run *r, bool *stop, sm_err *err)
{
    int64_t n = sm_stopped(r->ctx);
    sm_status s = train_ranks_i64(r->ctx, &n, 1, err);
    *stop = n > 0;
    return s;
}

/* Forward and backward, as FLOPs of a model are counted. */
static double step_flops(const sm_train_config *c)
{
    return (double)c->n_seq * (double)c->n_ctx *
           sm_model_flops_per_token(&c->model, c->n_ctx);
}

static bool is_evaluated(const run *r, int64_t done)
{
    return done == sm_train_end(r->config) || is_time(done, r->config->eval_steps);
}

/* A stop during the evaluation after a step left its figure out of what was reported, and
 * the checkpoint has the step behind it: evaluate and report that step again, on the ranks
 * that have held-out documents. */
static sm_status report_again(run *r, sm_err *err)
{
    sm_status s = SM_OK;
    int64_t done = r->summary.resumed_step;
    if (r->io->segment || done == 0 || !is_evaluated(r, done))
        return SM_OK;
    if (r->io->held_out) {
        s = evaluate(r, &r->summary.last, err);
        if (!s && r->io->on_step)
            s = r->io->on_step(r->io->self, &r->summary.last, err);
    }
    return train_ranks_agree(r->ctx, s, err);
}

/* One step and all that follows it. */
static sm_status one_step(run *r, int64_t step, sm_err *err)
{
    train_step_result f;
    sm_trace_span span = sm_trace_begin(r->ctx->trace, 0);
    sm_pool_trace(r->ctx->pool, r->ctx->trace);
    int64_t t0 = sm_clock_ns();
    sm_status s = train_step_run(&f, &r->step, step, err);
    sm_pool_trace(r->ctx->pool, NULL);
    sm_trace_lap(&span, "step", step_flops(r->config), 0);
    if (s)
        return s;
    int64_t t1 = sm_clock_ns();
    sm_train_metrics m = measure(r, &f, step, t1 - t0);
    r->summary.n_steps_run++;
    r->summary.seconds = (double)(t1 - r->began_ns) * 1e-9;
    r->state.last = f;
    if (is_evaluated(r, step + 1))
        s = evaluate(r, &m, err);
    if (s && s != SM_ECANCEL) /* a stop request leaves the figure out for now */
        return s;
    r->summary.last = m;
    show(r, &m);
    return r->io->on_step ? r->io->on_step(r->io->self, &m, err) : SM_OK;
}

static sm_status loop(run *r, sm_err *err)
{
    const sm_train_config *c = r->config;
    int64_t first = r->summary.resumed_step, end = end_step(r);
    sm_status begun = first == 0 ? commit(r, 0, err) : report_again(r, err);
    if (begun)
        return begun;
    for (int64_t step = first; step < end; step++) {
        bool stop = false, last = step + 1 == end;
        sm_status s = train_ranks_agree(r->ctx, one_step(r, step, err), err);
        if (!s && (last || is_time(step + 1, r->io->commit_steps)))
            s = commit(r, step + 1, err);
        if (!s)
            s = stop_asked(r, &stop, err);
        if (!s && (stop || last || is_time(step + 1, c->checkpoint_steps)))
            s = save(r, step + 1, err);
        if (!s && stop && !last)
            s = sm_fail(err, SM_ECANCEL,
                        "train: stopped on request after step %lld of %lld%s",
                        (long long)step + 1, (long long)end,
                        keeps_checkpoints(r)
                            ? "; a checkpoint is saved, and the same run goes on from it"
                            : "");
        if (s)
            return s;
    }
    return SM_OK;
}

/* The held-out figure of the result, when this call has not met it: the run was finished
 * before, or stopped while it was evaluated. */
static sm_status finish(run *r, sm_err *err)
{
    sm_status s = SM_OK;
    if (!r->summary.last.has_eval && !r->io->segment)
        s = evaluate(r, &r->summary.last, err);
    return train_ranks_agree(r->ctx, s, err);
}

static void summarise(run *r)
{
    sm_train_summary *s = &r->summary;
    double tok =
        (double)s->n_steps_run * (double)r->config->n_seq * (double)r->config->n_ctx;
    if (s->seconds > 0)
        s->mean_tok_per_s = tok / s->seconds;
    s->mean_gflops = s->mean_tok_per_s * 1e-9 *
                     sm_model_flops_per_token(&r->config->model, r->config->n_ctx);
}

sm_status sm_train_run(sm_model **out, sm_train_summary *summary, const sm_ctx *ctx,
                       const sm_train_config *c, const sm_train_io *io, sm_err *err)
{
    run r = {.ctx = ctx, .config = c, .io = io};
    sm_status s = sm_train_config_check(c, err);
    if (!s)
        s = check_io(c, io, err);
    if (!s)
        s = check_segment(c, io->segment, err);
    if (s)
        return s;
    unsigned saved = sm_fp_enter();
    s = begin(&r, err);
    r.began_ns = sm_clock_ns();
    if (!s)
        s = loop(&r, err);
    if (!s)
        s = finish(&r, err);
    sm_fp_leave(saved);
    summarise(&r);
    if (summary)
        *summary = r.summary;
    if (!s) {
        *out = r.model;
        r.model = NULL;
    }
    end(&r);
    return s;
}
