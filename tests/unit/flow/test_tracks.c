/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of tracks over a real workspace: budgets become steps, what a clock decided is
 * written down and can be run again to the bit, halving disturbs nobody, interruption and
 * a second run cost nothing, refusals have positions.
 */
#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "smelt/kern.h"
#include "tracks.h"

typedef struct fixture {
    char dir[64], file[96], out[96];
    sm_store *store;
    sm_ctx ctx;
    volatile int stop;
    int n_steps; /* of training, as seen by progress */
    int stop_after;
    int take_after; /* this many steps, as another file would that is done with the run */
    sm_progress progress;
} fixture;

static const char common[] =
    "in: [set, tok]\n"
    "evals: 4\n"
    "options: {n_layer: 1, d_model: 16, n_head: 2, n_kv_head: 1, d_head: 8, d_ff: 32, "
    "n_ctx: 32, n_seq: 4, n_shard: 4, eval_docs: 2, checkpoint_steps: 3, numerics: "
    "f32/1}\n"
    "tracks:\n"
    "  - name: dense\n"
    "    vary: {lr: [0.001, 0.01]}\n"
    "  - name: moe\n"
    "    options: {n_expert: 4, d_expert: 16, d_shared: 16, aux_coef: 0.01, lr: 0.005}\n";

/* The scratch directory of the one run that has made this step, under another name. */
static void take_scratch(const fixture *f, int step)
{
    char pattern[120], to[120], line[32];
    glob_t found = {0};
    snprintf(pattern, sizeof pattern, "%s/.smelt/tmp/scratch-*/curve.jsonl", f->dir);
    snprintf(to, sizeof to, "%s/taken", f->dir);
    snprintf(line, sizeof line, "\"step\":%d,", step);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *text = NULL, *at = strrchr(found.gl_pathv[i], '/');
        size_t len = 0;
        assert_int_equal(sm_file_read(&text, &len, found.gl_pathv[i], 0, NULL), SM_OK);
        *at = 0;
        if (strstr(text, line))
            assert_int_equal(rename(found.gl_pathv[i], to), 0);
        free(text);
    }
    globfree(&found);
    assert_true(sm_path_is_dir(to));
}

static void on_progress(void *self, const char *what, int64_t done, int64_t total,
                        const char *unit, const char *detail)
{
    fixture *f = self;
    (void)done, (void)total, (void)unit, (void)detail;
    if (!strcmp(what, "tracks") && ++f->n_steps == f->stop_after)
        sm_stop_set(&f->stop, 1);
    if (!strcmp(what, "tracks") && f->n_steps == f->take_after)
        take_scratch(f, f->take_after - 1);
}

static void write_file(const char *path, const char *text)
{
    assert_int_equal(sm_file_write_atomic(path, text, strlen(text), 0644, NULL), SM_OK);
}

static void declare(const fixture *f, const char *head)
{
    char text[2000];
    const char *jobs = strstr(head, "jobs: ") ? "" : "jobs: 2\n";
    snprintf(text, sizeof text, "%s%s%s", head, jobs, common);
    write_file(f->file, text);
}

/* Forty small documents of words that predict each other. */
static void write_documents(const char *dir)
{
    static const char *const word[] = {"list", "the",     "open", "files", "of",
                                       "a",    "process", "and",  "their", "names"};
    for (int i = 0; i < 40; i++) {
        char path[160], text[1200];
        size_t n = 0;
        for (uint64_t k = 0; k < 120; k++)
            n += (size_t)snprintf(
                text + n, sizeof text - n, "%s ",
                word[sm_rng_below(10, 7, SM_STREAM_TEST, (uint32_t)i, k / 2)]);
        snprintf(path, sizeof path, "%s/%02d.txt", dir, i);
        write_file(path, text);
    }
}

