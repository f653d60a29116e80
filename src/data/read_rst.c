/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sm_extract_rst: reStructuredText read lightly.  Headings by their adornment (levels in
 * order of first use), lists, literal blocks, simple directives; tables stay as they are.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_markdown.h"

enum { LEVEL_MAX = 6 };

typedef struct rst {
    sm_extract *out;
    doc_writer *w;
    sm_buf para;
    char adornment[LEVEL_MAX];
    int n_level;
    bool in_literal; /* lines deeper than `base` are kept as they are */
    bool literal_has_line;
    size_t base;
    bool in_comment;
    bool in_item; /* the open paragraph is a list item whose mark is at `base` */
} rst;

/* --------------------------------------------------------------------- inline */

static size_t find(const char *s, size_t n, size_t i, const char *mark)
{
    enum { AHEAD_MAX = 1000 };
    size_t k = strlen(mark), limit = i + AHEAD_MAX < n ? i + AHEAD_MAX : n;
    for (; i + k <= limit; i++)
        if (memcmp(s + i, mark, k) == 0)
            return i;
    return n;
}

/* `text <target>`_ keeps its text. */
static void interpreted(doc_writer *w, const char *s, size_t n)
{
    size_t end = n;
    if (n > 2 && s[n - 1] == '>') {
        for (size_t i = n; i > 1; i--)
            if (s[i - 1] == '<' && s[i - 2] == ' ') {
                end = i - 2;
                break;
            }
    }
    if (end > 0 && (s[0] == '~' || s[0] == '!')) {
        s++;
        end--;
    }
    dw_text(w, s, end);
}

/* :role:`text` at i; returns the position of its backtick, or n. */
static size_t role_end(const char *s, size_t n, size_t i)
{
    size_t k = i + 1;
    while (k < n && k - i < 40 &&
           (isalnum((unsigned char)s[k]) || strchr("-_.:+", s[k])) && s[k])
        k++;
    return k < n && s[k] == '`' && s[k - 1] == ':' && k > i + 2 ? k : n;
}

/* Write one paragraph's inline reStructuredText as text. */
static void put_inline(doc_writer *w, const char *s, size_t n)
{
    size_t start = 0, i = 0;
    while (i < n) {
        size_t from = i, end = n, mark = 0;
        if (s[i] == ':' && role_end(s, n, i) < n)
            from = role_end(s, n, i);
        bool starts = i == 0 || !isalnum((unsigned char)s[i - 1]);
        if (s[from] == '`' && from + 1 < n && s[from + 1] == '`') {
            mark = 2;
            end = find(s, n, from + 2, "``");
        } else if (s[from] == '`') {
            mark = 1;
            end = find(s, n, from + 1, "`");
        } else if (starts && s[i] == '*' && i + 1 < n && s[i + 1] == '*') {
            mark = 2;
            end = find(s, n, i + 2, "**");
        } else if (starts && s[i] == '*' && i + 1 < n &&
                   !isspace((unsigned char)s[i + 1])) {
            mark = 1;
            end = find(s, n, i + 1, "*");
        } else if (s[i] == '\\' && i + 1 < n) {
            dw_text(w, s + start, i - start);
            start = i + 1 + (s[i + 1] == ' ');
            i += 2;
            continue;
        }
        if (mark == 0 || end >= n) {
            i++;
            continue;
        }
        dw_text(w, s + start, i - start);
        if (s[from] == '`' && mark == 1)
            interpreted(w, s + from + 1, end - from - 1);
        else
            dw_text(w, s + from + mark, end - from - mark);
        i = end + mark;
        while (i < n && s[i] == '_' && s[from] == '`' && mark == 1)
            i++;
        start = i;
    }
    dw_text(w, s + start, n - start);
}

/* --------------------------------------------------------------------- blocks */

static void flush(rst *m)
{
    if (!m->para.len)
        return;
    bool literal =
        m->para.len >= 2 && memcmp(m->para.data + m->para.len - 2, "::", 2) == 0;
    size_t n = m->para.len - literal; /* "text::" reads as "text:" */
    if (literal && (n == 1 || m->para.data[n - 2] == '\n'))
        n--;
    put_inline(m->w, m->para.data, n);
    sm_buf_clear(&m->para);
    dw_para(m->w);
    m->in_literal = literal;
    m->literal_has_line = false;
}

static bool is_adornment(const char *s, size_t n)
{
    while (n > 0 && s[n - 1] == ' ')
        n--;
    if (n < 3 || !ispunct((unsigned char)s[0]))
        return false;
    for (size_t i = 1; i < n; i++)
        if (s[i] != s[0])
            return false;
    return true;
}

static void heading(rst *m, char adornment, const char *s, size_t n)
{
    int level = 0;
    while (level < m->n_level && m->adornment[level] != adornment)
        level++;
    if (level == m->n_level && level < LEVEL_MAX)
        m->adornment[m->n_level++] = adornment;
    flush(m);
    dw_heading(m->w, level + 1);
    put_inline(m->w, s, n);
    if (!m->out->title && m->w->para.len)
        m->out->title = sm_strndup(m->w->para.data, m->w->para.len);
    dw_para(m->w);
}

/* Title with its underline on the next line, or between two lines. */
static bool title(rst *m, line_cursor *c, const char *s, size_t n)
{
    line_cursor ahead = *c;
    const char *second, *third;
    size_t n_second, n_third;
    if (m->para.len || n == 0 || !next_line(&ahead, &second, &n_second))
        return false;
    if (is_adornment(s, n) && n_second > 0 && next_line(&ahead, &third, &n_third) &&
        is_adornment(third, n_third) && third[0] == s[0] &&
        !is_adornment(second, n_second)) {
        heading(m, s[0], second, n_second);
        *c = ahead;
        return true;
    }
    ahead = *c;
    next_line(&ahead, &second, &n_second);
    if (!is_adornment(s, n) && s[0] != ' ' && is_adornment(second, n_second) &&
        n_second + 2 >= n) {
        heading(m, second[0], s, n);
        *c = ahead;
        return true;
    }
    return false;
}

