/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPT-2, o200k (Llama 4), Llama 3 and cl100k pretokenizers, written by hand.
 *
 * A regular expression tries its alternatives in order, each greedy with backtracking.
 * Here every alternative is replaced by what its backtracking must end with, so that no
 * character is looked at more than a few times:
 *  - \s+(?!\S) matches a run of blanks whole at the end of the text, else all but its
 * last character, and fails on a run of one;
 *  - \s*[\r\n]+ matches up to the last newline of the run of blanks;
 *  - U*W+ (o200k, U = upper, caseless or mark, W = lower, caseless or mark) matches the
 *    U run and the W run behind it when that is not empty, else the U run up to its last
 *    caseless letter or mark.
 * A byte that is not part of valid UTF-8 is a character of its own in [^\s\p{L}\p{N}].
 */
#include <string.h>

#include "pretok.h"

static const char GPT2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char GPT2_BRACKETS[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|"
    "\\s+";
static const char GPT2_POSSESSIVE[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|"
    "\\s+(?!\\S)|\\s";
static const char O200K[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char LLAMA3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/* As published: possessive, also {1,3}+, which Oniguruma (Hugging Face) takes for a repeated
 * {1,3}, and with a $ that it takes for the end of any line. */
static const char CL100K_PUBLISHED[] =
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+|"
    " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s";
/* The same cuts in what every engine reads alike. */
static const char CL100K[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+(?![\\s\\S])|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Spellings, the one that is written first of its kind. */
static const struct {
    sm_pretokenizer kind;
    const char *regex;
} SPELLINGS[] = {
    {SM_PRETOK_GPT2, GPT2},
    {SM_PRETOK_GPT2, GPT2_BRACKETS},
    {SM_PRETOK_O200K, O200K},
    {SM_PRETOK_GPT2, GPT2_POSSESSIVE},
    {SM_PRETOK_LLAMA3, LLAMA3},
    {SM_PRETOK_CL100K, CL100K},
    {SM_PRETOK_CL100K, CL100K_PUBLISHED},
};
enum { N_SPELLING = sizeof SPELLINGS / sizeof SPELLINGS[0] };

const char *sm_pretok_regex(sm_pretokenizer kind)
{
    for (int i = 0; i < N_SPELLING; i++)
        if (SPELLINGS[i].kind == kind)
            return SPELLINGS[i].regex;
    return NULL;
}

bool sm_pretok_from_regex(sm_pretokenizer *out, const char *regex)
{
    for (int i = 0; i < N_SPELLING; i++) {
        if (strcmp(SPELLINGS[i].regex, regex) == 0) {
            *out = SPELLINGS[i].kind;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ scanner */

typedef struct scanner {
    const sm_uclass *t;
    const uint8_t *ascii; /* classes of U+0000..U+007F */
    const char *s;
    size_t n;
} scanner;

/* Class of the character at `at` (0 at the end); *next is behind it. */
static inline unsigned class_at(const scanner *c, size_t at, size_t *next)
{
    size_t len;
    if (at >= c->n)
        return 0;
    if ((unsigned char)c->s[at] < 0x80) {
        *next = at + 1;
        return c->ascii[(unsigned char)c->s[at]];
    }
    unsigned k = sm_uclass_at(c->t, c->s + at, c->n - at, &len);
    *next = at + len;
    return k;
}

/* End of the run of characters in `mask` that begins at `at`. */
static inline size_t run_end(const scanner *c, size_t at, unsigned mask)
{
    for (;;) {
        while (at < c->n && (unsigned char)c->s[at] < 0x80) {
            if (!(c->ascii[(unsigned char)c->s[at]] & mask))
                return at;
            at++;
        }
        size_t next;
        if (!(class_at(c, at, &next) & mask))
            return at;
        at = next;
    }
}

/* End of a contraction ('s 't 're 've 'm 'll 'd) at `at`, or `at`.  Without regard to
 * case U+017F, the long s, is an s: its simple case folding. */
static size_t contraction_end(const scanner *c, size_t at, bool any_case)
{
    if (at + 1 >= c->n || c->s[at] != '\'')
        return at;
    const char *p = c->s + at + 1;
    size_t left = c->n - at - 1;
    int fold = any_case ? 0x20 : 0;
    int a = p[0] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if (any_case && left >= 2 && memcmp(p, "\xC5\xBF", 2) == 0)
        return at + 3;
    if (left < 2)
        return at;
    int b = p[1] | fold;
    bool two = (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l');
    return two ? at + 3 : at;
}

/* \s+(?!\S)|\s+ at the run of blanks [at, end). */
static size_t blanks_end(const scanner *c, size_t at, size_t end)
{
    if (end == c->n)
        return end;
    size_t last = end - 1; /* blanks are valid UTF-8: step back over tail bytes */
    while (((unsigned char)c->s[last] & 0xC0) == 0x80)
        last--;
    return last > at ? last : end;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a blank. */
static size_t newlines_end(const scanner *c, size_t at)
{
    size_t end = run_end(c, at, UC_BLANK);
    for (size_t i = end; i > at; i--)
        if (c->s[i - 1] == '\n' || c->s[i - 1] == '\r')
            return i;
    return blanks_end(c, at, end);
}

/* \p{N}{1,3} at a number. */
static size_t digits_end(const scanner *c, size_t at)
{
    size_t next = at;
    for (int i = 0; i < 3 && class_at(c, at, &next) & UC_NUMBER; i++)
        at = next;
    return at;
}

/* -------------------------------------------------------------------- GPT-2 */

static size_t gpt2_next(const scanner *c, size_t pos)
{
    size_t end = contraction_end(c, pos, false), at = pos, next = pos;
    if (end > pos)
        return end;
    if (c->s[pos] == ' ')
        at++;
    unsigned k = class_at(c, at, &next);
    if (k & UC_LETTER)
        return run_end(c, next, UC_LETTER);
    if (k & UC_NUMBER)
        return run_end(c, next, UC_NUMBER);
    if (k & UC_SYMBOL)
        return run_end(c, next, UC_SYMBOL);
    return blanks_end(c, pos, run_end(c, pos, UC_BLANK));
}

/* -------------------------------------------------------------------- o200k */

enum {
    O200K_UPPER = UC_UPPER | UC_CASELESS | UC_MARK,
    O200K_LOWER = UC_LOWER | UC_CASELESS | UC_MARK
};

/* U*W+ from `at`: its end, or `at` when it does not match.  *upper_end is the end of U*.
 */
static size_t word_end(const scanner *c, size_t at, size_t *upper_end)
{
    size_t i = at, next = at, last = at;
    unsigned k;
    while ((k = class_at(c, i, &next)) & O200K_UPPER) {
        i = next;
        if (k & O200K_LOWER)
            last = i;
    }
    *upper_end = i;
    return k & UC_LOWER ? run_end(c, next, O200K_LOWER) : last;
}

/* The two alternatives of words at a character of class k that ends at `next`. */
static size_t o200k_word(const scanner *c, size_t pos, unsigned k, size_t next)
{
    bool prefix = !(k & (UC_LETTER | UC_NUMBER | UC_NEWLINE));
    size_t at = prefix ? next : pos, upper_end;
    size_t end = word_end(c, at, &upper_end);
    if (end > at)
        return contraction_end(c, end, true);
    if (k & UC_MARK) /* a mark is a prefix or, failing that, a word */
        return contraction_end(c, word_end(c, pos, &upper_end), true);
    return upper_end > at ? contraction_end(c, upper_end, true) : pos;
}

static size_t o200k_next(const scanner *c, size_t pos)
{
    size_t next = pos;
    unsigned k = class_at(c, pos, &next);
    if (k & UC_NUMBER)
        return digits_end(c, pos);
    size_t end = o200k_word(c, pos, k, next);
    if (end > pos)
        return end;
    size_t at = c->s[pos] == ' ' ? pos + 1 : pos;
    end = run_end(c, at, UC_SYMBOL);
    if (end > at) {
        while (end < c->n && (c->s[end] == '\r' || c->s[end] == '\n' || c->s[end] == '/'))
            end++;
        return end;
    }
    return newlines_end(c, pos);
}

/* ------------------------------------------------------------------ Llama 3 */

static size_t llama3_next(const scanner *c, size_t pos)
{
    size_t end = contraction_end(c, pos, true), next = pos;
    if (end > pos)
        return end;
    unsigned k = class_at(c, pos, &next);
    if (k & UC_NUMBER)
        return digits_end(c, pos);
    size_t at = k & (UC_LETTER | UC_NEWLINE) ? pos : next;
    end = run_end(c, at, UC_LETTER);
    if (end > at)
        return end;
    at = c->s[pos] == ' ' ? pos + 1 : pos;
    end = run_end(c, at, UC_SYMBOL);
    if (end > at) {
        while (end < c->n && (c->s[end] == '\r' || c->s[end] == '\n'))
            end++;
        return end;
    }
    return newlines_end(c, pos);
}

/* ------------------------------------------------------------------- cl100k */

/* \s++$ comes before the alternatives in which Llama 3's blanks end; the rest is the same. */
static size_t cl100k_next(const scanner *c, size_t pos)
{
    size_t end = run_end(c, pos, UC_BLANK);
    return end == c->n && end > pos ? end : llama3_next(c, pos);
}

size_t sm_pretok_next(const sm_uclass *t, sm_pretokenizer kind, const char *s, size_t n,
                      size_t pos)
{
    scanner c = {t, t->row[t->block[0]], s, n};
    switch (kind) {
    case SM_PRETOK_O200K:
        return o200k_next(&c, pos);
    case SM_PRETOK_LLAMA3:
        return llama3_next(&c, pos);
    case SM_PRETOK_CL100K:
        return cl100k_next(&c, pos);
    case SM_PRETOK_GPT2:
    default:
        return gpt2_next(&c, pos);
    }
}
