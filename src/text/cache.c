/* SPDX-License-Identifier: Apache-2.0 */
/* The pretoken cache: atomic pointers to immutable entries, a short probe. */
#include "cache.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "map.h"

enum { N_SLOT = 1 << 17, PROBE = 4 };

struct sm_cache {
    _Atomic(sm_cache_entry *) slot[N_SLOT];
};

sm_cache *sm_cache_create(void)
{
    return sm_alloc(1, sizeof(sm_cache));
}

void sm_cache_free(sm_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < N_SLOT; i++)
        free(atomic_load_explicit(&c->slot[i], memory_order_relaxed));
    free(c);
}

const sm_cache_entry *sm_cache_find(const sm_cache *c, uint64_t key, const char *s,
                                    size_t len)
{
    size_t at = sm_slot_hash(key, len);
    for (size_t i = 0; i < PROBE; i++) {
        const sm_cache_entry *e =
            atomic_load_explicit(&c->slot[(at + i) % N_SLOT], memory_order_acquire);
        if (!e)
            return NULL;
        if (e->key == key && e->len == len && (len <= 8 || !memcmp(e->bytes, s, len)))
            return e;
    }
    return NULL;
}

/* One block: the entry, its ids, its bytes. */
static sm_cache_entry *entry_new(uint64_t key, const char *s, size_t len,
                                 const int32_t *id, size_t n_id)
{
    char *block = sm_alloc(1, sizeof(sm_cache_entry) + n_id * sizeof *id + len);
    if (!block)
        return NULL;
    char *ids = block + sizeof(sm_cache_entry), *bytes = ids + n_id * sizeof *id;
    memcpy(ids, id, n_id * sizeof *id);
    memcpy(bytes, s, len);
    sm_cache_entry e = {key, (uint32_t)len, (uint32_t)n_id, (void *)ids, bytes};
    memcpy(block, &e, sizeof e);
    return (void *)block;
}

void sm_cache_add(sm_cache *c, uint64_t key, const char *s, size_t len, const int32_t *id,
                  size_t n_id)
{
    if (len > SM_CACHE_MAX_BYTES)
        return;
    size_t at = sm_slot_hash(key, len), i = 0;
    while (i < PROBE &&
           atomic_load_explicit(&c->slot[(at + i) % N_SLOT], memory_order_relaxed))
        i++;
    if (i == PROBE)
        return;
    sm_cache_entry *e = entry_new(key, s, len, id, n_id), *none = NULL;
    if (e && !atomic_compare_exchange_strong_explicit(&c->slot[(at + i) % N_SLOT], &none,
                                                      e, memory_order_release,
                                                      memory_order_relaxed))
        free(e); /* another thread was first; the next miss tries again */
}
