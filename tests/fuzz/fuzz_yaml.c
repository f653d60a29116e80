/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as YAML: no crash; what parses can be written as JSON and has positions. */
/* module: conf */
#include <stdint.h>
#include <stdlib.h>

#include "smelt/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v = NULL, *again = NULL;
    sm_positions *pos = NULL;
    sm_buf out = {0};
    sm_err err;
    if (sm_yaml_parse(&v, &pos, (const char *)data, size, "fuzz", &err))
        return 0;
    if (!*sm_positions_at(pos, ""))
        abort();
    if (sm_json_pretty(&out, v, &err) ||
        sm_json_parse(&again, out.data, out.len, "pretty", &err) || !json_equal(v, again))
        abort();
    json_decref(again);
    json_decref(v);
    sm_positions_free(pos);
    sm_buf_free(&out);
    return 0;
}
