/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints.  Directory <scratch>/ckpt-<run>-<step>, where <run> is a checksum of the
 * config and the data, so that two runs never mistake each other's:
 *
 *   tensors.safetensors   weight/NAME, adam_m/NAME (or muon_m/NAME), adam_v/NAME (f32),
 *                         router_bias
 *   state.json            step, data cursor, config, checksums of the arrays, its own sum
 *
 * Invariants:
 *  1. a directory of that name is complete: it is written as ckpt-...tmp, every file is
 *     synced, and the rename comes last, followed by a sync of <scratch>;
 *  2. an older checkpoint is removed only after a newer one is in place; two are kept, none
 *     of a step past the one just saved: whoever saves it began before those, because they
 *     did not verify;
 *  3. nothing is copied into the state before every checksum has been compared, so a
 *     damaged checkpoint leaves the state as it was and the one before is tried.
 *
 * Checksums are of the numbers in memory, taken before writing and after reading back.
 * The random numbers are counter-based, so the step is all of their state.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train_internal.h"

enum { KEEP = 2 };

static const char *const KIND[TRAIN_CKPT_KINDS] = {"weight", "adam_m", "adam_v"};

float *train_ckpt_array(const train_state *t, int kind, int32_t tensor)
{
    int64_t at = t->model->param[tensor].offset;
    if (kind == 2) {
        int64_t v_at = t->optim->v_at[tensor];
        return v_at < 0 ? NULL : t->optim->v + v_at;
    }
    return (kind == 0 ? t->model->weight : t->optim->m) + at;
}

int64_t train_ckpt_n_bias(const train_state *t)
{
    const sm_model_config *c = &t->model->config;
    return t->model->router_bias ? (int64_t)c->n_layer * c->n_expert : 0;
}

void train_ckpt_hex(char out[17], uint64_t x)
{
    snprintf(out, 17, "%016" PRIx64, x);
}

sm_status train_ckpt_json_sum(uint64_t *sum, const json_t *j, uint64_t seed, sm_err *err)
{
    sm_buf b = {0};
    sm_status s = sm_json_canonical(&b, j, err);
    if (!s)
        *sum = train_sum64(seed, b.data, b.len);
    sm_buf_free(&b);
    return s;
}

sm_status train_state_name(train_state *t, sm_err *err)
{
    uint64_t sum = 0;
    sm_status s = train_ckpt_json_sum(&sum, t->config, t->data_checksum, err);
    train_ckpt_hex(t->run, sum);
    return s;
}

/* ---------------------------------------------------------------- listing */

/* The step of a checkpoint's name, 0 for any other. */
static int64_t step_of(const char *name, const char *prefix)
{
    char *end = NULL;
    size_t len = strlen(prefix);
    long long at = strncmp(name, prefix, len) ? 0 : strtoll(name + len, &end, 10);
    return at > 0 && *end == 0 ? (int64_t)at : 0;
}

/* Steps of this run's checkpoints, newest first.  *step is malloc'd. */
sm_status train_ckpt_steps(int64_t **step, size_t *n, const char *scratch,
                           const train_state *t, sm_err *err)
{
    char prefix[32];
    sm_list names;
    *step = NULL;
    *n = 0;
    snprintf(prefix, sizeof prefix, "ckpt-%s-", t->run);
    sm_status s = sm_list_entries(&names, scratch, err);
    if (s == SM_ENOENT)
        return SM_OK;
    if (!s && !(*step = sm_alloc(names.n + 1, sizeof **step)))
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", scratch);
    for (size_t k = 0; k < names.n && !s; k++) {
        int64_t at = step_of(names.item[k], prefix);
        if (at == 0)
            continue;
        size_t i = (*n)++;
        for (; i > 0 && (*step)[i - 1] < at; i--)
            (*step)[i] = (*step)[i - 1];
        (*step)[i] = at;
    }
    sm_list_free(&names);
    return s;
}

char *train_ckpt_path(const char *scratch, const train_state *t, int64_t step,
                      const char *suffix)
{
    char name[80];
    snprintf(name, sizeof name, "ckpt-%s-%08" PRId64 "%s", t->run, step, suffix);
    return sm_path_join(scratch, name);
}

/* ----------------------------------------------------------------- saving */

static void fill_entry(sm_tensor_entry *e, const train_state *t, int kind, int32_t tensor)
{
    const sm_param *p = &t->model->param[tensor];
    bool is_muon = kind == 1 && t->optim->v_at[tensor] < 0;
    snprintf(e->name, sizeof e->name, "%s/%s", is_muon ? "muon_m" : KIND[kind], p->name);
    snprintf(e->dtype, sizeof e->dtype, "F32");
    e->n_dim = p->n_dim;
    for (int32_t i = 0; i < p->n_dim; i++)
        e->shape[i] = p->shape[i];
    e->data = train_ckpt_array(t, kind, tensor);
    e->bytes = (size_t)p->n * sizeof(float);
}

static void fill_bias(sm_tensor_entry *e, const train_state *t)
{
    snprintf(e->name, sizeof e->name, "router_bias");
    snprintf(e->dtype, sizeof e->dtype, "F32");
    e->n_dim = 2;
    e->shape[0] = t->model->config.n_layer;
    e->shape[1] = t->model->config.n_expert;
    e->data = t->model->router_bias;
    e->bytes = (size_t)train_ckpt_n_bias(t) * sizeof(float);
}

