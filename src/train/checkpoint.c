/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints.  Directory <scratch>/ckpt-<run>-<step>, where <run> is a checksum of the
 * config and the data, so that two runs never mistake each other's:
 *
 *   tensors.safetensors   weight/NAME, adam_m/NAME, adam_v/NAME (f32), router_bias
 *   state.json            step, data cursor, config, checksums of the arrays, its own sum
 *
 * Invariants:
 *  1. a directory of that name is complete: it is written as ckpt-...tmp, every file is
 *     synced, and the rename comes last, followed by a sync of <scratch>;
 *  2. an older checkpoint is removed only after a newer one is in place; two are kept;
 *  3. nothing is copied into the state before every checksum has been compared, so a
 *     damaged checkpoint leaves the state as it was and the one before is tried.
 *
 * Checksums are of the numbers in memory, taken before writing and after reading back.
 * The random numbers are counter-based, so the step is all of their state.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train_internal.h"

enum { KEEP = 2, N_KIND = 3 };

static const char *const KIND[N_KIND] = {"weight", "adam_m", "adam_v"};
static const char FORMAT[] = "smelt-train-checkpoint/1";

static float *array_of(const train_state *t, int kind)
{
    return kind == 0 ? t->model->weight : kind == 1 ? t->optim->m : t->optim->v;
}

static int64_t n_bias(const train_state *t)
{
    const sm_model_config *c = &t->model->config;
    return t->model->router_bias ? (int64_t)c->n_layer * c->n_expert : 0;
}

static void hex(char out[17], uint64_t x)
{
    snprintf(out, 17, "%016" PRIx64, x);
}

static sm_status json_sum(uint64_t *sum, const json_t *j, uint64_t seed, sm_err *err)
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
    sm_status s = json_sum(&sum, t->config, t->data_checksum, err);
    hex(t->run, sum);
    return s;
}

/* ---------------------------------------------------------------- listing */

/* Steps of this run's checkpoints, newest first.  *step is malloc'd. */
static sm_status list_steps(int64_t **step, size_t *n, const char *scratch,
                            const train_state *t, sm_err *err)
{
    char prefix[32];
    DIR *d = opendir(scratch);
    *step = NULL;
    *n = 0;
    if (!d)
        return errno == ENOENT ? SM_OK : sm_fail_errno(err, errno, "%s", scratch);
    snprintf(prefix, sizeof prefix, "ckpt-%s-", t->run);
    size_t len = strlen(prefix);
    sm_status s = SM_OK;
    for (struct dirent *e; !s && (e = readdir(d)) != NULL;) {
        char *end = NULL;
        if (strncmp(e->d_name, prefix, len))
            continue;
        long long at = strtoll(e->d_name + len, &end, 10);
        if (at <= 0 || *end)
            continue;
        int64_t *more = sm_realloc(*step, *n + 1, sizeof *more);
        if (!more) {
            s = sm_fail(err, SM_ENOMEM, "%s: out of memory", scratch);
            break;
        }
        size_t i = (*n)++;
        for (; i > 0 && more[i - 1] < at; i--)
            more[i] = more[i - 1];
        more[i] = at;
        *step = more;
    }
    closedir(d);
    return s;
}

static char *step_path(const char *scratch, const train_state *t, int64_t step,
                       const char *suffix)
{
    char name[80];
    snprintf(name, sizeof name, "ckpt-%s-%08" PRId64 "%s", t->run, step, suffix);
    return sm_path_join(scratch, name);
}

/* ----------------------------------------------------------------- saving */

static void fill_entry(sm_tensor_entry *e, const train_state *t, int kind,
                       const sm_param *p)
{
    snprintf(e->name, sizeof e->name, "%s/%s", KIND[kind], p->name);
    snprintf(e->dtype, sizeof e->dtype, "F32");
    e->n_dim = p->n_dim;
    for (int32_t i = 0; i < p->n_dim; i++)
        e->shape[i] = p->shape[i];
    e->data = array_of(t, kind) + p->offset;
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
    e->bytes = (size_t)n_bias(t) * sizeof(float);
}

