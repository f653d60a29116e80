/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixture of experts of a layer.  Tokens are sorted by (expert, shard, position); a
 * task is a chunk of one expert's rows, which packs operands of weight gradients shard by
 * shard.
 *   softmax:  y_t = h_t [+ shared] + sum_j w_j E_j(n2_t)       (j best first, chained fma)
 *   sigmoid:  y_t = h_t [+ shared] + E(w n2_t)
 * Backward.  With da' = dy Wd (unweighted) the weight's gradient is <da', a>, so an
 * expert's output need not be kept: softmax dw = <da', a>, da = w da', and Wd's gradient
 * contracts dy with w a.  Sigmoid: dw = <dx_e, n2>, dn2 += w dx_e.
 */
#include <string.h>

#include "pass.h"

static bool is_sigmoid(const stage *g)
{
    return g->p->c.model->config.router == SM_ROUTER_SIGMOID_TOP1;
}

static const float *layer_bias(const stage *g)
{
    const sm_model *m = g->p->c.model;
    return m->router_bias ? m->router_bias + (int64_t)g->layer * m->config.n_expert
                          : NULL;
}

/* ----------------------------------------------------------------- forward */

static void moe_in_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = sm_pass_chunk(p, i);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, e = m->n_expert, k = m->k_expert;
    float *n2 = p->n2 + c.row0 * d, *logit = g->s->logit + c.row0 * e;
    sm_rows_attn_out(g, c, i, n2, &s);
    sm_linear_rows(p->prod_f32, logit, e, n2, d, g->w->router.w, c.n_row, e, d, false,
                   s.at);
    sm_route_rows(p->ctx.kern, g->s->expert + c.row0 * k, g->s->weight + c.row0 * k,
                  logit, layer_bias(g), c.n_row, m->n_expert, m->k_expert, is_sigmoid(g));
    part_done(g, &s, PART_ROUTER, c.n_row);
    sm_rows_ffn(g, c, n2, &s);
}

/* The input rows of a chunk of one expert. */
static void gather_inputs(const stage *g, sm_chunk c, float *x)
{
    const sm_pass *p = g->p;
    int64_t d = p->c.model->config.d_model, k = p->c.model->config.k_expert;
    for (int64_t i = 0; i < c.n_row; i++) {
        int32_t slot = g->s->perm.row_slot[c.row0 + i];
        const float *n2 = p->n2 + slot / k * d;
        if (is_sigmoid(g))
            p->ctx.kern->scale(x + i * d, n2, g->s->weight[slot], d);
        else
            memcpy(x + i * d, n2, (size_t)d * sizeof *x);
    }
}

static void expert_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = g->s->perm.chunk[i];
    size_t e = (size_t)g->s->perm.chunk_expert[i];
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, f = m->d_expert;
    float *x = sm_scratch_floats(&s, SM_EXPERT_ROWS * d);
    float *a = sm_scratch_floats(&s, SM_EXPERT_ROWS * f);
    float *gu = g->s->egu + c.row0 * 2 * f;
    const packed *up = &g->w->expert_gate_up, *down = &g->w->expert_down;
    gather_inputs(g, c, x);
    part_done(g, &s, PART_GATHER, c.n_row);
    sm_linear_rows(p->prod, gu, 2 * f, x, d, up->w + e * up->stride_w, c.n_row, 2 * f, d,
                   false, s.at);
    part_done(g, &s, PART_EXPERT_GATE_UP, c.n_row);
    if (g->is_recompute)
        return;
    for (int64_t t = 0; t < c.n_row; t++)
        p->ctx.kern->swiglu(a + t * f, gu + t * 2 * f, gu + t * 2 * f + f, f);
    part_done(g, &s, PART_EXPERT_SWIGLU, c.n_row);
    sm_rows_out(p, p->ey + c.row0 * d, a, down, e, c.n_row, false, &s);
    part_done(g, &s, PART_EXPERT_DOWN, c.n_row);
}

