/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer backward.  p->dx holds the gradient of the layer's output and, at the end, of
 * its input.  Operands of weight gradients are packed (transposed) chunk by chunk while
 * their rows are in cache; all products of the layer's weight gradients then run as one
 * loop over tiles.
 */
#include <string.h>

#include "pass.h"

/* Backward of the dense FFN or shared expert for a chunk: from dy = dx rows to dn2. */
void sm_rows_ffn_bwd(const stage *g, sm_chunk c, const float *n2, float *dn2, scratch *s)
{
    const sm_pass *p = g->p;
    const sm_kern *kern = p->ctx.kern;
    int64_t d = p->c.model->config.d_model, f = g->w->view.d_ff;
    const float *dy = p->dx + c.row0 * d, *gu = g->s->gu + c.row0 * 2 * f;
    sm_chunk run = sm_pass_run(p, c);
    scratch keep = *s;
    float *da = sm_scratch_floats(s, SM_ROW_BLOCK * f);
    float *dgu = sm_scratch_floats(s, SM_ROW_BLOCK * 2 * f);
    float *a = sm_scratch_floats(s, SM_ROW_BLOCK * f);
    sm_grad_pack_a(p->prod, p->g.dy, dy, d, c, run, d);
    operands_done(s, c.n_row * d);
    sm_linear_rows(p->prod, da, f, dy, d, g->w->down.t, c.n_row, f, d, false, s->at);
    part_bwd_done(g, s, PART_DOWN, c.n_row);
    for (int64_t t = 0; t < c.n_row; t++) {
        const float *gate = gu + t * 2 * f, *up = gate + f;
        kern->swiglu_bwd(dgu + t * 2 * f, dgu + t * 2 * f + f, a + t * f, da + t * f,
                         gate, up, f);
    }
    part_bwd_done(g, s, PART_SWIGLU, c.n_row);
    sm_grad_pack_b(p->prod, p->g.act, a, f, c, run, f);
    sm_grad_pack_a(p->prod, p->g.dgu, dgu, 2 * f, c, run, 2 * f);
    sm_grad_pack_b(p->prod, p->g.n2, n2, d, c, run, d);
    operands_done(s, c.n_row * (3 * f + d));
    sm_rows_in_bwd(p, dn2, dgu, &g->w->gate_up, 0, c.n_row, s);
    part_bwd_done(g, s, PART_GATE_UP, c.n_row);
    s->at = keep.at;
}

/* dx += backward of n = norm(x), with the norm weight's partial sums by 32 rows. */
static void norm_bwd_rows(const sm_pass *p, sm_chunk c, const float *dn, const float *x,
                          const float *w, float *dgamma, float *tmp)
{
    const sm_kern *kern = p->ctx.kern;
    int64_t d = p->c.model->config.d_model;
    float eps = p->c.model->config.norm_eps;
    for (int64_t t = 0; t < c.n_row; t++) {
        int64_t row = c.row0 + t;
        float *partial = dgamma + row / SM_TOKEN_BLOCK * d;
        if (row % SM_TOKEN_BLOCK == 0)
            memset(partial, 0, (size_t)d * sizeof *partial);
        float r = kern->rmsnorm(tmp, x + row * d, NULL, eps, d);
        kern->rmsnorm_bwd(p->dx + row * d, partial, dn + t * d, x + row * d, w, r, d,
                          true);
    }
}

void sm_rows_ffn_norm_bwd(const stage *g, sm_chunk c, const float *dn2, scratch *s)
{
    float *tmp = sm_scratch_floats(s, g->p->c.model->config.d_model);
    norm_bwd_rows(g->p, c, dn2, g->s->h, g->w->ffn_norm, g->p->dgamma2, tmp);
    part_bwd_done(g, s, PART_NORM, c.n_row);
}

/* d_o = dh Wo */
void sm_rows_attn_out_bwd(const stage *g, sm_chunk c, scratch *s)
{
    const sm_pass *p = g->p;
    int64_t d = p->c.model->config.d_model, q = p->width_q;
    const float *dh = p->dx + c.row0 * d;
    sm_chunk run = sm_pass_run(p, c);
    sm_grad_pack_a(p->prod, p->g.dh, dh, d, c, run, d);
    sm_grad_pack_b(p->prod, p->g.o, g->s->o + c.row0 * q, q, c, run, q);
    operands_done(s, c.n_row * (d + q));
    sm_linear_rows(p->prod, p->d_o + c.row0 * q, q, dh, d, g->w->out.t, c.n_row, q, d,
                   false, s->at);
    part_bwd_done(g, s, PART_OUT, c.n_row);
}

