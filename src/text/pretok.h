/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pretokenizers: where a text is cut before byte-pair encoding looks at it.
 */
#ifndef SMELT_TEXT_PRETOK_H
#define SMELT_TEXT_PRETOK_H

#include "uclass.h"

/** End of the pretoken that begins at s[pos], pos < n.  Pretokens are never empty and
 * concatenate to the text; text of n bytes takes O(n) in all. */
size_t sm_pretok_next(const sm_uclass *t, sm_pretokenizer kind, const char *s, size_t n,
                      size_t pos);

/** The regular expression of a pretokenizer, as tokenizer.json spells it. */
const char *sm_pretok_regex(sm_pretokenizer kind);
/** The pretokenizer of a regular expression (any known spelling), or false. */
bool sm_pretok_from_regex(sm_pretokenizer *out, const char *regex);

#endif
