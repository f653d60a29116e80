/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sm_extract_markdown: block structure of CommonMark with GitHub tables, line by line.
 *
 *   line -> fence? -> blank? -> list marker / quote / heading / table / rule -> paragraph
 *
 * Invariants: `para` holds the lines of the open paragraph; it is written by flush().
 * Lists nest by indentation: item[k] is the column where the content of level k starts.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_markdown.h"

enum { LEVEL_MAX = 16 };

bool next_line(line_cursor *c, const char **line, size_t *n)
{
    if (c->s >= c->end)
        return false;
    const char *nl = memchr(c->s, '\n', (size_t)(c->end - c->s));
    *line = c->s;
    *n = nl ? (size_t)(nl - c->s) : (size_t)(c->end - c->s);
    c->s += *n + (nl != NULL);
    return true;
}

size_t line_indent(const char *s, size_t n, size_t *n_bytes)
{
    size_t column = 0, i = 0;
    for (; i < n && (s[i] == ' ' || s[i] == '\t'); i++)
        column = s[i] == '\t' ? (column / 4 + 1) * 4 : column + 1;
    *n_bytes = i;
    return column;
}

sm_status extract_markup(sm_extract *out, const char *data, size_t len, const char *where,
                         void (*pass)(sm_extract *out, doc_writer *w, const char *s,
                                      size_t n),
                         sm_err *err)
{
    if (len > SM_EXTRACT_MAX_BYTES)
        return sm_fail(err, SM_EINVAL, "%s: %zu bytes, want at most %zu", where, len,
                       SM_EXTRACT_MAX_BYTES);
    *out = (sm_extract){.text = {.max = SM_EXTRACT_MAX_BYTES * 3}};
    sm_buf source = {.max = SM_EXTRACT_MAX_BYTES * 3};
    doc_writer w;
    dw_init(&w, &out->text);
    bool ok = sm_decode_text(&source, data, len, NULL, &out->encoding);
    if (ok) {
        pass(out, &w, source.data ? source.data : "", source.len);
        ok = dw_finish(&w);
    }
    dw_free(&w);
    sm_buf_free(&source);
    if (ok)
        return SM_OK;
    sm_extract_free(out);
    return sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
}

typedef struct markdown {
    sm_extract *out;
    doc_writer *w;
    sm_buf para;
    size_t item[LEVEL_MAX]; /* content column of each open list level */
    int n_item;
    bool was_blank;
    size_t fence; /* length of the open fence, 0 = none */
    char fence_char;
    bool in_code; /* indented code block */
} markdown;

static void flush(markdown *m)
{
    if (m->para.len) {
        markdown_inline(m->w, m->para.data, m->para.len);
        sm_buf_clear(&m->para);
        dw_para(m->w);
    }
}

static void heading(markdown *m, int level, const char *s, size_t n)
{
    flush(m);
    m->n_item = 0;
    dw_heading(m->w, level);
    markdown_inline(m->w, s, n);
    if (!m->out->title && m->w->para.len)
        m->out->title = sm_strndup(m->w->para.data, m->w->para.len);
    dw_para(m->w);
}

/* "## text ##"; false when the line is no heading. */
static bool atx_heading(markdown *m, const char *s, size_t n)
{
    size_t level = 0;
    while (level < n && s[level] == '#')
        level++;
    if (level == 0 || level > 6 || (level < n && s[level] != ' ' && s[level] != '\t'))
        return false;
    while (n > level && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    size_t end = n;
    while (end > level && s[end - 1] == '#')
        end--;
    if (end > level && s[end - 1] == ' ')
        n = end;
    heading(m, (int)level, s + level, n - level);
    return true;
}

/* A line of only `c`s (and blanks); at least `least` of them. */
static bool only_of(const char *s, size_t n, char c, size_t least, bool blanks)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == c)
            k++;
        else if (!(s[i] == ' ' || s[i] == '\t') ||
                 (!blanks && k < n && i + 1 < n && s[i + 1] == c))
            return false;
    }
    return k >= least;
}

static bool setext_heading(markdown *m, const char *s, size_t n)
{
    if (!m->para.len || m->n_item || n == 0)
        return false;
    int level = only_of(s, n, '=', 1, false) ? 1 : only_of(s, n, '-', 2, false) ? 2 : 0;
    if (level == 0)
        return false;
    char *text = sm_strndup(m->para.data, m->para.len);
    size_t len = m->para.len;
    sm_buf_clear(&m->para);
    if (text)
        heading(m, level, text, len);
    free(text);
    return true;
}

static bool is_rule(const char *s, size_t n)
{
    return only_of(s, n, '-', 3, true) || only_of(s, n, '*', 3, true) ||
           only_of(s, n, '_', 3, true);
}

