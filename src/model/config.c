/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a decoder's configuration, and what one costs in parameters and FLOPs. */
#include "internal.h"
#include "smelt/tensor.h"

typedef struct int_rule {
    const char *name;
    int64_t value, min, max;
} int_rule;

typedef struct float_rule {
    const char *name;
    double value, min, max;
} float_rule;

static sm_status check_ints(const sm_model_config *c, sm_err *err)
{
    const int_rule rules[] = {
        {"n_vocab", c->n_vocab, 2, 1 << 24},
        {"n_layer", c->n_layer, 1, 1024},
        {"d_model", c->d_model, 1, 1 << 17},
        {"n_head", c->n_head, 1, 4096},
        {"n_kv_head", c->n_kv_head, 1, 4096},
        {"d_head", c->d_head, 2, 1024},
        {"d_ff", c->d_ff, 1, 1 << 20},
        {"n_expert", c->n_expert, 0, 4096},
        {"k_expert", c->k_expert, c->n_expert ? 1 : 0, c->n_expert ? 64 : 4096},
        {"d_expert", c->d_expert, c->n_expert ? 1 : 0, 1 << 20},
        {"d_shared", c->d_shared, 0, 1 << 20},
        {"moe_every", c->moe_every, 1, c->n_expert ? c->n_layer : 1024},
        {"nope_every", c->nope_every, 0, 1024},
        {"attn_chunk", c->attn_chunk, 0, 1 << 26},
        {"max_ctx", c->max_ctx, 1, 1 << 24},
        {"n_slice", c->n_slice, 1, SM_SLICE_MAX},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].value < rules[i].min || rules[i].value > rules[i].max)
            return sm_fail(err, SM_EINVAL, "model: %s: got %lld, want %lld..%lld",
                           rules[i].name, (long long)rules[i].value,
                           (long long)rules[i].min, (long long)rules[i].max);
    return SM_OK;
}

static sm_status check_floats(const sm_model_config *c, sm_err *err)
{
    const float_rule rules[] = {
        {"rope_theta", c->rope_theta, 1, 1e12},
        {"norm_eps", c->norm_eps, 1e-12, 1},
        {"attn_temp_scale", c->attn_temp_scale, 0, 100},
        {"attn_temp_floor", c->attn_temp_floor, c->attn_temp_scale > 0 ? 1 : 0, 1e9},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!(rules[i].value >= rules[i].min && rules[i].value <= rules[i].max))
            return sm_fail(err, SM_EINVAL, "model: %s: got %g, want %g..%g",
                           rules[i].name, rules[i].value, rules[i].min, rules[i].max);
    return SM_OK;
}

/* Every slice of heads and hidden units is as large as the others and a whole number of
 * contraction blocks; the vocabulary's last slice may be shorter. */
static sm_status check_slices(const sm_model_config *c, sm_err *err)
{
    const struct {
        const char *name;
        int64_t k;
    } cut[] = {{"n_head * d_head", (int64_t)c->n_head * c->d_head},
               {"n_kv_head * d_head", (int64_t)c->n_kv_head * c->d_head},
               {"d_ff", c->d_ff},
               {"d_expert", c->n_expert ? c->d_expert : 0},
               {"d_shared", c->n_expert ? c->d_shared : 0}};
    int32_t n = c->n_slice;
    if (n & (n - 1))
        return sm_fail(err, SM_EINVAL, "model: n_slice: got %d, want a power of two",
                       (int)n);
    if (n == 1)
        return SM_OK;
    if (c->n_kv_head % n)
        return sm_fail(err, SM_EINVAL,
                       "model: n_slice: got %d, want a divisor of n_kv_head %d", (int)n,
                       (int)c->n_kv_head);
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        if (cut[i].k % (n * SM_SLICE_UNIT))
            return sm_fail(err, SM_EINVAL,
                           "model: n_slice: got %d with %s %lld, want slices of it that"
                           " are multiples of 32",
                           (int)n, cut[i].name, (long long)cut[i].k);
    if (c->n_vocab <= (n - 1) * SM_SLICE_UNIT)
        return sm_fail(err, SM_EINVAL,
                       "model: n_slice: got %d, want at most one for each 32 of"
                       " n_vocab %d",
                       (int)n, (int)c->n_vocab);
    return SM_OK;
}

