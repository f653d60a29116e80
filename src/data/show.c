/* SPDX-License-Identifier: Apache-2.0 */
/* `data show`. */
#include "smelt/data.h"

const sm_option sm_data_show_options[] = {
    {.key = "n_samples", .type = SM_OPT_INT, .def = "5", .min = 0, .max = 100,
     .help = "documents to show of each part", .affects_result = false},
    {.key = "seed", .type = SM_OPT_INT, .def = "1", .min = 0, .max = 2147483647,
     .help = "another seed shows other samples", .affects_result = false},
    {.key = "reason", .type = SM_OPT_STRING, .def = "",
     .help = "show rejected samples of this reason only", .affects_result = false},
    SM_OPTION_END};
