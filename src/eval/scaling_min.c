/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objective of a scaling law and how it is minimised: BFGS (inverse Hessian, line
 * search by halving) from the best of a grid of starts.
 *
 * With delta = 1e-3 the Huber loss is nearly an absolute value, and a curvature learnt on
 * one side of a kink misleads on the other: the search begins again with a fresh Hessian
 * until that gains nothing.
 */
#include <math.h>
#include <string.h>

#include "scaling_internal.h"
#include "smelt/kern.h"

#define DELTA 1e-3
#define MAX_ITERATIONS 200
#define MAX_RESTARTS 8
#define N_BEST 24

static double clamped_exp(double x)
{
    return x < -700 ? 0 : sm_math_exp(x > 700 ? 700 : x);
}

double scaling_log_loss(double *dp, const scaling_problem *q, const double *p, int64_t i)
{
    double term[3] = {p[0], p[1] - p[2] * q->x[0][i], 0}, share[3], sum = 0;
    int n_term = q->n_param == 5 ? 3 : 2;
    if (n_term == 3)
        term[2] = p[3] - p[4] * q->x[1][i];
    double top = term[0];
    for (int k = 1; k < n_term; k++)
        top = term[k] > top ? term[k] : top;
    for (int k = 0; k < n_term; k++)
        sum += share[k] = clamped_exp(term[k] - top);
    if (dp) {
        dp[0] = share[0] / sum;
        for (int k = 1; k < n_term; k++) {
            dp[2 * k - 1] = share[k] / sum;
            dp[2 * k] = -q->x[k - 1][i] * share[k] / sum;
        }
    }
    return top + sm_math_log(sum);
}

/* Sum of Huber losses; grad [n_param] may be NULL. */
static double objective(double *grad, const scaling_problem *q, const double *p)
{
    double sum = 0, dp[SM_SCALING_MAX];
    for (int k = 0; grad && k < q->n_param; k++)
        grad[k] = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double r = scaling_log_loss(grad ? dp : NULL, q, p, i) - q->y[i];
        double slope = r > DELTA ? DELTA : r < -DELTA ? -DELTA : r;
        sum += slope == r ? r * r / 2 : DELTA * (fabs(r) - DELTA / 2);
        for (int k = 0; grad && k < q->n_param; k++)
            grad[k] += slope * dp[k];
    }
    return sum;
}

/* ------------------------------------------------------------------- BFGS */

typedef double vec[SM_SCALING_MAX];

static double dot(const double *a, const double *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* h += (1 + y'hy/s'y) ss'/s'y - (hy s' + s y'h)/s'y */
static void update_inverse(vec *h, const double *s, const double *y, int n)
{
    vec hy;
    double sy = dot(s, y, n);
    if (sy <= 1e-18)
        return;
    for (int i = 0; i < n; i++)
        hy[i] = dot(h[i], y, n);
    double scale = (1 + dot(y, hy, n) / sy) / sy;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            h[i][j] += scale * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / sy;
}

/* One line search along d; returns the new objective, f when nothing is gained. */
static double step_along(double *p, double *grad, double *move, const scaling_problem *q,
                         const double *d, double f, double slope)
{
    vec at, g;
    for (double t = 1; t > 1e-12; t /= 2) {
        for (int k = 0; k < q->n_param; k++)
            at[k] = p[k] + t * d[k];
        double next = objective(g, q, at);
        if (!(next <= f + 1e-4 * t * slope))
            continue;
        for (int k = 0; k < q->n_param; k++) {
            move[k] = at[k] - p[k];
            p[k] = at[k];
            grad[k] = g[k];
        }
        return next;
    }
    return f;
}

/* From a fresh Hessian until a step gains less than a part in 1e12. */
static double descend_once(double *p, const scaling_problem *q)
{
    int n = q->n_param;
    vec h[SM_SCALING_MAX], grad, old, d, move, change;
    double f = objective(grad, q, p);
    double norm = sqrt(dot(grad, grad, n));
    memset(h, 0, sizeof h);
    for (int i = 0; i < n; i++) /* the first step is of length 0.1 */
        h[i][i] = norm > 0 ? 0.1 / norm : 1;
    for (int it = 0; it < MAX_ITERATIONS; it++) {
        for (int i = 0; i < n; i++)
            d[i] = -dot(h[i], grad, n);
        double slope = dot(grad, d, n);
        if (!(slope < 0))
            break;
        memcpy(old, grad, sizeof old);
        double next = step_along(p, grad, move, q, d, f, slope);
        bool done = f - next <= 1e-12 * f;
        f = next;
        if (done)
            break;
        for (int i = 0; i < n; i++)
            change[i] = grad[i] - old[i];
        update_inverse(h, move, change, n);
    }
    return f;
}

double scaling_descend(double *p, const scaling_problem *q)
{
    double f = descend_once(p, q);
    for (int i = 0; i < MAX_RESTARTS; i++) {
        double next = descend_once(p, q);
        bool done = f - next <= 1e-9 * f;
        f = next;
        if (done)
            break;
    }
    return f;
}

/* ------------------------------------------------------------------- grid */

typedef struct start {
    vec p;
    double f;
} start;

/* Keep the N_BEST starts of least objective, best first. */
static void offer(start *best, int *n, const double *p, double f)
{
    if (*n == N_BEST && f >= best[N_BEST - 1].f)
        return;
    int i = *n < N_BEST ? (*n)++ : N_BEST - 1;
    for (; i > 0 && best[i - 1].f > f; i--)
        best[i] = best[i - 1];
    memcpy(best[i].p, p, sizeof best[i].p);
    best[i].f = f;
}

double scaling_search(double *p, const scaling_problem *q)
{
    static const double level[] = {-3, -1, -0.4, -0.1}; /* E / least loss, as a log  */
    static const double part[] = {-5, -3, -1.5, -0.5};  /* a term / mean loss        */
    static const double power[] = {0.05, 0.15, 0.35, 0.7, 1.5};
    start best[N_BEST];
    int n_best = 0;
    double least = q->y[0], mean = 0, f = INFINITY;
    for (int64_t i = 0; i < q->n; i++) {
        least = q->y[i] < least ? q->y[i] : least;
        mean += q->y[i] / (double)q->n;
    }
    int n_second = q->n_param == 5 ? 20 : 1;
    for (int e = 0; e < 4; e++)
        for (int a = 0; a < 20; a++)
            for (int b = 0; b < n_second; b++) {
                vec at = {least + level[e], mean + part[a / 5], power[a % 5],
                          mean + part[b / 5], power[b % 5]};
                offer(best, &n_best, at, objective(NULL, q, at));
            }
    for (int i = 0; i < n_best; i++) {
        double next = scaling_descend(best[i].p, q);
        if (next < f) {
            f = next;
            memcpy(p, best[i].p, (size_t)q->n_param * sizeof *p);
        }
    }
    return f;
}
