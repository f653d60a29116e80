/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that look at length, language and licence alone. */
#include <string.h>

#include "curate.h"
#include "licence.h"

static int64_t count_chars(const char *s, size_t n)
{
    int64_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    return chars;
}

sm_status sm_step_length(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                         sm_err *err)
{
    (void)scratch;
    int64_t n = count_chars(d->doc.text, d->doc.text_len);
    if (n < p->min_chars)
        return sm_curate_reject(d, "length.short", err,
                                "%lld characters, want at least %lld", (long long)n,
                                (long long)p->min_chars);
    if (p->max_chars > 0 && n > p->max_chars)
        return sm_curate_reject(d, "length.long", err,
                                "%lld characters, want at most %lld", (long long)n,
                                (long long)p->max_chars);
    return SM_OK;
}

sm_status sm_step_language(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                           sm_err *err)
{
    (void)scratch;
    for (size_t i = 0; i < p->n_lang; i++)
        if (strcmp(p->lang[i], d->doc.lang) == 0)
            return SM_OK;
    if (p->n_lang == 0)
        return SM_OK;
    return sm_curate_reject(d, "language.other", err,
                            "%s, want one of %zu kept languages (%s%s)", d->doc.lang,
                            p->n_lang, p->lang[0], p->n_lang > 1 ? ", ..." : "");
}

/* ---------------------------------------------------------------- licences */

static const char *name_refused(const curate_params *p, const char *name, size_t n)
{
    if (n == 0 || (n == 7 && memcmp(name, "unknown", 7) == 0))
        return p->allow_unknown ? NULL : "licence.unknown";
    if (sm_licence_matches(p->deny, p->n_deny, name, n))
        return "licence.denied";
    if (p->n_allow > 0 && !sm_licence_matches(p->allow, p->n_allow, name, n))
        return "licence.not_allowed";
    return NULL;
}

/* One term: a name, or "(A OR B)", which passes when any of its names does. */
static const char *term_refused(const curate_params *p, const char *term, size_t n)
{
    const char *why = NULL;
    if (n >= 2 && *term == '(' && term[n - 1] == ')') {
        term++;
        n -= 2;
    }
    for (size_t at = 0; at <= n;) {
        size_t k = at;
        while (k < n && (n - k < 4 || memcmp(term + k, " OR ", 4) != 0))
            k++;
        why = name_refused(p, term + at, k - at);
        if (!why)
            return NULL;
        at = k + 4;
    }
    return why;
}

bool sm_licence_allowed(const curate_params *p, const char *licence, const char **why)
{
    *why = NULL;
    for (const char *at = licence; !*why;) {
        const char *next = strstr(at, " AND ");
        *why = term_refused(p, at, next ? (size_t)(next - at) : strlen(at));
        if (!next)
            break;
        at = next + 5;
    }
    return *why == NULL;
}

sm_status sm_step_licence(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                          sm_err *err)
{
    (void)scratch;
    const char *why;
    if (sm_licence_allowed(p, d->doc.licence, &why))
        return SM_OK;
    return sm_curate_reject(d, why, err, "%s", *d->doc.licence ? d->doc.licence : "none");
}
