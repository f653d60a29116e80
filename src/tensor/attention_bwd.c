/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention, backward (Dao 2307.08691, section 3.1.2): the scores are computed again from q,
 * k and the saved maximum m and sum l of every query.
 *   P = exp(S*scale - m) / l;  dV = P^T dO;  dP = dO V^T;  D_i = <dO_i, O_i>;
 *   dS = P o (dP - D) scale;  dQ = dS K;  dK = dS^T Q
 *
 * A task is one sequence and key head.  Order: key blocks ascending; for each, groups of
 * queries ascending, in them the heads that share the key ascending, and for each the
 * query blocks ascending.
 *
 * Invariants:
 *  1. dQ is a chain over the key blocks of a key group (SM_KEY_GROUP), dK and dV a chain
 *     over the heads and query blocks of a query group of the same length; groups join
 *     along the binary tree over group index;
 *  2. blocks and groups without a visible pair add +0 and are skipped: nothing here is
 *     ever -0, so that changes nothing.
 */
#include <math.h>
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum { B = SM_KEY_BLOCK, PER_GROUP = SM_KEY_GROUP / SM_KEY_BLOCK };

/* The tree over groups, of arrays of n elements, as a binary counter. */
typedef struct group_tree {
    const sm_kern *kern;
    float *node; /* [n_level][n] */
    int64_t n;
    uint32_t waiting; /* levels that hold a node */
} group_tree;

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
    group_tree *dq;    /* [group]                                                   */
    float *dq_node;    /* [group][n_level][n_ctx, d]                                */
    float *dk_node, *dv_node; /* [n_level][64, d]                                   */
    float *dq_sum;            /* [group][n_ctx, d]: chains, rows next to each other:
                                 as far apart as in dqkv they share sets of the cache */
    float *dk_sum, *dv_sum;   /* [64, d]                                            */
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

/* Levels of the counter: the last group is joined, not kept. */
static int64_t n_levels(int64_t n_ctx)
{
    int64_t groups = sm_ceil_div(n_ctx, SM_KEY_GROUP);
    return groups > 1 ? 1 + sm_log2_floor(groups - 1) : 0;
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
    w->dq = take(&c, (size_t)group * sizeof *w->dq);
    size_t level = (size_t)n_levels(n_ctx) * (size_t)d * sizeof(float);
    w->dq_node = take(&c, level * (size_t)(group * n_ctx));
    w->dk_node = take(&c, level * B);
    w->dv_node = take(&c, level * B);
    w->dq_sum = take(&c, (size_t)(group * n_ctx * d) * sizeof(float));
    w->dk_sum = take(&c, (size_t)(B * d) * sizeof(float));
    w->dv_sum = take(&c, (size_t)(B * d) * sizeof(float));
    return c.used;
}

