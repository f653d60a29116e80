/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16 products on AMX: C in blocks of 2 x 2 tiles (32 x 32), one TDPBF16PS for each
 * group of 32 k, which is where the definition of bf16/1 comes from.
 *
 *   A  panels of 16 rows: [kp/32][16][32] bf16, a tile is 1 KiB in one piece
 *   B  the panels of the avx512 rung, [kp/2][32] pairs: two tiles side by side
 *
 * Whole blocks of C are loaded and stored by the tiles themselves; blocks at an edge pass
 * through a scratch block.  The +0.0 of the definition is one more product, of zeros: C has
 * te + to = +0 added, which only turns -0 into +0.  Tiles 0..3 hold C, 4 and 5 A, 6 and 7
 * B.  The configuration is loaded once a call; the tiles are released at the end, which
 * keeps context switches cheap.
 *
 * Products take the time of a few cache misses, so what a block will write is fetched for
 * writing while its first groups are multiplied, and a large B is fetched into L2 a panel
 * ahead.
 */
#include "x86/amx/tile.h"
#include "x86/avx512/pairs.h"

enum { TILE_ROWS = 16, BLOCK = 32, ROW_BLOCK = 256, K_BLOCK = 512 };

static size_t bytes_a(ptrdiff_t m, ptrdiff_t k)
{
    return (size_t)(sm_round_up(m, TILE_ROWS) * sm_round_up(k, SM_K_GROUP)) *
           sizeof(uint16_t);
}

/* One tile of A, rows i..i+15 and k p..p+31, as 16 vectors of pairs. */
static inline void load_tile_of_a(__m512 v[16], const matrix *s, ptrdiff_t i, ptrdiff_t p)
{
    ptrdiff_t rows = sm_min_index(TILE_ROWS, s->rows - i);
    if (s->col_stride == 1) {
        for (ptrdiff_t r = 0; r < 16; r++)
            v[r] = r < rows
                       ? vfloat(pairs_of_row(s, (i + r) * s->row_stride + p, s->k - p))
                       : vzero();
        return;
    }
    for (ptrdiff_t t = 0; t < 16; t++) {
        ptrdiff_t q = p + 2 * t;
        v[t] = q < s->k ? vfloat(pairs_of_columns(s, i + q * s->col_stride, rows,
                                                  q + 1 < s->k ? rows : 0))
                        : vzero();
    }
    transpose(v);
}

static void pack_a(void *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, m, k, row_stride, col_stride};
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    for (ptrdiff_t i = 0; i < m; i += TILE_ROWS) {
        uint16_t *d = (uint16_t *)dst + i * kp;
        for (ptrdiff_t p = 0; p < kp; p += SM_K_GROUP, d += TILE_ROWS * SM_K_GROUP) {
            __m512 v[16];
            load_tile_of_a(v, &s, i, p);
            for (ptrdiff_t r = 0; r < TILE_ROWS; r++)
                viput(d + r * SM_K_GROUP, vbits(v[r]));
        }
    }
}

/* One block of C and the operands of one block of k: `a` and `b` at that block, a_next
 * from one panel of A to the next.  ahead: what to fetch, n_ahead lines a group of k, of
 * the next panel of B. */
typedef struct block {
    float *c;
    ptrdiff_t ldc, rows, cols, groups, a_next;
    const uint16_t *a, *b, *ahead;
    ptrdiff_t n_ahead;
    bool from_zero, is_last;
} block;

enum { GROUP_OF_A = TILE_ROWS * SM_K_GROUP, GROUP_OF_B = BLOCK * SM_K_GROUP };
enum { LINE = 32 /* bf16 */, LARGE_B = 1 << 19 /* elements: half of an L2 */ };
enum { ROWS_FETCHED = 8 /* of C, a group of k */ };
enum { A_BYTES = 64, B_BYTES = 128 }; /* from row to row */

