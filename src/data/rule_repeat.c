/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gopher's repetition rules (Rae et al. 2021, table A1) as datatrove defines them: GR1..GR6.
 * Elements are compared by 64 bits of XXH3; a collision, one in 2^40 for a text of a
 * thousand words, could only make one document look more repetitive than it is.
 *   top n-gram       len(" ".join(words)) * count / len(text), ties to the first seen
 *   duplicate n-grams, 5..10: scan from the left; an n-gram seen before adds
 *                    len("".join(words)) and skips n words, a new one skips one
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "curate.h"

typedef struct sm_slot {
    uint64_t key; /* 0 = free */
    uint32_t count, first;
} sm_slot;

/* A clean table for up to n keys; NULL without memory. *mask = size - 1. */
static sm_slot *clean_table(sm_words *w, size_t n, size_t *mask)
{
    size_t size = 64;
    while (size < 2 * n)
        size *= 2;
    if (size > w->cap_slot) {
        free(w->slot);
        w->slot = sm_alloc(size, sizeof *w->slot);
        w->cap_slot = w->slot ? size : 0;
    } else {
        memset(w->slot, 0, size * sizeof *w->slot);
    }
    *mask = size - 1;
    return w->slot;
}

static sm_slot *slot_of(sm_slot *table, size_t mask, uint64_t key)
{
    size_t i = (size_t)(key >> 20) & mask;
    while (table[i].key != 0 && table[i].key != key)
        i = (i + 1) & mask;
    return &table[i];
}

/* The same memory as a set of keys alone, half as large; NULL without memory. */
static uint64_t *clean_keys(sm_words *w, size_t n, size_t *mask)
{
    uint64_t *keys = (uint64_t *)(void *)clean_table(w, (n + 1) / 2, mask);
    *mask = 2 * *mask + 1;
    return keys;
}

/* Whether the key was there; it is afterwards. */
static bool seen(uint64_t *keys, size_t mask, uint64_t key)
{
    size_t i = (size_t)(key >> 20) & mask;
    while (keys[i] != 0 && keys[i] != key)
        i = (i + 1) & mask;
    bool was = keys[i] != 0;
    keys[i] = key;
    return was;
}

static uint64_t hash(const char *p, size_t n)
{
    uint64_t h = XXH3_64bits(p, n);
    return h ? h : 1;
}

sm_repeats sm_find_repeats(sm_words *w, const sm_span *span, size_t n)
{
    sm_repeats r = {0};
    size_t mask;
    sm_slot *table = clean_table(w, n, &mask);
    if (!table)
        return (sm_repeats){.failed = true};
    for (size_t i = 0; i < n; i++) {
        uint64_t key = hash(w->text + span[i].at, span[i].len);
        sm_slot *s = slot_of(table, mask, key);
        if (s->key) {
            r.n++;
            r.n_char += span[i].n_char;
        }
        s->key = key;
    }
    return r;
}

static bool add_block(sm_words *w, size_t at, size_t end)
{
    if (w->n_block == w->cap_block) {
        size_t cap = w->cap_block ? 2 * w->cap_block : 256;
        sm_span *p = sm_realloc(w->block, cap, sizeof *p);
        if (!p)
            return false;
        w->block = p;
        w->cap_block = cap;
    }
    uint32_t chars = 0;
    for (size_t i = at; i < end; i++)
        chars += ((unsigned char)w->text[i] & 0xc0) != 0x80;
    w->block[w->n_block++] = (sm_span){(uint32_t)at, (uint32_t)(end - at), chars};
    return true;
}

bool sm_split_blocks(sm_words *w, sm_span whole, int min_ends)
{
    size_t start = whole.at, at = whole.at, end = (size_t)whole.at + whole.len;
    w->n_block = 0;
    while (at < end) {
        const char *nl = memchr(w->text + at, '\n', end - at);
        if (!nl)
            break;
        at = (size_t)(nl - w->text);
        size_t n = 0;
        while (at + n < end && w->text[at + n] == '\n')
            n++;
        if ((int64_t)n >= min_ends) {
            if (!add_block(w, start, at))
                return false;
            start = at + n;
        }
        at += n;
    }
    return add_block(w, start, end);
}

