/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training byte-level BPE (Sennrich et al. 2016).
 *
 * All distinct words lie in one array of nodes, a node a symbol, linked within a word and
 * separated by fences.  For every pair of adjacent symbols we keep its count (the number
 * of adjacent positions, times the count of the word) and where it was seen; merging a
 * pair visits only these places and corrects the counts of the neighbours.
 *
 * Invariants:
 *  1. pair.count is exact at all times;
 *  2. every place where a pair stands is in pair.place; places where it no longer stands
 *     may be there too and are recognised by their symbols;
 *  3. the heap holds for every pair with count >= min_count an entry with at least its
 *     count: counts grow only during a merge, which pushes what it touched; an entry that
 *     surfaces with more than the pair has goes back with what it has.
 * So the pair on top with its own count is the best one: the most frequent, the smallest
 * by (left bytes, right bytes) among equals.  Nothing depends on the order of words or on
 * threads.  Total work is O(symbols + places log places).
 */
#include <stdlib.h>

#include "tokenizer.h"
#include "words.h"

enum { FENCE = -1, GONE = -2, REPORT_EVERY = 512 };
#define NO_PAIR UINT64_MAX

typedef struct node {
    int32_t symbol;
    uint32_t prev, next, word;
} node;

typedef struct pair {
    int32_t left, right;
    uint64_t count;
    uint32_t *place; /* nodes where left stands */
    uint32_t n_place, cap_place;
    bool is_sorted, is_touched;
} pair;

typedef struct heap_entry {
    uint64_t count;
    uint32_t pair;
} heap_entry;

typedef struct trainer {
    const sm_word *word;
    node *node;
    sm_tokenizer *t;
    sm_idmap by_bytes;
    sm_u64map pair_of; /* left << 32 | right -> index in pair */
    pair *pair;
    uint32_t n_pair, cap_pair;
    uint32_t *touched;
    size_t n_touched, cap_touched;
    heap_entry *heap;
    size_t n_heap, cap_heap;
    size_t cap_merge;
    uint64_t min_count;
} trainer;

/* Make room for one more element of any array; NULL when out of memory. */
static void *room(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    size_t more = *cap ? *cap * 2 : 64;
    void *q = sm_realloc(p, more, size);
    if (q)
        *cap = more;
    return q;
}

/* ---------------------------------------------------------------------- heap */

