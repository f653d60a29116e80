/* SPDX-License-Identifier: Apache-2.0 */
/* Output side of the roff interpreter: escape sequences and text to the writer. */
#include <string.h>

#include "read_roff.h"

enum { ARG_REACH = 2000 }; /* bytes within which an argument must end */

/* Bytes of the UTF-8 character at s[i]. */
static size_t char_length(const char *s, size_t n, size_t i)
{
    size_t k = i + 1;
    while (k < n && ((unsigned char)s[k] & 0xc0) == 0x80)
        k++;
    return k - i;
}

/* Argument written as x, (xx or [xxx] at s[i]. */
static size_t name_arg(roff_escape *e, const char *s, size_t n, size_t i)
{
    if (i >= n) {
        e->arg = s + n;
        return n;
    }
    if (s[i] == '(') {
        e->arg = s + i + 1;
        size_t two = i + 1;
        for (int k = 0; k < 2 && two < n; k++)
            two += char_length(s, n, two);
        e->n = two - i - 1;
        return two;
    }
    if (s[i] == '[') {
        int depth = 1;
        size_t j = i + 1;
        n = n - j > ARG_REACH ? j + ARG_REACH : n;
        for (; j < n; j++) {
            if (s[j] == '\\' && j + 2 < n && s[j + 2] == '[')
                depth++;
            else if (s[j] == ']' && --depth == 0)
                break;
        }
        if (j >= n) /* no closing bracket: not an argument */
            j = i + 1;
        e->arg = s + i + 1;
        e->n = s[j < n ? j : n - 1] == ']' && j < n ? j - i - 1 : 0;
        return j + (j < n && s[j] == ']');
    }
    e->arg = s + i;
    if (s[i] == '\\' && i + 1 < n) { /* an escape that interpolates to the name */
        roff_escape inner;
        e->n = 1 + roff_escape_read(&inner, s + i + 1, n - i - 1);
    } else {
        e->n = char_length(s, n, i);
    }
    return i + e->n;
}

/* Argument between two equal delimiters at s[i].  One level of escapes that use the same
 * delimiter may nest in it. */
static size_t quoted_arg(roff_escape *e, const char *s, size_t n, size_t i)
{
    e->arg = s + (i < n ? i : n);
    if (i >= n)
        return n;
    char delim = s[i];
    size_t j = i + 1;
    n = n - i > ARG_REACH ? i + ARG_REACH : n;
    while (j < n && s[j] != delim) {
        if (s[j] != '\\' || j + 1 >= n) {
            j++;
            continue;
        }
        bool nests = strchr("whvZXoBA", s[j + 1]) && j + 2 < n && s[j + 2] == delim;
        const char *close = nests ? memchr(s + j + 3, delim, n - j - 3) : NULL;
        j = close ? (size_t)(close - s) + 1 : j + 2;
    }
    j = j < n ? j : n;
    e->arg = s + i + 1;
    e->n = j - i - 1;
    return j < n ? j + 1 : n;
}

/* \s: [+-]N, (NN, [N], 'N'; the number itself never matters. */
static size_t size_arg(roff_escape *e, const char *s, size_t n, size_t i)
{
    bool has_sign = false;
    for (; i < n && (s[i] == '+' || s[i] == '-'); i++)
        has_sign = true;
    if (i >= n)
        return n;
    if (s[i] == '(' || s[i] == '[') {
        return name_arg(e, s, n, i);
    } else if (s[i] == '\'') {
        return quoted_arg(e, s, n, i);
    } else if (s[i] >= '0' && s[i] <= '9') {
        bool two = !has_sign && s[i] >= '1' && s[i] <= '3' && i + 1 < n &&
                   s[i + 1] >= '0' && s[i + 1] <= '9';
        return i + 1 + two;
    }
    return i;
}

size_t roff_escape_read(roff_escape *e, const char *s, size_t n)
{
    *e = (roff_escape){.c = s[0], .arg = s + 1};
    switch (s[0]) {
    case '(':
    case '[':
        return name_arg(e, s, n, 0);
    case '*':
    case '$':
    case 'f':
    case 'F':
    case 'g':
    case 'k':
    case 'm':
    case 'M':
    case 'V':
    case 'Y':
    case 'O':
        return name_arg(e, s, n, 1);
    case 'n': {
        size_t i = 1;
        if (i < n && (s[i] == '+' || s[i] == '-'))
            e->sign = s[i++] == '+' ? 1 : -1;
        return name_arg(e, s, n, i);
    }
    case 's':
        return size_arg(e, s, n, 1);
    case 'A':
    case 'b':
    case 'B':
    case 'C':
    case 'D':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'N':
    case 'o':
    case 'R':
    case 'S':
    case 'v':
    case 'w':
    case 'x':
    case 'X':
    case 'Z':
        return quoted_arg(e, s, n, 1);
    default:
        return 1;
    }
}

/* ------------------------------------------------------------------- output */

typedef struct text_sink {
    roff *r;
    sm_buf *plain; /* or NULL: the writer */
} text_sink;

static void sink_raw(text_sink *t, const char *s, size_t n)
{
    if (t->plain)
        sm_buf_put(t->plain, s, n);
    else {
        dw_text(&t->r->w, s, n);
        t->r->joins_next =
            t->r->joins_next && n == 0; /* \c counts at the end of a line */
    }
}

