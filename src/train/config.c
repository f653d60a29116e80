/* SPDX-License-Identifier: Apache-2.0 */
/* The training configuration: check, canonical JSON, and the learning-rate schedule. */
#include <stdio.h>
#include <string.h>

#include "smelt/tensor.h"
#include "train_internal.h"

static bool is_power_of_two(int64_t x)
{
    return x > 0 && (x & (x - 1)) == 0;
}

static sm_status check_range(const char *field, double got, double min, double max,
                             sm_err *err)
{
    if (got >= min && got <= max)
        return SM_OK;
    return sm_fail(err, SM_EINVAL, "train: %s: got %g, want %g..%g", field, got, min,
                   max);
}

static sm_status check_batch(const sm_train_config *c, sm_err *err)
{
    if (c->n_ctx < 2 || c->n_ctx > c->model.max_ctx)
        return sm_fail(err, SM_EINVAL, "train: n_ctx: got %lld, want 2..%d (max_ctx)",
                       (long long)c->n_ctx, c->model.max_ctx);
    if (c->n_seq < 1 || c->n_seq > 1 << 20)
        return sm_fail(err, SM_EINVAL, "train: n_seq: got %lld, want 1..1048576",
                       (long long)c->n_seq);
    if (!is_power_of_two(c->n_shard) || c->n_seq % c->n_shard)
        return sm_fail(err, SM_EINVAL,
                       "train: n_shard: got %lld, want a power of two that divides n_seq "
                       "= %lld",
                       (long long)c->n_shard, (long long)c->n_seq);
    if (c->n_seq / c->n_shard * c->n_ctx % SM_TOKEN_BLOCK)
        return sm_fail(
            err, SM_EINVAL,
            "train: n_ctx: a shard has %lld * %lld tokens, want a multiple of %d",
            (long long)(c->n_seq / c->n_shard), (long long)c->n_ctx, SM_TOKEN_BLOCK);
    if (c->micro_shards != 0 &&
        (!is_power_of_two(c->micro_shards) || c->micro_shards > c->n_shard))
        return sm_fail(err, SM_EINVAL,
                       "train: micro_shards: got %lld, want 0 or a power of two up to "
                       "n_shard = %lld",
                       (long long)c->micro_shards, (long long)c->n_shard);
    return SM_OK;
}

/* n_seq and n_ctx have been checked. */
static sm_status check_steps(const sm_train_config *c, sm_err *err)
{
    if (c->n_steps < 1 || c->n_steps > 1 << 30)
        return sm_fail(err, SM_EINVAL, "train: n_steps: got %lld, want 1..2^30",
                       (long long)c->n_steps);
    if (c->n_steps > INT64_MAX / (c->n_seq * c->n_ctx))
        return sm_fail(err, SM_EINVAL,
                       "train: n_steps: got %lld of n_seq * n_ctx = %lld positions, want "
                       "less than 2^63 in all",
                       (long long)c->n_steps, (long long)(c->n_seq * c->n_ctx));
    if (c->stop_step < 0 || c->stop_step > c->n_steps)
        return sm_fail(err, SM_EINVAL,
                       "train: stop_step: got %lld, want 0..n_steps = %lld",
                       (long long)c->stop_step, (long long)c->n_steps);
    if (c->warmup_steps < 0 || c->warmup_steps > c->n_steps)
        return sm_fail(err, SM_EINVAL,
                       "train: warmup_steps: got %lld, want 0..n_steps = %lld",
                       (long long)c->warmup_steps, (long long)c->n_steps);
    if (c->checkpoint_steps < 0 || c->eval_steps < 0)
        return sm_fail(err, SM_EINVAL,
                       "train: checkpoint_steps and eval_steps: got %lld and "
                       "%lld, want 0 or more",
                       (long long)c->checkpoint_steps, (long long)c->eval_steps);
    return SM_OK;
}

static sm_status check_numbers(const sm_train_config *c, sm_err *err)
{
    const struct {
        const char *field;
        double got, min, max;
    } range[] = {
        {"init_gain", c->init_gain, 0, 100},
        {"init_residual", c->init_residual, 0, 100},
        {"lr", c->lr, 1e-12, 10},
        {"min_lr_frac", c->min_lr_frac, 0, 1},
        {"decay_frac", c->decay_frac, 0, 1},
        {"beta1", c->beta1, 0, 0.9999999},
        {"beta2", c->beta2, 0, 0.9999999},
        {"eps", c->eps, 1e-30, 1},
        {"muon_momentum", c->muon_momentum, 0, 0.9999999},
        {"weight_decay", c->weight_decay, 0, 10},
        {"clip_norm", c->clip_norm, 0, 1e9},
        {"bias_rate", c->bias_rate, 0, 1},
        {"aux_coef", (double)c->loss.aux_coef, 0, 1e3},
        {"z_coef", (double)c->loss.z_coef, 0, 1e3},
        {"head_z_coef", (double)c->loss.head_z_coef, 0, 1e3},
        {"ceiling_gflops", c->ceiling_gflops, 0, 1e12},
    };
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++) {
        sm_status s =
            check_range(range[i].field, range[i].got, range[i].min, range[i].max, err);
        if (s)
            return s;
    }
    return SM_OK;
}

