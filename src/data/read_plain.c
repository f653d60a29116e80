/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text, the guess of a document's format, and reading by format. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "read_encoding.h"
#include "smelt/extract.h"
#include "smelt/text.h"

void sm_extract_free(sm_extract *x)
{
    if (!x)
        return;
    sm_buf_free(&x->text);
    free(x->title);
    free(x->summary);
    free(x->section);
    free(x->lang);
    free(x->link_to);
    *x = (sm_extract){0};
}

const char *sm_format_name(sm_format f)
{
    static const char *const names[] = {"unknown", "plain", "markdown",
                                        "rst",     "html",  "man"};
    return (size_t)f < sizeof names / sizeof *names ? names[f] : "unknown";
}

/* ---------------------------------------------------------------- plain text */

/* Copy a line without trailing blanks and control characters. */
static void put_line(sm_buf *out, const char *s, size_t n)
{
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\f'))
        n--;
    if (n > 0 && s[0] == '#') {
        size_t k = 0;
        while (k < n && s[k] == '#')
            k++;
        if (k <= 6 && (k == n || s[k] == ' '))
            sm_buf_putc(out, ' ');
    }
    size_t start = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            continue;
        sm_buf_put(out, s + start, i - start);
        start = i + 1;
    }
    sm_buf_put(out, s + start, n - start);
}

static void put_plain(sm_buf *out, const char *s, size_t len)
{
    size_t n_blank = 0;
    while (len > 0) {
        const char *nl = memchr(s, '\n', len);
        size_t n = nl ? (size_t)(nl - s) : len, from = out->len;
        if (from > 0) {
            sm_buf_putc(out, '\n');
            if (n_blank > 0)
                sm_buf_putc(out, '\n');
        }
        size_t body = out->len;
        put_line(out, s, n);
        if (out->len == body) { /* nothing visible: one blank line stands for a run */
            n_blank++;
            out->len = from;
        } else {
            n_blank = 0;
        }
        s += n + (nl != NULL);
        len -= n + (nl != NULL);
    }
    if (out->len)
        sm_buf_putc(out, '\n');
}

sm_status sm_extract_plain(sm_extract *out, const char *data, size_t len,
                           const char *path, sm_err *err)
{
    const char *where = path ? path : "text";
    if (len > SM_EXTRACT_MAX_BYTES)
        return sm_fail(err, SM_EINVAL, "%s: %zu bytes, want at most %zu", where, len,
                       SM_EXTRACT_MAX_BYTES);
    *out = (sm_extract){.text = {.max = SM_EXTRACT_MAX_BYTES * 3}};
    sm_buf source = {.max = SM_EXTRACT_MAX_BYTES * 3};
    bool ok = sm_decode_text(&source, data, len, NULL, &out->encoding);
    if (ok && source.len)
        put_plain(&out->text, source.data, source.len);
    sm_buf_free(&source);
    if (ok && !out->text.failed)
        return SM_OK;
    sm_extract_free(out);
    return sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
}

/* ------------------------------------------------------------------ detection */

/* Name without directory and compression suffix. */
static const char *base_name(const char *path, size_t *n)
{
    static const char *const packed[] = {".gz", ".xz", ".zst", ".bz2"};
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    *n = strlen(base);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        size_t k = strlen(packed[i]);
        if (*n > k && strncasecmp(base + *n - k, packed[i], k) == 0)
            *n -= k;
    }
    return base;
}

static bool has_suffix(const char *s, size_t n, const char *suffix)
{
    size_t k = strlen(suffix);
    return n > k && strncasecmp(s + n - k, suffix, k) == 0;
}

/* "lsof.8", "perlfunc.1perl", "Tk.n": a section suffix of a manual page. */
static bool has_section_suffix(const char *s, size_t n)
{
    size_t dot = n;
    while (dot > 0 && s[dot - 1] != '.')
        dot--;
    if (dot < 2 || dot >= n || n - dot > 8)
        return false;
    if (!(s[dot] >= '1' && s[dot] <= '9') &&
        !(n - dot == 1 && (s[dot] == 'n' || s[dot] == 'l')))
        return false;
    for (size_t i = dot + 1; i < n; i++)
        if (!isalpha((unsigned char)s[i]))
            return false;
    return true;
}

