/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer object: building, looking things up, decoding. */
#include "tokenizer.h"

#include <stdlib.h>

/* ----------------------------------------------------------------- building */

static bool grow_to(sm_tokenizer *t, int32_t n)
{
    if (n <= t->cap_vocab)
        return true;
    int32_t cap = t->cap_vocab < 512 ? 512 : t->cap_vocab;
    while (cap < n)
        cap *= 2;
    sm_token *p = sm_realloc(t->token, (size_t)cap, sizeof *p);
    if (!p)
        return false;
    memset(p + t->cap_vocab, 0, (size_t)(cap - t->cap_vocab) * sizeof *p);
    t->token = p;
    t->cap_vocab = cap;
    return true;
}

sm_status sm_tokenizer_put(sm_tokenizer *t, int64_t id, const char *bytes, size_t len,
                           uint32_t flags, sm_err *err)
{
    if (id < 0 || id >= MAX_VOCAB)
        return sm_fail(err, SM_ECORRUPT, "token id %lld, want 0..%d", (long long)id,
                       MAX_VOCAB - 1);
    if (len == 0 || len > MAX_TOKEN_BYTES)
        return sm_fail(err, SM_ECORRUPT, "token %lld has %zu bytes, want 1..%d",
                       (long long)id, len, MAX_TOKEN_BYTES);
    if (!grow_to(t, (int32_t)id + 1))
        return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for %lld tokens",
                       (long long)id);
    sm_token *k = &t->token[id];
    if (k->flags && (k->len != len || memcmp(k->bytes, bytes, len) != 0))
        return sm_fail(err, SM_ECORRUPT, "token id %lld is given twice", (long long)id);
    if (!k->flags) {
        k->bytes = sm_strndup(bytes, len);
        if (!k->bytes)
            return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for token %lld",
                           (long long)id);
        k->len = (uint32_t)len;
    }
    k->flags |= flags;
    if (id >= t->n_vocab)
        t->n_vocab = (int32_t)id + 1;
    return SM_OK;
}

sm_status sm_tokenizer_index(sm_idmap *m, const sm_tokenizer *t, sm_err *err)
{
    for (int32_t i = 0; i < t->n_vocab; i++) {
        const sm_token *k = &t->token[i];
        int32_t id = i;
        if (!(k->flags & TOKEN_MODEL))
            continue;
        if (!sm_idmap_add(m, k->bytes, k->len, &id))
            return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for the vocabulary");
        if (id != i)
            return sm_fail(err, SM_ECORRUPT, "tokens %d and %d have the same bytes", id,
                           i);
    }
    return SM_OK;
}

static sm_status derive_bytes(sm_tokenizer *t, const sm_idmap *by_bytes, sm_err *err)
{
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        t->byte_id[b] = sm_idmap_get(by_bytes, &c, 1);
        if (t->byte_id[b] < 0)
            return sm_fail(err, SM_EUNSUPPORTED,
                           "no token for byte 0x%02X, want a byte-level vocabulary with "
                           "all 256",
                           b);
    }
    return SM_OK;
}

static sm_status derive_pairs(sm_tokenizer *t, sm_err *err)
{
    for (size_t i = 0; i < t->n_merge; i++) {
        const sm_merge *m = &t->merge[i];
        uint64_t value = (uint64_t)(uint32_t)m->rank << 32 | (uint32_t)m->id;
        uint64_t *at = sm_u64map_at(&t->pairs, sm_pair_key(m->left, m->right), value);
        if (!at)
            return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for %zu merges",
                           t->n_merge);
        *at = value; /* a pair listed twice has its last rank, as in the peers */
    }
    return SM_OK;
}

/* A pretoken that is a token need not be merged when merging gives that token. */
static sm_status derive_words(sm_tokenizer *t, sm_err *err)
{
    sm_tokens ids = {0};
    sm_status st = SM_OK;
    for (int32_t i = 0; i < t->n_vocab && st == SM_OK; i++) {
        const sm_token *k = &t->token[i];
        int32_t id = i;
        if (!(k->flags & TOKEN_MODEL))
            continue;
        ids.n = 0;
        if (!t->ignore_merges) {
            st = sm_tokenizer_merge(t, &ids, k->bytes, k->len, err);
            if (st != SM_OK || ids.n != 1 || ids.id[0] != i)
                continue;
        }
        if (!sm_idmap_add(&t->words, k->bytes, k->len, &id))
            st = sm_fail(err, SM_ENOMEM, "tokenizer: no memory for the vocabulary");
    }
    sm_tokens_free(&ids);
    return st;
}

typedef struct added_text {
    const sm_token *token;
    int32_t id;
} added_text;

