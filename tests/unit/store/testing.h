/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's tests share: a workspace in a temporary directory, files, artifacts.
 */
#ifndef TEST_STORE_TESTING_H
#define TEST_STORE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smelt/store.h"
#include "smelt/sys.h"

#define OK(call) assert_ok((call), &err, __LINE__)

static sm_err err;

SM_UNUSED static void assert_ok(sm_status st, const sm_err *e, int line)
{
    if (st != SM_OK)
        fail_msg("line %d: %s: %s", line, sm_status_name(st), e->msg);
}

/* A workspace of its own for each test. */
typedef struct world {
    char dir[64];
    sm_store *s;
} world;

SM_UNUSED static int world_setup(void **state)
{
    world *w = sm_alloc(1, sizeof *w);
    /* in memory where that is possible: these tests wait for fsync most of the time */
    snprintf(w->dir, sizeof w->dir, "%s/smelt-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(w->dir) || sm_store_init(w->dir, &err) ||
        sm_store_open(&w->s, w->dir, &err)) {
        print_message("setup: %s\n", err.msg);
        return -1;
    }
    *state = w;
    return 0;
}

SM_UNUSED static int world_teardown(void **state)
{
    world *w = *state;
    sm_store_close(w->s);
    sm_remove_tree(w->dir, NULL);
    free(w);
    return 0;
}

SM_UNUSED static void reopen(world *w)
{
    sm_store_close(w->s);
    w->s = NULL;
    OK(sm_store_open(&w->s, w->dir, &err));
}

SM_UNUSED static char *path_of(const char *dir, const char *rel)
{
    char *p = sm_path_join(dir, rel);
    assert_non_null(p);
    return p;
}

SM_UNUSED static void put_file(const char *dir, const char *rel, const void *data,
                               size_t len)
{
    char *p = path_of(dir, rel);
    char *slash = strrchr(p, '/');
    *slash = 0;
    OK(sm_mkdirs(p, &err));
    *slash = '/';
    FILE *f = fopen(p, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    free(p);
}

/* Commit one file "data" with the given text, made by `step` from `input` (may be NULL).
 */
SM_UNUSED static sm_status commit_text(sm_artifact *a, sm_store *s, const char *kind,
                                       const char *step, const sm_artifact *input,
                                       const char *text, const char *ref)
{
    char *staging = NULL;
    sm_status st = sm_store_staging(&staging, s, "test", &err);
    if (st)
        return st;
    put_file(staging, "data", text, strlen(text));
    json_t *recipe =
        sm_recipe_new(step, 1, input ? &input->content : NULL, input ? 1 : 0, NULL, NULL);
    json_object_set_new(recipe, "test", json_string(text)); /* one recipe a text */
    json_t *run = json_pack("{s:s, s:f}", "id", step, "seconds", 0.5);
    st = sm_store_commit(a, s, kind, recipe, staging, ref, run, &err);
    json_decref(recipe);
    json_decref(run);
    free(staging);
    return st;
}

/* Lines that verify emits, joined by newlines. */
typedef struct findings {
    sm_buf text;
    int n;
} findings;

SM_UNUSED static void find_line(void *self, const char *line)
{
    findings *f = self;
    f->n++;
    sm_buf_puts(&f->text, line);
    sm_buf_putc(&f->text, '\n');
}

/* Next line of *text, without its newline, in place; NULL at the end. */
SM_UNUSED static char *next_line(char **text)
{
    char *line = *text;
    if (!line || !*line)
        return NULL;
    size_t n = strcspn(line, "\n");
    *text = line + n + (line[n] == '\n');
    line[n] = 0;
    return line;
}

/* Exit status of a shell command, as wait gives it. */
SM_UNUSED static int shell(const char *command)
{
    FILE *p = popen(command, "r");
    assert_non_null(p);
    return pclose(p);
}

/* XOR one byte of a file, whatever its mode. */
SM_UNUSED static void flip(const char *path, long at, int mask)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(f);
    assert_true(c != EOF);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    fputc(c ^ mask, f);
    assert_int_equal(fclose(f), 0);
}

#endif
