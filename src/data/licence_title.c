/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full licence texts by their titles.  Such a text names other licences in its clauses (the
 * GPL the LGPL, the MPL its secondary licences), so where one begins with its title, that
 * is what it is.  A title stands at the beginning of a line and near the top.
 */
#include <string.h>

#include "licence.h"

#define MAX_LINES \
    40 /* in which a title is looked for: comments and notices come before */

typedef struct title {
    const char *words; /* lower case, one blank between words */
    const char *name;
} title;

static const title titles[] = {
    {"gnu general public license version 1, february 1989", "GPL-1.0-only"},
    {"gnu general public license version 2, june 1991", "GPL-2.0-only"},
    {"gnu general public license version 3, 29 june 2007", "GPL-3.0-only"},
    {"gnu library general public license version 2, june 1991", "LGPL-2.0-only"},
    {"gnu lesser general public license version 2.1, february 1999", "LGPL-2.1-only"},
    {"gnu lesser general public license version 3, 29 june 2007", "LGPL-3.0-only"},
    {"gnu affero general public license version 3, 19 november 2007", "AGPL-3.0-only"},
    {"gnu free documentation license version 1.1, march 2000", "GFDL-1.1-only"},
    {"gnu free documentation license version 1.2, november 2002", "GFDL-1.2-only"},
    {"gnu free documentation license version 1.3, 3 november 2008", "GFDL-1.3-only"},
    {"apache license version 2.0, january 2004", "Apache-2.0"},
    {"artistic license 2.0", "Artistic-2.0"},
    {"artistic license preamble", "Artistic-1.0"},
    {"mozilla public license version 1.1", "MPL-1.1"},
    {"mozilla public license version 2.0", "MPL-2.0"},
    {"eclipse public license - v 1.0", "EPL-1.0"},
    {"eclipse public license - v 2.0", "EPL-2.0"},
    {"boost software license - version 1.0", "BSL-1.0"},
    {"cc0 1.0 universal", "CC0-1.0"},
    {"attribution 3.0 unported", "CC-BY-3.0"},
    {"attribution-sharealike 3.0 unported", "CC-BY-SA-3.0"},
    {"attribution 4.0 international", "CC-BY-4.0"},
    {"attribution-sharealike 4.0 international", "CC-BY-SA-4.0"},
    {"attribution-noderivatives 4.0 international", "CC-BY-ND-4.0"},
    {"attribution-noncommercial 4.0 international", "CC-BY-NC-4.0"},
    {"attribution-noncommercial-sharealike 4.0 international", "CC-BY-NC-SA-4.0"},
    {"attribution-noncommercial-noderivatives 4.0 international", "CC-BY-NC-ND-4.0"},
};

static bool is_blank(char c)
{
    return c && strchr(" \t\r\n*#`\"=_", c);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Past `words` if they come next, else NULL; white space and marks of comments and headings
 * are one blank. */
static const char *past(const char *words, const char *p, const char *end)
{
    for (; *words; words++) {
        const char *from = p;
        if (*words != ' ' && (p == end || lower(*p++) != *words))
            return NULL;
        while (*words == ' ' && p < end && is_blank(*p))
            p++;
        if (p == from)
            return NULL;
    }
    return p;
}

static const char *title_at(const char *p, const char *end)
{
    static const char *const before[] = {"the ", "creative commons "};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *next = past(before[i], p, end);
        p = next ? next : p;
    }
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        const char *next = past(titles[i].words, p, end);
        if (next && (next == end || is_blank(*next) || strchr(".,", *next)))
            return titles[i].name;
    }
    return NULL;
}

const char *sm_licence_title(size_t *at, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    for (int line = 0; p < end && line < MAX_LINES; line++) {
        const char *from = p;
        while (p < end && (is_blank(*p) || *p == '/' || *p == ';') && *p != '\n')
            p++;
        const char *name = title_at(p, end);
        *at = (size_t)(from - text);
        if (name)
            return name;
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        p = nl ? nl + 1 : end;
    }
    return NULL;
}
