/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers over libarchive: a stack of readers, the lower feeding the upper.
 *
 * Invariants
 *  1. level[depth-1] is the one being read; level[i] is positioned inside the entry that
 *     level[i+1] decodes.
 *  2. An entry's data is consumed or drained here before the next header is asked for, so
 *     that libarchive never skips (and decompresses) bytes that are not counted.
 *  3. `produced` grows with every byte that any level hands out; check_limit() follows.
 *  4. After an error the container gives no more entries.
 *  5. A read of the file that fails is an error of its own, SM_EIO, never damage nor an end:
 *     libarchive takes one at the beginning for an empty file.
 */
#include "container.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_lines.h"
#include "names.h"
#include "smelt/sys.h"

#define BLOCK ((size_t)64 << 10)
#define CONTROL_MAX ((size_t)4 << 20)

static const char cannot_unpack[] = "cannot be unpacked: encrypted, or an unknown method";

typedef enum level_role { ROLE_NORMAL, ROLE_DEB, ROLE_CONTROL, ROLE_DATA } level_role;

typedef struct level {
    struct archive *a;
    sm_container *c;
    int index;
    char *prefix;     /* name inside the source of what this level reads      */
    char *package_at; /* of the .deb around it, or NULL                       */
    level_role role;
    bool seen_header, is_raw;
    unsigned char input[BLOCK]; /* lent to libarchive until its next read */
} level;

struct sm_container {
    level *level[SM_CONTAINER_DEPTH];
    int depth;
    sm_container_limits limits;
    sm_entry_filter filter;
    void *filter_self;
    int64_t file_bytes, produced;
    bool is_archive, is_bomb;
    int fd;       /* of the file; -1: in memory */
    int io_errno; /* of the first read of it that failed, 0: none */
    char *name;
    const void *memory; /* of sm_container_open_memory */
    size_t memory_len;
    sm_lines lines; /* of a .jsonl entry under way; its block is the one below */
    unsigned char block[BLOCK];
};

void sm_entry_free(sm_entry *e)
{
    free(e->path);
    free(e->package_at);
    free(e->target);
    free(e->data);
    *e = (sm_entry){0};
}

/* ------------------------------------------------------------------ levels */

static bool over_limit(sm_container *c)
{
    double most =
        (double)c->limits.floor_bytes + c->limits.max_ratio * (double)c->file_bytes;
    if ((double)c->produced > most)
        c->is_bomb = true;
    return c->is_bomb;
}

static sm_status bomb(const sm_container *c, sm_err *err)
{
    return sm_fail(err, SM_EDENIED,
                   "%s: %lld bytes come out of %lld, want a ratio of at most %.0f",
                   c->level[0]->prefix, (long long)c->produced, (long long)c->file_bytes,
                   c->limits.max_ratio);
}

/* Not to be passed over as damage is, whatever the cause. */
static sm_status unreadable(int error, const char *name, sm_err *err)
{
    sm_fail_errno(err, error, "%s: cannot be read", name);
    if (err)
        err->status = SM_EIO;
    return SM_EIO;
}

static sm_status damaged(const sm_container *c, const level *l, sm_err *err)
{
    if (c->io_errno)
        return unreadable(c->io_errno, c->name, err);
    if (c->is_bomb)
        return bomb(c, err);
    const char *why = archive_error_string(l->a);
    return sm_fail(err, SM_ECORRUPT, "%s: damaged: %s", l->prefix,
                   why ? why : "no further detail");
}

static void level_free(level *l)
{
    if (!l)
        return;
    archive_read_free(l->a);
    free(l->prefix);
    free(l->package_at);
    free(l);
}

/* Bytes of the entry a reader stands in; warnings and retries are gone over, not for ever. */
static la_ssize_t read_some(struct archive *a, void *to, size_t n)
{
    for (int tries = 0; tries < 64; tries++) {
        la_ssize_t got = archive_read_data(a, to, n);
        if (got != ARCHIVE_RETRY && got != ARCHIVE_WARN)
            return got;
    }
    archive_set_error(a, EIO, "retried too often");
    return ARCHIVE_FATAL;
}

