/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention, forward: blocks of queries against blocks of keys with online softmax
 * (Milakov and Gimelshein, 1805.02867; Dao et al., 2205.14135).  Nothing of size T x T.
 *
 * Invariants:
 *  1. key blocks hold SM_KEY_BLOCK keys and key groups SM_KEY_GROUP, both anchored at index
 *     0 of the row, so a query meets the same ones in training, in a chunked prefill and
 *     in decoding;
 *  2. the blocks of a group are visited in ascending order, one chain of online softmax;
 *  3. groups join along the binary tree over group index (sm_attn_join), whose nodes
 *     without a visible key are left out: ranks that hold whole subtrees of keys continue
 *     it by messages;
 *  4. a key that a query does not see contributes p = +0, and +0 times a finite value added
 *     to a sum changes nothing (products add +0.0 to what they write, so neither does the
 *     sign of a zero): visiting or skipping such a block gives the same bits.
 */
#include <math.h>
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum { B = SM_KEY_BLOCK };

size_t sm_attn_k_bytes(const sm_prod *prod, int64_t d_head)
{
    return sm_line_bytes(prod->bytes_b(B, d_head));
}

size_t sm_attn_v_bytes(const sm_prod *prod, int64_t d_head)
{
    return sm_line_bytes(prod->bytes_b(d_head, B));
}

void sm_attn_pack(const sm_prod *prod, void *k_block, void *v_block, const float *k,
                  const float *v, int64_t ld, int64_t n_key, int64_t d_head)
{
    prod->pack_b(k_block, k, SM_F32, n_key, d_head, ld, 1);
    prod->pack_b(v_block, v, SM_F32, d_head, n_key, 1, ld);
}

int32_t sm_attn_first(int32_t index, int32_t doc_start, int32_t chunk)
{
    if (chunk <= 0)
        return doc_start;
    return doc_start + (index - doc_start) / chunk * chunk;
}

/* Levels of the binary counter that joins the groups of n_key keys; none for one group. */
static int n_levels(int64_t n_key)
{
    int64_t groups = sm_ceil_div(n_key, SM_KEY_GROUP);
    return groups > 1 ? 1 + sm_log2_floor(groups) : 0;
}

/* Floats of a node of the tree over groups: o, m and l of a block of queries. */
static size_t node_floats(int64_t d_head)
{
    return (size_t)(B * d_head + 2 * B);
}

/* Scratch: packed q | packed p | scores | m | l | o | nodes.  The sums of o lie together:
 * rows as far apart as in a->o would share few sets of the cache. */
size_t sm_attn_scratch_bytes(const sm_prod *prod, int64_t d_head, int64_t n_key)
{
    return sm_line_bytes(prod->bytes_a(B, d_head)) + sm_line_bytes(prod->bytes_a(B, B)) +
           (B * B + ((size_t)n_levels(n_key) + 1) * node_floats(d_head)) * sizeof(float);
}

typedef struct attn_work {
    void *pq, *pp;
    float *s, *m, *l, *o, *node;
    int n_level;
} attn_work;

static attn_work work_of(const sm_attn_rows *a, void *scratch)
{
    char *p = scratch;
    attn_work w;
    w.pq = p;
    p += sm_line_bytes(a->prod->bytes_a(B, a->d_head));
    w.pp = p;
    p += sm_line_bytes(a->prod->bytes_a(B, B));
    w.s = (float *)(void *)p;
    w.m = w.s + B * B;
    w.l = w.m + B;
    w.o = w.l + B;
    w.node = w.o + B * a->d_head;
    w.n_level = 0;
    return w;
}

static void attn_block(const sm_attn_rows *a, const attn_work *w, int64_t block)
{
    const sm_prod *p = a->prod;
    const char *k = (const char *)a->kv.k + (size_t)block * sm_attn_k_bytes(p, a->d_head);
    const char *v = (const char *)a->kv.v + (size_t)block * sm_attn_v_bytes(p, a->d_head);
    int64_t key0 = block * B, n_key = sm_min_i64(B, a->kv.n_key - key0);
    p->gemm(w->s, B, w->pq, k, a->n_q, n_key, a->d_head, false);
    float shrink[B];
    sm_attn_scores scores = {.s = w->s,
                             .n_row = a->n_q,
                             .n = B,
                             .scale = a->scale,
                             .first = a->first,
                             .index = a->index,
                             .key0 = (int32_t)key0,
                             .m = w->m,
                             .l = w->l,
                             .shrink = shrink};
    a->kern->attn_softmax(&scores);
    for (int64_t i = 0; i < a->n_q; i++)
        if (shrink[i] != 1.0f)
            a->kern->scale(w->o + i * a->d_head, w->o + i * a->d_head, shrink[i],
                           a->d_head);
    p->pack_a(w->pp, w->s, SM_F32, a->n_q, n_key, B, 1);
    p->gemm(w->o, a->d_head, w->pp, v, a->n_q, a->d_head, n_key, true);
}