static void combine_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    sm_chunk c = sm_pass_chunk(p, i);
    int64_t d = p->c.model->config.d_model, k = p->c.model->config.k_expert;
    (void)thread;
    for (int64_t slot = c.row0 * k; slot < (c.row0 + c.n_row) * k; slot++) {
        float *y = g->y + slot / k * d;
        const float *ey = p->ey + g->s->perm.slot_row[slot] * d;
        if (is_sigmoid(g))
            p->ctx.kern->add(y, ey, d);
        else
            p->ctx.kern->axpy(y, g->s->weight[slot], ey, d);
    }
}

void sm_pass_moe_forward(stage *g, int64_t *counts)
{
    sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_pool_run(p->ctx.pool, p->n_chunk, moe_in_task, g);
    sm_trace_span sort = sm_trace_begin(p->ctx.trace, 0);
    sm_perm_build(&g->s->perm, g->s->expert, p->n_tok, m->k_expert, m->n_expert,
                  p->n_shard);
    sm_trace_lap(&sort, "sort by expert", 0, 0);
    for (int64_t e = 0; counts && e < m->n_expert; e++)
        counts[(int64_t)g->layer * m->n_expert + e] +=
            g->s->perm.row0[(e + 1) * p->n_shard] - g->s->perm.row0[e * p->n_shard];
    sm_trace_label(p->ctx.trace, "experts", 0, 0);
    sm_pool_run(p->ctx.pool, g->s->perm.n_chunk, expert_task, g);
    if (g->is_recompute)
        return;
    label_part(p, PART_COMBINE, false);
    sm_pool_run(p->ctx.pool, p->n_chunk, combine_task, g);
}

/* ---------------------------------------------------------------- backward */

/* n2 again, and the shared expert's part of its gradient. */
static void moe_in_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    sm_chunk c = sm_pass_chunk(p, i);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = p->c.model->config.d_model;
    float *n2 = p->n2 + c.row0 * d, *dn2 = p->dn2 + c.row0 * d;
    for (int64_t t = 0; t < c.n_row; t++)
        p->ctx.kern->rmsnorm(n2 + t * d, g->s->h + (c.row0 + t) * d, g->w->ffn_norm,
                             p->c.model->config.norm_eps, d);
    part_done(g, &s, PART_NORM, c.n_row);
    if (g->w->view.d_ff > 0)
        sm_rows_ffn_bwd(g, c, n2, dn2, &s);
    else
        memset(dn2, 0, (size_t)(c.n_row * d) * sizeof *dn2);
}

/* Rows of one expert chunk on their way back. */
typedef struct expert_rows {
    float *dy, *x, *da, *dgu, *a;
} expert_rows;

/* Packs the rows of chunk i, src [rows, n], as operands of a weight gradient. */
static void pack_expert_rows(const stage *g, ptrdiff_t i,
                             void (*pack)(const sm_prod *, void *, const float *, int64_t,
                                          sm_chunk, sm_chunk, int64_t),
                             char *base, const float *src, int64_t n)
{
    const sm_perm *perm = &g->s->perm;
    sm_chunk left = perm->chunk[i];
    int64_t group = perm->chunk_expert[i] * g->p->n_shard;
    while (left.n_row > 0) {
        sm_perm_piece piece = sm_perm_first_piece(perm, left, &group);
        pack(g->p->prod, base, src, n, piece.packed, piece.run, n);
        src += piece.packed.n_row * n;
        left.row0 += piece.packed.n_row;
        left.n_row -= piece.packed.n_row;
    }
}

