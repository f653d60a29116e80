/* SPDX-License-Identifier: Apache-2.0 */
/**
 * train (L5): token data, schedule, the fixed gradient tree, AdamW and Muon, the training
 * loop with checkpoints, and bits per byte on held-out documents.
 *
 *   w_{t+1} = AdamW(w_t, clip(grad( sum nats / n_target + auxiliary terms )))
 *
 * What the result depends on: the model config, profile, seed, data, and the fields of
 * sm_train_config above the line "does not affect the result".  It does not depend on
 * threads, CPU rung, ranks, micro-batch size, recompute, memory, or interruptions.
 *
 * The auxiliary (load-balance) loss is exact over the GLOBAL batch.  Its gradient needs
 * the global expert counts, so with loss.aux_coef > 0 and several micro-batches all
 * forwards of a step come first.  Their activations are held when memory_bytes allows it
 * (no extra arithmetic); otherwise each forward is run a second time before its backward,
 * which costs one more forward, a third of a step.  Both give the same bits.
 */
#ifndef SMELT_TRAIN_H
#define SMELT_TRAIN_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/kern.h"
#include "smelt/model.h"
#include "smelt/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------- token data */

/**
 * Documents as tokens, packed into rows of n_ctx positions.
 *
 * A document of n tokens becomes BOS t1 .. tn END: n+1 positions, each predicting the
 * next token.  A document of more than n_ctx positions is cut into pieces of n_ctx (each
 * piece sees only itself; no target is lost).  Pieces are packed best-fit-decreasing:
 * every piece is whole, none is cropped.  What stays empty in a row is padding: token
 * BOS, target -1, a document of its own.
 */
typedef struct sm_token_data sm_token_data;

typedef struct sm_token_config {
    int64_t n_ctx;       /* positions a row, 2..1048576                                */
    int32_t bos_id;      /* begins every document                                      */
    int32_t end_id;      /* is predicted after its last token; -1: bos_id              */
    int64_t overlap_tok; /* later pieces of a cut document begin this many positions
                            early, uncounted, as context (held-out scoring); 0 for
                            training; 0..n_ctx-1                                       */
} sm_token_config;

typedef struct sm_token_stats {
    int64_t n_doc, n_row;
    int64_t n_tok;         /* positions that hold a document's token                  */
    int64_t n_target;      /* positions with a counted target (n_tok without overlap) */
    int64_t n_bytes;       /* of text                                                 */
    double bytes_per_tok;  /* n_bytes / text tokens (without BOS and END)             */
    double padding_frac;   /* empty positions / all positions                         */
    int64_t n_cropped_tok; /* tokens left out: always 0                               */
    int64_t n_doc_cut;     /* documents longer than n_ctx, cut into pieces            */
    double cut_frac;       /* share of n_tok that lies in such documents              */
    uint64_t checksum;     /* of tokens and packing (detects change, not malice)      */
} sm_token_stats;

/** Tokenise (in parallel) and pack.  The result does not depend on the thread count.
 * @param docs  get() is called from several threads; its text may be released or reused
 *              by the source once the next get() of the same thread comes
 * @return SM_EINVAL (config, no documents, an id out of range), errors of get() with the
 *         document's index, SM_ENOMEM, SM_ECANCEL */
SM_API sm_status sm_token_data_build(sm_token_data **out, const sm_ctx *ctx,
                                     const sm_text_source *docs, const sm_tokenizer *tok,
                                     const sm_token_config *c, sm_err *err);
/** The same from ids: document d is id[start[d] .. start[d+1]-1], without BOS and END.
 * @param n_bytes [n_doc] bytes of each document's text; NULL: unknown (0)
 * @param start   [n_doc+1] ascending from 0; everything is copied */
SM_API sm_status sm_token_data_from_ids(sm_token_data **out, const int32_t *id,
                                        const int64_t *start, const int64_t *n_bytes,
                                        int64_t n_doc, const sm_token_config *c,
                                        sm_err *err);
SM_API const sm_token_stats *sm_token_data_stats(const sm_token_data *d);
SM_API int64_t sm_token_data_n_ctx(const sm_token_data *d);
SM_API void sm_token_data_free(sm_token_data *d);

/** Row `row` (0..n_row-1) as packed.  Arrays are [n_ctx] as in sm_batch; doc [n_ctx] is
 * the document of each position or -1, and may be NULL.  Thread-safe. */
