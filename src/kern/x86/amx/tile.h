/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The eight tile registers, as five operations.  The kernel in prod.c is written in these
 * alone, so that kcheck can compile it a second time over a software model of the tile
 * unit (SM_TILE_MODEL names the header that replaces the instructions).
 *
 * Assembly with a memory clobber instead of intrinsics: gcc 12 believes that ldtilecfg
 * reads 8 of its 64 bytes and that tileloadd reads none, and drops or moves the stores.
 */
#ifndef SMELT_KERN_AMX_TILE_H
#define SMELT_KERN_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

_Static_assert(sizeof(tile_config) == 64, "the operand of ldtilecfg");

#ifdef SM_TILE_MODEL
#include SM_TILE_MODEL
#else
#define tile_configure(config) \
    __asm__ volatile("ldtilecfg %0" ::"m"(*(config)) : "memory")
#define tile_release() __asm__ volatile("tilerelease" ::: "memory")
#define tile_zero(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define tile_load(t, p, stride)                                                         \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((ptrdiff_t)(stride)) \
                     : "memory")
#define tile_store(t, p, stride)                                   \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), \
                     "r"((ptrdiff_t)(stride))                      \
                     : "memory")
/* c += a b: TDPBF16PS */
#define tile_dot(c, a, b) \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
#endif

#endif
