/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weight gradients, dW = sum over tokens of dy x^T, one logical shard at a time.
 *
 * Invariants (the determinism contract):
 *  1. a shard's gradient is one chain over its tokens, ascending, in contraction blocks of
 *     32 that start at the shard's (or group's) first row;
 *  2. shards join along the binary tree over shard index: node = left + right;
 *  3. so the result for shards 0..2n-1 is node(result of 0..n-1, result of n..2n-1), and a
 *     caller may continue the tree over micro-batches and ranks.
 * A tile of dW walks all of this inside the cache; tiles are free (kern.h).
 */
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum {
    TILE_M = 96,
    TILE_N = 256,
    MAX_UNIT_BLOCKS = SM_RUN_ROWS / SM_TOKEN_BLOCK,
    BAD_BYTES = 64 /* a thread's scratch starts with the lowest bad job it saw */
};

/* The largest bytes per 32-row block over every length a chunk can have. */
static size_t unit_of(size_t (*bytes)(ptrdiff_t, ptrdiff_t), int64_t rows)
{
    size_t unit = 0;
    for (int64_t q = 1; q <= MAX_UNIT_BLOCKS; q++) {
        size_t b = (bytes(rows, q * SM_TOKEN_BLOCK) + (size_t)q - 1) / (size_t)q;
        unit = b > unit ? b : unit;
    }
    return sm_line_bytes(unit);
}

size_t sm_grad_unit_a(const sm_prod *prod, int64_t m)
{
    return unit_of(prod->bytes_a, m);
}

size_t sm_grad_unit_b(const sm_prod *prod, int64_t n)
{
    return unit_of(prod->bytes_b, n);
}

sm_chunk sm_grad_run_of(sm_chunk group, int32_t row)
{
    int32_t at = (row - group.row0) / SM_RUN_ROWS * SM_RUN_ROWS;
    return (sm_chunk){group.row0 + at,
                      (int32_t)sm_min_i64(SM_RUN_ROWS, group.n_row - at)};
}

/*
 * Chunks go into a run side by side.  In every packed layout a panel holds its k ascending,
 * so that k = k0 of a panel of r rows (k0 a multiple of 32) is where a panel of k0 would
 * end: bytes(r, k0) further on.  test_linear asserts it for every rung.
 */
typedef struct packing {
    void (*pack)(void *, const void *, sm_dtype, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                 ptrdiff_t);
    size_t (*bytes)(ptrdiff_t, ptrdiff_t);
    size_t (*offset)(ptrdiff_t, ptrdiff_t);
    ptrdiff_t panel;
} packing;

/* A block of 32 rows at a time, whole rows of it: a panel at a time would come back to every
 * row of the chunk for a line of it. */
static void pack_chunk(const packing *p, char *dst, const float *src, int64_t ld,
                       sm_chunk c, sm_chunk run, int64_t m)
{
    for (int64_t r = 0; r < c.n_row; r += SM_TOKEN_BLOCK) {
        char *block = dst + p->bytes(p->panel, c.row0 - run.row0 + r);
        int64_t k = sm_min_i64(SM_TOKEN_BLOCK, c.n_row - r);
        for (int64_t i = 0; i < m; i += p->panel)
            p->pack(block + p->offset(i, run.n_row), src + r * ld + i, SM_F32,
                    sm_min_i64(p->panel, m - i), k, 1, ld);
    }
}

void sm_grad_pack_a(const sm_prod *prod, void *base, const float *src, int64_t ld,
                    sm_chunk c, sm_chunk run, int64_t m)
{
    packing p = {prod->pack_a, prod->bytes_a, prod->offset_a, prod->mr};
    size_t block = (size_t)(run.row0 / SM_TOKEN_BLOCK);
    pack_chunk(&p, (char *)base + block * sm_grad_unit_a(prod, m), src, ld, c, run, m);
}

void sm_grad_pack_b(const sm_prod *prod, void *base, const float *src, int64_t ld,
                    sm_chunk c, sm_chunk run, int64_t n)
{
    packing p = {prod->pack_b, prod->bytes_b, prod->offset_b, prod->nr};
    size_t block = (size_t)(run.row0 / SM_TOKEN_BLOCK);
    pack_chunk(&p, (char *)base + block * sm_grad_unit_b(prod, n), src, ld, c, run, n);
}

typedef struct grad_run {
    const sm_kern *kern;
    const sm_grad_job *job;
    int64_t n_job, n_shard;
    char *scratch;
    size_t scratch_bytes;
} grad_run;

/* One tile of one job. */
typedef struct grad_tile {
    const sm_kern *kern;
    const sm_grad_job *job;
    size_t unit_a, unit_b;
    int64_t i0, j0, m, n;
} grad_tile;

static int64_t tile_m(const sm_prod *p)
{
    return sm_ceil_to(TILE_M, p->mr);
}

static int64_t tile_n(const sm_prod *p)
{
    return sm_ceil_to(TILE_N, p->nr);
}

static size_t tile_floats(const sm_prod *p)
{
    return (size_t)(tile_m(p) * tile_n(p));
}

size_t sm_grad_scratch_bytes(const sm_kern *kern, int64_t n_shard)
{
    size_t a = tile_floats(&kern->bf16), b = tile_floats(&kern->f32);
    size_t levels = (size_t)sm_log2_floor(n_shard);
    return BAD_BYTES + sm_line_bytes((a > b ? a : b) * sizeof(float)) * levels;
}

