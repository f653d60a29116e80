/* SPDX-License-Identifier: Apache-2.0 */
/* sys: files, lists, the thread pool, CPU detection. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmmintrin.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "smelt/sys.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/smelt-sys-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return sm_remove_tree(dir, NULL);
}

static char *in_dir(const char *name)
{
    char *p = sm_path_join(dir, name);
    assert_non_null(p);
    return p;
}

static void write_then_read(void **state)
{
    (void)state;
    char *p = in_dir("a"), *data;
    size_t n;
    assert_int_equal(sm_file_write_atomic(p, "one\0two", 7, 0644, NULL), SM_OK);
    assert_int_equal(sm_file_write_atomic(p, "three", 5, 0644, NULL), SM_OK);
    assert_int_equal(sm_file_read(&data, &n, p, 0, NULL), SM_OK);
    assert_int_equal(n, 5);
    assert_string_equal(data, "three");
    free(data);
    sm_err e;
    assert_int_equal(sm_file_read(&data, &n, p, 4, &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "got 5 bytes, want at most 4"));
    assert_int_equal(sm_file_read(&data, &n, dir, 0, &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "a directory"));
    free(p);
    p = in_dir("missing");
    assert_int_equal(sm_file_read(&data, &n, p, 0, &e), SM_ENOENT);
    free(p);
}

/* A write that the system cuts short leaves the old file and no temporary. */
static void failed_write_keeps_the_old_file(void **state)
{
    (void)state;
    char *sub = in_dir("full");
    assert_int_equal(sm_mkdirs(sub, NULL), SM_OK);
    char *p = sm_path_join(sub, "f");
    assert_int_equal(sm_file_write_atomic(p, "old", 3, 0644, NULL), SM_OK);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit small = {1000, 1000};
        setrlimit(RLIMIT_FSIZE, &small);
        signal(SIGXFSZ, SIG_IGN);
        char *big = sm_alloc(1, 100000);
        _exit(sm_file_write_atomic(p, big, 100000, 0644, NULL) == SM_EIO ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    char *data;
    assert_int_equal(sm_file_read(&data, NULL, p, 0, NULL), SM_OK);
    assert_string_equal(data, "old");
    sm_list l;
    assert_int_equal(sm_list_files(&l, sub, NULL), SM_OK);
    assert_int_equal(l.n, 1);
    sm_list_free(&l);
    free(data);
    free(p);
    free(sub);
}

static void lists_are_sorted_and_skip_links(void **state)
{
    (void)state;
    char *top = in_dir("tree"), *deep = in_dir("tree/b/c");
    assert_int_equal(sm_mkdirs(deep, NULL), SM_OK);
    const char *names[] = {"tree/z", "tree/b/c/y", "tree/a"};
    for (int i = 0; i < 3; i++) {
        char *p = in_dir(names[i]);
        assert_int_equal(sm_file_write_atomic(p, "", 0, 0644, NULL), SM_OK);
        free(p);
    }
    char *link = in_dir("tree/link");
    assert_int_equal(symlink("z", link), 0);
    sm_list l;
    assert_int_equal(sm_list_files(&l, top, NULL), SM_OK);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.item[0], "a");
    assert_string_equal(l.item[1], "b/c/y");
    assert_string_equal(l.item[2], "z");
    sm_list_free(&l);
    free(link);
    free(top);
    free(deep);
}

