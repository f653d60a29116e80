/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit by sampling: a training run is checked at a fraction of its cost.
 *
 *   chain.jsonl:  S_0 ── S_1 ── S_2 ── ... ── S_n      hashes of complete states
 *                  │      └──────┘              │
 *            recipe, seed   a segment      the artifact's weights
 *            (recomputed)   (recomputed when sampled)
 *
 * A forged run has at least one segment that does not lead from the state it begins with
 * to the one it commits to, whatever else the forger recomputed, because S_0 follows from
 * the recipe and S_n from the artifact.  Since bits do not depend on the machine there is
 * no tolerance in which to hide.  The sample is drawn after the commitment, so it cannot be
 * foreseen; k of n segments catch f forged ones with probability 1 - C(n-f,k)/C(n,k).
 */
#include <stdio.h>
#include <string.h>

#include "sample.h"

static json_t *sampled_json(const audit *a)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i + 1 < a->chain.n; i++)
        if (a->sampled[i])
            json_array_append_new(list,
                                  json_pack("[I, I]", (json_int_t)a->chain.at[i].step,
                                            (json_int_t)a->chain.at[i + 1].step));
    return list;
}

static sm_status make_report(json_t **out, const audit *a, const sm_sample_config *c,
                             const char *end, int64_t n_steps, sm_err *err)
{
    int64_t n = (int64_t)a->chain.n - 1, k = sample_size(c, n);
    bool kept = a->states.n_file > 0;
    *out = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:s, s:s*, s:s, s:I, s:o, s:O}",
        "content", a->model.content.hex, "recipe", a->model.recipe.hex, "chain",
        a->chain.head.hex, "steps", (json_int_t)a->chain.header.n_steps, "commit_steps",
        (json_int_t)a->chain.header.commit_steps, "segments", (json_int_t)n, "seed",
        (json_int_t)c->seed, "sampled", sampled_json(a), "states", kept ? "kept" : "none",
        "states_content", kept ? a->states.content.hex : NULL, "end", end,
        "steps_recomputed", (json_int_t)n_steps, "caught", sample_odds(n, k), "findings",
        a->findings);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "sample: out of memory");
}

/* The first finding as the error's text. */
static sm_status verdict(const audit *a, sm_err *err)
{
    const json_t *f = json_array_get(a->findings, 0);
    size_t n = json_array_size(a->findings);
    if (n == 0)
        return SM_OK;
    const char *tensor = json_string_value(json_object_get(f, "tensor"));
    char at[40] = "";
    if (json_object_get(f, "step"))
        snprintf(at, sizeof at, ", step %lld", (long long)sm_json_int(f, "step"));
    return sm_fail(err, SM_EDENIED,
                   "sample: model %.12s: %s%s: got %.100s, want %.100s%s%s (%zu "
                   "finding%s)",
                   a->model.content.hex, json_string_value(json_object_get(f, "what")), at,
                   json_string_value(json_object_get(f, "got")),
                   json_string_value(json_object_get(f, "want")),
                   tensor ? "; first in " : "", tensor ? tensor : "", n,
                   n == 1 ? "" : "s");
}

sm_status sm_flow_sample(json_t **report, const sm_ctx *ctx, sm_store *store,
                         const char *ref, const sm_sample_config *c, sm_err *err)
{
    audit a = {.ctx = ctx, .store = store};
    const char *end = "not checked";
    int64_t n_steps = 0;
    sm_status s = audit_open(&a, ref, err);
    if (!s) {
        int64_t n = (int64_t)a.chain.n - 1;
        s = sample_draw(a.sampled, n, sample_size(c, n), c->seed, err);
    }
    if (!s)
        s = audit_files(&a, err);
    if (!s)
        s = audit_ends(&a, &end, err);
    if (!s)
        s = audit_segments(&a, &n_steps, err);
    if (!s)
        s = make_report(report, &a, c, end, n_steps, err);
    if (!s)
        s = verdict(&a, err);
    audit_close(&a);
    return s;
}
