/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW (Loshchilov and Hutter 2019), operation by operation what torch.optim.AdamW does on
 * a CPU with FMA. */

static void adamw(float *w, float *m, float *v, const float *grad, ptrdiff_t n,
                  const sm_adamw *h)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        float g = grad[i] * h->grad_scale;
        m[i] = fma32(h->take1, g, h->beta1 * m[i]);
        v[i] = fma32(h->take2 * g, g, h->beta2 * v[i]);
        w[i] = h->keep * w[i] - (h->step * m[i]) / (sqrt32(v[i]) / h->root2 + h->eps);
    }
}
