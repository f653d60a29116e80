/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exp, log, sin, cos and pow in double for set-up work that enters a recorded result
 * (RoPE frequencies, schedules, normals).  Only + - * / and shifts of bits, in a written
 * order, without fma: the same bits from every compiler.  Taylor series after argument
 * reduction; about one ulp.  libm's versions change with the CPU and its release.
 */
#include <math.h>

#include "internal.h"

static const double LN2_HI = 0x1.62e42feep-1, LN2_LO = 0x1.a39ef35793c76p-33;
static const double HALF_PI_1 = 0x1.921fb4p+0, HALF_PI_2 = 0x1.4442dp-24,
                    HALF_PI_3 = 0x1.846988p-48, HALF_PI_4 = 0x1.8cc51701b839ap-72;

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Nearest integer of |x| < 2^51, ties to even. */
static double round_to_integer(double x)
{
    volatile double shifted = x + 0x1.8p52; /* or compilers fold the addition */
    return shifted - 0x1.8p52;
}

/* 2^n for -1022 <= n <= 1023 */
static double power_of_two(int n)
{
    return from_bits((uint64_t)(n + 1023) << 52);
}

double sm_math_exp(double x)
{
    if (x != x)
        return x;
    if (x > 709.78)
        return INFINITY;
    if (x < -708.0)
        return 0.0;
    double n = round_to_integer(x * 0x1.71547652b82fep+0);
    double r = (x - n * LN2_HI) - n * LN2_LO;
    double p = 0.0; /* sum of r^(i-2)/i!, i = 13..2 */
    static const double inverse_factorial[] = {
        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,
        1.0 / 5040,  1.0 / 40320,  1.0 / 362880,  1.0 / 3628800,  1.0 / 39916800,
        1.0 / 479001600, 1.0 / 6227020800.0};
    for (int i = 11; i >= 0; i--)
        p = p * r + inverse_factorial[i];
    double y = 1.0 + (r + (r * r) * p);
    int k = (int)n, half = k / 2;
    return y * power_of_two(half) * power_of_two(k - half);
}

/* log x = e ln 2 + 2 atanh(s), s = (m-1)/(m+1), m in [sqrt(1/2), sqrt(2)). */
double sm_math_log(double x)
{
    if (x != x || x == INFINITY)
        return x;
    if (x < 0x1p-1022)
        return x > -0x1p-1022 ? -INFINITY : NAN;
    uint64_t u = bits_of(x);
    int64_t k = (int64_t)(u - UINT64_C(0x3fe6a09e667f3bcd)) >> 52;
    double e = (double)k, f = from_bits(u - ((uint64_t)k << 52)) - 1.0;
    double s = f / (2.0 + f), z = s * s, series = 0.0;
    for (int i = 12; i >= 1; i--) /* 2 (z/3 + z^2/5 + ...) */
        series = z * (2.0 / (2 * i + 1) + series);
    /* 2 atanh(s) = 2s + s series, and 2s = f - s f */
    double log_m = f - s * (f - series);
    return e * LN2_HI + (log_m + e * LN2_LO);
}

/* x = n pi/2 + (hi + lo), |hi| <= pi/4; returns n mod 4.  pi/2 in three parts of 23 bits,
 * so that n times a part is exact, and a rest. */
static int reduce_half_pi(double x, double *hi, double *lo)
{
    double n = round_to_integer(x * 0x1.45f306dc9c883p-1);
    double a = x - n * HALF_PI_1; /* exact */
    double b = -(n * HALF_PI_2), s = a + b, t = s - a, e = (a - (s - t)) + (b - t);
    double c = -(n * HALF_PI_3), v = s + c, w = v - s, g = (s - (v - w)) + (c - w);
    double rest = (e + g) - n * HALF_PI_4;
    *hi = v + rest;
    *lo = (v - *hi) + rest;
    return (int)((int64_t)n & 3);
}

/* sin(hi + lo) and cos(hi + lo) for |hi| <= pi/4, lo a correction. */
static double sin_series(double hi, double lo)
{
    static const double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880,
                               -1.0 / 39916800, 1.0 / 6227020800.0,
                               -1.0 / 1307674368000.0, 1.0 / 355687428096000.0};
    double z = hi * hi, p = 0.0;
    for (int i = 7; i >= 0; i--)
        p = p * z + c[i];
    return hi + (hi * z * p + lo * (1.0 - 0.5 * z));
}

static double cos_series(double hi, double lo)
{
    static const double c[] = {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                               1.0 / 479001600, -1.0 / 87178291200.0,
                               1.0 / 20922789888000.0};
    double z = hi * hi, h = 0.5 * z, p = 0.0;
    for (int i = 6; i >= 0; i--)
        p = p * z + c[i];
    double w = 1.0 - h;
    return w + (((1.0 - w) - h) + (z * z * p - hi * lo));
}

static double sin_of_quadrant(double x, int shift)
{
    if (!(x > -0x1p30 && x < 0x1p30))
        return NAN;
    double hi, lo;
    int q = (reduce_half_pi(x, &hi, &lo) + shift) & 3;
    double y = q & 1 ? cos_series(hi, lo) : sin_series(hi, lo);
    return q & 2 ? -y : y;
}

double sm_math_sin(double x)
{
    return sin_of_quadrant(x, 0);
}

double sm_math_cos(double x)
{
    return sin_of_quadrant(x, 1);
}

double sm_math_pow(double x, double y)
{
    return y == 0.0 ? 1.0 : sm_math_exp(y * sm_math_log(x));
}
