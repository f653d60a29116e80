/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MinHash signatures (Broder 1997) with the hash family of Carter and Wegman over the
 * Mersenne prime p = 2^61-1.  The share of equal positions of two signatures estimates the
 * Jaccard similarity of the sets of n-grams without bias; its standard error is
 * sqrt(J(1-J)/n_hash), 0.047 at most for 112.
 */
#include <string.h>
#include <xxhash.h>

#include "simplify.h"

#define MASK32 0xffffffffu
#define CHUNK 256

/*
 * With a = a1 2^32 + a0 and x likewise, 2^61 = 1 (mod p) gives
 *   a x = 8 a1 x1 + (m >> 29) + ((m mod 2^29) << 32) + a0 x0,   m = a1 x0 + a0 x1.
 * Every term is below 2^61 but a0 x0 < 2^64, which is folded first; the sum is below 2^63.
 */
static inline uint64_t mix(uint64_t a, uint64_t b, uint64_t x)
{
    uint64_t a1 = a >> 32, a0 = a & MASK32, x1 = x >> 32, x0 = x & MASK32;
    uint64_t low = a0 * x0, m = a1 * x0 + a0 * x1;
    uint64_t r = 8 * (a1 * x1) + (m >> 29) + ((m & 0x1fffffff) << 32) +
                 (low & SM_MINHASH_PRIME) + (low >> 61) + b;
    r = (r & SM_MINHASH_PRIME) + (r >> 61);
    return r >= SM_MINHASH_PRIME ? r - SM_MINHASH_PRIME : r;
}

uint64_t sm_minhash_mix(uint64_t a, uint64_t b, uint64_t x)
{
    return mix(a, b, x);
}

void sm_minhash_family(uint64_t *a, uint64_t *b, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        a[i] = 1 + sm_rng_below(SM_MINHASH_PRIME - 1, seed, SM_STREAM_HASH, 0, i);
        b[i] = sm_rng_below(SM_MINHASH_PRIME, seed, SM_STREAM_HASH, 1, i);
    }
}

/* One function at a time over a chunk: its coefficients and minimum stay in registers. */
static void absorb(uint64_t *sig, const uint64_t *a, const uint64_t *b, size_t n_hash,
                   const uint64_t *x, size_t n)
{
    for (size_t k = 0; k < n_hash; k++) {
        uint64_t low = sig[k], ak = a[k], bk = b[k];
        for (size_t i = 0; i < n; i++) {
            uint64_t h = mix(ak, bk, x[i]);
            low = h < low ? h : low;
        }
        sig[k] = low;
    }
}

size_t sm_minhash_signature(uint64_t *sig, const uint64_t *a, const uint64_t *b,
                            size_t n_hash, const char *simple, size_t len, size_t n_gram)
{
    uint64_t chunk[CHUNK];
    size_t n_chunk = 0, total = 0, start = 0, words = 1;
    for (size_t k = 0; k < n_hash; k++)
        sig[k] = UINT64_MAX;
    if (len == 0) return 0;
    for (size_t end = 0; end <= len; end++) {
        if (end < len && simple[end] != ' ') continue;
        if (words < n_gram) {
            words++;
            continue;
        }
        chunk[n_chunk++] = XXH3_64bits(simple + start, end - start) % SM_MINHASH_PRIME;
        total++;
        if (n_chunk == CHUNK) {
            absorb(sig, a, b, n_hash, chunk, n_chunk);
            n_chunk = 0;
        }
        const char *next = memchr(simple + start, ' ', len - start);
        start = next ? (size_t)(next - simple) + 1 : len;
    }
    absorb(sig, a, b, n_hash, chunk, n_chunk);
    return total;
}