static void dense_ffn_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    sm_chunk c = sm_pass_chunk(p, i);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = p->c.model->config.d_model;
    float *n2 = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    float *dn2 = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    for (int64_t t = 0; t < c.n_row; t++)
        p->ctx.kern->rmsnorm(n2 + t * d, g->s->h + (c.row0 + t) * d, g->w->ffn_norm,
                             p->c.model->config.norm_eps, d);
    part_done(g, &s, PART_NORM, c.n_row);
    sm_rows_ffn_bwd(g, c, n2, dn2, &s);
    sm_rows_ffn_norm_bwd(g, c, dn2, &s);
    sm_rows_attn_out_bwd(g, c, &s);
}

/* From the gradient of q|k|v after rope to that of the layer's input. */
static void attn_in_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const stage *g = arg;
    const sm_pass *p = g->p;
    const sm_kern *kern = p->ctx.kern;
    const sm_model_config *m = &p->c.model->config;
    sm_chunk c = sm_pass_chunk(p, i), run = sm_pass_run(p, c);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = m->d_model, n_head = m->n_head + m->n_kv_head, w = p->width_qkv;
    float *n1 = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    float *dn1 = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    float *tmp = sm_scratch_floats(&s, d > m->d_head ? d : m->d_head);
    float *dqkv = p->dqkv + c.row0 * w;
    sm_rotary ro = sm_pass_rotary(p, g->w);
    for (int64_t t = 0; t < c.n_row; t++) {
        int64_t row = c.row0 + t;
        sm_rotary_row_bwd(kern, &ro, dqkv + t * w, g->s->qkv + row * w,
                          g->s->r_qk ? g->s->r_qk + row * n_head : NULL, p->pos[row],
                          tmp);
        kern->rmsnorm(n1 + t * d, g->x + row * d, g->w->attn_norm, m->norm_eps, d);
    }
    part_bwd_done(g, &s, PART_ROPE, c.n_row);
    sm_grad_pack_a(p->prod, p->g.dqkv, dqkv, w, c, run, w);
    sm_grad_pack_b(p->prod, p->g.n1, n1, d, c, run, d);
    operands_done(&s, c.n_row * (w + d));
    sm_rows_in_bwd(p, dn1, dqkv, &g->w->qkv, 0, c.n_row, &s);
    part_bwd_done(g, &s, PART_QKV, c.n_row);
    norm_bwd_rows(p, c, dn1, g->x, g->w->attn_norm, p->dgamma1, tmp);
    part_bwd_done(g, &s, PART_NORM, c.n_row);
}

/* ----------------------------------------------- gradients of norm weights */

typedef struct norm_reduce {
    const sm_pass *p;
    float *partial, *dst;
} norm_reduce;

/* A shard's 32-row partial sums are chained ascending, then shards join along the tree. */
static void norm_reduce_task(void *arg, ptrdiff_t i, int thread)
{
    const norm_reduce *r = arg;
    const sm_pass *p = r->p;
    const sm_kern *kern = p->ctx.kern;
    (void)i;
    (void)thread;
    int64_t d = p->c.model->config.d_model, blocks = p->shard_tok / SM_TOKEN_BLOCK;
    for (int64_t s = 0; s < p->n_shard; s++)
        for (int64_t b = 1; b < blocks; b++)
            kern->add(r->partial + s * blocks * d, r->partial + (s * blocks + b) * d, d);
    sm_tree_sum(kern, r->partial, p->n_shard, d, blocks * d);
    memcpy(r->dst, r->partial, (size_t)d * sizeof *r->dst);
}

/* dst [d] = the sums of a norm weight's partial gradients (overwritten). */
static void norm_grad(const sm_pass *p, float *partial, float *dst)
{
    norm_reduce r = {p, partial, dst};
    sm_trace_span span = sm_trace_begin(p->ctx.trace, 0);
    sm_pool_run(NULL, 1, norm_reduce_task, &r);
    sm_trace_lap(&span, "norm gradients", 0, 0);
}

