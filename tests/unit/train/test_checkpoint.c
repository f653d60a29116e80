/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: what is saved comes back to the bit; every kind of damage is found and the
 * one before is used; a full disk leaves the older ones; another run's are not touched.
 */
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tiny.h"

typedef struct fixture {
    sm_train_config config;
    sm_model *model;
    train_optim optim;
    train_state state;
    json_t *json;
    char dir[32];
    sm_ctx ctx;
    sm_log log;
    char said[4096]; /* everything logged */
} fixture;

static void listen(void *self, sm_log_level level, const char *line)
{
    fixture *f = self;
    size_t n = strlen(f->said);
    (void)level;
    snprintf(f->said + n, sizeof f->said - n, "%s\n", line);
}

static void setup(fixture *f)
{
    sm_err err;
    memset(f, 0, sizeof *f);
    f->config = tiny_moe();
    f->json = sm_train_config_to_json(&f->config);
    f->log = (sm_log){.emit = listen, .self = f, .level = SM_LOG_DEBUG};
    f->ctx = (sm_ctx){.log = &f->log};
    OK(sm_model_create(&f->model, &f->config.model, 1, &err));
    OK(train_optim_init(&f->optim, &f->ctx, &f->config, f->model, &err));
    f->state = (train_state){.model = f->model,
                             .optim = &f->optim,
                             .config = f->json,
                             .data_checksum = 99,
                             .n_seq = 8};
    OK(train_state_name(&f->state, &err));
    make_dir(f->dir);
}

static void teardown(fixture *f)
{
    sm_err err;
    OK(sm_remove_tree(f->dir, &err));
    train_optim_fini(&f->optim);
    sm_model_free(f->model);
    json_decref(f->json);
}

/* Fill the state with numbers that tell the step. */
static void scribble(fixture *f, int64_t step)
{
    for (int64_t i = 0; i < f->model->n_weight; i++) {
        f->model->weight[i] =
            sm_rng_normal(1, SM_STREAM_TEST, (uint32_t)step, (uint64_t)i);
        f->optim.m[i] = f->model->weight[i] * 0.5f;
        f->optim.v[i] = f->model->weight[i] * f->model->weight[i];
    }
    for (int i = 0; i < 8; i++)
        f->model->router_bias[i] = (float)(step * 10 + i);
}

static void save(fixture *f, int64_t step)
{
    sm_err err;
    scribble(f, step);
    OK(train_ckpt_save(f->dir, &f->state, step, &f->ctx, &err));
}

/* Resume into a wiped state and compare with what scribble made. */
static void expect(fixture *f, int64_t want)
{
    sm_err err;
    int64_t step = -1;
    size_t bytes = (size_t)f->model->n_weight * sizeof(float);
    float *w = sm_alloc(3, bytes);
    scribble(f, want);
    memcpy(w, f->model->weight, bytes);
    memcpy(w + f->model->n_weight, f->optim.m, 2 * bytes);
    scribble(f, 12345);
    OK(train_ckpt_resume(&step, f->dir, &f->state, &f->ctx, &err));
    assert_int_equal(step, want);
    assert_memory_equal(w, f->model->weight, bytes);
    assert_memory_equal(w + f->model->n_weight, f->optim.m, 2 * bytes);
    for (int i = 0; i < 8; i++)
        assert_true(f->model->router_bias[i] == (float)(want * 10 + i));
    free(w);
}

static void path_of(char out[160], const fixture *f, int64_t step, const char *file)
{
    snprintf(out, 160, "%s/ckpt-%s-%08lld%s%s", f->dir, f->state.run, (long long)step,
             *file ? "/" : "", file);
}

static void test_round_trip(void **state)
{
    (void)state;
    fixture f;
    char path[160];
    int64_t step = -1;
    sm_err err;
    setup(&f);
    OK(train_ckpt_resume(&step, f.dir, &f.state, &f.ctx, &err));
    assert_int_equal(step, 0);
    save(&f, 10);
    expect(&f, 10);
    save(&f, 20);
    save(&f, 30);
    expect(&f, 30);
    path_of(path, &f, 10, ""); /* two are kept */
    assert_false(sm_path_exists(path));
    path_of(path, &f, 20, "");
    assert_true(sm_path_exists(path));
    assert_string_equal(f.said, "");
    teardown(&f);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(file);
    assert_true(c != EOF);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(c ^ 0x10, file);
    assert_int_equal(fclose(file), 0);
}

