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
#include "smelt/sys.h"

#define CHUNK 256

#define ABSORB sm_minhash_absorb
#include "minhash_absorb.inc.c"

typedef void absorb_fn(uint64_t *sig, const uint64_t *a, const uint64_t *b, size_t n_hash,
                       const uint64_t *x, size_t n);

/* The best rung of this machine. */
static absorb_fn *choose(void)
{
    absorb_fn *f = sm_minhash_absorb;
#if defined(__x86_64__)
    const sm_cpu *cpu = sm_cpu_get();
    if (!cpu->avx2)
        return f;
    f = sm_minhash_absorb_avx2;
    if (cpu->avx512)
        f = sm_minhash_absorb_avx512;
#endif
    return f;
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

size_t sm_minhash_signature(uint64_t *sig, const uint64_t *a, const uint64_t *b,
                            size_t n_hash, const char *simple, size_t len, size_t n_gram)
{
    uint64_t chunk[CHUNK];
    size_t n_chunk = 0, total = 0, start = 0, words = 1;
    absorb_fn *absorb = choose();
    for (size_t k = 0; k < n_hash; k++)
        sig[k] = UINT64_MAX;
    if (len == 0)
        return 0;
    for (size_t end = 0; end <= len; end++) {
        if (end < len && simple[end] != ' ')
            continue;
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