sm_status sm_model_config_check(const sm_model_config *c, sm_err *err)
{
    sm_status s = check_ints(c, err);
    if (!s)
        s = check_floats(c, err);
    if (s)
        return s;
    if (c->n_head % c->n_kv_head)
        return sm_fail(err, SM_EINVAL,
                       "model: n_kv_head: got %d, want a divisor of n_head"
                       " %d",
                       (int)c->n_kv_head, (int)c->n_head);
    if (c->d_head % 2)
        return sm_fail(err, SM_EINVAL, "model: d_head: got %d, want an even number",
                       (int)c->d_head);
    if (c->router != SM_ROUTER_SOFTMAX_TOPK && c->router != SM_ROUTER_SIGMOID_TOP1)
        return sm_fail(err, SM_EINVAL,
                       "model: router: got %d, want softmax_topk or "
                       "sigmoid_top1",
                       (int)c->router);
    if (c->n_expert && c->k_expert > c->n_expert)
        return sm_fail(err, SM_EINVAL, "model: k_expert: got %d, want 1..n_expert %d",
                       (int)c->k_expert, (int)c->n_expert);
    if (c->n_expert && c->router == SM_ROUTER_SIGMOID_TOP1 && c->k_expert != 1)
        return sm_fail(err, SM_EINVAL,
                       "model: k_expert: got %d, want 1 with the "
                       "sigmoid_top1 router",
                       (int)c->k_expert);
    if (c->router_bias && !c->n_expert)
        return sm_fail(err, SM_EINVAL,
                       "model: router_bias: got true, want experts "
                       "(n_expert is 0)");
    return check_slices(c, err);
}

typedef struct param_count {
    const sm_model_config *c;
    int64_t all, active;
} param_count;

/* A token visits k of n experts; an expert tensor of Mixtral is one of n alternatives too,
 * so k/n of the sum over them counts. */
static void count(void *self, const tensor_spec *t)
{
    param_count *p = self;
    int64_t n = sm_tensor_spec_n(t);
    p->all += n;
    if (!t->is_expert)
        p->active += n * p->c->n_expert;
    else
        p->active += n * p->c->k_expert;
}

int64_t sm_model_n_param(const sm_model_config *c)
{
    param_count p = {.c = c};
    sm_model_walk(c, count, &p);
    return p.all;
}

int64_t sm_model_n_active(const sm_model_config *c)
{
    param_count p = {.c = c};
    sm_model_walk(c, count, &p);
    return c->n_expert ? p.active / c->n_expert : p.all;
}

static double both(const char *op, const sm_op_shape *s)
{
    const sm_op *o = sm_op_find(op);
    return o->flops_forward(s) + o->flops_backward(s);
}

static double linear(double n_out, double n_in)
{
    return both("linear", &(sm_op_shape){.n_tok = 1, .n_out = n_out, .n_in = n_in});
}

/* Keys a token of a full row sees on average. */
static double mean_keys(int64_t n_ctx, int64_t chunk)
{
    int64_t span = chunk > 0 && chunk < n_ctx ? chunk : n_ctx;
    return 0.5 * ((double)span + 1.0);
}

double sm_model_flops_per_token(const sm_model_config *c, int64_t n_ctx)
{
    double d = c->d_model, q = (double)c->n_head * c->d_head;
    double kv = (double)c->n_kv_head * c->d_head, sum = linear(c->n_vocab, d);
    for (int32_t l = 0; l < c->n_layer; l++) {
        bool is_moe = c->n_expert > 0 && (l + 1) % c->moe_every == 0;
        bool is_nope = c->nope_every && (l + 1) % c->nope_every == 0;
        sm_op_shape a = {.n_tok = 1,
                         .n_ctx = mean_keys(n_ctx, is_nope ? 0 : c->attn_chunk),
                         .n_head = c->n_head,
                         .d_head = c->d_head};
        sum += linear(q + 2 * kv, d) + linear(d, q) + both("attention", &a);
        if (!is_moe)
            sum += 1.5 * linear(2.0 * c->d_ff, d);
        else
            sum += linear(c->n_expert, d) + 1.5 * linear(2.0 * c->d_shared, d) +
                   c->k_expert * 1.5 * linear(2.0 * c->d_expert, d);
    }
    return sum;
}
