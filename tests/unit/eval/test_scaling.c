/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scaling laws: parameters come back from points made with them, intervals cover them
 * nearly as often as they say, a fit does not depend on units, what cannot be fitted is
 * refused, and (when its data is named by SMELT_CHINCHILLA_CSV) approach 3 of Hoffmann et
 * al. as Besiroglu et al. (2404.10102) fitted it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scaling_internal.h"
#include "smelt/scaling.h"

/* The law that Besiroglu et al. fitted to the points of Hoffmann et al. */
static const double truth[5] = {1.8172, 482.01, 0.3478, 2085.43, 0.3658};
static const double compute[3] = {1.1, 300, 0.15};

static double loss_of(double n, double d)
{
    return truth[0] + truth[1] * pow(n, -truth[2]) + truth[3] * pow(d, -truth[4]);
}

/* A grid of sizes and token counts with a relative noise of sigma. */
static int64_t grid(sm_scaling_point *p, double sigma, uint64_t seed)
{
    int64_t k = 0;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++, k++) {
            double n = 5e7 * pow(2.5, i), d = 1e9 * pow(2.5, j);
            double z = (double)sm_rng_normal(seed, SM_STREAM_TEST, 0, (uint64_t)k);
            p[k] = (sm_scaling_point){n, d, 6 * n * d, loss_of(n, d) * exp(sigma * z)};
        }
    return k;
}

static int64_t line(sm_scaling_point *p, int64_t n, double sigma, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        double f = 1e12 * pow(2, (double)(i / 2));
        double z = (double)sm_rng_normal(seed, SM_STREAM_TEST, 1, (uint64_t)i);
        double loss = compute[0] + compute[1] * pow(f, -compute[2]);
        p[i] = (sm_scaling_point){1e6, f / 6e6, f, loss * exp(sigma * z)};
    }
    return n;
}

static void exact_points_give_the_law_back(void **state)
{
    (void)state;
    sm_scaling_point p[64];
    sm_scaling s = {0};
    sm_err err = {0};
    int64_t n = grid(p, 0, 1);
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, p, n, 40, 1, &err), SM_OK);
    for (int k = 0; k < 5; k++)
        assert_true(fabs(s.value[k] / truth[k] - 1) < 1e-3);
    assert_true(s.rms < 1e-6);
    assert_true(fabs(sm_scaling_predict(&s, &p[7]) - p[7].loss) < 1e-5);
    sm_scaling_free(&s);
    n = line(p, 12, 0, 1);
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_COMPUTE, p, n, 40, 1, &err), SM_OK);
    for (int k = 0; k < 3; k++)
        assert_true(fabs(s.value[k] / compute[k] - 1) < 1e-3);
    sm_scaling_free(&s);
}

/* Of 60 sets of points the 95 % intervals cover the truth in at least 50.  Over 400 sets
 * they did in 92 to 94 % (36 points with 5 parameters, 20 with 3), which fails that once in
 * a hundred; a bug that halves an interval does not pass. */
static void intervals_cover_the_truth(void **state)
{
    (void)state;
    enum { SETS = 60 };
    int hit[5] = {0}, hit_c[3] = {0}, band = 0;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        sm_scaling_point p[64];
        sm_scaling s = {0};
        double low, high;
        int64_t n = grid(p, 0.003, seed);
        assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, p, n, 80, 1, NULL), SM_OK);
        for (int k = 0; k < 5; k++)
            hit[k] += s.low[k] <= truth[k] && truth[k] <= s.high[k];
        sm_scaling_point far = {1e10, 2e11, 1.2e22, 0};
        assert_int_equal(sm_scaling_band(&low, &high, &s, &far, NULL), SM_OK);
        band += low <= loss_of(far.n, far.d) && loss_of(far.n, far.d) <= high;
        sm_scaling_free(&s);
        n = line(p, 20, 0.003, seed);
        assert_int_equal(sm_scaling_fit(&s, SM_SCALING_COMPUTE, p, n, 80, 1, NULL),
                         SM_OK);
        for (int k = 0; k < 3; k++)
            hit_c[k] += s.low[k] <= compute[k] && compute[k] <= s.high[k];
        sm_scaling_free(&s);
    }
    print_message("covered of %d: E %d A %d a %d B %d b %d, band %d; E %d C %d c %d\n",
                  SETS, hit[0], hit[1], hit[2], hit[3], hit[4], band, hit_c[0], hit_c[1],
                  hit_c[2]);
    for (int k = 0; k < 5; k++)
        assert_true(hit[k] >= 50);
    for (int k = 0; k < 3; k++)
        assert_true(hit_c[k] >= 50);
    assert_true(band >= 50);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Low and high are the points of a sorted column that leave a fortieth out. */
