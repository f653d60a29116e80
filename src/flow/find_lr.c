/* SPDX-License-Identifier: Apache-2.0 */
/* The learning-rate range test over the inputs and options of step train. */
#include "internal.h"
#include "material.h"

static sm_status test(sm_lr_range *out, const sm_step_io *io, int64_t n_steps,
                      double lr_min, double lr_max, sm_err *err)
{
    material m = {0};
    sm_status s = material_prepare(&m, io, false, err);
    if (!s)
        s = sm_train_find_lr(out, io->ctx, &m.config, m.data, n_steps, lr_min, lr_max,
                             err);
    material_free(&m);
    return s;
}

sm_status sm_flow_find_lr(sm_lr_range *out, const sm_ctx *ctx, sm_store *store,
                          const char *const *input_refs, size_t n_input,
                          const json_t *given, const char *where, int64_t n_steps,
                          double lr_min, double lr_max, sm_err *err)
{
    const sm_step *step = NULL;
    sm_artifact *input = NULL;
    size_t n = 0;
    json_t *options = NULL;
    sm_status s = flow_step_find(&step, "train", where, err);
    if (!s)
        s = sm_options_resolve(&options, step->options, given, where, err);
    if (!s)
        s = flow_inputs_find(&input, &n, store, step, input_refs, n_input, where, err);
    sm_step_io io = {
        .ctx = ctx, .store = store, .options = options, .input = input, .n_input = n};
    if (!s)
        s = test(out, &io, n_steps, lr_min, lr_max, err);
    flow_inputs_free(input, n);
    json_decref(options);
    return s;
}
