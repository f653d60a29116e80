/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scalar operations that every definition is made of: fma with one rounding, exp,
 * log, the conversion to bf16, the fold of 32 lanes.  All of it assumes MXCSR 0x9fc0.
 */
#ifndef SMELT_KERN_REF_SCALAR_H
#define SMELT_KERN_REF_SCALAR_H

#include <float.h>
#include <math.h>
#include <xmmintrin.h>

#include "internal.h"

_Static_assert(FLT_EVAL_METHOD == 0, "definitions need float arithmetic in float");

enum { LANES = 32 };

#ifdef __FMA__
static inline float fma32(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}
#else
/* One rounding without an FMA instruction: the product is exact in double, the sum is
 * rounded to odd with the help of its TwoSum error, so that the last rounding, to float,
 * sees every bit.  That conversion also flushes, with tininess after rounding, as
 * vfmadd does. */
static inline float fma32(float a, float b, float c)
{
    double p = (double)a * (double)b, q = (double)c, s = p + q;
    double bb = s - p, e = (p - (s - bb)) + (q - bb);
    uint64_t u;
    memcpy(&u, &s, sizeof u);
    bool is_finite = s - s == 0;
    if (e != 0 && (u & 1) == 0 && is_finite) {
        u = (e > 0) == (s > 0) ? u | 1 : u - 1;
        memcpy(&s, &u, sizeof s);
    }
    return (float)s;
}
#endif

/* The instruction: sqrtf would call libm for the sake of errno. */
static inline float sqrt32(float x)
{
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

/* exp: n = round(x/ln 2) by the 1.5*2^23 trick, r = x - n ln 2 in two steps, a
 * polynomial, and n added to the exponent bits.  At most 1.01 ulp. */
static inline float exp32(float x)
{
    if (x != x)
        return x;
    if (x > 88.72283f)
        return INFINITY;
    if (x < -87.33654f)
        return 0.0f;
    float t = fma32(x, 0x1.715476p+0f, 0x1.8p23f);
    float n = t - 0x1.8p23f;
    float r = fma32(n, -0x1.62e4p-1f, x);
    r = fma32(n, -0x1.7f7d1cp-20f, r);
    float p = 1.9875691500E-4f;
    p = fma32(p, r, 1.3981999507E-3f);
    p = fma32(p, r, 8.3334519073E-3f);
    p = fma32(p, r, 4.1665795894E-2f);
    p = fma32(p, r, 1.6666665459E-1f);
    p = fma32(p, r, 5.0000001201E-1f);
    float q = fma32(p, r * r, r) + 1.0f;
    uint32_t bits = sm_bits(q) + (sm_bits(t) << 23);
    return bits < 0x00800000u ? 0.0f : sm_from_bits(bits);
}

/* log: x = 2^e m with m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1, e ln 2 in two
 * parts.  Denormal inputs count as zero. */
static inline float log32(float x)
{
    if (x != x || x == INFINITY)
        return x;
    if (x < 0x1p-126f)
        return x > -0x1p-126f ? -INFINITY : NAN;
    uint32_t u = sm_bits(x);
    int32_t k = (int32_t)(u - 0x3f3504f3u) >> 23;
    float e = (float)k, r = sm_from_bits(u - ((uint32_t)k << 23)) - 1.0f, z = r * r;
    float p = 7.0376836292E-2f;
    p = fma32(p, r, -1.1514610310E-1f);
    p = fma32(p, r, 1.1676998740E-1f);
    p = fma32(p, r, -1.2420140846E-1f);
    p = fma32(p, r, 1.4249322787E-1f);
    p = fma32(p, r, -1.6668057665E-1f);
    p = fma32(p, r, 2.0000714765E-1f);
    p = fma32(p, r, -2.4999993993E-1f);
    p = fma32(p, r, 3.3333331174E-1f);
    float y = (p * r) * z;
    y = fma32(e, -2.12194440E-4f, y);
    y = fma32(-0.5f, z, y);
    return fma32(e, 0.693359375f, r + y);
}

static inline uint16_t to_bf16(float x)
{
    uint32_t u = sm_bits(x), magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    if (magnitude < 0x00800000u)
        return (uint16_t)((u >> 16) & 0x8000u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float from_bf16(uint16_t h)
{
    return sm_from_bits((uint32_t)h << 16);
}

/* 32 lanes into one: halves of 16, 8, 4, 2, 1. */
static inline float fold(float acc[LANES])
{
    for (int h = LANES / 2; h >= 1; h /= 2)
        for (int l = 0; l < h; l++)
            acc[l] = acc[l] + acc[l + h];
    return acc[0];
}

static inline float sigmoid32(float x)
{
    return 1.0f / (1.0f + exp32(-x));
}

#endif
