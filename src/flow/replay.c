/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: recompute an artifact in a workspace that holds nothing but its inputs, and
 * compare content ids.
 *
 *   1. make an empty workspace in the temporary directory;
 *   2. copy the inputs in (re-hashed on the way);
 *   3. run the recipe's step with the recipe's options;
 *   4. compare; when ids differ, name the files that do.
 * `whole` goes through the lineage, sources first: only what has no inputs is copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct replay {
    const sm_ctx *ctx;
    sm_store *from, *to;
    char *dir; /* the scratch workspace */
} replay;

static const sm_artifact_file *file_of(const sm_artifact *a, const char *path)
{
    for (size_t i = 0; i < a->n_file; i++)
        if (!strcmp(a->file[i].path, path))
            return &a->file[i];
    return NULL;
}

/* Names what differs, for the message. */
static void list_differences(sm_buf *out, const sm_artifact *want, const sm_artifact *got)
{
    for (size_t i = 0; i < want->n_file; i++) {
        const sm_artifact_file *w = &want->file[i], *g = file_of(got, w->path);
        if (!g)
            sm_buf_printf(out, "; %s was not made", w->path);
        else if (strcmp(w->object.hex, g->object.hex) != 0)
            sm_buf_printf(out, "; %s differs (%lld bytes, was %lld)", w->path,
                          (long long)g->bytes, (long long)w->bytes);
    }
    for (size_t i = 0; i < got->n_file; i++)
        if (!file_of(want, got->file[i].path))
            sm_buf_printf(out, "; %s is new", got->file[i].path);
}

static sm_status compare(const sm_artifact *want, const sm_artifact *got, sm_err *err)
{
    sm_buf what = {0};
    if (!strcmp(want->content.hex, got->content.hex))
        return SM_OK;
    list_differences(&what, want, got);
    sm_status s =
        sm_fail(err, SM_EDENIED, "replay: %s %.12s came out as %.12s%s", want->kind,
                want->content.hex, got->content.hex, what.data ? what.data : "");
    sm_buf_free(&what);
    return s;
}

/* The recipe that the scratch run had must be the recorded one, or the comparison would
 * be of two different things. */
static sm_status compare_recipes(const sm_artifact *want, const sm_artifact *got,
                                 sm_err *err)
{
    sm_buf a = {0}, b = {0};
    if (!strcmp(want->recipe.hex, got->recipe.hex))
        return SM_OK;
    sm_json_canonical(&a, json_object_get(want->recipe_json, "parsers"), NULL);
    sm_json_canonical(&b, json_object_get(got->recipe_json, "parsers"), NULL);
    sm_status s = sm_fail(err, SM_EUNSUPPORTED,
                          "replay: this build makes another recipe (parsers: recorded "
                          "%.120s, here %.120s)",
                          a.data ? a.data : "null", b.data ? b.data : "null");
    sm_buf_free(&a);
    sm_buf_free(&b);
    return s;
}

sm_status flow_recorded_step(const sm_step **out, const sm_artifact *a, sm_err *err)
{
    const char *name = json_string_value(json_object_get(a->recipe_json, "step"));
    int64_t version = json_integer_value(json_object_get(a->recipe_json, "version"));
    const sm_step *step = name ? sm_step_find(name) : NULL;
    if (!step)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "replay: %s %.12s: this build has no step '%s'", a->kind,
                       a->content.hex, name ? name : "?");
    if (step->version != version)
        return sm_fail(
            err, SM_EUNSUPPORTED,
            "replay: %s %.12s was made by version %lld of %s, this build has %d", a->kind,
            a->content.hex, (long long)version, name, step->version);
    *out = step;
    return SM_OK;
}

/* Run the recipe of `a` in the scratch workspace, whose inputs are there, and compare. */
static sm_status recompute(const replay *r, const sm_artifact *a, sm_err *err)
{
    const sm_step *step = NULL;
    const json_t *inputs = json_object_get(a->recipe_json, "inputs");
    size_t n = json_array_size(inputs);
    sm_flow_result got = {0};
    json_t *options = NULL;
    const char **ref = sm_alloc(n + 1, sizeof *ref);
    sm_status s = ref ? flow_recorded_step(&step, a, err)
                      : sm_fail(err, SM_ENOMEM, "replay: out of memory");
    for (size_t i = 0; i < n && !s; i++) {
        ref[i] = json_string_value(json_array_get(inputs, i));
        if (!ref[i])
            s = sm_fail(err, SM_ECORRUPT, "replay: recipe of %.12s: bad input %zu",
                        a->content.hex, i);
    }
    if (!s && !(options = flow_replay_options(r->from, step, a)))
        s = sm_fail(err, SM_ENOMEM, "replay: out of memory");
    const json_t *facts = json_object_get(a->recipe_json, "parsers");
    if (!s && step->restore && facts)
        s = step->restore(options, facts, r->dir, err);
    if (!s)
        s = sm_flow_step(&got, r->ctx, r->to, step->name, ref, n, options, "replay", NULL,
                         err);
    if (!s)
        s = compare_recipes(a, &got.artifact, err);
    if (!s)
        s = compare(a, &got.artifact, err);
    if (!s)
        sm_log_line(r->ctx->log, SM_LOG_INFO, "replay: %s %s %.12s: same bits, %.1f s",
                    step->name, a->kind, a->content.hex, got.seconds);
    sm_flow_result_free(&got);
    json_decref(options);
    free(ref);
    return s;
}

