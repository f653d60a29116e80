/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pretokens with how often each occurs: what byte-pair training learns from.
 */
#ifndef SMELT_TEXT_WORDS_H
#define SMELT_TEXT_WORDS_H

#include "map.h"
#include "pretok.h"

typedef struct sm_word {
    const char *bytes;
    uint64_t count;
    uint32_t len;
} sm_word;

/** Distinct pretokens in no particular order. Zero-initialise; release with _free. */
typedef struct sm_words {
    sm_word *word;
    size_t n, cap;
    sm_idmap index; /* bytes -> position in word */
    sm_arena *store;
    char *chunk; /* room for bytes, a piece of store */
    size_t chunk_left;
} sm_words;

/** Count the pretokens of all documents, in parallel.  The set of (bytes, count) does not
 * depend on the number of threads; the order does. */
sm_status sm_words_count(sm_words *out, const sm_ctx *ctx, const sm_text_source *source,
                         sm_pretokenizer pretok, sm_err *err);
void sm_words_free(sm_words *w);

#endif
