/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of a decoder: one allocation, named views, initialisation. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/sys.h"

enum { INIT_BLOCK = 1 << 14 };

static void add_param(void *self, const tensor_spec *t)
{
    sm_model *m = self;
    if (m->param) {
        sm_param *p = &m->param[m->n_param_tensors];
        *p = (sm_param){.n_dim = t->n_dim,
                        .offset = m->n_weight,
                        .n = sm_tensor_spec_n(t),
                        .decay = !t->is_norm,
                        .fan_in = t->fan_in,
                        .is_block_output = t->is_block_output};
        memcpy(p->name, t->name, sizeof p->name);
        memcpy(p->shape, t->shape, sizeof p->shape);
    }
    m->n_param_tensors++;
    m->n_weight += sm_tensor_spec_n(t);
}

/* The standard deviation of each tensor's initial values; 0: ones (a norm). */
typedef struct init_plan {
    sm_model *m;
    float *sd;
    int32_t n;
    uint64_t seed;
} init_plan;

static void plan_init(void *self, const tensor_spec *t)
{
    init_plan *p = self;
    float depth = sqrtf(2.0f * (float)p->m->config.n_layer);
    float sd = t->is_block_output ? 0.02f / depth : 0.02f;
    p->sd[p->n++] = t->is_norm ? 0.0f : sd;
}

static void init_task(void *arg, ptrdiff_t i, int thread)
{
    const init_plan *p = arg;
    (void)thread;
    int64_t at = (int64_t)i * INIT_BLOCK, end = at + INIT_BLOCK;
    if (end > p->m->n_weight)
        end = p->m->n_weight;
    int32_t t = 0;
    for (; at < end; at++) {
        while (at >= p->m->param[t].offset + p->m->param[t].n)
            t++;
        p->m->weight[at] =
            p->sd[t] == 0.0f
                ? 1.0f
                : p->sd[t] * sm_rng_normal(p->seed, SM_STREAM_INIT, 0, (uint64_t)at);
    }
}

static sm_status initialise(sm_model *m, uint64_t seed, sm_err *err)
{
    sm_pool *pool = NULL;
    init_plan p = {.m = m, .seed = seed};
    p.sd = sm_alloc((size_t)m->n_param_tensors, sizeof *p.sd);
    if (!p.sd)
        return sm_fail(err, SM_ENOMEM, "model: out of memory");
    sm_status s = sm_pool_create(&pool, 0, err);
    if (!s) {
        sm_model_walk(&m->config, plan_init, &p);
        sm_pool_run(pool, (m->n_weight + INIT_BLOCK - 1) / INIT_BLOCK, init_task, &p);
    }
    sm_pool_free(pool);
    free(p.sd);
    return s;
}

/* The walk counts tensors, and lists them when there is room. */
static sm_status list_params(sm_model *m, sm_err *err)
{
    sm_model_walk(&m->config, add_param, m);
    m->param = sm_alloc((size_t)m->n_param_tensors, sizeof *m->param);
    if (!m->param)
        return sm_fail(err, SM_ENOMEM, "model: out of memory");
    m->n_param_tensors = 0;
    m->n_weight = 0;
    sm_model_walk(&m->config, add_param, m);
    return SM_OK;
}

static sm_status allocate(sm_model *m, sm_err *err)
{
    size_t bytes, n_bias = (size_t)m->config.n_layer * (size_t)m->config.n_expert;
    if (!sm_mul_size(&bytes, (size_t)m->n_weight, sizeof(float)))
        return sm_fail(err, SM_ENOMEM, "model: out of memory");
    m->weight = sm_pages_alloc(bytes);
    if (m->config.router_bias)
        m->router_bias = sm_alloc(n_bias, sizeof(float));
    if (!m->weight || (m->config.router_bias && !m->router_bias))
        return sm_fail(err, SM_ENOMEM, "model: no room for %lld parameters",
                       (long long)m->n_weight);
    return SM_OK;
}

sm_status sm_model_create_shape(sm_model **out, const sm_model_config *c, sm_err *err)
{
    sm_status s = sm_model_config_check(c, err);
    if (s)
        return s;
    sm_model *m = sm_alloc(1, sizeof *m);
    if (!m)
        return sm_fail(err, SM_ENOMEM, "model: out of memory");
    m->config = *c;
    s = list_params(m, err);
    if (s)
        sm_model_free(m);
    else
        *out = m;
    return s;
}

sm_status sm_model_create_empty(sm_model **out, const sm_model_config *c, sm_err *err)
{
    sm_model *m = NULL;
    sm_status s = sm_model_create_shape(&m, c, err);
    if (!s)
        s = allocate(m, err);
    if (s)
        sm_model_free(m);
    else
        *out = m;
    return s;
}

sm_status sm_model_create(sm_model **out, const sm_model_config *c, uint64_t seed,
                          sm_err *err)
{
    sm_model *m = NULL;
    sm_status s = sm_model_create_empty(&m, c, err);
    if (!s)
        s = initialise(m, seed, err);
    if (s) {
        sm_model_free(m);
        return s;
    }
    *out = m;
    return SM_OK;
}

void sm_model_free(sm_model *m)
{
    if (!m)
        return;
    free(m->param);
    sm_pages_free(m->weight, (size_t)m->n_weight * sizeof *m->weight);
    free(m->router_bias);
    free(m);
}

sm_model_view sm_model_ends(const sm_model *m)
{
    int32_t last = m->n_param_tensors - 1;
    sm_model_view v = {.embed = m->param[0].offset};
    v.norm = m->param[m->config.tied ? last : last - 1].offset;
    v.head = m->config.tied ? v.embed : m->param[last].offset;
    return v;
}

/* Offsets follow walk.c: sizes of what comes before. */
sm_layer_view sm_model_layer(const sm_model *m, int32_t layer)
{
    const sm_model_config *c = &m->config;
    int64_t d = c->d_model, q = (int64_t)c->n_head * c->d_head;
    int64_t kv = (int64_t)c->n_kv_head * c->d_head, e = c->n_expert;
    int64_t attn = 2 * d + (q + 2 * kv) * d + d * q, ffn = 3 * d * c->d_ff;
    int64_t moe = e * d + 3 * e * d * c->d_expert + 3 * d * (int64_t)c->d_shared;
    int64_t n_moe = e ? layer / c->moe_every : 0;
    int64_t at =
        (int64_t)c->n_vocab * d + layer * attn + n_moe * moe + (layer - n_moe) * ffn;
    sm_layer_view v = {.is_moe = e > 0 && (layer + 1) % c->moe_every == 0,
                       .has_rope = !c->nope_every || (layer + 1) % c->nope_every != 0,
                       .attn_norm = at,
                       .qkv = at + d,
                       .gate_up = -1,
                       .down = -1,
                       .router = -1,
                       .expert_gate_up = -1,
                       .expert_down = -1};
    v.out = v.qkv + (q + 2 * kv) * d;
    v.ffn_norm = v.out + d * q;
    at = v.ffn_norm + d;
    if (v.is_moe) {
        v.router = at;
        v.expert_gate_up = v.router + e * d;
        v.expert_down = v.expert_gate_up + e * 2 * c->d_expert * d;
        at = v.expert_down + e * d * c->d_expert;
    }
    v.d_ff = v.is_moe ? c->d_shared : c->d_ff;
    if (v.d_ff > 0) {
        v.gate_up = at;
        v.down = at + 2 * d * v.d_ff;
    }
    return v;
}
