/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drawing of a report: held-out loss against FLOPs (logarithmic) and against seconds.
 *
 * Thin lines are seeds, thick ones their mean, discs the ends, crosses ends by halving; a
 * band is a fitted law of compute with its 95 % interval.  Plain SVG without script; colours
 * follow the reader's light or dark scheme.
 */
#include <stdio.h>
#include <string.h>

#include "smelt/kern.h"
#include "tracks.h"

#define N_COLOURS 8

const char tracks_style[] =
    ":root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#1d1f23;--soft:#5d636b;"
    "--line:#e4e1db;--k0:#1f6f9f;--k1:#c2571a;--k2:#2e7d4f;--k3:#8a4fae;--k4:#a88400;"
    "--k5:#c23b6b;--k6:#4a5fc1;--k7:#6b6b6b}"
    "@media (prefers-color-scheme:dark){:root{--bg:#16181b;--card:#1e2125;--ink:#e7e5e0;"
    "--soft:#a3a9b1;--line:#363a41;--k0:#62b4e0;--k1:#f0955c;--k2:#6cc592;--k3:#c79be6;"
    "--k4:#e0bf4f;--k5:#ef7fa8;--k6:#94a5f5;--k7:#b4b4b4}}"
    ".k0{color:var(--k0)}.k1{color:var(--k1)}.k2{color:var(--k2)}.k3{color:var(--k3)}"
    ".k4{color:var(--k4)}.k5{color:var(--k5)}.k6{color:var(--k6)}.k7{color:var(--k7)}"
    "svg text{fill:var(--ink);font:13px system-ui,sans-serif}"
    "svg .tick{fill:var(--soft);font-size:12px}svg .grid{stroke:var(--line)}"
    "svg .seed{stroke:currentColor;stroke-width:1;opacity:.4;fill:none}"
    "svg .mean{stroke:currentColor;stroke-width:2.2;fill:none}"
    "svg .fit{stroke:currentColor;stroke-width:1.5;stroke-dasharray:5 4;fill:none}"
    "svg .band{fill:currentColor;opacity:.13;stroke:none}"
    "svg .end{fill:currentColor;stroke:var(--card);stroke-width:1}"
    "svg .cross{stroke:currentColor;stroke-width:2.2;fill:none}"
    "svg .card{fill:var(--card)}";

typedef struct axis {
    const char *key, *title;
    bool is_log;
    double low, high; /* of values, or of their logarithms */
    double from, to;  /* of pixels                         */
} axis;

typedef struct panel {
    sm_buf *out;
    const json_t *report;
    axis x, y;
    int number;
} panel;

static double on_axis(const axis *a, double value)
{
    double v = a->is_log ? sm_math_log(value) : value;
    double span = a->high > a->low ? a->high - a->low : 1;
    return a->from + (v - a->low) / span * (a->to - a->from);
}

/* The place of a track among the names of the report, which is its colour. */
size_t tracks_colour(const json_t *report, const char *track)
{
    const json_t *rows = json_object_get(report, "tracks");
    size_t n = json_array_size(rows), place = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = sm_json_text(json_array_get(rows, i), "track");
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = !strcmp(sm_json_text(json_array_get(rows, k), "track"), name);
        if (!seen && !strcmp(name, track))
            return place;
        place += !seen;
    }
    return place;
}

/* ------------------------------------------------------------------ ranges */

static void widen(axis *a, double value, bool *any)
{
    double v = a->is_log ? sm_math_log(value) : value;
    a->low = !*any || v < a->low ? v : a->low;
    a->high = !*any || v > a->high ? v : a->high;
    *any = true;
}

/* x: all points.  y: what comes after the first quarter of each run, so that the fall of
 * the first steps does not flatten the rest. */
