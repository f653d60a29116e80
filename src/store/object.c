/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: bytes named by their SHA-256, with a leaf table beside them.
 *
 * 1. hash (and copy, when the file cannot be moved); 2. leaf table: fsync, rename, fsync
 * of the directory; 3. bytes: likewise.  So an object that is seen has its table, and
 * both survive a crash.  A crash leaves at most a table without an object, which is
 * harmless. An object that exists is not rewritten; it is re-hashed, and replaced if
 * damaged.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object.h"

char *object_path(const sm_store *s, const sm_id *id)
{
    sm_buf b = {0};
    if (!sm_buf_printf(&b, "%s/objects/%.2s/%s", s->dir, id->hex, id->hex + 2)) {
        sm_buf_free(&b);
        return NULL;
    }
    return b.data;
}

static sm_status write_all(int fd, const void *data, size_t len, const char *path,
                           sm_err *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sm_fail_errno(err, errno, "%s: write", path);
        p += n;
        len -= (size_t)n;
    }
    return SM_OK;
}

/* Read to the end, hashing; copy_fd < 0: no copy. */
static sm_status hash_fd(leaf_hash *h, sm_id *id, int fd, int copy_fd, const char *path,
                         sm_err *err)
{
    sm_status st = SM_OK;
    unsigned char *block = malloc(STORE_LEAF_BYTES);
    if (!block)
        return store_nomem(err);
    while (!st) {
        ssize_t n = read(fd, block, STORE_LEAF_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            break;
        if (n < 0)
            st = sm_fail_errno(err, errno, "%s: read", path);
        else if (!leaf_put(h, block, (size_t)n))
            st = sm_fail(err, SM_EIO, "%s: SHA-256 failed", path);
        else if (copy_fd >= 0)
            st = write_all(copy_fd, block, (size_t)n, path, err);
    }
    free(block);
    if (!st && !leaf_close(h, id))
        st = sm_fail(err, SM_EIO, "%s: SHA-256 failed", path);
    return st;
}

/* Make a finished file visible under `target` for good. */
static sm_status publish(int fd, const char *path, const char *target, const char *dir,
                         sm_err *err)
{
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0)
        return sm_fail_errno(err, errno, "%s: fsync", path);
    if (rename(path, target) != 0)
        return sm_fail_errno(err, errno, "%s: rename", target);
    return store_sync_dir(dir, err);
}

static sm_status publish_bytes(sm_store *s, const void *data, size_t len,
                               const char *target, const char *dir, sm_err *err)
{
    int fd = -1;
    char *path = NULL;
    sm_status st = store_temp(&fd, &path, s, err);
    if (st)
        return st;
    st = write_all(fd, data, len, target, err);
    if (!st)
        st = publish(fd, path, target, dir, err);
    if (st)
        unlink(path);
    close(fd);
    free(path);
    return st;
}

/* The shard directory of an object, made durable; *dir malloc'd. */
static sm_status shard_open(char **dir, const sm_store *s, const sm_id *id, sm_err *err)
{
    sm_status st = SM_OK;
    char *objects = store_path(s, "objects");
    char *shard = NULL;
    char name[3] = {id->hex[0], id->hex[1], 0};
    if (!objects || !(shard = sm_path_join(objects, name)))
        st = store_nomem(err);
    else if (mkdir(shard, 0755) != 0 && errno != EEXIST)
        st = sm_fail_errno(err, errno, "%s: mkdir", shard);
    else
        st =
            store_sync_dir(objects, err); /* also when another process made it just now */
    free(objects);
    if (st) {
        free(shard);
        return st;
    }
    *dir = shard;
    return SM_OK;
}

static sm_status sync_file(const char *path, sm_err *err)
{
    int fd = -1;
    sm_status st = sm_file_open_regular(&fd, NULL, path, O_RDONLY, err);
    if (st)
        return st;
    int rc = fsync(fd), e = errno;
    close(fd);
    return rc == 0 ? SM_OK : sm_fail_errno(err, e, "%s: fsync", path);
}

/* Where an object is going. */
typedef struct target {
    char *dir, *path, *leaf;
    bool exists, was_damaged;
} target;

static void target_free(target *t)
{
    free(t->dir);
    free(t->path);
    free(t->leaf);
}

static sm_status target_open(target *t, sm_store *s, const sm_id *id, sm_err *err)
{
    sm_buf leaf = {0};
    object_report report;
    sm_status st = shard_open(&t->dir, s, id, err);
    if (st)
        return st;
    t->path = object_path(s, id);
    if (!t->path || !sm_buf_printf(&leaf, "%s.leaf", t->path)) {
        sm_buf_free(&leaf);
        return store_nomem(err);
    }
    t->leaf = leaf.data;
    if (!sm_path_exists(t->path))
        return SM_OK;
    st = object_check(&report, s, id, err);
    t->was_damaged = report.wrong != 0;
    t->exists = !t->was_damaged;
    return st;
}

