/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Muon.  The orthogonalisation against a singular value decomposition in double (one-sided
 * Jacobi): the iteration must map each singular value by its polynomial and leave the
 * vectors.  Then the step against the formulas in double, what it moves and what it
 * leaves to AdamW, memory, and the determinism contract: rungs, threads, micro-batches,
 * ranks, interruptions.
 */
#include <math.h>

#include "tiny.h"

/* ------------------------------------------------------------ the oracle */

/* a [rows, cols], rows >= cols: rotates its columns until they are orthogonal, so that
 * a becomes U S; v [cols, cols] gathers the rotations. */
static void jacobi(double *a, double *v, int rows, int cols)
{
    for (int i = 0; i < cols * cols; i++)
        v[i] = i % (cols + 1) == 0;
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < cols; p++)
            for (int q = p + 1; q < cols; q++) {
                double pp = 0, qq = 0, pq = 0;
                for (int i = 0; i < rows; i++) {
                    pp += a[i * cols + p] * a[i * cols + p];
                    qq += a[i * cols + q] * a[i * cols + q];
                    pq += a[i * cols + p] * a[i * cols + q];
                }
                if (fabs(pq) <= 1e-15 * sqrt(pp * qq))
                    continue;
                double z = (qq - pp) / (2 * pq);
                double t = (z < 0 ? -1 : 1) / (fabs(z) + sqrt(1 + z * z));
                double c = 1 / sqrt(1 + t * t), s = c * t;
                for (int i = 0; i < rows + cols; i++) {
                    double *x = i < rows ? a + i * cols : v + (i - rows) * cols;
                    double xp = x[p];
                    x[p] = c * xp - s * x[q];
                    x[q] = s * xp + c * x[q];
                }
            }
}

static double polynomial(double s)
{
    for (int i = 0; i < 5; i++)
        s = s * (3.4445 + s * s * (-4.7750 + s * s * 2.0315));
    return s;
}

/* want [rows, cols] = U p(S / |x|) V^T; rows >= cols. */
static void oracle(double *want, const double *x, int rows, int cols)
{
    double *a = sm_alloc((size_t)(rows * cols), sizeof *a), norm = 0;
    double *v = sm_alloc((size_t)(cols * cols), sizeof *v);
    for (int i = 0; i < rows * cols; i++)
        norm += x[i] * x[i];
    norm = sqrt(norm);
    for (int i = 0; i < rows * cols; i++)
        a[i] = x[i] / norm;
    jacobi(a, v, rows, cols);
    for (int k = 0; k < cols; k++) {
        double s = 0;
        for (int i = 0; i < rows; i++)
            s += a[i * cols + k] * a[i * cols + k];
        s = sqrt(s);
        for (int i = 0; i < rows; i++)
            a[i * cols + k] *= s > 0 ? polynomial(s) / s : 0;
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            want[i * cols + j] = 0;
            for (int k = 0; k < cols; k++)
                want[i * cols + j] += a[i * cols + k] * v[j * cols + k];
        }
    free(a);
    free(v);
}

static float *random_matrix(int n, uint32_t step, float sd)
{
    float *x = sm_alloc((size_t)n, sizeof *x);
    for (int i = 0; i < n; i++)
        x[i] = sd * sm_rng_normal(9, SM_STREAM_TEST, step, (uint64_t)i);
    return x;
}

/* Relative distance of the orthogonalised x from the oracle's; also the least and the
 * largest singular value of it. */
static double distance(float *x, int rows, int cols, const char *profile, double range[2])
{
    bool is_wide = cols > rows;
    int l = is_wide ? cols : rows, s = is_wide ? rows : cols;
    size_t n = (size_t)(rows * cols);
    double *in = sm_alloc(n, sizeof *in), *want = sm_alloc(n, sizeof *want);
    double *got = sm_alloc(n, sizeof *got), *v = sm_alloc((size_t)(s * s), sizeof *v);
    double diff = 0, size = 0;
    sm_err err;
    sm_ctx ctx = make_ctx(NULL, 1);
#define AT(i, j) (is_wide ? (j) * cols + (i) : (i) * cols + (j))
    for (int i = 0; i < l; i++)
        for (int j = 0; j < s; j++)
            in[i * s + j] = (double)x[AT(i, j)];
    oracle(want, in, l, s);
    OK(train_muon_orthogonalise(x, rows, cols, &ctx, profile, &err));
    for (int i = 0; i < l; i++)
        for (int j = 0; j < s; j++) {
            got[i * s + j] = (double)x[AT(i, j)];
            diff += pow(got[i * s + j] - want[i * s + j], 2);
            size += pow(want[i * s + j], 2);
        }
#undef AT
    jacobi(got, v, l, s);
    range[0] = 9;
    range[1] = 0;
    for (int k = 0; k < s; k++) {
        double sum = 0;
        for (int i = 0; i < l; i++)
            sum += got[i * s + k] * got[i * s + k];
        range[0] = fmin(range[0], sqrt(sum));
        range[1] = fmax(range[1], sqrt(sum));
    }
    free(in);
    free(want);
    free(got);
    free(v);
    free_ctx(&ctx);
    return sqrt(diff / size);
}

