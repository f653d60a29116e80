/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedule, gradient norm, AdamW against a plain double version of the paper's algorithm
 * and against PyTorch to the bit, router bias.
 */
#include <math.h>

#include "helpers.h"

/* A model that is only a list of tensors. */
typedef struct toy {
    sm_model model;
    sm_param param[3];
    float *weight, *grad;
} toy;

static void toy_init(toy *t)
{
    const int64_t n[3] = {5000, 33, 4096};
    memset(t, 0, sizeof *t);
    int64_t at = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(t->param[i].name, sizeof t->param[i].name, "tensor.%d", i);
        t->param[i].offset = at;
        t->param[i].n = n[i];
        t->param[i].decay = i != 1;
        at += n[i];
    }
    t->weight = sm_alloc((size_t)at, sizeof *t->weight);
    t->grad = sm_alloc((size_t)at, sizeof *t->grad);
    t->model = (sm_model){
        .param = t->param, .n_param_tensors = 3, .n_weight = at, .weight = t->weight};
    for (int64_t i = 0; i < at; i++)
        t->weight[i] = 0.02f * sm_rng_normal(3, SM_STREAM_TEST, 0, (uint64_t)i);
}

static void toy_fini(toy *t)
{
    free(t->weight);
    free(t->grad);
}

static void toy_grad(toy *t, uint32_t step)
{
    for (int64_t i = 0; i < t->model.n_weight; i++)
        t->grad[i] = sm_rng_normal(4, SM_STREAM_TEST, step, (uint64_t)i) * 1e-2f;
}

static sm_train_config config(void)
{
    sm_train_config c = SM_TRAIN_CONFIG_DEFAULT;
    c.n_steps = 100;
    c.warmup_steps = 10;
    c.lr = 1e-2;
    return c;
}

static void test_adamw_oracle(void **state)
{
    (void)state;
    toy t;
    train_optim o;
    sm_err err;
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_train_config c = config();
    toy_init(&t);
    OK(train_optim_init(&o, &ctx, &c, &t.model, &err));
    int64_t n = t.model.n_weight;
    double *w = sm_alloc((size_t)n, sizeof *w), *m = sm_alloc((size_t)n, sizeof *m);
    double *v = sm_alloc((size_t)n, sizeof *v), worst = 0;
    for (int64_t i = 0; i < n; i++)
        w[i] = (double)t.weight[i];
    for (int64_t step = 0; step < 30; step++) {
        double norm, want = 0;
        toy_grad(&t, (uint32_t)step);
        OK(train_optim_step(&norm, &o, &ctx, &c, t.weight, t.grad, 0.5f, step, &err));
        double lr = sm_train_lr(&c, step);
        for (int64_t i = 0; i < n; i++) {
            double g = 0.5 * (double)t.grad[i];
            m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
            v[i] = c.beta2 * v[i] + (1 - c.beta2) * g * g;
            double mh = m[i] / (1 - pow(c.beta1, (double)step + 1));
            double vh = v[i] / (1 - pow(c.beta2, (double)step + 1));
            double decay = i >= 5000 && i < 5033 ? 0 : c.weight_decay;
            w[i] -= lr * (mh / (sqrt(vh) + c.eps) + decay * w[i]);
            worst = fmax(worst, fabs(w[i] - (double)t.weight[i]));
            want += (double)t.weight[i] * (double)t.weight[i];
        }
        assert_true(fabs(norm - sqrt(want)) < 1e-5 * norm);
    }
    assert_true(worst > 0 && worst < 2e-6); /* weights move by 0.2 over these steps */
    free(w);
    free(m);
    free(v);
    train_optim_fini(&o);
    toy_fini(&t);
    free_ctx(&ctx);
}

/* Weights after 20 steps of torch.optim.AdamW (PyTorch 1.13.1, CPU, f32) on two tensors
 * of 32, tensor k = 0 with weight decay 0.1 and k = 1 without, lr 0.01, betas 0.9 and 0.95,
 * eps 1e-8; the weights begin at 8 torch_input(0, k, i), the gradient of step s = 1, 2, .. is
 * torch_input(s, k, i). */
enum { TORCH_N = 32, TORCH_STEPS = 20 };

static const uint32_t torch_weight[2][TORCH_N] = {
    {
        0xbd833010, 0x3cbed3b1, 0x3c9278a4, 0xbcba1c3e, 0xbd9f0423, 0x3ce12c3a, 0x3d40afa1,
        0xbd0ed0e9, 0xbdab21a3, 0x3d471b18, 0x3d0d44b6, 0xbd4057a0, 0xbd8f5983, 0x3dd4c66f,
        0x3cb12189, 0xbd70843c, 0xbd14ef22, 0x3dbd3efe, 0x3c0f8460, 0xbd529026, 0xbd4a4700,
        0x3da468bf, 0x3bdb9df4, 0xbce653cc, 0xbd7fb857, 0x3d4534c9, 0x3cba2f6b, 0x3d1aaced,
        0xbd99f6c6, 0x3d6aeca4, 0x3d77e0c6, 0x3cd65a3d,
    },
    {
        0xbda877e3, 0x3cce9c20, 0x3d371dfd, 0xbd1d995d, 0xbdb49a3c, 0x3d3e9cf3, 0x3d02f339,
        0xbd4f3012, 0xbd989c3d, 0x3dd2b31a, 0x3c9b950e, 0xbd320ae7, 0xbd25cee0, 0x3dbaafc7,
        0x3bc7bb6c, 0xbca3ba68, 0xbd5ba62b, 0x3da17807, 0x3b844bd9, 0x3d3f6a50, 0xbd88a10d,
        0x3d3d4513, 0x3ca53615, 0x3d117900, 0xbda2a6fb, 0x3d62c2bc, 0x3d6f6f27, 0x3cc28231,
        0xbd9f929c, 0x3da8cd68, 0x3d3bae0e, 0x3c3f09c6,
    },
};