static void make(const fixture *f, const char *step, const char *in, json_t *options,
                 const char *ref)
{
    sm_flow_result r = {0};
    sm_err err = {0};
    sm_status s = sm_flow_step(&r, &f->ctx, f->store, step, &in, in ? 1 : 0, options,
                               "test", ref, &err);
    if (s)
        fail_msg("%s", err.msg);
    json_decref(options);
    sm_flow_result_free(&r);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    char docs[96];
    snprintf(f->dir, sizeof f->dir, "/tmp/smelt-tracks-XXXXXX");
    if (!f || !mkdtemp(f->dir))
        return -1;
    snprintf(docs, sizeof docs, "%s/docs", f->dir);
    snprintf(f->file, sizeof f->file, "%s/t.yaml", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    if (sm_mkdirs(docs, NULL) || sm_store_init(f->dir, NULL) ||
        sm_store_open(&f->store, f->dir, NULL) || sm_kern_get(&f->ctx.kern, "ref", NULL))
        return -1;
    f->ctx.comm = sm_comm_self();
    f->ctx.stop = &f->stop;
    f->progress = (sm_progress){.update = on_progress, .self = f};
    f->ctx.progress = &f->progress;
    write_documents(docs);
    make(f, "data.add", NULL,
         json_pack("{s:[s], s:s}", "paths", docs, "licence", "CC0-1.0"), "docs");
    make(f, "data.curate", "docs", json_pack("{s:f}", "heldout_frac", 0.2), "set");
    make(f, "tokenizer.train", "set", json_pack("{s:i}", "vocab_size", 300), "tok");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    sm_store_close(f->store);
    sm_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}

static sm_status run(const fixture *f, const char *path, const char *out,
                     sm_flow_result *r, sm_err *err)
{
    sm_tracks_config c = {.path = path, .dir = out};
    return sm_flow_tracks(r, &f->ctx, f->store, &c, err);
}

static void run_well(const fixture *f, const char *path, const char *out,
                     sm_flow_result *r)
{
    sm_err err = {0};
    if (run(f, path, out, r, &err))
        fail_msg("%s", err.msg);
}

static json_t *report_of(const fixture *f, const sm_flow_result *r)
{
    char *path = NULL;
    json_t *v = NULL;
    assert_int_equal(sm_store_path(&path, f->store, &r->artifact, "report.json", NULL),
                     SM_OK);
    assert_int_equal(sm_json_load(&v, path, NULL), SM_OK);
    free(path);
    return v;
}

/* Every run of an equal-compute file is within its budget and within one group of
 * evaluations of it. */
static void a_budget_of_flops_is_kept(void **state)
{
    fixture *f = *state;
    sm_flow_result r = {0};
    json_t *v;
    size_t i;
    declare(f, "name: even\nbudget_flops: [4.0e+7, 8.0e+7]\nseeds: [1]\n");
    run_well(f, f->file, f->out, &r);
    assert_string_equal(r.artifact.kind, "evaluation");
    json_t *report = report_of(f, &r);
    const json_t *runs = json_object_get(report, "runs");
    assert_int_equal(json_array_size(runs), 6);
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        double budget = json_integer_value(json_object_get(v, "budget")) ? 8e7 : 4e7;
        double flops = json_number_value(json_object_get(v, "flops"));
        double step = json_number_value(json_object_get(v, "step"));
        assert_true(flops <= budget);
        assert_true(flops * (1 + 4 / step) > budget);
        assert_true(json_number_value(json_object_get(v, "bpb")) > 0);
    }
    assert_int_equal(json_array_size(json_object_get(report, "tracks")), 6);
    assert_int_equal(json_array_size(json_object_get(report, "fits")), 2);
    json_decref(report);
    sm_flow_result_free(&r);
}

/* A clock decides once; resolved.yaml makes the same report without it. */
static void what_a_clock_decided_is_replayed(void **state)
{
    fixture *f = *state;
    sm_flow_result a = {0}, b = {0}, c = {0};
    char resolved[128], other[128], *text = NULL;
    size_t len;
    declare(f, "name: timed\nbudget_seconds: 0.3\nmeasure_seconds: 0.1\n");
    run_well(f, f->file, f->out, &a);
    snprintf(resolved, sizeof resolved, "%s/resolved.yaml", f->out);
    assert_int_equal(sm_file_read(&text, &len, resolved, 0, NULL), SM_OK);
    assert_non_null(strstr(text, "seconds_per_step: "));
    free(text);
    run_well(f, f->file, f->out, &b);
    assert_true(b.was_there);
    snprintf(other, sizeof other, "%s/other", f->dir);
    run_well(f, resolved, other, &c);
    assert_true(c.was_there);
    assert_string_equal(a.artifact.content.hex, c.artifact.content.hex);
    assert_int_equal(sm_flow_replay(&f->ctx, f->store, "timed", false, NULL), SM_OK);
    sm_flow_result_free(&a);
    sm_flow_result_free(&b);
    sm_flow_result_free(&c);
}

