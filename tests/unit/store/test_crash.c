/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that die at each point between two durable operations, processes that write
 * at once, and disks that fill: the old state or the new one, and verify is clean.
 */
#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "internal.h"

/* ---------------------------------------------------------------------- crashes */

typedef struct crash {
    int left;
    int n_seen;
} crash;

static void at_point(void *self, const char *point)
{
    crash *c = self;
    (void)point;
    c->n_seen++;
    if (c->left-- == 0)
        _exit(9);
}

/* What every child does: a commit that moves a ref, a tag, an event. */
static sm_status do_work(sm_store *s, const char *text)
{
    sm_artifact a = {0};
    sm_status st = commit_text(&a, s, "source", "t.work", NULL, text, "work");
    if (!st)
        st = sm_store_set_ref(s, "work:stable", &a.content, &err);
    if (!st)
        st = sm_audit_append(s, "worked", NULL, &err);
    sm_artifact_free(&a);
    return st;
}

static void append_to_log(const world *w, const char *text)
{
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl");
    FILE *out = fopen(log, "ab");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
    free(log);
}

/* Number of points that a child passes; it dies at point `at`.  `torn` (may be NULL) is
 * the unfinished line that its first change finds. */
static int child_with_tail_dies_at(const world *w, const char *text, const char *torn,
                                   int at)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sm_store *s = NULL;
        crash c = {.left = at};
        if (sm_store_open(&s, w->dir, &err))
            _exit(2);
        s->at_point = at_point;
        s->at_self = &c;
        if (torn)
            append_to_log(w, torn);
        if (do_work(s, text))
            _exit(3);
        _exit(0); /* without close: also a death */
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int child_dies_at(const world *w, const char *text, int at)
{
    return child_with_tail_dies_at(w, text, NULL, at);
}

/* After a death: open, clean, and each move is there wholly or not at all. */
static void check_after(world *w, const char *text, sm_artifact *before)
{
    sm_artifact now = {0}, tag = {0};
    findings f = {0};
    OK(sm_store_open(&w->s, w->dir, &err));
    if (sm_store_verify(w->s, NULL, find_line, &f, NULL, &err))
        fail_msg("after death at %s: %s", text, f.text.data);
    OK(sm_audit_verify(w->s, NULL, NULL, &err));
    OK(sm_store_find(&now, w->s, "work", &err));
    OK(sm_store_find(&tag, w->s, "work:stable", &err));
    bool moved = strcmp(now.content.hex, before->content.hex) != 0;
    bool tagged = strcmp(tag.content.hex, before->content.hex) != 0;
    assert_true(!tagged || moved); /* the later move implies the earlier */
    /* a rerun gets the result, whatever was left */
    OK(do_work(w->s, text));
    sm_artifact_free(before);
    OK(sm_store_find(before, w->s, "work:stable", &err));
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
    char *tmp = path_of(w->dir, ".smelt/tmp");
    reopen(w);
    sm_list list = {0};
    OK(sm_list_files(&list, tmp, &err));
    assert_int_equal(list.n, 0); /* what the dead left behind is gone */
    sm_list_free(&list);
    free(tmp);
    sm_artifact_free(&now);
    sm_artifact_free(&tag);
    sm_store_close(w->s);
    w->s = NULL;
}

static void test_death_at_every_point(void **state)
{
    world *w = *state;
    sm_artifact before = {0};
    OK(do_work(w->s, "first"));
    OK(sm_store_find(&before, w->s, "work", &err));
    sm_store_close(w->s);
    w->s = NULL;
    int n = 0;
    for (;; n++) {
        char text[32];
        snprintf(text, sizeof text, "point %d", n);
        int status = child_dies_at(w, text, n);
        assert_true(status == 9 || status == 0);
        check_after(w, text, &before);
        if (status == 0)
            break;
    }
    assert_true(n >= 18); /* objects, then four points for each of three changes */
    sm_artifact_free(&before);
}

/* SIGKILL at moments that nobody chose. */
static void test_kill_at_random(void **state)
{
    world *w = *state;
    OK(do_work(w->s, "first"));
    sm_store_close(w->s);
    w->s = NULL;
    for (uint32_t i = 0; i < 20; i++) {
        int status = 0, n = 0;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            sm_store *s = NULL;
            char text[32];
            if (sm_store_open(&s, w->dir, &err))
                _exit(2);
            for (;; n++) {
                snprintf(text, sizeof text, "kill %u %d", (unsigned)i, n);
                if (do_work(s, text))
                    _exit(3);
            }
        }
        struct timespec t = {
            .tv_nsec = 1000000 + (long)sm_rng_below(12000000, 1, SM_STREAM_TEST, i, 0)};
        nanosleep(&t, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        OK(sm_store_open(&w->s, w->dir, &err));
        OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
        OK(sm_audit_append(w->s, "survived", NULL, &err));
        sm_store_close(w->s);
        w->s = NULL;
    }
}

