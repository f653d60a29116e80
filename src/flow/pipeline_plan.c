/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pipeline would do: which steps were made before, which would run, and what those
 * would take that can say so.  Nothing is written.
 *
 * A step whose input is still to be made has no recipe id yet.  It counts as one that would
 * run, although its input may come out as it was and the step be skipped after all.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

/* Of an input that is still to be made: its kind, and the step and options that will. */
static sm_status promise(sm_artifact *out, const stage *g, sm_err *err)
{
    json_t *options = NULL;
    sm_status s =
        sm_options_resolve(&options, g->step->options, g->options, g->where, err);
    if (s)
        return s;
    *out = (sm_artifact){.recipe_json = json_pack("{s:s, s:o}", "step", g->step->name,
                                                  "options", options)};
    memcpy(out->kind, g->step->output, strlen(g->step->output) + 1);
    return out->recipe_json ? SM_OK
                            : sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
}

static sm_status find_inputs(sm_artifact *out, const pipeline *p, size_t i,
                             const char *const *ref, sm_store *store, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t k = 0; k < json_array_size(p->stage[i].in) && !s; k++) {
        const char *name = json_string_value(json_array_get(p->stage[i].in, k));
        s = ref[k] ? sm_store_find(&out[k], store, ref[k], err)
                   : promise(&out[k], &p->stage[pipeline_earlier(p, i, name)], err);
    }
    return s;
}

/* Some input of the step is still to be made: what it would take by what is known. */
static sm_status plan_ahead(json_t **out, const pipeline *p, size_t i,
                            const char *const *ref, const sm_ctx *ctx, sm_store *store,
                            sm_err *err)
{
    const stage *g = &p->stage[i];
    size_t n = json_array_size(g->in);
    json_t *options = NULL;
    sm_artifact *input = sm_alloc(n + 1, sizeof *input);
    sm_status s = input ? find_inputs(input, p, i, ref, store, err)
                        : sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
    if (!s)
        s = sm_options_resolve(&options, g->step->options, g->options, g->where, err);
    sm_step_io io = {
        .ctx = ctx, .store = store, .options = options, .input = input, .n_input = n};
    if (!s && (s = g->step->plan(out, &io, err)))
        sm_fail_context(err, s, "%s: ", g->where);
    flow_inputs_free(input, n);
    json_decref(options);
    return s;
}

/* Names of the inputs that are still to be made. */
static json_t *waits_for(const pipeline *p, size_t i, const char *const *ref)
{
    json_t *names = json_array();
    for (size_t k = 0; k < json_array_size(p->stage[i].in); k++)
        if (!ref[k])
            json_array_append(names, json_array_get(p->stage[i].in, k));
    return names;
}

static sm_status plan_stage(json_t **out, pipeline *p, size_t i, const sm_ctx *ctx,
                            sm_store *store, sm_err *err)
{
    stage *g = &p->stage[i];
    const char **ref = pipeline_refs(p, i);
    json_t *known = NULL, *plan = NULL, *after = ref ? waits_for(p, i, ref) : NULL;
    sm_status s = after ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
    if (!s && json_array_size(after) == 0)
        s = sm_flow_plan(&known, ctx, store, g->step->name, ref, json_array_size(g->in),
                         g->options, g->where, err);
    else if (!s && g->step->plan)
        s = plan_ahead(&plan, p, i, ref, ctx, store, err);
    const char *content = json_string_value(json_object_get(known, "content"));
    if (content)
        memcpy(g->content, content, strnlen(content, sizeof g->content - 1));
    else if (known)
        plan = json_incref(json_object_get(known, "plan"));
    if (!s)
        *out = json_pack("{s:s, s:s, s:b, s:O*, s:s*, s:o*, s:O*}", "as", g->as, "step",
                         g->step->name, "made_before", content != NULL, "recipe",
                         json_object_get(known, "recipe"), "content", content, "plan",
                         plan, "after", json_array_size(after) ? after : NULL);
    else
        json_decref(plan);
    json_decref(known);
    json_decref(after);
    free(ref);
    return s || *out ? s : sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
}

static sm_status plan_all(json_t *steps, pipeline *p, const sm_ctx *ctx, sm_store *store,
                          sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < p->n && !s; i++) {
        json_t *step = NULL;
        if (sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "stopped before step %zu of %zu (%s)", i + 1,
                        p->n, p->stage[i].step->name);
        else
            s = plan_stage(&step, p, i, ctx, store, err);
        if (!s && json_array_append_new(steps, step))
            s = sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
    }
    return s;
}

/* The sum is of those that can say what they take. */
static json_t *summary(json_t *steps)
{
    size_t i;
    json_t *v;
    json_int_t n = 0;
    double seconds = 0;
    json_array_foreach(steps, i, v)
    {
        n += !json_is_true(json_object_get(v, "made_before"));
        seconds += json_number_value(
            json_object_get(json_object_get(v, "plan"), "expected_seconds"));
    }
    return json_pack("{s:O, s:I, s:f}", "steps", steps, "to_run", n, "expected_seconds",
                     seconds);
}

sm_status sm_flow_run_plan(json_t **out, const sm_ctx *ctx, sm_store *store,
                           const char *path, const json_t *overrides, const char *to,
                           sm_err *err)
{
    pipeline p = {0};
    flow_ctx hashing = {0};
    json_t *steps = json_array();
    sm_status s = steps ? flow_ctx_make(&hashing, ctx, err)
                        : sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
    if (!s)
        s = pipeline_open(&p, hashing.ctx, store, path, overrides, to, err);
    if (!s)
        s = plan_all(steps, &p, hashing.ctx, store, err);
    if (!s && !(*out = summary(steps)))
        s = sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
    json_decref(steps);
    pipeline_free(&p);
    flow_ctx_free(&hashing);
    return s;
}
