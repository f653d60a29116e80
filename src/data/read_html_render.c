/* SPDX-License-Identifier: Apache-2.0 */
/**
 * From the HTML tree to text.  Both passes visit nodes in document order without recursion;
 * pass 1 measures subtrees, pass 2 writes.
 */
#include <stdlib.h>
#include <string.h>

#include "read_html.h"

enum { CELL_TEXT_MAX = 1500, LIST_TENTHS = 8, BLOCK_TENTHS = 6 };

static const GumboVector *children(const GumboNode *node)
{
    switch (node->type) {
    case GUMBO_NODE_DOCUMENT:
        return &node->v.document.children;
    case GUMBO_NODE_ELEMENT:
    case GUMBO_NODE_TEMPLATE:
        return &node->v.element.children;
    default:
        return NULL;
    }
}

static const GumboNode *sibling(const GumboNode *node)
{
    if (!node->parent)
        return NULL;
    const GumboVector *v = children(node->parent);
    size_t next = node->index_within_parent + 1;
    return next < v->length ? v->data[next] : NULL;
}

static const GumboNode *first_child(const GumboNode *node)
{
    const GumboVector *v = children(node);
    return v && v->length ? v->data[0] : NULL;
}

const GumboNode *html_next(const GumboNode *node, const GumboNode *root, bool into)
{
    const GumboNode *next = into ? first_child(node) : NULL;
    while (!next && node && node != root) {
        next = sibling(node);
        node = node->parent;
    }
    return next;
}

/* ------------------------------------------------------------- pass 1: measure */

static uint32_t visible_bytes(const char *s)
{
    uint32_t n = 0;
    for (; *s; s++)
        n += (unsigned char)*s > ' ';
    return n;
}

static bool push_stat(html_stats *out, const GumboNode *node)
{
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 1024;
        html_stat *v = sm_realloc(out->v, cap, sizeof *v);
        if (!v)
            return false;
        out->v = v;
        out->cap = cap;
    }
    html_stat s = {.n_nodes = 1};
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA)
        s.text = visible_bytes(node->v.text.text);
    out->v[out->n++] = s;
    return true;
}

static bool is_block_in_cell(GumboTag tag)
{
    return tag == GUMBO_TAG_TABLE || tag == GUMBO_TAG_PRE || tag == GUMBO_TAG_H1 ||
           tag == GUMBO_TAG_H2 || tag == GUMBO_TAG_H3 || tag == GUMBO_TAG_H4;
}

/* Text of a block that holds no smaller block of prose, when it is prose itself. */
static uint32_t own_prose(const html_stat *s, html_role role)
{
    enum { PROSE_MIN = 40 };
    bool is_block = role != HTML_INLINE && role != HTML_BREAK && role != HTML_HEADING;
    uint32_t plain = s->text - s->link_text;
    return is_block && plain >= PROSE_MIN && plain > s->link_text ? plain : 0;
}

/* Add a finished child to its parent. */
static void fold(html_stat *parent, html_stat *child, const GumboNode *node)
{
    parent->n_nodes += child->n_nodes;
    if (node->type != GUMBO_NODE_ELEMENT) {
        parent->text += child->text;
        return;
    }
    const GumboElement *e = &node->v.element;
    if (html_role_of(e) == HTML_SKIP || html_is_hidden(e))
        return;
    if (e->tag == GUMBO_TAG_A && html_attribute(e, "href")) {
        child->link_text = child->text;
        child->n_links++;
    }
    if (child->prose == 0)
        child->prose = own_prose(child, html_role_of(e));
    parent->text += child->text;
    parent->link_text += child->link_text;
    parent->n_links += child->n_links;
    if (!html_is_chrome(e))
        parent->prose += child->prose;
    bool is_long_cell =
        (e->tag == GUMBO_TAG_TD || e->tag == GUMBO_TAG_TH) && child->text > CELL_TEXT_MAX;
    if (is_block_in_cell(e->tag) || is_long_cell ||
        (child->is_layout && e->tag != GUMBO_TAG_TABLE))
        parent->is_layout = true;
}

