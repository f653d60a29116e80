/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures and splits of training against what they are by definition: the load and losses of
 * a router that knows nothing, the standard error of a ratio, matrices that Muon takes alone,
 * best-fit-decreasing packing by hand, sums over ranks, names in checkpoints, ends of ranges.
 */
#include <math.h>

#include "tiny.h"

/* Logits of 0: every expert ties, all tokens go to the first one.  Switch Transformers'
 * auxiliary loss (2101.03961, eq. 4) is then a N sum f P = a N (1 * 1/N) = a a layer, and
 * the z-loss (2202.08906, eq. 5) c log^2 N a layer and token. */
static void test_router_that_knows_nothing(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_ctx ctx = make_ctx("ref", 2);
    sm_token_data *data = tiny_data(c.n_ctx);
    sm_model *m = NULL;
    train_optim o;
    train_step t;
    train_step_result f;
    sm_err err;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    for (int32_t l = 0; l < c.model.n_layer; l++)
        memset(m->weight + sm_model_layer(m, l).router, 0,
               (size_t)c.model.n_expert * (size_t)c.model.d_model * sizeof(float));
    OK(train_step_init(&t, &ctx, &c, data, m, &o, &err));
    OK(train_step_run(&f, &t, 0, &err));
    double n = c.model.n_expert, layers = c.model.n_layer;
    assert_true(f.load_min == 0 && f.load_max == n);
    assert_true(fabs(f.aux_loss - (double)c.loss.aux_coef * layers) < 1e-6);
    assert_true(fabs(f.router_z - (double)c.loss.z_coef * layers * log(n) * log(n)) <
                1e-6);
    train_step_fini(&t);
    train_optim_fini(&o);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

/* Bits per byte is a ratio of sums over documents; Cochran, "Sampling Techniques" (1977),
 * 6.4: var(R) = n / (n - 1) sum (x - R b)^2 / (sum b)^2. */
static void test_error_of_a_ratio(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(c.n_ctx);
    sm_model *m = NULL;
    sm_bpb got;
    sm_err err;
    enum { N = 60 };
    double nats[N], x = 0, b = 0, square = 0;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(sm_eval_bpb(&got, &ctx, m, c.profile, data, 3, nats, &err));
    assert_int_equal(got.n_doc, N);
    for (int i = 0; i < N; i++) {
        x += nats[i];
        b += (double)data->doc_bytes[i];
    }
    for (int i = 0; i < N; i++)
        square += pow(nats[i] - x / b * (double)data->doc_bytes[i], 2);
    double want = sqrt(square * N / (N - 1)) / b / log(2);
    assert_true(fabs(got.bpb - x / b / log(2)) < 1e-12 * got.bpb);
    assert_true(want > 0 && fabs(got.std_err - want) < 1e-12 * want);
    assert_int_equal(got.n_bytes, b);
    sm_token_data_free(data);
    const int32_t id[1] = {5};
    const int64_t start[2] = {0, 1}, bytes[1] = {1}; /* the least that has a figure */
    sm_token_config k = {.n_ctx = c.n_ctx, .bos_id = 0, .end_id = -1};
    OK(sm_token_data_from_ids(&data, id, start, bytes, 1, &k, &err));
    OK(sm_eval_bpb(&got, &ctx, m, c.profile, data, 3, nats, &err));
    assert_true(fabs(got.bpb - nats[0] / log(2)) < 1e-12 && got.std_err == 0);
    sm_token_data_free(data);
    sm_model_free(m);
    free_ctx(&ctx);
}

/* Gate and up of every expert are orthogonalised as if there were nothing else: on the first
 * step w moves by lr 0.2 sqrt(max(rows, cols)) times the orthogonal factor of its gradient. */
static void test_muon_takes_halves_of_experts(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_ctx ctx = make_ctx("ref", 2);
    sm_model *m = NULL;
    train_optim o;
    sm_err err;
    double norm;
    c.optimizer = SM_OPTIMIZER_MUON;
    c.profile = "f32/1";
    c.weight_decay = 0;
    c.model.d_expert = 48;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    float *g = sm_alloc((size_t)m->n_weight, sizeof *g);
    float *before = sm_alloc((size_t)m->n_weight, sizeof *before);
    memcpy(before, m->weight, (size_t)m->n_weight * sizeof *g);
    for (int64_t i = 0; i < m->n_weight; i++)
        g[i] = sm_rng_normal(2, SM_STREAM_TEST, 0, (uint64_t)i);
    OK(train_optim_step(&norm, &o, &ctx, &c, m->weight, g, 1, 0, &err));
    int64_t rows = c.model.d_expert, cols = c.model.d_model;
    double rate = sm_train_lr(&c, 0) * 0.2 * sqrt((double)(rows > cols ? rows : cols));
    float *x = sm_alloc((size_t)(rows * cols), sizeof *x);
    for (int64_t k = 0; k < 2 * c.model.n_expert; k++) {
        int64_t at = sm_model_layer(m, 1).expert_gate_up + k * rows * cols;
        memcpy(x, g + at, (size_t)(rows * cols) * sizeof *x);
        OK(train_muon_orthogonalise(x, rows, cols, &ctx, c.profile, &err));
        for (int64_t i = 0; i < rows * cols; i++) {
            double moved = (double)before[at + i] - (double)m->weight[at + i];
            assert_true(fabs(moved - rate * (double)x[i]) < 1e-5 * rate);
        }
    }
    free(x);
    free(g);
    free(before);
    train_optim_fini(&o);
    sm_model_free(m);
    free_ctx(&ctx);
}

/* What a Muon run saves says which moments are whose. */
static void test_names_in_a_checkpoint(void **state)
{
    (void)state;
    char dir[32];
    sm_train_config c = tiny_dense();
    sm_ctx ctx = make_ctx(NULL, 1);
    train_optim o;
    sm_model *m = NULL;
    sm_safetensors *f = NULL;
    sm_err err;
    c.optimizer = SM_OPTIMIZER_MUON;
    json_t *json = sm_train_config_to_json(&c);
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    train_state s = {.model = m, .optim = &o, .config = json, .n_seq = 8};
    OK(train_state_name(&s, &err));
    OK(train_ckpt_save(make_dir(dir), &s, 10, &ctx, &err));
    char *at = train_ckpt_path(dir, &s, 10, ""),
         *path = sm_path_join(at, "tensors.safetensors");
    OK(sm_safetensors_open(&f, path, &err));
    int n_muon = 0;
    for (int32_t i = 0; i < m->n_param_tensors; i++) {
        const sm_param *p = &m->param[i];
        bool is_muon = train_is_muon(&c, p);
        char name[4][160];
        snprintf(name[0], sizeof *name, "muon_m/%s", p->name);
        snprintf(name[1], sizeof *name, "adam_m/%s", p->name);
        snprintf(name[2], sizeof *name, "adam_v/%s", p->name);
        snprintf(name[3], sizeof *name, "weight/%s", p->name);
        assert_int_equal(sm_safetensors_find(f, name[0]) != NULL, is_muon);
        assert_int_equal(sm_safetensors_find(f, name[1]) != NULL, !is_muon);
        assert_int_equal(sm_safetensors_find(f, name[2]) != NULL, !is_muon);
        assert_non_null(sm_safetensors_find(f, name[3]));
        n_muon += is_muon;
    }
    assert_int_equal(n_muon, 7 * c.model.n_layer);
    sm_safetensors_close(f);
    OK(sm_remove_tree(dir, &err));
    free(at);
    free(path);
    train_optim_fini(&o);
    sm_model_free(m);
    json_decref(json);
    free_ctx(&ctx);
}

static void doubles_on_rank(sm_comm *comm, void *arg)
{
    sm_ctx ctx = {.comm = comm};
    sm_err err;
    double x[2] = {comm->rank + 1, 0.25};
    (void)arg;
    OK(train_ranks_f64(&ctx, x, 2, &err));
    assert_true(x[0] == comm->n_ranks * (comm->n_ranks + 1) / 2.0);
    assert_true(x[1] == 0.25 * comm->n_ranks);
}

static void test_sums_of_doubles(void **state)
{
    (void)state;
    const double x[5] = {1, 2, 4, 8, 16};
    run_ranks(2, doubles_on_rank, NULL);
    run_ranks(4, doubles_on_rank, NULL);
    for (int64_t n = 0; n <= 5; n++)
        assert_true(train_tree_f64(x, n) == (double)((1 << n) - 1));
}

static int compare_spaces(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Best fit decreasing, the slow way; rows of equal space are alike, so what it leaves free
 * is the same whichever it takes.  Returns the number of rows. */
static int64_t pack_slowly(int64_t *space, const piece *p, int64_t n, int64_t n_ctx)
{
    int64_t n_row = 0;
    for (int64_t len = n_ctx; len > 0; len--)
        for (int64_t i = 0; i < n; i++) {
            int64_t best = -1;
            if (p[i].len != len)
                continue;
            for (int64_t r = 0; r < n_row; r++)
                if (space[r] >= len && (best < 0 || space[r] < space[best]))
                    best = r;
            if (best < 0)
                space[best = n_row++] = n_ctx;
            space[best] -= len;
        }
    return n_row;
}

static void test_packing_is_best_fit_decreasing(void **state)
{
    (void)state;
    enum { N = 60 };
    for (uint32_t seed = 0; seed < 200; seed++) {
        int64_t n_ctx = 8 + seed % 130, want[N], got[N];
        piece p[N] = {{0}};
        packing k;
        sm_err err;
        for (uint64_t i = 0; i < N; i++)
            p[i].len =
                (int32_t)(1 + sm_rng_below((uint64_t)n_ctx, 5, SM_STREAM_TEST, seed, i));
        int64_t n_row = pack_slowly(want, p, N, n_ctx);
        OK(train_pack(&k, p, N, n_ctx, &err));
        assert_int_equal(k.n_row, n_row);
        for (int64_t r = 0; r < n_row; r++) {
            got[r] = n_ctx;
            for (int64_t i = k.first[r]; i < k.first[r + 1]; i++)
                got[r] -= p[k.order[i]].len;
        }
        qsort(want, (size_t)n_row, sizeof *want, compare_spaces);
        qsort(got, (size_t)n_row, sizeof *got, compare_spaces);
        assert_memory_equal(got, want, (size_t)n_row * sizeof *got);
        free(k.first);
        free(k.order);
    }
}

/* The ends of a range belong to it. */
static void test_ends_of_ranges(void **state)
{
    (void)state;
    sm_err err;
#define TAKE(field, value)                   \
    do {                                     \
        sm_train_config c = tiny_moe();      \
        c.field = (value);                   \
        OK(sm_train_config_check(&c, &err)); \
    } while (0)
    TAKE(init_gain, 0);
    TAKE(init_residual, 0);
    TAKE(min_lr_frac, 0);
    TAKE(min_lr_frac, 1);
    TAKE(decay_frac, 0);
    TAKE(decay_frac, 1);
    TAKE(beta1, 0);
    TAKE(beta2, 0);
    TAKE(muon_momentum, 0);
    TAKE(weight_decay, 0);
    TAKE(weight_decay, 10);
    TAKE(clip_norm, 0);
    TAKE(bias_rate, 0);
    TAKE(bias_rate, 1);
    TAKE(loss.aux_coef, 0);
    TAKE(loss.z_coef, 0);
    TAKE(loss.head_z_coef, 0);
    TAKE(warmup_steps, 0);
    TAKE(warmup_steps, 50);
    TAKE(stop_step, 50);
#undef TAKE
}

/* A run that stops early is another recipe; a range test of one step is at its rate. */
static void test_short_runs(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    json_t *whole = sm_train_config_to_json(&c);
    c.stop_step = 20;
    json_t *part = sm_train_config_to_json(&c);
    assert_null(json_object_get(whole, "stop_step"));
    assert_int_equal(json_integer_value(json_object_get(part, "stop_step")), 20);
    json_decref(whole);
    json_decref(part);
    c = tiny_dense();
    c.schedule = SM_SCHEDULE_RANGE;
    c.min_lr_frac = 1e-3;
    assert_true(fabs(sm_train_lr(&c, 0) / (c.lr * 1e-3) - 1) < 1e-12);
    assert_true(fabs(sm_train_lr(&c, 7) / (c.lr * pow(1e-3, 42.0 / 49)) - 1) < 1e-12);
    assert_true(sm_train_lr(&c, 49) == c.lr);
    c.n_steps = 1;
    assert_true(sm_train_lr(&c, 0) == c.lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_that_knows_nothing),
        cmocka_unit_test(test_error_of_a_ratio),
        cmocka_unit_test(test_muon_takes_halves_of_experts),
        cmocka_unit_test(test_names_in_a_checkpoint),
        cmocka_unit_test(test_sums_of_doubles),
        cmocka_unit_test(test_packing_is_best_fit_decreasing),
        cmocka_unit_test(test_ends_of_ranges),
        cmocka_unit_test(test_short_runs),
    };
    return cmocka_run_group_tests_name("identities", tests, NULL, NULL);
}
