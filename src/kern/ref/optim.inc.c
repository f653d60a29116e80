/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW (Loshchilov and Hutter 2019) with bias corrections given by the caller. */

static void adamw(float *w, float *m, float *v, const float *grad, ptrdiff_t n,
                  const sm_adamw *h)
{
    float keep1 = 1.0f - h->beta1, keep2 = 1.0f - h->beta2;
    for (ptrdiff_t i = 0; i < n; i++) {
        float g = grad[i] * h->grad_scale;
        float mi = fma32(h->beta1, m[i], keep1 * g);
        float vi = fma32(h->beta2, v[i], (keep2 * g) * g);
        float step = (mi * h->c1) / (sqrt32(vi * h->c2) + h->eps);
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] - h->lr * (step + h->weight_decay * w[i]);
    }
}
