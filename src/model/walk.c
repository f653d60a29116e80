/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tensors of a decoder, in the order in which they lie in the allocation.
 *
 * Invariant: matrices that multiply the same input lie next to each other (q|k|v, gate|up,
 * and an expert's gate|up), so that drivers treat them as one product.  Mixtral's experts
 * are tensors of their own, all experts' w1,w3 first, then all w2; Llama 4's are
 * [expert, rows, cols] (checkpoint.c turns them: Hugging Face stores [expert, cols, rows]).
 */
#include <stdio.h>

#include "internal.h"

typedef struct walk {
    const sm_model_config *c;
    tensor_visit visit;
    void *self;
    int32_t layer; /* -1 outside layers */
} walk;

model_family sm_model_family(const sm_model_config *c)
{
    bool is_llama4 = c->nope_every || c->attn_chunk || c->qk_norm ||
                     c->attn_temp_scale != 0 || c->rope_interleaved ||
                     (c->n_expert > 0 && (c->router == SM_ROUTER_SIGMOID_TOP1 ||
                                          c->d_shared > 0 || c->moe_every > 1));
    if (is_llama4)
        return FAMILY_LLAMA4;
    return c->n_expert > 0 ? FAMILY_MIXTRAL : FAMILY_LLAMA;
}

int64_t sm_tensor_spec_n(const tensor_spec *t)
{
    int64_t n = 1;
    for (int32_t i = 0; i < t->n_dim; i++)
        n *= t->shape[i];
    return n;
}

static void emit(const walk *w, tensor_spec t, const char *name)
{
    if (w->layer >= 0)
        snprintf(t.name, sizeof t.name, "model.layers.%d.%s", (int)w->layer, name);
    else
        snprintf(t.name, sizeof t.name, "%s", name);
    w->visit(w->self, &t);
}

static void norm(const walk *w, const char *name)
{
    emit(
        w,
        (tensor_spec){.shape = {w->c->d_model}, .n_dim = 1, .is_norm = true, .fan_in = 1},
        name);
}

static void matrix(const walk *w, const char *name, int32_t rows, int32_t cols,
                   bool is_output)
{
    emit(w,
         (tensor_spec){.shape = {rows, cols},
                       .n_dim = 2,
                       .fan_in = cols,
                       .is_block_output = is_output},
         name);
}

static void swiglu(const walk *w, const char *prefix, int32_t width)
{
    char name[64];
    int32_t d = w->c->d_model;
    snprintf(name, sizeof name, "%s.gate_proj.weight", prefix);
    matrix(w, name, width, d, false);
    snprintf(name, sizeof name, "%s.up_proj.weight", prefix);
    matrix(w, name, width, d, false);
    snprintf(name, sizeof name, "%s.down_proj.weight", prefix);
    matrix(w, name, d, width, true);
}

static void mixtral_expert(const walk *w, int32_t e, int which, int32_t rows,
                           int32_t cols)
{
    char name[64];
    snprintf(name, sizeof name, "block_sparse_moe.experts.%d.w%d.weight", (int)e, which);
    emit(w,
         (tensor_spec){.shape = {rows, cols},
                       .n_dim = 2,
                       .fan_in = cols,
                       .is_expert = true,
                       .is_block_output = which == 2},
         name);
}

static void mixtral_experts(const walk *w)
{
    int32_t d = w->c->d_model, h = w->c->d_expert;
    matrix(w, "block_sparse_moe.gate.weight", w->c->n_expert, d, false);
    for (int32_t e = 0; e < w->c->n_expert; e++) {
        mixtral_expert(w, e, 1, h, d);
        mixtral_expert(w, e, 3, h, d);
    }
    for (int32_t e = 0; e < w->c->n_expert; e++)
        mixtral_expert(w, e, 2, d, h);
}

static void llama4_experts(const walk *w)
{
    int32_t d = w->c->d_model, h = w->c->d_expert, n = w->c->n_expert;
    matrix(w, "feed_forward.router.weight", n, d, false);
    emit(
        w,
        (tensor_spec){.shape = {n, 2 * h, d}, .n_dim = 3, .fan_in = d, .is_expert = true},
        "feed_forward.experts.gate_up_proj");
    emit(w,
         (tensor_spec){.shape = {n, d, h},
                       .n_dim = 3,
                       .fan_in = h,
                       .is_expert = true,
                       .is_block_output = true},
         "feed_forward.experts.down_proj");
    if (w->c->d_shared > 0)
        swiglu(w, "feed_forward.shared_expert", w->c->d_shared);
}

static void layer(const walk *w)
{
    const sm_model_config *c = w->c;
    int32_t d = c->d_model, q = c->n_head * c->d_head, kv = c->n_kv_head * c->d_head;
    bool is_moe = c->n_expert > 0 && (w->layer + 1) % c->moe_every == 0;
    norm(w, "input_layernorm.weight");
    matrix(w, "self_attn.q_proj.weight", q, d, false);
    matrix(w, "self_attn.k_proj.weight", kv, d, false);
    matrix(w, "self_attn.v_proj.weight", kv, d, false);
    matrix(w, "self_attn.o_proj.weight", d, q, true);
    norm(w, "post_attention_layernorm.weight");
    model_family family = sm_model_family(c);
    if (!is_moe)
        swiglu(w, family == FAMILY_LLAMA4 ? "feed_forward" : "mlp", c->d_ff);
    else if (family == FAMILY_MIXTRAL)
        mixtral_experts(w);
    else
        llama4_experts(w);
}

void sm_model_walk(const sm_model_config *c, tensor_visit visit, void *self)
{
    walk w = {c, visit, self, -1};
    matrix(&w, "model.embed_tokens.weight", c->n_vocab, c->d_model, false);
    for (w.layer = 0; w.layer < c->n_layer; w.layer++)
        layer(&w);
    w.layer = -1;
    norm(&w, "model.norm.weight");
    if (!c->tied)
        matrix(&w, "lm_head.weight", c->n_vocab, c->d_model, false);
}
