/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over bytes gives the object id (SHA-256 of all) and the leaf table (SHA-256 of
 * each MiB, a line of hex each; an empty object has one leaf, of nothing).
 * The first leaf is a prefix of the whole, so its hash is taken from a copy of the
 * whole's state: objects of up to one MiB are hashed once.
 */
#include <stdlib.h>
#include <string.h>

#include "object.h"

sm_status leaf_open(leaf_hash *h, sm_err *err)
{
    *h = (leaf_hash){0};
    sm_status st = sha256_open(&h->whole, err);
    return st ? st : sha256_open(&h->leaf, err);
}

static bool end_leaf(leaf_hash *h)
{
    sm_id id;
    if (h->n_leaf == 0 && EVP_MD_CTX_copy_ex(h->leaf.ctx, h->whole.ctx) != 1)
        return false;
    if (!sha256_close(&h->leaf, &id) || !sha256_restart(&h->leaf))
        return false;
    h->n_leaf++;
    h->in_leaf = 0;
    sm_buf_put(&h->table, id.hex, 64);
    return sm_buf_putc(&h->table, '\n');
}

bool leaf_put(leaf_hash *h, const unsigned char *data, size_t len)
{
    while (len > 0) {
        size_t n = STORE_LEAF_BYTES - h->in_leaf;
        if (n > len)
            n = len;
        if (!sha256_put(&h->whole, data, n))
            return false;
        if (h->n_leaf > 0 && !sha256_put(&h->leaf, data, n))
            return false;
        h->in_leaf += n;
        h->bytes += (int64_t)n;
        data += n;
        len -= n;
        if (h->in_leaf == STORE_LEAF_BYTES && !end_leaf(h))
            return false;
    }
    return true;
}

bool leaf_close(leaf_hash *h, sm_id *id)
{
    if ((h->in_leaf > 0 || h->n_leaf == 0) && !end_leaf(h))
        return false;
    return sha256_close(&h->whole, id);
}

void leaf_free(leaf_hash *h)
{
    sha256_free(&h->whole);
    sha256_free(&h->leaf);
    sm_buf_free(&h->table);
}