static void set_ranges(panel *p)
{
    size_t i, k;
    json_t *run, *pt;
    bool any_x = false, any_y = false;
    json_array_foreach(json_object_get(p->report, "runs"), i, run)
    {
        json_array_foreach(json_object_get(run, "points"), k, pt)
        {
            if (sm_json_real(pt, p->x.key) > 0)
                widen(&p->x, sm_json_real(pt, p->x.key), &any_x);
            if (4 * sm_json_real(pt, "step") > sm_json_real(run, "step"))
                widen(&p->y, sm_json_real(pt, "bpb"), &any_y);
        }
    }
    if (!any_x || !any_y)
        p->x.high = p->x.low + 1;
    double pad = 0.05 * (p->y.high - p->y.low);
    pad = pad > 0 ? pad : 0.01;
    p->y.low -= pad;
    p->y.high += pad;
    pad = 0.03 * (p->x.high - p->x.low);
    p->x.low = p->x.is_log ? p->x.low - pad : 0;
    p->x.high += pad;
}

/* --------------------------------------------------------------- the frame */

/* 1, 2 or 5 times a power of ten: at most `most` of them in `span`. */
static double tick_step(double span, int most)
{
    static const double factor[] = {1, 2, 5};
    double power = 1e-12;
    for (int k = 0; k < 60; k++, power *= 10)
        for (int i = 0; i < 3; i++)
            if (span / (factor[i] * power) <= most)
                return factor[i] * power;
    return span;
}

static void put_tick(panel *p, bool is_x, double value, const char *text)
{
    double at = on_axis(is_x ? &p->x : &p->y, value);
    if (is_x)
        sm_buf_printf(p->out,
                      "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                      "y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
                      "text-anchor=\"middle\">%s</text>\n",
                      at, at, p->y.from, p->y.to, at, p->y.from + 18, text);
    else
        sm_buf_printf(p->out,
                      "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                      "y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
                      "text-anchor=\"end\">%s</text>\n",
                      p->x.from, p->x.to, at, at, p->x.from - 8, at + 4, text);
}

static void linear_ticks(panel *p, bool is_x)
{
    const axis *a = is_x ? &p->x : &p->y;
    double step = tick_step(a->high - a->low, 7);
    int64_t first = (int64_t)(a->low / step);
    for (int64_t k = first; (double)k * step <= a->high; k++) {
        char text[32];
        if ((double)k * step < a->low)
            continue;
        snprintf(text, sizeof text, "%.6g", (double)k * step);
        put_tick(p, is_x, (double)k * step, text);
    }
}

/* Powers of ten; with 2 and 5 times them when there are few. */
static void log_ticks(panel *p)
{
    double decades = (p->x.high - p->x.low) / sm_math_log(10), power = 1e-3;
    for (int e = -3; e < 40; e++, power *= 10)
        for (int m = 1; m <= 5; m += m == 1 ? 1 : 3) {
            double v = m * power, at = sm_math_log(v);
            char text[96];
            if (at < p->x.low || at > p->x.high || (m > 1 && decades > 2.5))
                continue;
            snprintf(text, sizeof text,
                     "%d·10<tspan dy=\"-5\" font-size=\"9\">%d</tspan>", m, e);
            put_tick(p, true, v, m == 1 ? text + 3 : text);
        }
}

