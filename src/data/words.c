/* SPDX-License-Identifier: Apache-2.0 */
/* Words and lines of a text, in one pass; ASCII by table, the rest by Unicode category. */
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "smelt/text.h"

typedef enum kind {
    K_OTHER,
    K_SPACE,
    K_LETTER,
    K_DIGIT,
    K_LOW_LINE,
    K_MARK,
    K_SINGLE
} kind;

/* Characters above ASCII in datatrove's PUNCTUATION (which has a full-width 1), sorted. */
static const uint32_t punctuation[] = {
    0x00ab, 0x00b4, 0x00bb, 0x2013, 0x2014, 0x2019, 0x201c, 0x201d, 0x201e,
    0x2026, 0x2236, 0x2501, 0x25ba, 0x3001, 0x3002, 0x3008, 0x3009, 0x300a,
    0x300b, 0x300c, 0x300d, 0x3010, 0x3011, 0xff01, 0xff05, 0xff08, 0xff09,
    0xff0c, 0xff0e, 0xff11, 0xff1a, 0xff1b, 0xff1f, 0xff5e};

/* datatrove's TERMINAL_PUNCTUATION (utils/text.py): the full stops, question and exclamation
 * marks of all scripts; quotation marks and ellipses are not among them. */
static const uint32_t terminal[] = {
    '!',     '.',     '?',     0x0589,  0x061d,  0x061e,  0x061f,  0x06d4,  0x0700,
    0x0701,  0x0702,  0x07f9,  0x0837,  0x0839,  0x083d,  0x083e,  0x0964,  0x0965,
    0x104a,  0x104b,  0x1362,  0x1367,  0x1368,  0x166e,  0x1735,  0x1736,  0x17d4,
    0x17d5,  0x17d6,  0x17d9,  0x17da,  0x1803,  0x1809,  0x1944,  0x1945,  0x1aa8,
    0x1aa9,  0x1aaa,  0x1aab,  0x1b5a,  0x1b5b,  0x1b5e,  0x1b5f,  0x1b7d,  0x1b7e,
    0x1c3b,  0x1c3c,  0x1c7e,  0x1c7f,  0x203c,  0x203d,  0x2047,  0x2048,  0x2049,
    0x2e2e,  0x2e3c,  0x2e53,  0x2e54,  0x3002,  0xa4ff,  0xa60e,  0xa60f,  0xa6f3,
    0xa6f7,  0xa876,  0xa877,  0xa8ce,  0xa8cf,  0xa92f,  0xa9c8,  0xa9c9,  0xaa5d,
    0xaa5e,  0xaa5f,  0xaaf0,  0xaaf1,  0xabeb,  0xfe52,  0xfe56,  0xfe57,  0xff01,
    0xff0e,  0xff1f,  0xff61,  0x10a56, 0x10a57, 0x10f55, 0x10f56, 0x10f57, 0x10f58,
    0x10f59, 0x10f86, 0x10f87, 0x10f88, 0x10f89, 0x11047, 0x11048, 0x110be, 0x110bf,
    0x110c0, 0x110c1, 0x11141, 0x11142, 0x11143, 0x111c5, 0x111c6, 0x111cd, 0x111de,
    0x111df, 0x11238, 0x11239, 0x1123b, 0x1123c, 0x112a9, 0x1144b, 0x1144c, 0x115c2,
    0x115c3, 0x115c9, 0x115ca, 0x115cb, 0x115cc, 0x115cd, 0x115ce, 0x115cf, 0x115d0,
    0x115d1, 0x115d2, 0x115d3, 0x115d4, 0x115d5, 0x115d6, 0x115d7, 0x11641, 0x11642,
    0x1173c, 0x1173d, 0x1173e, 0x11944, 0x11946, 0x11a42, 0x11a43, 0x11a9b, 0x11a9c,
    0x11c41, 0x11c42, 0x11ef7, 0x11ef8, 0x11f43, 0x11f44, 0x16a6e, 0x16a6f, 0x16af5,
    0x16b37, 0x16b38, 0x16b44, 0x16e98, 0x1bc9f, 0x1da88};

bool sm_is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85 ||
           c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t sm_last_char(uint32_t *c, const char *s, size_t n)
{
    size_t k = 1;
    while (k < n && k < 4 && ((unsigned char)s[n - k] & 0xc0) == 0x80)
        k++;
    return n > 0 && sm_utf8_decode(c, s + n - k, k) == (int)k ? k : 0;
}

const char *sm_strip(const char *s, size_t *n)
{
    uint32_t c;
    int k;
    size_t last;
    while (*n > 0 && (k = sm_utf8_decode(&c, s, *n)) > 0 && sm_is_space(c)) {
        s += k;
        *n -= (size_t)k;
    }
    while ((last = sm_last_char(&c, s, *n)) > 0 && sm_is_space(c))
        *n -= last;
    return s;
}

bool sm_is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

static bool is_in(const uint32_t *sorted, size_t n, uint32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (sorted[mid] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && sorted[lo] == c;
}

bool sm_is_terminal(uint32_t c)
{
    return is_in(terminal, sizeof terminal / sizeof *terminal, c);
}

bool sm_is_punctuation(uint32_t c)
{
    if (c < 0x80) {
        bool graph = c > 32 && c < 127;
        bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        bool control = c < 9 || c == 11 || c == 12 || (c > 12 && c < 32) || c == 127;
        return (graph && !alnum) || control;
    }
    return c < 0xa0 || is_in(punctuation, sizeof punctuation / sizeof *punctuation, c);
}

/* str.isalpha() of one character. */
static bool is_alpha(uint32_t c)
{
    if (c < 0x80)
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool sm_is_han_or_kana(uint32_t c)
{
    return (c >= 0x3040 && c < 0x3100) || (c >= 0x3400 && c < 0x4dc0) ||
           (c >= 0x4e00 && c < 0xa000) || (c >= 0x20000 && c < 0x30000);
}

static kind kind_wide(uint32_t c)
{
    if (sm_is_space(c))
        return K_SPACE;
    if (sm_is_han_or_kana(c))
        return K_SINGLE;
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO)
        return K_LETTER;
    if (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME)
        return K_MARK;
    if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO)
        return K_DIGIT;
    return K_OTHER;
}