/* All tensors in the order in which they are written; the caller frees. */
static sm_tensor_entry *list_entries(size_t *n, const train_state *t)
{
    int32_t n_param = t->model->n_param_tensors;
    sm_tensor_entry *e = sm_alloc((size_t)n_param * N_KIND + 1, sizeof *e);
    *n = 0;
    if (!e)
        return NULL;
    for (int kind = 0; kind < N_KIND; kind++)
        for (int32_t i = 0; i < n_param; i++)
            fill_entry(&e[(*n)++], t, kind, &t->model->param[i]);
    if (n_bias(t))
        fill_bias(&e[(*n)++], t);
    return e;
}

static uint64_t entry_sum(uint64_t sum, const sm_tensor_entry *e)
{
    return train_sum64(train_sum64(sum, e->name, strlen(e->name)), e->data, e->bytes);
}

static json_t *make_state(const train_state *t, int64_t step, uint64_t tensors)
{
    char sum[17], data[17];
    hex(sum, tensors);
    hex(data, t->data_checksum);
    return json_pack("{s:s, s:I, s:I, s:O, s:s, s:s}", "format", FORMAT, "step",
                     (json_int_t)step, "data_cursor", (json_int_t)(step * t->n_seq),
                     "config", t->config, "data_checksum", data, "tensors_checksum", sum);
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
        s = json_sum(&sum, j, 3, err);
    hex(sum_hex, sum);
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
    sm_tensor_entry *e = list_entries(&n, t);
    char *path = sm_path_join(dir, "tensors.safetensors");
    sm_status s = sm_mkdirs(dir, err);
    if (!s && (!e || !path))
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    for (size_t i = 0; i < n && !s; i++)
        sum = entry_sum(sum, &e[i]);
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

/* Remove all but the newest; a failure here is only untidy. */
static void forget_old(const char *scratch, const train_state *t, const sm_ctx *ctx)
{
    int64_t *step = NULL;
    size_t n = 0;
    sm_err why;
    if (list_steps(&step, &n, scratch, t, &why))
        return;
    for (size_t i = KEEP; i < n; i++) {
        char *old = step_path(scratch, t, step[i], "");
        if (old && sm_remove_tree(old, &why))
            sm_log_line(ctx->log, SM_LOG_WARN, "old checkpoint: %s", why.msg);
        free(old);
    }
    free(step);
}

sm_status train_ckpt_save(const char *scratch, const train_state *t, int64_t step,
                          const sm_ctx *ctx, sm_err *err)
{
    sm_err ignored;
    char *tmp = step_path(scratch, t, step, ".tmp"), *path = step_path(scratch, t, step, "");
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
        forget_old(scratch, t, ctx);
    free(tmp);
    free(path);
    return s;
}

/* ---------------------------------------------------------------- loading */

/* Take "checksum" out of the object and compare it with the rest. */
static sm_status check_state(json_t *j, const train_state *t, int64_t step, sm_err *err)
{
    char want[17], data[17];
    const char *got = json_string_value(json_object_get(j, "checksum"));
    char found[17] = "";
    uint64_t sum = 0;
    snprintf(found, sizeof found, "%s", got ? got : "");
    json_object_del(j, "checksum");
    sm_status s = json_sum(&sum, j, 3, err);
    if (s)
        return s;
    hex(want, sum);
    if (strcmp(found, want))
        return sm_fail(err, SM_ECORRUPT, "state.json: checksum: got \"%s\", want %s", found,
                       want);
    hex(data, t->data_checksum);
    const char *format = json_string_value(json_object_get(j, "format"));
    const char *seen = json_string_value(json_object_get(j, "data_checksum"));
    if (!format || strcmp(format, FORMAT))
        return sm_fail(err, SM_EUNSUPPORTED, "state.json: format: got \"%s\", want %s",
                       format ? format : "", FORMAT);
    /* canonical text, not json_equal: a float without a fraction reads back as an integer */
    uint64_t ours = 0, theirs = 0;
    s = json_sum(&ours, t->config, 4, err);
    if (!s)
        s = json_sum(&theirs, json_object_get(j, "config"), 4, err);
    if (!s && (!seen || strcmp(seen, data) || ours != theirs ||
               json_integer_value(json_object_get(j, "step")) != step))
        s = sm_fail(err, SM_EINVAL, "state.json: of another run or step");
    return s;
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
        s = check_state(j, t, step, err);
    if (s) {
        json_decref(j);
        return s;
    }
    *out = j;
    return SM_OK;
}

/* The tensor of the file that belongs to an entry of ours: same dtype, same size. */
static sm_status find_tensor(const sm_tensor_entry **out, const sm_safetensors *f,
                             const sm_tensor_entry *e, sm_err *err)
{
    const sm_tensor_entry *got = sm_safetensors_find(f, e->name);
    if (!got)
        return sm_fail(err, SM_ECORRUPT, "tensor %s is missing", e->name);
    if (strcmp(got->dtype, "F32") || got->bytes != e->bytes)
        return sm_fail(err, SM_ECORRUPT, "tensor %s: got %zu bytes of %s, want %zu of F32",
                       e->name, got->bytes, got->dtype, e->bytes);
    *out = got;
    return SM_OK;
}

static sm_status verify_tensors(const sm_safetensors *f, const sm_tensor_entry *e, size_t n,
                                const json_t *state, sm_err *err)
{
    uint64_t sum = 0;
    char found[17];
    for (size_t i = 0; i < n; i++) {
        const sm_tensor_entry *got = NULL;
        sm_status s = find_tensor(&got, f, &e[i], err);
        if (s)
            return s;
        sum = entry_sum(sum, got);
    }
    hex(found, sum);
    const char *want = json_string_value(json_object_get(state, "tensors_checksum"));
    if (!want || strcmp(want, found))
        return sm_fail(err, SM_ECORRUPT, "tensors.safetensors: checksum: got %s, want %s",
                       found, want ? want : "one in state.json");
    return SM_OK;
}

/* Into the arrays of the state, whose addresses the entries do not carry as writable. */
static void copy_tensors(train_state *t, const sm_safetensors *f, const sm_tensor_entry *e)
{
    size_t at = 0;
    for (int kind = 0; kind < N_KIND; kind++)
        for (int32_t i = 0; i < t->model->n_param_tensors; i++, at++)
            memcpy(array_of(t, kind) + t->model->param[i].offset,
                   sm_safetensors_find(f, e[at].name)->data, e[at].bytes);
    if (n_bias(t))
        memcpy(t->model->router_bias, sm_safetensors_find(f, "router_bias")->data,
               (size_t)n_bias(t) * sizeof(float));
}

static sm_status load(const char *dir, train_state *t, int64_t step, sm_err *err)
{
    json_t *state = NULL;
    sm_safetensors *f = NULL;
    size_t n = 0;
    sm_tensor_entry *e = list_entries(&n, t);
    char *path = sm_path_join(dir, "tensors.safetensors");
    sm_status s = SM_OK;
    if (!e || !path)
        s = sm_fail(err, SM_ENOMEM, "checkpoint: out of memory");
    if (!s)
        s = read_state(&state, dir, t, step, err);
    if (!s)
        s = sm_safetensors_open(&f, path, err);
    if (!s)
        s = verify_tensors(f, e, n, state, err);
    if (!s)
        copy_tensors(t, f, e);
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
    sm_status s = list_steps(&found, &n, scratch, t, err);
    for (size_t i = 0; i < n && !s && *step == 0; i++) {
        sm_err why;
        char *dir = step_path(scratch, t, found[i], "");
        sm_status loaded = dir ? load(dir, t, found[i], &why)
                               : sm_fail(&why, SM_ENOMEM, "out of memory");
        if (!loaded)
            *step = found[i];
        else if (loaded == SM_ENOMEM)
            s = sm_fail(err, loaded, "%s", why.msg);
        else
            sm_log_line(ctx->log, SM_LOG_WARN, "checkpoint %s is not usable: %s; trying %s",
                        dir, why.msg, i + 1 < n ? "the one before" : "from the beginning");
        free(dir);
    }
    free(found);
    return s;
}
