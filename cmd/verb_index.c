/* SPDX-License-Identifier: Apache-2.0 */
/* smelt index: a dataset into passages. */
#include "cmd.h"

const verb verb_index = {
    .name = "index",
    .usage = "DATASET",
    .summary = "cut a dataset into passages that questions are answered from",
    .example = "smelt index unix --as unix-index",
    .options = step_verb_options,
    .step = "index",
    .max_pos = -1,
    .run = run_step_verb,
};
