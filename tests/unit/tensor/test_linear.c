/* SPDX-License-Identifier: Apache-2.0 */
/* Linear maps, weight gradients and their tree, the table of operations. */
#include "fixture.h"

enum { M = 77, N = 300, K = 130 };

static double naive(const float *x, const float *w, int i, int j)
{
    double s = 0;
    for (int p = 0; p < K; p++)
        s += (double)x[i * K + p] * (double)w[j * K + p];
    return s;
}

static void test_linear(void **state)
{
    (void)state;
    float *x = randoms(M * K, 1), *w = randoms(N * K, 2), *y = calloc(M * N, 4);
    float *z = calloc(M * N, 4), *first = calloc(M * N, 4);
    sm_pool *pool = NULL;
    assert_int_equal(sm_pool_create(&pool, 3, NULL), SM_OK);
    for (int r = 0; rung(r); r++) {
        const sm_prod *p = sm_kern_prod(rung(r), "f32/1");
        void *pb = sm_aligned_alloc(sm_weight_bytes(p, N, K));
        void *scratch = sm_aligned_alloc(sm_linear_scratch_bytes(p, M, K));
        sm_weight_pack(pool, p, pb, w, N, K, false);
        sm_linear(pool, p, y, N, x, K, pb, M, N, K, false, scratch);
        unsigned fp = sm_fp_enter();
        sm_linear_rows(p, z, N, x, K, pb, M, N, K, false, scratch);
        sm_fp_leave(fp);
        assert_memory_equal(y, z, M * N * sizeof *y);
        if (r == 0)
            memcpy(first, y, M * N * sizeof *y);
        assert_memory_equal(y, first, M * N * sizeof *y);
        sm_aligned_free(pb);
        sm_aligned_free(scratch);
    }
    for (int i = 0; i < M; i += 5)
        for (int j = 0; j < N; j += 3)
            near((double)y[i * N + j], naive(x, w, i, j), 1e-4, "y", i * N + j);
    sm_pool_free(pool);
    free(x);
    free(w);
    free(y);
    free(z);
    free(first);
}

/* dx = dy W through the transposed packing. */
static void test_transposed(void **state)
{
    (void)state;
    float *dy = randoms(M * N, 1), *w = randoms(N * K, 2), *dx = calloc(M * K, 4);
    const sm_prod *p = &rung(0)->f32;
    void *pb = sm_aligned_alloc(sm_weight_bytes(p, K, N));
    void *scratch = sm_aligned_alloc(sm_linear_scratch_bytes(p, M, N));
    sm_weight_pack(NULL, p, pb, w, N, K, true);
    sm_linear(NULL, p, dx, K, dy, N, pb, M, K, N, false, scratch);
    for (int i = 0; i < M; i += 7)
        for (int j = 0; j < K; j += 3) {
            double s = 0;
            for (int q = 0; q < N; q++)
                s += (double)dy[i * N + q] * (double)w[q * K + j];
            near((double)dx[i * K + j], s, 2e-4, "dx", i * K + j);
        }
    sm_aligned_free(pb);
    sm_aligned_free(scratch);
    free(dy);
    free(w);
    free(dx);
}

enum { SHARDS = 4, SHARD_TOK = 160, GM = 50, GN = 70 };

typedef struct grad_data {
    sm_chunk run[SHARDS];
    int32_t first[SHARDS + 1];
    void *a, *b, *scratch;
} grad_data;

static grad_data pack_grads(const sm_kern *kern, const sm_prod *p, const float *dy,
                            const float *x)
{
    grad_data g;
    size_t blocks = SHARDS * SHARD_TOK / SM_TOKEN_BLOCK;
    g.a = sm_aligned_alloc(blocks * sm_grad_unit_a(p, GM));
    g.b = sm_aligned_alloc(blocks * sm_grad_unit_b(p, GN));
    g.scratch = sm_aligned_alloc(4 * sm_grad_scratch_bytes(kern, SHARDS));
    for (int32_t s = 0; s < SHARDS; s++) {
        g.first[s] = s;
        g.run[s] = (sm_chunk){s * SHARD_TOK, SHARD_TOK};
    }
    g.first[SHARDS] = SHARDS;
    unsigned fp = sm_fp_enter();
    for (int c = 2 * SHARDS - 1; c >= 0; c--) {
        int32_t at = c % 2 ? SM_ROW_BLOCK : 0, row0 = c / 2 * SHARD_TOK + at;
        sm_chunk k = {row0, c % 2 ? SHARD_TOK - SM_ROW_BLOCK : SM_ROW_BLOCK};
        sm_grad_pack_a(p, g.a, dy + row0 * GM, GM, k, g.run[c / 2], GM);
        sm_grad_pack_b(p, g.b, x + row0 * GN, GN, k, g.run[c / 2], GN);
    }
    sm_fp_leave(fp);
    return g;
}

