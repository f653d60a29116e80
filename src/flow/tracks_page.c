/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: drawing, tables, what was declared; one file without script or network. */
#include <stdio.h>
#include <string.h>

#include "tracks.h"

static const char page_style[] =
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}main{max-width:1120px;margin:0 auto;"
    "padding:28px 20px 60px}h1{font-size:25px;margin:0 0 4px}h2{font-size:17px;margin:0 "
    "0 "
    "10px}.sub{color:var(--soft);margin:0 0 20px}.card{background:var(--card);border:1px "
    "solid var(--line);border-radius:10px;padding:16px 18px;margin-bottom:16px;"
    "overflow-x:auto}svg{display:block;width:100%;min-width:760px;height:auto}"
    "table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:right;"
    "color:var(--soft);font-weight:500}td{text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}td,th{padding:5px 0 5px 18px;"
    "border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left;"
    "padding-left:0}small{color:var(--soft);font-size:12.5px}.dot{display:inline-block;"
    "width:10px;height:10px;border-radius:50%;background:currentColor;margin-right:7px}"
    "pre{font:12.5px/1.45 ui-monospace,monospace;overflow-x:auto;margin:8px 0 0}"
    "td.wrap{white-space:normal;text-align:left}td.wrap span{white-space:nowrap;"
    "margin-right:14px}summary{cursor:pointer}.no{color:var(--soft)}";

static void put(sm_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            sm_buf_puts(out, "&amp;");
        else if (*text == '<')
            sm_buf_puts(out, "&lt;");
        else if (*text == '>')
            sm_buf_puts(out, "&gt;");
        else
            sm_buf_putc(out, *text);
    }
}

/* "1.23 M": a count with a unit of thousands. */
static void put_count(sm_buf *out, double n)
{
    static const char *const unit[] = {"", " k", " M", " G", " T"};
    int k = 0;
    for (; n >= 1000 && k < 4; k++)
        n /= 1000;
    sm_buf_printf(out, k ? "<td>%.3g%s</td>" : "<td>%.4g%s</td>", n, unit[k]);
}

static void put_interval(sm_buf *out, const json_t *v, bool is_signed)
{
    if (!v) {
        sm_buf_puts(out, "<td></td>");
        return;
    }
    if (sm_json_real(v, "low") ==
        sm_json_real(v, "high")) { /* one seed has no interval */
        sm_buf_printf(out, is_signed ? "<td><b>%+.4f</b></td>" : "<td><b>%.4f</b></td>",
                      sm_json_real(v, "value"));
        return;
    }
    sm_buf_printf(out,
                  is_signed ? "<td><b>%+.4f</b> <small>%+.4f … %+.4f</small></td>"
                            : "<td><b>%.4f</b> <small>%.4f … %.4f</small></td>",
                  sm_json_real(v, "value"), sm_json_real(v, "low"),
                  sm_json_real(v, "high"));
}

static void put_tracks(sm_buf *out, const json_t *report)
{
    size_t i;
    json_t *r;
    const json_t *rows = json_object_get(report, "tracks");
    sm_buf_puts(out, "<section class=\"card\"><h2>Tracks</h2><table><tr><th>track</th>"
                     "<th>runs</th><th>parameters</th><th>active</th><th>steps</th>"
                     "<th>tokens</th><th>FLOPs</th><th>seconds</th><th>held-out bits per "
                     "byte</th><th>less the first</th></tr>\n");
    json_array_foreach((json_t *)(uintptr_t)rows, i, r)
    {
        bool stopped = json_is_true(json_object_get(r, "stopped"));
        sm_buf_printf(out, "<tr><td><i class=\"dot k%zu\"></i>",
                      tracks_colour(report, sm_json_text(r, "track")) % 8);
        put(out, sm_json_text(r, "track"));
        sm_buf_printf(out, "%s</td><td>%.0f</td>",
                      stopped ? " <small>dropped</small>" : "", sm_json_real(r, "runs"));
        put_count(out, sm_json_real(r, "parameters"));
        put_count(out, sm_json_real(r, "active"));
        sm_buf_printf(out, "<td>%.0f</td>", sm_json_real(r, "step"));
        put_count(out, sm_json_real(r, "tokens"));
        sm_buf_printf(out, "<td>%.3g</td><td>%.1f</td>", sm_json_real(r, "flops"),
                      sm_json_real(r, "seconds"));
        put_interval(out, json_object_get(r, "bpb"), false);
        put_interval(out, json_object_get(r, "difference"), true);
        sm_buf_puts(out, "</tr>\n");
    }
    sm_buf_puts(
        out, "</table><p class=\"no\"><small>Intervals are 95 %, Student's over seeds "
             "(of one seed there is none); differences are paired by seed. Seconds are "
             "of training steps alone.</small></p></section>\n");
}

