/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a token cache: refused, or rows that can all be read.  The checksum is set
 * right first, so that what lies behind it is reached. */
/* module: train */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 48, N_CTX = 16 };

/* The header's sum and key for these bytes, as train_cache_save would write them. */
static void make_right(uint8_t *p, size_t size, int64_t n_doc)
{
    size_t starts = ((size_t)n_doc + 1) * 8, bytes = (size_t)n_doc * 8;
    if (size < HEADER + starts + bytes)
        return;
    uint64_t key = train_sum64(1, "", 0);
    uint64_t h = train_sum64(2, p + HEADER, starts);
    h = train_sum64(h, p + HEADER + starts, bytes);
    h = train_sum64(h, p + HEADER + starts + bytes, size - HEADER - starts - bytes);
    memcpy(p, "smtoks01", 8);
    memcpy(p + 8, &h, 8);
    memcpy(p + 16, &key, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t row[3 * N_CTX];
    sm_token_config c = {.n_ctx = N_CTX, .bos_id = 0, .end_id = 0};
    sm_token_data *d = NULL;
    int64_t n_doc = 0;
    if (size < HEADER)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    memcpy(&n_doc, copy + 24, 8);
    if (n_doc > 0 && n_doc < 1000)
        make_right(copy, size, n_doc);
    if (n_doc > 0 && !train_cache_parse(&d, copy, size, &c, n_doc, NULL)) {
        for (int64_t r = 0; r < sm_token_data_stats(d)->n_row; r++)
            sm_token_data_row(d, r, row, row + N_CTX, row + 2 * N_CTX, NULL);
        sm_token_data_free(d);
    }
    free(copy);
    return 0;
}
