/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 (RFC 3629): shortest form only, no surrogates, nothing beyond U+10FFFF.
 */
#include <string.h>

#include "smelt/base.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

int sm_utf8_decode(uint32_t *cp, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    uint32_t c = u[0];
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c < 0xE0) {
        if (n < 2 || !is_tail(u[1]))
            return 0;
        *cp = (c & 0x1F) << 6 | (u[1] & 0x3Fu);
        return 2;
    }
    if (c < 0xF0) {
        if (n < 3 || !is_tail(u[1]) || !is_tail(u[2]))
            return 0;
        uint32_t v = (c & 0x0F) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
        if (v < 0x800 || (v >= 0xD800 && v <= 0xDFFF))
            return 0;
        *cp = v;
        return 3;
    }
    if (n < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
        return 0;
    uint32_t v =
        (c & 0x07) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
    if (v < 0x10000 || v > 0x10FFFF)
        return 0;
    *cp = v;
    return 4;
}

int sm_utf8_encode(char out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp >= 0xD800 && cp <= 0xDFFF)
        return 0;
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp > 0x10FFFF)
        return 0;
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t sm_utf8_valid_prefix(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t cp;
        int k = sm_utf8_decode(&cp, s + i, n - i);
        if (k == 0)
            return i;
        i += (size_t)k;
    }
    return n;
}

bool sm_utf8_put_clean(sm_buf *out, const char *s, size_t n)
{
    while (n > 0) {
        size_t good = sm_utf8_valid_prefix(s, n);
        sm_buf_put(out, s, good);
        s += good;
        n -= good;
        if (n > 0) {
            sm_buf_puts(out, "\xEF\xBF\xBD");
            s++;
            n--;
        }
    }
    return !out->failed;
}

/* C0, DEL and C1. */
static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
}

/* What a terminal is shown for the character at s: *n_put bytes; *used of s are done. */
static const char *printable(size_t *n_put, size_t *used, const char *s, size_t n)
{
    uint32_t cp;
    int k = sm_utf8_decode(&cp, s, n);
    bool good = k > 0 && (!is_control(cp) || cp == '\n' || cp == '\t');
    *used = k > 0 ? (size_t)k : 1;
    *n_put = good ? *used : 3;
    return good ? s : "\xEF\xBF\xBD";
}

bool sm_utf8_put_printable(sm_buf *out, const char *s, size_t n)
{
    for (size_t used, n_put; n > 0; s += used, n -= used) {
        const char *put = printable(&n_put, &used, s, n);
        sm_buf_put(out, put, n_put);
    }
    return !out->failed;
}

size_t sm_utf8_copy_printable(char *out, size_t cap, const char *s)
{
    size_t n = strlen(s), len = 0;
    for (size_t used, n_put; n > 0; s += used, n -= used) {
        const char *put = printable(&n_put, &used, s, n);
        if (n_put > cap - 1 - len)
            break;
        memcpy(out + len, put, n_put);
        len += n_put;
    }
    out[len] = 0;
    return len;
}