SM_API void sm_token_data_row(const sm_token_data *d, int64_t row, int32_t *token,
                              int32_t *target, int32_t *doc_start, int64_t *doc);
/** The row of training sequence `seq` (0, 1, ... without end): epoch seq / n_row visits
 * every row once, in an order that is a pure function of (seed, epoch). */
SM_API int64_t sm_token_data_order(const sm_token_data *d, uint64_t seed, int64_t seq);
/** Index i of a pseudo-random permutation of 0..n-1 chosen by (seed, epoch): a six-round
 * Feistel network over sm_rng_u64 with cycle walking, so no table is kept. */
SM_API int64_t sm_shuffle_index(uint64_t seed, uint32_t epoch, int64_t n, int64_t i);

/* ----------------------------------------------------------- configuration */

typedef enum sm_schedule {
    SM_SCHEDULE_COSINE = 0, /* warm-up, then half a cosine down to min_lr_frac */
    SM_SCHEDULE_WSD = 1, /* warm-up, stable, then linear decay over the last decay_frac */
    SM_SCHEDULE_RANGE = 2 /* exponentially from lr*min_lr_frac up to lr: a range test  */
} sm_schedule;

/** Who moves the weights.  Under Muon the hidden matrices (attention, feed-forward, experts,
 * each matrix by itself) follow it and the rest (embedding, head, router, norms) AdamW.
 *   m = mu m + g;  O = NewtonSchulz(g + mu m);  w = (1 - lr wd) w - lr 0.2 sqrt(max(r, c)) O
 * O has singular values near 1, so its entries have the size of AdamW's: one lr and one
 * weight decay serve both (docs/training.md). */
typedef enum sm_optimizer {
    SM_OPTIMIZER_ADAMW = 0,
    SM_OPTIMIZER_MUON = 1
} sm_optimizer;

typedef struct sm_train_config {
    sm_model_config model;
    const char *profile; /* "bf16/1" or "f32/1"; borrowed                             */
    uint64_t seed;       /* initial weights and data order                            */
    double init_gain;    /* matrices begin at normal(0, init_gain/sqrt(fan_in)), the
                            embedding at normal(0, init_gain/sqrt(d_model)), of the base
                            width under width transfer; 0: as sm_model_create (0.02),
                            which suits a d_model of thousands                         */
    double init_residual; /* factor on outputs of blocks, whatever init_gain: 1 is
                            1/sqrt(2 n_layer) of other matrices, 0 adds nothing at first */
    int64_t n_ctx;       /* positions a sequence; <= model.max_ctx                    */
    int64_t n_seq;       /* sequences in the global batch                             */
    int64_t n_shard;     /* logical shards V: a power of two that divides n_seq; a
                            shard's tokens are a multiple of 32                     */
    int64_t n_steps;     /* n_seq * n_ctx * n_steps < 2^63                            */
    int64_t stop_step;   /* end after this step of the schedule of n_steps; 0: at its end.
                            The state at a step does not depend on it, so a checkpoint of
                            one serves the other                                     */
    sm_schedule schedule;
    sm_optimizer optimizer;
    double lr;            /* peak                                                      */
    double min_lr_frac;   /* lr at the end / lr, 0..1                                  */
    int64_t warmup_steps; /* 0..n_steps                                                */
    double decay_frac;    /* WSD: share of n_steps spent decaying, 0..1                */
    double beta1, beta2, eps;
    double muon_momentum; /* mu, 0..1                                                  */
    double weight_decay; /* of parameters whose sm_param.decay is set                 */
    double clip_norm;    /* global gradient norm is cut to this; 0: never             */
    sm_loss_config loss; /* aux_coef, z_coef, head_z_coef                             */
    double bias_rate;    /* loss-free balance: router bias moves by this a step; 0 off */
    int64_t mup_base_width; /* the d_model at which lr was tuned: initial weights and
                               rates are scaled from there (docs/training.md); 0: not  */

    /* What follows does not affect the result. */
    int64_t micro_shards;     /* shards a micro-batch, a power of two; 0: as many as fit
                                 memory_bytes (the whole batch when it does)     */
    bool recompute;           /* keep block inputs only                                */
    size_t memory_bytes;      /* for one pass: activations, packed weights, scratch    */
    int64_t checkpoint_steps; /* steps between checkpoints; 0: none is saved           */
    int64_t eval_steps;       /* steps between held-out evaluations; 0: at the end only */
    double ceiling_gflops;    /* the machine's measured product rate; 0: unknown       */
} sm_train_config;

