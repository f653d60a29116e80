/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipelines: a YAML file that declares steps, each reading what earlier ones made.
 *
 * Everything that can be known without running is checked here, each refusal with line and
 * column: keys, step names, names of results, options, overrides, files that options name,
 * names and kinds of inputs.  pipeline_run.c runs the steps, pipeline_plan.c says what that
 * would take.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

static sm_status refuse(const pipeline *p, const char *pointer, sm_err *err,
                        const char *what)
{
    return sm_fail(err, SM_EINVAL, "%s: %s", sm_positions_at(p->pos, pointer), what);
}

/* Only `known` keys (NULL-terminated) may be in an object at `pointer`. */
static sm_status check_keys(const pipeline *p, const json_t *object, const char *pointer,
                            const char *const *known, sm_err *err)
{
    const char *key;
    json_t *v;
    size_t n = 0;
    while (known[n])
        n++;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++)
            found = !strcmp(known[i], key);
        if (found)
            continue;
        sm_buf at = {0};
        const char *near = sm_nearest_name(key, known, n);
        sm_buf_puts(&at, pointer);
        sm_pointer_push(&at, key);
        sm_status s =
            sm_fail(err, SM_EINVAL, "%s: unknown key '%.60s'%s%s%s",
                    sm_positions_key(p->pos, at.data ? at.data : pointer), key,
                    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        sm_buf_free(&at);
        return s;
    }
    return SM_OK;
}

/* ------------------------------------------------------------------ reading */

size_t pipeline_earlier(const pipeline *p, size_t i, const char *name)
{
    size_t j = 0;
    while (j < i && strcmp(p->stage[j].as, name) != 0)
        j++;
    return j;
}

const char **pipeline_refs(const pipeline *p, size_t i)
{
    size_t k;
    json_t *v;
    const char **ref = sm_alloc(json_array_size(p->stage[i].in) + 1, sizeof *ref);
    json_array_foreach((json_t *)(uintptr_t)(ref ? p->stage[i].in : NULL), k, v)
    {
        const char *name = json_string_value(v);
        size_t which = pipeline_earlier(p, i, name);
        const char *content = which < i ? p->stage[which].content : name;
        ref[k] = *content ? content : NULL;
    }
    return ref;
}

/* The kind of an input: what an earlier step makes, or what the workspace holds. */
static sm_status kind_of_input(char out[24], const pipeline *p, size_t i, size_t k,
                               const char *name, sm_store *store, sm_err *err)
{
    char pointer[64];
    sm_artifact a = {0};
    sm_err why = {0};
    size_t which = pipeline_earlier(p, i, name);
    if (which < i) {
        snprintf(out, 24, "%s", p->stage[which].step->output);
        return SM_OK;
    }
    sm_status s = sm_store_find(&a, store, name, &why);
    snprintf(out, 24, "%s", s ? "" : a.kind);
    sm_artifact_free(&a);
    if (!s)
        return SM_OK;
    snprintf(pointer, sizeof pointer, "/steps/%zu/in/%zu", i, k);
    return sm_fail(err, SM_EINVAL,
                   "%s: in: '%.80s' is neither an earlier step's result nor in the "
                   "workspace (%.200s)",
                   sm_positions_at(p->pos, pointer), name, why.msg);
}

static sm_status check_kinds(const pipeline *p, size_t i, sm_store *store,
                             const char **name, char (*kind)[24], const char **kinds,
                             sm_err *err)
{
    const stage *g = &p->stage[i];
    size_t n = json_array_size(g->in);
    char pointer[64];
    for (size_t k = 0; k < n; k++) {
        snprintf(pointer, sizeof pointer, "/steps/%zu/in/%zu", i, k);
        name[k] = json_string_value(json_array_get(g->in, k));
        kinds[k] = kind[k];
        if (!name[k])
            return refuse(p, pointer, err, "in: want a list of names");
        sm_status s = kind_of_input(kind[k], p, i, k, name[k], store, err);
        if (s)
            return s;
    }
    snprintf(pointer, sizeof pointer, "/steps/%zu/in", i);
    return flow_inputs_fit(g->step, kinds, name, n, sm_positions_at(p->pos, pointer),
                           err);
}

/* Every name under `in` is an earlier step's result or a ref of the workspace, and together
 * they are what the step reads. */
static sm_status check_inputs(const pipeline *p, size_t i, sm_store *store, sm_err *err)
{
    const stage *g = &p->stage[i];
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/steps/%zu/in", i);
    if (g->in && !json_is_array(g->in))
        return refuse(p, pointer, err, "in: want a list of names");
    size_t n = json_array_size(g->in);
    const char **name = sm_alloc(n + 1, sizeof *name);
    const char **kinds = sm_alloc(n + 1, sizeof *kinds);
    char(*kind)[24] = sm_alloc(n + 1, sizeof *kind);
    sm_status s = name && kinds && kind
                      ? check_kinds(p, i, store, name, kind, kinds, err)
                      : sm_fail(err, SM_ENOMEM, "%s: out of memory", g->where);
    free(name);
    free(kinds);
    free(kind);
    return s;
}