static float torch_input(int64_t step, int64_t k, int64_t i)
{
    return (float)((i * 7919 + step * 104729 + (k + 1) * 31) % 1021 - 510) / 65536;
}

static void test_adamw_torch(void **state)
{
    (void)state;
    float weight[2 * TORCH_N], grad[2 * TORCH_N];
    sm_param param[2] = {{.name = "a", .n = TORCH_N, .decay = true},
                         {.name = "b", .n = TORCH_N, .offset = TORCH_N}};
    sm_model model = {.param = param,
                      .n_param_tensors = 2,
                      .n_weight = 2 * TORCH_N,
                      .weight = weight};
    train_optim o;
    sm_err err;
    double norm;
    sm_ctx ctx = make_ctx("ref", 1);
    sm_train_config c = config();
    c.schedule = SM_SCHEDULE_WSD; /* a constant rate over these steps */
    c.warmup_steps = 0;
    OK(train_optim_init(&o, &ctx, &c, &model, &err));
    for (int64_t i = 0; i < 2 * TORCH_N; i++)
        weight[i] = 8 * torch_input(0, i / TORCH_N, i % TORCH_N);
    for (int64_t step = 0; step < TORCH_STEPS; step++) {
        for (int64_t i = 0; i < 2 * TORCH_N; i++)
            grad[i] = torch_input(step + 1, i / TORCH_N, i % TORCH_N);
        OK(train_optim_step(&norm, &o, &ctx, &c, weight, grad, 1, step, &err));
    }
    assert_memory_equal(weight, torch_weight, sizeof weight);
    train_optim_fini(&o);
    free_ctx(&ctx);
}

static void test_norm_and_nan(void **state)
{
    (void)state;
    toy t;
    train_optim o;
    sm_err err;
    double one = 0, two = 0, want = 0;
    sm_ctx serial = make_ctx("ref", 1), best = make_ctx(NULL, 4);
    sm_train_config c = config();
    toy_init(&t);
    OK(train_optim_init(&o, &best, &c, &t.model, &err));
    toy_grad(&t, 1);
    for (int64_t i = 0; i < t.model.n_weight; i++)
        want += (double)t.grad[i] * (double)t.grad[i];
    OK(train_grad_norm(&one, &o, &serial, t.grad, 0, &err));
    OK(train_grad_norm(&two, &o, &best, t.grad, 0, &err));
    assert_memory_equal(&one, &two, sizeof one);
    assert_true(fabs(one - sqrt(want)) < 1e-6 * one);
    t.grad[5010] = NAN;
    assert_int_equal(train_grad_norm(&one, &o, &best, t.grad, 41, &err), SM_ENUMERIC);
    assert_non_null(strstr(err.msg, "step 42"));
    assert_non_null(strstr(err.msg, "gradient of tensor.1"));
    t.grad[5010] = 0;
    t.grad[0] = INFINITY;
    assert_int_equal(train_grad_norm(&one, &o, &best, t.grad, 0, &err), SM_ENUMERIC);
    assert_non_null(strstr(err.msg, "tensor.0"));
    assert_int_equal(train_optim_step(&one, &o, &best, &c, t.weight, t.grad, 1, 0, &err),
                     SM_ENUMERIC);
    assert_non_null(strstr(err.msg, "weight of tensor.0"));
    train_optim_fini(&o);
    toy_fini(&t);
    free_ctx(&serial);
    free_ctx(&best);
}

static void test_sqrt(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        double x =
            ldexp((double)sm_rng_u64(1, SM_STREAM_TEST, 0, i), (int)(i % 400) - 200);
        assert_true(fabs(train_sqrt(x) - sqrt(x)) <= 3e-16 * sqrt(x));
    }
    assert_true(train_sqrt(0) == 0 && train_sqrt(4) == 2);
}