static void clear_rows(const sm_attn_rows *a, const attn_work *w)
{
    for (int64_t i = 0; i < a->n_q; i++) {
        w->m[i] = -INFINITY;
        w->l[i] = 0;
    }
    memset(w->o, 0, (size_t)(a->n_q * a->d_head) * sizeof(float));
}

/* ------------------------------------------------------- the tree over groups */

static bool is_absent(const sm_attn_part *x)
{
    return *x->m == -INFINITY && *x->l == 0;
}

static void copy_part(const sm_attn_part *to, const sm_attn_part *from, int64_t d)
{
    memcpy(to->o, from->o, (size_t)d * sizeof(float));
    *to->m = *from->m;
    *to->l = *from->l;
}

/* exp(m - top), 1 when they are equal */
static float weight_of(const sm_kern *kern, float m, float top)
{
    float x = m - top;
    if (m == top)
        return 1.0f;
    kern->exp(&x, &x, 1);
    return x;
}

void sm_attn_join(const sm_kern *kern, const sm_attn_part *a, const sm_attn_part *b,
                  int64_t d)
{
    if (is_absent(b))
        return;
    if (is_absent(a)) {
        copy_part(a, b, d);
        return;
    }
    float top = *b->m > *a->m ? *b->m : *a->m;
    float wa = weight_of(kern, *a->m, top), wb = weight_of(kern, *b->m, top);
    kern->scale(a->o, a->o, wa, d);
    kern->axpy(a->o, wb, b->o, d);
    kern->scale(a->l, a->l, wa, 1);
    kern->axpy(a->l, wb, b->l, 1);
    *a->m = top;
}

static sm_attn_part row_part(const sm_attn_rows *a, const attn_work *w, int64_t i)
{
    return (sm_attn_part){w->o + i * a->d_head, &w->m[i], &w->l[i]};
}

static sm_attn_part node_part(const sm_attn_rows *a, const attn_work *w, int level,
                              int64_t i)
{
    float *x = w->node + (size_t)level * node_floats(a->d_head);
    float *m = x + B * a->d_head;
    return (sm_attn_part){x + i * a->d_head, m + i, m + B + i};
}

static void forget(const sm_attn_part *x)
{
    *x->m = -INFINITY;
    *x->l = 0;
}

/* A binary counter: group g joins the nodes to its left that end where it begins. */
static void push_group(const sm_attn_rows *a, const attn_work *w, int64_t g)
{
    for (int64_t i = 0; i < a->n_q; i++) {
        sm_attn_part right = row_part(a, w, i);
        int k = 0;
        for (; g >> k & 1; k++) {
            sm_attn_part left = node_part(a, w, k, i);
            sm_attn_join(a->kern, &left, &right, a->d_head);
            right = left;
        }
        sm_attn_part to = node_part(a, w, k, i);
        copy_part(&to, &right, a->d_head);
        for (int below = 0; below < k; below++) {
            sm_attn_part x = node_part(a, w, below, i);
            forget(&x);
        }
    }
}

/* What waits in the counter, from the right: what is further to the right is absent. */
static void join_levels(const sm_attn_rows *a, const attn_work *w)
{
    clear_rows(a, w);
    for (int64_t i = 0; i < a->n_q; i++) {
        sm_attn_part right = row_part(a, w, i), out = right;
        for (int k = 0; k < w->n_level; k++) {
            sm_attn_part left = node_part(a, w, k, i);
            if (is_absent(&left))
                continue;
            sm_attn_join(a->kern, &left, &right, a->d_head);
            right = left;
        }
        if (right.o != out.o)
            copy_part(&out, &right, a->d_head);
    }
}

static void visit_groups(const sm_attn_rows *a, attn_work *w, int64_t lo, int64_t hi)
{
    const int64_t per = SM_KEY_GROUP / B;
    w->n_level = n_levels((hi + 1) * B);
    for (int k = 0; k < w->n_level; k++)
        for (int64_t i = 0; i < a->n_q; i++) {
            sm_attn_part x = node_part(a, w, k, i);
            forget(&x);
        }
    for (int64_t g = lo / per; g <= hi / per; g++) {
        int64_t from = g * per > lo ? g * per : lo;
        clear_rows(a, w);
        for (int64_t b = from; b <= sm_min_i64(hi, (g + 1) * per - 1); b++)
            attn_block(a, w, b);
        push_group(a, w, g);
    }
    join_levels(a, w);
}

