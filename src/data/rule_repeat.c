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

static sm_status no_memory(sm_err *err)
{
    return sm_fail(err, SM_ENOMEM, "no memory to look for repetition");
}

sm_status sm_find_repeats(sm_repeats *out, sm_words *w, const sm_span *span, size_t n,
                          sm_err *err)
{
    sm_repeats r = {0};
    size_t mask;
    sm_slot *table = clean_table(w, n, &mask);
    if (!table)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        uint64_t key = hash(w->text + span[i].at, span[i].len);
        sm_slot *s = slot_of(table, mask, key);
        if (s->key) {
            r.n++;
            r.n_char += span[i].n_char;
        }
        s->key = key;
    }
    *out = r;
    return SM_OK;
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

sm_status sm_split_blocks(sm_words *w, sm_span whole, int min_ends, sm_err *err)
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
                return no_memory(err);
            start = at + n;
        }
        at += n;
    }
    return add_block(w, start, end) ? SM_OK : no_memory(err);
}

/* text.strip() as a span. */
static sm_span stripped(const sm_words *w)
{
    size_t n = w->len;
    const char *s = sm_strip(w->text, &n);
    return (sm_span){(uint32_t)(s - w->text), (uint32_t)n, 0};
}

typedef struct block_rule {
    const char *n_reason, *char_reason;
    double n_limit, char_limit;
} block_rule;

/* The share of blocks that occurred before, then that of their characters. */
static sm_status judge_blocks(const char **reason, const block_rule *rule, sm_words *w,
                              sm_buf *detail, sm_err *err)
{
    sm_repeats r;
    sm_status s = sm_find_repeats(&r, w, w->block, w->n_block, err);
    if (s)
        return s;
    double n_frac = (double)r.n / (double)w->n_block;
    double char_frac = (double)r.n_char / (double)w->n_char;
    if (n_frac > rule->n_limit)
        *reason = sm_rule_say(detail, rule->n_reason, n_frac, "at most", rule->n_limit);
    else if (char_frac > rule->char_limit)
        *reason = sm_rule_say(detail, rule->char_reason, char_frac, "at most",
                              rule->char_limit);
    return SM_OK;
}

/* GR1..GR4: repeated paragraphs and lines. */
static sm_status blocks(const char **reason, const repeat_params *p, sm_words *w,
                        sm_buf *detail, sm_err *err)
{
    const block_rule paragraphs = {"gopher.dup_para_frac", "gopher.dup_para_char_frac",
                                   p->para, p->para_char};
    const block_rule lines = {"gopher.dup_line_frac", "gopher.dup_line_char_frac",
                              p->line, p->line_char};
    sm_status s = sm_split_blocks(w, stripped(w), 2, err);
    if (!s)
        s = judge_blocks(reason, &paragraphs, w, detail, err);
    if (s || *reason)
        return s;
    s = sm_split_blocks(w, (sm_span){0, (uint32_t)w->len, 0}, 1, err);
    return s ? s : judge_blocks(reason, &lines, w, detail, err);
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

/* One family of rules: of n-grams from `n` words on, `count` limits. */
typedef struct gram_rule {
    int64_t (*chars)(sm_words *w, size_t n);
    const char *const *reason;
    const double *limit;
    size_t n, count;
} gram_rule;

static sm_status judge_grams(const char **reason, const gram_rule *rule, sm_words *w,
                             sm_buf *detail, sm_err *err)
{
    for (size_t k = 0; k < rule->count && w->n_word >= rule->n + k; k++) {
        int64_t chars = rule->chars(w, rule->n + k);
        if (chars < 0)
            return no_memory(err);
        double frac = (double)chars / (double)w->n_char;
        if (!(frac > rule->limit[k]))
            continue;
        *reason = sm_rule_say(detail, rule->reason[k], frac, "at most", rule->limit[k]);
        break;
    }
    return SM_OK;
}

/* GR5, GR6 */
static sm_status n_grams(const char **reason, const repeat_params *p, sm_words *w,
                         sm_buf *detail, sm_err *err)
{
    static const char *const top[] = {"gopher.top_2_gram", "gopher.top_3_gram",
                                      "gopher.top_4_gram"};
    static const char *const dup[] = {"gopher.dup_5_grams", "gopher.dup_6_grams",
                                      "gopher.dup_7_grams", "gopher.dup_8_grams",
                                      "gopher.dup_9_grams", "gopher.dup_10_grams"};
    const gram_rule rule[] = {{top_chars, top, p->top, 2, 3},
                              {repeated_chars, dup, p->dup, 5, 6}};
    if (!join(w))
        return no_memory(err);
    sm_status s = judge_grams(reason, &rule[0], w, detail, err);
    return s || *reason ? s : judge_grams(reason, &rule[1], w, detail, err);
}

sm_status sm_rule_gopher_repetition(const char **reason, const repeat_params *p,
                                    sm_words *w, sm_buf *detail, sm_err *err)
{
    *reason = NULL;
    if (w->n_char == 0)
        return SM_OK;
    sm_status s = blocks(reason, p, w, detail, err);
    return s || *reason ? s : n_grams(reason, p, w, detail, err);
}

sm_status sm_step_gopher_repetition(const curate_params *p, curate_doc *d,
                                    curate_scratch *scratch, sm_err *err)
{
    const char *reason;
    sm_status s = sm_curate_words(d, scratch, err);
    if (s)
        return s;
    sm_buf_clear(&scratch->b);
    s = sm_rule_gopher_repetition(&reason, &p->repeat, &scratch->words, &scratch->b, err);
    return s ? s : sm_curate_judge(d, reason, &scratch->b, err);
}
