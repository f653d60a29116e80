/* SPDX-License-Identifier: Apache-2.0 */
/* smelt eval: figures of a model. */
#include "cmd.h"

const verb verb_eval = {
    .name = "eval",
    .usage = "MODEL DATASET [INDEX]",
    .summary = "measure a model: bits per byte, retrieval, minimal pairs, samples",
    .details = "Bits per byte are of held-out documents, with a 95 % interval.  With an INDEX,\n"
               "each page's NAME line, which is then left out of the index, is a question\n"
               "whose answer is that page; the figures state apart what plain BM25, fields and\n"
               "passages, and the model each contribute.  The result is an artifact.",
    .example = "smelt eval unix-moe unix unix-index --as unix-eval",
    .options = step_verb_options,
    .step = "eval",
    .max_pos = -1,
    .run = run_step_verb,
};
