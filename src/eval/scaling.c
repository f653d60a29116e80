/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scaling laws: what may be fitted, the fit, its bootstrap, predictions and bands.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scaling_internal.h"
#include "smelt/eval.h"
#include "smelt/kern.h"

/* The points as logarithms less their means. */
typedef struct work {
    scaling_problem q;
    double *x1, *x2, *y, *fit; /* fit: predicted log loss, by point */
    double mean[2];
} work;

static void work_free(work *w)
{
    free(w->x1);
    free(w->x2);
    free(w->y);
    free(w->fit);
}

/* --------------------------------------------------------------- refusals */

static bool is_good(double v)
{
    return isfinite(v) && v > 0;
}

static sm_status check_values(const sm_scaling_point *p, int64_t n, sm_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!is_good(p[i].n) || !is_good(p[i].d) || !is_good(p[i].f) ||
            !is_good(p[i].loss))
            return sm_fail(err, SM_EINVAL,
                           "scaling: point %lld: got N=%g D=%g F=%g loss=%g, want "
                           "finite numbers above 0",
                           (long long)i, p[i].n, p[i].d, p[i].f, p[i].loss);
    return SM_OK;
}

/* Values that differ by more than a hundredth from those before. */
static int64_t n_distinct(const double *x, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        bool is_new = true;
        for (int64_t j = 0; j < i && is_new; j++)
            is_new = fabs(x[i] - x[j]) > 0.01;
        count += is_new;
    }
    return count;
}

static double correlation(const double *x, const double *y, int64_t n)
{
    double xx = 0, yy = 0, xy = 0; /* both have mean 0 */
    for (int64_t i = 0; i < n; i++) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 1;
}

static sm_status check_compute(const work *w, sm_err *err)
{
    int64_t budgets = n_distinct(w->x1, w->q.n);
    if (w->q.n < 5 || budgets < 4)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "E + C/F^c: got %lld runs at %lld different budgets, want at "
                       "least 5 at 4",
                       (long long)w->q.n, (long long)budgets);
    return SM_OK;
}

static sm_status check_size(const work *w, sm_err *err)
{
    int64_t n = w->q.n;
    int64_t sizes = n_distinct(w->x1, n), tokens = n_distinct(w->x2, n);
    if (n < 7 || sizes < 3 || tokens < 3)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "E + A/N^a + B/D^b: got %lld runs of %lld sizes and %lld token "
                       "counts, want at least 7 of 3 and 3",
                       (long long)n, (long long)sizes, (long long)tokens);
    double r = correlation(w->x1, w->x2, n);
    if (fabs(r) > 0.98)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "E + A/N^a + B/D^b: sizes and tokens go in step (correlation of "
                       "their logarithms %.3f, want within 0.98): their shares cannot be "
                       "told apart",
                       r);
    return SM_OK;
}

/* ------------------------------------------------------------------ set-up */

static double centre(double *x, int64_t n)
{
    double mean = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        x[i] -= mean;
    return mean;
}

static sm_status work_init(work *w, sm_scaling_law law, const sm_scaling_point *p,
                           int64_t n, sm_err *err)
{
    bool two = law == SM_SCALING_SIZE;
    w->x1 = sm_alloc((size_t)n + 1, sizeof *w->x1);
    w->x2 = sm_alloc((size_t)n + 1, sizeof *w->x2);
    w->y = sm_alloc((size_t)n + 1, sizeof *w->y);
    w->fit = sm_alloc((size_t)n + 1, sizeof *w->fit);
    if (!w->x1 || !w->x2 || !w->y || !w->fit)
        return sm_fail(err, SM_ENOMEM, "scaling: out of memory");
    for (int64_t i = 0; i < n; i++) {
        w->x1[i] = sm_math_log(two ? p[i].n : p[i].f);
        w->x2[i] = two ? sm_math_log(p[i].d) : 0;
        w->y[i] = sm_math_log(p[i].loss);
    }
    w->mean[0] = centre(w->x1, n);
    w->mean[1] = centre(w->x2, n);
    w->q = (scaling_problem){
        .n_param = two ? 5 : 3, .n = n, .x = {w->x1, two ? w->x2 : NULL}, .y = w->y};
    return two ? check_size(w, err) : check_compute(w, err);
}

/* From the centred form to E, A, a, B, b.  A floor below a millionth of the mean loss is
 * no floor. */
