/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding a flat JSON object in place.  Strict: UTF-8 is checked, lone surrogates and
 * NUL are refused, control bytes must be escaped, nothing may follow the object.
 */
#include "json_line.h"

#include <string.h>

#include "smelt/text.h"

static bool problem(sm_json_line *j, const char *what)
{
    j->problem = what;
    return false;
}

static void skip_space(sm_json_line *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\r'))
        j->at++;
}

static bool expect(sm_json_line *j, char c, const char *what)
{
    skip_space(j);
    if (j->at >= j->end || *j->at != c)
        return problem(j, what);
    j->at++;
    return true;
}

/* Four hex digits at p; -1 when they are not. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* "\uXXXX" with j->at on the first digit: write UTF-8 at *to. */
static bool unicode_escape(sm_json_line *j, char **to)
{
    int32_t v = hex4(j->at, j->end);
    if (v < 0)
        return problem(j, "\\u without four hex digits");
    j->at += 4;
    uint32_t cp = (uint32_t)v;
    if (cp >= 0xd800 && cp < 0xdc00) {
        int32_t low = -1;
        if (j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u')
            low = hex4(j->at + 2, j->end);
        if (low < 0xdc00 || low > 0xdfff)
            return problem(j, "half of a surrogate pair");
        j->at += 6;
        cp = 0x10000 + ((cp - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    } else if (cp >= 0xdc00 && cp < 0xe000) {
        return problem(j, "half of a surrogate pair");
    } else if (cp == 0) {
        return problem(j, "NUL in a string");
    }
    char utf8[4];
    int n = sm_utf8_encode(utf8, cp);
    memcpy(*to, utf8, (size_t)n);
    *to += n;
    return true;
}

static bool escape(sm_json_line *j, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (++j->at >= j->end)
        return problem(j, "string without an end");
    char c = *j->at++;
    if (c == 'u')
        return unicode_escape(j, to);
    const char *p = c ? strchr(from, c) : NULL;
    if (!p)
        return problem(j, "unknown escape");
    *(*to)++ = into[p - from];
    return true;
}

/* Bytes of a run that needs no decoding: ASCII but '"', '\\' and controls. */
static size_t plain_run(const char *p, const char *end)
{
    const char *from = p;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        p++;
    }
    return (size_t)(p - from);
}

/* A string with j->at on its opening quote. */
static bool string(sm_json_line *j, char **out, size_t *len)
{
    char *to = ++j->at;
    *out = to;
    for (;;) {
        size_t run = plain_run(j->at, j->end);
        if (to != j->at)
            memmove(to, j->at, run);
        to += run;
        j->at += run;
        if (j->at >= j->end)
            return problem(j, "string without an end");
        unsigned char c = (unsigned char)*j->at;
        if (c == '"')
            break;
        if (c == '\\') {
            if (!escape(j, &to))
                return false;
            continue;
        }
        if (c < 0x20)
            return problem(j, "control byte in a string");
        uint32_t cp;
        int n = sm_utf8_decode(&cp, j->at, (size_t)(j->end - j->at));
        if (n == 0)
            return problem(j, "invalid UTF-8");
        memmove(to, j->at, (size_t)n);
        to += n;
        j->at += n;
    }
    j->at++;
    *to = 0;
    *len = (size_t)(to - *out);
    return true;
}

/* A number, true, false or null: any run of the characters they are made of. */
static bool scalar(sm_json_line *j)
{
    const char *from = j->at;
    while (j->at < j->end && *j->at && strchr("+-.0123456789aeEflnrstu", *j->at))
        j->at++;
    return j->at > from ? true : problem(j, "want a string, number, true, false or null");
}

bool sm_json_line_next(sm_json_line *j, char **key, char **value, size_t *len)
{
    bool comma = false;
    if (!j->started) {
        if (!expect(j, '{', "want '{'"))
            return false;
        j->started = true;
    } else {
        skip_space(j);
        comma = j->at < j->end && *j->at == ',';
        if (comma)
            j->at++;
        else if (j->at >= j->end || *j->at != '}')
            return problem(j, "want ',' or '}'");
    }
    skip_space(j);
    if (!comma && j->at < j->end && *j->at == '}') {
        j->at++;
        skip_space(j);
        return j->at == j->end ? false : problem(j, "bytes after the object");
    }
    size_t key_len;
    if (j->at >= j->end || *j->at != '"')
        return problem(j, "want a key in quotes");
    if (!string(j, key, &key_len) || !expect(j, ':', "want ':'"))
        return false;
    skip_space(j);
    if (j->at < j->end && *j->at == '"')
        return string(j, value, len);
    *value = NULL;
    *len = 0;
    return scalar(j);
}
