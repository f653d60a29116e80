/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed gradient tree: a binary counter over leaves, then recursive halving over
 * ranks.
 *
 * Invariants:
 *  1. after i leaves, level k holds a vector exactly when bit k of i is set, and it is
 * the root of the subtree over the 2^k leaves that end at the highest such multiple;
 *  2. a join is always (earlier leaves) + (later leaves), of equal size;
 *  3. n_ranks is a power of two and rank r holds the r-th run of leaves, so that the
 * joins across ranks are the levels above those within a rank:
 *
 *         rank 0      1      2      3
 *              \_____/        \_____/      stride 1: 1 -> 0, 3 -> 2
 *                 \______________/         stride 2: 2 -> 0; then 0 broadcasts
 *
 * Addition of floats commutes, so who adds whose buffer to whose does not matter; the
 * shape of the tree does.
 */
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

enum { BLOCK = 16384, MAX_LEVEL = 40 };

struct sm_tree {
    int64_t n, n_leaf, n_added;
    int n_level; /* log2(n_leaf) + 1 buffers */
    float *level[MAX_LEVEL];
};

static bool is_power_of_two(int64_t x)
{
    return x > 0 && (x & (x - 1)) == 0;
}

sm_status sm_tree_create(sm_tree **out, int64_t n, int64_t n_leaf, sm_err *err)
{
    if (n < 1 || !is_power_of_two(n_leaf) || n_leaf > INT64_C(1) << 30)
        return sm_fail(
            err, SM_EINVAL,
            "tree: got %lld elements, %lld leaves; want 1.. and a power of two",
            (long long)n, (long long)n_leaf);
    sm_tree *t = sm_alloc(1, sizeof *t);
    if (!t)
        return sm_fail(err, SM_ENOMEM, "tree: out of memory");
    t->n = n;
    t->n_leaf = n_leaf;
    for (int64_t l = 1; l <= n_leaf; l *= 2) {
        t->level[t->n_level] = sm_pages_alloc((size_t)n * sizeof(float));
        if (!t->level[t->n_level++]) {
            sm_tree_free(t);
            return sm_fail(err, SM_ENOMEM,
                           "tree: %lld elements, %lld leaves: out of memory",
                           (long long)n, (long long)n_leaf);
        }
    }
    *out = t;
    return SM_OK;
}

void sm_tree_free(sm_tree *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n_level; i++)
        sm_pages_free(t->level[i], (size_t)t->n * sizeof(float));
    free(t);
}

size_t sm_tree_bytes(const sm_tree *t)
{
    return (size_t)t->n_level * (size_t)t->n * sizeof(float);
}

/*
 * Buffer roles while leaf i is written: levels whose bit of i is set are waiting; the
 * leaf goes to the lowest level whose bit is clear, which is where the chain of joins
 * ends.  So a vector is never copied.
 */
static int free_level(const sm_tree *t)
{
    int k = 0;
    while (k < t->n_level - 1 && (t->n_added >> k & 1))
        k++;
    return k;
}

float *sm_tree_leaf(sm_tree *t)
{
    if (t->n_added == t->n_leaf)
        t->n_added = 0;
    return t->level[free_level(t)];
}

typedef struct add_job {
    const sm_kern *kern;
    float *to;
    float *const *from; /* [n_from] added one after another */
    int n_from;
    int64_t n;
} add_job;

/* All joins of a block while it is in cache. */
static void add_task(void *arg, ptrdiff_t i, int thread)
{
    const add_job *j = arg;
    int64_t at = (int64_t)i * BLOCK;
    int64_t n = j->n - at < BLOCK ? j->n - at : BLOCK;
    (void)thread;
    for (int k = 0; k < j->n_from; k++)
        j->kern->add(j->to + at, j->from[k] + at, n);
}

static void add_vectors(const sm_ctx *ctx, float *to, float *const *from, int n_from,
                        int64_t n)
{
    add_job j = {.kern = ctx->kern, .to = to, .from = from, .n_from = n_from, .n = n};
    if (n_from > 0)
        sm_pool_run(ctx->pool, (n + BLOCK - 1) / BLOCK, add_task, &j);
}

void sm_tree_add(sm_tree *t, const sm_ctx *ctx)
{
    int to = free_level(t);
    add_vectors(ctx, t->level[to], t->level, to, t->n);
    t->n_added++;
}

/* ------------------------------------------------------------------ ranks */

