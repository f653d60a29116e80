/* SPDX-License-Identifier: Apache-2.0 */
/* The product halves of the vector rungs, called from their vector.c. */
#ifndef SMELT_KERN_X86_PRODUCTS_H
#define SMELT_KERN_X86_PRODUCTS_H

#include "internal.h"

void sm_kern_set_products_avx2(sm_kern *t);
void sm_kern_set_products_avx512(sm_kern *t);

#endif
