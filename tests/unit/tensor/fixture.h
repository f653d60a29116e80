/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tensor share: random data and the rungs of this machine. */
#ifndef TENSOR_FIXTURE_H
#define TENSOR_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/tensor.h"

static inline float *randoms(int64_t n, uint32_t stream)
{
    float *x = calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = sm_rng_normal(1, SM_STREAM_TEST, stream, (uint64_t)i);
    return x;
}

/* The i-th rung of this machine, NULL behind the last. */
static inline const sm_kern *rung(int i)
{
    const sm_kern *k = NULL;
    for (int r = 0; sm_kern_rung_name(r); r++)
        if (sm_kern_get(&k, sm_kern_rung_name(r), NULL) == SM_OK && i-- == 0)
            return k;
    return NULL;
}

static inline void near(double got, double want, double tolerance, const char *what,
                        int64_t at)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s[%lld]: got %.9g, want %.9g", what, (long long)at, got, want);
}

#endif
