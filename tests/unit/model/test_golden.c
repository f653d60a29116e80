/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses and gradients against tests/golden/model_v1.json, which tools/golden/
 * model_golden.py made: an implementation of its own in NumPy whose gradients are complex
 * steps.  Configs are read from their Hugging Face form.
 */
#include <math.h>

#include "fixture.h"

static uint32_t hash32(uint32_t x)
{
    x = (x ^ x >> 16) * 0x45d9f3bu;
    x = (x ^ x >> 16) * 0x45d9f3bu;
    return x ^ x >> 16;
}

static void fill_weights(sm_model *m)
{
    for (int32_t p = 0; p < m->n_param_tensors; p++) {
        uint32_t seed = 2166136261u;
        for (const char *c = m->param[p].name; *c; c++)
            seed = (seed ^ (uint32_t)(unsigned char)*c) * 16777619u;
        float *w = m->weight + m->param[p].offset;
        for (int64_t i = 0; i < m->param[p].n; i++) {
            float u = (float)(hash32((uint32_t)i + seed) >> 8) * 0x1p-24f;
            w[i] = (u - 0.5f) / 2 + (m->param[p].decay ? 0 : 1);
        }
    }
}

typedef struct golden_batch {
    int32_t *token, *target, *doc;
    sm_batch b;
    int64_t n_tok, n_target;
} golden_batch;

