/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and links that a failing disk does not let one read to the end: an error that
 * names the place, never a shorter list.  readdir and readlink are those of this file.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/train/train_internal.h"
#include "internal.h"
#include "journal.h"
#include "smelt/kern.h"
#include "smelt/scratch.h"

#define OK(call) assert_int_equal(call, SM_OK)

static bool is_failing;

struct dirent *readdir(DIR *d)
{
    (void)d;
    errno = is_failing ? EIO : 0;
    return NULL;
}

ssize_t readlink(const char *restrict path, char *restrict buf, size_t len)
{
    (void)path, (void)buf, (void)len;
    errno = EIO;
    return -1;
}

static char dir[64];

static void want_failure(sm_status s, sm_err *err, const char *place)
{
    assert_int_equal(s, SM_EIO);
    assert_non_null(strstr(err->msg, place));
    assert_non_null(strstr(err->msg, strerror(EIO)));
    *err = (sm_err){0};
}

static void folders_are_read_to_their_end(void **state)
{
    (void)state;
    sm_err err = {0};
    sm_store *store = NULL;
    sm_list names;
    json_t *list = NULL;
    int64_t *step = NULL;
    size_t n = 0;
    train_state t = {.run = "0123456789abcdef"};
    OK(sm_store_init(dir, &err));
    OK(sm_store_open(&store, dir, &err));
    OK(sm_list_entries(&names, dir, &err));
    sm_list_free(&names);
    is_failing = true;
    want_failure(sm_list_entries(&names, dir, &err), &err, dir);
    want_failure(sm_scratch_list(&list, store, &err), &err, "/tmp");
    want_failure(train_ckpt_steps(&step, &n, dir, &t, &err), &err, dir);
    sm_store_close(store);
    is_failing = false;
}

static void a_journal_finds_its_checkpoints(void **state)
{
    (void)state;
    sm_err err = {0};
    sm_ctx ctx = {0};
    const sm_step_io io = {.ctx = &ctx, .scratch = dir};
    const journal_due due = {.first = 1, .last = 2, .interval = 1};
    journal *j = NULL;
    is_failing = true;
    want_failure(journal_open(&j, &io, "lines.jsonl", &due, &err), &err, dir);
    is_failing = false;
}

static void a_link_that_cannot_be_read(void **state)
{
    (void)state;
    sm_err err = {0};
    char *path = sm_path_join(dir, "link");
    OK(symlink("target", path));
    want_failure(sm_file_write_named(path, "x", 1, 0644, &err), &err, "/link: readlink");
    OK(unlink(path));
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/smelt-unread-XXXXXX", sizeof "/tmp/smelt-unread-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

/* By another program: this one cannot list a folder. */
static int tear_down(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(127);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_that_cannot_be_read),
        cmocka_unit_test(a_journal_finds_its_checkpoints),
        cmocka_unit_test(folders_are_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
