/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The roff interpreter's main loop and sm_extract_man: dispatch of lines, layout state, and
 * what is read off the finished text (title, section, summary).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"
#include "smelt/text.h"

/* ------------------------------------------------------------------- layout */

void roff_break(roff *r)
{
    r->joins_next = false;
    if (r->is_nofill && r->w.para.len && r->w.para.data[r->w.para.len - 1] == '\n')
        return;
    dw_break(&r->w);
}

void roff_para(roff *r)
{
    r->joins_next = false;
    if (!r->is_nofill) {
        dw_para(&r->w);
        return;
    }
    roff_break(r);
    if (r->w.para.len)
        dw_break(&r->w);
}

void roff_fill(roff *r, bool fill)
{
    r->joins_next = false;
    r->is_nofill = !fill;
    dw_pre(&r->w, !fill);
}

/* ----------------------------------------------------------------- text lines */

/* Words of an equation: keywords of layout left out. */
static void eqn_text(roff *r, const char *s, size_t n)
{
    static const char *const layout[] = {
        "sub",   "sup",  "over",  "roman", "italic", "bold",  "fat",   "size",   "font",
        "left",  "right", "from", "to",    "delim",  "define", "gfont", "gsize", "mark",
        "lineup", "up",   "down", "fwd",   "back",   "pile",  "lpile", "cpile",  "rpile",
        "above", "matrix", "col", "ccol",  "lcol",   "rcol",  "ndefine", "tdefine", "space"};
    for (size_t i = 0; i < n;) {
        while (i < n && strchr(" \t{}~^", s[i]))
            i++;
        size_t start = i;
        while (i < n && !strchr(" \t{}~^", s[i]))
            i++;
        bool skip = i == start;
        for (size_t k = 0; k < sizeof layout / sizeof *layout && !skip; k++)
            skip = strlen(layout[k]) == i - start &&
                   memcmp(layout[k], s + start, i - start) == 0;
        if (skip)
            continue;
        dw_blank(&r->w);
        roff_put(r, s + start, i - start);
    }
}

/* "delim $$" sets the marks of equations inside text. */
static void eqn_line(roff *r, const char *s, size_t n)
{
    if (n >= 8 && memcmp(s, "delim ", 6) == 0) {
        bool off = n >= 9 && memcmp(s + 6, "off", 3) == 0;
        r->eqn_delim[0] = off ? 0 : s[6];
        r->eqn_delim[1] = off ? 0 : s[7];
        return;
    }
    eqn_text(r, s, n);
}

/* Text with equations between delimiters. */
static void put_with_eqn(roff *r, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        const char *open = memchr(s + i, r->eqn_delim[0], n - i);
        const char *close =
            open ? memchr(open + 1, r->eqn_delim[1], n - (size_t)(open - s) - 1) : NULL;
        size_t run = close ? (size_t)(open - s) - i : n - i;
        roff_put(r, s + i, run);
        i += run;
        if (close) {
            eqn_text(r, open + 1, (size_t)(close - open) - 1);
            i = (size_t)(close - s) + 1;
        }
    }
}

/* The end of an input line that produced text. */
static void end_text_line(roff *r)
{
    if (!r->joins_next && (r->is_nofill || r->n_center > 0))
        dw_break(&r->w);
    if (r->n_center > 0)
        r->n_center--;
    man_line_end(r);
}

void roff_text_line(roff *r, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] == ' ')
        i++;
    if (i == n) {
        if (r->is_nofill)
            dw_break(&r->w);
        else
            roff_para(r);
        return;
    }
    bool joins = r->joins_next;
    r->joins_next = false;
    if (i > 0 && !r->is_nofill && !joins && r->w.heading == 0)
        roff_break(r);
    if (!joins)
        dw_blank(&r->w);
    if (r->eqn_delim[0])
        put_with_eqn(r, s, n);
    else
        roff_put(r, s, n);
    end_text_line(r);
}

/* ------------------------------------------------------------------ dispatch */

/* Start a user-defined macro; false when `name` is none. */
static bool call_macro(roff *r, const char *name, size_t n_name, const char *rest, size_t n)
{
    const roff_def *d = roff_dict_find(&r->dict, name, n_name);
    if (!d || !d->has_body)
        return false;
    if (!d->is_macro) { /* a string called as a macro is its text */
        sm_buf text = {.max = ROFF_LINE_MAX};
        sm_buf_put(&text, d->body.data, d->body.len);
        if (text.data && roff_spend(r, text.len + 16))
            roff_push(r, text.data, text.len, text.data, NULL, false);
        else
            sm_buf_free(&text);
        return true;
    }
    roff_args *a = sm_alloc(1, sizeof *a);
    char *body = sm_strndup(d->body.data ? d->body.data : "", d->body.len);
    if (!a || !body || !roff_spend(r, d->body.len + n + 64)) {
        r->has_failed |= !a || !body;
        free(a);
        free(body);
        return true;
    }
    a->store.max = ROFF_LINE_MAX + ROFF_ARG_MAX;
    roff_split_args(a, rest, n);
    roff_push(r, body, d->body.len, body, a, false);
    return true;
}