static void expect_percentiles(double *x, int32_t n, double low, double high)
{
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    assert_true(fabs(low - x[n / 40]) <= 1e-9 * fabs(low));
    assert_true(fabs(high - x[n - 1 - n / 40]) <= 1e-9 * fabs(high));
}

/* Intervals and band are percentiles of the bootstrap's laws, each taken at its word. */
static void check_percentiles(const sm_scaling *s, const sm_scaling_point *at)
{
    double x[80], low, high;
    assert_int_equal(s->n_sample, 80);
    for (int k = 0; k < s->n_param; k++) {
        for (int r = 0; r < 80; r++)
            x[r] = s->sample[r * s->n_param + k];
        expect_percentiles(x, 80, s->low[k], s->high[k]);
    }
    for (int r = 0; r < 80; r++) {
        const double *v = s->sample + r * s->n_param;
        x[r] = s->law == SM_SCALING_SIZE
                   ? v[0] + v[1] * pow(at->n, -v[2]) + v[3] * pow(at->d, -v[4])
                   : v[0] + v[1] * pow(at->f, -v[2]);
    }
    assert_int_equal(sm_scaling_band(&low, &high, s, at, NULL), SM_OK);
    expect_percentiles(x, 80, low, high);
    if (s->law != SM_SCALING_SIZE)
        return;
    for (int r = 0; r < 80; r++) {
        const double *v = s->sample + r * 5;
        x[r] = v[SM_SCALING_b] / (v[SM_SCALING_a] + v[SM_SCALING_b]);
    }
    assert_true(fabs(s->opt[0] - s->value[4] / (s->value[2] + s->value[4])) < 1e-12);
    expect_percentiles(x, 80, s->opt[1], s->opt[2]);
}

static void intervals_are_percentiles_of_the_bootstrap(void **state)
{
    (void)state;
    const sm_scaling_point far = {1e10, 2e11, 1.2e22, 0};
    sm_scaling_point p[64];
    sm_scaling s = {0};
    json_t *v;
    int64_t n = grid(p, 0.003, 3);
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, p, n, 80, 1, NULL), SM_OK);
    check_percentiles(&s, &far);
    assert_non_null(v = sm_scaling_to_json(&s));
    assert_non_null(json_object_get(v, "optimal_size_exponent"));
    json_decref(v);
    sm_scaling_free(&s);
    n = line(p, 20, 0.003, 3);
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_COMPUTE, p, n, 80, 1, NULL), SM_OK);
    check_percentiles(&s, &far);
    assert_non_null(v = sm_scaling_to_json(&s));
    assert_null(json_object_get(v, "optimal_size_exponent"));
    json_decref(v);
    sm_scaling_free(&s);
}

/* Intervals are no wider than the scatter of the fits asks for: over sets of points that
 * differ by their noise alone, half an interval is Student's quantile times the standard
 * deviation of the parameter, give or take what 40 sets leave open. */
static void intervals_are_as_wide_as_fits_scatter(void **state)
{
    (void)state;
    enum { SETS = 40 };
    double sum[3] = {0}, square[3] = {0}, half[3] = {0};
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        sm_scaling_point p[64];
        sm_scaling s = {0};
        int64_t n = line(p, 20, 0.001, seed);
        assert_int_equal(sm_scaling_fit(&s, SM_SCALING_COMPUTE, p, n, 80, 1, NULL),
                         SM_OK);
        for (int k = 0; k < 3; k++) {
            sum[k] += s.value[k];
            square[k] += s.value[k] * s.value[k];
            half[k] += (s.high[k] - s.low[k]) / 2 / SETS;
        }
        sm_scaling_free(&s);
    }
    for (int k = 0; k < 3;
         k += 2) { /* E and the exponent; C is their lever, and skewed */
        double mean = sum[k] / SETS;
        double sd = sqrt((square[k] / SETS - mean * mean) * SETS / (SETS - 1));
        double ratio = half[k] / (2.110 * sd); /* t(17) */
        print_message("parameter %d: half width / t sd = %.2f\n", k, ratio);
        assert_true(ratio > 0.8 && ratio < 1.25);
    }
}

/* log(e^a + e^b + e^c) is the largest plus next to nothing when the others are far below,
 * however large it is, and its gradient is the terms' shares. */
