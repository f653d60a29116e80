/* SPDX-License-Identifier: Apache-2.0 */
/* smelt verify: re-hash the workspace, or what one artifact needs. */
#include <inttypes.h>

#include "cmd.h"

/* Findings go out as they come; under --json they are collected. */
typedef struct findings {
    json_t *list; /* NULL: print */
    int64_t n;
} findings;

static void finding(void *self, const char *line)
{
    findings *f = self;
    f->n++;
    if (f->list)
        json_array_append_new(f->list, sm_json_string(line));
    else
        printf("%s\n", line);
}

static json_t *rebuilt_json(const sm_rebuilt *r)
{
    return json_pack("{s:I, s:I, s:s}", "metrics", (json_int_t)r->n_metric, "unusable",
                     (json_int_t)r->n_bad, "lost", r->lost);
}

/* What became of the metrics goes beside the result. */
static void tell_rebuilt(const sm_rebuilt *r)
{
    fprintf(stderr, "smelt: verify: catalog.db is made again, with %" PRId64 " metrics\n",
            r->n_metric);
    if (r->n_bad)
        fprintf(stderr, "smelt: warning: %" PRId64 " rows of metrics are none: left out\n",
                r->n_bad);
    if (*r->lost)
        fprintf(stderr, "smelt: warning: metrics that cannot be read are lost: %s\n",
                r->lost);
}

static const sm_option options[] = {
    {.key = "rebuild", .type = SM_OPT_BOOL, .def = "false",
     .help = "first make a damaged catalog.db again, from the audit log and the objects"},
    SM_OPTION_END};

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_store *store;
    findings f = {.list = a->json ? json_array() : NULL};
    int64_t n = 0;
    sm_status s = SM_OK;
    sm_rebuilt rebuilt = {0};
    bool again = sm_opt_bool(in->opt, "rebuild");
    if (again)
        s = sm_store_rebuild(&rebuilt, a->workspace, &err);
    if (again && !s && !a->json)
        tell_rebuilt(&rebuilt);
    if (!s)
        s = app_store(&store, a, &err);
    if (!s)
        s = sm_store_verify(store, in->n_pos ? in->pos[0] : NULL, finding, &f, &n, &err);
    if (s && f.n == 0) {
        json_decref(f.list);
        return app_fail(a, s, &err);
    }
    int rc = s ? EXIT_FAILED : EXIT_GOOD;
    if (a->json) {
        json_t *report = json_pack("{s:b, s:I, s:O, s:o*}", "clean", s == SM_OK, "checked",
                                   (json_int_t)n, "findings", f.list, "rebuilt",
                                   again ? rebuilt_json(&rebuilt) : NULL);
        rc = app_print_json(report) ? EXIT_FAILED : rc;
    } else if (s) {
        fprintf(stderr, "smelt: verify: %" PRId64 " finding%s in %" PRId64 " items\n",
                f.n, f.n == 1 ? "" : "s", n);
    } else {
        printf("clean: %" PRId64 " items checked\n", n);
    }
    json_decref(f.list);
    return rc;
}

const verb verb_verify = {
    .name = "verify",
    .usage = "[REF]",
    .summary = "re-hash objects, recipes, refs and the audit log; name what is damaged",
    .details =
        "Without REF the whole workspace is checked.  A damaged object is named with\n"
        "the 1 MiB leaf that is wrong.  Exit status 1 when anything is.\n"
        "\n"
        "--rebuild puts catalog.db aside as catalog-damaged-TIME.db and makes it again; the\n"
        "log records that.  Metrics are in no log: those that the damaged file still yields\n"
        "are carried over, and what is lost is said.  It is refused while another process\n"
        "has the workspace open, and where the catalog can still tell that the log was cut or\n"
        "rewritten.",
    .example = "smelt verify\nsmelt verify unix-moe\nsmelt verify --rebuild",
    .options = options,
    .max_pos = 1,
    .run = run,
};
