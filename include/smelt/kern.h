/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kern (L2): numeric kernels.  One table of function pointers, filled with the reference
 * (src/kern/ref: plain C, the definition of every result to the bit) and then overridden
 * rung by rung as the CPU allows.  docs/formats/numerics.md writes the definitions down.
 *
 * Rules: no threads, no allocation, no errno; any n >= 0; any alignment of caller arrays
 * (packed buffers are 64-byte aligned); outputs do not overlap inputs unless stated; every
 * call runs under MXCSR 0x9fc0 (sm_pool_run or sm_fp_enter provides it).  Every result
 * equals ref's by memcmp (any NaN equals any NaN).
 */
#ifndef SMELT_KERN_H
#define SMELT_KERN_H

#include "smelt/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sm_dtype { SM_F32 = 0, SM_BF16 = 1 } sm_dtype;

/** avx512bf16 is avx512 with bf16 products by VDPBF16PS. */
typedef enum sm_rung {
    SM_RUNG_REF,
    SM_RUNG_AVX2,
    SM_RUNG_AVX512,
    SM_RUNG_AVX512_BF16,
    SM_RUNG_AMX
} sm_rung;

/**
 * Matrix products of one numerics profile.  C[i,j] (+)= sum_p A[i,p] * B[j,p].
 *   bf16/1: A and B are rounded to bf16 (RNE, FTZ) when packed; for each block of 32 p (the
 *           last one padded with zeros) te = chain of fma over even p from +0, to = over
 *           odd p, C = C + (te + to); f32, FTZ and DAZ; +0.0 is added to what is written.
 *   f32/1:  C = fma(A[i,p], B[j,p], C) for p ascending; +0.0 is added to what is written.
 * C starts at +0, or at the given C when `accumulate`.  A result element depends on its
 * row of A, its row of B and k alone, so any split over i and j keeps the bits, and a
 * split of k at multiples of 32 with `accumulate` does too.
 *
 * Packed layouts belong to the rung.  Panels start at rows that are multiples of mr (A) and
 * nr (B): offset_a(i, k) is the byte offset of row i's panel in a packed A, i % mr == 0.
 * A panel of B holds stretches of 32 k one after another, bytes_b(nr, 32) each.
 */
typedef struct sm_prod {
    const char *profile; /* "bf16/1" or "f32/1" */
    ptrdiff_t mr, nr;
    size_t (*bytes_a)(ptrdiff_t m, ptrdiff_t k); /* multiple of 64 */
    size_t (*bytes_b)(ptrdiff_t n, ptrdiff_t k);
    size_t (*offset_a)(ptrdiff_t i, ptrdiff_t k);
    size_t (*offset_b)(ptrdiff_t j, ptrdiff_t k);
    /** Pack A [m,k]: element (i,p) at src[i*row_stride + p*col_stride]; one of the strides
     * is 1.  src is f32 or bf16 (uint16_t); either gives the same product as if first
     * converted to f32.  Writes the whole panels (padding rows and columns are zero), so
     * packing rows from a panel on writes what packing everything writes there. */
    void (*pack_a)(void *dst, const void *src, sm_dtype type, ptrdiff_t m, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride);
    /** Pack B [n,k] likewise. */
    void (*pack_b)(void *dst, const void *src, sm_dtype type, ptrdiff_t n, ptrdiff_t k,
                   ptrdiff_t row_stride, ptrdiff_t col_stride);
    /** C [m,n] with leading dimension ldc (elements). pa, pb start at a panel. */
    void (*gemm)(float *c, ptrdiff_t ldc, const void *pa, const void *pb, ptrdiff_t m,
                 ptrdiff_t n, ptrdiff_t k, bool accumulate);
} sm_prod;

/** Coefficients of one AdamW step (see sm_kern.adamw): each computed in double from the
 * learning rate lr, the decay wd, b1, b2 and t = 1, 2, .. steps, and rounded once. */
typedef struct sm_adamw {
    float grad_scale;
    float beta1, take1; /* b1, 1 - b1          */
    float beta2, take2; /* b2, 1 - b2          */
    float root2;        /* sqrt(1 - b2^t)      */
    float eps;
    float keep; /* 1 - lr wd           */
    float step; /* lr / (1 - b1^t)     */
} sm_adamw;