bool html_measure(html_stats *out, const GumboNode *root)
{
    /* stack of indices of the open ancestors */
    size_t *open = NULL, n_open = 0, cap_open = 0;
    const GumboNode *node = root;
    bool ok = true;
    while (node && ok) {
        size_t index = out->n;
        ok = push_stat(out, node);
        const GumboNode *child = first_child(node);
        if (ok && child) {
            if (n_open == cap_open) {
                size_t cap = cap_open ? cap_open * 2 : 64,
                       *p = sm_realloc(open, cap, sizeof *p);
                if (!p) {
                    ok = false;
                    break;
                }
                open = p;
                cap_open = cap;
            }
            open[n_open++] = index;
            node = child;
            continue;
        }
        const GumboNode *next = NULL;
        while (ok && node != root && !(next = sibling(node))) {
            fold(&out->v[open[n_open - 1]], &out->v[index], node);
            node = node->parent;
            index = open[--n_open];
        }
        if (ok && node != root)
            fold(&out->v[open[n_open - 1]], &out->v[index], node);
        node = node == root ? NULL : next;
    }
    free(open);
    return ok;
}

/* -------------------------------------------------------------- pass 2: write */

typedef struct renderer {
    doc_writer *w;
    bool main_only;
    int depth;     /* nesting of lists and quotes                     */
    int n_pre;     /* open <pre>                                      */
    int n_cell;    /* open cells of data tables: blocks stay in a row */
    int n_heading; /* open headings                                   */
    int n_row_cell;
    int n_data_table, n_layout; /* open tables of either kind */
} renderer;

/* The edge of a block inside running text. */
static void edge(renderer *x)
{
    if (x->n_cell || x->n_heading) {
        dw_blank(x->w);
        return;
    }
    if (x->n_pre)
        return;
    if (x->n_data_table)
        dw_break(x->w);
    else
        dw_para(x->w);
}

/* A block whose text is nearly all links to elsewhere: a menu, contents, teasers. */
static bool is_link_block(const html_stat *s, const GumboElement *e, html_role role)
{
    if (role == HTML_LIST && e->tag != GUMBO_TAG_DL) /* glossaries link a lot */
        return s->n_links >= 4 && s->link_text >= s->text / 10 * LIST_TENTHS;
    return (role == HTML_BLOCK || role == HTML_TABLE) && s->n_links >= 3 &&
           s->text < 2000 && s->link_text >= s->text / 10 * BLOCK_TENTHS;
}

static bool skips(const renderer *x, const GumboElement *e, const html_stat *s)
{
    html_role role = html_role_of(e);
    if (role == HTML_SKIP || html_is_hidden(e))
        return true;
    if (!x->main_only)
        return false;
    if (html_is_chrome(e))
        return true;
    return is_link_block(s, e, role);
}

static void enter(renderer *x, const GumboElement *e, const html_stat *s)
{
    html_role role = html_role_of(e);
    bool flat = x->n_cell || x->n_heading;
    switch (role) {
    case HTML_HEADING:
        if (!flat && !x->n_pre)
            dw_heading(x->w, (int)(e->tag - GUMBO_TAG_H1) + 1);
        x->n_heading++;
        break;
    case HTML_LIST:
    case HTML_QUOTE:
        edge(x);
        x->depth++;
        if (!flat && !x->n_pre && role == HTML_QUOTE)
            dw_indent(x->w, x->depth);
        break;
    case HTML_ITEM:
    case HTML_TERM:
        if (flat || x->n_pre)
            edge(x);
        else
            dw_item(x->w, x->depth > 0 ? x->depth - 1 : 0);
        break;
    case HTML_DESCRIPTION:
        edge(x);
        break;
    case HTML_PRE:
        edge(x);
        if (!flat && !x->n_pre)
            dw_pre(x->w, true);
        x->n_pre++;
        break;
    case HTML_TABLE:
        edge(x);
        if (s->is_layout && !flat)
            x->n_layout++;
        else
            x->n_data_table++;
        break;
    case HTML_ROW:
        edge(x);
        x->n_row_cell = 0;
        break;
    case HTML_CELL:
        if (x->n_data_table && !x->n_heading && !x->n_pre) {
            if (x->n_row_cell++ > 0) {
                dw_blank(x->w);
                dw_puts(x->w, "|");
                dw_blank(x->w);
            }
            x->n_cell++;
        } else {
            edge(x);
        }
        break;
    case HTML_BREAK:
        if (flat)
            dw_blank(x->w);
        else
            dw_break(x->w);
        break;
    case HTML_BLOCK:
    case HTML_RULE:
        edge(x);
        break;
    default:
        break;
    }
}

