/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a report says: means over seeds with Student's intervals, differences paired by
 * seed, fitted laws; and the same as tables for a terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/scaling.h"
#include "tracks.h"

const char *tracks_bound(char out[32], const json_t *v, const char *key)
{
    if (json_is_number(json_object_get(v, key)))
        snprintf(out, 32, "%.4g", sm_json_real(v, key));
    else
        snprintf(out, 32, "none");
    return out;
}

static bool same_cell(const json_t *a, const json_t *b)
{
    return !strcmp(sm_json_text(a, "track"), sm_json_text(b, "track")) &&
           sm_json_real(a, "budget") == sm_json_real(b, "budget");
}

/* ----------------------------------------------------------------- summary */

static json_t *interval(const double v[3])
{
    return json_pack("{s:f, s:f, s:f}", "value", v[0], "low", v[1], "high", v[2]);
}

/* The run of the first track of that budget that was not dropped, from the same seed. */
static const json_t *partner(const json_t *runs, const json_t *run)
{
    size_t i;
    json_t *v;
    const json_t *first = NULL;
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        if (sm_json_real(v, "budget") != sm_json_real(run, "budget"))
            continue;
        if (!first && !json_is_true(json_object_get(v, "stopped")))
            first = v;
        if (first && same_cell(v, first) &&
            sm_json_real(v, "seed") == sm_json_real(run, "seed"))
            return v;
    }
    return NULL;
}

/* One row: a track at a budget. */
static json_t *cell(const json_t *runs, const json_t *first, double *x, double *d)
{
    size_t i;
    json_t *v;
    int64_t n = 0, n_pair = 0;
    double seconds = 0, mean[3];
    bool stopped = false, is_first = partner(runs, first) == first;
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        const json_t *p = partner(runs, v);
        if (!same_cell(v, first))
            continue;
        x[n++] = sm_json_real(v, "bpb");
        seconds += sm_json_real(v, "seconds");
        stopped = stopped || json_is_true(json_object_get(v, "stopped"));
        if (p && p != v && !json_is_true(json_object_get(v, "stopped")))
            d[n_pair++] = sm_json_real(v, "bpb") - sm_json_real(p, "bpb");
    }
    sm_stat_student(mean, x, n);
    json_t *row =
        json_pack("{s:s, s:s, s:O, s:I, s:b, s:o, s:f, s:f}", "track",
                  sm_json_text(first, "track"), "family", sm_json_text(first, "family"),
                  "budget", json_object_get(first, "budget"), "runs", (json_int_t)n,
                  "stopped", stopped, "bpb", interval(mean), "flops",
                  sm_json_real(first, "flops"), "seconds", seconds / (double)n);
    static const char *const copied[] = {"parameters", "active", "step", "tokens"};
    for (size_t k = 0; row && k < sizeof copied / sizeof *copied; k++)
        json_object_set(row, copied[k], json_object_get(first, copied[k]));
    if (row && !is_first && n_pair > 0) {
        sm_stat_student(mean, d, n_pair);
        json_object_set_new(row, "difference", interval(mean));
    }
    return row;
}

json_t *tracks_summary(const json_t *runs, sm_err *err)
{
    size_t i, k, n = json_array_size(runs);
    json_t *v, *rows = json_array(), *row;
    double *x = sm_alloc(2 * n + 2, sizeof *x);
    if (!rows || !x) {
        json_decref(rows);
        free(x);
        sm_fail(err, SM_ENOMEM, "tracks: out of memory");
        return NULL;
    }
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        bool there = false;
        json_array_foreach(rows, k, row)
        {
            there = there || same_cell(row, v);
        }
        if (!there)
            json_array_append_new(rows, cell(runs, v, x, x + n + 1));
    }
    free(x);
    return rows;
}

/* -------------------------------------------------------------------- fits */

/* Finished runs of a family. */
static int64_t points_of(sm_scaling_point *out, const json_t *runs, const char *family)
{
    size_t i;
    json_t *v;
    int64_t n = 0;
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        if (!strcmp(sm_json_text(v, "family"), family) &&
            !json_is_true(json_object_get(v, "stopped")))
            out[n++] = (sm_scaling_point){.n = sm_json_real(v, "active"),
                                          .d = sm_json_real(v, "tokens"),
                                          .f = sm_json_real(v, "flops"),
                                          .loss = sm_json_real(v, "bpb")};
    }
    return n;
}

/* The band over the family's range of FLOPs, for the plot (compute law only). */
static json_t *band_of(const sm_scaling *s, const sm_scaling_point *p, int64_t n)
{
    json_t *band = json_array();
    double low = p[0].f, high = p[0].f;
    for (int64_t i = 1; i < n; i++) {
        low = p[i].f < low ? p[i].f : low;
        high = p[i].f > high ? p[i].f : high;
    }
    for (int k = 0; k <= 24; k++) {
        sm_scaling_point at = {.f = low + (high - low) * k * k / 576};
        double a = 0, b = 0;
        if (sm_scaling_band(&a, &b, s, &at, NULL))
            break;
        json_array_append_new(
            band, json_pack("[f,f,f,f]", at.f, sm_scaling_predict(s, &at), a, b));
    }
    return band;
}

/* The law of size and data where the points allow it, else that of compute, else why not.
 */
