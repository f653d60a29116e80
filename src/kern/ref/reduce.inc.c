/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over one row in 32 lanes; absent elements up to a multiple of 32 are +0. */

static float sum(const float *x, ptrdiff_t n)
{
    float acc[LANES] = {0};
    for (ptrdiff_t i = 0; i < sm_round_up(n, LANES); i++)
        acc[i % LANES] += i < n ? x[i] : 0.0f;
    return fold(acc);
}

static float dot(const float *x, const float *y, ptrdiff_t n)
{
    float acc[LANES] = {0};
    for (ptrdiff_t i = 0; i < sm_round_up(n, LANES); i++) {
        float a = i < n ? x[i] : 0.0f, b = i < n ? y[i] : 0.0f;
        acc[i % LANES] = fma32(a, b, acc[i % LANES]);
    }
    return fold(acc);
}

static float sumsq(const float *x, ptrdiff_t n)
{
    return dot(x, x, n);
}

/* A NaN is never greater, so it is ignored; + 0.0 makes -0 and denormals +0, which also
 * removes the one dependence on order. */
static float max_of(const float *x, ptrdiff_t n)
{
    float m = -INFINITY;
    for (ptrdiff_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m + 0.0f;
}