static int compare_texts(const void *a, const void *b)
{
    const sm_token *x = ((const added_text *)a)->token,
                   *y = ((const added_text *)b)->token;
    int c = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Added tokens in order of their bytes, which matching narrows byte by byte. */
static sm_status sort_added(sm_tokenizer *t, added_text *a, sm_err *err)
{
    int32_t n = 0;
    for (int32_t i = 0; i < t->n_vocab; i++)
        if (t->token[i].flags & TOKEN_ADDED)
            a[n++] = (added_text){&t->token[i], i};
    if (n > 0)
        qsort(a, (size_t)n, sizeof *a, compare_texts);
    for (int32_t i = 0; i < n; i++) {
        const sm_token *k = a[i].token;
        if (i > 0 && compare_texts(&a[i - 1], &a[i]) == 0)
            return sm_fail(err, SM_ECORRUPT, "added tokens %d and %d are the same text",
                           a[i - 1].id < a[i].id ? a[i - 1].id : a[i].id,
                           a[i - 1].id < a[i].id ? a[i].id : a[i - 1].id);
        t->added[i] = a[i].id;
        t->added_first[(unsigned char)k->bytes[0]] = true;
        if (k->flags & TOKEN_SPECIAL)
            continue;
        t->plain_first[(unsigned char)k->bytes[0]] = true;
        t->has_plain = true;
    }
    t->n_added = n;
    return SM_OK;
}

static sm_status derive_added(sm_tokenizer *t, sm_err *err)
{
    size_t n = 0;
    for (int32_t i = 0; i < t->n_vocab; i++)
        n += (t->token[i].flags & TOKEN_ADDED) != 0;
    added_text *a = sm_alloc(n, sizeof *a);
    t->added = sm_alloc(n, sizeof *t->added);
    sm_status st = a && t->added
                       ? sort_added(t, a, err)
                       : sm_fail(err, SM_ENOMEM, "tokenizer: no memory for added tokens");
    free(a);
    return st;
}

sm_status sm_tokenizer_finish(sm_tokenizer *t, sm_err *err)
{
    sm_idmap by_bytes = {0};
    sm_status st = sm_tokenizer_index(&by_bytes, t, err);
    if (st == SM_OK)
        st = derive_bytes(t, &by_bytes, err);
    if (st == SM_OK)
        st = derive_pairs(t, err);
    if (st == SM_OK)
        st = derive_words(t, err);
    if (st == SM_OK)
        st = derive_added(t, err);
    if (st == SM_OK)
        st = sm_uclass_create(&t->uclass, err);
    if (st == SM_OK && !(t->cache = sm_cache_create()))
        st = sm_fail(err, SM_ENOMEM, "tokenizer: no memory for the cache");
    sm_idmap_free(&by_bytes);
    return st;
}

void sm_tokenizer_free(sm_tokenizer *t)
{
    if (!t)
        return;
    for (int32_t i = 0; i < t->n_vocab; i++)
        free(t->token[i].bytes);
    free(t->token);
    free(t->merge);
    free(t->post_processor);
    free(t->added);
    sm_u64map_free(&t->pairs);
    sm_idmap_free(&t->words);
    sm_uclass_free(t->uclass);
    sm_cache_free(t->cache);
    free(t);
}

/* --------------------------------------------------------------- looking up */

int32_t sm_tokenizer_n_vocab(const sm_tokenizer *t)
{
    return t->n_vocab;
}

/* First added token in [lo, hi) whose byte at `depth` is >= c (these agree before it). */
static int32_t lower_bound(const sm_tokenizer *t, int32_t lo, int32_t hi, size_t depth,
                           int c)
{
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2;
        const sm_token *k = &t->token[t->added[mid]];
        int at = depth < k->len ? (unsigned char)k->bytes[depth] : -1;
        if (at < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int32_t sm_tokenizer_match_added(const sm_tokenizer *t, const char *s, size_t n,
                                 bool allow_special, size_t *len)
{
    int32_t lo = 0, hi = t->n_added, best = -1;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        int c = (unsigned char)s[depth];
        lo = lower_bound(t, lo, hi, depth, c);
        hi = lower_bound(t, lo, hi, depth, c + 1);
        if (lo == hi)
            break;
        /* The shortest of those that begin with s[0..depth] sorts first. */
        const sm_token *k = &t->token[t->added[lo]];
        if (k->len == depth + 1 && (allow_special || !(k->flags & TOKEN_SPECIAL))) {
            best = t->added[lo];
            *len = k->len;
        }
    }
    return best;
}

int32_t sm_tokenizer_special(const sm_tokenizer *t, const char *text)
{
    size_t n = strlen(text), len = 0;
    int32_t id = sm_tokenizer_match_added(t, text, n, true, &len);
    return id >= 0 && len == n ? id : -1;
}

const char *sm_tokenizer_bytes(const sm_tokenizer *t, int32_t id, size_t *len)
{
    if (id < 0 || id >= t->n_vocab || !t->token[id].flags)
        return NULL;
    if (len)
        *len = t->token[id].len;
    return t->token[id].bytes;
}

/* ----------------------------------------------------------------- decoding */

sm_status sm_tokenizer_decode(const sm_tokenizer *t, sm_buf *out, const int32_t *id,
                              size_t n, bool skip_special, sm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= t->n_vocab || !t->token[id[i]].flags)
            return sm_fail(err, SM_EINVAL, "decode: id %d at %zu, want a token in 0..%d",
                           id[i], i, t->n_vocab - 1);
        const sm_token *k = &t->token[id[i]];
        if (skip_special && k->flags & TOKEN_SPECIAL)
            continue;
        if (!sm_buf_put(out, k->bytes, k->len))
            return sm_fail(err, SM_ENOMEM, "decode: text of more than %zu bytes",
                           out->len);
    }
    return SM_OK;
}

bool sm_tokens_push(sm_tokens *t, int32_t id)
{
    if (!sm_tokens_reserve(t, 1))
        return false;
    t->id[t->n++] = id;
    return true;
}

void sm_tokens_free(sm_tokens *t)
{
    free(t->id);
    *t = (sm_tokens){0};
}
