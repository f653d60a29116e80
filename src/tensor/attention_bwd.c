/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention, backward (Dao 2307.08691, section 3.1.2): the scores are computed again from q,
 * k and the saved maximum m and sum l of every query.
 *   P = exp(S*scale - m) / l;  dV = P^T dO;  dP = dO V^T;  D_i = <dO_i, O_i>;
 *   dS = P o (dP - D) scale;  dQ = dS K;  dK = dS^T Q
 *
 * A task is one sequence and key head.  Order: key blocks ascending (so dQ is a chain over
 * them); for each, the heads of the group ascending, and for each the query blocks
 * ascending (so dK and dV are chains over those).  Blocks without a visible pair add zeros
 * and are skipped.
 */
#include <math.h>
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum { B = SM_KEY_BLOCK };

/* Packed forms of the queries of one head (A and B operands) and what one block needs. */
typedef struct bwd_work {
    char *q_a, *do_a;  /* [n_block] A [64, d]                                       */
    char *q_b, *do_b;  /* [n_block] B [d, 64]: transposed                           */
    char *k, *v, *k_t; /* one block: B [64, d], B [64, d], B [d, 64]                */
    char *p_a, *p_t;   /* A [64, 64] of dS; A [64, 64] of P^T or dS^T               */
    float *p, *ds;     /* [64, 64]                                                  */
    float *delta;      /* [group, n_ctx]                                            */
    int32_t *first;    /* [n_ctx]                                                   */
    int32_t *lowest;   /* [n_block] least first of a query block                    */
} bwd_work;

typedef struct bwd_sizes {
    size_t a_qd, b_kd, b_dk, a_kk;
} bwd_sizes;

static bwd_sizes sizes_of(const sm_prod *p, int64_t d)
{
    return (bwd_sizes){sm_line_bytes(p->bytes_a(B, d)), sm_line_bytes(p->bytes_b(B, d)),
                       sm_line_bytes(p->bytes_b(d, B)), sm_line_bytes(p->bytes_a(B, B))};
}

typedef struct cursor {
    char *p;
    size_t used;
} cursor;

static void *take(cursor *c, size_t bytes)
{
    void *p = c->p ? c->p + c->used : NULL;
    c->used += sm_line_bytes(bytes);
    return p;
}

/* Lay the scratch out; with base NULL only its size is counted. */
static size_t lay_out(bwd_work *w, char *base, const sm_prod *prod, int64_t n_ctx,
                      int64_t d, int64_t group)
{
    bwd_sizes z = sizes_of(prod, d);
    size_t n_block = (size_t)sm_ceil_div(n_ctx, B), heads = n_block * (size_t)group;
    cursor c = {base, 0};
    w->q_a = take(&c, heads * z.a_qd);
    w->do_a = take(&c, heads * z.a_qd);
    w->q_b = take(&c, heads * z.b_dk);
    w->do_b = take(&c, heads * z.b_dk);
    w->k = take(&c, z.b_kd);
    w->v = take(&c, z.b_kd);
    w->k_t = take(&c, z.b_dk);
    w->p_a = take(&c, z.a_kk);
    w->p_t = take(&c, z.a_kk);
    w->p = take(&c, B * B * sizeof(float));
    w->ds = take(&c, B * B * sizeof(float));
    w->delta = take(&c, (size_t)(group * n_ctx) * sizeof(float));
    w->first = take(&c, (size_t)n_ctx * sizeof(int32_t));
    w->lowest = take(&c, n_block * sizeof(int32_t));
    return c.used;
}

size_t sm_attn_thread_bytes(const sm_prod *prod, int64_t n_ctx, int64_t n_group,
                            int64_t d_head, bool backward)
{
    size_t n_block = (size_t)sm_ceil_div(n_ctx, B);
    size_t forward =
        n_block * (sm_attn_k_bytes(prod, d_head) + sm_attn_v_bytes(prod, d_head)) +
        sm_attn_scratch_bytes(prod, d_head);
    bwd_work w;
    size_t back = backward ? lay_out(&w, NULL, prod, n_ctx, d_head, n_group) : 0;
    return sm_line_bytes(forward > back ? forward : back);
}

