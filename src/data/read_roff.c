/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The roff interpreter's main loop: dispatch of lines to macros, requests, tables and text,
 * and the state of the layout.
 */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

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
        "sub",   "sup",     "over",    "roman", "italic", "bold",  "fat",    "size",
        "font",  "left",    "right",   "from",  "to",     "delim", "define", "gfont",
        "gsize", "mark",    "lineup",  "up",    "down",   "fwd",   "back",   "pile",
        "lpile", "cpile",   "rpile",   "above", "matrix", "col",   "ccol",   "lcol",
        "rcol",  "ndefine", "tdefine", "space"};
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

static void text_line(roff *r, const char *s, size_t n)
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
static bool call_macro(roff *r, const char *name, size_t n_name, const char *rest,
                       size_t n)
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
        text_line(r, s, n);
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

static void line_with_block_end(roff *r, const char *s, size_t n)
{
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

void roff_line(roff *r, const char *s, size_t n)
{
    if (r->n_nest >= ROFF_NEST_MAX)
        return;
    r->n_nest++;
    if (r->n_cond == 0 || !has_block_end(s, n))
        dispatch(r, s, n);
    else
        line_with_block_end(r, s, n);
    r->n_nest--;
}

void roff_run(roff *r)
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
