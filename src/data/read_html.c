/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sm_extract_html: encoding, tree, choice of the main content, metadata.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "read_html.h"

enum { PROSE_PERCENT = 80, LINKED_SHARE = 8, PROSE_MIN = 500 };

/* ------------------------------------------------------------------- encoding */

/* Value of charset= in the first bytes, as <meta> or an XML declaration has it. */
static char *declared_charset(const char *s, size_t len)
{
    size_t n = len < 4096 ? len : 4096;
    for (size_t i = 0; i + 9 < n; i++) {
        bool meta = strncasecmp(s + i, "charset", 7) == 0;
        bool xml = !meta && i < 200 && strncasecmp(s + i, "encoding", 8) == 0;
        if (!meta && !xml)
            continue;
        size_t k = i + (meta ? 7 : 8);
        while (k < n && isspace((unsigned char)s[k]))
            k++;
        if (k >= n || s[k++] != '=')
            continue;
        while (k < n && (isspace((unsigned char)s[k]) || s[k] == '"' || s[k] == '\''))
            k++;
        size_t start = k;
        while (k < n &&
               (isalnum((unsigned char)s[k]) || strchr("-_.:", s[k] ? s[k] : '*')))
            k++;
        if (k > start)
            return sm_strndup(s + start, k - start);
    }
    return NULL;
}

/* ------------------------------------------------------------ title and the like */

/* Text of a subtree with single blanks. */
static char *flat_text(const GumboNode *root, size_t max)
{
    sm_buf b = {.max = max};
    bool owes = false;
    for (const GumboNode *n = root; n; n = html_next(n, root, true)) {
        if (n->type != GUMBO_NODE_TEXT && n->type != GUMBO_NODE_WHITESPACE)
            continue;
        for (const char *s = n->v.text.text; *s; s++) {
            if (isspace((unsigned char)*s)) {
                owes = true;
                continue;
            }
            if (owes && b.len)
                sm_buf_putc(&b, ' ');
            owes = false;
            sm_buf_putc(&b, *s);
        }
    }
    if (b.len)
        return b.data;
    sm_buf_free(&b);
    return NULL;
}

static void read_metadata(sm_extract *out, const GumboNode *document)
{
    char *heading = NULL;
    for (const GumboNode *n = document; n; n = html_next(n, document, true)) {
        if (n->type != GUMBO_NODE_ELEMENT)
            continue;
        const GumboElement *e = &n->v.element;
        const char *name = e->tag == GUMBO_TAG_META ? html_attribute(e, "name") : NULL;
        const char *content = name ? html_attribute(e, "content") : NULL;
        if (e->tag == GUMBO_TAG_HTML && !out->lang && html_attribute(e, "lang"))
            out->lang = sm_strdup(html_attribute(e, "lang"));
        else if (e->tag == GUMBO_TAG_TITLE && !out->title)
            out->title = flat_text(n, 4096);
        else if (e->tag == GUMBO_TAG_H1 && !heading)
            heading = flat_text(n, 4096);
        else if (content && *content && !out->summary &&
                 strcasecmp(name, "description") == 0)
            out->summary = sm_strdup(content);
    }
    if (!out->title) {
        out->title = heading;
        heading = NULL;
    }
    free(heading);
}

/* ------------------------------------------------------------------ main content */

/* The deepest element that holds nearly all prose of the page. */
static const GumboNode *find_prose(const GumboNode *body, const html_stats *stats)
{
    const GumboNode *best = body;
    size_t index = 0;
    bool into = true;
    for (const GumboNode *n = body; n && index < stats->n; n = html_next(n, body, into)) {
        const html_stat *s = &stats->v[index];
        into = n == body || (n->type == GUMBO_NODE_ELEMENT &&
                             s->prose >= stats->v[0].prose / 100 * PROSE_PERCENT);
        html_role role =
            n->type == GUMBO_NODE_ELEMENT ? html_role_of(&n->v.element) : HTML_SKIP;
        if (into && (role == HTML_BLOCK || role == HTML_CELL))
            best = n;
        index += into ? 1 : s->n_nodes;
    }
    return best;
}

/* The element that holds the main content: <main>, role=main, or the one <article> that
 * holds most of the text; on a page with many links, where the prose is; else the body. */
