/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to queries and keys between projection and attention, one token's row at a
 * time: rotary positions (Su et al., 2104.09864), the weightless RMS norm of Llama 4 and its
 * query temperature.  Angles come from our own double-precision series: libm differs
 * between machines.
 */
#include "smelt/tensor.h"

void sm_rope_table(float *cos, float *sin, int64_t n_pos, int64_t d_head, double theta)
{
    int64_t half = d_head / 2;
    double log_theta = sm_math_log(theta);
    for (int64_t j = 0; j < half; j++) {
        double freq = sm_math_exp(-2.0 * (double)j / (double)d_head * log_theta);
        for (int64_t p = 0; p < n_pos; p++) {
            double angle = (double)p * freq;
            cos[p * half + j] = (float)sm_math_cos(angle);
            sin[p * half + j] = (float)sm_math_sin(angle);
        }
    }
}

void sm_temp_table(float *temp, int64_t n_pos, double scale, double floor_at)
{
    for (int64_t p = 0; p < n_pos; p++) {
        int64_t whole = (int64_t)((double)(p + 1) / floor_at);
        temp[p] = (float)(1.0 + scale * sm_math_log(1.0 + (double)whole));
    }
}

void sm_rotary_row(const sm_kern *kern, const sm_rotary *ro, float *qkv, float *r,
                   int64_t pos)
{
    int64_t d = ro->d_head, half = d / 2;
    for (int32_t h = 0; h < ro->n_head + ro->n_kv_head; h++) {
        float *x = qkv + h * d;
        if (ro->cos)
            kern->rope(x, ro->cos + pos * half, ro->sin + pos * half, d,
                       ro->is_interleaved);
        if (ro->has_qk_norm)
            r[h] = kern->rmsnorm(x, x, NULL, ro->norm_eps, d);
        if (ro->temp && h < ro->n_head)
            kern->scale(x, x, ro->temp[pos], d);
    }
}

/* The norm's backward from its output y = x r: dx = r (dy - y <dy,y>/n), which is the
 * kernel's own backward at r = 1, times r. */
void sm_rotary_row_bwd(const sm_kern *kern, const sm_rotary *ro, float *dqkv,
                       const float *qkv, const float *r, int64_t pos, float *tmp)
{
    int64_t d = ro->d_head, half = d / 2;
    for (int32_t h = 0; h < ro->n_head + ro->n_kv_head; h++) {
        float *dx = dqkv + h * d;
        if (ro->temp && h < ro->n_head)
            kern->scale(dx, dx, ro->temp[pos], d);
        if (ro->has_qk_norm) {
            kern->rmsnorm_bwd(tmp, NULL, dx, qkv + h * d, NULL, 1.0f, d, false);
            kern->scale(dx, tmp, r[h], d);
        }
        if (ro->cos) {
            kern->scale(tmp, ro->sin + pos * half, -1.0f, half);
            kern->rope(dx, ro->cos + pos * half, tmp, d, ro->is_interleaved);
        }
    }
}
