/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/train share. */
#ifndef SMELT_TRAIN_INTERNAL_H
#define SMELT_TRAIN_INTERNAL_H

#include "smelt/sys.h"
#include "smelt/train.h"

/* ------------------------------------------------------------------- hash */

/** A 64-bit checksum for our own scratch files: finds damage, resists no attacker. */
uint64_t train_sum64(uint64_t seed, const void *data, size_t bytes);

/* ---------------------------------------------------------------- packing */

/** A run of positions that goes whole into one row. */
typedef struct piece {
    int64_t tok; /* first position, an index into the token array                */
    int64_t doc;
    int32_t len;  /* positions, 1..n_ctx                                          */
    int32_t skip; /* leading positions that are context only                      */
} piece;

/** Rows as lists of pieces: row r holds order[first[r] .. first[r+1]-1]. */
typedef struct packing {
    int64_t n_row;
    int64_t *first; /* [n_row+1] */
    int64_t *order; /* [n_piece], piece indices */
} packing;

/** Best-fit decreasing; equal lengths in order of index.  Release with free(). */
sm_status train_pack(packing *out, const piece *p, int64_t n_piece, int64_t n_ctx,
                     sm_err *err);

struct sm_token_data {
    sm_token_config config;
    sm_token_stats stats;
    int32_t *tok;       /* documents one after another: BOS t1 .. tn END */
    int64_t n_id;       /* length of tok                                 */
    int64_t *start;     /* [n_doc+1] first id of each document in tok   */
    int64_t *doc_bytes; /* [n_doc]                                  */
    piece *piece;
    int64_t n_piece;
    packing rows;
};

/* ------------------------------------------------- sums in a fixed order */

/** Sum along the binary tree whose left part is the largest power of two below n. */
double train_tree_f64(const double *x, int64_t n);
/** Continue sums over the ranks of ctx->comm (collective); the result is everywhere. */
sm_status train_ranks_f64(const sm_ctx *ctx, double *x, int64_t n, sm_err *err);
sm_status train_ranks_i64(const sm_ctx *ctx, int64_t *x, int64_t n, sm_err *err);
/** Collective: fails everywhere when it failed anywhere. */
sm_status train_ranks_agree(const sm_ctx *ctx, sm_status mine, sm_err *err);

/** Square root without libm, the same bits everywhere; NaN and infinity pass. */
double train_sqrt(double x);

/* ------------------------------------------- classes of parameters, width transfer */

/** What a parameter is to the optimizer and to width transfer. */
typedef enum train_class {
    TRAIN_EMBED,
    TRAIN_HEAD,   /* of its own; a tied head is the embedding                        */
    TRAIN_ROUTER, /* [n_expert, d_model]                                             */
    TRAIN_HIDDEN, /* matrices whose both sides grow with the width                   */
    TRAIN_NORM,
    TRAIN_LAST_NORM /* before the head                                               */
} train_class;
train_class train_class_of(const sm_param *p);

/** Factors on the learning rate and the weight decay of a parameter, and on the standard
 * deviation (of norms: the value) it begins with; all 1 without width transfer. */
typedef struct train_factor {
    double lr, decay, init;
} train_factor;
train_factor train_factor_of(const sm_train_config *c, const sm_param *p);

/** Scale the matrices of a fresh model from 0.02 to c->init_gain / sqrt(fan_in) (0: leave
 * them) and by the factors of width transfer. */
void train_init_scale(sm_model *m, const sm_train_config *c);

/* -------------------------------------------------------------- optimizer */

/** Blocks of the parameters: 4096 elements of one tensor (the last of a tensor shorter).
 */
typedef struct train_block {
    int64_t at;
    int32_t n, tensor;
} train_block;

typedef struct train_muon train_muon;

typedef struct train_optim {
    const sm_model *model; /* borrowed */
    const sm_pass *pass;   /* packs weights as they move; borrowed; NULL: none         */
    float *m;              /* [n_weight] first moment; Muon's momentum                 */
    float *v;              /* second moments of AdamW's tensors, one allocation with m */
    int64_t *v_at;         /* [n_param_tensors] where a tensor's begin in v; -1: none  */
    int64_t n_v;           /* elements of v                                            */
    sm_adamw *rate;        /* [n_param_tensors] coefficients of the step at hand       */
    train_block *block;
    int64_t n_block;
    int64_t *tensor_block; /* [n_param_tensors+1] first block of each tensor */
    int64_t *group;        /* [n_group+1] first block of each group          */
    int64_t n_group;  /* whole blocks, whole rows, a multiple of 64 of them, or what is
                              left of a tensor: what a task moves and packs  */
    double *partial;  /* [n_block] */
    train_muon *muon; /* NULL: AdamW alone */
} train_optim;

