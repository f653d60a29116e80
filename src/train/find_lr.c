/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learning-rate range test: the training loop itself under a schedule that rises
 * exponentially.  It ends when the loss breaks, which is what it is looking for.
 *
 * A tied head begins above ln n_vocab, the loss of knowing nothing, since it sees its own
 * token; to unlearn that says nothing about rates, so what lies between ln n_vocab and the
 * first loss and a fifth counts as ln n_vocab.
 * Smoothing: s = 0.9 s + 0.1 loss, over 1 - 0.9^t.  Broken: the smoothed loss is above its
 * lowest by a fifth.  Steepest and lowest are looked for after the first tenth of the
 * steps, where the mean still rests on a few batches.  The two usual readings err to
 * either side: the steepest rate is low, because rates before it have done little; a tenth
 * of the lowest is high where the loss bends slowly.  Their geometric mean was chosen in
 * view of sweeps of three small models, from which it is a factor of 1.1 to 2.1 away
 * (docs/training.md).
 */
#include <stdlib.h>

#include "train_internal.h"

static const double KEEP = 0.9, BROKEN = 1.2;

typedef struct range_run {
    sm_lr_range *r;
    double knows_nothing; /* ln n_vocab */
    double sum, weight, lowest;
    bool is_broken;
} range_run;

static double counted(const range_run *u, double loss)
{
    bool is_start = loss > u->knows_nothing && loss <= BROKEN * u->r->point[0].loss;
    return is_start ? u->knows_nothing : loss;
}

static sm_status on_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    range_run *u = self;
    sm_lr_point *p = &u->r->point[u->r->n++];
    *p = (sm_lr_point){.lr = m->lr, .loss = m->loss};
    u->sum = KEEP * u->sum + (1 - KEEP) * counted(u, m->loss);
    u->weight = KEEP * u->weight + (1 - KEEP);
    p->smooth = u->sum / u->weight;
    if (u->r->n == 1 || p->smooth < u->lowest)
        u->lowest = p->smooth;
    u->is_broken = p->smooth > BROKEN * u->lowest;
    return u->is_broken ? sm_fail(err, SM_ECANCEL, "the loss has risen") : SM_OK;
}

/* Slope of the smoothed loss at i over two steps to either side. */
static double slope(const sm_lr_range *r, int64_t i)
{
    return r->point[i + 2].smooth - r->point[i - 2].smooth;
}

static void judge(sm_lr_range *r, int64_t n_steps)
{
    int64_t first = n_steps / 10 < 2 ? 2 : n_steps / 10;
    r->steepest = r->lowest = -1;
    for (int64_t i = first; i < r->n; i++)
        if (r->lowest < 0 || r->point[i].smooth < r->point[r->lowest].smooth)
            r->lowest = i;
    for (int64_t i = first; i + 2 < r->n && i <= r->lowest; i++)
        if (slope(r, i) < 0 && (r->steepest < 0 || slope(r, i) < slope(r, r->steepest)))
            r->steepest = i;
    if (r->steepest < 0)
        r->steepest = r->lowest = 0;
    else
        r->suggestion =
            train_sqrt(r->point[r->steepest].lr * (r->point[r->lowest].lr / 10));
}

static sm_status check(int64_t n_steps, double lr_min, double lr_max, sm_err *err)
{
    if (n_steps < 10 || n_steps > 100000)
        return sm_fail(err, SM_EINVAL, "find lr: steps: got %lld, want 10..100000",
                       (long long)n_steps);
    if (!(lr_min >= 1e-12 && lr_min < lr_max && lr_max <= 10))
        return sm_fail(err, SM_EINVAL,
                       "find lr: rates: got %g to %g, want 1e-12 <= least < most <= 10",
                       lr_min, lr_max);
    return SM_OK;
}

sm_status sm_train_find_lr(sm_lr_range *out, const sm_ctx *ctx, const sm_train_config *c,
                           const sm_token_data *data, int64_t n_steps, double lr_min,
                           double lr_max, sm_err *err)
{
    sm_lr_range r = {0};
    sm_model *m = NULL;
    sm_train_config k = *c;
    sm_err why = {0};
    sm_status s = check(n_steps, lr_min, lr_max, err);
    if (s)
        return s;
    k.n_steps = n_steps;
    k.stop_step = k.warmup_steps = k.checkpoint_steps = k.eval_steps = 0;
    k.schedule = SM_SCHEDULE_RANGE;
    k.lr = lr_max;
    k.min_lr_frac = lr_min / lr_max;
    r.point = sm_alloc((size_t)n_steps, sizeof *r.point);
    if (!r.point)
        return sm_fail(err, SM_ENOMEM, "find lr: out of memory");
    range_run u = {.r = &r, .knows_nothing = sm_math_log((double)c->model.n_vocab)};
    sm_train_io io = {.data = data, .on_step = on_step, .self = &u};
    s = sm_train_run(&m, NULL, ctx, &k, &io, &why);
    sm_model_free(m);
    r.has_diverged = u.is_broken || (s == SM_ENUMERIC && r.n > 0);
    if (s && !r.has_diverged) {
        sm_lr_range_free(&r);
        return sm_fail(err, s, "%s", why.msg);
    }
    judge(&r, n_steps);
    *out = r;
    return SM_OK;
}

void sm_lr_range_free(sm_lr_range *r)
{
    free(r->point);
    *r = (sm_lr_range){0};
}
