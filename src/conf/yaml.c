/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML in: libfyaml's events become JSON values.
 *
 * Invariants: 1. recursion is bounded by MAX_DEPTH, input by MAX_YAML_BYTES; 2. there are
 * no aliases, so the value is no larger than the text; 3. every refusal names a position;
 * 4. with positions asked for, every node has one under its JSON pointer.
 */
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "positions.h"
#include "smelt/sys.h"
#include "yaml_scalar.h"

#define MAX_DEPTH 64
#define MAX_YAML_BYTES ((size_t)16 << 20)

typedef struct reader {
    struct fy_parser *parser;
    struct fy_diag *diag;
    const char *name;
    sm_positions *pos; /* NULL: not asked for */
    sm_buf pointer;    /* of the node being read */
    sm_err *err;
} reader;

static sm_status read_node(reader *r, json_t **out, struct fy_event *e, int depth);

static sm_status out_of_memory(const reader *r)
{
    return sm_fail(r->err, SM_ENOMEM, "%s: out of memory", r->name);
}

/* "NAME:LINE:COL" of an event. */
static void place(const reader *r, const struct fy_event *e, char *where, size_t size)
{
    const struct fy_mark *m = fy_event_start_mark((struct fy_event *)(uintptr_t)e);
    snprintf(where, size, "%s:%d:%d", r->name, m ? m->line + 1 : 1,
             m ? m->column + 1 : 1);
}

static sm_status refuse(const reader *r, const struct fy_event *e, const char *what)
{
    char where[SM_ERR_MAX];
    place(r, e, where, sizeof where);
    return sm_fail(r->err, SM_EINVAL, "%s: %s", where, what);
}

/* What the parser collected about its failure. */
static sm_status syntax_error(const reader *r)
{
    void *iter = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(r->diag, &iter);
    if (!e)
        return sm_fail(r->err, SM_EINVAL, "%s:1:1: not YAML", r->name);
    return sm_fail(r->err, SM_EINVAL, "%s:%d:%d: %s", r->name, e->line > 0 ? e->line : 1,
                   e->column > 0 ? e->column : 1, e->msg ? e->msg : "not YAML");
}

/* The next event; the caller frees it. */
static sm_status next_event(reader *r, struct fy_event **out)
{
    struct fy_event *e = fy_parser_parse(r->parser);
    if (!e)
        return syntax_error(r);
    if (fy_parser_get_stream_error(r->parser)) {
        fy_parser_event_free(r->parser, e);
        return syntax_error(r);
    }
    *out = e;
    return SM_OK;
}

/* The tag's last word ("str") in `tag`, "" when there is none; refuses foreign tags. */
static sm_status core_tag(const reader *r, struct fy_event *e, char tag[8])
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const known[] = {"str",  "int", "float", "bool",
                                        "null", "map", "seq"};
    struct fy_token *t = fy_event_get_tag_token(e);
    size_t n = 0;
    const char *text = t ? fy_token_get_text(t, &n) : NULL;
    tag[0] = 0;
    if (!t)
        return SM_OK;
    if (text && n == 1 && *text == '!') { /* the non-specific tag: not resolved */
        snprintf(tag, 8, "str");
        return SM_OK;
    }
    size_t skip = sizeof prefix - 1;
    for (size_t i = 0; text && n > skip && i < sizeof known / sizeof *known; i++) {
        if (!memcmp(text, prefix, skip) && strlen(known[i]) == n - skip &&
            !memcmp(text + skip, known[i], n - skip)) {
            snprintf(tag, 8, "%s", known[i]);
            return SM_OK;
        }
    }
    char what[128];
    snprintf(what, sizeof what, "got tag %.*s, want one of the core schema's",
             (int)(n < 64 ? n : 64), text ? text : "?");
    return refuse(r, e, what);
}

/* Does a value have the type that its tag claims? */
static bool tag_agrees(const char *tag, const json_t *v)
{
    return (!strcmp(tag, "int") && json_is_integer(v)) ||
           (!strcmp(tag, "float") && json_is_number(v)) ||
           (!strcmp(tag, "bool") && json_is_boolean(v)) ||
           (!strcmp(tag, "null") && json_is_null(v));
}

/* Append a scalar's text.  Chunk by chunk, because fy_token_get_text of libfyaml 0.7 leaks
 * when a scalar has many (each escape is one). */
static sm_status put_text(const reader *r, sm_buf *text, struct fy_token *token)
{
    int failed = 0;
    struct fy_token_iter *iter = fy_token_iter_create(token);
    if (!iter)
        return out_of_memory(r);
    const struct fy_iter_chunk *c = NULL;
    while ((c = fy_token_iter_chunk_next(iter, c, &failed)))
        sm_buf_put(text, c->str, c->len);
    fy_token_iter_destroy(iter);
    return failed || text->failed ? out_of_memory(r) : SM_OK;
}

/* Text of a scalar event, malloc'd; refuses NUL, which JSON strings of ours cannot hold.
 */