/** @param ctx its kernels and the number of its threads decide Muon's scratch */
sm_status train_optim_init(train_optim *o, const sm_ctx *ctx, const sm_train_config *c,
                           const sm_model *model, sm_err *err);
void train_optim_fini(train_optim *o);
/** Bytes of the state and scratch that train_optim_init allocates; allocates nothing. */
size_t train_optim_bytes(const sm_ctx *ctx, const sm_train_config *c,
                         const sm_model *model);

/** True when Muon moves the parameter. */
bool train_is_muon(const sm_train_config *c, const sm_param *p);
sm_status train_muon_create(train_muon **out, const sm_ctx *ctx, const sm_train_config *c,
                            const sm_model *model, sm_err *err);
void train_muon_free(train_muon *u);
size_t train_muon_bytes(const sm_ctx *ctx, const sm_train_config *c,
                        const sm_model *model);
/** One step of Muon's matrices; m [n_weight] is the momentum. @param lr of this step */
void train_muon_step(train_muon *u, const sm_ctx *ctx, float *weight, float *m,
                     const float *grad, float grad_scale, double lr);
/** x [rows, cols] -> its approximate orthogonal factor, serial and alone (for tests). */
sm_status train_muon_orthogonalise(float *x, int64_t rows, int64_t cols,
                                   const sm_ctx *ctx, const char *profile, sm_err *err);

/** Euclidean norm of a gradient: 32-lane sums of squares over blocks, then fixed trees
 * over a tensor's blocks and over tensors.  SM_ENUMERIC names the first tensor that is
 * not finite. */
sm_status train_grad_norm(double *norm, const train_optim *o, const sm_ctx *ctx,
                          const float *grad, int64_t step, sm_err *err);
/** One step of the optimizer with the gradient scaled by grad_scale; *weight_norm is that of
 * the new weights, whose rows o->pass has packed (sm_pass_pack_range).  SM_ENUMERIC names
 * the first tensor whose weights are not finite. */
sm_status train_optim_step(double *weight_norm, train_optim *o, const sm_ctx *ctx,
                           const sm_train_config *c, float *weight, const float *grad,
                           float grad_scale, int64_t step, sm_err *err);
/** Loss-free balance (arXiv 2408.15664): b += rate*sign(mean - count) minus the mean of
 * the move, for every layer that routed anything.  counts is [n_layer, n_expert]. */
void train_bias_update(float *bias, const int64_t *counts, int64_t n_layer,
                       int64_t n_expert, double rate);

/* ------------------------------------------------------------------- step */

/** Buffers of one training step: what a rank computes of the global batch. */
typedef struct train_step {
    const sm_ctx *ctx;
    const sm_train_config *config;
    const sm_token_data *data;
    sm_model *model;
    train_optim *optim;
    sm_pass *pass;
    sm_tree *tree;
    int64_t n_seq, n_shard;     /* of this rank                                  */
    int64_t n_micro, micro_seq; /* micro-batches and the sequences of one        */
    int64_t micro_shard;
    bool rerun;        /* forward again before each backward (auxiliary loss)       */
    int64_t n_slot;    /* micro-batches whose activations are held               */
    size_t slot_bytes; /* activations of one of them                             */
    size_t pass_bytes; /* of all the pass                                        */
    int32_t *token, *target, *doc_start; /* [n_seq, n_ctx], one allocation       */
    int64_t *counts;       /* [n_layer, n_expert], NULL when dense                     */
    sm_shard_stats *stats; /* [n_shard]                                          */
    double *aux;           /* [n_shard] auxiliary loss                           */
    double *sums;          /* [n_shard] for the trees over shards                */
} train_step;

/** What a step found out. */
typedef struct train_step_result {
    double loss, aux_loss, router_z, grad_norm, weight_norm, load_min, load_max;
} train_step_result;

sm_status train_step_init(train_step *t, const sm_ctx *ctx, const sm_train_config *c,
                          const sm_token_data *data, sm_model *model, train_optim *optim,
                          sm_err *err);
void train_step_fini(train_step *t);
size_t train_step_bytes(const train_step *t);
/** Step `step` from packed weights to new packed weights.  On failure the weights are
 * unusable (a checkpoint is the way back). Collective. */
sm_status train_step_run(train_step_result *out, train_step *t, int64_t step,
                         sm_err *err);

/** How the global batch is split, and the bytes that it takes; allocates nothing and needs
 * neither data nor optimizer nor weights (the model may be a shape). */