static void far_terms_do_not_overflow(void **state)
{
    (void)state;
    const double x1[1] = {1}, x2[1] = {2};
    const scaling_problem q = {.n_param = 5, .n = 1, .x = {x1, x2}};
    const double p[3][5] = {
        {900, 0, 0, 0, 0}, {0, 1000, 50, 3, 0.5}, {0, 2, 0, 1000, 25}};
    const double want[3] = {900, 950, 950};
    for (int i = 0; i < 3; i++) {
        double dp[5];
        assert_true(scaling_log_loss(dp, &q, p[i], 0) == want[i]);
        assert_true(dp[0] == (i == 0) && dp[1] == (i == 1) && dp[3] == (i == 2));
        assert_true(dp[2] == -x1[0] * dp[1] && dp[4] == -x2[0] * dp[3]);
    }
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    sm_scaling s = {.law = SM_SCALING_SIZE,
                    .n_param = 5,
                    .value = {1, 2, 3, 4, 5},
                    .low = {1, -INFINITY, 3, 4, 5},
                    .high = {1, 2, NAN, 4, 5},
                    .opt = {NAN, 0, 1}};
    json_t *v = sm_scaling_to_json(&s), *p = json_object_get(v, "parameters");
    json_t *a = json_object_get(p, "A"), *b = json_object_get(p, "B");
    assert_int_equal(json_object_size(p), 5);
    assert_true(json_is_null(json_object_get(a, "low")));
    assert_true(json_real_value(json_object_get(a, "high")) == 2);
    assert_true(json_is_string(json_object_get(a, "null_because")));
    assert_null(json_object_get(b, "null_because"));
    assert_true(json_is_null(json_object_get(json_object_get(p, "a"), "high")));
    assert_true(json_is_null(
        json_object_get(json_object_get(v, "optimal_size_exponent"), "value")));
    json_decref(v);
}

/* Algebra: with sizes in millions A changes by 1e6^-a and nothing else does. */
static void units_do_not_matter(void **state)
{
    (void)state;
    sm_scaling_point p[64], q[64];
    sm_scaling s = {0}, t = {0};
    int64_t n = grid(p, 0.002, 5);
    memcpy(q, p, sizeof p);
    for (int64_t i = 0; i < n; i++)
        q[i].n /= 1e6;
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, p, n, 40, 1, NULL), SM_OK);
    assert_int_equal(sm_scaling_fit(&t, SM_SCALING_SIZE, q, n, 40, 1, NULL), SM_OK);
    assert_true(fabs(s.value[SM_SCALING_a] - t.value[SM_SCALING_a]) < 1e-3);
    assert_true(fabs(s.value[SM_SCALING_E] - t.value[SM_SCALING_E]) < 1e-3);
    double moved = t.value[SM_SCALING_A] * pow(1e6, t.value[SM_SCALING_a]);
    assert_true(fabs(s.value[SM_SCALING_A] / moved - 1) < 0.02);
    sm_scaling_free(&s);
    sm_scaling_free(&t);
}

static void refuses(sm_scaling_law law, const sm_scaling_point *p, int64_t n,
                    sm_status want, const char *part)
{
    sm_scaling s = {0};
    sm_err err = {0};
    assert_int_equal(sm_scaling_fit(&s, law, p, n, 40, 1, &err), want);
    if (!strstr(err.msg, part))
        fail_msg("got \"%s\", want \"%s\" in it", err.msg, part);
}

static void what_cannot_be_told_apart_is_refused(void **state)
{
    (void)state;
    sm_scaling_point p[64];
    grid(p, 0, 1);
    refuses(SM_SCALING_SIZE, p, 6, SM_EUNSUPPORTED, "1 sizes");
    refuses(SM_SCALING_SIZE, p, 0, SM_EUNSUPPORTED, "0 runs");
    refuses(SM_SCALING_COMPUTE, p, 3, SM_EUNSUPPORTED, "3 different budgets");
    for (int i = 0; i < 8; i++) /* one budget: size times tokens is the same */
        p[i].d = 1e20 / (p[i].n = 1e7 * pow(2, i));
    refuses(SM_SCALING_SIZE, p, 8, SM_EUNSUPPORTED, "in step");
    p[3].loss = NAN;
    refuses(SM_SCALING_SIZE, p, 8, SM_EINVAL, "point 3");
}

static void three_seeds_have_a_wide_interval(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3};
    double v[3], y[31];
    sm_stat_student(v, x, 3);
    assert_true(fabs(v[0] - 2) < 1e-12 &&
                fabs(v[2] - 2 - 4.302652729911275 / sqrt(3)) < 1e-9);
    sm_stat_student(v, x, 1);
    assert_true(v[0] == 1 && v[1] == 1 && v[2] == 1);
    for (int i = 0; i < 31; i++)
        y[i] = i % 2 ? 1 : -1;
    sm_stat_student(v, y, 31); /* t(30) = 2.0423 */
    double sd = sqrt((31 - 1.0 / 31) / 30);
    assert_true(fabs((v[2] - v[0]) / (sd / sqrt(31)) - 2.0423) < 5e-4);
}

