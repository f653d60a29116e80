/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16 products by VDPBF16PS, for processors that do one as fast as an FMA (AMD's since
 * Zen 4; Intel's take four times as long).  A lane of it is two fused multiply-adds one
 * after the other, each rounded, denormals zero on both sides: first the high halves, then
 * the low ones.  So a lane that holds k above k+2 adds two links to the chain of even k,
 * one that holds k+1 above k+3 to that of odd k, and the result is bf16/1 to the bit.
 *
 *   A  panels of 7 rows: [kp/4][2][8] lanes, the eighth zero; kp = k rounded up to 32
 *   B  panels of 32 rows: [kp/4][2][32] lanes; of the two, the first are of even k
 *
 * Both are as long as the elements they hold (A: 8/7 of it), half of what FMA reads of A.
 */
#include "x86/avx512/pairs.h"
#include "x86/products.h"

enum { MR = 7, STEP = 4 /* lanes of a panel of A a k */, QUAD = 4 };
#define MR_MAX 7
#include "x86/simd/strip.inc.c"

/* ------------------------------------------------------------------- packing */

static size_t bytes_a(ptrdiff_t m, ptrdiff_t k)
{
    ptrdiff_t panels = (m + MR - 1) / MR;
    return (size_t)(panels * STEP * sm_round_up(k, SM_K_GROUP)) * sizeof(int32_t);
}

static size_t bytes_b(ptrdiff_t n, ptrdiff_t k)
{
    return (size_t)(sm_round_up(n, NR) * sm_round_up(k, SM_K_GROUP)) * sizeof(uint16_t);
}

/* 32 elements of a row as lanes: k+2 below k, k+3 below k+1, and so on. */
static inline vf chains_of_row(const matrix *s, ptrdiff_t index, ptrdiff_t count)
{
    const vi order = _mm512_broadcast_i32x4(
        _mm_setr_epi8(4, 5, 0, 1, 6, 7, 2, 3, 12, 13, 8, 9, 14, 15, 10, 11));
    return vfloat(_mm512_shuffle_epi8(pairs_of_row(s, index, count), order));
}

/* Column k, at index i, above column k+2 of `count` rows. */
static inline vi chains_of_columns(const matrix *s, ptrdiff_t i, ptrdiff_t k,
                                   ptrdiff_t count)
{
    ptrdiff_t at = i + k * s->col_stride;
    return lanes_of(s, at + 2 * s->col_stride, k + 2 < s->k ? count : 0, at,
                    k < s->k ? count : 0);
}

/* 14 rows from row i, 32 k from p: lanes 0..6 and 8..14 are the rows of two panels. */
static inline void load_two_panels(vf v[16], const matrix *s, ptrdiff_t i, ptrdiff_t p)
{
    for (ptrdiff_t lane = 0; lane < 16; lane++) {
        ptrdiff_t r = lane % 8, row = i + lane / 8 * MR + r;
        v[lane] = r < MR && row < s->rows
                      ? chains_of_row(s, row * s->row_stride + p, s->k - p)
                      : vzero();
    }
    transpose(v);
}

static inline void load_two_panels_of_columns(vf v[16], const matrix *s, ptrdiff_t i,
                                              ptrdiff_t p)
{
    ptrdiff_t rows = sm_min_index(2 * MR, s->rows - i);
    for (ptrdiff_t q = 0; q < 16; q++)
        v[q] = vfloat(
            spread_panels(chains_of_columns(s, i, p + q / 2 * QUAD + q % 2, rows)));
}

static void pack_a(void *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, m, k, row_stride, col_stride};
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP), panel = kp * STEP;
    for (ptrdiff_t i = 0; i < m; i += 2 * MR) {
        float *d = (float *)dst + i / MR * panel;
        for (ptrdiff_t p = 0; p < kp; p += SM_K_GROUP) {
            vf v[16];
            if (col_stride == 1)
                load_two_panels(v, &s, i, p);
            else
                load_two_panels_of_columns(v, &s, i, p);
            for (ptrdiff_t q = 0; q < 16; q++)
                put_half(d + p * STEP + q * 8, v[q], 0);
            for (ptrdiff_t q = 0; q < 16 && i + MR < m; q++)
                put_half(d + panel + p * STEP + q * 8, v[q], 1);
        }
    }
}

/* 16 rows from row j, 32 k from p. */
static inline void pack_part_of_b(int32_t *dst, const matrix *s, ptrdiff_t j, ptrdiff_t p)
{
    vf v[16];
    if (s->col_stride == 1) {
        for (ptrdiff_t r = 0; r < W; r++)
            v[r] = j + r < s->rows
                       ? chains_of_row(s, (j + r) * s->row_stride + p, s->k - p)
                       : vzero();
        transpose(v);
    } else {
        ptrdiff_t rows = sm_min_index(W, s->rows - j);
        for (ptrdiff_t q = 0; q < 16; q++)
            v[q] = vfloat(chains_of_columns(s, j, p + q / 2 * QUAD + q % 2, rows));
    }
    int32_t *d = dst + (j / NR * sm_round_up(s->k, SM_K_GROUP) + p) * NR / 2 + j % NR;
    for (ptrdiff_t q = 0; q < 16; q++)
        viput(d + q * NR, vbits(v[q]));
}

