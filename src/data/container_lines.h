/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A .jsonl entry of a container in pieces of whole lines.  Each byte is looked at once; a
 * line over the limit is told by its number and gone over, and the rest goes on.
 */
#ifndef SMELT_DATA_CONTAINER_LINES_H
#define SMELT_DATA_CONTAINER_LINES_H

#include "container.h"

/** The next bytes, borrowed until the next call; *len == 0 at the end. */
typedef sm_status (*sm_lines_source)(void *self, const char **data, size_t *len,
                                     sm_err *err);

/** carry[0, start) are whole lines, carry[start, len) the beginning of line `at`;
 * block[0, block_len) is not looked at yet. */
typedef struct sm_lines {
    bool is_on;       /* more may come                                              */
    bool is_long;     /* line `at` is over the limit: to be told once carry is out  */
    bool is_dropping; /* until the end of line `at`                                 */
    char *path;
    size_t max_bytes; /* of a line                                                  */
    sm_buf carry;
    size_t start;
    int64_t first, at; /* numbers of the first line in carry, of the one at hand    */
    const char *block;
    size_t block_len;
} sm_lines;

/** Start on the entry called `path`; false without memory. */
bool sm_lines_begin(sm_lines *x, const char *path, size_t max_bytes);
/** The next piece (SM_ENTRY_LINES, maybe empty), or a line that is too long
 * (SM_ENTRY_PROBLEM); the last one leaves is_on false.  Sets *e whole. */
sm_status sm_lines_next(sm_lines *x, sm_entry *e, sm_lines_source more, void *self,
                        sm_err *err);
void sm_lines_free(sm_lines *x);

#endif
