/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding repair.  The commonest damage: UTF-8 was read as windows-1252 and written as
 * UTF-8 again, so that "’" (E2 80 99) became "â€™".  A sequence is undone when its
 * characters, taken back to windows-1252 bytes, are the UTF-8 of a character that such
 * texts hold: a Latin letter or sign (U+00A0..U+017F), general punctuation, a currency or
 * trademark sign, an arrow or a box.  The leads are limited to those of such characters, so
 * that honest text ("Â" before a capital, "Ã" in Portuguese) is left alone.  Two rounds,
 * because damage is often done twice.  C1 controls become what windows-1252 meant by them.
 */
#include <string.h>

#include "curate.h"

/* windows-1252 0x80..0x9f as code points; 0 = unassigned. */
static const uint16_t cp1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
    0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

/* The byte of a character in windows-1252 (its gaps as Latin-1); -1 when it has none. */
static int byte_of(uint32_t c)
{
    if (c >= 0xa0 && c <= 0xff)
        return (int)c;
    if (c >= 0x80 && c < 0xa0)
        return (int)c;
    for (int i = 0; i < 32; i++)
        if (cp1252[i] == c && c)
            return 0x80 + i;
    return -1;
}

static bool is_plausible(uint32_t c)
{
    /* a gap of windows-1252: half of a character that was damaged twice */
    if (c >= 0x80 && c < 0xa0)
        return cp1252[c - 0x80] == 0;
    return (c >= 0xa0 && c < 0x180) || c == 0x192 || c == 0x2c6 || c == 0x2dc ||
           (c >= 0x2010 && c <= 0x2044) || c == 0x20ac || (c >= 0x2190 && c <= 0x21ff) ||
           c == 0x2122 || c == 0x2212 || (c >= 0x2260 && c <= 0x2265) ||
           (c >= 0x2500 && c <= 0x25ff) || c == 0xfffd || c == 0xfeff ||
           (c >= 0x2700 && c < 0x27c0);
}

/* The character that a damaged sequence at s stood for; *used bytes of s, 0 = none. */
static uint32_t undo(const char *s, size_t n, size_t *used)
{
    char bytes[4];
    size_t at = 0;
    int want = 1;
    *used = 0;
    for (int i = 0; i < want; i++) {
        uint32_t c;
        int k = at < n ? sm_utf8_decode(&c, s + at, n - at) : 0;
        int b = k > 0 ? byte_of(c) : -1;
        if (b < 0)
            return 0;
        if (i == 0) {
            if ((b >= 0xc2 && b <= 0xc6) || b == 0xcb)
                want = 2;
            else if (b == 0xe2 || b == 0xef)
                want = 3;
            else
                return 0;
        } else if (b < 0x80 || b > 0xbf) {
            return 0;
        }
        bytes[i] = (char)b;
        at += (size_t)k;
    }
    uint32_t c;
    if (sm_utf8_decode(&c, bytes, (size_t)want) != want || !is_plausible(c))
        return 0;
    *used = at;
    return c;
}

static bool put_char(sm_buf *out, uint32_t c)
{
    char utf8[4];
    return sm_buf_put(out, utf8, (size_t)sm_utf8_encode(utf8, c));
}

/* One round; *n_fixed counts repairs. */
static bool repair_round(sm_buf *out, const char *text, size_t len, size_t *n_fixed)
{
    size_t from = 0, i = 0;
    while (i < len) {
        unsigned char b = (unsigned char)text[i];
        if (b < 0xc2) {
            i++;
            continue;
        }
        size_t used;
        uint32_t c = undo(text + i, len - i, &used);
        if (used == 0) {
            int k = sm_utf8_decode(&c, text + i, len - i);
            used = k > 0 ? (size_t)k : 1;
            if (k == 0 || c < 0x80 || c >= 0xa0 || !cp1252[c - 0x80]) {
                i += used;
                continue;
            }
            c = cp1252[c - 0x80];
        }
        sm_buf_put(out, text + from, i - from);
        put_char(out, c);
        i += used;
        from = i;
        ++*n_fixed;
    }
    return sm_buf_put(out, text + from, len - from);
}

bool sm_repair_text(sm_buf *out, const char *text, size_t len)
{
    size_t n_first = 0, n_second = 0;
    sm_buf once = {0};
    bool ok = repair_round(&once, text, len, &n_first);
    if (ok && n_first > 0)
        ok = repair_round(out, once.data, once.len, &n_second);
    else if (ok)
        ok = sm_buf_put(out, text, len);
    sm_buf_free(&once);
    return ok;
}

/* Whether a repair could apply at all: most texts have no byte of a lead. */
static bool is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] == 0xc2 || (unsigned char)text[i] == 0xc3)
            return false;
    return true;
}

sm_status sm_step_repair(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                         sm_err *err)
{
    (void)p;
    /* every damaged lead (U+00C2..U+00EF) and every C1 control has a byte C2 or C3 */
    if (is_clean(d->doc.text, d->doc.text_len))
        return SM_OK;
    sm_buf_clear(&scratch->a);
    if (!sm_repair_text(&scratch->a, d->doc.text, d->doc.text_len))
        return sm_fail(err, SM_ENOMEM, "%s: no memory to repair it", d->doc.id);
    return sm_curate_set_text(d, &scratch->a, err);
}