/* At which second each evaluation of a run was reached, from rates written here. */
static void expect_seconds(const fixture *f, const tracks_run *r, int n,
                           const double *want)
{
    const tracks_runs t = {.store = f->store};
    sm_err err = {0};
    json_t *v = NULL;
    if (tracks_describe(&v, &t, r, &err))
        fail_msg("%s", err.msg);
    json_t *got = json_object_get(v, "seconds");
    assert_int_equal(json_array_size(got), n);
    for (int i = 0; i < n; i++) {
        const json_t *row = json_array_get(got, (size_t)i);
        double second = json_number_value(json_array_get(row, 1));
        assert_int_equal(json_integer_value(json_array_get(row, 0)), 2 * (i + 1));
        if (fabs(second - want[i]) > 1.5e-3) /* cut to milliseconds */
            fail_msg("step %d: got %g s, want %g", 2 * (i + 1), second, want[i]);
    }
    assert_int_equal(json_is_true(json_object_get(v, "stopped")), r->stop_step > 0);
    json_decref(v);
}

/* Of 100 tokens a step, steps 1, 2 and 4 took 1, 2 and 4 seconds; the rates of the others
 * were lost, so each counts as their mean, 7/3.  Steps that the run has not are not counted,
 * nor a rate of nothing. */
static void lost_rates_take_the_mean(void **state)
{
    fixture *f = *state;
    static const struct {
        int step;
        double rate;
    } row[] = {{0, 1}, {1, 100}, {2, 50}, {4, 25}, {5, 0}, {9, 1}, {99, 1}};
    const tracks_track track = {.name = "t", .family = "dense", .tok_per_step = 100};
    tracks_run r = {.track = &track, .steps = 8, .eval_steps = 2};
    memset(r.recipe, 'a', 64);
    memset(r.content, 'b', 64);
    expect_seconds(f, &r, 0, NULL); /* none is known */
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(sm_store_metric(f->store, r.recipe, "tok_per_s", row[i].step,
                                         row[i].rate, NULL),
                         SM_OK);
    expect_seconds(f, &r, 4,
                   (double[]){3, 3 + 4 + 7. / 3, 7 + 3 * 7. / 3, 7 + 5 * 7. / 3});
    r.stop_step = 4;
    expect_seconds(f, &r, 2, (double[]){3, 3 + 4 + 7. / 3});
}

/* Survivors end in what their recipe gives undisturbed; the dropped are models too; both
 * are replayed from nothing to the same bits. */
static void halving_disturbs_nobody(void **state)
{
    fixture *f = *state;
    sm_flow_result r = {0};
    json_t *v;
    size_t i;
    int n_stopped = 0, n_whole = 0;
    declare(f,
            "name: half\nbudget_steps: 12\nseeds: [1, 2]\nhalving: {eta: 2, rungs: 2}\n");
    run_well(f, f->file, f->out, &r);
    json_t *report = report_of(f, &r);
    json_array_foreach(json_object_get(report, "runs"), i, v)
    {
        bool stopped = json_is_true(json_object_get(v, "stopped"));
        sm_err err = {0};
        n_stopped += stopped;
        n_whole += !stopped;
        assert_int_equal(json_integer_value(json_object_get(v, "step")),
                         stopped ? 6 : 12);
        assert_true(json_number_value(json_object_get(v, "seconds")) > 0);
        if (json_integer_value(json_object_get(v, "seed")) == 1 &&
            sm_flow_replay(&f->ctx, f->store,
                           json_string_value(json_object_get(v, "model")), false, &err))
            fail_msg("%s", err.msg);
    }
    assert_int_equal(n_stopped, 2);
    assert_int_equal(n_whole, 4);
    json_decref(report);
    sm_flow_result_free(&r);
}

