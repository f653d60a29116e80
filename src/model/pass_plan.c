/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a pass: one allocation, planned at creation.  The plan is a walk that hands
 * out offsets; it runs once without memory to learn the size and once to place.
 */
#include <string.h>

#include "pass.h"

typedef struct planner {
    char *base;
    size_t used;
    bool has_overflow;
} planner;

static void *take(planner *pl, int64_t n, size_t size)
{
    size_t bytes, end;
    if (!sm_mul_size(&bytes, (size_t)n, size) || !sm_add_size(&end, bytes, 63) ||
        !sm_add_size(&end, pl->used, end & ~(size_t)63)) {
        pl->has_overflow = true;
        return NULL;
    }
    void *at = pl->base ? pl->base + pl->used : NULL;
    pl->used = end;
    return at;
}

static float *take_floats(planner *pl, int64_t n)
{
    return take(pl, n, sizeof(float));
}

/* A matrix to pack: n of them from `at`, [n_out, n_in]; what a rank could share of its
 * contractions over n_in (w) and over n_out (t). */
typedef struct matrix {
    const sm_prod *prod;
    int64_t at, n_out, n_in, n;
    sm_slices cut_w, cut_t;
} matrix;

static void add_pack_jobs(sm_pass *p, const matrix *x, int64_t i, char *dst, bool is_t)
{
    sm_pack_job whole = {.prod = x->prod,
                         .w = p->c.model->weight + x->at + i * x->n_out * x->n_in,
                         .n_out = x->n_out,
                         .n_in = x->n_in,
                         .is_transposed = is_t,
                         .dst = dst};
    p->n_pack_job += sm_sliced_pack_jobs(p->pack_job + p->n_pack_job, &whole,
                                         is_t ? &x->cut_t : &x->cut_w);
}

static packed plan_packed(sm_pass *p, planner *pl, matrix x)
{
    if (!x.cut_w.n)
        x.cut_w = (sm_slices){1, 1, {x.n_in}};
    if (!x.cut_t.n)
        x.cut_t = (sm_slices){1, 1, {x.n_out}};
    packed k = {.cut_w = x.cut_w, .cut_t = x.cut_t};
    k.stride_w = sm_sliced_weight_bytes(x.prod, x.n_out, &k.cut_w);
    k.w = take(pl, x.n, k.stride_w);
    if (p->c.backward) {
        k.stride_t = sm_sliced_weight_bytes(x.prod, x.n_in, &k.cut_t);
        k.t = take(pl, x.n, k.stride_t);
    }
    for (int64_t i = 0; pl->base && i < x.n; i++) {
        sm_pass_begin_matrix(p, x.at + i * x.n_out * x.n_in, x.n_out, x.n_in);
        add_pack_jobs(p, &x, i, k.w + (size_t)i * k.stride_w, false);
        if (p->c.backward)
            add_pack_jobs(p, &x, i, k.t + (size_t)i * k.stride_t, true);
    }
    return k;
}

/* The two matrices of a SwiGLU: hidden units are what ranks would share. */
static void plan_ffn(sm_pass *p, planner *pl, packed *gate_up, packed *down,
                     int64_t at_gate_up, int64_t at_down, int64_t f, int64_t n)
{
    const sm_model_config *c = &p->c.model->config;
    matrix up = {.prod = p->prod, .at = at_gate_up, .n_out = 2 * f, .n_in = c->d_model};
    up.n = n;
    up.cut_t = (sm_slices){c->n_slice, 2, {f, f}};
    *gate_up = plan_packed(p, pl, up);
    matrix dn = {.prod = p->prod, .at = at_down, .n_out = c->d_model, .n_in = f};
    dn.n = n;
    dn.cut_w = (sm_slices){c->n_slice, 1, {f}};
    *down = plan_packed(p, pl, dn);
}

static void plan_attention_weights(sm_pass *p, planner *pl, layer_weights *w)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t d = c->d_model, kv = (int64_t)c->n_kv_head * c->d_head;
    matrix qkv = {.prod = p->prod, .at = w->view.qkv, .n_out = p->width_qkv, .n_in = d};
    qkv.n = 1;
    qkv.cut_t = (sm_slices){c->n_slice, 3, {p->width_q, kv, kv}};
    w->qkv = plan_packed(p, pl, qkv);
    matrix out = {.prod = p->prod, .at = w->view.out, .n_out = d, .n_in = p->width_q};
    out.n = 1;
    out.cut_w = (sm_slices){c->n_slice, 1, {p->width_q}};
    w->out = plan_packed(p, pl, out);
}

