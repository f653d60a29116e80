/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contractions in slices, so that ranks can share one and keep its bits.
 *
 * Invariants:
 *  1. a slice is one chain over its runs of k, from +0; runs begin at multiples of 32;
 *  2. slices join along the perfect binary tree over slice index: node = left + right;
 *  3. so the root over n slices is node(root of 0..n/2-1, root of n/2..n-1), and ranks
 *     that hold whole subtrees continue the tree by messages;
 *  4. what the product is added to is added to the root, last;
 *  5. one slice is the plain product: one chain, begun at what it is added to.
 * The tree is walked a tile of the output at a time, which is free (kern.h).
 */
#include "internal.h"
#include "smelt/tensor.h"

enum { TILE_ROWS = 128, TILE_COLS = 128 };

static int64_t whole_k(const sm_slices *c)
{
    int64_t k = 0;
    for (int32_t p = 0; p < c->n_run; p++)
        k += c->run[p];
    return k;
}

static bool is_whole(const sm_slices *c)
{
    return c->n <= 1;
}

/* Blocks of k before slice s: shares of them as equal as whole blocks can be. */
static int64_t slice_start(const sm_slices *c, int64_t k, int32_t s)
{
    int64_t blocks = sm_ceil_div(k, SM_SLICE_UNIT);
    return sm_min_i64(s * blocks / c->n * SM_SLICE_UNIT, k);
}

sm_span sm_slice_span(const sm_slices *c, int32_t slice, int32_t run)
{
    int64_t start = 0, k = c->run[run];
    for (int32_t p = 0; p < run; p++)
        start += c->run[p];
    if (is_whole(c))
        return (sm_span){start, k};
    int64_t at = slice_start(c, k, slice);
    return (sm_span){start + at, slice_start(c, k, slice + 1) - at};
}

size_t sm_sliced_weight_bytes(const sm_prod *prod, int64_t n_out, const sm_slices *c)
{
    if (is_whole(c))
        return sm_weight_bytes(prod, n_out, whole_k(c));
    size_t bytes = 0;
    for (int32_t s = 0; s < c->n; s++)
        for (int32_t r = 0; r < c->n_run; r++)
            bytes += sm_weight_bytes(prod, n_out, sm_slice_span(c, s, r).n);
    return bytes;
}

/* The part of a job whose contraction is `span`. */
static sm_pack_job part_of(const sm_pack_job *whole, sm_span span, char *dst)
{
    sm_pack_job j = *whole;
    j.dst = dst;
    j.ld = whole->ld ? whole->ld : whole->n_in;
    if (j.is_transposed) {
        j.w += span.at * j.ld;
        j.n_out = span.n;
    } else {
        j.w += span.at;
        j.n_in = span.n;
    }
    return j;
}

int64_t sm_sliced_pack_jobs(sm_pack_job *job, const sm_pack_job *whole,
                            const sm_slices *c)
{
    if (is_whole(c)) {
        job[0] = *whole;
        return 1;
    }
    int64_t n = 0, rows = whole->is_transposed ? whole->n_in : whole->n_out;
    char *dst = whole->dst;
    for (int32_t s = 0; s < c->n; s++)
        for (int32_t r = 0; r < c->n_run; r++) {
            sm_span span = sm_slice_span(c, s, r);
            job[n++] = part_of(whole, span, dst);
            dst += sm_weight_bytes(whole->prod, rows, span.n);
        }
    return n;
}

int64_t sm_sliced_n_jobs(const sm_slices *c)
{
    return is_whole(c) ? 1 : (int64_t)c->n * c->n_run;
}

/* ----------------------------------------------------------------- products */

/* Scratch: the packed A operand, run after run | tiles of the tree. */
static size_t operand_bytes(const sm_prod *prod, int64_t m, const sm_slices *c)
{
    if (is_whole(c))
        return sm_line_bytes(prod->bytes_a(m, whole_k(c)));
    size_t bytes = 0;
    for (int32_t s = 0; s < c->n; s++)
        for (int32_t r = 0; r < c->n_run; r++)
            bytes += sm_line_bytes(prod->bytes_a(m, sm_slice_span(c, s, r).n));
    return bytes;
}

