/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as a lineage graph: no crash, and no drawing lets a tag through. */
/* module: store */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = NULL;
    sm_buf tree = {0}, dot = {0}, svg = {0};
    sm_err err;
    if (size > 16384 || sm_json_parse(&json, (const char *)data, size, "fuzz", &err))
        return 0;
    sm_status st = sm_lineage_svg(&svg, json, &err);
    if (st == SM_OK && (strstr(svg.data, "<script") || strstr(svg.data, "<a ")))
        abort();
    if ((sm_lineage_dot(&dot, json, &err) == SM_OK) != (st != SM_EINVAL))
        abort();
    if (st == SM_OK && sm_lineage_tree(&tree, json, &err))
        abort();
    json_decref(json);
    sm_buf_free(&tree);
    sm_buf_free(&dot);
    sm_buf_free(&svg);
    return 0;
}
