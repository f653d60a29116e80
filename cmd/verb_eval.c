/* SPDX-License-Identifier: Apache-2.0 */
/* smelt eval: figures of a model. */
#include "cmd.h"

const verb verb_eval = {
    .name = "eval",
    .usage = "MODEL DATASET [INDEX]",
    .summary = "measure a model: bits per byte, retrieval, minimal pairs, samples",
    .details =
        "Bits per byte are of held-out documents, with a 95 % interval.  Those that the\n"
        "model was trained on, by the datasets of its recipe, are left out of the score;\n"
        "heldout.left_out says how many.  With an INDEX, each page's NAME line, which is\n"
        "then left out of the index, is a question whose answer is that page; the\n"
        "figures state apart what plain BM25, fields and passages, and the model each\n"
        "contribute.  w_model is the weight with which a release re-ranks by the model:\n"
        "0, not at all, unless the 95 % interval of model_gain.mrr lies above 0.\n"
        "The result is an artifact.",
    .example = "smelt eval unix-moe unix unix-index --as unix-eval",
    .options = step_verb_options,
    .step = "eval",
    .max_pos = -1,
    .run = run_step_verb,
};
