/* SPDX-License-Identifier: Apache-2.0 */
/* Minimal pairs of a text in memory: what sm_eval_pairs reads from a file. */
#ifndef SMELT_EVAL_PAIRS_H
#define SMELT_EVAL_PAIRS_H

#include "smelt/eval.h"

/** sm_eval_pairs of text [size]; `name` stands for the path in messages. */
sm_status eval_pairs_text(json_t **figures, const sm_ctx *ctx, const char *text,
                          size_t size, const char *name, int64_t max_pairs,
                          const sm_scorer *scorer, sm_err *err);

#endif