static json_t *fit_family(const json_t *runs, const char *family, int32_t n_resample)
{
    sm_scaling_point *p = sm_alloc(json_array_size(runs) + 1, sizeof *p);
    sm_scaling size = {0}, compute = {0};
    sm_err why = {0}, why2 = {0};
    json_t *out = json_pack("{s:s}", "family", family);
    if (!p || !out) {
        free(p);
        json_decref(out);
        return NULL;
    }
    int64_t n = points_of(p, runs, family);
    json_object_set_new(out, "points", json_integer((json_int_t)n));
    if (!sm_scaling_fit(&size, SM_SCALING_SIZE, p, n, n_resample, 1, &why))
        json_object_set_new(out, "size", sm_scaling_to_json(&size));
    else
        json_object_set_new(out, "size_refused", json_string(why.msg));
    if (!sm_scaling_fit(&compute, SM_SCALING_COMPUTE, p, n, n_resample, 1, &why2)) {
        json_object_set_new(out, "compute", sm_scaling_to_json(&compute));
        json_object_set_new(out, "band", band_of(&compute, p, n));
    } else {
        json_object_set_new(out, "compute_refused", json_string(why2.msg));
    }
    sm_scaling_free(&size);
    sm_scaling_free(&compute);
    free(p);
    return out;
}

json_t *tracks_fits(const json_t *runs, int32_t n_resample, sm_err *err)
{
    size_t i, k;
    json_t *v, *f, *fits = json_array();
    json_array_foreach((json_t *)(uintptr_t)runs, i, v)
    {
        bool there = false;
        json_array_foreach(fits, k, f)
        {
            there =
                there || !strcmp(sm_json_text(f, "family"), sm_json_text(v, "family"));
        }
        json_t *one =
            there ? NULL : fit_family(runs, sm_json_text(v, "family"), n_resample);
        if (!there && (!one || json_array_append_new(fits, one))) {
            json_decref(fits);
            sm_fail(err, SM_ENOMEM, "tracks: out of memory");
            return NULL;
        }
    }
    return fits;
}

/* ------------------------------------------------------------------ tables */

static void put_interval(sm_buf *out, const json_t *v, const char *format)
{
    char a[32], b[32], c[32];
    if (!v) {
        sm_buf_printf(out, "%26s", "");
        return;
    }
    /* the formats are this file's own */
    snprintf(a, sizeof a, "%+.4f", sm_json_real(v, "value"));
    snprintf(b, sizeof b, "%+.4f", sm_json_real(v, "low"));
    snprintf(c, sizeof c, "%+.4f", sm_json_real(v, "high"));
    bool plain = *format == 'p';
    if (sm_json_real(v, "low") ==
        sm_json_real(v, "high")) { /* one seed has no interval */
        sm_buf_printf(out, "%8s%18s", a + plain, "");
        return;
    }
    sm_buf_printf(out, "%8s [%s, %s]", a + plain, b + plain, c + plain);
}

static void put_row(sm_buf *out, const json_t *r, size_t width)
{
    sm_buf_printf(out, "%-*s %2lld %9.4g %9.4g %7lld %9.3g %8.1f  ", (int)width,
                  sm_json_text(r, "track"), (long long)sm_json_real(r, "runs"),
                  sm_json_real(r, "parameters"), sm_json_real(r, "active"),
                  (long long)sm_json_real(r, "step"), sm_json_real(r, "flops"),
                  sm_json_real(r, "seconds"));
    put_interval(out, json_object_get(r, "bpb"), "plain");
    sm_buf_puts(out, "  ");
    if (json_object_get(r, "difference"))
        put_interval(out, json_object_get(r, "difference"), "signed");
    sm_buf_puts(out, json_is_true(json_object_get(r, "stopped")) ? "  dropped\n" : "\n");
}

static void put_law(sm_buf *out, const json_t *fit)
{
    const char *key;
    json_t *v;
    sm_buf_printf(out, "  L = %s:", sm_json_text(fit, "law"));
    json_object_foreach(json_object_get(fit, "parameters"), key, v)
    {
        char low[32], high[32];
        sm_buf_printf(out, "%s %s %.4g [%s, %s]", strcmp(key, "E") ? "," : "", key,
                      sm_json_real(v, "value"), tracks_bound(low, v, "low"),
                      tracks_bound(high, v, "high"));
    }
    sm_buf_printf(out, "; rms %.2g\n", sm_json_real(fit, "rms"));
}

static void put_fit(sm_buf *out, const json_t *f)
{
    static const char *const law[] = {"size", "compute"};
    static const char *const refused[] = {"size_refused", "compute_refused"};
    sm_buf_printf(out, "%s, %lld points\n", sm_json_text(f, "family"),
                  (long long)sm_json_real(f, "points"));
    for (int k = 0; k < 2; k++) {
        if (json_object_get(f, law[k]))
            put_law(out, json_object_get(f, law[k]));
        else
            sm_buf_printf(out, "  not fitted: %s\n", sm_json_text(f, refused[k]));
    }
}

bool sm_tracks_table(sm_buf *out, const json_t *report)
{
    size_t i, width = 5;
    json_t *v;
    json_array_foreach(json_object_get(report, "tracks"), i, v)
    {
        size_t n = strlen(sm_json_text(v, "track"));
        width = n > width ? n : width;
    }
    sm_buf_printf(out, "%-*s %2s %9s %9s %7s %9s %8s  %-26s  %s\n", (int)width, "track",
                  "n", "params", "active", "steps", "FLOPs", "seconds",
                  "held-out bits per byte", "less the first track");
    json_array_foreach(json_object_get(report, "tracks"), i, v)
    {
        put_row(out, v, width);
    }
    sm_buf_puts(out, "\nscaling laws (L in bits per byte, 95 % intervals)\n");
    json_array_foreach(json_object_get(report, "fits"), i, v)
    {
        put_fit(out, v);
    }
    return !out->failed;
}
