/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manifest: no crash; what parses is written again as the same manifest.
 */
/* module: store */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sm_artifact a = {0}, b = {0};
    sm_err err;
    json_t *json = NULL;
    char *text = malloc(size + 1);
    ref_name r;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    (void)ref_parse(&r, text);
    if (manifest_parse(&a, text, NULL, &err) == SM_OK) {
        char *again = NULL;
        if (manifest_json(&json, &a, &err) || !(again = json_dumps(json, 0)) ||
            manifest_parse(&b, again, NULL, &err) || !id_equal(&a.content, &b.content) ||
            a.n_file != b.n_file)
            abort();
        free(again);
    }
    json_decref(json);
    sm_artifact_free(&a);
    sm_artifact_free(&b);
    free(text);
    return 0;
}
