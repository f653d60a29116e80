/* SPDX-License-Identifier: Apache-2.0 */
/* The workspace: making, finding, opening, locking. */
#define _XOPEN_SOURCE \
    700 /* realpath, which glibc does not show for POSIX.1-2008 alone \
         */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

sm_status store_nomem(sm_err *err)
{
    return sm_fail(err, SM_ENOMEM, "store: out of memory");
}

sm_status store_damage(sm_status st, sm_err *err)
{
    if (st != SM_EINVAL)
        return st;
    if (err)
        err->status = SM_ECORRUPT;
    return SM_ECORRUPT;
}

void store_enter(sm_store *s)
{
    pthread_mutex_lock(&s->mutex);
}

void store_leave(sm_store *s)
{
    pthread_mutex_unlock(&s->mutex);
}

void store_point(sm_store *s, const char *point)
{
    if (s->at_point)
        s->at_point(s->at_self, point);
}

char *store_path(const sm_store *s, const char *rel)
{
    return sm_path_join(s->dir, rel);
}

sm_status store_sync_dir(const char *path, sm_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sm_fail_errno(err, errno, "%s", path);
    int rc = fsync(fd), e = errno;
    close(fd);
    return rc == 0 ? SM_OK : sm_fail_errno(err, e, "%s: fsync", path);
}

sm_status store_lock(sm_store *s, sm_err *err)
{
    if (s->lock_depth++ > 0)
        return SM_OK;
    while (flock(s->lock_fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        s->lock_depth--;
        return sm_fail_errno(err, errno, "%s/lock", s->dir);
    }
    return SM_OK;
}

void store_unlock(sm_store *s)
{
    if (--s->lock_depth == 0)
        flock(s->lock_fd, LOCK_UN);
}

const char *sm_store_root(const sm_store *s)
{
    return s->root;
}

const char *sm_store_dir(const sm_store *s)
{
    return s->dir;
}

/* ----------------------------------------------------------------------- open */

sm_status store_hold(int *fd, const char *dir, int how, sm_err *err)
{
    int rc, f = -1;
    char *path = sm_path_join(dir, "format");
    if (!path)
        return store_nomem(err);
    sm_status st = sm_file_open_regular(&f, NULL, path, O_RDONLY, err);
    if (st)
        goto done;
    while ((rc = flock(f, how == LOCK_EX ? LOCK_EX | LOCK_NB : how)) != 0 &&
           errno == EINTR)
        ;
    if (rc == 0)
        *fd = f;
    else if (errno == EWOULDBLOCK)
        st = sm_fail(err, SM_EDENIED,
                     "%s: another process has the workspace open; want none", dir);
    else
        st = sm_fail_errno(err, errno, "%s: lock", path);
    if (st)
        close(f);
done:
    free(path);
    return st;
}

static sm_status open_lock(sm_store *s, sm_err *err)
{
    char *path = store_path(s, "lock");
    if (!path)
        return store_nomem(err);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    sm_status st = s->lock_fd < 0 ? sm_fail_errno(err, errno,
                                                  "%s: want a workspace that can be "
                                                  "written to, also to read it",
                                                  path)
                                  : SM_OK;
    free(path);
    return st;
}

static sm_status check_format(const sm_store *s, sm_err *err)
{
    char *text = NULL;
    char *path = store_path(s, "format");
    if (!path)
        return store_nomem(err);
    sm_status st = store_damage(sm_file_read(&text, NULL, path, 4096, err), err);
    if (!st && strcmp(text, STORE_FORMAT) != 0)
        st = sm_fail(err, SM_ECORRUPT, "%s: got \"%.40s\", want \"%.*s\"", path, text,
                     (int)sizeof STORE_FORMAT - 2, STORE_FORMAT);
    free(text);
    free(path);
    return st;
}

static const char *const folders[] = {"objects", "audit", "keys", "tmp"};

static sm_status check_layout(const sm_store *s, sm_err *err)
{
    sm_status st = check_format(s, err);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !st; i++) {
        bool there = false;
        char *path = store_path(s, folders[i]);
        if (!path)
            return store_nomem(err);
        /* Nothing in tmp is needed but room for what comes. */
        if (!strcmp(folders[i], "tmp"))
            st = sm_mkdirs(path, err);
        else if (!(st = sm_path_look_dir(&there, path, err)) && !there)
            st = sm_fail(err, SM_ECORRUPT,
                         "%s: the folder is missing; want it back from a copy", path);
        free(path);
    }
    return st;
}

