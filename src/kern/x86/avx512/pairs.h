/* SPDX-License-Identifier: Apache-2.0 */
/* What packing needs of avx512: the transpose of 16 x 16, bf16 in pairs, rows into
 * panels. */
#ifndef SMELT_KERN_AVX512_PAIRS_H
#define SMELT_KERN_AVX512_PAIRS_H

#include "x86/avx512/vec.h"
#include "x86/simd/matrix.h"

static inline void quads(__m512 *a, __m512 *b, __m512 *c, __m512 *d)
{
    __m512d ab0 = _mm512_castps_pd(_mm512_unpacklo_ps(*a, *b));
    __m512d ab1 = _mm512_castps_pd(_mm512_unpackhi_ps(*a, *b));
    __m512d cd0 = _mm512_castps_pd(_mm512_unpacklo_ps(*c, *d));
    __m512d cd1 = _mm512_castps_pd(_mm512_unpackhi_ps(*c, *d));
    *a = _mm512_castpd_ps(_mm512_unpacklo_pd(ab0, cd0));
    *b = _mm512_castpd_ps(_mm512_unpackhi_pd(ab0, cd0));
    *c = _mm512_castpd_ps(_mm512_unpacklo_pd(ab1, cd1));
    *d = _mm512_castpd_ps(_mm512_unpackhi_pd(ab1, cd1));
}

/* 16 x 16: 4 x 4 within 128-bit lanes, then the lanes themselves as a 4 x 4. */
static inline void transpose(__m512 v[16])
{
    for (int i = 0; i < 16; i += 4)
        quads(&v[i], &v[i + 1], &v[i + 2], &v[i + 3]);
    for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88);
        __m512 b = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88);
        __m512 d = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
        v[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

static inline void put_half(float *dst, __m512 x, int half)
{
    if (half)
        _mm256_storeu_ps(dst, _mm512_extractf32x8_ps(x, 1));
    else
        _mm256_storeu_ps(dst, _mm512_castps512_ps256(x));
}

/* Lanes 0..6 and 7..13 to 0..6 and 8..14, zeros between. */
static inline __m512i spread_panels(__m512i x)
{
    return _mm512_maskz_expand_epi32(0x7f7f, x);
}

#define viput(p, x) _mm512_storeu_si512(p, x)

/* `count` elements from index, two to a lane. */
static inline __m512i pairs_of_row(const matrix *s, ptrdiff_t index, ptrdiff_t count)
{
    if (s->type == SM_BF16) {
        __mmask32 mask = count >= 32  ? 0xffffffffu
                         : count <= 0 ? 0
                                      : (1u << (unsigned)count) - 1u;
        return _mm512_maskz_loadu_epi16(mask, (const uint16_t *)s->data + index);
    }
    __m512 low = load_part(s, index, sm_min_index(count, 16));
    __m512 high = load_part(s, index + 16, sm_min_index(count - 16, 16));
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static inline __m512i words_at(const matrix *s, ptrdiff_t index, ptrdiff_t count)
{
    if (s->type == SM_BF16)
        return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
            first_lanes(count), (const uint16_t *)s->data + index));
    return _mm512_cvtepu16_epi32(round_bf16(load_part(s, index, count)));
}

/* 16 elements from `low` in the low halves of lanes, 16 from `high` in the high ones; so
 * many of each as said (<= 0: zeros). */
static inline __m512i lanes_of(const matrix *s, ptrdiff_t low, ptrdiff_t n_low,
                               ptrdiff_t high, ptrdiff_t n_high)
{
    __m512i zero = _mm512_setzero_si512();
    __m512i l = n_low > 0 ? words_at(s, low, n_low) : zero;
    __m512i h = n_high > 0 ? words_at(s, high, n_high) : zero;
    return _mm512_or_si512(l, _mm512_slli_epi32(h, 16));
}

/* Columns p (at index) and p+1, 16 rows of B, paired in lanes. */
static inline __m512i pairs_of_columns(const matrix *s, ptrdiff_t index, ptrdiff_t even,
                                       ptrdiff_t odd)
{
    return lanes_of(s, index, even, index + s->col_stride, odd);
}

#endif
