/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the engine: packed weights, KV caches, the forward pass over rows of several
 * sequences, streams and their scheduler.
 *
 * The forward pass makes for each row the operations of the training forward in the same
 * order (pass.h of model), so the logits are the same bits whatever rows share the step.
 */
#ifndef SMELT_INFER_INTERNAL_H
#define SMELT_INFER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "smelt/infer.h"
#include "smelt/tensor.h"

enum {
    STEP_ROWS = 256,   /* rows of one forward pass at most                            */
    MAX_QUEUE = 256,   /* requests that wait                                          */
    MAX_STREAMS = 256
};

/* -------------------------------------------------------------- the weights */

typedef struct infer_layer {
    sm_layer_view view;
    const float *attn_norm, *ffn_norm;
    void *qkv, *out, *gate_up, *down, *router; /* packed                          */
    char *expert_gate_up, *expert_down;
    size_t stride_gate_up, stride_down;        /* from one expert to the next     */
    sm_slices cut_out, cut_down, cut_expert;   /* of out, down, expert_down       */
} infer_layer;

/* ---------------------------------------------------------------- KV caches */

/** Keys and values of one sequence: complete blocks packed, the last one also as rows. */
typedef struct kv_cache {
    char *packed;  /* [n_layer][n_kv_head][n_block] of (k block, v block)             */
    float *tail;   /* [n_layer][SM_KEY_BLOCK][2 * n_kv_head * d_head] k|v rows        */
    int64_t n_tok; /* tokens whose keys and values are in                             */
} kv_cache;

/* ------------------------------------------------------------- forward pass */

/** One token of one sequence in a step. */
typedef struct step_row {
    kv_cache *kv;
    int32_t token, index; /* index in the sequence                            */
    int32_t target;       /* scoring: whose log-probability is wanted; else -1 */
    bool want_logits;     /* sampling                                          */
} step_row;

/** Rows of one sequence are consecutive and ascending. */
typedef struct row_run {
    int32_t row0, n;
} row_run;

typedef struct step_buffers {
    float *x, *n1, *qkv, *o, *h, *n2, *gu, *a, *logit, *weight, *egu, *ey, *norm_out;
    int32_t *expert;
    sm_perm perm;
    float *logits;     /* [max wanted rows, n_vocab]                          */
    float *loss;       /* [STEP_ROWS] nats of targets                         */
    void *pack;        /* A operand of the widest product                     */
    char *scratch;     /* [n_threads] of attention or expert scratch          */
    size_t scratch_stride;
} step_buffers;

typedef struct stream stream;

struct sm_engine {
    sm_ctx ctx;
    const sm_model *model;
    const sm_tokenizer *tokenizer;
    const sm_prod *prod, *prod_f32;
    int32_t max_streams, max_ctx, bos, n_end;
    int32_t end[4]; /* tokens that end a text */
    int64_t width_q, width_kv, width_qkv;
    char *weights_memory;
    infer_layer *layer;
    void *head;
    float *rope_cos, *rope_sin, *temp;
    size_t k_bytes, v_bytes; /* of a packed block */
    int64_t n_block;         /* a sequence        */
    char *step_memory;
    step_buffers b;
    float *chosen; /* [n_vocab] the sampler's scratch */
    int32_t *order;

    pthread_mutex_t compute; /* one forward pass at a time                          */
    kv_cache score_kv;       /* guarded by compute                                  */

    pthread_mutex_t lock; /* guards what follows; taken before nothing else         */
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread, quit;
    stream *queue_head, *queue_tail;
    int32_t n_queued, n_active;
    stream **active; /* [max_streams], touched by the engine's thread alone except ids */
    int64_t next_id;
    sm_engine_stats stats;
};

/* weights.c */
sm_status engine_pack_weights(sm_engine *e, sm_err *err);
/* kv.c */
sm_status kv_create(kv_cache *kv, const sm_engine *e, sm_err *err);
void kv_free(kv_cache *kv);
/** Append the rows' keys and values (after rope) of one layer: index .. index+n-1. */
void kv_append(const sm_engine *e, kv_cache *kv, int32_t layer, int64_t index,
               const float *qkv, int64_t n);
sm_attn_kv kv_view(const sm_engine *e, const kv_cache *kv, int32_t layer, int32_t kv_head,
                   int64_t n_key);

/* forward.c */
sm_status step_create(sm_engine *e, sm_err *err);
/** Run rows (at most STEP_ROWS); logits of wanted rows land in b.logits in order, nats of
 * targets in b.loss[row].  The caller holds `compute`.
 * @return SM_ENUMERIC when a logit is not finite */
sm_status step_run(sm_engine *e, const step_row *row, int32_t n, sm_err *err);

/* sample.c */
/** Choose a token; a pure function of (logits, sampling, n_generated). */
int32_t sample_token(const sm_engine *e, const float *logits, const sm_sampling *s,
                     int32_t n_generated);

/* stream.c: one request */
struct stream {
    stream *next;
    int64_t id;
    sm_tokens prompt;
    sm_sampling sampling; /* stop points into stop_text */
    const char *stop[17];
    char *stop_text[16];
    sm_stream_sink sink;
    kv_cache kv;
    int32_t n_done;      /* prompt tokens fed                             */
    int32_t n_generated;
    int32_t last;        /* token sampled last, to be fed next            */
    sm_buf text;         /* generated bytes                               */
    size_t n_emitted;    /* of them given to the sink                     */
    atomic_bool cancelled;
};
sm_status stream_create(stream **out, sm_engine *e, const char *prompt, size_t len,
                        const sm_sampling *sampling, sm_stream_sink sink, sm_err *err);
void stream_free(stream *s);
/** Take a sampled token: append its bytes, emit what may be emitted.
 * @return SM_FINISH_NONE to go on */
sm_finish stream_take(sm_engine *e, stream *s, int32_t token);
/** Emit what was held back, and report the end. */
void stream_finish(stream *s, sm_finish why, const sm_err *err);

#endif
