/* SPDX-License-Identifier: Apache-2.0 */
/* The ladder of rungs, the two references, and the ceilings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "internal.h"
#include "smelt/sys.h"

static const char *const names[] = {"ref", "avx2", "avx512", "avx512bf16", "amx"};

enum { N_NAMES = sizeof names / sizeof *names };

static void rungs_are_named_and_ordered(void **state)
{
    (void)state;
    assert_null(sm_kern_rung_name(-1));
    assert_null(sm_kern_rung_name(N_NAMES));
    for (int i = 0; i < N_NAMES; i++) {
        const sm_kern *k = NULL;
        sm_err err;
        assert_string_equal(sm_kern_rung_name(i), names[i]);
        sm_status s = sm_kern_get(&k, names[i], &err);
        if (s == SM_OK) {
            assert_int_equal(k->rung, i);
            assert_string_equal(k->name, names[i]);
        } else {
            assert_int_equal(s, SM_EUNSUPPORTED);
            assert_non_null(strstr(err.msg, "this CPU has no"));
            assert_null(k);
        }
    }
}

static void unknown_names_are_refused(void **state)
{
    (void)state;
    const sm_kern *k = NULL;
    sm_err err;
    assert_int_equal(sm_kern_get(&k, "sse9", &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "sse9"));
    assert_null(k);
}

static void environment_selects(void **state)
{
    (void)state;
    const sm_kern *k = NULL, *best = NULL;
    sm_err err;
    unsetenv("SMELT_CPU");
    assert_int_equal(sm_kern_get(&best, NULL, &err), SM_OK);
    setenv("SMELT_CPU", "ref", 1);
    assert_int_equal(sm_kern_get(&k, NULL, &err), SM_OK);
    assert_int_equal(k->rung, SM_RUNG_REF);
    setenv("SMELT_CPU", "neon", 1);
    assert_int_equal(sm_kern_get(&k, NULL, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "SMELT_CPU"));
    setenv("SMELT_CPU", "", 1);
    assert_int_equal(sm_kern_get(&k, NULL, &err), SM_OK);
    assert_ptr_equal(k, best);
    unsetenv("SMELT_CPU");
}

static void panels_are_whole_lines(void **state)
{
    (void)state;
    for (int i = 0; i < N_NAMES; i++) {
        const sm_kern *k;
        if (sm_kern_get(&k, names[i], NULL) != SM_OK)
            continue;
        const sm_prod *profiles[2] = {&k->bf16, &k->f32};
        for (int q = 0; q < 2; q++) {
            const sm_prod *p = profiles[q];
            for (ptrdiff_t d = 0; d < 70; d += 3) {
                assert_int_equal(p->bytes_a(5 * p->mr - 1, d) % 64, 0);
                assert_int_equal(p->bytes_b(5 * p->nr - 1, d) % 64, 0);
                assert_int_equal(p->offset_a(5 * p->mr, d), p->bytes_a(5 * p->mr, d));
                assert_int_equal(p->offset_b(5 * p->nr, d), p->bytes_b(5 * p->nr - 1, d));
                assert_int_equal(p->offset_b(0, d), 0);
            }
        }
    }
}

static void ceilings_are_plausible(void **state)
{
    (void)state;
    sm_pool *pool = NULL;
    sm_ctx ctx = {0};
    sm_kern_ceilings c;
    sm_err err;
    assert_int_equal(sm_kern_ceiling(&c, &ctx, &err), SM_EINVAL);
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, &err), SM_OK);
    assert_int_equal(sm_pool_create(&pool, 2, &err), SM_OK);
    ctx.pool = pool;
    int64_t start = sm_clock_ns();
    assert_int_equal(sm_kern_ceiling(&c, &ctx, &err), SM_OK);
    print_message("%d threads: bf16 %.0f, f32 %.0f GFLOP/s, read %.1f GB/s, in %.2f s\n",
                  c.n_threads, c.bf16_gflops, c.f32_gflops, c.read_gbytes_s,
                  (double)(sm_clock_ns() - start) * 1e-9);
    assert_int_equal(c.n_threads, 2);
    assert_true(c.bf16_gflops > 0.01 && c.bf16_gflops < 1e5);
    assert_true(c.f32_gflops > 0.01 && c.f32_gflops < 1e5);
    assert_true(c.read_gbytes_s > 0.01 && c.read_gbytes_s < 1e5);
    sm_pool_free(pool);
}

/* Least time of some products in cache, ns. */
static int64_t product_ns(const sm_kern *k, const char *packed_a, const char *packed_b)
{
    enum { N = 128 };
    static float c[N * N];
    int64_t least = INT64_MAX;
    for (int round = 0; round < 30; round++) {
        int64_t start = sm_clock_ns();
        k->bf16.gemm(c, N, packed_a, packed_b, N, N, N, false);
        int64_t ns = sm_clock_ns() - start;
        least = ns < least ? ns : least;
    }
    return least;
}

/* VDPBF16PS is twice as fast as FMA on one make of CPU and half as fast on another. */
static void of_two_equal_rungs_the_faster_is_taken(void **state)
{
    (void)state;
    const sm_kern *fma, *dot, *best;
    unsetenv("SMELT_CPU");
    assert_int_equal(sm_kern_get(&best, NULL, NULL), SM_OK);
    if (sm_kern_get(&dot, "avx512bf16", NULL) || best->rung > dot->rung) {
        print_message("skipped: the choice is not between avx512 and avx512bf16\n");
        return;
    }
    assert_int_equal(sm_kern_get(&fma, "avx512", NULL), SM_OK);
    const sm_kern *other = best == dot ? fma : dot;
    char *a = sm_aligned_alloc(1 << 20), *b = sm_aligned_alloc(1 << 20);
    assert_non_null(a);
    assert_non_null(b);
    memset(a, 0, 1 << 20); /* zeros in any layout */
    memset(b, 0, 1 << 20);
    int64_t taken = product_ns(best, a, b), left = product_ns(other, a, b);
    print_message("%s %lld ns, %s %lld ns\n", best->name, (long long)taken, other->name,
                  (long long)left);
    assert_true(taken < left + left / 3);
    sm_aligned_free(a);
    sm_aligned_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rungs_are_named_and_ordered),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(environment_selects),
        cmocka_unit_test(panels_are_whole_lines),
        cmocka_unit_test(of_two_equal_rungs_the_faster_is_taken),
        cmocka_unit_test(ceilings_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
