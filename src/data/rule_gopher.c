/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gopher's quality rules (Rae et al. 2021, appendix A.1.1) as datatrove defines them:
 * GQ1..GQ9.  Words of punctuation alone do not count for the number and mean length of
 * words, but they do in the denominators of the ratios.
 */
#include <string.h>

#include "curate.h"

static int64_t count_of(const char *text, size_t len, const char *what)
{
    size_t n = strlen(what);
    int64_t found = 0;
    for (size_t i = 0; i + n <= len;) {
        const char *p = memchr(text + i, what[0], len - i - n + 1);
        if (!p)
            break;
        i = (size_t)(p - text);
        bool hit = memcmp(p, what, n) == 0;
        found += hit;
        i += hit ? n : 1; /* str.count() does not overlap */
    }
    return found;
}

static bool starts(const char *s, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, size_t n, const char *with)
{
    size_t k = strlen(with);
    return n >= k && memcmp(s + n - k, with, k) == 0;
}

/* GQ1, GQ2, GQ3 */
static const char *lengths(const gopher_params *p, const sm_words *w, sm_buf *detail)
{
    int64_t n = 0, chars = 0;
    for (size_t i = 0; i < w->n_word; i++) {
        n += !w->word[i].symbol;
        chars += w->word[i].symbol ? 0 : w->word[i].n_char;
    }
    if (n < p->min_words)
        return sm_rule_say(detail, "gopher.short_doc", (double)n, "at least",
                           (double)p->min_words);
    if (p->max_words > 0 && n > p->max_words)
        return sm_rule_say(detail, "gopher.long_doc", (double)n, "at most",
                           (double)p->max_words);
    double mean = n > 0 ? (double)chars / (double)n : 0;
    if (n > 0 && (mean < p->min_mean || mean > p->max_mean)) {
        sm_buf_printf(detail, "%.4g, want %.4g..%.4g", mean, p->min_mean, p->max_mean);
        return "gopher.mean_word_length";
    }
    return NULL;
}

/* GQ4, GQ5 */
static const char *symbols(const gopher_params *p, const sm_words *w, sm_buf *detail)
{
    double n = (double)w->n_word;
    if (w->n_word == 0)
        return NULL;
    double hash = (double)count_of(w->text, w->len, "#") / n;
    if (hash > p->max_hash)
        return sm_rule_say(detail, "gopher.hash_ratio", hash, "at most", p->max_hash);
    double dots = (double)(count_of(w->text, w->len, "...") +
                           count_of(w->text, w->len, "\xE2\x80\xA6")) /
                  n;
    if (dots > p->max_ellipsis)
        return sm_rule_say(detail, "gopher.ellipsis_ratio", dots, "at most",
                           p->max_ellipsis);
    return NULL;
}

/* GQ6, GQ7 */
static const char *lines(const gopher_params *p, const sm_words *w, sm_buf *detail)
{
    int64_t bullets = 0, dots = 0;
    double n = (double)w->n_line;
    if (w->n_line == 0)
        return NULL;
    for (size_t i = 0; i < w->n_line; i++) {
        size_t m = w->line[i].len;
        const char *s = sm_strip(w->text + w->line[i].at, &m);
        bullets += starts(s, m, "\xE2\x80\xA2") || starts(s, m, "-");
        dots += ends(s, m, "...") || ends(s, m, "\xE2\x80\xA6");
    }
    if ((double)bullets / n > p->max_bullet)
        return sm_rule_say(detail, "gopher.bullet_lines", (double)bullets / n, "at most",
                           p->max_bullet);
    if ((double)dots / n > p->max_ellipsis_lines)
        return sm_rule_say(detail, "gopher.ellipsis_lines", (double)dots / n, "at most",
                           p->max_ellipsis_lines);
    return NULL;
}

/* GQ8, GQ9 */
static const char *kinds(const gopher_params *p, const sm_words *w, sm_buf *detail)
{
    static const char *const stop[] = {"the", "be",   "to",   "of",
                                       "and", "that", "have", "with"};
    unsigned seen = 0;
    int64_t alpha = 0;
    for (size_t i = 0; i < w->n_word; i++) {
        const sm_word *x = &w->word[i];
        alpha += x->alpha;
        for (unsigned k = 0; x->len >= 2 && x->len <= 4 && k < 8; k++)
            if (strlen(stop[k]) == x->len &&
                memcmp(w->text + x->at, stop[k], x->len) == 0)
                seen |= 1u << k;
    }
    double share = w->n_word ? (double)alpha / (double)w->n_word : 1;
    if (share < p->min_alpha)
        return sm_rule_say(detail, "gopher.alpha_words", share, "at least", p->min_alpha);
    int64_t distinct = 0;
    for (; seen; seen &= seen - 1)
        distinct++;
    if (distinct < p->min_stop_words)
        return sm_rule_say(detail, "gopher.stop_words", (double)distinct, "at least",
                           (double)p->min_stop_words);
    return NULL;
}

const char *sm_rule_gopher_quality(const gopher_params *p, const sm_words *w,
                                   sm_buf *detail)
{
    const char *reason = lengths(p, w, detail);
    if (!reason)
        reason = symbols(p, w, detail);
    if (!reason)
        reason = lines(p, w, detail);
    if (!reason)
        reason = kinds(p, w, detail);
    return reason;
}

sm_status sm_step_gopher_quality(const curate_params *p, curate_doc *d,
                                 curate_scratch *scratch, sm_err *err)
{
    sm_status s = sm_curate_words(d, scratch, err);
    if (s)
        return s;
    sm_buf_clear(&scratch->b);
    const char *reason = sm_rule_gopher_quality(&p->gopher, &scratch->words, &scratch->b);
    return sm_curate_judge(d, reason, &scratch->b, err);
}
