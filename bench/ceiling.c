/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ceiling [--threads N]: what this machine can do at most, as one line of JSON, for
 * bench/run to hold speeds against in the same run.
 *   fma_gflops       independent f32 FMAs in registers, at the rung's vector width
 *   amx_bf16_gflops  TDPBF16PS on 2 x 2 tiles with every operand loaded from L1;
 *                    null without AMX
 *   bf16_gflops, f32_gflops, read_gb_s   sm_kern_ceiling: product kernels on packed
 *                    operands in cache, and sums over 128 MiB
 * Every figure is the rate of all threads together.  SMELT_CPU chooses the rung.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/kern.h"
#include "smelt/sys.h"

enum { RUNS = 5, TILE_BYTES = 1024, MAX_THREADS = 256 };

/* Ten chains of FMAs, one instruction each: latency 4, two a cycle.  Registers are named so
 * that no compiler moves them; their contents stay finite (x*0 + 0). */
#define FMA_ROUND(reg)                                        \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "0\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "1\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "2\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "3\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "4\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "5\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "6\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "7\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "8\n\t"      \
    "vfmadd213ps %%" reg "15,%%" reg "14,%%" reg "9\n\t"
#define FMA_LOOP(reg)                                                                 \
    __asm__ volatile("vxorps %%xmm14,%%xmm14,%%xmm14\n\t"                             \
                     "vxorps %%xmm15,%%xmm15,%%xmm15\n\t"                             \
                     "1:\n\t" FMA_ROUND(reg) "dec %0\n\t"                             \
                     "jnz 1b\n\t"                                                     \
                     "vzeroupper"                                                     \
                     : "+r"(loops)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",   \
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm14", "xmm15", "cc")

static void fma_ymm(void *arg, ptrdiff_t i, int thread)
{
    long loops = *(const long *)arg;
    (void)i;
    (void)thread;
    FMA_LOOP("ymm");
}

static void fma_zmm(void *arg, ptrdiff_t i, int thread)
{
    long loops = *(const long *)arg;
    (void)i;
    (void)thread;
    FMA_LOOP("zmm");
}

/* Tiles of 16 rows of 64 bytes: palette 1, what ldtilecfg reads. */
typedef struct tile_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shape;

/* Two rows of A tiles by two columns of B tiles: four loads, four products a round. */
static void amx_tiles(void *arg, ptrdiff_t i, int thread)
{
    _Alignas(64) unsigned char tile[4 * TILE_BYTES];
    _Alignas(64) tile_shape shape;
    long loops = *(const long *)arg;
    ptrdiff_t stride = 64;
    (void)i;
    (void)thread;
    memset(tile, 0, sizeof tile);
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    for (int t = 0; t < 8; t++) {
        shape.row_bytes[t] = 64;
        shape.rows[t] = 16;
    }
    __asm__ volatile("ldtilecfg (%1)\n\t"
                     "tilezero %%tmm0\n\ttilezero %%tmm1\n\t"
                     "tilezero %%tmm2\n\ttilezero %%tmm3\n\t"
                     "1:\n\t"
                     "tileloadd 0(%2,%3,1),%%tmm4\n\t"
                     "tileloadd 1024(%2,%3,1),%%tmm5\n\t"
                     "tileloadd 2048(%2,%3,1),%%tmm6\n\t"
                     "tileloadd 3072(%2,%3,1),%%tmm7\n\t"
                     "tdpbf16ps %%tmm6,%%tmm4,%%tmm0\n\t"
                     "tdpbf16ps %%tmm7,%%tmm4,%%tmm1\n\t"
                     "tdpbf16ps %%tmm6,%%tmm5,%%tmm2\n\t"
                     "tdpbf16ps %%tmm7,%%tmm5,%%tmm3\n\t"
                     "dec %0\n\tjnz 1b\n\t"
                     "tilerelease"
                     : "+r"(loops)
                     : "r"(&shape), "r"(tile), "r"(stride)
                     : "memory", "cc");
}

/* Best rate of a loop run by every thread at once; flops are those of one round. */
static double peak(sm_pool *pool, void (*loop)(void *, ptrdiff_t, int), long loops,
                   double flops)
{
    double best = 0;
    int n = sm_pool_n_threads(pool);
    for (int r = 0; r < RUNS; r++) {
        int64_t start = sm_clock_ns();
        sm_pool_run(pool, n, loop, &loops);
        double rate = flops * (double)loops * n / (double)(sm_clock_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

static json_t *fma_peak(const sm_ctx *ctx)
{
    enum { CHAINS = 10, LOOPS = 2000000 };
    if (ctx->kern->rung == SM_RUNG_REF)
        return json_null();
    if (ctx->kern->rung == SM_RUNG_AVX2)
        return json_real(peak(ctx->pool, fma_ymm, LOOPS, CHAINS * 2 * 8));
    return json_real(peak(ctx->pool, fma_zmm, LOOPS, CHAINS * 2 * 16));
}

static json_t *amx_peak(const sm_ctx *ctx)
{
    enum { TILES = 4, LOOPS = 500000 };
    if (ctx->kern->rung != SM_RUNG_AMX)
        return json_null();
    return json_real(peak(ctx->pool, amx_tiles, LOOPS, TILES * 2.0 * 16 * 16 * 32));
}

static sm_status report(const sm_ctx *ctx, sm_err *err)
{
    sm_kern_ceilings c = {0};
    sm_status s = sm_kern_ceiling(&c, ctx, err);
    if (s)
        return s;
    const sm_cpu *cpu = sm_cpu_get();
    json_t *j = json_pack(
        "{s:s, s:s, s:i, s:b, s:b, s:b, s:o, s:o, s:f, s:f, s:f}", "cpu", cpu->model,
        "kernels", ctx->kern->name, "threads", c.n_threads, "avx2", cpu->avx2, "avx512",
        cpu->avx512, "amx", cpu->amx, "fma_gflops", fma_peak(ctx), "amx_bf16_gflops",
        amx_peak(ctx), "bf16_gflops", c.bf16_gflops, "f32_gflops", c.f32_gflops,
        "read_gb_s", c.read_gbytes_s);
    if (!j || json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)))
        s = sm_fail(err, SM_ENOMEM, "bench_ceiling: cannot write the figures");
    else
        putchar('\n');
    json_decref(j);
    return s;
}

int main(int argc, char **argv)
{
    long n_threads = 0;
    sm_err err = {0};
    sm_ctx ctx = {0};
    if (argc == 3 && !strcmp(argv[1], "--threads"))
        n_threads = strtol(argv[2], NULL, 10);
    else if (argc != 1)
        n_threads = -1;
    if (n_threads < 0 || n_threads > MAX_THREADS) {
        fprintf(stderr, "usage: bench_ceiling [--threads 0..%d]\n", MAX_THREADS);
        return 2;
    }
    sm_status s = sm_kern_get(&ctx.kern, NULL, &err);
    if (!s)
        s = sm_pool_create(&ctx.pool, (int)n_threads, &err);
    if (!s)
        s = report(&ctx, &err);
    sm_pool_free(ctx.pool);
    if (s)
        fprintf(stderr, "bench_ceiling: %s\n", err.msg);
    return s ? 1 : 0;
}
