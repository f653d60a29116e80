/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FineWeb's own rules (Penedo et al. 2024) as datatrove's code has them: FW1..FW4.  Lines
 * are those between '\n'; empty ones do not count.  The published text gives 0.1 for the
 * share of characters in repeated lines, the code 0.01: the code's value is the default,
 * `fineweb_char_dup` sets another, and stats.json records which was used.
 * Terminal punctuation is datatrove's list, which has no quotation marks: a line of speech
 * that ends in one does not count as ended.
 */
#include "curate.h"

static bool ends_terminal(const char *s, size_t n)
{
    uint32_t c;
    return sm_last_char(&c, s, n) > 0 && sm_is_terminal(c);
}

static bool is_blank(const char *s, size_t n)
{
    sm_strip(s, &n);
    return n == 0;
}

/* FW1, FW2: how the lines w->block [n] end, and how long they are. */
static const char *shapes(const fineweb_params *p, const sm_words *w, size_t n,
                          sm_buf *detail)
{
    int64_t ended = 0, brief = 0;
    for (size_t i = 0; i < n; i++) {
        ended += ends_terminal(w->text + w->block[i].at, w->block[i].len);
        brief += w->block[i].n_char <= p->short_line_chars;
    }
    double ratio = (double)ended / (double)n;
    if (ratio < p->line_punct)
        return sm_rule_say(detail, "fineweb.line_punct", ratio, "at least",
                           p->line_punct);
    ratio = (double)brief / (double)n;
    if (ratio > p->short_line)
        return sm_rule_say(detail, "fineweb.short_line", ratio, "at most", p->short_line);
    return NULL;
}

/* FW3, FW4: characters in repeated lines, and line ends. */
static const char *shares(const fineweb_params *p, const sm_words *w, const sm_repeats *r,
                          sm_buf *detail)
{
    int64_t line_ends = 0;
    for (size_t i = 0; i < w->len; i++)
        line_ends += w->text[i] == '\n';
    double ratio = (double)r->n_char / (double)(w->n_char - line_ends);
    if (ratio > p->char_dup)
        return sm_rule_say(detail, "fineweb.char_dup", ratio, "at most", p->char_dup);
    ratio = w->n_word ? (double)line_ends / (double)w->n_word : 0;
    if (ratio > p->list)
        return sm_rule_say(detail, "fineweb.list", ratio, "at most", p->list);
    return NULL;
}

sm_status sm_rule_fineweb(const char **reason, const fineweb_params *p, sm_words *w,
                          sm_buf *detail, sm_err *err)
{
    sm_repeats r;
    size_t n = 0;
    *reason = NULL;
    sm_status s = sm_split_blocks(w, (sm_span){0, (uint32_t)w->len, 0}, 1, err);
    if (s)
        return s;
    for (size_t i = 0; i < w->n_block; i++)
        if (!is_blank(w->text + w->block[i].at, w->block[i].len))
            w->block[n++] = w->block[i];
    if (n == 0 || (*reason = shapes(p, w, n, detail)))
        return SM_OK;
    s = sm_find_repeats(&r, w, w->block, n, err);
    if (!s)
        *reason = shares(p, w, &r, detail);
    return s;
}

sm_status sm_step_fineweb(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                          sm_err *err)
{
    const char *reason;
    sm_status s = sm_curate_words(d, scratch, err);
    if (s)
        return s;
    sm_buf_clear(&scratch->b);
    s = sm_rule_fineweb(&reason, &p->fineweb, &scratch->words, &scratch->b, err);
    return s ? s : sm_curate_judge(d, reason, &scratch->b, err);
}
