/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of training states.  Each tensor is hashed alone, so that threads share the work
 * and a difference can be named; the state's hash is over the canonical JSON of them all:
 *
 *   tensors = [[name, dtype, shape, SHA-256 of the bytes], ...]
 *   weights = SHA-256 {"tensors": those of the model}
 *   state   = SHA-256 {"config", "data", "step", "tensors": all}
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"

typedef struct hash_job {
    const sm_tensor_entry *entry;
    sm_id *id;
    sm_status *status;
} hash_job;

static void hash_task(void *arg, ptrdiff_t i, int thread)
{
    hash_job *j = arg;
    (void)thread;
    j->status[i] = sm_id_of_bytes(&j->id[i], j->entry[i].data, j->entry[i].bytes, NULL);
}

static json_t *describe(const sm_tensor_entry *e, const sm_id *id)
{
    json_t *shape = json_array();
    for (int32_t i = 0; i < e->n_dim; i++)
        json_array_append_new(shape, json_integer(e->shape[i]));
    return json_pack("[s, s, o, s]", e->name, e->dtype, shape, id->hex);
}

static bool is_of_model(const sm_tensor_entry *e)
{
    return !strncmp(e->name, "weight/", 7) || !strcmp(e->name, "router_bias");
}

/* Hash every tensor; `all` and `model` are new arrays of descriptions. */
static sm_status describe_all(json_t **all, json_t **model, const sm_ctx *ctx,
                              const sm_tensor_entry *e, size_t n, sm_err *err)
{
    sm_status s = SM_OK;
    sm_id *id = sm_alloc(n + 1, sizeof *id);
    sm_status *status = sm_alloc(n + 1, sizeof *status);
    *all = json_array();
    *model = json_array();
    if (!id || !status || !*all || !*model)
        s = sm_fail(err, SM_ENOMEM, "state: out of memory");
    hash_job job = {.entry = e, .id = id, .status = status};
    if (!s)
        sm_pool_run(ctx->pool, (ptrdiff_t)n, hash_task, &job);
    for (size_t i = 0; i < n && !s; i++) {
        json_t *d = status[i] ? NULL : describe(&e[i], &id[i]);
        if (!d || json_array_append_new(*all, d) ||
            (is_of_model(&e[i]) && json_array_append(*model, d)))
            s = sm_fail(err, status[i] ? status[i] : SM_ENOMEM, "state: %s: cannot hash",
                        e[i].name);
    }
    free(id);
    free(status);
    return s;
}

static sm_status id_of_json(sm_id *out, const json_t *v, sm_err *err)
{
    sm_buf text = {0};
    sm_status s = v ? sm_json_canonical(&text, v, err)
                    : sm_fail(err, SM_ENOMEM, "state: out of memory");
    if (!s)
        s = sm_id_of_bytes(out, text.data, text.len, err);
    sm_buf_free(&text);
    return s;
}

static sm_status id_of_new_json(sm_id *out, json_t *v, sm_err *err)
{
    sm_status s = id_of_json(out, v, err);
    json_decref(v);
    return s;
}

sm_status chain_hash(chain_state *out, const sm_ctx *ctx, const chain_header *h,
                     int64_t step, const sm_tensor_entry *e, size_t n, sm_err *err)
{
    json_t *all = NULL, *model = NULL;
    chain_state c = {.step = step};
    sm_status s = describe_all(&all, &model, ctx, e, n, err);
    if (!s)
        s = id_of_new_json(&c.weights, json_pack("{s:O}", "tensors", model), err);
    if (!s)
        s = id_of_new_json(&c.state,
                           json_pack("{s:s, s:s, s:I, s:O}", "config", h->config.hex,
                                     "data", h->data, "step", (json_int_t)step, "tensors",
                                     all),
                           err);
    json_decref(all);
    json_decref(model);
    if (!s)
        *out = c;
    return s;
}

/* A file that says it is another state is no place to begin from, whatever it holds. */
static sm_status check_metadata(const sm_safetensors *f, const chain_header *h,
                                int64_t step, sm_err *err)
{
    const json_t *said = sm_safetensors_metadata(f);
    const char *config = sm_json_text(said, "config");
    char at[24];
    sm_id id;
    sm_status s = sm_id_of_bytes(&id, config, strlen(config), err);
    if (s)
        return s;
    snprintf(at, sizeof at, "%lld", (long long)step);
    const struct {
        const char *what, *found, *wanted;
    } row[] = {{"format", sm_json_text(said, "format"), SM_TRAIN_STATE_FORMAT},
               {"step", sm_json_text(said, "step"), at},
               {"data_checksum", sm_json_text(said, "data_checksum"), h->data},
               {"SHA-256 of config", id.hex, h->config.hex}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strcmp(row[i].found, row[i].wanted))
            return sm_fail(err, SM_ECORRUPT, "metadata: %s: got \"%.64s\", want %s",
                           row[i].what, row[i].found, row[i].wanted);
    return SM_OK;
}

sm_status chain_hash_file(chain_state *out, const sm_ctx *ctx, const chain_header *h,
                          int64_t step, const char *path, sm_err *err)
{
    sm_safetensors *f = NULL;
    sm_status s = sm_safetensors_open(&f, path, err);
    if (s)
        return s;
    s = check_metadata(f, h, step, err);
    if (!s)
        s = chain_hash(out, ctx, h, step,
                       sm_safetensors_n(f) ? sm_safetensors_at(f, 0) : NULL,
                       sm_safetensors_n(f), err);
    sm_safetensors_close(f);
    return s;
}

sm_status chain_hash_model(sm_id *out, const sm_ctx *ctx, const sm_model *m, sm_err *err)
{
    sm_tensor_entry *e = NULL;
    size_t n = 0;
    json_t *all = NULL, *model = NULL;
    sm_status s = sm_train_model_tensors(&e, &n, m, err);
    if (!s)
        s = describe_all(&all, &model, ctx, e, n, err);
    if (!s)
        s = id_of_new_json(out, json_pack("{s:O}", "tensors", model), err);
    json_decref(all);
    json_decref(model);
    free(e);
    return s;
}

sm_status chain_header_of(chain_header *out, const sm_train_config *c,
                          const sm_token_data *data, int64_t commit_steps, sm_err *err)
{
    chain_header h = {.n_steps = sm_train_end(c)};
    json_t *config = sm_train_config_to_json(c);
    h.commit_steps = chain_interval(commit_steps, h.n_steps);
    snprintf(h.data, sizeof h.data, "%016llx",
             (unsigned long long)sm_token_data_stats(data)->checksum);
    json_object_del(config, "stop_step"); /* a shorter run is the same up to its end */
    sm_status s = id_of_new_json(&h.config, config, err);
    if (!s)
        *out = h;
    return s;
}
