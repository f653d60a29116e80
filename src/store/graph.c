/* SPDX-License-Identifier: Apache-2.0 */
/* A lineage graph in text: a tree for the terminal, and DOT for Graphviz. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

static bool index_of(size_t *out, const graph *g, const char *id)
{
    for (size_t i = 0; i < g->n_node; i++) {
        if (id && !strcmp(g->node[i].id, id)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool has_edge(const graph *g, size_t from, size_t to)
{
    for (size_t i = 0; i < g->n_edge; i++)
        if (g->edge[i][0] == from && g->edge[i][1] == to)
            return true;
    return false;
}

static void read_node(graph_node *n, const json_t *json)
{
    const char *ref = json_string_value(json_array_get(json_object_get(json, "refs"), 0));
    const char *content = sm_json_text(json, "content");
    *n = (graph_node){.json = json,
                      .id = sm_json_text(json, "id"),
                      .shown = *content ? content : sm_json_text(json, "id"),
                      .kind = sm_json_text(json, "kind"),
                      .step = sm_json_text(json, "step"),
                      .ref = ref ? ref : "",
                      .bytes = json_integer_value(json_object_get(json, "bytes"))};
}

sm_status graph_read(graph *out, const json_t *json, sm_err *err)
{
    const json_t *nodes = json_object_get(json, "nodes");
    const json_t *edges = json_object_get(json, "edges");
    graph g = {0};
    sm_status st = SM_OK;
    size_t n = json_array_size(nodes), m = json_array_size(edges);
    if (n == 0)
        return sm_fail(err, SM_EINVAL, "lineage: got a graph without nodes");
    g.node = sm_alloc(n, sizeof *g.node);
    g.edge = sm_alloc(m ? m : 1, sizeof *g.edge);
    if (!g.node || !g.edge)
        st = store_nomem(err);
    for (size_t i = 0; i < n && !st; i++)
        read_node(&g.node[g.n_node++], json_array_get(nodes, i));
    for (size_t i = 0; i < m && !st; i++) {
        const json_t *e = json_array_get(edges, i);
        size_t from, to;
        /* inputs come first: so the graph has no cycle */
        if (!index_of(&from, &g, json_string_value(json_array_get(e, 0))) ||
            !index_of(&to, &g, json_string_value(json_array_get(e, 1))) || from >= to) {
            st = sm_fail(err, SM_EINVAL, "lineage: edges[%zu]: want [input, result]", i);
        } else if (!has_edge(&g, from, to)) {
            g.edge[g.n_edge][0] = from;
            g.edge[g.n_edge++][1] = to;
        }
    }
    if (st)
        graph_free(&g);
    else
        *out = g;
    return st;
}

void graph_free(graph *g)
{
    free(g->node);
    free(g->edge);
    *g = (graph){0};
}

void graph_size(char out[32], int64_t bytes)
{
    static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB"};
    int64_t tenths = bytes < 0 ? 0 : bytes / 100; /* of kB */
    size_t u = 0;
    if (bytes < 1000) {
        snprintf(out, 32, "%lld B", (long long)bytes);
        return;
    }
    for (; tenths >= 10000 && u < 4; u++)
        tenths /= 1000;
    snprintf(out, 32, "%lld.%lld %s", (long long)(tenths / 10), (long long)(tenths % 10),
             unit[u]);
}

/* ----------------------------------------------------------------------- tree */

typedef struct tree {
    const graph *g;
    sm_buf *out;
    sm_buf indent;
    bool *shown;
} tree;

/* Control characters would move the terminal's cursor. */
static void put_plain(sm_buf *out, const char *text)
{
    for (; *text; text++)
        sm_buf_putc(out, (unsigned char)*text < 32 || *text == 127 ? '?' : *text);
}

static void tree_line(tree *t, size_t i)
{
    char size[32];
    const graph_node *n = &t->g->node[i];
    graph_size(size, n->bytes);
    put_plain(t->out, *n->ref ? n->ref : n->kind);
    sm_buf_puts(t->out, "  ");
    put_plain(t->out, n->kind);
    sm_buf_printf(t->out, "  %.12s", n->shown);
    if (strcmp(n->kind, "missing") != 0) {
        sm_buf_printf(t->out, "  %s  ", size);
        put_plain(t->out, n->step);
    }
    if (t->shown[i] && *n->step)
        sm_buf_puts(t->out, "  (above)");
    sm_buf_putc(t->out, '\n');
}

static size_t n_inputs(const graph *g, size_t i)
{
    size_t n = 0;
    for (size_t e = 0; e < g->n_edge; e++)
        n += g->edge[e][1] == i;
    return n;
}

static void tree_node(tree *t, size_t i)
{
    size_t left = n_inputs(t->g, i), keep = t->indent.len;
    bool was_shown = t->shown[i];
    tree_line(t, i);
    t->shown[i] = true;
    for (size_t e = 0; e < t->g->n_edge && !was_shown; e++) {
        if (t->g->edge[e][1] != i)
            continue;
        left--;
        sm_buf_put(t->out, t->indent.data, t->indent.len);
        sm_buf_puts(t->out, left ? "├─ " : "└─ ");
        sm_buf_puts(&t->indent, left ? "│  " : "   ");
        tree_node(t, t->g->edge[e][0]);
        t->indent.len = keep;
    }
}

sm_status sm_lineage_tree(sm_buf *out, const json_t *json, sm_err *err)
{
    graph g = {0};
    sm_status st = graph_read(&g, json, err);
    if (st)
        return st;
    tree t = {.g = &g, .out = out, .shown = sm_alloc(g.n_node, sizeof(bool))};
    sm_buf_puts(&t.indent, "");
    if (t.shown)
        tree_node(&t, g.n_node - 1);
    if (!t.shown || out->failed || t.indent.failed)
        st = store_nomem(err);
    sm_buf_free(&t.indent);
    free(t.shown);
    graph_free(&g);
    return st;
}

/* ------------------------------------------------------------------------ DOT */

static void put_dot(sm_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            sm_buf_putc(out, '\\');
        sm_buf_putc(out, (unsigned char)*text < 32 ? ' ' : *text);
    }
}

static void dot_node(sm_buf *out, const graph_node *n, size_t i)
{
    char size[32];
    graph_size(size, n->bytes);
    sm_buf_printf(out, "  n%zu [label=\"", i);
    put_dot(out, *n->ref ? n->ref : n->kind);
    sm_buf_puts(out, "\\n");
    put_dot(out, n->kind);
    sm_buf_puts(out, " | ");
    put_dot(out, n->step);
    sm_buf_printf(out, "\\n%.12s | %s\", tooltip=\"", n->shown, size);
    put_dot(out, n->shown);
    sm_buf_puts(out, "\"];\n");
}

sm_status sm_lineage_dot(sm_buf *out, const json_t *json, sm_err *err)
{
    graph g = {0};
    sm_status st = graph_read(&g, json, err);
    if (st)
        return st;
    sm_buf_puts(out, "digraph lineage {\n  rankdir=LR;\n"
                     "  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for (size_t i = 0; i < g.n_node; i++)
        dot_node(out, &g.node[i], i);
    for (size_t i = 0; i < g.n_edge; i++)
        sm_buf_printf(out, "  n%zu -> n%zu;\n", g.edge[i][0], g.edge[i][1]);
    sm_buf_puts(out, "}\n");
    graph_free(&g);
    return out->failed ? store_nomem(err) : SM_OK;
}
