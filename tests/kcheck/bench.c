/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times every case and the products: best of several runs, one thread, data in cache.
 * Beside each figure its share of a ceiling of the rung, measured in the same run
 * (peak.c): independent products for products, loads from L1 for the rest.
 */
#include <stdlib.h>

#include "kcheck.h"

enum { RUNS = 12, ROW = 4096 };

static void fill_ordinary(void *p, sm_dtype type, ptrdiff_t n, kc_rng *r)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        float x = kc_value(r, KC_ORDINARY) * 0.125f;
        if (type == SM_BF16)
            ((uint16_t *)p)[i] = (uint16_t)(sm_bits(x) >> 16);
        else
            ((float *)p)[i] = x;
    }
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double time_case(const sm_kern *k, const kc_case *c, kc_args *g)
{
    double best = 1e18;
    int repeat = k->rung == SM_RUNG_REF ? 4 : 40;
    for (int r = 0; r < RUNS; r++) {
        int64_t start = sm_clock_ns();
        for (int i = 0; i < repeat; i++)
            c->call(k, g);
        double ns = (double)(sm_clock_ns() - start) / repeat;
        best = smaller(best, ns);
    }
    return best;
}

static void bench_case(const sm_kern *k, const kc_case *c, double peak)
{
    kc_args g = {.n = ROW,
                 .a = {0.5f, 0.25f, 0.5f, 0.5f},
                 .target = 7,
                 .adamw = KC_ADAMW};
    kc_rng r = {7};
    double bytes = 0;
    for (int i = 0; i < c->n_arrays; i++) {
        size_t size = c->arrays[i].type == SM_BF16 ? 2 : 4,
               n = ROW / (size_t)c->arrays[i].divisor;
        g.p[i] = sm_aligned_alloc(n * size);
        if (!g.p[i])
            return;
        fill_ordinary(g.p[i], c->arrays[i].type, (ptrdiff_t)n, &r);
        bytes += (double)(n * size) * (c->arrays[i].direction == KC_INOUT ? 2 : 1);
    }
    double ns = time_case(k, c, &g);
    printf("%-8s %-16s %9.0f ns  %6.3f ns/element  %7.1f GB/s", k->name, c->name, ns,
           ns / ROW, bytes / ns);
    if (peak > 0)
        printf(" (%3.0f %% of L1 reads %.0f)", 100 * bytes / ns / peak, peak);
    printf("\n");
    for (int i = 0; i < c->n_arrays; i++)
        sm_aligned_free(g.p[i]);
}

typedef struct product_times {
    double pack_a, pack_b, gemm; /* ns */
} product_times;

static product_times time_product(const sm_prod *p, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                                  int runs)
{
    product_times best = {1e18, 1e18, 1e18};
    kc_rng r = {3};
    float *a = sm_aligned_alloc((size_t)(m * k) * 4),
          *b = sm_aligned_alloc((size_t)(n * k) * 4);
    float *c = sm_aligned_alloc((size_t)(m * n) * 4);
    void *pa = sm_aligned_alloc(p->bytes_a(m, k)),
         *pb = sm_aligned_alloc(p->bytes_b(n, k));
    if (a && b && c && pa && pb) {
        fill_ordinary(a, SM_F32, m * k, &r);
        fill_ordinary(b, SM_F32, n * k, &r);
        for (int i = 0; i < runs; i++) {
            int64_t t0 = sm_clock_ns();
            p->pack_a(pa, a, SM_F32, m, k, k, 1);
            int64_t t1 = sm_clock_ns();
            p->pack_b(pb, b, SM_F32, n, k, k, 1);
            int64_t t2 = sm_clock_ns();
            p->gemm(c, n, pa, pb, m, n, k, false);
            int64_t t3 = sm_clock_ns();
            best.pack_a = smaller(best.pack_a, (double)(t1 - t0));
            best.pack_b = smaller(best.pack_b, (double)(t2 - t1));
            best.gemm = smaller(best.gemm, (double)(t3 - t2));
        }
    }
    sm_aligned_free(a);
    sm_aligned_free(b);
    sm_aligned_free(c);
    sm_aligned_free(pa);
    sm_aligned_free(pb);
    return best;
}

/* Packing reads four bytes an element. */
static void print_pack(const char *operand, double ns, double n, double read)
{
    printf("  pack %s %.2f ns/element %.1f GB/s", operand, ns / n, 4 * n / ns);
    if (read > 0)
        printf(" (%.0f %%)", 100 * 4 * n / ns / read);
}

static void bench_products(const sm_kern *k, const sm_prod *p, double read)
{
    static const ptrdiff_t shapes[][3] = {{1, 1024, 1024},    {16, 512, 512},
                                          {64, 512, 512},     {512, 512, 512},
                                          {1024, 1024, 1024}, {1000, 777, 515}};
    double peak = kc_product_peak(k, p);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ptrdiff_t m = shapes[i][0], n = shapes[i][1], d = shapes[i][2];
        product_times t = time_product(p, m, n, d, k->rung == SM_RUNG_REF ? 2 : RUNS);
        double flops = 2.0 * (double)m * (double)n * (double)d;
        printf("%-8s %-7s %4td x %4td x %4td  %7.1f GFLOP/s", k->name, p->profile, m, n,
               d, flops / t.gemm);
        if (peak > 0)
            printf(" (%3.0f %% of peak %.0f)", 100 * flops / t.gemm / peak, peak);
        print_pack("A", t.pack_a, (double)(m * d), read);
        print_pack("B", t.pack_b, (double)(n * d), read);
        printf("\n");
    }
}

int kc_bench(const sm_kern *const *rungs, int n_rungs, const char *pattern)
{
    for (int i = 0; i < n_rungs; i++) {
        double peak = kc_read_peak(rungs[i]);
        for (int c = 0; c < kc_n_cases; c++)
            if (!pattern || strstr(kc_cases[c].name, pattern))
                bench_case(rungs[i], &kc_cases[c], peak);
        if (!pattern || strstr(rungs[i]->bf16.profile, pattern))
            bench_products(rungs[i], &rungs[i]->bf16, peak);
        if (!pattern || strstr(rungs[i]->f32.profile, pattern))
            bench_products(rungs[i], &rungs[i]->f32, peak);
    }
    return n_rungs ? 0 : 1;
}