/* Student's t, 97.5 %, of 1 to 12 degrees of freedom: Fisher and Yates, "Statistical Tables",
 * table III.  Of -1 and 1 in turn mean and deviation are known. */
static void small_samples_have_students_quantiles(void **state)
{
    (void)state;
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447,
                               2.365,  2.306, 2.262, 2.228, 2.201, 2.179};
    for (int n = 2; n <= 13; n++) {
        double x[13], v[3], odd = n % 2 / (double)n;
        for (int i = 0; i < n; i++)
            x[i] = i % 2 ? 1 : -1;
        sm_stat_student(v, x, n);
        double sd = sqrt((1 - odd * odd) * n / (n - 1));
        assert_true(fabs(v[0] + odd) < 1e-12);
        double near = n <= 11 ? 6e-4 : 1e-3 * t[n - 2];
        assert_true(fabs((v[2] - v[0]) * sqrt(n) / sd - t[n - 2]) < near);
        assert_true(fabs((v[0] - v[1]) * sqrt(n) / sd - t[n - 2]) < near);
    }
}

/* The least numbers of runs that a law asks for, and one less. */
static void the_least_is_enough(void **state)
{
    (void)state;
    sm_scaling_point p[64], few[7];
    sm_scaling s = {0};
    static const int at[7] = {0, 1, 2, 6, 8, 13, 14}; /* 3 sizes, 3 token counts */
    line(p, 12, 0, 1);
    for (int i = 0; i < 5; i++)
        few[i] = p[2 * i];
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_COMPUTE, few, 5, 40, 1, NULL), SM_OK);
    sm_scaling_free(&s);
    refuses(SM_SCALING_COMPUTE, few, 4, SM_EUNSUPPORTED, "4 runs at 4");
    grid(p, 0, 1);
    for (int i = 0; i < 7; i++)
        few[i] = p[at[i]];
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, few, 7, 40, 1, NULL), SM_OK);
    sm_scaling_free(&s);
    refuses(SM_SCALING_SIZE, few, 6, SM_EUNSUPPORTED, "6 runs");
    line(p, 12, 0, 1);
    for (int i = 0; i < 12; i++)
        p[i].loss = 1 + 0.01 * i; /* rises */
    refuses(SM_SCALING_COMPUTE, p, 12, SM_EUNSUPPORTED, "exponent");
}

/* Their table: E 1.8172, A 482.01, B 2085.43, a 0.3478, b 0.3658 on 240 of 245 points. */
static void published_points_give_the_published_law(void **state)
{
    (void)state;
    const char *path = getenv("SMELT_CHINCHILLA_CSV");
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f) {
        print_message("skipped: SMELT_CHINCHILLA_CSV (N,D,L a line) is not set\n");
        skip();
    }
    static sm_scaling_point p[300];
    int64_t n = 0;
    while (n < 300 && fscanf(f, "%lf,%lf,%lf", &p[n].n, &p[n].d, &p[n].loss) == 3) {
        p[n].f = 6 * p[n].n * p[n].d;
        n++;
    }
    fclose(f);
    sm_scaling s = {0};
    assert_int_equal(sm_scaling_fit(&s, SM_SCALING_SIZE, p, n, 200, 1, NULL), SM_OK);
    for (int k = 0; k < 5; k++)
        print_message("%d: %.4f [%.4f, %.4f]\n", k, s.value[k], s.low[k], s.high[k]);
    print_message("exponent of N: %.3f [%.3f, %.3f]\n", s.opt[0], s.opt[1], s.opt[2]);
    for (int k = 0; k < 5; k++)
        assert_true(fabs(s.value[k] / truth[k] - 1) < 0.03);
    sm_scaling_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_points_give_the_law_back),
        cmocka_unit_test(intervals_cover_the_truth),
        cmocka_unit_test(intervals_are_percentiles_of_the_bootstrap),
        cmocka_unit_test(intervals_are_as_wide_as_fits_scatter),
        cmocka_unit_test(far_terms_do_not_overflow),
        cmocka_unit_test(what_is_not_finite_is_null),
        cmocka_unit_test(units_do_not_matter),
        cmocka_unit_test(what_cannot_be_told_apart_is_refused),
        cmocka_unit_test(three_seeds_have_a_wide_interval),
        cmocka_unit_test(small_samples_have_students_quantiles),
        cmocka_unit_test(the_least_is_enough),
        cmocka_unit_test(published_points_give_the_published_law),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
