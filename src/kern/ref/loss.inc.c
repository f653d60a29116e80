/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-entropy of one row of logits, with the z-loss z*lse^2 in the gradient; its halves
 * serve a row whose parts are held apart. */

static float exp_sum(const float *x, float m, ptrdiff_t n)
{
    float acc[LANES] = {0};
    for (ptrdiff_t i = 0; i < sm_round_up(n, LANES); i++)
        acc[i % LANES] += i < n ? exp32(x[i] - m) : 0.0f;
    return fold(acc);
}

static void cross_entropy_bwd(float *dx, const float *x, ptrdiff_t target, float m,
                              float s, float grad_scale, float z_coef, ptrdiff_t n)
{
    float lse = m + log32(s), inverse = 1.0f / s, z = (2.0f * z_coef) * lse;
    for (ptrdiff_t i = 0; i < n; i++) {
        float p = exp32(x[i] - m) * inverse, d = i == target ? p - 1.0f : p;
        dx[i] = fma32(z, p, d) * grad_scale;
    }
}

static float cross_entropy(float *dx, const float *x, int32_t target, float grad_scale,
                           float z_coef, ptrdiff_t n, float *lse_out)
{
    float m = max_of(x, n), hit = x[target], s = exp_sum(x, m, n), log_s = log32(s);
    if (lse_out)
        *lse_out = m + log_s;
    if (dx)
        cross_entropy_bwd(dx, x, target, m, s, grad_scale, z_coef, n);
    return (m - hit) + log_s;
}
