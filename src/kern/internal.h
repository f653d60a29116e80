/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the table of kernels is filled: the reference first, then each rung of the ladder
 * overrides what it does faster.  To add a rung: write sm_kern_set_<rung>, call it from
 * table.c after the rung below it, add its name there; kcheck finds it by itself.
 */
#ifndef SMELT_KERN_INTERNAL_H
#define SMELT_KERN_INTERNAL_H

#include <string.h>

#include "smelt/kern.h"

/* K of a bf16 product is cut into groups of this length (one TDPBF16PS). */
enum { SM_K_GROUP = 32 };

/* The reference, twice from the same source: baseline x86-64 without an FMA instruction,
 * and with one.  Same bits; the second is 2-20 times faster. */
void sm_kern_set_ref_plain(sm_kern *t);
void sm_kern_set_ref_fma(sm_kern *t);

void sm_kern_set_avx2(sm_kern *t);
void sm_kern_set_avx512(sm_kern *t);
void sm_kern_set_avx512bf16(sm_kern *t);
void sm_kern_set_amx(sm_kern *t);

/* Whether VDPBF16PS, with twice the products, takes less than 1.5 times as long as an FMA
 * here: measured, a tenth of a millisecond.  For a CPU with AVX-512 and its BF16. */
bool sm_kern_dot_pays(void);

static inline uint32_t sm_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float sm_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline ptrdiff_t sm_round_up(ptrdiff_t x, ptrdiff_t unit)
{
    return (x + unit - 1) / unit * unit;
}

static inline ptrdiff_t sm_min_index(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

#endif
