/* SPDX-License-Identifier: Apache-2.0 */
/* sys: the event log: sums, own time, rings, the pool's shares, Chrome trace events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "smelt/sys.h"

static void spin(int64_t ns)
{
    for (int64_t end = sm_clock_ns() + ns; sm_clock_ns() < end;)
        ;
}

static const sm_trace_sum *find(const sm_trace_sum *s, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(s[i].name, name))
            return &s[i];
    fail_msg("no sum named %s", name);
    return NULL;
}

static void refuses_bad_sizes(void **state)
{
    sm_trace *t = NULL;
    sm_err err;
    (void)state;
    assert_int_equal(sm_trace_create(&t, 0, 8, &err), SM_EINVAL);
    assert_int_equal(sm_trace_create(&t, 257, 8, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "257"));
    assert_null(t);
    sm_trace_free(NULL);
}

static void off_records_nothing(void **state)
{
    (void)state;
    sm_trace_span s = sm_trace_begin(NULL, 3);
    sm_trace_lap(&s, "x", 1, 1);
    sm_trace_label(NULL, "x", 1, 1);
    assert_int_equal(s.start_ns, 0);
}

/* outer [ a b [ c ] ]: own times add up to the outer duration, to the nanosecond. */
static void own_time_of_nested_spans(void **state)
{
    sm_trace *t = NULL;
    sm_trace_sum sum[8];
    (void)state;
    assert_int_equal(sm_trace_create(&t, 1, 16, NULL), SM_OK);
    sm_trace_span outer = sm_trace_begin(t, 0), lap = sm_trace_begin(t, 0);
    spin(200000);
    sm_trace_lap(&lap, "a", 10, 20);
    sm_trace_span inner = sm_trace_begin(t, 0);
    spin(300000);
    sm_trace_lap(&inner, "c", 5, 0);
    spin(100000);
    sm_trace_lap(&lap, "b", 1, 2);
    sm_trace_span never = sm_trace_begin(t, 0); /* costs nothing */
    (void)never;
    spin(50000);
    sm_trace_lap(&outer, "outer", 0, 0);
    size_t n = sm_trace_sums(t, sum, 8);
    assert_int_equal(n, 4);
    const sm_trace_sum *a = find(sum, n, "a"), *b = find(sum, n, "b"),
                       *c = find(sum, n, "c"), *o = find(sum, n, "outer");
    assert_true(a->self_ns >= 200000 && c->self_ns >= 300000 && b->self_ns >= 100000);
    assert_int_equal(b->total_ns, b->self_ns + c->total_ns);
    assert_int_equal(o->total_ns, o->self_ns + a->total_ns + b->total_ns);
    assert_true(o->self_ns >= 50000);
    assert_true(a->flops == 10 && a->bytes == 20 && c->flops == 5);
    for (size_t i = 1; i < n; i++)
        assert_true(sum[i - 1].self_ns >= sum[i].self_ns);
    assert_int_equal(sm_trace_sums(t, sum, 2), 2);
    sm_trace_free(t);
}

typedef struct loop {
    sm_trace *trace;
    int n_run[4];
} loop;

static void task(void *arg, ptrdiff_t i, int thread)
{
    loop *l = arg;
    sm_trace_span s = sm_trace_begin(l->trace, thread);
    spin(20000);
    sm_trace_lap(&s, i % 2 ? "odd" : "even", 3, 0);
    l->n_run[thread]++;
}