/* ------------------------------------------------------ orthogonalisation */

static void test_against_svd(void **state)
{
    (void)state;
    static const int shape[][2] = {{48, 128}, {128, 48}, {33, 70}, {70, 33},
                                   {40, 40},  {1, 17},   {17, 1},  {200, 150}};
    for (uint32_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
        int r = shape[i][0], c = shape[i][1];
        double range[2];
        float *x = random_matrix(r * c, i, 1e-4f);
        double d = distance(x, r, c, "f32/1", range);
        if (d > 1e-4)
            fail_msg("f32/1 %d x %d: %g from the decomposition", r, c, d);
        free(x);
        x = random_matrix(r * c, i, 1e-4f);
        d = distance(x, r, c, "bf16/1", range);
        if (d > 0.05)
            fail_msg("bf16/1 %d x %d: %g from the decomposition", r, c, d);
        free(x);
    }
}

/* Where no singular value begins below 0.03 of the norm all end in the known band, 0.68
 * to 1.13 but for rounding. */
static void test_band(void **state)
{
    (void)state;
    static const char *const profile[] = {"f32/1", "bf16/1"};
    static const int shape[][2] = {{48, 128}, {128, 48}, {64, 300}};
    for (uint32_t i = 0; i < 3; i++)
        for (int p = 0; p < 2; p++) {
            double range[2];
            int r = shape[i][0], c = shape[i][1];
            float *x = random_matrix(r * c, i, 3);
            distance(x, r, c, profile[p], range);
            if (range[0] < 0.67 || range[1] > 1.2)
                fail_msg("%s %d x %d: singular values %g..%g, want 0.67..1.2", profile[p],
                         r, c, range[0], range[1]);
            free(x);
        }
}

static void test_zero_and_nan(void **state)
{
    (void)state;
    sm_err err;
    float x[12] = {0};
    sm_ctx ctx = make_ctx(NULL, 1);
    OK(train_muon_orthogonalise(x, 3, 4, &ctx, "bf16/1", &err));
    for (int i = 0; i < 12; i++)
        assert_true(x[i] == 0);
    x[5] = 3e38f; /* its square overflows */
    OK(train_muon_orthogonalise(x, 3, 4, &ctx, "bf16/1", &err));
    assert_true(isnan(x[5]));
    free_ctx(&ctx);
}

/* Every rung, serial and threaded: the same bits. */
static void test_rungs_and_threads(void **state)
{
    (void)state;
    static const char *const profile[] = {"f32/1", "bf16/1"};
    static const int shape[][2] = {{150, 290}, {290, 150}, {64, 31}};
    sm_err err;
    for (int p = 0; p < 2; p++)
        for (uint32_t i = 0; i < 3; i++) {
            int n = shape[i][0] * shape[i][1];
            float *want = random_matrix(n, i, 1);
            sm_ctx best = make_ctx(NULL, 4);
            OK(train_muon_orthogonalise(want, shape[i][0], shape[i][1], &best, profile[p],
                                        &err));
            free_ctx(&best);
            for (int r = 0; sm_kern_rung_name(r); r++) {
                sm_ctx ctx = {0};
                if (sm_kern_get(&ctx.kern, sm_kern_rung_name(r), NULL))
                    continue;
                float *x = random_matrix(n, i, 1);
                OK(train_muon_orthogonalise(x, shape[i][0], shape[i][1], &ctx, profile[p],
                                            &err));
                assert_memory_equal(x, want, (size_t)n * sizeof *x);
                free(x);
            }
            free(want);
        }
}

/* ------------------------------------------------------------- the step */

static sm_train_config muon(sm_train_config c)
{
    c.optimizer = SM_OPTIMIZER_MUON;
    c.n_steps = 16;
    return c;
}

/* Two steps of one matrix against the formulas in double; its neighbours, which AdamW
 * moves, against AdamW alone. */