static sm_status scalar_text(const reader *r, struct fy_event *e, char **out)
{
    sm_buf text = {.max = 4 * MAX_YAML_BYTES};
    sm_buf_puts(&text, "");
    sm_status s = e->scalar.value ? put_text(r, &text, e->scalar.value) : SM_OK;
    if (!s && !text.data)
        s = out_of_memory(r);
    if (!s && memchr(text.data, 0, text.len))
        s = refuse(r, e, "got a NUL in a string");
    if (!s && sm_utf8_valid_prefix(text.data, text.len) < text.len)
        s = refuse(r, e, "got an escape that is not a character");
    if (s)
        sm_buf_free(&text);
    else
        *out = text.data;
    return s;
}

static sm_status read_scalar(reader *r, json_t **out, struct fy_event *e)
{
    char tag[8], where[SM_ERR_MAX], *text = NULL;
    sm_status s = core_tag(r, e, tag);
    if (!s && (!strcmp(tag, "map") || !strcmp(tag, "seq")))
        s = refuse(r, e, "got a scalar under the tag of a collection");
    if (!s)
        s = scalar_text(r, e, &text);
    if (s)
        return s;
    bool plain = !e->scalar.value || fy_token_scalar_style(e->scalar.value) == FYSS_PLAIN;
    place(r, e, where, sizeof where);
    if (!strcmp(tag, "str") || (!plain && !*tag)) {
        *out = json_string(text);
        s = *out ? SM_OK : out_of_memory(r);
    } else {
        s = sm_yaml_plain_scalar(out, text, where, r->err);
        if (!s && *tag && !tag_agrees(tag, *out)) {
            json_decref(*out);
            *out = NULL;
            s = refuse(r, e, "got a scalar that does not fit its tag");
        }
    }
    free(text);
    return s;
}

static void pop_key(reader *r, size_t len)
{
    if (r->pointer.data)
        r->pointer.data[len] = 0;
    r->pointer.len = len;
}

/* Read one node under `key` and hand it to the parent. */
static sm_status read_child(reader *r, json_t *parent, const char *key,
                            struct fy_event *e, int depth)
{
    json_t *v = NULL;
    size_t len = r->pointer.len;
    sm_pointer_push(&r->pointer, key);
    sm_status s = read_node(r, &v, e, depth + 1);
    pop_key(r, len);
    if (s)
        return s;
    int rc = json_is_object(parent) ? json_object_set_new(parent, key, v)
                                    : json_array_append_new(parent, v);
    return rc == 0 ? SM_OK : out_of_memory(r);
}

/* A mapping's key: a scalar, taken as text whatever it looks like, used once. */
static sm_status read_key(reader *r, char **out, struct fy_event *e, const json_t *object)
{
    if (e->type != FYET_SCALAR)
        return refuse(r, e, "got a key that is not a scalar");
    if (fy_event_get_tag_token(e) || fy_event_get_anchor_token(e))
        return refuse(r, e, "got a key with a tag or an anchor");
    sm_status s = scalar_text(r, e, out);
    if (!s && json_object_get(object, *out)) {
        char what[160];
        snprintf(what, sizeof what, "got key '%.100s' twice, want it once", *out);
        s = refuse(r, e, what);
    }
    if (!s && r->pos) {
        const struct fy_mark *m = fy_event_start_mark(e);
        size_t len = r->pointer.len;
        sm_pointer_push(&r->pointer, *out);
        sm_buf_puts(&r->pointer, SM_KEY_MARK);
        if (m && !r->pointer.failed &&
            !sm_positions_add(r->pos, r->pointer.data, m->line + 1, m->column + 1))
            s = out_of_memory(r);
        pop_key(r, len);
    }
    if (s) {
        free(*out);
        *out = NULL;
    }
    return s;
}

static sm_status read_mapping(reader *r, json_t *object, int depth)
{
    for (;;) {
        struct fy_event *e = NULL;
        char *key = NULL;
        sm_status s = next_event(r, &e);
        if (s)
            return s;
        bool end = e->type == FYET_MAPPING_END;
        if (!end)
            s = read_key(r, &key, e, object);
        fy_parser_event_free(r->parser, e);
        if (s || end)
            return s;
        s = next_event(r, &e);
        if (!s) {
            s = read_child(r, object, key, e, depth);
            fy_parser_event_free(r->parser, e);
        }
        free(key);
        if (s)
            return s;
    }
}

static sm_status read_sequence(reader *r, json_t *array, int depth)
{
    for (;;) {
        struct fy_event *e = NULL;
        char index[24];
        sm_status s = next_event(r, &e);
        if (s)
            return s;
        bool end = e->type == FYET_SEQUENCE_END;
        snprintf(index, sizeof index, "%zu", json_array_size(array));
        if (!end)
            s = read_child(r, array, index, e, depth);
        fy_parser_event_free(r->parser, e);
        if (s || end)
            return s;
    }
}

static sm_status read_collection(reader *r, json_t **out, struct fy_event *e, int depth)
{
    bool is_map = e->type == FYET_MAPPING_START;
    char tag[8];
    sm_status s = core_tag(r, e, tag);
    if (!s && *tag && strcmp(tag, is_map ? "map" : "seq"))
        s = refuse(r, e, "got a collection that does not fit its tag");
    if (s)
        return s;
    json_t *v = is_map ? json_object() : json_array();
    if (!v)
        return out_of_memory(r);
    s = is_map ? read_mapping(r, v, depth) : read_sequence(r, v, depth);
    if (s)
        json_decref(v);
    else
        *out = v;
    return s;
}