/* Replace what .tr names at s[i]; 0 when nothing matches. */
static size_t translate(text_sink *t, const char *s, size_t n)
{
    const roff *r = t->r;
    for (int k = r->n_tr - 1; k >= 0; k--) {
        size_t m = r->tr[k].n_from;
        if (m <= n && memcmp(r->tr[k].from, s, m) == 0) {
            sink_raw(t, r->tr[k].to, r->tr[k].n_to);
            return m;
        }
    }
    return 0;
}

static void sink_text(text_sink *t, const char *s, size_t n)
{
    if (t->r->n_tr == 0) {
        sink_raw(t, s, n);
        return;
    }
    size_t start = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        if (c < 128 && !t->r->tr_ascii[c]) {
            i++;
            continue;
        }
        sink_raw(t, s + start, i - start);
        size_t used = translate(t, s + i, n - i);
        start = i + used;
        i += used ? used : 1;
    }
    sink_raw(t, s + start, n - start);
}

static void hard_blank(text_sink *t)
{
    char c = t->plain ? ' ' : DW_HARD_BLANK;
    sink_raw(t, &c, 1);
}

/* Horizontal motion: to the right by about a character or more is a blank. */
static void motion(text_sink *t, const roff_escape *e)
{
    long v;
    size_t used;
    const char *s = e->arg;
    size_t n = e->n;
    bool absolute = n > 0 && s[0] == '|';
    if (absolute) {
        s++;
        n--;
    }
    if (!roff_number(&v, s, n, &used))
        return;
    bool has_unit = used > 0 && !(s[used - 1] >= '0' && s[used - 1] <= '9');
    if (v > 0 && (absolute || !has_unit ? v >= 1 : v >= 12))
        hard_blank(t);
}

static void overstruck(text_sink *t, const char *s, size_t n);

static void put_glyph(text_sink *t, const char *name, size_t n)
{
    char glyph[ROFF_GLYPH_MAX];
    size_t len = roff_glyph(glyph, name, n);
    if (len > 0) {
        sink_text(t, glyph, len);
        return;
    }
    /* \[e aa]: a letter with accents; the letter is kept */
    const char *blank = memchr(name, ' ', n);
    if (blank && blank > name)
        put_glyph(t, name, (size_t)(blank - name));
}

static void put_escape(text_sink *t, const roff_escape *e)
{
    char glyph[ROFF_GLYPH_MAX];
    switch (e->c) {
    case '(':
    case '[':
    case 'C':
        put_glyph(t, e->arg, e->n);
        break;
    case 'N':
        sink_text(t, glyph, roff_number_glyph(glyph, e->arg, e->n));
        break;
    case 'o':
        overstruck(t, e->arg, e->n);
        break;
    case 'h':
        motion(t, e);
        break;
    case ' ':
    case '~':
    case '0':
        hard_blank(t);
        break;
    case 't':
        sink_raw(t, "\t", 1);
        break;
    case 'e':
    case 'E':
    case '\\':
        sink_text(t, "\\", 1);
        break;
    case '-':
    case '.':
    case '_':
        sink_text(t, &e->c, 1);
        break;
    case '\'':
        sink_text(t, "\xc2\xb4", 2);
        break;
    case '`':
        sink_text(t, "`", 1);
        break;
    case 'c':
        t->r->joins_next = true;
        break;
    case 'p':
        if (!t->plain)
            dw_break(&t->r->w);
        break;
    default: /* an unknown escape stands for its character */
        if (!strchr("&)%:/,|^{}!?adurzfFgkmMVYOsAbBDHlLRSvwxXZn*$#\"", e->c))
            sink_text(t, &e->c, 1);
        break;
    }
}

/* Length of the character or escape at s. */
static size_t unit_length(const char *s, size_t n)
{
    if (s[0] == '\\' && n > 1) {
        roff_escape e;
        return 1 + roff_escape_read(&e, s + 1, n - 1);
    }
    return char_length(s, n, 0);
}

/* \o'abc': of characters on one place the last is what a plain terminal shows. */
static void overstruck(text_sink *t, const char *s, size_t n)
{
    size_t last = 0;
    for (size_t i = 0; i < n;) {
        last = i;
        i += unit_length(s + i, n - i);
    }
    if (n == 0)
        return;
    roff_escape e;
    if (s[last] == '\\' && last + 1 < n) {
        roff_escape_read(&e, s + last + 1, n - last - 1);
        if (e.c != 'o')
            put_escape(t, &e);
    } else {
        sink_text(t, s + last, n - last);
    }
}

static void put_text(text_sink *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *p = memchr(s + i, '\\', n - i);
        size_t run = p ? (size_t)(p - s) - i : n - i;
        if (run)
            sink_text(t, s + i, run);
        i += run;
        if (i + 1 >= n)
            break;
        roff_escape e;
        i += 1 + roff_escape_read(&e, s + i + 1, n - i - 1);
        if (e.c == 'z' && i < n) {
            /* \zX: X takes no room, and what follows covers it, if anything does */
            size_t next = i + unit_length(s + i, n - i);
            if (next < n && s[next] != ' ')
                i = next;
        } else {
            put_escape(t, &e);
        }
    }
}

void roff_put(roff *r, const char *s, size_t n)
{
    text_sink t = {.r = r};
    put_text(&t, s, n);
}

void roff_puts(roff *r, const char *s)
{
    roff_put(r, s, strlen(s));
}

void roff_plain(roff *r, sm_buf *out, const char *s, size_t n)
{
    text_sink t = {.r = r, .plain = out};
    bool joins = r->joins_next;
    put_text(&t, s, n);
    r->joins_next = joins;
}