static void plan_weights(sm_pass *p, planner *pl)
{
    const sm_model *m = p->c.model;
    const sm_model_config *c = &m->config;
    int64_t d = c->d_model;
    for (int32_t l = 0; l < c->n_layer; l++) {
        sm_layer_view v = sm_model_layer(m, l);
        layer_weights w = {.view = v};
        if (m->weight) { /* else a shape, whose sizes alone are asked for */
            w.attn_norm = m->weight + v.attn_norm;
            w.ffn_norm = m->weight + v.ffn_norm;
        }
        plan_attention_weights(p, pl, &w);
        if (v.d_ff > 0)
            plan_ffn(p, pl, &w.gate_up, &w.down, v.gate_up, v.down, v.d_ff, 1);
        if (v.is_moe) {
            matrix router = {.prod = p->prod_f32,
                             .at = v.router,
                             .n_out = c->n_expert,
                             .n_in = d,
                             .n = 1};
            w.router = plan_packed(p, pl, router);
            plan_ffn(p, pl, &w.expert_gate_up, &w.expert_down, v.expert_gate_up,
                     v.expert_down, c->d_expert, c->n_expert);
        }
        p->weights[l] = w;
    }
    matrix head = {.prod = p->prod,
                   .at = sm_model_ends(m).head,
                   .n_out = c->n_vocab,
                   .n_in = d,
                   .n = 1,
                   .cut_t = {c->n_slice, 1, {c->n_vocab}}};
    p->head = plan_packed(p, pl, head);
}

static void plan_moe_saved(const sm_pass *p, planner *pl, layer_saved *s)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t t = p->n_tok, e = c->n_expert, k = c->k_expert;
    int64_t chunks = sm_perm_max_chunk(t, c->k_expert, c->n_expert);
    s->logit = take_floats(pl, t * e);
    s->weight = take_floats(pl, t * k);
    s->expert = take(pl, t * k, sizeof(int32_t));
    s->perm.row_slot = take(pl, t * k, sizeof(int32_t));
    s->perm.slot_row = take(pl, t * k, sizeof(int32_t));
    s->perm.chunk = take(pl, chunks, sizeof(sm_chunk));
    s->perm.chunk_expert = take(pl, chunks, sizeof(int32_t));
    s->perm.row0 = take(pl, e * p->n_shard + 1, sizeof(int32_t));
    s->perm.packed0 = take(pl, e * p->n_shard, sizeof(int32_t));
    s->egu = take_floats(pl, t * k * 2 * c->d_expert);
}

static layer_saved plan_saved(const sm_pass *p, planner *pl, bool is_moe, int64_t d_ff)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t t = p->n_tok;
    layer_saved s = {0};
    s.qkv = take_floats(pl, t * p->width_qkv);
    if (c->qk_norm)
        s.r_qk = take_floats(pl, t * (c->n_head + c->n_kv_head));
    s.o = take_floats(pl, t * p->width_q);
    s.m = take_floats(pl, t * c->n_head);
    s.l = take_floats(pl, t * c->n_head);
    s.h = take_floats(pl, t * c->d_model);
    s.gu = take_floats(pl, t * 2 * d_ff);
    if (is_moe)
        plan_moe_saved(p, pl, &s);
    return s;
}

static char *take_a(planner *pl, const sm_prod *prod, int64_t m, int64_t rows)
{
    return take(pl, rows / SM_TOKEN_BLOCK, sm_grad_unit_a(prod, m));
}

static char *take_b(planner *pl, const sm_prod *prod, int64_t n, int64_t rows)
{
    return take(pl, rows / SM_TOKEN_BLOCK, sm_grad_unit_b(prod, n));
}

static head_packs take_head(const sm_pass *p, planner *pl, int64_t n_tok)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t rows = (n_tok + SM_TOKEN_BLOCK - 1) / SM_TOKEN_BLOCK * SM_TOKEN_BLOCK;
    return (head_packs){.dlogit = take_a(pl, p->prod, c->n_vocab, rows),
                        .nf = take_b(pl, p->prod, c->d_model, rows)};
}

/* What a slot keeps of its head for backward: the gradients of its shards, made span by
 * span, or the operands of all its tokens, whichever takes less. */
