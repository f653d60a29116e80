/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One training step:
 *
 *   1. rows of the global batch (this rank's shards)
 *   2. forward of every micro-batch; expert counts and loss sums by shard
 *   3. global counts (integers, so any order)
 *   4. backward of every micro-batch into the fixed tree of gradients
 *   5. global norm, clip, AdamW, every row packed again as it moves, router bias
 *
 * Without an auxiliary loss 2 and 4 alternate and one micro-batch is held.  With it 3
 * must lie between them: all micro-batches are held, or forward runs again before each
 * backward.
 */
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

/* ---------------------------------------------------------------- layout */

static int n_ranks(const sm_ctx *ctx)
{
    return ctx->comm ? ctx->comm->n_ranks : 1;
}

static sm_pass_config pass_of(const train_step *t, int64_t micro_shard, int64_t n_slot)
{
    const sm_train_config *c = t->config;
    return (sm_pass_config){.model = t->model,
                            .profile = c->profile,
                            .n_seq = micro_shard * (c->n_seq / c->n_shard),
                            .n_ctx = c->n_ctx,
                            .seq_per_shard = c->n_seq / c->n_shard,
                            .n_micro = n_slot,
                            .recompute = c->recompute,
                            .backward = true,
                            .loss = c->loss};
}

/* Bytes of a pass over micro-batches of micro_shard shards, n_slot of them held. */
static sm_status measure(size_t *bytes, const train_step *t, int64_t micro_shard,
                         int64_t n_slot, sm_err *err)
{
    sm_pass_config p = pass_of(t, micro_shard, n_slot);
    return sm_pass_measure(bytes, t->ctx, &p, err);
}

/* A shape too large to be a pass does not fit either. */
static bool fits(const train_step *t, int64_t micro_shard, int64_t n_slot)
{
    size_t bytes = 0;
    sm_err ignored;
    return !measure(&bytes, t, micro_shard, n_slot, &ignored) &&
           bytes <= t->config->memory_bytes;
}

static bool has_aux(const train_step *t)
{
    return t->config->loss.aux_coef > 0 && t->config->model.n_expert > 0;
}

/* The micro-batch: as told, or the largest that fits the memory, with all of its batch held
 * where the auxiliary loss wants that and there is room. */
static int64_t choose_micro(const train_step *t)
{
    int64_t m = t->config->micro_shards;
    if (m > 0)
        return m < t->n_shard ? m : t->n_shard;
    for (m = t->n_shard; m > 0; m /= 2)
        if (fits(t, m, has_aux(t) ? t->n_shard / m : 1))
            return m;
    for (m = t->n_shard; m > 1 && !fits(t, m, 1);)
        m /= 2;
    return m;
}

/* Whether forwards run again, and so how many micro-batches are held; the bytes of it. */
static sm_status choose_slots(train_step *t, sm_err *err)
{
    bool aux = has_aux(t);
    size_t one = 0, two = 0;
    t->rerun = aux && t->n_micro > 1 && !fits(t, t->micro_shard, t->n_micro);
    t->n_slot = aux && !t->rerun ? t->n_micro : 1;
    sm_status s = measure(&one, t, t->micro_shard, 1, err);
    if (!s)
        s = measure(&two, t, t->micro_shard, 2, err);
    if (!s)
        s = measure(&t->pass_bytes, t, t->micro_shard, t->n_slot, err);
    t->slot_bytes = two - one;
    return s;
}

sm_status train_step_layout(train_step *t, const sm_ctx *ctx, const sm_train_config *c,
                            sm_model *model, sm_err *err)
{
    int ranks = n_ranks(ctx);
    *t = (train_step){.ctx = ctx, .config = c, .model = model};
    if ((ranks & (ranks - 1)) || c->n_shard % ranks)
        return sm_fail(err, SM_EINVAL,
                       "train: got %d ranks, want a power of two up to n_shard = %lld",
                       ranks, (long long)c->n_shard);
    t->n_shard = c->n_shard / ranks;
    t->n_seq = c->n_seq / ranks;
    t->micro_shard = choose_micro(t);
    t->micro_seq = t->micro_shard * (c->n_seq / c->n_shard);
    t->n_micro = t->n_shard / t->micro_shard;
    return choose_slots(t, err);
}

sm_status train_step_init(train_step *t, const sm_ctx *ctx, const sm_train_config *c,
                          const sm_token_data *data, sm_model *model, train_optim *optim,
                          sm_err *err)
{
    sm_status s = train_step_layout(t, ctx, c, model, err);
    if (s)
        return s;
    sm_pass_config p = pass_of(t, t->micro_shard, t->n_slot);
    s = sm_pass_create(&t->pass, ctx, &p, err);
    if (s)
        return s;
    t->data = data;
    t->optim = optim;
    optim->pass = t->pass;
    size_t n_pos = (size_t)t->n_seq * (size_t)c->n_ctx;
    size_t n_count = (size_t)c->model.n_layer * (size_t)c->model.n_expert;
    t->token = sm_alloc(n_pos, 3 * sizeof *t->token);
    t->stats = sm_alloc((size_t)t->n_shard, sizeof *t->stats);
    t->aux = sm_alloc((size_t)t->n_shard, sizeof *t->aux);
    t->sums = sm_alloc((size_t)t->n_shard, sizeof *t->sums);
    t->counts = n_count ? sm_alloc(n_count, sizeof *t->counts) : NULL;
    if (!t->token || !t->stats || !t->aux || !t->sums || (n_count && !t->counts))
        s = sm_fail(err, SM_ENOMEM, "train: batch of %zu tokens: out of memory", n_pos);
    if (!s)
        s = sm_tree_create(&t->tree, model->n_weight, t->n_micro, err);
    if (s) {
        train_step_fini(t);
        return s;
    }
    t->target = t->token + n_pos;
    t->doc_start = t->target + n_pos;
    return SM_OK;
}

void train_step_fini(train_step *t)
{
    sm_pass_free(t->pass);
    sm_tree_free(t->tree);
    free(t->token);
    free(t->stats);
    free(t->aux);
    free(t->sums);
    free(t->counts);
    *t = (train_step){0};
}

size_t train_step_bytes(const train_step *t)
{
    return sm_pass_bytes(t->pass) + sm_tree_bytes(t->tree) +
           (size_t)t->n_seq * (size_t)t->config->n_ctx * 3 * sizeof *t->token;
}

/* ----------------------------------------------------------------- batch */

typedef struct fill_job {
    const train_step *t;
    int64_t first_seq;
} fill_job;

static void fill_task(void *arg, ptrdiff_t i, int thread)
{
    const fill_job *j = arg;
    const train_step *t = j->t;
    int64_t at = (int64_t)i * t->config->n_ctx;
    int64_t row = sm_token_data_order(t->data, t->config->seed, j->first_seq + i);
    (void)thread;
    sm_token_data_row(t->data, row, t->token + at, t->target + at, t->doc_start + at,
                      NULL);
}

/* Fetch this rank's rows; returns its number of counted targets. */
static int64_t fill_batch(train_step *t, int64_t step)
{
    int rank = t->ctx->comm ? t->ctx->comm->rank : 0;
    fill_job j = {.t = t, .first_seq = step * t->config->n_seq + rank * t->n_seq};
    sm_trace_label(t->ctx->trace, "batch", 0, 0);
    sm_pool_run(t->ctx->pool, t->n_seq, fill_task, &j);
    int64_t n_target = 0;
    for (int64_t i = 0; i < t->n_seq * t->config->n_ctx; i++)
        n_target += t->target[i] >= 0;
    return n_target;
}

static sm_batch micro_batch(const train_step *t, int64_t micro)
{
    int64_t at = micro * t->micro_seq * t->config->n_ctx;
    return (sm_batch){.n_seq = t->micro_seq,
                      .n_ctx = t->config->n_ctx,
                      .seq_per_shard = t->micro_seq / t->micro_shard,
                      .token = t->token + at,
                      .target = t->target + at,
                      .doc_start = t->doc_start + at};
}

/* ---------------------------------------------------- forward and backward */

static int64_t n_counts(const train_step *t)
{
    return (int64_t)t->config->model.n_layer * t->config->model.n_expert;
}

static sm_status forward(train_step *t, int64_t micro, int64_t slot, int64_t *counts,
                         sm_err *err)
{
    sm_batch b = micro_batch(t, micro);
    return sm_pass_forward(t->pass, &b, slot, t->stats + micro * t->micro_shard, counts,
                           NULL, err);
}

/* For the event log: elements of a gradient. */
static double n_weights(const train_step *t)
{
    return (double)t->model->n_weight;
}

static sm_status backward(train_step *t, int64_t micro, int64_t slot, int64_t n_target,
                          sm_err *err)
{
    sm_batch b = micro_batch(t, micro);
    sm_status s = sm_pass_backward(t->pass, &b, slot, sm_tree_leaf(t->tree), t->counts,
                                   n_target, t->config->n_seq * t->config->n_ctx, err);
    sm_trace_label(t->ctx->trace, "gradient tree", n_weights(t), 12 * n_weights(t));
    if (s)
        return s;
    sm_pass_aux_loss(t->pass, t->aux + micro * t->micro_shard);
    sm_tree_add(t->tree, t->ctx);
    return SM_OK;
}

/* No term needs global counts: one micro-batch at a time. */
static sm_status alternate(train_step *t, int64_t n_target, sm_err *err)
{
    sm_status s = SM_OK;
    for (int64_t i = 0; i < t->n_micro && !s; i++) {
        s = forward(t, i, 0, t->counts, err);
        if (!s)
            s = backward(t, i, 0, n_target, err);
    }
    s = train_ranks_agree(t->ctx, s, err);
    return s ? s : train_ranks_i64(t->ctx, t->counts, n_counts(t), err);
}

/* What a backward needs of every micro-batch: its counts and, unless each forward runs
 * again, its activations. */
static sm_status count_or_forward(train_step *t, int64_t micro, sm_err *err)
{
    sm_batch b = micro_batch(t, micro);
    return t->rerun ? sm_pass_count(t->pass, &b, t->counts, err)
                    : forward(t, micro, micro, t->counts, err);
}

static sm_status forwards_first(train_step *t, int64_t n_target, sm_err *err)
{
    sm_status s = SM_OK;
    for (int64_t i = 0; i < t->n_micro && !s; i++)
        s = count_or_forward(t, i, err);
    s = train_ranks_agree(t->ctx, s, err);
    if (!s)
        s = train_ranks_i64(t->ctx, t->counts, n_counts(t), err);
    for (int64_t i = 0; i < t->n_micro && !s; i++) {
        if (t->rerun)
            s = forward(t, i, 0, NULL, err);
        if (!s)
            s = backward(t, i, t->rerun ? 0 : i, n_target, err);
    }
    return train_ranks_agree(t->ctx, s, err);
}

/* ---------------------------------------------------------------- figures */

/* Mean loss and router z-loss over the global batch, and its auxiliary loss: a tree over
 * shards, then ranks. */
static sm_status sum_stats(train_step_result *out, const train_step *t, int64_t n_target,
                           sm_err *err)
{
    double sum[3], *x = t->sums;
    for (int64_t i = 0; i < t->n_shard; i++)
        x[i] = t->stats[i].loss_sum;
    sum[0] = train_tree_f64(x, t->n_shard);
    for (int64_t i = 0; i < t->n_shard; i++)
        x[i] = t->stats[i].aux_z_sum;
    sum[1] = train_tree_f64(x, t->n_shard);
    sum[2] = train_tree_f64(t->aux, t->n_shard);
    sm_status s = train_ranks_f64(t->ctx, sum, 3, err);
    out->loss = sum[0] / (double)n_target;
    out->aux_loss = sum[2];
    out->router_z = sum[1] / ((double)t->config->n_seq * (double)t->config->n_ctx);
    return s;
}

/* Busiest and idlest expert over the MoE layers, against the mean of its layer. */
static void load_range(train_step_result *out, const train_step *t)
{
    int64_t n = t->config->model.n_expert;
    out->load_min = out->load_max = 0;
    bool first = true;
    for (int64_t l = 0; n > 0 && l < t->config->model.n_layer; l++) {
        const int64_t *count = t->counts + l * n;
        int64_t total = 0;
        for (int64_t e = 0; e < n; e++)
            total += count[e];
        for (int64_t e = 0; e < n && total > 0; e++) {
            double load = (double)count[e] * (double)n / (double)total;
            out->load_min = first || load < out->load_min ? load : out->load_min;
            out->load_max = first || load > out->load_max ? load : out->load_max;
            first = false;
        }
    }
}

/* ------------------------------------------------------------------- step */

static sm_status gradients(train_step *t, int64_t step, int64_t *n_target, sm_err *err)
{
    for (int64_t i = 0; i < n_counts(t); i++)
        t->counts[i] = 0;
    *n_target = fill_batch(t, step);
    sm_status s = train_ranks_i64(t->ctx, n_target, 1, err);
    if (s)
        return s;
    if (*n_target == 0)
        return sm_fail(err, SM_EINVAL, "train: a batch without a counted target");
    s = has_aux(t) ? forwards_first(t, *n_target, err) : alternate(t, *n_target, err);
    return s ? sm_fail_context(err, s, "step %lld: ", (long long)step + 1) : SM_OK;
}

static sm_status update(train_step_result *out, train_step *t, int64_t step, sm_err *err)
{
    const sm_train_config *c = t->config;
    float *grad = NULL;
    sm_trace_label(t->ctx->trace, "gradient tree", n_weights(t), 12 * n_weights(t));
    sm_status s = sm_tree_finish(&grad, t->tree, t->ctx, err);
    sm_trace_label(t->ctx->trace, "gradient norm", 2 * n_weights(t), 4 * n_weights(t));
    if (!s)
        s = train_grad_norm(&out->grad_norm, t->optim, t->ctx, grad, step, err);
    if (s)
        return s;
    bool clip = c->clip_norm > 0 && out->grad_norm > c->clip_norm;
    bool is_f32 = !strcmp(c->profile, "f32/1");
    float scale = clip ? (float)(c->clip_norm / out->grad_norm) : 1;
    sm_trace_label(t->ctx->trace, "optimizer", 18 * n_weights(t),
                   (is_f32 ? 36 : 32) * n_weights(t)); /* 28, and both packed forms */
    s = train_optim_step(&out->weight_norm, t->optim, t->ctx, c, t->model->weight, grad,
                         scale, step, err);
    if (s)
        return s;
    if (c->bias_rate > 0 && t->counts)
        train_bias_update(t->model->router_bias, t->counts, c->model.n_layer,
                          c->model.n_expert, c->bias_rate);
    sm_pass_pack_rest(t->pass);
    return SM_OK;
}

sm_status train_step_run(train_step_result *out, train_step *t, int64_t step, sm_err *err)
{
    int64_t n_target = 0;
    *out = (train_step_result){0};
    sm_status s = gradients(t, step, &n_target, err);
    if (!s)
        s = sum_stats(out, t, n_target, err);
    if (s)
        return s;
    if (out->loss - out->loss != 0)
        return sm_fail(err, SM_ENUMERIC, "step %lld: loss: got %g, want a finite number",
                       (long long)step + 1, out->loss);
    load_range(out, t);
    return update(out, t, step, err);
}
