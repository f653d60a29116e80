/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `data show --html`: one page without script or network: figures, plots, tables, samples.
 * Every string from a document is escaped; it follows the reader's light or dark scheme.
 */
#include <stdio.h>
#include <string.h>

#include "show.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--ink:#1d1f23;--soft:#666b73;"
    "--line:#e4e1db;--c0:#2f6f8f;--c1:#d9a441;--c2:#b5523b;--code:#f4f2ee}"
    "@media (prefers-color-scheme:dark){:root{--bg:#16181b;--card:#1e2125;--ink:#e7e5e0;"
    "--soft:#9aa0a8;--line:#32363c;--c0:#5aa6c9;--c1:#e0b45c;--c2:#d9775f;--code:#17191c}"
    "}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}"
    "h1{font-size:26px;margin:0 0 2px}h2{font-size:17px;margin:0 0 12px}"
    ".sub{color:var(--soft);margin:0 0 24px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:"
    "12px;"
    "margin-bottom:20px}"
    ".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:14px 18px}"
    ".tile "
    "b{display:block;font-size:24px;font-weight:600;font-variant-numeric:tabular-nums}"
    ".tile span{color:var(--soft);font-size:13px}"
    ".grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),"
    "1fr));"
    "gap:16px}"
    ".card{margin-bottom:16px;overflow-x:auto}.grid2 .card{margin-bottom:0}"
    ".grid2{margin-bottom:16px}"
    "svg{width:100%;height:auto;display:block}"
    "svg .grid{stroke:var(--line)}svg .tick{fill:var(--soft);font-size:11px}"
    "svg .name{fill:var(--ink);font-size:12px}"
    ".c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}"
    ".c2{fill:var(--c2);background:var(--c2)}"
    ".key{display:flex;gap:16px;color:var(--soft);font-size:13px;margin:0 0 6px}"
    ".key "
    "i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}"
    "table{border-collapse:collapse;width:100%;font-size:14px}"
    "th{text-align:left;color:var(--soft);font-weight:500}"
    "td,th{padding:4px 8px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "td.w{overflow-wrap:anywhere;min-width:12em}"
    "details{border-bottom:1px solid var(--line);padding:8px 0}"
    "summary{cursor:pointer;overflow-wrap:anywhere}"
    "summary small{color:var(--soft)}"
    ".why{color:var(--c2);font-weight:500}"
    "pre{background:var(--code);border-radius:8px;padding:12px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;font:12.5px/1.45 ui-monospace,monospace;margin:8px 0}";

bool sm_html_put(sm_buf *out, const char *text)
{
    for (; *text; text++) {
        size_t n = strcspn(text, "&<>\"");
        sm_buf_put(out, text, n);
        text += n;
        if (!*text)
            break;
        sm_buf_puts(out, *text == '&'   ? "&amp;"
                         : *text == '<' ? "&lt;"
                         : *text == '>' ? "&gt;"
                                        : "&quot;");
    }
    return !out->failed;
}

static void tile(sm_buf *out, const char *figure, const char *label)
{
    sm_buf_printf(out, "<div class=\"tile\"><b>%s</b><span>", figure);
    sm_html_put(out, label);
    sm_buf_puts(out, "</span></div>\n");
}

static void put_tiles(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *p;
    sm_buf_puts(out, "<div class=\"tiles\">\n");
    json_array_foreach(json_object_get(summary, "parts"), i, p)
    {
        char n[32], bytes[24], label[64];
        const char *name = sm_json_text(p, "name");
        sm_show_count(n, sm_json_int(p, "documents"));
        sm_show_bytes(bytes, sm_json_int(p, "bytes"));
        bool source = strcmp(name, "documents") == 0;
        snprintf(label, sizeof label, source ? "%.20s" : "documents, %.20s",
                 strcmp(name, "heldout") == 0 ? "held out" : name);
        tile(out, n, label);
        snprintf(label, sizeof label, "of text%s%.20s", source ? "" : ", ",
                 source                         ? ""
                 : strcmp(name, "heldout") == 0 ? "held out"
                                                : name);
        tile(out, bytes, label);
    }
    sm_buf_puts(out, "</div>\n");
}

static void put_lengths(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *p;
    const json_t *parts = json_object_get(summary, "parts");
    sm_buf_puts(out, "<section class=\"card\"><h2>Lengths</h2><p class=\"key\">");
    json_array_foreach((json_t *)(uintptr_t)parts, i, p)
    {
        sm_buf_printf(out, "<span><i class=\"c%zu\"></i>", i);
        sm_html_put(out, sm_json_text(p, "name"));
        sm_buf_puts(out, "</span>");
    }
    sm_buf_puts(out, "</p>\n");
    sm_svg_lengths(out, parts);
    sm_buf_puts(out, "</section>\n");
}

