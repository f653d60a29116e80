/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A text as the quality rules see it: words, lines, paragraphs.  Lengths are in code points.
 *
 * Words.  datatrove splits English with spaCy; smelt has its own segmentation, the same
 * for every language with spaces:
 *  - a run of letters, marks, digits and '_', with an apostrophe between two letters and
 *    '.' or ',' between two digits inside it, is one word ("don't", "3.14", "st_mode");
 *  - a run of one and the same other character is one word ("...", "--", "#");
 *  - white space separates; a Han, Hiragana or Katakana character is a word by itself.
 * A symbol word has no character outside datatrove's PUNCTUATION_SET, the union of
 * PUNCTUATION and TERMINAL_PUNCTUATION.
 */
#ifndef SMELT_DATA_WORDS_H
#define SMELT_DATA_WORDS_H

#include "smelt/base.h"

typedef struct sm_word {
    uint32_t at, len; /* bytes             */
    uint32_t n_char;  /* code points       */
    bool symbol;      /* only punctuation  */
    bool alpha;       /* has a letter      */
} sm_word;

typedef struct sm_span {
    uint32_t at, len, n_char;
} sm_span;

typedef struct sm_words {
    const char *text; /* borrowed */
    size_t len;
    int64_t n_char; /* of the whole text */
    sm_word *word;
    size_t n_word, cap_word;
    sm_span *line; /* str.splitlines(): splits on all of Python's line ends */
    size_t n_line, cap_line;
    /* scratch of the repetition rules */
    sm_span *block;
    size_t n_block, cap_block;
    struct sm_slot *slot;
    size_t cap_slot;
    sm_buf joined, spaced;
} sm_words;

/** Split; buffers are kept for the next text. SM_EINVAL from 4 GiB on, SM_ENOMEM. */
sm_status sm_words_split(sm_words *w, const char *text, size_t len, sm_err *err);
void sm_words_release(sm_words *w);

/** White space as Python's str.isspace(). */
bool sm_is_space(uint32_t cp);
/** The last character of s [n] and its bytes; 0 where n is 0 or it is no UTF-8. */
size_t sm_last_char(uint32_t *cp, const char *s, size_t n);
/** str.strip(): where the text begins behind its white space; *n becomes its bytes. */
const char *sm_strip(const char *s, size_t *n);
/** datatrove's PUNCTUATION, control characters included. */
bool sm_is_punctuation(uint32_t cp);
/** datatrove's TERMINAL_PUNCTUATION: what may end a sentence, in any script. */
bool sm_is_terminal(uint32_t cp);
/** Line ends of str.splitlines(). */
bool sm_is_line_end(uint32_t cp);
/** Han, Hiragana and Katakana, which are written without spaces between words. */
bool sm_is_han_or_kana(uint32_t cp);

#endif