#define SM_TRAIN_CONFIG_DEFAULT                                                          \
    {                                                                                    \
        .model = SM_MODEL_CONFIG_DEFAULT, .profile = "bf16/1", .seed = 1,                \
        .init_gain = 1, .init_residual = 0, .n_ctx = 512, .n_seq = 16, .n_shard = 8,     \
        .n_steps = 1000,                                                                 \
        .schedule = SM_SCHEDULE_COSINE, .lr = 1e-3, .min_lr_frac = 0.1,                  \
        .warmup_steps = 50, .decay_frac = 0.2, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, \
        .muon_momentum = 0.95,                                                           \
        .weight_decay = 0.1, .clip_norm = 1.0, .micro_shards = 0,                        \
        .memory_bytes = (size_t)4 << 30, .checkpoint_steps = 100                         \
    }

/** Names the bad field, the value and the range wanted. */
SM_API sm_status sm_train_config_check(const sm_train_config *c, sm_err *err);
/** The fields that affect the result, as JSON; new reference, NULL when out of memory. */
SM_API json_t *sm_train_config_to_json(const sm_train_config *c);

/** The step after which the run ends: stop_step, or n_steps. */
SM_API int64_t sm_train_end(const sm_train_config *c);

/** Learning rate of step 0..n_steps-1 (no libm: the same bits everywhere).
 *   warm-up: lr*(step+1)/warmup;  p = (step-warmup)/(n_steps-warmup)
 *   cosine:  lr*(f + (1-f)*(1+cos(pi*p))/2), f = min_lr_frac
 *   WSD:     lr until n_steps*(1-decay_frac), then linear to lr*f at n_steps-1 */
SM_API double sm_train_lr(const sm_train_config *c, int64_t step);

/* ----------------------------------------------------------- the fixed tree */

/**
 * Sum of n_leaf vectors along the perfect binary tree over leaf index, with at most
 * log2(n_leaf)+1 buffers: a binary counter.  A leaf may itself be the root of a subtree
 * (a micro-batch of several shards), so the sum is the same however shards are grouped,
 * as long as groups are aligned powers of two.  finish() continues the tree over the
 * ranks of ctx->comm (a power of two of them, rank r holding the r-th share of the
 * leaves) by send/receive and broadcasts the root.
 */
typedef struct sm_tree sm_tree;
/** @param n  elements of a vector  @param n_leaf  leaves of this rank, a power of two */
SM_API sm_status sm_tree_create(sm_tree **out, int64_t n, int64_t n_leaf, sm_err *err);
/** Where the next leaf is to be written, [n]; valid until sm_tree_add. */
SM_API float *sm_tree_leaf(sm_tree *t);
/** The leaf is complete: join it with what is waiting for it. */
SM_API void sm_tree_add(sm_tree *t, const sm_ctx *ctx);
/** After n_leaf leaves: the root, borrowed until the next sm_tree_leaf; the tree is then
 * empty again.  Collective over ctx->comm (NULL: alone). SM_EINVAL when leaves are
 * missing or the number of ranks is no power of two. */
SM_API sm_status sm_tree_finish(float **sum, sm_tree *t, const sm_ctx *ctx, sm_err *err);
SM_API size_t sm_tree_bytes(const sm_tree *t);
SM_API void sm_tree_free(sm_tree *t);

/* ------------------------------------------------------ held-out evaluation */

/** Bits per byte of a set of documents, the end of each included, so that it is the
 * length of a code from which the documents could be decoded. */
typedef struct sm_bpb {
    double bpb;     /* sum nats / (ln 2 * sum bytes)                               */
    double std_err; /* of bpb as a ratio over documents; 0 for a single document   */
    double nats_per_tok;
    int64_t n_doc, n_tok, n_bytes;
} sm_bpb;

/** Score documents with forward passes alone.  The figure does not depend on max_seq or
 * on threads.  @param max_seq rows computed at once (memory), >= 1
 * @param doc_nats [n_doc] nats of each document, may be NULL
 * @return SM_EINVAL when data has no bytes, SM_ENUMERIC, SM_ENOMEM, SM_ECANCEL */
