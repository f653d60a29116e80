/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer forward, in stages over chunks of rows: what a chunk needs from norm to product
 * happens while it is in cache.  See pass.h for the names.
 */
#include <float.h>
#include <string.h>

#include "pass.h"

scratch sm_pass_scratch(const sm_pass *p, int thread)
{
    return (scratch){p->scratch + (size_t)thread * p->scratch_stride,
                     sm_trace_begin(p->ctx.trace, thread)};
}

static void *scratch_bytes(scratch *s, size_t n)
{
    void *p = s->at;
    s->at += (n + 63) & ~(size_t)63;
    return p;
}

float *sm_scratch_floats(scratch *s, int64_t n)
{
    return scratch_bytes(s, (size_t)n * sizeof(float));
}

sm_chunk sm_pass_chunk(const sm_pass *p, ptrdiff_t i)
{
    return p->chunk[i];
}

/* The run of tokens that a chunk is a part of. */
sm_chunk sm_pass_run(const sm_pass *p, sm_chunk c)
{
    int32_t shard_tok = (int32_t)p->shard_tok;
    sm_chunk shard = {c.row0 / shard_tok * shard_tok, shard_tok};
    return sm_grad_run_of(shard, c.row0);
}

/* Note a norm's 1/rms: not positive and finite means NaN, infinity or overflow. */
static void check_norm(const sm_pass *p, int32_t layer, int which, ptrdiff_t chunk,
                       float r)
{
    if (!(r > 0 && r <= FLT_MAX))
        p->bad[(2 * layer + which) * p->n_chunk + chunk] = 1;
}

static int64_t width_of(const sm_slices *c)
{
    int64_t k = 0;
    for (int32_t r = 0; r < c->n_run; r++)
        k += c->run[r];
    return k;
}

static void rows_sliced(const sm_pass *p, sm_product product, scratch *s)
{
    product.kern = p->ctx.kern;
    product.prod = p->prod;
    product.ldx = width_of(product.cut);
    product.n = product.ldy = p->c.model->config.d_model;
    sm_sliced_rows(&product, s->at);
}

void sm_rows_out(const sm_pass *p, float *y, const float *x, const packed *w,
                 size_t expert, int64_t n_row, bool accumulate, scratch *s)
{
    sm_product q = {.cut = &w->cut_w,
                    .y = y,
                    .x = x,
                    .pb = w->w + expert * w->stride_w,
                    .m = n_row,
                    .accumulate = accumulate};
    rows_sliced(p, q, s);
}

void sm_rows_in_bwd(const sm_pass *p, float *dx, const float *dy, const packed *w,
                    size_t expert, int64_t n_row, scratch *s)
{
    sm_product q = {.cut = &w->cut_t,
                    .y = dx,
                    .x = dy,
                    .pb = w->t + expert * w->stride_t,
                    .m = n_row};
    rows_sliced(p, q, s);
}

/* norm -> q|k|v -> rope, norm or temperature */
static void attn_in_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    sm_pass *p = g->p;
    const sm_kern *kern = p->ctx.kern;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = sm_pass_chunk(p, i);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, n_head = m->n_head + m->n_kv_head;
    float *n1 = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    for (int64_t t = 0; t < c.n_row; t++)
        check_norm(p, g->layer, 0, i,
                   kern->rmsnorm(n1 + t * d, g->x + (c.row0 + t) * d, g->w->attn_norm,
                                 m->norm_eps, d));
    part_done(g, &s, PART_NORM, c.n_row);
    float *qkv = g->s->qkv + c.row0 * p->width_qkv;
    sm_linear_rows(p->prod, qkv, p->width_qkv, n1, d, g->w->qkv.w, c.n_row, p->width_qkv,
                   d, false, s.at);
    part_done(g, &s, PART_QKV, c.n_row);
    sm_rotary ro = sm_pass_rotary(p, g->w);
    for (int64_t t = 0; t < c.n_row; t++)
        sm_rotary_row(kern, &ro, qkv + t * p->width_qkv,
                      g->s->r_qk ? g->s->r_qk + (c.row0 + t) * n_head : NULL,
                      p->pos[c.row0 + t]);
    part_done(g, &s, PART_ROPE, c.n_row);
}

