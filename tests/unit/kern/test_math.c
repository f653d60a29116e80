/* SPDX-License-Identifier: Apache-2.0 */
/* sm_math_*: against libm within two units in the last place, known values, identities,
 * and the same bits under the MXCSR of recorded arithmetic. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include "smelt/sys.h"

enum { N = 200000 };

static double uniform(uint64_t i, double low, double high)
{
    return low +
           (high - low) * (double)(sm_rng_u64(5, SM_STREAM_TEST, 0, i) >> 11) * 0x1p-53;
}

static double error_ulp(double got, double want)
{
    return fabs(got - want) / (fabs(want) * 0x1p-52 + 0x1p-1000);
}

static void close_to_libm(void **state)
{
    (void)state;
    double worst[5] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = uniform(i, -700, 700), y = uniform(i + N, -20, 20);
        double z = i % 2 ? uniform(i, 1e-300, 4) : uniform(i, 0.7, 1.4);
        double t = i % 2 ? uniform(i, -20, 20) : uniform(i, -0x1p30, 0x1p30);
        double e[5] = {
            error_ulp(sm_math_exp(x), exp(x)), error_ulp(sm_math_log(z), log(z)),
            error_ulp(sm_math_sin(t), sin(t)), error_ulp(sm_math_cos(t), cos(t)),
            error_ulp(sm_math_pow(z, y), pow(z, y)) / (1 + fabs(y * log(z)))};
        for (int q = 0; q < 5; q++)
            worst[q] = e[q] > worst[q] ? e[q] : worst[q];
    }
    for (int q = 0; q < 5; q++)
        assert_true(worst[q] < 2.0);
}

static void special_values(void **state)
{
    (void)state;
    assert_true(sm_math_exp(0) == 1 && sm_math_log(1) == 0 && sm_math_sin(0) == 0 &&
                sm_math_cos(0) == 1 && sm_math_pow(7, 0) == 1 &&
                sm_math_pow(7, 1) > 6.99);
    assert_true(isinf(sm_math_exp(1000)) && sm_math_exp(-1000) == 0);
    assert_true(isnan(sm_math_exp(NAN)) && isnan(sm_math_log(-1)) &&
                isnan(sm_math_sin(1e10)));
    assert_true(isinf(sm_math_log(0)) && sm_math_log(0) < 0 &&
                isinf(sm_math_log(INFINITY)));
}

/* Recorded for every compiler, flag and processor: these bits are the definition. */
static void same_bits_everywhere(void **state)
{
    (void)state;
    uint64_t hash = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        double v[5] = {
            sm_math_exp(uniform(i, -700, 700)), sm_math_log(uniform(i, 1e-9, 9)),
            sm_math_sin(uniform(i, -1e6, 1e6)), sm_math_cos(uniform(i, -1e6, 1e6)),
            sm_math_pow(uniform(i, 0.1, 9), uniform(i + 1, -9, 9))};
        for (int q = 0; q < 5; q++) {
            uint64_t u;
            memcpy(&u, &v[q], sizeof u);
            hash = (hash ^ u) * UINT64_C(0x9e3779b97f4a7c15);
            hash ^= hash >> 29;
        }
    }
    print_message("hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == UINT64_C(0x84380d2fbeeb904f));
}

static void independent_of_mxcsr(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        double x = uniform(i, -30, 30);
        double a[4] = {sm_math_exp(x), sm_math_log(x * x), sm_math_sin(x),
                       sm_math_cos(x)};
        unsigned saved = sm_fp_enter();
        double b[4] = {sm_math_exp(x), sm_math_log(x * x), sm_math_sin(x),
                       sm_math_cos(x)};
        sm_fp_leave(saved);
        assert_memory_equal(a, b, sizeof a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_to_libm),
        cmocka_unit_test(special_values),
        cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(independent_of_mxcsr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