static void to_law(double *out, const work *w, const double *p)
{
    double mean = 0;
    for (int64_t i = 0; i < w->q.n; i++)
        mean += w->y[i] / (double)w->q.n;
    out[SM_SCALING_E] = p[0] > mean - 13.8 ? sm_math_exp(p[0]) : 0;
    for (int k = 1; k < w->q.n_param; k += 2) {
        double level = p[k] + p[k + 1] * w->mean[k / 2];
        out[k] = sm_math_exp(level > 700 ? 700 : level);
        out[k + 1] = p[k + 1];
    }
}

/* --------------------------------------------------------------- bootstrap */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The 2.5 % and 97.5 % points of x [n], which is sorted. */
static void percentiles(double *low, double *high, double *x, int32_t n)
{
    int32_t tail = n / 40;
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    *low = x[tail];
    *high = x[n - 1 - tail];
}

static const double NORMAL_975 = 1.959963984540054;

/* 97.5 % point of Student's t with df degrees of freedom. */
static double student(int64_t df)
{
    static const double t[] = {12.706204736432095, 4.302652729911275, 3.182446305284263,
                               2.776445105197793,  2.570581835636314, 2.446911848791681,
                               2.364624251010299,  2.306004135033371, 2.262157162740992,
                               2.228138851964939};
    if (df <= 10)
        return t[df - 1];
    /* beyond the table Cornish and Fisher's expansion, low by less than a part in 1000 */
    double d = (double)df, z = NORMAL_975, z3 = z * z * z;
    return z + (z3 + z) / (4 * d) + (5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * d * d);
}

/* Fit once more with the residuals drawn again; into row r of the samples. */
static void resample(sm_scaling *out, const work *w, const double *best, double *y,
                     int32_t r, uint64_t seed)
{
    int64_t n = w->q.n, df = n - w->q.n_param;
    double wide = sqrt((double)n / (double)df) * student(df) / NORMAL_975;
    double p[SM_SCALING_MAX];
    scaling_problem q = w->q;
    for (int64_t i = 0; i < n; i++) {
        uint64_t j =
            sm_rng_below((uint64_t)n, seed, SM_STREAM_BOOT, (uint32_t)r, (uint64_t)i);
        y[i] = w->fit[i] + wide * (w->y[j] - w->fit[j]);
    }
    q.y = y;
    memcpy(p, best, sizeof p);
    scaling_descend(p, &q);
    to_law(out->sample + (size_t)r * (size_t)out->n_param, w, p);
}

static sm_status intervals(sm_scaling *out, sm_err *err)
{
    int32_t n = out->n_sample;
    size_t width = (size_t)out->n_param;
    double *column = sm_alloc((size_t)n, sizeof *column);
    if (!column)
        return sm_fail(err, SM_ENOMEM, "scaling: out of memory");
    for (size_t k = 0; k < width; k++) {
        for (int32_t r = 0; r < n; r++)
            column[r] = out->sample[(size_t)r * width + k];
        percentiles(&out->low[k], &out->high[k], column, n);
    }
    if (out->law == SM_SCALING_SIZE) {
        const double *v = out->value;
        for (int32_t r = 0; r < n; r++) {
            const double *s = out->sample + (size_t)r * width;
            column[r] = s[SM_SCALING_b] / (s[SM_SCALING_a] + s[SM_SCALING_b]);
        }
        out->opt[0] = v[SM_SCALING_b] / (v[SM_SCALING_a] + v[SM_SCALING_b]);
        percentiles(&out->opt[1], &out->opt[2], column, n);
    }
    free(column);
    return SM_OK;
}

static sm_status bootstrap(sm_scaling *out, const work *w, const double *best,
                           uint64_t seed, sm_err *err)
{
    double *y = sm_alloc((size_t)w->q.n, sizeof *y);
    out->sample =
        sm_alloc((size_t)out->n_sample * (size_t)out->n_param, sizeof *out->sample);
    sm_status s =
        y && out->sample ? SM_OK : sm_fail(err, SM_ENOMEM, "scaling: out of memory");
    for (int32_t r = 0; r < out->n_sample && !s; r++)
        resample(out, w, best, y, r, seed);
    free(y);
    return s ? s : intervals(out, err);
}

/* An exponent outside of this is a term that fits one point, or none. */
static sm_status check_exponents(const sm_scaling *s, sm_err *err)
{
    static const char *const of[] = {"parameters", "tokens"};
    for (int k = 2; k < s->n_param; k += 2)
        if (!(s->value[k] > 0.005) || !(s->value[k] < 5))
            return sm_fail(err, SM_EUNSUPPORTED,
                           "%s: the points do not show how loss falls with %s (exponent "
                           "%.3g, want 0.005..5)",
                           s->n_param == 5 ? "E + A/N^a + B/D^b" : "E + C/F^c",
                           s->n_param == 5 ? of[k / 2 - 1] : "compute", s->value[k]);
    return SM_OK;
}

