/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian copyright files.  Machine-readable ones (DEP-5, "copyright-format/1.0") are
 * stanzas of fields; a Files stanza says which licence its patterns are under, and the last
 * stanza that matches a file wins.  Which source file an installed page came from is not
 * recorded, so the documents of a package get
 *   1. the licences of stanzas whose patterns name documentation, and
 *   2. the licence of "Files: *";
 *   3. where there is neither, those of all Files stanzas (packaging, "debian/", apart).
 * Other copyright files are read by their wording.
 */
#include <string.h>
#include <strings.h>

#include "licence.h"
#include "smelt/data.h"

typedef struct stanza {
    const char *files, *licence;
    size_t files_len, licence_len; /* licence: the first line only */
} stanza;

static const char *const doc_words[] = {
    "doc/", "docs/", "documentation", "manual", "man/", "man1/", ".pod", ".texi", ".html",
    ".md",  ".rst",  ".sgml",         ".txt",   ".1",   ".8",    ".3",   ".5",    ".7",
    NULL};

static bool is_machine_readable(const char *text, size_t len)
{
    char head[513];
    size_t n = len < sizeof head - 1 ? len : sizeof head - 1;
    memcpy(head, text, n);
    head[n] = 0;
    const char *p = head + strspn(head, " \t\r\n");
    return strncasecmp(p, "Format", 6) == 0 &&
           (strstr(p, "copyright-format") || strstr(p, "dep5") ||
            strstr(p, "CopyrightFormat"));
}

static bool has(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++)
        if (strncasecmp(text + i, word, n) == 0)
            return true;
    return false;
}

static size_t line_length(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    return (size_t)((nl ? nl : end) - p);
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

/* Read one stanza from *p; false at the end of the text. */
static bool next_stanza(stanza *out, const char **p, const char *end)
{
    *out = (stanza){0};
    bool any = false, in_files = false;
    while (*p < end) {
        size_t n = line_length(*p, end);
        const char *line = *p;
        *p += n + (*p + n < end);
        if (is_blank(line, n)) {
            if (any)
                return true;
            continue;
        }
        any = true;
        bool continued = *line == ' ' || *line == '\t';
        if (continued && in_files) {
            out->files_len = (size_t)(line + n - out->files);
        } else if (!continued && n >= 6 && strncasecmp(line, "Files:", 6) == 0) {
            out->files = line + 6;
            out->files_len = n - 6;
        } else if (!continued && n >= 8 && strncasecmp(line, "License:", 8) == 0) {
            out->licence = line + 8;
            out->licence_len = n - 8;
        }
        if (!continued)
            in_files = n >= 6 && strncasecmp(line, "Files:", 6) == 0;
    }
    return any;
}

static bool only_packaging(const stanza *s)
{
    const char *p = s->files, *end = p + s->files_len;
    bool any = false;
    while (p < end) {
        while (p < end && strchr(" \t\r\n,", *p))
            p++;
        size_t n = 0;
        while (p + n < end && !strchr(" \t\r\n,", p[n]))
            n++;
        if (n > 0 && strncmp(p, "debian/", n < 7 ? n : 7) != 0)
            return false;
        any = any || n > 0;
        p += n;
    }
    return any;
}

static bool is_star(const stanza *s)
{
    const char *p = s->files;
    size_t n = s->files_len;
    while (n > 0 && strchr(" \t\r\n", *p)) {
        p++;
        n--;
    }
    return n > 0 && *p == '*' && (n == 1 || strchr(" \t\r\n,", p[1]));
}

static bool names_documents(const stanza *s)
{
    for (const char *const *w = doc_words; *w; w++)
        if (has(s->files, s->files_len, *w))
            return true;
    return false;
}

/* Terms of the stanzas that pass `want`; a stanza whose licence line is empty has none. */
static bool collect(sm_list *terms, const char *text, size_t len,
                    bool (*want)(const stanza *))
{
    const char *p = text, *end = text + len;
    stanza s;
    bool ok = true;
    while (ok && next_stanza(&s, &p, end))
        if (s.files && s.licence && !only_packaging(&s) && want(&s))
            ok = sm_licence_expression(terms, s.licence, s.licence_len);
    return ok;
}

static bool any_stanza(const stanza *s)
{
    return s->files != NULL;
}

static bool star_or_documents(const stanza *s)
{
    return is_star(s) || names_documents(s);
}

/* The header stanza may carry a licence for the whole. */
static bool header_licence(sm_list *terms, const char *text, size_t len)
{
    const char *p = text;
    stanza s;
    if (!next_stanza(&s, &p, text + len) || !s.licence)
        return true;
    return sm_licence_expression(terms, s.licence, s.licence_len);
}

bool sm_licence_of_copyright(sm_buf *out, const char *text, size_t len)
{
    sm_list terms = {0};
    bool ok = true;
    if (is_machine_readable(text, len)) {
        ok = collect(&terms, text, len, star_or_documents);
        if (ok && terms.n == 0)
            ok = collect(&terms, text, len, any_stanza);
        if (ok && terms.n == 0)
            ok = header_licence(&terms, text, len);
    }
    if (ok && terms.n == 0)
        ok = sm_licence_wording(&terms, text, len);
    if (ok && terms.n == 0)
        ok = sm_list_push(&terms, "unknown");
    ok = ok && sm_licence_join(out, &terms);
    sm_list_free(&terms);
    return ok;
}
