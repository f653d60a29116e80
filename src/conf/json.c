/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in: jansson does the parsing; this file adds what it leaves open.
 *   1. Depth is bounded by 64 before the parser recurses, by counting brackets.
 *   2. Bytes that are not UTF-8 are reported at their own line and column.
 *   3. Messages begin with NAME:LINE:COL, columns counted in code points from 1.
 */
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "smelt/sys.h"

#define MAX_DEPTH 64
#define MAX_JSON_BYTES ((size_t)1 << 30)

/* Line and column of an offset. */
static void locate(const char *data, size_t at, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (data[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)data[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

static sm_status fail_at(sm_err *err, sm_status s, const char *name, const char *data,
                         size_t at, const char *what)
{
    size_t line, column;
    locate(data, at, &line, &column);
    return sm_fail(err, s, "%s:%zu:%zu: %s", name, line, column, what);
}

/* Offset of the bracket that nests too deep, len when none does. */
static size_t too_deep(const char *data, size_t len)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH)
                return i;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return len;
}

sm_status sm_json_parse(json_t **out, const char *data, size_t len, const char *name,
                        sm_err *err)
{
    size_t at = sm_utf8_valid_prefix(data, len);
    if (at < len)
        return fail_at(err, SM_ECORRUPT, name, data, at, "got a byte that is not UTF-8");
    at = too_deep(data, len);
    if (at < len)
        return fail_at(err, SM_ECORRUPT, name, data, at,
                       "got more than 64 levels, want at most 64");
    json_error_t e;
    json_t *v = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!v) {
        if (json_error_code(&e) == json_error_out_of_memory)
            return sm_fail(err, SM_ENOMEM, "%s: out of memory", name);
        bool is_nul = json_error_code(&e) == json_error_null_character;
        return sm_fail(err, SM_ECORRUPT, "%s:%d:%d: %s", name, e.line > 0 ? e.line : 1,
                       e.column > 0 ? e.column : 1,
                       is_nul ? "got \\u0000, want text without NUL" : e.text);
    }
    *out = v;
    return SM_OK;
}

sm_status sm_json_load(json_t **out, const char *path, sm_err *err)
{
    char *data;
    size_t len;
    sm_status s = sm_file_read(&data, &len, path, MAX_JSON_BYTES, err);
    if (s)
        return s;
    s = sm_json_parse(out, data, len, path, err);
    free(data);
    return s;
}

json_t *sm_json_string(const char *text)
{
    sm_buf b = {0};
    bool ok = sm_buf_puts(&b, "") && sm_utf8_put_clean(&b, text, strlen(text));
    json_t *v = ok ? json_stringn_nocheck(b.data, b.len) : NULL;
    sm_buf_free(&b);
    return v;
}

const char *sm_json_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

int64_t sm_json_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double sm_json_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}