sm_status train_step_layout(train_step *t, const sm_ctx *ctx, const sm_train_config *c,
                            sm_model *model, sm_err *err);

/** Say what is about to begin or, after `done` steps, what is left: the time where that is
 * more than a minute, and a warning where the smallest pass is larger than memory_bytes. */
sm_status train_announce(const sm_ctx *ctx, const sm_train_config *c, int64_t done,
                         sm_err *err);

/* ------------------------------------------------------------ checkpoints */

/** What a checkpoint holds. */
typedef struct train_state {
    sm_model *model;
    train_optim *optim;
    const json_t *config; /* what affects the result                          */
    uint64_t data_checksum;
    train_step_result last; /* what the newest step found out */
    char run[17];           /* hex of config and data: names the checkpoints    */
    int64_t n_seq;
} train_state;

sm_status train_state_name(train_state *t, sm_err *err);

/** What a saved state says of itself; "" and NULL where it does not. */
typedef struct train_claim {
    const char *format, *step, *data_checksum; /* step in decimal, checksum in hex */
    const json_t *config;
} train_claim;
/** SM_EINVAL (what, found, wanted) unless it is of this format, run and step. */
sm_status train_claim_check(const train_claim *c, const char *format,
                            const train_state *t, int64_t step, sm_err *err);

/** Save as <scratch>/ckpt-<run>-<step>; keep it and the newest one before it. */
sm_status train_ckpt_save(const char *scratch, const train_state *t, int64_t step,
                          const sm_ctx *ctx, sm_err *err);
/** Load the newest checkpoint that verifies; *step = 0 when there is none (the state is
 * then untouched).  Damaged ones are logged and passed over. */
sm_status train_ckpt_resume(int64_t *step, const char *scratch, train_state *t,
                            const sm_ctx *ctx, sm_err *err);

/** Hand the state after `step` steps to io->on_commit. */
sm_status train_commit(const sm_train_io *io, const train_state *t, int64_t step,
                       sm_err *err);
/** Take the arrays from a file that sm_train_commit_save wrote of this run after `step`
 * steps; all or none. */
sm_status train_state_load(train_state *t, const char *path, int64_t step, sm_err *err);
/** The check that comes first: SM_ECORRUPT (metadata), errors of train_claim_check. */
sm_status train_state_check(const sm_safetensors *f, const train_state *t, int64_t step,
                            sm_err *err);

/* What writing and reading share: kinds of array (weight, first moment, second moment), the
 * tensors in the order in which they are written, checksums, names. */
#define TRAIN_CKPT_FORMAT "smelt-train-checkpoint/1"
enum { TRAIN_CKPT_KINDS = 3 };
/** The array of a kind that belongs to a tensor; NULL: the tensor has none. */
float *train_ckpt_array(const train_state *t, int kind, int32_t tensor);
int64_t train_ckpt_n_bias(const train_state *t);
/** malloc'd; data points into the state. */
sm_tensor_entry *train_ckpt_entries(size_t *n, const train_state *t);
/** Those of the model alone (weights, router bias). */
sm_tensor_entry *train_ckpt_model_entries(size_t *n, const train_state *t);
/** The tensor of a file that belongs to an entry of ours: same type, same shape. */
sm_status train_ckpt_find_tensor(const sm_tensor_entry **out, const sm_safetensors *f,
                                 const sm_tensor_entry *e, sm_err *err);
/** Into the arrays of the state; every tensor was found before. */
void train_ckpt_copy_tensors(train_state *t, const sm_safetensors *f,
                             const sm_tensor_entry *e);
uint64_t train_ckpt_entry_sum(uint64_t sum, const sm_tensor_entry *e);
sm_status train_ckpt_json_sum(uint64_t *sum, const json_t *j, uint64_t seed, sm_err *err);
void train_ckpt_hex(char out[17], uint64_t x);
/** Steps of this run's checkpoints, newest first; *step is malloc'd. */
sm_status train_ckpt_steps(int64_t **step, size_t *n, const char *scratch,
                           const train_state *t, sm_err *err);
char *train_ckpt_path(const char *scratch, const train_state *t, int64_t step,
                      const char *suffix);

/** Check a parsed state.json against the run; takes "checksum" out of it. */
sm_status train_ckpt_check_state(json_t *j, const train_state *t, int64_t step,
                                 sm_err *err);
/** Check every tensor of a file against the state's shapes and state.json's checksum. */
sm_status train_ckpt_check_tensors(const sm_safetensors *f, const sm_tensor_entry *e,
                                   size_t n, const json_t *state, sm_err *err);

#endif