static sm_status read_node(reader *r, json_t **out, struct fy_event *e, int depth)
{
    const struct fy_mark *m = fy_event_start_mark(e);
    if (r->pos && m &&
        !sm_positions_add(r->pos, r->pointer.data ? r->pointer.data : "", m->line + 1,
                          m->column + 1))
        return out_of_memory(r);
    if (depth > MAX_DEPTH)
        return refuse(r, e, "got more than 64 levels, want at most 64");
    if (e->type == FYET_ALIAS)
        return refuse(r, e, "got an alias, want the value written out");
    if (fy_event_get_anchor_token(e))
        return refuse(r, e, "got an anchor, want none (aliases are not supported)");
    if (e->type == FYET_SCALAR)
        return read_scalar(r, out, e);
    if (e->type == FYET_MAPPING_START || e->type == FYET_SEQUENCE_START)
        return read_collection(r, out, e, depth);
    return refuse(r, e, "got no value");
}

/* stream start, document start, node, document end, stream end */
static sm_status read_stream(reader *r, json_t **out)
{
    enum { START, BEGIN, NODE, END, FINISH };
    json_t *v = NULL;
    sm_status s = SM_OK;
    for (int state = START; !s && state <= FINISH; state++) {
        struct fy_event *e = NULL;
        s = next_event(r, &e);
        if (s)
            break;
        if (state == BEGIN && e->type == FYET_STREAM_END)
            s = sm_fail(r->err, SM_EINVAL, "%s:1:1: got an empty document", r->name);
        else if (state == NODE)
            s = read_node(r, &v, e, 0);
        else if (state == FINISH && e->type != FYET_STREAM_END)
            s = refuse(r, e, "got a second document, want one");
        fy_parser_event_free(r->parser, e);
    }
    if (s)
        json_decref(v);
    else
        *out = v;
    return s;
}

static sm_status reader_open(reader *r, const char *data, size_t len)
{
    struct fy_diag_cfg dc;
    fy_diag_cfg_default(&dc);
    dc.fp = NULL;
    r->diag = fy_diag_create(&dc);
    if (!r->diag)
        return out_of_memory(r);
    fy_diag_set_collect_errors(r->diag, true);
    struct fy_parse_cfg pc = {.search_path = "",
                              .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
                              .diag = r->diag};
    r->parser = fy_parser_create(&pc);
    if (!r->parser || fy_parser_set_string(r->parser, data, len) != 0)
        return out_of_memory(r);
    return SM_OK;
}

/* libfyaml is given text that it may trust: UTF-8 without NUL, not too long. */
static sm_status check_bytes(const char *data, size_t len, const char *name, sm_err *err)
{
    size_t line = 1, column = 1, bad = sm_utf8_valid_prefix(data, len);
    if (len > MAX_YAML_BYTES)
        return sm_fail(err, SM_EINVAL, "%s: got %zu bytes, want at most %zu", name, len,
                       MAX_YAML_BYTES);
    const char *nul = memchr(data, 0, bad);
    if (nul)
        bad = (size_t)(nul - data);
    if (bad == len)
        return SM_OK;
    for (size_t i = 0; i < bad; i++) {
        column +=
            ((unsigned char)data[i] & 0xc0) != 0x80; /* in code points, as libfyaml's */
        if (data[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return sm_fail(err, SM_EINVAL, "%s:%zu:%zu: got a byte that is not text, want UTF-8",
                   name, line, column);
}

sm_status sm_yaml_parse(json_t **out, sm_positions **pos, const char *data, size_t len,
                        const char *name, sm_err *err)
{
    reader r = {.name = name, .err = err};
    json_t *v = NULL;
    sm_status s = check_bytes(data, len, name, err);
    if (s)
        return s;
    if (len == 0)
        return sm_fail(err, SM_EINVAL, "%s:1:1: got an empty document", name);
    if (pos && !(r.pos = sm_positions_new(name)))
        s = out_of_memory(&r);
    if (!s)
        s = reader_open(&r, data, len);
    if (!s)
        s = read_stream(&r, &v);
    if (!s && r.pointer.failed)
        s = out_of_memory(&r);
    if (!s) {
        *out = v;
        v = NULL;
        if (pos) {
            sm_positions_sort(r.pos);
            *pos = r.pos;
            r.pos = NULL;
        }
    }
    json_decref(v);
    sm_positions_free(r.pos);
    fy_parser_destroy(r.parser);
    fy_diag_destroy(r.diag);
    sm_buf_free(&r.pointer);
    return s;
}

sm_status sm_yaml_load(json_t **out, sm_positions **pos, const char *path, sm_err *err)
{
    char *data;
    size_t len;
    sm_status s = sm_file_read(&data, &len, path, MAX_YAML_BYTES, err);
    if (s)
        return s;
    s = sm_yaml_parse(out, pos, data, len, path, err);
    free(data);
    return s;
}