/* An object that is there may have been renamed by a process that has not yet reached its
 * fsync: what this process acknowledges must be durable by its own doing. */
static sm_status target_keep(const target *t, sm_err *err)
{
    sm_status st = sync_file(t->path, err);
    if (!st)
        st = sync_file(t->leaf, err);
    return st ? st : store_sync_dir(t->dir, err);
}

static sm_status note_repair(sm_store *s, const sm_id *id, sm_err *err)
{
    json_t *detail = json_pack("{s:s}", "object", id->hex);
    if (!detail)
        return store_nomem(err);
    sm_status st = audit_append(s, "object.repair", detail, err);
    json_decref(detail);
    return st;
}

/* Store the open file `fd` = `path`, already hashed, by renaming it. */
static sm_status adopt(sm_store *s, int fd, const char *path, const sm_id *id,
                       const leaf_hash *h, sm_err *err)
{
    target t = {0};
    sm_status st = target_open(&t, s, id, err);
    if (!st && t.exists) {
        st = target_keep(&t, err);
        if (!st)
            unlink(path);
        goto done;
    }
    if (!st)
        st = publish_bytes(s, h->table.data, h->table.len, t.leaf, t.dir, err);
    store_point(s, "object.leaf");
    if (!st)
        st = publish(fd, path, t.path, t.dir, err);
    store_point(s, "object.bytes");
    if (!st && t.was_damaged)
        st = note_repair(s, id, err);
done:
    target_free(&t);
    return st;
}

sm_status object_put_bytes(sm_id *id, sm_store *s, const void *data, size_t len,
                           sm_err *err)
{
    int fd = -1;
    char *path = NULL;
    leaf_hash h;
    sm_status st = leaf_open(&h, err);
    if (!st && (!leaf_put(&h, data, len) || !leaf_close(&h, id)))
        st = sm_fail(err, SM_EIO, "SHA-256 of %zu bytes failed", len);
    if (!st)
        st = store_temp(&fd, &path, s, err);
    if (!st)
        st = write_all(fd, data, len, path, err);
    if (!st)
        st = adopt(s, fd, path, id, &h, err);
    if (st && path)
        unlink(path);
    if (fd >= 0)
        close(fd);
    free(path);
    leaf_free(&h);
    return st;
}

sm_status object_put_json(sm_id *id, char **text, sm_store *s, const json_t *value,
                          sm_err *err)
{
    sm_buf b = {.max = STORE_JSON_MAX};
    sm_status st = sm_json_canonical(&b, value, err);
    if (!st)
        st = object_put_bytes(id, s, b.data, b.len, err);
    if (st || !text)
        sm_buf_free(&b);
    else
        *text = b.data;
    return st;
}

/* A file can be moved when its bytes cannot be written under another name (it has none, or
 * nobody may write) and it lies on the workspace's file system. */
static bool is_movable(const sm_store *s, const struct stat *info)
{
    struct stat here;
    bool is_fixed = info->st_nlink == 1 || !(info->st_mode & 0222);
    return is_fixed && stat(s->dir, &here) == 0 && here.st_dev == info->st_dev;
}

sm_status object_put_file(sm_id *id, int64_t *bytes, sm_store *s, const char *path,
                          bool may_move, sm_err *err)
{
    struct stat info;
    leaf_hash h = {0};
    char *temp = NULL;
    int temp_fd = -1;
    int fd = -1;
    sm_status st = sm_file_open_regular(&fd, NULL, path, O_RDONLY | O_NOFOLLOW, err);
    if (st)
        return st;
    if (fstat(fd, &info) != 0) {
        st = sm_fail_errno(err, errno, "%s", path);
        goto done;
    }
    if (!may_move || !is_movable(s, &info))
        st = store_temp(&temp_fd, &temp, s, err);
    if (!st)
        st = leaf_open(&h, err);
    if (!st)
        st = hash_fd(&h, id, fd, temp_fd, path, err);
    store_point(s, "object.hashed");
    if (!st)
        st = adopt(s, temp ? temp_fd : fd, temp ? temp : path, id, &h, err);
    if (!st)
        *bytes = h.bytes;
done:
    if (st && temp)
        unlink(temp);
    if (temp_fd >= 0)
        close(temp_fd);
    close(fd);
    free(temp);
    leaf_free(&h);
    return st;
}

/* ------------------------------------------------------------------- checking */

static void compare_leaves(object_report *r, const char *want, size_t n_want,
                           const char *got, size_t n_got)
{
    size_t n = (n_want > n_got ? n_want : n_got) / LEAF_LINE;
    for (size_t i = 0; i < n; i++) {
        size_t at = i * LEAF_LINE;
        bool same = at + LEAF_LINE <= n_want && at + LEAF_LINE <= n_got &&
                    memcmp(want + at, got + at, LEAF_LINE) == 0;
        if (same)
            continue;
        if (r->n_leaf < (int)(sizeof r->leaf / sizeof *r->leaf))
            r->leaf[r->n_leaf] = (int64_t)i;
        r->n_leaf++;
    }
}

