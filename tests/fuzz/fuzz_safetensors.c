/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a safetensors file, and its header as a config.json: no crash, every tensor
 * inside the file, and a config that is accepted survives the round trip.
 */
/* module: model */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensors(const sm_safetensors *s, const uint8_t *data, size_t size)
{
    size_t sum = 0;
    for (size_t i = 0; i < sm_safetensors_n(s); i++) {
        const sm_tensor_entry *e = sm_safetensors_at(s, i);
        const uint8_t *at = e->data;
        if (at < data || e->bytes > size || at > data + size - e->bytes)
            abort();
        for (size_t b = 0; b < e->bytes; b++)
            sum += at[b];
        if (!sm_safetensors_find(s, e->name))
            abort();
    }
    const json_t *said = sm_safetensors_metadata(s);
    if (sum > size * 255 || (said && !json_is_object(said)))
        abort();
}

static void check_config(const uint8_t *data, size_t size)
{
    json_t *json = NULL, *again;
    sm_model_config c, back;
    if (sm_json_parse(&json, (const char *)data, size, "fuzz", NULL))
        return;
    if (!sm_model_config_from_json(&c, json, NULL)) {
        if (c.n_layer > 512) {
            json_decref(json);
            return;
        }
        again = sm_model_config_to_json(&c);
        if (!again || sm_model_config_from_json(&back, again, NULL) ||
            sm_model_n_param(&c) != sm_model_n_param(&back) || back.router != c.router)
            abort();
        json_decref(again);
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sm_safetensors *s = NULL;
    if (!sm_safetensors_parse(&s, data, size, "fuzz", NULL))
        check_tensors(s, data, size);
    sm_safetensors_close(s);
    check_config(data, size);
    if (size > 8)
        check_config(data + 8, size - 8);
    return 0;
}
