/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encodings of pretokens that take more than one token, shared by all threads.
 *
 * Invariants: 1. a slot goes from NULL to an entry once and never back; 2. an entry does
 * not change after it is published (release, acquire); so readers need no lock, and what
 * is found is what merging would give: the cache cannot change a result.  When the few
 * slots of a pretoken are taken it is not kept: frequent pretokens come early.
 */
#ifndef SMELT_TEXT_CACHE_H
#define SMELT_TEXT_CACHE_H

#include "smelt/base.h"

typedef struct sm_cache sm_cache;

typedef struct sm_cache_entry {
    uint64_t key;
    uint32_t len, n_id;
    const int32_t *id;
    const char *bytes;
} sm_cache_entry;

enum { SM_CACHE_MAX_BYTES = 64 };

sm_cache *sm_cache_create(void);
void sm_cache_free(sm_cache *c);
/** The entry of s[0..len-1] with key sm_key_bytes, or NULL. */
const sm_cache_entry *sm_cache_find(const sm_cache *c, uint64_t key, const char *s,
                                    size_t len);
/** Keep an encoding if there is room for it. */
void sm_cache_add(sm_cache *c, uint64_t key, const char *s, size_t len, const int32_t *id,
                  size_t n_id);

#endif
