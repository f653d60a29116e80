/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `data add`: the files of a directory.  Symbolic links are counted and not followed.  What
 * the names rule out is never opened, so that it may be unreadable; what else cannot be
 * read is an error, or an item that says so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "add.h"

enum { DEPTH = 64 };

typedef struct walk {
    add_items *items;
    const json_t *options;
    uint32_t group;
} walk;

/* A file or folder on disk and inside the source. */
typedef struct place {
    const char *disk, *name;
} place;

static sm_status push(const walk *w, place at, add_item_kind kind, sm_err *err)
{
    add_item item = {.kind = kind, .group = w->group};
    return sm_add_push_item(w->items, &item, at.disk, at.name, err);
}

/* A folder is judged by its own name, then as what lies in it would be. */
static const char *folder_verdict(const walk *w, const char *name)
{
    char *inside = sm_path_join(name, "");
    const char *why = sm_add_verdict(w->options, name, false);
    if (!why && inside)
        why = sm_add_verdict(w->options, inside, false);
    free(inside);
    return why;
}

static sm_status cannot_read(const walk *w, place at, bool is_folder, const sm_err *why,
                             sm_err *err)
{
    add_item item = {.kind = ADD_SKIPPED, .group = w->group};
    item.why = is_folder ? folder_verdict(w, at.name)
                         : sm_add_verdict(w->options, at.name, false);
    if (!item.why) {
        sm_status s = sm_add_unreadable(&item, at.disk, w->options, why, err);
        if (s)
            return s;
    }
    return sm_add_push_item(w->items, &item, at.disk, at.name, err);
}

static sm_status take_file(const walk *w, place at, sm_err *err)
{
    add_item item = {.group = w->group};
    item.why = sm_add_verdict(w->options, at.name, false);
    item.kind = item.why ? ADD_SKIPPED : ADD_FILE;
    return sm_add_push_item(w->items, &item, at.disk, at.name, err);
}

static sm_status walk_folder(const walk *w, int parent, const char *entry, place at,
                             int depth, sm_err *err);

static sm_status take_entry(const walk *w, int folder, const char *entry, place at,
                            int depth, sm_err *err)
{
    struct stat st;
    sm_err why = {0};
    if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return SM_OK; /* vanished meanwhile */
        sm_fail_errno(&why, errno, "%s", at.disk);
        return cannot_read(w, at, false, &why, err);
    }
    if (S_ISLNK(st.st_mode))
        return push(w, at, ADD_LINK, err);
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, folder, entry, at, depth, err);
    return S_ISREG(st.st_mode) ? take_file(w, at, err) : SM_OK;
}

/* All entries of an open folder; *at_fault is errno when it could not be read on. */
static sm_status take_entries(const walk *w, DIR *d, place at, int depth, int *at_fault,
                              sm_err *err)
{
    sm_status s = SM_OK;
    while (!s) {
        errno = 0;
        struct dirent *e = readdir(d);
        *at_fault = errno;
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *disk = sm_path_join(at.disk, e->d_name);
        char *name = *at.name ? sm_path_join(at.name, e->d_name) : sm_strdup(e->d_name);
        s = disk && name
                ? take_entry(w, dirfd(d), e->d_name, (place){disk, name}, depth, err)
                : sm_fail(err, SM_ENOMEM, "%s: out of memory", at.disk);
        free(disk);
        free(name);
    }
    return s;
}

static DIR *open_folder(int parent, const char *entry, int flag)
{
    int fd = openat(parent, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flag);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0)
        close(fd);
    return d;
}

static sm_status walk_folder(const walk *w, int parent, const char *entry, place at,
                             int depth, sm_err *err)
{
    sm_err why = {0};
    sm_status s = SM_OK;
    bool is_top = parent == AT_FDCWD; /* which may be reached through a link */
    int at_fault = 0;
    DIR *d = depth < DEPTH ? open_folder(parent, entry, is_top ? 0 : O_NOFOLLOW) : NULL;
    if (depth >= DEPTH)
        sm_fail(&why, SM_EINVAL, "%s: more than %d directories deep", at.disk, DEPTH);
    else if (!d)
        sm_fail_errno(&why, errno, "%s", at.disk);
    else
        s = take_entries(w, d, at, depth + 1, &at_fault, err);
    if (!s && at_fault)
        sm_fail_errno(&why, at_fault, "%s", at.disk);
    if (d)
        closedir(d);
    if (is_top && why.status)
        at.name = w->items->group[w->group];
    return s || !why.status ? s : cannot_read(w, at, true, &why, err);
}

sm_status sm_add_walk(add_items *items, const json_t *options, const char *path,
                      uint32_t group, sm_err *err)
{
    walk w = {items, options, group};
    return walk_folder(&w, AT_FDCWD, path, (place){path, ""}, 0, err);
}