/* A record whose move was never committed is applied by the next open (redo). */
static void test_redo_on_open(void **state)
{
    world *w = *state;
    sm_artifact a = {0};
    int64_t n = 0;
    OK(do_work(w->s, "first"));
    OK(sm_audit_verify(w->s, NULL, &n, &err));
    sm_store_close(w->s);
    w->s = NULL;
    int at = 0, status = 9;
    bool redone = false;
    for (; status == 9 && !redone; at++) {
        char text[32];
        char *log = path_of(w->dir, ".smelt/audit/log.jsonl"), *content = NULL;
        snprintf(text, sizeof text, "redo %d", at);
        struct stat old, new;
        assert_int_equal(stat(log, &old), 0);
        status = child_dies_at(w, text, at);
        assert_int_equal(stat(log, &new), 0);
        OK(sm_store_open(&w->s, w->dir, &err));
        OK(sm_store_find(&a, w->s, "work", &err));
        OK(sm_store_path(&content, w->s, &a, "data", &err));
        char *bytes = NULL;
        OK(sm_file_read(&bytes, NULL, content, 0, &err));
        /* one whole record was written before death: the ref must have moved */
        bool moved = strcmp(bytes, text) == 0;
        assert_int_equal(moved, new.st_size > old.st_size);
        redone |= moved;
        free(bytes);
        free(content);
        free(log);
        sm_artifact_free(&a);
        sm_store_close(w->s);
        w->s = NULL;
    }
    assert_true(redone);
}

/* A torn last line that nobody was told of is removed, kept and recorded. */
static void test_torn_record(void **state)
{
    world *w = *state;
    static const char torn[] = "{\"detail\":{\"content\":\"12";
    findings f = {0};
    OK(do_work(w->s, "first"));
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl"), *text = NULL;
    append_to_log(w, torn);
    assert_int_equal(sm_store_verify(w->s, NULL, find_line, &f, NULL, &err), SM_ECORRUPT);
    assert_non_null(strstr(f.text.data, "after the last whole record"));
    sm_buf_free(&f.text);
    OK(sm_audit_append(w->s, "goes.on", NULL, &err));
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
    OK(sm_file_read(&text, NULL, log, 0, &err));
    assert_non_null(strstr(text, "\"event\":\"audit.repair\""));
    char want[32];
    snprintf(want, sizeof want, "\"bytes\":%zu", sizeof torn - 1);
    assert_non_null(strstr(text, want));
    sm_id id;
    OK(sm_id_of_bytes(&id, torn, sizeof torn - 1, &err));
    sm_buf kept = {0};
    sm_buf_printf(&kept, "%s/.smelt/audit/removed-%s", w->dir, id.hex);
    assert_true(sm_path_exists(kept.data));
    sm_buf_free(&kept);
    free(text);
    free(log);
}

/* Death at each point of the repair of a torn line: the log has the line still, or it has
 * the record that says that it was removed, whose bytes are kept. */
static void test_death_in_repair(void **state)
{
    world *w = *state;
    sm_artifact before = {0};
    OK(do_work(w->s, "first"));
    OK(sm_store_find(&before, w->s, "work", &err));
    sm_store_close(w->s);
    w->s = NULL;
    char *log = path_of(w->dir, ".smelt/audit/log.jsonl");
    int n = 0, n_with_tail = 0, status = 9;
    for (; status == 9; n++) {
        char text[32], torn[64], *now = NULL;
        sm_id id;
        sm_buf kept = {0};
        snprintf(text, sizeof text, "repair %d", n);
        snprintf(torn, sizeof torn, "{\"detail\":{\"torn\":%d", n);
        OK(sm_id_of_bytes(&id, torn, strlen(torn), &err));
        sm_buf_printf(&kept, "%s/.smelt/audit/removed-%s", w->dir, id.hex);
        status = child_with_tail_dies_at(w, text, torn, n);
        assert_true(status == 9 || status == 0);
        OK(sm_file_read(&now, NULL, log, 0, &err));
        bool has_tail = strstr(now, torn) != NULL;
        assert_int_equal(strstr(now, id.hex) == NULL, has_tail);
        n_with_tail += has_tail;
        free(now);
        check_after(w, text, &before);
        OK(sm_file_read(&now, NULL, log, 0, &err));
        assert_non_null(strstr(now, id.hex));
        assert_true(sm_path_exists(kept.data));
        free(now);
        sm_buf_free(&kept);
    }
    assert_true(n_with_tail > 2 && n - n_with_tail > 2);
    sm_artifact_free(&before);
    free(log);
}

/* ------------------------------------------------------------------ concurrency */

enum { N_PROC = 4, N_EACH = 8 };

