/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commitments: when they come, that a run begun at a kept state makes the same bits, that
 * a kept state has one file, and what is refused.
 */
#include "tiny.h"

enum { N_KEPT = 8 };

typedef struct keeper {
    char dir[32];
    int64_t step[N_KEPT];
    uint64_t sum[N_KEPT]; /* of all tensors of the state */
    int n;
} keeper;

static void path_at(char out[64], const keeper *k, int64_t step)
{
    snprintf(out, 64, "%s/%03d.safetensors", k->dir, (int)step);
}

static sm_status keep(void *self, const sm_train_commit *c, sm_err *err)
{
    keeper *k = self;
    char path[64];
    assert_true(k->n < N_KEPT);
    for (size_t i = 0; i < c->n_tensor; i++)
        k->sum[k->n] = train_ckpt_entry_sum(k->sum[k->n], &c->tensor[i]);
    k->step[k->n++] = c->step;
    path_at(path, k, c->step);
    return sm_path_exists(path) ? SM_OK : sm_train_commit_save(path, c, err);
}

/* Train and return the sum of the model. */
static uint64_t train(keeper *k, const sm_train_config *c, const sm_train_segment *g,
                      int64_t interval)
{
    sm_err err = {0};
    sm_model *m = NULL;
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(32);
    k->n = 0;
    memset(k->sum, 0, sizeof k->sum);
    sm_train_io io = {.data = data,
                      .on_commit = keep,
                      .commit_self = k,
                      .commit_steps = interval,
                      .segment = g};
    OK(sm_train_run(&m, NULL, &ctx, c, &io, &err));
    uint64_t sum = model_sum(m);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return sum;
}

