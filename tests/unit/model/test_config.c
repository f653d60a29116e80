/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration: checks, JSON both ways, and the published sizes of Llama 4. */
#include "fixture.h"

static const sm_model_config scout = {.n_vocab = 202048,
                                      .n_layer = 48,
                                      .d_model = 5120,
                                      .n_head = 40,
                                      .n_kv_head = 8,
                                      .d_head = 128,
                                      .d_ff = 16384,
                                      .n_expert = 16,
                                      .k_expert = 1,
                                      .d_expert = 8192,
                                      .d_shared = 8192,
                                      .moe_every = 1,
                                      .router = SM_ROUTER_SIGMOID_TOP1,
                                      .rope_theta = 500000,
                                      .rope_interleaved = true,
                                      .nope_every = 4,
                                      .attn_chunk = 8192,
                                      .qk_norm = true,
                                      .attn_temp_scale = 0.1f,
                                      .attn_temp_floor = 8192,
                                      .norm_eps = 1e-5f,
                                      .max_ctx = 262144,
                                      .n_slice = 1};

static sm_model_config maverick(void)
{
    sm_model_config c = scout;
    c.n_expert = 128;
    c.moe_every = 2;
    c.qk_norm = false;
    return c;
}

/* Units of 10 million, without routers and norms, which the published sums leave out. */
static int64_t rounded(const sm_model_config *c, int64_t n)
{
    int64_t d = c->d_model, routers = c->n_layer / c->moe_every * c->n_expert * d;
    return (n - routers - (2 * c->n_layer + 1) * d + 5000000) / 10000000;
}

/* Text parameters in all and active: 107.77B and 17.17B, 400.70B and 17.17B. */
static void test_published_sizes(void **state)
{
    (void)state;
    sm_model_config m = maverick();
    assert_int_equal(rounded(&scout, sm_model_n_param(&scout)), 10777);
    assert_int_equal(rounded(&scout, sm_model_n_active(&scout)), 1717);
    assert_int_equal(rounded(&m, sm_model_n_param(&m)), 40070);
    assert_int_equal(rounded(&m, sm_model_n_active(&m)), 1717);
}

/* To the last parameter, from the tensors' shapes. */
static void test_exact_count(void **state)
{
    (void)state;
    int64_t d = 5120, expert = 3 * d * 8192, attn = d * (40 + 8 + 8 + 40) * 128;
    int64_t want = 2 * 202048 * d + 48 * (attn + 17 * expert + 16 * d + 2 * d) + d;
    assert_int_equal(sm_model_n_param(&scout), want);
    for (int i = 0; i < N_KIND; i++) {
        sm_model *m = make_model(&kinds[i].config);
        assert_int_equal(m->n_weight, sm_model_n_param(&m->config));
        sm_layer_view last = sm_model_layer(m, m->config.n_layer - 1);
        int64_t end = last.down + (int64_t)last.d_ff * m->config.d_model;
        if (last.d_ff == 0)
            end = last.expert_down +
                  (int64_t)m->config.n_expert * m->config.d_expert * m->config.d_model;
        assert_int_equal(end, sm_model_ends(m).norm);
        sm_model_free(m);
    }
}

/* Views agree with the named tensors. */
static void test_views(void **state)
{
    (void)state;
    sm_model *m = make_model(&kinds[3].config);
    for (int32_t i = 0; i < m->n_param_tensors; i++) {
        const sm_param *p = &m->param[i];
        sm_layer_view v = sm_model_layer(m, 1);
        if (!strcmp(p->name, "model.layers.1.self_attn.q_proj.weight"))
            assert_int_equal(p->offset, v.qkv);
        if (!strcmp(p->name, "model.layers.1.feed_forward.experts.down_proj"))
            assert_int_equal(p->offset, v.expert_down);
        if (!strcmp(p->name,
                    "model.layers.1.feed_forward.shared_expert.gate_proj.weight"))
            assert_int_equal(p->offset, v.gate_up);
        if (!strcmp(p->name, "lm_head.weight"))
            assert_int_equal(p->offset, sm_model_ends(m).head);
    }
    sm_model_free(m);
}

static void test_flops(void **state)
{
    (void)state;
    sm_model_config c = kinds[0].config;
    double n = (double)(sm_model_n_param(&c) - c.d_model * (2 * c.n_layer + 1));
    double attention = 14.0 * c.n_layer * c.n_head * c.d_head * 0.5 * (32 + 1);
    assert_true(sm_model_flops_per_token(&c, 32) == 6 * n + attention);
}

