/* SPDX-License-Identifier: Apache-2.0 */
/** Text as near-duplicate search sees it, and its MinHash signature. */
#ifndef SMELT_DATA_SIMPLIFY_H
#define SMELT_DATA_SIMPLIFY_H

#include "smelt/base.h"

/**
 * In this order: lower case; numbers to "0" (with one '.', ',' or the like inside); weekday
 * names to WEEKDAY and month names to MONTH (English, also inside words, as in datatrove);
 * punctuation to a blank; white space to one blank, none at the ends; canonical
 * decomposition without non-spacing marks.  Han and Kana get blanks around each character.
 * Appends to out.
 */
bool sm_simplify_text(sm_buf *out, const char *text, size_t len);

#define SM_MINHASH_PRIME (((uint64_t)1 << 61) - 1)

/** (a x + b) mod 2^61-1; a, x < 2^61-1. */
uint64_t sm_minhash_mix(uint64_t a, uint64_t b, uint64_t x);

/** sig[k] = min(sig[k], mix(a[k], b[k], x[i])) over i; one body, compiled for each rung. */
void sm_minhash_absorb(uint64_t *sig, const uint64_t *a, const uint64_t *b, size_t n_hash,
                       const uint64_t *x, size_t n);
void sm_minhash_absorb_avx2(uint64_t *sig, const uint64_t *a, const uint64_t *b,
                            size_t n_hash, const uint64_t *x, size_t n);
void sm_minhash_absorb_avx512(uint64_t *sig, const uint64_t *a, const uint64_t *b,
                              size_t n_hash, const uint64_t *x, size_t n);

/** Coefficients of n hash functions: a in 1..p-1, b in 0..p-1, from the seed. */
void sm_minhash_family(uint64_t *a, uint64_t *b, size_t n, uint64_t seed);

/**
 * Signature of a simplified text: min over its word n-grams of each function; n-grams are
 * the n words with one blank between, hashed to 64 bits by XXH3 and taken mod 2^61-1.
 * @param[out] sig [n_hash]
 * @return number of n-grams; 0 leaves sig all UINT64_MAX
 */
size_t sm_minhash_signature(uint64_t *sig, const uint64_t *a, const uint64_t *b,
                            size_t n_hash, const char *simple, size_t len, size_t n_gram);

#endif