/* libarchive asks for bytes of the entry below. */
static la_ssize_t read_below(struct archive *a, void *data, const void **out)
{
    level *l = data;
    struct archive *below = l->c->level[l->index - 1]->a;
    la_ssize_t n = read_some(below, l->input, sizeof l->input);
    if (n > 0)
        l->c->produced += n;
    if (n < 0 || over_limit(l->c)) {
        const char *why = archive_error_string(below);
        archive_set_error(a, EIO, "%s", why ? why : "cannot read");
        return -1;
    }
    *out = l->input;
    return n;
}

/* libarchive asks for bytes of the file. */
static la_ssize_t read_disk(struct archive *a, void *data, const void **out)
{
    level *l = data;
    ssize_t n;
    do
        n = read(l->c->fd, l->input, sizeof l->input);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        l->c->io_errno = errno;
        archive_set_error(a, errno, "read");
    }
    *out = l->input;
    return n;
}

/* A zip is read from the directory at its end.  Only a place that cannot be fails, which is
 * what a damaged one says, not the disk. */
static la_int64_t seek_disk(struct archive *a, void *data, la_int64_t offset, int whence)
{
    level *l = data;
    off_t at = lseek(l->c->fd, offset, whence);
    if (at >= 0)
        return at;
    archive_set_error(a, errno, "seek");
    return ARCHIVE_FATAL;
}

static int open_disk(level *l)
{
    archive_read_set_read_callback(l->a, read_disk);
    archive_read_set_seek_callback(l->a, seek_disk);
    archive_read_set_callback_data(l->a, l);
    return archive_read_open1(l->a);
}

static struct archive *new_reader(void)
{
    struct archive *a = archive_read_new();
    if (!a)
        return NULL;
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_zip(a);
    archive_read_support_format_ar(a);
    archive_read_support_format_empty(a);
    archive_read_support_format_raw(a);
    return a;
}

/* Push a level: over the entry the top level stands in, or, as the first, over the file or
 * the memory of the container. */
static sm_status push(sm_container *c, const char *prefix, const char *package_at,
                      level_role role, sm_err *err)
{
    level *l = sm_alloc(1, sizeof *l);
    if (!l)
        return sm_fail(err, SM_ENOMEM, "%s: no memory for a reader", prefix);
    l->c = c;
    l->index = c->depth;
    l->role = role;
    l->prefix = sm_strdup(prefix);
    l->package_at = package_at ? sm_strdup(package_at) : NULL;
    l->a = new_reader();
    if (!l->a || !l->prefix || (package_at && !l->package_at)) {
        level_free(l);
        return sm_fail(err, SM_ENOMEM, "%s: no memory for a reader", prefix);
    }
    c->level[c->depth++] = l;
    int r = l->index > 0 ? archive_read_open(l->a, l, NULL, read_below, NULL)
            : c->fd >= 0 ? open_disk(l)
                         : archive_read_open_memory(l->a, c->memory, c->memory_len);
    if (r >= ARCHIVE_WARN)
        return SM_OK;
    return damaged(c, l, err);
}

static void pop(sm_container *c)
{
    level_free(c->level[--c->depth]);
    c->level[c->depth] = NULL;
}

/* Read and count what is left of the top level's entry. */
static sm_status drain(sm_container *c, sm_err *err)
{
    level *l = c->level[c->depth - 1];
    for (;;) {
        la_ssize_t n = read_some(l->a, c->block, sizeof c->block);
        if (n == 0 || n == ARCHIVE_FAILED)
            return SM_OK;
        if (n < 0)
            return damaged(c, l, err);
        c->produced += n;
        if (over_limit(c))
            return bomb(c, err);
    }
}

/* ------------------------------------------------------------------- entries */

/* "./usr//x/" -> "usr//x"; NULL when the name leaves the archive. */
static const char *safe_name(const char *name)
{
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    if (name[0] == '/')
        return NULL;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/\\");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return NULL;
        p += n + (p[n] != 0);
    }
    return name;
}

static bool is_copyright(const char *name)
{
    static const char doc[] = "usr/share/doc/";
    if (strncmp(name, doc, sizeof doc - 1) != 0)
        return false;
    const char *slash = strchr(name + sizeof doc - 1, '/');
    return slash && strcmp(slash, "/copyright") == 0;
}

static sm_status no_memory(const char *path, sm_err *err)
{
    return sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
}