/* text.strip() as a span. */
static sm_span stripped(const sm_words *w)
{
    sm_span s = {0, (uint32_t)w->len, 0};
    uint32_t c;
    while (s.len > 0) {
        int k = sm_utf8_decode(&c, w->text + s.at, s.len);
        if (k == 0 || !sm_is_space(c))
            break;
        s.at += (uint32_t)k;
        s.len -= (uint32_t)k;
    }
    while (s.len > 0) {
        uint32_t k = 1;
        while (k < s.len && k < 4 &&
               ((unsigned char)w->text[s.at + s.len - k] & 0xc0) == 0x80)
            k++;
        if (sm_utf8_decode(&c, w->text + s.at + s.len - k, k) == 0 || !sm_is_space(c))
            break;
        s.len -= k;
    }
    return s;
}

static const char *over(sm_buf *detail, const char *reason, double got, double limit)
{
    sm_buf_printf(detail, "%.4g, want at most %.4g", got, limit);
    return reason;
}

/* GR1..GR4: repeated paragraphs and lines. */
static const char *blocks(const repeat_params *p, sm_words *w, sm_buf *detail)
{
    double n_char = (double)w->n_char;
    if (!sm_split_blocks(w, stripped(w), 2))
        return "out of memory";
    sm_repeats r = sm_find_repeats(w, w->block, w->n_block);
    double frac = (double)r.n / (double)w->n_block;
    if (frac > p->para)
        return over(detail, "gopher.dup_para_frac", frac, p->para);
    frac = (double)r.n_char / n_char;
    if (frac > p->para_char)
        return over(detail, "gopher.dup_para_char_frac", frac, p->para_char);
    if (!sm_split_blocks(w, (sm_span){0, (uint32_t)w->len, 0}, 1))
        return "out of memory";
    r = sm_find_repeats(w, w->block, w->n_block);
    frac = (double)r.n / (double)w->n_block;
    if (frac > p->line)
        return over(detail, "gopher.dup_line_frac", frac, p->line);
    frac = (double)r.n_char / n_char;
    if (frac > p->line_char)
        return over(detail, "gopher.dup_line_char_frac", frac, p->line_char);
    return NULL;
}

/* ----------------------------------------------------------------- n-grams */

/* Words laid end to end (`joined`) and with a blank between (`spaced`); block[i] has the
 * offset in each and the code points before word i, for i = 0..n_word. */
static bool join(sm_words *w)
{
    size_t need = w->n_word + 1;
    if (need > w->cap_block) {
        sm_span *p = sm_realloc(w->block, need, sizeof *p);
        if (!p)
            return false;
        w->block = p;
        w->cap_block = need;
    }
    sm_buf_clear(&w->joined);
    sm_buf_clear(&w->spaced);
    w->joined.max = w->spaced.max = (size_t)UINT32_MAX * 2;
    if (!sm_buf_reserve(&w->joined, w->len + 1) ||
        !sm_buf_reserve(&w->spaced, 2 * w->len + 1))
        return false;
    uint32_t chars = 0;
    for (size_t i = 0; i < w->n_word; i++) {
        const sm_word *x = &w->word[i];
        w->block[i] = (sm_span){(uint32_t)w->joined.len, (uint32_t)w->spaced.len, chars};
        memcpy(w->joined.data + w->joined.len, w->text + x->at, x->len);
        memcpy(w->spaced.data + w->spaced.len, w->text + x->at, x->len);
        w->joined.len += x->len;
        w->spaced.len += x->len;
        w->spaced.data[w->spaced.len++] = ' ';
        chars += x->n_char;
    }
    w->block[w->n_word] =
        (sm_span){(uint32_t)w->joined.len, (uint32_t)w->spaced.len, chars};
    w->n_block = need;
    return true;
}

