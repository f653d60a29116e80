/* SPDX-License-Identifier: Apache-2.0 */
/* The reference where the CPU has FMA (the name of this file selects the flags). */
#define SET_REF sm_kern_set_ref_fma
#include "ref/build.inc.c"
