/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops around a micro kernel (Goto and van de Geijn 2008): C in tiles of some rows by
 * NR = 2W columns, k in blocks whose panel of B stays in L1, rows in blocks whose panels of
 * A stay in L2.  A stretch of blocks of k is done for a panel of B before the next, so that
 * a tile of C is met again while it is in L1 (block by block over all columns costs a tenth
 * where n is some thousands); it ends where A would leave L2.
 *
 * While a tile is computed, its part of the next block of B comes into L2 and the next tile of
 * C into L1: what is met for the first time, and would be waited for otherwise.
 *
 * Accumulators have names, one per row and vector: compilers spill arrays of them.
 * Includer defines MR_MAX, the most rows of a tile (3, 6, 7 or 14).
 */
enum { NR = 2 * W, K_BLOCK = 256, K_STRETCH = 1536, ROW_BLOCK = 126, ROWS_AT_ONCE = 168 };

_Static_assert(ROWS_AT_ONCE % MR_MAX == 0 && ROW_BLOCK % MR_MAX == 0, "whole panels");
_Static_assert(K_BLOCK % SM_K_GROUP == 0 && K_STRETCH % K_BLOCK == 0, "whole groups");

#define ROWS_1(X) X(0)
#define ROWS_2(X) ROWS_1(X) X(1)
#define ROWS_3(X) ROWS_2(X) X(2)
#define ROWS_4(X) ROWS_3(X) X(3)
#define ROWS_5(X) ROWS_4(X) X(4)
#define ROWS_6(X) ROWS_5(X) X(5)
#define ROWS_7(X) ROWS_6(X) X(6)
#define ROWS_8(X) ROWS_7(X) X(7)
#define ROWS_9(X) ROWS_8(X) X(8)
#define ROWS_10(X) ROWS_9(X) X(9)
#define ROWS_11(X) ROWS_10(X) X(10)
#define ROWS_12(X) ROWS_11(X) X(11)
#define ROWS_13(X) ROWS_12(X) X(12)
#define ROWS_14(X) ROWS_13(X) X(13)

/* What comes into L2 meanwhile, a line at a time: at every k of f32, FETCHES times at every
 * group of bf16 (at every pair costs 2 %). */
enum { FETCHES = 4 };
typedef struct fetch {
    const char *at;
    ptrdiff_t step;
} fetch;

/* The address may lie past the operand. */
static inline void fetch_next(fetch *f)
{
    __builtin_prefetch(f->at, 0, 2);
    f->at = (const char *)((uintptr_t)f->at + (uintptr_t)f->step);
}

/* A tile of C while a block of k is added to it: [rows][NR].  bf16: the zeros that fill the
 * last group of 32 are left out, whole pairs of them: fma(0, 0, e) is e, but +0 for -0,
 * which the +0.0 of store_tile hides. */
typedef void micro_kernel(float *tile, const float *a, const void *b, ptrdiff_t k,
                          fetch next);

/* Without it gcc lifts the tile out of the loop into spill slots and moves it through
 * registers twice a group: 7 % of the time. */
#define TILE_STAYS_IN_MEMORY() __asm__ volatile("" ::: "memory")

