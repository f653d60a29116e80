/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass: forward and backward of one micro-batch shape (see pass.h).
 */
#include <stdlib.h>
#include <string.h>

#include "pass.h"

static sm_status check_shape(const sm_pass_config *c, sm_err *err)
{
    const sm_model_config *m = &c->model->config;
    int64_t shards = c->seq_per_shard > 0 ? c->n_seq / c->seq_per_shard : 0;
    if (c->n_ctx < 1 || c->n_ctx > m->max_ctx)
        return sm_fail(err, SM_EINVAL, "pass: n_ctx: got %lld, want 1..%d",
                       (long long)c->n_ctx, (int)m->max_ctx);
    if (c->n_seq < 1 || c->n_seq > 1 << 20 || c->seq_per_shard < 1 ||
        c->n_seq % c->seq_per_shard)
        return sm_fail(err, SM_EINVAL,
                       "pass: n_seq: got %lld, want a multiple of "
                       "seq_per_shard %lld",
                       (long long)c->n_seq, (long long)c->seq_per_shard);
    if (shards & (shards - 1))
        return sm_fail(err, SM_EINVAL,
                       "pass: shards in a micro-batch: got %lld, want a "
                       "power of two",
                       (long long)shards);
    if (c->seq_per_shard * c->n_ctx % SM_TOKEN_BLOCK)
        return sm_fail(err, SM_EINVAL,
                       "pass: tokens in a shard: got %lld, want a multiple "
                       "of %d",
                       (long long)(c->seq_per_shard * c->n_ctx), SM_TOKEN_BLOCK);
    int64_t most = INT32_MAX / 4, k = m->n_expert > 0 ? m->k_expert : 1;
    int64_t padding = (int64_t)m->n_expert * shards * SM_TOKEN_BLOCK;
    if (c->n_seq > most / c->n_ctx || c->n_seq * c->n_ctx > (most - padding) / k)
        return sm_fail(err, SM_EINVAL,
                       "pass: rows in a micro-batch: got %lld x %lld tokens "
                       "x %lld experts, want below %lld",
                       (long long)c->n_seq, (long long)c->n_ctx, (long long)k,
                       (long long)most);
    if (c->n_micro < 1 || c->n_micro > 1 << 16)
        return sm_fail(err, SM_EINVAL, "pass: n_micro: got %lld, want 1..65536",
                       (long long)c->n_micro);
    return SM_OK;
}

/* Tables that the plan points into: sizes follow from the config alone. */
static sm_status allocate_tables(sm_pass *p, sm_err *err)
{
    const sm_model_config *m = &p->c.model->config;
    size_t layers = (size_t)m->n_layer, micro = (size_t)p->c.n_micro;
    size_t per_layer =
        (10 + 4 * (size_t)m->n_expert) * SM_SLICE_RUN_MAX * (size_t)m->n_slice;
    p->weights = sm_alloc(layers, sizeof *p->weights);
    p->pack_job =
        sm_alloc(layers * per_layer + 1 + (size_t)m->n_slice, sizeof *p->pack_job);
    p->slot = sm_alloc(micro, sizeof *p->slot);
    p->pack_matrix =
        sm_alloc(layers * (5 + 2 * (size_t)m->n_expert) + 1, sizeof *p->pack_matrix);
    if (!p->weights || !p->pack_job || !p->pack_matrix || !p->slot)
        return sm_fail(err, SM_ENOMEM, "pass: out of memory");
    for (size_t i = 0; i < micro; i++) {
        p->slot[i].x = sm_alloc(layers + 1, sizeof *p->slot[i].x);
        p->slot[i].layer = sm_alloc(layers, sizeof *p->slot[i].layer);
        if (!p->slot[i].x || !p->slot[i].layer)
            return sm_fail(err, SM_ENOMEM, "pass: out of memory");
    }
    return SM_OK;
}

static void fill_chunks(sm_pass *p)
{
    int32_t n = 0, n_run = 0;
    for (int64_t s = 0; s < p->n_shard; s++) {
        p->run_first[s] = n_run;
        for (int64_t t = 0; t < p->shard_tok; t += SM_ROW_BLOCK) {
            int64_t left = p->shard_tok - t;
            sm_chunk c = {(int32_t)(s * p->shard_tok + t),
                          (int32_t)(left < SM_ROW_BLOCK ? left : SM_ROW_BLOCK)};
            p->chunk[n++] = c;
            if (t % SM_RUN_ROWS == 0)
                p->run[n_run++] = sm_pass_run(p, c);
        }
    }
    p->run_first[p->n_shard] = n_run;
}

