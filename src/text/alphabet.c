/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as printable characters and back. */
#include "alphabet.h"

static bool is_itself(int b)
{
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

void sm_alphabet_init(sm_alphabet *a)
{
    int next = 0x100;
    for (int i = 0; i < ALPHABET_END; i++)
        a->byte[i] = -1;
    for (int b = 0; b < 256; b++) {
        int cp = is_itself(b) ? b : next++;
        a->code_point[b] = (uint16_t)cp;
        a->byte[cp] = (int16_t)b;
    }
}

bool sm_alphabet_write(const sm_alphabet *a, sm_buf *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c[4];
        int k = sm_utf8_encode(c, a->code_point[(unsigned char)bytes[i]]);
        if (!sm_buf_put(out, c, (size_t)k))
            return false;
    }
    return true;
}

bool sm_alphabet_read(const sm_alphabet *a, sm_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int k = sm_utf8_decode(&cp, s + i, n - i);
        if (k == 0 || cp >= ALPHABET_END || a->byte[cp] < 0)
            return false;
        if (!sm_buf_putc(out, (char)a->byte[cp]))
            return false;
        i += (size_t)k;
    }
    return true;
}
