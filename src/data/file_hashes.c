/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of files that are asked for more than once in a run: for the check of a pipeline,
 * for the recipe, and for the report of the step that reads them.
 *
 * Invariants: 1. a hash is remembered under what the open file is (device, inode, size,
 * mtime, ctime), so that a file that was written, replaced or touched is read again; 2. one
 * that was written so shortly before that a second write might bear the same time is not
 * remembered; 3. nobody takes a remembered hash for that of bytes read later: who stores
 * what it read hashes the files once more at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "smelt/data.h"
#include "smelt/sys.h"

/* The coarsest clock of a file system in use (FAT). */
enum { CLOCK_STEP_S = 2 };

struct sm_file_hashes {
    pthread_mutex_t lock;
    json_t *known; /* what a file is -> its hash */
};

sm_status sm_file_hashes_create(sm_file_hashes **out, sm_err *err)
{
    sm_file_hashes *h = sm_alloc(1, sizeof *h);
    json_t *known = json_object();
    if (!h || !known) {
        json_decref(known);
        free(h);
        return sm_fail(err, SM_ENOMEM, "file hashes: out of memory");
    }
    h->known = known;
    pthread_mutex_init(&h->lock, NULL);
    *out = h;
    return SM_OK;
}

void sm_file_hashes_free(sm_file_hashes *h)
{
    if (!h)
        return;
    json_decref(h->known);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

typedef struct identity {
    char text[160];
    int64_t bytes;
    bool is_settled; /* no write from now on can bear the time of the last one */
} identity;

static sm_status identify(identity *out, int fd, const char *path, sm_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return sm_fail_errno(err, errno, "%s", path);
    snprintf(out->text, sizeof out->text,
             "%" PRIuMAX ":%" PRIuMAX ":%" PRIdMAX ":%" PRIdMAX ".%09ld:%" PRIdMAX
             ".%09ld",
             (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
             (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
             st.st_ctim.tv_nsec);
    out->bytes = (int64_t)st.st_size;
    out->is_settled =
        (int64_t)st.st_ctim.tv_sec + CLOCK_STEP_S < sm_wall_ns() / 1000000000;
    return SM_OK;
}

static bool look_up(char out[65], sm_file_hashes *h, const identity *id)
{
    pthread_mutex_lock(&h->lock);
    const char *hex = json_string_value(json_object_get(h->known, id->text));
    if (hex)
        snprintf(out, 65, "%s", hex);
    pthread_mutex_unlock(&h->lock);
    return hex != NULL;
}

/* Without memory it is forgotten, which costs time alone. */
static void remember(sm_file_hashes *h, const identity *id, const char *hex)
{
    pthread_mutex_lock(&h->lock);
    json_object_set_new(h->known, id->text, json_string(hex));
    pthread_mutex_unlock(&h->lock);
}

/* Hash the open file, and remember it when it stayed what it was. */
static sm_status hash_open(char out[65], int64_t *bytes, const sm_ctx *ctx, int fd,
                           const char *path, sm_err *err)
{
    identity before, after;
    sm_status s = identify(&before, fd, path, err);
    if (!s && look_up(out, ctx->hashes, &before)) {
        *bytes = before.bytes;
        return SM_OK;
    }
    if (!s)
        s = sm_sha_open_file(out, bytes, ctx, fd, path, err);
    if (!s)
        s = identify(&after, fd, path, err);
    if (!s && before.is_settled && strcmp(before.text, after.text) == 0)
        remember(ctx->hashes, &before, out);
    return s;
}

sm_status sm_file_hash(char out[65], int64_t *bytes, const sm_ctx *ctx, const char *path,
                       sm_err *err)
{
    int fd;
    if (!ctx || !ctx->hashes)
        return sm_sha_file(out, bytes, ctx, path, err);
    sm_status s = sm_file_open_regular(&fd, NULL, path, O_RDONLY, err);
    if (s)
        return s;
    s = hash_open(out, bytes, ctx, fd, path, err);
    close(fd);
    return s;
}
