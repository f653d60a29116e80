/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step gate: hold an evaluation against a gate file.  The verdict, good or bad, is an
 * artifact of kind "release" that names model, evaluation and index by content id.  Every
 * run of it, also one that was made before, is written to the audit log: the last one
 * decides whether the model is admitted.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/rollout.h"
#include "steps.h"

static const sm_option gate_options[] = {
    {.key = "gate", .type = SM_OPT_PATH, .def = NULL,
     .help = "the gate file: thresholds on figures", .affects_result = false},
    SM_OPTION_END};

/* The rules enter the recipe, not the path they were read from. */
static json_t *gate_facts(const sm_ctx *ctx, const json_t *options, sm_err *err)
{
    (void)ctx;
    json_t *gate = NULL;
    if (sm_gate_load(&gate, sm_opt_str(options, "gate"), err))
        return NULL;
    return json_pack("{s:o}", "gate", gate);
}

/* The rules as a gate file again: a verdict can be replayed when its file is long gone. */
static sm_status gate_restore(json_t *options, const json_t *facts, const char *dir,
                              sm_err *err)
{
    sm_buf text = {0};
    char *path = sm_path_join(dir, "gate.yaml");
    sm_status s = path ? sm_json_pretty(&text, json_object_get(facts, "gate"), err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    if (!s && json_object_set_new(options, "gate", json_string(path)) != 0)
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    sm_buf_free(&text);
    free(path);
    return s;
}

static sm_status load_figures(json_t **out, const sm_step_io *io, sm_err *err)
{
    char *path = NULL;
    sm_status s = flow_input_path(&path, io, (size_t)flow_input_of(io, "evaluation"),
                                  "figures.json", err);
    if (!s)
        s = sm_json_load(out, path, err);
    free(path);
    return s;
}

/* The i-th input of the evaluation: model, dataset, index. "" when it had none. */
static const char *evaluated(const sm_artifact *eval, size_t i)
{
    const char *id =
        json_string_value(json_array_get(json_object_get(eval->recipe_json, "inputs"), i));
    return id ? id : "";
}

/* The evaluation must be of this model and, when an index is to be released, of that index:
 * a verdict vouches for what was measured. */
static sm_status check_inputs(const sm_step_io *io, sm_err *err)
{
    const sm_artifact *model = &io->input[flow_input_of(io, "model")];
    const sm_artifact *eval = &io->input[flow_input_of(io, "evaluation")];
    int index = flow_input_of(io, "index");
    const char *model_id = evaluated(eval, 0), *index_id = evaluated(eval, 2);
    if (strcmp(model_id, model->content.hex) != 0)
        return sm_fail(err, SM_EINVAL, "evaluation %.12s: got one of model %.12s, want one of "
                       "%.12s", eval->content.hex, model_id, model->content.hex);
    if (index >= 0 && strcmp(index_id, io->input[index].content.hex) != 0)
        return sm_fail(err, SM_EINVAL, "evaluation %.12s: got one %s%.12s, want one with "
                       "index %.12s", eval->content.hex,
                       *index_id ? "with index " : "without an index", index_id,
                       io->input[index].content.hex);
    return SM_OK;
}

static sm_status write_verdict(const sm_step_io *io, json_t *verdict, const json_t *figures,
                               sm_err *err)
{
    static const char *const kind[] = {"model", "evaluation", "index"};
    for (int k = 0; k < 3; k++) {
        int i = flow_input_of(io, kind[k]);
        if (i >= 0)
            json_object_set_new(verdict, kind[k], json_string(io->input[i].content.hex));
    }
    json_t *w = json_object_get(json_object_get(figures, "w_model"), "value");
    if (w)
        json_object_set(verdict, "w_model", w);
    sm_buf text = {0};
    char *path = sm_path_join(io->staging, "verdict.json");
    sm_status s = path ? sm_json_pretty(&text, verdict, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    free(path);
    return s;
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    const json_t *gate = json_object_get(io->facts, "gate"); /* as the recipe has it */
    json_t *figures = NULL, *verdict = NULL;
    sm_status s = check_inputs(io, err);
    if (!s)
        s = load_figures(&figures, io, err);
    if (!s)
        s = sm_gate_check(&verdict, gate, figures, err);
    if (!s) {
        json_object_set(io->figures, "passed", json_object_get(verdict, "passed"));
        s = write_verdict(io, verdict, figures, err);
    }
    json_decref(figures);
    json_decref(verdict);
    return s;
}

/* A model is admitted by what was last said of it, which may be a verdict made before.  It
 * is said before the release can be seen: a kill in between leaves a model that nobody
 * admits until its gate has run to the end, never one that a failed gate lets pass. */
static sm_status announce(const sm_step_io *io, const sm_artifact *release, sm_err *err)
{
    char *path = NULL;
    json_t *verdict = NULL, *detail = NULL;
    sm_status s = sm_store_path(&path, io->store, release, "verdict.json", err);
    if (!s)
        s = sm_json_load(&verdict, path, err);
    if (!s && !(detail = json_pack("{s:s, s:s, s:b}", "model", sm_json_text(verdict, "model"),
                                   "release", release->content.hex, "passed",
                                   json_is_true(json_object_get(verdict, "passed")))))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_audit_append(io->store, FLOW_GATE_EVENT, detail, err);
    json_decref(detail);
    json_decref(verdict);
    free(path);
    return s;
}

const sm_step step_gate = {
    .name = "gate",
    .version = 1,
    .output = "release",
    .inputs = "model evaluation index?",
    .help = "hold an evaluation against a gate's thresholds",
    .options = gate_options,
    .facts = gate_facts,
    .run = run,
    .restore = gate_restore,
    .announce = announce,
};
