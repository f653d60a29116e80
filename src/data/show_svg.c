/* SPDX-License-Identifier: Apache-2.0 */
/* Drawings of the page: plain SVG with titles for the pointer, coloured by CSS classes. */
#include <stdio.h>
#include <string.h>

#include "show.h"

#define N_LENGTHS 26
#define MAX_PARTS 3

static int64_t length_at(const json_t *part, int i)
{
    return json_integer_value(
        json_array_get(json_object_get(part, "lengths"), (size_t)i));
}

/* "64 B", "1 kB": the lower bound of a class; classes are powers of two. */
static void class_name(char out[32], int class)
{
    int64_t low = class == 0 ? 0 : (int64_t)1 << (class + 5);
    if (low < 1024)
        snprintf(out, 32, "%lld B", (long long)low);
    else if (low < 1 << 20)
        snprintf(out, 32, "%lld K", (long long)(low >> 10));
    else
        snprintf(out, 32, "%lld M", (long long)(low >> 20));
}

/* The classes that any part uses: [*from, *to). */
static void used_classes(const json_t *parts, int *from, int *to, int64_t *most)
{
    *from = N_LENGTHS;
    *to = 0;
    *most = 1;
    for (int i = 0; i < N_LENGTHS; i++) {
        int64_t total = 0;
        for (size_t k = 0; k < json_array_size(parts); k++)
            total += length_at(json_array_get(parts, k), i);
        if (total > *most)
            *most = total;
        if (total > 0 && *from == N_LENGTHS)
            *from = i;
        if (total > 0)
            *to = i + 1;
    }
}

/* A round step (1, 2 or 5 times a power of ten) with at most five of them below `most`. */
static int64_t tick_step(int64_t most)
{
    static const int factor[] = {1, 2, 5};
    for (int64_t power = 1;; power *= 10)
        for (int i = 0; i < 3; i++)
            if (factor[i] * power * 5 >= most)
                return factor[i] * power;
}

bool sm_svg_lengths(sm_buf *out, const json_t *parts)
{
    int from, to;
    int64_t most;
    used_classes(parts, &from, &to, &most);
    if (from >= to)
        return sm_buf_puts(out, "<p>no documents</p>\n");
    double width = 1040, left = 56, bottom = 220, height = 200;
    double step = (width - left) / (to - from);
    sm_buf_printf(
        out,
        "<svg viewBox=\"0 0 %.0f 262\" role=\"img\" aria-label=\"histogram of document "
        "lengths\">\n",
        width);
    for (int64_t t = 0; t <= most; t += tick_step(most)) {
        char label[32];
        double y = bottom - height * (double)t / (double)most;
        sm_show_count(label, t);
        sm_buf_printf(
            out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
            left, width, y, y);
        sm_buf_printf(
            out,
            "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            left - 6, y + 4, label);
    }
    for (int i = from; i < to; i++) {
        char name[32];
        double x = left + step * (i - from), y = bottom;
        class_name(name, i);
        for (size_t k = 0; k < json_array_size(parts) && k < MAX_PARTS; k++) {
            const json_t *part = json_array_get(parts, k);
            int64_t n = length_at(part, i);
            double h = height * (double)n / (double)most;
            y -= h;
            if (n > 0)
                sm_buf_printf(out,
                              "<rect class=\"c%zu\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" "
                              "height=\"%.2f\"><title>%s, from %s: %lld</title></rect>",
                              k, x + 2, y, step - 4, h, sm_json_text(part, "name"), name,
                              (long long)n);
        }
        sm_buf_printf(out,
                      "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
                      "text-anchor=\"middle\">%s</text>\n",
                      x + step / 2, bottom + 18, name);
    }
    sm_buf_printf(
        out,
        "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">bytes of "
        "text, from (classes are powers of two)</text>\n</svg>\n",
        left + (width - left) / 2, bottom + 38);
    return !out->failed;
}

/* Horizontal bars: name at the left, bar, figure at its end. */
static void bar(sm_buf *out, int row, const char *name, int64_t n, int64_t most,
                int class)
{
    char figure[32];
    double y = 6 + 24.0 * row, w = most ? 230.0 * (double)n / (double)most : 0;
    sm_show_count(figure, n);
    sm_buf_printf(out, "<text class=\"name\" x=\"192\" y=\"%.1f\" text-anchor=\"end\">",
                  y + 14);
    sm_html_put(out, name);
    sm_buf_printf(
        out,
        "</text><rect class=\"c%d\" x=\"200\" y=\"%.1f\" width=\"%.1f\" height=\"18\" "
        "rx=\"2\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
        class, y, w < 1.5 && n > 0 ? 1.5 : w, 207 + w, y + 13, figure);
}

static void open_bars(sm_buf *out, size_t n, const char *label)
{
    sm_buf_printf(out, "<svg viewBox=\"0 0 490 %zu\" role=\"img\" aria-label=\"%s\">\n",
                  12 + 24 * n, label);
}

bool sm_svg_reasons(sm_buf *out, const json_t *reasons)
{
    size_t n = json_array_size(reasons);
    if (n == 0)
        return sm_buf_puts(out, "<p>nothing was rejected</p>\n");
    if (n > 24)
        n = 24;
    int64_t most = sm_json_int(json_array_get(reasons, 0), "documents");
    open_bars(out, n, "documents rejected by reason");
    for (size_t i = 0; i < n; i++) {
        const json_t *r = json_array_get(reasons, i);
        bar(out, (int)i, sm_json_text(r, "name"), sm_json_int(r, "documents"), most, 2);
    }
    return sm_buf_puts(out, "</svg>\n");
}

/* Documents left after each step. */
bool sm_svg_steps(sm_buf *out, const json_t *summary)
{
    const json_t *steps = json_object_get(summary, "steps");
    size_t n = json_array_size(steps), i;
    int64_t left = 0;
    json_t *p;
    json_array_foreach(json_object_get(summary, "parts"), i, p)
    {
        left += sm_json_int(p, "documents");
    }
    int64_t most = left;
    open_bars(out, n + 1, "documents left after each step");
    bar(out, 0, "read", left, most, 0);
    for (i = 0; i < n; i++) {
        const json_t *s = json_array_get(steps, i);
        left -= sm_json_int(s, "removed");
        bar(out, (int)i + 1, sm_json_text(s, "step"), left, most, 0);
    }
    return sm_buf_puts(out, "</svg>\n");
}
