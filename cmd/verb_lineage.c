/* SPDX-License-Identifier: Apache-2.0 */
/* smelt lineage: what an artifact was made from. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static const sm_option options[] = {
    {.key = "svg",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "draw the graph into this file (- is standard output)"},
    {.key = "dot",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "write the graph for Graphviz into this file (- is standard output)"},
    {.key = "json_file",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "write the graph as JSON into this file (- is standard output)"},
    SM_OPTION_END,
};

static sm_status write_graph(const char *path, const json_t *graph,
                             sm_status (*render)(sm_buf *, const json_t *, sm_err *),
                             sm_err *err)
{
    sm_buf text = {0};
    sm_status s = render(&text, graph, err);
    if (!s)
        s = app_write(path, &text, err);
    sm_buf_free(&text);
    return s;
}

static sm_status render_json(sm_buf *out, const json_t *graph, sm_err *err)
{
    return sm_json_pretty(out, graph, err);
}

static bool is_stdout(const char *file)
{
    return strcmp(file, "-") == 0;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    json_t *graph = NULL;
    const char *svg = sm_opt_str(in->opt, "svg"), *dot = sm_opt_str(in->opt, "dot"),
               *file = sm_opt_str(in->opt, "json_file");
    int n = is_stdout(svg) + is_stdout(dot) + is_stdout(file) + a->json;
    if (n > 1)
        return app_usage(a,
                         "lineage: got %d results for standard output, want one of "
                         "--json, --svg -, --dot -, --json-file -",
                         n);
    sm_status s = app_store(&store, a, &err);
    if (!s)
        s = sm_store_lineage(&graph, store, in->pos[0], &err);
    if (!s && *svg)
        s = write_graph(svg, graph, sm_lineage_svg, &err);
    if (!s && *dot)
        s = write_graph(dot, graph, sm_lineage_dot, &err);
    if (!s && *file)
        s = write_graph(file, graph, render_json, &err);
    int rc = EXIT_GOOD;
    if (!s && a->json)
        rc = app_print_json(json_incref(graph));
    else if (!s && !*svg && !*dot && !*file)
        s = write_graph("-", graph, sm_lineage_tree, &err);
    json_decref(graph);
    return s ? app_fail(a, s, &err) : rc;
}

const verb verb_lineage = {
    .name = "lineage",
    .usage = "REF",
    .summary = "show what an artifact was made from, down to its sources",
    .details =
        "A tree, unless a drawing is asked for: each of --svg, --dot and --json-file\n"
        "takes the file to write.",
    .example = "smelt lineage unix-moe\nsmelt lineage unix-moe --svg lineage.svg\n"
               "smelt lineage unix-moe --json-file lineage.json",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
