/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the readers' text form; invariants in read_writer.h. */
#include <string.h>

#include "read_writer.h"
#include "smelt/text.h"

enum { INDENT_STEP = 2, INDENT_MAX = 40, PRE_INDENT = 4, TERM_INLINE_MAX = 100 };

void dw_init(doc_writer *w, sm_buf *out)
{
    *w = (doc_writer){.out = out};
    w->para.max = out->max;
    w->term.max = out->max;
}

void dw_free(doc_writer *w)
{
    sm_buf_free(&w->para);
    sm_buf_free(&w->term);
}

/* Empty the buffer, remembering that it overflowed. */
static void clear(doc_writer *w, sm_buf *b)
{
    w->has_failed |= b->failed;
    sm_buf_clear(b);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Append one word to the flowing block, with the blank it is owed. */
static void put_word(doc_writer *w, const char *s, size_t n)
{
    if (w->owes_blank && w->para.len && w->para.data[w->para.len - 1] != '\n')
        sm_buf_putc(&w->para, ' ');
    w->owes_blank = false;
    sm_buf_put(&w->para, s, n);
}

void dw_text(doc_writer *w, const char *s, size_t n)
{
    if (w->is_pre) {
        if (w->owes_blank && w->para.len && w->para.data[w->para.len - 1] != '\n')
            sm_buf_putc(&w->para, ' ');
        w->owes_blank = false;
        sm_buf_put(&w->para, s, n);
        return;
    }
    for (size_t i = 0; i < n;) {
        if (is_blank(s[i])) {
            w->owes_blank = true;
            i++;
            continue;
        }
        size_t start = i;
        while (i < n && !is_blank(s[i]))
            i++;
        put_word(w, s + start, i - start);
    }
}

void dw_puts(doc_writer *w, const char *s)
{
    dw_text(w, s, strlen(s));
}

void dw_blank(doc_writer *w)
{
    w->owes_blank = true;
}

void dw_join(doc_writer *w)
{
    w->owes_blank = false;
}

void dw_break(doc_writer *w)
{
    w->owes_blank = false;
    if (w->is_pre || (w->para.len && w->para.data[w->para.len - 1] != '\n'))
        sm_buf_putc(&w->para, '\n');
}

/* After "\xc3\x82" or "\xc3\x83" a byte that was decoded twice may follow: the repair of
 * such text, a later step, needs what looks like a soft hyphen or a C1 control. */
static bool after_double_encoding(const sm_buf *out)
{
    if (out->len < 2)
        return false;
    const unsigned char *last = (const unsigned char *)out->data + out->len - 2;
    return last[0] == 0xc3 && (last[1] == 0x82 || last[1] == 0x83);
}

/* Length in bytes of a character that the text form leaves out, else 0. */
static size_t dropped(const unsigned char *s, size_t n)
{
    if (s[0] < 0x20)
        return s[0] == '\n' || s[0] == '\t' || s[0] == DW_HARD_BLANK ? 0 : 1;
    if (s[0] == 0x7f)
        return 1;
    if (n >= 2 && s[0] == 0xc2 && s[1] == 0xad)
        return 2; /* soft hyphen */
    if (n >= 3 && s[0] == 0xe2 && s[1] == 0x80 && s[2] == 0x8b)
        return 3; /* zero-width space */
    if (n >= 3 && s[0] == 0xe2 && s[1] == 0x81 && s[2] == 0xa0)
        return 3; /* word joiner */
    if (n >= 3 && s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf)
        return 3; /* byte-order mark */
    return 0;
}

/* Copy one line to `out` without what the form leaves out; returns bytes written. */
static size_t put_clean(sm_buf *out, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t before = out->len;
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && u[run] >= 0x20 && u[run] < 0x7f)
            run++;
        if (run > i) {
            sm_buf_put(out, s + i, run - i);
            i = run;
            continue;
        }
        bool is_double = u[i] == 0xc2 && after_double_encoding(out);
        size_t skip = is_double ? 0 : dropped(u + i, n - i);
        uint32_t cp;
        int k = u[i] < 0x80 ? 1 : sm_utf8_decode(&cp, s + i, n - i);
        if (skip || k == 0) { /* or a piece of a character that an escape cut */
            i += skip ? skip : 1;
        } else if (u[i] == DW_HARD_BLANK) {
            sm_buf_putc(out, ' ');
            i++;
        } else if (i + 1 < n && u[i] == 0xc2 && u[i + 1] == 0xa0 && !is_double) {
            sm_buf_putc(out, ' ');
            i += 2;
        } else {
            sm_buf_put(out, s + i, (size_t)k);
            i += (size_t)k;
        }
    }
    return out->len - before;
}

