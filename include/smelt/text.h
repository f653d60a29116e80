/* SPDX-License-Identifier: Apache-2.0 */
/**
 * text (L3): pretokenizers, byte-level BPE, tokenizer files.
 */
#ifndef SMELT_TEXT_H
#define SMELT_TEXT_H

#include "smelt/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------- Unicode */

/** Version of the Unicode data that pretokenizers use ("15.0.0"), static storage.  Another
 * version may cut characters assigned since differently: it belongs in run records. */
SM_API const char *sm_unicode_version(void);

/* --------------------------------------------------------------- tokenizer */

typedef struct sm_tokenizer sm_tokenizer;

typedef enum sm_pretokenizer {
    SM_PRETOK_GPT2 = 0,   /* the GPT-2 regular expression                          */
    SM_PRETOK_O200K = 1,  /* o200k_base, which Llama 4 uses                        */
    SM_PRETOK_LLAMA3 = 2, /* Llama 3, and cl100k_base as first published           */
    SM_PRETOK_CL100K = 3  /* cl100k_base as tiktoken spells it since: Llama 3's but
                             that blanks at the end of a text stay in one piece    */
} sm_pretokenizer;

/** A source of training text: calls back with each document; data borrowed for the call. */
typedef struct sm_text_source {
    /** Give document i (0..n-1). Called from several threads. */
    sm_status (*get)(void *self, size_t i, const char **text, size_t *len, sm_err *err);
    void *self;
    size_t n;
} sm_text_source;

typedef struct sm_bpe_train_config {
    int32_t vocab_size;     /* 256 + specials .. 1048576; special tokens included */
    sm_pretokenizer pretok;
    int64_t min_count;      /* a merge must occur at least this often (default 2) */
    const char *const *special; /* NULL-terminated, may be NULL; take the last ids */
} sm_bpe_train_config;

/**
 * Train byte-level BPE: ids 0..255 are the bytes, then merges by rank, then specials.
 * A pair's count is the number of adjacent places in all words; ties go to the pair whose
 * (left bytes, right bytes) sort first.  The result is the same at any thread count and
 * for any order of documents.  When no pair occurs min_count times the vocabulary is
 * smaller than asked, and a log line says so.
 * @param[out] out  release with sm_tokenizer_free; untouched on failure
 * @return SM_EINVAL for a bad config, SM_ECANCEL, what source->get returned (with the
 *         document's index), SM_ENOMEM, also for 4 GiB of distinct words or more
 */
SM_API sm_status sm_bpe_train(sm_tokenizer **out, const sm_ctx *ctx,
                              const sm_text_source *source,
                              const sm_bpe_train_config *config, sm_err *err);

/**
 * Read Hugging Face tokenizer.json: byte-level BPE (all 256 bytes in the vocabulary; merges
 * as "a b" or ["a", "b"]; ignore_merges) behind one of sm_pretokenizer's expressions.
 * @param[out] out  release with sm_tokenizer_free; untouched on error
 * @param name      what messages begin with
 * @return SM_ECORRUPT, or SM_EUNSUPPORTED naming what was found: a normalizer, another
 *         pre_tokenizer, model or decoder, an added token with lstrip, rstrip, single_word
 * Caveats: post_processor is kept for writing and never applied: callers add the tokens
 * that begin and end a text.
 */
SM_API sm_status sm_tokenizer_read(sm_tokenizer **out, const char *json, size_t len,
                                   const char *name, sm_err *err);
/** The same of a file; its errors besides. */
SM_API sm_status sm_tokenizer_load(sm_tokenizer **out, const char *path, sm_err *err);
/**
 * Read a tiktoken file ("BASE64 RANK" a line, ids = ranks), as Llama 3 and 4 publish.
 * @param special  NULL-terminated, may be NULL; take the ids behind the last rank
 * @return SM_ECORRUPT ("PATH: line N: ..."), SM_EUNSUPPORTED where one of the 256 bytes is
 *         no token, errors of the file
 * Caveats: pairs with the same result share a rank, as in tiktoken; tokenizer.json cannot
 * say that, so after sm_tokenizer_write the smaller left id goes first among them.
 */
SM_API sm_status sm_tokenizer_load_tiktoken(sm_tokenizer **out, const char *path,
                                            sm_pretokenizer pretok,
                                            const char *const *special, sm_err *err);
/** Append tokenizer.json; equal tokenizers give equal bytes. */
SM_API sm_status sm_tokenizer_write(sm_buf *out, const sm_tokenizer *t, sm_err *err);
/** NULL is allowed. */
SM_API void sm_tokenizer_free(sm_tokenizer *t);

/** One more than the largest id; some ids below it may be unassigned. */
SM_API int32_t sm_tokenizer_n_vocab(const sm_tokenizer *t);
/** Id of an added token by its text ("<|end_of_text|>"), -1 when there is none. */
SM_API int32_t sm_tokenizer_special(const sm_tokenizer *t, const char *text);

/** A growable array of token ids. Zero-initialise; release with sm_tokens_free. */
typedef struct sm_tokens {
    int32_t *id;
    size_t n, cap;
} sm_tokens;
/** Append; false, and nothing appended, without memory. */
SM_API bool sm_tokens_push(sm_tokens *t, int32_t id);
/** Release; it is as new. */
SM_API void sm_tokens_free(sm_tokens *t);

/**
 * Append the ids of text; decoding them gives text back, whatever its bytes: a byte that is
 * not part of valid UTF-8 counts as a symbol ([^\s\p{L}\p{N}]) of its own.  Special tokens
 * in the text are plain text unless allow_special; other added tokens are always matched;
 * the longest wins.  Linear in len but for words (pretokens) of n > 48 bytes, O(n log n).
 * @return SM_ENOMEM, or SM_EINVAL for a word of 4 GiB; out then holds a prefix
 * Thread-safe: a cache of encoded words is shared without locks and cannot change ids.
 * Caveats: letters are those of sm_unicode_version.
 */
SM_API sm_status sm_tokenizer_encode(const sm_tokenizer *t, sm_tokens *out,
                                     const char *text, size_t len, bool allow_special,
                                     sm_err *err);
/** Append the bytes of ids; SM_EINVAL names an id that is no token (out then holds the text
 * before it). skip_special omits specials. */
SM_API sm_status sm_tokenizer_decode(const sm_tokenizer *t, sm_buf *out, const int32_t *id,
                                     size_t n, bool skip_special, sm_err *err);
/** Bytes of one token; borrowed, valid as long as t. NULL when out of range. */
SM_API const char *sm_tokenizer_bytes(const sm_tokenizer *t, int32_t id, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
