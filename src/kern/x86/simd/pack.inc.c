/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing into the panels of gemm.inc.c.  A source is read along the direction in which
 * it is contiguous, W elements at a time: rows through a transpose of W x W, columns
 * directly. Columns are taken K_TILE at a time across all panels, so that neither the
 * reads nor the writes touch too many pages at once.
 *
 * Needs the includer's pairs.h: transpose(vf[W]), pairs_of_row, pairs_of_columns,
 * put_half, spread_panels.
 */
#define BLOCK_ROWS MR_F32
enum { K_TILE = 64 };

_Static_assert(MR_F32 == 2 * MR_BF16 && BLOCK_ROWS <= (int)W,
               "one transpose, two panels");

/* The vectors of `count` rows from row i, k = p..p+W-1 in lanes; then transposed, so that
 * v[q] holds k = p+q of all rows. */
static inline void load_transposed(vf v[W], const matrix *s, ptrdiff_t i, ptrdiff_t count,
                                   ptrdiff_t p)
{
    ptrdiff_t width = sm_min_index(W, s->k - p);
    for (ptrdiff_t r = 0; r < W; r++)
        v[r] = r < count ? load_part(s, (i + r) * s->row_stride + p, width) : vzero();
    transpose(v);
}

/* ------------------------------------------------------------------------- A */

static size_t bytes_a_bf16(ptrdiff_t m, ptrdiff_t k)
{
    ptrdiff_t panels = (m + MR_BF16 - 1) / MR_BF16;
    return (size_t)(panels * STEP_BF16 * sm_round_up(k, SM_K_GROUP)) * sizeof(float);
}

static size_t bytes_a_f32(ptrdiff_t m, ptrdiff_t k)
{
    return (size_t)((m + MR_F32 - 1) / MR_F32 * panel_f32(k)) * sizeof(float);
}

/* The two panels that BLOCK_ROWS rows from row i fill; the second is NULL when there are
 * no rows for it. */
typedef struct two_panels {
    float *first, *second;
} two_panels;

static inline two_panels panels_at(float *dst, const matrix *s, ptrdiff_t i)
{
    ptrdiff_t size = sm_round_up(s->k, SM_K_GROUP) * STEP_BF16;
    float *d = dst + i / MR_BF16 * size;
    return (two_panels){d, i + MR_BF16 < s->rows ? d + size : NULL};
}

/* Two k of both panels, paired in lanes: one panel in each half. */
static inline void put_pairs(two_panels d, ptrdiff_t p, vi x)
{
    vf even = vfloat(vishl(x, 16)), odd = vfloat(viand(x, viset(-0x10000)));
    put_half(d.first + p * STEP_BF16, even, 0);
    put_half(d.first + (p + 1) * STEP_BF16, odd, 0);
    if (d.second) {
        put_half(d.second + p * STEP_BF16, even, 1);
        put_half(d.second + (p + 1) * STEP_BF16, odd, 1);
    }
}

static void pack_a_rows_bf16(float *dst, const matrix *s)
{
    ptrdiff_t kp = sm_round_up(s->k, SM_K_GROUP);
    for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
        two_panels d = panels_at(dst, s, i);
        for (ptrdiff_t p = 0; p < kp; p += 2 * W) {
            vf v[W];
            for (ptrdiff_t lane = 0; lane < W; lane++) {
                ptrdiff_t r = lane % STEP_BF16, row = i + lane / STEP_BF16 * MR_BF16 + r;
                v[lane] = r < MR_BF16 && row < s->rows
                              ? vfloat(pairs_of_row(s, row * s->row_stride + p, s->k - p))
                              : vzero();
            }
            transpose(v);
            for (ptrdiff_t q = 0; q < W; q++)
                put_pairs(d, p + 2 * q, vbits(v[q]));
        }
    }
}

static void pack_a_columns_bf16(float *dst, const matrix *s)
{
    ptrdiff_t kp = sm_round_up(s->k, SM_K_GROUP), stride = s->col_stride;
    for (ptrdiff_t start = 0; start < kp; start += K_TILE) {
        ptrdiff_t end = sm_min_index(start + K_TILE, kp);
        for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
            ptrdiff_t rows = sm_min_index(BLOCK_ROWS, s->rows - i);
            two_panels d = panels_at(dst, s, i);
            for (ptrdiff_t p = start; p < end; p += 2) {
                vi x = pairs_of_columns(s, i + p * stride, p < s->k ? rows : 0,
                                        p + 1 < s->k ? rows : 0);
                put_pairs(d, p, spread_panels(x));
            }
        }
    }
}

static void pack_a_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t m,
                        ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, m, k, row_stride, col_stride};
    if (col_stride == 1)
        pack_a_rows_bf16(dst, &s);
    else
        pack_a_columns_bf16(dst, &s);
}

static void pack_a_rows_f32(float *dst, const matrix *s)
{
    for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
        float *d = dst + i / MR_F32 * panel_f32(s->k);
        for (ptrdiff_t p = 0; p < s->k; p += W) {
            vf v[W];
            load_transposed(v, s, i, sm_min_index(BLOCK_ROWS, s->rows - i), p);
            ptrdiff_t width = sm_min_index(W, s->k - p);
            for (ptrdiff_t q = 0; q < width; q++)
                put(d + (p + q) * STEP_F32, v[q], W);
        }
    }
}

