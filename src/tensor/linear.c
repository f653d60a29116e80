/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear maps: packing of weights and the product of a block of rows with a packed weight.
 *
 * An element of the result depends on its row of x, its row of W and k alone (kern.h), so
 * the cut into tiles here is free: it follows shape, and never changes a bit.
 */
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum { PACK_ROWS = 64, TILE_ROWS = 128, TILE_COLS = 128 };

const sm_prod *sm_kern_prod(const sm_kern *kern, const char *profile)
{
    if (!strcmp(profile, kern->bf16.profile))
        return &kern->bf16;
    return strcmp(profile, kern->f32.profile) ? NULL : &kern->f32;
}

size_t sm_weight_bytes(const sm_prod *prod, int64_t n_out, int64_t n_in)
{
    return sm_line_bytes(prod->bytes_b(n_out, n_in));
}

typedef struct pack_job {
    const sm_prod *prod;
    char *dst;
    const float *w;
    int64_t n, k, row_stride, col_stride, step;
} pack_job;

static void pack_task(void *arg, ptrdiff_t i, int thread)
{
    const pack_job *p = arg;
    (void)thread;
    int64_t j0 = i * p->step, n = sm_min_i64(p->step, p->n - j0);
    p->prod->pack_b(p->dst + p->prod->offset_b(j0, p->k), p->w + j0 * p->row_stride, SM_F32,
                    n, p->k, p->row_stride, p->col_stride);
}

void sm_weight_pack(sm_pool *pool, const sm_prod *prod, void *dst, const float *w,
                    int64_t n_out, int64_t n_in, bool is_transposed)
{
    pack_job p = {.prod = prod, .dst = dst, .w = w, .n = n_out, .k = n_in,
                  .row_stride = n_in, .col_stride = 1,
                  .step = sm_ceil_to(PACK_ROWS, prod->nr)};
    if (is_transposed) {
        p.n = n_in;
        p.k = n_out;
        p.row_stride = 1;
        p.col_stride = n_in;
    }
    sm_pool_run(pool, sm_ceil_div(p.n, p.step), pack_task, &p);
}

size_t sm_linear_scratch_bytes(const sm_prod *prod, int64_t m, int64_t k)
{
    return sm_line_bytes(prod->bytes_a(m, k));
}

void sm_linear_rows(const sm_prod *prod, float *y, int64_t ldy, const float *x, int64_t ldx,
                    const void *pb, int64_t m, int64_t n, int64_t k, bool accumulate,
                    void *scratch)
{
    prod->pack_a(scratch, x, SM_F32, m, k, ldx, 1);
    prod->gemm(y, ldy, scratch, pb, m, n, k, accumulate);
}

typedef struct linear_job {
    const sm_prod *prod;
    float *y;
    const float *x;
    const char *pb;
    char *pa;
    int64_t ldy, ldx, m, n, k, step_m, step_n, tiles_n;
    bool accumulate;
} linear_job;

static void linear_pack_task(void *arg, ptrdiff_t i, int thread)
{
    const linear_job *l = arg;
    (void)thread;
    int64_t i0 = i * l->step_m;
    l->prod->pack_a(l->pa + l->prod->offset_a(i0, l->k), l->x + i0 * l->ldx, SM_F32,
                    sm_min_i64(l->step_m, l->m - i0), l->k, l->ldx, 1);
}

static void linear_tile_task(void *arg, ptrdiff_t i, int thread)
{
    const linear_job *l = arg;
    (void)thread;
    int64_t i0 = i / l->tiles_n * l->step_m, j0 = i % l->tiles_n * l->step_n;
    l->prod->gemm(l->y + i0 * l->ldy + j0, l->ldy, l->pa + l->prod->offset_a(i0, l->k),
                  l->pb + l->prod->offset_b(j0, l->k), sm_min_i64(l->step_m, l->m - i0),
                  sm_min_i64(l->step_n, l->n - j0), l->k, l->accumulate);
}

void sm_linear(sm_pool *pool, const sm_prod *prod, float *y, int64_t ldy, const float *x,
               int64_t ldx, const void *pb, int64_t m, int64_t n, int64_t k,
               bool accumulate, void *scratch)
{
    if (m <= 0 || n <= 0)
        return;
    linear_job l = {.prod = prod, .y = y, .x = x, .pb = pb, .pa = scratch, .ldy = ldy,
                    .ldx = ldx, .m = m, .n = n, .k = k,
                    .step_m = sm_ceil_to(TILE_ROWS, prod->mr),
                    .step_n = sm_ceil_to(TILE_COLS, prod->nr), .accumulate = accumulate};
    l.tiles_n = sm_ceil_div(n, l.step_n);
    int64_t tiles_m = sm_ceil_div(m, l.step_m);
    sm_pool_run(pool, tiles_m, linear_pack_task, &l);
    sm_pool_run(pool, tiles_m * l.tiles_n, linear_tile_task, &l);
}
