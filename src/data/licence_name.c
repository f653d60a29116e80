/* SPDX-License-Identifier: Apache-2.0 */
/* Licence names and expressions, from Debian's short names to SPDX's. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "licence.h"

typedef struct alias {
    const char *name, *spdx;
} alias;

/* Names without a version, or whose spelling differs. Compared without case. */
static const alias aliases[] = {
    {"expat", "MIT"},
    {"mit", "MIT"},
    {"mit/x11", "MIT"},
    {"x11", "X11"},
    {"isc", "ISC"},
    {"zlib", "Zlib"},
    {"perl", "(Artistic-1.0-Perl OR GPL-1.0-or-later)"},
    {"artistic", "Artistic-1.0"},
    {"artistic-1", "Artistic-1.0"},
    {"artistic-2", "Artistic-2.0"},
    {"bsd", "BSD-3-Clause"},
    {"bsd-2-clause", "BSD-2-Clause"},
    {"bsd-3-clause", "BSD-3-Clause"},
    {"bsd-4-clause", "BSD-4-Clause"},
    {"bsd-2", "BSD-2-Clause"},
    {"bsd-3", "BSD-3-Clause"},
    {"bsd-4", "BSD-4-Clause"},
    {"apache", "Apache-2.0"},
    {"apache-2", "Apache-2.0"},
    {"apache2", "Apache-2.0"},
    {"apache-2-llvm-exceptions", "Apache-2.0"},
    {"mpl-2", "MPL-2.0"},
    {"postgresql", "PostgreSQL"},
    {"public-domain", "public-domain"},
    {"publicdomain", "public-domain"},
    {"pd", "public-domain"},
    {"cc0", "CC0-1.0"},
    {"cc0-1", "CC0-1.0"},
    {"python", "PSF-2.0"},
    {"psf", "PSF-2.0"},
    {"openssl", "OpenSSL"},
    {"ruby", "Ruby"},
    {"wtfpl", "WTFPL"},
    {"unlicense", "Unlicense"},
    {"bsl-1", "BSL-1.0"},
    {"boost-1", "BSL-1.0"},
};

/* Families "NAME-VERSION[+]" whose SPDX form says only or or-later. */
static const char *const gnu[] = {"GPL", "LGPL", "AGPL", "GFDL"};

static bool same(const char *a, const char *b, size_t b_len)
{
    return strlen(a) == b_len && strncasecmp(a, b, b_len) == 0;
}

/* "GPL-2+", "LGPL-2.1", "GFDL-NIV-1.3+": family, version with ".0", only or later. */
static bool gnu_name(sm_buf *out, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof gnu / sizeof *gnu; i++) {
        size_t n = strlen(gnu[i]);
        if (len < n || strncasecmp(name, gnu[i], n) != 0)
            continue;
        const char *p = name + n, *end = name + len;
        bool niv = end - p > 4 && strncasecmp(p, "-NIV", 4) == 0;
        p += niv ? 4 : 0;
        if (p < end && (*p == '-' || *p == 'v'))
            p++;
        if (p < end && *p == 'v')
            p++;
        size_t digits = 0;
        while (p + digits < end && ((p[digits] >= '0' && p[digits] <= '9') ||
                                    (p[digits] == '.' && p + digits + 1 < end)))
            digits++;
        if (p < end && digits == 0)
            return false;
        const char *rest = p + digits;
        bool later =
            rest < end && (*rest == '+' || strncasecmp(rest, "-or-later", 9) == 0);
        sm_buf_puts(out, gnu[i]);
        if (digits == 0)
            return true;
        sm_buf_putc(out, '-');
        sm_buf_put(out, p, digits);
        if (!memchr(p, '.', digits))
            sm_buf_puts(out, ".0");
        if (niv)
            sm_buf_puts(out, "-no-invariants");
        sm_buf_puts(out, later ? "-or-later" : "-only");
        return true;
    }
    return false;
}

bool sm_licence_name(sm_buf *out, const char *name, size_t len)
{
    size_t bare = len;
    while (bare > 2 && name[bare - 2] == '.' && name[bare - 1] == '0')
        bare -= 2; /* "Apache-2.0" is listed as "apache-2" */
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (same(aliases[i].name, name, len) || same(aliases[i].name, name, bare))
            return sm_buf_puts(out, aliases[i].spdx);
    if (gnu_name(out, name, len))
        return !out->failed;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                     (c >= 'A' && c <= 'Z') || strchr("-.+_", c);
        sm_buf_putc(out, plain && c ? (char)c : '-');
    }
    return !out->failed;
}