static void plan_head(sm_pass *p, planner *pl, pass_slot *slot)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t span = sm_head_span(c->n_vocab, p->n_tok);
    double token = (double)sm_grad_unit_a(p->prod, c->n_vocab) / SM_TOKEN_BLOCK;
    double shards = (double)p->n_shard * c->n_vocab * c->d_model * sizeof(float);
    if ((double)p->n_tok * token <=
        shards + (double)span * token / (double)p->c.n_micro) {
        slot->head = take_head(p, pl, p->n_tok);
        return;
    }
    slot->dhead = take_floats(pl, p->n_shard * c->n_vocab * c->d_model);
    if (slot == p->slot)
        p->head_span = take_head(p, pl, span);
    slot->head = p->head_span;
}

/* Activations of every layer, or one set for all when they are recomputed (or not needed). */
static void plan_slots(sm_pass *p, planner *pl)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t td = p->n_tok * c->d_model;
    bool keeps_all = p->c.backward && !p->c.recompute;
    layer_saved shared = {0};
    float *x_shared = NULL;
    if (!keeps_all) {
        int64_t wide = c->d_ff > c->d_shared ? c->d_ff : c->d_shared;
        shared = plan_saved(p, pl, c->n_expert > 0, wide);
    }
    if (!p->c.backward)
        x_shared = take_floats(pl, td);
    for (int64_t i = 0; i < p->c.n_micro; i++) {
        pass_slot *slot = &p->slot[i];
        for (int32_t l = 0; l <= c->n_layer; l++) {
            float *x = p->c.backward ? take_floats(pl, td) : x_shared;
            sm_layer_view v = {0};
            if (l < c->n_layer)
                v = sm_model_layer(p->c.model, l);
            layer_saved s = shared;
            if (keeps_all && l < c->n_layer)
                s = plan_saved(p, pl, v.is_moe, v.d_ff);
            slot->x[l] = x;
            if (l < c->n_layer)
                slot->layer[l] = s;
        }
        slot->loss = take_floats(pl, p->n_tok);
        slot->r = take_floats(pl, p->n_tok);
        if (p->c.backward) {
            slot->dn = take_floats(pl, td);
            plan_head(p, pl, slot);
        }
    }
}

static void plan_backward(sm_pass *p, planner *pl)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t t = p->n_tok, d = c->d_model, e = c->n_expert;
    int64_t f = c->d_ff > c->d_shared ? c->d_ff : c->d_shared;
    int64_t rows = e ? sm_perm_max_packed(t, c->k_expert, c->n_expert, p->n_shard) : 0;
    p->dx = take_floats(pl, t * d);
    p->d_o = take_floats(pl, t * p->width_q);
    p->dqkv = take_floats(pl, t * p->width_qkv);
    p->dgamma1 = take_floats(pl, t / SM_TOKEN_BLOCK * d);
    p->dgamma2 = take_floats(pl, t / SM_TOKEN_BLOCK * d);
    p->g = (grad_packs){.dy = take_a(pl, p->prod, d, t),
                        .act = take_b(pl, p->prod, f, t),
                        .dgu = take_a(pl, p->prod, 2 * f, t),
                        .n2 = take_b(pl, p->prod, d, t),
                        .dh = take_a(pl, p->prod, d, t),
                        .o = take_b(pl, p->prod, p->width_q, t),
                        .dqkv = take_a(pl, p->prod, p->width_qkv, t),
                        .n1 = take_b(pl, p->prod, d, t)};
    if (e) {
        p->dn2 = take_floats(pl, t * d);
        p->dweight = take_floats(pl, t * c->k_expert);
        p->g.dlogit = take_a(pl, p->prod_f32, e, t);
        p->g.n2_f32 = take_b(pl, p->prod_f32, d, t);
        p->g.edy = take_a(pl, p->prod, d, rows);
        p->g.eact = take_b(pl, p->prod, c->d_expert, rows);
        p->g.edgu = take_a(pl, p->prod, 2 * c->d_expert, rows);
        p->g.ex = take_b(pl, p->prod, d, rows);
        int64_t runs = t * c->k_expert / SM_RUN_ROWS + e * p->n_shard;
        p->expert_runs.run = take(pl, runs, sizeof(sm_chunk));
        p->expert_runs.first = take(pl, e * p->n_shard + 1, sizeof(int32_t));
        p->aux_slope = take_floats(pl, e);
        p->aux = take_floats(pl, t);
        p->aux_sum = take(pl, p->n_shard, sizeof *p->aux_sum);
    }
    p->grad_job = take(pl, 8 + 2 * e, sizeof *p->grad_job);
    p->order = take(pl, t, sizeof(int32_t));
    p->start = take(pl, c->n_vocab + 1, sizeof(int32_t));
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What a sliced product of m rows takes beyond an uncut one, at most. */
static size_t sliced_extra(const sm_pass *p, int64_t m, const sm_slices *c)
{
    return c->n > 1 ? sm_sliced_scratch_bytes(p->prod, m, c, 1) : 0;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rows of a task whose feed-forward has f units and whose products contract over `widest`
 * at most: twice d, four times f, and the packed operand. */
static size_t rows_need(const sm_pass *p, int64_t rows, int64_t f, int64_t widest)
{
    int64_t d = p->c.model->config.d_model;
    size_t pack = max_size(sm_linear_scratch_bytes(p->prod, rows, widest),
                           sm_linear_scratch_bytes(p->prod_f32, rows, widest));
    sm_slices cut = {p->c.model->config.n_slice, 3, {p->width_qkv, 2 * f, d}};
    return pack + (size_t)(rows * (2 * d + 4 * f)) * sizeof(float) +
           sliced_extra(p, rows, &cut);
}

/* An upper bound over the stages, see the tasks for what each cuts off. */
static size_t scratch_need(const sm_pass *p)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t d = c->d_model, f = max_i64(c->d_ff, c->d_shared), e = c->n_expert;
    int64_t widest = max_i64(max_i64(d, 2 * f), max_i64(p->width_qkv, e));
    size_t need = rows_need(p, SM_ROW_BLOCK, f, widest) +
                  (size_t)(SM_ROW_BLOCK * e) * sizeof(float);
    if (e)
        need = max_size(need, rows_need(p, SM_EXPERT_ROWS, c->d_expert,
                                        max_i64(d, 2 * (int64_t)c->d_expert)));
    need += (size_t)(2 * d + c->d_head + e) * sizeof(float) + 16 * 64;
    need =
        max_size(need, sm_attn_thread_bytes(p->prod, p->c.n_ctx, c->n_head / c->n_kv_head,
                                            c->d_head, p->c.backward));
    sm_slices vocab = {c->n_slice, 1, {c->n_vocab}};
    need = max_size(need, sm_head_thread_bytes(p->prod, c->n_vocab, d, p->c.backward) +
                              sliced_extra(p, SM_HEAD_ROWS, &vocab));
    need = max_size(need, sm_grad_scratch_bytes(p->ctx.kern, p->n_shard));
    need = max_size(need, sm_embed_scratch_bytes(d, p->n_shard));
    return (need + 4095) & ~(size_t)4095;
}

