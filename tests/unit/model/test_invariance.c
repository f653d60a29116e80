/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The determinism contract: losses and gradients are the same bits for any number of
 * threads, any cut of the batch into micro-batches, with and without recompute, and on
 * every rung of kernels that this machine has.
 */
#include "fixture.h"

enum { N_SHARD = N_SEQ / PER_SHARD };

typedef struct variant {
    const char *rung;
    int n_thread;
    int shards_per_micro;
    bool recompute;
} variant;

typedef struct result {
    float *grad;
    float loss[N_TOK];
    double loss_sum[N_SHARD], aux_z[N_SHARD];
    int64_t counts[16];
} result;

/* Add the micro-batches' gradients along the tree over shard index. */
static void join(const sm_kern *kern, float *g, int64_t n_micro, int64_t n)
{
    unsigned fp = sm_fp_enter();
    for (int64_t step = 1; step < n_micro; step *= 2)
        for (int64_t i = 0; i + step < n_micro; i += 2 * step)
            kern->add(g + i * n, g + (i + step) * n, n);
    sm_fp_leave(fp);
}

static sm_batch slice(const sm_batch *b, int64_t seq0, int64_t n_seq)
{
    sm_batch s = *b;
    s.n_seq = n_seq;
    s.token += seq0 * b->n_ctx;
    s.target += seq0 * b->n_ctx;
    s.doc_start += seq0 * b->n_ctx;
    return s;
}

static sm_status run(result *r, const kind *k, const char *profile, const sm_model *m,
                     const batch_data *data, const variant *v, sm_err *err)
{
    sm_ctx ctx = {0};
    sm_pass *pass = NULL;
    int64_t n_micro = N_SHARD / v->shards_per_micro, n_seq = N_SEQ / n_micro;
    sm_status s = sm_kern_get(&ctx.kern, v->rung, err);
    memset(r, 0, sizeof *r);
    r->grad = calloc((size_t)(m->n_weight * n_micro), sizeof *r->grad);
    if (!s)
        s = sm_pool_create(&ctx.pool, v->n_thread, err);
    sm_pass_config pc = {.model = m,
                         .profile = profile,
                         .n_seq = n_seq,
                         .n_ctx = N_CTX,
                         .seq_per_shard = PER_SHARD,
                         .n_micro = n_micro,
                         .recompute = v->recompute,
                         .backward = true,
                         .loss = k->loss};
    if (!s)
        s = sm_pass_create(&pass, &ctx, &pc, err);
    sm_shard_stats stats[N_SHARD];
    int64_t counted[16] = {0};
    for (int64_t i = 0; !s && i < n_micro; i++) {
        sm_batch b = slice(&data->b, i * n_seq, n_seq);
        s = sm_pass_count(pass, &b, counted, err);
    }
    for (int64_t i = 0; !s && i < n_micro; i++) {
        sm_batch b = slice(&data->b, i * n_seq, n_seq);
        s = sm_pass_forward(pass, &b, i, stats + i * v->shards_per_micro, r->counts,
                            r->loss + i * n_seq * N_CTX, err);
    }
    for (int64_t i = 0; !s && i < n_micro; i++) {
        sm_batch b = slice(&data->b, i * n_seq, n_seq);
        s = sm_pass_backward(pass, &b, i, r->grad + i * m->n_weight, r->counts,
                             count_targets(data, N_TOK), N_TOK, err);
    }
    for (int i = 0; !s && i < N_SHARD; i++) {
        r->loss_sum[i] = stats[i].loss_sum;
        r->aux_z[i] = stats[i].aux_z_sum;
    }
    if (!s)
        assert_memory_equal(counted, r->counts, sizeof counted);
    if (!s)
        join(ctx.kern, r->grad, n_micro, m->n_weight);
    sm_pass_free(pass);
    sm_pool_free(ctx.pool);
    return s;
}

