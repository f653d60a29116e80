/* SPDX-License-Identifier: Apache-2.0 */
/* Hash maps with linear probing, at most half full. */
#include "map.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

/* ---------------------------------------------------------------- 64-bit keys */

static struct sm_u64slot *u64_probe(const sm_u64map *m, uint64_t key)
{
    size_t i = sm_mix64(key) & m->mask;
    while (m->slot[i].key1 != 0 && m->slot[i].key1 != key + 1)
        i = (i + 1) & m->mask;
    return &m->slot[i];
}

static bool u64_grow(sm_u64map *m)
{
    size_t n_slot = m->slot ? (m->mask + 1) * 2 : FIRST_SLOTS;
    sm_u64map bigger = {
        .slot = sm_alloc(n_slot, sizeof *m->slot), .n = m->n, .mask = n_slot - 1};
    if (!bigger.slot)
        return false;
    for (size_t i = 0; m->slot && i <= m->mask; i++)
        if (m->slot[i].key1 != 0)
            *u64_probe(&bigger, m->slot[i].key1 - 1) = m->slot[i];
    free(m->slot);
    *m = bigger;
    return true;
}

uint64_t *sm_u64map_at(sm_u64map *m, uint64_t key, uint64_t initial)
{
    if ((!m->slot || m->n * 2 > m->mask) && !u64_grow(m))
        return NULL;
    struct sm_u64slot *s = u64_probe(m, key);
    if (s->key1 == 0) {
        *s = (struct sm_u64slot){key + 1, initial};
        m->n++;
    }
    return &s->value;
}

void sm_u64map_free(sm_u64map *m)
{
    free(m->slot);
    *m = (sm_u64map){0};
}

/* --------------------------------------------------------------- byte strings */

static struct sm_idslot *id_probe(const sm_idmap *m, uint64_t key, const char *s,
                                  uint32_t len)
{
    size_t i = sm_slot_hash(key, len) & m->mask;
    for (;; i = (i + 1) & m->mask) {
        struct sm_idslot *e = &m->slot[i];
        if (e->len == 0 || (e->key == key && e->len == len && !memcmp(e->bytes, s, len)))
            return e;
    }
}

static bool id_grow(sm_idmap *m)
{
    size_t n_slot = m->slot ? (m->mask + 1) * 2 : FIRST_SLOTS;
    sm_idmap bigger = {
        .slot = sm_alloc(n_slot, sizeof *m->slot), .n = m->n, .mask = n_slot - 1};
    if (!bigger.slot)
        return false;
    for (size_t i = 0; m->slot && i <= m->mask; i++) {
        const struct sm_idslot *e = &m->slot[i];
        if (e->len != 0)
            *id_probe(&bigger, e->key, e->bytes, e->len) = *e;
    }
    free(m->slot);
    *m = bigger;
    return true;
}

bool sm_idmap_add(sm_idmap *m, const char *s, uint32_t len, int32_t *id)
{
    if ((!m->slot || m->n * 2 > m->mask) && !id_grow(m))
        return false;
    uint64_t key = sm_key_bytes(s, len);
    struct sm_idslot *e = id_probe(m, key, s, len);
    if (e->len == 0) {
        *e = (struct sm_idslot){key, s, len, *id};
        m->n++;
    }
    *id = e->id;
    return true;
}

void sm_idmap_free(sm_idmap *m)
{
    free(m->slot);
    *m = (sm_idmap){0};
}
