/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: the audit of a training run by sampling. */
#ifndef SMELT_FLOW_SAMPLE_H
#define SMELT_FLOW_SAMPLE_H

#include "chain.h"
#include "material.h"

/* ---------------------------------------------------------- sample_odds.c */

/** Segments that a configuration asks for: 1..n. */
int64_t sample_size(const sm_sample_config *c, int64_t n);
/** Mark k of n. */
sm_status sample_draw(bool *sampled, int64_t n, int64_t k, uint64_t seed, sm_err *err);
/** [{"forged", "share", "probability"}] for one segment, 1, 5 and 10 %. New reference. */
json_t *sample_odds(int64_t n, int64_t k);

/* ----------------------------------------------------------- sample_open.c */

typedef struct audit {
    const sm_ctx *ctx;
    sm_store *store;
    sm_artifact model, states; /* states.n_file 0: none were kept            */
    sm_artifact *input;
    size_t n_input;
    json_t *options; /* resolved */
    material m;
    chain_file chain;
    json_t *curve;    /* array: line of step i+1, without held-out figures     */
    bool *sampled;    /* [chain.n - 1] */
    json_t *findings; /* array of {"what", "step", "want", "got", ...}       */
} audit;

/** Find everything that the audit compares; what the chain says of itself is checked. */
sm_status audit_open(audit *a, const char *ref, sm_err *err);
void audit_close(audit *a);
/** Note a difference; step -1: of no step; `more` (may be NULL) is taken over. */
sm_status audit_finding(audit *a, const char *what, int64_t step, const char *want,
                        const char *got, json_t *more, sm_err *err);
/** Path of the kept state i of the chain; *out malloc'd. */
sm_status audit_state_path(char **out, const audit *a, size_t i, sm_err *err);

/* ---------------------------------------------------------- sample_files.c */

/** The files beside weights and chain against recipe, inputs and curve. */
sm_status audit_files(audit *a, sm_err *err);

/* ------------------------------------------------------------ sample_run.c */

/** Initial state, kept states, and the model's weights against the chain. */
sm_status audit_ends(audit *a, const char **end, sm_err *err);
/** Recompute the sampled segments; *n_steps is how many steps that took. */
sm_status audit_segments(audit *a, int64_t *n_steps, sm_err *err);

#endif
