/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: no crash; what parses has a canonical form that parses to itself,
 * unless that holds a whole double beyond 64 bits, which reads as too big an integer. */
/* module: conf */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v = NULL, *again = NULL;
    sm_buf one = {0}, two = {0};
    sm_err err;
    if (sm_json_parse(&v, (const char *)data, size, "fuzz", &err))
        return 0;
    if (!sm_json_canonical(&one, v, &err)) {
        if (sm_json_parse(&again, one.data, one.len, "canonical", &err)) {
            if (!strstr(err.msg, "too big"))
                abort();
        } else if (!sm_json_canonical(&two, again, &err) &&
                   (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)) {
            abort();
        }
    }
    json_decref(again);
    json_decref(v);
    sm_buf_free(&one);
    sm_buf_free(&two);
    return 0;
}