static const GumboNode *find_main(const GumboNode *body, const html_stats *stats)
{
    const GumboNode *article = NULL;
    size_t index = 0, article_text = 0;
    const html_stat *all = &stats->v[0];
    for (const GumboNode *n = body; n && index < stats->n;
         n = html_next(n, body, true), index++) {
        if (n->type != GUMBO_NODE_ELEMENT)
            continue;
        const GumboElement *e = &n->v.element;
        const char *role = html_attribute(e, "role");
        bool is_main =
            e->tag == GUMBO_TAG_MAIN || (role && strcasecmp(role, "main") == 0);
        if (is_main && stats->v[index].text >= all->text / 5)
            return n;
        if (e->tag == GUMBO_TAG_ARTICLE && stats->v[index].text > article_text) {
            article = n;
            article_text = stats->v[index].text;
        }
    }
    if (article && article_text >= all->text / 2)
        return article;
    bool is_linked =
        all->link_text >= all->text / LINKED_SHARE && all->prose >= PROSE_MIN;
    return is_linked ? find_prose(body, stats) : body;
}

static const GumboNode *find_body(const GumboNode *document)
{
    for (const GumboNode *n = document; n; n = html_next(n, document, true))
        if (n->type == GUMBO_NODE_ELEMENT && (n->v.element.tag == GUMBO_TAG_BODY ||
                                              n->v.element.tag == GUMBO_TAG_FRAMESET))
            return n;
    return document;
}

static bool render(doc_writer *w, const GumboNode *root, bool main_only)
{
    html_stats stats = {0};
    bool ok = html_measure(&stats, root);
    if (ok)
        html_render(w, root, &stats, main_only);
    free(stats.v);
    return ok;
}

static bool write_text(sm_extract *out, const GumboNode *document, sm_html_mode mode)
{
    const GumboNode *body = find_body(document);
    html_stats stats = {0};
    bool ok = html_measure(&stats, body);
    const GumboNode *root =
        ok && mode == SM_HTML_MAIN && stats.n ? find_main(body, &stats) : body;
    free(stats.v);
    doc_writer w;
    dw_init(&w, &out->text);
    ok = ok && render(&w, root, mode == SM_HTML_MAIN) && dw_finish(&w);
    if (ok && mode == SM_HTML_MAIN && out->text.len == 0) { /* all of it was furniture */
        dw_free(&w);
        dw_init(&w, &out->text);
        ok = render(&w, body, false) && dw_finish(&w);
    }
    dw_free(&w);
    return ok;
}

static bool strip_page(sm_extract *out, const char *s, size_t len)
{
    doc_writer w;
    dw_init(&w, &out->text);
    html_strip_tags(&w, s, len);
    bool ok = dw_finish(&w);
    dw_free(&w);
    return ok;
}

static bool read_page(sm_extract *out, const sm_buf *source, sm_html_mode mode)
{
    const char *s = source->data ? source->data : "";
    html_tree tree = {0};
    html_tree_status status = HTML_TREE_REFUSED;
    if (html_is_tame(s, source->len))
        status = html_tree_parse(&tree, s, source->len);
    bool ok = false;
    if (status == HTML_TREE_REFUSED) {
        ok = strip_page(out, s, source->len);
    } else if (status == HTML_TREE_BUILT) {
        read_metadata(out, tree.document);
        ok = write_text(out, tree.document, mode);
    }
    html_tree_free(&tree);
    return ok;
}

sm_status sm_extract_html(sm_extract *out, const char *data, size_t len, const char *path,
                          sm_html_mode mode, sm_err *err)
{
    const char *where = path ? path : "HTML page";
    if (len > SM_EXTRACT_MAX_BYTES)
        return sm_fail(err, SM_EINVAL, "%s: %zu bytes, want at most %zu", where, len,
                       SM_EXTRACT_MAX_BYTES);
    *out = (sm_extract){.text = {.max = SM_EXTRACT_MAX_BYTES}};
    sm_buf source = {.max = SM_EXTRACT_MAX_BYTES * 3};
    char *charset = declared_charset(data, len);
    bool ok = sm_decode_text(&source, data, len, charset, &out->encoding) &&
              read_page(out, &source, mode);
    free(charset);
    sm_buf_free(&source);
    if (ok)
        return SM_OK;
    sm_extract_free(out);
    return sm_fail(err, SM_ENOMEM, "%s: out of memory or more than %zu bytes of text",
                   where, SM_EXTRACT_MAX_BYTES);
}