static void put_table(sm_buf *out, const json_t *summary, const char *key,
                      const char *title, size_t most)
{
    size_t i;
    json_t *r;
    const json_t *rows = json_object_get(summary, key);
    bool dataset = strcmp(sm_json_text(summary, "kind"), "dataset") == 0;
    if (json_array_size(rows) == 0)
        return;
    sm_buf_printf(out,
                  "<section class=\"card\"><h2>%s</h2><table><tr><th>name</th>"
                  "<th class=\"n\">kept</th>%s<th class=\"n\">text</th></tr>\n",
                  title, dataset ? "<th class=\"n\">rejected</th>" : "");
    json_array_foreach((json_t *)(uintptr_t)rows, i, r)
    {
        char n[32], bytes[24];
        if (i == most) {
            sm_buf_printf(out, "<tr><td>… and %zu more</td></tr>",
                          json_array_size(rows) - most);
            break;
        }
        sm_show_count(n, sm_json_int(r, "kept"));
        sm_show_bytes(bytes, sm_json_int(r, "bytes"));
        sm_buf_puts(out, "<tr><td class=\"w\">");
        sm_html_put(out, sm_json_text(r, "name"));
        sm_buf_printf(out, "</td><td class=\"n\">%s</td>", n);
        sm_show_count(n, sm_json_int(r, "rejected"));
        if (dataset)
            sm_buf_printf(out, "<td class=\"n\">%s</td>", n);
        sm_buf_printf(out, "<td class=\"n\">%s</td></tr>\n", bytes);
    }
    sm_buf_puts(out, "</table></section>\n");
}

/* "gopher_min_words 20, gopher_max_words 1000000, ..." */
static void put_parameters(sm_buf *out, const json_t *parameters)
{
    const char *key;
    json_t *v;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)parameters, key, v)
    {
        sm_buf text = {0};
        sm_json_canonical(&text, v, NULL);
        sm_buf_puts(out, first ? "" : ", ");
        sm_html_put(out, key);
        sm_buf_putc(out, ' ');
        if (text.data)
            sm_html_put(out, text.data);
        sm_buf_free(&text);
        first = false;
    }
}

static void put_steps(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *s;
    const json_t *steps = json_object_get(summary, "steps");
    if (json_array_size(steps) == 0)
        return;
    sm_buf_puts(
        out, "<div class=\"grid2\"><section class=\"card\"><h2>Documents left after each "
             "step</h2>\n");
    sm_svg_steps(out, summary);
    sm_buf_puts(out,
                "</section><section class=\"card\"><h2>Reasons for rejection</h2>\n");
    sm_svg_reasons(out, json_object_get(summary, "reasons"));
    sm_buf_puts(out, "</section></div>\n<section class=\"card\"><h2>Steps</h2><table><tr>"
                     "<th>step</th><th>does</th><th class=\"n\">removed</th>"
                     "<th class=\"n\">changed</th><th>parameters</th></tr>\n");
    json_array_foreach((json_t *)(uintptr_t)steps, i, s)
    {
        char n[32];
        sm_buf_puts(out, "<tr><td>");
        sm_html_put(out, sm_json_text(s, "step"));
        sm_buf_puts(out, "</td><td>");
        sm_html_put(out, sm_json_text(s, "does"));
        sm_show_count(n, sm_json_int(s, "removed"));
        sm_buf_printf(out, "</td><td class=\"n\">%s</td>", n);
        sm_show_count(n, sm_json_int(s, "changed"));
        sm_buf_printf(out, "<td class=\"n\">%s</td><td class=\"w\"><small>", n);
        put_parameters(out, json_object_get(s, "parameters"));
        sm_buf_puts(out, "</small></td></tr>\n");
    }
    sm_buf_puts(out, "</table></section>\n");
}

static void put_sample(sm_buf *out, const json_t *s, bool open)
{
    char bytes[24];
    sm_show_bytes(bytes, sm_json_int(s, "bytes"));
    sm_buf_printf(out, "<details%s><summary>", open ? " open" : "");
    if (*sm_json_text(s, "reason")) {
        sm_buf_puts(out, "<span class=\"why\">");
        sm_html_put(out, sm_json_text(s, "reason"));
        sm_buf_puts(out, "</span> ");
    }
    const char *title = sm_json_text(s, "title");
    sm_html_put(out, *title ? title : sm_json_text(s, "path"));
    sm_buf_puts(out, " <small>");
    sm_html_put(out, sm_json_text(s, "package"));
    sm_buf_printf(out, " · %s · ", bytes);
    sm_html_put(out, sm_json_text(s, "licence"));
    sm_buf_puts(out, "</small></summary>\n<small>");
    sm_html_put(out, sm_json_text(s, "path"));
    if (*sm_json_text(s, "detail")) {
        sm_buf_puts(out, "<br>");
        sm_html_put(out, sm_json_text(s, "detail"));
    }
    sm_buf_puts(out, "</small><pre>");
    sm_html_put(out, sm_json_text(s, "text"));
    sm_buf_puts(out, "</pre></details>\n");
}