/** Scores of a block of n keys from key0 on, for n_row queries (see sm_kern.attn_softmax). */
typedef struct sm_attn_scores {
    float *s; /* [n_row, n] */
    ptrdiff_t n_row, n;
    float scale;
    const int32_t *first, *index; /* [n_row] the first and the last key a query sees */
    int32_t key0;
    float *m, *l, *shrink; /* [n_row] maximum and sum so far; a, written */
} sm_attn_scores;

/** The table.  fma(a,b,c) is one rounding; "sum" is the 32-lane sum of numerics.md:
 * acc[i%32] += x[i] (absent x = +0 up to a multiple of 32), then halves 16,8,4,2,1. */
typedef struct sm_kern {
    sm_rung rung;
    const char *name; /* sm_kern_rung_name(rung) */
    sm_prod bf16, f32;

    /* reductions over one row */
    float (*sum)(const float *x, ptrdiff_t n);
    float (*sumsq)(const float *x, ptrdiff_t n);                 /* lanes by fma(x,x,acc) */
    float (*dot)(const float *x, const float *y, ptrdiff_t n);   /* lanes by fma(x,y,acc) */
    /* -inf for n=0; NaN is ignored; -0 and denormals become +0 */
    float (*max)(const float *x, ptrdiff_t n);

    /* elementwise; y may equal x (same pointer) in all but the two conversions */
    void (*exp)(float *y, const float *x, ptrdiff_t n);
    void (*log)(float *y, const float *x, ptrdiff_t n); /* own definition, <= 2 ulp  */
    void (*add)(float *y, const float *x, ptrdiff_t n);             /* y = y + x     */
    void (*scale)(float *y, const float *x, float a, ptrdiff_t n);  /* y = a * x     */
    void (*axpy)(float *y, float a, const float *x, ptrdiff_t n);   /* y = fma(a,x,y)*/
    void (*mul)(float *y, const float *x, const float *z, ptrdiff_t n); /* y = x * z */
    void (*f32_to_bf16)(uint16_t *y, const float *x, ptrdiff_t n);
    void (*bf16_to_f32)(float *y, const uint16_t *x, ptrdiff_t n);

    /** Softmax of one row in place: m = max, e = exp(x-m), x = e * (1/sum(e)).
     * Returns through m and s (either may be NULL) the max and the sum. */
    void (*softmax)(float *x, ptrdiff_t n, float *m, float *s);

    /** RMS norm of one row: r = 1/sqrt(sumsq(x)/n + eps); y = (x*r)*w (w NULL: y = x*r).
     * Returns r. */
    float (*rmsnorm)(float *y, const float *x, const float *w, float eps, ptrdiff_t n);
    /** Its backward for one row: g = dy*w (w NULL: dy), c = dot(g,x)*r*r*r/n;
     * dx = fma(-c, x, g*r), added to dx when `accumulate`; dw = fma(dy, x*r, dw) when dw is
     * not NULL. */
    void (*rmsnorm_bwd)(float *dx, float *dw, const float *dy, const float *x,
                        const float *w, float r, ptrdiff_t n, bool accumulate);

    /** SwiGLU: y = (g * s) * u, s = 1/(1+exp(-g)). */
    void (*swiglu)(float *y, const float *g, const float *u, ptrdiff_t n);
    /** dg = dy*u*(s*fma(g, 1-s, 1)), du = dy*(g*s); products left to right.  y, when not
     * NULL, is that of swiglu: the forward value again from the same s. */
    void (*swiglu_bwd)(float *dg, float *du, float *y, const float *dy, const float *g,
                       const float *u, ptrdiff_t n);
    /** y = 1/(1+exp(-x)). */
    void (*sigmoid)(float *y, const float *x, ptrdiff_t n);

    /** Rotate pairs of one head in place by the angles whose cos/sin are given, n even:
     * interleaved pairs (2j,2j+1) or half-split pairs (j, j+n/2):
     * a' = a*c - b*s as fma(a, c, -(b*s)); b' = fma(a, s, b*c).  For the backward pass the
     * caller negates sin. */
    void (*rope)(float *x, const float *cos, const float *sin, ptrdiff_t n,
                 bool interleaved);

    /** One step of online softmax over a block of key scores of some queries; for each:
     *   s = s * scale where the query sees the key, else -inf;  m' = max(m, max(s));
     *   p = exp(s - m') in place;  a = exp(m - m') (1 when m == m');
     *   l = fma(l, a, sum(p));  m = m'.
     * When m' is -inf (everything masked) p = exp(s - 0): 0, or NaN where s is; a = 1. */
    void (*attn_softmax)(const sm_attn_scores *a);
    /** Its backward for one query that sees keys lo..hi-1 (any lo and hi), from the scores p
     * and the gradients ds of the probabilities, in place:
     *   x = p * scale - m where lo <= i < hi, else -inf;  p = exp(x) * (1/l);
     *   ds = (p * (ds - delta)) * scale. */
    void (*attn_softmax_bwd)(float *p, float *ds, ptrdiff_t n, float scale, ptrdiff_t lo,
                             ptrdiff_t hi, float m, float l, float delta);

    /** Cross-entropy of one row of logits, n >= 1, 0 <= target < n (checked by the caller):
     * m = max, s = sum(exp(x-m)), loss = (m - x[target]) + log(s), lse = m + log(s).
     * When dx is not NULL, with p = exp(x-m)*(1/s):
     *   dx = fma((2*z_coef)*lse, p, p - onehot) * grad_scale,
     * the gradient of loss + z_coef*lse^2.  dx may equal x.
     * Returns loss, without the z-loss; *lse_out (may be NULL) = lse. */
    float (*cross_entropy)(float *dx, const float *x, int32_t target, float grad_scale,
                           float z_coef, ptrdiff_t n, float *lse_out);

    /** Its two halves, for a row whose parts are held apart: the 32-lane sum of exp(x - m);
     * and dx of a part from m and s of the whole row (lse = m + log(s)). target is the
     * index in this part, or outside 0..n-1 when another part has it.  dx may equal x. */
    float (*exp_sum)(const float *x, float m, ptrdiff_t n);
    void (*cross_entropy_bwd)(float *dx, const float *x, ptrdiff_t target, float m,
                              float s, float grad_scale, float z_coef, ptrdiff_t n);

    /** AdamW for n elements, everything f32:
     *   g = grad*grad_scale; m = fma(take1, g, beta1*m); v = fma(take2*g, g, beta2*v);
     *   w = keep*w - (step*m) / (sqrt(v)/root2 + eps)    the order of torch.optim.AdamW. */
    void (*adamw)(float *w, float *m, float *v, const float *grad, ptrdiff_t n,
                  const sm_adamw *h);
} sm_kern;