/* A catalog file that is new, or that a crash left before its schema. */
static sm_status is_blank(bool *out, sqlite3 *db, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st = catalog_query(&q, db, err, "SELECT 1 FROM sqlite_master LIMIT 1", "");
    if (!st)
        st = catalog_step(&row, db, q, err);
    sqlite3_finalize(q);
    *out = !row;
    return st;
}

static sm_status check_schema(sqlite3 *db, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st =
        catalog_query(&q, db, err, "SELECT value FROM meta WHERE key = 'schema'", "");
    if (!st)
        st = catalog_step(&row, db, q, err);
    if (!st && strcmp(catalog_text(q, 0), "1") != 0)
        st = sm_fail(err, SM_ECORRUPT,
                     "catalog.db: got schema \"%.20s\", want 1; " STORE_REBUILD_HINT,
                     catalog_text(q, 0));
    sqlite3_finalize(q);
    return st;
}

/* A lost catalog is made again from the log: create it empty, recovery does the rest and
 * records it. */
static sm_status open_catalog(sm_store *s, sm_err *err)
{
    bool is_new = false;
    char *path = store_path(s, "catalog.db");
    if (!path)
        return store_nomem(err);
    sm_status st = store_lock(s, err);
    if (!st) {
        st = catalog_open(&s->db, path, true, err);
        if (!st)
            st = catalog_check_plain(s->db, err);
        if (!st)
            st = is_blank(&is_new, s->db, err);
        if (!st)
            st = is_new ? catalog_create(s->db, err) : check_schema(s->db, err);
        store_unlock(s);
    }
    free(path);
    return st;
}

static sm_status mutex_init(pthread_mutex_t *m, sm_err *err)
{
    pthread_mutexattr_t attr;
    if (pthread_mutexattr_init(&attr) != 0)
        return store_nomem(err);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    int rc = pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
    return rc == 0 ? SM_OK : store_nomem(err);
}

/* Who opens: init has yet to write the first record, and a rebuild holds the workspace. */
typedef enum open_mode { OPEN_SHARED, OPEN_NEW, OPEN_HELD } open_mode;

/* Open root/.smelt; takes `root` (malloc'd) whatever the outcome. */
static sm_status open_at(sm_store **out, char *root, open_mode mode, sm_err *err)
{
    sm_store *s = sm_alloc(1, sizeof *s);
    if (!s || mutex_init(&s->mutex, err)) {
        free(root);
        free(s);
        return store_nomem(err);
    }
    s->root = root;
    s->lock_fd = s->session_fd = s->open_fd = -1;
    s->dir = sm_path_join(root, ".smelt");
    sm_status st = s->dir ? check_layout(s, err) : store_nomem(err);
    if (!st)
        st = open_lock(s, err);
    if (!st && mode != OPEN_HELD)
        st = store_hold(&s->open_fd, s->dir, LOCK_SH, err);
    if (!st)
        st = open_catalog(s, err);
    if (!st && mode != OPEN_NEW)
        st = change_recover(s, err);
    if (st) {
        sm_store_close(s);
        return st;
    }
    store_clean_staging(s);
    *out = s;
    return SM_OK;
}

static sm_status want_dir(const char *dir, sm_err *err)
{
    bool there = false;
    sm_status st = sm_path_look_dir(&there, dir, err);
    return st || there ? st : sm_fail(err, SM_ENOENT, "%s: no such directory", dir);
}

/* Where `.smelt` cannot be looked for, the workspace above is not the one that was meant. */
static sm_status look_upward(bool *found, char *at, sm_err *err)
{
    for (;;) {
        char *probe = sm_path_join(at, ".smelt");
        sm_status st = probe ? sm_path_look_dir(found, probe, err) : store_nomem(err);
        free(probe);
        char *slash = strrchr(at, '/');
        if (st || *found || !slash || slash[1] == 0)
            return st;
        slash[slash == at ? 1 : 0] = 0;
    }
}

sm_status store_find_root(char **out, const char *dir, sm_err *err)
{
    const char *from = dir ? dir : ".";
    bool found = false;
    sm_status st = want_dir(from, err);
    char *at = st ? NULL : realpath(from, NULL);
    if (!st && !at)
        st = sm_fail_errno(err, errno, "%s", from);
    if (!st)
        st = look_upward(&found, at, err);
    if (!st && !found)
        st = sm_fail(err, SM_ENOENT,
                     "no workspace (.smelt) in %s or above it; make one with: smelt init",
                     dir ? dir : "the current directory");
    if (st)
        free(at);
    else
        *out = at;
    return st;
}

static sm_status open_found(sm_store **out, const char *dir, open_mode mode, sm_err *err)
{
    char *root = NULL;
    sm_status st = store_find_root(&root, dir, err);
    if (st)
        return st;
    return open_at(out, root, mode, err);
}

