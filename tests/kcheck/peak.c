/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ceilings of one thread, measured: independent FMAs, dot products or tile products, and
 * loads from L1, each at the width that a rung may use.  ref is plain C: four lanes, what
 * every x86-64 has.
 */
#include "kcheck.h"
#include "smelt/sys.h"
#include "x86/amx/tile.h"

enum { RUNS = 5 };

/* Twelve independent chains, one instruction each; registers are named so that no
 * compiler moves them. */
#define LINK(op, reg, i) op " %%" reg "15,%%" reg "14,%%" reg #i "\n\t"
#define LINKS(op, reg, i, j, k, l) \
    LINK(op, reg, i) LINK(op, reg, j) LINK(op, reg, k) LINK(op, reg, l)
#define PEAK(op, reg)                                                               \
    __asm__ volatile("1:\n\t"                                                       \
                     LINKS(op, reg, 0, 1, 2, 3) LINKS(op, reg, 4, 5, 6, 7)          \
                     LINKS(op, reg, 8, 9, 10, 11)                                   \
                     "dec %0\n\t"                                                   \
                     "jnz 1b\n\t"                                                   \
                     "vzeroupper"                                                   \
                     : "+r"(loops)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14",   \
                       "xmm15")

/* 2 x 2 tiles of C, operands in registers: 16 x 16 x 32 products an instruction. */
static void tile_products(long loops)
{
    tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.row_bytes[t] = 64;
        c.rows[t] = 16;
    }
    tile_configure(&c);
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_zero(4);
    tile_zero(5);
    tile_zero(6);
    tile_zero(7);
    for (; loops > 0; loops--) {
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 7);
        tile_dot(2, 5, 6);
        tile_dot(3, 5, 7);
    }
    tile_release();
}

/* FLOP of one call at a rung; 0 where it has no instruction for it. */
static double multiply(sm_rung rung, bool is_bf16)
{
    bool is_tile = rung == SM_RUNG_AMX && is_bf16;
    long loops = is_tile ? 100000 : 500000;
    double n = (double)loops;
    if (is_tile) {
        tile_products(loops);
        return n * 4 * 2 * 16 * 16 * 32;
    }
    if (!sm_cpu_get()->avx2)
        return 0;
    if (rung == SM_RUNG_AVX512_BF16 && is_bf16) {
        PEAK("vdpbf16ps", "zmm");
        return n * 12 * 2 * 32;
    }
    if (rung == SM_RUNG_REF)
        PEAK("vfmadd213ps", "xmm");
    else if (rung == SM_RUNG_AVX2)
        PEAK("vfmadd213ps", "ymm");
    else
        PEAK("vfmadd213ps", "zmm");
    return n * 12 * 2 * (rung == SM_RUNG_REF ? 4 : rung == SM_RUNG_AVX2 ? 8 : 16);
}

double kc_product_peak(const sm_kern *k, const sm_prod *p)
{
    double best = 0;
    for (int r = 0; r < RUNS; r++) {
        int64_t start = sm_clock_ns();
        double flops = multiply(k->rung, p == &k->bf16);
        double rate = flops / (double)(sm_clock_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Eight loads of whole vectors from 16 KiB, round and round. */
#define LOADS(reg, width)                                                              \
    __asm__ volatile("1:\n\t"                                                          \
                     "vmovups (%1),%%" reg "0\n\t"                                     \
                     "vmovups 1*" width "(%1),%%" reg "1\n\t"                          \
                     "vmovups 2*" width "(%1),%%" reg "2\n\t"                          \
                     "vmovups 3*" width "(%1),%%" reg "3\n\t"                          \
                     "vmovups 4*" width "(%1),%%" reg "4\n\t"                          \
                     "vmovups 5*" width "(%1),%%" reg "5\n\t"                          \
                     "vmovups 6*" width "(%1),%%" reg "6\n\t"                          \
                     "vmovups 7*" width "(%1),%%" reg "7\n\t"                          \
                     "add $8*" width ",%1\n\t"                                         \
                     "cmp %2,%1\n\t"                                                   \
                     "jb 1b\n\t"                                                       \
                     "mov %3,%1\n\t"                                                   \
                     "dec %0\n\t"                                                      \
                     "jnz 1b\n\t"                                                      \
                     "vzeroupper"                                                      \
                     : "+&r"(loops), "+&r"(p)                                          \
                     : "r"(end), "r"(start)                                            \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
                       "memory", "cc")

double kc_read_peak(const sm_kern *k)
{
    enum { BYTES = 16384, LOOPS = 20000 };
    double best = 0;
    char *start = sm_aligned_alloc(BYTES), *end = start + BYTES;
    for (int r = 0; r < RUNS && start; r++) {
        long loops = LOOPS;
        char *p = start;
        int64_t t0 = sm_clock_ns();
        if (k->rung == SM_RUNG_REF && !sm_cpu_get()->avx2)
            break;
        else if (k->rung == SM_RUNG_REF)
            LOADS("xmm", "16");
        else if (k->rung == SM_RUNG_AVX2)
            LOADS("ymm", "32");
        else
            LOADS("zmm", "64");
        double rate = (double)BYTES * LOOPS / (double)(sm_clock_ns() - t0);
        best = rate > best ? rate : best;
    }
    sm_aligned_free(start);
    return best;
}