/* h = x + o Wo^T;  n2 = norm(h) */
void sm_rows_attn_out(const stage *g, sm_chunk c, ptrdiff_t i, float *n2, scratch *s)
{
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    int64_t d = m->d_model;
    float *h = g->s->h + c.row0 * d;
    memcpy(h, g->x + c.row0 * d, (size_t)(c.n_row * d) * sizeof *h);
    sm_rows_out(p, h, g->s->o + c.row0 * p->width_q, &g->w->out, 0, c.n_row, true, s);
    part_done(g, s, PART_OUT, c.n_row);
    for (int64_t t = 0; t < c.n_row; t++)
        check_norm(
            p, g->layer, 1, i,
            p->ctx.kern->rmsnorm(n2 + t * d, h + t * d, g->w->ffn_norm, m->norm_eps, d));
    part_done(g, s, PART_NORM, c.n_row);
}

/* y = h + swiglu(n2); with the residual alone when the layer has no dense FFN */
void sm_rows_ffn(const stage *g, sm_chunk c, const float *n2, scratch *s)
{
    const sm_pass *p = g->p;
    int64_t d = p->c.model->config.d_model, f = g->w->view.d_ff;
    float *y = g->y + c.row0 * d, *gu = g->s->gu + c.row0 * 2 * f;
    if (f > 0)
        sm_linear_rows(p->prod, gu, 2 * f, n2, d, g->w->gate_up.w, c.n_row, 2 * f, d,
                       false, s->at);
    part_done(g, s, PART_GATE_UP, c.n_row);
    if (g->is_recompute)
        return;
    memcpy(y, g->s->h + c.row0 * d, (size_t)(c.n_row * d) * sizeof *y);
    if (f == 0)
        return;
    float *a = sm_scratch_floats(s, SM_ROW_BLOCK * f);
    for (int64_t t = 0; t < c.n_row; t++)
        p->ctx.kern->swiglu(a + t * f, gu + t * 2 * f, gu + t * 2 * f + f, f);
    part_done(g, s, PART_SWIGLU, c.n_row);
    sm_rows_out(p, y, a, &g->w->down, 0, c.n_row, true, s);
    part_done(g, s, PART_DOWN, c.n_row);
}

static void dense_ffn_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    sm_chunk c = sm_pass_chunk(g->p, i);
    scratch s = sm_pass_scratch(g->p, thread);
    float *n2 = sm_scratch_floats(&s, SM_ROW_BLOCK * g->p->c.model->config.d_model);
    sm_rows_attn_out(g, c, i, n2, &s);
    sm_rows_ffn(g, c, n2, &s);
}

sm_rotary sm_pass_rotary(const sm_pass *p, const layer_weights *w)
{
    const sm_model_config *m = &p->c.model->config;
    bool rope = w->view.has_rope;
    return (sm_rotary){.cos = rope ? p->rope_cos : NULL,
                       .sin = rope ? p->rope_sin : NULL,
                       .temp = !rope && m->attn_temp_scale > 0 ? p->temp : NULL,
                       .is_interleaved = m->rope_interleaved,
                       .has_qk_norm = m->qk_norm && rope,
                       .norm_eps = m->norm_eps,
                       .n_head = m->n_head,
                       .n_kv_head = m->n_kv_head,
                       .d_head = m->d_head};
}

sm_attn sm_pass_attn(const sm_pass *p, const stage *g)
{
    const sm_model_config *m = &p->c.model->config;
    return (sm_attn){.kern = p->ctx.kern,
                     .prod = p->prod,
                     .n_seq = p->c.n_seq,
                     .n_ctx = p->c.n_ctx,
                     .n_head = m->n_head,
                     .n_kv_head = m->n_kv_head,
                     .d_head = m->d_head,
                     .chunk = g->w->view.has_rope ? m->attn_chunk : 0,
                     .doc_start = g->b->doc_start,
                     .qkv = g->s->qkv,
                     .o = g->s->o,
                     .m = g->s->m,
                     .l = g->s->l,
                     .d_o = p->d_o,
                     .dqkv = p->dqkv};
}

void sm_pass_layer_forward(stage *g, int64_t *counts)
{
    sm_pass *p = g->p;
    sm_trace_label(p->ctx.trace, "attention input", 0, 0);
    sm_pool_run(p->ctx.pool, p->n_chunk, attn_in_task, g);
    sm_attn a = sm_pass_attn(p, g);
    if (p->ctx.trace)
        sm_pass_set_attention_label(g, false);
    sm_attn_forward(p->ctx.pool, &a, p->scratch, p->scratch_stride);
    sm_trace_label(p->ctx.trace, "feed-forward", 0, 0);
    if (g->w->view.is_moe)
        sm_pass_moe_forward(g, counts);
    else
        sm_pool_run(p->ctx.pool, p->n_chunk, dense_ffn_task, g);
}
