/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise kernels of ref/elementwise.inc.c and ref/convert.inc.c, W at a time. */

static void exp_of(float *y, const float *x, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, vexp(get(x + i, count)), count));
}

static void log_of(float *y, const float *x, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, vlog(get(x + i, count)), count));
}

static void add(float *y, const float *x, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, vadd(get(y + i, count), get(x + i, count)), count));
}

static void scale(float *y, const float *x, float a, ptrdiff_t n)
{
    vf factor = vset(a);
    EACH_PART(n, put(y + i, vmul(factor, get(x + i, count)), count));
}

static void axpy(float *y, float a, const float *x, ptrdiff_t n)
{
    vf factor = vset(a);
    EACH_PART(n, put(y + i, vfma(factor, get(x + i, count), get(y + i, count)), count));
}

static void mul(float *y, const float *x, const float *z, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, vmul(get(x + i, count), get(z + i, count)), count));
}

static void sigmoid(float *y, const float *x, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, vsigmoid(get(x + i, count)), count));
}

static inline vf swiglu_part(vf g, vf u)
{
    return vmul(vmul(g, vsigmoid(g)), u);
}

static void swiglu(float *y, const float *g, const float *u, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, swiglu_part(get(g + i, count), get(u + i, count)), count));
}

static inline void swiglu_bwd_part(float *dg, float *du, float *y, vf d, vf g, vf u,
                                   ptrdiff_t count)
{
    vf one = vset(1.0f), s = vsigmoid(g), gs = vmul(g, s);
    vf slope = vmul(s, vfma(g, vsub(one, s), one));
    put(dg, vmul(vmul(d, u), slope), count);
    put(du, vmul(d, gs), count);
    if (y)
        put(y, vmul(gs, u), count);
}

static void swiglu_bwd(float *dg, float *du, float *y, const float *dy, const float *g,
                       const float *u, ptrdiff_t n)
{
    EACH_PART(n, swiglu_bwd_part(dg + i, du + i, y ? y + i : NULL, get(dy + i, count),
                                 get(g + i, count), get(u + i, count), count));
}

static void f32_to_bf16(uint16_t *y, const float *x, ptrdiff_t n)
{
    EACH_PART(n, put_bf16(y + i, get(x + i, count), count));
}

static void bf16_to_f32(float *y, const uint16_t *x, ptrdiff_t n)
{
    EACH_PART(n, put(y + i, get_bf16(x + i, count), count));
}

static inline void adamw_part(float *w, float *m, float *v, const float *grad,
                              ptrdiff_t count, const sm_adamw *h)
{
    vf g = vmul(get(grad, count), vset(h->grad_scale));
    vf m1 = vfma(vset(h->take1), g, vmul(vset(h->beta1), get(m, count)));
    vf v1 = vfma(vmul(vset(h->take2), g), g, vmul(vset(h->beta2), get(v, count)));
    vf root = vadd(vdiv(vsqrt(v1), vset(h->root2)), vset(h->eps));
    vf kept = vmul(vset(h->keep), get(w, count));
    put(m, m1, count);
    put(v, v1, count);
    put(w, vsub(kept, vdiv(vmul(vset(h->step), m1), root)), count);
}

static void adamw(float *w, float *m, float *v, const float *grad, ptrdiff_t n,
                  const sm_adamw *h)
{
    EACH_PART(n, adamw_part(w + i, m + i, v + i, grad + i, count, h));
}
