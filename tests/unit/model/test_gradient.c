/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradients of every parameter tensor of tiny models of each kind against central
 * differences of an independent forward in double.
 */
#include "fixture.h"
#include "oracle_double.h"

/* Two shards of the fixture are enough, and one of the models in slices, which are larger;
 * rows are longer than a block of keys. */
enum { N_SAMPLE = 1 };

typedef struct grads {
    sm_model *model;
    batch_data *data;
    float *grad;
    double *w;
    oracle o;
    double loss;
    int64_t n_seq, n_tok;
} grads;

static void setup(grads *g, const kind *k)
{
    sm_ctx ctx = {0};
    sm_pass *pass = NULL;
    sm_err err = {0};
    const sm_model_config *c = &k->config;
    int64_t counts[64] = {0};
    sm_shard_stats stats[N_SEQ];
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
    g->model = make_model(c);
    g->data = calloc(1, sizeof *g->data);
    make_batch(g->data, c->n_vocab);
    g->n_seq = (c->n_slice > 1 ? 1 : 2) * PER_SHARD;
    g->n_tok = g->n_seq * N_CTX;
    g->data->b.n_seq = g->n_seq;
    g->grad = calloc((size_t)g->model->n_weight, sizeof *g->grad);
    g->w = calloc((size_t)g->model->n_weight, sizeof *g->w);
    for (int64_t i = 0; i < g->model->n_weight; i++)
        g->w[i] = (double)g->model->weight[i];
    sm_pass_config pc = {.model = g->model,
                         .profile = "f32/1",
                         .n_seq = g->n_seq,
                         .n_ctx = N_CTX,
                         .seq_per_shard = PER_SHARD,
                         .n_micro = 1,
                         .backward = true,
                         .loss = k->loss};
    if (sm_pass_create(&pass, &ctx, &pc, &err) ||
        sm_pass_forward(pass, &g->data->b, 0, stats, counts, NULL, &err) ||
        sm_pass_backward(pass, &g->data->b, 0, g->grad, counts,
                         count_targets(g->data, g->n_tok), g->n_tok, &err))
        fail_msg("%s: %s", k->name, err.msg);
    for (int i = 0; i < g->n_seq / PER_SHARD; i++)
        g->loss += stats[i].loss_sum;
    sm_pass_free(pass);
    size_t slots = (size_t)(c->n_layer * g->n_tok * (c->k_expert + 1));
    g->o = (oracle){.model = g->model,
                    .w = g->w,
                    .b = &g->data->b,
                    .loss = k->loss,
                    .expert = calloc(slots, sizeof(int32_t)),
                    .token_loss = calloc((size_t)g->n_tok, sizeof(double))};
    oracle_loss(&g->o);
    g->o.is_frozen = 1;
}

static void teardown(grads *g)
{
    free(g->o.expert);
    free(g->o.token_loss);
    free(g->grad);
    free(g->w);
    free(g->data);
    sm_model_free(g->model);
}

/* dL/dw[at] by central differences. */
static double difference(grads *g, int64_t at)
{
    double keep = g->w[at], eps = 1e-5;
    g->w[at] = keep + eps;
    double up = oracle_loss(&g->o);
    g->w[at] = keep - eps;
    double down = oracle_loss(&g->o);
    g->w[at] = keep;
    return (up - down) / (2 * eps);
}

/* dL along the whole tensor's gradient: every element takes part. */
static double directional(grads *g, const sm_param *p, double length)
{
    double eps = 1e-5 / length, l[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t i = p->offset; i < p->offset + p->n; i++)
            g->w[i] =
                (double)g->model->weight[i] + (side ? -eps : eps) * (double)g->grad[i];
        l[side] = oracle_loss(&g->o);
    }
    for (int64_t i = p->offset; i < p->offset + p->n; i++)
        g->w[i] = (double)g->model->weight[i];
    return (l[0] - l[1]) / (2 * eps);
}

static void check_tensor(grads *g, const sm_param *p, const char *kind_name)
{
    double norm2 = 0;
    for (int64_t i = p->offset; i < p->offset + p->n; i++)
        norm2 += (double)g->grad[i] * (double)g->grad[i];
    double rms = sqrt(norm2 / (double)p->n), length = sqrt(norm2);
    assert_true(norm2 > 0);
    double along = directional(g, p, length);
    if (fabs(along - norm2) > 2e-4 * norm2)
        fail_msg("%s: %s: along the gradient %g, differences %g", kind_name, p->name,
                 norm2, along);
    for (int s = 0; s < N_SAMPLE; s++) {
        int64_t at = p->offset + (int64_t)sm_rng_below((uint64_t)p->n, 11, SM_STREAM_TEST,
                                                       (uint32_t)p->offset, (uint64_t)s);
        double want = difference(g, at), got = (double)g->grad[at];
        if (fabs(got - want) > 2e-4 * fabs(want) + 5e-4 * rms)
            fail_msg("%s: %s[%lld]: gradient %g, differences %g", kind_name, p->name,
                     (long long)(at - p->offset), got, want);
    }
}