/* Everything but its memory. */
static sm_status create_bare(sm_pass **out, const sm_ctx *ctx, const sm_pass_config *c,
                             sm_err *err)
{
    const sm_model_config *m = &c->model->config;
    sm_status s = check_shape(c, err);
    if (s)
        return s;
    sm_pass *p = sm_alloc(1, sizeof *p);
    if (!p)
        return sm_fail(err, SM_ENOMEM, "pass: out of memory");
    *p = (sm_pass){.ctx = *ctx,
                   .c = *c,
                   .prod = sm_kern_prod(ctx->kern, c->profile),
                   .prod_f32 = &ctx->kern->f32,
                   .n_thread = sm_pool_n_threads(ctx->pool),
                   .n_tok = c->n_seq * c->n_ctx,
                   .n_shard = c->n_seq / c->seq_per_shard,
                   .shard_tok = c->seq_per_shard * c->n_ctx,
                   .width_q = (int64_t)m->n_head * m->d_head,
                   .width_qkv = ((int64_t)m->n_head + 2 * m->n_kv_head) * m->d_head};
    p->n_chunk =
        (int32_t)(p->n_shard * ((p->shard_tok + SM_ROW_BLOCK - 1) / SM_ROW_BLOCK));
    if (!p->prod)
        s = sm_fail(err, SM_EINVAL, "pass: profile: got \"%s\", want bf16/1 or f32/1",
                    c->profile);
    if (!s)
        s = allocate_tables(p, err);
    if (s)
        sm_pass_free(p);
    else
        *out = p;
    return s;
}

sm_status sm_pass_measure(size_t *bytes, const sm_ctx *ctx, const sm_pass_config *c,
                          sm_err *err)
{
    sm_pass *p = NULL;
    sm_status s = create_bare(&p, ctx, c, err);
    if (!s)
        s = sm_pass_size(p, err);
    if (!s)
        *bytes = p->bytes;
    sm_pass_free(p);
    return s;
}

sm_status sm_pass_create(sm_pass **out, const sm_ctx *ctx, const sm_pass_config *c,
                         sm_err *err)
{
    const sm_model_config *m = &c->model->config;
    sm_pass *p = NULL;
    sm_status s = create_bare(&p, ctx, c, err);
    if (!s)
        s = sm_pass_plan(p, err);
    if (s) {
        sm_pass_free(p);
        return s;
    }
    fill_chunks(p);
    sm_rope_table(p->rope_cos, p->rope_sin, c->n_ctx, m->d_head, m->rope_theta);
    if (m->attn_temp_scale > 0)
        sm_temp_table(p->temp, c->n_ctx, m->attn_temp_scale, m->attn_temp_floor);
    *out = p;
    return sm_pass_pack(p, err);
}

void sm_pass_free(sm_pass *p)
{
    if (!p)
        return;
    for (int64_t i = 0; p->slot && i < p->c.n_micro; i++) {
        free(p->slot[i].x);
        free(p->slot[i].layer);
    }
    free(p->slot);
    free(p->weights);
    free(p->pack_job);
    free(p->pack_matrix);
    sm_pages_free(p->memory, p->bytes);
    free(p);
}

size_t sm_pass_bytes(const sm_pass *p)
{
    return p->bytes;
}

/* ----------------------------------------------------------------- forward */

static sm_status check_batch(const sm_pass *p, const sm_batch *b, int64_t slot,
                             sm_err *err)
{
    int32_t n_vocab = p->c.model->config.n_vocab;
    if (b->n_seq != p->c.n_seq || b->n_ctx != p->c.n_ctx ||
        b->seq_per_shard != p->c.seq_per_shard)
        return sm_fail(err, SM_EINVAL,
                       "batch: got %lld x %lld tokens in shards of %lld, "
                       "want %lld x %lld in shards of %lld",
                       (long long)b->n_seq, (long long)b->n_ctx,
                       (long long)b->seq_per_shard, (long long)p->c.n_seq,
                       (long long)p->c.n_ctx, (long long)p->c.seq_per_shard);
    if (slot < 0 || slot >= p->c.n_micro)
        return sm_fail(err, SM_EINVAL, "batch: slot: got %lld, want 0..%lld",
                       (long long)slot, (long long)p->c.n_micro - 1);
    for (int64_t t = 0; t < p->n_tok; t++) {
        int64_t at = t % p->c.n_ctx;
        if (b->token[t] < 0 || b->token[t] >= n_vocab)
            return sm_fail(err, SM_EINVAL, "batch: token %lld: got id %d, want 0..%d",
                           (long long)t, (int)b->token[t], (int)n_vocab - 1);
        if (b->target[t] < -1 || b->target[t] >= n_vocab)
            return sm_fail(err, SM_EINVAL, "batch: target %lld: got id %d, want -1..%d",
                           (long long)t, (int)b->target[t], (int)n_vocab - 1);
        if (b->doc_start[t] < 0 || b->doc_start[t] > at)
            return sm_fail(err, SM_EINVAL, "batch: doc_start %lld: got %d, want 0..%lld",
                           (long long)t, (int)b->doc_start[t], (long long)at);
    }
    return SM_OK;
}

