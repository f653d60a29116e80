/* SPDX-License-Identifier: Apache-2.0 */
/* Weights packed once for the products of the rung. */
#include <stdlib.h>

#include "internal.h"

typedef struct packer {
    sm_engine *e;
    sm_pack_job *job; /* NULL while sizes are added up */
    int64_t n_job;
    size_t used;
} packer;

/* One matrix, or those of n experts, [n_out, n_in] from `at`; n_slice: of n_in. */
typedef struct matrix {
    const sm_prod *prod;
    int64_t at, n_out, n_in, n;
    int32_t n_slice;
} matrix;

static char *add(packer *p, matrix x, size_t *stride)
{
    sm_slices cut = {x.n_slice, 1, {x.n_in}};
    size_t bytes =
        (sm_sliced_weight_bytes(x.prod, x.n_out, &cut) + 63) & ~(size_t)63;
    char *dst = p->e->weights_memory ? p->e->weights_memory + p->used : NULL;
    for (int64_t i = 0; i < x.n; i++) {
        sm_pack_job whole = {.prod = x.prod, .n_out = x.n_out, .n_in = x.n_in};
        if (p->job) {
            whole.w = p->e->model->weight + x.at + i * x.n_out * x.n_in;
            whole.dst = dst + (size_t)i * bytes;
            sm_sliced_pack_jobs(p->job + p->n_job, &whole, &cut);
        }
        p->n_job += sm_sliced_n_jobs(&cut);
    }
    p->used += bytes * (size_t)x.n;
    if (stride)
        *stride = bytes;
    return dst;
}

static char *add_one(packer *p, int64_t at, int64_t n_out, int64_t n_in, int32_t n_slice)
{
    return add(p, (matrix){p->e->prod, at, n_out, n_in, 1, n_slice}, NULL);
}

static void add_experts(packer *p, infer_layer *w)
{
    const sm_engine *e = p->e;
    const sm_model_config *c = &e->model->config;
    int64_t d = c->d_model, f = c->d_expert, n = c->n_expert;
    matrix router = {e->prod_f32, w->view.router, n, d, 1, 1};
    matrix up = {e->prod, w->view.expert_gate_up, 2 * f, d, n, 1};
    matrix down = {e->prod, w->view.expert_down, d, f, n, c->n_slice};
    w->router = add(p, router, NULL);
    w->expert_gate_up = add(p, up, &w->stride_gate_up);
    w->expert_down = add(p, down, &w->stride_down);
}

static void add_layer(packer *p, int32_t l)
{
    sm_engine *e = p->e;
    const sm_model_config *c = &e->model->config;
    sm_layer_view v = sm_model_layer(e->model, l);
    int64_t d = c->d_model;
    infer_layer w = {.view = v, .attn_norm = e->model->weight + v.attn_norm,
                     .ffn_norm = e->model->weight + v.ffn_norm,
                     .cut_out = {c->n_slice, 1, {e->width_q}},
                     .cut_down = {c->n_slice, 1, {v.d_ff}},
                     .cut_expert = {c->n_slice, 1, {c->d_expert}}};
    w.qkv = add_one(p, v.qkv, e->width_qkv, d, 1);
    w.out = add_one(p, v.out, d, e->width_q, c->n_slice);
    if (v.d_ff > 0) {
        w.gate_up = add_one(p, v.gate_up, 2 * v.d_ff, d, 1);
        w.down = add_one(p, v.down, d, v.d_ff, c->n_slice);
    }
    if (v.is_moe)
        add_experts(p, &w);
    e->layer[l] = w;
}

static void add_all(packer *p)
{
    const sm_model_config *c = &p->e->model->config;
    for (int32_t l = 0; l < c->n_layer; l++)
        add_layer(p, l);
    p->e->head = add_one(p, sm_model_ends(p->e->model).head, c->n_vocab, c->d_model, 1);
}

sm_status engine_pack_weights(sm_engine *e, sm_err *err)
{
    packer size = {.e = e};
    e->layer = sm_alloc((size_t)e->model->config.n_layer, sizeof *e->layer);
    if (!e->layer)
        return sm_fail(err, SM_ENOMEM, "engine: out of memory");
    add_all(&size);
    e->weights_memory = sm_aligned_alloc(size.used);
    packer p = {.e = e, .job = sm_alloc((size_t)size.n_job, sizeof *p.job)};
    if (!e->weights_memory || !p.job) {
        free(p.job);
        return sm_fail(err, SM_ENOMEM, "engine: no memory for %zu bytes of weights",
                       size.used);
    }
    add_all(&p);
    sm_weight_pack_many(e->ctx.pool, p.job, p.n_job);
    free(p.job);
    return SM_OK;
}