/* Run a check as a user whom modes bind; its answer is the exit status. */
static int as_nobody(int (*check)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(geteuid() == 0 && setuid(65534) != 0 ? 99 : check());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void put_file(const char *name)
{
    char *p = in_dir(name);
    assert_int_equal(sm_file_write_atomic(p, "x", 1, 0644, NULL), SM_OK);
    free(p);
}

static void set_mode(const char *name, unsigned mode)
{
    char *p = in_dir(name);
    assert_int_equal(chmod(p, (mode_t)mode), 0);
    free(p);
}

static int list_closed(void)
{
    sm_err e = {0};
    sm_list l;
    char *p = in_dir("closed");
    sm_status s = sm_list_files(&l, p, &e);
    free(p);
    return s == SM_EIO && strstr(e.msg, "closed/sub/f: Permission denied") ? 0 : 1;
}

/* A directory that may be read and not entered names files that nobody can see. */
static void list_refuses_what_it_cannot_see(void **state)
{
    (void)state;
    char *sub = in_dir("closed/sub");
    assert_int_equal(sm_mkdirs(sub, NULL), SM_OK);
    free(sub);
    put_file("closed/sub/f");
    assert_int_equal(chmod(dir, 0755), 0);
    set_mode("closed/sub", 0444);
    assert_int_equal(as_nobody(list_closed), 0);
    set_mode("closed/sub", 0755);
}

static int remove_cage(void)
{
    sm_err e = {0};
    char *p = in_dir("cage");
    sm_status s = sm_remove_tree(p, &e);
    free(p);
    return s == SM_EIO && strstr(e.msg, "cage/shut/link: remove: ") ? 0 : 1;
}

/* A link that cannot be removed is not a way out of the tree. */
static void remove_never_follows_a_link(void **state)
{
    (void)state;
    char *home = in_dir("home"), *shut = in_dir("cage/shut"),
         *link = in_dir("cage/shut/link");
    char *kept = in_dir("home/kept"), *cage = in_dir("cage"), *way = in_dir("way");
    assert_int_equal(sm_mkdirs(home, NULL), SM_OK);
    assert_int_equal(sm_mkdirs(shut, NULL), SM_OK);
    put_file("home/kept");
    assert_int_equal(symlink("../../home", link), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chmod(home, 0777), 0);
    assert_int_equal(chmod(cage, 0777), 0);
    assert_int_equal(chmod(shut, 0555), 0);
    assert_int_equal(as_nobody(remove_cage), 0);
    assert_true(sm_path_exists(kept));
    assert_int_equal(chmod(shut, 0755), 0);
    assert_int_equal(sm_remove_tree(cage, NULL), SM_OK);
    assert_false(sm_path_exists(cage));
    assert_int_equal(symlink("home", way), 0);
    assert_int_equal(sm_remove_tree(way, NULL), SM_OK);
    assert_false(sm_path_exists(way));
    assert_true(sm_path_exists(kept));
    char *names[] = {home, shut, link, kept, cage, way};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        free(names[i]);
}

static void trees_have_a_bounded_depth(void **state)
{
    (void)state;
    sm_err e;
    sm_list l;
    sm_buf deep = {0};
    sm_buf_printf(&deep, "%s/deep", dir);
    size_t top = deep.len;
    for (int i = 0; i < 70; i++)
        sm_buf_puts(&deep, "/d");
    assert_int_equal(sm_mkdirs(deep.data, NULL), SM_OK);
    char *root = sm_strndup(deep.data, top);
    assert_int_equal(sm_list_files(&l, root, &e), SM_EINVAL);
    assert_non_null(strstr(e.msg, "more than 64 directories deep"));
    assert_int_equal(sm_remove_tree(root, &e), SM_EINVAL);
    deep.data[top + 2 * 30] = 0;
    assert_int_equal(sm_remove_tree(deep.data, &e), SM_OK);
    assert_int_equal(sm_remove_tree(root, &e), SM_OK);
    free(root);
    sm_buf_free(&deep);
}

static void empty_file_maps(void **state)
{
    (void)state;
    char *p = in_dir("empty");
    sm_map m;
    assert_int_equal(sm_file_write_atomic(p, "", 0, 0600, NULL), SM_OK);
    assert_int_equal(sm_map_open(&m, p, NULL), SM_OK);
    assert_int_equal(m.len, 0);
    sm_map_close(&m);
    free(p);
}

enum { N_TASK = 10000 };

typedef struct share {
    int hits[N_TASK];
    int n_threads;
    bool bad;
} share;

static void hit(void *arg, ptrdiff_t i, int thread)
{
    share *s = arg;
    s->hits[i]++;
    if (thread < 0 || thread >= s->n_threads || _mm_getcsr() != 0x9fc0)
        s->bad = true;
}

static void every_index_runs_once_at_any_thread_count(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        sm_pool *pool;
        assert_int_equal(sm_pool_create(&pool, n, NULL), SM_OK);
        share *s = sm_alloc(1, sizeof *s);
        s->n_threads = n;
        unsigned before = _mm_getcsr();
        for (int loop = 0; loop < 50; loop++)
            sm_pool_run(pool, N_TASK, hit, s);
        sm_pool_run(pool, 0, hit, s);
        assert_int_equal(_mm_getcsr(), before);
        assert_false(s->bad);
        for (int i = 0; i < N_TASK; i++)
            assert_int_equal(s->hits[i], 50);
        free(s);
        sm_pool_free(pool);
    }
    sm_err e;
    sm_pool *pool = NULL;
    assert_int_equal(sm_pool_create(&pool, 1000, &e), SM_EINVAL);
    assert_null(pool);
}

static void features_are_a_ladder(void **state)
{
    (void)state;
    const sm_cpu *c = sm_cpu_get();
    assert_true(c->n_cpu >= 1);
    assert_true(!c->avx512 || c->avx2);
    assert_true(!c->amx || c->avx512);
}

static void lone_process_communicates_with_itself(void **state)
{
    (void)state;
    sm_comm *c = sm_comm_self();
    assert_int_equal(c->n_ranks, 1);
    assert_int_equal(c->barrier(c->self, NULL), SM_OK);
    char x = 1;
    assert_int_equal(c->broadcast(c->self, &x, 1, 0, NULL), SM_OK);
    assert_int_equal(c->send(c->self, &x, 1, 1, NULL), SM_EINVAL);
}

static void wall_time_formats(void **state)
{
    (void)state;
    char out[32];
    sm_wall_format(out, INT64_C(1000000000) * 1000000000);
    assert_string_equal(out, "2001-09-09T01:46:40Z");
    assert_true(sm_clock_ns() <= sm_clock_ns());
}

static void test_pages(void **state)
{
    (void)state;
    size_t bytes = ((size_t)3 << 20) + 17;
    unsigned char *p = sm_pages_alloc(bytes);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % ((size_t)2 << 20), 0);
    for (size_t i = 0; i < bytes; i += 4096)
        assert_int_equal(p[i], 0);
    p[bytes - 1] = 1;
    sm_pages_free(p, bytes);
    sm_pages_free(NULL, bytes);
    assert_null(sm_pages_alloc(0));
    assert_null(sm_pages_alloc(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(write_then_read),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(lists_are_sorted_and_skip_links),
        cmocka_unit_test(list_refuses_what_it_cannot_see),
        cmocka_unit_test(remove_never_follows_a_link),
        cmocka_unit_test(trees_have_a_bounded_depth),
        cmocka_unit_test(empty_file_maps),
        cmocka_unit_test(every_index_runs_once_at_any_thread_count),
        cmocka_unit_test(features_are_a_ladder),
        cmocka_unit_test(lone_process_communicates_with_itself),
        cmocka_unit_test(wall_time_formats),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