/* Every thread's share is recorded once a loop; the loop counts once and costs once. */
static void shares_of_a_pool(void **state)
{
    sm_pool *pool = NULL;
    sm_trace_sum sum[8];
    loop l = {0};
    (void)state;
    assert_int_equal(sm_pool_create(&pool, 3, NULL), SM_OK);
    assert_int_equal(sm_trace_create(&l.trace, 3, 64, NULL), SM_OK);
    sm_pool_run(pool, 8, task, &l); /* the pool does not know the recorder yet */
    sm_pool_trace(pool, l.trace);
    for (int r = 0; r < 5; r++) {
        sm_trace_label(l.trace, "loops", 7, 11);
        sm_pool_run(pool, 8, task, &l);
    }
    sm_pool_run(pool, 8, task, &l); /* the label stays, its costs are spent */
    sm_trace_label(l.trace, NULL, 0, 0);
    sm_pool_run(pool, 8, task, &l); /* without a label */
    sm_pool_run(pool, 1, task, &l); /* serial */
    sm_pool_trace(pool, NULL);
    sm_pool_run(pool, 8, task, &l);
    size_t n = sm_trace_sums(l.trace, sum, 8);
    const sm_trace_sum *loops = find(sum, n, "loops"), *even = find(sum, n, "even"),
                       *odd = find(sum, n, "odd"), *plain = find(sum, n, "loop");
    assert_int_equal(loops->count, 5);
    assert_true(loops->flops == 35 && loops->bytes == 55);
    assert_int_equal(plain->count, 2);
    assert_true(plain->flops == 0);
    assert_int_equal(even->count, 4 * 9 + 1);
    assert_int_equal(odd->count, 4 * 9);
    assert_true(odd->flops == 3.0 * 4 * 9);
    int64_t busy = 0;
    for (int i = 0; i < 3; i++)
        busy += sm_trace_busy_ns(l.trace, i);
    assert_int_equal(busy, loops->total_ns + plain->total_ns);
    assert_true(sm_trace_busy_ns(l.trace, 0) > 0);
    sm_trace_free(l.trace);
    sm_pool_free(pool);
}

/* A full ring keeps the newest; sums keep everything. */
static void ring_keeps_the_newest(void **state)
{
    static const char *const name[] = {"old", "new"};
    sm_trace *t = NULL;
    sm_trace_sum sum[4];
    char path[] = "/tmp/smelt-trace-XXXXXX", *text = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(sm_trace_create(&t, 2, 4, NULL), SM_OK);
    for (int i = 0; i < 10; i++) {
        sm_trace_span s = sm_trace_begin(t, 1);
        sm_trace_lap(&s, name[i >= 6], 0, 0);
    }
    assert_int_equal(sm_trace_n_lost(t), 6);
    size_t n = sm_trace_sums(t, sum, 4);
    assert_int_equal(find(sum, n, "old")->count, 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sm_trace_write(t, path, "test", NULL), SM_OK);
    assert_int_equal(sm_file_read(&text, &len, path, 0, NULL), SM_OK);
    assert_null(strstr(text, "\"old\""));
    int seen = 0;
    for (const char *at = text; (at = strstr(at, "\"new\"")); at++)
        seen++;
    assert_int_equal(seen, 4);
    assert_non_null(strstr(text, "\"lost_events\":6"));
    assert_non_null(strstr(text, "\"name\":\"thread 1\""));
    assert_int_equal(sm_trace_write(t, "/nowhere/trace.json", "test", NULL), SM_ENOENT);
    unlink(path);
    free(text);
    sm_trace_free(t);
}

/* More names than a lane has room for are summed under one. */
static void too_many_names(void **state)
{
    static char name[SM_TRACE_NAMES + 9][16];
    sm_trace *t = NULL;
    sm_trace_sum sum[SM_TRACE_NAMES];
    int64_t count = 0;
    (void)state;
    assert_int_equal(sm_trace_create(&t, 1, 0, NULL), SM_OK);
    for (int i = 0; i < SM_TRACE_NAMES + 9; i++) {
        snprintf(name[i], sizeof name[i], "n%d", i);
        sm_trace_span s = sm_trace_begin(t, 0);
        sm_trace_lap(&s, name[i], 0, 0);
    }
    size_t n = sm_trace_sums(t, sum, SM_TRACE_NAMES);
    for (size_t i = 0; i < n; i++)
        count += sum[i].count;
    assert_int_equal(n, SM_TRACE_NAMES);
    assert_int_equal(count, SM_TRACE_NAMES + 9);
    assert_true(find(sum, n, "other")->count >= 9);
    assert_int_equal(sm_trace_n_lost(t), 0);
    sm_trace_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_sizes),        cmocka_unit_test(off_records_nothing),
        cmocka_unit_test(own_time_of_nested_spans), cmocka_unit_test(shares_of_a_pool),
        cmocka_unit_test(ring_keeps_the_newest),    cmocka_unit_test(too_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
