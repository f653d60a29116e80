/* SPDX-License-Identifier: Apache-2.0 */
/* Audit by sampling: the artifact, its inputs, its chain, the states that were kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "sample.h"
#include "steps.h"

sm_status audit_finding(audit *a, const char *what, int64_t step, const char *want,
                        const char *got, json_t *more, sm_err *err)
{
    json_t *f = json_pack("{s:s, s:s, s:s}", "what", what, "want", want, "got", got);
    if (f && step >= 0)
        json_object_set_new(f, "step", json_integer(step));
    if (f && more)
        json_object_update(f, more);
    json_decref(more);
    return f && !json_array_append_new(a->findings, f)
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "sample: out of memory");
}

sm_status audit_state_path(char **out, const audit *a, size_t i, sm_err *err)
{
    char name[40];
    chain_state_name(name, a->chain.at[i].step);
    return sm_store_path(out, a->store, &a->states, name, err);
}

/* The inputs as recorded, every file re-hashed: the audit rests on them. */
static sm_status check_files(audit *a, const sm_artifact *x, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < x->n_file && !s; i++) {
        char *path = NULL;
        sm_id id;
        s = sm_store_path(&path, a->store, x, x->file[i].path, err);
        if (!s)
            s = sm_id_of_file(&id, path, err);
        if (!s && strcmp(id.hex, x->file[i].object.hex) != 0)
            s = sm_fail(err, SM_ECORRUPT,
                        "sample: %s %.12s: %s: got SHA-256 %.12s, want "
                        "%.12s; smelt verify says where",
                        x->kind, x->content.hex, x->file[i].path, id.hex,
                        x->file[i].object.hex);
        free(path);
    }
    return s;
}

static sm_status open_inputs(audit *a, sm_err *err)
{
    size_t i;
    json_t *v, *list = json_object_get(a->model.recipe_json, "inputs");
    sm_status s = SM_OK;
    a->input = sm_alloc(json_array_size(list) + 1, sizeof *a->input);
    if (!a->input)
        return sm_fail(err, SM_ENOMEM, "sample: out of memory");
    json_array_foreach(list, i, v)
    {
        if (!s && !json_is_string(v))
            s = sm_fail(err, SM_ECORRUPT, "sample: recipe: input %zu: want a string", i);
        if (!s)
            s = sm_store_find(&a->input[a->n_input++], a->store, json_string_value(v),
                              err);
        if (!s)
            s = check_files(a, &a->input[i], err);
    }
    return s;
}

/* What the audited run was given. */
static sm_step_io io_of(const audit *a)
{
    return (sm_step_io){.ctx = a->ctx,
                        .store = a->store,
                        .options = a->options,
                        .input = a->input,
                        .n_input = a->n_input};
}

/* Options as this build resolves them; they must make the recorded recipe again. */
static sm_status open_options(audit *a, sm_err *err)
{
    json_t *given = flow_replay_options(a->store, &step_train, &a->model), *recipe = NULL;
    sm_id id;
    sm_status s =
        given ? sm_options_resolve(&a->options, step_train.options, given, "sample", err)
              : sm_fail(err, SM_ENOMEM, "sample: out of memory");
    sm_step_io io = io_of(a);
    if (!s)
        s = flow_recipe(&recipe, &step_train, &io, err);
    if (!s)
        s = sm_recipe_id(&id, recipe, err);
    if (!s && strcmp(id.hex, a->model.recipe.hex) != 0)
        s = sm_fail(err, SM_EUNSUPPORTED,
                    "sample: this build makes another recipe: got "
                    "%.12s, want %.12s",
                    id.hex, a->model.recipe.hex);
    json_decref(recipe);
    json_decref(given);
    return s;
}

/* What the chain says of the run must be what the recipe says. */
static sm_status check_header(audit *a, sm_err *err)
{
    chain_header want, *got = &a->chain.header;
    sm_status s = chain_header_of(&want, &a->m.config, a->m.data,
                                  sm_opt_int(a->options, "commit_steps"), err);
    if (!s && (want.commit_steps != got->commit_steps || want.n_steps != got->n_steps))
        s = sm_fail(err, SM_EDENIED,
                    "sample: chain.jsonl: got %lld steps in segments of "
                    "%lld, the recipe wants %lld of %lld",
                    (long long)got->n_steps, (long long)got->commit_steps,
                    (long long)want.n_steps, (long long)want.commit_steps);
    if (!s && strcmp(want.config.hex, got->config.hex) != 0)
        s = sm_fail(err, SM_EDENIED,
                    "sample: chain.jsonl: config: got %.12s, the recipe "
                    "wants %.12s",
                    got->config.hex, want.config.hex);
    if (!s && strcmp(want.data, got->data) != 0)
        s = sm_fail(err, SM_EDENIED,
                    "sample: chain.jsonl: data: got %s, the inputs make "
                    "%s",
                    got->data, want.data);
    return s;
}