/* Stopped at every few steps and begun again, a file ends in the same report. */
static void an_interrupted_file_goes_on(void **state)
{
    fixture *f = *state;
    sm_flow_result a = {0}, b = {0};
    int n_stops = 0;
    declare(f, "name: cut\nbudget_steps: 8\nhalving: {eta: 2, rungs: 2}\n");
    for (sm_status s = SM_ECANCEL; s;) {
        sm_err err = {0};
        sm_stop_set(&f->stop, 0);
        f->n_steps = 0;
        f->stop_after = n_stops < 4 ? 3 : 0;
        s = run(f, f->file, f->out, &a, &err);
        if (s && s != SM_ECANCEL)
            fail_msg("%s", err.msg);
        n_stops += s == SM_ECANCEL;
        assert_true(n_stops < 12);
    }
    assert_true(n_stops >= 1);
    json_t *report = report_of(f, &a), *v;
    size_t i;
    json_array_foreach(json_object_get(report, "runs"), i, v)
    {
        assert_int_equal(sm_flow_replay(&f->ctx, f->store,
                                        json_string_value(json_object_get(v, "model")),
                                        false, NULL),
                         SM_OK);
    }
    f->n_steps = 0;
    run_well(f, f->file, f->out, &b);
    assert_true(b.was_there);
    assert_int_equal(f->n_steps, 0);
    json_decref(report);
    sm_flow_result_free(&a);
    sm_flow_result_free(&b);
}

/* Another file that halves the same runs elsewhere hands the scratch of one over to the
 * recipe that it stops there, before this file has compared its runs. */
static void other_files_may_take_a_paused_run(void **state)
{
    fixture *f = *state;
    sm_flow_result r = {0};
    json_t *v;
    size_t i;
    int n_stopped = 0;
    declare(f, "name: both\nbudget_steps: 8\njobs: 1\nhalving: {eta: 2, rungs: 2}\n");
    f->n_steps = 0;
    f->take_after = 5; /* the first run is at 4, the second has begun */
    run_well(f, f->file, f->out, &r);
    json_t *report = report_of(f, &r);
    json_array_foreach(json_object_get(report, "runs"), i, v) n_stopped +=
        json_is_true(json_object_get(v, "stopped"));
    assert_int_equal(n_stopped, 1);
    json_decref(report);
    sm_flow_result_free(&r);
}

static void refused(const fixture *f, const char *text, const char *part)
{
    sm_err err = {0};
    sm_flow_result r = {0};
    write_file(f->file, text);
    assert_int_equal(run(f, f->file, f->out, &r, &err), SM_EINVAL);
    if (!strstr(err.msg, part))
        fail_msg("got \"%s\", want \"%s\" in it", err.msg, part);
}

static void faults_have_positions(void **state)
{
    const fixture *f = *state;
    refused(f, "name: x\nin: [set, tok]\ntracks: [{name: a}]\n", "budget: missing");
    refused(f, "name: x\nin: [set, tok]\nbudget_steps: 8\nbudget_flops: 8\n",
            "second budget");
    refused(f, "name: x\nin: [set, tok]\nbudget_steps: 0\ntracks: [{name: a}]\n",
            "above 0");
    refused(f, "name: x\nin: [set]\nbudget_steps: 8\n", "t.yaml:2:");
    refused(f, "name: x\nin: [set, tok]\nbudget_steps: 8\nseed: 1\n", "unknown");
    refused(f, "name: x\nin: [set, tok]\nbudget_steps: 8\nseeds: [1, 1]\n", "twice");
    refused(f, "name: x\nin: [set, tok]\nbudget_steps: 8\ntracks: []\n", "one track");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: 8\ntracks: [{name: a}, {name: a}]\n",
            "second track");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: 8\ntracks:\n  - name: a\n"
            "    options: {d_modell: 3}\n",
            "t.yaml:6:");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: 8\ntracks:\n  - name: a\n"
            "    options: {n_steps: 3}\n",
            "n_steps: set by");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: [8, 16]\nhalving: {eta: 2}\n"
            "tracks: [{name: a}]\n",
            "one budget");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: 8\nevals: 2\n"
            "halving: {eta: 4, rungs: 4}\ntracks: [{name: a}]\n",
            "evals");
    refused(f,
            "name: x\nin: [set, tok]\nbudget_steps: 8\ntracks:\n  - name: a\n"
            "    vary: {lr: [-1]}\n",
            "lr");
}

