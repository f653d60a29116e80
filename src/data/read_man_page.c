/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sm_extract_man: decodes a page, runs the roff interpreter over it, and reads title,
 * section and summary off its macros, its file name and the finished text.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

/* ------------------------------------------------------- after the last line */

/* File name without directory, compression and section suffix: "man8/lsof.8.gz". */
static char *name_from_path(const char *path, char **section)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strlen(base);
    static const char *const packed[] = {".gz", ".xz", ".bz2", ".zst"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        size_t k = strlen(packed[i]);
        if (n > k && memcmp(base + n - k, packed[i], k) == 0)
            n -= k;
    }
    size_t dot = n;
    while (dot > 0 && base[dot - 1] != '.')
        dot--;
    if (dot > 1 && dot < n &&
        (isdigit((unsigned char)base[dot]) || base[dot] == 'n' || base[dot] == 'l')) {
        *section = sm_strndup(base + dot, n - dot);
        n = dot - 1;
    }
    return sm_strndup(base, n);
}

static bool same_ignoring_case(const char *a, const char *b, size_t n_b)
{
    for (size_t i = 0; i < n_b; i++)
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[i]))
            return false;
    return a[n_b] == 0;
}

/* The text of the first section: the line after its heading. */
static const char *name_line(const sm_buf *text, size_t *n)
{
    if (!text->data)
        return NULL;
    const char *s = text->data, *end = s + text->len;
    while (s < end && !(s[0] == '#' && s + 1 < end && s[1] == ' ')) {
        s = memchr(s, '\n', (size_t)(end - s));
        if (!s)
            return NULL;
        s++;
    }
    s = memchr(s, '\n', (size_t)(end - s));
    while (s && s < end && (*s == '\n' || *s == ' '))
        s++;
    if (!s || s >= end || *s == '#')
        return NULL;
    const char *stop = s;
    while (stop < end && !(stop[0] == '\n' && (stop + 1 == end || stop[1] == '\n')))
        stop++;
    *n = (size_t)(stop - s);
    return s;
}

/* What follows the dash of "names - summary", on one line. */
static char *summary_of(const char *line, size_t n)
{
    static const char *const dashes[] = {" - ", " \xe2\x80\x93 ", " \xe2\x80\x94 ",
                                         " -- ", " \xe2\x88\x92 "};
    const char *best = NULL;
    size_t skip = 0;
    for (size_t i = 0; i < n && !best; i++)
        for (size_t k = 0; k < sizeof dashes / sizeof *dashes && !best; k++) {
            size_t m = strlen(dashes[k]);
            if (m <= n - i && memcmp(line + i, dashes[k], m) == 0) {
                best = line + i;
                skip = m;
            }
        }
    if (!best)
        return NULL;
    char *out = sm_strndup(best + skip, n - (size_t)(best - line) - skip);
    for (char *p = out; p && *p; p++)
        if (*p == '\n')
            *p = ' ';
    return out;
}

/* Title in the case that the file name or the NAME line uses. */
static bool finish_title(roff *r, sm_extract *out, const char *path)
{
    char *section = NULL, *stem = path ? name_from_path(path, &section) : NULL;
    size_t n = 0;
    const char *line = name_line(&out->text, &n);
    if (line)
        out->summary = summary_of(line, n);
    const char *name = r->title && *r->title ? r->title : stem;
    if (stem && name && same_ignoring_case(name, stem, strlen(stem)))
        name = stem;
    size_t n_name = name ? strlen(name) : 0, word = 0;
    while (line && word < n && !strchr(" ,\n", line[word]))
        word++;
    if (line && word && name != stem && same_ignoring_case(name, line, word))
        name = line;
    const char *sec = r->section && *r->section ? r->section : section;
    sm_buf title = {.max = 4096};
    if (name && n_name)
        sm_buf_put(&title, name, n_name);
    if (title.len && sec)
        sm_buf_printf(&title, "(%s)", sec);
    out->title = title.len ? title.data : NULL;
    if (!title.len)
        sm_buf_free(&title);
    out->section = sec ? sm_strdup(sec) : NULL;
    free(stem);
    free(section);
    return !title.failed;
}

/* ------------------------------------------------------------------ the reader */