size_t sm_attn_thread_bytes(const sm_prod *prod, int64_t n_ctx, int64_t n_group,
                            int64_t d_head, bool backward)
{
    size_t n_block = (size_t)sm_ceil_div(n_ctx, B);
    size_t forward =
        n_block * (sm_attn_k_bytes(prod, d_head) + sm_attn_v_bytes(prod, d_head)) +
        sm_attn_scratch_bytes(prod, d_head, n_ctx);
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

/* -------------------------------------------------------- the tree over groups */

static float *tree_node(const group_tree *t, int level)
{
    return t->node + level * t->n;
}

/* x += node; addition commutes, so left + right may be right += left */
static void tree_take(group_tree *t, int level, float *x)
{
    t->kern->add(x, tree_node(t, level), t->n);
    t->waiting &= ~(UINT32_C(1) << level);
}

/* x holds group g: join it with what ends where it begins, and keep the node. */
static void tree_push(group_tree *t, int64_t g, float *x)
{
    int k = 0;
    for (; g >> k & 1; k++)
        if (t->waiting >> k & 1)
            tree_take(t, k, x);
    memcpy(tree_node(t, k), x, (size_t)t->n * sizeof *x);
    t->waiting |= UINT32_C(1) << k;
}

/* x holds the last group (zeros: nothing of it was seen) and becomes the root. */
static void tree_finish(group_tree *t, float *x)
{
    for (int k = 0; t->waiting >> k; k++)
        if (t->waiting >> k & 1)
            tree_take(t, k, x);
}

/* dst [n_row, ld] = src [n_row, d] */
static void put_rows(float *dst, int64_t ld, const float *src, int64_t n_row, int64_t d)
{
    for (int64_t i = 0; i < n_row; i++)
        memcpy(dst + i * ld, src + i * d, (size_t)d * sizeof *dst);
}

/* -------------------------------------------------------------- pairs of blocks */

static float *dq_rows(const bwd_task *t, int64_t hh)
{
    return t->w.dq_sum + hh * t->a->n_ctx * t->a->d_head;
}

/* The pair (key block kb, query block qb) of head h: five products. */
static void pair(const bwd_task *t, int64_t kb, int64_t qb, int64_t h, int64_t hh,
                 bool is_first)
{
    const sm_attn *a = t->a;
    const sm_prod *prod = a->prod;
    int64_t d = a->d_head, n_q = block_rows(t, qb), n_k = block_rows(t, kb);
    int64_t at = hh * t->n_block + qb;
    prod->gemm(t->w.p, B, t->w.q_a + (size_t)at * t->z.a_qd, t->w.k, n_q, n_k, d, false);
    prod->gemm(t->w.ds, B, t->w.do_a + (size_t)at * t->z.a_qd, t->w.v, n_q, n_k, d,
               false);
    for (int64_t i = 0; i < n_q; i++) {
        int64_t index = qb * B + i, ml = (t->seq * a->n_ctx + index) * a->n_head + h;
        a->kern->attn_softmax_bwd(t->w.p + i * B, t->w.ds + i * B, B, t->scale,
                                  t->w.first[index] - kb * B, index + 1 - kb * B,
                                  a->m[ml], a->l[ml], t->w.delta[hh * a->n_ctx + index]);
    }
    prod->pack_a(t->w.p_t, t->w.p, SM_F32, n_k, n_q, 1, B);
    prod->gemm(t->w.dv_sum, d, t->w.p_t, t->w.do_b + (size_t)at * t->z.b_dk, n_k, d, n_q,
               !is_first);
    prod->pack_a(t->w.p_t, t->w.ds, SM_F32, n_k, n_q, 1, B);
    prod->gemm(t->w.dk_sum, d, t->w.p_t, t->w.q_b + (size_t)at * t->z.b_dk, n_k, d, n_q,
               !is_first);
    prod->pack_a(t->w.p_a, t->w.ds, SM_F32, n_q, n_k, B, 1);
    prod->gemm(dq_rows(t, hh) + qb * B * d, d, t->w.p_a, t->w.k_t, n_q, d, n_k, true);
}

/* A key block against the queries of group qg; whether any of them sees any of it. */
static bool query_group(const bwd_task *t, int64_t kb, int64_t qg)
{
    int64_t from = qg * PER_GROUP > kb ? qg * PER_GROUP : kb;
    int64_t to = sm_min_i64((qg + 1) * PER_GROUP, t->n_block);
    bool is_first = true;
    for (int64_t hh = 0; hh < t->group; hh++)
        for (int64_t qb = from; qb < to; qb++) {
            if (t->w.lowest[qb] > kb * B + B - 1)
                continue;
            pair(t, kb, qb, t->g * t->group + hh, hh, is_first);
            is_first = false;
        }
    return !is_first;
}

static void key_block(const bwd_task *t, int64_t kb)
{
    const sm_attn *a = t->a;
    int64_t d = a->d_head, n_k = block_rows(t, kb), ld = t->ld;
    const float *k = head_row(t, a->qkv, a->n_head + t->g, kb * B);
    const float *v = k + a->n_kv_head * d;
    a->prod->pack_b(t->w.k, k, SM_F32, n_k, d, ld, 1);
    a->prod->pack_b(t->w.v, v, SM_F32, n_k, d, ld, 1);
    a->prod->pack_b(t->w.k_t, k, SM_F32, d, n_k, 1, ld);
    int64_t n = n_k * d, last = (t->n_block - 1) / PER_GROUP;
    group_tree tk = {a->kern, t->w.dk_node, n, 0}, tv = {a->kern, t->w.dv_node, n, 0};
    for (int64_t qg = kb / PER_GROUP; qg <= last; qg++) {
        bool is_seen = query_group(t, kb, qg);
        if (is_seen && qg < last) {
            tree_push(&tk, qg, t->w.dk_sum);
            tree_push(&tv, qg, t->w.dv_sum);
        } else if (!is_seen && qg == last) {
            memset(t->w.dk_sum, 0, (size_t)n * sizeof(float));
            memset(t->w.dv_sum, 0, (size_t)n * sizeof(float));
        }
    }
    tree_finish(&tk, t->w.dk_sum);
    tree_finish(&tv, t->w.dv_sum);
    float *dk = head_row(t, a->dqkv, a->n_head + t->g, kb * B);
    put_rows(dk, ld, t->w.dk_sum, n_k, d);
    put_rows(dk + a->n_kv_head * d, ld, t->w.dv_sum, n_k, d);
}

/* The key blocks of group kg, and what they add to dQ. */
static void key_group(const bwd_task *t, int64_t kg, bool is_last)
{
    const sm_attn *a = t->a;
    int64_t to = sm_min_i64((kg + 1) * PER_GROUP, t->n_block);
    size_t bytes = (size_t)(a->n_ctx * a->d_head) * sizeof(float);
    for (int64_t hh = 0; hh < t->group; hh++)
        memset(dq_rows(t, hh), 0, bytes);
    for (int64_t kb = kg * PER_GROUP; kb < to; kb++)
        key_block(t, kb);
    for (int64_t hh = 0; hh < t->group; hh++) {
        if (!is_last) {
            tree_push(&t->w.dq[hh], kg, dq_rows(t, hh));
            continue;
        }
        tree_finish(&t->w.dq[hh], dq_rows(t, hh));
        put_rows(head_row(t, a->dqkv, t->g * t->group + hh, 0), t->ld, dq_rows(t, hh),
                 a->n_ctx, a->d_head);
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
    int64_t node = n_levels(a->n_ctx) * a->n_ctx * d;
    for (int64_t hh = 0; hh < t.group; hh++) {
        prepare_head(&t, t.g * t.group + hh, hh);
        t.w.dq[hh] = (group_tree){a->kern, t.w.dq_node + hh * node, a->n_ctx * d, 0};
    }
    int64_t end = sm_ceil_div(t.n_block, PER_GROUP);
    if (a->n_key_group > 0)
        end = sm_min_i64(end, a->key_group0 + a->n_key_group);
    for (int64_t kg = a->key_group0; kg < end; kg++)
        key_group(&t, kg, kg + 1 == end);
}

void sm_attn_backward(sm_pool *pool, const sm_attn *a, void *scratch, size_t stride)
{
    attn_job job = {a, scratch, stride};
    sm_pool_run(pool, a->n_seq * a->n_kv_head, backward_task, &job);
}