static void read_c(float *scratch, const block *x)
{
    ptrdiff_t left = sm_min_index(x->cols, 16), right = x->cols - left;
    for (ptrdiff_t r = 0; r < BLOCK; r++) {
        const float *c = x->c + (r < x->rows ? r : 0) * x->ldc;
        put(scratch + r * BLOCK, get(c, left), W);
        put(scratch + r * BLOCK + 16, right > 0 ? get(c + 16, right) : vzero(), W);
    }
}

static void write_c(const block *x, const float *scratch)
{
    ptrdiff_t left = sm_min_index(x->cols, 16), right = x->cols - left;
    for (ptrdiff_t r = 0; r < x->rows; r++) {
        float *c = x->c + r * x->ldc;
        put(c, get(scratch + r * BLOCK, W), left);
        if (right > 0)
            put(c + 16, get(scratch + r * BLOCK + 16, W), right);
    }
}

/* Up to 16 rows: one tile of A against two of B.  c: the result, or the scratch block. */
static void run_single(const block *x, float *c, ptrdiff_t ldc)
{
    const uint16_t *a = x->a, *b = x->b;
    ptrdiff_t bytes = ldc * (ptrdiff_t)sizeof *c;
    if (x->from_zero) {
        tile_zero(0);
        tile_zero(1);
    } else {
        tile_load(0, c, bytes);
        tile_load(1, c + 16, bytes);
    }
    for (ptrdiff_t g = 0; g < x->groups; g++, a += GROUP_OF_A, b += GROUP_OF_B) {
        tile_load(4, a, A_BYTES);
        tile_load(6, b, B_BYTES);
        tile_load(7, b + 32, B_BYTES);
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 7);
    }
    if (x->is_last) {
        tile_zero(4);
        tile_zero(6);
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 6);
    }
    tile_store(0, c, bytes);
    tile_store(1, c + 16, bytes);
}

/* Assembly, since gcc 12 takes a function that only fetches for one without effects and
 * drops the call. */
static inline void fetch(const block *x, const float *c, ptrdiff_t ldc, ptrdiff_t g)
{
    const uint16_t *b = x->ahead + g * GROUP_OF_B;
    for (ptrdiff_t l = 0; l < x->n_ahead; l++, b += LINE)
        __asm__ volatile("prefetcht1 %0" ::"m"(*b));
    for (ptrdiff_t r = g * ROWS_FETCHED; r < BLOCK && r < (g + 1) * ROWS_FETCHED; r++)
        __asm__ volatile("prefetchw %0\n\tprefetchw 64%0" ::"m"(c[r * ldc]));
}

static void run_double(const block *x, float *c, ptrdiff_t ldc)
{
    const uint16_t *a = x->a, *b = x->b;
    ptrdiff_t bytes = ldc * (ptrdiff_t)sizeof *c;
    float *below = c + TILE_ROWS * ldc;
    if (x->from_zero) {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    } else {
        tile_load(0, c, bytes);
        tile_load(1, c + 16, bytes);
        tile_load(2, below, bytes);
        tile_load(3, below + 16, bytes);
    }
    for (ptrdiff_t g = 0; g < x->groups; g++, a += GROUP_OF_A, b += GROUP_OF_B) {
        tile_load(6, b, B_BYTES);
        tile_load(4, a, A_BYTES);
        tile_dot(0, 4, 6);
        tile_load(7, b + 32, B_BYTES);
        tile_dot(1, 4, 7);
        tile_load(5, a + x->a_next, A_BYTES);
        tile_dot(2, 5, 6);
        tile_dot(3, 5, 7);
        fetch(x, c, ldc, g);
    }
    if (x->is_last) {
        tile_zero(4);
        tile_zero(6);
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 6);
        tile_dot(2, 4, 6);
        tile_dot(3, 4, 6);
    }
    tile_store(0, c, bytes);
    tile_store(1, c + 16, bytes);
    tile_store(2, below, bytes);
    tile_store(3, below + 16, bytes);
}

