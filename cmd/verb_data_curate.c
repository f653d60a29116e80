/* SPDX-License-Identifier: Apache-2.0 */
/* smelt data curate: sources into a dataset. */
#include "cmd.h"

const verb verb_data_curate = {
    .name = "data curate",
    .usage = "SOURCE...",
    .summary = "keep, repair or reject documents by declared rules; split by content",
    .details =
        "Documents that are not kept stay in the dataset with the reason, which smelt "
        "data\n"
        "show counts; those whose licence nobody states are not kept unless\n"
        "--allow-unknown-licence is given.  A document is held out by its content alone.",
    .example = "smelt data curate docs --as unix\nsmelt data curate docs --as unix "
               "--gopher-min-words 20",
    .options = step_verb_options,
    .step = "data.curate",
    .max_pos = -1,
    .run = run_step_verb,
};
