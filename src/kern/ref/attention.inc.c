/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary embedding (Su et al. 2021) and one step of online softmax (Milakov and
 * Gimelshein 2018). */

static void rope(float *x, const float *cosine, const float *sine, ptrdiff_t n,
                 bool interleaved)
{
    ptrdiff_t half = n / 2, step = interleaved ? 2 : 1, partner = interleaved ? 1 : half;
    for (ptrdiff_t j = 0; j < half; j++) {
        float *p = x + j * step, a = p[0], b = p[partner], c = cosine[j], s = sine[j];
        p[0] = fma32(a, c, -(b * s));
        p[partner] = fma32(a, s, b * c);
    }
}

/* With everything masked the maximum is -inf; subtracting 0 instead gives p = 0 without a
 * special case, and a NaN among the scores stays visible. */
static float online_softmax(float *s, ptrdiff_t n, float *m, float *l)
{
    float top = max_of(s, n), old = *m;
    top = top > old ? top : old;
    float shift = top == -INFINITY ? 0.0f : top;
    for (ptrdiff_t i = 0; i < n; i++)
        s[i] = exp32(s[i] - shift);
    float a = old == top ? 1.0f : exp32(old - top);
    *l = fma32(*l, a, sum(s, n));
    *m = top;
    return a;
}

static void attn_softmax(const sm_attn_scores *a)
{
    for (ptrdiff_t r = 0; r < a->n_row; r++) {
        float *s = a->s + r * a->n;
        ptrdiff_t lo = (ptrdiff_t)a->first[r] - a->key0;
        ptrdiff_t hi = (ptrdiff_t)a->index[r] - a->key0;
        for (ptrdiff_t i = 0; i < a->n; i++)
            s[i] = i >= lo && i <= hi ? s[i] * a->scale : -INFINITY;
        a->shrink[r] = online_softmax(s, a->n, &a->m[r], &a->l[r]);
    }
}

static void attn_softmax_bwd(float *p, float *ds, ptrdiff_t n, float scale_by,
                             ptrdiff_t lo, ptrdiff_t hi, float m, float l, float delta)
{
    float inverse = 1.0f / l;
    for (ptrdiff_t i = 0; i < n; i++) {
        float x = i >= lo && i < hi ? p[i] * scale_by - m : -INFINITY;
        p[i] = exp32(x) * inverse;
        ds[i] = (p[i] * (ds[i] - delta)) * scale_by;
    }
}
