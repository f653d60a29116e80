/* SPDX-License-Identifier: Apache-2.0 */
/* Tiny models and batches that the tests of the model share. */
#ifndef MODEL_FIXTURE_H
#define MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/kern.h"
#include "smelt/model.h"
#include "smelt/sys.h"

enum { N_CTX = 80, N_SEQ = 8, PER_SHARD = 2, N_TOK = N_CTX * N_SEQ };

#define TINY                                                                 \
    .n_vocab = 40, .n_layer = 2, .d_model = 24, .n_head = 4, .n_kv_head = 2, \
    .d_head = 8, .d_ff = 40, .rope_theta = 100, .norm_eps = 1e-5f, .max_ctx = 96,        \
    .n_slice = 1

typedef struct kind {
    const char *name;
    sm_model_config config;
    sm_loss_config loss;
} kind;

#define SLICED                                                                        \
    .n_vocab = 118, .n_layer = 2, .d_model = 24, .n_head = 8, .n_kv_head = 4,           \
    .d_head = 32, .d_ff = 128, .rope_theta = 100, .norm_eps = 1e-5f, .max_ctx = 96,     \
    .moe_every = 1, .n_slice = 4

static const kind kinds[] = {
    {"dense, grouped heads, half-split rope, tied",
     {TINY, .moe_every = 1, .tied = true},
     {.z_coef = 0}},
    {"dense, interleaved rope, untied, head z-loss",
     {TINY, .moe_every = 1, .rope_interleaved = true},
     {.head_z_coef = 0.01f}},
    {"mixtral, top-2 of 5, auxiliary and z-loss, tied",
     {TINY, .moe_every = 1, .tied = true, .n_expert = 5, .k_expert = 2, .d_expert = 16},
     {.aux_coef = 0.5f, .z_coef = 0.1f}},
    {"llama 4, shared expert, NoPE, chunks, qk norm, temperature",
     {TINY, .n_expert = 4, .k_expert = 1, .d_expert = 16, .d_shared = 20, .moe_every = 2,
      .router = SM_ROUTER_SIGMOID_TOP1, .rope_interleaved = true, .nope_every = 2,
      .attn_chunk = 12, .qk_norm = true, .attn_temp_scale = 0.1f, .attn_temp_floor = 8,
      .router_bias = true},
     {.aux_coef = 0.3f}},
    {"dense in slices, untied, head z-loss", {SLICED}, {.head_z_coef = 0.01f}},
    {"top-2 of 3 and a shared expert, in slices",
     {SLICED, .tied = true, .n_expert = 3, .k_expert = 2, .d_expert = 128,
      .d_shared = 128},
     {.aux_coef = 0.5f}},
};
enum { N_KIND = sizeof kinds / sizeof *kinds };

/* Weights large enough that nothing is nearly linear; biases that change choices. */
SM_UNUSED static sm_model *make_model(const sm_model_config *c)
{
    sm_model *m = NULL;
    assert_int_equal(sm_model_create(&m, c, 7, NULL), SM_OK);
    for (int64_t i = 0; i < m->n_weight; i++)
        if (m->weight[i] != 1.0f)
            m->weight[i] *= 12;
        else
            m->weight[i] = 1 + 0.2f * sm_rng_normal(3, SM_STREAM_TEST, 0, (uint64_t)i);
    for (int32_t i = 0; m->router_bias && i < c->n_layer * c->n_expert; i++)
        m->router_bias[i] = 0.05f * (float)(i % 3);
    return m;
}

typedef struct batch_data {
    int32_t token[N_TOK], target[N_TOK], doc_start[N_TOK];
    sm_batch b;
} batch_data;

/* Documents of uneven lengths packed into rows; the last token of each has no target. */
SM_UNUSED static void make_batch(batch_data *d, int32_t n_vocab)
{
    for (int32_t i = 0; i < N_TOK; i++) {
        int32_t at = i % N_CTX, row = i / N_CTX, cut = 7 + 5 * row;
        d->token[i] =
            (int32_t)sm_rng_below((uint64_t)n_vocab, 5, SM_STREAM_TEST, 1, (uint64_t)i);
        d->target[i] = at + 1 == cut || at + 1 == N_CTX
                           ? -1
                           : (int32_t)sm_rng_below((uint64_t)n_vocab, 5, SM_STREAM_TEST,
                                                   2, (uint64_t)i);
        d->doc_start[i] = at < cut ? 0 : cut;
    }
    d->b = (sm_batch){.n_seq = N_SEQ,
                      .n_ctx = N_CTX,
                      .seq_per_shard = PER_SHARD,
                      .token = d->token,
                      .target = d->target,
                      .doc_start = d->doc_start};
}

SM_UNUSED static int64_t count_targets(const batch_data *d, int64_t n_tok)
{
    int64_t n = 0;
    for (int64_t i = 0; i < n_tok; i++)
        n += d->target[i] >= 0;
    return n;
}

#endif
