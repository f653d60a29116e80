/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bisection: a planted option among harmless ones is found, a planted document among
 * harmless ones is found, and what cannot be answered is refused.
 */
#include "bisect.h"
#include "lab.h"

static const sm_bisect_config LOSS = {
    .metric = "loss", .heldout_docs = 100, .max_runs = 100};

static const char *text(const json_t *v, const char *key)
{
    return json_string_value(json_object_get(v, key));
}

static const json_t *only_cause(const json_t *report)
{
    const json_t *cause = json_object_get(report, "cause");
    assert_int_equal(json_array_size(cause), 1);
    assert_true(json_is_true(json_object_get(report, "minimal")));
    return json_array_get(cause, 0);
}

static json_t *good_options(void)
{
    json_t *o = lab_train_options();
    json_object_set_new(o, "lr", json_real(0.01));
    return o;
}

static json_t *bad_options(void)
{
    json_t *o = lab_train_options();
    json_object_set_new(o, "lr", json_real(1e-6)); /* learns nothing */
    json_object_set_new(o, "weight_decay", json_real(0.11));
    json_object_set_new(o, "z_coef", json_real(0.0001));
    json_object_set_new(o, "beta2", json_real(0.951));
    json_object_set_new(o, "clip_norm", json_real(1.1));
    return o;
}

static void a_planted_option_is_found(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    sm_id bad;
    sm_bisect_config c = LOSS;
    lab_train(&bad, l, bad_options());
    c.dry_run = true;
    OK(sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err));
    assert_int_equal(json_array_size(json_object_get(report, "differences")), 5);
    assert_null(json_object_get(report, "cause"));
    json_decref(report);
    c.dry_run = false;
    OK(sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err));
    const json_t *cause = only_cause(report);
    assert_string_equal(text(cause, "kind"), "train");
    assert_string_equal(text(cause, "name"), "lr");
    assert_true(json_number_value(json_object_get(cause, "bad")) == 1e-6);
    assert_true(json_integer_value(json_object_get(report, "runs")) <= 8);
    json_decref(report);

    c.max_runs = 1; /* no time to find it */
    OK(sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err));
    assert_false(json_is_true(json_object_get(report, "minimal")));
    assert_int_equal(json_array_size(json_object_get(report, "cause")), 5);
    json_decref(report);
    c = LOSS;
    c.metric = "heldout_bpb";
    OK(sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err));
    assert_string_equal(text(only_cause(report), "name"), "lr");
    json_decref(report);
}

/* Nine documents in three directories are added; one of them is noise, and long. */
static void write_extra(lab *l)
{
    sm_err err = {0};
    for (int d = 0; d < 9; d++) {
        char dir[128], name[24];
        sm_buf t = {0};
        snprintf(dir, sizeof dir, "%s/extra/part-%d", l->dir, d / 3);
        snprintf(name, sizeof name, "more-%d.txt", d);
        OK(sm_mkdirs(dir, &err));
        lab_document(&t, 100 + (uint64_t)d);
        if (d == 4) {
            sm_buf_clear(&t);
            for (uint64_t i = 0; i < 12000; i++)
                sm_buf_putc(&t,
                            i % 61 == 60
                                ? '\n'
                                : (char)(33 + sm_rng_below(90, 1, SM_STREAM_TEST, 0, i)));
            sm_buf_putc(&t, '\n');
        }
        lab_write(dir, name, t.data);
        sm_buf_free(&t);
    }
}

static void a_planted_document_is_found(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    char path[128];
    sm_id extra, set, bad;
    json_t *o = good_options();
    write_extra(l);
    snprintf(path, sizeof path, "%s/extra", l->dir);
    lab_step(&extra, l, "data.add", NULL, 0, json_pack("{s:[s]}", "paths", path));
    lab_step(&set, l, "data.curate", (const char *[]){l->source.hex, extra.hex}, 2,
             lab_curate_options());
    json_object_set_new(o, "z_coef", json_real(0.0001));
    lab_step(&bad, l, "train", (const char *[]){set.hex, l->tokenizer.hex}, 2, o);
    OK(sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &LOSS, &err));
    assert_int_equal(json_array_size(json_object_get(report, "differences")), 4);
    const json_t *cause = only_cause(report);
    assert_string_equal(text(cause, "kind"), "documents");
    assert_string_equal(text(cause, "name"), "part-1/more-4.txt");
    assert_int_equal(json_object_size(json_object_get(cause, "added")), 1);
    assert_int_equal(json_object_size(json_object_get(cause, "removed")), 0);
    json_decref(report);
}

static void what_has_no_answer_is_refused(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    sm_id bad, equal;
    sm_bisect_config c = LOSS;
    lab_train(&bad, l, bad_options());
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, l->model.hex, &c, &err),
        SM_EINVAL);
    assert_non_null(strstr(err.msg, "do not differ"));
    json_t *same_loss = good_options();
    json_object_set_new(same_loss, "eval_docs", json_integer(2));
    lab_train(&equal, l, same_loss);
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, equal.hex, &c, &err),
        SM_EINVAL);
    assert_non_null(strstr(err.msg, "bisect: loss of the good one and of the bad one: got "));
    assert_non_null(strstr(err.msg, "for both"));
    c.has_threshold = true;
    c.threshold = 1000;
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err),
        SM_EINVAL);
    assert_non_null(strstr(err.msg, "threshold: got 1000"));
    c = LOSS;
    c.metric = "beauty";
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, bad.hex, &c, &err),
        SM_EINVAL);
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, l->set.hex, &LOSS, &err),
        SM_EUNSUPPORTED);
    assert_null(report);
}

/* Evaluations stand for their models; the metric is any of their figures. */
static void evaluations_are_compared_by_their_figures(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    sm_id bad, x, y;
    sm_bisect_config c = LOSS;
    c.metric = "heldout.bpb";
    lab_train(&bad, l, bad_options());
    lab_step(&x, l, "eval", (const char *[]){l->model.hex, l->set.hex}, 2, json_object());
    lab_step(&y, l, "eval", (const char *[]){bad.hex, l->set.hex}, 2, json_object());
    OK(sm_flow_bisect(&report, &l->ctx, l->store, x.hex, y.hex, &c, &err));
    assert_string_equal(text(only_cause(report), "name"), "lr");
    json_decref(report);
    assert_int_equal(
        sm_flow_bisect(&report, &l->ctx, l->store, l->model.hex, y.hex, &c, &err),
        SM_EINVAL);
}

static int set_up(void **state)
{
    lab *l = calloc(1, sizeof *l);
    lab_open(l);
    lab_train(&l->model, l, good_options());
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    lab_close(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_option_is_found),
        cmocka_unit_test(a_planted_document_is_found),
        cmocka_unit_test(what_has_no_answer_is_refused),
        cmocka_unit_test(evaluations_are_compared_by_their_figures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
