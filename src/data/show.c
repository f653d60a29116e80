/* SPDX-License-Identifier: Apache-2.0 */
/* `data show`: the summary as text for a terminal; the entry point. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

const sm_option sm_data_show_options[] = {
    {.key = "n_samples",
     .type = SM_OPT_INT,
     .def = "5",
     .min = 0,
     .max = 100,
     .help = "documents to show of each part",
     .affects_result = false},
    {.key = "seed",
     .type = SM_OPT_INT,
     .def = "1",
     .min = 0,
     .max = 2147483647,
     .help = "another seed shows other samples",
     .affects_result = false},
    {.key = "reason",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "show rejected samples of this reason only",
     .affects_result = false},
    SM_OPTION_END};

void sm_show_bytes(char out[24], int64_t bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1000 && u < 4) {
        v /= 1000;
        u++;
    }
    snprintf(out, 24, u == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, unit[u]);
}

void sm_show_count(char out[32], int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), to = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
}

static void put_parts(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(summary, "parts"), i, p)
    {
        char n[32], bytes[24];
        sm_show_count(n, sm_json_int(p, "documents"));
        sm_show_bytes(bytes, sm_json_int(p, "bytes"));
        sm_buf_printf(out, "%-12s %10s documents %10s\n", sm_json_text(p, "name"), n,
                      bytes);
    }
}

static void put_steps(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *s;
    const json_t *steps = json_object_get(summary, "steps");
    if (json_array_size(steps) == 0)
        return;
    sm_buf_printf(out, "\nsteps (preset %s)%18s %9s\n", sm_json_text(summary, "preset"),
                  "removed", "changed");
    json_array_foreach((json_t *)(uintptr_t)steps, i, s)
    {
        char removed[32], changed[32];
        sm_show_count(removed, sm_json_int(s, "removed"));
        sm_show_count(changed, sm_json_int(s, "changed"));
        sm_buf_printf(out, "  %-28s %9s %9s\n", sm_json_text(s, "step"), removed,
                      changed);
    }
}

static void put_reasons(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *r;
    const json_t *reasons = json_object_get(summary, "reasons");
    if (json_array_size(reasons) == 0)
        return;
    sm_buf_puts(out, "\nreasons                        documents      bytes\n");
    json_array_foreach((json_t *)(uintptr_t)reasons, i, r)
    {
        char n[32], bytes[24];
        sm_show_count(n, sm_json_int(r, "documents"));
        sm_show_bytes(bytes, sm_json_int(r, "bytes"));
        sm_buf_printf(out, "  %-28s %9s %10s\n", sm_json_text(r, "name"), n, bytes);
    }
}

static void put_table(sm_buf *out, const json_t *summary, const char *key, size_t most)
{
    size_t i;
    json_t *r;
    const json_t *rows = json_object_get(summary, key);
    if (json_array_size(rows) == 0)
        return;
    sm_buf_printf(out, "\n%-30s %9s %9s %10s\n", key, "kept", "rejected", "kept bytes");
    json_array_foreach((json_t *)(uintptr_t)rows, i, r)
    {
        char kept[32], rejected[32], bytes[24];
        if (i == most) {
            sm_buf_printf(out, "  ... and %zu more\n", json_array_size(rows) - most);
            break;
        }
        sm_show_count(kept, sm_json_int(r, "kept"));
        sm_show_count(rejected, sm_json_int(r, "rejected"));
        sm_show_bytes(bytes, sm_json_int(r, "bytes"));
        sm_buf_printf(out, "  %-28.60s %9s %9s %10s\n", sm_json_text(r, "name"), kept,
                      rejected, bytes);
    }
}

/* The first lines of a sample, indented. */
static void put_sample(sm_buf *out, const json_t *s)
{
    char bytes[24];
    sm_show_bytes(bytes, sm_json_int(s, "bytes"));
    sm_buf_printf(out, "\n  %s  (%s, %s, %s)\n", sm_json_text(s, "path"), bytes,
                  sm_json_text(s, "lang"), sm_json_text(s, "licence"));
    if (*sm_json_text(s, "reason"))
        sm_buf_printf(out, "  reason: %s: %s\n", sm_json_text(s, "reason"),
                      sm_json_text(s, "detail"));
    const char *p = sm_json_text(s, "text");
    for (int line = 0; line < 6 && *p; line++) {
        size_t n = strcspn(p, "\n"), shown = n < 84 ? n : 84;
        while (shown > 0 && shown < n && ((unsigned char)p[shown] & 0xc0) == 0x80)
            shown--;
        sm_buf_puts(out, "    | ");
        sm_buf_put(out, p, shown);
        sm_buf_putc(out, '\n');
        p += n + (p[n] == '\n');
    }
}

