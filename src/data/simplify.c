/* SPDX-License-Identifier: Apache-2.0 */
/* Text simplification before hashing, as datatrove's simplify_text, in one pass. */
#include "simplify.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "smelt/text.h"
#include "words.h"

/* Output of each ASCII character: lower case, or a blank for punctuation and space. */
static const char plain[129] = "                                " /* controls */
                               "                "                 /* space to / */
                               "0123456789      "                 /* 0 to ? */
                               " abcdefghijklmnopqrstuvwxyz     " /* @ to _ */
                               " abcdefghijklmnopqrstuvwxyz     ";

typedef struct name {
    const char *text;
    uint8_t len;
    bool is_day;
} name;

/* By first letter; weekdays before months, as they are replaced first. */
static const name names[] = {
    {"monday", 6, true},    {"march", 5, false},     {"may", 3, false},
    {"tuesday", 7, true},   {"thursday", 8, true},   {"wednesday", 9, true},
    {"friday", 6, true},    {"february", 8, false},  {"saturday", 8, true},
    {"sunday", 6, true},    {"september", 9, false}, {"january", 7, false},
    {"june", 4, false},     {"july", 4, false},      {"april", 5, false},
    {"august", 6, false},   {"october", 7, false},   {"november", 8, false},
    {"december", 8, false},
};

/* The name at p (n bytes left), or NULL. */
static const name *find_name(const char *p, size_t n)
{
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const name *x = &names[k];
        if ((p[0] | 0x20) != x->text[0] || n < x->len)
            continue;
        size_t i = 1;
        while (i < x->len && (p[i] | 0x20) == x->text[i])
            i++;
        if (i == x->len)
            return x;
    }
    return NULL;
}

/* First two letters of some name: what keeps find_name off most words. */
static bool may_be_name(const char *p, size_t n)
{
    if (n < 3)
        return false;
    switch (p[0] | 0x20) {
    case 'm':
        return (p[1] | 0x20) == 'o' || (p[1] | 0x20) == 'a';
    case 't':
        return (p[1] | 0x20) == 'u' || (p[1] | 0x20) == 'h';
    case 's':
        return (p[1] | 0x20) == 'a' || (p[1] | 0x20) == 'u' || (p[1] | 0x20) == 'e';
    case 'f':
        return (p[1] | 0x20) == 'r' || (p[1] | 0x20) == 'e';
    case 'j':
        return (p[1] | 0x20) == 'a' || (p[1] | 0x20) == 'u';
    case 'a':
        return (p[1] | 0x20) == 'p' || (p[1] | 0x20) == 'u';
    case 'w':
    case 'd':
        return (p[1] | 0x20) == 'e';
    case 'o':
        return (p[1] | 0x20) == 'c';
    case 'n':
        return (p[1] | 0x20) == 'o';
    default:
        return false;
    }
}

static bool is_digit(uint32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_number_point(uint32_t c)
{
    return c == '.' || c == ',' || c == 0x060c || c == 0x066b ||
           (c >= 0x2396 && c <= 0x2398);
}

static int decode(uint32_t *c, const char *p, size_t n)
{
    if (n == 0)
        return 0;
    if ((unsigned char)*p < 0x80) {
        *c = (unsigned char)*p;
        return 1;
    }
    int k = sm_utf8_decode(c, p, n);
    if (k == 0)
        *c = 0xfffd;
    return k ? k : 1;
}

static size_t digit_run(const char *p, size_t n)
{
    size_t at = 0;
    uint32_t c;
    int k;
    while ((k = decode(&c, p + at, n - at)) > 0 && is_digit(c))
        at += (size_t)k;
    return at;
}

/* \p{Nd}+([.,...]\p{Nd}+)? */
static size_t number(const char *p, size_t n)
{
    size_t at = digit_run(p, n);
    uint32_t c;
    int k = decode(&c, p + at, n - at);
    if (at == 0 || k == 0 || !is_number_point(c))
        return at;
    size_t more = digit_run(p + at + k, n - at - (size_t)k);
    return more ? at + (size_t)k + more : at;
}

static void put_blank(sm_buf *out, size_t start)
{
    if (out->len > start && out->data[out->len - 1] != ' ')
        sm_buf_putc(out, ' ');
}

static bool is_alone(uint32_t c)
{
    return (c >= 0x3040 && c < 0x3100) || (c >= 0x3400 && c < 0xa000) ||
           (c >= 0x20000 && c < 0x30000);
}

/* A character above ASCII: lower case, then decomposed without its marks. */
static void put_wide(sm_buf *out, uint32_t c, size_t start)
{
    utf8proc_int32_t parts[32];
    int class = 0;
    utf8proc_int32_t lower = utf8proc_tolower((utf8proc_int32_t)c);
    utf8proc_ssize_t n =
        utf8proc_decompose_char(lower, parts, 32, UTF8PROC_DECOMPOSE, &class);
    if (is_alone(c))
        put_blank(out, start);
    for (utf8proc_ssize_t i = 0; i < n && i < 32; i++) {
        char utf8[4];
        if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN)
            continue;
        sm_buf_put(out, utf8, (size_t)sm_utf8_encode(utf8, (uint32_t)parts[i]));
    }
    if (is_alone(c))
        put_blank(out, start);
}

/* ASCII from text[i] on, while there is any; writes at most 2 bytes for one read, within
 * what the caller reserved.  Returns where it stopped: at a digit or a wide character. */
static size_t ascii_run(char **to, const char *text, size_t i, size_t len)
{
    char *p = *to;
    while (i < len) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (c >= '0' && c <= '9'))
            break;
        char lower = plain[c];
        if (lower != ' ' && may_be_name(text + i, len - i)) {
            const name *x = find_name(text + i, len - i);
            if (x) {
                size_t n = x->is_day ? 7 : 5;
                memcpy(p, x->is_day ? "WEEKDAY" : "MONTH", n);
                p += n;
                i += x->len;
                continue;
            }
        }
        *p = lower;
        p += lower != ' ' || p[-1] != ' '; /* p[-1]: the sentinel or what was written */
        i++;
    }
    *to = p;
    return i;
}

bool sm_simplify_text(sm_buf *out, const char *text, size_t len)
{
    size_t start = out->len;
    if (!sm_buf_putc(out, ' '))
        return false; /* sentinel: swallows blanks at the start */
    for (size_t i = 0; i < len;) {
        if (!sm_buf_reserve(out, 2 * (len - i) + 16))
            return false;
        char *to = out->data + out->len;
        i = ascii_run(&to, text, i, len);
        out->len = (size_t)(to - out->data);
        if (i == len)
            break;
        size_t n = number(text + i, len - i);
        if (n > 0) {
            sm_buf_putc(out, '0');
            i += n;
            continue;
        }
        uint32_t c;
        i += (size_t)decode(&c, text + i, len - i);
        if (sm_is_space(c) || sm_is_punctuation(c))
            put_blank(out, start);
        else
            put_wide(out, c, start);
    }
    if (out->failed)
        return false;
    size_t n = out->len - start - 1;
    memmove(out->data + start, out->data + start + 1, n);
    if (n > 0 && out->data[start + n - 1] == ' ')
        n--;
    out->len = start + n;
    out->data[out->len] = 0;
    return true;
}