static void compare(const result *a, const result *b, int64_t n, const char *what,
                    const variant *v)
{
    char text[160];
    snprintf(text, sizeof text,
             "%s: rung %s, %d threads, %d shards at once, recompute %d", what,
             v->rung ? v->rung : "best", v->n_thread, v->shards_per_micro, v->recompute);
    if (memcmp(a->loss, b->loss, sizeof a->loss) ||
        memcmp(a->loss_sum, b->loss_sum, sizeof a->loss_sum) ||
        memcmp(a->aux_z, b->aux_z, sizeof a->aux_z) ||
        memcmp(a->counts, b->counts, sizeof a->counts))
        fail_msg("%s: losses or counts differ", text);
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a->grad[i], &b->grad[i], sizeof(float)))
            fail_msg("%s: gradient %lld: %a and %a", text, (long long)i,
                     (double)a->grad[i], (double)b->grad[i]);
}

static void test_profile(const char *profile)
{
    static const variant variants[] = {
        {"ref", 1, 4, false},   {"ref", 2, 2, false},    {"ref", 4, 1, false},
        {"ref", 1, 4, true},    {NULL, 2, 1, true},      {"avx2", 1, 4, false},
        {"avx2", 4, 2, true},   {"avx512", 1, 4, false}, {"avx512", 2, 1, false},
        {"avx512", 4, 2, true}, {"avx512bf16", 2, 4, false},
        {"amx", 2, 2, false},
    };
    batch_data *data = calloc(1, sizeof *data);
    for (int i = 0; i < N_KIND; i++) {
        result base, other;
        sm_err err = {0};
        sm_model *m = make_model(&kinds[i].config);
        make_batch(data, m->config.n_vocab);
        if (run(&base, &kinds[i], profile, m, data, &variants[0], &err))
            fail_msg("%s: %s", kinds[i].name, err.msg);
        for (size_t v = 1; v < sizeof variants / sizeof *variants; v++) {
            sm_status s = run(&other, &kinds[i], profile, m, data, &variants[v], &err);
            if (s == SM_EUNSUPPORTED && i == 0)
                printf("skipped: this machine lacks %s\n", variants[v].rung);
            else if (s && s != SM_EUNSUPPORTED)
                fail_msg("%s: %s", kinds[i].name, err.msg);
            else if (!s)
                compare(&base, &other, m->n_weight, kinds[i].name, &variants[v]);
            free(other.grad);
        }
        free(base.grad);
        sm_model_free(m);
    }
    free(data);
}

static void test_bf16(void **state)
{
    (void)state;
    test_profile("bf16/1");
}

static void test_f32(void **state)
{
    (void)state;
    test_profile("f32/1");
}

/* The profiles agree as far as eight bits of mantissa allow. */
static void test_profiles_are_close(void **state)
{
    (void)state;
    variant v = {NULL, 1, 4, false};
    batch_data *data = calloc(1, sizeof *data);
    for (int i = 0; i < 2; i++) { /* dense: a choice of experts may flip */
        result a, b;
        sm_model *m = make_model(&kinds[i].config);
        make_batch(data, m->config.n_vocab);
        assert_int_equal(run(&a, &kinds[i], "bf16/1", m, data, &v, NULL), SM_OK);
        assert_int_equal(run(&b, &kinds[i], "f32/1", m, data, &v, NULL), SM_OK);
        double diff = 0, size = 0;
        for (int64_t j = 0; j < m->n_weight; j++) {
            double d = (double)a.grad[j] - (double)b.grad[j];
            diff += d * d;
            size += (double)b.grad[j] * (double)b.grad[j];
        }
        assert_true(diff < 0.03 * 0.03 * size);
        assert_true(diff > 0);
        double la = 0, lb = 0;
        for (int t = 0; t < N_TOK; t++) {
            la += (double)a.loss[t];
            lb += (double)b.loss[t];
        }
        assert_true(la - lb < 0.003 * lb && lb - la < 0.003 * lb);
        free(a.grad);
        free(b.grad);
        sm_model_free(m);
    }
    free(data);
}