/* From da' to dgu; leaves in r.a what Wd's gradient contracts with dy. */
static void expert_act_bwd(const stage *g, sm_chunk c, const expert_rows *r)
{
    const sm_pass *p = g->p;
    const sm_kern *kern = p->ctx.kern;
    int64_t f = p->c.model->config.d_expert;
    for (int64_t t = 0; t < c.n_row; t++) {
        int32_t slot = g->s->perm.row_slot[c.row0 + t];
        const float *gate = g->s->egu + (c.row0 + t) * 2 * f, *up = gate + f;
        float *da = r->da + t * f, *a = r->a + t * f, *dgu = r->dgu + t * 2 * f;
        kern->swiglu(a, gate, up, f);
        if (!is_sigmoid(g)) {
            p->dweight[slot] = sm_sliced_dot(kern, da, a, &g->w->expert_down.cut_w);
            kern->scale(da, da, g->s->weight[slot], f);
            kern->scale(a, a, g->s->weight[slot], f);
        }
        kern->swiglu_bwd(dgu, dgu + f, NULL, da, gate, up, f);
    }
}

static void expert_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = g->s->perm.chunk[i];
    size_t e = (size_t)g->s->perm.chunk_expert[i];
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, f = m->d_expert, k = m->k_expert;
    expert_rows r;
    r.dy = sm_scratch_floats(&s, SM_EXPERT_ROWS * d);
    r.x = sm_scratch_floats(&s, SM_EXPERT_ROWS * d);
    r.da = sm_scratch_floats(&s, SM_EXPERT_ROWS * f);
    r.dgu = sm_scratch_floats(&s, SM_EXPERT_ROWS * 2 * f);
    r.a = sm_scratch_floats(&s, SM_EXPERT_ROWS * f);
    const packed *up = &g->w->expert_gate_up, *down = &g->w->expert_down;
    for (int64_t t = 0; t < c.n_row; t++)
        memcpy(r.dy + t * d, p->dx + g->s->perm.row_slot[c.row0 + t] / k * d,
               (size_t)d * sizeof(float));
    gather_inputs(g, c, r.x);
    part_bwd_done(g, &s, PART_GATHER, c.n_row);
    pack_expert_rows(g, i, sm_grad_pack_a, p->g.edy, r.dy, d);
    pack_expert_rows(g, i, sm_grad_pack_b, p->g.ex, r.x, d);
    operands_done(&s, 2 * c.n_row * d);
    sm_linear_rows(p->prod, r.da, f, r.dy, d, down->t + e * down->stride_t, c.n_row, f, d,
                   false, s.at);
    part_bwd_done(g, &s, PART_EXPERT_DOWN, c.n_row);
    expert_act_bwd(g, c, &r);
    part_bwd_done(g, &s, PART_EXPERT_SWIGLU, c.n_row);
    pack_expert_rows(g, i, sm_grad_pack_b, p->g.eact, r.a, f);
    pack_expert_rows(g, i, sm_grad_pack_a, p->g.edgu, r.dgu, 2 * f);
    operands_done(&s, 3 * c.n_row * f);
    sm_rows_in_bwd(p, p->ey + c.row0 * d, r.dgu, up, e, c.n_row, &s);
    part_bwd_done(g, &s, PART_EXPERT_GATE_UP, c.n_row);
}

/* Bring the experts' gradients of their inputs home to one token's dn2. */
static void collect_row(const stage *g, int64_t token)
{
    const sm_pass *p = g->p;
    const sm_kern *kern = p->ctx.kern;
    int64_t d = p->c.model->config.d_model, k = p->c.model->config.k_expert;
    float *dn2 = p->dn2 + token * d;
    for (int64_t slot = token * k; slot < (token + 1) * k; slot++) {
        const float *dxe = p->ey + g->s->perm.slot_row[slot] * d;
        if (is_sigmoid(g)) {
            p->dweight[slot] = kern->dot(dxe, p->n2 + token * d, d);
            kern->axpy(dn2, g->s->weight[slot], dxe, d);
        } else {
            kern->add(dn2, dxe, d);
        }
    }
}

