/* SPDX-License-Identifier: Apache-2.0 */
/* Step data.add: files, directories and archives into a source. */
#include "smelt/data.h"
#include "steps.h"

static sm_status run_add(const sm_step_io *io, sm_err *err)
{
    return sm_data_add(io->ctx, io->options, io->facts, io->staging, io->figures, err);
}

const sm_step step_data_add = {
    .name = "data.add",
    .version = 1,
    .output = "source",
    .inputs = "",
    .help = "read files, directories and archives into documents",
    .options = sm_data_add_options,
    .facts = sm_data_add_facts,
    .run = run_add,
};
