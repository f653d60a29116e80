/* SPDX-License-Identifier: Apache-2.0 */
/**
 * infer (L5): generation with a KV cache and likelihood scoring; knows no HTTP.
 *
 * Batch invariance: a sequence's logits do not depend on what else is in the batch, on the
 * chunking of its prompt, on threads or on the CPU rung; the same request with the same
 * seed gives the same tokens.
 */
#ifndef SMELT_INFER_H
#define SMELT_INFER_H

#include "smelt/base.h"
#include "smelt/model.h"
#include "smelt/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A loaded model ready to run: packed weights, tokenizer.  Immutable and shared. */
typedef struct sm_engine sm_engine;

typedef struct sm_engine_config {
    const char *profile;  /* NULL: "bf16/1"                                   */
    int32_t max_streams;  /* sequences decoded at once, 1..256; 0: 8          */
    int32_t max_ctx;      /* 0: the model's                                   */
} sm_engine_config;
/** Takes ownership of neither model nor tokenizer; both outlive the engine, and so do pool
 * and kernels of `ctx`, which is copied.  Starts the engine's thread.
 * @param config  NULL: all defaults
 * @return SM_EINVAL (profile, max_streams, max_ctx, more tokens than the model
 *         has), SM_ENOMEM; out is untouched */
SM_API sm_status sm_engine_create(sm_engine **out, const sm_ctx *ctx, const sm_model *model,
                                  const sm_tokenizer *tokenizer,
                                  const sm_engine_config *config, sm_err *err);
SM_API void sm_engine_free(sm_engine *e);

/** How to sample.  temperature 0 is greedy (ties to the lower id). */
typedef struct sm_sampling {
    float temperature; /* 0..100, default 1       */
    int32_t top_k;     /* 0: off                  */
    float top_p;       /* (0,1], 1: off           */
    float min_p;       /* [0,1), 0: off           */
    uint64_t seed;
    int32_t max_tokens;       /* >= 0                                          */
    const char *const *stop;  /* NULL-terminated strings, may be NULL; at most 16 */
} sm_sampling;
#define SM_SAMPLING_DEFAULT {.temperature = 1, .top_p = 1, .max_tokens = 128}
/** Are all fields in range?  @return SM_EINVAL names the field, the value and the range */
SM_API sm_status sm_sampling_check(const sm_sampling *s, sm_err *err);

typedef enum sm_finish {
    SM_FINISH_NONE = 0, SM_FINISH_STOP, SM_FINISH_LENGTH, SM_FINISH_CANCEL, SM_FINISH_ERROR
} sm_finish;

/** What a stream reports, from the engine's thread (but see sm_engine_cancel): bytes are
 * whole UTF-8 sequences where the model produced any; text after a stop string is withheld.
 * Return false to cancel. */
typedef struct sm_stream_sink {
    bool (*text)(void *self, const char *bytes, size_t n, int32_t n_tokens_so_far);
    void (*done)(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                 const sm_err *err);
    void *self;
} sm_stream_sink;

/** Enqueue a request; streams advance together (continuous batching) in the engine's own
 * thread.  prompt is copied. SM_EINVAL: empty prompt, too long, bad sampling; SM_ENOMEM:
 * queue full. */
SM_API sm_status sm_engine_submit(sm_engine *e, const char *prompt, size_t len,
                                  const sm_sampling *sampling, sm_stream_sink sink,
                                  int64_t *id_out, sm_err *err);
/** Ask a request to stop; done() is still called once, from this thread before this returns
 * when the request waits in the queue, which it leaves. Unknown ids are ignored. */
SM_API void sm_engine_cancel(sm_engine *e, int64_t id);

/** Generate one completion, blocking. Appends to out. */
SM_API sm_status sm_engine_complete(sm_engine *e, const char *prompt, size_t len,
                                    const sm_sampling *sampling, sm_buf *out,
                                    sm_finish *why, sm_err *err);

/** Sum of log p(continuation | prefix) in nats, and the number of scored tokens; prefix may
 * be empty (then the begin-of-text token conditions).  A prefix too long for the context
 * loses its oldest tokens.  Thread-safe.
 * @return SM_EINVAL when the continuation alone is too long, SM_ENUMERIC, SM_ENOMEM */
SM_API sm_status sm_engine_score(sm_engine *e, const char *prefix, size_t prefix_len,
                                 const char *continuation, size_t continuation_len,
                                 double *nats, int64_t *n_token, sm_err *err);

/** Counters since creation, for /metrics.  n_generated_tokens are those that requests report
 * as generated, the one that ends a text included; they are counted before a request ends. */
typedef struct sm_engine_stats {
    int64_t n_requests, n_active, n_queued, n_prompt_tokens, n_generated_tokens;
    int64_t prefill_ns, decode_ns;
} sm_engine_stats;
/** Copy them.  Thread-safe. */
SM_API void sm_engine_stats_get(const sm_engine *e, sm_engine_stats *out);

#ifdef __cplusplus
}
#endif
#endif