static int compare_tokens(const sm_tokenizer *t, int32_t a, int32_t b)
{
    const sm_token *x = &t->token[a], *y = &t->token[b];
    int c = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static bool better(const trainer *r, heap_entry a, heap_entry b)
{
    if (a.count != b.count)
        return a.count > b.count;
    const pair *x = &r->pair[a.pair], *y = &r->pair[b.pair];
    int c = compare_tokens(r->t, x->left, y->left);
    return (c ? c : compare_tokens(r->t, x->right, y->right)) < 0;
}

static bool heap_push(trainer *r, uint32_t p)
{
    heap_entry e = {r->pair[p].count, p};
    heap_entry *h = room(r->heap, r->n_heap, &r->cap_heap, sizeof *h);
    if (!h)
        return false;
    r->heap = h;
    size_t i = r->n_heap++;
    for (; i > 0 && better(r, e, h[(i - 1) / 2]); i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = e;
    return true;
}

static heap_entry heap_pop(trainer *r)
{
    heap_entry *h = r->heap, top = h[0], last = h[--r->n_heap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < r->n_heap; i = k) {
        if (k + 1 < r->n_heap && better(r, h[k + 1], h[k]))
            k++;
        if (!better(r, h[k], last))
            break;
        h[i] = h[k];
    }
    h[i] = last;
    return top;
}

/* --------------------------------------------------------------------- pairs */

static bool pair_new(trainer *r, int32_t left, int32_t right)
{
    size_t cap = r->cap_pair;
    pair *p = room(r->pair, r->n_pair, &cap, sizeof *p);
    if (!p || r->n_pair == UINT32_MAX - 1)
        return false;
    r->pair = p;
    r->cap_pair = cap > UINT32_MAX ? UINT32_MAX : (uint32_t)cap;
    p[r->n_pair++] = (pair){.left = left, .right = right, .is_sorted = true};
    return true;
}

static bool pair_touch(trainer *r, uint32_t i)
{
    if (r->pair[i].is_touched)
        return true;
    uint32_t *p = room(r->touched, r->n_touched, &r->cap_touched, sizeof *p);
    if (!p)
        return false;
    r->touched = p;
    p[r->n_touched++] = i;
    r->pair[i].is_touched = true;
    return true;
}

/* The pair (left, right) now stands at node `at`, in a word that occurs `count` times. */
static bool pair_add(trainer *r, int32_t left, int32_t right, uint32_t at, uint64_t count)
{
    uint64_t *index = sm_u64map_at(&r->pair_of, sm_pair_key(left, right), r->n_pair);
    if (!index)
        return false;
    if (*index == r->n_pair && !pair_new(r, left, right))
        return false;
    pair *p = &r->pair[*index];
    size_t cap = p->cap_place;
    uint32_t *place = room(p->place, p->n_place, &cap, sizeof *place);
    if (!place || cap > UINT32_MAX)
        return false;
    p->place = place;
    p->cap_place = (uint32_t)cap;
    if (p->n_place > 0 && place[p->n_place - 1] > at)
        p->is_sorted = false;
    place[p->n_place++] = at;
    p->count += count;
    return pair_touch(r, (uint32_t)*index);
}

static void pair_sub(trainer *r, int32_t left, int32_t right, uint64_t count)
{
    uint64_t i = sm_u64map_get(&r->pair_of, sm_pair_key(left, right), NO_PAIR);
    if (i != NO_PAIR)
        r->pair[i].count -= count;
}

/* Push what pair_add touched since the last time. */
static bool push_touched(trainer *r)
{
    for (size_t i = 0; i < r->n_touched; i++) {
        pair *p = &r->pair[r->touched[i]];
        p->is_touched = false;
        if (p->count >= r->min_count && !heap_push(r, r->touched[i]))
            return false;
    }
    r->n_touched = 0;
    return true;
}

/* -------------------------------------------------------------------- setup */

static void node_word(trainer *r, uint32_t *at, uint32_t word)
{
    const sm_word *w = &r->word[word];
    for (uint32_t i = 0; i < w->len; i++, ++*at)
        r->node[*at] = (node){(unsigned char)w->bytes[i], *at - 1, *at + 1, word};
    r->node[*at] = (node){.symbol = FENCE, .prev = *at - 1, .next = *at + 1};
    ++*at;
}

static sm_status lay_out(trainer *r, const sm_words *words, sm_err *err)
{
    size_t n = 1;
    for (size_t i = 0; i < words->n; i++)
        n += (size_t)words->word[i].len + 1;
    if (n >= UINT32_MAX)
        return sm_fail(
            err, SM_ENOMEM,
            "training: %zu bytes of distinct words, want < 4 GiB: give less text", n);
    r->word = words->word;
    r->node = sm_realloc(NULL, n, sizeof *r->node);
    if (!r->node)
        return sm_fail(err, SM_ENOMEM, "training: no memory for %zu symbols", n);
    uint32_t end = 0;
    r->node[end++] = (node){.symbol = FENCE};
    for (size_t i = 0; i < words->n; i++)
        node_word(r, &end, (uint32_t)i);
    for (uint32_t i = 1; i + 1 < end; i++) {
        const node *a = &r->node[i], *b = a + 1;
        if (a->symbol >= 0 && b->symbol >= 0 &&
            !pair_add(r, a->symbol, b->symbol, i, r->word[a->word].count))
            return sm_fail(err, SM_ENOMEM, "training: no memory for pairs");
    }
    return push_touched(r) ? SM_OK : sm_fail(err, SM_ENOMEM, "training: no memory");
}

/* ------------------------------------------------------------------- merging */

static int compare_places(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Replace the pair at `at` (if it stands there) by symbol id. */
static bool merge_at(trainer *r, uint32_t at, int32_t left, int32_t right, int32_t id)
{
    node *n = r->node, *a = &n[at];
    if (a->symbol != left || n[a->next].symbol != right)
        return true;
    node *b = &n[a->next];
    int32_t before = n[a->prev].symbol, after = n[b->next].symbol;
    uint64_t count = r->word[a->word].count;
    pair_sub(r, left, right, count);
    if (before >= 0)
        pair_sub(r, before, left, count);
    if (after >= 0)
        pair_sub(r, right, after, count);
    b->symbol = GONE;
    a->symbol = id;
    a->next = b->next;
    n[a->next].prev = at;
    return (before < 0 || pair_add(r, before, id, a->prev, count)) &&
           (after < 0 || pair_add(r, id, after, at, count));
}

static bool merge_everywhere(trainer *r, uint32_t index, int32_t id)
{
    pair p = r->pair[index];
    bool ok = true;
    r->pair[index].place = NULL;
    r->pair[index].n_place = r->pair[index].cap_place = 0;
    r->pair[index].is_sorted = true;
    if (!p.is_sorted) /* overlapping places are taken from the left: aaa -> (aa)a */
        qsort(p.place, p.n_place, sizeof *p.place, compare_places);
    for (uint32_t i = 0; i < p.n_place && ok; i++)
        ok = merge_at(r, p.place[i], p.left, p.right, id);
    free(p.place);
    return ok && push_touched(r);
}

/* The token that left and right make, which may exist already: (aa)b and a(ab). */
static sm_status token_of(trainer *r, int32_t *id, const pair *p, sm_err *err)
{
    sm_tokenizer *t = r->t;
    const sm_token *a = &t->token[p->left], *b = &t->token[p->right];
    size_t len = (size_t)a->len + b->len;
    char *bytes = sm_realloc(NULL, len, 1);
    sm_status st = SM_OK;
    if (!bytes)
        return sm_fail(err, SM_ENOMEM, "training: no memory for a token");
    memcpy(bytes, a->bytes, a->len);
    memcpy(bytes + a->len, b->bytes, b->len);
    *id = sm_idmap_get(&r->by_bytes, bytes, len);
    if (*id < 0) {
        *id = t->n_vocab;
        st = sm_tokenizer_put(t, *id, bytes, len, TOKEN_MODEL, err);
        if (st == SM_OK &&
            !sm_idmap_add(&r->by_bytes, t->token[*id].bytes, (uint32_t)len, id))
            st = sm_fail(err, SM_ENOMEM, "training: no memory for a token");
    }
    free(bytes);
    return st;
}

static sm_status merge_pair(trainer *r, uint32_t index, sm_err *err)
{
    sm_tokenizer *t = r->t;
    const pair p = r->pair[index];
    int32_t id = -1;
    sm_status st = token_of(r, &id, &p, err);
    if (st != SM_OK)
        return st;
    sm_merge *m = room(t->merge, t->n_merge, &r->cap_merge, sizeof *m);
    if (!m)
        return sm_fail(err, SM_ENOMEM, "training: no memory for %zu merges", t->n_merge);
    t->merge = m;
    m[t->n_merge] = (sm_merge){p.left, p.right, id, (int32_t)t->n_merge};
    t->n_merge++;
    if (!merge_everywhere(r, index, id))
        return sm_fail(err, SM_ENOMEM, "training: no memory for pairs");
    return SM_OK;
}

static sm_status merge_until(trainer *r, const sm_ctx *ctx, int32_t n_vocab, sm_err *err)
{
    while (r->t->n_vocab < n_vocab && r->n_heap > 0) {
        heap_entry e = heap_pop(r);
        const pair *p = &r->pair[e.pair];
        if (p->count < e.count && p->count >= r->min_count && !heap_push(r, e.pair))
            return sm_fail(err, SM_ENOMEM, "training: no memory for pairs");
        size_t len = (size_t)r->t->token[p->left].len + r->t->token[p->right].len;
        if (p->count != e.count || len > MAX_TOKEN_BYTES)
            continue;
        if (sm_stopped(ctx))
            return sm_fail(err, SM_ECANCEL, "training: stopped at %d of %d tokens",
                           r->t->n_vocab, n_vocab);
        sm_status st = merge_pair(r, e.pair, err);
        if (st != SM_OK)
            return st;
        if (r->t->n_merge % REPORT_EVERY == 0)
            sm_progress_update(ctx->progress, "tokenizer", r->t->n_vocab, n_vocab,
                               "tokens", "");
    }
    return SM_OK;
}

static void trainer_free(trainer *r)
{
    for (uint32_t i = 0; i < r->n_pair; i++)
        free(r->pair[i].place);
    free(r->pair);
    free(r->node);
    free(r->touched);
    free(r->heap);
    sm_u64map_free(&r->pair_of);
    sm_idmap_free(&r->by_bytes);
}

/* ---------------------------------------------------------------------- calls */

static sm_status check_config(int32_t *n_special, const sm_bpe_train_config *c,
                              sm_err *err)
{
    *n_special = 0;
    for (const char *const *s = c->special; s && *s; s++, ++*n_special) {
        size_t n = strlen(*s);
        if (n == 0 || n > 4096 || sm_utf8_valid_prefix(*s, n) != n)
            return sm_fail(err, SM_EINVAL,
                           "special token %d: want 1..4096 bytes of UTF-8, got %zu",
                           *n_special, n);
        for (const char *const *other = c->special; other < s; other++)
            if (strcmp(*other, *s) == 0)
                return sm_fail(err, SM_EINVAL, "special token %.80s is given twice", *s);
    }
    if (c->vocab_size < 256 + *n_special || c->vocab_size > 1048576)
        return sm_fail(err, SM_EINVAL,
                       "vocab_size is %d, want %d (bytes and special tokens)..1048576",
                       c->vocab_size, 256 + *n_special);
    if (!sm_pretok_regex(c->pretok))
        return sm_fail(err, SM_EINVAL, "pretokenizer %d is not known", (int)c->pretok);
    return SM_OK;
}

static sm_status put_bytes(trainer *r, sm_err *err)
{
    sm_status st = SM_OK;
    for (int32_t b = 0; b < 256 && st == SM_OK; b++) {
        char c = (char)b;
        st = sm_tokenizer_put(r->t, b, &c, 1, TOKEN_MODEL, err);
    }
    return st == SM_OK ? sm_tokenizer_index(&r->by_bytes, r->t, err) : st;
}

static sm_status put_specials(sm_tokenizer *t, const char *const *special, sm_err *err)
{
    sm_status st = SM_OK;
    for (; special && *special && st == SM_OK; special++)
        st = sm_tokenizer_put(t, t->n_vocab, *special, strlen(*special),
                              TOKEN_ADDED | TOKEN_SPECIAL, err);
    return st;
}

sm_status sm_bpe_train(sm_tokenizer **out, const sm_ctx *ctx,
                       const sm_text_source *source, const sm_bpe_train_config *config,
                       sm_err *err)
{
    sm_words words = {0};
    trainer r = {.min_count = config->min_count > 0 ? (uint64_t)config->min_count : 2};
    int32_t n_special;
    sm_status st = check_config(&n_special, config, err);
    if (st != SM_OK)
        return st;
    r.t = sm_alloc(1, sizeof *r.t);
    if (!r.t)
        return sm_fail(err, SM_ENOMEM, "training: out of memory");
    r.t->pretok = config->pretok;
    st = sm_words_count(&words, ctx, source, config->pretok, err);
    if (st == SM_OK)
        st = put_bytes(&r, err);
    if (st == SM_OK)
        st = lay_out(&r, &words, err);
    if (st == SM_OK)
        st = merge_until(&r, ctx, config->vocab_size - n_special, err);
    if (st == SM_OK)
        st = put_specials(r.t, config->special, err);
    if (st == SM_OK)
        st = sm_tokenizer_finish(r.t, err);
    if (st == SM_OK && r.t->n_vocab < config->vocab_size)
        sm_log_line(ctx->log, SM_LOG_INFO,
                    "tokenizer: %d tokens of %d: no further pair occurs %llu times",
                    r.t->n_vocab, config->vocab_size, (unsigned long long)r.min_count);
    if (st == SM_OK) {
        *out = r.t;
        r.t = NULL;
    }
    sm_words_free(&words);
    trainer_free(&r);
    sm_tokenizer_free(r.t);
    return st;
}
