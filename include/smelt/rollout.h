/* SPDX-License-Identifier: Apache-2.0 */
/**
 * rollout (L7): gates.  A gate file declares thresholds on figures of an evaluation; its
 * verdict is an artifact, and the service refuses a model whose verdict is not "passed".
 * docs/formats/gate.md has the schema.
 */
#ifndef SMELT_ROLLOUT_H
#define SMELT_ROLLOUT_H

#include "smelt/base.h"
#include "smelt/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Read and check a gate file:
 *   gate: NAME
 *   require:
 *     - {figure: heldout.bpb, max: 2.5}
 *     - {figure: ask.recall_at_5, min: 0.6, bound: low}
 * bound says which end of the 95 % interval must hold: value (default), low or high.
 * @return SM_EINVAL or SM_ECORRUPT, "FILE:LINE:COL: field: got X, want Y" */
SM_API sm_status sm_gate_load(json_t **out, const char *path, sm_err *err);
SM_API sm_status sm_gate_parse(json_t **out, const char *data, size_t len, const char *name,
                               sm_err *err);

/** Hold figures (eval.h) against a gate.  A figure that is missing, or not a finite number,
 * fails.  *verdict: {"gate", "passed", "checks": [{"figure", "bound", "min"|"max", "value",
 * "passed", "why"}]}, new reference. */
SM_API sm_status sm_gate_check(json_t **verdict, const json_t *gate, const json_t *figures,
                               sm_err *err);

/** One line a check for a terminal. */
SM_API bool sm_gate_report(sm_buf *out, const json_t *verdict);

#ifdef __cplusplus
}
#endif
#endif
