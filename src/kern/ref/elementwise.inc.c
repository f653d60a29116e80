/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise kernels: one output from the inputs at the same index. */

static void exp_of(float *y, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = exp32(x[i]);
}

static void log_of(float *y, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = log32(x[i]);
}

static void add(float *y, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = y[i] + x[i];
}

static void scale(float *y, const float *x, float a, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = a * x[i];
}

static void axpy(float *y, float a, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = fma32(a, x[i], y[i]);
}

static void mul(float *y, const float *x, const float *z, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] * z[i];
}

static void sigmoid(float *y, const float *x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = sigmoid32(x[i]);
}

static void swiglu(float *y, const float *g, const float *u, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = (g[i] * sigmoid32(g[i])) * u[i];
}

static void swiglu_bwd(float *dg, float *du, float *y, const float *dy, const float *g,
                       const float *u, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        float d = dy[i], gi = g[i], ui = u[i], s = sigmoid32(gi);
        dg[i] = (d * ui) * (s * fma32(gi, 1.0f - s, 1.0f));
        du[i] = d * (gi * s);
        if (y)
            y[i] = (gi * s) * ui;
    }
}
