/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a checkpoint: two bytes of length, state.json, then the safetensors file.
 * It is refused, or every tensor of the model is there and can be read.  The JSON's own
 * checksum is set right first, so that what lies behind it is reached. */
/* module: train */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sm_train_config config(void)
{
    sm_train_config c = SM_TRAIN_CONFIG_DEFAULT;
    c.model.n_vocab = 4;
    c.model.n_layer = 1;
    c.model.d_model = 8;
    c.model.n_head = c.model.n_kv_head = 1;
    c.model.d_head = 4;
    c.model.d_ff = 8;
    c.model.max_ctx = 32;
    c.n_ctx = 32;
    return c;
}

/* Put the checksum in that the content calls for. */
static void make_right(json_t *j)
{
    uint64_t sum = 0;
    char hex[17];
    json_object_del(j, "checksum");
    if (train_ckpt_json_sum(&sum, j, 3, NULL))
        return;
    train_ckpt_hex(hex, sum);
    json_object_set_new(j, "checksum", json_string(hex));
}

/* The tensors must be whole when they are accepted. */
static void try_tensors(const train_state *t, const json_t *state, const uint8_t *data,
                        size_t size)
{
    sm_safetensors *f = NULL;
    size_t n = 0;
    sm_tensor_entry *e = train_ckpt_entries(&n, t);
    if (e && !sm_safetensors_parse(&f, data, size, "fuzz", NULL)) {
        train_state_check(f, t, 10, NULL);
        if (!train_ckpt_check_tensors(f, e, n, state, NULL))
            for (size_t i = 0; i < n; i++) {
                const sm_tensor_entry *got = sm_safetensors_find(f, e[i].name);
                if (!got || got->bytes != e[i].bytes)
                    abort();
            }
        sm_safetensors_close(f);
    }
    free(e);
}

static void try_checkpoint(const train_state *t, const uint8_t *data, size_t size)
{
    json_t *j = NULL;
    size_t n = (size_t)data[0] << 8 | data[1];
    n = n > size - 2 ? size - 2 : n;
    if (!sm_json_parse(&j, (const char *)data + 2, n, "fuzz", NULL) &&
        json_is_object(j)) {
        make_right(j);
        train_ckpt_check_state(j, t, 10, NULL);
        try_tensors(t, j, data + 2 + n, size - 2 - n);
    }
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sm_train_config c = config();
    sm_model *m = NULL;
    train_optim o = {0};
    if (size < 2 || sm_model_create(&m, &c.model, 1, NULL))
        return 0;
    json_t *j = sm_train_config_to_json(&c);
    if (j && !train_optim_init(&o, &(sm_ctx){0}, &c, m, NULL)) {
        train_state t = {
            .model = m, .optim = &o, .config = j, .data_checksum = 7, .n_seq = c.n_seq};
        try_checkpoint(&t, data, size);
    }
    train_optim_fini(&o);
    json_decref(j);
    sm_model_free(m);
    return 0;
}