/* The final norm: dx = scale * (gradient of its output), through the norm. */
static void final_norm_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    const final_norm *f = arg;
    const sm_pass *p = f->p;
    sm_chunk c = sm_pass_chunk(p, i);
    scratch s = sm_pass_scratch(p, thread);
    int64_t d = p->c.model->config.d_model, n = c.n_row * d;
    float *dn = sm_scratch_floats(&s, SM_ROW_BLOCK * d);
    float *tmp = sm_scratch_floats(&s, d);
    p->ctx.kern->scale(dn, f->dn + c.row0 * d, f->scale, n);
    memset(p->dx + c.row0 * d, 0, (size_t)n * sizeof *p->dx);
    norm_bwd_rows(p, c, dn, f->x, f->norm, p->dgamma1, tmp);
}

void sm_pass_final_norm_bwd(final_norm *f, float *dst)
{
    label_part(f->p, PART_NORM, true);
    sm_pool_run(f->p->ctx.pool, f->p->n_chunk, final_norm_bwd_task, f);
    norm_grad(f->p, f->p->dgamma1, dst);
}

/* --------------------------------------------------------------- the layer */

sm_grad_job sm_pass_token_job(const sm_pass *p, float *dst, const char *a, int64_t m,
                              const char *b, int64_t n)
{
    return (sm_grad_job){.prod = p->prod,
                         .dst = dst,
                         .m = m,
                         .n = n,
                         .a = a,
                         .b = b,
                         .run = p->run,
                         .first = p->run_first};
}

static sm_status name_bad(const stage *g, const sm_grad_job *job, const float *grad,
                          sm_err *err)
{
    const sm_model *m = g->p->c.model;
    int64_t at = job->dst - grad;
    for (int32_t i = 0; i < m->n_param_tensors; i++)
        if (at >= m->param[i].offset && at < m->param[i].offset + m->param[i].n)
            return sm_fail(err, SM_ENUMERIC,
                           "backward: layer %d: gradient of %s: NaN or "
                           "infinity",
                           (int)g->layer, m->param[i].name);
    return sm_fail(err, SM_ENUMERIC, "backward: layer %d: NaN or infinity",
                   (int)g->layer);
}

static sm_status weight_grads(stage *g, float *grad, sm_err *err)
{
    sm_pass *p = g->p;
    const sm_layer_view *v = &g->w->view;
    int64_t d = p->c.model->config.d_model, f = v->d_ff, n = 0;
    sm_grad_job *job = p->grad_job;
    if (f > 0) {
        job[n++] = sm_pass_token_job(p, grad + v->down, p->g.dy, d, p->g.act, f);
        job[n++] = sm_pass_token_job(p, grad + v->gate_up, p->g.dgu, 2 * f, p->g.n2, d);
    }
    if (v->is_moe)
        n += sm_pass_moe_jobs(g, grad, job + n);
    job[n++] = sm_pass_token_job(p, grad + v->out, p->g.dh, d, p->g.o, p->width_q);
    job[n++] = sm_pass_token_job(p, grad + v->qkv, p->g.dqkv, p->width_qkv, p->g.n1, d);
    if (p->ctx.trace)
        sm_pass_set_grads_label(p, "weight gradients", job, n);
    int64_t bad = sm_grad_run(p->ctx.pool, p->ctx.kern, job, n, p->n_shard, p->scratch);
    return bad < 0 ? SM_OK : name_bad(g, &job[bad], grad, err);
}

sm_status sm_pass_layer_backward(stage *g, float *grad, sm_err *err)
{
    sm_pass *p = g->p;
    sm_trace_label(p->ctx.trace, "feed-forward backward", 0, 0);
    if (g->w->view.is_moe)
        sm_pass_moe_backward(g);
    else
        sm_pool_run(p->ctx.pool, p->n_chunk, dense_ffn_bwd_task, g);
    sm_attn a = sm_pass_attn(p, g);
    if (p->ctx.trace)
        sm_pass_set_attention_label(g, true);
    sm_attn_backward(p->ctx.pool, &a, p->scratch, p->scratch_stride);
    sm_trace_label(p->ctx.trace, "attention input backward", 0, 0);
    sm_pool_run(p->ctx.pool, p->n_chunk, attn_in_bwd_task, g);
    norm_grad(p, p->dgamma2, grad + g->w->view.ffn_norm);
    norm_grad(p, p->dgamma1, grad + g->w->view.attn_norm);
    return weight_grads(g, grad, err);
}