/* ".. name:: arguments" and other explicit markup.  False for ordinary text. */
static bool explicit_markup(rst *m, const char *s, size_t n, size_t column)
{
    if (n < 2 || s[0] != '.' || s[1] != '.' || (n > 2 && s[2] != ' '))
        return false;
    flush(m);
    dw_indent(m->w, 0);
    size_t i = 2;
    while (i < n && s[i] == ' ')
        i++;
    size_t colons = find(s, n, i, "::");
    m->base = column;
    m->in_comment = false;
    if (colons >= n) { /* comment, target, footnote: footnotes keep their text */
        bool note = i < n && s[i] == '[';
        m->in_comment = !note && !(i < n && s[i] == '_');
        if (note)
            sm_buf_put(&m->para, s + i, n - i);
        return true;
    }
    static const char *const code[] = {
        "code",      "code-block",     "sourcecode", "parsed-literal",
        "highlight", "productionlist", "math"};
    static const char *const drop[] = {
        "toctree", "image",         "figure",   "raw",          "contents",
        "include", "index",         "role",     "default-role", "kernel-doc",
        "module",  "currentmodule", "highlight"};
    for (size_t k = 0; k < sizeof drop / sizeof *drop; k++)
        if (strlen(drop[k]) == colons - i && memcmp(s + i, drop[k], colons - i) == 0) {
            m->in_comment = true;
            return true;
        }
    bool is_code = false;
    for (size_t k = 0; k < sizeof code / sizeof *code; k++)
        is_code |=
            strlen(code[k]) == colons - i && memcmp(s + i, code[k], colons - i) == 0;
    if (is_code) {
        m->in_literal = true;
        m->literal_has_line = false;
        return true;
    }
    size_t rest = colons + 2;
    while (rest < n && s[rest] == ' ')
        rest++;
    sm_buf_put(&m->para, s + rest, n - rest);
    return true;
}

/* Length of a list mark with its blanks, 0 when none. */
static size_t list_mark(const char *s, size_t n)
{
    size_t i = 0;
    if (n > 1 && s[0] && strchr("-*+", s[0]))
        i = 1;
    else if (n > 2 && s[0] == '#' && s[1] == '.')
        i = 2;
    else {
        i += n > 0 && s[0] == '(';
        size_t digits = i;
        while (i < n && isdigit((unsigned char)s[i]))
            i++;
        if (i == digits || i >= n || (s[i] != '.' && s[i] != ')'))
            return 0;
        i++;
    }
    if (i >= n || s[i] != ' ')
        return 0;
    while (i < n && s[i] == ' ')
        i++;
    return i;
}

static bool literal_line(rst *m, const char *s, size_t n, size_t column, bool is_blank)
{
    if (!m->in_literal)
        return false;
    if (!is_blank && column <= m->base) {
        m->in_literal = false;
        dw_pre(m->w, false);
        return false;
    }
    if (is_blank && !m->literal_has_line)
        return true;
    size_t cut = 0;
    while (cut < n && cut < m->base + 2 && s[cut] == ' ')
        cut++;
    if (!m->literal_has_line && !is_blank && s[cut] == ':' && n > cut + 1 &&
        isalpha((unsigned char)s[cut + 1]))
        return true; /* an option of the directive */
    m->literal_has_line = true;
    dw_pre(m->w, true);
    dw_text(m->w, s + cut, n - cut);
    dw_break(m->w);
    return true;
}

static void block_line(rst *m, line_cursor *c, const char *s, size_t n)
{
    size_t bytes, column = line_indent(s, n, &bytes);
    bool is_blank = bytes == n;
    if (literal_line(m, s, n, column, is_blank))
        return;
    if (is_blank) {
        flush(m);
        return;
    }
    if (m->in_comment) {
        if (column > m->base)
            return;
        m->in_comment = false;
    }
    if (title(m, c, s, n))
        return;
    s += bytes;
    n -= bytes;
    if (explicit_markup(m, s, n, column))
        return;
    if (m->para.len && m->in_item && column <= m->base && list_mark(s, n))
        flush(m);
    if (!m->para.len) {
        size_t mark = list_mark(s, n);
        m->in_item = mark > 0;
        m->base = column;
        if (mark) {
            dw_item(m->w, (int)(column / 2 > 8 ? 8 : column / 2));
            if (!strchr("-*+", s[0]))
                dw_text(m->w, s, mark);
            s += mark;
            n -= mark;
        } else if (column == 0) {
            dw_indent(m->w, 0);
        }
        if (is_adornment(s, n) && n > 3 && s[0] == '-')
            return; /* transition */
    } else {
        sm_buf_putc(&m->para, '\n');
    }
    sm_buf_put(&m->para, s, n);
}

static void rst_pass(sm_extract *out, doc_writer *w, const char *s, size_t n)
{
    rst m = {.out = out, .w = w, .para = {.max = SM_EXTRACT_MAX_BYTES * 3}};
    line_cursor c = {s, s + n};
    while (next_line(&c, &s, &n))
        block_line(&m, &c, s, n);
    dw_pre(w, false);
    flush(&m);
    w->has_failed |= m.para.failed;
    sm_buf_free(&m.para);
}

sm_status sm_extract_rst(sm_extract *out, const char *data, size_t len, const char *path,
                         sm_err *err)
{
    return extract_markup(out, data, len, path ? path : "reStructuredText", rst_pass,
                          err);
}
