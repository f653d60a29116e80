/* SPDX-License-Identifier: Apache-2.0 */
/* Which documents a model was trained on: those of the train parts that its recipe names. */
#include <string.h>

#include "without.h"

static bool is_dataset(const sm_artifact *a)
{
    return !strcmp(a->kind, "dataset");
}

static sm_status add_ids(json_t *ids, const sm_step_io *io, const sm_artifact *dataset,
                         sm_err *err)
{
    sm_dataset *d = NULL;
    json_t *own = NULL;
    sm_status s = flow_open_part(&d, io->ctx, io->store, dataset, "train.jsonl", err);
    if (!s)
        s = flow_ids_of(&own, d, err);
    if (!s && json_object_update(ids, own) != 0)
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    json_decref(own);
    sm_dataset_close(d);
    return s;
}

/* An input of the model's recipe; one that is not in the workspace may have been a dataset. */
static sm_status add_input(json_t *ids, size_t *n_dataset, const sm_step_io *io,
                           const sm_artifact *model, const char *id, sm_err *err)
{
    sm_artifact a = {0};
    sm_status s = sm_store_find(&a, io->store, id, err);
    if (s == SM_ENOENT)
        return sm_fail(err, SM_ENOENT,
                       "model %.12s: its input %.12s is not in the workspace; want it, to "
                       "tell what the model was trained on",
                       model->content.hex, id);
    if (!s && is_dataset(&a)) {
        (*n_dataset)++;
        s = add_ids(ids, io, &a, err);
    }
    sm_artifact_free(&a);
    return s;
}

sm_status flow_trained_ids(json_t **out, const sm_step_io *io, sm_err *err)
{
    const sm_artifact *model = &io->input[flow_input_of(io, "model")];
    const json_t *inputs = json_object_get(model->recipe_json, "inputs");
    size_t i, n_dataset = 0;
    json_t *v, *ids = json_object();
    sm_status s = ids ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    json_array_foreach((json_t *)(uintptr_t)inputs, i, v)
    {
        if (!s && json_is_string(v))
            s = add_input(ids, &n_dataset, io, model, json_string_value(v), err);
    }
    if (!s && n_dataset == 0) { /* a model from elsewhere */
        sm_log_line(io->ctx->log, SM_LOG_WARN,
                    "model %.12s does not say what it was trained on; taken to be the "
                    "train part of the dataset",
                    model->content.hex);
        s = add_ids(ids, io, &io->input[flow_input_of(io, "dataset")], err);
    }
    if (s) {
        json_decref(ids);
        return s;
    }
    *out = ids;
    return SM_OK;
}
