/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The determinism contract on a tiny recipe: the weights after 50 steps are the same to
 * the bit on every rung of this CPU, with 1, 2 and 4 threads, micro-batches of 1, 2, 4 or
 * all shards, activations held, forward run again or recomputed, on 1, 2 and 4 (pretend)
 * ranks; and held-out figures do not depend on how many rows go at once.
 */
#include "tiny.h"

typedef struct variant {
    const char *rung; /* NULL: the best */
    int n_threads;
    int64_t micro_shards;
    bool recompute;
    size_t memory_bytes;
} variant;

static sm_train_config with(sm_train_config c, const variant *v)
{
    c.checkpoint_steps = 0;
    c.micro_shards = v->micro_shards;
    c.recompute = v->recompute;
    c.memory_bytes = v->memory_bytes;
    return c;
}

static uint64_t run_on(const sm_train_config *c, sm_ctx *ctx)
{
    sm_err err;
    sm_model *m = NULL;
    sm_token_data *data = tiny_data(c->n_ctx);
    sm_train_io io = {.data = data};
    OK(sm_train_run(&m, NULL, ctx, c, &io, &err));
    uint64_t sum = model_sum(m);
    sm_model_free(m);
    sm_token_data_free(data);
    return sum;
}

static uint64_t run_variant(sm_train_config c, const variant *v)
{
    c = with(c, v);
    sm_ctx ctx = make_ctx(v->rung, v->n_threads);
    uint64_t sum = run_on(&c, &ctx);
    free_ctx(&ctx);
    return sum;
}

static bool has_rung(const char *rung)
{
    const sm_kern *k;
    return sm_kern_get(&k, rung, NULL) == SM_OK;
}

/* `golden` was computed once, and is the same with gcc and clang at any optimisation: a
 * change of it is a change of the numerics, which calls for a new profile name or a new
 * version of the step train. */
static void same_bits(const sm_train_config *c, uint64_t golden)
{
    static const variant list[] = {
        {NULL, 1, 0, false, SIZE_MAX},   {NULL, 2, 1, false, SIZE_MAX},
        {NULL, 4, 2, false, SIZE_MAX},   {NULL, 2, 4, false, SIZE_MAX},
        {NULL, 2, 1, false, 1},          {NULL, 1, 4, true, SIZE_MAX},
        {NULL, 2, 0, true, SIZE_MAX},    {NULL, 4, 2, true, 1},
        {"avx2", 2, 2, false, SIZE_MAX}, {"avx512", 2, 0, false, SIZE_MAX},
        {"avx512bf16", 2, 4, false, SIZE_MAX},
        {"amx", 2, 0, false, SIZE_MAX},  {"ref", 2, 4, false, SIZE_MAX},
    };
    uint64_t want = run_variant(*c, &list[0]);
    if (want != golden)
        fail_msg("profile %s: weights sum to %016llx, want %016llx", c->profile,
                 (unsigned long long)want, (unsigned long long)golden);
    for (size_t i = 1; i < sizeof list / sizeof list[0]; i++) {
        const variant *v = &list[i];
        if (v->rung && !has_rung(v->rung)) {
            print_message("skipped: this CPU has no %s\n", v->rung);
            continue;
        }
        uint64_t got = run_variant(*c, v);
        if (got != want)
            fail_msg("rung %s, %d threads, micro %lld, recompute %d: other weights",
                     v->rung ? v->rung : "best", v->n_threads, (long long)v->micro_shards,
                     v->recompute);
    }
}

static void test_llama4_bf16(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    same_bits(&c, UINT64_C(0x179bc228d6c56282));
}

static void test_mixtral_bf16(void **state)
{
    (void)state;
    sm_train_config c = tiny_mixtral();
    c.n_steps = 15;
    same_bits(&c, UINT64_C(0xbf7643748b4b866d));
}

static void test_dense_f32(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    c.profile = "f32/1";
    c.n_steps = 15;
    same_bits(&c, UINT64_C(0x97652fd18af51c41));
}

typedef struct rank_job {
    sm_train_config config;
    uint64_t sum[MAX_RANKS];
} rank_job;

static void train_on_rank(sm_comm *comm, void *arg)
{
    rank_job *j = arg;
    sm_ctx ctx = make_ctx(NULL, 1);
    ctx.comm = comm;
    j->sum[comm->rank] = run_on(&j->config, &ctx);
    free_ctx(&ctx);
}

static void test_ranks(void **state)
{
    (void)state;
    rank_job j = {.config = tiny_moe()};
    j.config.checkpoint_steps = 0;
    j.config.n_steps = 20;
    uint64_t want = 0;
    for (int n = 1; n <= MAX_RANKS; n *= 2)
        for (int64_t micro = 0; micro <= 1; micro++) {
            j.config.micro_shards = micro;
            run_ranks(n, train_on_rank, &j);
            want = want ? want : j.sum[0];
            for (int r = 0; r < n; r++)
                assert_true(j.sum[r] == want);
        }
}