/* Nothing that put_clean would leave but blanks. */
static bool is_invisible(const sm_buf *b)
{
    const unsigned char *s = (const unsigned char *)b->data;
    uint32_t cp;
    for (size_t i = 0; i < b->len;) {
        size_t n = b->len - i, skip = dropped(s + i, n);
        if (is_blank((char)s[i]) || s[i] == DW_HARD_BLANK)
            i++;
        else if (n >= 2 && s[i] == 0xc2 && s[i + 1] == 0xa0)
            i += 2;
        else if (skip)
            i += skip;
        else if (s[i] >= 0x80 && sm_utf8_decode(&cp, b->data + i, n) == 0)
            i++;
        else
            return false;
    }
    return true;
}

static void put_blanks(sm_buf *b, int n)
{
    while (n-- > 0)
        sm_buf_putc(b, ' ');
}

static void trim_line(sm_buf *b, size_t from)
{
    while (b->len > from && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '\t'))
        b->len--;
    if (b->data)
        b->data[b->len] = 0;
}

/* True when a line at column 0 would be read back as a heading. */
static bool looks_like_heading(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] == '#')
        i++;
    return i > 0 && i <= 6 && (i == n || s[i] == ' ' || s[i] == DW_HARD_BLANK);
}

/* Separate from the block before and write indentation and marker of this one. */
static void block_begin(doc_writer *w)
{
    bool in_list = w->has_marker || w->indent > 0;
    if (w->out->len)
        sm_buf_puts(w->out, w->has_marker && w->was_list ? "\n" : "\n\n");
    w->was_list = in_list;
    if (w->has_marker) {
        put_blanks(w->out, w->indent - INDENT_STEP);
        sm_buf_puts(w->out, "- ");
        w->has_marker = false;
    } else if (!w->is_pre) {
        put_blanks(w->out, w->indent);
    }
}

/* The lines of flowing text; the first that is not blank continues what block_begin or a
 * term wrote. */
static void put_lines(doc_writer *w, const char *s, size_t n, bool at_line_start)
{
    bool has_text = false;
    for (size_t i = 0; i < n;) {
        const char *nl = memchr(s + i, '\n', n - i);
        size_t end = nl ? (size_t)(nl - s) : n;
        size_t line = w->out->len + 1;
        if (has_text) {
            sm_buf_putc(w->out, '\n');
            put_blanks(w->out, w->indent);
            at_line_start = w->indent == 0;
        }
        if (at_line_start && looks_like_heading(s + i, end - i))
            sm_buf_putc(w->out, ' ');
        size_t from = w->out->len;
        put_clean(w->out, s + i, end - i);
        trim_line(w->out, from);
        if (has_text && w->out->len == from) /* a blank line keeps no indentation */
            trim_line(w->out, line);
        has_text = has_text || w->out->len > from;
        i = end + (nl != NULL);
    }
}

static bool ends_sentence(const sm_buf *b)
{
    char c = b->len ? b->data[b->len - 1] : 0;
    return c == ':' || c == '.' || c == ')' || c == ';' || c == ',';
}

static bool is_enumerator(const sm_buf *b)
{
    return b->len <= 6 && ends_sentence(b);
}

/* A term that waits for its description.  Returns true when `para` may follow on the same
 * line. */
static bool flush_term(doc_writer *w, bool followed_by_text)
{
    if (is_invisible(&w->term)) {
        clear(w, &w->term);
        return false;
    }
    block_begin(w);
    put_lines(w, w->term.data, w->term.len, w->indent == 0);
    bool inline_ok = followed_by_text && w->term.len <= TERM_INLINE_MAX;
    if (inline_ok)
        sm_buf_puts(
            w->out,
            is_enumerator(&w->term) || w->term.data[w->term.len - 1] == ':' ? " " : ": ");
    clear(w, &w->term);
    return inline_ok;
}