static void test_cosine(void **state)
{
    (void)state;
    sm_train_config c = config();
    assert_true(sm_train_lr(&c, 0) == c.lr / 10);
    assert_true(sm_train_lr(&c, 9) == c.lr);
    assert_true(sm_train_lr(&c, 10) == c.lr);
    for (int64_t s = 10; s < 100; s++) {
        double p = (double)(s - 10) / 90;
        double want = c.lr * (0.1 + 0.9 * 0.5 * (1 + cos(acos(-1.0) * p)));
        assert_true(fabs(sm_train_lr(&c, s) - want) < 1e-15);
        assert_true(s == 10 || sm_train_lr(&c, s) < sm_train_lr(&c, s - 1));
    }
    c.warmup_steps = 0;
    assert_true(sm_train_lr(&c, 0) == c.lr);
    assert_true(fabs(sm_train_lr(&c, 50) - c.lr * 0.55) < 1e-15);
}

static void test_wsd(void **state)
{
    (void)state;
    sm_train_config c = config();
    c.schedule = SM_SCHEDULE_WSD;
    c.decay_frac = 0.2;
    assert_true(sm_train_lr(&c, 4) == c.lr * 0.5);
    assert_true(sm_train_lr(&c, 10) == c.lr && sm_train_lr(&c, 79) == c.lr);
    assert_true(fabs(sm_train_lr(&c, 89) - c.lr * 0.55) < 1e-15);
    assert_true(fabs(sm_train_lr(&c, 99) - c.lr * 0.1) < 1e-15);
    c.decay_frac = 0;
    assert_true(sm_train_lr(&c, 99) == c.lr);
}

static void test_bias(void **state)
{
    (void)state;
    float bias[12] = {0};
    /* layer 0 dense; layer 1: mean 5; layer 2 balanced */
    const int64_t counts[12] = {0, 0, 0, 0, 10, 5, 3, 2, 7, 7, 7, 7};
    train_bias_update(bias, counts, 3, 4, 0.01);
    const double want[4] = {-0.0125, -0.0025, 0.0075, 0.0075};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        assert_true(bias[i] == 0 && bias[8 + i] == 0);
        assert_true(fabs((double)bias[4 + i] - want[i]) < 1e-9);
        sum += (double)bias[4 + i];
    }
    assert_true(fabs(sum) < 1e-9);
}

static void check_init_scale(double residual)
{
    sm_train_config t_c = config();
    t_c.init_residual = residual;
    sm_model_config c = t_c.model;
    sm_model *m = NULL;
    sm_err err;
    int n_checked = 0;
    OK(sm_model_create(&m, &c, 1, &err));
    train_init_scale(m, &t_c);
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        const sm_param *p = &m->param[t];
        double sum = 0, want = 1 / sqrt((double)p->fan_in);
        for (int64_t i = 0; i < p->n; i++)
            sum += (double)m->weight[p->offset + i] * (double)m->weight[p->offset + i];
        if (strstr(p->name, "o_proj") || strstr(p->name, "down_proj"))
            want *= residual / sqrt(2.0 * c.n_layer);
        if (strstr(p->name, "embed_tokens"))
            want = 1 / sqrt((double)c.d_model);
        if (strstr(p->name, "norm"))
            want = 1;
        n_checked += strstr(p->name, "proj") != NULL;
        assert_true(fabs(sqrt(sum / (double)p->n) - want) <= 0.02 * want);
    }
    assert_int_equal(n_checked, 7 * c.n_layer);
    sm_model_free(m);
}

static void test_init_scale(void **state)
{
    (void)state;
    check_init_scale(0);
    check_init_scale(1);
}

static void test_config_names_field(void **state)
{
    (void)state;
    sm_err err;
    sm_train_config c = config();
    OK(sm_train_config_check(&c, &err));
    json_t *j = sm_train_config_to_json(&c);
    assert_non_null(j);
    assert_true(json_is_string(json_object_get(j, "seed")));
    assert_null(json_object_get(j, "micro_shards"));
    json_decref(j);
#define REFUSE(field, value)                                                          \
    do {                                                                              \
        sm_train_config bad = config();                                               \
        bad.field = (value);                                                          \
        assert_int_equal(sm_train_config_check(&bad, &err), SM_EINVAL);               \
        assert_non_null(                                                              \
            strstr(err.msg, strchr(#field, '.') ? strchr(#field, '.') + 1 : #field)); \
    } while (0)
    REFUSE(profile, "fp16");
    REFUSE(n_ctx, 1);
    REFUSE(n_ctx, 100000);
    REFUSE(n_ctx, 41);
    REFUSE(n_seq, 0);
    REFUSE(n_shard, 3);
    REFUSE(n_shard, 32);
    REFUSE(micro_shards, 16);
    REFUSE(n_steps, 0);
    REFUSE(warmup_steps, 1000);
    REFUSE(lr, NAN);
    REFUSE(lr, 0);
    REFUSE(beta1, 1);
    REFUSE(eps, 0);
    REFUSE(weight_decay, -1);
    REFUSE(loss.aux_coef, -1);
    REFUSE(bias_rate, 0.001);
    REFUSE(checkpoint_steps, -1);
#undef REFUSE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_oracle),
        cmocka_unit_test(test_adamw_torch),
        cmocka_unit_test(test_norm_and_nan),
        cmocka_unit_test(test_sqrt),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_wsd),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_init_scale),
        cmocka_unit_test(test_config_names_field),
    };
    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
