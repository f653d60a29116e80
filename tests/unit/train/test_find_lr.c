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
        assert_int_equal(sm_train_find_lr(&r, &ctx, &c, data, bad[i].n, bad[i].lo,
                                          bad[i].hi, &err),
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
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_broken_loss_ends_it),
        cmocka_unit_test(test_suggestion_is_good),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests_name("find_lr", tests, NULL, NULL);
}