/* Length of a list marker with the blank behind it, 0 when there is none. */
static size_t list_marker(const char *s, size_t n)
{
    size_t i = 0;
    if (n > 0 && strchr("-*+", s[0]) && s[0])
        i = 1;
    else {
        while (i < n && i < 9 && isdigit((unsigned char)s[i]))
            i++;
        if (i == 0 || i >= n || (s[i] != '.' && s[i] != ')'))
            return 0;
        i++;
    }
    if (i < n && s[i] != ' ' && s[i] != '\t')
        return 0;
    return i;
}

/* Close list levels whose content starts to the right of `column`. */
static void close_levels(markdown *m, size_t column)
{
    int before = m->n_item;
    while (m->n_item > 0 && column < m->item[m->n_item - 1])
        m->n_item--;
    if (before != m->n_item) {
        flush(m);
        dw_indent(m->w, m->n_item);
    }
}

static bool list_item(markdown *m, const char *s, size_t n, size_t column,
                      const char **rest, size_t *n_rest, size_t *content)
{
    size_t mark = list_marker(s, n), bytes;
    if (mark == 0 || m->n_item >= LEVEL_MAX)
        return false;
    bool is_number = isdigit((unsigned char)s[0]);
    if (m->para.len && m->n_item == 0 && is_number && !(s[0] == '1' && mark == 2))
        return false; /* "1984. " in running text */
    flush(m);
    while (m->n_item > 0 && column + 1 < m->item[m->n_item - 1])
        m->n_item--;
    size_t blanks = line_indent(s + mark, n - mark, &bytes);
    blanks = blanks == 0 || blanks > 4 ? 1 : blanks;
    dw_item(m->w, m->n_item);
    m->item[m->n_item++] = *content = column + mark + blanks;
    if (is_number) {
        dw_text(m->w, s, mark);
        dw_blank(m->w);
    }
    bytes = bytes > 4 ? 1 : bytes;
    *rest = s + mark + bytes;
    *n_rest = n - mark - bytes;
    return true;
}

/* |---|:--:| */
static bool is_table_rule(const char *s, size_t n)
{
    bool dash = false, bar = false;
    for (size_t i = 0; i < n; i++) {
        if (!strchr("|-: \t", s[i]) || s[i] == 0)
            return false;
        dash |= s[i] == '-';
        bar |= s[i] == '|';
    }
    return dash && bar;
}

static void table_row(markdown *m, const char *s, size_t n)
{
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '|'))
        n--;
    while (n > 0 && (s[0] == ' ' || s[0] == '|')) {
        s++;
        n--;
    }
    for (size_t i = 0, start = 0; i <= n; i++) {
        bool escaped = i > 0 && s[i - 1] == '\\';
        if (i < n && !(s[i] == '|' && !escaped))
            continue;
        if (start > 0) {
            dw_blank(m->w);
            dw_puts(m->w, "|");
            dw_blank(m->w);
        }
        markdown_inline(m->w, s + start, i - start);
        start = i + 1;
    }
    dw_break(m->w);
}

/* A table begins when the line after one with bars is a rule. */
static bool table(markdown *m, line_cursor *c, const char *s, size_t n)
{
    line_cursor ahead = *c;
    const char *line;
    size_t len;
    if (!memchr(s, '|', n) || !next_line(&ahead, &line, &len) ||
        !is_table_rule(line, len))
        return false;
    flush(m);
    table_row(m, s, n);
    *c = ahead;
    while (ahead = *c, next_line(&ahead, &line, &len) && memchr(line, '|', len)) {
        table_row(m, line, len);
        *c = ahead;
    }
    dw_para(m->w);
    return true;
}

/* Opening or closing fence; true when the line belongs to a fenced block. */
static bool fence(markdown *m, const char *s, size_t n)
{
    size_t i, column = line_indent(s, n, &i), run = 0;
    while (i + run < n && (s[i] == '`' || s[i] == '~') && s[i + run] == s[i])
        run++;
    if (m->fence) {
        size_t after;
        line_indent(s + i + run, n - i - run, &after);
        if (run >= m->fence && s[i] == m->fence_char && i + run + after == n) {
            m->fence = 0;
            dw_pre(m->w, false);
        } else {
            size_t cut = 0, base = m->n_item ? m->item[m->n_item - 1] : 0;
            while (cut < n && cut < base && s[cut] == ' ')
                cut++;
            dw_text(m->w, s + cut, n - cut);
            dw_break(m->w);
        }
        return true;
    }
    if (run < 3 || (s[i] == '`' && memchr(s + i + run, '`', n - i - run)))
        return false;
    close_levels(m, column);
    flush(m);
    m->fence = run;
    m->fence_char = s[i];
    dw_pre(m->w, true);
    return true;
}

