/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms of a text in any script.  Han and Kana are written without spaces between words, so
 * there two characters that stand together are a term (as in Manning, Raghavan and Schütze,
 * Introduction to Information Retrieval, 2.2.1): table `spaceless` holds the characters one
 * by one, and a pair is asked for as a phrase of them.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "index_internal.h"
#include "words.h"

typedef enum char_kind { CHAR_OTHER, CHAR_LETTER, CHAR_SPACELESS } char_kind;

/* The character at s; a byte that is not UTF-8 is one by itself. */
static int decode(uint32_t *c, const char *s)
{
    *c = (unsigned char)*s;
    if (*c < 0x80)
        return 1;
    int n = sm_utf8_decode(c, s, strnlen(s, 4));
    return n > 0 ? n : 1;
}

static char_kind kind_of(uint32_t c)
{
    if (c < 0x80) {
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        return is_letter || (c >= '0' && c <= '9') ? CHAR_LETTER : CHAR_OTHER;
    }
    if (sm_is_han_or_kana(c))
        return CHAR_SPACELESS;
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO ? CHAR_LETTER
                                                                  : CHAR_OTHER;
}

static bool put_lower(sm_buf *out, uint32_t c)
{
    char s[4];
    int n = sm_utf8_encode(s, c < 0x80 && c >= 'A' && c <= 'Z'
                                  ? c + 32
                                  : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    return sm_buf_put(out, s, (size_t)n);
}

/* All terms, each followed by a NUL. */
static bool put_terms(sm_buf *out, const char *p)
{
    uint32_t c, before = 0, next;
    int n;
    for (char_kind k, last = CHAR_OTHER; *p; p += n, last = k, before = c) {
        n = decode(&c, p);
        k = kind_of(c);
        if (last == CHAR_LETTER && k != CHAR_LETTER)
            sm_buf_putc(out, 0);
        if (k == CHAR_LETTER)
            put_lower(out, c);
        if (k != CHAR_SPACELESS)
            continue;
        bool goes_on = p[n] && (decode(&next, p + n), kind_of(next) == CHAR_SPACELESS);
        if (last != CHAR_SPACELESS && goes_on)
            continue; /* the first half of a pair */
        if (last == CHAR_SPACELESS)
            put_lower(out, before);
        put_lower(out, c);
        sm_buf_putc(out, 0);
    }
    return sm_buf_putc(out, 0) && !out->failed;
}

static void collect(index_words *out, size_t len, bool drop_stop_words)
{
    out->n = 0;
    for (const char *w = out->text; w < out->text + len; w += strlen(w) + 1)
        if (*w && !(drop_stop_words && sm_index_is_stop_word(w)) &&
            !sm_index_words_hold(out, w))
            out->word[out->n++] = w;
}

bool sm_index_terms(index_words *out, const char *text)
{
    sm_buf b = {0};
    *out = (index_words){0};
    out->word = sm_alloc(strlen(text) + 1, sizeof *out->word);
    if (!out->word || !put_terms(&b, text)) {
        sm_buf_free(&b);
        sm_index_words_free(out);
        return false;
    }
    out->text = b.data;
    collect(out, b.len, true);
    if (out->n == 0)
        collect(out, b.len, false);
    return true;
}

bool sm_index_has_spaceless(const char *text)
{
    uint32_t c;
    for (; *text; text += decode(&c, text))
        if ((unsigned char)*text >= 0x80 && decode(&c, text) &&
            kind_of(c) == CHAR_SPACELESS)
            return true;
    return false;
}

void sm_index_space_out(sm_buf *out, const char *text)
{
    uint32_t c;
    for (int n; *text; text += n) {
        n = decode(&c, text);
        bool alone = c >= 0x80 && kind_of(c) == CHAR_SPACELESS;
        if (alone)
            sm_buf_putc(out, ' ');
        sm_buf_put(out, text, (size_t)n);
        if (alone)
            sm_buf_putc(out, ' ');
    }
}

void sm_index_match_terms(sm_buf *out, const index_words *w)
{
    for (size_t i = 0; i < w->n; i++) {
        sm_buf_puts(out, i ? " OR \"" : "\"");
        sm_index_space_out(out, w->word[i]);
        sm_buf_putc(out, '"');
    }
}