/* Emacs or vim style coding mark in the first two lines. */
static char *declared_coding(const char *s, size_t len)
{
    for (int line = 0; line < 2 && len > 0; line++) {
        const char *nl = memchr(s, '\n', len);
        size_t n = nl ? (size_t)(nl - s) : len;
        if (n > 3 && (s[0] == '.' || s[0] == '\'') && s[1] == '\\' && s[2] == '"')
            for (size_t i = 3; i + 7 < n; i++)
                if (memcmp(s + i, "coding:", 7) == 0) {
                    for (i += 7; i < n && s[i] == ' ';)
                        i++;
                    size_t start = i;
                    while (i < n && (isalnum((unsigned char)s[i]) || strchr("-_.", s[i])))
                        i++;
                    return sm_strndup(s + start, i - start);
                }
        s += nl ? n + 1 : n;
        len -= nl ? n + 1 : n;
    }
    return NULL;
}

/* Target of a page that is a single .so line, else NULL. */
static char *only_include(const char *s, size_t len)
{
    char *target = NULL;
    while (len > 0) {
        const char *nl = memchr(s, '\n', len);
        size_t n = nl ? (size_t)(nl - s) : len, i = 4;
        if (n > 4 && memcmp(s, ".so ", 4) == 0 && !target) {
            size_t end = n;
            while (i < end && s[i] == ' ')
                i++;
            while (end > i && isspace((unsigned char)s[end - 1]))
                end--;
            target = sm_strndup(s + i, end - i);
        } else if (n > 0 && !(n >= 3 && s[1] == '\\' && s[2] == '"') &&
                   !(n == 1 && s[0] == '.')) {
            free(target);
            return NULL;
        }
        s += n + (nl != NULL);
        len -= n + (nl != NULL);
    }
    return target;
}

static void roff_free(roff *r)
{
    while (r->n_frame > 0) {
        roff_frame *f = &r->frame[--r->n_frame];
        free(f->owned);
        roff_args_free(f->arg);
    }
    dw_free(&r->w);
    roff_dict_free(&r->dict);
    sm_buf_free(&r->raw);
    tbl_free(r->tbl);
    man_free(r->man);
    mdoc_free(r->mdoc);
    free(r->title);
    free(r->section);
    free(r);
}

static bool read_page(roff *r, sm_extract *out, const sm_buf *source, const char *path)
{
    enum { BUDGET_BASE = 1 << 20, BUDGET_PER_BYTE = 24 };
    r->control = '.';
    r->escape = '\\';
    r->raw.max = ROFF_LINE_MAX * 2;
    r->budget = BUDGET_BASE + BUDGET_PER_BYTE * source->len;
    dw_init(&r->w, &out->text);
    roff_push(r, source->data ? source->data : "", source->len, NULL, NULL, true);
    roff_run(r);
    if (r->is_cut)
        out->warning = "the page's macros are more work than a page is worth: its text "
                       "is cut";
    tbl_end(r);
    if (r->set == ROFF_SET_MDOC)
        mdoc_end(r);
    return dw_finish(&r->w) && !r->has_failed && finish_title(r, out, path);
}

sm_status sm_extract_man(sm_extract *out, const char *data, size_t len, const char *path,
                         const sm_so_resolver *so, sm_err *err)
{
    const char *where = path ? path : "manual page";
    if (len > SM_EXTRACT_MAX_BYTES)
        return sm_fail(err, SM_EINVAL, "%s: %zu bytes, want at most %zu", where, len,
                       SM_EXTRACT_MAX_BYTES);
    *out = (sm_extract){.text = {.max = SM_EXTRACT_MAX_BYTES}};
    sm_buf source = {.max = SM_EXTRACT_MAX_BYTES * 3};
    char *coding = declared_coding(data, len);
    roff *r = sm_alloc(1, sizeof *r);
    bool ok = r && sm_decode_text(&source, data, len, coding, &out->encoding);
    if (ok) {
        for (size_t i = 0; i < source.len; i++)
            if (source.data[i] == 0)
                source.data[i] = ' ';
        out->link_to = only_include(source.data ? source.data : "", source.len);
        r->so = so;
        ok = read_page(r, out, &source, path);
    }
    if (r)
        roff_free(r);
    free(coding);
    sm_buf_free(&source);
    if (ok)
        return SM_OK;
    sm_extract_free(out);
    return sm_fail(err, SM_ENOMEM, "%s: out of memory or more than %zu bytes of text",
                   where, SM_EXTRACT_MAX_BYTES);
}
