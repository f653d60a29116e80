/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of JSON: what a killed process leaves of a journal is passed over, what is wrong in
 * an artifact is named.  Lock files: one holder at a time although holders remove them.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lines.h"

static void a_journal_gives_its_whole_steps(void **state)
{
    (void)state;
    static const char text[] = "{\"step\":1,\"a\":10}\n"
                               "\n"
                               "{\"step\":2,\"a\":\n"
                               "[3]\n"
                               "{\"step\":-9223372036854775808}\n"
                               "{\"step\":\"4\"}\n"
                               "{\"a\":5}\n"
                               "{\"step\":9223372036854775807}\n"
                               "{\"step\":1,\"a\":11}\n"
                               "{\"step\":7}";
    const int64_t want[] = {1, INT64_MAX, 1};
    lines l = {.text = text, .len = strlen(text)};
    size_t n = 0;
    while (lines_next_step(&l)) {
        assert_true(n < 3 && l.step == want[n++]);
        assert_true(l.line >= text && l.line[l.line_len] == '\n');
    }
    assert_int_equal(n, 3);
    assert_null(l.value);
    assert_false(lines_next_step(&l));
    l = (lines){.text = "", .len = 0};
    assert_false(lines_next_step(&l));
}

static void refused(const char *text, const char *part)
{
    lines l = {.text = text, .len = strlen(text)};
    sm_err err = {0};
    bool more = true;
    sm_status s = SM_OK;
    while (!s && more)
        s = lines_next(&more, &l, "f", &err);
    lines_end(&l);
    if (!s || !strstr(err.msg, part))
        fail_msg("got \"%s\", want \"%s\" in it", err.msg, part);
}

static void an_artifact_has_every_line(void **state)
{
    (void)state;
    lines l = {.text = "1\n{}\n", .len = 5};
    bool more = false;
    assert_int_equal(lines_next(&more, &l, "", NULL), SM_OK);
    assert_true(more && json_is_integer(l.value));
    assert_int_equal(lines_next(&more, &l, "", NULL), SM_OK);
    assert_true(more && json_is_object(l.value) && l.number == 2);
    assert_int_equal(lines_next(&more, &l, "", NULL), SM_OK);
    assert_false(more);
    refused("{}\n{}", "f: line 2: is cut short");
    refused("{}\n\n{}\n", "f: line 2");
    refused("{}\n{\n", "f: line 2");
}

/* ------------------------------------------------------------------- locks */

typedef struct contest {
    char path[64];
    atomic_int inside, collisions, wins;
} contest;

static void *compete(void *arg)
{
    contest *c = arg;
    for (int i = 0; i < 20000; i++) {
        int fd = flow_lock_try(c->path);
        if (fd < 0)
            continue;
        if (atomic_fetch_add(&c->inside, 1) != 0)
            atomic_fetch_add(&c->collisions, 1);
        atomic_fetch_add(&c->wins, 1);
        sched_yield();
        atomic_fetch_sub(&c->inside, 1);
        flow_lock_end(fd, c->path);
    }
    return NULL;
}

static void a_removed_lock_keeps_its_promise(void **state)
{
    (void)state;
    char dir[] = "/tmp/smelt-lock-XXXXXX";
    contest c = {0};
    pthread_t t[4];
    assert_non_null(mkdtemp(dir));
    snprintf(c.path, sizeof c.path, "%s/lock", dir);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, compete, &c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(c.wins > 0);
    assert_int_equal(c.collisions, 0);
    assert_false(sm_path_exists(c.path));
    sm_remove_tree(dir, NULL);
}

static void whoever_waits_says_so_and_can_be_stopped(void **state)
{
    (void)state;
    char dir[] = "/tmp/smelt-lock-XXXXXX", path[64];
    volatile int stop = 1;
    sm_ctx ctx = {.stop = &stop};
    sm_err err = {0};
    int fd = -1, other = -1;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/lock", dir);
    assert_int_equal(flow_lock_wait(&fd, path, &ctx, "me", "is at it", &err), SM_OK);
    assert_int_equal(flow_lock_wait(&other, path, &ctx, "me", "is at it", &err),
                     SM_ECANCEL);
    assert_non_null(strstr(err.msg, "me: stopped while waiting"));
    assert_int_equal(flow_lock_try(path), -1);
    flow_lock_end(fd, path);
    fd = flow_lock_try(path);
    assert_true(fd >= 0);
    flow_lock_end(fd, path);
    snprintf(path, sizeof path, "%s/none/lock", dir);
    assert_int_equal(flow_lock_try(path), -1);
    assert_int_equal(flow_lock_wait(&fd, path, &ctx, "me", "is at it", &err), SM_ENOENT);
    sm_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_gives_its_whole_steps),
        cmocka_unit_test(an_artifact_has_every_line),
        cmocka_unit_test(a_removed_lock_keeps_its_promise),
        cmocka_unit_test(whoever_waits_says_so_and_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
