/* SPDX-License-Identifier: Apache-2.0 */
/* The spool: one file, appended under a mutex, mapped when sealed. */
#include "spool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sm_spool {
    pthread_mutex_t lock; /* guards everything below until sealed */
    int fd;
    uint64_t bytes;
    sm_spool_record *record;
    size_t n, cap;
    char *map;
};

sm_status sm_spool_create(sm_spool **out, const char *dir, sm_err *err)
{
    sm_buf name = {0};
    sm_spool *s = sm_alloc(1, sizeof *s);
    if (!s || !sm_buf_printf(&name, "%s/.sm-tmp-spool-XXXXXX", dir)) {
        free(s);
        sm_buf_free(&name);
        return sm_fail(err, SM_ENOMEM, "%s: no memory for a spool", dir);
    }
    s->fd = mkstemp(name.data);
    if (s->fd < 0) {
        sm_status st = sm_fail_errno(err, errno, "%s", name.data);
        free(s);
        sm_buf_free(&name);
        return st;
    }
    unlink(name.data);
    sm_buf_free(&name);
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return SM_OK;
}

static sm_status write_all(int fd, const char *p, size_t n, sm_err *err)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return sm_fail_errno(err, errno, "spool of documents: write");
        p += k;
        n -= (size_t)k;
    }
    return SM_OK;
}

static bool grow(sm_spool *s)
{
    if (s->n < s->cap)
        return true;
    size_t cap = s->cap ? 2 * s->cap : 1024;
    sm_spool_record *r = sm_realloc(s->record, cap, sizeof *r);
    if (!r)
        return false;
    s->record = r;
    s->cap = cap;
    return true;
}

sm_status sm_spool_put(sm_spool *s, sm_spool_record r, const sm_buf *head,
                       const sm_buf *tail, sm_err *err)
{
    r.head_bytes = head->len;
    r.tail_bytes = tail->len;
    pthread_mutex_lock(&s->lock);
    sm_status st =
        grow(s) ? SM_OK : sm_fail(err, SM_ENOMEM, "spool of documents: no memory");
    r.offset = s->bytes;
    if (!st)
        st = write_all(s->fd, head->data, head->len, err);
    if (!st)
        st = write_all(s->fd, tail->data, tail->len, err);
    if (!st) {
        s->bytes += head->len + tail->len;
        s->record[s->n++] = r;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

static int compare_records(const void *a, const void *b)
{
    const sm_spool_record *x = a, *y = b;
    return memcmp(x->key, y->key, sizeof x->key);
}

/* Of two records with one key, does x stay? */
static bool precedes(const sm_spool *s, const sm_spool_record *x,
                     const sm_spool_record *y, const uint32_t *rank)
{
    if (rank[x->folder] != rank[y->folder])
        return rank[x->folder] < rank[y->folder];
    if (x->is_complete != y->is_complete)
        return x->is_complete;
    size_t n = x->head_bytes + x->tail_bytes, m = y->head_bytes + y->tail_bytes;
    int c = memcmp(s->map + x->offset, s->map + y->offset, n < m ? n : m);
    return c ? c < 0 : n < m;
}

static void drop_repeated(sm_spool *s, const uint32_t *rank, sm_spool_repeats *dropped)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        sm_spool_record *last = kept > 0 ? &s->record[kept - 1] : NULL;
        if (!last || compare_records(last, &s->record[i]) != 0) {
            s->record[kept++] = s->record[i];
            continue;
        }
        dropped->n++;
        dropped->text_bytes += last->text_bytes;
        if (precedes(s, &s->record[i], last, rank))
            *last = s->record[i];
    }
    s->n = kept;
}

sm_status sm_spool_seal(sm_spool *s, const uint32_t *rank, sm_spool_repeats *dropped,
                        sm_err *err)
{
    *dropped = (sm_spool_repeats){0};
    if (s->bytes == 0)
        return SM_OK;
    void *p = mmap(NULL, s->bytes, PROT_READ, MAP_PRIVATE, s->fd, 0);
    if (p == MAP_FAILED)
        return sm_fail_errno(err, errno, "spool of documents: mmap");
    s->map = p;
    if (s->n > 1)
        qsort(s->record, s->n, sizeof *s->record, compare_records);
    drop_repeated(s, rank, dropped);
    return SM_OK;
}

size_t sm_spool_n(const sm_spool *s)
{
    return s->n;
}

const sm_spool_record *sm_spool_at(const sm_spool *s, size_t i, const char **bytes)
{
    *bytes = s->map + s->record[i].offset;
    return &s->record[i];
}

void sm_spool_free(sm_spool *s)
{
    if (!s)
        return;
    if (s->map)
        munmap(s->map, s->bytes);
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s->record);
    free(s);
}
