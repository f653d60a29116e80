/* SPDX-License-Identifier: Apache-2.0 */
/* What HTML elements mean for text: roles, hidden elements, page furniture. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "read_html.h"

const char *html_attribute(const GumboElement *e, const char *name)
{
    const GumboAttribute *a = gumbo_get_attribute(&e->attributes, name);
    return a ? a->value : NULL;
}

html_role html_role_of(const GumboElement *e)
{
    if (e->tag_namespace == GUMBO_NAMESPACE_SVG)
        return HTML_SKIP;
    switch (e->tag) {
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_NOFRAMES:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_EMBED:
    case GUMBO_TAG_APPLET:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_DATALIST:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_INPUT:
    case GUMBO_TAG_TITLE:
    case GUMBO_TAG_RP:
        return HTML_SKIP;
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
        return HTML_HEADING;
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_MENU:
    case GUMBO_TAG_DIR:
        return HTML_LIST;
    case GUMBO_TAG_LI:
        return HTML_ITEM;
    case GUMBO_TAG_DT:
        return HTML_TERM;
    case GUMBO_TAG_DD:
        return HTML_DESCRIPTION;
    case GUMBO_TAG_BLOCKQUOTE:
        return HTML_QUOTE;
    case GUMBO_TAG_PRE:
    case GUMBO_TAG_LISTING:
    case GUMBO_TAG_XMP:
    case GUMBO_TAG_PLAINTEXT:
        return HTML_PRE;
    case GUMBO_TAG_TABLE:
        return HTML_TABLE;
    case GUMBO_TAG_TR:
        return HTML_ROW;
    case GUMBO_TAG_TD:
    case GUMBO_TAG_TH:
        return HTML_CELL;
    case GUMBO_TAG_BR:
        return HTML_BREAK;
    case GUMBO_TAG_HR:
        return HTML_RULE;
    case GUMBO_TAG_HTML:
    case GUMBO_TAG_BODY:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_P:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_CENTER:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_LEGEND:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_HGROUP:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TBODY:
    case GUMBO_TAG_TFOOT:
        return HTML_BLOCK;
    default:
        return HTML_INLINE;
    }
}

/* Does a style declaration hold `property: value`, blanks aside? */
static bool style_says(const char *style, const char *property, const char *value)
{
    size_t n = strlen(property);
    for (const char *p = style; *p; p++) {
        if (strncasecmp(p, property, n) != 0)
            continue;
        const char *q = p + n;
        while (isspace((unsigned char)*q))
            q++;
        if (*q++ != ':')
            continue;
        while (isspace((unsigned char)*q))
            q++;
        if (strncasecmp(q, value, strlen(value)) == 0)
            return true;
    }
    return false;
}

bool html_is_hidden(const GumboElement *e)
{
    if (e->attributes.length == 0)
        return false;
    const char *aria = html_attribute(e, "aria-hidden"),
               *style = html_attribute(e, "style");
    if (html_attribute(e, "hidden") || (aria && strcasecmp(aria, "true") == 0))
        return true;
    return style && (style_says(style, "display", "none") ||
                     style_says(style, "visibility", "hidden"));
}

/* Does a blank-separated list hold the word? */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p;) {
        while (isspace((unsigned char)*p))
            p++;
        size_t k = 0;
        while (p[k] && !isspace((unsigned char)p[k]))
            k++;
        if (k == n && strncasecmp(p, word, n) == 0)
            return true;
        p += k;
    }
    return false;
}

bool html_is_chrome(const GumboElement *e)
{
    /* Names that documentation generators and common page templates use. */
    static const char *const names[] = {"navheader",     "navfooter",
                                        "sphinxsidebar", "related",
                                        "toc",           "breadcrumb",
                                        "breadcrumbs",   "sidebar",
                                        "footer",        "nav",
                                        "navbar",        "navigation",
                                        "menu",          "site-header",
                                        "site-footer",   "headerlink",
                                        "skip-link",     "cookie",
                                        "share",         "social",
                                        "comments",      "pagination",
                                        "newsletter",    "advertisement",
                                        "ads",           "table-of-contents",
                                        "node-nav",      "nav-panel",
                                        "header-nav",    "permalink",
                                        "related-posts", "sharing",
                                        "widget-area",   "sharedaddy"};
    static const char *const roles[] = {"navigation",    "banner", "contentinfo",
                                        "complementary", "search", "menu",
                                        "menubar"};
    if (e->tag == GUMBO_TAG_NAV || e->tag == GUMBO_TAG_FOOTER ||
        e->tag == GUMBO_TAG_ASIDE)
        return true;
    if (e->attributes.length == 0 || e->tag == GUMBO_TAG_BODY || e->tag == GUMBO_TAG_HTML)
        return false;
    const char *role = html_attribute(e, "role"), *class = html_attribute(e, "class");
    const char *id = html_attribute(e, "id");
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (has_word(role, roles[i]))
            return true;
    for (size_t i = 0; (class || id) && i < sizeof names / sizeof *names; i++)
        if (has_word(class, names[i]) || (id && strcasecmp(id, names[i]) == 0))
            return true;
    return false;
}
