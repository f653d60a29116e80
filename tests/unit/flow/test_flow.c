/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps, pipelines and replay over a real workspace: what is skipped, what enters a
 * recipe, two processes at one recipe, lost objects, refusals with positions.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"
#include "smelt/kern.h"

typedef struct fixture {
    char dir[64];
    char docs[96], more[96];
    sm_store *store;
    sm_ctx ctx;
} fixture;

static void write_file(const char *dir, const char *name, const char *text)
{
    char *path = sm_path_join(dir, name);
    assert_int_equal(sm_file_write_atomic(path, text, strlen(text), 0644, NULL), SM_OK);
    free(path);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/smelt-flow-XXXXXX");
    if (!f || !mkdtemp(f->dir))
        return -1;
    snprintf(f->docs, sizeof f->docs, "%s/docs", f->dir);
    snprintf(f->more, sizeof f->more, "%s/more", f->dir);
    if (sm_mkdirs(f->docs, NULL) || sm_mkdirs(f->more, NULL))
        return -1;
    write_file(f->docs, "a.txt", "A document that says how to list the open files.\n");
    write_file(f->docs, "b.md", "# Title\n\nAnother document, in Markdown this time.\n");
    write_file(f->more, "c.txt", "A third one, kept in a directory of its own.\n");
    if (sm_store_init(f->dir, NULL) || sm_store_open(&f->store, f->dir, NULL) ||
        sm_kern_get(&f->ctx.kern, "ref", NULL))
        return -1;
    f->ctx.comm = sm_comm_self();
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

static json_t *paths_of(const char *path)
{
    return json_pack("{s:[s]}", "paths", path);
}

static sm_status add(sm_flow_result *r, const fixture *f, const char *path,
                     const char *ref, sm_err *err)
{
    json_t *options = paths_of(path);
    sm_status s = sm_flow_step(r, &f->ctx, f->store, "data.add", NULL, 0, options, "test",
                               ref, err);
    json_decref(options);
    return s;
}

static bool has_scratch(const fixture *f)
{
    char *tmp = sm_path_join(sm_store_dir(f->store), "tmp");
    DIR *d = opendir(tmp);
    bool found = false;
    for (struct dirent *e; d && (e = readdir(d));)
        found = found || !strncmp(e->d_name, "scratch-", 8);
    if (d)
        closedir(d);
    free(tmp);
    return found;
}

static void a_step_is_made_once(void **state)
{
    const fixture *f = *state;
    sm_flow_result one = {0}, two = {0};
    sm_err err = {0};
    assert_int_equal(add(&one, f, f->docs, "docs", &err), SM_OK);
    assert_false(one.was_there);
    assert_string_equal(one.artifact.kind, "source");
    assert_non_null(one.figures);
    assert_int_equal(add(&two, f, f->docs, "docs", &err), SM_OK);
    assert_true(two.was_there);
    assert_null(two.figures);
    assert_string_equal(one.artifact.content.hex, two.artifact.content.hex);
    assert_false(has_scratch(f));
    sm_artifact v2 = {0};
    assert_int_equal(sm_store_find(&v2, f->store, "docs@v2", NULL), SM_ENOENT);
    sm_flow_result_free(&one);
    sm_flow_result_free(&two);
}

/* The facts of data.add are hashes of what is read, so a changed file is another recipe.
 */
static void a_changed_file_is_another_recipe(void **state)
{
    const fixture *f = *state;
    sm_flow_result one = {0}, two = {0}, three = {0};
    assert_int_equal(add(&one, f, f->docs, "docs", NULL), SM_OK);
    write_file(f->docs, "a.txt", "A document that says something else altogether.\n");
    assert_int_equal(add(&two, f, f->docs, "docs", NULL), SM_OK);
    assert_false(two.was_there);
    assert_string_not_equal(one.artifact.recipe.hex, two.artifact.recipe.hex);
    write_file(f->docs, "a.txt", "A document that says how to list the open files.\n");
    assert_int_equal(add(&three, f, f->docs, "docs", NULL), SM_OK);
    assert_true(three.was_there);
    assert_string_equal(one.artifact.content.hex, three.artifact.content.hex);
    sm_artifact now = {0};
    assert_int_equal(sm_store_find(&now, f->store, "docs", NULL), SM_OK);
    assert_string_equal(now.content.hex, one.artifact.content.hex);
    sm_artifact_free(&now);
    sm_flow_result_free(&one);
    sm_flow_result_free(&two);
    sm_flow_result_free(&three);
}

static void a_lost_object_is_made_again(void **state)
{
    const fixture *f = *state;
    sm_flow_result one = {0}, two = {0};
    char *path = NULL;
    assert_int_equal(add(&one, f, f->docs, "docs", NULL), SM_OK);
    assert_int_equal(
        sm_store_path(&path, f->store, &one.artifact, one.artifact.file[0].path, NULL),
        SM_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(add(&two, f, f->docs, "docs", NULL), SM_OK);
    assert_false(two.was_there);
    assert_string_equal(one.artifact.content.hex, two.artifact.content.hex);
    assert_true(sm_path_exists(path));
    free(path);
    sm_flow_result_free(&one);
    sm_flow_result_free(&two);
}

/* Several processes ask for one recipe at once: one makes it, all get it. */
static void processes_share_one_run(void **state)
{
    fixture *f = *state;
    enum { N = 4 };
    pid_t pid[N];
    for (int i = 0; i < N; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            fixture g = *f;
            sm_flow_result r = {0};
            int rc = sm_store_open(&g.store, f->dir, NULL) ? 2 : 0;
            if (!rc)
                rc = add(&r, &g, f->docs, "docs", NULL) ? 3 : r.was_there ? 0 : 1;
            _exit(rc);
        }
    }
    int made = 0;
    for (int i = 0; i < N; i++) {
        int status;
        waitpid(pid[i], &status, 0);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) <= 1);
        made += WEXITSTATUS(status);
    }
    assert_int_equal(made, 1);
    assert_false(has_scratch(f));
    assert_int_equal(sm_store_verify(f->store, NULL, NULL, NULL, &(int64_t){0}, NULL),
                     SM_OK);
}

