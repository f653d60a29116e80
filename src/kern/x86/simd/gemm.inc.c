/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products over packed panels, by FMA.
 *
 *   bf16  A: [kp][W/2] floats;  B: [kp/2][NR] pairs (even k in the low half), kp = k
 *         rounded up to 32.  A block of B is unpacked to floats once for many rows; few
 *         rows unpack in their inner loop instead.
 *   f32   A: [k][W] floats;  B: [k][NR] floats.
 *
 * A panel of A is a little wider than its rows, so that packing writes whole aligned
 * vectors; the last one or two lanes are zero and never read.
 * Includer defines MR_BF16 and MR_F32 (<= 7 and <= 14).
 */
#define MR_MAX MR_F32
#include "x86/simd/strip.inc.c"

enum { STEP_BF16 = W / 2, STEP_F32 = W }; /* floats of A from one k to the next */

_Static_assert(ROWS_AT_ONCE % MR_BF16 == 0 && ROW_BLOCK % MR_BF16 == 0, "whole panels");

/* The first step of a chain is a product: fma(a, b, +0) differs from it in the sign of a
 * zero alone, which the +0.0 of store_tile hides. */
#define FIRST_EVEN(r) \
    x = vset(a[r]);   \
    vf e##r##_0 = vmul(x, b0), e##r##_1 = vmul(x, b1);
#define FIRST_ODD(r)            \
    x = vset(a[STEP_BF16 + r]); \
    vf o##r##_0 = vmul(x, b0), o##r##_1 = vmul(x, b1);
#define EVEN(r)                       \
    x = vset(a[r]);                   \
    e##r##_0 = vfma(x, b0, e##r##_0); \
    e##r##_1 = vfma(x, b1, e##r##_1);
#define ODD(r)                        \
    x = vset(a[STEP_BF16 + r]);       \
    o##r##_0 = vfma(x, b0, o##r##_0); \
    o##r##_1 = vfma(x, b1, o##r##_1);
