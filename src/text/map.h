/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hash maps with open addressing: 64-bit keys, and byte strings to token ids.
 * Neither has an order that shows: whatever is made from them is looked up or sorted.
 */
#ifndef SMELT_TEXT_MAP_H
#define SMELT_TEXT_MAP_H

#include <string.h>

#include "smelt/base.h"

/* ------------------------------------------------------------------ hashing */

static inline uint64_t sm_mix64(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 29;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ x >> 32;
}

static inline uint64_t sm_load64(const char *s)
{
    uint64_t v;
    memcpy(&v, s, sizeof v);
    return v;
}

static inline uint64_t sm_load32(const char *s)
{
    uint32_t v;
    memcpy(&v, s, sizeof v);
    return v;
}

/* For len <= 8 the bytes themselves (unique for a given length), else a hash of them. */
static inline uint64_t sm_key_bytes(const char *s, size_t len)
{
    if (len >= 4 && len <= 8)
        return sm_load32(s) | sm_load32(s + len - 4) << 32;
    if (len < 4)
        return len == 0 ? 0
                        : (uint64_t)(unsigned char)s[0] |
                              (uint64_t)(unsigned char)s[len / 2] << 8 |
                              (uint64_t)(unsigned char)s[len - 1] << 16;
    uint64_t h = UINT64_C(0x243F6A8885A308D3) ^ len;
    for (size_t i = 0; i + 8 < len; i += 8) {
        h = (h ^ sm_load64(s + i)) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    }
    return sm_mix64(h ^ sm_load64(s + len - 8));
}

/* Where a (key, len) of sm_key_bytes begins to probe. */
static inline uint64_t sm_slot_hash(uint64_t key, size_t len)
{
    uint64_t x = (key + len) * UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 32;
}

/* ---------------------------------------------------------------- 64-bit keys */

/** Keys below UINT64_MAX; a slot stores key + 1 and 0 means empty. */
typedef struct sm_u64map {
    struct sm_u64slot {
        uint64_t key1, value;
    } * slot;
    size_t n, mask; /* mask + 1 slots once slot is not NULL */
} sm_u64map;

/** Pointer to the value of key, inserted as `initial` when new; NULL when out of memory.
 * Valid until the next insertion. */
uint64_t *sm_u64map_at(sm_u64map *m, uint64_t key, uint64_t initial);
/** Value of key, or `missing`. */
static inline uint64_t sm_u64map_get(const sm_u64map *m, uint64_t key, uint64_t missing)
{
    if (!m->slot)
        return missing;
    for (size_t i = sm_mix64(key) & m->mask;; i = (i + 1) & m->mask) {
        if (m->slot[i].key1 == key + 1)
            return m->slot[i].value;
        if (m->slot[i].key1 == 0)
            return missing;
    }
}
void sm_u64map_free(sm_u64map *m);

/* --------------------------------------------------------------- byte strings */

/** Non-empty byte strings to ids.  Bytes are borrowed: they must outlive the map. */
typedef struct sm_idmap {
    struct sm_idslot {
        uint64_t key;
        const char *bytes;
        uint32_t len; /* 0 = empty slot */
        int32_t id;
    } * slot;
    size_t n, mask;
} sm_idmap;

/** Add s, or leave the id it has.  *id is in: the id to give, out: the id it has.  False
 * when out of memory. */
bool sm_idmap_add(sm_idmap *m, const char *s, uint32_t len, int32_t *id);
static inline int32_t sm_idmap_find(const sm_idmap *m, uint64_t key, const char *s,
                                    size_t len)
{
    if (!m->slot)
        return -1;
    for (size_t i = sm_slot_hash(key, len) & m->mask;; i = (i + 1) & m->mask) {
        const struct sm_idslot *e = &m->slot[i];
        if (e->len == 0)
            return -1;
        if (e->key == key && e->len == len && (len <= 8 || !memcmp(e->bytes, s, len)))
            return e->id;
    }
}
/** Id of s, or -1. */
static inline int32_t sm_idmap_get(const sm_idmap *m, const char *s, size_t len)
{
    return len == 0 ? -1 : sm_idmap_find(m, sm_key_bytes(s, len), s, len);
}
void sm_idmap_free(sm_idmap *m);

#endif