static void segments_make_the_same_bits(void **state)
{
    (void)state;
    sm_err err = {0};
    keeper whole = {.n = 0}, part = {.n = 0};
    sm_train_config c = tiny_moe();
    make_dir(whole.dir);
    make_dir(part.dir);
    c.n_steps = 10;
    uint64_t model = train(&whole, &c, NULL, 4);
    static const int64_t want[] = {0, 4, 8, 10};
    assert_int_equal(whole.n, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(whole.step[i], want[i]);
    for (int i = 0; i < 3; i++) {
        char from[64];
        path_at(from, &whole, want[i]);
        sm_train_segment g = {
            .state_path = i ? from : NULL, .from = want[i], .to = want[i + 1]};
        uint64_t sum = train(&part, &c, &g, 0);
        assert_true(part.sum[part.n - 1] == whole.sum[i + 1]);
        if (i == 2)
            assert_true(sum == model);
    }
    sm_train_segment none = {.from = 0, .to = 0};
    train(&part, &c, &none, 4);
    assert_int_equal(part.n, 1);
    assert_true(part.sum[0] == whole.sum[0]);
    OK(sm_remove_tree(whole.dir, &err));
    OK(sm_remove_tree(part.dir, &err));
}

/* ------------------------------------------------------ a tampered checkpoint */

typedef struct stopper {
    volatile int stop;
    int64_t at;
} stopper;

static sm_status stop_at(void *self, const sm_train_metrics *m, sm_err *err)
{
    stopper *k = self;
    (void)err;
    sm_stop_set(&k->stop, m->step == k->at);
    return SM_OK;
}

/* Train with checkpoints in `scratch`, stopped after step `stop` (0: to the end). */
static sm_status train_in(const char *scratch, keeper *k, const sm_train_config *c,
                          int64_t stop)
{
    sm_err err = {0};
    sm_model *m = NULL;
    sm_ctx ctx = make_ctx(NULL, 2);
    stopper end = {.at = stop};
    sm_token_data *data = tiny_data(32);
    ctx.stop = &end.stop;
    sm_train_io io = {.data = data,
                      .scratch = scratch,
                      .on_step = stop_at,
                      .self = &end,
                      .on_commit = keep,
                      .commit_self = k,
                      .commit_steps = 4};
    sm_status s = sm_train_run(&m, NULL, &ctx, c, &io, &err);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return s;
}

/* Change one weight of the newest checkpoint and save it with checksums that fit. */
static void tamper(const char *scratch, const sm_train_config *c, int64_t want)
{
    sm_err err = {0};
    int64_t step = 0;
    train_optim optim = {0};
    sm_ctx ctx = make_ctx(NULL, 1);
    sm_token_data *data = tiny_data(32);
    train_state t = {.optim = &optim,
                     .config = sm_train_config_to_json(c),
                     .data_checksum = sm_token_data_stats(data)->checksum,
                     .n_seq = c->n_seq};
    OK(sm_model_create(&t.model, &c->model, c->seed, &err));
    OK(train_optim_init(&optim, &ctx, c, t.model, &err));
    OK(train_state_name(&t, &err));
    OK(train_ckpt_resume(&step, scratch, &t, &ctx, &err));
    assert_int_equal(step, want);
    t.model->weight[100] += 0.25f;
    OK(train_ckpt_save(scratch, &t, step, &ctx, &err));
    train_optim_fini(&optim);
    sm_model_free(t.model);
    json_decref((json_t *)(uintptr_t)t.config);
    sm_token_data_free(data);
    free_ctx(&ctx);
}

/* The run is stopped in the middle of a segment, its checkpoint changed, the run resumed.
 * From the kept states every segment can be recomputed but the one of the change. */
static void a_tampered_checkpoint_shows_in_its_segment(void **state)
{
    (void)state;
    sm_err err = {0};
    char scratch[32];
    keeper run = {.n = 0}, part = {.n = 0};
    sm_train_config c = tiny_moe();
    static const int64_t step[] = {0, 4, 8, 12};
    make_dir(scratch);
    make_dir(run.dir);
    make_dir(part.dir);
    c.n_steps = 12;
    assert_int_equal(train_in(scratch, &run, &c, 6), SM_ECANCEL);
    tamper(scratch, &c, 6);
    assert_int_equal(train_in(scratch, &run, &c, 0), SM_OK);
    assert_int_equal(run.n, 4);
    for (int i = 0; i < 3; i++) {
        char from[64];
        path_at(from, &run, step[i]);
        sm_train_segment g = {
            .state_path = i ? from : NULL, .from = step[i], .to = step[i + 1]};
        train(&part, &c, &g, 0);
        assert_int_equal(part.sum[part.n - 1] == run.sum[i + 1], i != 1);
    }
    OK(sm_remove_tree(scratch, &err));
    OK(sm_remove_tree(run.dir, &err));
    OK(sm_remove_tree(part.dir, &err));
}

static void a_state_has_one_file(void **state)
{
    (void)state;
    sm_err err = {0};
    keeper a = {.n = 0}, b = {.n = 0};
    sm_train_config c = tiny_moe();
    char x[64], y[64], *p = NULL, *q = NULL;
    size_t n = 0, m = 0;
    make_dir(a.dir);
    make_dir(b.dir);
    c.n_steps = 4;
    c.warmup_steps = 1;
    train(&a, &c, NULL, 2);
    c.micro_shards = 2;
    c.recompute = true;
    train(&b, &c, NULL, 2);
    path_at(x, &a, 2);
    path_at(y, &b, 2);
    OK(sm_file_read(&p, &n, x, 0, &err));
    OK(sm_file_read(&q, &m, y, 0, &err));
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
    OK(sm_remove_tree(a.dir, &err));
    OK(sm_remove_tree(b.dir, &err));
}

static sm_status try(const sm_train_config *c, const sm_train_segment *g, sm_err *err)
{
    sm_model *m = NULL;
    sm_ctx ctx = make_ctx("ref", 1);
    sm_token_data *data = tiny_data(32);
    sm_train_io io = {.data = data, .segment = g};
    sm_status s = sm_train_run(&m, NULL, &ctx, c, &io, err);
    sm_model_free(m);
    sm_token_data_free(data);
    free_ctx(&ctx);
    return s;
}

static void bad_segments_are_refused(void **state)
{
    (void)state;
    static const struct {
        sm_train_segment segment;
        sm_status want;
    } bad[] = {
        {{.from = 1, .to = 2}, SM_EINVAL},
        {{.from = 0, .to = 51}, SM_EINVAL},
        {{.from = 3, .to = 2, .state_path = "x"}, SM_EINVAL},
        {{.from = 1, .to = 2, .state_path = "/none"}, SM_ENOENT},
    };
    sm_err err = {0};
    sm_train_config c = tiny_moe();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(try(&c, &bad[i].segment, &err), bad[i].want);
}

/* ------------------------------------------------------ states of something else */

/* A run of four steps whose state after two is kept at path_at(k, 2). */
static sm_train_config keep_state(keeper *k)
{
    sm_train_config c = tiny_moe();
    make_dir(k->dir);
    c.n_steps = 4;
    c.warmup_steps = 1;
    train(k, &c, NULL, 2);
    return c;
}

static void expect_refusal(const sm_train_config *c, const char *path, int64_t from,
                           sm_status want, const char *says)
{
    sm_err err = {0};
    const sm_train_segment g = {.from = from, .to = 4, .state_path = path};
    assert_int_equal(try(c, &g, &err), want);
    if (!strstr(err.msg, path) || !strstr(err.msg, says))
        fail_msg("got \"%s\", want \"%s\" in it", err.msg, says);
}

/* The same names and bytes, one matrix on its side. */
static void a_state_of_other_shapes_is_refused(void **state)
{
    (void)state;
    sm_err err = {0};
    keeper k = {.n = 0};
    sm_train_config c = keep_state(&k);
    sm_safetensors *f = NULL;
    char kept[64], turned[80];
    path_at(kept, &k, 2);
    snprintf(turned, sizeof turned, "%s.turned", kept);
    OK(sm_safetensors_open(&f, kept, &err));
    size_t n = sm_safetensors_n(f);
    sm_tensor_entry *e = sm_alloc(n, sizeof *e);
    for (size_t i = 0; i < n; i++)
        e[i] = *sm_safetensors_at(f, i);
    assert_true(e[0].n_dim == 2 && e[0].shape[0] != e[0].shape[1]);
    int64_t rows = e[0].shape[0];
    e[0].shape[0] = e[0].shape[1];
    e[0].shape[1] = rows;
    OK(sm_safetensors_write(turned, e, n, sm_safetensors_metadata(f), &err));
    expect_refusal(&c, turned, 2, SM_ECORRUPT, "in dimension 0 of 2");
    const sm_train_segment good = {.from = 2, .to = 3, .state_path = kept};
    OK(try(&c, &good, &err));
    free(e);
    sm_safetensors_close(f);
    OK(sm_remove_tree(k.dir, &err));
}

static void a_state_of_another_run_is_refused(void **state)
{
    (void)state;
    sm_err err = {0};
    keeper k = {.n = 0};
    char kept[64];
    sm_train_config c = keep_state(&k), other = c;
    path_at(kept, &k, 2);
    expect_refusal(&c, kept, 3, SM_EINVAL, "step: got \"2\", want 3");
    other.lr = 3e-3;
    expect_refusal(&other, kept, 2, SM_EINVAL, "config: lr: got 0.01, want 0.003");
    other = c;
    other.model.n_vocab = 128; /* other tensors, too */
    expect_refusal(&other, kept, 2, SM_EINVAL, "config: vocab_size: got 64, want 128");
    other = c;
    other.mup_base_width = 16; /* a field that is not written when it is off */
    expect_refusal(&other, kept, 2, SM_EINVAL,
                   "config: mup_base_width: got nothing, want 16");
    other = c; /* what has no part in the result may differ */
    other.stop_step = 3;
    other.recompute = true;
    const sm_train_segment good = {.from = 2, .to = 3, .state_path = kept};
    OK(try(&other, &good, &err));
    OK(sm_remove_tree(k.dir, &err));
}

/* The file with one entry of its metadata changed; NULL: removed. */
static void rewrite(const char *to, const char *from, const char *key, const char *value)
{
    sm_err err = {0};
    sm_safetensors *f = NULL;
    OK(sm_safetensors_open(&f, from, &err));
    json_t *meta = json_deep_copy(sm_safetensors_metadata(f));
    assert_int_equal(json_object_size(meta), 4);
    if (value)
        json_object_set_new(meta, key, json_string(value));
    else
        json_object_del(meta, key);
    OK(sm_safetensors_write(to, sm_safetensors_at(f, 0), sm_safetensors_n(f), meta,
                            &err));
    json_decref(meta);
    sm_safetensors_close(f);
}

static void a_state_is_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        sm_status want;
        const char *says;
    } bad[] = {
        {"format", NULL, SM_EINVAL, "format: got \"\", want smelt-train-state/1"},
        {"format", "pt", SM_EINVAL, "format: got \"pt\", want smelt-train-state/1"},
        {"step", NULL, SM_EINVAL, "step: got \"\", want 2"},
        {"step", "02", SM_EINVAL, "step: got \"02\", want 2"},
        {"data_checksum", NULL, SM_EINVAL, "data_checksum: got \"\", want "},
        {"data_checksum", "0123456789abcdef", SM_EINVAL,
         "data_checksum: got \"0123456789abcdef\", want "},
        {"config", NULL, SM_EINVAL, "config: got none, want an object"},
        {"config", "[]", SM_EINVAL, "config: got none, want an object"},
        {"config", "{}", SM_EINVAL, "got nothing, want "},
        {"config", "{", SM_ECORRUPT, "metadata: config:1:"},
    };
    sm_err err = {0};
    keeper k = {.n = 0};
    char kept[64], changed[80];
    sm_train_config c = keep_state(&k);
    path_at(kept, &k, 2);
    snprintf(changed, sizeof changed, "%s.changed", kept);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rewrite(changed, kept, bad[i].key, bad[i].value);
        expect_refusal(&c, changed, 2, bad[i].want, bad[i].says);
    }
    OK(sm_remove_tree(k.dir, &err));
}

static void the_models_part(void **state)
{
    (void)state;
    sm_err err = {0};
    sm_model *m = NULL;
    sm_tensor_entry *e = NULL;
    size_t n = 0;
    sm_train_config c = tiny_moe();
    OK(sm_model_create(&m, &c.model, 1, &err));
    OK(sm_train_model_tensors(&e, &n, m, &err));
    assert_int_equal(n, m->n_param_tensors + 1);
    assert_string_equal(e[n - 1].name, "router_bias");
    assert_ptr_equal(e[0].data, m->weight);
    free(e);
    sm_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_make_the_same_bits),
        cmocka_unit_test(a_tampered_checkpoint_shows_in_its_segment),
        cmocka_unit_test(a_state_has_one_file),
        cmocka_unit_test(bad_segments_are_refused),
        cmocka_unit_test(a_state_of_other_shapes_is_refused),
        cmocka_unit_test(a_state_of_another_run_is_refused),
        cmocka_unit_test(a_state_is_what_it_says),
        cmocka_unit_test(the_models_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
