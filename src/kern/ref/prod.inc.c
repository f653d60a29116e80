/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products, C[i,j] (+)= sum_p A[i,p] B[j,p].
 *
 * Packed A: rows of kp floats, kp = k rounded up to 32, zeros behind k (mr = 1).
 * Packed B: panels of 32 rows of B, element (j,p) at [p*32 + j], zeros behind n and k.
 * bf16 values are kept as the floats they are.
 */
enum { NR = 32 };

static size_t bytes_a(ptrdiff_t m, ptrdiff_t k)
{
    return (size_t)(m * sm_round_up(k, SM_K_GROUP)) * sizeof(float);
}

static size_t bytes_b(ptrdiff_t n, ptrdiff_t k)
{
    return bytes_a(sm_round_up(n, NR), k);
}

/* One element as a float, rounded to bf16 when the profile asks for it. */
static float element(const void *src, sm_dtype type, ptrdiff_t index, bool is_bf16)
{
    if (type == SM_BF16)
        return from_bf16(((const uint16_t *)src)[index]);
    float x = ((const float *)src)[index];
    return is_bf16 ? from_bf16(to_bf16(x)) : x;
}

static void pack_a(float *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride, bool is_bf16)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t p = 0; p < kp; p++)
            dst[i * kp + p] =
                p < k ? element(src, type, i * row_stride + p * col_stride, is_bf16)
                      : 0.0f;
}

static void pack_b(float *dst, const void *src, sm_dtype type, ptrdiff_t n, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride, bool is_bf16)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    for (ptrdiff_t j = 0; j < sm_round_up(n, NR); j++)
        for (ptrdiff_t p = 0; p < kp; p++)
            dst[(j / NR * kp + p) * NR + j % NR] =
                j < n && p < k
                    ? element(src, type, j * row_stride + p * col_stride, is_bf16)
                    : 0.0f;
}

static void pack_a_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t m,
                        ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_a(dst, src, type, m, k, row_stride, col_stride, true);
}

static void pack_b_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t n,
                        ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_b(dst, src, type, n, k, row_stride, col_stride, true);
}

static void pack_a_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t m,
                       ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_a(dst, src, type, m, k, row_stride, col_stride, false);
}

static void pack_b_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t n,
                       ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_b(dst, src, type, n, k, row_stride, col_stride, false);
}

static void load_c(float acc[NR], const float *c, ptrdiff_t n, bool accumulate)
{
    for (ptrdiff_t j = 0; j < NR; j++)
        acc[j] = accumulate && j < n ? c[j] : 0.0f;
}

static void store_c(float *c, const float acc[NR], ptrdiff_t n)
{
    for (ptrdiff_t j = 0; j < n; j++)
        c[j] = acc[j] + 0.0f;
}

/* One row of C against one panel, k in groups of 32: c += (chain of even p) + (odd p). */
static void row_bf16(float acc[NR], const float *a, const float *b, ptrdiff_t kp)
{
    for (ptrdiff_t group = 0; group < kp; group += SM_K_GROUP) {
        float te[NR] = {0}, to[NR] = {0};
        for (ptrdiff_t p = group; p < group + SM_K_GROUP; p += 2) {
            const float *be = b + p * NR, *bo = be + NR;
            for (int j = 0; j < NR; j++)
                te[j] = fma32(a[p], be[j], te[j]);
            for (int j = 0; j < NR; j++)
                to[j] = fma32(a[p + 1], bo[j], to[j]);
        }
        for (int j = 0; j < NR; j++)
            acc[j] = acc[j] + (te[j] + to[j]);
    }
}

#ifndef __FMA__
/* The same where every product is exact: then mul and add is the fma, ten times faster.
 */
static void row_bf16_exact(float acc[NR], const float *a, const float *b, ptrdiff_t kp)
{
    for (ptrdiff_t group = 0; group < kp; group += SM_K_GROUP) {
        float te[NR] = {0}, to[NR] = {0};
        for (ptrdiff_t p = group; p < group + SM_K_GROUP; p += 2) {
            const float *be = b + p * NR, *bo = be + NR;
            for (int j = 0; j < NR; j++)
                te[j] = te[j] + a[p] * be[j];
            for (int j = 0; j < NR; j++)
                to[j] = to[j] + a[p + 1] * bo[j];
        }
        for (int j = 0; j < NR; j++)
            acc[j] = acc[j] + (te[j] + to[j]);
    }
}

typedef struct exponents {
    uint32_t low, high; /* biased, of the normal and non-finite values seen */
} exponents;

static exponents exponents_of(const float *x, ptrdiff_t n)
{
    exponents e = {255, 0};
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t b = sm_bits(x[i]) >> 23 & 255u;
        e.high = b > e.high ? b : e.high;
        e.low = b != 0 && b < e.low ? b : e.low;
    }
    return e;
}

/* A product of two bf16 has 16 significant bits: exact unless it leaves
 * [2^-126, 2^128), which the exponents exclude. */
static bool products_are_exact(const float *a, const float *b, ptrdiff_t m, ptrdiff_t n,
                               ptrdiff_t kp)
{
    exponents ea = exponents_of(a, m * kp), eb = exponents_of(b, sm_round_up(n, NR) * kp);
    return ea.low + eb.low >= 128 && ea.high + eb.high <= 380 && ea.high < 255 &&
           eb.high < 255;
}
#endif

static void gemm_bf16(float *c, ptrdiff_t ldc, const void *pa, const void *pb,
                      ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    void (*row)(float *, const float *, const float *, ptrdiff_t) = row_bf16;
#ifndef __FMA__
    if (products_are_exact(pa, pb, m, n, kp))
        row = row_bf16_exact;
#endif
    for (ptrdiff_t j = 0; j < n; j += NR)
        for (ptrdiff_t i = 0; i < m; i++) {
            float acc[NR];
            load_c(acc, c + i * ldc + j, n - j, accumulate);
            row(acc, (const float *)pa + i * kp, (const float *)pb + j * kp, kp);
            store_c(c + i * ldc + j, acc, sm_min_index(NR, n - j));
        }
}

static void gemm_f32(float *c, ptrdiff_t ldc, const void *pa, const void *pb, ptrdiff_t m,
                     ptrdiff_t n, ptrdiff_t k, bool accumulate)
{
    ptrdiff_t kp = sm_round_up(k, SM_K_GROUP);
    for (ptrdiff_t j = 0; j < n; j += NR)
        for (ptrdiff_t i = 0; i < m; i++) {
            const float *a = (const float *)pa + i * kp, *b = (const float *)pb + j * kp;
            float acc[NR];
            load_c(acc, c + i * ldc + j, n - j, accumulate);
            for (ptrdiff_t p = 0; p < k; p++)
                for (int l = 0; l < NR; l++)
                    acc[l] = fma32(a[p], b[p * NR + l], acc[l]);
            store_c(c + i * ldc + j, acc, sm_min_index(NR, n - j));
        }
}
