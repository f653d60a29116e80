/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a pipeline: the steps in the order of the file.  An input that an earlier step
 * made is taken by content id, so that nobody else's move of a ref in between changes what
 * is read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pipeline.h"

static sm_status run_stage(const pipeline *p, size_t i, const sm_ctx *ctx,
                           sm_store *store, sm_err *err)
{
    stage *g = &p->stage[i];
    const char **ref = pipeline_refs(p, i);
    if (!ref)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
    sm_flow_result r = {0};
    sm_log_line(ctx->log, SM_LOG_DEBUG, "[%zu/%zu] %s -> %s: looking", i + 1, p->n,
                g->step->name, g->as);
    sm_status s = sm_flow_step(&r, ctx, store, g->step->name, ref, json_array_size(g->in),
                               g->options, g->where, g->as, err);
    free(ref);
    if (s)
        return s;
    snprintf(g->content, sizeof g->content, "%s", r.artifact.content.hex);
    if (r.was_there)
        sm_log_line(ctx->log, SM_LOG_INFO,
                    "[%zu/%zu] %s -> %s %.12s: skipped (made before)", i + 1, p->n,
                    g->step->name, g->as, g->content);
    else
        sm_log_line(ctx->log, SM_LOG_INFO, "[%zu/%zu] %s -> %s %.12s: made in %.1f s",
                    i + 1, p->n, g->step->name, g->as, g->content, r.seconds);
    sm_flow_result_free(&r);
    return SM_OK;
}

static sm_status results_of(json_t **out, const pipeline *p, sm_err *err)
{
    json_t *made = json_object();
    for (size_t i = 0; i < p->n; i++)
        json_object_set_new(made, p->stage[i].as, json_string(p->stage[i].content));
    if (json_object_size(made) != p->n) {
        json_decref(made);
        return sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
    }
    *out = made;
    return SM_OK;
}

sm_status sm_flow_run(json_t **made, const sm_ctx *ctx, sm_store *store, const char *path,
                      const json_t *overrides, const char *to, sm_err *err)
{
    pipeline p = {0};
    flow_ctx hashing;
    sm_status s = flow_ctx_make(&hashing, ctx, err);
    if (!s)
        s = pipeline_open(&p, hashing.ctx, store, path, overrides, to, err);
    for (size_t i = 0; i < p.n && !s; i++) {
        if (sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "stopped before step %zu of %zu (%s)", i + 1,
                        p.n, p.stage[i].step->name);
        else
            s = run_stage(&p, i, hashing.ctx, store, err);
    }
    if (!s && made)
        s = results_of(made, &p, err);
    pipeline_free(&p);
    flow_ctx_free(&hashing);
    return s;
}
