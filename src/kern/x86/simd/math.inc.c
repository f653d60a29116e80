/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exp, log and sigmoid of a vector: the operations of ref/scalar.h in its order, branches
 * replaced by selection.  EACH_PART runs a statement over parts of W elements and one
 * shorter part; in it, i is the first element and count how many there are.
 */
#define EACH_PART(n, statement)            \
    do {                                   \
        ptrdiff_t i = 0;                   \
        for (; i + W <= (n); i += W) {     \
            const ptrdiff_t count = W;     \
            statement;                     \
        }                                  \
        if (i < (n)) {                     \
            const ptrdiff_t count = (n)-i; \
            statement;                     \
        }                                  \
    } while (0)

/* exp below the range that overflows: x <= 88.72283, or NaN. */
static inline vf vexp_low(vf x)
{
    vf magic = vset(0x1.8p23f), one = vset(1.0f);
    vf t = vfma(x, vset(0x1.715476p+0f), magic), n = vsub(t, magic);
    vf r = vfma(n, vset(-0x1.62e4p-1f), x);
    r = vfma(n, vset(-0x1.7f7d1cp-20f), r);
    vf p = vset(1.9875691500E-4f);
    p = vfma(p, r, vset(1.3981999507E-3f));
    p = vfma(p, r, vset(8.3334519073E-3f));
    p = vfma(p, r, vset(4.1665795894E-2f));
    p = vfma(p, r, vset(1.6666665459E-1f));
    p = vfma(p, r, vset(5.0000001201E-1f));
    vf q = vadd(vfma(p, vmul(r, r), r), one);
    vf y = vfloat(clear_denormal(viadd(vbits(q), vishl(vbits(t), 23))));
    y = vselect(vlt(x, vset(-87.33654f)), vzero(), y);
    return vselect(vnan(x), x, y);
}

static inline vf vexp(vf x)
{
    return vselect(vgt(x, vset(88.72283f)), vset(INFINITY), vexp_low(x));
}

static inline vf vlog(vf x)
{
    vi u = vbits(x), k = visar(visub(u, viset(0x3f3504f3)), 23);
    vf e = vi_to_float(k), r = vsub(vfloat(visub(u, vishl(k, 23))), vset(1.0f));
    vf z = vmul(r, r), p = vset(7.0376836292E-2f);
    p = vfma(p, r, vset(-1.1514610310E-1f));
    p = vfma(p, r, vset(1.1676998740E-1f));
    p = vfma(p, r, vset(-1.2420140846E-1f));
    p = vfma(p, r, vset(1.4249322787E-1f));
    p = vfma(p, r, vset(-1.6668057665E-1f));
    p = vfma(p, r, vset(2.0000714765E-1f));
    p = vfma(p, r, vset(-2.4999993993E-1f));
    p = vfma(p, r, vset(3.3333331174E-1f));
    vf y = vmul(vmul(p, r), z);
    y = vfma(e, vset(-2.12194440E-4f), y);
    y = vfma(vset(-0.5f), z, y);
    y = vfma(e, vset(0.693359375f), vadd(r, y));
    vf below = vselect(vgt(x, vset(-0x1p-126f)), vset(-INFINITY), vset(NAN));
    y = vselect(vlt(x, vset(0x1p-126f)), below, y);
    return vselect(vnlt(x, vset(INFINITY)), x, y);
}

static inline vf vsigmoid(vf x)
{
    return vdiv(vset(1.0f), vadd(vset(1.0f), vexp(vneg(x))));
}
