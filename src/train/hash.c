/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checksum for scratch files: four lanes of FNV-1a over 64-bit words (multiply by an
 * odd constant after xor, so any single changed word changes its lane), joined at the
 * end. Every lane step is a bijection of the state: a change confined to one word is
 * always found; others are missed with probability about 2^-64.
 */
#include <string.h>

#include "train_internal.h"

#define FNV_PRIME UINT64_C(0x100000001b3)
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * FNV_PRIME;
    return h ^ h >> 32; /* FNV alone never carries high bits down */
}

uint64_t train_sum64(uint64_t seed, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t lane[4];
    for (unsigned l = 0; l < 4; l++)
        lane[l] = mix(FNV_BASIS, seed + l);
    size_t n = bytes;
    for (; n >= 32; n -= 32, p += 32)
        for (size_t l = 0; l < 4; l++) {
            uint64_t w;
            memcpy(&w, p + 8 * l, sizeof w);
            lane[l] = mix(lane[l], w);
        }
    uint64_t h = mix(FNV_BASIS, bytes);
    for (; n > 0; n--, p++)
        h = mix(h, *p);
    for (unsigned l = 0; l < 4; l++)
        h = mix(h, lane[l]);
    return h;
}