static void put_samples(sm_buf *out, const json_t *summary, const char *which,
                        const char *title)
{
    size_t i;
    json_t *s;
    const json_t *list = json_object_get(json_object_get(summary, "samples"), which);
    if (json_array_size(list) == 0)
        return;
    sm_buf_printf(out, "<section class=\"card\"><h2>%s</h2>\n", title);
    json_array_foreach((json_t *)(uintptr_t)list, i, s)
    {
        put_sample(out, s, i == 0);
    }
    sm_buf_puts(out, "</section>\n");
}

static void put_pairs(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *p;
    const json_t *pairs = json_object_get(summary, "near_duplicates");
    if (json_array_size(pairs) == 0)
        return;
    sm_buf_puts(out,
                "<section class=\"card\"><h2>Near-duplicates, some pairs</h2><table><tr>"
                "<th>kept</th><th>removed</th><th class=\"n\">similarity</th></tr>\n");
    json_array_foreach((json_t *)(uintptr_t)pairs, i, p)
    {
        if (i == 10)
            break;
        sm_buf_puts(out, "<tr><td class=\"w\">");
        sm_html_put(out, sm_json_text(p, "kept"));
        sm_buf_puts(out, "</td><td class=\"w\">");
        sm_html_put(out, sm_json_text(p, "removed"));
        sm_buf_printf(out, "</td><td class=\"n\">%.2f</td></tr>\n",
                      json_number_value(json_object_get(p, "estimate")));
    }
    sm_buf_puts(out, "</table></section>\n");
}

static void put_skipped(sm_buf *out, const json_t *summary)
{
    const char *why;
    json_t *n;
    const json_t *skipped = json_object_get(summary, "skipped");
    if (json_object_size(skipped) == 0)
        return;
    sm_buf_puts(out, "<section class=\"card\"><h2>Files left out</h2><table>\n");
    json_object_foreach((json_t *)(uintptr_t)skipped, why, n)
    {
        char count[32];
        sm_show_count(count, json_integer_value(n));
        sm_buf_puts(out, "<tr><td>");
        sm_html_put(out, why);
        sm_buf_printf(out, "</td><td class=\"n\">%s</td></tr>\n", count);
    }
    sm_buf_puts(out, "</table></section>\n");
}

static void put_errors(sm_buf *out, const json_t *summary)
{
    enum { MOST = 20 };
    size_t i;
    json_t *e;
    const json_t *errors = json_object_get(summary, "errors");
    if (json_array_size(errors) == 0)
        return;
    sm_buf_puts(out, "<section class=\"card\"><h2>Could not be read</h2><table>\n");
    json_array_foreach((json_t *)(uintptr_t)errors, i, e)
    {
        if (i == MOST)
            break;
        sm_buf_puts(out, "<tr><td class=\"w\">");
        sm_html_put(out, json_string_value(json_array_get(e, 0)));
        sm_buf_puts(out, "</td><td class=\"w\">");
        sm_html_put(out, json_string_value(json_array_get(e, 1)));
        sm_buf_puts(out, "</td></tr>\n");
    }
    int64_t more = sm_json_int(summary, "n_errors") - (int64_t)i;
    if (more > 0)
        sm_buf_printf(out, "<tr><td>… and %lld more</td></tr>\n", (long long)more);
    sm_buf_puts(out, "</table></section>\n");
}

bool sm_show_html(sm_buf *out, const json_t *summary)
{
    sm_buf_puts(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    sm_html_put(out, sm_json_text(summary, "name"));
    sm_buf_printf(out, " · smelt data</title><style>%s</style></head><body><main>\n<h1>",
                  style);
    sm_html_put(out, sm_json_text(summary, "name"));
    sm_buf_puts(out, "</h1><p class=\"sub\">");
    sm_html_put(out, sm_json_text(summary, "kind"));
    if (*sm_json_text(summary, "preset")) {
        sm_buf_puts(out, ", preset ");
        sm_html_put(out, sm_json_text(summary, "preset"));
    }
    sm_buf_puts(out, "</p>\n");
    put_tiles(out, summary);
    put_lengths(out, summary);
    put_steps(out, summary);
    sm_buf_puts(out, "<div class=\"grid2\">\n");
    put_table(out, summary, "packages", "Packages", 20);
    put_table(out, summary, "licences", "Licences", 20);
    put_table(out, summary, "languages", "Languages", 12);
    put_table(out, summary, "formats", "Formats", 12);
    put_skipped(out, summary);
    sm_buf_puts(out, "</div>\n");
    put_errors(out, summary);
    put_pairs(out, summary);
    put_samples(out, summary, "kept", "Samples, kept");
    put_samples(out, summary, "rejected", "Samples, rejected");
    sm_buf_puts(out, "</main></body></html>\n");
    return !out->failed;
}
