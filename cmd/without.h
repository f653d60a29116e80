/* SPDX-License-Identifier: Apache-2.0 */
/* The counterfactual of `smelt replay --without`: run and print. */
#ifndef SMELT_CMD_WITHOUT_H
#define SMELT_CMD_WITHOUT_H

#include "cmd.h"

/** Options of replay that belong to --without: without, retrain_tokenizer, prompt, ask,
 * tokens, heldout_docs, as.  Returns the exit status. */
int run_without(app *a, const args *in, const sm_ctx *ctx, sm_store *store);

#endif
