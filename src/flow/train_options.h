/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: the options of step train and the configuration that they make. */
#ifndef SMELT_FLOW_TRAIN_OPTIONS_H
#define SMELT_FLOW_TRAIN_OPTIONS_H

#include "smelt/conf.h"
#include "smelt/train.h"

extern const sm_option train_options[];

/** From resolved options; strings are borrowed from them. n_vocab: the tokenizer's.
 * @return SM_EINVAL naming the field that does not fit the others */
sm_status train_config_of(sm_train_config *out, const json_t *options, int32_t n_vocab,
                          sm_err *err);

#endif