static void child_commits(const world *w, int who)
{
    sm_store *s = NULL;
    if (sm_store_open(&s, w->dir, &err))
        _exit(2);
    for (int i = 0; i < N_EACH; i++) {
        char text[32];
        sm_artifact a = {0};
        /* half of the contents are shared by all: they race for the same objects */
        snprintf(text, sizeof text, i % 2 ? "shared %d" : "own %d %d", i, who);
        if (commit_text(&a, s, "source", "t.race", NULL, text, "race") ||
            sm_store_set_ref(s, "race:last", &a.content, &err) ||
            sm_store_metric(s, "race", "loss", who * 100 + i, 1.0, &err)) {
            print_message("child %d: %s\n", who, err.msg);
            _exit(3);
        }
        sm_artifact_free(&a);
    }
    sm_store_close(s);
    _exit(0);
}

static void test_four_processes(void **state)
{
    world *w = *state;
    pid_t pid[N_PROC];
    fflush(NULL);
    for (int i = 0; i < N_PROC; i++)
        if ((pid[i] = fork()) == 0)
            child_commits(w, i);
    for (int i = 0; i < N_PROC; i++) {
        int status = -1;
        waitpid(pid[i], &status, 0);
        assert_int_equal(status, 0);
    }
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
    json_t *all = NULL, *m = NULL;
    OK(sm_store_list(&all, w->s, &err));
    /* 4 own contents for each process and 4 shared ones */
    assert_int_equal(json_array_size(json_object_get(all, "artifacts")), N_PROC * 4 + 4);
    /* versions are 1..n without a gap, newest first, the tag last */
    json_t *refs = json_object_get(all, "refs");
    size_t n = json_array_size(refs) - 1;
    assert_true(n >= N_PROC * 4 + 4);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_array_get(refs, i), "version")),
            n - i);
    OK(sm_store_metrics_read(&m, w->s, "race", "loss", &err));
    assert_int_equal(json_array_size(json_object_get(m, "loss")), N_PROC * N_EACH);
    json_decref(m);
    json_decref(all);
}

static void *thread_commits(void *arg)
{
    sm_store *s = arg;
    sm_err e;
    for (int i = 0; i < N_EACH; i++) {
        char *staging = NULL, text[64];
        sm_artifact a = {0}, b = {0};
        sm_id id = {{0}};
        snprintf(text, sizeof text, "%d %p", i % 2 ? i : 0,
                 i % 2 ? NULL : (void *)&staging);
        if (sm_store_staging(&staging, s, "thread", &e))
            return arg;
        sm_buf path = {0};
        sm_buf_printf(&path, "%s/data", staging);
        json_t *recipe = sm_recipe_new("thread", i, NULL, 0, NULL, NULL);
        bool ok =
            !sm_file_write_atomic(path.data, text, strlen(text), 0644, &e) &&
            !sm_store_commit(&a, s, "source", recipe, staging, "thread", NULL, &e) &&
            !sm_store_find(&b, s, a.content.hex, &e) && !sm_recipe_id(&id, recipe, &e) &&
            !sm_store_metric(s, "thread", "loss", i, 1.0, &e) &&
            !sm_audit_append(s, "thread", NULL, &e);
        json_decref(recipe);
        sm_artifact_free(&a);
        sm_artifact_free(&b);
        sm_buf_free(&path);
        free(staging);
        if (!ok)
            return arg;
    }
    return NULL;
}

/* Threads that share one handle exclude each other. */
static void test_four_threads(void **state)
{
    world *w = *state;
    pthread_t thread[N_PROC];
    for (int i = 0; i < N_PROC; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, thread_commits, w->s), 0);
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
    for (int i = 0; i < N_PROC; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
}

/* A living process keeps its staging; a dead one's is removed. */
static void test_staging_of_the_dead(void **state)
{
    world *w = *state;
    char *mine = NULL;
    char theirs[512] = "";
    int fd[2];
    OK(sm_store_staging(&mine, w->s, "train", &err));
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sm_store *s = NULL;
        char *dir = NULL;
        if (sm_store_open(&s, w->dir, &err) || sm_store_staging(&dir, s, "train", &err))
            _exit(2);
        _exit(write(fd[1], dir, strlen(dir) + 1) > 0 ? 0 : 3);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_true(read(fd[0], theirs, sizeof theirs) > 0);
    close(fd[0]);
    close(fd[1]);
    assert_true(sm_path_is_dir(theirs));
    sm_store *other = NULL;
    OK(sm_store_open(&other, w->dir, &err));
    assert_false(sm_path_exists(theirs));
    assert_true(sm_path_is_dir(mine));
    sm_store_close(other);
    free(mine);
}

/* -------------------------------------------------------------------- full disks */

/* Every write beyond `limit` bytes of a file fails (EFBIG): nothing half-done is visible.
 */
