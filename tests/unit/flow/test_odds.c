/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample of segments proves, by counting. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"

/* log of the binomial coefficient; the sample misses all of f with C(n-f,k) / C(n,k). */
static double log_choose(double n, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/* One forged segment, and the least numbers that are 1, 5 and 10 % of all, each once. */
static void shares_are_rounded_up(void **state)
{
    (void)state;
    static const int64_t n_of[] = {1, 7, 10, 99, 100, 101, 250, 1000};
    static const double least[] = {0, 0.01, 0.05, 0.1};
    for (size_t i = 0; i < sizeof n_of / sizeof *n_of; i++) {
        int64_t n = n_of[i], k = n > 9 ? n / 10 : 1;
        json_t *list = sample_odds(n, k);
        size_t at = 0;
        int64_t last = 0;
        for (size_t j = 0; j < 4; j++) {
            int64_t f = 1;
            while ((double)f < least[j] * (double)n - 1e-9)
                f++;
            if (f == last)
                continue;
            last = f;
            const json_t *o = json_array_get(list, at++);
            double missed = f > n - k ? 0
                                      : exp(log_choose((double)(n - f), (double)k) -
                                            log_choose((double)n, (double)k));
            assert_int_equal(json_integer_value(json_object_get(o, "forged")), f);
            assert_true(fabs(json_number_value(json_object_get(o, "share")) -
                             (double)f / (double)n) < 1e-12);
            assert_true(fabs(json_number_value(json_object_get(o, "probability")) -
                             (1 - missed)) < 1e-9);
        }
        assert_int_equal(json_array_size(list), at);
        json_decref(list);
    }
}

/* A share is taken of all and rounded up, at least one and at most all. */
static void samples_have_their_size(void **state)
{
    (void)state;
    const struct {
        int64_t n;
        double frac;
        int64_t of, want;
    } row[] = {{0, 0.1, 100, 10}, {0, 0.1, 101, 11}, {0, 0.001, 10, 1}, {0, 1, 7, 7},
               {3, 0.5, 100, 3},  {30, 0.5, 20, 20}, {0, 0.25, 8, 2}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        sm_sample_config c = {.n = row[i].n, .frac = row[i].frac};
        assert_int_equal(sample_size(&c, row[i].of), row[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_rounded_up),
        cmocka_unit_test(samples_have_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