/* Continue a tree over ranks; `join` adds what came to what is there. */
static sm_status over_ranks(const sm_comm *c, void *x, void *incoming, size_t bytes,
                            void (*join)(void *arg, void *x, void *incoming), void *arg,
                            sm_err *err)
{
    sm_status s = SM_OK;
    for (int stride = 1; stride < c->n_ranks && !s; stride *= 2) {
        if (c->rank & stride) {
            s = c->send(c->self, x, bytes, c->rank - stride, err);
            break;
        }
        s = c->recv(c->self, incoming, bytes, c->rank + stride, err);
        if (!s)
            join(arg, x, incoming);
    }
    return s ? s : c->broadcast(c->self, x, bytes, 0, err);
}

static const sm_comm *ranks_of(const sm_ctx *ctx)
{
    return ctx->comm ? ctx->comm : sm_comm_self();
}

typedef struct join_f32 {
    const sm_ctx *ctx;
    int64_t n;
} join_f32;

static void join_vectors(void *arg, void *x, void *incoming)
{
    const join_f32 *j = arg;
    float *from = incoming;
    add_vectors(j->ctx, x, &from, 1, j->n);
}

sm_status sm_tree_finish(float **sum, sm_tree *t, const sm_ctx *ctx, sm_err *err)
{
    const sm_comm *c = ranks_of(ctx);
    if (t->n_added != t->n_leaf)
        return sm_fail(err, SM_EINVAL, "tree: got %lld leaves, want %lld",
                       (long long)t->n_added, (long long)t->n_leaf);
    if (!is_power_of_two(c->n_ranks))
        return sm_fail(err, SM_EINVAL, "tree: got %d ranks, want a power of two",
                       c->n_ranks);
    float *root = t->level[t->n_level - 1];
    if (c->n_ranks > 1) {
        size_t bytes = (size_t)t->n * sizeof(float);
        join_f32 j = {.ctx = ctx, .n = t->n};
        float *incoming = t->n_level > 1 ? t->level[0] : sm_aligned_alloc(bytes);
        if (!incoming)
            return sm_fail(err, SM_ENOMEM, "tree: receive buffer: out of memory");
        sm_status s = over_ranks(c, root, incoming, bytes, join_vectors, &j, err);
        if (t->n_level == 1)
            sm_aligned_free(incoming);
        if (s)
            return s;
    }
    *sum = root;
    return SM_OK;
}

double train_tree_f64(const double *x, int64_t n)
{
    if (n <= 0)
        return 0;
    if (n == 1)
        return x[0];
    int64_t half = 1;
    while (half * 2 < n)
        half *= 2;
    return train_tree_f64(x, half) + train_tree_f64(x + half, n - half);
}

static void join_doubles(void *arg, void *x, void *incoming)
{
    double *a = x;
    const double *b = incoming;
    for (int64_t i = 0; i < *(const int64_t *)arg; i++)
        a[i] += b[i];
}

static void join_integers(void *arg, void *x, void *incoming)
{
    int64_t *a = x;
    const int64_t *b = incoming;
    for (int64_t i = 0; i < *(const int64_t *)arg; i++)
        a[i] += b[i];
}

static sm_status small_over_ranks(const sm_ctx *ctx, void *x, int64_t n,
                                  void (*join)(void *, void *, void *), sm_err *err)
{
    const sm_comm *c = ranks_of(ctx);
    if (c->n_ranks == 1 || n == 0)
        return SM_OK;
    void *incoming = sm_alloc((size_t)n, 8);
    if (!incoming)
        return sm_fail(err, SM_ENOMEM, "reduce of %lld: out of memory", (long long)n);
    sm_status s = over_ranks(c, x, incoming, (size_t)n * 8, join, &n, err);
    free(incoming);
    return s;
}

sm_status train_ranks_f64(const sm_ctx *ctx, double *x, int64_t n, sm_err *err)
{
    return small_over_ranks(ctx, x, n, join_doubles, err);
}

sm_status train_ranks_i64(const sm_ctx *ctx, int64_t *x, int64_t n, sm_err *err)
{
    return small_over_ranks(ctx, x, n, join_integers, err);
}

sm_status train_ranks_agree(const sm_ctx *ctx, sm_status mine, sm_err *err)
{
    const sm_comm *c = ranks_of(ctx);
    if (c->n_ranks == 1)
        return mine;
    int64_t n_failed = mine != SM_OK;
    sm_err comm_err;
    if (train_ranks_i64(ctx, &n_failed, 1, &comm_err) && !mine)
        return sm_fail(err, comm_err.status, "%s", comm_err.msg);
    if (mine || n_failed == 0)
        return mine;
    return sm_fail(err, SM_EIO, "rank %d: %lld of %d ranks failed", c->rank,
                   (long long)n_failed, c->n_ranks);
}
