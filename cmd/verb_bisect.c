/* SPDX-License-Identifier: Apache-2.0 */
/* smelt bisect: which change between two models moved a metric. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"

static const sm_option options[] = {
    {.key = "metric",
     .type = SM_OPT_STRING,
     .def = "heldout_bpb",
     .help = "of models heldout_bpb or loss; of evaluations the name of a figure"},
    {.key = "threshold",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "what is bad begins here; by default the middle of good and bad"},
    {.key = "heldout_docs",
     .type = SM_OPT_INT,
     .def = "1000",
     .min = 1,
     .max = 1e9,
     .unit = "documents",
     .help = "for heldout_bpb: documents that both hold out, at most"},
    {.key = "max_runs",
     .type = SM_OPT_INT,
     .def = "100",
     .min = 1,
     .max = 1e6,
     .help = "combinations tried, at most"},
    {.key = "dry_run",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "list the differences and the runs to expect, train nothing"},
    SM_OPTION_END,
};

static void print_paths(char sign, const json_t *ids)
{
    const char *id;
    json_t *path;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)ids, id, path)
    {
        if (n++ < 5)
            printf("      %c %.12s  %s\n", sign, id, json_string_value(path));
    }
    if (n > 5)
        printf("      %c and %zu more\n", sign, n - 5);
}

static void print_changes(const json_t *list)
{
    size_t i;
    json_t *c;
    json_array_foreach(list, i, c)
    {
        const char *kind = sm_json_text(c, "kind");
        sm_buf good = {0}, bad = {0};
        if (json_object_get(c, "good")) {
            sm_json_canonical(&good, json_object_get(c, "good"), NULL);
            sm_json_canonical(&bad, json_object_get(c, "bad"), NULL);
            printf("  %s.%s: %s -> %s\n", kind, sm_json_text(c, "name"),
                   good.data ? good.data : "", bad.data ? bad.data : "");
        } else {
            printf("  %s %s: %zu removed, %zu added\n", kind, sm_json_text(c, "name"),
                   json_object_size(json_object_get(c, "removed")),
                   json_object_size(json_object_get(c, "added")));
        }
        print_paths('-', json_object_get(c, "removed"));
        print_paths('+', json_object_get(c, "added"));
        sm_buf_free(&good);
        sm_buf_free(&bad);
    }
}

static void print_report(const json_t *report)
{
    const json_t *good = json_object_get(report, "good"),
                 *bad = json_object_get(report, "bad");
    const json_t *made = json_object_get(report, "with_cause");
    const json_t *list = json_object_get(report, "differences");
    printf("%s: good %.5g (%.12s), bad %.5g (%.12s), threshold %.5g\n",
           sm_json_text(report, "metric"), sm_json_real(good, "value"),
           sm_json_text(good, "model"), sm_json_real(bad, "value"),
           sm_json_text(bad, "model"), sm_json_real(report, "threshold"));
    printf("%zu difference%s\n", json_array_size(list),
           json_array_size(list) == 1 ? "" : "s");
    print_changes(list);
    if (!json_object_get(report, "cause")) {
        printf("about %" PRId64 " runs if one of them is the cause\n",
               (int64_t)json_integer_value(json_object_get(report, "expected_runs")));
        return;
    }
    printf("%s after %" PRId64 " runs\n",
           json_is_true(json_object_get(report, "minimal"))
               ? "smallest change that is bad"
               : "not yet smallest",
           (int64_t)json_integer_value(json_object_get(report, "runs")));
    print_changes(json_object_get(report, "cause"));
    if (made && json_object_get(made, "value"))
        printf("with it alone: %s %.5g (model %.12s)\n", sm_json_text(report, "metric"),
               sm_json_real(made, "value"), sm_json_text(made, "model"));
}

static sm_status parse_threshold(sm_bisect_config *c, const char *text, sm_err *err)
{
    char *end = NULL;
    if (!*text)
        return SM_OK;
    c->threshold = strtod(text, &end);
    c->has_threshold = true;
    if (*end || !(c->threshold - c->threshold == 0)) /* not a number, infinite */
        return sm_fail(err, SM_EINVAL, "--threshold: got %.40s, want a number", text);
    return SM_OK;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    sm_store *store;
    json_t *report = NULL;
    sm_bisect_config c = {.metric = sm_opt_str(in->opt, "metric"),
                          .heldout_docs = (size_t)sm_opt_int(in->opt, "heldout_docs"),
                          .max_runs = sm_opt_int(in->opt, "max_runs"),
                          .dry_run = sm_opt_bool(in->opt, "dry_run")};
    sm_status s = parse_threshold(&c, sm_opt_str(in->opt, "threshold"), &err);
    if (!s)
        s = app_store(&store, a, &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (!s)
        s = sm_flow_bisect(&report, ctx, store, in->pos[0], in->pos[1], &c, &err);
    app_settle(a);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(report);
    print_report(report);
    json_decref(report);
    return EXIT_GOOD;
}

const verb verb_bisect = {
    .name = "bisect",
    .usage = "GOOD BAD",
    .summary = "find which change between two models moved a metric",
    .details =
        "Lists what differs between the recipes of two models (or of the models of two\n"
        "evaluations): options of train and data.curate, the tokenizer, documents "
        "grouped\n"
        "by package or directory.  Then models with some of the changes are trained, by\n"
        "delta debugging, until the smallest set is found that takes the metric across\n"
        "the threshold; groups of documents are searched once more, path by path.  "
        "About\n"
        "2 log2 n runs for one cause among n; runs made before are not made again.",
    .example = "smelt bisect unix-moe@v1 unix-moe@v2 --dry-run\n"
               "smelt bisect unix-moe@v1 unix-moe@v2 --metric loss\n"
               "smelt bisect unix-eval@v1 unix-eval@v2 --metric heldout.bpb",
    .options = options,
    .min_pos = 2,
    .max_pos = 2,
    .run = run,
};
