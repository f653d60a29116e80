/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels over one row: softmax, norms, rotary embedding, cross-entropy. */

/* x = exp(x - shift) in place, no x above shift; returns the 32-lane sum. */
static float exp_shifted(float *x, ptrdiff_t n, float shift)
{
    vf top = vset(shift), acc[N_ACC];
    clear_lanes(acc);
    EACH_BLOCK(n, vf e = vexp_low(vsub(get(x + i, count), top)); put(x + i, e, count);
               acc[v] = vadd(acc[v], keep_first(e, count)));
    return fold_lanes(acc);
}

static void softmax(float *x, ptrdiff_t n, float *m, float *s)
{
    float top = max_of(x, n), total = exp_shifted(x, n, top);
    scale(x, x, 1.0f / total, n);
    if (m)
        *m = top;
    if (s)
        *s = total;
}

/* Lanes lo .. hi-1 of x, `other` elsewhere. */
static inline vf blend_between(vf x, vf other, ptrdiff_t lo, ptrdiff_t hi)
{
    return blend_first(other, blend_first(x, other, hi), lo);
}

/* s = s * scale where lo <= i < hi, else -inf; returns the maximum. */
static float scale_and_mask(float *s, ptrdiff_t n, float scale_by, ptrdiff_t lo,
                            ptrdiff_t hi)
{
    vf low = vset(-INFINITY), factor = vset(scale_by), acc[N_ACC];
    for (int v = 0; v < N_ACC; v++)
        acc[v] = low;
    if (lo <= 0 && hi >= n)
        EACH_BLOCK(n, vf x = vmul(get(s + i, count), factor); put(s + i, x, count);
                   acc[v] = vmax(blend_first(x, low, count), acc[v]));
    else
        EACH_BLOCK(
            n, vf x = vmul(get(s + i, count), factor);
            x = blend_between(x, low, lo - i, sm_min_index(hi - i, count));
            put(s + i, x, count); acc[v] = vmax(x, acc[v]));
    for (int h = N_ACC / 2; h >= 1; h /= 2)
        for (int v = 0; v < h; v++)
            acc[v] = vmax(acc[v + h], acc[v]);
    return fold_max(acc[0]) + 0.0f;
}

/* In three walks over the rows, so that rows overlap: maxima, what the old sums shrink by
 * (exp(0) is 1), exponentials. */
static void attn_softmax(const sm_attn_scores *a)
{
    for (ptrdiff_t r = 0; r < a->n_row; r++) {
        ptrdiff_t lo = (ptrdiff_t)a->first[r] - a->key0;
        ptrdiff_t hi = (ptrdiff_t)a->index[r] - a->key0 + 1;
        float top = scale_and_mask(a->s + r * a->n, a->n, a->scale, lo, hi), old = a->m[r];
        top = top > old ? top : old;
        a->shrink[r] = old == top ? 0.0f : old - top;
        a->m[r] = top;
    }
    exp_of(a->shrink, a->shrink, a->n_row);
    for (ptrdiff_t r = 0; r < a->n_row; r++) {
        float shift = a->m[r] == -INFINITY ? 0.0f : a->m[r];
        __m128 total = _mm_set_ss(exp_shifted(a->s + r * a->n, a->n, shift));
        a->l[r] = _mm_cvtss_f32(
            _mm_fmadd_ss(_mm_set_ss(a->l[r]), _mm_set_ss(a->shrink[r]), total));
    }
}

/* What a row of the backward pass is made of. */
typedef struct attn_slope {
    vf scale, m, inverse, delta;
} attn_slope;

static inline void attn_bwd_part(float *p, float *ds, vf x, ptrdiff_t count,
                                 const attn_slope *k)
{
    vf pi = vmul(vexp(x), k->inverse);
    put(p, pi, count);
    put(ds, vmul(vmul(pi, vsub(get(ds, count), k->delta)), k->scale), count);
}

static void attn_softmax_bwd(float *p, float *ds, ptrdiff_t n, float scale_by,
                             ptrdiff_t lo, ptrdiff_t hi, float m, float l, float delta)
{
    attn_slope k = {vset(scale_by), vset(m), vset(1.0f / l), vset(delta)};
    vf low = vset(-INFINITY);
    if (lo <= 0 && hi >= n)
        EACH_PART(n, vf x = vsub(vmul(get(p + i, count), k.scale), k.m);
                  attn_bwd_part(p + i, ds + i, x, count, &k));
    else
        EACH_PART(n, vf x = vsub(vmul(get(p + i, count), k.scale), k.m);
                  x = blend_between(x, low, lo - i, hi - i);
                  attn_bwd_part(p + i, ds + i, x, count, &k));
}

static float rmsnorm(float *y, const float *x, const float *w, float eps, ptrdiff_t n)
{
    __m128 mean = _mm_set_ss(sumsq(x, n) / (float)n + eps);
    float r = 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(mean));
    vf factor = vset(r);
    if (w)
        EACH_PART(n, put(y + i, vmul(vmul(get(x + i, count), factor), get(w + i, count)),
                         count));
    else
        EACH_PART(n, put(y + i, vmul(get(x + i, count), factor), count));
    return r;
}

static inline vf weighted(const float *dy, const float *w, ptrdiff_t i, ptrdiff_t count)
{
    vf d = get(dy + i, count);
    return w ? vmul(d, get(w + i, count)) : d;
}

