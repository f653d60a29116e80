/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a question, abbreviations, and the sentences that answer. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "index_internal.h"

static bool is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool sm_index_is_stop_word(const char *w)
{
    static const char *const stop[] = {
        "a",    "an",   "and",  "are",  "as",   "at",  "be",   "by",   "can",  "do",
        "does", "for",  "from", "how",  "i",    "in",  "into", "is",   "it",   "its",
        "me",   "my",   "not",  "of",   "on",   "or",   "see",  "that", "the",  "this", "to",   "what",
        "when", "where", "which", "who", "why", "will", "with", "you", "your"};
    for (size_t i = 0; i < sizeof stop / sizeof *stop; i++)
        if (!strcmp(w, stop[i]))
            return true;
    return false;
}

bool sm_index_words_hold(const index_words *w, const char *s)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strcmp(w->word[i], s))
            return true;
    return false;
}

static void collect(index_words *out, char *text, bool drop_stop_words)
{
    char *p = text;
    out->n = 0;
    while (*p) {
        if (!is_word_byte((unsigned char)*p)) {
            p++;
            continue;
        }
        char *start = p, last;
        while (is_word_byte((unsigned char)*p)) {
            *p = lower(*p);
            p++;
        }
        last = *p;
        *p = 0; /* the separator becomes the terminator for good */
        if (!(drop_stop_words && sm_index_is_stop_word(start)) &&
            !sm_index_words_hold(out, start))
            out->word[out->n++] = start;
        if (last)
            p++;
    }
}

bool sm_index_words(index_words *out, const char *text, bool drop_stop_words)
{
    *out = (index_words){0};
    size_t len = strlen(text);
    out->text = sm_strdup(text);
    out->word = sm_alloc(len / 2 + 1, sizeof *out->word);
    if (!out->text || !out->word) {
        sm_index_words_free(out);
        return false;
    }
    collect(out, out->text, drop_stop_words);
    if (out->n == 0 && drop_stop_words) {
        memcpy(out->text, text, len + 1);
        collect(out, out->text, false);
    }
    return true;
}

void sm_index_words_free(index_words *w)
{
    free(w->text);
    free(w->word);
    *w = (index_words){0};
}

bool sm_index_asks_how(const char *question)
{
    static const char *const starts[] = {"how do ", "how to ", "how can ", "how would ",
                                         "how should ", "which command ", "what command ",
                                         "which tool ", "what tool ", "which program ",
                                         "what program "};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (!strncasecmp(question, starts[i], strlen(starts[i])))
            return true;
    return false;
}

bool sm_index_is_name(const char *heading)
{
    return !strcmp(heading, "NAME") || !strcmp(heading, "Name");
}

/* ------------------------------------------------------------ abbreviation */

enum { MAX_TITLE = 32, MAX_QUESTION = 256 };

static double letter_gain(const char *q, size_t at, size_t prev_plus_1)
{
    if (at == 0 || !is_word_byte((unsigned char)q[at - 1]))
        return 1;
    return at == prev_plus_1 ? 0.9 : 0.25;
}

/*
 * best[j] = best total so far among ways whose last matched letter is q[j-1]; best[0] = none
 * matched yet.  A letter of the title may stay unmatched.
 */
double sm_index_abbreviation(const char *title, const char *question)
{
    char t[MAX_TITLE];
    size_t nt = 0, nq = strlen(question);
    for (const char *p = title; *p && *p != '('; p++) {
        if (*p == ' ' || nt == MAX_TITLE)
            return 0; /* a phrase is no abbreviation */
        if (is_word_byte((unsigned char)*p))
            t[nt++] = lower(*p);
    }
    if (nt == 0)
        return 0;
    if (nq > MAX_QUESTION)
        nq = MAX_QUESTION;
    double best[MAX_QUESTION + 1], next[MAX_QUESTION + 1];
    for (size_t j = 0; j <= nq; j++)
        best[j] = j == 0 ? 0 : -1;
    for (size_t i = 0; i < nt; i++) {
        memcpy(next, best, sizeof(double) * (nq + 1));
        for (size_t j = 0; j < nq; j++) { /* match t[i] with question[j] */
            if (lower(question[j]) != t[i])
                continue;
            for (size_t k = 0; k <= j; k++) {
                if (best[k] < 0)
                    continue;
                double v = best[k] + letter_gain(question, j, k ? k : SIZE_MAX);
                if (v > next[j + 1])
                    next[j + 1] = v;
            }
        }
        memcpy(best, next, sizeof(double) * (nq + 1));
    }
    double top = 0;
    for (size_t j = 0; j <= nq; j++)
        if (best[j] > top)
            top = best[j];
    return top / (double)(nt < 3 ? 3 : nt);
}

