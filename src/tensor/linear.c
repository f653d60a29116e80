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

typedef struct pack_run {
    const sm_pack_job *job;
    int64_t n_job;
} pack_run;

static int64_t pack_step(const sm_prod *prod)
{
    return sm_ceil_to(PACK_ROWS, prod->nr);
}

static int64_t pack_tasks(const sm_pack_job *j)
{
    return sm_ceil_div(j->is_transposed ? j->n_in : j->n_out, pack_step(j->prod));
}

/* One block of panels of the job that task i falls in. */
static void pack_task(void *arg, ptrdiff_t i, int thread)
{
    const pack_run *r = arg;
    (void)thread;
    int64_t job = 0, end = r->n_job;
    while (end - job > 1) {
        int64_t mid = job + (end - job) / 2;
        if (i < r->job[mid].task0)
            end = mid;
        else
            job = mid;
    }
    const sm_pack_job *j = &r->job[job];
    bool t = j->is_transposed;
    int64_t n = t ? j->n_in : j->n_out, k = t ? j->n_out : j->n_in;
    int64_t step = pack_step(j->prod), j0 = (i - j->task0) * step;
    int64_t ld = j->ld ? j->ld : j->n_in;
    j->prod->pack_b((char *)j->dst + j->prod->offset_b(j0, k), j->w + (t ? j0 : j0 * ld),
                    SM_F32, sm_min_i64(step, n - j0), k, t ? 1 : ld, t ? ld : 1);
}

void sm_weight_pack_rows(const sm_pack_job *j, int64_t row0, int64_t n_row)
{
    const sm_prod *p = j->prod;
    int64_t ld = j->ld ? j->ld : j->n_in;
    const float *w = j->w + row0 * ld;
    if (!j->is_transposed) {
        p->pack_b((char *)j->dst + p->offset_b(row0, j->n_in), w, SM_F32, n_row, j->n_in,
                  ld, 1);
        return;
    }
    size_t before = (size_t)(row0 / SM_PACK_UNIT) * p->bytes_b(p->nr, SM_PACK_UNIT);
    for (int64_t c = 0; c < j->n_in; c += p->nr)
        p->pack_b((char *)j->dst + p->offset_b(c, j->n_out) + before, w + c, SM_F32,
                  sm_min_i64(p->nr, j->n_in - c), n_row, 1, ld);
}

void sm_weight_pack_many(sm_pool *pool, sm_pack_job *job, int64_t n_job)
{
    int64_t tasks = 0;
    for (int64_t i = 0; i < n_job; i++) {
        job[i].task0 = tasks;
        tasks += pack_tasks(&job[i]);
    }
    pack_run r = {job, n_job};
    sm_pool_run(pool, tasks, pack_task, &r);
}

void sm_weight_pack(sm_pool *pool, const sm_prod *prod, void *dst, const float *w,
                    int64_t n_out, int64_t n_in, bool is_transposed)
{
    sm_pack_job j = {.dst = dst,
                     .prod = prod,
                     .w = w,
                     .n_out = n_out,
                     .n_in = n_in,
                     .is_transposed = is_transposed};
    sm_weight_pack_many(pool, &j, 1);
}

size_t sm_linear_scratch_bytes(const sm_prod *prod, int64_t m, int64_t k)
{
    return sm_line_bytes(prod->bytes_a(m, k));
}

void sm_linear_rows(const sm_prod *prod, float *y, int64_t ldy, const float *x,
                    int64_t ldx, const void *pb, int64_t m, int64_t n, int64_t k,
                    bool accumulate, void *scratch)
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
    linear_job l = {.prod = prod,
                    .y = y,
                    .x = x,
                    .pb = pb,
                    .pa = scratch,
                    .ldy = ldy,
                    .ldx = ldx,
                    .m = m,
                    .n = n,
                    .k = k,
                    .step_m = sm_ceil_to(TILE_ROWS, prod->mr),
                    .step_n = sm_ceil_to(TILE_COLS, prod->nr),
                    .accumulate = accumulate};
    l.tiles_n = sm_ceil_div(n, l.step_n);
    int64_t tiles_m = sm_ceil_div(m, l.step_m);
    sm_pool_run(pool, tiles_m, linear_pack_task, &l);
    sm_pool_run(pool, tiles_m * l.tiles_n, linear_tile_task, &l);
}