static void pack_a_columns_f32(float *dst, const matrix *s)
{
    for (ptrdiff_t start = 0; start < s->k; start += K_TILE) {
        ptrdiff_t end = sm_min_index(start + K_TILE, s->k), stride = s->col_stride;
        for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
            float *d = dst + i / MR_F32 * panel_f32(s->k);
            ptrdiff_t rows = sm_min_index(BLOCK_ROWS, s->rows - i);
            for (ptrdiff_t p = start; p < end; p++)
                put(d + p * STEP_F32, load_part(s, i + p * stride, rows), W);
        }
    }
}

static void pack_a_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t m,
                       ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, m, k, row_stride, col_stride};
    if (col_stride == 1)
        pack_a_rows_f32(dst, &s);
    else
        pack_a_columns_f32(dst, &s);
}

/* ------------------------------------------------------------------------- B */

static size_t bytes_b_bf16(ptrdiff_t n, ptrdiff_t k)
{
    return (size_t)(sm_round_up(n, NR) * sm_round_up(k, SM_K_GROUP)) * sizeof(uint16_t);
}

static size_t bytes_b_f32(ptrdiff_t n, ptrdiff_t k)
{
    return (size_t)(sm_round_up(n, NR) * k) * sizeof(float);
}

static void pack_b_rows_bf16(int32_t *dst, const matrix *s)
{
    ptrdiff_t kp = sm_round_up(s->k, SM_K_GROUP);
    for (ptrdiff_t j = 0; j < sm_round_up(s->rows, NR); j += W)
        for (ptrdiff_t p = 0; p < kp; p += 2 * W) {
            vf v[W];
            for (ptrdiff_t r = 0; r < W; r++)
                v[r] =
                    j + r < s->rows
                        ? vfloat(pairs_of_row(s, (j + r) * s->row_stride + p, s->k - p))
                        : vzero();
            transpose(v);
            int32_t *d = dst + (j / NR * kp + p) * NR / 2 + j % NR;
            for (ptrdiff_t q = 0; q < W; q++)
                viput(d + q * NR, vbits(v[q]));
        }
}

static void pack_b_columns_bf16(int32_t *dst, const matrix *s)
{
    ptrdiff_t kp = sm_round_up(s->k, SM_K_GROUP);
    for (ptrdiff_t start = 0; start < kp; start += K_TILE) {
        ptrdiff_t end = sm_min_index(start + K_TILE, kp);
        for (ptrdiff_t j = 0; j < sm_round_up(s->rows, NR); j += W) {
            ptrdiff_t count = sm_min_index(W, s->rows - j);
            for (ptrdiff_t p = start; p < end; p += 2)
                viput(dst + (j / NR * kp + p) * NR / 2 + j % NR,
                      pairs_of_columns(s, j + p * s->col_stride, p < s->k ? count : 0,
                                       p + 1 < s->k ? count : 0));
        }
    }
}

static void pack_b_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t n,
                        ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, n, k, row_stride, col_stride};
    if (col_stride == 1)
        pack_b_rows_bf16(dst, &s);
    else
        pack_b_columns_bf16(dst, &s);
}

static void pack_b_rows_f32(float *dst, const matrix *s)
{
    for (ptrdiff_t j = 0; j < sm_round_up(s->rows, NR); j += W) {
        float *d = dst + j / NR * NR * s->k + j % NR;
        for (ptrdiff_t p = 0; p < s->k; p += W) {
            vf v[W];
            load_transposed(v, s, j, sm_min_index(W, s->rows - j), p);
            ptrdiff_t width = sm_min_index(W, s->k - p);
            for (ptrdiff_t q = 0; q < width; q++)
                put(d + (p + q) * NR, v[q], W);
        }
    }
}

static void pack_b_columns_f32(float *dst, const matrix *s)
{
    for (ptrdiff_t start = 0; start < s->k; start += K_TILE) {
        ptrdiff_t end = sm_min_index(start + K_TILE, s->k);
        for (ptrdiff_t j = 0; j < s->rows; j += NR) {
            ptrdiff_t left = sm_min_index(W, s->rows - j), right = s->rows - j - left;
            right = sm_min_index(W, right);
            for (ptrdiff_t p = start; p < end; p++) {
                float *d = dst + j * s->k + p * NR;
                ptrdiff_t index = j + p * s->col_stride;
                put(d, load_part(s, index, left), W);
                put(d + W, load_part(s, index + W, right), W);
            }
        }
    }
}

static void pack_b_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t n,
                       ptrdiff_t k, ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    matrix s = {src, type, n, k, row_stride, col_stride};
    if (col_stride == 1)
        pack_b_rows_f32(dst, &s);
    else
        pack_b_columns_f32(dst, &s);
}

/* ------------------------------------------------------------- panel offsets */

static void set_products(sm_kern *t)
{
    t->bf16 =
        (sm_prod){"bf16/1",     MR_BF16,      NR,          bytes_a_bf16, bytes_b_bf16,
                  bytes_a_bf16, bytes_b_bf16, pack_a_bf16, pack_b_bf16,  gemm_bf16};
    t->f32 = (sm_prod){"f32/1",     MR_F32,      NR,         bytes_a_f32, bytes_b_f32,
                       bytes_a_f32, bytes_b_f32, pack_a_f32, pack_b_f32,  gemm_f32};
}