/** The table of a rung, or of the fastest that this CPU has.  Honours SMELT_CPU when `want`
 * is NULL. SM_EUNSUPPORTED when the CPU lacks the rung asked for; SM_EINVAL for a name
 * that is no rung.  Static storage. */
SM_API sm_status sm_kern_get(const sm_kern **out, const char *want, sm_err *err);

/** Name of a rung ("ref", "avx2", ...), the lowest first; NULL for a number that is none. */
SM_API const char *sm_kern_rung_name(int rung);

/** What this machine can do at best with a table and a pool: the figures that a benchmark
 * or the progress line of a training run puts its own rate beside. */
typedef struct sm_kern_ceilings {
    int n_threads;       /* of the pool, all of them at work                       */
    double bf16_gflops;  /* bf16/1 product kernel, operands packed and in cache    */
    double f32_gflops;   /* f32/1 product kernel, likewise                         */
    double read_gbytes_s; /* 1e9 bytes/s that `sum` reads from 128 MiB of memory   */
} sm_kern_ceilings;

/** Measure them with ctx->kern and ctx->pool (NULL = one thread) in about 0.3 s.  Other load
 * on the machine lowers the figures; they enter no recorded result.  Allocates about
 * 128 MiB and releases it.  Not to be called inside a pool task.
 * @return SM_OK; SM_EINVAL without ctx->kern; SM_ENOMEM.  *out is untouched on failure. */
SM_API sm_status sm_kern_ceiling(sm_kern_ceilings *out, const sm_ctx *ctx, sm_err *err);

/* Scalar definitions that other modules need at set-up time (recorded computations call no
 * libm): double precision, own series, reproducible to the bit. */
SM_API double sm_math_exp(double x);
SM_API double sm_math_log(double x);
SM_API double sm_math_sin(double x); /* |x| < 2^30 */
SM_API double sm_math_cos(double x);
SM_API double sm_math_pow(double x, double y); /* x > 0 */

#ifdef __cplusplus
}
#endif
#endif
