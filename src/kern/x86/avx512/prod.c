/* SPDX-License-Identifier: Apache-2.0 */
/* Products of the avx512 rung: tiles of 7 x 32 (even and odd chains) and 14 x 32. */
#include "x86/avx512/pairs.h"
#include "x86/products.h"

#define MR_BF16 7
#define MR_F32 14
#include "x86/simd/gemm.inc.c"
#include "x86/simd/pack.inc.c"

void sm_kern_set_products_avx512(sm_kern *t)
{
    set_products(t);
}