static sm_status open_chain(audit *a, sm_err *err)
{
    char *path = NULL;
    sm_status s = sm_store_path(&path, a->store, &a->model, "chain.jsonl", err);
    if (s == SM_ENOENT)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "sample: model %.12s has no chain.jsonl: it "
                       "was trained with commit_steps -1; replay it as a whole",
                       a->model.content.hex);
    if (!s)
        s = chain_read(&a->chain, path, err);
    if (s)
        s = sm_fail_context(err, s, "sample: ");
    free(path);
    return s;
}

/* The states that this recipe's run kept, if any were. */
static sm_status open_states(audit *a, sm_err *err)
{
    json_t *recipe = NULL;
    sm_id id;
    sm_step_io io = io_of(a);
    sm_status s = flow_recipe(&recipe, &step_train_states, &io, err);
    if (!s)
        s = sm_recipe_id(&id, recipe, err);
    if (!s) {
        sm_status found = sm_store_find_recipe(&a->states, a->store, &id, err);
        if (found != SM_OK && found != SM_ENOENT)
            s = found;
    }
    json_decref(recipe);
    return s;
}

/* The lines of curve.jsonl by step; held-out figures are not recomputed here. */
static sm_status open_curve(audit *a, sm_err *err)
{
    char *path = NULL, *text = NULL;
    size_t len = 0;
    a->curve = json_array();
    sm_status s = sm_store_path(&path, a->store, &a->model, "curve.jsonl", err);
    if (!s)
        s = sm_file_read(&text, &len, path, 0, err);
    lines l = {.text = text, .len = s ? 0 : len};
    bool more = !s;
    while (!s && more) {
        s = lines_next(&more, &l, "curve.jsonl", err);
        json_object_del(l.value, "heldout_bpb");
        json_object_del(l.value, "heldout_bpb_std_err");
        if (!s && more && json_array_append(a->curve, l.value))
            s = sm_fail(err, SM_ENOMEM, "sample: out of memory");
    }
    lines_end(&l);
    free(text);
    free(path);
    return s;
}

sm_status audit_open(audit *a, const char *ref, sm_err *err)
{
    const sm_step *step = NULL;
    a->findings = json_array();
    sm_status s = sm_store_find(&a->model, a->store, ref, err);
    if (!s && strcmp(a->model.kind, "model") != 0)
        s = sm_fail(err, SM_EUNSUPPORTED, "sample: %s is a %s, want a model", ref,
                    a->model.kind);
    if (!s)
        s = flow_recorded_step(&step, &a->model, err);
    if (!s && step != &step_train)
        s = sm_fail(err, SM_EUNSUPPORTED, "sample: %s was made by %s, want train", ref,
                    step->name);
    if (!s)
        s = check_files(a, &a->model, err);
    if (!s)
        s = open_chain(a, err);
    if (!s)
        s = open_curve(a, err);
    if (!s)
        s = open_inputs(a, err);
    if (!s)
        s = open_options(a, err);
    sm_step_io io = {.ctx = a->ctx,
                     .store = a->store,
                     .options = a->options,
                     .input = a->input,
                     .n_input = a->n_input};
    if (!s)
        s = material_prepare(&a->m, &io, false, err);
    if (!s)
        s = check_header(a, err);
    if (!s)
        s = open_states(a, err);
    if (!s && !(a->sampled = sm_alloc(a->chain.n, sizeof *a->sampled)))
        s = sm_fail(err, SM_ENOMEM, "sample: out of memory");
    return s;
}

void audit_close(audit *a)
{
    material_free(&a->m);
    chain_file_free(&a->chain);
    flow_inputs_free(a->input, a->n_input);
    sm_artifact_free(&a->model);
    sm_artifact_free(&a->states);
    json_decref(a->options);
    json_decref(a->curve);
    json_decref(a->findings);
    free(a->sampled);
}
