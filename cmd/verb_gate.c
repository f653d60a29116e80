/* SPDX-License-Identifier: Apache-2.0 */
/* smelt gate: hold an evaluation against a gate file; a bad verdict is exit status 1. */
#include <stdlib.h>

#include "cmd.h"
#include "smelt/flow.h"
#include "smelt/rollout.h"

static sm_status load_verdict(json_t **out, sm_store *store, const sm_artifact *release,
                              sm_err *err)
{
    char *path = NULL;
    sm_status s = sm_store_path(&path, store, release, "verdict.json", err);
    if (!s)
        s = sm_json_load(out, path, err);
    free(path);
    return s;
}

/* {"verdict": {"passed": ..., "rules": ...}} */
static sm_status verdict_member(json_t **out, app *a, const sm_artifact *made, sm_err *err)
{
    json_t *verdict = NULL;
    sm_status s = load_verdict(&verdict, a->store, made, err);
    if (!s)
        *out = json_pack("{s:o}", "verdict", verdict);
    return s;
}

static int run(app *a, const verb *self, const args *in)
{
    sm_err err = {0};
    json_t *verdict = NULL;
    sm_buf text = {0};
    sm_flow_result made;
    int rc = run_step(a, self, in, verdict_member, &made);
    if (made.artifact.n_file == 0) /* failed, or --dry-run */
        return rc;
    sm_status s = load_verdict(&verdict, a->store, &made.artifact, &err);
    sm_flow_result_free(&made);
    if (s)
        return app_fail(a, s, &err);
    bool passed = json_is_true(json_object_get(verdict, "passed"));
    sm_gate_report(&text, verdict);
    if (!a->json)
        printf("%sgate %s\n", text.data ? text.data : "", passed ? "passed" : "FAILED");
    sm_buf_free(&text);
    json_decref(verdict);
    return passed ? EXIT_GOOD : EXIT_FAILED;
}

const verb verb_gate = {
    .name = "gate",
    .usage = "MODEL EVALUATION [INDEX]",
    .summary = "hold an evaluation against a gate file",
    .details = "The verdict is an artifact of kind release, good or bad; smelt serve answers\n"
               "only with a model whose release passed.  Exit status 1 when it did not.",
    .example = "smelt gate unix-moe unix-eval unix-index --gate gate.yaml --as unix-release",
    .options = step_verb_options,
    .step = "gate",
    .max_pos = -1,
    .run = run,
};