/* First lines as of a manual page: a comment or request of roff, then .TH, .Dd or .so. */
static bool looks_like_man(const char *s, size_t len)
{
    size_t limit = len < 65536 ? len : 65536;
    bool is_first = true;
    for (size_t i = 0; i < limit;) {
        const char *nl = memchr(s + i, '\n', limit - i);
        size_t n = nl ? (size_t)(nl - s) - i : limit - i;
        if (n >= 4 && s[i] == '.' &&
            (memcmp(s + i, ".TH ", 4) == 0 || memcmp(s + i, ".Dd ", 4) == 0 ||
             memcmp(s + i, ".so ", 4) == 0 || memcmp(s + i, ".TH\t", 4) == 0))
            return true;
        if (n > 0 && is_first && s[i] != '.' && s[i] != '\'')
            return false;
        is_first = is_first && n == 0;
        i += n + 1;
    }
    return false;
}

static bool starts_with_tag(const char *s, size_t n, const char *tag)
{
    size_t k = strlen(tag);
    return n >= k && strncasecmp(s, tag, k) == 0;
}

static bool looks_like_html(const char *s, size_t len)
{
    static const char *const tags[] = {"<!doctype html", "<html",  "<head",
                                       "<body",          "<title", "<meta"};
    size_t limit = len < 2048 ? len : 2048;
    for (size_t i = 0; i < limit; i++) {
        if (s[i] != '<')
            continue;
        for (size_t k = 0; k < sizeof tags / sizeof *tags; k++)
            if (starts_with_tag(s + i, len - i, tags[k]))
                return true;
    }
    return false;
}

/* Bytes that no text has: zeros outside UTF-16, or many control characters. */
static bool looks_binary(const char *s, size_t len)
{
    size_t n = len < 8192 ? len : 8192, n_zero = 0, n_control = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        n_zero += c == 0;
        n_control += c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' &&
                     c != '\b' && c != 0x1b && c != 0;
    }
    if (n_zero > 0) {
        bool marked =
            n >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0);
        return !marked && !encoding_guess_utf16(s, len);
    }
    return n_control > n / 10;
}

sm_format sm_format_detect(const char *path, const char *data, size_t len)
{
    static const struct {
        const char *suffix;
        sm_format format;
    } by_name[] = {{".html", SM_FORMAT_HTML},         {".htm", SM_FORMAT_HTML},
                   {".xhtml", SM_FORMAT_HTML},        {".md", SM_FORMAT_MARKDOWN},
                   {".markdown", SM_FORMAT_MARKDOWN}, {".mkd", SM_FORMAT_MARKDOWN},
                   {".rst", SM_FORMAT_RST},           {".rst.txt", SM_FORMAT_RST},
                   {".txt", SM_FORMAT_PLAIN},         {".text", SM_FORMAT_PLAIN}};
    if (len == 0 || looks_binary(data, len))
        return SM_FORMAT_UNKNOWN;
    size_t n = 0;
    const char *name = path ? base_name(path, &n) : "";
    if (has_section_suffix(name, n) && looks_like_man(data, len))
        return SM_FORMAT_MAN;
    sm_format found = SM_FORMAT_UNKNOWN;
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        if (has_suffix(name, n, by_name[i].suffix))
            found = found ? found : by_name[i].format; /* the first row that fits wins */
    if (found != SM_FORMAT_UNKNOWN)
        return found;
    if (looks_like_man(data, len))
        return SM_FORMAT_MAN;
    return looks_like_html(data, len) ? SM_FORMAT_HTML : SM_FORMAT_PLAIN;
}

sm_status sm_extract_document(sm_extract *out, sm_format format, const char *data,
                              size_t len, const char *path, const sm_so_resolver *so,
                              sm_err *err)
{
    switch (format) {
    case SM_FORMAT_PLAIN:
        return sm_extract_plain(out, data, len, path, err);
    case SM_FORMAT_MARKDOWN:
        return sm_extract_markdown(out, data, len, path, err);
    case SM_FORMAT_RST:
        return sm_extract_rst(out, data, len, path, err);
    case SM_FORMAT_HTML:
        return sm_extract_html(out, data, len, path, SM_HTML_MAIN, err);
    case SM_FORMAT_MAN:
        return sm_extract_man(out, data, len, path, so, err);
    default:
        return sm_fail(err, SM_EUNSUPPORTED, "%s: format \"%s\", want a text format",
                       path ? path : "document", sm_format_name(format));
    }
}