/* bf16 with B unpacked to floats. */
#define DEFINE_EVEN_ODD(rows)                                                           \
    static void even_odd_##rows(float *tile, const float *a, const void *pb,            \
                                ptrdiff_t k, fetch next)                                \
    {                                                                                   \
        const float *b = pb;                                                            \
        for (; k > 0; k -= SM_K_GROUP) {                                                \
            ptrdiff_t group = sm_min_index(k, SM_K_GROUP);                              \
            vf x, b0 = get(b, W), b1 = get(b + W, W);                                   \
            for (int i = 0; i < FETCHES; i++)                                           \
                fetch_next(&next);                                                      \
            ROWS_##rows(FIRST_EVEN) b0 = get(b + NR, W);                                \
            b1 = get(b + NR + W, W);                                                    \
            ROWS_##rows(FIRST_ODD) a += 2 * STEP_BF16;                                  \
            b += 2 * NR;                                                                \
            for (ptrdiff_t p = 2; p < group; p += 2, a += 2 * STEP_BF16, b += 2 * NR) { \
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

/* bf16 with B in pairs. */
#define DEFINE_EVEN_ODD_PAIRS(rows)                                                 \
    static void even_odd_pairs_##rows(float *tile, const float *a, const void *pb,  \
                                      ptrdiff_t k, fetch next)                      \
    {                                                                               \
        (void)next; /* few rows: B comes as it is needed */                         \
        const int32_t *b = pb;                                                      \
        const vi high = viset(-0x10000);                                            \
        for (; k > 0; k -= SM_K_GROUP) {                                            \
            ptrdiff_t group = sm_min_index(k, SM_K_GROUP);                          \
            vf x, b0 = vfloat(vishl(viload(b), 16));                                \
            vf b1 = vfloat(vishl(viload(b + W), 16));                               \
            ROWS_##rows(FIRST_EVEN) b0 = vfloat(viand(viload(b), high));            \
            b1 = vfloat(viand(viload(b + W), high));                                \
            ROWS_##rows(FIRST_ODD) a += 2 * STEP_BF16;                              \
            b += NR;                                                                \
            for (ptrdiff_t p = 2; p < group; p += 2, a += 2 * STEP_BF16, b += NR) { \
                b0 = vfloat(vishl(viload(b), 16));                                  \
                b1 = vfloat(vishl(viload(b + W), 16));                              \
                ROWS_##rows(EVEN) b0 = vfloat(viand(viload(b), high));              \
                b1 = vfloat(viand(viload(b + W), high));                            \
                ROWS_##rows(ODD)                                                    \
            }                                                                       \
            TILE_STAYS_IN_MEMORY();                                                 \
            ROWS_##rows(JOIN)                                                       \
        }                                                                           \
    }

#define LOAD(r) vf c##r##_0 = get(tile + r * NR, W), c##r##_1 = get(tile + r * NR + W, W);
#define CHAIN(r)                      \
    x = vset(a[r]);                   \
    c##r##_0 = vfma(x, b0, c##r##_0); \
    c##r##_1 = vfma(x, b1, c##r##_1);
#define STORE(r)                     \
    put(tile + r * NR, c##r##_0, W); \
    put(tile + r * NR + W, c##r##_1, W);

#define DEFINE_CHAIN(rows)                                                             \
    static void chain_##rows(float *tile, const float *a, const void *pb, ptrdiff_t k, \
                             fetch next)                                               \
    {                                                                                  \
        const float *b = pb;                                                           \
        ROWS_##rows(LOAD) vf x;                                                        \
        for (; k > 0; k--, a += STEP_F32, b += NR) {                                   \
            vf b0 = get(b, W), b1 = get(b + W, W);                                     \
            fetch_next(&next);                                                         \
            ROWS_##rows(CHAIN)                                                         \
        }                                                                              \
        ROWS_##rows(STORE)                                                             \
    }

DEFINE_EVEN_ODD(1)
DEFINE_EVEN_ODD(2)
DEFINE_EVEN_ODD(3)
DEFINE_EVEN_ODD_PAIRS(1)
DEFINE_EVEN_ODD_PAIRS(2)
DEFINE_EVEN_ODD_PAIRS(3)
DEFINE_CHAIN(1)
DEFINE_CHAIN(2)
DEFINE_CHAIN(3)
DEFINE_CHAIN(4)
DEFINE_CHAIN(5)
DEFINE_CHAIN(6)
#if MR_BF16 == 7 && MR_F32 == 14
DEFINE_EVEN_ODD(4)
DEFINE_EVEN_ODD(5)
DEFINE_EVEN_ODD(6)
DEFINE_EVEN_ODD(7)
DEFINE_EVEN_ODD_PAIRS(4)
DEFINE_EVEN_ODD_PAIRS(5)
DEFINE_EVEN_ODD_PAIRS(6)
DEFINE_EVEN_ODD_PAIRS(7)
DEFINE_CHAIN(7)
DEFINE_CHAIN(8)
DEFINE_CHAIN(9)
DEFINE_CHAIN(10)
DEFINE_CHAIN(11)
DEFINE_CHAIN(12)
DEFINE_CHAIN(13)
DEFINE_CHAIN(14)
static micro_kernel *const even_odd[MR_BF16] = {
    even_odd_1, even_odd_2, even_odd_3, even_odd_4, even_odd_5, even_odd_6, even_odd_7};
static micro_kernel *const even_odd_pairs[MR_BF16] = {
    even_odd_pairs_1, even_odd_pairs_2, even_odd_pairs_3, even_odd_pairs_4,
    even_odd_pairs_5, even_odd_pairs_6, even_odd_pairs_7};
static micro_kernel *const chain[MR_F32] = {
    chain_1, chain_2, chain_3,  chain_4,  chain_5,  chain_6,  chain_7,
    chain_8, chain_9, chain_10, chain_11, chain_12, chain_13, chain_14};
#else
static micro_kernel *const even_odd[MR_BF16] = {even_odd_1, even_odd_2, even_odd_3};
static micro_kernel *const even_odd_pairs[MR_BF16] = {even_odd_pairs_1, even_odd_pairs_2,
                                                      even_odd_pairs_3};
static micro_kernel *const chain[MR_F32] = {chain_1, chain_2, chain_3,
                                            chain_4, chain_5, chain_6};
#endif

/* A block of pairs [pairs][NR] to floats [2*pairs][NR]. */
static void unpack_pairs(float *dst, const int32_t *src, ptrdiff_t pairs)
{
    vi high = viset(-0x10000);
    for (; pairs > 0; pairs--, src += NR, dst += 2 * NR) {
        vi left = viload(src), right = viload(src + W);
        put(dst, vfloat(vishl(left, 16)), W);
        put(dst + W, vfloat(vishl(right, 16)), W);
        put(dst + NR, vfloat(viand(left, high)), W);
        put(dst + NR + W, vfloat(viand(right, high)), W);
    }
}

/* B unpacked or in pairs. */
static inline void stretch_bf16(const operands *o, ptrdiff_t p, ptrdiff_t end,
                                bool unpack)
{
    _Alignas(64) float unpacked[K_BLOCK * NR];
    ptrdiff_t kp = sm_round_up(o->k, SM_K_GROUP), first = p;
    for (ptrdiff_t j = 0; j < o->n; j += NR) {
        p = first;
        do {
            ptrdiff_t block = sm_min_index(K_BLOCK, end - p);
            const int32_t *b = (const int32_t *)o->b + (j * kp + p * NR) / 2;
            ptrdiff_t used = sm_min_index(block, sm_round_up(o->k - p, 2));
            if (unpack)
                unpack_pairs(unpacked, b, used / 2);
            run_strip(&(strip){o->c + j, o->ldc, o->rows, o->n - j, MR_BF16,
                               kp * STEP_BF16, used, used * NR * 2,
                               sm_round_up(used, SM_K_GROUP) / SM_K_GROUP * FETCHES,
                               o->a + p * STEP_BF16, unpack ? (const void *)unpacked : b,
                               b + block / 2 * NR, p == 0 && !o->accumulate,
                               unpack ? even_odd : even_odd_pairs});
            p += block;
        } while (p < end);
    }
}

static void stretch_many_bf16(const operands *o, ptrdiff_t p, ptrdiff_t end)
{
    stretch_bf16(o, p, end, true);
}

static void stretch_few_bf16(const operands *o, ptrdiff_t p, ptrdiff_t end)
{
    stretch_bf16(o, p, end, false);
}

static void gemm_bf16(float *c, ptrdiff_t ldc, const void *pa, const void *pb,
                      ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    operands o = {c, ldc, pa, pb, m, n, k, accumulate};
    each_stretch(&o, MR_BF16, kp * STEP_BF16, kp,
                 m >= 3 * MR_BF16 ? stretch_many_bf16 : stretch_few_bf16);
}

/* Floats of one f32 panel, a whole number of cache lines. */
static ptrdiff_t panel_f32(ptrdiff_t k)
{
    return sm_round_up(k * STEP_F32, 16);
}

static void stretch_f32(const operands *o, ptrdiff_t p, ptrdiff_t end)
{
    ptrdiff_t first = p;
    for (ptrdiff_t j = 0; j < o->n; j += NR) {
        p = first;
        do {
            ptrdiff_t block = sm_min_index(K_BLOCK, end - p);
            run_strip(&(strip){o->c + j, o->ldc, o->rows, o->n - j, MR_F32,
                               panel_f32(o->k), block, block * NR * 4, block,
                               o->a + p * STEP_F32,
                               (const float *)o->b + j * o->k + p * NR,
                               (const float *)o->b + j * o->k + (p + block) * NR,
                               p == 0 && !o->accumulate, chain});
            p += block;
        } while (p < end);
    }
}

static void gemm_f32(float *c, ptrdiff_t ldc, const void *pa, const void *pb, ptrdiff_t m,
                     ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    operands o = {c, ldc, pa, pb, m, n, k, accumulate};
    each_stretch(&o, MR_F32, panel_f32(k), k, stretch_f32);
}
