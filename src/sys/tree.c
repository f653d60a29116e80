/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: making, listing and removing trees.
 * Invariant: no symbolic link below the path given is followed.  Each level is opened
 * relative to the one above and holds one descriptor, so depth is bounded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smelt/sys.h"

enum { TREE_DEPTH = 64 };

sm_status sm_mkdirs(const char *path, sm_err *err)
{
    char *p = sm_strdup(path);
    if (!p)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    sm_status s = SM_OK;
    for (char *q = p + 1;; q++) {
        if (*q != '/' && *q != 0)
            continue;
        char c = *q;
        *q = 0;
        if (mkdir(p, 0755) != 0 && !(errno == EEXIST && sm_path_is_dir(p)))
            s = sm_fail_errno(err, errno, "%s: mkdir", p);
        *q = c;
        if (s || c == 0)
            break;
    }
    free(p);
    return s;
}

bool sm_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool sm_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

sm_status sm_path_look_dir(bool *is_dir, const char *path, sm_err *err)
{
    struct stat st;
    int rc = stat(path, &st);
    *is_dir = rc == 0 && S_ISDIR(st.st_mode);
    return rc == 0 || errno == ENOENT || errno == ENOTDIR
               ? SM_OK
               : sm_fail_errno(err, errno, "%s", path);
}

char *sm_path_join(const char *a, const char *b)
{
    sm_buf out = {0};
    size_t n = strlen(a);
    sm_buf_put(&out, a, n);
    if (n > 0 && a[n - 1] != '/')
        sm_buf_putc(&out, '/');
    if (!sm_buf_puts(&out, b)) {
        sm_buf_free(&out);
        return NULL;
    }
    return out.data;
}

bool sm_list_push(sm_list *l, const char *item)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        char **p = sm_realloc(l->item, cap, sizeof *p);
        if (!p)
            return false;
        l->item = p;
        l->cap = cap;
    }
    char *d = sm_strdup(item);
    if (!d)
        return false;
    l->item[l->n++] = d;
    return true;
}

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

void sm_list_sort(sm_list *l)
{
    if (l->n > 1)
        qsort(l->item, l->n, sizeof *l->item, compare_strings);
}

void sm_list_free(sm_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i]);
    free(l->item);
    *l = (sm_list){0};
}

/* ----------------------------------------------------------------- walking */

/* A directory below another; never through a symbolic link. */
static sm_status open_below(DIR **out, int parent, const char *name, const char *path,
                            int depth, sm_err *err)
{
    if (depth > TREE_DEPTH)
        return sm_fail(err, SM_EINVAL, "%s: more than %d directories deep", path,
                       TREE_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *out = fd < 0 ? NULL : fdopendir(fd);
    if (*out)
        return SM_OK;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return sm_fail_errno(err, e, "%s", path);
}

/* The next entry but "." and ".."; NULL at the end. */
static sm_status next_entry(const char **name, DIR *d, const char *path, sm_err *err)
{
    struct dirent *e;
    do {
        errno = 0;
        e = readdir(d);
    } while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
    *name = e ? e->d_name : NULL;
    return e || errno == 0 ? SM_OK : sm_fail_errno(err, errno, "%s: read", path);
}

/* Visit one directory level; rel is the path below the root ("" at the top). */
static sm_status list_level(sm_list *out, DIR *d, const char *path, const char *rel,
                            int depth, sm_err *err);

static sm_status list_entry(sm_list *out, DIR *d, const char *name, const char *path,
                            const char *rel, int depth, sm_err *err)
{
    struct stat st;
    DIR *below;
    if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? SM_OK /* vanished meanwhile */
                               : sm_fail_errno(err, errno, "%s", path);
    if (S_ISREG(st.st_mode))
        return sm_list_push(out, rel)
                   ? SM_OK
                   : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    if (!S_ISDIR(st.st_mode))
        return SM_OK;
    sm_status s = open_below(&below, dirfd(d), name, path, depth, err);
    return s ? s : list_level(out, below, path, rel, depth, err);
}

static sm_status list_level(sm_list *out, DIR *d, const char *path, const char *rel,
                            int depth, sm_err *err)
{
    const char *name;
    sm_status s = next_entry(&name, d, path, err);
    while (!s && name) {
        char *full = sm_path_join(path, name);
        char *sub = *rel ? sm_path_join(rel, name) : sm_strdup(name);
        s = full && sub ? list_entry(out, d, name, full, sub, depth + 1, err)
                        : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        free(full);
        free(sub);
        if (!s)
            s = next_entry(&name, d, path, err);
    }
    closedir(d);
    return s;
}

sm_status sm_list_files(sm_list *out, const char *dir, sm_err *err)
{
    *out = (sm_list){0};
    DIR *d = opendir(dir); /* the root itself may be reached through a link */
    sm_status s =
        d ? list_level(out, d, dir, "", 0, err) : sm_fail_errno(err, errno, "%s", dir);
    if (s)
        sm_list_free(out);
    sm_list_sort(out);
    return s;
}

sm_status sm_list_entries(sm_list *out, const char *dir, sm_err *err)
{
    const char *name;
    *out = (sm_list){0};
    DIR *d = opendir(dir);
    if (!d)
        return sm_fail_errno(err, errno, "%s", dir);
    sm_status s = next_entry(&name, d, dir, err);
    while (!s && name) {
        s = sm_list_push(out, name) ? next_entry(&name, d, dir, err)
                                    : sm_fail(err, SM_ENOMEM, "%s: out of memory", dir);
    }
    closedir(d);
    if (s)
        sm_list_free(out);
    sm_list_sort(out);
    return s;
}

static sm_status remove_at(int parent, const char *name, const char *path, int depth,
                           sm_err *err);

static sm_status remove_below(DIR *d, const char *path, int depth, sm_err *err)
{
    const char *name;
    sm_status s = next_entry(&name, d, path, err);
    while (!s && name) {
        char *full = sm_path_join(path, name);
        s = full ? remove_at(dirfd(d), name, full, depth + 1, err)
                 : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        free(full);
        if (!s)
            s = next_entry(&name, d, path, err);
    }
    closedir(d);
    return s;
}

static sm_status remove_at(int parent, const char *name, const char *path, int depth,
                           sm_err *err)
{
    struct stat st;
    DIR *d;
    int flag = 0;
    sm_status s = SM_OK;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? SM_OK : sm_fail_errno(err, errno, "%s: remove", path);
    if (S_ISDIR(st.st_mode)) {
        flag = AT_REMOVEDIR;
        s = open_below(&d, parent, name, path, depth, err);
        if (!s)
            s = remove_below(d, path, depth, err);
    }
    if (!s && unlinkat(parent, name, flag) != 0 && errno != ENOENT)
        s = sm_fail_errno(err, errno, "%s: remove", path);
    return s;
}

sm_status sm_remove_tree(const char *path, sm_err *err)
{
    return remove_at(AT_FDCWD, path, path, 0, err);
}
