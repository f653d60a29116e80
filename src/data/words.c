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
static const uint16_t punctuation[] = {
    0x00ab, 0x00b4, 0x00bb, 0x2013, 0x2014, 0x2019, 0x201c, 0x201d, 0x201e,
    0x2026, 0x2236, 0x2501, 0x25ba, 0x3001, 0x3002, 0x3008, 0x3009, 0x300a,
    0x300b, 0x300c, 0x300d, 0x3010, 0x3011, 0xff01, 0xff05, 0xff08, 0xff09,
    0xff0c, 0xff0e, 0xff11, 0xff1a, 0xff1b, 0xff1f, 0xff5e};

bool sm_is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85 ||
           c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool sm_is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

bool sm_is_punctuation(uint32_t c)
{
    if (c < 0x80) {
        bool graph = c > 32 && c < 127;
        bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        bool control = c < 9 || c == 11 || c == 12 || (c > 12 && c < 32) || c == 127;
        return (graph && !alnum) || control;
    }
    if (c < 0xa0)
        return true;
    size_t lo = 0, hi = sizeof punctuation / sizeof *punctuation;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (punctuation[mid] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof punctuation / sizeof *punctuation && punctuation[lo] == c;
}

bool sm_is_alpha(uint32_t c)
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
    x->symbol = x->symbol && sm_is_punctuation(u->c);
    x->alpha = x->alpha || k == K_LETTER || (k == K_SINGLE && sm_is_alpha(u->c));
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
