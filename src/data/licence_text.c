/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Licences by their wording, where no title says what a text is.  The text is lower-cased,
 * comment signs dropped and white space collapsed, then phrases are looked for.  A phrase is
 * one that only this licence uses, or the pointer into /usr/share/common-licenses that
 * Debian's policy asks for.
 */
#include <stdlib.h>
#include <string.h>

#include "licence.h"
#include "smelt/data.h"

#define MAX_BYTES ((size_t)256 << 10) /* of a licence text that is looked at */

typedef struct phrase {
    const char *text, *also; /* both must occur; `also` may be NULL */
    const char *name;
} phrase;

static const phrase phrases[] = {
    {"permission is hereby granted, free of charge, to any person obtaining a copy",
     "the above copyright notice and this permission notice", "MIT"},
    {"permission to use, copy, modify, and/or distribute this software for any purpose",
     "provided that the above copyright notice and this permission notice appear", "ISC"},
    {"permission to use, copy, modify, and distribute this software and its "
     "documentation "
     "for any purpose, without fee",
     "university of california be liable", "PostgreSQL"},
    {"redistribution and use in source and binary forms",
     "all advertising materials mentioning features", "BSD-4-Clause"},
    {"redistribution and use in source and binary forms", "neither the name",
     "BSD-3-Clause"},
    {"redistribution and use in source and binary forms", "may not be used to endorse",
     "BSD-3-Clause"},
    {"redistribution and use in source and binary forms",
     "redistributions in binary form must reproduce", "BSD-2-Clause"},
    {"the authors hereby grant permission to use, copy, modify, distribute, and license "
     "this software",
     NULL, "TCL"},
    {"permission to use, copy, modify, distribute, and sell this software", NULL,
     "HPND-sell-variant"},
    {"apache license", "version 2.0", "Apache-2.0"},
    {"/usr/share/common-licenses/apache-2.0", NULL, "Apache-2.0"},
    {"/usr/share/common-licenses/artistic", NULL, "Artistic-1.0"},
    {"same terms as perl itself", NULL, "(Artistic-1.0-Perl OR GPL-1.0-or-later)"},
    {"/usr/share/common-licenses/bsd", NULL, "BSD-3-Clause"},
    {"/usr/share/common-licenses/mpl-2.0", NULL, "MPL-2.0"},
    {"/usr/share/common-licenses/mpl-1.1", NULL, "MPL-1.1"},
    {"mozilla public license version 2.0", NULL, "MPL-2.0"},
    {"/usr/share/common-licenses/cc0-1.0", NULL, "CC0-1.0"},
    {"creative commons attribution-sharealike 4.0", NULL, "CC-BY-SA-4.0"},
    {"creative commons attribution-sharealike 3.0", NULL, "CC-BY-SA-3.0"},
    {"creative commons attribution 4.0", NULL, "CC-BY-4.0"},
    {"boost software license - version 1.0", NULL, "BSL-1.0"},
    {"this software is provided 'as-is', without any express or implied warranty",
     "altered source versions must be plainly marked", "Zlib"},
    {"in the public domain", NULL, "public-domain"},
    {"into the public domain", NULL, "public-domain"},
    {"permission is granted to make and distribute verbatim copies",
     "under the conditions for verbatim copying", "Latex2e"},
};

/* The GNU family: the words of a notice, or the file in common-licenses. */
typedef struct gnu_licence {
    const char *family, *words, *path;
} gnu_licence;

static const gnu_licence gnu[] = {
    {"LGPL", "gnu lesser general public license", "/usr/share/common-licenses/lgpl"},
    {"LGPL", "gnu library general public license", NULL},
    {"AGPL", "gnu affero general public license", NULL},
    {"GFDL", "gnu free documentation license", "/usr/share/common-licenses/gfdl"},
    {"GPL", "gnu general public license", "/usr/share/common-licenses/gpl"},
};

/* Lower-case, without comment signs, white space collapsed. */
static bool flatten(sm_buf *out, const char *text, size_t len)
{
    bool space = true;
    if (len > MAX_BYTES)
        len = MAX_BYTES;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        bool line_start = i == 0 || text[i - 1] == '\n';
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '*' || c == 0 ||
            (c == '.' && line_start) || (c == '#' && line_start) || c == '`' ||
            c == '"') {
            if (!space)
                sm_buf_putc(out, ' ');
            space = true;
            continue;
        }
        space = false;
        sm_buf_putc(out, c);
    }
    return sm_buf_putc(out, 0);
}

/* The version named near `at`: "version 2 of", "license, version 2.1", "gpl-3". */
static const char *version_near(const char *at, size_t *len)
{
    const char *end = at + strnlen(at, 160);
    const char *v = strstr(at, "version ");
    const char *p = v && v < end ? v + 8 : NULL;
    if (!p)
        return NULL;
    *len = strspn(p, "0123456789.");
    while (*len > 0 && p[*len - 1] == '.')
        --*len;
    return *len ? p : NULL;
}