/* One task: where its sequence and heads are. */
typedef struct bwd_task {
    const sm_attn *a;
    bwd_work w;
    bwd_sizes z;
    int64_t seq, g, group, ld, ldo, n_block;
    float scale;
} bwd_task;

static float *head_row(const bwd_task *t, float *base, int64_t h, int64_t token)
{
    return base + (t->seq * t->a->n_ctx + token) * t->ld + h * t->a->d_head;
}

static int64_t block_rows(const bwd_task *t, int64_t block)
{
    return sm_min_i64(B, t->a->n_ctx - block * B);
}

/* Pack every query block of head `h` (the hh-th of the group) and its gradient. */
static void prepare_head(const bwd_task *t, int64_t h, int64_t hh)
{
    const sm_attn *a = t->a;
    int64_t d = a->d_head, T = a->n_ctx;
    for (int64_t b = 0; b < t->n_block; b++) {
        int64_t n = block_rows(t, b), at = hh * t->n_block + b;
        const float *q = head_row(t, a->qkv, h, b * B);
        int64_t o_at = (t->seq * T + b * B) * t->ldo + h * d;
        const float *d_o = a->d_o + o_at, *o = a->o + o_at;
        a->prod->pack_a(t->w.q_a + (size_t)at * t->z.a_qd, q, SM_F32, n, d, t->ld, 1);
        a->prod->pack_a(t->w.do_a + (size_t)at * t->z.a_qd, d_o, SM_F32, n, d, t->ldo, 1);
        a->prod->pack_b(t->w.q_b + (size_t)at * t->z.b_dk, q, SM_F32, d, n, 1, t->ld);
        a->prod->pack_b(t->w.do_b + (size_t)at * t->z.b_dk, d_o, SM_F32, d, n, 1, t->ldo);
        for (int64_t i = 0; i < n; i++)
            t->w.delta[hh * T + b * B + i] =
                a->kern->dot(d_o + i * t->ldo, o + i * t->ldo, d);
    }
}

static void prepare_masks(const bwd_task *t)
{
    const int32_t *doc = t->a->doc_start + t->seq * t->a->n_ctx;
    for (int64_t b = 0; b < t->n_block; b++)
        t->w.lowest[b] = INT32_MAX;
    for (int64_t i = 0; i < t->a->n_ctx; i++) {
        int32_t f = sm_attn_first((int32_t)i, doc[i], t->a->chunk);
        t->w.first[i] = f;
        if (f < t->w.lowest[i / B])
            t->w.lowest[i / B] = f;
    }
}

/* p = exp(s*scale - m) * (1/l) where visible, else 0; ds = p * (dp - delta) * scale, dp
 * coming in ds.  Loops run over whole rows of the block, whatever its length: what lies
 * behind is not packed. */
static void soft_row(const bwd_task *t, float *p, float *ds, int64_t index, int64_t key0,
                     float m, float l, float delta)
{
    int64_t lo = sm_min_i64(t->w.first[index] - key0, B);
    int64_t hi = sm_min_i64(index - key0 + 1, B);
    float inv = 1.0f / l, scale = t->scale, slope[B];
    const sm_kern *kern = t->a->kern;
    for (int j = 0; j < B; j++)
        p[j] = p[j] * scale - m;
    for (int64_t j = 0; j < lo; j++)
        p[j] = -INFINITY;
    for (int64_t j = hi; j < B; j++)
        p[j] = -INFINITY;
    kern->exp(p, p, B);
    kern->scale(p, p, inv, B);
    for (int j = 0; j < B; j++)
        slope[j] = ds[j] - delta;
    kern->mul(ds, p, slope, B);
    kern->scale(ds, ds, scale, B);
}