/* The entry could not be read, the archive goes on. */
static sm_status set_problem(sm_entry *e, const char *what, sm_err *err)
{
    e->kind = SM_ENTRY_PROBLEM;
    free(e->data);
    e->data = sm_strdup(what);
    e->len = strlen(what);
    return e->data ? SM_OK : no_memory(e->path, err);
}

static sm_status read_whole(sm_container *c, sm_entry *e, size_t max, sm_err *err)
{
    level *l = c->level[c->depth - 1];
    sm_buf b = {.max = max + BLOCK};
    sm_status s = SM_OK;
    while (!s && b.len <= max) {
        la_ssize_t n = read_some(l->a, c->block, sizeof c->block);
        if (n == 0)
            break;
        if (n == ARCHIVE_FAILED) {
            sm_buf_free(&b);
            return set_problem(e, cannot_unpack, err);
        }
        if (n < 0) {
            s = damaged(c, l, err);
        } else {
            c->produced += n;
            if (over_limit(c))
                s = bomb(c, err);
            else if (!sm_buf_put(&b, c->block, (size_t)n))
                s = no_memory(e->path, err);
        }
    }
    if (!s && b.len > max) {
        sm_buf_free(&b);
        s = drain(c, err);
        return s ? s : set_problem(e, "larger than max_file_bytes", err);
    }
    if (!s && !b.data && !sm_buf_reserve(&b, 1))
        s = no_memory(e->path, err);
    if (s) {
        sm_buf_free(&b);
        return s;
    }
    b.data[b.len] = 0;
    e->data = b.data;
    e->len = b.len;
    return SM_OK;
}

static sm_status more_of_lines(void *self, const char **data, size_t *len, sm_err *err)
{
    sm_container *c = self;
    level *l = c->level[c->depth - 1];
    la_ssize_t n = read_some(l->a, c->block, sizeof c->block);
    if (n == ARCHIVE_FAILED)
        return sm_fail(err, SM_EUNSUPPORTED, "%s", cannot_unpack);
    if (n < 0)
        return damaged(c, l, err);
    c->produced += n;
    *data = (const char *)c->block;
    *len = (size_t)n;
    return over_limit(c) ? bomb(c, err) : SM_OK;
}

/* The next lines of the .jsonl entry under way. */
static sm_status read_lines(sm_container *c, sm_entry *e, sm_err *err)
{
    const level *l = c->level[c->depth - 1];
    sm_err why = {0};
    sm_entry next;
    sm_status s = sm_lines_next(&c->lines, &next, more_of_lines, c, &why);
    if (s == SM_EUNSUPPORTED) {
        c->lines.is_on = false;
        next.path = sm_strdup(c->lines.path);
        s = next.path ? set_problem(&next, cannot_unpack, err)
                      : no_memory(l->prefix, err);
    } else if (s && err) {
        *err = why;
    }
    next.package_at = l->package_at ? sm_strdup(l->package_at) : NULL;
    if (!s && l->package_at && !next.package_at)
        s = no_memory(l->prefix, err);
    sm_entry_free(e);
    *e = next;
    return s;
}

static sm_status name_entry(sm_entry *e, const level *l, const char *name, sm_err *err)
{
    sm_buf path = {0};
    sm_buf_puts(&path, l->prefix);
    if (name) {
        sm_buf_putc(&path, '!');
        sm_buf_puts(&path, name);
    }
    e->path = path.failed ? NULL : path.data;
    if (!e->path)
        sm_buf_free(&path);
    if (l->package_at)
        e->package_at = sm_strdup(l->package_at);
    return !e->path || (l->package_at && !e->package_at) ? no_memory(l->prefix, err)
                                                         : SM_OK;
}

static sm_status too_deep(sm_container *c, sm_entry *e, sm_err *err)
{
    sm_status s = drain(c, err);
    return s ? s : set_problem(e, "nested too deep", err);
}

/* A regular file called `name`: skip it, open it as a container, or read it.
 * *again: nothing to hand out yet. */
