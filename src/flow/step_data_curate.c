/* SPDX-License-Identifier: Apache-2.0 */
/* Step data.curate: sources into a dataset. */
#include "internal.h"
#include "smelt/data.h"
#include "steps.h"

static sm_status run_curate(const sm_step_io *io, sm_err *err)
{
    char **path = NULL;
    size_t n = 0;
    sm_status s = flow_input_paths(&path, &n, io, "source", "documents.jsonl", err);
    if (!s)
        s = sm_data_curate(io->ctx, (const char *const *)path, n, io->options,
                           io->staging, io->figures, err);
    flow_paths_free(path, n);
    return s;
}

const sm_step step_data_curate = {
    .name = "data.curate",
    .version = 1,
    .output = "dataset",
    .inputs = "source+",
    .help = "keep, repair or reject documents by declared rules; split by content",
    .options = sm_data_curate_options,
    .facts = sm_data_curate_facts,
    .run = run_curate,
};