static void put_frame(panel *p)
{
    if (p->x.is_log)
        log_ticks(p);
    else
        linear_ticks(p, true);
    linear_ticks(p, false);
    sm_buf_printf(p->out,
                  "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                  (p->x.from + p->x.to) / 2, p->y.from + 42, p->x.title);
    sm_buf_printf(p->out,
                  "<clipPath id=\"c%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                  "height=\"%.1f\"/></clipPath>\n",
                  p->number, p->x.from, p->y.to - 6, p->x.to - p->x.from + 8,
                  p->y.from - p->y.to + 6);
}

/* ------------------------------------------------------------------- marks */

static void put_polyline(panel *p, const json_t *points, const char *class, size_t colour)
{
    size_t i;
    json_t *pt;
    sm_buf_printf(p->out, "<polyline class=\"%s k%zu\" points=\"", class,
                  colour % N_COLOURS);
    json_array_foreach((json_t *)(uintptr_t)points, i, pt)
    {
        if (sm_json_real(pt, p->x.key) > 0)
            sm_buf_printf(p->out, " %.1f,%.1f",
                          on_axis(&p->x, sm_json_real(pt, p->x.key)),
                          on_axis(&p->y, sm_json_real(pt, "bpb")));
    }
    sm_buf_puts(p->out, "\"/>\n");
}

/* The mean over seeds at each evaluation that all of them have. */
static json_t *mean_points(const json_t *report, const json_t *row, const char *key)
{
    json_t *out = json_array(), *run;
    size_t i;
    for (size_t k = 0;; k++) {
        double x = 0, y = 0;
        int n = 0, missing = 0;
        json_array_foreach(json_object_get(report, "runs"), i, run)
        {
            const json_t *pt = json_array_get(json_object_get(run, "points"), k);
            if (strcmp(sm_json_text(run, "track"), sm_json_text(row, "track")) != 0 ||
                sm_json_real(run, "budget") != sm_json_real(row, "budget"))
                continue;
            missing += !pt;
            n += pt != NULL;
            x += sm_json_real(pt, key);
            y += sm_json_real(pt, "bpb");
        }
        if (missing || n == 0)
            return out;
        json_array_append_new(out, json_pack("{s:f, s:f}", key, x / n, "bpb", y / n));
    }
}

static void put_end(panel *p, const json_t *run, size_t colour)
{
    double x = sm_json_real(run, p->x.key), y = on_axis(&p->y, sm_json_real(run, "bpb"));
    if (x <= 0)
        return;
    x = on_axis(&p->x, x);
    if (json_is_true(json_object_get(run, "stopped")))
        sm_buf_printf(p->out, "<path class=\"cross k%zu\" d=\"M%.1f %.1fl8 8m0-8l-8 8\">",
                      colour % N_COLOURS, x - 4, y - 4);
    else
        sm_buf_printf(p->out,
                      "<circle class=\"end k%zu\" cx=\"%.1f\" cy=\"%.1f\" "
                      "r=\"4.5\">",
                      colour % N_COLOURS, x, y);
    sm_buf_printf(p->out, "<title>%s, seed %lld: %.4f bits per byte</title></%s>\n",
                  sm_json_text(run, "track"), (long long)sm_json_real(run, "seed"),
                  sm_json_real(run, "bpb"),
                  json_is_true(json_object_get(run, "stopped")) ? "path" : "circle");
}

/* The colour of a family: that of its first track. */
static size_t family_colour(const json_t *report, const char *family)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(report, "tracks"), i, v)
    {
        if (!strcmp(sm_json_text(v, "family"), family))
            return tracks_colour(report, sm_json_text(v, "track")) % N_COLOURS;
    }
    return 0;
}

/* A fitted law of compute: in FLOPs alone. */
static void put_fits(panel *p)
{
    size_t i, k;
    json_t *f, *v;
    json_array_foreach(json_object_get(p->report, "fits"), i, f)
    {
        const json_t *band = json_object_get(f, "band");
        size_t n = json_array_size(band);
        size_t colour = family_colour(p->report, sm_json_text(f, "family"));
        if (n == 0 || !p->x.is_log)
            continue;
        sm_buf_printf(p->out, "<polygon class=\"band k%zu\" points=\"", colour);
        for (int side = 2; side <= 3; side++)
            for (k = 0; k < n; k++) {
                v = json_array_get(band, side == 2 ? k : n - 1 - k);
                sm_buf_printf(
                    p->out, " %.1f,%.1f",
                    on_axis(&p->x, json_number_value(json_array_get(v, 0))),
                    on_axis(&p->y, json_number_value(json_array_get(v, (size_t)side))));
            }
        sm_buf_printf(p->out, "\"/><polyline class=\"fit k%zu\" points=\"", colour);
        json_array_foreach((json_t *)(uintptr_t)band, k, v)
        {
            sm_buf_printf(p->out, " %.1f,%.1f",
                          on_axis(&p->x, json_number_value(json_array_get(v, 0))),
                          on_axis(&p->y, json_number_value(json_array_get(v, 1))));
        }
        sm_buf_puts(p->out, "\"/>\n");
    }
}

