/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the roff interpreter: strings, macros and registers in one hash table. */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

/* FNV-1a; names are short. */
static size_t hash_name(const char *name, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)name[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static roff_def *probe(roff_def *slot, size_t cap, const char *name, size_t n)
{
    size_t i = hash_name(name, n) & (cap - 1);
    while (slot[i].name && !(strncmp(slot[i].name, name, n) == 0 && slot[i].name[n] == 0))
        i = (i + 1) & (cap - 1);
    return &slot[i];
}

roff_def *roff_dict_find(const roff_dict *d, const char *name, size_t n)
{
    if (d->cap == 0 || n == 0)
        return NULL;
    roff_def *def = probe(d->slot, d->cap, name, n);
    return def->name ? def : NULL;
}

static bool grow(roff_dict *d)
{
    size_t cap = d->cap ? d->cap * 2 : 64;
    roff_def *slot = sm_alloc(cap, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < d->cap; i++)
        if (d->slot[i].name)
            *probe(slot, cap, d->slot[i].name, strlen(d->slot[i].name)) = d->slot[i];
    free(d->slot);
    d->slot = slot;
    d->cap = cap;
    return true;
}

roff_def *roff_dict_put(roff_dict *d, const char *name, size_t n)
{
    if (n == 0 || memchr(name, 0, n))
        return NULL;
    roff_def *def = roff_dict_find(d, name, n);
    if (def)
        return def;
    if (d->n >= ROFF_DEF_MAX || (d->n * 2 >= d->cap && !grow(d)))
        return NULL;
    def = probe(d->slot, d->cap, name, n);
    def->name = sm_strndup(name, n);
    if (!def->name)
        return NULL;
    def->body.max = ROFF_LINE_MAX;
    d->n++;
    return def;
}

void roff_dict_free(roff_dict *d)
{
    for (size_t i = 0; i < d->cap; i++) {
        free(d->slot[i].name);
        sm_buf_free(&d->slot[i].body);
    }
    free(d->slot);
    *d = (roff_dict){0};
}
