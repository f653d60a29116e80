/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a tiktoken file ("BASE64 RANK" a line), behind the 256 bytes that a vocabulary
 * must have, so that what comes after them is reached.  A file that is accepted encodes and
 * decodes its own bytes, and is written as a tokenizer.json that can be read. */
/* module: text */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Lines of the 256 bytes, each its own rank. */
static void put_bytes(sm_buf *out)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int b = 0; b < 256; b++)
        sm_buf_printf(out, "%c%c== %d\n", digit[b >> 2], digit[(b & 3) << 4], b);
}

static void check(const sm_tokenizer *t, const char *s, size_t n)
{
    sm_tokens ids = {0};
    sm_buf back = {0}, json = {0};
    sm_tokenizer *again = NULL;
    require(sm_tokenizer_encode(t, &ids, s, n, true, NULL) == SM_OK);
    require(sm_tokenizer_decode(t, &back, ids.id, ids.n, false, NULL) == SM_OK);
    require(back.len == n && memcmp(back.data, s, n) == 0);
    require(sm_tokenizer_write(&json, t, NULL) == SM_OK);
    require(sm_tokenizer_read(&again, json.data, json.len, "again", NULL) == SM_OK);
    require(sm_tokenizer_n_vocab(again) == sm_tokenizer_n_vocab(t));
    sm_tokenizer_free(again);
    sm_tokens_free(&ids);
    sm_buf_free(&back);
    sm_buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const special[] = {"<|end|>", NULL};
    sm_buf file = {0};
    sm_tokenizer *t = NULL;
    sm_err err = {0};
    if (size > 0 && data[0] != '!')
        put_bytes(&file);
    if (sm_buf_put(&file, data, size)) {
        if (!sm_tokenizer_read_tiktoken(&t, file.data, file.len, "fuzz", SM_PRETOK_CL100K,
                                        special, &err))
            check(t, file.data, file.len);
        else
            require(strncmp(err.msg, "fuzz: ", 6) == 0);
    }
    sm_tokenizer_free(t);
    sm_buf_free(&file);
    return 0;
}
