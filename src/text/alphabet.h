/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte-level alphabet of GPT-2: tokenizer.json spells a byte as a printable
 * character, itself where it has one in Latin-1, else U+0100 onwards in order of the
 * bytes.
 */
#ifndef SMELT_TEXT_ALPHABET_H
#define SMELT_TEXT_ALPHABET_H

#include "smelt/text.h"

enum { ALPHABET_END = 0x144 };

typedef struct sm_alphabet {
    uint16_t code_point[256];
    int16_t byte[ALPHABET_END]; /* -1 = not in the alphabet */
} sm_alphabet;

void sm_alphabet_init(sm_alphabet *a);
/** Append bytes as characters. */
bool sm_alphabet_write(const sm_alphabet *a, sm_buf *out, const char *bytes, size_t n);
/** Append the bytes that characters stand for; false when one stands for none (out then
 * holds those before it) or memory is out. */
bool sm_alphabet_read(const sm_alphabet *a, sm_buf *out, const char *s, size_t n);

#endif