/* ------------------------------------------------------------ expressions */

static bool is_word(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

/* One alternative group "A or B": a term. */
static bool push_choice(sm_list *terms, sm_list *choice)
{
    sm_buf term = {0};
    sm_list_sort(choice);
    if (choice->n > 1)
        sm_buf_putc(&term, '(');
    for (size_t i = 0; i < choice->n; i++) {
        if (i > 0 && strcmp(choice->item[i], choice->item[i - 1]) == 0)
            continue;
        if (i > 0)
            sm_buf_puts(&term, " OR ");
        const char *item = choice->item[i];
        size_t n = strlen(item);
        bool nested = *item == '(' && choice->n > 1; /* the alternatives of "Perl" */
        sm_buf_put(&term, item + nested, n - 2 * nested);
    }
    if (choice->n > 1)
        sm_buf_putc(&term, ')');
    bool ok = choice->n == 0 || (!term.failed && sm_list_push(terms, term.data));
    sm_buf_free(&term);
    sm_list_free(choice);
    return ok;
}

/* Add a word to the name under way: with no operator between them words are one name, be
 * it in brackets: "Apache 2.0", "BSD (3 clause)". */
static bool add_word(sm_buf *name, const char *word, size_t n)
{
    if (name->len > 0)
        sm_buf_putc(name, '-');
    return sm_buf_put(name, word, n);
}

/* The name is complete: an alternative. */
static bool push_name(sm_list *choice, sm_buf *words)
{
    sm_buf name = {0};
    bool ok = !words->failed;
    if (ok && words->len > 0)
        ok = sm_licence_name(&name, words->data, words->len) &&
             sm_list_push(choice, name.data);
    sm_buf_free(&name);
    sm_buf_clear(words);
    return ok;
}

bool sm_licence_expression(sm_list *terms, const char *text, size_t len)
{
    sm_list choice = {0};
    sm_buf name = {0};
    bool ok = true, exception = false;
    size_t i = 0;
    while (i < len && ok) {
        size_t n = 0;
        while (i + n < len && !strchr(" \t\r\n,;()", text[i + n]))
            n++;
        const char *w = text + i;
        bool comma = n == 0 && (text[i] == ',' || text[i] == ';');
        bool ends_term = comma || is_word(w, n, "and");
        if (ends_term || is_word(w, n, "or") || is_word(w, n, "and/or")) {
            ok = push_name(&choice, &name) && (!ends_term || push_choice(terms, &choice));
            exception = false;
        } else if (is_word(w, n, "with")) {
            exception = true; /* an exception only widens what is allowed */
        } else if (n > 0 && !exception) {
            ok = add_word(&name, w, n);
        }
        i += n ? n : 1;
    }
    ok = ok && push_name(&choice, &name);
    ok = push_choice(terms, &choice) && ok;
    sm_buf_free(&name);
    return ok;
}

bool sm_licence_join(sm_buf *out, sm_list *terms)
{
    sm_list_sort(terms);
    for (size_t i = 0; i < terms->n; i++) {
        if (i > 0 && strcmp(terms->item[i], terms->item[i - 1]) == 0)
            continue;
        if (i > 0)
            sm_buf_puts(out, " AND ");
        sm_buf_puts(out, terms->item[i]);
    }
    return !out->failed;
}

static bool wild(const char *p, const char *s, size_t n)
{
    for (; *p; p++) {
        if (*p == '*') {
            for (size_t skip = 0; skip <= n; skip++)
                if (wild(p + 1, s + skip, n - skip))
                    return true;
            return false;
        }
        if (n == 0 || (*p != '?' && strncasecmp(p, s, 1) != 0))
            return false;
        s++;
        n--;
    }
    return n == 0;
}

bool sm_licence_matches(const char *const *pattern, size_t n_pattern, const char *name,
                        size_t len)
{
    for (size_t i = 0; i < n_pattern; i++)
        if (wild(pattern[i], name, len))
            return true;
    return false;
}
