/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several ranks of which only the first has somebody who listens or documents to score:
 * they meet in every collective, and all end with the same model.
 */
#include "tiny.h"

enum { N_RANKS = 2 };

typedef struct job {
    sm_train_config config;
    const char *scratch;
    bool has_commits, has_held_out; /* on rank 0 */
    int64_t resumed[N_RANKS], n_commit, n_step, n_eval;
    uint64_t sum[N_RANKS];
} job;

static sm_status on_commit(void *self, const sm_train_commit *c, sm_err *err)
{
    job *j = self;
    (void)c;
    (void)err;
    j->n_commit++;
    return SM_OK;
}

static sm_status on_step(void *self, const sm_train_metrics *m, sm_err *err)
{
    job *j = self;
    (void)err;
    j->n_step++;
    j->n_eval += m->has_eval;
    return SM_OK;
}

static void train_on_rank(sm_comm *comm, void *arg)
{
    job *j = arg;
    sm_err err = {0};
    sm_model *m = NULL;
    sm_train_summary summary;
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(j->config.n_ctx);
    sm_train_io io = {.data = data, .scratch = j->scratch, .commit_steps = 3};
    ctx.comm = comm;
    if (comm->rank == 0) {
        io.on_step = on_step;
        io.on_commit = j->has_commits ? on_commit : NULL;
        io.held_out = j->has_held_out ? data : NULL;
        io.self = io.commit_self = j;
    }
    OK(sm_train_run(&m, &summary, &ctx, &j->config, &io, &err));
    j->resumed[comm->rank] = summary.resumed_step;
    j->sum[comm->rank] = model_sum(m);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

static void run_job(job *j)
{
    j->n_commit = j->n_step = j->n_eval = 0;
    run_ranks(N_RANKS, train_on_rank, j);
    assert_true(j->sum[0] == j->sum[1]);
}

static job short_job(void)
{
    job j = {.config = tiny_dense()};
    j.config.n_steps = 8;
    j.config.warmup_steps = 1;
    j.config.checkpoint_steps = j.config.eval_steps = 4;
    return j;
}

static void test_one_hears_of_commitments(void **state)
{
    (void)state;
    job j = short_job();
    j.has_commits = true;
    run_job(&j);
    assert_int_equal(j.n_commit, 4); /* 0, 3, 6 and 8 */
    assert_int_equal(j.n_step, 8);
}

/* Resumed at an evaluated step, which rank 0 reports again. */
static void test_one_has_held_out_documents(void **state)
{
    (void)state;
    char dir[32];
    sm_err err;
    job j = short_job();
    j.scratch = make_dir(dir);
    j.has_held_out = true;
    run_job(&j);
    assert_int_equal(j.n_eval, 2);
    uint64_t sum = j.sum[0];
    run_job(&j);
    assert_int_equal(j.resumed[0], 8);
    assert_int_equal(j.resumed[1], 8);
    assert_int_equal(j.n_step, 1);
    assert_int_equal(j.n_eval, 1);
    assert_true(j.sum[0] == sum);
    OK(sm_remove_tree(dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_hears_of_commitments),
        cmocka_unit_test(test_one_has_held_out_documents),
    };
    return cmocka_run_group_tests_name("ranks", tests, NULL, NULL);
}