void sm_attn_forward_rows(const sm_attn_rows *a, void *scratch)
{
    attn_work w = work_of(a, scratch);
    int32_t lo = INT32_MAX, hi = 0;
    a->prod->pack_a(w.pq, a->q, SM_F32, a->n_q, a->d_head, a->ldq, 1);
    for (int64_t i = 0; i < a->n_q; i++) {
        lo = a->first[i] < lo ? a->first[i] : lo;
        hi = a->index[i] > hi ? a->index[i] : hi;
    }
    if (lo / SM_KEY_GROUP < hi / SM_KEY_GROUP) {
        visit_groups(a, &w, lo / B, hi / B);
    } else {
        clear_rows(a, &w);
        for (int64_t b = lo / B; b <= hi / B; b++)
            attn_block(a, &w, b);
    }
    for (int64_t i = 0; i < a->n_q; i++) {
        a->kern->scale(a->o + i * a->ldo, w.o + i * a->d_head,
                       a->is_part ? 1.0f : 1.0f / w.l[i], a->d_head);
        if (a->m)
            a->m[i * a->ml_stride] = w.m[i];
        if (a->l)
            a->l[i * a->ml_stride] = w.l[i];
    }
}

/* -------------------------------------------------------- a whole micro-batch */

typedef struct attn_job {
    const sm_attn *a;
    char *scratch;
    size_t stride;
} attn_job;

/* Scratch of a task: packed blocks of k and v of one sequence and key head, then rows'. */
static void forward_task(void *arg, ptrdiff_t i, int thread)
{
    const attn_job *job = arg;
    const sm_attn *a = job->a;
    int64_t d = a->d_head, ld = (a->n_head + 2 * a->n_kv_head) * d, T = a->n_ctx;
    int64_t seq = i / a->n_kv_head, g = i % a->n_kv_head,
            group = a->n_head / a->n_kv_head;
    int64_t n_block = sm_ceil_div(T, B);
    size_t kb = sm_attn_k_bytes(a->prod, d), vb = sm_attn_v_bytes(a->prod, d);
    char *pk = job->scratch + (size_t)thread * job->stride;
    char *pv = pk + (size_t)n_block * kb, *rest = pv + (size_t)n_block * vb;
    const float *row = a->qkv + seq * T * ld;
    const float *k = row + (a->n_head + g) * d, *v = k + a->n_kv_head * d;
    for (int64_t b = 0; b < n_block; b++)
        sm_attn_pack(a->prod, pk + (size_t)b * kb, pv + (size_t)b * vb, k + b * B * ld,
                     v + b * B * ld, ld, sm_min_i64(B, T - b * B), d);
    int32_t index[B], first[B];
    for (int64_t q0 = 0; q0 < T; q0 += B) {
        int64_t n_q = sm_min_i64(B, T - q0);
        for (int64_t t = 0; t < n_q; t++) {
            index[t] = (int32_t)(q0 + t);
            first[t] = sm_attn_first(index[t], a->doc_start[seq * T + q0 + t], a->chunk);
        }
        for (int64_t h = g * group; h < (g + 1) * group; h++) {
            int64_t t0 = seq * T + q0;
            sm_attn_rows r = {.kern = a->kern,
                              .prod = a->prod,
                              .d_head = d,
                              .scale = 1.0f / sqrtf((float)d),
                              .n_q = n_q,
                              .o = a->o + (t0 * a->n_head + h) * d,
                              .ldo = a->n_head * d,
                              .q = row + q0 * ld + h * d,
                              .ldq = ld,
                              .index = index,
                              .first = first,
                              .kv = {pk, pv, T},
                              .m = a->m ? a->m + t0 * a->n_head + h : NULL,
                              .l = a->l ? a->l + t0 * a->n_head + h : NULL,
                              .ml_stride = a->n_head};
            sm_attn_forward_rows(&r, rest);
        }
    }
}

void sm_attn_forward(sm_pool *pool, const sm_attn *a, void *scratch, size_t stride)
{
    attn_job job = {a, scratch, stride};
    sm_pool_run(pool, a->n_seq * a->n_kv_head, forward_task, &job);
}