/* Bytes that match their name prove the table wrong; otherwise the table locates. */
static void judge(object_report *r, bool name_matches, const leaf_hash *h,
                  const char *table, size_t len)
{
    bool same = len == h->table.len && memcmp(table, h->table.data, len) == 0;
    if (!name_matches) {
        r->wrong |= OBJECT_BYTES;
        compare_leaves(r, table, len, h->table.data, h->table.len);
    } else if (!same) {
        r->wrong |= OBJECT_LEAF_FILE;
        compare_leaves(r, table, len, h->table.data, h->table.len);
        if (len != h->table.len)
            snprintf(r->why, sizeof r->why,
                     "got %zu bytes, want %zu; the object is whole", len, h->table.len);
        else
            snprintf(r->why, sizeof r->why,
                     "entry %lld is not the hash of its leaf; the object is whole",
                     (long long)r->leaf[0]);
    }
}

/* Of an error about a path what comes after the path. */
static const char *reason(const sm_err *e)
{
    const char *text = strrchr(e->msg, ':');
    return text ? text + 1 + strspn(text + 1, " ") : e->msg;
}

static sm_status check_open(object_report *r, const char *path, const sm_id *id, int fd,
                            sm_err *err)
{
    sm_err inner = {0};
    sm_id found;
    leaf_hash h;
    char *table = NULL;
    size_t len = 0;
    sm_buf leaf = {0};
    sm_status st = leaf_open(&h, err);
    if (st)
        goto done;
    if (hash_fd(&h, &found, fd, -1, path, &inner)) {
        r->wrong |= OBJECT_UNREADABLE;
        snprintf(r->why, sizeof r->why, "%.100s", reason(&inner));
        goto done;
    }
    r->bytes = h.bytes;
    if (!sm_buf_printf(&leaf, "%s.leaf", path)) {
        st = store_nomem(err);
        goto done;
    }
    if (sm_file_read(&table, &len, leaf.data, STORE_JSON_MAX, &inner)) {
        r->wrong |= OBJECT_LEAF_FILE;
        snprintf(r->why, sizeof r->why, "cannot be read: %.100s", reason(&inner));
    }
    if (table)
        judge(r, id_equal(&found, id), &h, table, len);
    else if (!id_equal(&found, id))
        r->wrong |= OBJECT_BYTES;
done:
    free(table);
    sm_buf_free(&leaf);
    leaf_free(&h);
    return st;
}

sm_status object_check(object_report *r, sm_store *s, const sm_id *id, sm_err *err)
{
    *r = (object_report){0};
    char *path = object_path(s, id);
    if (!path)
        return store_nomem(err);
    int fd = -1;
    sm_err why = {0};
    sm_status st = sm_file_open_regular(&fd, NULL, path, O_RDONLY | O_NOFOLLOW, &why);
    if (!st) {
        st = check_open(r, path, id, fd, err);
        close(fd);
    } else {
        r->wrong = st == SM_ENOENT ? OBJECT_MISSING : OBJECT_UNREADABLE;
        snprintf(r->why, sizeof r->why, "%.100s",
                 st == SM_EINVAL ? "want a regular file" : reason(&why));
        st = SM_OK;
    }
    free(path);
    return st;
}

void object_leaf_text(char out[128], const object_report *r, int i)
{
    int64_t from = r->leaf[i] * (int64_t)STORE_LEAF_BYTES;
    int64_t to = from + (int64_t)STORE_LEAF_BYTES;
    if (to > r->bytes)
        to = r->bytes;
    snprintf(out, 128, "leaf %lld (bytes %lld..%lld) does not match its hash",
             (long long)r->leaf[i], (long long)from,
             (long long)(to > from ? to - 1 : from));
}

sm_status object_load_json(json_t **out, char **text, sm_store *s, const sm_id *id,
                           sm_err *err)
{
    char *data = NULL;
    size_t len = 0;
    sm_id found;
    char *path = object_path(s, id);
    if (!path)
        return store_nomem(err);
    sm_status st = sm_file_read(&data, &len, path, STORE_JSON_MAX, err);
    if (!st)
        st = sm_id_of_bytes(&found, data, len, err);
    if (!st && !id_equal(&found, id))
        st = sm_fail(err, SM_ECORRUPT, "object %s: bytes do not match the name", id->hex);
    if (!st)
        st = sm_json_parse(out, data, len, path, err);
    if (!st && text) {
        *text = data;
        data = NULL;
    }
    free(data);
    free(path);
    return st;
}
