/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-pair encoding of one pretoken (Sennrich et al. 2016): start from bytes and merge
 * the adjacent pair of lowest rank, the leftmost among equals, until none can be merged.
 * Short pretokens scan an array on the stack; long ones use a linked list and a heap of
 * pairs, where an entry that no longer describes its place is dropped when it surfaces.
 */
#include <stdlib.h>

#include "tokenizer.h"

enum { SHORT = 48 };
#define NO_PAIR UINT64_MAX

bool sm_tokens_reserve(sm_tokens *t, size_t more)
{
    if (t->cap - t->n >= more)
        return true;
    size_t need, cap = t->cap < 64 ? 64 : t->cap;
    if (!sm_add_size(&need, t->n, more))
        return false;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    int32_t *p = sm_realloc(t->id, cap, sizeof *p);
    if (!p)
        return false;
    t->id = p;
    t->cap = cap;
    return true;
}

/* rank << 32 | id of merging two tokens, or NO_PAIR. */
static uint64_t pair_of(const sm_tokenizer *t, int32_t left, int32_t right)
{
    return sm_u64map_get(&t->pairs, sm_pair_key(left, right), NO_PAIR);
}

static void merge_short(const sm_tokenizer *t, sm_tokens *out, const char *s, size_t n)
{
    int32_t id[SHORT];
    uint64_t pair[SHORT];
    for (size_t i = 0; i < n; i++)
        id[i] = t->byte_id[(unsigned char)s[i]];
    for (size_t i = 0; i + 1 < n; i++)
        pair[i] = pair_of(t, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (pair[i] < pair[best])
                best = i;
        if (pair[best] == NO_PAIR)
            break;
        id[best] = (int32_t)(pair[best] & INT32_MAX);
        n--;
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            pair[i - 1] = pair[i];
        }
        if (best + 1 < n)
            pair[best] = pair_of(t, id[best], id[best + 1]);
        if (best > 0)
            pair[best - 1] = pair_of(t, id[best - 1], id[best]);
    }
    memcpy(out->id + out->n, id, n * sizeof *id);
    out->n += n;
}

/* ------------------------------------------------------------ long pretokens */

typedef struct candidate {
    uint64_t pair;
    uint32_t at;
} candidate;

typedef struct node {
    uint64_t pair; /* with the next node; NO_PAIR when there is none */
    uint32_t prev, next;
    int32_t id;
} node;

typedef struct list {
    node *node; /* [n], node i begins at byte i; dead ones have pair NO_PAIR */
    candidate *heap;
    size_t n_heap;
    uint32_t n;
} list;

static bool before(candidate a, candidate b)
{
    return a.pair != b.pair ? a.pair < b.pair : a.at < b.at;
}

static void sift_down(candidate *h, size_t n, size_t i)
{
    candidate c = h[i];
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(h[k + 1], h[k]))
            k++;
        if (!before(h[k], c))
            break;
        h[i] = h[k];
    }
    h[i] = c;
}

static void heap_push(list *l, candidate c)
{
    size_t i = l->n_heap++;
    for (; i > 0 && before(c, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = c;
}

static void list_fill(list *l, const sm_tokenizer *t, const char *s)
{
    for (uint32_t i = 0; i < l->n; i++)
        l->node[i] = (node){NO_PAIR, i - 1, i + 1, t->byte_id[(unsigned char)s[i]]};
    for (uint32_t i = 0; i + 1 < l->n; i++) {
        l->node[i].pair = pair_of(t, l->node[i].id, l->node[i + 1].id);
        if (l->node[i].pair != NO_PAIR)
            l->heap[l->n_heap++] = (candidate){l->node[i].pair, i};
    }
    for (size_t i = l->n_heap / 2; i-- > 0;)
        sift_down(l->heap, l->n_heap, i);
}

/* Look up the pair of node `at` and its next anew. */
static void list_update(list *l, const sm_tokenizer *t, uint32_t at)
{
    node *a = &l->node[at];
    a->pair = a->next < l->n ? pair_of(t, a->id, l->node[a->next].id) : NO_PAIR;
    if (a->pair != NO_PAIR)
        heap_push(l, (candidate){a->pair, at});
}

static void list_merge(list *l, const sm_tokenizer *t)
{
    while (l->n_heap > 0) {
        candidate c = l->heap[0];
        l->heap[0] = l->heap[--l->n_heap];
        if (l->n_heap > 0)
            sift_down(l->heap, l->n_heap, 0);
        node *a = &l->node[c.at];
        if (a->pair != c.pair)
            continue;
        node *b = &l->node[a->next];
        a->id = (int32_t)(c.pair & INT32_MAX);
        a->next = b->next;
        b->pair = NO_PAIR;
        if (a->next < l->n)
            l->node[a->next].prev = c.at;
        list_update(l, t, c.at);
        if (c.at > 0)
            list_update(l, t, a->prev);
    }
}

static sm_status merge_long(const sm_tokenizer *t, sm_tokens *out, const char *s,
                            size_t n, sm_err *err)
{
    if (n >= UINT32_MAX)
        return sm_fail(err, SM_EINVAL, "tokenizer: a word of %zu bytes, want < 4 GiB", n);
    /* n - 1 candidates at first and two for each of n - 1 merges, which remove one. */
    list l = {.node = sm_realloc(NULL, n, sizeof *l.node),
              .heap = sm_realloc(NULL, n, 2 * sizeof *l.heap),
              .n = (uint32_t)n};
    sm_status st = SM_OK;
    if (!l.node || !l.heap) {
        st = sm_fail(err, SM_ENOMEM, "tokenizer: no memory for a word of %zu bytes", n);
        goto done;
    }
    list_fill(&l, t, s);
    list_merge(&l, t);
    for (uint32_t i = 0; i < l.n; i = l.node[i].next)
        out->id[out->n++] = l.node[i].id;
done:
    free(l.node);
    free(l.heap);
    return st;
}

sm_status sm_tokenizer_merge(const sm_tokenizer *t, sm_tokens *out, const char *s,
                             size_t n, sm_err *err)
{
    if (!sm_tokens_reserve(out, n))
        return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for %zu tokens", n);
    if (n > SHORT)
        return merge_long(t, out, s, n, err);
    if (n > 0)
        merge_short(t, out, s, n);
    return SM_OK;
}
