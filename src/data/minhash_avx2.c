/* SPDX-License-Identifier: Apache-2.0 */
/* MinHash's inner loop for avx2. */
#define ABSORB sm_minhash_absorb_avx2
#include "minhash_absorb.inc.c"