static void test_write_failures(void **state)
{
    world *w = *state;
    OK(do_work(w->s, "first"));
    sm_store_close(w->s);
    w->s = NULL;
    fflush(NULL);
    int n_failed = 0;
    for (rlim_t limit = 0; limit < 200000; limit += limit < 4096 ? 512 : 24576) {
        pid_t pid = fork();
        if (pid == 0) {
            char text[32];
            sm_store *s = NULL;
            struct rlimit r = {limit, limit};
            signal(SIGXFSZ, SIG_IGN);
            if (sm_store_open(&s, w->dir, &err))
                _exit(2);
            snprintf(text, sizeof text, "limit %lld", (long long)limit);
            char *staging = NULL; /* made before the limit holds */
            if (sm_store_staging(&staging, s, "x", &err))
                _exit(2);
            put_file(staging, "data", text, strlen(text));
            json_t *recipe = sm_recipe_new(text, 1, NULL, 0, NULL, NULL);
            sm_artifact a = {0};
            setrlimit(RLIMIT_FSIZE, &r);
            sm_status st =
                sm_store_commit(&a, s, "source", recipe, staging, "work", NULL, &err);
            _exit(st == SM_OK ? 0 : err.msg[0] ? 4 : 5);
        }
        int status = -1;
        waitpid(pid, &status, 0);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 4);
        n_failed += WEXITSTATUS(status) == 4;
        OK(sm_store_open(&w->s, w->dir, &err));
        OK(sm_store_verify(w->s, NULL, NULL, NULL, NULL, &err));
        sm_store_close(w->s);
        w->s = NULL;
    }
    assert_true(n_failed > 5);
}

static int unmount(void **state)
{
    char command[256];
    if (*state) {
        snprintf(command, sizeof command, "umount %s && rmdir %s", (char *)*state,
                 (char *)*state);
        if (shell(command) != 0)
            return -1;
    }
    free(*state);
    return 0;
}

/* A real full disk: a small tmpfs, when this process may mount one. */
static void test_full_disk(void **state)
{
    char dir[] = "/tmp/smelt-full-XXXXXX", command[256];
    sm_store *s = NULL;
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command,
             "mount -t tmpfs -o size=1500k none %s >/dev/null 2>&1", dir);
    if (geteuid() != 0 || shell(command) != 0) {
        print_message("full disk: cannot mount a tmpfs here: skipped\n");
        rmdir(dir);
        return;
    }
    *state = sm_strdup(dir);
    OK(sm_store_init(dir, &err));
    OK(sm_store_open(&s, dir, &err));
    int n_ok = 0;
    sm_status st = SM_OK;
    char text[20001];
    memset(text, 'x', sizeof text);
    put_file(dir, "ballast", text, sizeof text - 1);
    char *ballast = path_of(dir, "ballast");
    while (st == SM_OK && n_ok < 1000) {
        char *staging = NULL;
        sm_artifact a = {0};
        memset(text, 'x', sizeof text - 1);
        snprintf(text, sizeof text, "%d", n_ok);
        text[strlen(text)] = ' ';
        text[sizeof text - 1] = 0;
        st = sm_store_staging(&staging, s, "fill", &err);
        if (st)
            break;
        sm_buf path = {0};
        sm_buf_printf(&path, "%s/data", staging);
        st = sm_file_write_atomic(path.data, text, sizeof text - 1, 0644, &err);
        json_t *recipe = sm_recipe_new("fill", n_ok, NULL, 0, NULL, NULL);
        if (!st)
            st = sm_store_commit(&a, s, "source", recipe, staging, "fill", NULL, &err);
        n_ok += st == SM_OK;
        json_decref(recipe);
        sm_artifact_free(&a);
        sm_buf_free(&path);
        free(staging);
    }
    assert_int_equal(st, SM_ENOSPC);
    assert_true(n_ok > 3);
    assert_non_null(strstr(err.msg, "No space left") ? err.msg : strstr(err.msg, "full"));
    sm_store_close(s);
    assert_int_equal(unlink(ballast), 0); /* the user makes a little room */
    free(ballast);
    OK(sm_store_open(&s, dir, &err));
    OK(sm_store_verify(s, NULL, NULL, NULL, NULL, &err));
    sm_artifact a = {0};
    char ref[32];
    snprintf(ref, sizeof ref, "fill@v%d", n_ok);
    OK(sm_store_find(&a, s, ref, &err)); /* nothing that was acknowledged is lost */
    sm_artifact_free(&a);
    sm_store_close(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_death_at_every_point), T(test_kill_at_random),
        T(test_redo_on_open),         T(test_torn_record),
        T(test_death_in_repair),      T(test_four_processes),
        T(test_four_threads),         T(test_staging_of_the_dead),
        T(test_write_failures),       cmocka_unit_test_teardown(test_full_disk, unmount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