static void fill_positions(sm_pass *p, const sm_batch *b)
{
    for (int64_t t = 0; t < p->n_tok; t++)
        p->pos[t] = (int32_t)(t % p->c.n_ctx) - b->doc_start[t];
}

typedef struct embed_stage {
    const sm_pass *p;
    const sm_batch *b;
    const float *w;
    float *x;
} embed_stage;

static void embed_task(void *arg, ptrdiff_t i, int thread)
{
    const embed_stage *e = arg;
    (void)thread;
    sm_chunk c = sm_pass_chunk(e->p, i);
    int64_t d = e->p->c.model->config.d_model;
    sm_embed_rows(e->x + c.row0 * d, e->w, e->b->token + c.row0, c.n_row, d);
}

static stage stage_of(sm_pass *p, const sm_batch *b, int64_t slot, int32_t layer)
{
    pass_slot *s = &p->slot[slot];
    return (stage){.p = p,
                   .b = b,
                   .layer = layer,
                   .w = &p->weights[layer],
                   .s = &s->layer[layer],
                   .x = s->x[layer],
                   .y = s->x[layer + 1]};
}

static void run_head(sm_pass *p, const sm_batch *b, pass_slot *s)
{
    const sm_model *m = p->c.model;
    sm_head h = {.kern = p->ctx.kern,
                 .prod = p->prod,
                 .n_vocab = m->config.n_vocab,
                 .d = m->config.d_model,
                 .n_shard = p->n_shard,
                 .shard_tok = p->shard_tok,
                 .z_coef = p->c.loss.head_z_coef,
                 .n_slice = m->config.n_slice,
                 .w = p->head.w,
                 .wt = p->head.t,
                 .x = s->x[m->config.n_layer],
                 .norm = m->weight + sm_model_ends(m).norm,
                 .norm_eps = m->config.norm_eps,
                 .target = b->target,
                 .loss = s->loss,
                 .r = s->r,
                 .dx = s->dn,
                 .dw = s->dhead,
                 .dlogit_t = s->head.dlogit,
                 .norm_x = s->head.nf};
    label_part(p, PART_HEAD, false);
    sm_head_run(p->ctx.pool, &h, p->scratch, p->scratch_stride);
}

/* The first norm whose input held a NaN or an infinity names the tensor before it. */
static sm_status check_norms(const sm_pass *p, sm_err *err)
{
    int32_t n_layer = p->c.model->config.n_layer;
    for (int64_t i = 0; i < 2 * (int64_t)n_layer * p->n_chunk; i++)
        if (p->bad[i]) {
            int64_t norm = i / p->n_chunk;
            return sm_fail(err, SM_ENUMERIC, "forward: layer %d: %s: NaN or infinity",
                           (int)(norm / 2),
                           norm % 2 ? "residual after attention" : "block input");
        }
    return SM_OK;
}

static sm_status check_forward(const sm_pass *p, const pass_slot *s, sm_err *err)
{
    int32_t n_layer = p->c.model->config.n_layer;
    sm_status st = check_norms(p, err);
    if (st)
        return st;
    for (int64_t t = 0; t < p->n_tok; t++) {
        if (!(s->r[t] > 0 && s->r[t] - s->r[t] == 0))
            return sm_fail(err, SM_ENUMERIC,
                           "forward: layer %d: block output of token "
                           "%lld: NaN or infinity",
                           (int)n_layer - 1, (long long)t);
        if (!(s->loss[t] - s->loss[t] == 0))
            return sm_fail(err, SM_ENUMERIC, "forward: loss of token %lld: got %g",
                           (long long)t, (double)s->loss[t]);
    }
    return SM_OK;
}

