/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smelt serve: answer over HTTP with a model whose bytes verify and whose gate passed.
 * What is refused can be allowed by a flag; the use of that flag is an audit record.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "pages.h"
#include "ready.h"
#include "serve_page.h"

static const sm_option options[] = {
    {.key = "port", .type = SM_OPT_INT, .def = "8080", .min = 0, .max = 65535,
     .help = "port to listen on; 0: any free one"},
    {.key = "address", .type = SM_OPT_STRING, .def = "127.0.0.1",
     .help = "numeric address to listen on; loopback unless you mean otherwise"},
    {.key = "name", .type = SM_OPT_STRING, .def = "",
     .help = "what /v1/models lists; default: the ref"},
    {.key = "index", .type = SM_OPT_REF, .def = "",
     .help = "passages for /v1/ask; default: the release's"},
    {.key = "max_streams", .type = SM_OPT_INT, .def = "8", .min = 1, .max = 256,
     .help = "texts written at once; more wait"},
    {.key = "max_connections", .type = SM_OPT_INT, .def = "512", .min = 1, .max = 10000,
     .help = "connections held at once; more are told that it is full"},
    {.key = "example", .type = SM_OPT_LIST, .def = "", .help = "a question the page offers"},
    READY_OPTION_ALLOW,
    SM_OPTION_END};

enum { OWN_FILES = 64 + SM_SERVE_SPARE }; /* open beside connections, with room to spare */

/* ------------------------------------------------------------------- serve */

/* A connection is an open file: as many as may be held must be allowed to be open. */
static sm_status allow_files(int64_t n_connections, sm_err *err)
{
    struct rlimit r;
    const rlim_t want = (rlim_t)n_connections + OWN_FILES;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return sm_fail_errno(err, errno, "limit of open files");
    if (r.rlim_cur >= want)
        return SM_OK;
    if (r.rlim_max < want)
        return sm_fail(err, SM_EINVAL, "max_connections: got %lld, want at most %lld: this "
                       "program may open %lld files (ulimit -n)", (long long)n_connections,
                       (long long)r.rlim_max - OWN_FILES, (long long)r.rlim_max);
    r.rlim_cur = want;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        return sm_fail_errno(err, errno, "limit of open files");
    return SM_OK;
}

static void wait_for_stop(void)
{
    while (!app_stop)
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
}

static sm_status serve(app *a, const sm_ctx *ctx, const sm_serve_config *c, sm_err *err)
{
    sm_server *server = NULL;
    sm_status s = sm_serve_start(&server, ctx, c, err);
    if (s)
        return s;
    bool v6 = strchr(c->address, ':') != NULL;
    if (a->json)
        app_print_json(json_pack("{s:s, s:i, s:s}", "address", c->address, "port",
                                 sm_serve_port(server), "model", c->model_name));
    else
        printf("serving %s on http://%s%s%s:%d/\n", c->model_name, v6 ? "[" : "", c->address,
               v6 ? "]" : "", sm_serve_port(server));
    fflush(stdout);
    wait_for_stop();
    sm_serve_stop(server);
    return SM_OK;
}

static int run(app *a, const verb *self, const args *in)
{
    sm_err err = {0};
    ready r;
    serve_page page = {0};
    const char *name = sm_opt_str(in->opt, "name");
    ready_want want = {.verb = self->name, .ref = in->pos[0],
                       .index = sm_opt_str(in->opt, "index"), .w_model = -1,
                       .allow_ungated = sm_opt_bool(in->opt, "allow_ungated"),
                       .max_streams = (int32_t)sm_opt_int(in->opt, "max_streams")};
    sm_status s = allow_files(sm_opt_int(in->opt, "max_connections"), &err);
    if (s)
        return app_fail(a, s, &err);
    app_end_at_once(true);
    s = ready_open(&r, a, &want, &err);
    if (!s)
        s = serve_page_make(&page, r.store, &r.v, &r.b, r.x, in->pos[0],
                            sm_opt_list(in->opt, "example"), &err);
    app_end_at_once(false);
    sm_serve_config c = {.address = sm_opt_str(in->opt, "address"),
                         .port = (int)sm_opt_int(in->opt, "port"),
                         .model_name = *name ? name : in->pos[0],
                         .engine = r.b.engine, .index = r.x, .rank = r.v.rank,
                         .scorer = r.v.rank.w_model > 0 ? &r.b.scorer : NULL,
                         .about = page.about, .curves = page.curves,
                         .lineage_svg = page.svg.data, .asset = sm_pages,
                         .n_asset = sm_n_pages, .created_s = page.created_s,
                         .fingerprint = r.v.model.content.hex,
                         .live = serve_page_live, .live_self = &page,
                         .max_connections = (int)sm_opt_int(in->opt, "max_connections")};
    if (!s)
        s = serve(a, r.ctx, &c, &err);
    serve_page_free(&page);
    ready_close(&r);
    return s ? app_fail(a, s, &err) : EXIT_GOOD;
}

const verb verb_serve = {
    .name = "serve",
    .usage = "RELEASE|MODEL",
    .summary = "answer over HTTP: an OpenAI-compatible API, questions, a page",
    .details = "GET /v1/models, /health, /metrics; POST /v1/completions, /v1/chat/completions\n"
               "(plain or server-sent events), /v1/ask; the page is at /.\n"
               "\n"
               "Refuses a model whose bytes do not verify, and one without a passed gate\n"
               "unless --allow-ungated is given, which is written to the audit log.",
    .example = "smelt serve unix-release --port 8080",
    .options = options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run,
};
