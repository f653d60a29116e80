/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors and model directories: round trips, a real file, hostile files. */
#include <math.h>
#include <unistd.h>

#include "fixture.h"

static void temp_dir(char *dir)
{
    memcpy(dir, "/tmp/smelt-model-XXXXXX", sizeof "/tmp/smelt-model-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static sm_status load_dir(sm_model **m, const char *dir, sm_err *err)
{
    char config[256], weights[256];
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
    return sm_model_load(m, config, weights, err);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < N_KIND; i++) {
        char dir[64];
        sm_err err = {0};
        sm_model *a = make_model(&kinds[i].config), *b = NULL;
        temp_dir(dir);
        if (sm_model_save(a, dir, SM_F32, &err) || load_dir(&b, dir, &err))
            fail_msg("%s: %s", kinds[i].name, err.msg);
        assert_int_equal(a->n_weight, b->n_weight);
        assert_memory_equal(a->weight, b->weight, (size_t)a->n_weight * sizeof(float));
        if (a->router_bias)
            assert_memory_equal(a->router_bias, b->router_bias,
                                (size_t)(a->config.n_layer * a->config.n_expert) * 4);
        sm_model_free(b);
        assert_int_equal(sm_model_save(a, dir, SM_BF16, &err), SM_OK);
        assert_int_equal(load_dir(&b, dir, &err), SM_OK);
        for (int64_t j = 0; j < a->n_weight; j++) {
            float diff = a->weight[j] - b->weight[j], size = a->weight[j];
            diff = diff < 0 ? -diff : diff;
            size = size < 0 ? -size : size;
            assert_true(diff <= size / 256);
        }
        sm_model_free(a);
        sm_model_free(b);
        assert_int_equal(sm_remove_tree(dir, NULL), SM_OK);
    }
}

/* Hugging Face stores Llama 4's experts as [expert, in, out]. */
static void test_llama4_layout(void **state)
{
    (void)state;
    char dir[64], path[128];
    sm_safetensors *s = NULL;
    sm_model *m = make_model(&kinds[3].config);
    temp_dir(dir);
    assert_int_equal(sm_model_save(m, dir, SM_F32, NULL), SM_OK);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(sm_safetensors_open(&s, path, NULL), SM_OK);
    const sm_tensor_entry *e =
        sm_safetensors_find(s, "model.layers.1.feed_forward.experts.gate_up_proj");
    assert_non_null(e);
    int64_t d = m->config.d_model, f2 = 2 * m->config.d_expert;
    assert_int_equal(e->shape[1], d);
    assert_int_equal(e->shape[2], f2);
    const float *w = m->weight + sm_model_layer(m, 1).expert_gate_up;
    float x;
    memcpy(&x, (const char *)e->data + 4 * ((2 * d + 5) * f2 + 3), sizeof x);
    assert_true(x == w[(2 * f2 + 3) * d + 5]);
    sm_safetensors_close(s);
    sm_model_free(m);
    assert_int_equal(sm_remove_tree(dir, NULL), SM_OK);
}

/* A weight or a router's bias that is no number. */
static void test_not_finite(void **state)
{
    (void)state;
    char dir[64];
    sm_err err = {0};
    sm_model *m = make_model(&kinds[3].config), *loaded = NULL;
    const struct {
        float *at;
        const char *want;
    } spot[] = {
        {&m->weight[5], "model.embed_tokens.weight: element 5"},
        {&m->router_bias[0], "smelt.router_bias: element 0"},
        {&m->router_bias[6], "smelt.router_bias: element 6"},
    };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    temp_dir(dir);
    for (size_t i = 0; i < sizeof spot / sizeof *spot; i++)
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
            float was = *spot[i].at;
            *spot[i].at = bad[j];
            assert_int_equal(sm_model_save(m, dir, SM_F32, NULL), SM_OK);
            assert_int_equal(load_dir(&loaded, dir, &err), SM_ENUMERIC);
            assert_non_null(strstr(err.msg, spot[i].want));
            *spot[i].at = was;
        }
    assert_int_equal(sm_model_save(m, dir, SM_F32, NULL), SM_OK);
    assert_int_equal(load_dir(&loaded, dir, &err), SM_OK);
    sm_model_free(loaded);
    sm_model_free(m);
    assert_int_equal(sm_remove_tree(dir, NULL), SM_OK);
}

/* A file written by another implementation. */
static void test_real_file(void **state)
{
    (void)state;
    static const char dir[] = SMELT_SOURCE_DIR "/../shared/data/ckpt-tiny-llama-untrained"
                                               "/model";
    sm_model *m = NULL;
    sm_err err = {0};
    if (!sm_path_exists(dir)) {
        printf("skipped: %s is not there\n", dir);
        skip();
    }
    if (load_dir(&m, dir, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(m->n_weight, 795776);
    assert_int_equal(m->config.n_kv_head, 4);
    double square = 0;
    const sm_param *p = &m->param[2];
    assert_string_equal(p->name, "model.layers.0.self_attn.q_proj.weight");
    for (int64_t i = 0; i < p->n; i++)
        square += (double)m->weight[p->offset + i] * (double)m->weight[p->offset + i];
    square /= (double)p->n;
    assert_true(square > 0.00038 && square < 0.00042); /* sd 0.02 */
    assert_true(m->weight[sm_model_ends(m).norm] == 1.0f);
    sm_model_free(m);
}

static sm_status parse_text(const char *header, size_t data_len, sm_err *err)
{
    static unsigned char file[4096];
    size_t n = strlen(header);
    sm_safetensors *s = NULL;
    memset(file, 0, sizeof file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, header, n);
    sm_status st = sm_safetensors_parse(&s, file, 8 + n + data_len, "file", err);
    sm_safetensors_close(s);
    return st;
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        sm_status want;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, SM_OK},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, SM_OK},
        {"{}", 0, SM_OK},
        {"{}", 4, SM_ECORRUPT},
        {"[]", 0, SM_ECORRUPT},
        {"{\"a\":1}", 0, SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
         SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
         SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8,
         SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
         "\"data_offsets\":[0,0]}}",
         0, SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
         SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8,
         SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, SM_ECORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
         SM_ECORRUPT},
        {"{\"a\":", 0, SM_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sm_err err = {0};
        sm_status got = parse_text(cases[i].header, cases[i].data, &err);
        if (got != cases[i].want)
            fail_msg("%s: got %s (%s)", cases[i].header, sm_status_name(got), err.msg);
    }
    sm_safetensors *s = NULL;
    assert_int_equal(
        sm_safetensors_parse(&s, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, "x", NULL),
        SM_ECORRUPT);
    assert_int_equal(sm_safetensors_parse(&s, "abc", 3, "x", NULL), SM_ECORRUPT);
}

/* A config that wants more than the file holds is refused before anything is allocated. */
static void test_greedy_config(void **state)
{
    (void)state;
    char dir[64], path[128];
    sm_err err = {0};
    sm_model *m = make_model(&kinds[0].config), *b = NULL;
    temp_dir(dir);
    assert_int_equal(sm_model_save(m, dir, SM_F32, NULL), SM_OK);
    sm_model_config c = kinds[0].config;
    c.d_ff = 1 << 20;
    c.n_layer = 1000;
    json_t *json = sm_model_config_to_json(&c);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(json, path, 0), 0);
    assert_int_equal(load_dir(&b, dir, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "the config wants"));
    json_decref(json);
    sm_model_free(m);
    assert_int_equal(sm_remove_tree(dir, NULL), SM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_llama4_layout),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_real_file),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_greedy_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
