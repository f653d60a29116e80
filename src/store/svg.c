/* SPDX-License-Identifier: Apache-2.0 */
/* A lineage graph as a picture: sources on the left, the artifact asked for on the right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

enum { BOX_W = 224, BOX_H = 66, GAP_X = 64, GAP_Y = 22, MARGIN = 20, CHARS = 27 };

static const char style[] =
    "<style>"
    ".lin{font:12px system-ui,sans-serif;background:#fff}"
    ".lin .box{fill:#f8fafc;stroke:#cbd5e1}"
    ".lin .ref{font-weight:600;font-size:13.5px;fill:#0f172a}"
    ".lin .sub{fill:#475569}"
    ".lin .id{font-family:ui-monospace,monospace;font-size:11px;fill:#64748b}"
    ".lin .edge{fill:none;stroke:#94a3b8;stroke-width:1.5}"
    ".lin .head{fill:#94a3b8}"
    "@media (prefers-color-scheme:dark){"
    ".lin{background:#0f172a}.lin .box{fill:#1e293b;stroke:#475569}"
    ".lin .ref{fill:#f1f5f9}.lin .sub{fill:#cbd5e1}.lin .id{fill:#94a3b8}}"
    "</style>\n";

static const char *colour_of(const char *kind)
{
    static const struct {
        const char *kind, *colour;
    } table[] = {
        {"source", "#64748b"},  {"dataset", "#0284c7"},   {"labels", "#0891b2"},
        {"index", "#0d9488"},   {"tokenizer", "#7c3aed"}, {"checkpoint", "#ca8a04"},
        {"model", "#dc2626"},   {"adapter", "#e11d48"},   {"evaluation", "#16a34a"},
        {"redteam", "#b91c1c"}, {"release", "#ea580c"},   {"rollout", "#d97706"},
        {"missing", "#e2e8f0"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(kind, table[i].kind))
            return table[i].colour;
    return "#475569";
}

/* Text content or attribute value; at most `max` characters, then an ellipsis.  XML has
 * no way to write control characters. */
static void put_xml(sm_buf *out, const char *text, size_t max)
{
    size_t n = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xc0) != 0x80 && n++ == max) {
            sm_buf_puts(out, "…");
            return;
        }
        switch (c) {
        case '&':
            sm_buf_puts(out, "&amp;");
            break;
        case '<':
            sm_buf_puts(out, "&lt;");
            break;
        case '>':
            sm_buf_puts(out, "&gt;");
            break;
        case '"':
            sm_buf_puts(out, "&quot;");
            break;
        case '\'':
            sm_buf_puts(out, "&#39;");
            break;
        default:
            sm_buf_putc(out, c < 32 || c == 127 ? '?' : (char)c);
        }
    }
}

static int left_of(const layout_item *it)
{
    return MARGIN + (int)it->layer * (BOX_W + GAP_X);
}

/* Each segment leaves the right side of one column and enters the left of the next; a
 * bend is a straight line through its column. */
static void put_segment(sm_buf *out, const layout *l, size_t k)
{
    const layout_item *a = &l->item[l->segment[k][0]], *b = &l->item[l->segment[k][1]];
    int x0 = left_of(a) + BOX_W, x1 = left_of(b), mid = (x0 + x1) / 2;
    int y0 = a->y + MARGIN, y1 = b->y + MARGIN;
    if (a->node == SIZE_MAX)
        sm_buf_printf(out, "<path class=\"edge\" d=\"M%d %dH%d", x0 - BOX_W, y0, x0);
    else
        sm_buf_printf(out, "<path class=\"edge\" d=\"M%d %d", x0, y0);
    bool is_end = b->node != SIZE_MAX;
    sm_buf_printf(out, "C%d %d %d %d %d %d\"/>\n", mid, y0, mid, y1, is_end ? x1 - 6 : x1,
                  y1);
    if (is_end)
        sm_buf_printf(out, "<path class=\"head\" d=\"M%d %dl-8 -4.5v9z\"/>\n", x1, y1);
}

static void put_tooltip(sm_buf *out, const graph_node *n)
{
    static const char *const keys[] = {"content", "recipe", "made"};
    sm_buf_puts(out, "<title>");
    put_xml(out, *n->ref ? n->ref : n->kind, 200);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = json_string_value(json_object_get(n->json, keys[i]));
        sm_buf_printf(out, "\n%s ", keys[i]);
        put_xml(out, text ? text : "", 200);
    }
    sm_buf_puts(out, "</title>");
}

static void put_box(sm_buf *out, const graph_node *n, const layout_item *it)
{
    char size[32];
    int x = left_of(it), y = it->y + MARGIN - BOX_H / 2;
    graph_size(size, n->bytes);
    sm_buf_puts(out, "<g class=\"node\" data-id=\"");
    put_xml(out, n->id, 64);
    sm_buf_puts(out, "\">");
    put_tooltip(out, n);
    sm_buf_printf(
        out,
        "<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\""
        "/><rect x=\"%d\" y=\"%d\" width=\"5\" height=\"%d\" rx=\"2.5\""
        " fill=\"%s\"/>",
        x, y, BOX_W, BOX_H, x + 6, y + 9, BOX_H - 18, colour_of(n->kind));
    sm_buf_printf(out, "<text class=\"ref\" x=\"%d\" y=\"%d\">", x + 20, y + 22);
    put_xml(out, *n->ref ? n->ref : n->kind, CHARS - 3);
    sm_buf_printf(out, "</text><text class=\"sub\" x=\"%d\" y=\"%d\">", x + 20, y + 39);
    put_xml(out, n->kind, 12);
    if (*n->step) {
        sm_buf_puts(out, " · ");
        put_xml(out, n->step, CHARS - 9);
    }
    sm_buf_printf(out, "</text><text class=\"id\" x=\"%d\" y=\"%d\">", x + 20, y + 55);
    put_xml(out, n->shown, 12);
    sm_buf_printf(out, " · %s</text></g>\n", size);
}

static void put_svg(sm_buf *out, const graph *g, const layout *l)
{
    int width = 2 * MARGIN + (int)l->n_layer * (BOX_W + GAP_X) - GAP_X;
    int height = 2 * MARGIN + l->height;
    const graph_node *last = &g->node[g->n_node - 1];
    sm_buf_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lin\" role=\"img\" "
                  "width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n<title>Lineage of ",
                  width, height, width, height);
    put_xml(out, *last->ref ? last->ref : last->shown, 200);
    sm_buf_puts(out, "</title>\n");
    sm_buf_puts(out, style);
    for (size_t k = 0; k < l->n_segment; k++)
        put_segment(out, l, k);
    for (size_t i = 0; i < g->n_node; i++)
        put_box(out, &g->node[i], &l->item[i]);
    sm_buf_puts(out, "</svg>\n");
}

sm_status sm_lineage_svg(sm_buf *out, const json_t *json, sm_err *err)
{
    graph g = {0};
    layout l = {0};
    sm_status st = graph_read(&g, json, err);
    if (!st)
        st = layout_make(&l, &g, BOX_H, GAP_Y, err);
    if (!st) {
        put_svg(out, &g, &l);
        st = out->failed ? store_nomem(err) : SM_OK;
    }
    layout_free(&l);
    graph_free(&g);
    return st;
}