static void run_edge(const block *x)
{
    _Alignas(64) float scratch[BLOCK * BLOCK];
    if (!x->from_zero)
        read_c(scratch, x);
    if (x->rows > TILE_ROWS)
        run_double(x, scratch, BLOCK);
    else
        run_single(x, scratch, BLOCK);
    write_c(x, scratch);
}

/* The tiles have tile_rows rows: all of a short C. */
static void run_block(const block *x, ptrdiff_t tile_rows)
{
    if (x->cols == BLOCK && x->rows == BLOCK)
        run_double(x, x->c, x->ldc);
    else if (x->cols == BLOCK && x->rows == tile_rows)
        run_single(x, x->c, x->ldc);
    else
        run_edge(x);
}

/* Fewer rows cost less time and change no bit, so a small m gets tiles of its size. */
static void configure(ptrdiff_t tile_rows)
{
    tile_config config = {.palette = 1};
    uint8_t rows = (uint8_t)tile_rows;
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = 64;
        config.rows[t] = t < 6 ? rows : TILE_ROWS;
    }
    tile_configure(&config);
}

/* What a product is made of, and where it stands: a panel of B against rows top.. of A, k
 * from p on. */
typedef struct product {
    float *c;
    const uint16_t *pa, *pb;
    ptrdiff_t ldc, n, kp, top, bottom, j, p, length, tile_rows;
    bool accumulate;
} product;

static void run_panel(const product *q)
{
    ptrdiff_t blocks = sm_round_up(q->bottom - q->top, BLOCK) / BLOCK;
    bool has_next = q->j + BLOCK < q->n && q->n * q->kp > LARGE_B;
    ptrdiff_t lines = has_next ? (GROUP_OF_B / LINE + blocks - 1) / blocks : 0;
    const uint16_t *b = q->pb + q->j * q->kp + q->p * BLOCK;
    for (ptrdiff_t i = q->top, at = 0; i < q->bottom; i += BLOCK, at += lines) {
        block x = {.c = q->c + i * q->ldc + q->j,
                   .ldc = q->ldc,
                   .rows = sm_min_index(BLOCK, q->bottom - i),
                   .cols = sm_min_index(BLOCK, q->n - q->j),
                   .groups = q->length / SM_K_GROUP,
                   .a_next = q->kp * TILE_ROWS,
                   .a = q->pa + i * q->kp + q->p * TILE_ROWS,
                   .b = b,
                   .ahead = has_next ? b + BLOCK * q->kp + at * LINE : b,
                   .n_ahead = lines,
                   .from_zero = q->p == 0 && !q->accumulate,
                   .is_last = q->p + q->length >= q->kp};
        run_block(&x, q->tile_rows);
    }
}

static void gemm(float *c, ptrdiff_t ldc, const void *pa, const void *pb, ptrdiff_t m,
                 ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    if (m <= 0 || n <= 0)
        return;
    product q = {.c = c,
                 .pa = pa,
                 .pb = pb,
                 .ldc = ldc,
                 .n = n,
                 .kp = sm_round_up(k, SM_K_GROUP),
                 .tile_rows = sm_min_index(m, TILE_ROWS),
                 .accumulate = accumulate};
    configure(q.tile_rows);
    for (q.top = 0; q.top < m; q.top += ROW_BLOCK) {
        q.bottom = sm_min_index(q.top + ROW_BLOCK, m);
        q.p = 0;
        do {
            q.length = sm_min_index(K_BLOCK, q.kp - q.p);
            for (q.j = 0; q.j < n; q.j += BLOCK)
                run_panel(&q);
            q.p += q.length;
        } while (q.p < q.kp);
    }
    tile_release();
}

/* B is packed by the rung below. */
void sm_kern_set_amx(sm_kern *t)
{
    t->bf16.mr = TILE_ROWS;
    t->bf16.bytes_a = bytes_a;
    t->bf16.offset_a = bytes_a;
    t->bf16.pack_a = pack_a;
    t->bf16.gemm = gemm;
}
