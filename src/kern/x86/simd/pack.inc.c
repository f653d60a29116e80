/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing into the panels of gemm.inc.c.  A source is read along the direction in which it
 * is contiguous, W elements at a time: rows through a transpose of W x W, columns directly.
 * Columns are taken K_TILE at a time across all panels, so that neither the reads nor the
 * writes touch too many pages at once.
 *
 * Needs the includer's pairs.h: transpose(vf[W]), bf16_of(vf) (rounded, as float),
 * pairs_of_row, pairs_of_columns, put_rows_bf16, put_rows_f32.
 */
#define BLOCK_ROWS MR_F32
enum { K_TILE = 64 };

_Static_assert(MR_F32 == 2 * MR_BF16 && BLOCK_ROWS <= (int)W, "one transpose, two panels");

/* The vectors of `count` rows from row i, k = p..p+W-1 in lanes; then transposed, so that
 * v[q] holds k = p+q of all rows. */
static inline void load_transposed(vf v[W], const matrix *s, ptrdiff_t i, ptrdiff_t count,
                                   ptrdiff_t p, bool is_bf16)
{
    ptrdiff_t width = sm_min_index(W, s->k - p);
    for (ptrdiff_t r = 0; r < W; r++) {
        v[r] = r < count ? load_part(s, (i + r) * s->row_stride + p, width) : vzero();
        if (is_bf16)
            v[r] = bf16_of(v[r]);
    }
    transpose(v);
}

/* ------------------------------------------------------------------------- A */

static size_t bytes_a_bf16(ptrdiff_t m, ptrdiff_t k)
{
    return (size_t)(sm_round_up(m, MR_BF16) * sm_round_up(k, SM_K_GROUP)) * sizeof(float);
}

static size_t bytes_a_f32(ptrdiff_t m, ptrdiff_t k)
{
    return (size_t)((m + MR_F32 - 1) / MR_F32 * panel_f32(k)) * sizeof(float);
}

/* Where BLOCK_ROWS rows from row i go: one f32 panel or two bf16 panels, the second NULL
 * when there are no rows for it. */
typedef struct destination {
    float *first, *second;
} destination;

static inline destination block_at(float *dst, const matrix *s, ptrdiff_t i, bool is_bf16)
{
    if (!is_bf16)
        return (destination){dst + i / MR_F32 * panel_f32(s->k), NULL};
    ptrdiff_t kp = sm_round_up(s->k, SM_K_GROUP);
    float *d = dst + i * kp;
    return (destination){d, i + MR_BF16 < s->rows ? d + kp * MR_BF16 : NULL};
}

static inline void put_block(destination d, ptrdiff_t p, vf x, bool is_bf16)
{
    if (is_bf16)
        put_rows_bf16(d.first + p * MR_BF16, d.second ? d.second + p * MR_BF16 : NULL, x);
    else
        put_rows_f32(d.first + p * MR_F32, x);
}

static inline void pack_a_rows(float *dst, const matrix *s, ptrdiff_t kp, bool is_bf16)
{
    for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
        destination d = block_at(dst, s, i, is_bf16);
        for (ptrdiff_t p = 0; p < kp; p += W) {
            vf v[W];
            load_transposed(v, s, i, sm_min_index(BLOCK_ROWS, s->rows - i), p, is_bf16);
            ptrdiff_t width = sm_min_index(W, kp - p);
            for (ptrdiff_t q = 0; q < width; q++)
                put_block(d, p + q, v[q], is_bf16);
        }
    }
}

static inline void pack_a_columns(float *dst, const matrix *s, ptrdiff_t kp, bool is_bf16)
{
    for (ptrdiff_t start = 0; start < kp; start += K_TILE) {
        ptrdiff_t end = sm_min_index(start + K_TILE, kp), stride = s->col_stride;
        ptrdiff_t filled = sm_min_index(s->k, end);
        for (ptrdiff_t i = 0; i < s->rows; i += BLOCK_ROWS) {
            destination d = block_at(dst, s, i, is_bf16);
            ptrdiff_t count = sm_min_index(BLOCK_ROWS, s->rows - i);
            for (ptrdiff_t p = start; p < filled; p++) {
                vf x = load_part(s, i + p * stride, count);
                put_block(d, p, is_bf16 ? bf16_of(x) : x, is_bf16);
            }
            for (ptrdiff_t p = filled > start ? filled : start; p < end; p++)
                put_block(d, p, vzero(), is_bf16);
        }
    }
}

static inline void pack_a(float *dst, const matrix *s, ptrdiff_t kp, bool is_bf16)
{
    if (s->col_stride == 1)
        pack_a_rows(dst, s, kp, is_bf16);
    else
        pack_a_columns(dst, s, kp, is_bf16);
}

static void pack_a_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                        ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_a(dst, &(matrix){src, type, m, k, row_stride, col_stride},
           sm_round_up(k, SM_K_GROUP), true);
}

static void pack_a_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                       ptrdiff_t row_stride, ptrdiff_t col_stride)
{
    pack_a(dst, &(matrix){src, type, m, k, row_stride, col_stride}, k, false);
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
                v[r] = j + r < s->rows ? vfloat(pairs_of_row(
                                             s, (j + r) * s->row_stride + p, s->k - p))
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
                      pairs_of_columns(s, j + p * s->col_stride,
                                       p < s->k ? count : 0, p + 1 < s->k ? count : 0));
        }
    }
}

static void pack_b_bf16(void *dst, const void *src, sm_dtype type, ptrdiff_t n, ptrdiff_t k,
                        ptrdiff_t row_stride, ptrdiff_t col_stride)
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
            load_transposed(v, s, j, sm_min_index(W, s->rows - j), p, false);
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

static void pack_b_f32(void *dst, const void *src, sm_dtype type, ptrdiff_t n, ptrdiff_t k,
                       ptrdiff_t row_stride, ptrdiff_t col_stride)
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
    t->bf16 = (sm_prod){"bf16/1",     MR_BF16,      NR,          bytes_a_bf16, bytes_b_bf16,
                        bytes_a_bf16, bytes_b_bf16, pack_a_bf16, pack_b_bf16,  gemm_bf16};
    t->f32 = (sm_prod){"f32/1",     MR_F32,      NR,         bytes_a_f32, bytes_b_f32,
                       bytes_a_f32, bytes_b_f32, pack_a_f32, pack_b_f32,  gemm_f32};
}