/* Along what is contiguous: rows one strip after the other, columns across all strips. */
static void pack_b(void *dst, const void *src, sm_dtype type, ptrdiff_t n, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, n, k, row_stride, col_stride};
    ptrdiff_t np = sm_round_up(n, NR), kp = sm_round_up(k, SM_K_GROUP);
    if (col_stride == 1)
        for (ptrdiff_t j = 0; j < np; j += W)
            for (ptrdiff_t p = 0; p < kp; p += SM_K_GROUP)
                pack_part_of_b(dst, &s, j, p);
    else
        for (ptrdiff_t p = 0; p < kp; p += SM_K_GROUP)
            for (ptrdiff_t j = 0; j < np; j += W)
                pack_part_of_b(dst, &s, j, p);
}

/* ------------------------------------------------------------------ products */

#define DOT(x, b, acc) _mm512_dpbf16_ps(acc, (__m512bh)vbits(x), (__m512bh)vbits(b))
#define START(r) \
    vf e##r##_0 = vzero(), e##r##_1 = e##r##_0, o##r##_0 = e##r##_0, o##r##_1 = e##r##_0;
#define EVEN(r)                      \
    x = vset(a[r]);                  \
    e##r##_0 = DOT(x, b0, e##r##_0); \
    e##r##_1 = DOT(x, b1, e##r##_1);
#define ODD(r)                       \
    x = vset(a[8 + r]);              \
    o##r##_0 = DOT(x, b0, o##r##_0); \
    o##r##_1 = DOT(x, b1, o##r##_1);

/* Zeros behind k are left out, whole quads of them: see gemm.inc.c. */
#define DEFINE_CHAINS(rows)                                                             \
    static void chains_##rows(float *tile, const float *a, const void *pb, ptrdiff_t k, \
                              fetch next)                                               \
    {                                                                                   \
        const float *b = pb;                                                            \
        for (; k > 0; k -= SM_K_GROUP) {                                                \
            vf x, b0, b1;                                                               \
            ROWS_##rows(START) for (int i = 0; i < FETCHES; i++) fetch_next(&next);     \
            ptrdiff_t group = sm_min_index(k, SM_K_GROUP);                              \
            for (ptrdiff_t p = 0; p < group; p += QUAD, a += 16, b += 2 * NR) {         \
                b0 = get(b, W);                                                         \
                b1 = get(b + W, W);                                                     \
                ROWS_##rows(EVEN) b0 = get(b + NR, W);                                  \
                b1 = get(b + NR + W, W);                                                \
                ROWS_##rows(ODD)                                                        \
            }                                                                           \
            TILE_STAYS_IN_MEMORY();                                                     \
            ROWS_##rows(JOIN)                                                           \
        }                                                                               \
    }

DEFINE_CHAINS(1)
DEFINE_CHAINS(2)
DEFINE_CHAINS(3)
DEFINE_CHAINS(4)
DEFINE_CHAINS(5)
DEFINE_CHAINS(6)
DEFINE_CHAINS(7)
static micro_kernel *const chains[MR] = {chains_1, chains_2, chains_3, chains_4,
                                         chains_5, chains_6, chains_7};

static void stretch_dot(const operands *o, ptrdiff_t p, ptrdiff_t end)
{
    ptrdiff_t kp = sm_round_up(o->k, SM_K_GROUP), first = p;
    for (ptrdiff_t j = 0; j < o->n; j += NR) {
        p = first;
        do {
            ptrdiff_t block = sm_min_index(K_BLOCK, end - p);
            const float *b = (const float *)o->b + (j * kp + p * NR) / 2;
            ptrdiff_t used = sm_min_index(block, sm_round_up(o->k - p, QUAD));
            run_strip(&(strip){
                o->c + j, o->ldc, o->rows, o->n - j, MR, kp * STEP, used, used * NR * 2,
                sm_round_up(used, SM_K_GROUP) / SM_K_GROUP * FETCHES, o->a + p * STEP, b,
                b + block / 2 * NR, p == 0 && !o->accumulate, chains});
            p += block;
        } while (p < end);
    }
}

static void gemm(float *c, ptrdiff_t ldc, const void *pa, const void *pb, ptrdiff_t m,
                 ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    operands o = {c, ldc, pa, pb, m, n, k, accumulate};
    each_stretch(&o, MR, kp * STEP, kp, stretch_dot);
}

void sm_kern_set_avx512bf16(sm_kern *t)
{
    t->bf16 = (sm_prod){"bf16/1", MR,      NR,     bytes_a, bytes_b,
                        bytes_a,  bytes_b, pack_a, pack_b,  gemm};
}

/* ------------------------------------------------------------------ its speed */

enum { LOOPS = 64, ROUNDS = 200 };

#define LINK(op, i) op " %%zmm8,%%zmm8,%%zmm" #i "\n\t"

/* Lowers `least` to the cycles of LOOPS times eight independent instructions. */
#define TIME(least, op)                                                                  \
    do {                                                                                 \
        uint64_t start = __rdtsc();                                                      \
        for (int i = 0; i < LOOPS; i++)                                                  \
            __asm__ volatile(LINK(op, 0) LINK(op, 1) LINK(op, 2) LINK(op, 3) LINK(op, 4) \
                                 LINK(op, 5) LINK(op, 6) LINK(op, 7)::                   \
                                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",   \
                                       "xmm6", "xmm7");                                  \
        uint64_t cycles = __rdtsc() - start;                                             \
        least = cycles < least ? cycles : least;                                         \
    } while (0)

/* By turns, so that what else the machine does meets both. */
bool sm_kern_dot_pays(void)
{
    uint64_t dot = UINT64_MAX, fma = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        TIME(dot, "vdpbf16ps");
        TIME(fma, "vfmadd231ps");
    }
    return 2 * dot < 3 * fma;
}