static kind kind_of(uint32_t c)
{
    if (c >= 0x80)
        return kind_wide(c);
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
        return K_LETTER;
    if (c >= '0' && c <= '9')
        return K_DIGIT;
    if (c == '_')
        return K_LOW_LINE;
    return sm_is_space(c) ? K_SPACE : K_OTHER;
}

/* ------------------------------------------------------------------ reading */

typedef struct cursor {
    const char *text;
    size_t len;
    uint32_t c; /* at the position asked for */
    int used;
} cursor;

static bool peek(cursor *u, size_t at)
{
    if (at >= u->len)
        return false;
    unsigned char b = (unsigned char)u->text[at];
    u->c = b;
    u->used = 1;
    if (b < 0x80)
        return true;
    u->used = sm_utf8_decode(&u->c, u->text + at, u->len - at);
    if (u->used == 0) {
        u->used = 1;
        u->c = 0xfffd;
    }
    return true;
}

static bool grow(void *array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? 2 * *cap : 1024;
    void **p = array;
    void *q = sm_realloc(*p, more, size);
    if (!q)
        return false;
    *p = q;
    *cap = more;
    return true;
}

static bool add_word(sm_words *w, const sm_word *x)
{
    void *p = w->word;
    if (!grow(&p, &w->cap_word, w->n_word, sizeof *w->word))
        return false;
    w->word = p;
    w->word[w->n_word++] = *x;
    return true;
}

static bool add_line(sm_words *w, size_t at, size_t end, int64_t n_char)
{
    void *p = w->line;
    if (!grow(&p, &w->cap_line, w->n_line, sizeof *w->line))
        return false;
    w->line = p;
    w->line[w->n_line++] =
        (sm_span){(uint32_t)at, (uint32_t)(end - at), (uint32_t)n_char};
    return true;
}

/* Whether the character before `at + used` may be inside the word `x`: don't, 3.14. */
static bool joins(cursor *u, size_t at, kind last)
{
    uint32_t c = u->c;
    int used = u->used;
    bool apostrophe = c == '\'' || c == 0x2019;
    bool point = c == '.' || c == ',';
    kind want = apostrophe ? K_LETTER : K_DIGIT;
    bool yes = (apostrophe || point) && last == want && peek(u, at + (size_t)used) &&
               kind_of(u->c) == want;
    u->c = c;
    u->used = used;
    return yes;
}

static void extend(sm_word *x, const cursor *u, kind k)
{
    x->len += (uint32_t)u->used;
    x->n_char++;
    x->symbol = x->symbol && (sm_is_punctuation(u->c) || sm_is_terminal(u->c));
    x->alpha = x->alpha || k == K_LETTER || (k == K_SINGLE && is_alpha(u->c));
}

/* The word or symbol that starts at `at`, where no space is. */
static sm_word read_word(cursor *u, size_t at)
{
    sm_word x = {.at = (uint32_t)at, .symbol = true};
    uint32_t first = u->c;
    kind k = kind_of(first), last = k;
    extend(&x, u, k);
    if (k == K_SINGLE)
        return x;
    for (size_t p = at + x.len; peek(u, p); p = at + x.len) {
        kind next = kind_of(u->c);
        bool in_word = next >= K_LETTER && next <= K_MARK;
        if (k == K_OTHER ? u->c != first : !in_word && !joins(u, p, last))
            break;
        extend(&x, u, next);
        if (next != K_MARK)
            last = next;
    }
    return x;
}

static bool split_words(sm_words *w)
{
    cursor u = {.text = w->text, .len = w->len};
    for (size_t at = 0; peek(&u, at);) {
        if (kind_of(u.c) == K_SPACE) {
            at += (size_t)u.used;
            continue;
        }
        sm_word x = read_word(&u, at);
        if (!add_word(w, &x))
            return false;
        at += x.len;
    }
    return true;
}

static bool split_lines(sm_words *w)
{
    cursor u = {.text = w->text, .len = w->len};
    size_t start = 0;
    int64_t n = 0;
    for (size_t at = 0; peek(&u, at);) {
        w->n_char++;
        size_t next = at + (size_t)u.used;
        if (!sm_is_line_end(u.c)) {
            n++;
            at = next;
            continue;
        }
        if (!add_line(w, start, at, n))
            return false;
        if (u.c == '\r' && next < w->len && w->text[next] == '\n') {
            w->n_char++;
            next++;
        }
        start = at = next;
        n = 0;
    }
    return start >= w->len || add_line(w, start, w->len, n);
}

sm_status sm_words_split(sm_words *w, const char *text, size_t len, sm_err *err)
{
    if (len >= UINT32_MAX)
        return sm_fail(err, SM_EINVAL, "text of %zu bytes, want less than 4 GiB", len);
    w->text = text;
    w->len = len;
    w->n_char = 0;
    w->n_word = w->n_line = w->n_block = 0;
    if (!split_words(w) || !split_lines(w))
        return sm_fail(err, SM_ENOMEM, "no memory for the words of %zu bytes", len);
    return SM_OK;
}

void sm_words_release(sm_words *w)
{
    free(w->word);
    free(w->line);
    free(w->block);
    free(w->slot);
    sm_buf_free(&w->joined);
    sm_buf_free(&w->spaced);
    *w = (sm_words){0};
}