static inline void rmsnorm_dw(float *dw, const float *dy, const float *x, vf r,
                              ptrdiff_t n)
{
    EACH_PART(
        n, put(dw + i,
               vfma(get(dy + i, count), vmul(get(x + i, count), r), get(dw + i, count)),
               count));
}

static void rmsnorm_bwd(float *dx, float *dw, const float *dy, const float *x,
                        const float *w, float r, ptrdiff_t n, bool accumulate)
{
    vf acc[N_ACC], vr = vset(r);
    clear_lanes(acc);
    EACH_BLOCK(n, acc[v] = vfma(weighted(dy, w, i, count), get(x + i, count), acc[v]));
    vf c = vset(-(fold_lanes(acc) * r * r * r / (float)n));
    if (dw)
        rmsnorm_dw(dw, dy, x, vr, n);
    EACH_PART(n, vf g = weighted(dy, w, i, count);
              vf d = vfma(c, get(x + i, count), vmul(g, vr));
              put(dx + i, accumulate ? vadd(get(dx + i, count), d) : d, count));
}

static inline void rotate(vf *a, vf *b, vf c, vf s)
{
    vf x = *a, y = *b;
    *a = vfma(x, c, vneg(vmul(y, s)));
    *b = vfma(x, s, vmul(y, c));
}

static inline void rope_interleaved_part(float *x, const float *cosine, const float *sine,
                                         ptrdiff_t count)
{
    ptrdiff_t low = sm_min_index(2 * count, W), high = 2 * count - low;
    vf p = get(x, low), q = high > 0 ? get(x + W, high) : vzero(), a, b;
    split_pairs(p, q, &a, &b);
    rotate(&a, &b, get(cosine, count), get(sine, count));
    join_pairs(a, b, &p, &q);
    put(x, p, low);
    if (high > 0)
        put(x + W, q, high);
}

static inline void rope_halves_part(float *x, float *y, const float *cosine,
                                    const float *sine, ptrdiff_t count)
{
    vf a = get(x, count), b = get(y, count);
    rotate(&a, &b, get(cosine, count), get(sine, count));
    put(x, a, count);
    put(y, b, count);
}

static void rope(float *x, const float *cosine, const float *sine, ptrdiff_t n,
                 bool interleaved)
{
    ptrdiff_t half = n / 2;
    if (interleaved)
        EACH_PART(half, rope_interleaved_part(x + 2 * i, cosine + i, sine + i, count));
    else
        EACH_PART(half,
                  rope_halves_part(x + i, x + half + i, cosine + i, sine + i, count));
}

static float exp_sum(const float *x, float m, ptrdiff_t n)
{
    vf top = vset(m), acc[N_ACC];
    clear_lanes(acc);
    EACH_BLOCK(
        n, acc[v] = vadd(acc[v], keep_first(vexp(vsub(get(x + i, count), top)), count)));
    return fold_lanes(acc);
}

/* What the gradient of a row is made of. */
typedef struct loss_slope {
    float m, inverse, z, gain;
} loss_slope;

/* From x, or from e = exp(x - m) when that is there already. */
static inline void loss_bwd_part(float *dx, const float *x, ptrdiff_t count,
                                 const loss_slope *k, bool is_exp)
{
    vf e = get(x, count);
    if (!is_exp)
        e = vexp(vsub(e, vset(k->m)));
    vf p = vmul(e, vset(k->inverse));
    put(dx, vmul(vfma(vset(k->z), p, p), vset(k->gain)), count);
}

static void loss_bwd_hit(float *dx, float hit, const loss_slope *k)
{
    float e;
    exp_of(&e, &(float){hit - k->m}, 1);
    vf p = vset(e * k->inverse);
    put(dx, vmul(vfma(vset(k->z), p, vsub(p, vset(1.0f))), vset(k->gain)), 1);
}

static loss_slope slope_of(float m, float s, float grad_scale, float z_coef)
{
    float log_s;
    log_of(&log_s, &s, 1);
    return (loss_slope){m, 1.0f / s, (2.0f * z_coef) * (m + log_s), grad_scale};
}

static void cross_entropy_bwd(float *dx, const float *x, ptrdiff_t target, float m,
                              float s, float grad_scale, float z_coef, ptrdiff_t n)
{
    loss_slope k = slope_of(m, s, grad_scale, z_coef);
    bool has_target = target >= 0 && target < n;
    float hit = has_target ? x[target] : 0.0f;
    EACH_PART(n, loss_bwd_part(dx + i, x + i, count, &k, false));
    if (has_target)
        loss_bwd_hit(dx + target, hit, &k);
}

static float cross_entropy(float *dx, const float *x, int32_t target, float grad_scale,
                           float z_coef, ptrdiff_t n, float *lse_out)
{
    float m = max_of(x, n), hit = x[target], log_s;
    bool is_exp = dx && dx == x; /* in place, one exp an element is enough */
    float s = is_exp ? exp_shifted(dx, n, m) : exp_sum(x, m, n);
    log_of(&log_s, &s, 1);
    if (lse_out)
        *lse_out = m + log_s;
    if (dx) {
        loss_slope k = slope_of(m, s, grad_scale, z_coef);
        if (is_exp)
            EACH_PART(n, loss_bwd_part(dx + i, x + i, count, &k, true));
        else
            EACH_PART(n, loss_bwd_part(dx + i, x + i, count, &k, false));
        loss_bwd_hit(dx + target, hit, &k);
    }
    return (m - hit) + log_s;
}