/* The pair (key block kb, query block qb) of head h: five products. */
static void pair(const bwd_task *t, int64_t kb, int64_t qb, int64_t h, int64_t hh,
                 bool is_first)
{
    const sm_attn *a = t->a;
    const sm_prod *prod = a->prod;
    int64_t d = a->d_head, n_q = block_rows(t, qb), n_k = block_rows(t, kb);
    int64_t at = hh * t->n_block + qb, kv_head = a->n_head + t->g;
    prod->gemm(t->w.p, B, t->w.q_a + (size_t)at * t->z.a_qd, t->w.k, n_q, n_k, d, false);
    prod->gemm(t->w.ds, B, t->w.do_a + (size_t)at * t->z.a_qd, t->w.v, n_q, n_k, d,
               false);
    for (int64_t i = 0; i < n_q; i++) {
        int64_t index = qb * B + i, ml = (t->seq * a->n_ctx + index) * a->n_head + h;
        soft_row(t, t->w.p + i * B, t->w.ds + i * B, index, kb * B, a->m[ml], a->l[ml],
                 t->w.delta[hh * a->n_ctx + index]);
    }
    float *dk = head_row(t, a->dqkv, kv_head, kb * B);
    prod->pack_a(t->w.p_t, t->w.p, SM_F32, n_k, n_q, 1, B);
    prod->gemm(dk + a->n_kv_head * d, t->ld, t->w.p_t, t->w.do_b + (size_t)at * t->z.b_dk,
               n_k, d, n_q, !is_first);
    prod->pack_a(t->w.p_t, t->w.ds, SM_F32, n_k, n_q, 1, B);
    prod->gemm(dk, t->ld, t->w.p_t, t->w.q_b + (size_t)at * t->z.b_dk, n_k, d, n_q,
               !is_first);
    prod->pack_a(t->w.p_a, t->w.ds, SM_F32, n_q, n_k, B, 1);
    prod->gemm(head_row(t, a->dqkv, h, qb * B), t->ld, t->w.p_a, t->w.k_t, n_q, d, n_k,
               true);
}

static void key_block(const bwd_task *t, int64_t kb)
{
    const sm_attn *a = t->a;
    int64_t d = a->d_head, n_k = block_rows(t, kb);
    const float *k = head_row(t, a->qkv, a->n_head + t->g, kb * B);
    const float *v = k + a->n_kv_head * d;
    a->prod->pack_b(t->w.k, k, SM_F32, n_k, d, t->ld, 1);
    a->prod->pack_b(t->w.v, v, SM_F32, n_k, d, t->ld, 1);
    a->prod->pack_b(t->w.k_t, k, SM_F32, d, n_k, 1, t->ld);
    bool is_first = true;
    for (int64_t hh = 0; hh < t->group; hh++)
        for (int64_t qb = kb; qb < t->n_block; qb++) {
            if (t->w.lowest[qb] > kb * B + B - 1)
                continue;
            pair(t, kb, qb, t->g * t->group + hh, hh, is_first);
            is_first = false;
        }
}

typedef struct attn_job {
    const sm_attn *a;
    char *scratch;
    size_t stride;
} attn_job;

static void backward_task(void *arg, ptrdiff_t i, int thread)
{
    const attn_job *job = arg;
    const sm_attn *a = job->a;
    int64_t d = a->d_head;
    bwd_task t = {.a = a,
                  .z = sizes_of(a->prod, d),
                  .seq = i / a->n_kv_head,
                  .g = i % a->n_kv_head,
                  .group = a->n_head / a->n_kv_head,
                  .ld = (a->n_head + 2 * a->n_kv_head) * d,
                  .ldo = a->n_head * d,
                  .n_block = sm_ceil_div(a->n_ctx, B),
                  .scale = 1.0f / sqrtf((float)d)};
    lay_out(&t.w, job->scratch + (size_t)thread * job->stride, a->prod, a->n_ctx, d,
            t.group);
    prepare_masks(&t);
    for (int64_t hh = 0; hh < t.group; hh++) {
        int64_t h = t.g * t.group + hh;
        prepare_head(&t, h, hh);
        for (int64_t token = 0; token < a->n_ctx; token++)
            memset(head_row(&t, a->dqkv, h, token), 0, (size_t)d * sizeof(float));
    }
    for (int64_t kb = 0; kb < t.n_block; kb++)
        key_block(&t, kb);
}

void sm_attn_backward(sm_pool *pool, const sm_attn *a, void *scratch, size_t stride)
{
    attn_job job = {a, scratch, stride};
    sm_pool_run(pool, a->n_seq * a->n_kv_head, backward_task, &job);
}