static golden_batch make_golden_batch(uint32_t n_vocab, int64_t n_seq, int64_t n_ctx)
{
    golden_batch g = {.n_tok = n_seq * n_ctx};
    g.token = calloc((size_t)g.n_tok * 3, sizeof *g.token);
    g.target = g.token + g.n_tok;
    g.doc = g.target + g.n_tok;
    for (int64_t i = 0; i < g.n_tok; i++) {
        int64_t at = i % n_ctx, cut = 11 + 60 * (i / n_ctx);
        g.token[i] = (int32_t)(hash32((uint32_t)i + 1000003) % n_vocab);
        g.target[i] = (int32_t)(hash32((uint32_t)i + 2000003) % n_vocab);
        if (at == cut - 1 || at == n_ctx - 1)
            g.target[i] = -1;
        g.doc[i] = at < cut ? 0 : (int32_t)cut;
        g.n_target += g.target[i] >= 0;
    }
    g.b = (sm_batch){.n_seq = n_seq,
                     .n_ctx = n_ctx,
                     .seq_per_shard = 1,
                     .token = g.token,
                     .target = g.target,
                     .doc_start = g.doc};
    return g;
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static void check_tensor(const char *kind_name, const sm_model *m, const float *grad,
                         const json_t *want)
{
    const char *name = json_string_value(json_object_get(want, "name"));
    const sm_param *p = m->param;
    while (p < m->param + m->n_param_tensors && strcmp(p->name, name) != 0)
        p++;
    if (p == m->param + m->n_param_tensors)
        fail_msg("%s: no tensor %s", kind_name, name);
    double square = 0, probe = 0, norm = number(want, "norm");
    for (int64_t i = 0; i < p->n; i++) {
        double g = (double)grad[p->offset + i];
        square += g * g;
        probe += g * cos(0.1 * (double)i);
    }
    double tolerance = 2e-5 * norm;
    if (fabs(sqrt(square) - norm) > tolerance)
        fail_msg("%s: %s: norm %.9g, want %.9g", kind_name, name, sqrt(square), norm);
    if (fabs(probe - number(want, "probe")) > 4 * tolerance)
        fail_msg("%s: %s: probe %.9g, want %.9g", kind_name, name, probe,
                 number(want, "probe"));
    const json_t *first = json_object_get(want, "first");
    for (size_t i = 0; i < json_array_size(first); i++) {
        double g = (double)grad[p->offset + (int64_t)i];
        double w = json_number_value(json_array_get(first, i));
        if (fabs(g - w) > tolerance)
            fail_msg("%s: %s[%zu]: %.9g, want %.9g", kind_name, name, i, g, w);
    }
}

static void check_losses(const char *name, const float *loss, const json_t *want)
{
    for (size_t t = 0; t < json_array_size(want); t++) {
        double w = json_number_value(json_array_get(want, t));
        if (fabs((double)loss[t] - w) > 1e-5 * (1 + w))
            fail_msg("%s: loss of token %zu: %.9g, want %.9g", name, t, (double)loss[t],
                     w);
    }
}

/* The mean loss with its auxiliary terms. */
static void check_total(const json_t *k, const golden_batch *g, const sm_pass *pass,
                        const sm_shard_stats *stats)
{
    double aux[16], total = 0, want = number(k, "loss");
    if (number(json_object_get(k, "coef"), "head_z") != 0)
        return; /* its value is reported nowhere */
    sm_pass_aux_loss(pass, aux);
    for (int64_t i = 0; i < g->b.n_seq; i++)
        total += stats[i].loss_sum / (double)g->n_target + aux[i] +
                 stats[i].aux_z_sum / (double)g->n_tok;
    if (fabs(total - want) > 1e-5 * want)
        fail_msg("%s: loss with auxiliary terms: %.9g, want %.9g",
                 json_string_value(json_object_get(k, "name")), total, want);
}

static void check_kind(const json_t *k)
{
    sm_ctx ctx = {0};
    sm_err err = {0};
    sm_model_config c;
    sm_model *m = NULL;
    sm_pass *pass = NULL;
    int64_t counts[32] = {0};
    sm_shard_stats stats[16];
    const char *name = json_string_value(json_object_get(k, "name"));
    const json_t *coef = json_object_get(k, "coef");
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
    if (sm_model_config_from_json(&c, json_object_get(k, "config"), &err) ||
        sm_model_create(&m, &c, 1, &err))
        fail_msg("%s: %s", name, err.msg);
    fill_weights(m);
    golden_batch g = make_golden_batch((uint32_t)c.n_vocab, (int64_t)number(k, "n_seq"),
                                       (int64_t)number(k, "n_ctx"));
    float *grad = calloc((size_t)(m->n_weight + g.n_tok), sizeof *grad);
    float *loss = grad + m->n_weight;
    sm_pass_config pc = {.model = m,
                         .profile = "f32/1",
                         .n_seq = g.b.n_seq,
                         .n_ctx = g.b.n_ctx,
                         .seq_per_shard = 1,
                         .n_micro = 1,
                         .backward = true,
                         .loss = {.aux_coef = (float)number(coef, "aux"),
                                  .z_coef = (float)number(coef, "z"),
                                  .head_z_coef = (float)number(coef, "head_z")}};
    if (sm_pass_create(&pass, &ctx, &pc, &err) ||
        sm_pass_forward(pass, &g.b, 0, stats, counts, loss, &err) ||
        sm_pass_backward(pass, &g.b, 0, grad, counts, g.n_target, g.n_tok, &err))
        fail_msg("%s: %s", name, err.msg);
    check_losses(name, loss, json_object_get(k, "token_loss"));
    check_total(k, &g, pass, stats);
    const json_t *list = json_object_get(k, "tensors");
    assert_int_equal(json_array_size(list), m->n_param_tensors);
    for (size_t i = 0; i < json_array_size(list); i++)
        check_tensor(name, m, grad, json_array_get(list, i));
    sm_pass_free(pass);
    sm_model_free(m);
    free(grad);
    free(g.token);
}

static void test_golden(void **state)
{
    (void)state;
    json_t *all = NULL;
    sm_err err = {0};
    if (sm_json_load(&all, SMELT_SOURCE_DIR "/tests/golden/model_v1.json", &err))
        fail_msg("%s", err.msg);
    const json_t *list = json_object_get(all, "kinds");
    assert_int_equal(number(all, "version"), 1);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < json_array_size(list); i++)
        check_kind(json_array_get(list, i));
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