static void test_weight_gradient(void **state)
{
    (void)state;
    float *dy = randoms(SHARDS * SHARD_TOK * GM, 1),
          *x = randoms(SHARDS * SHARD_TOK * GN, 2);
    float *all = calloc(GM * GN, 4), *half = calloc(2 * GM * GN, 4);
    sm_pool *pool = NULL;
    assert_int_equal(sm_pool_create(&pool, 4, NULL), SM_OK);
    for (int r = 0; rung(r); r++)
        for (int profile = 0; profile < 2; profile++) {
            const sm_prod *p = profile ? &rung(r)->f32 : &rung(r)->bf16;
            grad_data g = pack_grads(rung(r), p, dy, x);
            sm_grad_job j = {.prod = p,
                             .dst = all,
                             .m = GM,
                             .n = GN,
                             .a = g.a,
                             .b = g.b,
                             .run = g.run,
                             .first = g.first};
            assert_int_equal(sm_grad_run(pool, rung(r), &j, 1, SHARDS, g.scratch), -1);
            for (int h = 0; h < 2; h++) { /* two halves, then the root of the tree */
                j.dst = half + h * GM * GN;
                j.first = g.first + 2 * h;
                assert_int_equal(sm_grad_run(NULL, rung(r), &j, 1, 2, g.scratch), -1);
            }
            rung(r)->add(half, half + GM * GN, GM * GN);
            assert_memory_equal(all, half, GM * GN * sizeof *all);
            sm_aligned_free(g.a);
            sm_aligned_free(g.b);
            sm_aligned_free(g.scratch);
        }
    for (int i = 0; i < GM; i += 3)
        for (int k = 0; k < GN; k += 5) {
            double s = 0;
            for (int t = 0; t < SHARDS * SHARD_TOK; t++)
                s += (double)dy[t * GM + i] * (double)x[t * GN + k];
            near((double)all[i * GN + k], s, 1e-3, "dw", i * GN + k);
        }
    sm_pool_free(pool);
    free(dy);
    free(x);
    free(all);
    free(half);
}

/* Chunks packed into a run leave what packing the run at once leaves. */
static void test_runs_are_packed_in_parts(void **state)
{
    (void)state;
    enum { ROWS = 2 * SM_ROW_BLOCK + 77 };
    float *x = randoms(ROWS * GM, 3);
    sm_chunk run = {64, ROWS};
    for (int r = 0; rung(r); r++)
        for (int profile = 0; profile < 2; profile++) {
            const sm_prod *p = profile ? &rung(r)->f32 : &rung(r)->bf16;
            size_t unit = sm_grad_unit_a(p, GM), unit_b = sm_grad_unit_b(p, GM);
            size_t bytes = (64 + ROWS + 31) / 32 * (unit > unit_b ? unit : unit_b);
            char *whole = sm_aligned_alloc(bytes), *parts = sm_aligned_alloc(bytes);
            memset(whole, 0, bytes);
            memset(parts, 0, bytes);
            for (int is_b = 0; is_b < 2; is_b++) {
                void (*pack)(const sm_prod *, void *, const float *, int64_t, sm_chunk,
                             sm_chunk, int64_t) = is_b ? sm_grad_pack_b : sm_grad_pack_a;
                pack(p, whole, x, GM, run, run, GM);
                static const int32_t cut[] = {0, 32, 160, 224, 320, ROWS};
                for (int c = 4; c >= 0; c--)
                    pack(p, parts, x + cut[c] * GM, GM,
                         (sm_chunk){64 + cut[c], cut[c + 1] - cut[c]}, run, GM);
                assert_memory_equal(whole, parts, bytes);
            }
            sm_aligned_free(whole);
            sm_aligned_free(parts);
        }
    free(x);
}

static void test_bad_gradient_is_noted(void **state)
{
    (void)state;
    float *dy = randoms(SHARDS * SHARD_TOK * GM, 1),
          *x = randoms(SHARDS * SHARD_TOK * GN, 2);
    float *dst = calloc(2 * GM * GN, 4);
    const sm_prod *p = &rung(0)->f32;
    dy[7 * GM + 3] = INFINITY;
    grad_data bad = pack_grads(rung(0), p, dy, x);
    dy[7 * GM + 3] = 1;
    grad_data good = pack_grads(rung(0), p, dy, x);
    sm_grad_job j[2] = {{.prod = p,
                         .dst = dst,
                         .m = GM,
                         .n = GN,
                         .a = good.a,
                         .b = good.b,
                         .run = good.run,
                         .first = good.first},
                        {.prod = p,
                         .dst = dst + GM * GN,
                         .m = GM,
                         .n = GN,
                         .a = bad.a,
                         .b = bad.b,
                         .run = bad.run,
                         .first = bad.first}};
    assert_int_equal(sm_grad_run(NULL, rung(0), j, 2, SHARDS, good.scratch), 1);
    assert_int_equal(sm_grad_run(NULL, rung(0), j, 1, SHARDS, good.scratch), -1);
    grad_data *both[2] = {&bad, &good};
    for (int i = 0; i < 2; i++) {
        sm_aligned_free(both[i]->a);
        sm_aligned_free(both[i]->b);
        sm_aligned_free(both[i]->scratch);
    }
    free(dy);
    free(x);
    free(dst);
}

static void test_table(void **state)
{
    (void)state;
    size_t n;
    const sm_op *ops = sm_op_table(&n);
    sm_op_shape s = {.n_tok = 64,
                     .n_out = 32,
                     .n_in = 16,
                     .n_ctx = 64,
                     .n_head = 4,
                     .n_kv_head = 2,
                     .d_head = 8,
                     .n_expert = 4,
                     .k_expert = 2,
                     .n_vocab = 100};
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(sm_op_find(ops[i].name), &ops[i]);
        assert_true(ops[i].flops_forward(&s) >= 0 && ops[i].flops_backward(&s) >= 0);
        assert_true(ops[i].bytes_moved(&s) > 0 && ops[i].bytes_saved(&s) >= 0);
        assert_true(ops[i].split != 0 && ops[i].saved && ops[i].per_sample);
    }
    const sm_op *linear = sm_op_find("linear");
    assert_true(linear->flops_forward(&s) == 2.0 * 64 * 32 * 16);
    assert_true(linear->flops_backward(&s) == 4.0 * 64 * 32 * 16);
    assert_null(sm_op_find("nothing"));
    assert_null(sm_kern_prod(rung(0), "fp4/1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_transposed),
        cmocka_unit_test(test_weight_gradient),
        cmocka_unit_test(test_runs_are_packed_in_parts),
        cmocka_unit_test(test_bad_gradient_is_noted),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