static sm_status take_file(sm_container *c, sm_entry *e, const char *name, bool *again,
                           sm_err *err)
{
    level *l = c->level[c->depth - 1];
    bool in_package = l->role == ROLE_DATA || l->package_at;
    if (l->role == ROLE_CONTROL) {
        e->kind = SM_ENTRY_CONTROL;
        *again = strcmp(name, "control") != 0;
        return *again ? drain(c, err) : read_whole(c, e, CONTROL_MAX, err);
    }
    if (l->role == ROLE_DATA && is_copyright(name)) {
        e->kind = SM_ENTRY_COPYRIGHT;
        return read_whole(c, e, CONTROL_MAX, err);
    }
    /* A raw level has the name of what holds it, which was judged before it was opened. */
    const char *why = l->is_raw ? NULL : c->filter(c->filter_self, name, in_package);
    if (why) {
        e->kind = SM_ENTRY_SKIPPED;
        e->why = why;
        return drain(c, err);
    }
    if (!l->is_raw && (sm_name_is_archive(name) || sm_name_is_compressed(name))) {
        if (c->depth == SM_CONTAINER_DEPTH)
            return too_deep(c, e, err);
        *again = true;
        return push(c, e->path, l->package_at, ROLE_NORMAL, err);
    }
    if (sm_name_is_jsonl(name)) {
        if (!sm_lines_begin(&c->lines, e->path, c->limits.max_file_bytes))
            return no_memory(e->path, err);
        return read_lines(c, e, err);
    }
    e->kind = SM_ENTRY_FILE;
    return read_whole(c, e, c->limits.max_file_bytes, err);
}

/* An entry of a .deb: only its two tars matter. */
static sm_status take_member(sm_container *c, sm_entry *e, const char *name, bool *again,
                             sm_err *err)
{
    level *l = c->level[c->depth - 1];
    bool control = strncmp(name, "control.tar", 11) == 0;
    bool data = strncmp(name, "data.tar", 8) == 0;
    *again = !data || c->depth < SM_CONTAINER_DEPTH;
    if (!*again) {
        sm_status s = name_entry(e, l, NULL, err);
        return s ? s : too_deep(c, e, err);
    }
    if ((!control && !data) || c->depth == SM_CONTAINER_DEPTH)
        return drain(c, err);
    return push(c, l->prefix, l->prefix, control ? ROLE_CONTROL : ROLE_DATA, err);
}

/* What this level turned out to be, known at its first header. */
static sm_status first_header(sm_container *c, level *l, const char *name, sm_err *err)
{
    int format = archive_format(l->a) & ARCHIVE_FORMAT_BASE_MASK;
    l->seen_header = true;
    l->is_raw = format == ARCHIVE_FORMAT_RAW;
    if (!l->is_raw || archive_filter_count(l->a) > 1)
        c->is_archive = true;
    bool want_archive = l->role != ROLE_NORMAL || sm_name_is_archive(l->prefix);
    if (l->is_raw && want_archive)
        return sm_fail(err, SM_ECORRUPT,
                       "%s: damaged: its name says archive, its bytes do not", l->prefix);
    if (format == ARCHIVE_FORMAT_AR) {
        if (strcmp(name, "debian-binary") != 0)
            return sm_fail(err, SM_EUNSUPPORTED,
                           "%s: an ar archive that is no .deb (first member \"%s\")",
                           l->prefix, name);
        l->role = ROLE_DEB;
    }
    return SM_OK;
}

static const char *raw_name(const struct archive_entry *entry)
{
    struct archive_entry *e = (struct archive_entry *)(uintptr_t)entry;
    const char *name = archive_entry_pathname_utf8(e);
    return name ? name : archive_entry_pathname(e);
}

/* One header of the top level; *again when it gives no entry. */
static sm_status take_header(sm_container *c, sm_entry *out, struct archive_entry *entry,
                             bool *again, sm_err *err)
{
    level *l = c->level[c->depth - 1];
    const char *full = raw_name(entry);
    if (!full)
        full = "unreadable-name";
    sm_status s = l->seen_header ? SM_OK : first_header(c, l, full, err);
    if (s)
        return s;
    const char *name = l->is_raw ? l->prefix : safe_name(full);
    if (!name)
        return sm_fail(err, SM_EDENIED, "%s: holds \"%.200s\", which leaves the archive",
                       l->prefix, full);
    if (l->role == ROLE_DEB)
        return take_member(c, out, name, again, err);
    s = name_entry(out, l, l->is_raw ? NULL : name, err);
    if (s)
        return s;
    const char *link = archive_entry_hardlink(entry);
    if (!link)
        link = archive_entry_symlink(entry);
    if (link) {
        out->kind = SM_ENTRY_ALIAS;
        out->target = sm_strdup(link);
        return out->target ? SM_OK : no_memory(out->path, err);
    }
    if (!l->is_raw && archive_entry_filetype(entry) != AE_IFREG) {
        *again = true; /* directories and devices hold no text */
        return SM_OK;
    }
    return take_file(c, out, name, again, err);
}