/* Sums in token order, in double. */
static void sum_losses(const sm_pass *p, const sm_batch *b, const pass_slot *s,
                       sm_shard_stats *stats)
{
    for (int64_t t = 0; t < p->n_tok; t++) {
        sm_shard_stats *st = &stats[t / p->shard_tok];
        st->loss_sum += (double)s->loss[t];
        st->n_target += b->target[t] >= 0;
    }
}

/* One task a shard: sum of squared logsumexp of the router over its tokens, in order. */
typedef struct z_stage {
    const sm_pass *p;
    const layer_saved *s;
    sm_shard_stats *stats;
} z_stage;

static void z_task(void *arg, ptrdiff_t i, int thread)
{
    const z_stage *z = arg;
    const sm_pass *p = z->p;
    int64_t e = p->c.model->config.n_expert;
    scratch s = sm_pass_scratch(p, thread);
    float *tmp = sm_scratch_floats(&s, e);
    double sum = 0;
    for (int64_t t = i * p->shard_tok; t < (i + 1) * p->shard_tok; t++) {
        float lse = sm_logsumexp_row(p->ctx.kern, z->s->logit + t * e, e, tmp);
        sum += (double)lse * (double)lse;
    }
    z->stats[i].aux_z_sum += (double)p->c.loss.z_coef * sum;
}

/* Everything below the head.  Counting stops where the last router has spoken. */
static void run_layers(sm_pass *p, const sm_batch *b, int64_t slot, sm_shard_stats *stats,
                       int64_t *counts, bool is_count)
{
    const sm_model *m = p->c.model;
    fill_positions(p, b);
    memset(p->bad, 0, (size_t)((2 * m->config.n_layer + 1) * p->n_chunk));
    embed_stage e = {p, b, m->weight + sm_model_ends(m).embed, p->slot[slot].x[0]};
    label_part(p, PART_EMBED, false);
    sm_pool_run(p->ctx.pool, p->n_chunk, embed_task, &e);
    for (int32_t l = 0; l < m->config.n_layer; l++) {
        stage g = stage_of(p, b, slot, l);
        g.is_recompute = is_count && l == m->config.n_layer - 1;
        sm_pass_layer_forward(&g, counts);
        z_stage z = {p, g.s, stats};
        sm_trace_label(p->ctx.trace, "router z-loss", 0, 0);
        if (stats && g.w->view.is_moe && p->c.loss.z_coef != 0)
            sm_pool_run(p->ctx.pool, p->n_shard, z_task, &z);
    }
}

sm_status sm_pass_count(sm_pass *p, const sm_batch *b, int64_t *counts, sm_err *err)
{
    sm_status s = check_batch(p, b, 0, err);
    if (s)
        return s;
    run_layers(p, b, 0, NULL, counts, true);
    return check_norms(p, err);
}

sm_status sm_pass_forward(sm_pass *p, const sm_batch *b, int64_t slot,
                          sm_shard_stats *stats, int64_t *counts, float *token_loss,
                          sm_err *err)
{
    sm_status st = check_batch(p, b, slot, err);
    if (st)
        return st;
    pass_slot *s = &p->slot[slot];
    for (int64_t i = 0; i < p->n_shard; i++)
        stats[i] = (sm_shard_stats){0};
    run_layers(p, b, slot, stats, counts, false);
    run_head(p, b, s);
    sum_losses(p, b, s, stats);
    if (token_loss)
        memcpy(token_loss, s->loss, (size_t)p->n_tok * sizeof *token_loss);
    return check_forward(p, s, err);
}

/* ---------------------------------------------------------------- backward */

/* d(aux)/dp of one token: coef * E * f_e / n_tok, f_e = count_e / (k n_tok). */
static void fill_aux_slope(const sm_pass *p, int32_t layer, const int64_t *counts,
                           int64_t n_tok)
{
    const sm_model_config *m = &p->c.model->config;
    double unit = (double)p->c.loss.aux_coef * m->n_expert /
                  ((double)m->k_expert * (double)n_tok * (double)n_tok);
    for (int32_t e = 0; e < m->n_expert; e++)
        p->aux_slope[e] = (float)(unit * (double)counts[layer * m->n_expert + e]);
}

/* The gradient of the head's weight out of its kept operands; e says what a leaf is. */
static bool head_backward(sm_pass *p, const pass_slot *s, const sm_embed_grad *e)
{
    const sm_model_config *m = &p->c.model->config;
    sm_grad_job job =
        sm_pass_token_job(p, e->dw, s->head.dlogit, m->n_vocab, s->head.nf, m->d_model);
    job.embed = e;
    if (p->ctx.trace)
        sm_pass_set_grads_label(p, "head gradient", &job, 1);
    return sm_grad_run(p->ctx.pool, p->ctx.kern, &job, 1, p->n_shard, p->scratch) < 0;
}