sm_status sm_store_open(sm_store **out, const char *dir, sm_err *err)
{
    return open_found(out, dir, OPEN_SHARED, err);
}

sm_status store_open_held(sm_store **out, const char *dir, sm_err *err)
{
    return open_found(out, dir, OPEN_HELD, err);
}

void sm_store_close(sm_store *s)
{
    if (!s)
        return;
    if (s->session)
        sm_remove_tree(s->session, NULL);
    if (s->session_fd >= 0)
        close(s->session_fd);
    sqlite3_finalize(s->metric);
    sqlite3_close_v2(s->fast);
    sqlite3_close_v2(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->open_fd >= 0)
        close(s->open_fd);
    EVP_PKEY_free(s->key);
    EVP_PKEY_free(s->pub);
    pthread_mutex_destroy(&s->mutex);
    json_decref(s->whole);
    free(s->session);
    free(s->dir);
    free(s->root);
    free(s);
}

/* ----------------------------------------------------------------------- init */

static sm_status write_file(const char *dir, const char *name, const char *text,
                            sm_err *err)
{
    char *path = sm_path_join(dir, name);
    if (!path)
        return store_nomem(err);
    sm_status st = sm_file_write_atomic(path, text, strlen(text), 0644, err);
    free(path);
    return st;
}

static sm_status make_layout(const char *dir, sm_err *err)
{
    sm_status st = SM_OK;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !st; i++) {
        char *path = sm_path_join(dir, folders[i]);
        if (!path)
            return store_nomem(err);
        mode_t mode = strcmp(folders[i], "keys") == 0 ? 0700 : 0755;
        if (mkdir(path, mode) != 0)
            st = sm_fail_errno(err, errno, "%s: mkdir", path);
        free(path);
    }
    if (!st)
        st = key_create(dir, err);
    if (!st)
        st = write_file(dir, "audit/log.jsonl", "", err);
    if (!st)
        st = write_file(dir, ".gitignore", "*\n", err);
    return st ? st : write_file(dir, "format", STORE_FORMAT, err);
}

/* The log's first record binds the workspace to its key. */
static sm_status start_log(char *parent, sm_err *err)
{
    sm_store *s = NULL;
    char key[65];
    json_t *detail = NULL;
    sm_status st = open_at(&s, parent, OPEN_NEW, err);
    if (st)
        return st;
    st = key_public_hex(key, s, err);
    if (!st && !(detail = json_pack("{s:i, s:s}", "format", 1, "key", key)))
        st = store_nomem(err);
    if (!st && !(st = change_begin(s, err)))
        st = change_end(s, change_log(s, "workspace.init", detail, err), err);
    json_decref(detail);
    sm_store_close(s);
    return st;
}

/* Everything is made in a private directory and appears by one rename. */
static sm_status build(const char *dir, const char *target, char *temp, sm_err *err)
{
    char *made = sm_path_join(temp, ".smelt");
    char *parent = sm_strdup(temp);
    sm_status st = SM_OK;
    if (!made || !parent) {
        free(parent);
        st = store_nomem(err);
        goto done;
    }
    if (mkdir(made, 0755) != 0) {
        st = sm_fail_errno(err, errno, "%s: mkdir", made);
        free(parent);
        goto done;
    }
    st = make_layout(made, err);
    if (st)
        free(parent);
    else
        st = start_log(parent, err);
    if (!st)
        st = store_sync_dir(made, err);
    if (!st && rename(made, target) != 0)
        st = errno == EEXIST || errno == ENOTEMPTY
                 ? sm_fail(err, SM_EEXIST, "%s: there is a workspace already", target)
                 : sm_fail_errno(err, errno, "%s: rename", target);
    if (!st)
        st = store_sync_dir(dir, err);
done:
    free(made);
    return st;
}

sm_status sm_store_init(const char *dir, sm_err *err)
{
    sm_status st = want_dir(dir, err);
    if (st)
        return st;
    char *target = sm_path_join(dir, ".smelt");
    char *temp = sm_path_join(dir, ".smelt-init-XXXXXX");
    if (!target || !temp)
        st = store_nomem(err);
    else if (sm_path_exists(target))
        st = sm_fail(err, SM_EEXIST, "%s: there is a workspace already", target);
    else if (!mkdtemp(temp))
        st = sm_fail_errno(err, errno, "%s", temp);
    if (!st) {
        st = build(dir, target, temp, err);
        sm_remove_tree(temp, NULL);
    }
    free(target);
    free(temp);
    return st;
}