/* Targets of later tokens and other rows do not reach a token's loss. */
static void test_causal(void **state)
{
    (void)state;
    variant v = {NULL, 2, 4, false};
    batch_data *data = calloc(1, sizeof *data);
    for (int i = 0; i < N_KIND; i++) {
        result a, b;
        sm_model *m = make_model(&kinds[i].config);
        make_batch(data, m->config.n_vocab);
        assert_int_equal(run(&a, &kinds[i], "bf16/1", m, data, &v, NULL), SM_OK);
        int at = 3 * N_CTX + 30; /* row 3 changes from its index 30 on */
        for (int t = at; t < 4 * N_CTX; t++)
            data->token[t] = (data->token[t] + 1) % m->config.n_vocab;
        assert_int_equal(run(&b, &kinds[i], "bf16/1", m, data, &v, NULL), SM_OK);
        for (int t = 0; t < N_TOK; t++)
            if (t < at || t >= 4 * N_CTX)
                assert_memory_equal(&a.loss[t], &b.loss[t], sizeof(float));
        assert_true(memcmp(&a.loss[at], &b.loss[at], sizeof(float)) != 0);
        free(a.grad);
        free(b.grad);
        sm_model_free(m);
    }
    free(data);
}

/* One expert takes every token: the others' gradients are exactly zero. */
static void test_lonely_expert(void **state)
{
    (void)state;
    variant v = {NULL, 2, 2, true};
    const kind *k = &kinds[3];
    batch_data *data = calloc(1, sizeof *data);
    result r;
    sm_model *m = make_model(&k->config);
    make_batch(data, m->config.n_vocab);
    for (int32_t l = 0; l < m->config.n_layer; l++)
        m->router_bias[l * m->config.n_expert + 2] = 1e6f;
    assert_int_equal(run(&r, k, "bf16/1", m, data, &v, NULL), SM_OK);
    int64_t size = 2 * (int64_t)m->config.d_expert * m->config.d_model;
    const float *grad = r.grad + sm_model_layer(m, 1).expert_gate_up;
    for (int32_t e = 0; e < m->config.n_expert; e++) {
        bool is_zero = true;
        for (int64_t i = 0; i < size; i++)
            is_zero = is_zero && grad[e * size + i] == 0;
        assert_int_equal(is_zero, e != 2);
        assert_int_equal(r.counts[m->config.n_expert + e], e == 2 ? N_TOK : 0);
    }
    free(r.grad);
    sm_model_free(m);
    free(data);
}

/* NaN in a weight is an error that names the place. */
static void test_nan_is_named(void **state)
{
    (void)state;
    variant v = {NULL, 1, 4, false};
    batch_data *data = calloc(1, sizeof *data);
    result r;
    sm_err err = {0};
    sm_model *m = make_model(&kinds[0].config);
    make_batch(data, m->config.n_vocab);
    float huge = 3e38f;
    m->weight[sm_model_layer(m, 1).down + 5] = huge * 10;
    assert_int_equal(run(&r, &kinds[0], "f32/1", m, data, &v, &err), SM_ENUMERIC);
    assert_non_null(strstr(err.msg, "layer 1"));
    free(r.grad);
    sm_model_free(m);
    free(data);
}

static void test_bad_batch(void **state)
{
    (void)state;
    variant v = {NULL, 1, 4, false};
    batch_data *data = calloc(1, sizeof *data);
    result r;
    sm_err err = {0};
    sm_model *m = make_model(&kinds[0].config);
    make_batch(data, m->config.n_vocab);
    data->token[5] = m->config.n_vocab;
    assert_int_equal(run(&r, &kinds[0], "f32/1", m, data, &v, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "token 5"));
    free(r.grad);
    sm_model_free(m);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_profiles_are_close),
        cmocka_unit_test(test_causal),
        cmocka_unit_test(test_lonely_expert),
        cmocka_unit_test(test_nan_is_named),
        cmocka_unit_test(test_bad_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
