/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals: Wilson's for proportions, the percentile bootstrap for means. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "smelt/eval.h"

sm_interval sm_stat_proportion(int64_t hits, int64_t n)
{
    const double z = 1.959963984540054; /* 97.5 % point of the normal */
    double p = (double)hits / (double)n, z2n = z * z / (double)n;
    double mid = (p + z2n / 2) / (1 + z2n);
    double half = z * sqrt(p * (1 - p) / (double)n + z2n / (4 * (double)n)) / (1 + z2n);
    /* at the ends the formula is exact; rounding must not cross them */
    double low = hits == 0 ? 0 : mid - half, high = hits == n ? 1 : mid + half;
    return (sm_interval){.value = p, .low = low, .high = high, .n = n};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double resample_mean(const double *x, int64_t n, uint64_t seed, uint32_t resample)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[sm_rng_below((uint64_t)n, seed, SM_STREAM_BOOT, resample, (uint64_t)i)];
    return sum / (double)n;
}

sm_status sm_stat_bootstrap_mean(sm_interval *out, const double *x, int64_t n,
                                 int32_t n_resample, uint64_t seed, sm_err *err)
{
    if (n < 1 || n_resample < 40)
        return sm_fail(err, SM_EINVAL, "bootstrap: got n=%lld, resamples=%d, want n >= 1, "
                       "resamples >= 40", (long long)n, n_resample);
    double *mean = sm_alloc((size_t)n_resample, sizeof *mean), sum = 0;
    if (!mean)
        return sm_fail(err, SM_ENOMEM, "bootstrap: out of memory");
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    for (int32_t r = 0; r < n_resample; r++)
        mean[r] = resample_mean(x, n, seed, (uint32_t)r);
    qsort(mean, (size_t)n_resample, sizeof *mean, compare_doubles);
    int32_t tail = n_resample / 40; /* 2.5 % on each side */
    double low = mean[tail], high = mean[n_resample - 1 - tail];
    if (!(low < high)) /* equal values resample to themselves, which says nothing */
        low = high = NAN;
    *out = (sm_interval){.value = sum / (double)n, .low = low, .high = high, .n = n};
    free(mean);
    return SM_OK;
}

bool sm_figure_set(json_t *figures, const char *name, const sm_interval *v,
                   const char *unit)
{
    bool known = isfinite(v->low) && isfinite(v->high);
    json_t *low = known ? json_real(v->low) : NULL, *high = known ? json_real(v->high) : NULL;
    json_t *f = json_pack("{sf so* so* sI ss}", "value", v->value, "low", low, "high", high,
                          "n", (json_int_t)v->n, "unit", unit);
    return json_object_set_new(figures, name, f) == 0;
}

/* "[   0.1000,    0.2000]", or as much room with a dash. */
static void print_interval(char out[64], const json_t *f)
{
    const json_t *low = json_object_get(f, "low"), *high = json_object_get(f, "high");
    if (low && high)
        snprintf(out, 64, "[%9.4f, %9.4f]", json_number_value(low), json_number_value(high));
    else
        snprintf(out, 64, "%22s", "-");
}

/* The weight 0 of an evaluation with a model: what is served is `lexical`, not `ask`. */
static bool is_off(const json_t *figures)
{
    const json_t *w = json_object_get(json_object_get(figures, "w_model"), "value");
    return json_is_number(w) && json_number_value(w) == 0;
}

bool sm_eval_table(sm_buf *out, const json_t *figures)
{
    const char *name;
    json_t *f;
    sm_buf_printf(out, "%-28s %10s  %21s  %8s  %s\n", "figure", "value", "95 % interval",
                  "n", "unit");
    json_object_foreach((json_t *)(uintptr_t)figures, name, f)
    {
        char interval[64];
        print_interval(interval, f);
        sm_buf_printf(out, "%-28s %10.4f  %s  %8lld  %s\n", name,
                      json_number_value(json_object_get(f, "value")), interval,
                      (long long)json_integer_value(json_object_get(f, "n")),
                      json_string_value(json_object_get(f, "unit")));
    }
    if (is_off(figures))
        sm_buf_puts(out, "\nre-ranking with the model did not help measurably: off\n");
    return !out->failed;
}
