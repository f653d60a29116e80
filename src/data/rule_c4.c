/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C4's rules (Raffel et al. 2020) as datatrove's code has them, line by line: C4-1..C4-9.
 * Sentences are counted by smelt's own splitter: a sentence ends at '.', '!' or '?' (and
 * quotes or brackets after it) before a blank and a capital, a digit or a quote, or at the
 * end of the line.  The lists of bad words (C4-10) are not shipped.
 */
#include <string.h>

#include "curate.h"

static const char *const policies[] = {"terms of use",
                                       "privacy policy",
                                       "cookie policy",
                                       "uses cookies",
                                       "use of cookies",
                                       "use cookies",
                                       NULL};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool contains(const char *s, size_t n, const char *what)
{
    size_t k = strlen(what);
    for (size_t i = 0; i + k <= n; i++) {
        size_t j = 0;
        while (j < k && lower(s[i + j]) == what[j])
            j++;
        if (j == k)
            return true;
    }
    return false;
}

/* Words between white space, and the code points of the longest. */
static int64_t white_words(const char *s, size_t n, int64_t *longest)
{
    int64_t words = 0, run = 0;
    *longest = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int k = sm_utf8_decode(&c, s + i, n - i);
        if (k == 0) {
            k = 1;
            c = 0xfffd;
        }
        words += !sm_is_space(c) && run == 0;
        run = sm_is_space(c) ? 0 : run + 1;
        if (run > *longest)
            *longest = run;
        i += (size_t)k;
    }
    return words;
}

/* Bytes of "[12]", "[]", "[edit]", "[citation needed]" at s; 0 = none. */
static size_t citation(const char *s, size_t n)
{
    static const char *const word[] = {"[edit]", "[citation needed]", NULL};
    if (n < 2 || *s != '[')
        return 0;
    size_t k = 1;
    while (k < n && s[k] >= '0' && s[k] <= '9')
        k++;
    if (k < n && s[k] == ']')
        return k + 1;
    for (int i = 0; word[i]; i++)
        if (n >= strlen(word[i]) && memcmp(s, word[i], strlen(word[i])) == 0)
            return strlen(word[i]);
    return 0;
}

static bool without_citations(sm_buf *out, const char *s, size_t n)
{
    sm_buf_clear(out);
    for (size_t i = 0; i < n;) {
        size_t k = citation(s + i, n - i);
        if (k == 0)
            sm_buf_putc(out, s[i]);
        i += k ? k : 1;
    }
    return !out->failed;
}

static bool ends_sentence(char c)
{
    return c == '.' || c == '!' || c == '?';
}

static int64_t sentences(const char *s, size_t n)
{
    int64_t count = 0;
    bool open = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != ' ')
            open = true;
        if (!ends_sentence(s[i]))
            continue;
        size_t j = i + 1;
        while (j < n && (ends_sentence(s[j]) || strchr("\"')]", s[j])))
            j++;
        bool next = j + 1 < n && s[j] == ' ' &&
                    ((s[j + 1] >= 'A' && s[j + 1] <= 'Z') ||
                     (s[j + 1] >= '0' && s[j + 1] <= '9') || strchr("\"'([", s[j + 1]) ||
                     (unsigned char)s[j + 1] >= 0x80);
        if (j >= n || next) {
            count++;
            open = false;
            i = j;
        }
    }
    return count + open;
}

static bool ends_well(const sm_buf *line)
{
    size_t n = line->len;
    if (n == 0 || !strchr(".?!\"'", line->data[n - 1]))
        return false;
    return n < 3 || memcmp(line->data + n - 3, "...", 3) != 0;
}

/* Keep, drop, or reject the document for one line; `line` receives it without citations,
 * and has failed where there was no memory for it. */