/* ---------------------------------------------------------------- answers */

enum { MAX_SENTENCES = 64, WANTED = 3, ANSWER_BYTES = 480 };

typedef struct sentence {
    const char *s;
    size_t n;
    int shared; /* words of the question that it holds */
    bool chosen;
} sentence;

/* Bytes of the mark that ends a sentence here, 0: none.  The full stops of Han and Kana
 * need no blank after them. */
static size_t sentence_end(const char *p)
{
    static const char *const wide[] = {"\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strncmp(p, wide[i], 3))
            return 3;
    return (*p == '.' || *p == '?' || *p == '!') && (p[1] == ' ' || p[1] == '\n');
}

static size_t split_sentences(sentence *out, const char *text)
{
    size_t n = 0;
    const char *start = text;
    for (const char *p = text; n < MAX_SENTENCES; p++) {
        bool blank_line = p[0] == '\n' && p[1] == '\n';
        size_t mark = sentence_end(p);
        if (*p && !mark && !blank_line)
            continue;
        const char *end = p + (blank_line ? 0 : mark);
        while (start < end && (*start == ' ' || *start == '\n'))
            start++;
        if (end > start)
            out[n++] = (sentence){.s = start, .n = (size_t)(end - start)};
        start = end;
        if (!*p)
            break;
    }
    return n;
}

/* Words match by their first five characters: a stem good enough to pick a sentence. */
static bool same_stem(const char *a, const char *b)
{
    size_t i = 0, n = 0; /* bytes and whole characters in common */
    while (n < 5 && a[i] && a[i] == b[i]) {
        i++;
        n += ((unsigned char)a[i] & 0xc0) != 0x80;
    }
    return n == 5 || a[i] == b[i] || (n >= 4 && (!a[i] || !b[i]));
}

static int count_shared(const sentence *s, const index_words *q)
{
    char *copy = sm_strndup(s->s, s->n);
    index_words w;
    if (!copy || !sm_index_terms(&w, copy)) {
        free(copy);
        return 0;
    }
    int shared = 0;
    for (size_t i = 0; i < q->n; i++)
        for (size_t j = 0; j < w.n; j++)
            if (same_stem(q->word[i], w.word[j])) {
                shared++;
                break;
            }
    sm_index_words_free(&w);
    free(copy);
    return shared;
}

double sm_index_dice(const char *summary, const char *question)
{
    index_words a, b;
    size_t shared = 0;
    if (!sm_index_terms(&a, summary))
        return 0;
    if (!sm_index_terms(&b, question)) {
        sm_index_words_free(&a);
        return 0;
    }
    for (size_t i = 0; i < a.n; i++)
        for (size_t j = 0; j < b.n; j++)
            if (same_stem(a.word[i], b.word[j])) {
                shared++;
                break;
            }
    double dice = a.n + b.n > 0 ? 2.0 * (double)shared / (double)(a.n + b.n) : 0;
    sm_index_words_free(&a);
    sm_index_words_free(&b);
    return dice;
}

static void choose(sentence *s, size_t n)
{
    size_t used = 0;
    for (int pick = 0; pick < WANTED; pick++) {
        sentence *best = NULL;
        for (size_t i = 0; i < n; i++)
            if (!s[i].chosen && s[i].shared > 0 && (!best || s[i].shared > best->shared))
                best = &s[i];
        if (!best || (pick > 0 && used + best->n > ANSWER_BYTES))
            return;
        best->chosen = true;
        used += best->n;
    }
}

bool sm_index_extract_answer(sm_buf *out, const sm_passage *p, const char *question)
{
    sentence s[MAX_SENTENCES];
    index_words q;
    if (!sm_index_terms(&q, question))
        return false;
    size_t n = split_sentences(s, p->text);
    for (size_t i = 0; i < n; i++)
        s[i].shared = count_shared(&s[i], &q);
    choose(s, n);
    bool any = false, ok = true;
    if (p->summary && *p->summary) /* what the page says of itself comes first */
        ok = sm_buf_printf(out, "%s: %s. ", p->title, p->summary);
    for (size_t i = 0; i < n; i++)
        any = any || s[i].chosen;
    if (!any && n > 0) /* nothing shared: the passage's beginning */
        s[0].chosen = true;
    any = false;
    for (size_t i = 0; i < n && ok; i++) {
        if (!s[i].chosen)
            continue;
        ok = (!any || sm_buf_puts(out, " ")) && sm_buf_put(out, s[i].s, s[i].n);
        any = true;
    }
    sm_index_words_free(&q);
    return ok;
}
