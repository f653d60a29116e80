/* SPDX-License-Identifier: Apache-2.0 */
/* What `smelt bench` measures beyond the ceilings: the operations of a training step. */
#ifndef SMELT_BENCH_KERNELS_H
#define SMELT_BENCH_KERNELS_H

#include "smelt/base.h"

typedef struct kernel_rate {
    const char *name, *shape;
    double ms;           /* best round */
    double flops, bytes; /* of a round */
} kernel_rate;

enum { KERNEL_RATES = 16 };

/** Measure with ctx's kernels on all its threads, about `seconds` each.  rate has room for
 * KERNEL_RATES. @return SM_ENOMEM */
sm_status bench_kernels(kernel_rate *rate, size_t *n, const sm_ctx *ctx, double seconds,
                        sm_err *err);

#endif
