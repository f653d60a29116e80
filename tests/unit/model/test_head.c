/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head's weight gradient is the same bits whether its shards' gradients are made span
 * by span or its operands are kept and the shards joined in the tile.
 */
#include "fixture.h"
#include "pass.h"

enum { CTX = 1024, ROWS = 8, SHARDS = 4, TOKENS = CTX * ROWS };

typedef struct tokens {
    int32_t token[TOKENS], target[TOKENS], doc_start[TOKENS];
} tokens;

/* Few ids, so that most are in every shard, and some that are in none. */
static void fill(tokens *t, int32_t n_vocab)
{
    for (int32_t i = 0; i < TOKENS; i++) {
        t->token[i] = (int32_t)sm_rng_below((uint64_t)n_vocab / 2, 5, SM_STREAM_TEST, 1,
                                            (uint64_t)i);
        t->target[i] = i % 7 == 0 ? -1 : t->token[(i + 1) % TOKENS];
        t->doc_start[i] = 0;
    }
}

/* grad [n_weight] of `rows` rows from row0 on, their shards at once. */
static void gradient(float *grad, const sm_model *m, const kind *k, const tokens *t,
                     int64_t row0, int64_t rows, bool want_kept)
{
    sm_ctx ctx = {0};
    sm_pass *p = NULL;
    sm_err err = {0};
    sm_shard_stats stats[SHARDS];
    int64_t target = 0;
    for (int64_t i = 0; i < TOKENS; i++)
        target += t->target[i] >= 0;
    sm_batch b = {.n_seq = rows,
                  .n_ctx = CTX,
                  .seq_per_shard = ROWS / SHARDS,
                  .token = t->token + row0 * CTX,
                  .target = t->target + row0 * CTX,
                  .doc_start = t->doc_start};
    sm_pass_config c = {.model = m,
                        .profile = "bf16/1",
                        .n_seq = rows,
                        .n_ctx = CTX,
                        .seq_per_shard = ROWS / SHARDS,
                        .n_micro = 1,
                        .backward = true,
                        .loss = k->loss};
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, &err), SM_OK);
    assert_int_equal(sm_pass_create(&p, &ctx, &c, &err), SM_OK);
    assert_int_equal(p->slot->dhead == NULL, want_kept);
    assert_int_equal(sm_pass_forward(p, &b, 0, stats, NULL, NULL, &err), SM_OK);
    assert_int_equal(sm_pass_backward(p, &b, 0, grad, NULL, target, TOKENS, &err), SM_OK);
    sm_pass_free(p);
}

static void test_same_bits(void **state)
{
    (void)state;
    tokens *t = calloc(1, sizeof *t);
    for (int i = 0; i < 2; i++) { /* tied, and not */
        kind k = kinds[i];
        k.config.max_ctx = CTX;
        k.config.n_layer = 1;
        sm_model *m = make_model(&k.config);
        fill(t, k.config.n_vocab);
        size_t n = (size_t)m->n_weight;
        float *spans = calloc(n, sizeof *spans), *kept = calloc(SHARDS * n, sizeof *kept);
        gradient(spans, m, &k, t, 0, ROWS, false);
        int64_t rows = ROWS / SHARDS;
        for (int64_t s = 0; s < SHARDS; s++)
            gradient(kept + s * m->n_weight, m, &k, t, s * rows, rows, true);
        const sm_kern *kern = NULL;
        assert_int_equal(sm_kern_get(&kern, NULL, NULL), SM_OK);
        sm_tree_sum(kern, kept, SHARDS, m->n_weight, m->n_weight);
        assert_memory_equal(spans, kept, n * sizeof *spans);
        free(spans);
        free(kept);
        sm_model_free(m);
    }
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
