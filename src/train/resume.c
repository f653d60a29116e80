/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading checkpoints back: find the newest that verifies.  checkpoint.c has the format
 * and the invariants.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

/* Take "checksum" out of the object and compare it with the rest. */
sm_status train_ckpt_check_state(json_t *j, const train_state *t, int64_t step,
                                 sm_err *err)
{
    char want[17], at[24];
    const char *got = json_string_value(json_object_get(j, "checksum"));
    char found[17] = "";
    uint64_t sum = 0;
    snprintf(found, sizeof found, "%s", got ? got : "");
    json_object_del(j, "checksum");
    sm_status s = train_ckpt_json_sum(&sum, j, 3, err);
    if (s)
        return s;
    train_ckpt_hex(want, sum);
    if (strcmp(found, want))
        return sm_fail(err, SM_ECORRUPT, "state.json: checksum: got \"%s\", want %s",
                       found, want);
    snprintf(at, sizeof at, "%" PRId64, sm_json_int(j, "step"));
    train_claim claim = {.format = sm_json_text(j, "format"),
                         .step = at,
                         .data_checksum = sm_json_text(j, "data_checksum"),
                         .config = json_object_get(j, "config")};
    s = train_claim_check(&claim, TRAIN_CKPT_FORMAT, t, step, err);
    return s ? sm_fail_context(err, s, "state.json: ") : SM_OK;
}

static sm_status read_state(json_t **out, const char *dir, const train_state *t,
                            int64_t step, sm_err *err)
{
    json_t *j = NULL;
    char *path = sm_path_join(dir, "state.json");
    sm_status s = path ? sm_json_load(&j, path, err)
                       : sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    free(path);
    if (!s && !json_is_object(j))
        s = sm_fail(err, SM_ECORRUPT, "state.json: want an object");
    if (!s)
        s = train_ckpt_check_state(j, t, step, err);
    if (s) {
        json_decref(j);
        return s;
    }
    *out = j;
    return SM_OK;
}

/* The tensor of the file that belongs to an entry of ours: same dtype, same size. */
sm_status train_ckpt_find_tensor(const sm_tensor_entry **out, const sm_safetensors *f,
                                 const sm_tensor_entry *e, sm_err *err)
{
    const sm_tensor_entry *got = sm_safetensors_find(f, e->name);
    if (!got)
        return sm_fail(err, SM_ECORRUPT, "tensor %s is missing", e->name);
    if (strcmp(got->dtype, "F32") || got->bytes != e->bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "tensor %s: got %zu bytes of %s, want %zu of F32", e->name,
                       got->bytes, got->dtype, e->bytes);
    for (int32_t d = 0; d < e->n_dim; d++)
        if (got->n_dim != e->n_dim || got->shape[d] != e->shape[d])
            return sm_fail(err, SM_ECORRUPT,
                           "tensor %s: got %lld in dimension %d of %d, want %lld of %d",
                           e->name, (long long)(d < got->n_dim ? got->shape[d] : 0), d,
                           got->n_dim, (long long)e->shape[d], e->n_dim);
    *out = got;
    return SM_OK;
}

sm_status train_ckpt_check_tensors(const sm_safetensors *f, const sm_tensor_entry *e,
                                   size_t n, const json_t *state, sm_err *err)
{
    uint64_t sum = 0;
    char found[17];
    for (size_t i = 0; i < n; i++) {
        const sm_tensor_entry *got = NULL;
        sm_status s = train_ckpt_find_tensor(&got, f, &e[i], err);
        if (s)
            return s;
        sum = train_ckpt_entry_sum(sum, got);
    }
    train_ckpt_hex(found, sum);
    const char *want = json_string_value(json_object_get(state, "tensors_checksum"));
    if (!want || strcmp(want, found))
        return sm_fail(err, SM_ECORRUPT, "tensors.safetensors: checksum: got %s, want %s",
                       found, want ? want : "one in state.json");
    return SM_OK;
}

/* Into the arrays of the state, whose addresses the entries do not carry as writable. */
void train_ckpt_copy_tensors(train_state *t, const sm_safetensors *f,
                             const sm_tensor_entry *e)
{
    size_t at = 0;
    for (int kind = 0; kind < TRAIN_CKPT_KINDS; kind++)
        for (int32_t i = 0; i < t->model->n_param_tensors; i++) {
            float *dst = train_ckpt_array(t, kind, i);
            if (!dst)
                continue;
            memcpy(dst, sm_safetensors_find(f, e[at].name)->data, e[at].bytes);
            at++;
        }
    if (train_ckpt_n_bias(t))
        memcpy(t->model->router_bias, sm_safetensors_find(f, "router_bias")->data,
               (size_t)train_ckpt_n_bias(t) * sizeof(float));
}

static double figure(const json_t *state, const char *key)
{
    return json_number_value(json_object_get(json_object_get(state, "last"), key));
}

static void copy_figures(train_step_result *last, const json_t *state)
{
    *last = (train_step_result){.loss = figure(state, "loss"),
                                .aux_loss = figure(state, "aux_loss"),
                                .router_z = figure(state, "router_z"),
                                .grad_norm = figure(state, "grad_norm"),
                                .weight_norm = figure(state, "weight_norm"),
                                .load_min = figure(state, "load_min"),
                                .load_max = figure(state, "load_max")};
}

static sm_status load(const char *dir, train_state *t, int64_t step, sm_err *err)
{
    json_t *state = NULL;
    sm_safetensors *f = NULL;
    size_t n = 0;
    sm_tensor_entry *e = train_ckpt_entries(&n, t);
    char *path = sm_path_join(dir, "tensors.safetensors");
    sm_status s = SM_OK;
    if (!e || !path)
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    if (!s)
        s = read_state(&state, dir, t, step, err);
    if (!s)
        s = sm_safetensors_open(&f, path, err);
    if (!s)
        s = train_ckpt_check_tensors(f, e, n, state, err);
    if (!s) {
        train_ckpt_copy_tensors(t, f, e);
        copy_figures(&t->last, state);
    }
    if (f)
        sm_safetensors_close(f);
    json_decref(state);
    free(e);
    free(path);
    return s;
}

sm_status train_ckpt_resume(int64_t *step, const char *scratch, train_state *t,
                            const sm_ctx *ctx, sm_err *err)
{
    int64_t *found = NULL;
    size_t n = 0;
    *step = 0;
    sm_status s = train_ckpt_steps(&found, &n, scratch, t, err);
    for (size_t i = 0; i < n && !s && *step == 0; i++) {
        sm_err why;
        char *dir = train_ckpt_path(scratch, t, found[i], "");
        sm_status loaded = dir ? load(dir, t, found[i], &why)
                               : sm_fail(&why, SM_ENOMEM, "out of memory");
        if (!loaded)
            *step = found[i];
        else if (loaded == SM_ENOMEM)
            s = sm_fail(err, loaded, "%s", why.msg);
        else
            sm_log_line(ctx->log, SM_LOG_WARN,
                        "checkpoint %s is not usable: %s; trying %s", dir, why.msg,
                        i + 1 < n ? "the one before" : "from the beginning");
        free(dir);
    }
    free(found);
    return s;
}
