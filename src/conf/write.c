/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON out: one recursive writer for canonical JSON (RFC 8785: keys sorted by UTF-16 code
 * units, no space, numbers as ECMAScript writes them) and for readable JSON (insertion
 * order, two spaces, reals kept apart from integers by ".0").
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

#define MAX_DEPTH 128

typedef struct writer {
    sm_buf *out;
    bool canonical;
} writer;

static sm_status write_value(const writer *w, const json_t *v, int depth, sm_err *err);

static void put_string(sm_buf *out, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    sm_buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        static const char escapes[] = "\"\"\\\\\bb\tt\nn\ff\rr"; /* byte, letter */
        const char *e = NULL;
        for (size_t j = 0; !e && j + 1 < sizeof escapes; j += 2)
            if ((unsigned char)escapes[j] == c)
                e = &escapes[j + 1];
        if (e) {
            sm_buf_putc(out, '\\');
            sm_buf_putc(out, *e);
        } else if (c < 0x20) {
            sm_buf_puts(out, "\\u00");
            sm_buf_putc(out, hex[c >> 4]);
            sm_buf_putc(out, hex[c & 15]);
        } else {
            sm_buf_putc(out, (char)c);
        }
    }
    sm_buf_putc(out, '"');
}

/* Order of UTF-16 code units, found on UTF-8 bytes: the same, except that characters from
 * U+10000 on (lead byte >= 0xf0) sort as surrogates, before U+E000 (lead byte 0xee). */
static int compare_utf16(const void *pa, const void *pb)
{
    const char *const *ka = pa, *const *kb = pb;
    const unsigned char *a = (const unsigned char *)*ka, *b = (const unsigned char *)*kb;
    while (*a && *a == *b) {
        a++;
        b++;
    }
    bool high_a = *a >= 0xf0, high_b = *b >= 0xf0;
    if (high_a != high_b && *a >= 0xee && *b >= 0xee)
        return high_a ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

static void new_line(const writer *w, int depth)
{
    if (w->canonical)
        return;
    sm_buf_putc(w->out, '\n');
    for (int i = 0; i < depth; i++)
        sm_buf_puts(w->out, "  ");
}

static sm_status write_member(const writer *w, const char *key, const json_t *v,
                              int depth, sm_err *err)
{
    put_string(w->out, key, strlen(key));
    sm_buf_puts(w->out, w->canonical ? ":" : ": ");
    return write_value(w, v, depth, err);
}

static sm_status write_object(const writer *w, const json_t *v, int depth, sm_err *err)
{
    size_t n = json_object_size(v), i = 0;
    const char **key = sm_alloc(n ? n : 1, sizeof *key);
    if (!key)
        return sm_fail(err, SM_ENOMEM, "JSON: out of memory");
    for (void *it = json_object_iter((json_t *)(uintptr_t)v); it && i < n;
         it = json_object_iter_next((json_t *)(uintptr_t)v, it))
        key[i++] = json_object_iter_key(it);
    if (w->canonical && n > 1)
        qsort(key, n, sizeof *key, compare_utf16);
    sm_status s = SM_OK;
    sm_buf_putc(w->out, '{');
    for (i = 0; i < n && !s; i++) {
        if (i)
            sm_buf_putc(w->out, ',');
        new_line(w, depth + 1);
        s = write_member(w, key[i], json_object_get(v, key[i]), depth + 1, err);
    }
    if (n)
        new_line(w, depth);
    sm_buf_putc(w->out, '}');
    free(key);
    return s;
}

static sm_status write_array(const writer *w, const json_t *v, int depth, sm_err *err)
{
    sm_status s = SM_OK;
    size_t n = json_array_size(v);
    sm_buf_putc(w->out, '[');
    for (size_t i = 0; i < n && !s; i++) {
        if (i)
            sm_buf_putc(w->out, ',');
        new_line(w, depth + 1);
        s = write_value(w, json_array_get(v, i), depth + 1, err);
    }
    if (n)
        new_line(w, depth);
    sm_buf_putc(w->out, ']');
    return s;
}

static sm_status write_integer(const writer *w, int64_t i, sm_err *err)
{
    if (w->canonical && (i > SM_JSON_INT_MAX || i < -SM_JSON_INT_MAX))
        return sm_fail(err, SM_EINVAL,
                       "canonical JSON: got integer %" PRId64
                       ", want at most 2^53 in size (or a string)",
                       i);
    sm_buf_printf(w->out, "%" PRId64, i);
    return SM_OK;
}

static void write_real(const writer *w, double x)
{
    char text[SM_NUMBER_MAX];
    sm_number_format(text, x);
    sm_buf_puts(w->out, text);
    if (!w->canonical && !strpbrk(text, ".e"))
        sm_buf_puts(w->out, ".0");
}

static sm_status write_value(const writer *w, const json_t *v, int depth, sm_err *err)
{
    if (depth > MAX_DEPTH)
        return sm_fail(err, SM_EINVAL, "JSON: got more than %d levels", MAX_DEPTH);
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        return write_object(w, v, depth, err);
    case JSON_ARRAY:
        return write_array(w, v, depth, err);
    case JSON_STRING:
        put_string(w->out, json_string_value(v), json_string_length(v));
        return SM_OK;
    case JSON_INTEGER:
        return write_integer(w, json_integer_value(v), err);
    case JSON_REAL:
        write_real(w, json_real_value(v));
        return SM_OK;
    case JSON_TRUE:
        sm_buf_puts(w->out, "true");
        return SM_OK;
    case JSON_FALSE:
        sm_buf_puts(w->out, "false");
        return SM_OK;
    case JSON_NULL:
        break;
    }
    sm_buf_puts(w->out, "null");
    return SM_OK;
}

sm_status sm_json_canonical(sm_buf *out, const json_t *value, sm_err *err)
{
    writer w = {.out = out, .canonical = true};
    sm_status s = write_value(&w, value, 0, err);
    if (!s && out->failed)
        s = sm_fail(err, SM_ENOMEM, "canonical JSON: out of memory");
    return s;
}

sm_status sm_json_pretty(sm_buf *out, const json_t *value, sm_err *err)
{
    writer w = {.out = out, .canonical = false};
    sm_status s = write_value(&w, value, 0, err);
    sm_buf_putc(out, '\n');
    if (!s && out->failed)
        s = sm_fail(err, SM_ENOMEM, "JSON: out of memory");
    return s;
}