static void put_panel(panel *p)
{
    size_t i;
    json_t *v;
    set_ranges(p);
    put_frame(p);
    sm_buf_printf(p->out, "<g clip-path=\"url(#c%d)\">\n", p->number);
    put_fits(p);
    json_array_foreach(json_object_get(p->report, "runs"), i, v)
    {
        put_polyline(p, json_object_get(v, "points"), "seed",
                     tracks_colour(p->report, sm_json_text(v, "track")));
    }
    json_array_foreach(json_object_get(p->report, "tracks"), i, v)
    {
        json_t *mean = mean_points(p->report, v, p->x.key);
        put_polyline(p, mean, "mean", tracks_colour(p->report, sm_json_text(v, "track")));
        json_decref(mean);
    }
    json_array_foreach(json_object_get(p->report, "runs"), i, v)
    {
        put_end(p, v, tracks_colour(p->report, sm_json_text(v, "track")));
    }
    sm_buf_puts(p->out, "</g>\n");
}

/* Names in rows of four; returns the height they take. */
static double put_legend(sm_buf *out, const json_t *report)
{
    size_t i, n = 0;
    json_t *v;
    json_array_foreach(json_object_get(report, "tracks"), i, v)
    {
        size_t k = tracks_colour(report, sm_json_text(v, "track"));
        double x = 64 + 245 * (double)(k % 4), y = 22 + 22 * (double)(k / 4);
        if (k < n)
            continue;
        n = k + 1;
        sm_buf_printf(out,
                      "<circle class=\"end k%zu\" cx=\"%.0f\" cy=\"%.0f\" r=\"6\"/>"
                      "<text x=\"%.0f\" y=\"%.0f\">%s</text>\n",
                      k % N_COLOURS, x, y - 4, x + 13, y, sm_json_text(v, "track"));
    }
    return 22 * (double)((n + 3) / 4);
}

bool tracks_svg(sm_buf *out, const json_t *report, bool alone)
{
    sm_buf legend = {0};
    double top = 24 + put_legend(&legend, report), bottom = top + 330;
    sm_buf_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1060 %.0f\" "
                  "role=\"img\" aria-label=\"held-out bits per byte against FLOPs and "
                  "against seconds of training\">\n",
                  bottom + 54);
    if (alone)
        sm_buf_printf(out,
                      "<style>%s</style><rect class=\"card\" width=\"100%%\" "
                      "height=\"100%%\"/>\n",
                      tracks_style);
    sm_buf_puts(out, legend.data ? legend.data : "");
    panel p = {.out = out,
               .report = report,
               .x = {.key = "flops",
                     .title = "training FLOPs",
                     .is_log = true,
                     .from = 64,
                     .to = 520},
               .y = {.key = "bpb", .from = bottom, .to = top},
               .number = alone ? 3 : 1};
    put_panel(&p);
    p = (panel){
        .out = out,
        .report = report,
        .x = {.key = "seconds", .title = "seconds of training", .from = 590, .to = 1040},
        .y = {.key = "bpb", .from = bottom, .to = top},
        .number = alone ? 4 : 2};
    put_panel(&p);
    sm_buf_printf(
        out,
        "<text x=\"16\" y=\"%.0f\" text-anchor=\"middle\" transform=\"rotate(-90 "
        "16 %.0f)\">held-out bits per byte</text>\n</svg>\n",
        (top + bottom) / 2, (top + bottom) / 2);
    bool good = !legend.failed && !out->failed;
    sm_buf_free(&legend);
    return good;
}
