/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One document as one line of JSON, keys in the order of docs/formats/dataset.md.
 * Escapes are the shortest that RFC 8259 allows, so that a document has one spelling:
 * '"', '\\' and controls are escaped, everything else is UTF-8 as it is.  Bytes that are
 * not UTF-8 become U+FFFD.
 */
#include "document.h"

#include <string.h>

/* 0: plain ASCII, 1: needs an escape, 2: starts a multi-byte sequence. */
static int byte_class(unsigned char c)
{
    if (c >= 0x80)
        return 2;
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static bool put_escape(sm_buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        return sm_buf_put(out, "\\\"", 2);
    case '\\':
        return sm_buf_put(out, "\\\\", 2);
    case '\n':
        return sm_buf_put(out, "\\n", 2);
    case '\t':
        return sm_buf_put(out, "\\t", 2);
    case '\r':
        return sm_buf_put(out, "\\r", 2);
    case '\b':
        return sm_buf_put(out, "\\b", 2);
    case '\f':
        return sm_buf_put(out, "\\f", 2);
    case 0x7f:
        return sm_buf_putc(out, (char)c);
    default:
        return sm_buf_printf(out, "\\u%04x", c);
    }
}

/* Append a JSON string; bytes that are not UTF-8 become U+FFFD. */
static bool put_string(sm_buf *out, const char *s, size_t n)
{
    sm_buf_putc(out, '"');
    size_t from = 0, i = 0;
    while (i < n) {
        int class = byte_class((unsigned char)s[i]);
        uint32_t cp;
        int used = class == 2 ? sm_utf8_decode(&cp, s + i, n - i) : 1;
        if (class != 1 && used > 0) {
            i += (size_t)used;
            continue;
        }
        sm_buf_put(out, s + from, i - from);
        if (class == 1)
            put_escape(out, (unsigned char)s[i]);
        else
            sm_buf_put(out, "\xEF\xBF\xBD", 3);
        from = ++i;
    }
    sm_buf_put(out, s + from, n - from);
    return sm_buf_putc(out, '"');
}

static void put_key(sm_buf *out, const char *key, const char *value, bool first)
{
    sm_buf_puts(out, first ? "{\"" : ",\"");
    sm_buf_puts(out, key);
    sm_buf_puts(out, "\":");
    put_string(out, value, strlen(value));
}

bool sm_document_write_head(sm_buf *out, const sm_document *doc)
{
    put_key(out, "id", doc->id, true);
    put_key(out, "source", doc->source, false);
    put_key(out, "path", doc->path, false);
    put_key(out, "format", doc->format, false);
    put_key(out, "title", doc->title, false);
    put_key(out, "summary", doc->summary, false);
    put_key(out, "section", doc->section, false);
    return !out->failed;
}

bool sm_document_write_package(sm_buf *out, const char *package, const char *version,
                               const char *licence)
{
    put_key(out, "package", package, false);
    put_key(out, "version", version, false);
    put_key(out, "licence", licence, false);
    return !out->failed;
}

bool sm_document_write_tail(sm_buf *out, const sm_document *doc)
{
    put_key(out, "lang", doc->lang, false);
    if (*doc->reason) {
        put_key(out, "reason", doc->reason, false);
        put_key(out, "detail", doc->detail, false);
    }
    sm_buf_puts(out, ",\"text\":");
    put_string(out, doc->text, doc->text_len);
    sm_buf_puts(out, "}\n");
    return !out->failed;
}

bool sm_document_write(sm_buf *out, const sm_document *doc)
{
    return sm_document_write_head(out, doc) &&
           sm_document_write_package(out, doc->package, doc->version, doc->licence) &&
           sm_document_write_tail(out, doc);
}