/* What would have come out after all runs were trained, from a plan as from a run. */
static void expect_refusal(const fixture *f, const char *report, const char *want)
{
    sm_tracks_config c = {.path = f->file, .dir = f->out, .ref = report};
    sm_flow_result r = {0};
    json_t *plan = NULL;
    sm_err err = {0};
    assert_int_equal(sm_flow_tracks_plan(&plan, &f->ctx, f->store, &c, &err), SM_EINVAL);
    if (!strstr(err.msg, want))
        fail_msg("want \"%s\" in: %s", want, err.msg);
    assert_int_equal(sm_flow_tracks(&r, &f->ctx, f->store, &c, &err), SM_EINVAL);
    assert_int_equal(f->n_steps, 0);
}

static void what_is_known_is_refused_before_training(void **state)
{
    fixture *f = *state;
    char text[2000], longest[64];
    const char *head = "name: t\nbudget_steps: 8\nseeds: [1]\n";
    f->n_steps = 0;
    declare(f, head);
    expect_refusal(f, "a+b", "t: ref: got \"a+b\"");
    expect_refusal(f, "a@v1", "a version never moves");
    memset(longest, 'n', 59);
    longest[59] = 0;
    snprintf(text, sizeof text,
             "name: %s\nbudget_steps: 8\nseeds: [123456789]\nin: [set, tok]\nevals: 4\n"
             "tracks:\n  - {name: %s}\n",
             longest, longest);
    write_file(f->file, text);
    expect_refusal(f, NULL, "ref: got \"nnn");
    make(f, "data.curate", "docs", json_pack("{s:f}", "heldout_frac", 0.0), "no-heldout");
    snprintf(text, sizeof text, "%s%s", head, common);
    char *at = strstr(text, "[set, tok]");
    assert_non_null(at);
    memmove(at + 17, at + 10, strlen(at + 10) + 1);
    memcpy(at, "[no-heldout, tok]", 17);
    write_file(f->file, text);
    expect_refusal(f, NULL, "got no held-out documents, want some to compare by");
    snprintf(text, sizeof text, "%s%s", head, common);
    at = strstr(text, "eval_docs: 2");
    assert_non_null(at);
    at[11] = '0';
    write_file(f->file, text);
    expect_refusal(f, NULL, "track dense-0.001: eval_docs: got 0");
}

/* A run's options are its own: its seed, its steps, evaluations at equal parts of them, and
 * the share of them that is warm-up. */
static void options_of_runs_are_those_declared(void **state)
{
    const fixture *f = *state;
    tracks_file file = {0};
    tracks_runs runs = {0};
    sm_err err = {0};
    declare(f, "name: own\nbudget_steps: 400\nseeds: [5, 9]\nwarmup_frac: 0.1\n");
    assert_int_equal(tracks_read(&file, f->file, &err), SM_OK);
    assert_int_equal(tracks_facts(&file, &f->ctx, f->store, &err), SM_OK);
    assert_int_equal(tracks_resolve(&file, &f->ctx, f->store, f->out, &err), SM_OK);
    if (tracks_runs_make(&runs, &file, &f->ctx, f->store, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(runs.n, 6);
    for (int i = 0; i < runs.n; i++) {
        const json_t *o = runs.run[i].options;
        assert_int_equal(sm_json_int(o, "seed"), i < 3 ? 5 : 9);
        assert_int_equal(sm_json_int(o, "n_steps"), 400);
        assert_int_equal(sm_json_int(o, "eval_steps"), 100);
        assert_int_equal(sm_json_int(o, "warmup_steps"), 40);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(runs.run[i].recipe, runs.run[j].recipe);
    }
    tracks_runs_free(&runs);
    tracks_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_budget_of_flops_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_clock_decided_is_replayed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lost_rates_take_the_mean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(halving_disturbs_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_interrupted_file_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files_may_take_a_paused_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_known_is_refused_before_training, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(faults_have_positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_of_runs_are_those_declared, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
