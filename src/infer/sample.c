/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sampling.  Candidates are sorted by logit (ties: lower id); then, in this order:
 * temperature, top-k, softmax, top-p, min-p, and one uniform number decides.
 *   top-p (Holtzman et al., 1904.09751): the shortest prefix whose probability reaches p
 *   min-p (Nguyen et al., 2407.01082): those with at least min_p times the best one's
 * Sums run over candidates in order, in double, so the choice is the same everywhere.
 */
#include <math.h>

#include "internal.h"
#include "smelt/sys.h"

sm_status sm_sampling_check(const sm_sampling *s, sm_err *err)
{
    if (!(s->temperature >= 0 && s->temperature <= 100))
        return sm_fail(err, SM_EINVAL, "temperature: got %g, want 0..100",
                       (double)s->temperature);
    if (s->top_k < 0)
        return sm_fail(err, SM_EINVAL, "top_k: got %d, want >= 0", s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return sm_fail(err, SM_EINVAL, "top_p: got %g, want above 0, at most 1",
                       (double)s->top_p);
    if (!(s->min_p >= 0 && s->min_p < 1))
        return sm_fail(err, SM_EINVAL, "min_p: got %g, want 0 or more, below 1",
                       (double)s->min_p);
    if (s->max_tokens < 0)
        return sm_fail(err, SM_EINVAL, "max_tokens: got %d, want >= 0", s->max_tokens);
    int n = 0;
    while (s->stop && s->stop[n]) {
        if (!*s->stop[n])
            return sm_fail(err, SM_EINVAL, "stop: got an empty string, want text");
        if (++n > 16)
            return sm_fail(err, SM_EINVAL, "stop: got more than 16 strings, want at most 16");
    }
    return SM_OK;
}

static bool before(const float *x, int32_t a, int32_t b)
{
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

/* A heap with the best candidate on top: only as many are taken out as are needed. */
static void sift(const float *x, int32_t *heap, int32_t n, int32_t i)
{
    for (;;) {
        int32_t best = i, l = 2 * i + 1;
        if (l < n && before(x, heap[l], heap[best]))
            best = l;
        if (l + 1 < n && before(x, heap[l + 1], heap[best]))
            best = l + 1;
        if (best == i)
            return;
        int32_t t = heap[i];
        heap[i] = heap[best];
        heap[best] = t;
        i = best;
    }
}

static int32_t greedy(const float *x, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

typedef struct draw {
    const float *p; /* exp(logit/t - max), by id */
    int32_t *heap;
    int32_t n;
    double total;
} draw;

/* Take candidates out, best first, until the truncation rules stop; the taken ones end up
 * at the end of the heap's array, reversed.  Returns their number and mass. */
static int32_t truncate_candidates(draw *d, const sm_sampling *s, double *mass)
{
    int32_t limit = s->top_k > 0 && s->top_k < d->n ? s->top_k : d->n, taken = 0;
    double top = 0;
    *mass = 0;
    while (taken < limit) {
        int32_t id = d->heap[0], last = d->n - 1 - taken;
        double p = (double)d->p[id];
        if (taken == 0)
            top = p;
        else if (p < (double)s->min_p * top)
            break;
        d->heap[0] = d->heap[last];
        d->heap[last] = id;
        taken++;
        *mass += p;
        sift(d->p, d->heap, last, 0);
        if (s->top_p < 1 && *mass >= (double)s->top_p * d->total)
            break;
    }
    return taken;
}

/* Total of the candidates that top-k leaves: top-p is a share of that. */
static double total_after_top_k(const sm_engine *e, const draw *d, const sm_sampling *s)
{
    if (s->top_k == 0 || s->top_k >= d->n) {
        double sum = 0;
        for (int32_t i = 0; i < d->n; i++)
            sum += (double)d->p[i];
        return sum;
    }
    draw copy = {.p = d->p, .heap = e->order + d->n, .n = d->n, .total = 0};
    for (int32_t i = 0; i < d->n; i++)
        copy.heap[i] = d->heap[i];
    sm_sampling only_k = {.top_k = s->top_k, .top_p = 1};
    double mass;
    truncate_candidates(&copy, &only_k, &mass);
    return mass;
}

int32_t sample_token(const sm_engine *e, const float *logits, const sm_sampling *s,
                     int32_t n_generated)
{
    int32_t n = e->model->config.n_vocab;
    float inv = 1.0f / s->temperature;
    if (!isfinite(inv)) /* 0, or so small that the best one's 0 * inv is no number */
        return greedy(logits, n);
    unsigned fp = sm_fp_enter();
    float max = e->ctx.kern->max(logits, n);
    for (int32_t i = 0; i < n; i++)
        e->chosen[i] = (logits[i] - max) * inv;
    e->ctx.kern->exp(e->chosen, e->chosen, n);
    sm_fp_leave(fp);
    draw d = {.p = e->chosen, .heap = e->order, .n = n};
    for (int32_t i = 0; i < n; i++)
        d.heap[i] = i;
    for (int32_t i = n / 2 - 1; i >= 0; i--)
        sift(d.p, d.heap, n, i);
    d.total = total_after_top_k(e, &d, s);
    double mass, sum = 0;
    int32_t taken = truncate_candidates(&d, s, &mass);
    double u = (double)sm_rng_uniform(s->seed, SM_STREAM_SAMPLE, (uint32_t)n_generated, 0);
    for (int32_t i = 0; i < taken; i++) {
        int32_t id = d.heap[n - 1 - i];
        sum += (double)d.p[id];
        if (u * mass < sum)
            return id;
    }
    return d.heap[n - 1]; /* rounding at the very end: the best one */
}
