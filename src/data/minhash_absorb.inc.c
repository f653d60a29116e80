/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loop of MinHash, compiled once for each instruction set: integers only, so every
 * rung gives the same signatures.  Includers define ABSORB.
 *
 * With a = a1 2^32 + a0 and x likewise, 2^61 = 1 (mod p) gives
 *   a x = 8 a1 x1 + (m >> 29) + ((m mod 2^29) << 32) + a0 x0,   m = a1 x0 + a0 x1.
 * Every term is below 2^61 but a0 x0 < 2^64, which is folded first; the sum is below 2^63.
 */
#include "simplify.h"

static inline uint64_t mix(uint64_t a, uint64_t b, uint64_t x)
{
    uint64_t a1 = a >> 32, a0 = (uint32_t)a, x1 = x >> 32, x0 = (uint32_t)x;
    uint64_t low = a0 * x0, m = a1 * x0 + a0 * x1;
    uint64_t r = 8 * (a1 * x1) + (m >> 29) + ((m & 0x1fffffff) << 32) +
                 (low & SM_MINHASH_PRIME) + (low >> 61) + b;
    r = (r & SM_MINHASH_PRIME) + (r >> 61);
    return r >= SM_MINHASH_PRIME ? r - SM_MINHASH_PRIME : r;
}

/* One function at a time over a chunk: its coefficients and minimum stay in registers.
 * Values are below 2^61 (or UINT64_MAX at the start), so minima are taken as signed numbers
 * of 63 bits: what vector instructions have. */
void ABSORB(uint64_t *sig, const uint64_t *a, const uint64_t *b, size_t n_hash,
            const uint64_t *x, size_t n)
{
    if (n == 0)
        return;
    for (size_t k = 0; k < n_hash; k++) {
        uint64_t ak = a[k], bk = b[k];
        int64_t low = INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            int64_t h = (int64_t)mix(ak, bk, x[i]);
            low = h < low ? h : low;
        }
        if ((uint64_t)low < sig[k])
            sig[k] = (uint64_t)low;
    }
}
