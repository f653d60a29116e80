/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers that the files of tensor share. */
#ifndef SM_TENSOR_INTERNAL_H
#define SM_TENSOR_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "smelt/tensor.h"

static inline int64_t sm_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t sm_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* b * ceil(a / b) */
static inline int64_t sm_ceil_to(int64_t a, int64_t b)
{
    return sm_ceil_div(a, b) * b;
}

/* Bytes rounded up to whole cache lines, so that the next block is aligned. */
static inline size_t sm_line_bytes(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static inline int sm_log2_floor(int64_t n)
{
    int l = 0;
    while (n > 1) {
        n >>= 1;
        l++;
    }
    return l;
}

/* A sum is finite exactly when none of its terms overflowed or was NaN, up to overflow of
 * the sum itself, which is an error too. */
static inline int sm_is_finite(float x)
{
    return x - x == 0.0f;
}

/* n columns from `at` on of row v of shard s, where `out` holds the product: made a leaf. */
void sm_embed_leaf(const sm_kern *kern, const sm_embed_grad *g, int64_t s, int64_t v,
                   int64_t at, float *out, int64_t n);

#endif