static const char *judge(const c4_params *p, const char *s, size_t n, sm_buf *line,
                         bool *keep)
{
    int64_t longest, words = white_words(s, n, &longest);
    *keep = false;
    if (p->max_word_chars > 0 && longest > p->max_word_chars)
        return NULL;
    if (!without_citations(line, s, n))
        return NULL;
    if (p->terminal_punct && !ends_well(line))
        return NULL;
    if (words < p->min_line_words)
        return NULL;
    if (contains(line->data, line->len, "lorem ipsum"))
        return "c4.lorem_ipsum";
    if (contains(line->data, line->len, "javascript"))
        return NULL;
    if (p->curly_bracket && memchr(line->data, '{', line->len))
        return "c4.curly_bracket";
    for (int i = 0; policies[i]; i++)
        if (contains(line->data, line->len, policies[i]))
            return NULL;
    *keep = true;
    return NULL;
}

/* Bytes of the first line of s [n], and with its end in *next: lines are those of
 * str.splitlines(). */
static size_t line_bytes(const char *s, size_t n, size_t *next)
{
    uint32_t c;
    for (size_t i = 0; i < n;) {
        if ((unsigned char)(s[i] - ' ') < 0x60) { /* what is most of a text: ASCII */
            i++;
            continue;
        }
        int k = sm_utf8_decode(&c, s + i, n - i);
        size_t used = k > 0 ? (size_t)k : 1;
        if (k > 0 && sm_is_line_end(c)) {
            bool pair = c == '\r' && i + 1 < n && s[i + 1] == '\n';
            *next = i + used + pair;
            return i;
        }
        i += used;
    }
    *next = n;
    return n;
}

/* The lines that are kept, to out, and how many sentences they have. */
static const char *keep_lines(const c4_params *p, const char *text, size_t len,
                              sm_buf *line, sm_buf *out, int64_t *n_sentence)
{
    const char *reason = NULL;
    size_t start = out->len;
    for (size_t at = 0, next; at < len && !reason && !line->failed; at += next) {
        size_t n = line_bytes(text + at, len - at, &next);
        const char *s = sm_strip(text + at, &n);
        bool keep = false;
        if (n > 0)
            reason = judge(p, s, n, line, &keep);
        if (keep) {
            *n_sentence += sentences(line->data, line->len);
            if (out->len > start)
                sm_buf_putc(out, '\n');
            sm_buf_put(out, line->data, line->len);
        } else if (n == 0 && p->min_line_words <= 0 && out->len > start) {
            sm_buf_putc(out, '\n');
        }
    }
    return reason;
}

sm_status sm_rule_c4(const char **reason, const c4_params *p, const char *text,
                     size_t len, sm_buf *out, sm_buf *detail, sm_err *err)
{
    int64_t n_sentence = 0;
    sm_buf line = {0};
    *reason = keep_lines(p, text, len, &line, out, &n_sentence);
    bool failed = line.failed || out->failed;
    if (*reason) {
        sm_buf_printf(detail, "in \"%.80s\"", line.data);
    } else if (n_sentence < p->min_sentences) {
        *reason = "c4.too_few_sentences";
        sm_buf_printf(detail, "%lld, want at least %lld", (long long)n_sentence,
                      (long long)p->min_sentences);
    }
    sm_buf_free(&line);
    return failed ? sm_fail(err, SM_ENOMEM, "no memory for a text of %zu bytes", len)
                  : SM_OK;
}

sm_status sm_step_c4(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                     sm_err *err)
{
    const char *reason;
    sm_buf_clear(&scratch->a);
    sm_buf_clear(&scratch->b);
    sm_status s = sm_rule_c4(&reason, &p->c4, d->doc.text, d->doc.text_len, &scratch->a,
                             &scratch->b, err);
    if (s || reason)
        return s ? s : sm_curate_judge(d, reason, &scratch->b, err);
    if (!sm_buf_putc(&scratch->a, '\n'))
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", d->doc.id);
    return sm_curate_set_text(d, &scratch->a, err);
}
