/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smelt bench: what this machine can do at most, to hold speeds against.
 *   read    GB/s of summing a buffer far larger than the caches
 *   bf16/1, f32/1  GFLOP/s of packed products that stay in cache, all threads
 * Each figure is the best round within the time given.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"
#include "smelt/kern.h"

enum { READ_BYTES = 256 << 20, READ_BLOCK = 1 << 18 };

static const sm_option options[] = {
    {.key = "seconds",
     .type = SM_OPT_FLOAT,
     .def = "0.5",
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

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    double read = 0, bf16 = 0, f32 = 0, seconds = sm_opt_float(in->opt, "seconds");
    sm_status s = app_ctx(&ctx, a, &err);
    if (!s)
        s = bench_read(&read, ctx, seconds, &err);
    if (!s)
        s = sm_flow_ceiling(&bf16, ctx, "bf16/1", seconds, &err);
    if (!s)
        s = sm_flow_ceiling(&f32, ctx, "f32/1", seconds, &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f}", "cpu", sm_cpu_get()->model,
                      "kernels", ctx->kern->name, "threads", sm_pool_n_threads(ctx->pool),
                      "read_gb_s", read, "bf16_gflops", bf16, "f32_gflops", f32));
    printf("%s, kernels %s, %d threads\n", sm_cpu_get()->model, ctx->kern->name,
           sm_pool_n_threads(ctx->pool));
    printf("read           %10.1f GB/s\nproduct bf16/1 %10.1f GFLOP/s\n"
           "product f32/1  %10.1f GFLOP/s\n",
           read, bf16, f32);
    return EXIT_GOOD;
}

const verb verb_bench = {
    .name = "bench",
    .summary = "measure this machine's ceilings: memory, products",
    .example = "smelt bench --threads 2",
    .options = options,
    .run = run,
};