static bool has_inputs(const sm_artifact *a)
{
    return json_array_size(json_object_get(a->recipe_json, "inputs")) > 0;
}

static sm_status copy_inputs(const replay *r, const sm_artifact *a, const char *also,
                             sm_err *err)
{
    size_t i;
    json_t *v;
    sm_status s = SM_OK;
    json_array_foreach(json_object_get(a->recipe_json, "inputs"), i, v)
    {
        sm_artifact input = {0};
        if (!s)
            s = sm_store_find(&input, r->from, json_string_value(v), err);
        if (!s)
            s = sm_store_copy(r->to, r->from, &input, NULL, err);
        if (!s && also && !strcmp(input.kind, also))
            s = copy_inputs(r, &input, NULL, err);
        sm_artifact_free(&input);
    }
    return s;
}

/* `ref` alone: its direct inputs are copied, and what the step reads through them. */
static sm_status replay_one(const replay *r, const sm_artifact *a, sm_err *err)
{
    const sm_step *step = NULL;
    sm_status s = flow_recorded_step(&step, a, err);
    if (!s)
        s = copy_inputs(r, a, step->also, err);
    return s ? s : recompute(r, a, err);
}

/* What a lineage node stands for: of two recipes that made one content, the one that led to
 * the result. */
static sm_status find_node(sm_artifact *out, const replay *r, const json_t *node, sm_err *err)
{
    sm_id id;
    if (!strcmp(sm_json_text(node, "kind"), "missing"))
        return sm_fail(err, SM_ENOENT,
                       "replay: input %s is not in this workspace, want it and its makers",
                       sm_json_text(node, "content"));
    if (!sm_id_parse(&id, sm_json_text(node, "id")))
        return sm_fail(err, SM_ECORRUPT, "replay: lineage node without an id");
    return sm_store_find_node(out, r->from, &id, err);
}

/* Everything that led to `ref`: sources are copied, the rest is recomputed in order. */
static sm_status replay_whole(const replay *r, const char *ref, sm_err *err)
{
    json_t *graph = NULL, *node;
    size_t i;
    sm_status s = sm_store_lineage(&graph, r->from, ref, err);
    json_array_foreach(json_object_get(graph, "nodes"), i, node)
    {
        sm_artifact a = {0};
        if (!s)
            s = find_node(&a, r, node, err);
        if (!s && !has_inputs(&a))
            s = sm_store_copy(r->to, r->from, &a, NULL, err);
        else if (!s)
            s = recompute(r, &a, err);
        sm_artifact_free(&a);
    }
    json_decref(graph);
    return s;
}

sm_status flow_temporary(char **out, const char *who, sm_err *err)
{
    const char *tmp = getenv("TMPDIR");
    sm_buf dir = {0};
    if (!sm_buf_printf(&dir, "%s/smelt-%s-XXXXXX", tmp && *tmp ? tmp : "/tmp", who)) {
        sm_buf_free(&dir);
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", who);
    }
    if (!mkdtemp(dir.data)) {
        sm_status s = sm_fail_errno(err, errno, "%s: %s", who, dir.data);
        sm_buf_free(&dir);
        return s;
    }
    *out = dir.data;
    return SM_OK;
}

static sm_status open_scratch(replay *r, sm_err *err)
{
    sm_status s = flow_temporary(&r->dir, "replay", err);
    if (!s)
        s = sm_store_init(r->dir, err);
    return s ? s : sm_store_open(&r->to, r->dir, err);
}

sm_status sm_flow_replay(const sm_ctx *ctx, sm_store *store, const char *ref, bool whole,
                         sm_err *err)
{
    replay r = {.ctx = ctx, .from = store};
    sm_artifact a = {0};
    sm_status s = sm_store_find(&a, store, ref, err);
    if (!s)
        s = open_scratch(&r, err);
    if (!s && !has_inputs(&a)) /* a source: read again where its run found it */
        s = recompute(&r, &a, err);
    else if (!s && whole)
        s = replay_whole(&r, ref, err);
    else if (!s)
        s = replay_one(&r, &a, err);
    sm_store_close(r.to);
    if (r.dir)
        sm_remove_tree(r.dir, NULL);
    free(r.dir);
    sm_artifact_free(&a);
    return s;
}
