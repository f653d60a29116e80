/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine can do at best.  Every thread multiplies its own small matrices,
 * packed and in cache, for a fixed number of rounds; then every thread sums its share of
 * a buffer that is larger than most caches.  The rate is that of the whole pool: work
 * over the time until the slowest thread is done.
 */
#include "internal.h"
#include "smelt/sys.h"

enum {
    M = 126, /* whole panels of 3, 6, 7 and 14 rows; operands within 512 KiB */
    N = 128,
    K = 512,
    READ_BYTES = 128 << 20
};

static const int64_t ROUND_NS = 35 * 1000 * 1000;

/* One thread's operands. */
typedef struct bench {
    const sm_kern *kern;
    const sm_prod *prod;
    int n_threads;
    ptrdiff_t repeats, read_floats; /* of each thread */
    size_t stride_a, stride_b;
    unsigned char *a, *b;
    float *c, *memory, *sums;
} bench;

static void fill_thread(void *arg, ptrdiff_t i, int thread)
{
    bench *t = arg;
    (void)thread;
    for (ptrdiff_t j = 0; j < t->read_floats; j++)
        t->memory[i * t->read_floats + j] = 0x1p-20f;
}

/* Values in (0, 1], packed from memory that is filled already. */
static void pack_thread(void *arg, ptrdiff_t i, int thread)
{
    bench *t = arg;
    (void)thread;
    t->prod->pack_a(t->a + (size_t)i * t->stride_a, t->memory, SM_F32, M, K, K, 1);
    t->prod->pack_b(t->b + (size_t)i * t->stride_b, t->memory, SM_F32, N, K, K, 1);
}

static void multiply_thread(void *arg, ptrdiff_t i, int thread)
{
    bench *t = arg;
    (void)thread;
    for (ptrdiff_t r = 0; r < t->repeats; r++)
        t->prod->gemm(t->c + i * M * N, N, t->a + (size_t)i * t->stride_a,
                      t->b + (size_t)i * t->stride_b, M, N, K, false);
}

static void read_thread(void *arg, ptrdiff_t i, int thread)
{
    bench *t = arg;
    (void)thread;
    t->sums[i * 16] = t->kern->sum(t->memory + i * t->read_floats, t->read_floats);
}

static double time_ns(bench *t, const sm_ctx *ctx, void (*fn)(void *, ptrdiff_t, int))
{
    int64_t start = sm_clock_ns();
    sm_pool_run(ctx->pool, t->n_threads, fn, t);
    int64_t ns = sm_clock_ns() - start;
    return ns > 0 ? (double)ns : 1.0;
}

/* Best of two rounds whose length a first one decides. */
static double product_gflops(bench *t, const sm_ctx *ctx, const sm_prod *prod)
{
    t->prod = prod;
    t->repeats = 1;
    sm_pool_run(ctx->pool, t->n_threads, pack_thread, t);
    time_ns(t, ctx, multiply_thread);
    t->repeats = (ptrdiff_t)((double)ROUND_NS / time_ns(t, ctx, multiply_thread)) + 1;
    double flops = 2.0 * M * N * K * (double)t->repeats * t->n_threads, best = 0;
    for (int round = 0; round < 2; round++) {
        double rate = flops / time_ns(t, ctx, multiply_thread);
        best = rate > best ? rate : best;
    }
    return best;
}

static double read_rate(bench *t, const sm_ctx *ctx)
{
    double bytes = (double)t->read_floats * sizeof(float) * t->n_threads, best = 0;
    for (int round = 0; round < 3; round++) {
        double rate = bytes / time_ns(t, ctx, read_thread);
        best = rate > best ? rate : best;
    }
    return best;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool allocate(bench *t)
{
    size_t n = (size_t)t->n_threads;
    const sm_kern *k = t->kern;
    t->stride_a = larger(k->bf16.bytes_a(M, K), k->f32.bytes_a(M, K));
    t->stride_b = larger(k->bf16.bytes_b(N, K), k->f32.bytes_b(N, K));
    t->read_floats = READ_BYTES / (ptrdiff_t)sizeof(float) / t->n_threads;
    t->a = sm_aligned_alloc(n * t->stride_a);
    t->b = sm_aligned_alloc(n * t->stride_b);
    t->c = sm_aligned_alloc(n * M * N * sizeof(float));
    t->sums = sm_aligned_alloc(n * 16 * sizeof(float));
    t->memory = sm_aligned_alloc(READ_BYTES);
    return t->a && t->b && t->c && t->sums && t->memory;
}

sm_status sm_kern_ceiling(sm_kern_ceilings *out, const sm_ctx *ctx, sm_err *err)
{
    if (!ctx || !ctx->kern)
        return sm_fail(err, SM_EINVAL, "kernel ceiling: got no kernel table, want one");
    bench t = {.kern = ctx->kern, .n_threads = sm_pool_n_threads(ctx->pool)};
    sm_status status = SM_OK;
    if (allocate(&t)) {
        sm_pool_run(ctx->pool, t.n_threads, fill_thread, &t);
        *out = (sm_kern_ceilings){t.n_threads, product_gflops(&t, ctx, &ctx->kern->bf16),
                                  product_gflops(&t, ctx, &ctx->kern->f32),
                                  read_rate(&t, ctx)};
    } else {
        status = sm_fail(err, SM_ENOMEM, "kernel ceiling: no memory for %d threads",
                         t.n_threads);
    }
    sm_aligned_free(t.a);
    sm_aligned_free(t.b);
    sm_aligned_free(t.c);
    sm_aligned_free(t.sums);
    sm_aligned_free(t.memory);
    return status;
}
