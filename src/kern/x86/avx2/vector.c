/* SPDX-License-Identifier: Apache-2.0 */
/* The avx2 rung: vector kernels of simd/ over vec.h, products from prod.c. */
#include <math.h>

#include "x86/avx2/vec.h"
#include "x86/products.h"

#include "x86/simd/math.inc.c"

#include "x86/simd/elementwise.inc.c"
#include "x86/simd/reduce.inc.c"

#include "x86/simd/row.inc.c" /* uses both */

#include "x86/simd/set.inc.c"

void sm_kern_set_avx2(sm_kern *t)
{
    set_vector_kernels(t);
    sm_kern_set_products_avx2(t);
}
