/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: whole reads, mappings, atomic writes.
 * Atomic write: 1. temporary in the target's directory; 2. fsync; 3. rename; 4. fsync of
 * the directory.  A crash between any two leaves the old file, plus at most a temporary
 * whose name starts with ".sm-tmp-".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smelt/sys.h"

/* ---------------------------------------------------------------- reading */

static sm_status open_regular(int *out, size_t *size, const char *path, sm_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
    *size = (size_t)st.st_size;
    return SM_OK;
}

static sm_status read_exact(int fd, char *data, size_t *len, const char *path, sm_err *err)
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
    sm_status s = open_regular(&fd, &size, path, err);
    if (s)
        return s;
    char *data = NULL;
    if (size > max) {
        s = sm_fail(err, SM_EINVAL, "%s: got %zu bytes, want at most %zu", path, size, max);
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
    sm_status s = open_regular(&fd, &size, path, err);
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
    char *path, *tmp;
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

sm_status sm_file_writer_open(sm_file_writer **out, const char *path, unsigned mode,
                              sm_err *err)
{
    sm_status s = SM_OK;
    char *dir = parent_of(path);
    sm_file_writer *w = sm_alloc(1, sizeof *w);
    sm_buf tmp = {0};
    if (!dir || !w) {
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    w->fd = -1;
    w->path = sm_strdup(path);
    if (!w->path || !sm_buf_printf(&tmp, "%s/.sm-tmp-XXXXXX", dir)) {
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    w->tmp = tmp.data;
    tmp = (sm_buf){0};
    w->fd = mkostemp(w->tmp, O_CLOEXEC);
    if (w->fd < 0 || fchmod(w->fd, (mode_t)mode) != 0) {
        s = sm_fail_errno(err, errno, "%s: cannot create", path);
        if (w->fd >= 0)
            unlink(w->tmp);
        goto done;
    }
    *out = w;
    w = NULL;
done:
    if (w)
        writer_free(w);
    sm_buf_free(&tmp);
    free(dir);
    return s;
}

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

sm_status sm_file_writer_commit(sm_file_writer *w, sm_err *err)
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
    writer_free(w);
    return s;
}

void sm_file_writer_abort(sm_file_writer *w)
{
    if (!w)
        return;
    unlink(w->tmp);
    writer_free(w);
}

sm_status sm_file_write_atomic(const char *path, const void *data, size_t len,
                               unsigned mode, sm_err *err)
{
    sm_file_writer *w;
    sm_status s = sm_file_writer_open(&w, path, mode, err);
    if (s)
        return s;
    s = sm_file_writer_put(w, data, len, err);
    if (s) {
        sm_file_writer_abort(w);
        return s;
    }
    return sm_file_writer_commit(w, err);
}