/* Code by indentation, after a blank line. */
static bool indented_code(markdown *m, const char *s, size_t n, size_t column,
                          bool is_blank)
{
    size_t base = m->n_item ? m->item[m->n_item - 1] : 0;
    if (m->in_code && !is_blank && column < base + 4) {
        m->in_code = false;
        dw_pre(m->w, false);
    }
    if (!m->in_code &&
        (is_blank || column < base + 4 || m->para.len || (m->n_item && !m->was_blank)))
        return false;
    if (!m->in_code)
        dw_pre(m->w, true);
    m->in_code = true;
    size_t i = 0, at = 0;
    for (; i < n && at < base + 4 && (s[i] == ' ' || s[i] == '\t'); i++)
        at = s[i] == '\t' ? (at / 4 + 1) * 4 : at + 1;
    dw_text(m->w, s + i, n - i);
    dw_break(m->w);
    return true;
}

/* "[label]: address" */
static bool is_reference(const char *s, size_t n)
{
    const char *close = n > 3 && s[0] == '[' && s[1] != '^' ? memchr(s, ']', n) : NULL;
    return close && close + 1 < s + n && close[1] == ':';
}

/* Bytes of "[^label]: ", which begins the text of a note; 0 when there is none. */
static size_t note_mark(const char *s, size_t n)
{
    const char *close = n > 4 && s[0] == '[' && s[1] == '^' ? memchr(s, ']', n) : NULL;
    size_t used = close ? (size_t)(close - s) + 1 : n;
    if (used >= n || s[used] != ':')
        return 0;
    for (used++; used < n && (s[used] == ' ' || s[used] == '\t');)
        used++;
    return used;
}

static void block_line(markdown *m, line_cursor *c, const char *s, size_t n)
{
    size_t bytes, column = line_indent(s, n, &bytes);
    bool is_blank = bytes == n;
    if (indented_code(m, s, n, column, is_blank) || fence(m, s, n))
        return;
    if (is_blank) {
        flush(m);
        m->was_blank = true;
        return;
    }
    s += bytes;
    n -= bytes;
    while (n > 0 && s[0] == '>') { /* quotes read as their content */
        if (!m->para.len)
            flush(m);
        size_t k = 1 + (n > 1 && s[1] == ' ');
        s += k;
        n -= k;
    }
    if (m->was_blank || !m->para.len)
        close_levels(m, column);
    m->was_blank = false;
    const char *rest;
    size_t n_rest, content, mark = note_mark(s, n);
    if (mark > 0) {
        flush(m);
        s += mark;
        n -= mark;
        if (n == 0)
            return;
    }
    if (setext_heading(m, s, n))
        return;
    if (is_rule(s, n)) {
        flush(m);
        return;
    }
    while (list_item(m, s, n, column, &rest, &n_rest, &content)) {
        s = rest;
        n = n_rest;
        column = content;
    }
    if (atx_heading(m, s, n) || table(m, c, s, n) || (!m->para.len && is_reference(s, n)))
        return;
    if (m->para.len)
        sm_buf_putc(&m->para, '\n');
    sm_buf_put(&m->para, s, n);
}

/* YAML or TOML between --- or +++ at the top. */
static void skip_front_matter(line_cursor *c)
{
    line_cursor ahead = *c;
    const char *line;
    size_t n;
    if (!next_line(&ahead, &line, &n) || n < 3 ||
        (memcmp(line, "---", 3) != 0 && memcmp(line, "+++", 3) != 0))
        return;
    char mark = line[0];
    for (int k = 0; k < 200 && next_line(&ahead, &line, &n); k++)
        if (n >= 3 && only_of(line, n, mark, 3, false)) {
            *c = ahead;
            return;
        }
}

static void markdown_pass(sm_extract *out, doc_writer *w, const char *s, size_t n)
{
    markdown m = {.out = out, .w = w, .para = {.max = SM_EXTRACT_MAX_BYTES * 3}};
    line_cursor c = {s, s + n};
    skip_front_matter(&c);
    while (next_line(&c, &s, &n))
        block_line(&m, &c, s, n);
    if (m.fence || m.in_code)
        dw_pre(w, false);
    flush(&m);
    w->has_failed |= m.para.failed;
    sm_buf_free(&m.para);
}

sm_status sm_extract_markdown(sm_extract *out, const char *data, size_t len,
                              const char *path, sm_err *err)
{
    return extract_markup(out, data, len, path ? path : "Markdown", markdown_pass, err);
}
