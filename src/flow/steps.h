/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: every step, each defined in its own step_NAME.c. */
#ifndef SMELT_FLOW_STEPS_H
#define SMELT_FLOW_STEPS_H

#include "smelt/flow.h"

extern const sm_step step_data_add;
extern const sm_step step_data_filter;
extern const sm_step step_data_curate;
extern const sm_step step_tokenizer_train;
extern const sm_step step_tokenizer_import;
extern const sm_step step_train;
extern const sm_step step_train_states;
extern const sm_step step_tracks;
extern const sm_step step_index;
extern const sm_step step_eval;
extern const sm_step step_gate;

struct sm_tokenizer;
/** Write staging/tokenizer.json. */
sm_status flow_write_tokenizer(const sm_step_io *io, const struct sm_tokenizer *t,
                               sm_err *err);

#endif
