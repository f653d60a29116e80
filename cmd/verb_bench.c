/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smelt bench: what this machine can do at most, to hold speeds against.
 *   read    GB/s of summing a buffer far larger than the caches
 *   bf16/1, f32/1  GFLOP/s of packed products that stay in cache, all threads
 *   the operations of a training step, with their shares of those ceilings
 * Each figure is the best round within the time given.
 */
#include <stdlib.h>
#include <string.h>

#include "bench_kernels.h"
#include "cmd.h"
#include "smelt/flow.h"
#include "smelt/kern.h"

enum { READ_BYTES = 256 << 20, READ_BLOCK = 1 << 18 };

static const sm_option options[] = {
    {.key = "seconds",
     .type = SM_OPT_FLOAT,
     .def = "0.2",
     .min = 0.01,
     .max = 60,
     .unit = "seconds",
     .help = "time spent on each figure"},
    SM_OPTION_END,
};

typedef struct reading {
    const sm_kern *kern;
    const float *data;
    volatile float sink[256];
} reading;

static void read_task(void *arg, ptrdiff_t i, int thread)
{
    reading *r = arg;
    r->sink[thread] = r->kern->sum(r->data + i * READ_BLOCK, READ_BLOCK);
}

static sm_status bench_read(double *out, const sm_ctx *ctx, double seconds, sm_err *err)
{
    float *data = sm_aligned_alloc(READ_BYTES);
    if (!data)
        return sm_fail(err, SM_ENOMEM, "bench: no memory for %d bytes", READ_BYTES);
    for (size_t i = 0; i < READ_BYTES / sizeof *data; i++)
        data[i] = 1;
    reading r = {.kern = ctx->kern, .data = data};
    double best = 0;
    int64_t end = sm_clock_ns() + (int64_t)(seconds * 1e9);
    do {
        int64_t start = sm_clock_ns();
        sm_pool_run(ctx->pool, READ_BYTES / (ptrdiff_t)sizeof *data / READ_BLOCK,
                    read_task, &r);
        double gb_s = READ_BYTES / ((double)(sm_clock_ns() - start) / 1e9) / 1e9;
        best = gb_s > best ? gb_s : best;
    } while (sm_clock_ns() < end);
    sm_aligned_free(data);
    *out = best;
    return SM_OK;
}

typedef struct figures {
    double read_gb_s, bf16_gflops, f32_gflops;
    kernel_rate kernel[KERNEL_RATES];
    size_t n_kernel;
} figures;

static sm_status measure(figures *f, const sm_ctx *ctx, double seconds, sm_err *err)
{
    sm_status s = bench_read(&f->read_gb_s, ctx, seconds, err);
    if (!s)
        s = sm_flow_ceiling(&f->bf16_gflops, ctx, "bf16/1", seconds, err);
    if (!s)
        s = sm_flow_ceiling(&f->f32_gflops, ctx, "f32/1", seconds, err);
    if (!s)
        s = bench_kernels(f->kernel, &f->n_kernel, ctx, seconds, err);
    return s;
}

static json_t *to_json(const figures *f, const sm_ctx *ctx)
{
    json_t *kernels = json_array();
    for (size_t i = 0; i < f->n_kernel; i++) {
        const kernel_rate *k = &f->kernel[i];
        double gflops = k->flops / k->ms / 1e6, gb_s = k->bytes / k->ms / 1e6;
        json_array_append_new(kernels,
                              json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "name",
                                        k->name, "shape", k->shape, "ms", k->ms, "gflops",
                                        gflops, "peak_frac", gflops / f->bf16_gflops,
                                        "gb_s", gb_s, "read_frac", gb_s / f->read_gb_s));
    }
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:o}", "cpu", sm_cpu_get()->model,
                     "kernels", ctx->kern->name, "threads", sm_pool_n_threads(ctx->pool),
                     "read_gb_s", f->read_gb_s, "bf16_gflops", f->bf16_gflops,
                     "f32_gflops", f->f32_gflops, "operations", kernels);
}

static void print(const figures *f, const sm_ctx *ctx)
{
    printf("%s, kernels %s, %d threads\n", sm_cpu_get()->model, ctx->kern->name,
           sm_pool_n_threads(ctx->pool));
    printf("read           %10.1f GB/s\nproduct bf16/1 %10.1f GFLOP/s\n"
           "product f32/1  %10.1f GFLOP/s\n",
           f->read_gb_s, f->bf16_gflops, f->f32_gflops);
    printf("%-20s %-18s %9s %9s %5s %8s %5s\n", "operation (bf16/1)", "shape", "ms",
           "GFLOP/s", "peak", "GB/s", "read");
    for (size_t i = 0; i < f->n_kernel; i++) {
        const kernel_rate *k = &f->kernel[i];
        double gflops = k->flops / k->ms / 1e6, gb_s = k->bytes / k->ms / 1e6;
        printf("%-20s %-18s %9.3f %9.1f %4.0f%% %8.1f %4.0f%%\n", k->name, k->shape,
               k->ms, gflops, 100 * gflops / f->bf16_gflops, gb_s,
               100 * gb_s / f->read_gb_s);
    }
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    figures f = {0};
    sm_status s = app_ctx(&ctx, a, &err);
    if (!s)
        s = measure(&f, ctx, sm_opt_float(in->opt, "seconds"), &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(to_json(&f, ctx));
    print(&f, ctx);
    return EXIT_GOOD;
}

const verb verb_bench = {
    .name = "bench",
    .summary = "measure this machine's ceilings, and the operations of a training step",
    .details =
        "`read` is the memory, `product` what stays in cache; on all threads, best "
        "round.\n"
        "`peak` is a rate against the bf16/1 product, `read` against the memory (above\n"
        "100 %: the operands stay in cache).  Nothing recorded depends on it.\n"
        "SMELT_CPU=ref|avx2|avx512|avx512bf16|amx in the environment says what kernels\n"
        "to measure; by default the fastest here.",
    .example = "smelt bench --threads 2\n"
               "SMELT_CPU=avx2 smelt bench",
    .options = options,
    .run = run,
};
