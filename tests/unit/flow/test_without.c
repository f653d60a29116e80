/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counterfactuals: a document removed and restored gives the original model; a removed
 * survivor brings its duplicate back; what is reported is what differs.
 */
#include "lab.h"
#include "smelt/bind.h"
#include "without.h"

static sm_without_config config_of(const char *const *document, size_t n)
{
    return (sm_without_config){
        .document = document, .n_document = n, .heldout_docs = 100, .max_tokens = 8};
}

static sm_status leave_out(json_t **report, lab *l, const char *name, sm_err *err)
{
    const char *one[] = {name};
    sm_without_config c = config_of(one, 1);
    return sm_flow_without(report, &l->ctx, l->store, l->model.hex, &c, err);
}

static const char *text(const json_t *v, const char *key)
{
    return json_string_value(json_object_get(v, key));
}

static int64_t integer(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

/* A workspace with the sources cut in two and the tokenizer, and nothing else: dataset and
 * model are computed anew there. */
static void removed_and_restored_is_the_original(void **state)
{
    lab *l = *state;
    lab other = *l;
    sm_err err = {0};
    json_t *report = NULL;
    sm_id less, only, set, model;
    sm_artifact a = {0};
    OK(leave_out(&report, l, "page-05.txt", &err));
    assert_string_not_equal(text(report, "after"), l->model.hex);
    const json_t *gone = json_array_get(json_object_get(report, "removed"), 0);
    const char *in[] = {l->source.hex};
    lab_step(&less, l, "data.filter", in, 1,
             json_pack("{s:[s]}", "without", text(gone, "id")));
    lab_step(&only, l, "data.filter", in, 1,
             json_pack("{s:[s]}", "only", text(gone, "id")));
    json_decref(report);

    snprintf(other.dir, sizeof other.dir, "/tmp/smelt-lab-XXXXXX");
    assert_non_null(mkdtemp(other.dir));
    OK(sm_store_init(other.dir, &err));
    OK(sm_store_open(&other.store, other.dir, &err));
    const sm_id *take[] = {&less, &only, &l->tokenizer};
    for (int i = 0; i < 3; i++) {
        OK(sm_store_find(&a, l->store, take[i]->hex, &err));
        OK(sm_store_copy(other.store, l->store, &a, NULL, &err));
        sm_artifact_free(&a);
    }
    lab_step(&set, &other, "data.curate", (const char *[]){less.hex, only.hex}, 2,
             lab_curate_options());
    assert_string_equal(set.hex, l->set.hex);
    lab_train(&model, &other, lab_train_options());
    assert_string_equal(model.hex, l->model.hex);
    sm_store_close(other.store);
    sm_remove_tree(other.dir, NULL);
}

static void the_report_says_what_differs(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL, *again = NULL;
    const char *name[] = {"page-05.txt", "*-07.txt"}, *prompt[] = {"the kernel"};
    const char *ask[] = {"who locks the socket?"};
    sm_without_config c = config_of(name, 2);
    c.prompt = prompt;
    c.n_prompt = 1;
    c.ask = ask;
    c.n_ask = 1;
    c.as = "reduced";
    OK(sm_flow_without(&report, &l->ctx, l->store, l->model.hex, &c, &err));
    assert_int_equal(json_array_size(json_object_get(report, "removed")), 2);
    assert_false(json_is_true(json_object_get(report, "same")));
    const json_t *w = json_object_get(report, "weights");
    assert_true(integer(w, "changed") > 0 && integer(w, "changed") <= integer(w, "n"));
    assert_true(json_number_value(json_object_get(w, "relative")) > 0);
    const json_t *h = json_object_get(report, "heldout_bpb");
    double d = json_number_value(json_object_get(h, "difference"));
    assert_true(json_number_value(json_object_get(h, "low")) <= d &&
                d <= json_number_value(json_object_get(h, "high")));
    assert_int_equal(json_array_size(json_object_get(report, "answers")), 2);
    assert_int_equal(json_array_size(json_object_get(report, "removed_bpb")), 1);
    OK(sm_flow_without(&again, &l->ctx, l->store, l->model.hex, &c, &err));
    assert_true(json_equal(report, again));
    sm_artifact a = {0};
    OK(sm_store_find(&a, l->store, "reduced", &err));
    assert_string_equal(a.content.hex, text(report, "after"));
    sm_artifact_free(&a);
    OK(sm_flow_replay(&l->ctx, l->store, "reduced", true, &err));
    json_decref(report);
    json_decref(again);
}

/* page-03.txt and copy-of-03.txt are one text: one of them was rejected. */
static void a_duplicate_comes_back(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    static const char *const name[] = {"page-03.txt", "copy-of-03.txt"};
    int n_back = 0, n_same = 0;
    for (int i = 0; i < 2; i++) {
        json_t *report = NULL;
        OK(leave_out(&report, l, name[i], &err));
        const json_t *gone = json_array_get(json_object_get(report, "removed"), 0);
        const json_t *moved = json_object_get(report, "moved");
        if (!strcmp(text(gone, "part"), "rejected")) {
            n_same++;
            assert_int_equal(json_array_size(moved), 0);
        } else { /* its twin takes its place, on the same side */
            n_back++;
            assert_int_equal(json_array_size(moved), 1);
            assert_string_equal(text(json_array_get(moved, 0), "before"), "rejected");
            assert_string_equal(text(json_array_get(moved, 0), "after"),
                                text(gone, "part"));
        }
        json_decref(report);
    }
    assert_int_equal(n_back, 1);
    assert_int_equal(n_same, 1);
}

static void unknown_documents_are_refused(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    json_t *report = NULL;
    assert_int_equal(leave_out(&report, l, "page-99.txt", &err), SM_ENOENT);
    assert_non_null(strstr(err.msg, "'page-99.txt'"));
    assert_int_equal(leave_out(&report, l, "*", &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "no document is left"));
    sm_without_config c = config_of(NULL, 0);
    assert_int_equal(sm_flow_without(&report, &l->ctx, l->store, l->set.hex, &c, &err),
                     SM_EUNSUPPORTED);
}

static void filter_wants_one_list_of_known_ids(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    static const char *const bad[] = {
        "{}", "{\"only\":[\"00000000000000000000000000000000\"]}",
        "{\"without\":[\"0123\"]}", "{\"only\":[\"a\"],\"without\":[\"b\"]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sm_flow_result r = {0};
        json_t *o = NULL;
        OK(sm_json_parse(&o, bad[i], strlen(bad[i]), "test", &err));
        assert_int_equal(sm_flow_step(&r, &l->ctx, l->store, "data.filter",
                                      (const char *[]){l->source.hex}, 1, o, "test", NULL,
                                      &err),
                         SM_EINVAL);
        json_decref(o);
    }
}

/* Distances of a model from itself with known changes. */
static void distances_of_weights(void **state)
{
    lab *l = *state;
    sm_err err = {0};
    sm_artifact a = {0};
    sm_bound_model x = {0}, y = {0};
    json_t *v = NULL;
    OK(sm_store_find(&a, l->store, l->model.hex, &err));
    OK(sm_bind_model(&x, &l->ctx, l->store, &a, NULL, 1, &err));
    OK(sm_bind_model(&y, &l->ctx, l->store, &a, NULL, 1, &err));
    OK(flow_compare_weights(&v, x.model, y.model, &err));
    assert_int_equal(integer(v, "n"), x.model->n_weight);
    assert_int_equal(integer(v, "changed"), 0);
    json_decref(v);
    for (int32_t i = 0; i < y.model->n_param_tensors; i++)
        if (strstr(y.model->param[i].name, "router"))
            y.model->weight[y.model->param[i].offset] += 3;
    y.model->weight[0] += 4; /* the embedding's first */
    OK(flow_compare_weights(&v, x.model, y.model, &err));
    const json_t *groups = json_object_get(v, "groups");
    double l2 = json_number_value(json_object_get(v, "l2"));
    assert_int_equal(integer(v, "changed"), 3); /* two layers' routers */
    assert_true(l2 * l2 > 33.999 && l2 * l2 < 34.001);
    assert_int_equal(integer(json_object_get(groups, "router"), "changed"), 2);
    assert_int_equal(integer(json_object_get(groups, "embedding"), "changed"), 1);
    assert_int_equal(integer(json_object_get(groups, "attention"), "changed"), 0);
    assert_int_equal(integer(json_object_get(groups, "experts"), "changed"), 0);
    json_decref(v);

    text_set t = {.text = (const char *[]){"the kernel opens a file", "a pipe"},
                  .len = (size_t[]){23, 6},
                  .n = 2};
    OK(flow_compare_bpb(&v, &l->ctx, &x, &x, &t, &err));
    assert_true(json_number_value(json_object_get(v, "difference")) == 0);
    assert_true(json_number_value(json_object_get(v, "low")) == 0);
    json_decref(v);
    sm_bound_model_free(&x);
    sm_bound_model_free(&y);
    sm_artifact_free(&a);
}

static int set_up(void **state)
{
    lab *l = calloc(1, sizeof *l);
    lab_open(l);
    lab_train(&l->model, l, lab_train_options());
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
        cmocka_unit_test(removed_and_restored_is_the_original),
        cmocka_unit_test(the_report_says_what_differs),
        cmocka_unit_test(a_duplicate_comes_back),
        cmocka_unit_test(unknown_documents_are_refused),
        cmocka_unit_test(filter_wants_one_list_of_known_ids),
        cmocka_unit_test(distances_of_weights),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
