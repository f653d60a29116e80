/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the HTML reader. */
#ifndef SMELT_DATA_READ_HTML_H
#define SMELT_DATA_READ_HTML_H

#include <gumbo.h>

#include "read_writer.h"
#include "smelt/extract.h"

/** May the tree builder have this page?  Linear in len. */
bool html_is_tame(const char *s, size_t len);
/** Text of a page that it may not have: tags dropped, blocks apart. */
void html_strip_tags(doc_writer *w, const char *s, size_t len);

/** A page as a tree; zeros before it is parsed.  To be freed whatever came of it. */
typedef struct html_tree {
    GumboNode *document;
    struct html_chunk *top; /* its memory */
} html_tree;

typedef enum html_tree_status {
    HTML_TREE_BUILT,
    HTML_TREE_REFUSED, /* the tree builder has no answer to this page */
    HTML_TREE_NO_MEMORY
} html_tree_status;

html_tree_status html_tree_parse(html_tree *t, const char *s, size_t len);
void html_tree_free(html_tree *t);

/** How an element takes part in the text. */
typedef enum html_role {
    HTML_INLINE,
    HTML_BLOCK,
    HTML_HEADING,
    HTML_LIST,
    HTML_ITEM,
    HTML_TERM,        /* <dt>         */
    HTML_DESCRIPTION, /* <dd>         */
    HTML_QUOTE,
    HTML_PRE,
    HTML_TABLE,
    HTML_ROW,
    HTML_CELL,
    HTML_BREAK,
    HTML_RULE,
    HTML_SKIP /* never text     */
} html_role;

html_role html_role_of(const GumboElement *e);
/** hidden, aria-hidden, display:none and the like. */
bool html_is_hidden(const GumboElement *e);
/** Navigation and page furniture by tag, role, class or id. */
bool html_is_chrome(const GumboElement *e);
const char *html_attribute(const GumboElement *e, const char *name);

/** What a subtree holds, in document order: entry i of the array is the i-th node. */
typedef struct html_stat {
    uint32_t n_nodes;   /* of the subtree, itself included            */
    uint32_t text;      /* visible bytes that are not blanks          */
    uint32_t link_text; /* of them inside <a href>                    */
    uint32_t n_links;
    uint32_t prose; /* bytes in blocks that are text more than links */
    bool is_layout; /* a table that only arranges blocks          */
} html_stat;

typedef struct html_stats {
    html_stat *v;
    size_t n, cap;
} html_stats;

/** Measure the tree under root; false when out of memory. */
bool html_measure(html_stats *out, const GumboNode *root);
/** Write the text of the tree under root. */
void html_render(doc_writer *w, const GumboNode *root, const html_stats *stats,
                 bool main_only);
/** Next node in document order under root, NULL at the end; into=false skips children. */
const GumboNode *html_next(const GumboNode *node, const GumboNode *root, bool into);

#endif
