/* SPDX-License-Identifier: Apache-2.0 */
/* What packing needs of avx2: the transpose of 8 x 8, bf16 in pairs, rows into panels. */
#ifndef SMELT_KERN_AVX2_PAIRS_H
#define SMELT_KERN_AVX2_PAIRS_H

#include "x86/avx2/vec.h"
#include "x86/simd/matrix.h"

/* 8 x 8: 4 x 4 within 128-bit lanes, then the lanes. */
static inline void transpose(__m256 v[8])
{
    __m256d t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_castps_pd(_mm256_unpacklo_ps(v[i], v[i + 1]));
        t[i + 1] = _mm256_castps_pd(_mm256_unpackhi_ps(v[i], v[i + 1]));
    }
    for (int i = 0; i < 8; i += 4) {
        v[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i], t[i + 2]));
        v[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i], t[i + 2]));
        v[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(t[i + 1], t[i + 3]));
        v[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(t[i + 1], t[i + 3]));
    }
    for (int i = 0; i < 4; i++) {
        __m256 a = v[i], b = v[i + 4];
        v[i] = _mm256_permute2f128_ps(a, b, 0x20);
        v[i + 4] = _mm256_permute2f128_ps(a, b, 0x31);
    }
}

static inline void put_half(float *dst, __m256 x, int half)
{
    if (half)
        _mm_storeu_ps(dst, _mm256_extractf128_ps(x, 1));
    else
        _mm_storeu_ps(dst, _mm256_castps256_ps128(x));
}

/* Lanes 0..2 and 3..5 to 0..2 and 4..6, zeros between. */
static inline __m256i spread_panels(__m256i x)
{
    x = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5));
    return _mm256_blend_epi32(x, _mm256_setzero_si256(), 0x88);
}

#define viput(p, x) _mm256_storeu_si256((void *)(p), x)

/* `count` elements from index, two to a lane. */
static inline __m256i pairs_of_row(const matrix *s, ptrdiff_t index, ptrdiff_t count)
{
    if (s->type == SM_BF16 && count >= 16)
        return viload((const uint16_t *)s->data + index);
    __m256i low = round_bf16_lanes(load_part(s, index, sm_min_index(count, 8)));
    __m256i high = round_bf16_lanes(load_part(s, index + 8, sm_min_index(count - 8, 8)));
    low = _mm256_packus_epi32(_mm256_srli_epi32(low, 16), _mm256_srli_epi32(high, 16));
    return _mm256_permute4x64_epi64(low, 0xd8);
}

/* Columns p (at index) and p+1, 8 rows of B, paired in lanes. */
static inline __m256i pairs_of_columns(const matrix *s, ptrdiff_t index, ptrdiff_t even,
                                       ptrdiff_t odd)
{
    __m256i low = round_bf16_lanes(load_part(s, index, even));
    __m256i high = round_bf16_lanes(load_part(s, index + s->col_stride, odd));
    return _mm256_or_si256(_mm256_srli_epi32(low, 16), high);
}

#endif
