/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock files: a flock on a file that goes when nobody needs it any more.
 *
 * Invariants: 1. a lock counts only while its file has a name: between opening a file and
 * locking it, whoever held it may have removed it, and the next to come makes another; so
 * whoever gets a lock on a file without a name lets go of it and looks again; 2. only the
 * holder removes the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* One try.  *fd is -1 when somebody holds it, and when its name has just gone. */
static sm_status try_once(int *fd, bool *is_held, const char *path, sm_err *err)
{
    struct stat info;
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    *fd = -1;
    *is_held = false;
    if (f < 0)
        return sm_fail_errno(err, errno, "%s", path);
    if (flock(f, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        close(f);
        *is_held = e == EWOULDBLOCK || e == EINTR;
        return *is_held ? SM_OK : sm_fail_errno(err, e, "%s: lock", path);
    }
    if (fstat(f, &info) == 0 && info.st_nlink > 0)
        *fd = f;
    else
        close(f);
    return SM_OK;
}

int flow_lock_try(const char *path)
{
    int fd = -1;
    bool is_held = false;
    while (fd < 0 && !is_held)
        if (try_once(&fd, &is_held, path, NULL))
            return -1;
    return fd;
}

sm_status flow_lock_wait(int *fd, const char *path, const sm_ctx *ctx, const char *who,
                         const char *what, sm_err *err)
{
    bool told = false, is_held = false;
    for (;;) {
        sm_status s = try_once(fd, &is_held, path, err);
        if (s || *fd >= 0)
            return s;
        if (!is_held)
            continue;
        if (sm_stopped(ctx))
            return sm_fail(err, SM_ECANCEL,
                           "%s: stopped while waiting for another process", who);
        if (!told)
            sm_log_line(ctx->log, SM_LOG_WARN, "%s: another process %s; waiting for it",
                        who, what);
        told = true;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

void flow_lock_end(int fd, const char *path)
{
    if (fd < 0)
        return;
    unlink(path); /* whoever waits on it looks again */
    close(fd);
}
