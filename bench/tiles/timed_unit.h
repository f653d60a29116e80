/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of src/kern/x86/amx/tile.h with the memory traffic of a tile unit and its
 * 16 cycles a TDPBF16PS, which 16 multiplications on the one port that has them stand for;
 * they overlap with loads as the tile unit does.
 */
#ifndef BENCH_TIMED_UNIT_H
#define BENCH_TIMED_UNIT_H

#include <immintrin.h>

static const char unit_zeros[16 * 64];
static _Thread_local const char *unit_last_a = unit_zeros;
static _Thread_local int unit_rows; /* of the tiles of A and C */

static inline __attribute__((always_inline)) void unit_load(int t, const void *tile,
                                                            ptrdiff_t stride)
{
    const char *p = tile;
    if (t == 4)
        unit_last_a = p;
    for (int r = 0; r < (t < 6 ? unit_rows : 16); r++)
        __asm__ volatile("vmovdqu64 %0, %%zmm31" ::"m"(*(const __m512i *)(p + r * stride))
                         : "xmm31");
}

/* The upper halves of the bf16 pairs of A, as numbers. */
static inline void unit_store(void *tile, ptrdiff_t stride)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    for (int r = 0; r < unit_rows; r++)
        _mm512_storeu_si512(
            (char *)tile + r * stride,
            _mm512_and_si512(_mm512_loadu_si512(unit_last_a + r * 64), upper));
}

#define tile_configure(config) ((void)(unit_rows = (config)->rows[0]))
#define tile_release() ((void)0)
#define tile_zero(t) ((void)0)
#define tile_load(t, p, stride) unit_load(t, p, stride)
#define tile_store(t, p, stride) unit_store(p, stride)
#define tile_dot(c, a, b) \
    __asm__ volatile(".rept 16\n\timul $3, %%r11, %%r10\n\t.endr" ::: "r10", "cc")

#endif
