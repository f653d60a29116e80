/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: it learns; it resumes to the same bits after any interruption; NaN and bad
 * input stop it by name; metrics, plan and held-out figures are consistent.
 */
#include <math.h>

#include "tiny.h"

/* What on_step saw, and when it is to interfere. */
typedef struct watch {
    int64_t stop_at;   /* set the stop flag after this step        */
    bool stop_in_eval; /* set the stop flag while held-out documents are scored */
    int64_t kill_at;   /* return an error after this step          */
    volatile int stop;
    double first, last, bpb;
    int64_t n_calls, n_eval;
    char said[2000];
} watch;

static sm_status on_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    watch *w = self;
    w->n_calls++;
    if (w->n_calls == 1)
        w->first = m->loss;
    w->last = m->loss;
    w->n_eval += m->has_eval;
    if (m->has_eval)
        w->bpb = m->eval.bpb;
    if (m->step == w->stop_at)
        sm_stop_set(&w->stop, 1);
    return m->step == w->kill_at ? sm_fail(err, SM_EIO, "killed") : SM_OK;
}

static void listen(void *self, sm_log_level level, const char *line)
{
    watch *w = self;
    size_t n = strlen(w->said);
    (void)level;
    snprintf(w->said + n, sizeof w->said - n, "%s\n", line);
}

static void on_progress(void *self, const char *what, int64_t done, int64_t total,
                        const char *unit, const char *detail)
{
    watch *w = self;
    (void)total;
    (void)unit;
    (void)detail;
    if (w->stop_in_eval && !strcmp(what, "evaluate") && done > 0)
        sm_stop_set(&w->stop, 1);
}

static sm_status train(uint64_t *sum, sm_train_summary *summary, watch *w,
                       const sm_train_config *c, const char *scratch, sm_err *err)
{
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(c->n_ctx);
    sm_log log = {.emit = listen, .self = w, .level = SM_LOG_INFO};
    sm_train_io io = {.data = data,
                      .held_out = data,
                      .scratch = scratch,
                      .on_step = on_step,
                      .self = w};
    sm_model *m = NULL;
    sm_progress progress = {.update = on_progress, .self = w};
    ctx.log = &log;
    ctx.progress = &progress;
    ctx.stop = &w->stop;
    sm_status s = sm_train_run(&m, summary, &ctx, c, &io, err);
    if (!s)
        *sum = model_sum(m);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return s;
}

static void learns(sm_train_config c, double want)
{
    watch w = {0};
    sm_err err;
    sm_train_summary sum;
    uint64_t h;
    c.n_steps = 150;
    c.eval_steps = 50;
    c.checkpoint_steps = 0;
    OK(train(&h, &sum, &w, &c, NULL, &err));
    assert_int_equal(w.n_calls, 150);
    assert_int_equal(w.n_eval, 3);
    /* It begins knowing nothing; a tied head sees the token itself, at sqrt(d_model). */
    assert_true(w.first > log(64) - 0.2);
    assert_true(w.first < log(64) + 0.2 + sqrt((double)c.model.d_model));
    assert_true(w.last < want);
    assert_true(w.bpb < want / log(2) && sum.last.eval.std_err < w.bpb);
    assert_int_equal(sum.n_steps_run, 150);
    assert_true(sum.peak_bytes > 0 && sum.mean_tok_per_s > 0);
}

static void test_overfits_dense(void **state)
{
    (void)state;
    learns(tiny_dense(), 0.35);
}

static void test_overfits_llama4(void **state)
{
    (void)state;
    learns(tiny_moe(), 0.35);
}

static void test_overfits_mixtral(void **state)
{
    (void)state;
    learns(tiny_mixtral(), 0.35);
}

/* Undisturbed, killed, stopped, killed with a damaged newest checkpoint: the same bits.
 */
