/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a tokenizer.  Readers (JSON, tiktoken) and the trainer fill the first
 * half of the struct, sm_tokenizer_finish derives the second; from then on nothing
 * changes but the cache, whose slots are atomic.
 */
#ifndef SMELT_TEXT_TOKENIZER_H
#define SMELT_TEXT_TOKENIZER_H

#include "cache.h"
#include "map.h"
#include "pretok.h"

enum {
    TOKEN_MODEL = 1,   /* in the model's vocabulary: byte-pair encoding can produce it */
    TOKEN_ADDED = 2,   /* matched in the text before pretokenization                   */
    TOKEN_SPECIAL = 4, /* an added token that only allow_special matches               */
    MAX_VOCAB = 1 << 21,
    MAX_TOKEN_BYTES = 1 << 20
};

/** One token; flags 0 = the id is not assigned. */
typedef struct sm_token {
    char *bytes;
    uint32_t len;
    uint32_t flags;
} sm_token;

/** left + right -> id.  A lower rank is merged first; among equal ranks (tiktoken files,
 * where all pairs with the same result share one) the leftmost. */
typedef struct sm_merge {
    int32_t left, right, id, rank;
} sm_merge;

struct sm_tokenizer {
    sm_pretokenizer pretok;
    bool
        ignore_merges; /* a pretoken that is a token is that token, whatever the merges */
    sm_token *token;   /* [n_vocab] */
    int32_t n_vocab, cap_vocab;
    sm_merge *merge; /* [n_merge] by rank */
    size_t n_merge;
    char *post_processor; /* JSON kept for writing, NULL = none */

    int32_t byte_id[256];
    sm_u64map pairs; /* left << 32 | right -> rank << 32 | id */
    sm_idmap words;  /* pretokens that encode to one token */
    int32_t *added;  /* [n_added] ids sorted by bytes */
    int32_t n_added;
    bool added_first[256],
        plain_first[256]; /* first bytes of added, of non-special ones */
    bool has_plain;       /* a non-special added token exists */
    sm_uclass *uclass;
    sm_cache *cache;
};

/** Give an id its bytes (copied).  The id must be free unless the bytes are the same,
 * when the flags are united. */
sm_status sm_tokenizer_put(sm_tokenizer *t, int64_t id, const char *bytes, size_t len,
                           uint32_t flags, sm_err *err);
/** Fill `m` with the model's tokens by their bytes; two with the same bytes are refused.
 */
sm_status sm_tokenizer_index(sm_idmap *m, const sm_tokenizer *t, sm_err *err);
/** Check and derive the second half.  On failure the caller frees t. */
sm_status sm_tokenizer_finish(sm_tokenizer *t, sm_err *err);

/** sm_tokenizer_load_tiktoken of a text in memory; `name` begins its messages. */
sm_status sm_tokenizer_read_tiktoken(sm_tokenizer **out, const char *text, size_t len,
                                     const char *name, sm_pretokenizer pretok,
                                     const char *const *special, sm_err *err);

static inline uint64_t sm_pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/** Append the byte-pair encoding of one pretoken: O(n log n). */
sm_status sm_tokenizer_merge(const sm_tokenizer *t, sm_tokens *out, const char *s,
                             size_t n, sm_err *err);
/** Make room for `more` ids. */
bool sm_tokens_reserve(sm_tokens *t, size_t more);

/** The longest added token at s (special ones only if allow_special): its id and *len, or
 * -1. */
int32_t sm_tokenizer_match_added(const sm_tokenizer *t, const char *s, size_t n,
                                 bool allow_special, size_t *len);

#endif