static void test_json_round_trip(void **state)
{
    (void)state;
    sm_model_config all[N_KIND + 3], odd = kinds[2].config;
    odd.nope_every =
        3; /* a softmax router beside NoPE layers has no HF type of its own */
    odd.rope_theta = 12345.678f;
    for (int i = 0; i < N_KIND; i++)
        all[i] = kinds[i].config;
    all[N_KIND] = scout;
    all[N_KIND + 1] = maverick();
    all[N_KIND + 2] = odd;
    for (int i = 0; i < N_KIND + 3; i++) {
        sm_err err = {0};
        sm_model_config back;
        memset(&back, 0, sizeof back);
        json_t *json = sm_model_config_to_json(&all[i]);
        if (sm_model_config_from_json(&back, json, &err))
            fail_msg("config %d: %s", i, err.msg);
        json_t *again = sm_model_config_to_json(&back);
        assert_true(json_equal(json, again));
        assert_int_equal(back.router, all[i].router);
        assert_int_equal(back.d_shared, all[i].d_shared);
        assert_true(back.rope_theta == all[i].rope_theta);
        assert_true(back.norm_eps == all[i].norm_eps);
        json_decref(json);
        json_decref(again);
    }
}

/* Fields as published for Scout, without anything of ours. */
static void test_reads_scout(void **state)
{
    (void)state;
    static const char text[] =
        "{\"model_type\":\"llama4\",\"text_config\":{\"model_type\":\"llama4_text\","
        "\"vocab_size\":202048,\"hidden_size\":5120,\"intermediate_size\":8192,"
        "\"intermediate_size_mlp\":16384,\"num_hidden_layers\":48,"
        "\"num_attention_heads\":40,\"num_key_value_heads\":8,\"head_dim\":128,"
        "\"num_local_experts\":16,\"num_experts_per_tok\":1,"
        "\"interleave_moe_layer_step\":1,\"rope_theta\":500000.0,\"rms_norm_eps\":1e-05,"
        "\"attention_chunk_size\":8192,\"use_qk_norm\":true,\"attn_temperature_tuning\":"
        "4,"
        "\"max_position_embeddings\":262144}}";
    json_t *json = json_loads(text, 0, NULL);
    sm_model_config c;
    sm_err err = {0};
    json_t *inner = json_object_get(json, "text_config");
    assert_int_equal(sm_model_config_from_json(&c, json, &err), SM_OK);
    assert_int_equal(sm_model_n_param(&c), sm_model_n_param(&scout));
    assert_int_equal(c.nope_every, 4);
    assert_true(c.attn_temp_scale == 0.1f);
    json_object_set_new(inner, "use_qk_norm", json_string("yes"));
    assert_int_equal(sm_model_config_from_json(&c, json, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "use_qk_norm"));
    json_object_set_new(inner, "use_qk_norm", json_true());
    json_object_set_new(
        inner, "rope_parameters",
        json_pack("{s:s,s:f}", "rope_type", "default", "rope_theta", 77.0));
    assert_int_equal(sm_model_config_from_json(&c, json, &err), SM_OK);
    assert_true(c.rope_theta == 77.0f);
    json_object_set_new(inner, "rope_parameters",
                        json_pack("{s:s}", "rope_type", "yarn"));
    assert_int_equal(sm_model_config_from_json(&c, json, &err), SM_EUNSUPPORTED);
    json_object_del(inner, "rope_parameters");
    json_object_set_new(inner, "rope_scaling", json_pack("{s:s}", "rope_type", "llama3"));
    assert_int_equal(sm_model_config_from_json(&c, json, &err), SM_EUNSUPPORTED);
    json_decref(json);
}

static void expect_own(const sm_model_config *c, const char *type, const char *want)
{
    sm_buf own = {0};
    assert_string_equal(sm_model_config_type(c), type);
    assert_int_equal(sm_model_config_own(&own, c, NULL), SM_OK);
    assert_string_equal(own.data ? own.data : "", want);
    sm_buf_free(&own);
}

/* What a type cannot say is named where the logits depend on it, and there alone: the
 * program that knows the type rotates pairs (2j, 2j+1), has a shared expert as wide as an
 * expert, a sigmoid router without bias. */
static void test_own_fields(void **state)
{
    (void)state;
    sm_model_config c = scout;
    expect_own(&c, "llama4_text", "");
    c.n_slice = 2;
    expect_own(&c, "llama4_text", "");
    c.rope_interleaved = false;
    expect_own(&c, "llama4_text", "rope_interleaved false");
    c.d_shared = 0;
    c.router_bias = true;
    c.router = SM_ROUTER_SOFTMAX_TOPK;
    expect_own(&c, "llama4_text",
               "d_shared 0, router \"softmax_topk\", router_bias true, rope_interleaved "
               "false");
    c.n_expert = 0; /* a dense twin keeps the fields */
    c.router_bias = false;
    expect_own(&c, "llama4_text", "rope_interleaved false");
    c.nope_every = 1; /* nothing rotates */
    expect_own(&c, "llama4_text", "");
    c.nope_every = c.n_layer + 1;
    c.rope_interleaved = true;
    expect_own(&c, "llama4_text", "");
    c = (sm_model_config)SM_MODEL_CONFIG_DEFAULT;
    expect_own(&c, "llama", "");
    c.attn_temp_floor = 8192; /* of a temperature that is off, as smelt train gives it */
    expect_own(&c, "llama", "");
    c.n_expert = 8; /* of every layer: no other program looks for d_ff */
    c.k_expert = 2;
    c.d_expert = 352;
    expect_own(&c, "mixtral", "");
    c.rope_interleaved = true;
    c.n_expert = 0;
    expect_own(&c, "llama4_text", "");
}

