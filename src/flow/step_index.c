/* SPDX-License-Identifier: Apache-2.0 */
/* Step index: the documents of a dataset into passages for retrieval. */
#include <stdlib.h>

#include "internal.h"
#include "smelt/index.h"
#include "steps.h"

static sm_status run_index(const sm_step_io *io, sm_err *err)
{
    static const char *const part[] = {"train.jsonl", "heldout.jsonl"};
    char *path[2] = {NULL, NULL};
    sm_status s = SM_OK;
    for (size_t i = 0; i < 2 && !s; i++)
        s = flow_input_path(&path[i], io, 0, part[i], err);
    if (!s)
        s = sm_index_build(io->ctx, (const char *const *)path, 2, io->options,
                           io->staging, io->figures, err);
    free(path[0]);
    free(path[1]);
    return s;
}

const sm_step step_index = {
    .name = "index",
    .version = 1,
    .output = "index",
    .inputs = "dataset",
    .help = "cut a dataset into passages that questions are answered from",
    .options = sm_index_options,
    .run = run_index,
};