static void test_step_formulas(void **state)
{
    (void)state;
    sm_train_config c = muon(tiny_dense()), plain = tiny_dense();
    sm_err err;
    sm_model *m = NULL, *twin = NULL;
    train_optim o, adamw;
    double norm;
    enum { ROWS = 16, COLS = 32, N = ROWS * COLS };
    double w[N], mom[N] = {0}, x[N], turned[N], out[N];
    sm_ctx ctx = make_ctx(NULL, 2);
    c.profile = plain.profile = "f32/1";
    c.warmup_steps = plain.warmup_steps = 0;
    plain.n_steps = c.n_steps;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(sm_model_create(&twin, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    OK(train_optim_init(&adamw, &ctx, &plain, twin, &err));
    const sm_param *k = &m->param[3];
    assert_non_null(strstr(k->name, "k_proj"));
    assert_int_equal(k->n, N);
    for (int i = 0; i < N; i++)
        w[i] = (double)m->weight[k->offset + i];
    for (uint32_t step = 0; step < 2; step++) {
        float *g = random_matrix((int)m->n_weight, step, 1e-3f);
        OK(train_optim_step(&norm, &o, &ctx, &c, m->weight, g, 0.5f, step, &err));
        OK(train_optim_step(&norm, &adamw, &ctx, &plain, twin->weight, g, 0.5f, step,
                            &err));
        for (int i = 0; i < N; i++) {
            double gi = 0.5 * (double)g[k->offset + i];
            mom[i] = 0.95 * mom[i] + gi;
            x[i] = gi + 0.95 * mom[i];
            turned[i % COLS * ROWS + i / COLS] = x[i];
        }
        oracle(out, turned, COLS, ROWS);
        double lr = sm_train_lr(&c, step);
        for (int i = 0; i < N; i++) {
            w[i] = (1 - lr * c.weight_decay) * w[i] -
                   lr * 0.2 * sqrt(COLS) * out[i % COLS * ROWS + i / COLS];
            assert_true(fabs(w[i] - (double)m->weight[k->offset + i]) < 2e-6);
        }
        free(g);
    }
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        const sm_param *p = &m->param[t];
        bool same = !memcmp(m->weight + p->offset, twin->weight + p->offset,
                            (size_t)p->n * sizeof(float));
        assert_true(same == !strstr(p->name, "proj"));
        assert_true((o.v_at[t] >= 0) == same);
    }
    train_optim_fini(&o);
    train_optim_fini(&adamw);
    sm_model_free(m);
    sm_model_free(twin);
    free_ctx(&ctx);
}

/* Experts are matrices each: one expert's gradient moves no other expert. */
static void test_experts_are_alone(void **state)
{
    (void)state;
    sm_train_config c = muon(tiny_moe());
    sm_err err;
    sm_model *m = NULL;
    train_optim o;
    double norm;
    sm_ctx ctx = make_ctx(NULL, 2);
    c.weight_decay = 0;
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(train_optim_init(&o, &ctx, &c, m, &err));
    float *g = sm_alloc((size_t)m->n_weight, sizeof *g);
    float *before = sm_alloc((size_t)m->n_weight, sizeof *before);
    memcpy(before, m->weight, (size_t)m->n_weight * sizeof *g);
    sm_layer_view v = sm_model_layer(m, 0);
    int64_t half = (int64_t)c.model.d_expert * c.model.d_model;
    int64_t at = v.expert_gate_up + 2 * half; /* the gate half of expert 1 */
    for (int64_t i = 0; i < half; i++)
        g[at + i] = sm_rng_normal(2, SM_STREAM_TEST, 0, (uint64_t)i);
    OK(train_optim_step(&norm, &o, &ctx, &c, m->weight, g, 1, 0, &err));
    for (int64_t i = 0; i < m->n_weight; i++) {
        bool inside = i >= at && i < at + half;
        assert_true((m->weight[i] != before[i]) == inside);
    }
    free(g);
    free(before);
    train_optim_fini(&o);
    sm_model_free(m);
    free_ctx(&ctx);
}

/* The plan tells the memory that the second moments no longer take. */
static void test_memory(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_err err;
    sm_train_plan plain, with;
    sm_model *m = NULL;
    size_t hidden = 0;
    sm_ctx ctx = make_ctx(NULL, 1);
    c.model.n_vocab = 32;
    c.model.n_layer = 40; /* so that scratch is small beside the state */
    OK(sm_train_plan_make(&plain, &ctx, &c, &err));
    c.optimizer = SM_OPTIMIZER_MUON;
    OK(sm_train_plan_make(&with, &ctx, &c, &err));
    OK(sm_model_create(&m, &c.model, 1, &err));
    for (int32_t t = 0; t < m->n_param_tensors; t++)
        hidden += train_is_muon(&c, &m->param[t]) ? (size_t)m->param[t].n * 4 : 0;
    assert_true(hidden > plain.weight_bytes * 9 / 10);
    size_t scratch = train_muon_bytes(&ctx, &c, m);
    assert_true(scratch > 0 && scratch < hidden / 10);
    assert_int_equal(with.optimizer_bytes, plain.optimizer_bytes - hidden + scratch);
    sm_model_free(m);
    free_ctx(&ctx);
}

/* --------------------------------------------------------------- training */

static sm_status stop_at_7(void *self, const sm_train_metrics *m, sm_err *err)
{
    double *loss = self;
    loss[m->step > 1] = m->loss;
    return loss[2] > 0 && m->step == 7 ? sm_fail(err, SM_EIO, "killed") : SM_OK;
}

/* Train; loss: of the first and the last step, and whether to be killed after step 7. */
static sm_status train(uint64_t *sum, double loss[3], const sm_train_config *c,
                       const char *rung, int n_threads, const char *scratch,
                       sm_comm *comm)
{
    sm_err err;
    sm_model *m = NULL;
    sm_ctx ctx = make_ctx(rung, n_threads);
    sm_token_data *data = tiny_data(c->n_ctx);
    ctx.comm = comm;
    sm_train_io io = {
        .data = data, .scratch = scratch, .on_step = stop_at_7, .self = loss};
    sm_status s = sm_train_run(&m, NULL, &ctx, c, &io, &err);
    *sum = m ? model_sum(m) : 0;
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return s;
}

static void same_bits(sm_train_config c)
{
    static const struct {
        const char *rung;
        int n_threads;
        int64_t micro;
    } v[] = {{NULL, 2, 1},     {NULL, 4, 2},     {"ref", 2, 0},
             {"avx2", 1, 4},   {"avx512", 2, 0}, {"avx512bf16", 2, 1},
             {"amx", 2, 0}};
    uint64_t want, got;
    double loss[3] = {0};
    sm_err err;
    char dir[32];
    assert_int_equal(train(&want, loss, &c, NULL, 1, NULL, NULL), SM_OK);
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        const sm_kern *k;
        if (v[i].rung && sm_kern_get(&k, v[i].rung, NULL))
            continue;
        c.micro_shards = v[i].micro;
        assert_int_equal(train(&got, loss, &c, v[i].rung, v[i].n_threads, NULL, NULL),
                         SM_OK);
        assert_true(got == want);
    }
    c.checkpoint_steps = 5;
    make_dir(dir);
    loss[2] = 1;
    assert_int_equal(train(&got, loss, &c, NULL, 2, dir, NULL), SM_EIO);
    loss[2] = 0;
    assert_int_equal(train(&got, loss, &c, NULL, 1, dir, NULL), SM_OK);
    assert_true(got == want);
    OK(sm_remove_tree(dir, &err));
}