static void put_samples(sm_buf *out, const json_t *summary, const char *which)
{
    size_t i;
    json_t *s;
    const json_t *list = json_object_get(json_object_get(summary, "samples"), which);
    if (json_array_size(list) == 0)
        return;
    sm_buf_printf(out, "\nsamples, %s\n", which);
    json_array_foreach((json_t *)(uintptr_t)list, i, s)
    {
        put_sample(out, s);
    }
}

static void put_skipped(sm_buf *out, const json_t *summary)
{
    const char *why;
    json_t *n;
    const json_t *skipped = json_object_get(summary, "skipped");
    if (json_object_size(skipped) == 0)
        return;
    sm_buf_puts(out, "\nfiles left out\n");
    json_object_foreach((json_t *)(uintptr_t)skipped, why, n)
    {
        sm_buf_printf(out, "  %-28s %9lld\n", why, (long long)json_integer_value(n));
    }
}

static void put_errors(sm_buf *out, const json_t *summary)
{
    size_t i;
    json_t *e;
    const json_t *errors = json_object_get(summary, "errors");
    if (json_array_size(errors) == 0)
        return;
    sm_buf_puts(out, "\ncould not be read\n");
    json_array_foreach((json_t *)(uintptr_t)errors, i, e)
    {
        sm_buf_printf(out, "  %s: %s\n", json_string_value(json_array_get(e, 0)),
                      json_string_value(json_array_get(e, 1)));
    }
    int64_t more = sm_json_int(summary, "n_errors") - (int64_t)i;
    if (more > 0)
        sm_buf_printf(out, "  ... and %lld more\n", (long long)more);
}

static void put_summary(sm_buf *out, const json_t *summary)
{
    sm_buf_printf(out, "%s: %s\n\n", sm_json_text(summary, "kind"),
                  sm_json_text(summary, "name"));
    put_parts(out, summary);
    put_steps(out, summary);
    put_reasons(out, summary);
    put_skipped(out, summary);
    put_errors(out, summary);
    put_table(out, summary, "packages", 25);
    put_table(out, summary, "licences", 15);
    put_table(out, summary, "languages", 10);
    put_table(out, summary, "formats", 10);
    put_samples(out, summary, "kept");
    put_samples(out, summary, "rejected");
}

/* Names, paths and samples are whatever the documents' authors wrote. */
static bool put_text(sm_buf *out, const json_t *summary)
{
    sm_buf text = {0};
    put_summary(&text, summary);
    bool ok = !text.failed && sm_utf8_put_printable(out, text.data, text.len);
    sm_buf_free(&text);
    return ok;
}

sm_status sm_data_show(sm_buf *out, const sm_ctx *ctx, const sm_data_files *files,
                       sm_data_form form, const json_t *options, sm_err *err)
{
    json_t *summary = NULL;
    sm_status s = sm_show_gather(&summary, ctx, files, options, err);
    if (s)
        return s;
    bool ok = true;
    if (form == SM_DATA_JSON)
        s = sm_json_pretty(out, summary, err);
    else
        ok = form == SM_DATA_HTML ? sm_show_html(out, summary) : put_text(out, summary);
    if (!ok)
        s = sm_fail(err, SM_ENOMEM, "data show: out of memory");
    json_decref(summary);
    return s;
}
