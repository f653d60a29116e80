/* SPDX-License-Identifier: Apache-2.0 */
/* Text simplification before hashing, as datatrove's simplify_text, in one pass. */
#include "simplify.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "smelt/text.h"
#include "words.h"

static const char *const weekdays[] = {"monday",   "tuesday", "wednesday", "thursday",
                                       "friday",   "saturday", "sunday",    NULL};
static const char *const months[] = {"january",   "february", "march",    "april",
                                     "may",       "june",     "july",     "august",
                                     "september", "october",  "november", "december", NULL};

static size_t match_any(const char *p, size_t n, const char *const *name)
{
    for (; *name; name++) {
        size_t k = strlen(*name);
        if (n < k) continue;
        size_t i = 0;
        while (i < k && (p[i] | 0x20) == (*name)[i])
            i++;
        if (i == k) return k;
    }
    return 0;
}

static bool may_be_name(char c)
{
    switch (c | 0x20) {
    case 'm': case 't': case 'w': case 'f': case 's': case 'j': case 'a': case 'o':
    case 'n': case 'd':
        return true;
    default:
        return false;
    }
}

static bool is_digit(uint32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_number_point(uint32_t c)
{
    return c == '.' || c == ',' || c == 0x060c || c == 0x066b ||
           (c >= 0x2396 && c <= 0x2398);
}

static int decode(uint32_t *c, const char *p, size_t n)
{
    if (n == 0) return 0;
    if ((unsigned char)*p < 0x80) {
        *c = (unsigned char)*p;
        return 1;
    }
    int k = sm_utf8_decode(c, p, n);
    if (k == 0) *c = 0xfffd;
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
    if (at == 0 || k == 0 || !is_number_point(c)) return at;
    size_t more = digit_run(p + at + k, n - at - (size_t)k);
    return more ? at + (size_t)k + more : at;
}

static void put_blank(sm_buf *out, size_t start)
{
    if (out->len > start && out->data[out->len - 1] != ' ') sm_buf_putc(out, ' ');
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
    if (is_alone(c)) put_blank(out, start);
    for (utf8proc_ssize_t i = 0; i < n && i < 32; i++) {
        char utf8[4];
        if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
        sm_buf_put(out, utf8, (size_t)sm_utf8_encode(utf8, (uint32_t)parts[i]));
    }
    if (is_alone(c)) put_blank(out, start);
}

bool sm_simplify_text(sm_buf *out, const char *text, size_t len)
{
    size_t start = out->len;
    if (!sm_buf_reserve(out, len + 16)) return false;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int used = decode(&c, text + i, len - i);
        size_t n = is_digit(c) ? number(text + i, len - i) : 0;
        if (n > 0) {
            sm_buf_putc(out, '0');
            i += n;
            continue;
        }
        if (c < 0x80 && may_be_name((char)c)) {
            size_t day = match_any(text + i, len - i, weekdays);
            n = day ? day : match_any(text + i, len - i, months);
            if (n > 0) {
                sm_buf_puts(out, day ? "WEEKDAY" : "MONTH");
                i += n;
                continue;
            }
        }
        i += (size_t)used;
        if (sm_is_space(c) || sm_is_punctuation(c))
            put_blank(out, start);
        else if (c < 0x80)
            sm_buf_putc(out, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
        else
            put_wide(out, c, start);
    }
    if (out->len > start && out->data[out->len - 1] == ' ') out->data[--out->len] = 0;
    return !out->failed;
}