static void resumes(sm_train_config c)
{
    uint64_t want = 0, got = 0;
    sm_err err;
    sm_train_summary sum;
    char dir[32];
    watch w = {0};
    c.n_steps = 30;
    c.checkpoint_steps = 5;
    OK(train(&want, &sum, &w, &c, NULL, &err));
    sm_train_metrics last = sum.last;

    make_dir(dir);
    w = (watch){.kill_at = 13};
    assert_int_equal(train(&got, &sum, &w, &c, dir, &err), SM_EIO);
    w = (watch){.stop_at = 17};
    assert_int_equal(train(&got, &sum, &w, &c, dir, &err), SM_ECANCEL);
    assert_non_null(strstr(err.msg, "after step 17 of 30"));
    assert_string_equal(w.said, "train: resumed from the checkpoint of step 10 of 30\n");
    assert_int_equal(sum.n_steps_run, 7);
    w = (watch){.kill_at = 28};
    c.micro_shards = 2; /* elsewhere, with less memory */
    assert_int_equal(train(&got, &sum, &w, &c, dir, &err), SM_EIO);
    assert_int_equal(sum.resumed_step, 17);
    w = (watch){0};
    OK(train(&got, &sum, &w, &c, dir, &err));
    assert_int_equal(sum.resumed_step, 25);
    assert_true(got == want);

    /* finished: nothing is left to do, and the result is still there */
    w = (watch){0};
    got = 0;
    OK(train(&got, &sum, &w, &c, dir, &err));
    assert_int_equal(sum.n_steps_run, 0);
    assert_true(got == want);
    assert_true(sum.last.loss == last.loss && sum.last.grad_norm == last.grad_norm);
    assert_true(sum.last.load_max == last.load_max && sum.last.n_tok == last.n_tok);
    assert_memory_equal(&sum.last.eval, &last.eval, sizeof last.eval);
    OK(sm_remove_tree(dir, &err));
}

/* What takes more than a minute says how long it will be, and after a resume how long the
 * rest will. */
static void test_says_what_is_left(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_train_plan p;
    sm_train_summary sum;
    uint64_t h;
    sm_err err;
    char dir[32], want[80];
    watch w = {.stop_at = 10};
    sm_ctx ctx = make_ctx(NULL, 2);
    c.n_steps = 40;
    c.ceiling_gflops = 1;
    OK(sm_train_plan_make(&p, &ctx, &c, &err));
    free_ctx(&ctx);
    c.ceiling_gflops = p.expected_seconds / (100 * 60); /* a machine that takes as long */
    make_dir(dir);
    assert_int_equal(train(&h, &sum, &w, &c, dir, &err), SM_ECANCEL);
    snprintf(want, sizeof want,
             " 40 steps of %lld tokens: some 1 h 40 min and 0.0 GB here\n",
             (long long)p.tok_per_step);
    assert_non_null(strstr(w.said, want));
    assert_non_null(strstr(err.msg, "after step 10 of 40; a checkpoint is saved, and the "
                                    "same run goes on from it"));
    w = (watch){.stop_at = 11};
    assert_int_equal(train(&h, &sum, &w, &c, dir, &err), SM_ECANCEL);
    assert_string_equal(w.said,
                        "train: resumed from the checkpoint of step 10 of 40: left "
                        "are some 1 h 15 min\n");
    OK(sm_remove_tree(dir, &err));
}

/* Memory that not even one shard fits: it runs, and says what it takes. */
static void test_warns_of_memory(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_train_summary sum;
    uint64_t h;
    sm_err err;
    watch w = {0};
    c.n_steps = 5;
    c.checkpoint_steps = 0;
    c.memory_bytes = 1000;
    OK(train(&h, &sum, &w, &c, NULL, &err));
    assert_non_null(strstr(w.said, "train: one shard at a time takes "));
    w = (watch){0};
    c.micro_shards = 1; /* as told */
    OK(train(&h, &sum, &w, &c, NULL, &err));
    assert_string_equal(w.said, "");
}

static void test_resume_dense(void **state)
{
    (void)state;
    resumes(tiny_dense());
}

static void test_resume_moe(void **state)
{
    (void)state;
    resumes(tiny_moe());
}

