/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of AVX-512 under the names that simd/ is written in. */
#ifndef SMELT_KERN_AVX512_VEC_H
#define SMELT_KERN_AVX512_VEC_H

#include <immintrin.h>

#include "internal.h"

enum { W = 16 }; /* lanes */

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vmask;

static inline __mmask16 first_lanes(ptrdiff_t count)
{
    unsigned bits = count >= W ? 0xffffu : count <= 0 ? 0u : (1u << (unsigned)count) - 1u;
    return (__mmask16)bits;
}

/* The first `count` floats, zeros behind; plain when count is the constant W. */
static inline vf get(const float *p, ptrdiff_t count)
{
    return count == W ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first_lanes(count), p);
}

static inline void put(float *p, vf x, ptrdiff_t count)
{
    if (count == W)
        _mm512_storeu_ps(p, x);
    else
        _mm512_mask_storeu_ps(p, first_lanes(count), x);
}

static inline vf keep_first(vf x, ptrdiff_t count)
{
    return _mm512_maskz_mov_ps(first_lanes(count), x);
}

/* The first `count` lanes of x, `other` behind. */
static inline vf blend_first(vf x, vf other, ptrdiff_t count)
{
    return _mm512_mask_mov_ps(other, first_lanes(count), x);
}

#define vset(x) _mm512_set1_ps(x)
#define vzero() _mm512_setzero_ps()
#define vadd(a, b) _mm512_add_ps(a, b)
#define vsub(a, b) _mm512_sub_ps(a, b)
#define vmul(a, b) _mm512_mul_ps(a, b)
#define vdiv(a, b) _mm512_div_ps(a, b)
#define vfma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vsqrt(a) _mm512_sqrt_ps(a)
#define vneg(a) _mm512_xor_ps(a, _mm512_set1_ps(-0.0f))
/* x > m ? x : m, m when x is NaN */
#define vmax(x, m) _mm512_max_ps(x, m)

#define vlt(a, b) _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ)
#define vgt(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define vnlt(a, b) _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ)
#define vnan(a) _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q)
#define vselect(mask, yes, no) _mm512_mask_mov_ps(no, mask, yes)

#define vbits(a) _mm512_castps_si512(a)
#define vfloat(a) _mm512_castsi512_ps(a)
#define viset(x) _mm512_set1_epi32(x)
#define viadd(a, b) _mm512_add_epi32(a, b)
#define visub(a, b) _mm512_sub_epi32(a, b)
#define vishl(a, n) _mm512_slli_epi32(a, n)
#define visar(a, n) _mm512_srai_epi32(a, n)
#define viand(a, b) _mm512_and_si512(a, b)
#define viload(p) _mm512_loadu_si512(p)
#define vi_to_float(a) _mm512_cvtepi32_ps(a)

/* Bits below those of 2^-126 become zero. */
static inline vi clear_denormal(vi bits)
{
    return _mm512_maskz_mov_epi32(
        _mm512_cmpge_epu32_mask(bits, _mm512_set1_epi32(0x00800000)), bits);
}

/* Lanes l and l+8, then 4, 2, 1, under one operation. */
static inline float fold_add(vf v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}

static inline float fold_max(vf v)
{
    return _mm512_reduce_max_ps(v);
}

/* a = even, b = odd elements of (x, y); and back. */
static inline void split_pairs(vf x, vf y, vf *a, vf *b)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *a = _mm512_permutex2var_ps(x, even, y);
    *b = _mm512_permutex2var_ps(x, _mm512_add_epi32(even, _mm512_set1_epi32(1)), y);
}

static inline void join_pairs(vf a, vf b, vf *x, vf *y)
{
    const __m512i low =
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *x = _mm512_permutex2var_ps(a, low, b);
    *y = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
}

/* bf16: W values from and to 16-bit words. */
static inline vf get_bf16(const uint16_t *p, ptrdiff_t count)
{
    __m256i h = count == W ? _mm256_loadu_si256((const void *)p)
                           : _mm256_maskz_loadu_epi16(first_lanes(count), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

static inline __m256i round_bf16(vf x)
{
    return (__m256i)_mm512_cvtneps_pbh(x);
}

static inline void put_bf16(uint16_t *p, vf x, ptrdiff_t count)
{
    if (count == W)
        _mm256_storeu_si256((void *)p, round_bf16(x));
    else
        _mm256_mask_storeu_epi16(p, first_lanes(count), round_bf16(x));
}

#endif