/* One byte anywhere: both files, at many places. */
static void test_flipped_byte(void **state)
{
    (void)state;
    fixture f;
    char path[160];
    static const char *const name[] = {"tensors.safetensors", "state.json"};
    setup(&f);
    save(&f, 10);
    for (int k = 0; k < 2; k++)
        for (uint64_t i = 0; i < 24; i++) {
            struct stat st;
            save(&f, 20);
            path_of(path, &f, 20, name[k]);
            assert_int_equal(stat(path, &st), 0);
            long at = (long)sm_rng_below((uint64_t)st.st_size - 1, 2, SM_STREAM_TEST,
                                         (uint32_t)k, i);
            flip(path, i == 0 ? -1 : at);
            f.said[0] = 0;
            int64_t step = 0;
            sm_err err;
            OK(train_ckpt_resume(&step, f.dir, &f.state, &f.ctx, &err));
            /* a byte of JSON's white space or of unused metadata may be harmless */
            if (step == 20) {
                expect(&f, 20);
                continue;
            }
            assert_int_equal(step, 10);
            assert_non_null(strstr(f.said, "is not usable"));
            assert_non_null(strstr(f.said, "trying the one before"));
            expect(&f, 10);
        }
    teardown(&f);
}

/* A figure changed by hand, and a state of another step under a checksum that is right: JSON
 * as good as any, but not what was saved. */
static void test_edited_state(void **state)
{
    (void)state;
    fixture f;
    char path[160];
    setup(&f);
    save(&f, 10);
    for (int k = 0; k < 2; k++) {
        json_t *j = NULL;
        sm_buf text = {0};
        sm_err err;
        save(&f, 20);
        expect(&f, 20);
        path_of(path, &f, 20, "state.json");
        OK(sm_json_load(&j, path, &err));
        if (k == 0) {
            json_object_set_new(json_object_get(j, "last"), "loss", json_real(0.5));
        } else {
            char hex[17];
            uint64_t sum = 0;
            json_object_set_new(j, "step", json_integer(19));
            json_object_del(j, "checksum");
            OK(train_ckpt_json_sum(&sum, j, 3, &err));
            train_ckpt_hex(hex, sum);
            json_object_set_new(j, "checksum", json_string(hex));
        }
        OK(sm_json_pretty(&text, j, &err));
        OK(sm_file_write_atomic(path, text.data, text.len, 0644, &err));
        f.said[0] = 0;
        expect(&f, 10);
        assert_non_null(strstr(f.said, k ? "step" : "state.json: checksum"));
        sm_buf_free(&text);
        json_decref(j);
    }
    teardown(&f);
}

static void test_truncated_and_missing(void **state)
{
    (void)state;
    fixture f;
    char path[160];
    setup(&f);
    save(&f, 10);
    save(&f, 20);
    path_of(path, &f, 20, "tensors.safetensors");
    assert_int_equal(truncate(path, 5000), 0);
    expect(&f, 10);
    assert_int_equal(truncate(path, 0), 0);
    expect(&f, 10);
    assert_int_equal(unlink(path), 0);
    expect(&f, 10);
    save(&f, 20); /* a damaged one of the same step is replaced */
    expect(&f, 20);
    path_of(path, &f, 20, "state.json");
    assert_int_equal(unlink(path), 0);
    expect(&f, 10);
    path_of(path, &f, 10, "state.json");
    assert_int_equal(truncate(path, 3), 0);
    int64_t step = -1;
    sm_err err;
    f.said[0] = 0;
    OK(train_ckpt_resume(&step, f.dir, &f.state, &f.ctx, &err));
    assert_int_equal(step, 0);
    assert_non_null(strstr(f.said, "from the beginning"));
    teardown(&f);
}