static void put_law(sm_buf *out, const json_t *fit)
{
    const char *key;
    json_t *v;
    sm_buf_puts(out, "<td>L = ");
    put(out, sm_json_text(fit, "law"));
    sm_buf_puts(out, "</td><td class=\"wrap\">");
    json_object_foreach(json_object_get(fit, "parameters"), key, v)
    {
        char low[32], high[32];
        sm_buf_printf(out, "<span>%s = <b>%.4g</b> <small>%s … %s</small></span> ", key,
                      sm_json_real(v, "value"), tracks_bound(low, v, "low"),
                      tracks_bound(high, v, "high"));
    }
    sm_buf_puts(out, "</td></tr>\n");
}

static void put_fits(sm_buf *out, const json_t *report)
{
    static const char *const law[] = {"size", "compute"};
    static const char *const refused[] = {"size_refused", "compute_refused"};
    size_t i;
    json_t *f;
    sm_buf_puts(out, "<section class=\"card\"><h2>Scaling laws</h2><table><tr><th>family"
                     "</th><th>points</th><th>law</th><th>parameters, 95 % by bootstrap"
                     "</th></tr>\n");
    json_array_foreach(json_object_get(report, "fits"), i, f)
    {
        for (int k = 0; k < 2; k++) {
            sm_buf_puts(out, "<tr><td>");
            put(out, sm_json_text(f, "family"));
            sm_buf_printf(out, "</td><td>%.0f</td>", sm_json_real(f, "points"));
            if (json_object_get(f, law[k])) {
                put_law(out, json_object_get(f, law[k]));
                continue;
            }
            sm_buf_puts(out, "<td class=\"no wrap\" colspan=\"2\">"
                             "not fitted: ");
            put(out, sm_json_text(f, refused[k]));
            sm_buf_puts(out, "</td></tr>\n");
        }
    }
    sm_buf_puts(out, "</table></section>\n");
}

static void put_runs(sm_buf *out, const json_t *report)
{
    size_t i;
    json_t *r;
    sm_buf_puts(out, "<section class=\"card\"><h2>Runs</h2><table><tr><th>track</th>"
                     "<th>seed</th><th>steps</th><th>FLOPs</th><th>seconds</th><th>bits "
                     "per byte</th><th>model</th></tr>\n");
    json_array_foreach(json_object_get(report, "runs"), i, r)
    {
        sm_buf_puts(out, "<tr><td>");
        put(out, sm_json_text(r, "track"));
        sm_buf_printf(out,
                      "</td><td>%.0f</td><td>%.0f</td><td>%.3g</td><td>%.1f</td>"
                      "<td>%.4f</td><td><code>%.12s</code></td></tr>\n",
                      sm_json_real(r, "seed"), sm_json_real(r, "step"),
                      sm_json_real(r, "flops"), sm_json_real(r, "seconds"),
                      sm_json_real(r, "bpb"), sm_json_text(r, "model"));
    }
    sm_buf_puts(out, "</table></section>\n");
}

bool tracks_page(sm_buf *out, const json_t *report)
{
    sm_buf_printf(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta "
                       "name=\"viewport\" content=\"width=device-width\"><title>");
    put(out, sm_json_text(report, "title"));
    sm_buf_printf(out, "</title><style>%s%s</style><main><h1>", tracks_style, page_style);
    put(out, sm_json_text(report, "title"));
    sm_buf_printf(out, "</h1><p class=\"sub\">%zu runs</p>\n",
                  json_array_size(json_object_get(report, "runs")));
    sm_buf_puts(out, "<section class=\"card\">");
    tracks_svg(out, report, false);
    sm_buf_puts(out,
                "<p class=\"no\"><small>Thin lines are seeds, thick ones their mean, "
                "discs the ends, crosses ends by halving; a dashed line is a fitted "
                "law of compute with its 95 % band.</small></p></section>\n");
    put_tracks(out, report);
    put_fits(out, report);
    put_runs(out, report);
    sm_buf_puts(out, "<details class=\"card\"><summary>What was declared and resolved"
                     "</summary><pre>");
    put(out, sm_json_text(report, "declaration"));
    sm_buf_puts(out, "</pre></details></main></html>\n");
    return !out->failed;
}
