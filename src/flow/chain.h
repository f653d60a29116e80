/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside flow: the hash chain over the states of training (docs/formats/checkpoint.md).
 *
 *   state_i = SHA-256 {step, config, data, tensors}    of everything the next step needs
 *   link_i  = SHA-256 {prev: link_{i-1}, state, step, weights};  link_{-1} = SHA-256 header
 */
#ifndef SMELT_FLOW_CHAIN_H
#define SMELT_FLOW_CHAIN_H

#include "internal.h"
#include "smelt/train.h"

#define CHAIN_FORMAT "smelt-train-chain/1"

/** What a commitment says of a state. */
typedef struct chain_state {
    int64_t step;
    sm_id state;   /* of all of it                                                   */
    sm_id weights; /* of the model's part: weights and router bias                   */
} chain_state;

/** What one run's commitments have in common. */
typedef struct chain_header {
    int64_t commit_steps, n_steps;
    sm_id config;  /* canonical JSON of the training configuration                   */
    char data[17]; /* checksum of tokens and packing, hex                            */
} chain_header;

typedef struct chain_file {
    chain_header header;
    chain_state *at;
    size_t n;   /* n - 1 segments: at[i].step .. at[i+1].step */
    sm_id head; /* the last link: names the whole chain       */
} chain_file;

/** The option commit_steps resolved: 0 is a twentieth of the run, rounded up. */
int64_t chain_interval(int64_t commit_steps, int64_t n_steps);
/** How many states a run commits, the initial one included. */
int64_t chain_length(int64_t commit_steps, int64_t n_steps);

sm_status chain_header_of(chain_header *out, const sm_train_config *c,
                          const sm_token_data *data, int64_t commit_steps, sm_err *err);

/** Hash a state of a run; tensors in the order of sm_train_commit, in parallel. */
sm_status chain_hash(chain_state *out, const sm_ctx *ctx, const chain_header *h,
                     int64_t step, const sm_tensor_entry *e, size_t n, sm_err *err);
/** The same of a kept file; SM_ECORRUPT when its metadata is of another state. */
sm_status chain_hash_file(chain_state *out, const sm_ctx *ctx, const chain_header *h,
                          int64_t step, const char *path, sm_err *err);
/** The hash of a model's part alone, as in chain_state.weights. */
sm_status chain_hash_model(sm_id *out, const sm_ctx *ctx, const sm_model *m, sm_err *err);

/** Text of chain.jsonl from header and states, the links computed. */
sm_status chain_write(sm_buf *out, sm_id *head, const chain_header *h,
                      const chain_state *at, size_t n, sm_err *err);
/** Read a chain.jsonl: form, steps and every link are checked. */
sm_status chain_read(chain_file *out, const char *path, sm_err *err);
void chain_file_free(chain_file *f);

/** The step of state i: a multiple of the interval, or the end. */
int64_t chain_step(const chain_header *h, size_t i);
/** Name of the file of a kept state: "state-00000010.safetensors". */
void chain_state_name(char out[40], int64_t step);

/* --------------------------------------------- committing while a run goes on */

typedef struct chain chain;

/** @param keep  the states are kept as files below io->scratch; a checkpoint past one that
 *               is not there is removed, and training goes on from before */
sm_status chain_open(chain **out, const sm_step_io *io, const chain_header *h, bool keep,
                     sm_err *err);
/** The on_commit of sm_train_io: a durable line in scratch before it returns. */
sm_status chain_commit(void *self, const sm_train_commit *c, sm_err *err);
/** Write DIR/chain.jsonl.  SM_ECORRUPT when a state is missing (scratch was damaged); a
 * rerun goes on from before it. */
sm_status chain_finish(chain *c, const char *dir, sm_err *err);
/** Give the kept states a name in DIR as well; those in scratch stay. */
sm_status chain_take_states(const chain *c, const char *dir, sm_err *err);
double chain_seconds(const chain *c); /* spent hashing and keeping, by this call */
void chain_free(chain *c);

#endif