/* The first `kinds` arrays and the bias, in the order in which they are written. */
static sm_tensor_entry *entries_of(size_t *n, const train_state *t, int kinds)
{
    int32_t n_param = t->model->n_param_tensors;
    sm_tensor_entry *e = sm_alloc((size_t)n_param * (size_t)kinds + 1, sizeof *e);
    *n = 0;
    if (!e)
        return NULL;
    for (int kind = 0; kind < kinds; kind++)
        for (int32_t i = 0; i < n_param; i++)
            if (train_ckpt_array(t, kind, i))
                fill_entry(&e[(*n)++], t, kind, i);
    if (train_ckpt_n_bias(t))
        fill_bias(&e[(*n)++], t);
    return e;
}

sm_tensor_entry *train_ckpt_entries(size_t *n, const train_state *t)
{
    return entries_of(n, t, TRAIN_CKPT_KINDS);
}

sm_tensor_entry *train_ckpt_model_entries(size_t *n, const train_state *t)
{
    return entries_of(n, t, 1);
}

uint64_t train_ckpt_entry_sum(uint64_t sum, const sm_tensor_entry *e)
{
    return train_sum64(train_sum64(sum, e->name, strlen(e->name)), e->data, e->bytes);
}

static json_t *make_state(const train_state *t, int64_t step, uint64_t tensors)
{
    char sum[17], data[17];
    const train_step_result *l = &t->last;
    train_ckpt_hex(sum, tensors);
    train_ckpt_hex(data, t->data_checksum);
    return json_pack(
        "{s:s, s:I, s:I, s:O, s:s, s:s, s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f}}", "format",
        TRAIN_CKPT_FORMAT, "step", (json_int_t)step, "data_cursor",
        (json_int_t)(step * t->n_seq), "config", t->config, "data_checksum", data,
        "tensors_checksum", sum, "last", "loss", l->loss, "aux_loss", l->aux_loss,
        "router_z", l->router_z, "grad_norm", l->grad_norm, "weight_norm", l->weight_norm,
        "load_min", l->load_min, "load_max", l->load_max);
}

static sm_status write_state(const char *dir, const train_state *t, int64_t step,
                             uint64_t tensors, sm_err *err)
{
    char sum_hex[17];
    uint64_t sum = 0;
    sm_buf text = {0};
    json_t *j = make_state(t, step, tensors);
    char *path = sm_path_join(dir, "state.json");
    sm_status s = SM_OK;
    if (!j || !path)
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    if (!s)
        s = train_ckpt_json_sum(&sum, j, 3, err);
    train_ckpt_hex(sum_hex, sum);
    if (!s && json_object_set_new(j, "checksum", json_string(sum_hex)))
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    if (!s)
        s = sm_json_pretty(&text, j, err);
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    json_decref(j);
    free(path);
    return s;
}

static sm_status write_files(const char *dir, const train_state *t, int64_t step,
                             sm_err *err)
{
    size_t n = 0;
    uint64_t sum = 0;
    sm_tensor_entry *e = train_ckpt_entries(&n, t);
    char *path = sm_path_join(dir, "tensors.safetensors");
    sm_status s = sm_mkdirs(dir, err);
    if (!s && (!e || !path))
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    for (size_t i = 0; i < n && !s; i++)
        sum = train_ckpt_entry_sum(sum, &e[i]);
    if (!s)
        s = sm_safetensors_write(path, e, n, NULL, err);
    if (!s)
        s = write_state(dir, t, step, sum, err);
    free(e);
    free(path);
    return s;
}

static sm_status sync_dir(const char *dir, sm_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return sm_fail_errno(err, e, "%s: sync", dir);
    }
    close(fd);
    return SM_OK;
}

/* A failure here is only untidy. */
static void forget(const char *scratch, const train_state *t, int64_t step,
                   const sm_ctx *ctx)
{
    sm_err why;
    char *path = train_ckpt_path(scratch, t, step, "");
    if (path && sm_remove_tree(path, &why))
        sm_log_line(ctx->log, SM_LOG_WARN, "checkpoint of no use: %s", why.msg);
    free(path);
}

/* Invariant 2, once the checkpoint of step `saved` is in place. */
static void forget_others(const char *scratch, const train_state *t, int64_t saved,
                          const sm_ctx *ctx)
{
    int64_t *step = NULL;
    size_t n = 0, kept = 0;
    sm_err why;
    if (train_ckpt_steps(&step, &n, scratch, t, &why))
        return;
    for (size_t i = 0; i < n; i++)
        if (step[i] <= saved && kept < KEEP)
            kept++;
        else
            forget(scratch, t, step[i], ctx);
    free(step);
}

sm_status train_ckpt_save(const char *scratch, const train_state *t, int64_t step,
                          const sm_ctx *ctx, sm_err *err)
{
    sm_err ignored;
    char *tmp = train_ckpt_path(scratch, t, step, ".tmp"),
         *path = train_ckpt_path(scratch, t, step, "");
    sm_status s = SM_OK;
    if (!tmp || !path)
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    if (!s && sm_path_exists(tmp))
        s = sm_remove_tree(tmp, err);
    if (!s)
        s = write_files(tmp, t, step, err);
    if (!s && sm_path_exists(path)) /* a damaged one of the same step */
        s = sm_remove_tree(path, err);
    if (!s && rename(tmp, path))
        s = sm_fail_errno(err, errno, "%s: rename", tmp);
    if (!s)
        s = sync_dir(scratch, err);
    if (s && tmp && sm_path_exists(tmp))
        sm_remove_tree(tmp, &ignored);
    if (s)
        s = sm_fail_context(err, s, "checkpoint of step %lld: ", (long long)step);
    else
        forget_others(scratch, t, step, ctx);
    free(tmp);
    free(path);
    return s;
}