/* A run that saves nothing goes on from what another saved, and leaves it. */
static void test_resume_without_saving(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_train_summary sum;
    uint64_t want = 0, got = 0;
    sm_err err;
    char dir[32], none[48];
    watch w = {0};
    c.n_steps = 12;
    c.checkpoint_steps = 5;
    OK(train(&want, &sum, &w, &c, NULL, &err));
    make_dir(dir);
    w = (watch){.kill_at = 7};
    assert_int_equal(train(&got, &sum, &w, &c, dir, &err), SM_EIO);
    c.checkpoint_steps = 0;
    for (int i = 0; i < 2; i++) {
        w = (watch){.stop_at = i ? 0 : 9};
        assert_int_equal(train(&got, &sum, &w, &c, dir, &err), i ? SM_OK : SM_ECANCEL);
        assert_int_equal(sum.resumed_step, 5);
    }
    assert_true(got == want);
    snprintf(none, sizeof none, "%s/none", dir);
    w = (watch){0};
    OK(train(&got, &sum, &w, &c, none, &err));
    assert_int_equal(sum.resumed_step, 0);
    assert_false(sm_path_exists(none));
    OK(sm_remove_tree(dir, &err));
}

/* Stopped while the finished model is evaluated: all is saved, the figure comes later. */
static void test_stop_in_last_evaluation(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_train_summary want, sum;
    uint64_t h = 0, again = 0;
    sm_err err;
    char dir[32];
    watch w = {0};
    c.n_steps = 8;
    c.micro_shards = 1;
    OK(train(&h, &want, &w, &c, NULL, &err));
    make_dir(dir);
    w = (watch){.stop_in_eval = true};
    assert_int_equal(train(&again, &sum, &w, &c, dir, &err), SM_ECANCEL);
    assert_false(sum.last.has_eval);
    w = (watch){0};
    OK(train(&again, &sum, &w, &c, dir, &err));
    assert_int_equal(sum.resumed_step, 8);
    assert_true(h == again);
    assert_memory_equal(&sum.last.eval, &want.last.eval, sizeof want.last.eval);
    OK(sm_remove_tree(dir, &err));
}

