/* SPDX-License-Identifier: Apache-2.0 */
/* What the guess of formats shares with the decoder. */
#ifndef SMELT_DATA_READ_ENCODING_H
#define SMELT_DATA_READ_ENCODING_H

#include <stddef.h>

/** UTF-16 without a mark: 1 little-endian, 2 big-endian, 0 not. */
int encoding_guess_utf16(const char *s, size_t n);

#endif