/* A job that moves: begun on 2 ranks, killed, resumed on 4, killed, ended on 1. */
typedef struct moving_job {
    sm_train_config config;
    const char *scratch;
    int64_t kill_at;
    sm_status status[MAX_RANKS];
    int64_t resumed[MAX_RANKS];
    uint64_t sum[MAX_RANKS];
} moving_job;

static sm_status kill_at(void *self, const sm_train_metrics *m, sm_err *err)
{
    const moving_job *j = self;
    return m->step == j->kill_at ? sm_fail(err, SM_EIO, "killed") : SM_OK;
}

static void train_moving(sm_comm *comm, void *arg)
{
    moving_job *j = arg;
    sm_train_summary summary;
    sm_model *m = NULL;
    sm_err err;
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(j->config.n_ctx);
    sm_train_io io = {.data = data, .scratch = j->scratch, .on_step = kill_at, .self = j};
    ctx.comm = comm;
    j->status[comm->rank] = sm_train_run(&m, &summary, &ctx, &j->config, &io, &err);
    j->resumed[comm->rank] = summary.resumed_step;
    j->sum[comm->rank] = m ? model_sum(m) : 0;
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

static void test_ranks_come_and_go(void **state)
{
    (void)state;
    static const struct {
        int n_ranks;
        int64_t kill_at, resumed;
    } leg[] = {{2, 8, 0}, {4, 13, 5}, {1, 0, 10}};
    char dir[32];
    sm_err err;
    moving_job j = {.config = tiny_moe(), .scratch = make_dir(dir)};
    j.config.n_steps = 16;
    j.config.checkpoint_steps = 5;
    variant v = {.n_threads = 2, .memory_bytes = SIZE_MAX};
    uint64_t want = run_variant(j.config, &v);
    for (size_t i = 0; i < 3; i++) {
        j.kill_at = leg[i].kill_at;
        run_ranks(leg[i].n_ranks, train_moving, &j);
        for (int r = 0; r < leg[i].n_ranks; r++) {
            assert_int_equal(j.resumed[r], leg[i].resumed);
            assert_int_equal(j.status[r], leg[i].kill_at ? SM_EIO : SM_OK);
        }
    }
    assert_true(j.sum[0] == want);
    OK(sm_remove_tree(dir, &err));
}

static void test_seed_matters(void **state)
{
    (void)state;
    variant v = {.n_threads = 2, .memory_bytes = SIZE_MAX};
    sm_train_config c = tiny_dense();
    c.n_steps = 2;
    c.warmup_steps = 0;
    uint64_t a = run_variant(c, &v);
    c.seed = 2;
    assert_true(run_variant(c, &v) != a);
}

static void test_eval_batch_invariant(void **state)
{
    (void)state;
    sm_train_config c = tiny_moe();
    sm_err err;
    sm_model *m = NULL;
    sm_bpb one, all;
    double nats[60], again[60];
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(32);
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(sm_eval_bpb(&one, &ctx, m, "bf16/1", data, 1, nats, &err));
    OK(sm_eval_bpb(&all, &ctx, m, "bf16/1", data, 1000, again, &err));
    assert_memory_equal(nats, again, sizeof nats);
    assert_memory_equal(&one, &all, sizeof one);
    assert_int_equal(one.n_doc, 60);
    /* an untrained model: about log2(64) bits a token, a token a byte and one for the end
     */
    double want = 6.0 * (double)one.n_tok / (double)one.n_bytes;
    assert_true(one.bpb > want * 0.98 && one.bpb < want * 1.02);
    assert_true(one.std_err > 0 && one.std_err < one.bpb / 10);
    sm_token_data *odd = tiny_data(27); /* rows that fill no whole block of tokens */
    OK(sm_eval_bpb(&one, &ctx, m, "bf16/1", odd, 1, nats, &err));
    OK(sm_eval_bpb(&all, &ctx, m, "bf16/1", odd, 1000, again, &err));
    assert_memory_equal(nats, again, sizeof nats);
    sm_token_data_free(odd);
    int stop = 1;
    ctx.stop = &stop;
    assert_int_equal(sm_eval_bpb(&one, &ctx, m, "bf16/1", data, 4, NULL, &err),
                     SM_ECANCEL);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama4_bf16),
        cmocka_unit_test(test_mixtral_bf16),
        cmocka_unit_test(test_dense_f32),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_ranks_come_and_go),
        cmocka_unit_test(test_seed_matters),
        cmocka_unit_test(test_eval_batch_invariant),
    };
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
