/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The complete state of training, handed out and taken back.
 *
 * A commitment is a view of everything that the next step depends on: weights, optimizer
 * state, router bias, the step, the configuration and the data.  Whoever receives it may
 * hash it, keep it in a file, and later begin from that file: going on from a kept state
 * gives the same bits as never having stopped (random numbers are counter-based, so the
 * step is all of their state).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

sm_status train_commit(const sm_train_io *io, const train_state *t, int64_t step,
                       sm_err *err)
{
    size_t n = 0;
    sm_tensor_entry *e = train_ckpt_entries(&n, t);
    if (!e)
        return sm_fail(err, SM_ENOMEM, "commitment of step %lld: out of memory",
                       (long long)step);
    sm_train_commit c = {.step = step,
                         .config = t->config,
                         .data_checksum = t->data_checksum,
                         .tensor = e,
                         .n_tensor = n};
    sm_status s = io->on_commit(io->commit_self, &c, err);
    if (s)
        sm_fail_context(err, s, "commitment of step %lld: ", (long long)step);
    free(e);
    return s;
}

sm_status sm_train_commit_save(const char *path, const sm_train_commit *c, sm_err *err)
{
    char step[24], data[17];
    sm_buf config = {0};
    snprintf(step, sizeof step, "%" PRId64, c->step);
    train_ckpt_hex(data, c->data_checksum);
    sm_status s = sm_json_canonical(&config, c->config, err);
    json_t *meta =
        s ? NULL
          : json_pack("{s:s, s:s, s:s, s:s}", "format", SM_TRAIN_STATE_FORMAT, "step",
                      step, "data_checksum", data, "config", config.data);
    if (!s && !meta)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    if (!s)
        s = sm_safetensors_write(path, c->tensor, c->n_tensor, meta, err);
    json_decref(meta);
    sm_buf_free(&config);
    return s;
}

sm_status train_state_check(const sm_safetensors *f, const train_state *t, int64_t step,
                            sm_err *err)
{
    const json_t *said = sm_safetensors_metadata(f);
    const char *text = sm_json_text(said, "config");
    json_t *config = NULL;
    sm_status s = SM_OK;
    if (*text)
        s = sm_json_parse(&config, text, strlen(text), "config", err);
    if (s && s != SM_ENOMEM)
        s = SM_ECORRUPT;
    train_claim claim = {.format = sm_json_text(said, "format"),
                         .step = sm_json_text(said, "step"),
                         .data_checksum = sm_json_text(said, "data_checksum"),
                         .config = config};
    if (!s)
        s = train_claim_check(&claim, SM_TRAIN_STATE_FORMAT, t, step, err);
    json_decref(config);
    return s ? sm_fail_context(err, s, "metadata: ") : SM_OK;
}

sm_status train_state_load(train_state *t, const char *path, int64_t step, sm_err *err)
{
    size_t n = 0;
    sm_safetensors *f = NULL;
    sm_tensor_entry *e = train_ckpt_entries(&n, t);
    sm_status s = e ? sm_safetensors_open(&f, path, err)
                    : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    if (!s)
        s = train_state_check(f, t, step, err);
    if (!s && sm_safetensors_n(f) != n)
        s = sm_fail(err, SM_ECORRUPT, "got %zu tensors, want %zu", sm_safetensors_n(f),
                    n);
    for (size_t i = 0; i < n && !s; i++) {
        const sm_tensor_entry *got = NULL;
        s = train_ckpt_find_tensor(&got, f, &e[i], err);
    }
    if (!s)
        train_ckpt_copy_tensors(t, f, e);
    else if (f)
        sm_fail_context(err, s, "%s: ", path);
    if (f)
        sm_safetensors_close(f);
    free(e);
    return s;
}

sm_status sm_train_model_tensors(sm_tensor_entry **out, size_t *n, const sm_model *m,
                                 sm_err *err)
{
    train_state t = {.model = (sm_model *)(uintptr_t)m};
    sm_tensor_entry *e = train_ckpt_model_entries(n, &t);
    if (!e)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    *out = e;
    return SM_OK;
}
