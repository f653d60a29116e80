/* SPDX-License-Identifier: Apache-2.0 */
/** Helpers of the data tests: a temporary directory, files, archives made by libarchive. */
#ifndef SMELT_TESTS_DATA_ROOM_H
#define SMELT_TESTS_DATA_ROOM_H

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the four above, as it asks */
#include <cmocka.h>

#include "smelt/data.h"
#include "smelt/sys.h"

typedef struct room {
    char dir[64];
    sm_pool *pool;
    sm_ctx ctx;
} room;

static inline void room_open(room *r, int n_threads)
{
    sm_err e = {0};
    *r = (room){0};
    memcpy(r->dir, "/tmp/smelt-data-XXXXXX", sizeof "/tmp/smelt-data-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(sm_pool_create(&r->pool, n_threads, &e), SM_OK);
    r->ctx = (sm_ctx){.pool = r->pool};
}

static inline void room_close(room *r)
{
    sm_remove_tree(r->dir, NULL);
    sm_pool_free(r->pool);
}

/* dir/name, malloc'd; parents are made. */
static inline char *room_path(const room *r, const char *name)
{
    char *p = sm_path_join(r->dir, name);
    char *parent = sm_strdup(p);
    *strrchr(parent, '/') = 0;
    assert_int_equal(sm_mkdirs(parent, NULL), SM_OK);
    free(parent);
    return p;
}

static inline void room_put(const room *r, const char *name, const void *data, size_t len)
{
    char *p = room_path(r, name);
    assert_int_equal(sm_file_write_atomic(p, data, len, 0644, NULL), SM_OK);
    free(p);
}

static inline void room_puts(const room *r, const char *name, const char *text)
{
    room_put(r, name, text, strlen(text));
}

static inline char *room_get(const room *r, const char *name, size_t *len)
{
    char *out = NULL, *p = room_path(r, name);
    assert_int_equal(sm_file_read(&out, len, p, 0, NULL), SM_OK);
    free(p);
    return out;
}

/* An entry of an archive to make. */
typedef struct member {
    const char *name, *data;
    size_t len;       /* 0 = strlen(data) */
    const char *link; /* symbolic link instead of a file */
    const char *hard; /* hard link */
} member;

enum { KIND_TAR, KIND_TAR_GZ, KIND_TAR_XZ, KIND_TAR_ZST, KIND_ZIP, KIND_AR, KIND_GZ };

static inline void make_archive(sm_buf *out, int kind, const member *m, size_t n)
{
    size_t cap = (size_t)8 << 20, used = 0;
    char *memory = malloc(cap);
    struct archive *a = archive_write_new();
    assert_non_null(memory);
    if (kind == KIND_ZIP)
        archive_write_set_format_zip(a);
    else if (kind == KIND_AR)
        archive_write_set_format_ar_svr4(a);
    else if (kind == KIND_GZ)
        archive_write_set_format_raw(a);
    else
        archive_write_set_format_gnutar(a);
    if (kind == KIND_TAR_GZ || kind == KIND_GZ)
        archive_write_add_filter_gzip(a);
    if (kind == KIND_TAR_XZ)
        archive_write_add_filter_xz(a);
    if (kind == KIND_TAR_ZST)
        archive_write_add_filter_zstd(a);
    assert_int_equal(archive_write_open_memory(a, memory, cap, &used), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        size_t len = m[i].len ? m[i].len : m[i].data ? strlen(m[i].data) : 0;
        archive_entry_set_pathname(e, m[i].name);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_filetype(e, m[i].link ? AE_IFLNK : AE_IFREG);
        archive_entry_set_size(e, (la_int64_t)len);
        if (m[i].link)
            archive_entry_set_symlink(e, m[i].link);
        if (m[i].hard)
            archive_entry_set_hardlink(e, m[i].hard);
        assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
        if (len)
            archive_write_data(a, m[i].data, len);
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    sm_buf_put(out, memory, used);
    free(memory);
}

/* A .deb of a control stanza and data members. */
static inline void make_deb(sm_buf *out, const char *control, const member *m, size_t n)
{
    sm_buf c = {0}, d = {0};
    member stanza = {.name = "./control", .data = control};
    make_archive(&c, KIND_TAR_XZ, &stanza, 1);
    make_archive(&d, KIND_TAR_XZ, m, n);
    member parts[] = {{.name = "debian-binary", .data = "2.0\n"},
                      {.name = "control.tar.xz", .data = c.data, .len = c.len},
                      {.name = "data.tar.xz", .data = d.data, .len = d.len}};
    make_archive(out, KIND_AR, parts, 3);
    sm_buf_free(&c);
    sm_buf_free(&d);
}

/* Options resolved from a JSON object in text. */
static inline json_t *options(const sm_option *table, const char *json)
{
    json_t *given = NULL, *out = NULL;
    sm_err e = {0};
    assert_int_equal(sm_json_parse(&given, json, strlen(json), "test", &e), SM_OK);
    if (sm_options_resolve(&out, table, given, "test", &e))
        fail_msg("%s", e.msg);
    json_decref(given);
    return out;
}

/* data add of dir/`input` into dir/`staging`. */
static inline sm_status run_add(room *r, const char *input, const char *staging,
                                const char *more, json_t *figures, sm_err *err)
{
    char json[600];
    char *in = room_path(r, input), *to = room_path(r, staging);
    snprintf(json, sizeof json, "{\"paths\": [\"%s\"]%s%s}", in, *more ? ", " : "", more);
    json_t *o = options(sm_data_add_options, json);
    sm_mkdirs(to, NULL);
    sm_status s = sm_data_add(&r->ctx, o, NULL, to, figures, err);
    json_decref(o);
    free(in);
    free(to);
    return s;
}

/* data curate of dir/`inputs` (NULL-terminated) into dir/`staging`. */
static inline sm_status run_curate(room *r, const char *const *inputs,
                                   const char *staging, const char *json, json_t *figures,
                                   sm_err *err)
{
    const char *path[8];
    size_t n = 0;
    char *to = room_path(r, staging);
    for (; inputs[n]; n++)
        path[n] = room_path(r, inputs[n]);
    json_t *o = options(sm_data_curate_options, json);
    sm_mkdirs(to, NULL);
    sm_status s = sm_data_curate(&r->ctx, path, n, o, to, figures, err);
    json_decref(o);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)path[i]);
    free(to);
    return s;
}

#endif
