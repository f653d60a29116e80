/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A scan before the HTML tree is built.  The tree builder is quadratic on some inputs (open
 * elements are searched at each tag, open formatting is copied into each block) and keeps
 * every node in memory; a page beyond these limits is read by stripping its tags instead.
 *
 * The scan overestimates: it ignores implied end tags, except of elements that cannot nest
 * in themselves.
 */
#include <string.h>
#include <strings.h>

#include "read_html.h"

enum {
    TAGS_MAX = 2000000,       /* nodes                          */
    DEPTH_MAX = 5000,         /* open elements                  */
    FORMATTING_MAX = 2000000, /* copies of formatting elements  */
    SEARCH_MAX = 400000000,   /* steps over the open elements   */
    ATTRIBUTES_MAX = 1000     /* of one tag                     */
};

static bool in_list(const char *name, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == n && strncasecmp(*list, name, n) == 0)
            return true;
    return false;
}

static bool is_formatting(const char *name, size_t n)
{
    static const char *const list[] = {"b",      "big",  "code", "em",    "font",
                                       "i",      "nobr", "s",    "small", "strike",
                                       "strong", "tt",   "u",    "a",     NULL};
    return in_list(name, n, list);
}

/* Elements without content, or that the next of their kind closes. */
static bool never_nests(const char *name, size_t n)
{
    static const char *const list[] = {
        "p",     "li",   "dt",    "dd",     "tr",       "td",    "th",    "option",
        "br",    "img",  "hr",    "meta",   "link",     "input", "col",   "base",
        "area",  "wbr",  "param", "source", "track",    "embed", "thead", "tbody",
        "tfoot", "html", "body",  "head",   "colgroup", NULL};
    return in_list(name, n, list);
}

typedef struct scan {
    size_t n_tags, depth, formatting, copies, steps;
} scan;

static bool count_tag(scan *c, const char *name, size_t n, bool is_end)
{
    if (++c->n_tags > TAGS_MAX)
        return false;
    if (is_formatting(name, n)) {
        if (is_end)
            c->formatting -= c->formatting > 0;
        else
            c->formatting++;
    }
    if (!never_nests(name, n)) {
        if (is_end)
            c->depth -= c->depth > 0;
        else
            c->depth++;
    }
    c->copies += c->formatting > 20 ? c->formatting : 0;
    c->steps += c->depth + c->formatting;
    return c->depth <= DEPTH_MAX && c->copies <= FORMATTING_MAX && c->steps <= SEARCH_MAX;
}

/* End of the tag at s[i] == '<', behind its '>'. */
static size_t tag_end(const char *s, size_t len, size_t i, size_t *n_attributes)
{
    char quote = 0;
    *n_attributes = 0;
    for (; i < len; i++) {
        if (quote) {
            quote = s[i] == quote ? 0 : quote;
        } else if (s[i] == '>') {
            return i + 1;
        } else if (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '/') {
            ++*n_attributes;
        } else if ((s[i] == '"' || s[i] == '\'') && s[i - 1] == '=') {
            quote = s[i];
        }
    }
    return len;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool html_is_tame(const char *s, size_t len)
{
    scan c = {0};
    for (size_t i = 0; i + 1 < len;) {
        const char *lt = memchr(s + i, '<', len - i - 1);
        if (!lt)
            break;
        size_t start = (size_t)(lt - s) + 1;
        bool is_end = s[start] == '/';
        size_t name = start + is_end, end = name;
        i = start;
        if (name >= len || !is_letter(s[name]))
            continue;
        while (end < len && (is_letter(s[end]) || (s[end] >= '0' && s[end] <= '9')))
            end++;
        size_t n_attributes;
        i = tag_end(s, len, end, &n_attributes);
        bool closes_itself = i >= 2 && s[i - 1] == '>' && s[i - 2] == '/';
        if (n_attributes > ATTRIBUTES_MAX && !is_end)
            return false;
        if (closes_itself && !is_end)
            c.n_tags++;
        else if (!count_tag(&c, s + name, end - name, is_end))
            return false;
    }
    return true;
}

/* Skip to behind "</name>". */
static size_t skip_raw(const char *s, size_t len, size_t i, const char *name)
{
    size_t n = strlen(name);
    for (; i + n + 2 < len; i++)
        if (s[i] == '<' && s[i + 1] == '/' && strncasecmp(s + i + 2, name, n) == 0)
            return i;
    return len;
}

void html_strip_tags(doc_writer *w, const char *s, size_t len)
{
    size_t i = 0, n_attributes;
    while (i < len) {
        const char *lt = memchr(s + i, '<', len - i);
        size_t run = lt ? (size_t)(lt - s) - i : len - i;
        dw_text(w, s + i, run);
        i += run;
        if (i >= len)
            break;
        size_t name = i + 1 + (i + 1 < len && s[i + 1] == '/'), end = name;
        while (end < len && (is_letter(s[end]) || (s[end] >= '0' && s[end] <= '9')))
            end++;
        if (end == name && !(name < len && (s[name] == '!' || s[name] == '?'))) {
            dw_text(w, "<", 1);
            i++;
            continue;
        }
        i = tag_end(s, len, end, &n_attributes);
        if (end - name == 6 && s[name - 1] == '<' &&
            strncasecmp(s + name, "script", 6) == 0)
            i = skip_raw(s, len, i, "script");
        else if (end - name == 5 && s[name - 1] == '<' &&
                 strncasecmp(s + name, "style", 5) == 0)
            i = skip_raw(s, len, i, "style");
        else if (end > name && !is_formatting(s + name, end - name))
            dw_para(w);
    }
}