static void test_bits_moe(void **state)
{
    (void)state;
    same_bits(muon(tiny_moe()));
}

static void test_bits_mixtral_f32(void **state)
{
    (void)state;
    sm_train_config c = muon(tiny_mixtral());
    c.profile = "f32/1";
    same_bits(c);
}

typedef struct rank_job {
    sm_train_config config;
    uint64_t sum[MAX_RANKS];
} rank_job;

static void on_rank(sm_comm *comm, void *arg)
{
    rank_job *j = arg;
    double loss[3] = {0};
    assert_int_equal(
        train(&j->sum[comm->rank], loss, &j->config, NULL, 1, NULL, comm), SM_OK);
}

static void test_ranks(void **state)
{
    (void)state;
    rank_job j = {.config = muon(tiny_moe())};
    uint64_t want = 0;
    j.config.checkpoint_steps = 0;
    for (int n = 1; n <= MAX_RANKS; n *= 2) {
        run_ranks(n, on_rank, &j);
        want = want ? want : j.sum[0];
        for (int r = 0; r < n; r++)
            assert_true(j.sum[r] == want);
    }
}

/* At AdamW's learning rate and in as many steps it learns as much. */
static void test_learns(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    double adamw[3] = {0}, with[3] = {0};
    uint64_t sum;
    c.n_steps = 60;
    c.checkpoint_steps = 0;
    assert_int_equal(train(&sum, adamw, &c, NULL, 2, NULL, NULL), SM_OK);
    c.optimizer = SM_OPTIMIZER_MUON;
    assert_int_equal(train(&sum, with, &c, NULL, 2, NULL, NULL), SM_OK);
    assert_true(with[0] == adamw[0]); /* the same model begins */
    assert_true(with[1] < 0.5 * with[0]);
    assert_true(with[1] < 1.2 * adamw[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_svd),
        cmocka_unit_test(test_band),
        cmocka_unit_test(test_zero_and_nan),
        cmocka_unit_test(test_rungs_and_threads),
        cmocka_unit_test(test_step_formulas),
        cmocka_unit_test(test_experts_are_alone),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bits_moe),
        cmocka_unit_test(test_bits_mixtral_f32),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_learns),
    };
    return cmocka_run_group_tests_name("muon", tests, NULL, NULL);
}
