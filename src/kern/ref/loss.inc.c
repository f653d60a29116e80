/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-entropy of one row of logits, with the z-loss z*lse^2 in the gradient. */

static float cross_entropy(float *dx, const float *x, int32_t target, float grad_scale,
                           float z_coef, ptrdiff_t n, float *lse_out)
{
    float m = max_of(x, n), hit = x[target], acc[LANES] = {0};
    for (ptrdiff_t i = 0; i < sm_round_up(n, LANES); i++)
        acc[i % LANES] += i < n ? exp32(x[i] - m) : 0.0f;
    float s = fold(acc), log_s = log32(s), lse = m + log_s;
    if (lse_out)
        *lse_out = lse;
    if (dx) {
        float inverse = 1.0f / s, z = (2.0f * z_coef) * lse;
        for (ptrdiff_t i = 0; i < n; i++) {
            float p = exp32(x[i] - m) * inverse, d = i == target ? p - 1.0f : p;
            dx[i] = fma32(z, p, d) * grad_scale;
        }
    }
    return (m - hit) + log_s;
}