/* The top level has ended. */
static sm_status leave(sm_container *c, sm_entry *out, bool *again, sm_err *err)
{
    level *l = c->level[c->depth - 1];
    *again = true;
    if (!l->seen_header && l->role == ROLE_NORMAL) {
        sm_status s = name_entry(out, l, NULL, err);
        if (s)
            return s;
        out->kind = SM_ENTRY_SKIPPED;
        out->why = "empty";
        *again = false;
    }
    pop(c);
    return c->depth > 0 ? drain(c, err) : SM_OK;
}

static sm_status step(sm_container *c, sm_entry *out, bool *again, sm_err *err)
{
    level *l = c->level[c->depth - 1];
    if (c->lines.is_on)
        return read_lines(c, out, err);
    struct archive_entry *entry;
    int r = archive_read_next_header(l->a, &entry);
    if (r == ARCHIVE_EOF)
        return leave(c, out, again, err);
    if (r == ARCHIVE_RETRY) {
        *again = true;
        return SM_OK;
    }
    if (r < ARCHIVE_WARN)
        return damaged(c, l, err);
    return take_header(c, out, entry, again, err);
}

sm_status sm_container_next(sm_container *c, sm_entry *out, bool *got, sm_err *err)
{
    *got = false;
    while (c->depth > 0) {
        bool again = false;
        *out = (sm_entry){0};
        sm_status s = step(c, out, &again, err);
        if (!s && c->io_errno)
            s = unreadable(c->io_errno, c->name, err);
        if (s) {
            sm_entry_free(out);
            while (c->depth > 0)
                pop(c);
            return s;
        }
        if (!again) {
            *got = true;
            return SM_OK;
        }
        sm_entry_free(out);
    }
    return SM_OK;
}

static sm_status open_container(sm_container **out, int fd, const void *data,
                                int64_t bytes, const char *name,
                                const sm_container_limits *limits, sm_entry_filter filter,
                                void *filter_self, sm_err *err)
{
    sm_container *c = sm_alloc(1, sizeof *c);
    if (!c) {
        if (fd >= 0)
            close(fd);
        return sm_fail(err, SM_ENOMEM, "%s: no memory for a reader", name);
    }
    c->fd = fd;
    c->limits = *limits;
    c->filter = filter;
    c->filter_self = filter_self;
    c->file_bytes = bytes;
    c->memory = data;
    c->memory_len = (size_t)bytes;
    c->name = sm_strdup(name);
    sm_status s = c->name ? push(c, name, NULL, ROLE_NORMAL, err)
                          : sm_fail(err, SM_ENOMEM, "%s: no memory for a reader", name);
    if (!s && c->io_errno)
        s = unreadable(c->io_errno, name, err);
    if (s)
        sm_container_close(c);
    else
        *out = c;
    return s;
}

sm_status sm_container_open(sm_container **out, const char *disk_path, const char *name,
                            const sm_container_limits *limits, sm_entry_filter filter,
                            void *filter_self, sm_err *err)
{
    struct stat st;
    int fd = open(disk_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(errno, disk_path, err);
    if (fstat(fd, &st) != 0) {
        int error = errno;
        close(fd);
        return unreadable(error, disk_path, err);
    }
    return open_container(out, fd, NULL, (int64_t)st.st_size, name, limits, filter,
                          filter_self, err);
}

sm_status sm_container_open_memory(sm_container **out, const void *data, size_t len,
                                   const char *name, const sm_container_limits *limits,
                                   sm_entry_filter filter, void *filter_self, sm_err *err)
{
    return open_container(out, -1, data, (int64_t)len, name, limits, filter, filter_self,
                          err);
}

bool sm_container_is_archive(const sm_container *c)
{
    return c->is_archive;
}

void sm_container_close(sm_container *c)
{
    if (!c)
        return;
    while (c->depth > 0)
        pop(c);
    sm_lines_free(&c->lines);
    if (c->fd >= 0)
        close(c->fd);
    free(c->name);
    free(c);
}
