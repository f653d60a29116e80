/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs, guarded buffers and comparison. */
#include <stdlib.h>

#include "kcheck.h"

enum { GUARD = 128, GUARD_BYTE = 0xa5 };

uint64_t kc_next(kc_rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

ptrdiff_t kc_below(kc_rng *r, ptrdiff_t n)
{
    return n > 0 ? (ptrdiff_t)(kc_next(r) % (uint64_t)n) : 0;
}

const char *kc_mode_name(int mode)
{
    static const char *const names[KC_N_MODES] = {
        "ordinary", "wide", "any-bits", "underflow", "overflow", "special", "sparse"};
    return names[mode];
}

static float uniform(uint64_t bits, float scale)
{
    return ((float)(bits >> 40) * 0x1p-23f - 1.0f) * scale;
}

/* A random sign and mantissa with an exponent in low..low+span-1 (biased). */
static float with_exponent(uint64_t bits, uint32_t low, uint32_t span)
{
    uint32_t e = low + (uint32_t)(bits >> 32) % span;
    return sm_from_bits(((uint32_t)bits & 0x807fffffu) | e << 23);
}

float kc_value(kc_rng *r, int mode)
{
    static const uint32_t specials[] = {
        0x00000000u, 0x80000000u, 0x00000001u, 0x80000001u, 0x007fffffu, 0x807fffffu,
        0x00800000u, 0x80800000u, 0x7f800000u, 0xff800000u, 0x7f7fffffu, 0xff7fffffu,
        0x7fc00000u, 0xffc00000u, 0x7f800001u, 0x7fffffffu, 0x3f800000u, 0xbf800000u,
        0x42b17218u, 0xc2aeac50u, 0x00ffffffu, 0x3f7fffffu};
    enum { N_SPECIALS = sizeof specials / sizeof *specials };
    uint64_t bits = kc_next(r);
    switch (mode) {
    case KC_WIDE:
        return uniform(bits, 128.0f);
    case KC_ANY_BITS:
        return sm_from_bits((uint32_t)bits);
    case KC_UNDERFLOW:
        return with_exponent(bits, 52, 20);
    case KC_OVERFLOW:
        return with_exponent(bits, 184, 10);
    case KC_SPECIAL:
        return bits % 8 ? uniform(bits, 8.0f)
                        : sm_from_bits(specials[(bits >> 8) % N_SPECIALS]);
    case KC_SPARSE:
        return bits % 8 ? sm_from_bits((uint32_t)bits & 0x80000000u)
                        : with_exponent(kc_next(r), 44, 30);
    default:
        return uniform(bits, 8.0f);
    }
}

bool kc_buffer_create(kc_buffer *b, size_t bytes, size_t misalign)
{
    b->bytes = bytes;
    b->total = bytes + 2 * GUARD + misalign;
    b->base = sm_aligned_alloc(b->total);
    if (!b->base)
        return false;
    memset(b->base, GUARD_BYTE, b->total);
    b->data = b->base + GUARD + misalign;
    return true;
}

bool kc_buffer_intact(const kc_buffer *b)
{
    for (const unsigned char *p = b->base; p < b->base + b->total; p++)
        if ((p < b->data || p >= b->data + b->bytes) && *p != GUARD_BYTE)
            return false;
    return true;
}

void kc_buffer_free(kc_buffer *b)
{
    sm_aligned_free(b->base);
    *b = (kc_buffer){0};
}

static bool same_f32(uint32_t a, uint32_t b)
{
    bool a_nan = (a & 0x7fffffffu) > 0x7f800000u, b_nan = (b & 0x7fffffffu) > 0x7f800000u;
    return a == b || (a_nan && b_nan);
}

ptrdiff_t kc_compare(const void *a, const void *b, sm_dtype type, ptrdiff_t n)
{
    const uint16_t *ah = a, *bh = b;
    const uint32_t *aw = a, *bw = b;
    for (ptrdiff_t i = 0; i < n; i++)
        if (type == SM_BF16 ? !same_f32((uint32_t)ah[i] << 16, (uint32_t)bh[i] << 16)
                            : !same_f32(aw[i], bw[i]))
            return i;
    return -1;
}

bool kc_wanted(const kc_run *run, const char *name)
{
    return !run->pattern || strstr(name, run->pattern);
}
