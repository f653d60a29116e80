/* SPDX-License-Identifier: Apache-2.0 */
/* smelt tracks: several architectures from one file, compared at equal compute or time. */
#include <inttypes.h>
#include <stdlib.h>

#include "cmd.h"
#include "smelt/tracks.h"

static const sm_option options[] = {
    {.key = "as",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "name of the report; by default the name that the file gives"},
    {.key = "out",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "directory of resolved.yaml and the report; by default NAME.tracks"},
    {.key = "dry_run",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "say which runs there are and what they take; make nothing"},
    SM_OPTION_END,
};

static int print_plan(const app *a, json_t *plan)
{
    size_t i, k;
    json_t *v, *n;
    if (a->json)
        return app_print_json(plan);
    printf("%s: %" PRId64 " runs\n", json_string_value(json_object_get(plan, "name")),
           (int64_t)json_integer_value(json_object_get(plan, "runs")));
    printf("%-28s %12s %12s %14s  %s\n", "track", "parameters", "active", "FLOPs a token",
           "steps");
    json_array_foreach(json_object_get(plan, "tracks"), i, v)
    {
        printf("%-28s %12" PRId64 " %12" PRId64 " %14.4g ",
               json_string_value(json_object_get(v, "track")),
               (int64_t)json_integer_value(json_object_get(v, "parameters")),
               (int64_t)json_integer_value(json_object_get(v, "active")),
               json_real_value(json_object_get(v, "flops_per_token")));
        json_array_foreach(json_object_get(v, "steps"), k, n)
        {
            if (json_is_integer(n))
                printf(" %" PRId64, (int64_t)json_integer_value(n));
            else
                printf(" (measured when it runs)");
        }
        printf("\n");
    }
    json_decref(plan);
    return EXIT_GOOD;
}

static sm_status load_report(json_t **out, sm_store *store, const sm_artifact *x,
                             sm_err *err)
{
    char *path = NULL;
    sm_status s = sm_store_path(&path, store, x, "report.json", err);
    if (!s)
        s = sm_json_load(out, path, err);
    free(path);
    return s;
}

static int print_report(app *a, const sm_flow_result *got)
{
    sm_err err = {0};
    json_t *report = NULL;
    sm_buf text = {0};
    sm_status s = load_report(&report, a->store, &got->artifact, &err);
    if (s)
        return app_fail(a, s, &err);
    if (a->json) {
        json_object_set_new(report, "content", json_string(got->artifact.content.hex));
        json_object_set_new(report, "made_before", json_boolean(got->was_there));
        return app_print_json(report);
    }
    sm_tracks_table(&text, report);
    printf("%s", text.data ? text.data : "");
    sm_buf_free(&text);
    json_decref(report);
    return EXIT_GOOD;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    sm_store *store;
    json_t *plan = NULL;
    sm_flow_result got = {0};
    sm_tracks_config c = {.path = in->pos[0],
                          .dir = sm_opt_str(in->opt, "out"),
                          .ref = sm_opt_str(in->opt, "as")};
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (!s && sm_opt_bool(in->opt, "dry_run"))
        s = sm_flow_tracks_plan(&plan, ctx, store, &c, &err);
    else if (!s)
        s = sm_flow_tracks(&got, ctx, store, &c, &err);
    app_settle(a);
    int rc = s      ? app_fail(a, s, &err)
             : plan ? print_plan(a, plan)
                    : print_report(a, &got);
    sm_flow_result_free(&got);
    return rc;
}

const verb verb_tracks = {
    .name = "tracks",
    .usage = "TRACKS.yaml",
    .summary = "train several architectures at equal compute or time and compare them",
    .details =
        "The file declares tracks, seeds and a budget (FLOPs, seconds, tokens or "
        "steps);\n"
        "docs/tracks.md has its keys.  Every run is a recorded train step; steps that a\n"
        "clock decided are written to resolved.yaml, which runs the same again to the\n"
        "bit.  An interrupted file goes on where it stopped.  The report is a table, a\n"
        "page with plots, and fitted scaling laws.",
    .example = "smelt tracks examples/tracks.yaml --dry-run\n"
               "smelt tracks examples/tracks.yaml --out comparison",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
