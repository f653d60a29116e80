/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: the training curve, kept across interruptions, free of clocks. */
#ifndef SMELT_FLOW_CURVE_H
#define SMELT_FLOW_CURVE_H

#include "internal.h"
#include "smelt/train.h"

typedef struct curve curve;

/** Open scratch/curve.jsonl for appending; its directory exists. */
sm_status curve_open(curve **out, const sm_step_io *io, const sm_train_config *c,
                     sm_err *err);
/** The on_step of sm_train_io: a line to the file, rows to the catalog. */
sm_status curve_step(void *self, const sm_train_metrics *m, sm_err *err);
/** Write staging/curve.jsonl: every step once, in order.  SM_ECORRUPT when a step is
 * missing (scratch was damaged); a rerun goes on from the last step that is whole. */
sm_status curve_finish(curve *c, sm_err *err);
/** A step's line: what of its metrics is a function of the recipe. New reference. */
json_t *curve_line(const sm_train_metrics *m);
void curve_free(curve *c);

#endif
