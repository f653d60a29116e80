/* SPDX-License-Identifier: Apache-2.0 */
/* MinHash's inner loop for avx512. */
#define ABSORB sm_minhash_absorb_avx512
#include "minhash_absorb.inc.c"