SM_API sm_status sm_eval_bpb(sm_bpb *out, const sm_ctx *ctx, const sm_model *model,
                             const char *profile, const sm_token_data *data,
                             int64_t max_seq, double *doc_nats, sm_err *err);

/* ---------------------------------------------------------------- the loop */

/** What is known after a step (a value with no meaning in this run is 0). */
typedef struct sm_train_metrics {
    int64_t step;    /* steps done: 1..n_steps                                      */
    int64_t n_tok;   /* positions seen since the beginning of training              */
    double epoch;    /* sequences seen / rows                                       */
    double loss;     /* nats a target, mean over the global batch                   */
    double aux_loss; /* the load-balance term, exact over the global batch          */
    double router_z; /* the router z-loss: z_coef * sum over MoE layers of the mean over
                        tokens of lse^2                                             */
    double lr;
    double grad_norm; /* before clipping                                             */
    double weight_norm;
    double load_min; /* idlest and busiest expert over layers: its tokens / mean    */
    double load_max;
    double tok_per_s; /* of this step                                                */
    double step_ms;
    double gflops;       /* achieved, by sm_model_flops_per_token                       */
    double ceiling_frac; /* gflops / ceiling_gflops                                   */
    bool has_eval;
    sm_bpb eval;
} sm_train_metrics;
/** All of them as one JSON object; new reference, NULL when out of memory. */
SM_API json_t *sm_train_metrics_to_json(const sm_train_metrics *m);

/** The complete state after `step` steps: everything the next step depends on.  Borrowed
 * for the call that hands it out. */
typedef struct sm_train_commit {
    int64_t step;
    const json_t *config;          /* what affects the result                          */
    uint64_t data_checksum;        /* of tokens and packing                            */
    const sm_tensor_entry *tensor; /* weight/NAME, then the optimizer's, router_bias   */
    size_t n_tensor;
} sm_train_commit;
#define SM_TRAIN_STATE_FORMAT "smelt-train-state/1"
/** Keep a state as a safetensors file: the same state gives the same bytes.  Its metadata is
 * format, step (decimal), data_checksum (hex) and config (canonical JSON). */
SM_API sm_status sm_train_commit_save(const char *path, const sm_train_commit *c,
                                      sm_err *err);
/** The model's part of a state (weight/NAME, router_bias) as a commitment would list it.
 * @param[out] out  malloc'd; data points into the model */
SM_API sm_status sm_train_model_tensors(sm_tensor_entry **out, size_t *n,
                                        const sm_model *m, sm_err *err);

/** A part of a run, to be computed alone. */
typedef struct sm_train_segment {
    const char *state_path; /* state after `from` steps of this config and data, written
                               by sm_train_commit_save, and checked to be that; NULL:
                               the initial one, from = 0                               */
    int64_t from, to;       /* 0 <= from <= to <= n_steps                              */
} sm_train_segment;

/** What the loop is given.  All borrowed for the call. */
typedef struct sm_train_io {
    const sm_token_data *data;     /* n_ctx equal to the config's                      */
    const sm_token_data *held_out; /* may be NULL: no evaluation; rank 0's is used     */
    const char *scratch; /* directory for checkpoints; NULL: none are kept.  A valid one
                            of the same config and data is resumed from, also with
                            checkpoint_steps 0.                                        */
    /** Called after every step on the calling thread; a step may be reported again after
     * a resume, and the later report counts.  Another status than SM_OK ends the run with
     * it at once, without saving. */
    sm_status (*on_step)(void *self, const sm_train_metrics *m, sm_err *err);
    void *self;
    /** Called with the state before the first step, after every commit_steps steps and
     * after the last, before a checkpoint of that step is saved; a state may come again
     * after a resume and is the same then.  On rank 0 alone.  NULL: never. */
    sm_status (*on_commit)(void *self, const sm_train_commit *c, sm_err *err);
    void *commit_self;
    int64_t commit_steps; /* 0: before the first and after the last step only; the same on
                             every rank                                                 */
    /** Not the whole run but these steps; scratch is then not used, and the model is the
     * one after `to` steps.  NULL: all. */
    const sm_train_segment *segment;
} sm_train_io;

