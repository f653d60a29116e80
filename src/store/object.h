/* SPDX-License-Identifier: Apache-2.0 */
/* Hashing in one pass: object id and leaf table (leaf.c). */
#ifndef SMELT_STORE_OBJECT_H
#define SMELT_STORE_OBJECT_H

#include "internal.h"

typedef struct leaf_hash {
    sha256 whole, leaf;
    sm_buf table; /* finished leaves: 64 hex digits and '\n' each */
    size_t in_leaf;
    int64_t n_leaf, bytes;
} leaf_hash;

/* leaf_free after any outcome; false means that SHA-256 or memory failed. */
sm_status leaf_open(leaf_hash *h, sm_err *err);
bool leaf_put(leaf_hash *h, const unsigned char *data, size_t len);
bool leaf_close(leaf_hash *h, sm_id *id);
void leaf_free(leaf_hash *h);

#define LEAF_LINE 65 /* bytes of one line of the table */

/* A new file in this handle's part of .smelt/tmp; *path malloc'd. */
sm_status store_temp(int *fd, char **path, sm_store *s, sm_err *err);

#endif
