/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: whole reads, mappings, atomic writes.
 * Atomic write: 1. temporary in the target's directory; 2. fsync; 3. rename; 4. fsync of
 * the directory.  A crash between any two leaves the old file, plus at most a temporary
 * whose name starts with SM_TEMP_PREFIX.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smelt/sys.h"

enum { MAX_LINKS = 40 }; /* as many as the system follows */

/* ---------------------------------------------------------------- reading */

sm_status sm_file_open_regular(int *out, size_t *size, const char *path, int flags,
                               sm_err *err)
{
    /* Without O_NONBLOCK the open itself waits for the other end of a FIFO. */
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return sm_fail_errno(err, errno, "%s", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int e = errno;
        close(fd);
        return sm_fail_errno(err, e, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return sm_fail(err, SM_EINVAL, "%s: got %s, want a regular file", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "a special file");
    }
    *out = fd;
    if (size)
        *size = (size_t)st.st_size;
    return SM_OK;
}

static sm_status read_exact(int fd, char *data, size_t *len, const char *path,
                            sm_err *err)
{
    size_t got = 0;
    while (got < *len) {
        ssize_t n = read(fd, data + got, *len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sm_fail_errno(err, errno, "%s: read", path);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *len = got;
    return SM_OK;
}

sm_status sm_file_read(char **out, size_t *len, const char *path, size_t max_bytes,
                       sm_err *err)
{
    int fd = -1;
    size_t size = 0;
    size_t max = max_bytes ? max_bytes : (size_t)4 << 30;
    sm_status s = sm_file_open_regular(&fd, &size, path, O_RDONLY, err);
    if (s)
        return s;
    char *data = NULL;
    if (size > max) {
        s = sm_fail(err, SM_EINVAL, "%s: got %zu bytes, want at most %zu", path, size,
                    max);
    } else if (!(data = malloc(size + 1))) {
        s = sm_fail(err, SM_ENOMEM, "%s: no memory for %zu bytes", path, size);
    } else {
        s = read_exact(fd, data, &size, path, err);
    }
    close(fd);
    if (s) {
        free(data);
        return s;
    }
    data[size] = 0;
    *out = data;
    if (len)
        *len = size;
    return SM_OK;
}

sm_status sm_map_open(sm_map *out, const char *path, sm_err *err)
{
    int fd = -1;
    size_t size = 0;
    sm_status s = sm_file_open_regular(&fd, &size, path, O_RDONLY, err);
    if (s)
        return s;
    if (size == 0) {
        close(fd);
        *out = (sm_map){.data = (const unsigned char *)"", .len = 0};
        return SM_OK;
    }
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    int e = errno;
    close(fd);
    if (p == MAP_FAILED)
        return sm_fail_errno(err, e, "%s: mmap", path);
    *out = (sm_map){.data = p, .len = size, .handle = p};
    return SM_OK;
}

void sm_map_close(sm_map *m)
{
    if (m->handle)
        munmap(m->handle, m->len);
    *m = (sm_map){0};
}

/* ---------------------------------------------------------------- writing */

struct sm_file_writer {
    int fd;
    char *path, *tmp; /* tmp NULL: written in place */
};

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return sm_strdup(".");
    return slash == path ? sm_strdup("/") : sm_strndup(path, (size_t)(slash - path));
}

static void writer_free(sm_file_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w->tmp);
    free(w);
}

static sm_status create_temporary(sm_file_writer *w, unsigned mode, sm_err *err)
{
    sm_buf tmp = {0};
    char *dir = parent_of(w->path);
    bool ok = dir && sm_buf_printf(&tmp, "%s/" SM_TEMP_PREFIX "XXXXXX", dir);
    free(dir);
    if (!ok)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", w->path);
    w->tmp = tmp.data;
    w->fd = mkostemp(w->tmp, O_CLOEXEC);
    if (w->fd >= 0 && fchmod(w->fd, (mode_t)mode) == 0)
        return SM_OK;
    sm_status s = sm_fail_errno(err, errno, "%s: cannot create", w->path);
    if (w->fd >= 0)
        unlink(w->tmp);
    return s;
}

static sm_status open_in_place(sm_file_writer *w, sm_err *err)
{
    w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
    return w->fd >= 0 ? SM_OK : sm_fail_errno(err, errno, "%s: cannot write", w->path);
}

/* `path` is taken over. */
static sm_status writer_open(sm_file_writer **out, char *path, unsigned mode,
                             bool in_place, sm_err *err)
{
    sm_file_writer *w = path ? sm_alloc(1, sizeof *w) : NULL;
    if (!w) {
        free(path);
        return sm_fail(err, SM_ENOMEM, "file writer: out of memory");
    }
    *w = (sm_file_writer){.fd = -1, .path = path};
    sm_status s = in_place ? open_in_place(w, err) : create_temporary(w, mode, err);
    if (s)
        writer_free(w);
    else
        *out = w;
    return s;
}

sm_status sm_file_writer_open(sm_file_writer **out, const char *path, unsigned mode,
                              sm_err *err)
{
    return writer_open(out, sm_strdup(path), mode, false, err);
}

/* ------------------------------------------------------------ a user's files */

bool sm_path_is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* What a symbolic link at `path` says, as a path from where we are. */
static sm_status link_target(char **out, const char *path, sm_err *err)
{
    char text[PATH_MAX];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n < 0)
        return sm_fail_errno(err, errno, "%s: readlink", path);
    text[n] = 0;
    char *dir = text[0] == '/' ? NULL : parent_of(path);
    if (text[0] == '/')
        *out = sm_strdup(text);
    else
        *out = dir ? sm_path_join(dir, text) : NULL;
    free(dir);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
}

