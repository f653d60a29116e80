/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products over packed panels (Goto and van de Geijn 2008): C in tiles of MR rows
 * by NR = 2W columns, k in blocks whose panel of B stays in L1, rows in blocks whose
 * panels of A stay in L2.  A stretch of blocks of k is done for a panel of B before the
 * next, so that a tile of C is met again while it is in L1 (block by block over all columns
 * costs a tenth where n is some thousands); it ends where A would leave L2.
 *
 *   bf16  A: [kp][W/2] floats;  B: [kp/2][NR] pairs (even k in the low half), kp = k
 *         rounded up to 32.  A block of B is unpacked to floats once for many rows; few
 *         rows unpack in their inner loop instead.
 *   f32   A: [k][W] floats;  B: [k][NR] floats.
 *
 * While a tile is computed, its part of the next block of B comes into L2 and the next tile of
 * C into L1: what is met for the first time, and would be waited for otherwise.
 *
 * A panel of A is a little wider than its rows, so that packing writes whole aligned
 * vectors; the last one or two lanes are zero and never read.
 *
 * Accumulators have names, one per row and vector: compilers spill arrays of them.
 * Includer defines MR_BF16 and MR_F32 (<= 7 and <= 14).
 */
enum { NR = 2 * W, K_BLOCK = 256, K_STRETCH = 1536, ROW_BLOCK = 126, ROWS_AT_ONCE = 168 };
enum { STEP_BF16 = W / 2, STEP_F32 = W }; /* floats of A from one k to the next */

_Static_assert(ROWS_AT_ONCE % MR_BF16 == 0 && ROWS_AT_ONCE % MR_F32 == 0, "panels");
_Static_assert(ROW_BLOCK % MR_BF16 == 0 && ROW_BLOCK % MR_F32 == 0, "whole panels");
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
#define JOIN(r)                                                                   \
    put(tile + r * NR, vadd(get(tile + r * NR, W), vadd(e##r##_0, o##r##_0)), W); \
    put(tile + r * NR + W, vadd(get(tile + r * NR + W, W), vadd(e##r##_1, o##r##_1)), W);

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
    _Alignas(64) float tile[MR_F32 * NR];
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

/* The operands of one product; a and b of the first row and column. */
typedef struct operands {
    float *c;
    ptrdiff_t ldc;
    const void *a, *b;
    ptrdiff_t rows, n, k;
    bool accumulate;
} operands;

/* A block of rows, k from p to end (kp: k rounded up to whole groups). */
static void stretch_bf16(const operands *o, ptrdiff_t p, ptrdiff_t end, bool unpack)
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
            run_strip(&(strip){
                o->c + j, o->ldc, o->rows, o->n - j, MR_BF16, kp * STEP_BF16, used,
                used * NR * 2, sm_round_up(used, SM_K_GROUP) / SM_K_GROUP * FETCHES,
                (const float *)o->a + p * STEP_BF16, unpack ? (const void *)unpacked : b,
                b + block / 2 * NR, p == 0 && !o->accumulate,
                unpack ? even_odd : even_odd_pairs});
            p += block;
        } while (p < end);
    }
}

static void gemm_bf16(float *c, ptrdiff_t ldc, const void *pa, const void *pb,
                      ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    for (ptrdiff_t i = 0; i < m; i += row_block(m)) {
        operands o = {c + i * ldc,
                      ldc,
                      (const float *)pa + i / MR_BF16 * STEP_BF16 * kp,
                      pb,
                      sm_min_index(row_block(m), m - i),
                      n,
                      k,
                      accumulate};
        ptrdiff_t p = 0;
        do {
            ptrdiff_t end = sm_min_index(p + K_STRETCH, kp);
            stretch_bf16(&o, p, end, m >= 3 * MR_BF16);
            p = end;
        } while (p < kp);
    }
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
                               (const float *)o->a + p * STEP_F32,
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
    for (ptrdiff_t i = 0; i < m; i += row_block(m)) {
        operands o = {c + i * ldc,
                      ldc,
                      (const float *)pa + i / MR_F32 * panel_f32(k),
                      pb,
                      sm_min_index(row_block(m), m - i),
                      n,
                      k,
                      accumulate};
        ptrdiff_t p = 0;
        do {
            ptrdiff_t end = sm_min_index(p + K_STRETCH, k);
            stretch_f32(&o, p, end);
            p = end;
        } while (p < k);
    }
}