sm_status sm_train_config_check(const sm_train_config *c, sm_err *err)
{
    sm_status s = sm_model_config_check(&c->model, err);
    if (s)
        return sm_fail_context(err, s, "train: model: ");
    if (!c->profile || (strcmp(c->profile, "bf16/1") && strcmp(c->profile, "f32/1")))
        return sm_fail(err, SM_EINVAL, "train: profile: got \"%s\", want bf16/1 or f32/1",
                       c->profile ? c->profile : "");
    if (c->schedule != SM_SCHEDULE_COSINE && c->schedule != SM_SCHEDULE_WSD &&
        c->schedule != SM_SCHEDULE_RANGE)
        return sm_fail(err, SM_EINVAL, "train: schedule: got %d, want cosine or wsd",
                       (int)c->schedule);
    if (c->schedule == SM_SCHEDULE_RANGE && !(c->min_lr_frac > 0))
        return sm_fail(err, SM_EINVAL,
                       "train: min_lr_frac: got 0, want more for a range test");
    if (c->optimizer != SM_OPTIMIZER_ADAMW && c->optimizer != SM_OPTIMIZER_MUON)
        return sm_fail(err, SM_EINVAL, "train: optimizer: got %d, want adamw or muon",
                       (int)c->optimizer);
    if (c->mup_base_width < 0 || c->mup_base_width > 1 << 17)
        return sm_fail(err, SM_EINVAL,
                       "train: mup_base_width: got %lld, want 0 (off) or 1..131072",
                       (long long)c->mup_base_width);
    if (c->mup_base_width > 0 && !(c->init_gain > 0))
        return sm_fail(err, SM_EINVAL,
                       "train: init_gain: got 0, want more: width transfer needs initial "
                       "weights that follow fan_in");
    s = check_batch(c, err);
    if (!s)
        s = check_steps(c, err);
    if (!s)
        s = check_numbers(c, err);
    if (!s && c->bias_rate > 0 && !c->model.router_bias)
        return sm_fail(err, SM_EINVAL,
                       "train: bias_rate: got %g, want 0 for a model "
                       "without router_bias",
                       c->bias_rate);
    return s;
}

/* Fields younger than the format are written when they are in use: what was trained
 * before they existed keeps its bytes, and so its content id. */
static int add_later_fields(json_t *j, const sm_train_config *c)
{
    int bad = 0;
    if (c->optimizer == SM_OPTIMIZER_MUON) {
        bad |= json_object_set_new(j, "optimizer", json_string("muon"));
        bad |= json_object_set_new(j, "muon_momentum", json_real(c->muon_momentum));
    }
    if (c->mup_base_width > 0)
        bad |= json_object_set_new(j, "mup_base_width",
                                   json_integer((json_int_t)c->mup_base_width));
    if (sm_train_end(c) < c->n_steps)
        bad |= json_object_set_new(j, "stop_step", json_integer(c->stop_step));
    return bad;
}

static const char *const SCHEDULE[] = {"cosine", "wsd", "range"};

json_t *sm_train_config_to_json(const sm_train_config *c)
{
    json_t *model = sm_model_config_to_json(&c->model);
    if (!model)
        return NULL;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    json_t *v = json_pack(
        "{s:o, s:s, s:s, s:f, s:f, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:I, s:f, s:f, "
        "s:f, "
        "s:f, "
        "s:f, "
        "s:f, s:f, s:f, s:f, s:f}",
        "model", model, "profile", c->profile, "seed", seed, "init_gain", c->init_gain,
        "init_residual", c->init_residual, "n_ctx", (json_int_t)c->n_ctx, "n_seq",
        (json_int_t)c->n_seq, "n_shard", (json_int_t)c->n_shard, "n_steps",
        (json_int_t)c->n_steps, "schedule", SCHEDULE[c->schedule], "lr", c->lr,
        "min_lr_frac", c->min_lr_frac, "warmup_steps", (json_int_t)c->warmup_steps,
        "decay_frac", c->decay_frac, "beta1", c->beta1, "beta2", c->beta2, "eps", c->eps,
        "weight_decay", c->weight_decay, "clip_norm", c->clip_norm, "aux_coef",
        (double)c->loss.aux_coef, "z_coef", (double)c->loss.z_coef, "head_z_coef",
        (double)c->loss.head_z_coef, "bias_rate", c->bias_rate);
    if (v && add_later_fields(v, c)) {
        json_decref(v);
        return NULL;
    }
    return v;
}

int64_t sm_train_end(const sm_train_config *c)
{
    return c->stop_step > 0 && c->stop_step < c->n_steps ? c->stop_step : c->n_steps;
}

/* Half a cosine from 1 at p = 0 to 0 at p = 1. */
static double cosine_factor(double p)
{
    return 0.5 * (1 + sm_math_cos(0x1.921fb54442d18p+1 * p));
}

/* 1 while stable, then linear: 0 is reached at the last step. */
static double wsd_factor(const sm_train_config *c, int64_t step)
{
    int64_t n_decay = (int64_t)((double)c->n_steps * c->decay_frac);
    int64_t first = c->n_steps - n_decay;
    if (step < first || n_decay == 0)
        return 1;
    return 1 - (double)(step - first + 1) / (double)n_decay;
}

/* Exponentially from lr*min_lr_frac at the first step to lr at the last. */
static double range_lr(const sm_train_config *c, int64_t step)
{
    double left = (double)(c->n_steps - 1 - step) / (double)(c->n_steps - 1);
    return c->n_steps > 1 ? c->lr * sm_math_pow(c->min_lr_frac, left) : c->lr;
}

double sm_train_lr(const sm_train_config *c, int64_t step)
{
    if (c->schedule == SM_SCHEDULE_RANGE)
        return range_lr(c, step);
    if (step < c->warmup_steps)
        return c->lr * (double)(step + 1) / (double)c->warmup_steps;
    int64_t span = c->n_steps - c->warmup_steps;
    double factor = c->schedule == SM_SCHEDULE_WSD
                        ? wsd_factor(c, step)
                        : cosine_factor((double)(step - c->warmup_steps) / (double)span);
    return c->lr * (c->min_lr_frac + (1 - c->min_lr_frac) * factor);
}