static void inputs_are_sorted_by_kind(void **state)
{
    const fixture *f = *state;
    static const sm_step two = {.name = "two", .inputs = "index? source+"};
    sm_flow_result a = {0}, b = {0};
    sm_artifact *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    assert_int_equal(add(&a, f, f->docs, "a", NULL), SM_OK);
    assert_int_equal(add(&b, f, f->more, "b", NULL), SM_OK);
    assert_int_equal(flow_inputs_find(&x, &n, f->store, &two,
                                      (const char *const[]){"a", "b"}, 2, "t", NULL),
                     SM_OK);
    assert_int_equal(flow_inputs_find(&y, &m, f->store, &two,
                                      (const char *const[]){"b", "a"}, 2, "t", NULL),
                     SM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(m, 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(x[i].content.hex, y[i].content.hex);
    flow_inputs_free(x, n);
    flow_inputs_free(y, m);

    static const sm_step other = {.name = "other", .inputs = "dataset"};
    sm_err err = {0};
    assert_int_equal(flow_inputs_find(&x, &n, f->store, &other,
                                      (const char *const[]){"a"}, 1, "t", &err),
                     SM_EINVAL);
    assert_string_equal(
        err.msg, "t: other: in: got no dataset (given: a, a source), want DATASET");
    sm_flow_result_free(&a);
    sm_flow_result_free(&b);
}

static void options_without_effect_are_not_in_the_recipe(void **state)
{
    (void)state;
    const sm_step *train = sm_step_find("train");
    json_t *given = json_pack("{s:i, s:i, s:s, s:i}", "n_steps", 7, "memory_mb", 100,
                              "numerics", "f32/1", "n_layer", 4);
    json_t *options = NULL, *recipe = NULL;
    sm_buf text = {0};
    assert_int_equal(sm_options_resolve(&options, train->options, given, "t", NULL),
                     SM_OK);
    const sm_step_io io = {.options = options};
    assert_int_equal(flow_recipe(&recipe, train, &io, NULL), SM_OK);
    assert_int_equal(sm_json_canonical(&text, recipe, NULL), SM_OK);
    assert_non_null(strstr(text.data, "\"options\":{\"n_steps\":7}"));
    assert_non_null(strstr(text.data, "\"profile\":\"f32/1\""));
    assert_non_null(strstr(text.data, "\"step\":\"train\""));
    sm_buf_free(&text);
    json_decref(recipe);
    json_decref(options);
    json_decref(given);
}

static sm_status run_text(const fixture *f, const char *yaml, const json_t *overrides,
                          sm_err *err)
{
    write_file(f->dir, "p.yaml", yaml);
    char *path = sm_path_join(f->dir, "p.yaml");
    sm_status s = sm_flow_run(NULL, &f->ctx, f->store, path, overrides, NULL, err);
    free(path);
    return s;
}

static void pipelines_run_and_replay(void **state)
{
    const fixture *f = *state;
    char yaml[512];
    sm_err err = {0};
    snprintf(yaml, sizeof yaml,
             "version: 1\npipeline: p\nsteps:\n"
             "  - {step: data.add, as: docs, options: {paths: [%s]}}\n"
             "  - step: data.curate\n    as: set\n    in: [docs]\n"
             "    options: {steps: [repair, normalise], heldout_frac: 0}\n"
             "  - {step: index, as: idx, in: [set]}\n",
             f->docs);
    if (run_text(f, yaml, NULL, &err))
        fail_msg("%s", err.msg);
    sm_artifact one = {0}, two = {0};
    assert_int_equal(sm_store_find(&one, f->store, "idx", NULL), SM_OK);
    assert_int_equal(run_text(f, yaml, NULL, &err), SM_OK);
    assert_int_equal(sm_store_find(&two, f->store, "idx", NULL), SM_OK);
    assert_string_equal(one.content.hex, two.content.hex);
    sm_artifact_free(&two);
    if (sm_flow_replay(&f->ctx, f->store, "idx", false, &err) ||
        sm_flow_replay(&f->ctx, f->store, "idx", true, &err) ||
        sm_flow_replay(&f->ctx, f->store, "docs", false, &err))
        fail_msg("%s", err.msg);

    json_t *more = json_pack("{s:[s, s]}", "docs.paths", f->docs, f->more);
    assert_int_equal(run_text(f, yaml, more, &err), SM_OK);
    assert_int_equal(sm_store_find(&two, f->store, "idx", NULL), SM_OK);
    assert_string_not_equal(one.content.hex, two.content.hex);
    json_decref(more);
    sm_artifact_free(&one);
    sm_artifact_free(&two);
}

/* Whatever a recipe claims to have made and does not make is found. */
static void replay_finds_another_result(void **state)
{
    const fixture *f = *state;
    sm_flow_result r = {0};
    sm_artifact forged = {0};
    sm_err err = {0};
    char *staging = NULL;
    assert_int_equal(add(&r, f, f->docs, "docs", NULL), SM_OK);
    json_t *options = json_pack("{s:[s], s:f}", "steps", "repair", "heldout_frac", 0.0);
    sm_flow_result set = {0};
    assert_int_equal(sm_flow_step(&set, &f->ctx, f->store, "data.curate",
                                  (const char *const[]){"docs"}, 1, options, "t", "set",
                                  NULL),
                     SM_OK);
    /* The same recipe with one step fewer asked for, but the other one's bytes. */
    json_t *recipe = json_deep_copy(set.artifact.recipe_json);
    json_object_set_new(json_object_get(recipe, "options"), "steps",
                        json_pack("[s, s]", "repair", "normalise"));
    assert_int_equal(sm_store_staging(&staging, f->store, "forged", NULL), SM_OK);
    write_file(staging, "train.jsonl", "{}\n");
    assert_int_equal(sm_store_commit(&forged, f->store, "dataset", recipe, staging,
                                     "forged", NULL, NULL),
                     SM_OK);
    assert_int_equal(sm_flow_replay(&f->ctx, f->store, "forged", false, &err),
                     SM_EDENIED);
    assert_non_null(strstr(err.msg, "train.jsonl differs"));
    assert_non_null(strstr(err.msg, "heldout.jsonl is new"));

    json_object_set_new(recipe, "version", json_integer(99));
    sm_artifact later = {0};
    free(staging);
    assert_int_equal(sm_store_staging(&staging, f->store, "later", NULL), SM_OK);
    write_file(staging, "train.jsonl", "{}\n");
    assert_int_equal(sm_store_commit(&later, f->store, "dataset", recipe, staging,
                                     "later", NULL, NULL),
                     SM_OK);
    assert_int_equal(sm_flow_replay(&f->ctx, f->store, "later", false, &err),
                     SM_EUNSUPPORTED);
    /* The recipe that is replayed is the one asked for, not the first of that content. */
    assert_int_equal(sm_flow_replay(&f->ctx, f->store, "later", true, &err),
                     SM_EUNSUPPORTED);
    free(staging);
    json_decref(recipe);
    json_decref(options);
    sm_artifact_free(&forged);
    sm_artifact_free(&later);
    sm_flow_result_free(&set);
    sm_flow_result_free(&r);
}

static void a_part_of_a_pipeline_is_what_a_step_needs(void **state)
{
    const fixture *f = *state;
    char yaml[512];
    sm_err err = {0};
    json_t *made = NULL;
    snprintf(yaml, sizeof yaml,
             "pipeline: p\nsteps:\n"
             "  - {step: data.add, as: part-docs, options: {paths: [%s]}}\n"
             "  - {step: data.add, as: part-more, options: {paths: [%s]}}\n"
             "  - step: data.curate\n    as: part-set\n    in: [part-more]\n"
             "    options: {steps: [repair, normalise], heldout_frac: 0}\n"
             "  - {step: index, as: part-idx, in: [part-set]}\n",
             f->docs, f->more);
    write_file(f->dir, "p.yaml", yaml);
    char *path = sm_path_join(f->dir, "p.yaml");
    assert_int_equal(sm_flow_run(&made, &f->ctx, f->store, path, NULL, "curat", &err),
                     SM_EINVAL);
    assert_non_null(strstr(err.msg, "--to: got 'curat'"));
    assert_non_null(strstr(err.msg, "did you mean 'data.curate'?"));
    if (sm_flow_run(&made, &f->ctx, f->store, path, NULL, "curate", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(json_object_size(made), 2);
    assert_non_null(json_object_get(made, "part-more"));
    assert_non_null(json_object_get(made, "part-set"));
    json_decref(made);
    /* a name that two steps bear means both */
    if (sm_flow_run(&made, &f->ctx, f->store, path, NULL, "data.add", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(json_object_size(made), 2);
    assert_non_null(json_object_get(made, "part-docs"));
    json_decref(made);
    free(path);
}

static void a_stop_request_stops(void **state)
{
    const fixture *f = *state;
    static const volatile int stop = 1;
    sm_ctx ctx = f->ctx;
    ctx.stop = &stop;
    char yaml[256];
    sm_err err = {0};
    snprintf(
        yaml, sizeof yaml,
        "pipeline: p\nsteps:\n  - {step: data.add, as: docs, options: {paths: [%s]}}\n",
        f->docs);
    write_file(f->dir, "p.yaml", yaml);
    char *path = sm_path_join(f->dir, "p.yaml");
    assert_int_equal(sm_flow_run(NULL, &ctx, f->store, path, NULL, NULL, &err),
                     SM_ECANCEL);
    assert_non_null(strstr(err.msg, "data.add: "));
    assert_non_null(strstr(err.msg, "/docs/a.txt: stopped while it was hashed"));
    free(path);
}

static void plans_make_nothing(void **state)
{
    const fixture *f = *state;
    json_t *options = paths_of(f->docs), *plan = NULL;
    assert_int_equal(
        sm_flow_plan(&plan, &f->ctx, f->store, "data.add", NULL, 0, options, "t", NULL),
        SM_OK);
    assert_false(json_is_true(json_object_get(plan, "made_before")));
    assert_true(json_is_string(json_object_get(plan, "recipe")));
    assert_false(has_scratch(f));
    json_decref(plan);
    json_decref(options);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_step_is_made_once),
        TEST(a_changed_file_is_another_recipe),
        TEST(a_lost_object_is_made_again),
        TEST(processes_share_one_run),
        TEST(inputs_are_sorted_by_kind),
        TEST(options_without_effect_are_not_in_the_recipe),
        TEST(pipelines_run_and_replay),
        TEST(a_part_of_a_pipeline_is_what_a_step_needs),
        TEST(replay_finds_another_result),
        TEST(a_stop_request_stops),
        TEST(plans_make_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