/* e->dw = the gradient of a table: of its use as the head, as the embedding (dx), or both. */
static sm_status table_backward(sm_pass *p, const pass_slot *s, sm_embed_grad e,
                                bool is_head, const char *name, sm_err *err)
{
    bool is_good;
    if (is_head && !s->dhead) {
        is_good = head_backward(p, s, &e);
    } else {
        e.head = is_head ? s->dhead : NULL;
        label_part(p, PART_EMBED, true);
        is_good = sm_embed_grad_run(p->ctx.pool, &e, p->scratch);
    }
    return is_good ? SM_OK
                   : sm_fail(err, SM_ENUMERIC,
                             "backward: gradient of %s: NaN or infinity", name);
}

static sm_status embed_backward(sm_pass *p, const sm_batch *b, const pass_slot *s,
                                float *grad, float scale, sm_err *err)
{
    const sm_model_config *m = &p->c.model->config;
    sm_model_view v = sm_model_ends(p->c.model);
    sm_trace_span sort = sm_trace_begin(p->ctx.trace, 0);
    sm_embed_sort(p->order, p->start, b->token, p->n_tok, m->n_vocab);
    sm_trace_lap(&sort, "sort by token", 0, 0);
    sm_embed_grad e = {.kern = p->ctx.kern,
                       .dw = grad + v.embed,
                       .dx = p->dx,
                       .scale = scale,
                       .order = p->order,
                       .start = p->start,
                       .n_vocab = m->n_vocab,
                       .d = m->d_model,
                       .n_shard = p->n_shard,
                       .shard_tok = p->shard_tok};
    sm_status st = table_backward(p, s, e, m->tied, "model.embed_tokens.weight", err);
    e.dw = grad + v.head;
    e.dx = NULL;
    return st || m->tied ? st : table_backward(p, s, e, true, "lm_head.weight", err);
}

sm_status sm_pass_backward(sm_pass *p, const sm_batch *b, int64_t slot, float *grad,
                           const int64_t *counts_global, int64_t n_target_global,
                           int64_t n_tok_global, sm_err *err)
{
    const sm_model *m = p->c.model;
    sm_status st = check_batch(p, b, slot, err);
    if (!st && !p->c.backward)
        st = sm_fail(err, SM_EINVAL, "backward: the pass was created forward only");
    if (!st && (n_target_global < 1 || n_tok_global < p->n_tok))
        st = sm_fail(err, SM_EINVAL,
                     "backward: got %lld targets of %lld tokens globally, "
                     "want at least 1 of at least %lld",
                     (long long)n_target_global, (long long)n_tok_global,
                     (long long)p->n_tok);
    bool has_aux = p->c.loss.aux_coef != 0 && m->config.n_expert > 0;
    if (!st && has_aux && !counts_global)
        st = sm_fail(err, SM_EINVAL, "backward: the auxiliary loss needs global counts");
    if (st)
        return st;
    const pass_slot *s = &p->slot[slot];
    float scale = (float)(1.0 / (double)n_target_global);
    sm_model_view v = sm_model_ends(m);
    final_norm f = {p, s->dn, s->x[m->config.n_layer], m->weight + v.norm, scale};
    fill_positions(p, b);
    for (int64_t i = 0; m->config.n_expert > 0 && i < p->n_shard; i++)
        p->aux_sum[i] = 0;
    sm_pass_final_norm_bwd(&f, grad + v.norm);
    for (int32_t l = m->config.n_layer; !st && l-- > 0;) {
        stage g = stage_of(p, b, slot, l);
        if (p->c.recompute) {
            g.is_recompute = true;
            sm_pass_layer_forward(&g, NULL);
        }
        g.z = (float)((double)p->c.loss.z_coef / (double)n_tok_global);
        if (has_aux) {
            fill_aux_slope(p, l, counts_global, n_tok_global);
            g.aux_slope = p->aux_slope;
        }
        st = sm_pass_layer_backward(&g, grad, err);
    }
    return st ? st : embed_backward(p, b, s, grad, scale, err);
}

void sm_pass_aux_loss(const sm_pass *p, double *aux)
{
    for (int64_t i = 0; i < p->n_shard; i++)
        aux[i] = p->aux_sum ? p->aux_sum[i] : 0;
}
