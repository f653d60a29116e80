/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A software tile unit for src/kern/x86/amx/prod.c: the operations of tile.h, and
 * TDPBF16PS in integer arithmetic from its definition (docs/formats/numerics.md), which
 * shares nothing with the reference kernels and does not depend on MXCSR.
 */
#ifndef KCHECK_TILE_MODEL_H
#define KCHECK_TILE_MODEL_H

void kc_tile_configure(const tile_config *config);
void kc_tile_release(void);
void kc_tile_zero(int t);
void kc_tile_load(int t, const void *p, ptrdiff_t stride);
void kc_tile_store(int t, void *p, ptrdiff_t stride);
void kc_tile_dot(int c, int a, int b);

#define tile_configure(config) kc_tile_configure(config)
#define tile_release() kc_tile_release()
#define tile_zero(t) kc_tile_zero(t)
#define tile_load(t, p, stride) kc_tile_load(t, p, stride)
#define tile_store(t, p, stride) kc_tile_store(t, p, stride)
#define tile_dot(c, a, b) kc_tile_dot(c, a, b)

#endif
