/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character classes of the pretokenizers: the general categories of Unicode folded into
 * the eight that the regular expressions tell apart, in a two-level table.
 */
#ifndef SMELT_TEXT_UCLASS_H
#define SMELT_TEXT_UCLASS_H

#include "smelt/text.h"

/* One bit a class, so that a set of classes is a mask. */
enum {
    UC_UPPER = 1,    /* Lu, Lt                                     */
    UC_LOWER = 2,    /* Ll                                         */
    UC_CASELESS = 4, /* Lm, Lo                                     */
    UC_MARK = 8,     /* Mn, Mc, Me                                 */
    UC_NUMBER = 16,  /* Nd, Nl, No                                 */
    UC_SPACE = 32,   /* White_Space other than CR and LF           */
    UC_NEWLINE = 64, /* CR, LF                                     */
    UC_OTHER = 128,  /* everything else, and bytes that are not UTF-8 */

    UC_LETTER = UC_UPPER | UC_LOWER | UC_CASELESS,
    UC_BLANK = UC_SPACE | UC_NEWLINE,
    UC_SYMBOL = UC_MARK | UC_OTHER /* [^\s\p{L}\p{N}] */
};

enum { UC_BLOCK = 256, UC_N_BLOCK = 0x110000 / UC_BLOCK };

typedef struct sm_uclass {
    uint16_t block[UC_N_BLOCK]; /* code point >> 8 -> row of `row` */
    uint8_t (*row)[UC_BLOCK];
    size_t n_row;
} sm_uclass;

/** Build the table from utf8proc's categories (about 5 ms, 70 KiB). */
sm_status sm_uclass_create(sm_uclass **out, sm_err *err);
void sm_uclass_free(sm_uclass *t);

/** Class of the character at s[0..n-1], n >= 1; *len is its bytes (1 for an invalid
 * byte). */
static inline unsigned sm_uclass_at(const sm_uclass *t, const char *s, size_t n,
                                    size_t *len)
{
    unsigned char c = (unsigned char)*s;
    if (c < 0x80) {
        *len = 1;
        return t->row[t->block[0]][c];
    }
    uint32_t cp;
    int k = sm_utf8_decode(&cp, s, n);
    if (k == 0) {
        *len = 1;
        return UC_OTHER;
    }
    *len = (size_t)k;
    return t->row[t->block[cp / UC_BLOCK]][cp % UC_BLOCK];
}

#endif