static void test_kind(const kind *k)
{
    grads g = {0};
    setup(&g, k);
    double sum = 0;
    for (int i = 0; i < g.n_tok; i++)
        sum += g.o.token_loss[i];
    if (fabs(sum - g.loss) > 1e-5 * sum)
        fail_msg("%s: loss %.9g, oracle %.9g", k->name, g.loss, sum);
    for (int32_t i = 0; i < g.model->n_param_tensors; i++)
        check_tensor(&g, &g.model->param[i], k->name);
    teardown(&g);
}

static void test_dense_tied(void **state)
{
    (void)state;
    test_kind(&kinds[0]);
}

static void test_dense_untied(void **state)
{
    (void)state;
    test_kind(&kinds[1]);
}

static void test_mixtral(void **state)
{
    (void)state;
    test_kind(&kinds[2]);
}

static void test_llama4(void **state)
{
    (void)state;
    test_kind(&kinds[3]);
}

static void test_dense_in_slices(void **state)
{
    (void)state;
    test_kind(&kinds[4]);
}

static void test_experts_in_slices(void **state)
{
    (void)state;
    test_kind(&kinds[5]);
}

/* Rows of one token, one row, rows as long as the model allows. */
static void test_edge_shapes(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{32, 1, 32}, {1, 32, 1}, {2, 96, 1}, {64, 2, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes * N_KIND; i++) {
        const int64_t *shape = shapes[i / N_KIND];
        const kind *k = &kinds[i % N_KIND];
        batch_data *d = calloc(1, sizeof *d);
        make_batch(d, k->config.n_vocab);
        memset(d->doc_start, 0, sizeof d->doc_start);
        d->b.n_seq = shape[0];
        d->b.n_ctx = shape[1];
        d->b.seq_per_shard = shape[2];
        int64_t n_tok = shape[0] * shape[1], counts[64] = {0};
        sm_model *m = make_model(&k->config);
        float *grad = calloc((size_t)(m->n_weight + n_tok), sizeof *grad);
        double *w = calloc((size_t)m->n_weight, sizeof *w);
        for (int64_t j = 0; j < m->n_weight; j++)
            w[j] = (double)m->weight[j];
        sm_ctx ctx = {0};
        sm_err err = {0};
        sm_pass *pass = NULL;
        sm_shard_stats stats[64];
        sm_pass_config pc = {.model = m,
                             .profile = "f32/1",
                             .n_seq = shape[0],
                             .n_ctx = shape[1],
                             .seq_per_shard = shape[2],
                             .n_micro = 1,
                             .backward = true,
                             .loss = k->loss};
        assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
        if (sm_pass_create(&pass, &ctx, &pc, &err) ||
            sm_pass_forward(pass, &d->b, 0, stats, counts, grad + m->n_weight, &err) ||
            sm_pass_backward(pass, &d->b, 0, grad, counts, count_targets(d, n_tok), n_tok,
                             &err))
            fail_msg("%s, %lld x %lld: %s", k->name, (long long)shape[0],
                     (long long)shape[1], err.msg);
        oracle o = {.model = m,
                    .w = w,
                    .b = &d->b,
                    .loss = k->loss,
                    .expert = calloc((size_t)n_tok * 8, sizeof(int32_t)),
                    .token_loss = calloc((size_t)n_tok, sizeof(double))};
        oracle_loss(&o);
        for (int64_t t = 0; t < n_tok; t++)
            assert_true(fabs(o.token_loss[t] - (double)grad[m->n_weight + t]) < 2e-4);
        sm_pass_free(pass);
        sm_model_free(m);
        free(o.expert);
        free(o.token_loss);
        free(grad);
        free(w);
        free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edge_shapes),
        cmocka_unit_test(test_dense_tied),
        cmocka_unit_test(test_dense_untied),
        cmocka_unit_test(test_mixtral),
        cmocka_unit_test(test_llama4),
        cmocka_unit_test(test_dense_in_slices),
        cmocka_unit_test(test_experts_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
