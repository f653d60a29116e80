/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A spool: records of bytes put from several threads into an unlinked temporary file, read
 * back in the order of their keys.  Memory is 72 bytes a record; the bytes are the page
 * cache's.  Nothing is left behind by a crash.
 */
#ifndef SMELT_DATA_SPOOL_H
#define SMELT_DATA_SPOOL_H

#include "smelt/base.h"

typedef struct sm_spool sm_spool;

typedef struct sm_spool_record {
    char key[33];        /* document id: the order                             */
    bool is_complete;    /* needs nothing from its folder                      */
    uint32_t folder;     /* where it comes from                                */
    uint64_t text_bytes; /* of the document's text                             */
    uint64_t offset;     /* filled by put                                      */
    uint64_t head_bytes; /* the first piece                                    */
    uint64_t tail_bytes; /* the second piece                                   */
} sm_spool_record;

/** @param dir where the temporary file lives for a moment before it is unlinked */
sm_status sm_spool_create(sm_spool **out, const char *dir, sm_err *err);
/** Append head and tail as record `r`, whose places are filled in.  Thread-safe. */
sm_status sm_spool_put(sm_spool *s, sm_spool_record r, const sm_buf *head,
                       const sm_buf *tail, sm_err *err);
/** What of the same document was put more than once. */
typedef struct sm_spool_repeats {
    size_t n;
    uint64_t text_bytes;
} sm_spool_repeats;
/** No more puts: map, and sort by key.  Of records with one key that of the lowest
 * rank[folder] stays, among these the one whose bytes come first: the order of the puts
 * does not show.  *dropped counts the others. */
sm_status sm_spool_seal(sm_spool *s, const uint32_t *rank, sm_spool_repeats *dropped,
                        sm_err *err);
size_t sm_spool_n(const sm_spool *s);
/** Record i of a sealed spool and its bytes (head then tail), borrowed. */
const sm_spool_record *sm_spool_at(const sm_spool *s, size_t i, const char **bytes);
void sm_spool_free(sm_spool *s);

#endif
