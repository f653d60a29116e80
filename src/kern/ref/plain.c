/* SPDX-License-Identifier: Apache-2.0 */
/* The reference for any x86-64: fma is computed in double. */
#define SET_REF sm_kern_set_ref_plain
#include "ref/build.inc.c"
