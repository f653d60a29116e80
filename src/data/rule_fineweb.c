/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FineWeb's own rules (Penedo et al. 2024) as datatrove's code has them: FW1..FW4.  Lines
 * are those between '\n'; empty ones do not count.  The published text gives 0.1 for the
 * share of characters in repeated lines, the code 0.01: the code's value is the default,
 * `fineweb_char_dup` sets another, and stats.json records which was used.
 * Terminal punctuation is datatrove's list, which has no quotation marks: a line of speech
 * that ends in one does not count as ended.
 */
#include <string.h>

#include "curate.h"

static bool ends_terminal(const char *s, size_t n)
{
    size_t k = 1;
    uint32_t c;
    while (k < n && k < 4 && ((unsigned char)s[n - k] & 0xc0) == 0x80)
        k++;
    if (n == 0 || sm_utf8_decode(&c, s + n - k, k) == 0)
        return false;
    return sm_is_terminal(c);
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int k = sm_utf8_decode(&c, s + i, n - i);
        if (k == 0 || !sm_is_space(c))
            return false;
        i += (size_t)k;
    }
    return true;
}

static const char *say(sm_buf *detail, const char *reason, double got, const char *want,
                       double limit)
{
    sm_buf_printf(detail, "%.4g, want %s %.4g", got, want, limit);
    return reason;
}

const char *sm_rule_fineweb(const fineweb_params *p, sm_words *w, sm_buf *detail)
{
    if (!sm_split_blocks(w, (sm_span){0, (uint32_t)w->len, 0}, 1))
        return "out of memory";
    size_t n = 0;
    int64_t ended = 0, brief = 0, line_ends = 0;
    for (size_t i = 0; i < w->n_block; i++) {
        sm_span b = w->block[i];
        if (is_blank(w->text + b.at, b.len))
            continue;
        ended += ends_terminal(w->text + b.at, b.len);
        brief += b.n_char <= p->short_line_chars;
        w->block[n++] = b;
    }
    for (size_t i = 0; i < w->len; i++)
        line_ends += w->text[i] == '\n';
    if (n == 0)
        return NULL;
    double ratio = (double)ended / (double)n;
    if (ratio < p->line_punct)
        return say(detail, "fineweb.line_punct", ratio, "at least", p->line_punct);
    ratio = (double)brief / (double)n;
    if (ratio > p->short_line)
        return say(detail, "fineweb.short_line", ratio, "at most", p->short_line);
    sm_repeats r = sm_find_repeats(w, w->block, n);
    ratio = (double)r.n_char / (double)(w->n_char - line_ends);
    if (ratio > p->char_dup)
        return say(detail, "fineweb.char_dup", ratio, "at most", p->char_dup);
    ratio = w->n_word ? (double)line_ends / (double)w->n_word : 0;
    if (ratio > p->list)
        return say(detail, "fineweb.list", ratio, "at most", p->list);
    return NULL;
}

sm_status sm_step_fineweb(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                          sm_err *err)
{
    sm_status s = sm_curate_words(d, scratch, err);
    if (s)
        return s;
    sm_buf_clear(&scratch->b);
    const char *reason = sm_rule_fineweb(&p->fineweb, &scratch->words, &scratch->b);
    if (!reason)
        return SM_OK;
    if (!strchr(reason, '.'))
        return sm_fail(err, SM_ENOMEM, "%s: %s", d->doc.id, reason);
    return sm_curate_reject(d, reason, err, "%s", scratch->b.data);
}
