/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiktoken files: "BASE64 RANK" a line.  tiktoken merges the two neighbours whose joined
 * bytes have the lowest rank; so every split of a token into two tokens is a merge, with
 * the token's id as its rank.
 */
#include <stdlib.h>

#include "smelt/sys.h"
#include "tokenizer.h"

/* Value of a base64 digit, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode base64 with padding (RFC 4648) into out, which has room for n bytes. */
static bool base64_decode(char *out, size_t *n_out, const char *s, size_t n)
{
    size_t k = 0;
    if (n == 0 || n % 4 != 0)
        return false;
    for (size_t i = 0; i < n; i += 4) {
        int pad = i + 4 < n || s[i + 3] != '=' ? 0 : s[i + 2] == '=' ? 2 : 1;
        int v[4] = {digit(s[i]), digit(s[i + 1]), pad == 2 ? 0 : digit(s[i + 2]),
                    pad ? 0 : digit(s[i + 3])};
        if (v[0] < 0 || v[1] < 0 || v[2] < 0 || v[3] < 0)
            return false;
        unsigned bits = (unsigned)v[0] << 18 | (unsigned)v[1] << 12 |
                        (unsigned)v[2] << 6 | (unsigned)v[3];
        out[k++] = (char)(bits >> 16);
        if (pad < 2)
            out[k++] = (char)(bits >> 8 & 0xFF);
        if (pad < 1)
            out[k++] = (char)(bits & 0xFF);
    }
    *n_out = k;
    return true;
}

/* Decimal digits at s up to the end of the line, or -1. */
static int64_t read_rank(const char *s, size_t n)
{
    int64_t v = 0;
    if (n == 0 || n > 10)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

/* Every split of a token is looked up, so that its length enters squared. */
enum { MAX_BYTES = 1024 };

static sm_status read_line(sm_tokenizer *t, char *bytes, const char *line, size_t n,
                           size_t number, sm_err *err)
{
    const char *space = memchr(line, ' ', n);
    size_t n_base64 = space ? (size_t)(space - line) : 0, len;
    int64_t rank = space ? read_rank(space + 1, n - n_base64 - 1) : -1;
    if (rank < 0 || !base64_decode(bytes, &len, line, n_base64))
        return sm_fail(err, SM_ECORRUPT, "line %zu: want \"BASE64 RANK\", got \"%.*s\"",
                       number, (int)(n < 40 ? n : 40), line);
    if (len > MAX_BYTES)
        return sm_fail(err, SM_ECORRUPT, "line %zu: a token of %zu bytes, want 1..%d",
                       number, len, MAX_BYTES);
    sm_status st = sm_tokenizer_put(t, rank, bytes, len, TOKEN_MODEL, err);
    return st == SM_OK ? st : sm_fail_context(err, st, "line %zu: ", number);
}

static sm_status read_lines(sm_tokenizer *t, const char *s, size_t n, sm_err *err)
{
    sm_status st = SM_OK;
    char *bytes = sm_realloc(NULL, n, 1);
    if (!bytes)
        return sm_fail(err, SM_ENOMEM, "no memory for %zu bytes", n);
    size_t number = 1;
    for (size_t at = 0; at < n && st == SM_OK; number++) {
        const char *end = memchr(s + at, '\n', n - at);
        size_t len = end ? (size_t)(end - s) - at : n - at;
        size_t used = len > 0 && s[at + len - 1] == '\r' ? len - 1 : len;
        if (used > 0)
            st = read_line(t, bytes, s + at, used, number, err);
        at += len + 1;
    }
    free(bytes);
    return st;
}

static bool push_merge(sm_tokenizer *t, size_t *cap, sm_merge m)
{
    if (t->n_merge == *cap) {
        size_t more = *cap ? *cap * 2 : 4096;
        sm_merge *p = sm_realloc(t->merge, more, sizeof *p);
        if (!p)
            return false;
        t->merge = p;
        *cap = more;
    }
    t->merge[t->n_merge++] = m;
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const sm_merge *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->left > y->left) - (x->left < y->left);
}

/* All splits of all tokens; in the end sorted by (rank, left). */
static sm_status split_tokens(sm_tokenizer *t, sm_err *err)
{
    sm_idmap m = {0};
    size_t cap = 0;
    sm_status st = sm_tokenizer_index(&m, t, err);
    for (int32_t i = 0; i < t->n_vocab && st == SM_OK; i++) {
        const sm_token *k = &t->token[i];
        for (uint32_t n = 1; n < k->len && st == SM_OK; n++) {
            int32_t left = sm_idmap_get(&m, k->bytes, n);
            int32_t right = sm_idmap_get(&m, k->bytes + n, k->len - n);
            if (left >= 0 && right >= 0 &&
                !push_merge(t, &cap, (sm_merge){left, right, i, i}))
                st = sm_fail(err, SM_ENOMEM, "no memory for %zu merges", t->n_merge);
        }
    }
    if (st == SM_OK && t->n_merge > 0)
        qsort(t->merge, t->n_merge, sizeof *t->merge, by_rank);
    sm_idmap_free(&m);
    return st;
}

static sm_status build(sm_tokenizer *t, const char *s, size_t n,
                       const char *const *special, sm_err *err)
{
    sm_status st = read_lines(t, s, n, err);
    if (st == SM_OK)
        st = split_tokens(t, err);
    for (; st == SM_OK && special && *special; special++)
        st = sm_tokenizer_put(t, t->n_vocab, *special, strlen(*special),
                              TOKEN_ADDED | TOKEN_SPECIAL, err);
    return st == SM_OK ? sm_tokenizer_finish(t, err) : st;
}

sm_status sm_tokenizer_read_tiktoken(sm_tokenizer **out, const char *text, size_t len,
                                     const char *name, sm_pretokenizer pretok,
                                     const char *const *special, sm_err *err)
{
    sm_tokenizer *t = sm_alloc(1, sizeof *t);
    if (!t)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", name);
    t->pretok = pretok;
    t->ignore_merges = true; /* tiktoken looks a word up before it merges */
    sm_status st = build(t, text, len, special, err);
    if (st == SM_OK) {
        *out = t;
        t = NULL;
    } else {
        st = sm_fail_context(err, st, "%s: ", name);
    }
    sm_tokenizer_free(t);
    return st;
}

sm_status sm_tokenizer_load_tiktoken(sm_tokenizer **out, const char *path,
                                     sm_pretokenizer pretok, const char *const *special,
                                     sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_status st = sm_file_read(&text, &len, path, 0, err);
    if (st == SM_OK)
        st = sm_tokenizer_read_tiktoken(out, text, len, path, pretok, special, err);
    free(text);
    return st;
}
