/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counter-based random bits: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3" (SC'11).  The constants are the paper's; the unit
 * test holds its published vectors.
 */
#include "smelt/base.h"

static void philox_round(uint32_t c[4], const uint32_t k[2])
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k[0];
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k[1];
    c[3] = (uint32_t)p0;
}

void sm_rng_block(uint32_t out[4], uint64_t seed, uint32_t stream, uint32_t step,
                  uint64_t index)
{
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    out[0] = (uint32_t)index;
    out[1] = (uint32_t)(index >> 32);
    out[2] = step;
    out[3] = stream;
    for (int r = 0; r < 10; r++) {
        philox_round(out, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

uint64_t sm_rng_u64(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index)
{
    uint32_t b[4];
    sm_rng_block(b, seed, stream, step, index);
    return (uint64_t)b[1] << 32 | b[0];
}

uint64_t sm_rng_below(uint64_t n, uint64_t seed, uint32_t stream, uint32_t step,
                      uint64_t index)
{
    uint64_t x = sm_rng_u64(seed, stream, step, index);
    /* high 64 bits of x*n without a 128-bit type */
    uint64_t xl = x & 0xffffffffu, xh = x >> 32, nl = n & 0xffffffffu, nh = n >> 32;
    uint64_t mid = (xl * nl >> 32) + (xh * nl & 0xffffffffu) + xl * nh;
    uint64_t carry = mid < xl * nh; /* wrapped */
    return xh * nh + (xh * nl >> 32) + (mid >> 32) + (carry << 32);
}

float sm_rng_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index)
{
    uint32_t b[4];
    sm_rng_block(b, seed, stream, step, index);
    return (float)(b[0] >> 8) * 0x1p-24f;
}

/*
 * The sum of the sixteen bytes' halves would be coarse; instead: Irwin-Hall of twelve
 * 21-bit uniforms from two blocks is smooth to 2^-21, exact in integers, symmetric, with
 * variance 1 and range (-6,6).  Its tails are lighter than Gauss beyond 4 sigma, which
 * initialisation does not notice.
 */
float sm_rng_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index)
{
    uint32_t b[8];
    sm_rng_block(b, seed, stream, step, 2 * index);
    sm_rng_block(b + 4, seed, stream, step, 2 * index + 1);
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) { /* 64 bits give three uniforms of 21 bits */
        uint64_t w = (uint64_t)b[2 * i + 1] << 32 | b[2 * i];
        sum += (int64_t)(w & 0x1fffff) + (int64_t)(w >> 21 & 0x1fffff) +
               (int64_t)(w >> 42 & 0x1fffff);
    }
    /* mean of one is (2^21-1)/2; twice the sum keeps it an integer */
    return (float)(2 * sum - 12 * 0x1fffff) * 0x1p-22f;
}