static void test_nan_names_tensor(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(c.n_ctx);
    sm_model *m = NULL;
    train_optim o;
    train_step t;
    train_step_result r;
    sm_err err;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    OK(train_step_init(&t, &ctx, &c, data, m, &o, &err));
    OK(train_step_run(&r, &t, 0, &err));
    m->weight[m->param[3].offset] = NAN;
    OK(sm_pass_pack(t.pass, &err));
    assert_int_equal(train_step_run(&r, &t, 1, &err), SM_ENUMERIC);
    assert_non_null(strstr(err.msg, "step 2"));
    train_step_fini(&t);
    train_optim_fini(&o);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

/* Weights that grow a hundredfold a step: the run stops with step and tensor, the newest
 * checkpoint is from before, and trying again meets the same fault. */
static void test_explosion_keeps_checkpoint(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_train_summary sum;
    uint64_t h;
    sm_err first, second;
    char dir[32];
    watch w = {0};
    c.lr = 10;
    c.weight_decay = 10;
    c.warmup_steps = 0;
    c.checkpoint_steps = 2;
    make_dir(dir);
    assert_int_equal(train(&h, &sum, &w, &c, dir, &first), SM_ENUMERIC);
    assert_non_null(strstr(first.msg, "step "));
    assert_non_null(strstr(first.msg, "NaN or infinity"));
    assert_true(sum.n_steps_run >= 2 && sum.resumed_step == 0);
    int64_t at = sum.n_steps_run;
    assert_int_equal(train(&h, &sum, &w, &c, dir, &second), SM_ENUMERIC);
    assert_string_equal(first.msg, second.msg);
    assert_int_equal(sum.resumed_step, at / 2 * 2);
    sm_err err;
    OK(sm_remove_tree(dir, &err));
}

static void test_refuses(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(16);
    sm_train_io io = {.data = data};
    sm_model *m = NULL;
    train_step t;
    sm_err err;
    assert_int_equal(sm_train_run(&m, NULL, &ctx, &c, &io, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "rows of 16 positions, want 32"));
    sm_token_data_free(data);
    io.data = data = tiny_data(32);
    sm_comm three = {.rank = 0, .n_ranks = 3};
    ctx.comm = &three;
    assert_int_equal(train_step_layout(&t, &ctx, &c, NULL, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "got 3 ranks"));
    ctx.comm = NULL;
    c.n_shard = 5;
    assert_int_equal(sm_train_run(&m, NULL, &ctx, &c, &io, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "n_shard: got 5"));
    assert_null(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

static void test_plan(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_train_plan p;
    sm_err err;
    c.ceiling_gflops = 100;
    c.micro_shards = 2;
    OK(sm_train_plan_make(&p, &ctx, &c, &err));
    assert_int_equal(p.n_param, sm_model_n_param(&c.model));
    assert_int_equal(p.n_micro, 4);
    assert_int_equal(p.tok_per_step, 256);
    assert_int_equal(p.n_tok, 256 * 50);
    assert_int_equal(p.weight_bytes, 4 * p.n_param);
    assert_int_equal(p.grad_bytes, 3 * p.weight_bytes);
    assert_in_range(p.optimizer_bytes, 2 * p.weight_bytes, 2 * p.weight_bytes + 3000);
    assert_false(p.rerun_forward);
    assert_true(p.activation_bytes > 0 && p.total_bytes > p.activation_bytes);
    assert_true(fabs(p.expected_seconds - p.flops / 50e9) < 1e-9);
    c.memory_bytes = 1;
    OK(sm_train_plan_make(&p, &ctx, &c, &err));
    assert_true(p.rerun_forward);
    c.micro_shards = 0;
    OK(sm_train_plan_make(&p, &ctx, &c, &err));
    assert_int_equal(p.n_micro, 8); /* as little as possible at a time */
    free_ctx(&ctx);
}

/* As many positions as 64 bits count, and one step more. */
static void test_plan_counts_positions(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_train_plan p;
    sm_err err;
    c.n_seq = c.n_shard = 65536;
    c.n_ctx = c.model.max_ctx = 262144; /* 2^34 positions a step */
    c.micro_shards = 1;
    c.n_steps = (1 << 29) - 1;
    OK(sm_train_plan_make(&p, &ctx, &c, &err));
    assert_true(p.n_tok == ((INT64_C(1) << 29) - 1) << 34);
    assert_true(p.flops > 0);
    c.n_steps++;
    assert_int_equal(sm_train_plan_make(&p, &ctx, &c, &err), SM_EINVAL);
    assert_non_null(
        strstr(err.msg, "n_steps: got 536870912 of n_seq * n_ctx = 17179869184"));
    free_ctx(&ctx);
}

/* A pass takes no more than it may, and forwards run twice only where they must. */
static void test_plan_memory(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_train_plan p;
    sm_err err;
    size_t least = 0, whole = 0;
    for (int recompute = 0; recompute < 2; recompute++) {
        c.recompute = recompute;
        c.memory_bytes = 1;
        OK(sm_train_plan_make(&p, &ctx, &c, &err));
        least = p.activation_bytes + p.packed_bytes;
        c.memory_bytes = SIZE_MAX;
        OK(sm_train_plan_make(&p, &ctx, &c, &err));
        assert_int_equal(p.n_micro, 1);
        whole = p.activation_bytes + p.packed_bytes;
        for (size_t limit = least; limit < whole; limit += (whole - least) / 50) {
            c.memory_bytes = limit;
            OK(sm_train_plan_make(&p, &ctx, &c, &err));
            assert_true(p.activation_bytes + p.packed_bytes <= limit);
            assert_true(p.n_micro > 1);
        }
    }
    free_ctx(&ctx);
}

static void test_metrics_json(void **state)
{
    (void)state;
    sm_train_metrics m = {
        .step = 3, .loss = 2.5, .has_eval = true, .eval = {.bpb = 1.25}};
    json_t *j = sm_train_metrics_to_json(&m);
    assert_int_equal(json_integer_value(json_object_get(j, "step")), 3);
    assert_true(json_real_value(json_object_get(j, "loss")) == 2.5);
    assert_true(json_real_value(json_object_get(j, "bpb")) == 1.25);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overfits_dense),
        cmocka_unit_test(test_overfits_llama4),
        cmocka_unit_test(test_overfits_mixtral),
        cmocka_unit_test(test_resume_dense),
        cmocka_unit_test(test_says_what_is_left),
        cmocka_unit_test(test_warns_of_memory),
        cmocka_unit_test(test_resume_moe),
        cmocka_unit_test(test_resume_without_saving),
        cmocka_unit_test(test_stop_in_last_evaluation),
        cmocka_unit_test(test_nan_names_tensor),
        cmocka_unit_test(test_explosion_keeps_checkpoint),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_plan_counts_positions),
        cmocka_unit_test(test_plan_memory),
        cmocka_unit_test(test_metrics_json),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
