/* SPDX-License-Identifier: Apache-2.0 */
/* Products of the avx2 rung: tiles of 3 x 16 (even and odd chains) and 6 x 16. */
#include "x86/avx2/pairs.h"
#include "x86/products.h"

#define MR_BF16 3
#define MR_F32 6
#include "x86/simd/gemm.inc.c"
#include "x86/simd/pack.inc.c"

void sm_kern_set_products_avx2(sm_kern *t)
{
    set_products(t);
}
