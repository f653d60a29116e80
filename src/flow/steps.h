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
/** Special tokens of one step. */
#define FLOW_MAX_SPECIAL 256
/** A list of texts as a NULL-terminated array, borrowed from it; SM_EINVAL for too many. */
sm_status flow_special(const char *out[FLOW_MAX_SPECIAL + 1], const json_t *list,
                       sm_err *err);
/** Value of a sm_pretokenizer by its option's choice. */
#define FLOW_PRETOK "gpt2|o200k|llama3|cl100k"
int flow_pretok(const char *name);
/** Write staging/tokenizer.json. */
sm_status flow_write_tokenizer(const sm_step_io *io, const struct sm_tokenizer *t,
                               sm_err *err);

#endif