/* Neither kept one is usable, and the next is saved before the run is where they were. */
static void test_both_damaged(void **state)
{
    (void)state;
    fixture f;
    sm_err err;
    char path[160];
    int64_t step = -1;
    setup(&f);
    save(&f, 20);
    save(&f, 30);
    for (int64_t at = 20; at <= 30; at += 10) {
        path_of(path, &f, at, "tensors.safetensors");
        assert_int_equal(truncate(path, 5000), 0);
    }
    OK(train_ckpt_resume(&step, f.dir, &f.state, &f.ctx, &err));
    assert_int_equal(step, 0);
    save(&f, 5);
    expect(&f, 5);
    for (int64_t at = 20; at <= 30; at += 10) { /* refused then, of no use later */
        path_of(path, &f, at, "");
        assert_false(sm_path_exists(path));
    }
    save(&f, 10);
    save(&f, 15);
    path_of(path, &f, 5, "");
    assert_false(sm_path_exists(path));
    path_of(path, &f, 15, "state.json");
    assert_int_equal(unlink(path), 0);
    expect(&f, 10);
    teardown(&f);
}

static void test_other_runs(void **state)
{
    (void)state;
    fixture f;
    sm_err err;
    int64_t step = -1;
    char run[17], path[160];
    setup(&f);
    save(&f, 10);
    memcpy(run, f.state.run, sizeof run);
    f.state.data_checksum++; /* other data */
    OK(train_state_name(&f.state, &err));
    assert_string_not_equal(run, f.state.run);
    OK(train_ckpt_resume(&step, f.dir, &f.state, &f.ctx, &err));
    assert_int_equal(step, 0);
    save(&f, 5);
    save(&f, 6);
    save(&f, 7);
    f.state.data_checksum--;
    OK(train_state_name(&f.state, &err));
    expect(&f, 10);

    /* what a crash leaves is not a checkpoint */
    snprintf(path, sizeof path, "%s/ckpt-%s-00000099.tmp", f.dir, run);
    OK(sm_mkdirs(path, &err));
    expect(&f, 10);
    teardown(&f);
}

/* Writing stops in the middle: here by a limit on the size of a file, which behaves like
 * a full disk but for the number of the error. */
static void test_full_disk(void **state)
{
    (void)state;
    fixture f;
    sm_err err = {0};
    char path[160];
    struct rlimit old, small;
    setup(&f);
    save(&f, 10);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 10000, .rlim_max = old.rlim_max};
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    scribble(&f, 20);
    sm_status s = train_ckpt_save(f.dir, &f.state, 20, &f.ctx, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, was);
    assert_true(s == SM_EIO || s == SM_ENOSPC);
    assert_non_null(strstr(err.msg, "checkpoint of step 20"));
    path_of(path, &f, 20, ".tmp");
    assert_false(sm_path_exists(path));
    path_of(path, &f, 20, "");
    assert_false(sm_path_exists(path));
    expect(&f, 10);
    save(&f, 20); /* space again */
    expect(&f, 20);
    teardown(&f);
}

/* A disk that is really full: a small tmpfs, where the kernel lets us mount one. */
static void test_full_tmpfs(void **state)
{
    (void)state;
    fixture f;
    sm_err err = {0};
    char size[40];
    setup(&f);
    size_t one = (size_t)f.model->n_weight * 3 * sizeof(float);
    snprintf(size, sizeof size, "size=%zu", 2 * one + one / 2);
    if (mount("none", f.dir, "tmpfs", 0, size)) {
        print_message("skipped: no permission to mount a tmpfs\n");
        teardown(&f);
        return;
    }
    save(&f, 10);
    save(&f, 20);
    scribble(&f, 30);
    sm_status s = train_ckpt_save(f.dir, &f.state, 30, &f.ctx, &err);
    if (!s)
        umount2(f.dir, MNT_DETACH);
    assert_int_equal(s, SM_ENOSPC);
    assert_non_null(strstr(err.msg, "checkpoint of step 30"));
    expect(&f, 20);
    snprintf(size, sizeof size, "size=%zu", 4 * one);
    assert_int_equal(mount("none", f.dir, "tmpfs", MS_REMOUNT, size), 0);
    save(&f, 30);
    expect(&f, 30);
    assert_int_equal(umount(f.dir), 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_flipped_byte),
        cmocka_unit_test(test_edited_state),
        cmocka_unit_test(test_truncated_and_missing),
        cmocka_unit_test(test_both_damaged),
        cmocka_unit_test(test_other_runs),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_full_tmpfs),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
