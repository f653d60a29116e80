/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of steps beside checkpoints.
 *
 * Invariants: 1. a checkpoint is saved after the lines up to its step are durable, and is
 * used only when they are all there; 2. lines are appended, never changed: after a kill and
 * a resume a step may be there twice, or a last line be cut short, and the last whole line
 * of a step counts; 3. the open file is what is read at the end, so that removing its name
 * harms nobody.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"

struct journal {
    const sm_step_io *io;
    char *path;
    int fd;
    int64_t bytes; /* that the file must have */
};

const char *journal_path(const journal *j)
{
    return j->path;
}

void journal_free(journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j);
}

static sm_status open_file(journal *j, sm_err *err)
{
    struct stat info;
    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (j->fd < 0 || fstat(j->fd, &info) != 0)
        return sm_fail_errno(err, errno, "%s", j->path);
    j->bytes = (int64_t)info.st_size;
    return SM_OK;
}

sm_status journal_read(char **text, size_t *len, const journal *j, sm_err *err)
{
    size_t n = (size_t)j->bytes, at = 0;
    char *t = sm_alloc(n + 1, 1);
    if (!t)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", j->path);
    while (at < n) {
        ssize_t got = pread(j->fd, t + at, n - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(t);
            return got < 0 ? sm_fail_errno(err, errno, "%s: read", j->path)
                           : sm_fail(err, SM_ECORRUPT,
                                     "%s: got %zu bytes, want %zu: it was cut; run again",
                                     j->path, at, n);
        }
        at += (size_t)got;
    }
    *text = t;
    *len = n;
    return SM_OK;
}

/* ------------------------------------------------------- lines and checkpoints */

static int64_t n_due(const journal_due *d)
{
    return (d->last - d->first + d->interval - 1) / d->interval + 1;
}

static int64_t due_step(const journal_due *d, int64_t i)
{
    int64_t step = d->first + i * d->interval;
    return step < d->last ? step : d->last;
}

/* Note the due steps that have a whole line. */
static void find_steps(bool *has, const journal_due *d, const char *text, size_t len)
{
    lines l = {.text = text, .len = len};
    while (lines_next_step(&l)) {
        if (l.step < d->first || l.step > d->last)
            continue;
        int64_t i = (l.step - d->first + d->interval - 1) / d->interval;
        if (due_step(d, i) == l.step)
            has[i] = true;
    }
}

/* The first due step without a line; past the last when there is none. */
static sm_status first_missing(int64_t *out, const journal *j, const journal_due *d,
                               sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    int64_t n = n_due(d), i = 0;
    bool *has = sm_alloc((size_t)n, sizeof *has);
    sm_status s = has ? journal_read(&text, &len, j, err)
                      : sm_fail(err, SM_ENOMEM, "%s: out of memory", j->path);
    if (!s) {
        find_steps(has, d, text, len);
        while (i < n && has[i] && (!d->is_kept || d->is_kept(d->self, due_step(d, i))))
            i++;
        *out = i < n ? due_step(d, i) : INT64_MAX;
    }
    free(text);
    free(has);
    return s;
}

/* STEP of "ckpt-RUN-STEP", 0 for any other name. */
static int64_t checkpoint_step(const char *name)
{
    char *end = NULL;
    const char *dash = strrchr(name, '-');
    if (strncmp(name, "ckpt-", 5) != 0 || !dash || dash < name + 5)
        return 0;
    long long step = strtoll(dash + 1, &end, 10);
    return step > 0 && *end == 0 ? (int64_t)step : 0;
}

static sm_status remove_checkpoint(const journal *j, const char *name, int64_t missing,
                                   sm_err *err)
{
    char *dir = sm_path_join(j->io->scratch, name);
    if (!dir)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", j->path);
    sm_log_line(j->io->ctx->log, SM_LOG_WARN,
                "%s: step %lld is not there, or not all of it: the checkpoint of step "
                "%lld is not used",
                j->path, (long long)missing, (long long)checkpoint_step(name));
    sm_status s = sm_remove_tree(dir, err);
    free(dir);
    return s;
}

/* Remove the checkpoints that would leave `missing` out for ever. */
static sm_status remove_past(const journal *j, int64_t missing, sm_err *err)
{
    sm_list names;
    sm_status s = sm_list_entries(&names, j->io->scratch, err);
    for (size_t i = 0; i < names.n && !s; i++) {
        int64_t step = checkpoint_step(names.item[i]);
        if (step > 0 && step >= missing)
            s = remove_checkpoint(j, names.item[i], missing, err);
    }
    sm_list_free(&names);
    return s;
}

sm_status journal_open(journal **out, const sm_step_io *io, const char *name,
                       const journal_due *due, sm_err *err)
{
    int64_t missing = 0;
    journal *j = sm_alloc(1, sizeof *j);
    if (!j || !(j->path = sm_path_join(io->scratch, name))) {
        free(j);
        return sm_fail(err, SM_ENOMEM, "out of memory");
    }
    j->io = io;
    sm_status s = open_file(j, err);
    if (!s)
        s = first_missing(&missing, j, due, err);
    if (!s)
        s = remove_past(j, missing, err);
    if (s)
        journal_free(j);
    else
        *out = j;
    return s;
}

/* --------------------------------------------------------------------- writing */

sm_status journal_put(journal *j, const char *line, size_t len, sm_err *err)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(j->fd, line + at, len - at);
        if (n < 0 && errno != EINTR)
            return sm_fail_errno(err, errno, "%s: write", j->path);
        at += n > 0 ? (size_t)n : 0;
        j->bytes += n > 0 ? (int64_t)n : 0;
    }
    return SM_OK;
}

/* The name is gone: write the lines under it again. */
static sm_status write_again(journal *j, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_log_line(j->io->ctx->log, SM_LOG_WARN, "%s was removed; it is written again",
                j->path);
    sm_status s = journal_read(&text, &len, j, err);
    if (!s)
        s = sm_mkdirs(j->io->scratch, err);
    if (!s)
        s = sm_file_write_atomic(j->path, text, len, 0644, err);
    free(text);
    if (s)
        return s;
    close(j->fd);
    return open_file(j, err);
}

sm_status journal_sync(journal *j, sm_err *err)
{
    struct stat info;
    if (fstat(j->fd, &info) != 0)
        return sm_fail_errno(err, errno, "%s", j->path);
    if ((int64_t)info.st_size < j->bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "%s: got %lld bytes, want %lld: it was cut; run again", j->path,
                       (long long)info.st_size, (long long)j->bytes);
    if (info.st_nlink == 0)
        return write_again(j, err);
    return fdatasync(j->fd) == 0 ? SM_OK
                                 : sm_fail_errno(err, errno, "%s: fsync", j->path);
}
