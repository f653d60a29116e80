/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FineWeb's own rules (Penedo et al. 2024) as datatrove's code has them: FW1..FW4.  Lines
 * are those between '\n'; empty ones do not count.  The published text gives 0.1 for the
 * share of characters in repeated lines, the code 0.01: the code's value is the default,
 * `fineweb_char_dup` sets another, and stats.json records which was used.
 * Terminal punctuation is Unicode's Sentence_Terminal of the scripts listed here, plus
 * quotation marks, as in datatrove's list.
 */
#include <string.h>

#include "curate.h"

static const uint32_t terminal[] = {
    '!',    '"',    '\'',   '.',    '?',    0x00bb, 0x0589, 0x061e, 0x061f, 0x06d4,
    0x0700, 0x0701, 0x0702, 0x07f9, 0x0964, 0x0965, 0x104a, 0x104b, 0x1362, 0x1367,
    0x1368, 0x166e, 0x1735, 0x1736, 0x17d4, 0x17d5, 0x1803, 0x1809, 0x1944, 0x1945,
    0x2019, 0x201d, 0x2026, 0x203c, 0x203d, 0x2047, 0x2048, 0x2049, 0x2e2e, 0x2e3c,
    0x3002, 0xa4ff, 0xa60e, 0xa6f3, 0xa6f7, 0xa876, 0xa877, 0xa8ce, 0xa8cf, 0xa92f,
    0xa9c8, 0xa9c9, 0xaa5d, 0xaa5e, 0xaa5f, 0xaaf0, 0xaaf1, 0xabeb, 0xfe52, 0xfe56,
    0xfe57, 0xff01, 0xff0e, 0xff1f, 0xff61};

static bool ends_terminal(const char *s, size_t n)
{
    size_t k = 1;
    uint32_t c;
    while (k < n && k < 4 && ((unsigned char)s[n - k] & 0xc0) == 0x80)
        k++;
    if (n == 0 || sm_utf8_decode(&c, s + n - k, k) == 0)
        return false;
    for (size_t i = 0; i < sizeof terminal / sizeof *terminal; i++)
        if (terminal[i] == c)
            return true;
    return false;
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