static int64_t tile_rows(const sm_prod *p)
{
    return sm_ceil_to(TILE_ROWS, p->mr);
}

static int64_t tile_cols(const sm_prod *p)
{
    return sm_ceil_to(TILE_COLS, p->nr);
}

/* A tile for each level of the tree, and one for a root that is yet to be added. */
static size_t tree_bytes(const sm_prod *prod, const sm_slices *c)
{
    if (is_whole(c))
        return 0;
    size_t tile = (size_t)(tile_rows(prod) * tile_cols(prod)) * sizeof(float);
    return tile * (size_t)(1 + sm_log2_floor(c->n));
}

size_t sm_sliced_scratch_bytes(const sm_prod *prod, int64_t m, const sm_slices *c,
                               int n_threads)
{
    return operand_bytes(prod, m, c) + (size_t)n_threads * tree_bytes(prod, c);
}

typedef struct sliced {
    const sm_product *p;
    char *pa, *tree;
    size_t tree_stride;
    int64_t tiles_n;
} sliced;

static void pack_rows(const sliced *w, int64_t i0, int64_t m)
{
    const sm_product *p = w->p;
    char *pa = w->pa;
    for (int32_t s = 0; s < p->cut->n; s++)
        for (int32_t r = 0; r < p->cut->n_run; r++) {
            sm_span span = sm_slice_span(p->cut, s, r);
            p->prod->pack_a(pa + p->prod->offset_a(i0, span.n),
                            p->x + i0 * p->ldx + span.at, SM_F32, m, span.n, p->ldx, 1);
            pa += sm_line_bytes(p->prod->bytes_a(p->m, span.n));
        }
}

/* A tile of the output and where its operands begin. */
typedef struct tile {
    const sliced *w;
    int64_t i0, j0, m, n;
    const char *pa, *pb;
} tile;

/* out = the chain of the next slice; the operands move on. */
static void tile_slice(tile *t, int32_t s, float *out, int64_t ldo)
{
    const sm_product *p = t->w->p;
    for (int32_t r = 0; r < p->cut->n_run; r++) {
        int64_t k = sm_slice_span(p->cut, s, r).n;
        p->prod->gemm(out, ldo, t->pa + p->prod->offset_a(t->i0, k),
                      t->pb + p->prod->offset_b(t->j0, k), t->m, t->n, k, r > 0);
        t->pa += sm_line_bytes(p->prod->bytes_a(p->m, k));
        t->pb += sm_weight_bytes(p->prod, p->n, k);
    }
}

static void tile_add(const tile *t, float *out, int64_t ldo, const float *x)
{
    for (int64_t i = 0; i < t->m; i++)
        t->w->p->kern->add(out + i * ldo, x + i * t->n, t->n);
}

/* out = the node over slices s .. s+n-1, left before right. */
static void tile_node(tile *t, int32_t s, int32_t n, float *out, int64_t ldo, float *tmp)
{
    if (n == 1) {
        tile_slice(t, s, out, ldo);
        return;
    }
    float *deeper = tmp + t->m * t->n;
    tile_node(t, s, n / 2, out, ldo, tmp);
    tile_node(t, s + n / 2, n / 2, tmp, t->n, deeper);
    tile_add(t, out, ldo, tmp);
}

static void tile_task(void *arg, ptrdiff_t i, int thread)
{
    const sliced *w = arg;
    const sm_product *p = w->p;
    int64_t step_m = tile_rows(p->prod), step_n = tile_cols(p->prod);
    tile t = {.w = w,
              .i0 = i / w->tiles_n * step_m,
              .j0 = i % w->tiles_n * step_n,
              .pa = w->pa,
              .pb = p->pb};
    t.m = sm_min_i64(step_m, p->m - t.i0);
    t.n = sm_min_i64(step_n, p->n - t.j0);
    float *tmp = (float *)(void *)(w->tree + (size_t)thread * w->tree_stride);
    float *y = p->y + t.i0 * p->ldy + t.j0;
    if (p->accumulate) {
        tile_node(&t, 0, p->cut->n, tmp, t.n, tmp + t.m * t.n);
        tile_add(&t, y, p->ldy, tmp);
    } else {
        tile_node(&t, 0, p->cut->n, y, p->ldy, tmp);
    }
}

