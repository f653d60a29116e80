/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of steps.  To add one: write step_NAME.c, declare it in steps.h, list it
 * here in the order of the loop. */
#include <string.h>

#include "internal.h"
#include "steps.h"

static const sm_step *const registry[] = {
    &step_data_add, &step_data_filter, &step_data_curate, &step_tokenizer_train,
    &step_tokenizer_import, &step_train, &step_train_states, &step_tracks, &step_index,
    &step_eval, &step_gate,
};

#define N_STEPS (sizeof registry / sizeof *registry)

const sm_step *sm_step_at(size_t i)
{
    return i < N_STEPS ? registry[i] : NULL;
}

const sm_step *sm_step_find(const char *name)
{
    for (size_t i = 0; i < N_STEPS; i++)
        if (!strcmp(registry[i]->name, name))
            return registry[i];
    return NULL;
}

sm_status flow_step_find(const sm_step **out, const char *name, const char *where,
                         sm_err *err)
{
    const char *known[N_STEPS];
    for (size_t i = 0; i < N_STEPS; i++)
        known[i] = registry[i]->name;
    *out = sm_step_find(name);
    if (*out)
        return SM_OK;
    const char *near = sm_nearest_name(name, known, N_STEPS);
    return sm_fail(err, SM_EINVAL, "%s: unknown step '%.60s'%s%s%s", where, name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}