/* The name at the end of a chain of symbolic links, which need not exist. */
static sm_status resolve(char **out, const char *path, sm_err *err)
{
    struct stat st;
    char *at = sm_strdup(path);
    sm_status s = at ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    for (int i = 0; !s && lstat(at, &st) == 0 && S_ISLNK(st.st_mode); i++) {
        char *next = NULL;
        s = i < MAX_LINKS ? link_target(&next, at, err)
                          : sm_fail_errno(err, ELOOP, "%s", path);
        free(at);
        at = next;
    }
    *out = at;
    return s;
}

sm_status sm_file_writer_open_named(sm_file_writer **out, const char *path, unsigned mode,
                                    sm_err *err)
{
    char *target = NULL;
    if (sm_path_is_special(path))
        return writer_open(out, sm_strdup(path), mode, true, err);
    sm_status s = resolve(&target, path, err);
    if (!s && sm_path_is_dir(target)) {
        s = sm_fail(err, SM_EINVAL, "%s: got a directory, want a file", path);
        free(target);
    }
    return s ? s : writer_open(out, target, mode, false, err);
}

sm_status sm_file_writer_open_fd(sm_file_writer **out, int fd, const char *name,
                                 sm_err *err)
{
    sm_file_writer *w = sm_alloc(1, sizeof *w);
    char *path = sm_strdup(name);
    if (!w || !path) {
        free(w);
        free(path);
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", name);
    }
    *w = (sm_file_writer){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .path = path};
    if (w->fd >= 0) {
        *out = w;
        return SM_OK;
    }
    sm_status s = sm_fail_errno(err, errno, "%s", name);
    writer_free(w);
    return s;
}

/* ------------------------------------------------------------ a file's bytes */

sm_status sm_file_writer_put(sm_file_writer *w, const void *data, size_t len, sm_err *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(w->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sm_fail_errno(err, errno, "%s: write", w->path);
        p += n;
        len -= (size_t)n;
    }
    return SM_OK;
}

static sm_status sync_dir(const char *dir, sm_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sm_fail_errno(err, errno, "%s", dir);
    int rc = fsync(fd), e = errno;
    close(fd);
    return rc == 0 ? SM_OK : sm_fail_errno(err, e, "%s: fsync", dir);
}

/* The temporary becomes the file. */
static sm_status publish(const sm_file_writer *w, sm_err *err)
{
    sm_status s = SM_OK;
    char *dir = parent_of(w->path);
    if (!dir)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", w->path);
    else if (fsync(w->fd) != 0)
        s = sm_fail_errno(err, errno, "%s: fsync", w->path);
    else if (rename(w->tmp, w->path) != 0)
        s = sm_fail_errno(err, errno, "%s: rename", w->path);
    else
        s = sync_dir(dir, err);
    if (s)
        unlink(w->tmp);
    free(dir);
    return s;
}

sm_status sm_file_writer_commit(sm_file_writer *w, sm_err *err)
{
    sm_status s = w->tmp ? publish(w, err) : SM_OK;
    writer_free(w);
    return s;
}

void sm_file_writer_abort(sm_file_writer *w)
{
    if (!w)
        return;
    if (w->tmp)
        unlink(w->tmp);
    writer_free(w);
}

static sm_status put_all(sm_file_writer *w, const void *data, size_t len, sm_err *err)
{
    sm_status s = sm_file_writer_put(w, data, len, err);
    if (!s)
        return sm_file_writer_commit(w, err);
    sm_file_writer_abort(w);
    return s;
}

sm_status sm_file_write_atomic(const char *path, const void *data, size_t len,
                               unsigned mode, sm_err *err)
{
    sm_file_writer *w;
    sm_status s = sm_file_writer_open(&w, path, mode, err);
    return s ? s : put_all(w, data, len, err);
}

sm_status sm_file_write_named(const char *path, const void *data, size_t len,
                              unsigned mode, sm_err *err)
{
    sm_file_writer *w;
    sm_status s = sm_file_writer_open_named(&w, path, mode, err);
    return s ? s : put_all(w, data, len, err);
}
