/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Bytes of unknown encoding to UTF-8.  UTF-8, UTF-16, ISO 8859-1 and windows-1252 are
 * decoded here; other declared labels go through iconv(3) where the system knows them.
 * Labels follow the WHATWG Encoding Standard in reading "latin1" and its aliases as
 * windows-1252, its superset in all but the C1 controls.
 */
#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "encoding_label.h"
#include "read_encoding.h"
#include "smelt/extract.h"
#include "smelt/text.h"

/* windows-1252, 0x80..0x9f; 0 where the code page has a hole. */
static const uint16_t cp1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
    0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

static void put_cp(sm_buf *out, uint32_t cp)
{
    char u[4];
    int n = sm_utf8_encode(u, cp);
    if (n > 0)
        sm_buf_put(out, u, (size_t)n);
    else
        sm_buf_puts(out, "\xef\xbf\xbd");
}

/* Copy UTF-8 and replace each byte that does not belong by U+FFFD. */
static void put_utf8(sm_buf *out, const char *s, size_t n)
{
    while (n > 0) {
        size_t ok = sm_utf8_valid_prefix(s, n);
        sm_buf_put(out, s, ok);
        s += ok;
        n -= ok;
        if (n > 0) {
            sm_buf_puts(out, "\xef\xbf\xbd");
            s++;
            n--;
        }
    }
}

static void put_8bit(sm_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x80)
            sm_buf_putc(out, s[i]);
        else if (c < 0xa0)
            put_cp(out, cp1252[c - 0x80] ? cp1252[c - 0x80] : 0xfffd);
        else
            put_cp(out, c);
    }
}

static void put_utf16(sm_buf *out, const char *s, size_t n, bool big)
{
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0; i + 1 < n; i += 2) {
        uint32_t c =
            big ? (uint32_t)(u[i] << 8 | u[i + 1]) : (uint32_t)(u[i + 1] << 8 | u[i]);
        if (c >= 0xd800 && c < 0xdc00 && i + 3 < n) {
            uint32_t d = big ? (uint32_t)(u[i + 2] << 8 | u[i + 3])
                             : (uint32_t)(u[i + 3] << 8 | u[i + 2]);
            if (d >= 0xdc00 && d < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
                i += 2;
            }
        }
        put_cp(out, c);
    }
    if (n % 2)
        put_cp(out, 0xfffd);
}

/* UTF-16 without a mark: most of one byte lane is zero, hardly any of the other. */
int encoding_guess_utf16(const char *s, size_t n)
{
    size_t zero[2] = {0, 0}, m = n > 4096 ? 4096 : n;
    if (m < 8 || n % 2)
        return 0;
    for (size_t i = 0; i < m; i++)
        zero[i % 2] += s[i] == 0;
    if (zero[1] > m / 4 && zero[0] <= m / 64)
        return 1;
    return zero[0] > m / 4 && zero[1] <= m / 64 ? 2 : 0;
}

typedef enum label_kind { LABEL_NONE, LABEL_UTF8, LABEL_8BIT, LABEL_OTHER } label_kind;

/* Normalise a label ("ISO_8859-1" -> "iso-8859-1") and classify it. */
static label_kind read_label(char out[48], const char *label)
{
    static const char *const eight[] = {
        "latin1", "latin-1", "iso-8859-1", "iso8859-1", "windows-1252",
        "cp1252", "l1",      "ascii",      "us-ascii",  "x-cp1252"};
    size_t n = 0;
    for (; label && *label && n < 47; label++)
        if (isalnum((unsigned char)*label) || strchr("-.:+", *label))
            out[n++] = (char)tolower((unsigned char)*label);
        else if (*label == '_')
            out[n++] = '-';
    out[n] = 0;
    if (n == 0)
        return LABEL_NONE;
    if (strcmp(out, "utf-8") == 0 || strcmp(out, "utf8") == 0)
        return LABEL_UTF8;
    for (size_t i = 0; i < sizeof eight / sizeof *eight; i++)
        if (strcmp(out, eight[i]) == 0)
            return LABEL_8BIT;
    /* A wide label on bytes that were read as bytes so far cannot be true. */
    if (strstr(out, "utf") || strstr(out, "ucs") || strstr(out, "//"))
        return LABEL_NONE;
    return LABEL_OTHER;
}

