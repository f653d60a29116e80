/* SPDX-License-Identifier: Apache-2.0 */
/* Inside eval: the objective of a scaling law and its minimiser. */
#ifndef SMELT_EVAL_SCALING_INTERNAL_H
#define SMELT_EVAL_SCALING_INTERNAL_H

#include "smelt/scaling.h"

/**
 * log L^(i) = log sum(exp(e), exp(a1 - k1 x1[i]), exp(a2 - k2 x2[i])), p = (e, a1, k1, a2,
 * k2); x is log N, log D or log F less its mean, so that level and slope are not confused.
 */
typedef struct scaling_problem {
    int32_t n_param; /* 3 or 5 */
    int64_t n;
    const double *x[2]; /* [n] each; the second is NULL for 3 parameters */
    const double *y;    /* [n] log loss */
} scaling_problem;

/** Predicted log loss of point i; dp [n_param] its gradient, may be NULL. */
double scaling_log_loss(double *dp, const scaling_problem *q, const double *p, int64_t i);
/** Improve p by BFGS; returns the objective. */
double scaling_descend(double *p, const scaling_problem *q);
/** The best over a grid of starts. */
double scaling_search(double *p, const scaling_problem *q);

#endif
