/* SPDX-License-Identifier: Apache-2.0 */
/* smelt status: what the workspace holds. */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"
#include "smelt/scratch.h"

static const sm_option options[] = {
    {.key = "refs",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "print the names of the refs alone, one a line"},
    SM_OPTION_END,
};

/* "docs" of "docs@v3": each name once, for the newest version means the name. */
static void print_names(const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(list, "refs"), i, v)
    {
        const char *ref = sm_json_text(v, "ref");
        if (json_is_true(json_object_get(v, "newest")))
            printf("%.*s\n", (int)strcspn(ref, "@"), ref);
    }
}

static const json_t *artifact_of(const json_t *list, const char *content)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(list, "artifacts"), i, v)
    {
        if (!strcmp(sm_json_text(v, "content"), content))
            return v;
    }
    return NULL;
}

static void print_refs(const json_t *list)
{
    size_t i;
    json_t *v;
    printf("%-24s %-12s %-12s %10s  %s\n", "ref", "kind", "content", "size", "moved");
    json_array_foreach(json_object_get(list, "refs"), i, v)
    {
        char size[32];
        const json_t *a = artifact_of(list, sm_json_text(v, "content"));
        bool newest = json_is_true(json_object_get(v, "newest"));
        if (!newest && !*sm_json_text(v, "tag"))
            continue;
        human_bytes(size, json_integer_value(json_object_get(a, "bytes")));
        printf("%-24s %-12s %.12s %10s  %s\n", sm_json_text(v, "ref"),
               sm_json_text(v, "kind"), sm_json_text(v, "content"), size,
               sm_json_text(v, "moved"));
    }
}

static void print_runs(const json_t *list)
{
    size_t i;
    json_t *v;
    if (json_array_size(json_object_get(list, "runs")) == 0)
        return;
    printf("\nlast runs:\n");
    json_array_foreach(json_object_get(list, "runs"), i, v)
    {
        const json_t *run = json_object_get(v, "run");
        double s = json_number_value(json_object_get(run, "seconds"));
        if (i == 5)
            break;
        printf("  %s  %-18s %-12s %.12s  %.1f s\n", sm_json_text(v, "made"),
               sm_json_text(v, "step"), sm_json_text(v, "kind"),
               sm_json_text(v, "content"), s);
    }
}

static void print_scratch(const json_t *scratch)
{
    size_t i;
    json_t *v;
    if (json_array_size(scratch) == 0)
        return;
    printf("\nunfinished recipes (the same step goes on; doctor --clean-scratch "
           "removes):\n");
    json_array_foreach((json_t *)(uintptr_t)scratch, i, v)
    {
        char size[32];
        printf("  %s  %10s  %s  %s\n", sm_json_text(v, "recipe"),
               human_bytes(size, json_integer_value(json_object_get(v, "bytes"))),
               sm_json_text(v, "touched"),
               json_is_true(json_object_get(v, "running")) ? "running" : "stopped");
    }
}

static int64_t total_bytes(const json_t *list)
{
    size_t i;
    json_t *v;
    int64_t sum = 0;
    json_array_foreach(json_object_get(list, "artifacts"), i, v)
    {
        sum += json_integer_value(json_object_get(v, "bytes"));
    }
    return sum;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    json_t *list = NULL, *scratch = NULL;
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_store_list(&list, store, &err);
    if (!s)
        s = sm_scratch_list(&scratch, store, &err);
    if (!s && json_object_set_new(list, "scratch", scratch) != 0)
        s = sm_fail(&err, SM_ENOMEM, "out of memory");
    if (s) {
        json_decref(list);
        return app_fail(a, s, &err);
    }
    if (a->json)
        return app_print_json(list);
    if (sm_opt_bool(in->opt, "refs")) {
        print_names(list);
        json_decref(list);
        return EXIT_GOOD;
    }
    char size[32];
    size_t n = json_array_size(json_object_get(list, "artifacts"));
    int64_t n_audit =
        json_integer_value(json_object_get(json_object_get(list, "audit"), "n"));
    printf("workspace %s: %zu artifact%s, %s; %" PRId64 " audit record%s\n",
           sm_store_dir(store), n, n == 1 ? "" : "s",
           human_bytes(size, total_bytes(list)), n_audit, n_audit == 1 ? "" : "s");
    if (json_array_size(json_object_get(list, "refs")) > 0) {
        printf("\n");
        print_refs(list);
    }
    print_runs(list);
    print_scratch(json_object_get(list, "scratch"));
    json_decref(list);
    return EXIT_GOOD;
}

const verb verb_status = {
    .name = "status",
    .summary =
        "show what the workspace holds: refs, artifacts, last runs, unfinished recipes",
    .example = "smelt status\nsmelt status --json",
    .options = options,
    .run = run,
};