/* The end of a group of 32 k: C + (te + to). */
#define JOIN(r)                                                                   \
    put(tile + r * NR, vadd(get(tile + r * NR, W), vadd(e##r##_0, o##r##_0)), W); \
    put(tile + r * NR + W, vadd(get(tile + r * NR + W, W), vadd(e##r##_1, o##r##_1)), W);

/* The part of C that one tile covers. */
typedef struct tile_of_c {
    float *c;
    ptrdiff_t ldc, rows, cols;
} tile_of_c;

static inline void load_tile(float *tile, const tile_of_c *t)
{
    ptrdiff_t left = sm_min_index(t->cols, W), right = t->cols - left;
    for (ptrdiff_t r = 0; r < t->rows; r++) {
        const float *c = t->c + r * t->ldc;
        put(tile + r * NR, get(c, left), W);
        put(tile + r * NR + W, right > 0 ? get(c + W, right) : vzero(), W);
    }
}

static inline void clear_tile(float *tile, ptrdiff_t rows)
{
    for (ptrdiff_t r = 0; r < 2 * rows; r++)
        put(tile + r * W, vzero(), W);
}

/* bias is +0, which turns -0 and denormals into +0 */
static inline void store_tile(const tile_of_c *t, const float *tile)
{
    ptrdiff_t left = sm_min_index(t->cols, W), right = t->cols - left;
    vf zero = vzero();
    for (ptrdiff_t r = 0; r < t->rows; r++) {
        float *c = t->c + r * t->ldc;
        put(c, vadd(get(tile + r * NR, W), zero), left);
        if (right > 0)
            put(c + W, vadd(get(tile + r * NR + W, W), zero), right);
    }
}

/* Rows i0..i1 of C against one panel of B (block of k): `a` is the panel of row i0 at
 * this block, stride floats from panel to panel; next: the block of B that follows, bytes
 * as long as this one; n_fetch: what a kernel fetches of it in k. */
typedef struct strip {
    float *c;
    ptrdiff_t ldc, rows, cols, mr, stride, k, bytes, n_fetch;
    const float *a;
    const void *b, *next;
    bool from_zero;
    micro_kernel *const *kernels;
} strip;

/* A tile of C for writing: the one below that of row i, or the first to the right. */
static inline void fetch_tile(const strip *s, ptrdiff_t i)
{
    bool is_below = i + s->mr < s->rows;
    ptrdiff_t first = is_below ? i + s->mr : 0, col = is_below ? 0 : NR;
    if (col >= s->cols)
        return;
    for (ptrdiff_t r = first; r < sm_min_index(first + s->mr, s->rows); r++)
        for (ptrdiff_t j = 0; j < NR; j += 16)
            __builtin_prefetch(s->c + r * s->ldc + sm_min_index(col + j, s->cols - 1), 1);
}

static void run_strip(const strip *s)
{
    _Alignas(64) float tile[MR_MAX * NR];
    const float *a = s->a;
    ptrdiff_t n_fetch = sm_round_up(s->rows, s->mr) / s->mr * s->n_fetch;
    fetch next = {s->next, n_fetch > 0 ? s->bytes / n_fetch + 1 : 0};
    for (ptrdiff_t i = 0; i < s->rows; i += s->mr, a += s->stride) {
        tile_of_c t = {s->c + i * s->ldc, s->ldc, sm_min_index(s->mr, s->rows - i),
                       sm_min_index(NR, s->cols)};
        if (s->from_zero)
            clear_tile(tile, t.rows);
        else
            load_tile(tile, &t);
        fetch_tile(s, i);
        s->kernels[t.rows - 1](tile, a, s->b, s->k, next);
        next.at =
            (const char *)((uintptr_t)next.at + (uintptr_t)(next.step * s->n_fetch));
        store_tile(&t, tile);
    }
}

/* Rows for which a panel of B stays in L1: all when they are few, so that a chunk of 128
 * is not left with a strip of its own for two. */
static ptrdiff_t row_block(ptrdiff_t m)
{
    return m <= ROWS_AT_ONCE ? ROWS_AT_ONCE : ROW_BLOCK;
}

/* The operands of one product; a and b of the first row and column, k as far as A goes. */
typedef struct operands {
    float *c;
    ptrdiff_t ldc;
    const float *a;
    const void *b;
    ptrdiff_t rows, n, k;
    bool accumulate;
} operands;

/* A block of rows, k from p to end. */
typedef void stretch(const operands *o, ptrdiff_t p, ptrdiff_t end);

/* All rows, k to its end: `panel` floats of A from mr rows to the next. */
static inline void each_stretch(const operands *all, ptrdiff_t mr, ptrdiff_t panel,
                                ptrdiff_t k_end, stretch *run)
{
    ptrdiff_t step = row_block(all->rows);
    for (ptrdiff_t i = 0; i < all->rows; i += step) {
        operands o = *all;
        o.c += i * o.ldc;
        o.a += i / mr * panel;
        o.rows = sm_min_index(step, all->rows - i);
        ptrdiff_t p = 0;
        do {
            ptrdiff_t end = sm_min_index(p + K_STRETCH, k_end);
            run(&o, p, end);
            p = end;
        } while (p < k_end);
    }
}
