/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a training step of a track takes, and what its configuration is.
 */
#include "material.h"
#include "tracks.h"

sm_status tracks_train_config(sm_train_config *out, const sm_step_io *io, sm_err *err)
{
    material m = {0};
    sm_status s = material_tokenizer(&m, io, err);
    if (!s)
        *out = m.config;
    material_free(&m);
    return s;
}

/* Steps are timed until they fill `seconds`; the first two warm caches and pages. */
typedef struct stopwatch {
    double seconds, sum;
    int64_t n;
    bool done;
} stopwatch;

static sm_status time_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    stopwatch *w = self;
    if (m->step > 2) {
        w->sum += m->step_ms * 1e-3;
        w->n++;
    }
    w->done = w->n >= 3 && w->sum >= w->seconds;
    return w->done ? sm_fail(err, SM_ECANCEL, "measured") : SM_OK;
}

sm_status tracks_measure(double *seconds_per_step, const sm_step_io *io, double seconds,
                         sm_err *err)
{
    material m = {0};
    sm_model *model = NULL;
    stopwatch w = {.seconds = seconds};
    sm_status s = material_prepare(&m, io, false, err);
    if (!s) {
        sm_train_io t = {.data = m.data, .on_step = time_step, .self = &w};
        m.config.eval_steps = 0;
        s = sm_train_run(&model, NULL, io->ctx, &m.config, &t, err);
    }
    sm_model_free(model);
    material_free(&m);
    if (s && !(s == SM_ECANCEL && w.done))
        return s;
    if (w.n == 0)
        return sm_fail(err, SM_EINVAL, "measure: n_steps: want at least 3");
    *seconds_per_step = w.sum / (double)w.n;
    return SM_OK;
}
