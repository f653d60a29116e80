/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors, read: 8 bytes little-endian header length n, n bytes of JSON, then data.
 *   {"__metadata__": {string: string}, "name": {"dtype", "shape", "data_offsets"}}
 *
 * Invariants checked on every file, whoever wrote it:
 *  1. the header is at most HEADER_MAX bytes, inside the file, one JSON object;
 *  2. a dtype is known, a shape has at most 4 dimensions, and dtype size * product of the
 *     shape equals end - begin, computed without overflow;
 *  3. sorted by begin, tensors follow each other without gap or overlap from 0 to the end of
 *     the file (as the reference implementation demands).
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/sys.h"

enum { HEADER_MAX = 100 << 20, PREFIX = 8 };

struct sm_safetensors {
    sm_map map; /* handle NULL: parsed from memory */
    sm_tensor_entry *entry;
    size_t n;
    json_t *metadata; /* an object, or NULL */
};

typedef struct dtype_size {
    const char *name;
    size_t bytes;
} dtype_size;

static const dtype_size dtypes[] = {
    {"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"I64", 8},
    {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
    {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

static size_t size_of_dtype(const char *name)
{
    for (size_t i = 0; name && i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(name, dtypes[i].name))
            return dtypes[i].bytes;
    return 0;
}

/* What a file looks like while it is read. */
typedef struct parse {
    const char *file;
    const unsigned char *data;
    size_t data_len;
    sm_err *err;
} parse;

static sm_status parse_shape(const parse *p, sm_tensor_entry *e, const json_t *shape,
                             size_t unit)
{
    size_t n = json_array_size(shape), bytes = unit;
    if (!json_is_array(shape) || n > 4)
        return sm_fail(p->err, SM_ECORRUPT, "%s: %s: shape: want 0..4 dimensions",
                       p->file, e->name);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(shape, i);
        json_int_t d = json_is_integer(v) ? json_integer_value(v) : -1;
        if (d < 0 || !sm_mul_size(&bytes, bytes, (size_t)d))
            return sm_fail(p->err, SM_ECORRUPT,
                           "%s: %s: shape[%zu]: got %lld, want a size "
                           "that fits",
                           p->file, e->name, i, (long long)d);
        e->shape[i] = d;
    }
    e->n_dim = (int32_t)n;
    e->bytes = bytes;
    return SM_OK;
}

static sm_status parse_entry(const parse *p, sm_tensor_entry *e, const char *name,
                             const json_t *v)
{
    if (!json_is_object(v) || strlen(name) >= sizeof e->name)
        return sm_fail(p->err, SM_ECORRUPT,
                       "%s: tensor \"%.40s\": want an object under a "
                       "name shorter than %zu",
                       p->file, name, sizeof e->name);
    memcpy(e->name, name, strlen(name) + 1);
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    size_t unit = size_of_dtype(dtype);
    if (!unit)
        return sm_fail(p->err, SM_ECORRUPT, "%s: %s: dtype: got %.16s, want a known one",
                       p->file, name, dtype ? dtype : "nothing");
    memcpy(e->dtype, dtype, strlen(dtype) + 1);
    sm_status s = parse_shape(p, e, json_object_get(v, "shape"), unit);
    if (s)
        return s;
    const json_t *offsets = json_object_get(v, "data_offsets");
    const json_t *b = json_array_get(offsets, 0), *f = json_array_get(offsets, 1);
    json_int_t begin = json_is_integer(b) ? json_integer_value(b) : -1;
    json_int_t end = json_is_integer(f) ? json_integer_value(f) : -1;
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin ||
        (size_t)end > p->data_len || (size_t)(end - begin) != e->bytes)
        return sm_fail(p->err, SM_ECORRUPT,
                       "%s: %s: data_offsets: got %lld..%lld, want %zu "
                       "bytes inside %zu",
                       p->file, name, (long long)begin, (long long)end, e->bytes,
                       p->data_len);
    e->data = p->data + begin;
    return SM_OK;
}

static int by_data(const void *a, const void *b)
{
    const sm_tensor_entry *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static sm_status check_layout(const parse *p, sm_safetensors *s)
{
    const unsigned char *at = p->data;
    qsort(s->entry, s->n, sizeof *s->entry, by_data);
    for (size_t i = 0; i < s->n; i++) {
        if (s->entry[i].data != at)
            return sm_fail(p->err, SM_ECORRUPT,
                           "%s: %s: starts at %zu, want %zu (tensors "
                           "must not overlap or leave gaps)",
                           p->file, s->entry[i].name,
                           (size_t)((const unsigned char *)s->entry[i].data - p->data),
                           (size_t)(at - p->data));
        at += s->entry[i].bytes;
    }
    if (at != p->data + p->data_len)
        return sm_fail(p->err, SM_ECORRUPT, "%s: %zu bytes of data, want %zu", p->file,
                       p->data_len, (size_t)(at - p->data));
    return SM_OK;
}

static sm_status parse_header(const parse *p, sm_safetensors *s, const json_t *header)
{
    const char *name;
    json_t *v;
    if (!json_is_object(header))
        return sm_fail(p->err, SM_ECORRUPT, "%s: header: want an object", p->file);
    s->entry = sm_alloc(json_object_size(header), sizeof *s->entry);
    if (!s->entry)
        return sm_fail(p->err, SM_ENOMEM, "%s: out of memory", p->file);
    json_t *all = json_incref((json_t *)(uintptr_t)header);
    sm_status st = SM_OK;
    json_object_foreach(all, name, v)
    {
        if (!strcmp(name, "__metadata__")) {
            s->metadata = json_is_object(v) ? json_incref(v) : NULL;
            continue;
        }
        st = parse_entry(p, &s->entry[s->n], name, v);
        if (st)
            break;
        s->n++;
    }
    json_decref(all);
    return st ? st : check_layout(p, s);
}

sm_status sm_safetensors_parse(sm_safetensors **out, const void *data, size_t len,
                               const char *name, sm_err *err)
{
    const unsigned char *bytes = data;
    uint64_t n = 0;
    for (int i = 0; i < PREFIX && len >= PREFIX; i++)
        n |= (uint64_t)bytes[i] << (8 * i);
    if (len < PREFIX || n > HEADER_MAX || n > len - PREFIX)
        return sm_fail(err, SM_ECORRUPT, "%s: header of %llu bytes in a file of %zu",
                       name, (unsigned long long)n, len);
    json_t *header = NULL;
    sm_status st =
        sm_json_parse(&header, (const char *)bytes + PREFIX, (size_t)n, name, err);
    if (st)
        return st == SM_ENOMEM ? st : sm_fail_context(err, SM_ECORRUPT, "header: ");
    sm_safetensors *s = sm_alloc(1, sizeof *s);
    parse p = {name, bytes + PREFIX + n, len - PREFIX - (size_t)n, err};
    if (!s)
        st = sm_fail(err, SM_ENOMEM, "%s: out of memory", name);
    else
        st = parse_header(&p, s, header);
    json_decref(header);
    if (st) {
        sm_safetensors_close(s);
        return st;
    }
    *out = s;
    return SM_OK;
}

sm_status sm_safetensors_open(sm_safetensors **out, const char *path, sm_err *err)
{
    sm_map map;
    sm_safetensors *s = NULL;
    sm_status st = sm_map_open(&map, path, err);
    if (st)
        return st;
    st = sm_safetensors_parse(&s, map.data, map.len, path, err);
    if (st) {
        sm_map_close(&map);
        return st;
    }
    s->map = map;
    *out = s;
    return SM_OK;
}

size_t sm_safetensors_n(const sm_safetensors *s)
{
    return s->n;
}

const sm_tensor_entry *sm_safetensors_at(const sm_safetensors *s, size_t i)
{
    return &s->entry[i];
}

const sm_tensor_entry *sm_safetensors_find(const sm_safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->entry[i].name, name))
            return &s->entry[i];
    return NULL;
}

const json_t *sm_safetensors_metadata(const sm_safetensors *s)
{
    return s->metadata;
}

void sm_safetensors_close(sm_safetensors *s)
{
    if (!s)
        return;
    if (s->map.data)
        sm_map_close(&s->map);
    json_decref(s->metadata);
    free(s->entry);
    free(s);
}

/* ------------------------------------------------------------------- write */

static json_t *entry_json(const sm_tensor_entry *e, size_t begin)
{
    json_t *o = json_object(), *shape = json_array(), *offsets = json_array();
    for (int32_t i = 0; i < e->n_dim; i++)
        json_array_append_new(shape, json_integer(e->shape[i]));
    json_array_append_new(offsets, json_integer((json_int_t)begin));
    json_array_append_new(offsets, json_integer((json_int_t)(begin + e->bytes)));
    json_object_set_new(o, "dtype", json_string(e->dtype));
    json_object_set_new(o, "shape", shape);
    json_object_set_new(o, "data_offsets", offsets);
    return o;
}

/* The header as text, padded with spaces so that data starts at a multiple of 8. */
static sm_status header_text(sm_buf *out, const sm_tensor_entry *entry, size_t n,
                             const json_t *metadata, sm_err *err)
{
    json_t *all = json_object();
    size_t at = 0;
    if (metadata)
        json_object_set_new(all, "__metadata__", json_deep_copy(metadata));
    for (size_t i = 0; i < n; i++) {
        if (json_object_get(all, entry[i].name) ||
            json_object_set_new(all, entry[i].name, entry_json(&entry[i], at))) {
            json_decref(all);
            return sm_fail(err, SM_EINVAL, "safetensors: %s: named twice or not UTF-8",
                           entry[i].name);
        }
        at += entry[i].bytes;
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (text)
        sm_buf_puts(out, text);
    while (text && out->len % 8)
        sm_buf_putc(out, ' ');
    bool ok = text && !out->failed;
    free(text);
    return ok ? SM_OK : sm_fail(err, SM_ENOMEM, "safetensors: out of memory");
}

sm_status sm_safetensors_write(const char *path, const sm_tensor_entry *entry, size_t n,
                               const json_t *metadata, sm_err *err)
{
    sm_buf header = {0};
    sm_file_writer *w = NULL;
    unsigned char prefix[PREFIX];
    sm_status s = header_text(&header, entry, n, metadata, err);
    if (!s)
        s = sm_file_writer_open(&w, path, 0644, err);
    for (int i = 0; i < PREFIX; i++)
        prefix[i] = (unsigned char)((uint64_t)header.len >> (8 * i));
    if (!s)
        s = sm_file_writer_put(w, prefix, PREFIX, err);
    if (!s)
        s = sm_file_writer_put(w, header.data, header.len, err);
    for (size_t i = 0; !s && i < n; i++)
        s = sm_file_writer_put(w, entry[i].data, entry[i].bytes, err);
    if (s)
        sm_file_writer_abort(w);
    else
        s = sm_file_writer_commit(w, err);
    sm_buf_free(&header);
    return s;
}
