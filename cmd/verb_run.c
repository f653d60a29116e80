/* SPDX-License-Identifier: Apache-2.0 */
/* smelt run: the whole loop as a pipeline file declares it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"

static const sm_option options[] = {
    {.key = "set",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "STEP.OPTION=VALUE: another value for an option of the file"},
    {.key = "source",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "read these files or directories instead: the paths of data.add"},
    {.key = "to",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "run this step, named as for --set, and those that it needs, no more"},
    {.key = "dry_run",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "say which steps would run and what trainings would take, make nothing"},
    SM_OPTION_END,
};

/* Append a text to the list under `key`. */
static bool add_text(json_t *overrides, const char *key, const char *text)
{
    json_t *list = json_object_get(overrides, key);
    if (!list) {
        list = json_array();
        if (json_object_set_new(overrides, key, list) != 0)
            return false;
    }
    return json_array_append_new(list, json_string(text)) == 0;
}

static sm_status read_overrides(json_t *out, const args *in, sm_err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)sm_opt_list(in->opt, "set"), i, v)
    {
        const char *text = json_string_value(v), *eq = strchr(text, '=');
        char key[128];
        if (!eq || eq == text || (size_t)(eq - text) >= sizeof key)
            return sm_fail(err, SM_EINVAL,
                           "run: --set: got '%.80s', want STEP.OPTION=VALUE", text);
        memcpy(key, text, (size_t)(eq - text));
        key[eq - text] = 0;
        if (!add_text(out, key, eq + 1))
            return sm_fail(err, SM_ENOMEM, "run: out of memory");
    }
    json_array_foreach((json_t *)(uintptr_t)sm_opt_list(in->opt, "source"), i, v)
    {
        if (!add_text(out, "data.add.paths", json_string_value(v)))
            return sm_fail(err, SM_ENOMEM, "run: out of memory");
    }
    return SM_OK;
}

/* Is there a release among the results whose gate failed?  Names it. */
static const char *failed_gate(const json_t *made, sm_store *store)
{
    const char *ref, *failed = NULL;
    json_t *content;
    json_object_foreach((json_t *)(uintptr_t)made, ref, content)
    {
        sm_artifact found = {0};
        char *path = NULL;
        json_t *verdict = NULL;
        if (!sm_store_find(&found, store, json_string_value(content), NULL) &&
            !strcmp(found.kind, "release") &&
            !sm_store_path(&path, store, &found, "verdict.json", NULL) &&
            !sm_json_load(&verdict, path, NULL) &&
            !json_is_true(json_object_get(verdict, "passed")))
            failed = ref;
        json_decref(verdict);
        free(path);
        sm_artifact_free(&found);
    }
    return failed;
}

/* Print what was made; a gate that failed is a negative verdict. */
static int report(const app *a, json_t *made)
{
    const char *failed = failed_gate(made, a->store);
    if (failed)
        fprintf(stderr, "smelt: run: %s: its gate failed (smelt gate shows why)\n",
                failed);
    int rc = failed ? EXIT_FAILED : EXIT_GOOD;
    if (a->json)
        rc = app_print_json(json_pack("{s:O, s:b}", "results", made, "passed", !failed))
                 ? EXIT_FAILED
                 : rc;
    return rc;
}

/* ": 9.1 M parameters active of 35.8 M, 1500 steps, some 12 min, 1.2 GB" */
static void print_training(const json_t *plan)
{
    char size[32];
    int64_t per_step = json_integer_value(json_object_get(plan, "tokens_per_step"));
    double seconds = json_number_value(json_object_get(plan, "expected_seconds"));
    if (per_step <= 0)
        return;
    printf(": %.3g M parameters active of %.3g M, %" PRId64 " steps, some ",
           1e-6 * json_number_value(json_object_get(plan, "active_parameters")),
           1e-6 * json_number_value(json_object_get(plan, "parameters")),
           (int64_t)json_integer_value(json_object_get(plan, "tokens")) / per_step);
    if (seconds < 90)
        printf("%.0f s", seconds);
    else if (seconds < 5400)
        printf("%.0f min", seconds / 60);
    else
        printf("%.1f h", seconds / 3600);
    printf(", %s",
           human_bytes(size, json_integer_value(json_object_get(plan, "total_bytes"))));
}

static void print_step(const json_t *step, size_t i, size_t n)
{
    size_t k;
    json_t *name;
    printf("[%zu/%zu] %s -> %s", i + 1, n, sm_json_text(step, "step"),
           sm_json_text(step, "as"));
    if (json_is_true(json_object_get(step, "made_before"))) {
        printf(" %.12s: made before\n", sm_json_text(step, "content"));
        return;
    }
    printf(": would run");
    json_array_foreach(json_object_get(step, "after"), k, name)
        printf("%s%s", k ? ", " : " after ", json_string_value(name));
    print_training(json_object_get(step, "plan"));
    printf("\n");
}

/* The plan is taken over. */
static int print_plan(const app *a, json_t *plan)
{
    size_t i;
    json_t *v, *steps = json_object_get(plan, "steps");
    if (a->json)
        return app_print_json(plan);
    json_array_foreach(steps, i, v) print_step(v, i, json_array_size(steps));
    printf("%" PRId64 " of %zu step%s would run\n",
           (int64_t)json_integer_value(json_object_get(plan, "to_run")),
           json_array_size(steps), json_array_size(steps) == 1 ? "" : "s");
    json_decref(plan);
    return EXIT_GOOD;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    sm_store *store;
    bool is_dry = sm_opt_bool(in->opt, "dry_run");
    const char *to = sm_opt_str(in->opt, "to");
    json_t *overrides = json_object(), *got = NULL;
    sm_status s = read_overrides(overrides, in, &err);
    if (!s)
        s = app_store(&store, a, &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (!s)
        s = (is_dry ? sm_flow_run_plan : sm_flow_run)(&got, ctx, store, in->pos[0],
                                                      overrides, *to ? to : NULL, &err);
    json_decref(overrides);
    app_settle(a);
    if (s)
        return app_fail(a, s, &err);
    if (is_dry)
        return print_plan(a, got);
    int rc = report(a, got);
    json_decref(got);
    return rc;
}

const verb verb_run = {
    .name = "run",
    .usage = "PIPELINE.yaml",
    .summary = "run a pipeline: make what is missing, skip what was made before",
    .details =
        "The file declares steps, each reading what earlier ones made;\n"
        "docs/formats/pipeline.md has its keys.  The whole file is checked before\n"
        "anything runs.  An interrupted run goes on where it stopped.  --dry-run says\n"
        "which steps would run, and of trainings how long and in how much memory; a\n"
        "step counts as one that would run when an input of it is still to be made.",
    .example =
        "smelt run examples/unix-manual.yaml --source ~/packages\n"
        "smelt run examples/unix-manual.yaml --source ~/packages --to train\n"
        "smelt run examples/unix-manual.yaml --source ~/packages --dry-run\n"
        "smelt run examples/unix-manual.yaml --source ~/packages --set train.n_steps=500",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
