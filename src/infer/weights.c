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

static char *add(packer *p, const sm_prod *prod, int64_t at, int64_t n_out, int64_t n_in,
                 int64_t n, size_t *stride)
{
    size_t bytes = (sm_weight_bytes(prod, n_out, n_in) + 63) & ~(size_t)63;
    char *dst = p->e->weights_memory ? p->e->weights_memory + p->used : NULL;
    for (int64_t i = 0; i < n; i++) {
        if (p->job)
            p->job[p->n_job] = (sm_pack_job){
                .prod = prod, .w = p->e->model->weight + at + i * n_out * n_in,
                .n_out = n_out, .n_in = n_in, .dst = dst + (size_t)i * bytes};
        p->n_job++;
    }
    p->used += bytes * (size_t)n;
    if (stride)
        *stride = bytes;
    return dst;
}

static void add_layer(packer *p, int32_t l)
{
    sm_engine *e = p->e;
    const sm_model_config *c = &e->model->config;
    sm_layer_view v = sm_model_layer(e->model, l);
    int64_t d = c->d_model;
    infer_layer w = {.view = v, .attn_norm = e->model->weight + v.attn_norm,
                     .ffn_norm = e->model->weight + v.ffn_norm};
    w.qkv = add(p, e->prod, v.qkv, e->width_qkv, d, 1, NULL);
    w.out = add(p, e->prod, v.out, d, e->width_q, 1, NULL);
    if (v.d_ff > 0) {
        w.gate_up = add(p, e->prod, v.gate_up, 2 * v.d_ff, d, 1, NULL);
        w.down = add(p, e->prod, v.down, d, v.d_ff, 1, NULL);
    }
    if (v.is_moe) {
        w.router = add(p, e->prod_f32, v.router, c->n_expert, d, 1, NULL);
        w.expert_gate_up = add(p, e->prod, v.expert_gate_up, 2 * c->d_expert, d,
                               c->n_expert, &w.stride_gate_up);
        w.expert_down = add(p, e->prod, v.expert_down, d, c->d_expert, c->n_expert,
                            &w.stride_down);
    }
    e->layer[l] = w;
}

static void add_all(packer *p)
{
    const sm_model_config *c = &p->e->model->config;
    for (int32_t l = 0; l < c->n_layer; l++)
        add_layer(p, l);
    p->e->head = add(p, p->e->prod, sm_model_ends(p->e->model).head, c->n_vocab, c->d_model,
                     1, NULL);
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
