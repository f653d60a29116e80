/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scaling (eval, L6): a law of loss against size and data, or against compute, and how sure
 * one may be of it.
 *
 *   SM_SCALING_SIZE     L = E + A/N^a + B/D^b     (Hoffmann et al. 2022, approach 3)
 *   SM_SCALING_COMPUTE  L = E + C/F^c
 *
 * The fit minimises sum Huber(log L^ - log L) with delta = 1e-3, as that paper does, over a
 * grid of starts, each followed by BFGS; the sum is minimised, not the mean, whose small
 * gradients ended the paper's own search too early (Besiroglu et al. 2024).  Intervals are
 * percentiles of a residual bootstrap: the design stays, residuals are drawn again, widened
 * by sqrt(n / df) for what the fit took and by t(df) / z, 97.5 % points of Student's t and of
 * the normal distribution, for the spread being estimated from df = n - parameters.  No
 * libm: the same bits everywhere.
 */
#ifndef SMELT_SCALING_H
#define SMELT_SCALING_H

#include "smelt/base.h"
#include "smelt/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sm_scaling_law { SM_SCALING_SIZE = 0, SM_SCALING_COMPUTE = 1 } sm_scaling_law;

/** One finished run. */
typedef struct sm_scaling_point {
    double n;    /* parameters that a token uses, > 0 */
    double d;    /* tokens trained on, > 0            */
    double f;    /* FLOPs, > 0                        */
    double loss; /* held out, > 0, any unit           */
} sm_scaling_point;

/** Parameters in this order; a compute law has the first three. */
enum { SM_SCALING_E, SM_SCALING_A, SM_SCALING_a, SM_SCALING_B, SM_SCALING_b };
#define SM_SCALING_MAX 5

typedef struct sm_scaling {
    sm_scaling_law law;
    int32_t n_param;              /* 5 or 3                                            */
    int64_t n_point;
    double value[SM_SCALING_MAX]; /* E, A, a, B, b or E, C, c; E = 0: no floor is seen  */
    double low[SM_SCALING_MAX], high[SM_SCALING_MAX]; /* 95 %                          */
    double rms;                   /* of log residuals                                  */
    double opt[3]; /* SIZE: exponent b/(a+b) with which the best N grows with compute,
                      and its interval; COMPUTE: 0                                     */
    double *sample;   /* [n_sample, n_param] of the bootstrap, for bands               */
    int32_t n_sample;
} sm_scaling;

/** Fit a law.  A pure function of its arguments.
 * @param n_resample  of the bootstrap, 40..100000
 * @return SM_EUNSUPPORTED when the points cannot tell the parameters apart, with what is
 *         missing (too few points, too few different sizes, sizes and tokens in step) or that loss does not
 *         fall as the law says (an exponent outside 0.005..5);
 *         SM_EINVAL for a value that is not finite and positive; SM_ENOMEM */
SM_API sm_status sm_scaling_fit(sm_scaling *out, sm_scaling_law law,
                                const sm_scaling_point *point, int64_t n,
                                int32_t n_resample, uint64_t seed, sm_err *err);
/** What the law says of a point (its loss is not read). */
SM_API double sm_scaling_predict(const sm_scaling *s, const sm_scaling_point *p);
/** The 95 % band of that, from the bootstrap; n of the result is n_sample. */
SM_API sm_status sm_scaling_band(double *low, double *high, const sm_scaling *s,
                                 const sm_scaling_point *p, sm_err *err);
/** {"law", "n", "resamples", "parameters": {"E": {"value","low","high"}, ...}, "rms",
 * "optimal_size_exponent"}; a figure that is not finite is null, and "null_because" beside
 * it says so.  New reference, NULL when out of memory. */
SM_API json_t *sm_scaling_to_json(const sm_scaling *s);
SM_API void sm_scaling_free(sm_scaling *s);

/** Mean of x [n] with Student's 95 % interval (n of 2 and more; else low = high = mean). */
SM_API void sm_stat_student(double out[3], const double *x, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