static void flush_heading(doc_writer *w)
{
    int level = w->heading;
    size_t before = w->out->len;
    w->has_marker = false;
    w->indent = 0;
    if (w->out->len)
        sm_buf_puts(w->out, "\n\n");
    w->was_list = false;
    for (int i = 0; i < level; i++)
        sm_buf_putc(w->out, '#');
    sm_buf_putc(w->out, ' ');
    size_t text = w->out->len;
    for (size_t i = 0; i < w->para.len; i++)
        if (w->para.data[i] == '\n')
            w->para.data[i] = ' ';
    put_clean(w->out, w->para.data, w->para.len);
    trim_line(w->out, text);
    if (w->out->len == text && w->out->data) { /* nothing visible */
        w->out->len = before;
        w->out->data[before] = 0;
    }
}

/* A preformatted block: lines kept, blank lines at both ends dropped. */
static void flush_pre(doc_writer *w)
{
    const char *s = w->para.data;
    size_t n = w->para.len, i = 0, line_start = 0;
    for (; i < n && (is_blank(s[i]) || s[i] == DW_HARD_BLANK); i++)
        if (s[i] == '\n')
            line_start = i + 1;
    if (i == n)
        return;
    flush_term(w, false);
    if (w->has_marker) { /* an item that starts with a block: marker on its own */
        block_begin(w);
        trim_line(w->out, 0);
        sm_buf_putc(w->out, '\n');
    } else {
        block_begin(w);
    }
    int n_blank = 0;
    for (i = line_start; i < n;) {
        const char *nl = memchr(s + i, '\n', n - i);
        size_t end = nl ? (size_t)(nl - s) : n, from = w->out->len;
        put_blanks(w->out, w->indent + PRE_INDENT);
        size_t body = w->out->len;
        put_clean(w->out, s + i, end - i);
        trim_line(w->out, body);
        if (w->out->len == body) {
            w->out->len = from;
            n_blank++;
        } else {
            n_blank = 0;
        }
        sm_buf_putc(w->out, '\n');
        i = end + (nl != NULL);
    }
    for (n_blank++; n_blank > 0 && w->out->len; n_blank--)
        w->out->len--;
    if (w->out->data)
        w->out->data[w->out->len] = 0;
}

static void flush_flow(doc_writer *w)
{
    bool same_line = flush_term(w, true);
    if (!same_line)
        block_begin(w);
    put_lines(w, w->para.data, w->para.len, !same_line && w->indent == 0);
}

void dw_para(doc_writer *w)
{
    w->owes_blank = false;
    while (!w->is_pre && w->para.len && w->para.data[w->para.len - 1] == '\n')
        w->para.len--;
    if (w->para.len && w->heading)
        flush_heading(w);
    else if (!is_invisible(&w->para) && w->is_pre)
        flush_pre(w);
    else if (!is_invisible(&w->para))
        flush_flow(w);
    w->heading = 0;
    clear(w, &w->para);
}

void dw_heading(doc_writer *w, int level)
{
    dw_indent(w, 0);
    w->is_pre = false;
    w->heading = level < 1 ? 1 : level > 6 ? 6 : level;
}

static void set_indent(doc_writer *w, int depth)
{
    int n = depth * INDENT_STEP;
    w->indent = n > INDENT_MAX ? INDENT_MAX : n < 0 ? 0 : n;
}

void dw_item(doc_writer *w, int depth)
{
    dw_para(w);
    flush_term(w, false);
    set_indent(w, depth + 1);
    w->has_marker = true;
}

void dw_term_end(doc_writer *w)
{
    while (w->para.len && w->para.data[w->para.len - 1] == '\n')
        w->para.len--;
    clear(w, &w->term);
    sm_buf_put(&w->term, w->para.data, w->para.len);
    clear(w, &w->para);
    w->owes_blank = false;
}

void dw_indent(doc_writer *w, int depth)
{
    dw_para(w);
    flush_term(w, false);
    w->has_marker = false;
    set_indent(w, depth);
}

void dw_pre(doc_writer *w, bool on)
{
    if (on != w->is_pre)
        dw_para(w);
    w->is_pre = on;
}

bool dw_finish(doc_writer *w)
{
    dw_para(w);
    flush_term(w, false);
    if (w->out->len)
        sm_buf_putc(w->out, '\n');
    return !w->out->failed && !w->has_failed;
}
