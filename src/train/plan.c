/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of --dry-run: what a run takes, worked out before anything is allocated; and
 * what is said of them as it begins. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

/* Share of the measured product ceiling that a step is expected to reach.  Steps of small
 * models took 0.55 to 0.6 of AVX-512's in processor time; the tile unit multiplies so fast
 * that all the rest of a step weighs more. */
static double expected_frac(const sm_ctx *ctx, const sm_train_config *c)
{
    bool tiles = ctx->kern->rung == SM_RUNG_AMX && !strcmp(c->profile, "bf16/1");
    return tiles ? 0.25 : 0.5;
}

/* Passes over the model in a step, where a forward pass is one and a backward pass two: one
 * more for each reason to run the forward pass again. */
static double n_pass(const train_step *t)
{
    return 3.0 + t->rerun + t->config->recompute;
}

static int log2_of(int64_t x)
{
    int n = 0;
    for (; x > 1; x /= 2)
        n++;
    return n;
}

static void fill_bytes(sm_train_plan *p, const train_step *t, const sm_model *m)
{
    size_t w = (size_t)m->n_weight * sizeof(float);
    p->weight_bytes = w;
    p->optimizer_bytes = train_optim_bytes(t->ctx, t->config, m);
    p->grad_bytes = w * (size_t)(log2_of(t->n_micro) + 1);
    p->activation_bytes = t->slot_bytes * (size_t)t->n_slot;
    p->packed_bytes =
        t->pass_bytes > p->activation_bytes ? t->pass_bytes - p->activation_bytes : 0;
    p->total_bytes = p->weight_bytes + p->optimizer_bytes + p->grad_bytes +
                     p->activation_bytes + p->packed_bytes;
}

sm_status sm_train_plan_make(sm_train_plan *out, const sm_ctx *ctx,
                             const sm_train_config *c, sm_err *err)
{
    sm_model *m = NULL;
    train_step t = {0};
    sm_status s = sm_train_config_check(c, err);
    if (!s)
        s = sm_model_create_shape(&m, &c->model, err);
    if (!s)
        s = train_step_layout(&t, ctx, c, m, err);
    if (!s) {
        sm_train_plan p = {.n_param = sm_model_n_param(&c->model),
                           .n_active = sm_model_n_active(&c->model),
                           .tok_per_step = c->n_seq * c->n_ctx,
                           .n_tok = c->n_seq * c->n_ctx * sm_train_end(c),
                           .flops_per_tok = sm_model_flops_per_token(&c->model, c->n_ctx),
                           .n_micro = t.n_micro,
                           .rerun_forward = t.rerun};
        p.flops = p.flops_per_tok * (double)p.n_tok;
        if (c->ceiling_gflops > 0)
            p.expected_seconds = p.flops * n_pass(&t) / 3 /
                                 (c->ceiling_gflops * 1e9 * expected_frac(ctx, c));
        fill_bytes(&p, &t, m);
        *out = p;
    }
    sm_model_free(m);
    return s;
}

/* -------------------------------------------------------------- what is said */

/* "some 1 h 05 min" for what takes more than a minute, else nothing. */
static const char *duration(char out[48], double seconds)
{
    int64_t minutes = (int64_t)(seconds / 60 + 0.5);
    *out = 0;
    if (seconds >= 60)
        snprintf(out, 48, "some %" PRId64 " h %02d min", minutes / 60,
                 (int)(minutes % 60));
    return out;
}

static void announce_new(const sm_ctx *ctx, const sm_train_plan *p, int64_t end)
{
    char time[48];
    if (*duration(time, p->expected_seconds))
        sm_log_line(
            ctx->log, SM_LOG_INFO,
            "train: %.3g M parameters active of %.3g M, %lld steps of %lld tokens: "
            "%s and %.1f GB here",
            1e-6 * (double)p->n_active, 1e-6 * (double)p->n_param, (long long)end,
            (long long)p->tok_per_step, time, 1e-9 * (double)p->total_bytes);
}

static void announce_rest(const sm_ctx *ctx, const sm_train_plan *p, int64_t done,
                          int64_t end)
{
    char time[48];
    duration(time, p->expected_seconds * (double)(end - done) / (double)end);
    sm_log_line(ctx->log, SM_LOG_INFO,
                "train: resumed from the checkpoint of step %lld of %lld%s%s",
                (long long)done, (long long)end, *time ? ": left are " : "", time);
}

/* Told to find a size that fits, and the smallest does not. */
static void warn_memory(const sm_ctx *ctx, const sm_train_config *c,
                        const sm_train_plan *p)
{
    size_t pass = p->activation_bytes + p->packed_bytes;
    if (c->micro_shards == 0 && pass > c->memory_bytes)
        sm_log_line(ctx->log, SM_LOG_WARN,
                    "train: one shard at a time takes %.0f MB of activations, packed "
                    "weights and scratch; memory_mb allows %.0f",
                    1e-6 * (double)pass, 1e-6 * (double)c->memory_bytes);
}

sm_status train_announce(const sm_ctx *ctx, const sm_train_config *c, int64_t done,
                         sm_err *err)
{
    sm_train_plan p;
    sm_status s = sm_train_plan_make(&p, ctx, c, err);
    if (s)
        return s;
    warn_memory(ctx, c, &p);
    if (done > 0)
        announce_rest(ctx, &p, done, sm_train_end(c));
    else
        announce_new(ctx, &p, sm_train_end(c));
    return SM_OK;
}
