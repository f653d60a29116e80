/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: .smelt/tmp/s-XXXXXX belongs to one open handle, which holds a flock on its
 * file `lock` until it is closed or the process dies.  A session whose lock can be taken
 * is a left-over.  Sessions are made and cleaned under the workspace's lock, so a new one
 * is never mistaken for a dead one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object.h"

static sm_status session_make(sm_store *s, sm_err *err)
{
    sm_status st = SM_OK;
    int fd = -1;
    char *dir = store_path(s, "tmp/s-XXXXXX");
    char *lock = NULL;
    if (!dir)
        return store_nomem(err);
    if (!mkdtemp(dir)) {
        st = sm_fail_errno(err, errno, "%s", dir);
        goto done;
    }
    if (!(lock = sm_path_join(dir, "lock"))) {
        st = store_nomem(err);
        goto done;
    }
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        st = sm_fail_errno(err, errno, "%s", lock);
        goto done;
    }
    s->session = dir;
    s->session_fd = fd;
    dir = NULL;
    fd = -1;
done:
    if (fd >= 0)
        close(fd);
    free(lock);
    free(dir);
    return st;
}

static sm_status session(sm_store *s, sm_err *err)
{
    if (s->session)
        return SM_OK;
    sm_status st = store_lock(s, err);
    if (st)
        return st;
    st = session_make(s, err);
    store_unlock(s);
    return st;
}

static bool is_dead(const char *dir)
{
    char *lock = sm_path_join(dir, "lock");
    int fd = lock ? open(lock, O_RDWR | O_CLOEXEC) : -1;
    bool dead = fd < 0 ? errno == ENOENT : flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    free(lock);
    return dead;
}

static void clean_all(const char *tmp, DIR *d)
{
    struct dirent *e;
    while ((e = readdir(d))) {
        if (strncmp(e->d_name, "s-", 2) != 0)
            continue;
        char *dir = sm_path_join(tmp, e->d_name);
        if (dir && is_dead(dir))
            sm_remove_tree(dir, NULL);
        free(dir);
    }
}

void store_clean_staging(sm_store *s)
{
    char *tmp = store_path(s, "tmp");
    /* Not through a link: what lies elsewhere is not the workspace's to remove. */
    int fd = tmp ? open(tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    /* Left-overs do no harm: when the workspace is busy, the next open removes them. */
    if (d && flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        clean_all(tmp, d);
        flock(s->lock_fd, LOCK_UN);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    free(tmp);
}

sm_status store_temp(int *fd, char **path, sm_store *s, sm_err *err)
{
    sm_status st = session(s, err);
    if (st)
        return st;
    char *name = sm_path_join(s->session, "o-XXXXXX");
    if (!name)
        return store_nomem(err);
    int f = mkstemp(name);
    if (f < 0) {
        st = sm_fail_errno(err, errno, "%s", name);
        free(name);
        return st;
    }
    fcntl(f, F_SETFD, FD_CLOEXEC);
    *fd = f;
    *path = name;
    return SM_OK;
}

static bool name_is_plain(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 100 && name[0] != '.' && !strchr(name, '/');
}

static sm_status staging(char **out, sm_store *s, const char *name, sm_err *err)
{
    sm_buf b = {0};
    if (!name_is_plain(name))
        return sm_fail(err, SM_EINVAL,
                       "staging: got name \"%s\", want 1..100 plain bytes", name);
    sm_status st = session(s, err);
    if (st)
        return st;
    if (!sm_buf_printf(&b, "%s/%s-XXXXXX", s->session, name))
        st = store_nomem(err);
    else if (!mkdtemp(b.data))
        st = sm_fail_errno(err, errno, "%s", b.data);
    if (st)
        sm_buf_free(&b);
    else
        *out = b.data;
    return st;
}

sm_status sm_store_staging(char **out, sm_store *s, const char *name, sm_err *err)
{
    store_enter(s);
    sm_status st = staging(out, s, name, err);
    store_leave(s);
    return st;
}