/* out = the chain over the runs of shard s, made a leaf. */
static void tile_leaf(const grad_tile *t, int64_t s, float *out, int64_t ldo)
{
    const sm_grad_job *j = t->job;
    for (int32_t c = j->first[s]; c < j->first[s + 1]; c++) {
        ptrdiff_t k = j->run[c].n_row;
        size_t block = (size_t)(j->run[c].row0 / SM_TOKEN_BLOCK);
        const char *a = (const char *)j->a + block * t->unit_a;
        const char *b = (const char *)j->b + block * t->unit_b;
        j->prod->gemm(out, ldo, a + j->prod->offset_a(t->i0, k),
                      b + j->prod->offset_b(t->j0, k), t->m, t->n, k, c > j->first[s]);
    }
    if (j->first[s] == j->first[s + 1])
        for (int64_t i = 0; i < t->m; i++)
            memset(out + i * ldo, 0, (size_t)t->n * sizeof *out);
    for (int64_t i = 0; j->embed && i < t->m; i++)
        sm_embed_leaf(t->kern, j->embed, s, t->i0 + i, t->j0, out + i * ldo, t->n);
}

/* out = the node over shards s .. s+n-1; `tmp` holds a tile for each level below. */
static void tile_node(const grad_tile *t, int64_t s, int64_t n, float *out, int64_t ldo,
                      float *tmp)
{
    if (n == 1) {
        tile_leaf(t, s, out, ldo);
        return;
    }
    float *deeper = tmp + t->m * t->n;
    tile_node(t, s, n / 2, out, ldo, tmp);
    tile_node(t, s + n / 2, n / 2, tmp, t->n, deeper);
    for (int64_t i = 0; i < t->m; i++)
        t->kern->add(out + i * ldo, tmp + i * t->n, t->n);
}

static bool tile_is_finite(const grad_tile *t, const float *out, int64_t ldo)
{
    for (int64_t i = 0; i < t->m; i++)
        if (!sm_is_finite(t->kern->sum(out + i * ldo, t->n)))
            return false;
    return true;
}

static int64_t job_tiles(const sm_grad_job *j)
{
    return sm_ceil_div(j->m, tile_m(j->prod)) * sm_ceil_div(j->n, tile_n(j->prod));
}

static int64_t *bad_of(const grad_run *g, int thread)
{
    return (int64_t *)(void *)(g->scratch + (size_t)thread * g->scratch_bytes);
}

static void grad_task(void *arg, ptrdiff_t i, int thread)
{
    const grad_run *g = arg;
    int64_t job = 0, end = g->n_job;
    while (end - job > 1) {
        int64_t mid = job + (end - job) / 2;
        if (i < g->job[mid].tile0)
            end = mid;
        else
            job = mid;
    }
    const sm_grad_job *j = &g->job[job];
    i -= j->tile0;
    int64_t cols = sm_ceil_div(j->n, tile_n(j->prod));
    grad_tile t = {.kern = g->kern,
                   .job = j,
                   .unit_a = sm_grad_unit_a(j->prod, j->m),
                   .unit_b = sm_grad_unit_b(j->prod, j->n)};
    t.i0 = i / cols * tile_m(j->prod);
    t.j0 = i % cols * tile_n(j->prod);
    t.m = sm_min_i64(tile_m(j->prod), j->m - t.i0);
    t.n = sm_min_i64(tile_n(j->prod), j->n - t.j0);
    int64_t *bad = bad_of(g, thread);
    float *out = j->dst + t.i0 * j->n + t.j0;
    tile_node(&t, 0, g->n_shard, out, j->n, (float *)(void *)((char *)bad + BAD_BYTES));
    if ((*bad < 0 || job < *bad) && !tile_is_finite(&t, out, j->n))
        *bad = job;
}

int64_t sm_grad_run(sm_pool *pool, const sm_kern *kern, sm_grad_job *job, int64_t n_job,
                    int64_t n_shard, void *scratch)
{
    grad_run g = {.kern = kern,
                  .job = job,
                  .n_job = n_job,
                  .n_shard = n_shard,
                  .scratch = scratch,
                  .scratch_bytes = sm_grad_scratch_bytes(kern, n_shard)};
    int64_t tiles = 0, bad = -1;
    for (int64_t i = 0; i < n_job; i++) {
        job[i].tile0 = tiles;
        tiles += job_tiles(&job[i]);
    }
    for (int t = 0; t < sm_pool_n_threads(pool); t++)
        *bad_of(&g, t) = -1;
    sm_pool_run(pool, tiles, grad_task, &g);
    for (int t = 0; t < sm_pool_n_threads(pool); t++) {
        int64_t b = *bad_of(&g, t);
        if (b >= 0 && (bad < 0 || b < bad))
            bad = b;
    }
    return bad;
}

void sm_tree_sum(const sm_kern *kern, float *x, int64_t n_leaf, int64_t n, int64_t stride)
{
    for (int64_t step = 1; step < n_leaf; step *= 2)
        for (int64_t i = 0; i + step < n_leaf; i += 2 * step)
            kern->add(x + i * stride, x + (i + step) * stride, n);
}
