/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training through the amx rung on a machine without AMX: the rung's own code over the
 * software tile unit gives the weights that the reference gives.
 */
#include "unit/train/tiny.h"

#include "kcheck.h"

static uint64_t train(const sm_train_config *c, const sm_kern *kern)
{
    sm_err err;
    sm_model *m = NULL;
    sm_ctx ctx = {.kern = kern};
    OK(sm_pool_create(&ctx.pool, 2, &err));
    sm_token_data *data = tiny_data(c->n_ctx);
    sm_train_io io = {.data = data};
    OK(sm_train_run(&m, NULL, &ctx, c, &io, &err));
    uint64_t sum = model_sum(m);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return sum;
}

static void same_bits(sm_train_config c)
{
    sm_err err;
    sm_kern amx;
    const sm_kern *ref;
    OK(sm_kern_get(&ref, "ref", &err));
    if (!kc_amx_model(&amx)) {
        print_message("skipped: the amx rung needs AVX-512 beneath it\n");
        return;
    }
    c.n_steps = 2; /* a tile instruction takes 0.2 ms here */
    c.warmup_steps = 0;
    c.n_seq = c.n_shard = 2;
    c.model.n_layer = 1;
    c.checkpoint_steps = 0;
    assert_int_equal(train(&c, &amx), train(&c, ref));
}

static void test_llama4(void **state)
{
    (void)state;
    same_bits(tiny_moe());
}

static void test_mixtral(void **state)
{
    (void)state;
    same_bits(tiny_mixtral());
}

static void test_dense_in_slices(void **state)
{
    (void)state;
    sm_train_config c = tiny_dense();
    c.model.n_head = 4;
    c.model.n_kv_head = 2;
    c.model.d_head = 32;
    c.model.n_slice = 2;
    c.n_ctx = c.model.max_ctx = 64;
    same_bits(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama4),
        cmocka_unit_test(test_mixtral),
        cmocka_unit_test(test_dense_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
