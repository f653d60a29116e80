/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A tile unit that takes the time of one and computes nothing, to see on a machine without
 * AMX what a training step costs around its products.
 */
#ifndef BENCH_TILES_H
#define BENCH_TILES_H

#include "smelt/kern.h"

/** The avx512 rung with the products of the amx rung over timed_unit.h.  C gets bytes of A,
 * finite and of its size: results mean nothing.
 * @return false where this CPU has no AVX-512 or the build no such kernels */
bool bench_timed_tiles(sm_kern *out);

#endif