void roff_call(roff *r, const char *s, size_t n)
{
    size_t i = 0, start;
    while (i < n && (s[i] == ' ' || s[i] == '\t'))
        i++;
    start = i;
    while (i < n && s[i] != ' ' && s[i] != '\t' && s[i] != '\\')
        i++;
    bool is_builtin = start < i && s[start] == ROFF_BUILTIN_MARK;
    const char *name = s + start + is_builtin;
    size_t n_name = i - start - is_builtin;
    if (n_name == 0)
        return;
    while (i < n && (s[i] == ' ' || s[i] == '\t'))
        i++;
    if ((!is_builtin && call_macro(r, name, n_name, s + i, n - i)) ||
        roff_request(r, name, n_name, s + i, n - i))
        return;
    char word[16];
    if (n_name >= sizeof word)
        return;
    memcpy(word, name, n_name);
    word[n_name] = 0;
    if (r->set == ROFF_SET_NONE)
        r->set = strcmp(word, "Dd") == 0 ? ROFF_SET_MDOC : ROFF_SET_MAN;
    bool is_mdoc = r->set == ROFF_SET_MDOC;
    if (is_mdoc ? mdoc_macro(r, word, s + i, n - i) : man_macro(r, word, s + i, n - i))
        end_text_line(r);
}

static bool is_control_line(const roff *r, const char *s, size_t n)
{
    return n > 0 && (s[0] == r->control || s[0] == '\'');
}

/* Lines that only end an equation or picture count while one is open. */
static bool in_preprocessor(roff *r, const char *s, size_t n)
{
    if (!r->in_eqn && !r->in_skip)
        return false;
    if (is_control_line(r, s, n) && n >= 3) {
        static const char *const ends[] = {"EN", "PE", "PF", "GE", "G2", "SH", "Sh"};
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            if (memcmp(s + 1, ends[i], 2) == 0) {
                r->in_eqn = r->in_skip = false;
                return false;
            }
        return true;
    }
    if (r->in_eqn)
        eqn_line(r, s, n);
    return true;
}

static void dispatch(roff *r, const char *s, size_t n)
{
    if (in_preprocessor(r, s, n))
        return;
    if (r->tbl)
        tbl_line(r, s, n);
    else if (is_control_line(r, s, n))
        roff_call(r, s + 1, n - 1);
    else
        roff_text_line(r, s, n);
}

static bool has_block_end(const char *s, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const char *p = memchr(s + i, '\\', n - i - 1);
        if (!p)
            return false;
        if (p[1] == '}')
            return true;
        i = (size_t)(p - s) + 1;
    }
    return false;
}

void roff_line(roff *r, const char *s, size_t n)
{
    if (r->n_cond == 0 || !has_block_end(s, n)) {
        dispatch(r, s, n);
        return;
    }
    sm_buf line = {.max = ROFF_LINE_MAX};
    sm_buf_put(&line, s, n);
    if (line.data) {
        roff_close_blocks(r, &line);
        size_t i = 0;
        while (i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'))
            i++;
        if (i < line.len)
            dispatch(r, line.data, line.len);
    }
    sm_buf_free(&line);
}

static void run(roff *r)
{
    sm_buf line = {.max = ROFF_LINE_MAX};
    while (roff_next_line(r)) {
        const char *s = r->raw.data ? r->raw.data : "";
        size_t n = r->raw.len;
        if (memchr(s, '\\', n)) {
            sm_buf_clear(&line);
            roff_expand(r, &line, s, n, false);
            s = line.data ? line.data : "";
            n = line.len;
        }
        roff_line(r, s, n);
    }
    sm_buf_free(&line);
}

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
    if (dot > 1 && dot < n && (isdigit((unsigned char)base[dot]) || base[dot] == 'n' ||
                               base[dot] == 'l')) {
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
    static const char *const dashes[] = {" - ", " \xe2\x80\x93 ", " \xe2\x80\x94 ", " -- ",
                                         " \xe2\x88\x92 "};
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
    run(r);
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
    return sm_fail(err, SM_ENOMEM, "%s: out of memory or more than %zu bytes of text", where,
                   SM_EXTRACT_MAX_BYTES);
}
