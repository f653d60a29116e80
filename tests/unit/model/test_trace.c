/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pass reports to the event log: the products of a forward and a backward add up to
 * six FLOPs a weight and token that meets it, whatever is fused with what, and recording
 * changes no bit.
 */
#include "fixture.h"

typedef struct outcome {
    float loss[N_TOK];
    float *grad;
    sm_trace_sum sum[SM_TRACE_NAMES];
    size_t n;
} outcome;

static void run(outcome *o, const kind *k, const sm_model *m, const batch_data *data,
                int n_thread, bool traced)
{
    sm_ctx ctx = {0};
    sm_pass *pass = NULL;
    sm_shard_stats stats[N_SEQ];
    int64_t counts[16] = {0};
    memset(o, 0, sizeof *o);
    o->grad = calloc((size_t)m->n_weight, sizeof *o->grad);
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
    assert_int_equal(sm_pool_create(&ctx.pool, n_thread, NULL), SM_OK);
    if (traced)
        assert_int_equal(sm_trace_create(&ctx.trace, n_thread, 1 << 12, NULL), SM_OK);
    sm_pass_config pc = {.model = m,
                         .profile = "f32/1",
                         .n_seq = N_SEQ,
                         .n_ctx = N_CTX,
                         .seq_per_shard = PER_SHARD,
                         .n_micro = 1,
                         .backward = true,
                         .loss = k->loss};
    assert_int_equal(sm_pass_create(&pass, &ctx, &pc, NULL), SM_OK);
    sm_pool_trace(ctx.pool, ctx.trace);
    assert_int_equal(sm_pass_forward(pass, &data->b, 0, stats, counts, o->loss, NULL),
                     SM_OK);
    assert_int_equal(sm_pass_backward(pass, &data->b, 0, o->grad, counts,
                                      count_targets(data, N_TOK), N_TOK, NULL),
                     SM_OK);
    sm_pool_trace(ctx.pool, NULL);
    if (traced)
        o->n = sm_trace_sums(ctx.trace, o->sum, SM_TRACE_NAMES);
    sm_pass_free(pass);
    sm_trace_free(ctx.trace);
    sm_pool_free(ctx.pool);
}

static double flops_of(const outcome *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (!strcmp(o->sum[i].name, name))
            return o->sum[i].flops;
    return 0;
}

/* Products of the layers, the router's gradient included, its forward not. */
static double products(const outcome *o)
{
    static const char *const name[] = {"qkv",
                                       "out",
                                       "gate_up",
                                       "down",
                                       "expert gate_up",
                                       "expert down",
                                       "qkv backward",
                                       "out backward",
                                       "gate_up backward",
                                       "down backward",
                                       "expert gate_up backward",
                                       "expert down backward",
                                       "weight gradients"};
    double sum = 0;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        sum += flops_of(o, name[i]);
    return sum;
}

/* From the shapes: a token meets every weight of its layers and k of the experts. */
static double expected(const sm_model *m)
{
    const sm_model_config *c = &m->config;
    double d = c->d_model, q = (double)c->n_head * c->d_head, sum = 0;
    for (int32_t l = 0; l < c->n_layer; l++) {
        bool is_moe = c->n_expert > 0 && (l + 1) % c->moe_every == 0;
        double f = is_moe ? c->d_shared : c->d_ff;
        sum += 6 * (d * (q + 2.0 * c->n_kv_head * c->d_head) + d * q + 3 * d * f);
        if (is_moe)
            sum += 6 * c->k_expert * 3 * d * c->d_expert + 2 * d * c->n_expert;
    }
    return sum * N_TOK;
}

/* Pairs of a query and a key that it sees: in its document, at most its own index, and in
 * layers with rope in the chunk of positions, which are counted from the document's first
 * token. */
static double n_pairs(const sm_model *m, const batch_data *d)
{
    double n = 0;
    for (int32_t l = 0; l < m->config.n_layer; l++) {
        int32_t chunk = sm_model_layer(m, l).has_rope ? m->config.attn_chunk : 0;
        for (int32_t q = 0; q < N_TOK; q++) {
            int32_t first = q - q % N_CTX + d->doc_start[q];
            for (int32_t k = first; k <= q; k++)
                n += chunk == 0 || (q - first) / chunk == (k - first) / chunk;
        }
    }
    return n;
}

static void flops_are_six_a_weight(void **state)
{
    (void)state;
    batch_data *data = calloc(1, sizeof *data);
    for (int i = 0; i < N_KIND; i++) {
        outcome plain, one, three;
        sm_model *m = make_model(&kinds[i].config);
        const sm_model_config *c = &m->config;
        make_batch(data, c->n_vocab);
        run(&plain, &kinds[i], m, data, 1, false);
        run(&one, &kinds[i], m, data, 1, true);
        run(&three, &kinds[i], m, data, 3, true);
        double want = expected(m);
        assert_true(products(&one) == want);
        assert_true(products(&three) == want);
        double head = 6.0 * N_TOK * c->n_vocab * c->d_model + 6.0 * N_TOK * c->n_vocab;
        assert_true(flops_of(&one, "head and loss") + flops_of(&one, "head gradient") ==
                    head);
        double pairs = n_pairs(m, data);
        assert_true(flops_of(&one, "attention") == 4 * pairs * c->n_head * c->d_head);
        assert_true(flops_of(&one, "attention backward") ==
                    2.5 * flops_of(&one, "attention"));
        assert_true(flops_of(&one, "attention") == flops_of(&three, "attention"));
        assert_memory_equal(plain.loss, three.loss, sizeof plain.loss);
        assert_memory_equal(plain.grad, three.grad, (size_t)m->n_weight * sizeof(float));
        free(plain.grad);
        free(one.grad);
        free(three.grad);
        sm_model_free(m);
    }
    free(data);
}

/* sm_pass_measure says what sm_pass_create takes, and needs no weights. */
static void measured_is_what_is_created(void **state)
{
    sm_ctx ctx = {0};
    (void)state;
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
    for (int i = 0; i < N_KIND; i++)
        for (int n_micro = 1; n_micro < 4; n_micro++) {
            sm_model *m = make_model(&kinds[i].config), *shape = NULL;
            sm_pass *pass = NULL;
            size_t bytes = 0;
            sm_pass_config pc = {.model = m,
                                 .profile = "bf16/1",
                                 .n_seq = N_SEQ,
                                 .n_ctx = N_CTX,
                                 .seq_per_shard = PER_SHARD,
                                 .n_micro = n_micro,
                                 .recompute = n_micro == 2,
                                 .backward = true,
                                 .loss = kinds[i].loss};
            assert_int_equal(sm_pass_create(&pass, &ctx, &pc, NULL), SM_OK);
            assert_int_equal(sm_model_create_shape(&shape, &m->config, NULL), SM_OK);
            assert_null(shape->weight);
            assert_int_equal(shape->n_weight, m->n_weight);
            pc.model = shape;
            assert_int_equal(sm_pass_measure(&bytes, &ctx, &pc, NULL), SM_OK);
            assert_int_equal(bytes, sm_pass_bytes(pass));
            pc.n_ctx = 0;
            assert_int_equal(sm_pass_measure(&bytes, &ctx, &pc, NULL), SM_EINVAL);
            sm_pass_free(pass);
            sm_model_free(shape);
            sm_model_free(m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flops_are_six_a_weight),
        cmocka_unit_test(measured_is_what_is_created),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