static void moe_out_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = sm_pass_chunk(p, i), run = sm_pass_run(p, c);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, e = m->n_expert, k = m->k_expert;
    float *dn2 = p->dn2 + c.row0 * d;
    float *dlogit = sm_scratch_floats(&s, SM_ROW_BLOCK * e),
          *tmp = sm_scratch_floats(&s, e);
    for (int64_t t = 0; t < c.n_row; t++) {
        int64_t row = c.row0 + t;
        collect_row(g, row);
        p->aux[row] = sm_route_row_bwd(p->ctx.kern, dlogit + t * e, g->s->logit + row * e,
                                       g->s->expert + row * k, g->s->weight + row * k,
                                       p->dweight + row * k, g->aux_slope, g->z,
                                       m->n_expert, m->k_expert, is_sigmoid(g), tmp);
    }
    part_bwd_done(g, &s, PART_COMBINE, c.n_row);
    sm_grad_pack_a(p->prod_f32, p->g.dlogit, dlogit, e, c, run, e);
    sm_grad_pack_b(p->prod_f32, p->g.n2_f32, p->n2 + c.row0 * d, d, c, run, d);
    sm_linear_rows(p->prod_f32, dn2, d, dlogit, e, g->w->router.t, c.n_row, d, e, true,
                   s.at);
    part_bwd_done(g, &s, PART_ROUTER, c.n_row);
    sm_rows_ffn_norm_bwd(g, c, dn2, &s);
    sm_rows_attn_out_bwd(g, c, &s);
}

/* The runs of every (expert, shard). */
static void fill_expert_runs(const stage *g)
{
    const sm_pass *p = g->p;
    const sm_perm *perm = &g->s->perm;
    int32_t n = 0;
    int64_t n_group = p->c.model->config.n_expert * p->n_shard;
    for (int64_t i = 0; i < n_group; i++) {
        sm_chunk group = {perm->packed0[i], perm->row0[i + 1] - perm->row0[i]};
        p->expert_runs.first[i] = n;
        for (int32_t at = 0; at < group.n_row; at += SM_RUN_ROWS)
            p->expert_runs.run[n++] = sm_grad_run_of(group, group.row0 + at);
    }
    p->expert_runs.first[n_group] = n;
}

void sm_pass_moe_backward(stage *g)
{
    sm_pass *p = g->p;
    fill_expert_runs(g);
    sm_pool_run(p->ctx.pool, p->n_chunk, moe_in_bwd_task, g);
    sm_trace_label(p->ctx.trace, "experts backward", 0, 0);
    sm_pool_run(p->ctx.pool, g->s->perm.n_chunk, expert_bwd_task, g);
    sm_trace_label(p->ctx.trace, "combine and out backward", 0, 0);
    sm_pool_run(p->ctx.pool, p->n_chunk, moe_out_bwd_task, g);
    for (int64_t t = 0; t < p->n_tok; t++)
        p->aux_sum[t / p->shard_tok] += (double)p->aux[t];
}

int64_t sm_pass_moe_jobs(const stage *g, float *grad, sm_grad_job *job)
{
    const sm_pass *p = g->p;
    const sm_model_config *m = &p->c.model->config;
    const sm_layer_view *v = &g->w->view;
    int64_t d = m->d_model, f = m->d_expert, n_job = 0;
    for (int64_t e = 0; e < m->n_expert; e++) {
        const int32_t *first = p->expert_runs.first + e * p->n_shard;
        job[n_job++] = (sm_grad_job){.prod = p->prod,
                                     .m = 2 * f,
                                     .n = d,
                                     .a = p->g.edgu,
                                     .dst = grad + v->expert_gate_up + e * 2 * f * d,
                                     .b = p->g.ex,
                                     .run = p->expert_runs.run,
                                     .first = first};
        job[n_job++] = (sm_grad_job){.prod = p->prod,
                                     .m = d,
                                     .n = f,
                                     .a = p->g.edy,
                                     .dst = grad + v->expert_down + e * d * f,
                                     .b = p->g.eact,
                                     .run = p->expert_runs.run,
                                     .first = first};
    }
    job[n_job] =
        sm_pass_token_job(p, grad + v->router, p->g.dlogit, m->n_expert, p->g.n2_f32, d);
    job[n_job++].prod = p->prod_f32;
    return n_job;
}