static void plan_all(sm_pass *p, planner *pl)
{
    const sm_model_config *c = &p->c.model->config;
    int64_t half = c->d_head / 2;
    plan_weights(p, pl);
    p->rope_cos = take_floats(pl, p->c.n_ctx * half);
    p->rope_sin = take_floats(pl, p->c.n_ctx * half);
    p->temp = take_floats(pl, p->c.n_ctx);
    p->pos = take(pl, p->n_tok, sizeof(int32_t));
    p->chunk = take(pl, p->n_chunk, sizeof(sm_chunk));
    p->run = take(pl, p->n_chunk, sizeof(sm_chunk));
    p->run_first = take(pl, p->n_shard + 1, sizeof(int32_t));
    p->bad = take(pl, (2 * (int64_t)c->n_layer + 1) * p->n_chunk, 1);
    plan_slots(p, pl);
    if (c->n_expert) {
        p->n2 = take_floats(pl, p->n_tok * c->d_model);
        p->ey = take_floats(pl, p->n_tok * c->k_expert * c->d_model);
    }
    if (p->c.backward) {
        plan_backward(p, pl);
    }
    p->scratch_stride = scratch_need(p);
    p->scratch = take(pl, p->n_thread, p->scratch_stride);
}

sm_status sm_pass_size(sm_pass *p, sm_err *err)
{
    planner pl = {0};
    plan_all(p, &pl);
    if (pl.has_overflow)
        return sm_fail(err, SM_ENOMEM, "pass: sizes overflow");
    p->bytes = pl.used;
    return SM_OK;
}

sm_status sm_pass_plan(sm_pass *p, sm_err *err)
{
    sm_status s = sm_pass_size(p, err);
    if (s)
        return s;
    p->memory = sm_pages_alloc(p->bytes);
    if (!p->memory)
        return sm_fail(err, SM_ENOMEM,
                       "pass: no room for %zu MiB of weights, activations "
                       "and scratch",
                       p->bytes >> 20);
    planner pl = {.base = p->memory};
    p->n_pack_job = p->n_pack_matrix = 0;
    plan_all(p, &pl);
    sm_pass_plan_packing(p);
    return SM_OK;
}