/** How the run went; optional. */
typedef struct sm_train_summary {
    int64_t resumed_step; /* 0: from the beginning                                    */
    int64_t n_steps_run;  /* by this call                                             */
    double seconds, mean_tok_per_s, mean_gflops;
    size_t peak_bytes;  /* weights, gradients, optimizer, passes                    */
    bool reran_forward; /* the auxiliary loss cost one more forward a step          */
    sm_train_metrics last;
} sm_train_summary;

/**
 * Train.  Progress ("train", steps) and log lines go to ctx.
 * Stop request: the step is finished, a checkpoint saved (unless checkpoint_steps is 0),
 * SM_ECANCEL returned.
 * Ranks: collective over ctx->comm (NULL: alone), a power of two of ranks up to n_shard
 * that share `scratch`; rank 0 writes checkpoints and evaluates; every rank returns the
 * same model.  The number of ranks may change between a checkpoint and its resumption.
 * @param[out] out  the trained model, owned by the caller
 * @param[out] summary may be NULL
 * @return SM_EINVAL (config, data, a state of another run or step), SM_ECORRUPT (a state
 *         that is damaged), SM_ENUMERIC (names step and tensor; the newest
 *         checkpoint is older than the fault), SM_ENOSPC or SM_EIO (a checkpoint could
 *         not be written; the one before is intact), SM_ECANCEL, SM_ENOMEM
 */
SM_API sm_status sm_train_run(sm_model **out, sm_train_summary *summary,
                              const sm_ctx *ctx, const sm_train_config *c,
                              const sm_train_io *io, sm_err *err);

/** What a range test saw at one rate. */
typedef struct sm_lr_point {
    double lr, loss; /* of the step taken at lr, before it                              */
    double smooth;   /* running mean of the losses so far, newer ones weigh more        */
} sm_lr_point;

/** A learning-rate range test (Smith, arXiv 1506.01186). */
typedef struct sm_lr_range {
    sm_lr_point *point;
    int64_t n;
    bool has_diverged;  /* it ended before the last rate, as meant: the loss rose or was
                           no number                                                   */
    int64_t steepest;   /* where the smoothed loss falls fastest over log lr            */
    int64_t lowest;     /* where it is lowest                                           */
    double suggestion;  /* a peak lr to begin with; 0: the loss never fell              */
} sm_lr_range;

/** Train a fresh model for n_steps with a rate that rises exponentially from lr_min to
 * lr_max and see where the loss falls and where it breaks.  Everything else is as in `c`;
 * its schedule, lr, n_steps and checkpoints are not used.  Writes nothing; a pure function
 * of its arguments.  The suggestion is the geometric mean of the steepest rate and a tenth
 * of the lowest.
 * @param n_steps 10..100000; 1e-12 <= lr_min < lr_max <= 10
 * @return SM_EINVAL, SM_ECANCEL, SM_ENOMEM; a NaN is no error but the end of the test */
SM_API sm_status sm_train_find_lr(sm_lr_range *out, const sm_ctx *ctx,
                                  const sm_train_config *c, const sm_token_data *data,
                                  int64_t n_steps, double lr_min, double lr_max,
                                  sm_err *err);
SM_API void sm_lr_range_free(sm_lr_range *r);

/** Numbers for --dry-run: sizes that a run would allocate, with none of it allocated. */
typedef struct sm_train_plan {
    int64_t n_param, n_active;
    int64_t tok_per_step, n_tok;
    double flops_per_tok, flops; /* forward and backward; of the whole run             */
    size_t weight_bytes, grad_bytes, optimizer_bytes;
    size_t activation_bytes; /* of all micro-batches held                             */
    size_t packed_bytes;     /* packed weights and scratch                            */
    size_t total_bytes;
    int64_t n_micro;         /* micro-batches a step                                  */
    bool rerun_forward;      /* see the head of this file                             */
    double expected_seconds; /* flops / (ceiling * a share reached), 0: ceiling unknown */
} sm_train_plan;
/** ctx->pool says how many threads the scratch is for.
 * @return SM_EINVAL as sm_train_config_check, SM_ENOMEM */
SM_API sm_status sm_train_plan_make(sm_train_plan *out, const sm_ctx *ctx,
                                    const sm_train_config *c, sm_err *err);

#ifdef __cplusplus
}
#endif
#endif
