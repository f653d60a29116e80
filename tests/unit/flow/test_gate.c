/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates and the verdict in force: a process is killed at every point between two durable
 * writes of the store, and what the model counts as is looked at before and after a rerun.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/store/internal.h" /* at_point */
#include "internal.h"
#include "smelt/bind.h"
#include "smelt/kern.h"

#define OK(call) assert_int_equal(call, SM_OK)

typedef struct fixture {
    char dir[64];
    sm_store *store;
    sm_ctx ctx;
    char model[65], evaluation[65];
} fixture;

static void write_file(const char *dir, const char *name, const char *text)
{
    char *path = sm_path_join(dir, name);
    OK(sm_file_write_atomic(path, text, strlen(text), 0644, NULL));
    free(path);
}

/* An artifact of one file. */
static void put(char id[65], fixture *f, const char *kind, const char *file,
                const char *text, json_t *recipe)
{
    char *staging = NULL;
    sm_artifact a = {0};
    OK(sm_store_staging(&staging, f->store, kind, NULL));
    write_file(staging, file, text);
    OK(sm_store_commit(&a, f->store, kind, recipe, staging, NULL, NULL, NULL));
    snprintf(id, 65, "%s", a.content.hex);
    sm_artifact_free(&a);
    json_decref(recipe);
    free(staging);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/smelt-gate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    OK(sm_store_init(f->dir, NULL));
    OK(sm_store_open(&f->store, f->dir, NULL));
    OK(sm_kern_get(&f->ctx.kern, "ref", NULL));
    f->ctx.comm = sm_comm_self();
    put(f->model, f, "model", "model.safetensors", "weights",
        json_pack("{s:s}", "step", "test"));
    put(f->evaluation, f, "evaluation", "figures.json", "{\"bpb\": {\"value\": 2.0}}",
        json_pack("{s:s, s:[s]}", "step", "test", "inputs", f->model));
    write_file(f->dir, "mild.yaml", "gate: mild\nrequire:\n  - {figure: bpb, max: 3}\n");
    write_file(f->dir, "strict.yaml",
               "gate: strict\nrequire:\n  - {figure: bpb, max: 1}\n");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    sm_store_close(f->store);
    sm_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}

static sm_status run_gate(const fixture *f, sm_store *store, const char *name,
                          sm_err *err)
{
    char path[128];
    sm_flow_result r = {0};
    const char *in[] = {f->model, f->evaluation};
    snprintf(path, sizeof path, "%s/%s.yaml", f->dir, name);
    json_t *o = json_pack("{s:s}", "gate", path);
    sm_status s = sm_flow_step(&r, &f->ctx, store, "gate", in, 2, o, "test", name, err);
    sm_flow_result_free(&r);
    json_decref(o);
    return s;
}

static void die_at(void *self, const char *point)
{
    (void)point;
    if ((*(int *)self)-- == 0)
        raise(SIGKILL);
}

/* Run a gate in a process that dies at point n of the store; false when it came to its
 * end. */
static bool dies_at(const fixture *f, const char *name, int n)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sm_store *store = NULL;
        if (sm_store_open(&store, f->dir, NULL))
            _exit(2);
        store->at_point = die_at;
        store->at_self = &n;
        _exit(run_gate(f, store, name, NULL) != SM_OK);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static sm_servable servable(const fixture *f)
{
    sm_err err = {0};
    sm_store *store = NULL; /* opened anew: what a crash left is finished */
    sm_servable v = {0};
    OK(sm_store_open(&store, f->dir, &err));
    sm_status s = sm_servable_find(&v, store, f->model, NULL, &err);
    if (s)
        fail_msg("%s", err.msg);
    sm_store_close(store);
    return v;
}

static bool is_admitted(const fixture *f)
{
    sm_servable v = servable(f);
    bool passed = v.passed;
    sm_servable_free(&v);
    return passed;
}

static bool is_there(const fixture *f, const char *ref)
{
    sm_artifact a = {0};
    sm_status s = sm_store_find(&a, f->store, ref, NULL);
    sm_artifact_free(&a);
    return s == SM_OK;
}

/* Once the release of a gate can be seen, its verdict is in force. */
static void a_failed_gate_is_never_passed_over(void **state)
{
    fixture *f = *state;
    sm_err err = {0};
    int n = 0, n_cut = 0;
    bool died = true;
    OK(run_gate(f, f->store, "mild", &err));
    assert_true(is_admitted(f));
    for (; died; n++) {
        died = dies_at(f, "strict", n);
        assert_in_range(n, 0, 100);
        sm_servable v = servable(f);
        if (is_there(f, "strict"))
            assert_false(v.passed);
        assert_false(v.passed && v.cut_short);
        n_cut += v.cut_short;
        sm_servable_free(&v);
        if (!is_there(f, "strict") || !died)
            continue;
        break; /* it is made: only the last points are left */
    }
    assert_true(n > 3);
    assert_true(n_cut > 0); /* a verdict whose release was not there yet */
    OK(run_gate(f, f->store, "strict", &err));
    assert_false(is_admitted(f));
    OK(run_gate(f, f->store, "mild", &err));
    assert_true(is_admitted(f));
}

/* A verdict that was made before comes into force before its ref moves. */
static void a_repeated_gate_counts_before_its_ref_moves(void **state)
{
    fixture *f = *state;
    sm_err err = {0};
    const char *ref = "strict";
    OK(run_gate(f, f->store, "strict", &err));
    OK(run_gate(f, f->store, "mild", &err));
    sm_artifact mild = {0}, strict = {0}, now = {0};
    OK(sm_store_find(&mild, f->store, "mild", &err));
    OK(sm_store_find(&strict, f->store, ref, &err));
    for (int n = 0;; n++) {
        OK(sm_store_set_ref(f->store, ref, &mild.content, &err));
        OK(run_gate(f, f->store, "mild", &err));
        assert_true(is_admitted(f));
        bool died = dies_at(f, "strict", n);
        OK(sm_store_find(&now, f->store, ref, &err));
        if (!strcmp(now.content.hex, strict.content.hex))
            assert_false(is_admitted(f));
        sm_artifact_free(&now);
        if (!died)
            break;
    }
    assert_false(is_admitted(f));
    sm_artifact_free(&mild);
    sm_artifact_free(&strict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_gate_is_never_passed_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_repeated_gate_counts_before_its_ref_moves,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