/* len(" ".join(best)) * count of the commonest n-gram; -1 without memory. */
static int64_t top_chars(sm_words *w, size_t n)
{
    size_t mask, n_gram = w->n_word - n + 1;
    sm_slot *table = clean_table(w, n_gram, &mask);
    if (!table)
        return -1;
    uint32_t best = 0, first = 0;
    for (size_t i = 0; i < n_gram; i++) {
        const sm_span *b = w->block + i;
        uint64_t key = hash(w->spaced.data + b[0].len, b[n].len - b[0].len - 1);
        sm_slot *s = slot_of(table, mask, key);
        if (!s->key)
            *s = (sm_slot){.key = key, .first = (uint32_t)i};
        s->count++;
        if (s->count > best || (s->count == best && s->first < first)) {
            best = s->count;
            first = s->first;
        }
    }
    int64_t chars = w->block[first + n].n_char - w->block[first].n_char + (int64_t)n - 1;
    return chars * best;
}

/* Code points of n-grams seen before, by the greedy scan; -1 without memory. */
static int64_t repeated_chars(sm_words *w, size_t n)
{
    size_t mask;
    int64_t chars = 0;
    uint64_t *keys = clean_keys(w, w->n_word, &mask);
    if (!keys)
        return -1;
    for (size_t i = 0; i + n <= w->n_word;) {
        const sm_span *b = w->block + i;
        if (seen(keys, mask, hash(w->joined.data + b[0].at, b[n].at - b[0].at))) {
            chars += b[n].n_char - b[0].n_char;
            i += n;
        } else {
            i++;
        }
    }
    return chars;
}

static const char *n_grams(const repeat_params *p, sm_words *w, sm_buf *detail)
{
    static const char *const top[] = {"gopher.top_2_gram", "gopher.top_3_gram",
                                      "gopher.top_4_gram"};
    static const char *const dup[] = {"gopher.dup_5_grams", "gopher.dup_6_grams",
                                      "gopher.dup_7_grams", "gopher.dup_8_grams",
                                      "gopher.dup_9_grams", "gopher.dup_10_grams"};
    if (!join(w))
        return "out of memory";
    for (size_t k = 0; k < 3 && w->n_word >= k + 2; k++) {
        int64_t chars = top_chars(w, k + 2);
        if (chars < 0)
            return "out of memory";
        double frac = (double)chars / (double)w->n_char;
        if (frac > p->top[k])
            return over(detail, top[k], frac, p->top[k]);
    }
    for (size_t k = 0; k < 6 && w->n_word >= k + 5; k++) {
        int64_t chars = repeated_chars(w, k + 5);
        if (chars < 0)
            return "out of memory";
        double frac = (double)chars / (double)w->n_char;
        if (frac > p->dup[k])
            return over(detail, dup[k], frac, p->dup[k]);
    }
    return NULL;
}

const char *sm_rule_gopher_repetition(const repeat_params *p, sm_words *w, sm_buf *detail)
{
    if (w->n_char == 0)
        return NULL;
    const char *reason = blocks(p, w, detail);
    return reason ? reason : n_grams(p, w, detail);
}

sm_status sm_step_gopher_repetition(const curate_params *p, curate_doc *d,
                                    curate_scratch *scratch, sm_err *err)
{
    sm_status s = sm_curate_words(d, scratch, err);
    if (s)
        return s;
    sm_buf_clear(&scratch->b);
    const char *reason =
        sm_rule_gopher_repetition(&p->repeat, &scratch->words, &scratch->b);
    if (!reason)
        return SM_OK;
    if (!strchr(reason, '.'))
        return sm_fail(err, SM_ENOMEM, "%s: %s", d->doc.id, reason);
    return sm_curate_reject(d, reason, err, "%s", scratch->b.data);
}