/* Required options, and the files that the recipe takes in (a gate's rules). */
static sm_status check_options(const stage *g, const sm_ctx *ctx, sm_err *err)
{
    json_t *options = NULL, *facts = NULL;
    sm_err why = {0};
    sm_status s =
        sm_options_resolve(&options, g->step->options, g->options, g->where, err);
    if (!s && g->step->facts) {
        facts = g->step->facts(ctx, options, &why);
        if (!facts && why.status)
            s = sm_fail(err, why.status, "%s: %s: %s", g->where, g->step->name, why.msg);
    }
    json_decref(facts);
    json_decref(options);
    return s;
}

/* A name that is no other result's and that the store will take. */
static sm_status check_name(const pipeline *p, size_t i, const char *pointer, sm_err *err)
{
    const char *as = p->stage[i].as;
    sm_err why = {0};
    if (!as || !*as || strpbrk(as, "@:"))
        return refuse(p, pointer, err, "as: want a name for the result, such as 'docs'");
    if (sm_ref_check(as, &why))
        return refuse(p, pointer, err, why.msg);
    size_t first = pipeline_earlier(p, i, as);
    if (first < i)
        return sm_fail(err, SM_EINVAL,
                       "%s: as: '%.80s' is the result of the step at %s already",
                       sm_positions_at(p->pos, pointer), as, p->stage[first].where);
    return SM_OK;
}

static sm_status read_stage(pipeline *p, size_t i, const json_t *v, sm_err *err)
{
    static const char *const known[] = {"step", "as", "in", "options", NULL};
    char at[64], sub[80];
    stage *g = &p->stage[i];
    snprintf(at, sizeof at, "/steps/%zu", i);
    if (!json_is_object(v))
        return refuse(p, at, err, "want a mapping with step, as, in, options");
    sm_status s = check_keys(p, v, at, known, err);
    if (s)
        return s;
    const char *name = json_string_value(json_object_get(v, "step"));
    snprintf(sub, sizeof sub, "%s/step", at);
    if (!name)
        return refuse(p, sub, err, "step: missing, want the name of a step");
    g->where = sm_positions_at(p->pos, at);
    s = flow_step_find(&g->step, name, sm_positions_at(p->pos, sub), err);
    if (s)
        return s;
    g->as = json_string_value(json_object_get(v, "as"));
    snprintf(sub, sizeof sub, "%s/as", at);
    if ((s = check_name(p, i, sub, err)))
        return s;
    g->in = json_object_get(v, "in");
    const json_t *options = json_object_get(v, "options");
    snprintf(sub, sizeof sub, "%s/options", at);
    s = sm_options_check(g->step->options, options, p->pos, sub, err);
    if (s)
        return s;
    g->options = json_is_object(options) ? json_deep_copy(options) : json_object();
    return g->options ? SM_OK : sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
}

static sm_status read_head(pipeline *p, sm_err *err)
{
    static const char *const known[] = {"version", "pipeline", "description", "steps",
                                        NULL};
    if (!json_is_object(p->root))
        return refuse(p, "", err, "want a mapping with pipeline and steps");
    sm_status s = check_keys(p, p->root, "", known, err);
    if (s)
        return s;
    const json_t *version = json_object_get(p->root, "version");
    if (version && (!json_is_integer(version) || json_integer_value(version) != 1))
        return refuse(p, "/version", err, "version: want 1");
    if (!json_is_string(json_object_get(p->root, "pipeline")))
        return refuse(p, "/pipeline", err, "pipeline: missing, want a name");
    const json_t *steps = json_object_get(p->root, "steps");
    if (!json_is_array(steps) || json_array_size(steps) == 0)
        return refuse(p, "/steps", err, "steps: want a list of one step or more");
    if (json_array_size(steps) > 1000)
        return refuse(p, "/steps", err, "steps: want at most 1000");
    return SM_OK;
}

static sm_status read_pipeline(pipeline *p, const char *path, sm_err *err)
{
    sm_status s = sm_yaml_load(&p->root, &p->pos, path, err);
    if (!s)
        s = read_head(p, err);
    if (s)
        return s;
    const json_t *steps = json_object_get(p->root, "steps");
    p->n = json_array_size(steps);
    p->stage = sm_alloc(p->n, sizeof *p->stage);
    if (!p->stage)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < p->n && !s; i++)
        s = read_stage(p, i, json_array_get(steps, i), err);
    return s;
}

void pipeline_free(pipeline *p)
{
    for (size_t i = 0; p->stage && i < p->n; i++)
        json_decref(p->stage[i].options);
    free(p->stage);
    json_decref(p->root);
    sm_positions_free(p->pos);
}

/* ------------------------------------------------------------------ checking */

static sm_status check_all(const pipeline *p, const sm_ctx *ctx, sm_store *store,
                           sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < p->n && !s; i++)
        s = check_options(&p->stage[i], ctx, err);
    for (size_t i = 0; i < p->n && !s; i++)
        s = check_inputs(p, i, store, err);
    return s;
}

sm_status pipeline_open(pipeline *p, const sm_ctx *ctx, sm_store *store, const char *path,
                        const json_t *overrides, const char *to, sm_err *err)
{
    sm_status s = read_pipeline(p, path, err);
    if (!s)
        s = pipeline_override(p, overrides, err);
    if (!s)
        s = check_all(p, ctx, store, err);
    return s || !to ? s : pipeline_keep(p, to, err);
}