static bool push_gnu(sm_list *terms, const char *family, const char *v, size_t v_len,
                     bool later)
{
    sm_buf short_name = {0}, name = {0};
    sm_buf_puts(&short_name, family);
    if (v_len > 0) {
        sm_buf_putc(&short_name, '-');
        sm_buf_put(&short_name, v, v_len);
        if (later)
            sm_buf_putc(&short_name, '+');
    }
    bool ok = !short_name.failed &&
              sm_licence_name(&name, short_name.data, short_name.len) &&
              sm_list_push(terms, name.data);
    sm_buf_free(&short_name);
    sm_buf_free(&name);
    return ok;
}

static bool is_later(const char *near)
{
    char window[400];
    size_t n = strnlen(near, sizeof window - 1);
    memcpy(window, near, n);
    window[n] = 0;
    return strstr(window, "any later version") || strstr(window, "or later");
}

static bool find_gnu(sm_list *terms, const char *flat)
{
    bool ok = true, lesser = false;
    for (size_t i = 0; i < sizeof gnu / sizeof *gnu && ok; i++) {
        const gnu_licence *g = &gnu[i];
        const char *at = strstr(flat, g->words);
        const char *path = g->path ? strstr(flat, g->path) : NULL;
        if (!at && !path)
            continue;
        size_t len = 0;
        const char *v = at ? version_near(at, &len) : NULL;
        if (!v && path) {
            const char *p = path + strlen(g->path);
            p += *p == '-';
            len = strspn(p, "0123456789.");
            while (len > 0 && p[len - 1] == '.')
                len--;
            v = p;
        }
        /* "under the GNU GPL" next to an LGPL notice is usually its boilerplate */
        if (!v && lesser)
            continue;
        lesser = lesser || strcmp(g->family, "LGPL") == 0;
        /* the notice says "version 2 of the License, or (at your option) any later" around
         * the name, which may come first or last */
        const char *from = at ? (at - flat > 120 ? at - 120 : flat) : path;
        ok = push_gnu(terms, g->family, v, len, is_later(from));
    }
    return ok;
}

/* "spdx-license-identifier: gpl-2.0-or-later or mit" to the end of the line. */
static bool find_spdx(sm_list *terms, const char *text, size_t len)
{
    static const char tag[] = "SPDX-License-Identifier:";
    char head[8193];
    size_t n = len < sizeof head - 1 ? len : sizeof head - 1;
    memcpy(head, text, n);
    head[n] = 0;
    const char *p = strstr(head, tag);
    if (!p)
        return true;
    p += sizeof tag - 1;
    /* up to the end of a comment: what no expression has, or "-->" */
    size_t line =
        strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                  " \t()+-._:,/");
    for (size_t i = 0; i + 1 < line; i++)
        if (p[i] == '-' && p[i + 1] == '-')
            line = i;
    return sm_licence_expression(terms, p, line);
}

/* What a text says of licences anywhere in it. */
static bool find_mentions(sm_list *terms, const char *text, size_t len)
{
    sm_buf flat = {0};
    bool ok = flatten(&flat, text, len);
    const char *last = NULL;
    for (size_t i = 0; ok && i < sizeof phrases / sizeof *phrases; i++) {
        const phrase *p = &phrases[i];
        if (!strstr(flat.data, p->text))
            continue;
        if (p->also && !strstr(flat.data, p->also))
            continue;
        if (last == p->text)
            continue; /* the stricter form of the same text was found */
        last = p->text;
        ok = sm_list_push(terms, p->name);
        while (i + 1 < sizeof phrases / sizeof *phrases &&
               strcmp(phrases[i + 1].text, p->text) == 0)
            i++;
    }
    ok = ok && find_gnu(terms, flat.data);
    sm_buf_free(&flat);
    return ok;
}

bool sm_licence_wording(sm_list *terms, const char *text, size_t len)
{
    size_t at, n = terms->n;
    const char *title = sm_licence_title(&at, text, len);
    if (!title)
        return find_mentions(terms, text, len);
    /* "either version 2, or (at your option) any later version", then the text */
    bool ok = find_mentions(terms, text, at);
    return ok && terms->n == n ? sm_list_push(terms, title) : ok;
}

/* A single short line is a name or an expression, not a text. */
static bool is_short(const char *text, size_t len)
{
    return len > 0 && len < 80 && !memchr(text, '\n', len);
}

bool sm_licence_of_text(sm_buf *out, const char *text, size_t len)
{
    sm_list terms = {0};
    bool ok = find_spdx(&terms, text, len);
    if (ok && terms.n == 0)
        ok = sm_licence_wording(&terms, text, len);
    if (ok && terms.n == 0 && is_short(text, len))
        ok = sm_licence_expression(&terms, text, len);
    ok = ok && sm_licence_join(out, &terms);
    sm_list_free(&terms);
    return ok;
}
