/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The class table.  Rows of 256 code points repeat a great deal (unassigned planes, CJK,
 * Hangul), so equal rows are stored once; a tokenizer owns its table.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "uclass.h"

const char *sm_unicode_version(void)
{
    return utf8proc_unicode_version();
}

/* The White_Space property (PropList.txt); it has not changed since Unicode 6.3. */
static bool is_white_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || cp == 0x20 || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

/* Planes 4 to 13 hold no characters and 15 and 16 are for private use: three quarters of
 * the code points need not be asked for. */
static bool is_empty_plane(uint32_t cp)
{
    uint32_t plane = cp >> 16;
    return plane >= 4 && plane != 14;
}

static uint8_t classify(uint32_t cp)
{
    if (cp == '\r' || cp == '\n')
        return UC_NEWLINE;
    if (is_white_space(cp))
        return UC_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return UC_UPPER;
    case UTF8PROC_CATEGORY_LL:
        return UC_LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return UC_CASELESS;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return UC_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return UC_NUMBER;
    default:
        return UC_OTHER;
    }
}

/* Index of a stored row equal to `row`, else n_row. */
static size_t find_row(const sm_uclass *t, const uint8_t row[UC_BLOCK])
{
    for (size_t i = t->n_row; i-- > 0;)
        if (memcmp(t->row[i], row, UC_BLOCK) == 0)
            return i;
    return t->n_row;
}

sm_status sm_uclass_create(sm_uclass **out, sm_err *err)
{
    sm_uclass *t = sm_alloc(1, sizeof *t);
    uint8_t(*all)[UC_BLOCK] = sm_alloc(UC_N_BLOCK, UC_BLOCK);
    if (!t || !all) {
        free(t);
        free(all);
        return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for character classes");
    }
    t->row = all;
    for (uint32_t b = 0; b < UC_N_BLOCK; b++) {
        uint8_t row[UC_BLOCK];
        memset(row, UC_OTHER, sizeof row);
        for (uint32_t i = 0; i < UC_BLOCK && !is_empty_plane(b * UC_BLOCK); i++)
            row[i] = classify(b * UC_BLOCK + i);
        size_t at = find_row(t, row);
        if (at == t->n_row)
            memcpy(t->row[t->n_row++], row, UC_BLOCK);
        t->block[b] = (uint16_t)at;
    }
    void *shrunk = sm_realloc(all, t->n_row, UC_BLOCK);
    if (shrunk)
        t->row = shrunk;
    *out = t;
    return SM_OK;
}

void sm_uclass_free(sm_uclass *t)
{
    if (!t)
        return;
    free(t->row);
    free(t);
}