static void expect_bad(sm_model_config c, const char *field)
{
    sm_err err = {0};
    assert_int_equal(sm_model_config_check(&c, &err), SM_EINVAL);
    if (!strstr(err.msg, field))
        fail_msg("want %s named: %s", field, err.msg);
}

static void test_check_names_field(void **state)
{
    (void)state;
    sm_model_config c = kinds[2].config;
    assert_int_equal(sm_model_config_check(&c, NULL), SM_OK);
    c.n_kv_head = 3;
    expect_bad(c, "n_kv_head");
    c = kinds[2].config;
    c.k_expert = 6;
    expect_bad(c, "k_expert");
    c = kinds[3].config;
    c.k_expert = 2;
    expect_bad(c, "k_expert");
    c = kinds[0].config;
    c.d_head = 7;
    expect_bad(c, "d_head");
    c = kinds[0].config;
    c.norm_eps = 0;
    expect_bad(c, "norm_eps");
    c = kinds[0].config;
    c.n_layer = 0;
    expect_bad(c, "n_layer");
    c = kinds[3].config; /* of two layers: the last may be the only one with experts */
    c.moe_every = 2;
    assert_int_equal(sm_model_config_check(&c, NULL), SM_OK);
    c.moe_every = 3;
    expect_bad(c, "moe_every: got 3, want 1..2");
    c.n_expert = 0; /* a dense twin keeps the field */
    c.router_bias = false;
    assert_int_equal(sm_model_config_check(&c, NULL), SM_OK);
}

static void test_check_slices(void **state)
{
    (void)state;
    sm_model_config good = kinds[N_KIND - 1].config, c = good;
    assert_int_equal(good.n_slice, 4);
    assert_int_equal(sm_model_config_check(&good, NULL), SM_OK);
    c.n_slice = 3;
    expect_bad(c, "power of two");
    c.n_slice = 8;
    expect_bad(c, "n_kv_head");
    c.n_slice = 0;
    expect_bad(c, "n_slice");
    c = good;
    c.d_head = 30;
    expect_bad(c, "n_head * d_head");
    c = good;
    c.d_ff = 64;
    expect_bad(c, "d_ff");
    c = good;
    c.d_expert = 136;
    expect_bad(c, "d_expert");
    c = good;
    c.d_shared = 32;
    expect_bad(c, "d_shared");
    c = good;
    c.n_vocab = 96;
    expect_bad(c, "n_vocab");
}

/* The ends of a range belong to it; what is beyond them does not. */
static void test_ends_of_ranges(void **state)
{
    (void)state;
#define ENDS(field, low, below, high, above)                      \
    do {                                                          \
        sm_model_config c = scout;                                \
        c.field = (low);                                          \
        assert_int_equal(sm_model_config_check(&c, NULL), SM_OK); \
        c.field = (high);                                         \
        assert_int_equal(sm_model_config_check(&c, NULL), SM_OK); \
        c.field = (below);                                        \
        expect_bad(c, #field);                                    \
        c.field = (above);                                        \
        expect_bad(c, #field);                                    \
    } while (0)
    ENDS(n_layer, 1, 0, 1024, 1025);
    ENDS(d_ff, 1, 0, 1 << 20, (1 << 20) + 1);
    ENDS(attn_chunk, 0, -1, 1 << 26, (1 << 26) + 1);
    ENDS(nope_every, 0, -1, 1024, 1025);
    ENDS(max_ctx, 1, 0, 1 << 24, (1 << 24) + 1);
    ENDS(rope_theta, 1, 0.99f, 1e12f, 1.01e12f);
    ENDS(attn_temp_floor, 1, 0.99f, 1e9f, 1.01e9f);
#undef ENDS
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_sizes), cmocka_unit_test(test_exact_count),
        cmocka_unit_test(test_views),           cmocka_unit_test(test_flops),
        cmocka_unit_test(test_json_round_trip), cmocka_unit_test(test_reads_scout),
        cmocka_unit_test(test_own_fields),      cmocka_unit_test(test_check_names_field),
        cmocka_unit_test(test_check_slices),
        cmocka_unit_test(test_ends_of_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
