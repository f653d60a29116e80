/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of AVX2 under the names that simd/ is written in. */
#ifndef SMELT_KERN_AVX2_VEC_H
#define SMELT_KERN_AVX2_VEC_H

#include <immintrin.h>

#include "internal.h"

enum { W = 8 }; /* lanes */

typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vmask;

static inline __m256i first_lanes(ptrdiff_t count)
{
    static const int32_t window[2 * W] = {-1, -1, -1, -1, -1, -1, -1, -1};
    ptrdiff_t c = count >= W ? W : count <= 0 ? 0 : count;
    return _mm256_loadu_si256((const void *)(window + W - c));
}

/* The first `count` floats, zeros behind; plain when count is the constant W. */
static inline vf get(const float *p, ptrdiff_t count)
{
    return count == W ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(count));
}

static inline void put(float *p, vf x, ptrdiff_t count)
{
    if (count == W)
        _mm256_storeu_ps(p, x);
    else
        _mm256_maskstore_ps(p, first_lanes(count), x);
}

static inline vf keep_first(vf x, ptrdiff_t count)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(first_lanes(count)));
}

/* The first `count` lanes of x, `other` behind. */
static inline vf blend_first(vf x, vf other, ptrdiff_t count)
{
    return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(first_lanes(count)));
}

#define vset(x) _mm256_set1_ps(x)
#define vzero() _mm256_setzero_ps()
#define vadd(a, b) _mm256_add_ps(a, b)
#define vsub(a, b) _mm256_sub_ps(a, b)
#define vmul(a, b) _mm256_mul_ps(a, b)
#define vdiv(a, b) _mm256_div_ps(a, b)
#define vfma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vsqrt(a) _mm256_sqrt_ps(a)
#define vneg(a) _mm256_xor_ps(a, _mm256_set1_ps(-0.0f))
/* x > m ? x : m, m when x is NaN */
#define vmax(x, m) _mm256_max_ps(x, m)

#define vlt(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define vgt(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define vnlt(a, b) _mm256_cmp_ps(a, b, _CMP_NLT_UQ)
#define vnan(a) _mm256_cmp_ps(a, a, _CMP_UNORD_Q)
#define vselect(mask, yes, no) _mm256_blendv_ps(no, yes, mask)

#define vbits(a) _mm256_castps_si256(a)
#define vfloat(a) _mm256_castsi256_ps(a)
#define viset(x) _mm256_set1_epi32(x)
#define viadd(a, b) _mm256_add_epi32(a, b)
#define visub(a, b) _mm256_sub_epi32(a, b)
#define vishl(a, n) _mm256_slli_epi32(a, n)
#define visar(a, n) _mm256_srai_epi32(a, n)
#define viand(a, b) _mm256_and_si256(a, b)
#define viload(p) _mm256_loadu_si256((const void *)(p))
#define vi_to_float(a) _mm256_cvtepi32_ps(a)

/* Bits below those of 2^-126 become zero (bits are those of a non-negative float). */
static inline vi clear_denormal(vi bits)
{
    return _mm256_and_si256(bits,
                            _mm256_cmpgt_epi32(bits, _mm256_set1_epi32(0x007fffff)));
}

/* Lanes l and l+4, then 2, 1, under one operation. */
static inline float fold_add(vf v)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}

static inline float fold_max(vf v)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

/* a = even, b = odd elements of (x, y); and back. */
static inline void split_pairs(vf x, vf y, vf *a, vf *b)
{
    __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(x, y, 0x88));
    __m256d odd = _mm256_castps_pd(_mm256_shuffle_ps(x, y, 0xdd));
    *a = _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8));
    *b = _mm256_castpd_ps(_mm256_permute4x64_pd(odd, 0xd8));
}

static inline void join_pairs(vf a, vf b, vf *x, vf *y)
{
    vf low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    *x = _mm256_permute2f128_ps(low, high, 0x20);
    *y = _mm256_permute2f128_ps(low, high, 0x31);
}

/* bf16 in the upper halves of 32-bit lanes, as to_bf16 of the reference.  Multiplying by
 * 1 flushes denormals (MXCSR says so) and quiets NaN, which then must not be rounded. */
static inline __m256i round_bf16_lanes(vf x)
{
    __m256 one = _mm256_set1_ps(1.0f);
    __asm__("" : "+x"(one)); /* compilers drop a multiplication by a known 1 */
    x = _mm256_mul_ps(x, one);
    __m256i u = vbits(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    r = vbits(vselect(vnan(x), x, vfloat(r)));
    return _mm256_and_si256(r, _mm256_set1_epi32(-0x10000));
}

static inline __m128i round_bf16(vf x)
{
    __m256i h = _mm256_srli_epi32(round_bf16_lanes(x), 16);
    h = _mm256_permute4x64_epi64(_mm256_packus_epi32(h, h), 0xd8);
    return _mm256_castsi256_si128(h);
}

/* W values from and to 16-bit words; a part of them through a small buffer. */
static inline vf get_bf16(const uint16_t *p, ptrdiff_t count)
{
    uint16_t part[W] = {0};
    if (count < W) {
        for (ptrdiff_t i = 0; i < count; i++)
            part[i] = p[i];
        p = part;
    }
    __m128i h = _mm_loadu_si128((const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

static inline void put_bf16(uint16_t *p, vf x, ptrdiff_t count)
{
    uint16_t part[W];
    _mm_storeu_si128((void *)(count == W ? p : part), round_bf16(x));
    for (ptrdiff_t i = 0; count < W && i < count; i++)
        p[i] = part[i];
}

#endif
