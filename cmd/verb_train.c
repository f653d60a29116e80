/* SPDX-License-Identifier: Apache-2.0 */
/* smelt train: a dataset and a tokenizer into a model. */
#include "cmd.h"

const verb verb_train = {
    .name = "train",
    .usage = "DATASET TOKENIZER | CONFIG.yaml",
    .summary = "train a model on the training part of a dataset",
    .details =
        "CONFIG.yaml has the keys of one step of a pipeline: in, as, options; flags\n"
        "win over it.  An interrupted run goes on from its newest checkpoint when the\n"
        "same command is given again.  --dry-run prints what the run would take.",
    .example = "smelt train unix unix-tokenizer --as unix-tiny --n-steps 500\n"
               "smelt train config.yaml --dry-run",
    .options = step_verb_options,
    .step = "train",
    .max_pos = -1,
    .run = run_step_verb,
};