static void leave(renderer *x, const GumboElement *e, const html_stat *s)
{
    html_role role = html_role_of(e);
    bool flat = x->n_cell || x->n_heading;
    switch (role) {
    case HTML_HEADING:
        x->n_heading--;
        if (!x->n_cell && !x->n_heading && !x->n_pre) {
            dw_para(x->w);
            dw_indent(x->w, x->depth);
        }
        break;
    case HTML_LIST:
    case HTML_QUOTE:
        x->depth--;
        if (flat || x->n_pre)
            edge(x);
        else
            dw_indent(x->w, x->depth);
        break;
    case HTML_TERM:
        if (!flat && !x->n_pre)
            dw_term_end(x->w);
        else
            edge(x);
        break;
    case HTML_ITEM:
    case HTML_DESCRIPTION:
    case HTML_BLOCK:
        edge(x);
        break;
    case HTML_PRE:
        x->n_pre--;
        if (!flat && !x->n_pre)
            dw_pre(x->w, false);
        edge(x);
        break;
    case HTML_TABLE:
        if (s->is_layout && x->n_layout && !x->n_data_table)
            x->n_layout--;
        else
            x->n_data_table--;
        edge(x);
        break;
    case HTML_ROW:
        edge(x);
        break;
    case HTML_CELL:
        if (x->n_cell)
            x->n_cell--;
        else
            edge(x);
        break;
    default:
        break;
    }
}

static void put_node_text(renderer *x, const GumboNode *node)
{
    const char *s = node->v.text.text;
    dw_text(x->w, s, strlen(s));
}

void html_render(doc_writer *w, const GumboNode *root, const html_stats *stats,
                 bool main_only)
{
    renderer x = {.w = w, .main_only = main_only};
    size_t index = 0, *open = NULL, n_open = 0, cap_open = 0;
    const GumboNode *node = root;
    while (node && index < stats->n) {
        const html_stat *s = &stats->v[index];
        bool into = true;
        if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA ||
            node->type == GUMBO_NODE_WHITESPACE) {
            put_node_text(&x, node);
        } else if (node->type == GUMBO_NODE_ELEMENT) {
            into = node == root || !skips(&x, &node->v.element, s);
            if (into)
                enter(&x, &node->v.element, s);
        } else {
            into = node->type == GUMBO_NODE_DOCUMENT;
        }
        const GumboNode *child = into ? first_child(node) : NULL;
        if (child) {
            if (n_open == cap_open) {
                size_t cap = cap_open ? cap_open * 2 : 64,
                       *p = sm_realloc(open, cap, sizeof *p);
                if (!p) {
                    w->has_failed = true;
                    break;
                }
                open = p;
                cap_open = cap;
            }
            open[n_open++] = index;
            index++;
            node = child;
            continue;
        }
        if (into && node->type == GUMBO_NODE_ELEMENT)
            leave(&x, &node->v.element, s);
        index += s->n_nodes;
        const GumboNode *next = NULL;
        while (node != root && !(next = sibling(node))) {
            node = node->parent;
            n_open--;
            if (node->type == GUMBO_NODE_ELEMENT)
                leave(&x, &node->v.element, &stats->v[open[n_open]]);
        }
        node = node == root ? NULL : next;
    }
    free(open);
}
