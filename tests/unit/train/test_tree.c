/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed tree: any grouping of shards in aligned powers of two, and any number of
 * (pretend) ranks, gives the bits of the plain recursive sum, which differ from those of
 * a sum in sequence.
 */
#include "helpers.h"

enum { N = 40000, V = 16 };

static float *leaves(void)
{
    float *x = sm_alloc((size_t)V * N, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < (int64_t)V * N; i++)
        x[i] = sm_rng_normal(7, SM_STREAM_TEST, 0, (uint64_t)i) *
               (float)(1 << (sm_rng_u64(7, SM_STREAM_TEST, 1, (uint64_t)i) % 20));
    return x;
}

/* The definition: split in halves. */
static float oracle(const float *x, int64_t first, int64_t n, int64_t i)
{
    if (n == 1)
        return x[first * N + i];
    return oracle(x, first, n / 2, i) + oracle(x, first + n / 2, n / 2, i);
}

/* Sum shards first..first+n-1 through a tree whose leaves are groups of `group` shards.
 */
static void sum_groups(float *out, const float *x, int64_t first, int64_t n,
                       int64_t group, const sm_ctx *ctx)
{
    sm_tree *t = NULL;
    sm_err err;
    float *sum = NULL;
    OK(sm_tree_create(&t, N, n / group, &err));
    for (int64_t g = first; g < first + n; g += group) {
        float *leaf = sm_tree_leaf(t);
        for (int64_t i = 0; i < N; i++)
            leaf[i] = oracle(x, g, group, i);
        sm_tree_add(t, ctx);
    }
    OK(sm_tree_finish(&sum, t, ctx, &err));
    memcpy(out, sum, N * sizeof *out);
    sm_tree_free(t);
}

static void test_micro_batches(void **state)
{
    (void)state;
    float *x = leaves();
    float *want = sm_alloc(N, sizeof *want), *got = sm_alloc(N, sizeof *got);
    bool differs_from_sequence = false;
    sm_ctx ctx = make_ctx(NULL, 2);
    for (int64_t i = 0; i < N; i++) {
        want[i] = oracle(x, 0, V, i);
        float s = 0;
        for (int64_t v = 0; v < V; v++)
            s += x[v * N + i];
        differs_from_sequence |= s != want[i];
    }
    assert_true(differs_from_sequence);
    for (int64_t group = 1; group <= V; group *= 2) {
        sum_groups(got, x, 0, V, group, &ctx);
        assert_memory_equal(got, want, N * sizeof *got);
    }
    free_ctx(&ctx);
    free(x);
    free(want);
    free(got);
}

typedef struct rank_job {
    const float *x;
    float *got; /* [ranks, N] */
    int64_t group;
} rank_job;

static void sum_on_rank(sm_comm *comm, void *arg)
{
    rank_job *j = arg;
    int64_t n = V / comm->n_ranks;
    sm_ctx ctx = make_ctx(NULL, 1);
    ctx.comm = comm;
    sum_groups(j->got + (size_t)comm->rank * N, j->x, comm->rank * n, n, j->group, &ctx);
    free_ctx(&ctx);
}

static void test_ranks(void **state)
{
    (void)state;
    float *x = leaves();
    float *want = sm_alloc(N, sizeof *want);
    float *got = sm_alloc((size_t)MAX_RANKS * N, sizeof *got);
    for (int64_t i = 0; i < N; i++)
        want[i] = oracle(x, 0, V, i);
    for (int ranks = 1; ranks <= MAX_RANKS; ranks *= 2)
        for (int64_t group = 1; group <= V / ranks; group *= 4) {
            rank_job j = {.x = x, .got = got, .group = group};
            run_ranks(ranks, sum_on_rank, &j);
            for (int r = 0; r < ranks; r++)
                assert_memory_equal(got + (size_t)r * N, want, N * sizeof *want);
        }
    free(x);
    free(want);
    free(got);
}

static void integers_on_rank(sm_comm *comm, void *arg)
{
    sm_ctx ctx = {.comm = comm};
    sm_err err;
    int64_t x[2] = {comm->rank + 1, 100};
    (void)arg;
    OK(train_ranks_i64(&ctx, x, 2, &err));
    assert_int_equal(x[0], comm->n_ranks * (comm->n_ranks + 1) / 2);
    assert_int_equal(x[1], 100 * comm->n_ranks);
    sm_status mine = comm->rank == 1 ? SM_ENUMERIC : SM_OK;
    sm_status all = train_ranks_agree(&ctx, mine, &err);
    assert_int_equal(all, comm->rank == 1 ? SM_ENUMERIC : SM_EIO);
    assert_int_equal(train_ranks_agree(&ctx, SM_OK, &err), SM_OK);
    OK(comm->barrier(comm->self, &err));
}

static void test_agreement(void **state)
{
    (void)state;
    run_ranks(2, integers_on_rank, NULL);
    run_ranks(4, integers_on_rank, NULL);
}

static void test_refuses(void **state)
{
    (void)state;
    sm_tree *t = NULL;
    sm_err err;
    float *sum;
    sm_ctx ctx = make_ctx(NULL, 1);
    assert_int_equal(sm_tree_create(&t, 10, 3, &err), SM_EINVAL);
    assert_int_equal(sm_tree_create(&t, 0, 2, &err), SM_EINVAL);
    OK(sm_tree_create(&t, 10, 2, &err));
    assert_int_equal(sm_tree_bytes(t), 80);
    sm_tree_leaf(t);
    sm_tree_add(t, &ctx);
    assert_int_equal(sm_tree_finish(&sum, t, &ctx, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "got 1 leaves, want 2"));
    sm_tree_free(t);
    sm_comm three = {.n_ranks = 3};
    ctx.comm = &three;
    for (int64_t n_leaf = 1; n_leaf <= 2; n_leaf++) {
        OK(sm_tree_create(&t, 10, n_leaf, &err));
        for (int64_t i = 0; i < n_leaf; i++) {
            memset(sm_tree_leaf(t), 0, 10 * sizeof(float));
            sm_tree_add(t, &ctx);
        }
        assert_int_equal(sm_tree_finish(&sum, t, &ctx, &err), SM_EINVAL);
        assert_non_null(strstr(err.msg, "got 3 ranks, want a power of two"));
        sm_tree_free(t);
    }
    sm_tree_free(NULL);
    free_ctx(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_micro_batches),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