/* Bytes of a sequence that cannot be decoded.  Of two bytes the second may be ASCII that
 * only follows the bad one; otherwise both go, or every character after them would be read
 * from its middle. */
static size_t bad_bytes(const char *s, size_t n, const sm_encoding *e)
{
    bool both = e && e->is_double && n > 1 && (s[0] & 0x80) && (s[1] & 0x80);
    return both ? 2 : 1;
}

/* Decode through iconv; false when the label is unknown to the system. */
static bool put_iconv(sm_buf *out, const char *s, size_t n, const char *label)
{
    const sm_encoding *e = sm_encoding_find(label);
    iconv_t cd = iconv_open("UTF-8", e ? e->iconv : label);
    if (cd == (iconv_t)-1)
        return false;
    char chunk[4096];
    char *in =
        (char *)(uintptr_t)s; /* iconv's prototype lacks const; it does not write */
    while (n > 0 && !out->failed) {
        char *to = chunk;
        size_t room = sizeof chunk, rc = iconv(cd, &in, &n, &to, &room);
        sm_buf_put(out, chunk, sizeof chunk - room);
        if (rc == (size_t)-1 && errno != E2BIG && n > 0) {
            size_t bad = bad_bytes(in, n, e);
            sm_buf_puts(out, "\xef\xbf\xbd");
            in += bad;
            n -= bad;
        }
    }
    iconv_close(cd);
    return true;
}

/* CR LF and lone CR become LF, in place from `from`. */
static void unify_newlines(sm_buf *b, size_t from)
{
    if (b->failed || b->len == from || !memchr(b->data + from, '\r', b->len - from))
        return;
    size_t j = from;
    for (size_t i = from; i < b->len; i++) {
        if (b->data[i] != '\r')
            b->data[j++] = b->data[i];
        else if (i + 1 >= b->len || b->data[i + 1] != '\n')
            b->data[j++] = '\n';
    }
    b->len = j;
    b->data[j] = 0;
}

static const char *decode_8bit(sm_buf *out, const char *s, size_t n)
{
    put_8bit(out, s, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0x80 && (unsigned char)s[i] < 0xa0)
            return "windows-1252";
    return "iso-8859-1";
}

/* Valid, or with at least four good multi-byte characters for each bad byte: damage in a
 * UTF-8 text, not another encoding. */
static bool mostly_utf8(const char *s, size_t n)
{
    size_t n_bad = 0, n_good = 0;
    for (size_t i = 0; i < n;) {
        size_t ok = sm_utf8_valid_prefix(s + i, n - i);
        if (i == 0 && ok == n)
            return true;
        for (size_t k = i; k < i + ok; k++)
            n_good += ((unsigned char)s[k] & 0xc0) == 0xc0;
        i += ok + 1;
        n_bad += i <= n;
    }
    return n_good >= 4 * n_bad;
}

static const char *decode(sm_buf *out, const char *s, size_t n, const char *declared)
{
    char label[48];
    if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
        put_utf8(out, s + 3, n - 3);
        return "utf-8";
    }
    if (n >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0)) {
        put_utf16(out, s + 2, n - 2, s[0] == '\xfe');
        return s[0] == '\xfe' ? "utf-16be" : "utf-16le";
    }
    int wide = encoding_guess_utf16(s, n);
    if (wide) {
        put_utf16(out, s, n, wide == 2);
        return wide == 2 ? "utf-16be" : "utf-16le";
    }
    label_kind kind = read_label(label, declared);
    bool is_escaped = kind == LABEL_OTHER && strcmp(label, "iso-2022-jp") == 0;
    if (!is_escaped && (kind == LABEL_UTF8 || mostly_utf8(s, n))) {
        put_utf8(out, s, n);
        return "utf-8";
    }
    if (kind == LABEL_OTHER && put_iconv(out, s, n, label)) {
        const sm_encoding *e = sm_encoding_find(label);
        return e ? e->name : "other";
    }
    return decode_8bit(out, s, n);
}

bool sm_decode_text(sm_buf *out, const char *data, size_t len, const char *declared,
                    const char **encoding)
{
    size_t from = out->len;
    if (!sm_buf_reserve(out, len))
        return false;
    const char *name = decode(out, data, len, declared);
    unify_newlines(out, from);
    if (encoding)
        *encoding = name;
    return !out->failed;
}
