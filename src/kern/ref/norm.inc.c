/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and RMS norm of one row. */

static void softmax(float *x, ptrdiff_t n, float *m, float *s)
{
    float top = max_of(x, n);
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = exp32(x[i] - top);
    float total = sum(x, n), inverse = 1.0f / total;
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = x[i] * inverse;
    if (m)
        *m = top;
    if (s)
        *s = total;
}

static float rmsnorm(float *y, const float *x, const float *w, float eps, ptrdiff_t n)
{
    float r = 1.0f / sqrt32(sumsq(x, n) / (float)n + eps);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = w ? (x[i] * r) * w[i] : x[i] * r;
    return r;
}

static void rmsnorm_bwd(float *dx, float *dw, const float *dy, const float *x,
                        const float *w, float r, ptrdiff_t n, bool accumulate)
{
    float acc[LANES] = {0};
    for (ptrdiff_t i = 0; i < sm_round_up(n, LANES); i++) {
        float g = i < n ? (w ? dy[i] * w[i] : dy[i]) : 0.0f, xi = i < n ? x[i] : 0.0f;
        acc[i % LANES] = fma32(g, xi, acc[i % LANES]);
    }
    float c = fold(acc) * r * r * r / (float)n;
    for (ptrdiff_t i = 0; i < n; i++) {
        float g = w ? dy[i] * w[i] : dy[i], d = fma32(-c, x[i], g * r);
        dx[i] = accumulate ? dx[i] + d : d;
        if (dw)
            dw[i] = fma32(dy[i], x[i] * r, dw[i]);
    }
}
