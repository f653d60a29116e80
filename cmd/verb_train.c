/* SPDX-License-Identifier: Apache-2.0 */
/* smelt train: a dataset and a tokenizer into a model. */
#include "cmd.h"

static const sm_option options[] = {
    STEP_VERB_OPTIONS,
    {.key = "profile",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "say where the steps went, by operation, and write this file: a trace that "
             "Perfetto opens"},
    SM_OPTION_END,
};

static int run(app *a, const verb *self, const args *in)
{
    a->profile = sm_opt_str(in->opt, "profile");
    return run_step_verb(a, self, in);
}

const verb verb_train = {
    .name = "train",
    .usage = "DATASET TOKENIZER | CONFIG.yaml",
    .summary = "train a model on the training part of a dataset",
    .details =
        "CONFIG.yaml has the keys of one step of a pipeline: in, as, options; flags\n"
        "win over it.  An interrupted run goes on from its newest checkpoint when the\n"
        "same command is given again.  --dry-run prints what the run would take.\n"
        "--profile records every operation of every thread; it changes no result.",
    .example = "smelt train unix unix-tokenizer --as unix-tiny --n-steps 500\n"
               "smelt train config.yaml --dry-run",
    .options = options,
    .step = "train",
    .max_pos = -1,
    .run = run,
};
