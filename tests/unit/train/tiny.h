/* SPDX-License-Identifier: Apache-2.0 */
/* Models and data small enough to train in a blink. */
#ifndef TRAIN_TEST_TINY_H
#define TRAIN_TEST_TINY_H

#include "helpers.h"

SM_UNUSED static sm_train_config tiny_dense(void)
{
    sm_train_config c = SM_TRAIN_CONFIG_DEFAULT;
    c.model.n_vocab = 64;
    c.model.n_layer = 2;
    c.model.d_model = 32;
    c.model.n_head = 2;
    c.model.n_kv_head = 1;
    c.model.d_head = 16;
    c.model.d_ff = 64;
    c.model.max_ctx = 32;
    c.n_ctx = 32;
    c.n_seq = 8;
    c.n_shard = 8;
    c.n_steps = 50;
    c.warmup_steps = 5;
    c.lr = 1e-2;
    c.checkpoint_steps = 10;
    return c;
}

/* Llama-4 style: one expert a token, score on the input, shared expert, bias, auxiliary
 * loss and router z-loss, a NoPE layer, QK norm. */
SM_UNUSED static sm_train_config tiny_moe(void)
{
    sm_train_config c = tiny_dense();
    c.model.n_expert = 4;
    c.model.k_expert = 1;
    c.model.d_expert = 32;
    c.model.d_shared = 32;
    c.model.router = SM_ROUTER_SIGMOID_TOP1;
    c.model.router_bias = true;
    c.model.rope_interleaved = true;
    c.model.nope_every = 2;
    c.model.qk_norm = true;
    c.loss = (sm_loss_config){.aux_coef = 0.01f, .z_coef = 0.001f, .head_z_coef = 1e-4f};
    c.bias_rate = 0.001;
    return c;
}

/* Mixtral style: two of four experts, softmax over the chosen. */
SM_UNUSED static sm_train_config tiny_mixtral(void)
{
    sm_train_config c = tiny_dense();
    c.model.n_expert = 4;
    c.model.k_expert = 2;
    c.model.d_expert = 32;
    c.model.router = SM_ROUTER_SOFTMAX_TOPK;
    c.loss = (sm_loss_config){.aux_coef = 0.01f, .z_coef = 0.001f};
    return c;
}

/* Documents that repeat a handful of sentences, a character a token. */
SM_UNUSED static sm_token_data *tiny_data(int64_t n_ctx)
{
    static const char *const line[] = {
        "open returns a file descriptor",
        "read copies bytes to a buffer and returns how many", "close",
        "the quick brown fox jumps over the lazy dog"};
    enum { N_DOC = 60 };
    int32_t id[N_DOC * 64];
    int64_t start[N_DOC + 1] = {0}, bytes[N_DOC];
    for (int64_t d = 0; d < N_DOC; d++) {
        const char *s = line[sm_rng_below(4, 1, SM_STREAM_TEST, 0, (uint64_t)d)];
        bytes[d] = (int64_t)strlen(s);
        start[d + 1] = start[d] + bytes[d];
        for (int64_t i = 0; i < bytes[d]; i++)
            id[start[d] + i] = s[i] == ' ' ? 1 : s[i] - 'a' + 2;
    }
    sm_token_data *data = NULL;
    sm_err err;
    sm_token_config k = {.n_ctx = n_ctx, .bos_id = 0, .end_id = -1};
    OK(sm_token_data_from_ids(&data, id, start, bytes, N_DOC, &k, &err));
    return data;
}

/* All that training decides: weights and router bias. */
SM_UNUSED static uint64_t model_sum(const sm_model *m)
{
    uint64_t h = train_sum64(0, m->weight, (size_t)m->n_weight * sizeof(float));
    size_t n =
        m->router_bias ? (size_t)m->config.n_layer * (size_t)m->config.n_expert : 0;
    return n ? train_sum64(h, m->router_bias, n * sizeof(float)) : h;
}

#endif