static sliced sliced_of(const sm_product *p, void *scratch)
{
    return (sliced){.p = p,
                    .pa = scratch,
                    .tree = (char *)scratch + operand_bytes(p->prod, p->m, p->cut),
                    .tree_stride = tree_bytes(p->prod, p->cut),
                    .tiles_n = sm_ceil_div(p->n, tile_cols(p->prod))};
}

static int64_t n_tiles(const sliced *w)
{
    return sm_ceil_div(w->p->m, tile_rows(w->p->prod)) * w->tiles_n;
}

void sm_sliced_rows(const sm_product *p, void *scratch)
{
    if (is_whole(p->cut)) {
        sm_linear_rows(p->prod, p->y, p->ldy, p->x, p->ldx, p->pb, p->m, p->n,
                       whole_k(p->cut), p->accumulate, scratch);
        return;
    }
    sliced w = sliced_of(p, scratch);
    pack_rows(&w, 0, p->m);
    for (int64_t i = 0; i < n_tiles(&w); i++)
        tile_task(&w, i, 0);
}

static void pack_rows_task(void *arg, ptrdiff_t i, int thread)
{
    const sliced *w = arg;
    int64_t step = tile_rows(w->p->prod), i0 = i * step;
    (void)thread;
    pack_rows(w, i0, sm_min_i64(step, w->p->m - i0));
}

void sm_sliced_linear(sm_pool *pool, const sm_product *p, void *scratch)
{
    if (is_whole(p->cut)) {
        sm_linear(pool, p->prod, p->y, p->ldy, p->x, p->ldx, p->pb, p->m, p->n,
                  whole_k(p->cut), p->accumulate, scratch);
        return;
    }
    sliced w = sliced_of(p, scratch);
    sm_pool_run(pool, sm_ceil_div(p->m, tile_rows(p->prod)), pack_rows_task, &w);
    sm_pool_run(pool, n_tiles(&w), tile_task, &w);
}

/* --------------------------------------------------------------------- rows */

static float node_of(const float *x, int32_t n)
{
    return n == 1 ? x[0] : node_of(x, n / 2) + node_of(x + n / 2, n / 2);
}

float sm_sliced_dot(const sm_kern *kern, const float *x, const float *y,
                    const sm_slices *c)
{
    if (is_whole(c))
        return kern->dot(x, y, whole_k(c));
    float part[SM_SLICE_MAX];
    for (int32_t s = 0; s < c->n; s++) {
        sm_span span = sm_slice_span(c, s, 0);
        part[s] = kern->dot(x + span.at, y + span.at, span.n);
    }
    return node_of(part, c->n);
}

float sm_sliced_cross_entropy(const sm_kern *kern, float *dx, const float *x,
                              int32_t target, float z_coef, const sm_slices *c)
{
    if (is_whole(c))
        return kern->cross_entropy(dx, x, target, 1.0f, z_coef, whole_k(c), NULL);
    int64_t n = whole_k(c);
    float hit = x[target], m = kern->max(x, n), part[SM_SLICE_MAX], log_s;
    for (int32_t s = 0; s < c->n; s++) {
        sm_span span = sm_slice_span(c, s, 0);
        part[s] = kern->exp_sum(x + span.at, m, span.n);
    }
    float s = node_of(part, c->n);
    kern->log(&log_s, &s, 1);
    if (dx)
        kern->cross_entropy_bwd(dx, x, target, m, s, 1.0f, z_coef, n);
    return (m - hit) + log_s;
}