sm_status sm_scaling_fit(sm_scaling *out, sm_scaling_law law,
                         const sm_scaling_point *point, int64_t n, int32_t n_resample,
                         uint64_t seed, sm_err *err)
{
    work w = {0};
    double best[SM_SCALING_MAX] = {0}, square = 0;
    sm_scaling s = {.law = law, .n_point = n, .n_sample = n_resample};
    if (n < 0)
        return sm_fail(err, SM_EINVAL, "scaling: points: got %lld, want 0 or more",
                       (long long)n);
    if (n_resample < 40 || n_resample > 100000)
        return sm_fail(err, SM_EINVAL, "scaling: resamples: got %d, want 40..100000",
                       n_resample);
    sm_status st = check_values(point, n, err);
    if (!st)
        st = work_init(&w, law, point, n, err);
    if (!st) {
        s.n_param = w.q.n_param;
        scaling_search(best, &w.q);
        to_law(s.value, &w, best);
        st = check_exponents(&s, err);
    }
    if (!st) {
        for (int64_t i = 0; i < n; i++) {
            w.fit[i] = scaling_log_loss(NULL, &w.q, best, i);
            square += (w.fit[i] - w.y[i]) * (w.fit[i] - w.y[i]);
        }
        s.rms = sqrt(square / (double)n);
        st = bootstrap(&s, &w, best, seed, err);
    }
    work_free(&w);
    if (st)
        sm_scaling_free(&s);
    else
        *out = s;
    return st;
}

/* ------------------------------------------------------------- predictions */

static double predict(sm_scaling_law law, const double *v, const sm_scaling_point *p)
{
    double x = law == SM_SCALING_SIZE ? p->n : p->f;
    double loss = v[0] + v[1] * sm_math_exp(-v[2] * sm_math_log(x));
    if (law == SM_SCALING_SIZE)
        loss += v[3] * sm_math_exp(-v[4] * sm_math_log(p->d));
    return loss;
}

double sm_scaling_predict(const sm_scaling *s, const sm_scaling_point *p)
{
    return predict(s->law, s->value, p);
}

sm_status sm_scaling_band(double *low, double *high, const sm_scaling *s,
                          const sm_scaling_point *p, sm_err *err)
{
    double *x = sm_alloc((size_t)s->n_sample, sizeof *x);
    if (!x)
        return sm_fail(err, SM_ENOMEM, "scaling: out of memory");
    for (int32_t r = 0; r < s->n_sample; r++)
        x[r] = predict(s->law, s->sample + (size_t)r * (size_t)s->n_param, p);
    percentiles(low, high, x, s->n_sample);
    free(x);
    return SM_OK;
}

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* JSON has no infinity: what is not finite is null, and says so. */
static json_t *interval_json(double value, double low, double high)
{
    json_t *v = json_pack("{s:o, s:o, s:o}", "value", number_or_null(value), "low",
                          number_or_null(low), "high", number_or_null(high));
    if (v && !(isfinite(value) && isfinite(low) && isfinite(high)))
        json_object_set_new(v, "null_because",
                            json_string("not finite: the points do not bound it"));
    return v;
}

json_t *sm_scaling_to_json(const sm_scaling *s)
{
    static const char *const name[2][SM_SCALING_MAX] = {{"E", "A", "a", "B", "b"},
                                                        {"E", "C", "c", "", ""}};
    bool size = s->law == SM_SCALING_SIZE;
    json_t *parameters = json_object();
    for (int k = 0; k < s->n_param; k++)
        json_object_set_new(parameters, name[s->law][k],
                            interval_json(s->value[k], s->low[k], s->high[k]));
    json_t *v = json_pack("{s:s, s:I, s:I, s:o, s:o}", "law",
                          size ? "E + A/N^a + B/D^b" : "E + C/F^c", "n",
                          (json_int_t)s->n_point, "resamples", (json_int_t)s->n_sample,
                          "parameters", parameters, "rms", number_or_null(s->rms));
    if (v && size)
        json_object_set_new(v, "optimal_size_exponent",
                            interval_json(s->opt[0], s->opt[1], s->opt[2]));
    return v;
}

void sm_scaling_free(sm_scaling *s)
{
    free(s->sample);
    *s = (sm_scaling){0};
}

void sm_stat_student(double out[3], const double *x, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    double half = n >= 2 ? student(n - 1) * sqrt(square / (double)(n - 1) / (double)n) : 0;
    out[0] = mean;
    out[1] = mean - half;
    out[2] = mean + half;
}
