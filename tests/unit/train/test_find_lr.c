/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learning-rate range test: rates rise as they should, it does not depend on threads,
 * a loss that breaks ends it in order, and a run at its suggestion learns more than runs
 * far below and far above.
 */
#include <math.h>

#include "tiny.h"

static sm_lr_range look(const sm_train_config *c, int n_threads, int64_t n_steps,
                        double lr_min, double lr_max)
{
    sm_err err;
    sm_lr_range r;
    sm_ctx ctx = make_ctx(NULL, n_threads);
    sm_token_data *data = tiny_data(c->n_ctx);
    OK(sm_train_find_lr(&r, &ctx, c, data, n_steps, lr_min, lr_max, &err));
    sm_token_data_free(data);
    free_ctx(&ctx);
    return r;
}

/* What a range test of n steps must say of its points: as find_lr.c and train.h have it. */
static void expect_reading(const sm_lr_range *r, int64_t n_steps)
{
    int64_t first = n_steps / 10 > 2 ? n_steps / 10 : 2, lowest = first, steepest = -1;
    double best = 0, least = INFINITY;
    for (int64_t i = 0; i < r->n; i++) { /* it ends where it breaks, not later */
        least = fmin(least, r->point[i].smooth);
        assert_true(i == r->n - 1 || r->point[i].smooth <= 1.2 * least);
    }
    for (int64_t i = first; i < r->n; i++)
        if (r->point[i].smooth < r->point[lowest].smooth)
            lowest = i;
    for (int64_t i = first; i <= lowest && i < r->n - 2; i++) {
        double fall = r->point[i - 2].smooth - r->point[i + 2].smooth;
        if (fall > best) {
            best = fall;
            steepest = i;
        }
    }
    if (steepest < 0) {
        assert_true(r->suggestion == 0);
        return;
    }
    double geometric = sqrt(r->point[steepest].lr * r->point[lowest].lr / 10);
    assert_int_equal(r->steepest, steepest);
    assert_int_equal(r->lowest, lowest);
    assert_true(fabs(r->suggestion / geometric - 1) < 1e-9);
}

/* Curves that fall to the end, that turn, that begin too high, that break, that waver. */
static void test_reading(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        double lo, hi;
    } row[] = {{100, 1e-6, 1},  {60, 1e-3, 10},  {100, 3e-2, 10}, {100, 0.5, 10},
               {31, 1e-4, 0.3}, {10, 9, 10},     {100, 0.1, 0.2}, {100, 0.3, 0.4},
               {60, 0.1, 0.11}, {11, 0.01, 0.1}, {12, 0.1, 0.11}, {10, 0.3, 0.45},
               {13, 0.3, 0.9}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (int moe = 0; moe <= 1; moe++) {
            sm_train_config c = moe ? tiny_moe() : tiny_dense();
            sm_lr_range r = look(&c, 2, row[i].n, row[i].lo, row[i].hi);
            expect_reading(&r, row[i].n);
            sm_lr_range_free(&r);
        }
}

static void test_rates(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_lr_range r = look(&c, 2, 31, 1e-6, 1e-3);
    assert_int_equal(r.n, 31);
    assert_false(r.has_diverged);
    for (int64_t i = 0; i < r.n; i++)
        assert_true(fabs(log10(r.point[i].lr) - (-6 + 0.1 * (double)i)) < 1e-9);
    assert_true(r.point[0].loss > log(64)); /* a tied head sees its own token */
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < r.n; i++) {
        bool is_start =
            r.point[i].loss > log(64) && r.point[i].loss <= 1.2 * r.point[0].loss;
        sum = 0.9 * sum + 0.1 * (is_start ? log(64) : r.point[i].loss);
        weight = 0.9 * weight + 0.1;
        assert_true(fabs(r.point[i].smooth - sum / weight) < 1e-12);
    }
    sm_lr_range_free(&r);
}

static void test_same_bits(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    c.optimizer = SM_OPTIMIZER_MUON;
    sm_lr_range a = look(&c, 1, 20, 1e-4, 1), b;
    c.micro_shards = 2;
    c.n_steps = 7; /* neither is used */
    c.lr = 3e-3;
    b = look(&c, 4, 20, 1e-4, 1);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.point, b.point, (size_t)a.n * sizeof *a.point);
    assert_true(a.suggestion == b.suggestion);
    sm_lr_range_free(&a);
    sm_lr_range_free(&b);
}

static void test_broken_loss_ends_it(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    c.weight_decay = 10; /* at rate 10 weights grow a hundredfold a step */
    sm_lr_range r = look(&c, 2, 100, 1e-3, 10);
    assert_true(r.has_diverged);
    assert_true(r.n > 10 && r.n < 100);
    assert_true(r.suggestion > 1e-3 && r.suggestion < r.point[r.n - 1].lr / 2);
    assert_true(r.steepest <= r.lowest && r.lowest < r.n);
    sm_lr_range_free(&r);
    r = look(&c, 2, 10, 9, 10); /* broken from the first step on: nothing to suggest */
    assert_true(r.has_diverged && r.n >= 1 && r.suggestion == 0);
    sm_lr_range_free(&r);
}

/* Loss after n steps at a rate. */
static double final_loss(sm_train_config c, double lr)
{
    sm_err err;
    sm_model *m = NULL;
    sm_train_summary sum;
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(c.n_ctx);
    sm_train_io io = {.data = data};
    c.lr = lr;
    OK(sm_train_run(&m, &sum, &ctx, &c, &io, &err));
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return sum.last.loss;
}

static void test_suggestion_is_good(void **state)
{
    (void)state;
    for (int muon = 0; muon <= 1; muon++) {
        sm_train_config c = tiny_dense();
        c.optimizer = muon ? SM_OPTIMIZER_MUON : SM_OPTIMIZER_ADAMW;
        c.checkpoint_steps = 0;
        sm_lr_range r = look(&c, 2, 100, 1e-6, 1);
        double at = final_loss(c, r.suggestion);
        print_message("%s: suggestion %.2g: loss %.3f; a tenth %.3f, ten times %.3f\n",
                      muon ? "muon" : "adamw", r.suggestion, at,
                      final_loss(c, r.suggestion / 10), final_loss(c, r.suggestion * 10));
        assert_true(at < final_loss(c, r.suggestion / 10));
        assert_true(at < final_loss(c, fmin(10, r.suggestion * 10)));
        sm_lr_range_free(&r);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        double lo, hi;
    } bad[] = {{9, 1e-6, 1}, {100, 0, 1}, {100, 1, 1}, {100, 1e-3, 11}, {100, NAN, 1}};
    sm_train_config c = tiny_dense();
    sm_lr_range r;
    sm_err err;
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(c.n_ctx);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(
            sm_train_find_lr(&r, &ctx, &c, data, bad[i].n, bad[i].lo, bad[i].hi, &err),
            SM_EINVAL);
    int stop = 1;
    ctx.stop = &stop;
    assert_int_equal(sm_train_find_lr(&r, &ctx, &c, data, 20, 1e-6, 1, &err), SM_ECANCEL);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_broken_loss_ends_it),
        cmocka_unit_test(test_suggestion_is_good),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests_name("find_lr", tests, NULL, NULL);
}
