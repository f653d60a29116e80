/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate at which this machine multiplies at most: packed products that stay in cache,
 * on all threads, best round within the time given.  Progress and plans are held against
 * it; nothing recorded depends on it.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/kern.h"

enum { SIDE = 256 };

typedef struct product {
    const sm_prod *prod;
    unsigned char *a, *b; /* packed, shared by all tasks */
    float *c;             /* [n_threads, SIDE, SIDE]     */
    int repeat;
} product;

static void product_task(void *arg, ptrdiff_t i, int thread)
{
    const product *p = arg;
    (void)i;
    for (int r = 0; r < p->repeat; r++)
        p->prod->gemm(p->c + (size_t)thread * SIDE * SIDE, SIDE, p->a, p->b, SIDE, SIDE,
                      SIDE, false);
}

static double best_rate(product *p, sm_pool *pool, int n, double seconds)
{
    double best = 0;
    int64_t end = sm_clock_ns() + (int64_t)(seconds * 1e9);
    do {
        int64_t start = sm_clock_ns();
        sm_pool_run(pool, n, product_task, p);
        double s = (double)(sm_clock_ns() - start) / 1e9;
        double rate = 2.0 * SIDE * SIDE * SIDE * p->repeat * n / s / 1e9;
        best = rate > best ? rate : best;
        if (s < 0.01)
            p->repeat *= 2;
    } while (sm_clock_ns() < end);
    return best;
}

sm_status sm_flow_ceiling(double *gflops, const sm_ctx *ctx, const char *profile,
                          double seconds, sm_err *err)
{
    int n = ctx->pool ? sm_pool_n_threads(ctx->pool) : 1;
    product p = {.prod = !strcmp(profile, "f32/1") ? &ctx->kern->f32 : &ctx->kern->bf16,
                 .repeat = 4};
    float *src = sm_aligned_alloc((size_t)SIDE * SIDE * sizeof *src);
    p.a = sm_aligned_alloc(p.prod->bytes_a(SIDE, SIDE));
    p.b = sm_aligned_alloc(p.prod->bytes_b(SIDE, SIDE));
    p.c = sm_aligned_alloc((size_t)n * SIDE * SIDE * sizeof *p.c);
    sm_status s = SM_OK;
    if (!src || !p.a || !p.b || !p.c) {
        s = sm_fail(err, SM_ENOMEM, "ceiling: out of memory");
        goto done;
    }
    for (ptrdiff_t i = 0; i < (ptrdiff_t)SIDE * SIDE; i++)
        src[i] = (float)(i % 17) * 0.125f - 1;
    p.prod->pack_a(p.a, src, SM_F32, SIDE, SIDE, SIDE, 1);
    p.prod->pack_b(p.b, src, SM_F32, SIDE, SIDE, SIDE, 1);
    *gflops = best_rate(&p, ctx->pool, n, seconds);
done:
    sm_aligned_free(src);
    sm_aligned_free(p.a);
    sm_aligned_free(p.b);
    sm_aligned_free(p.c);
    return s;
}
