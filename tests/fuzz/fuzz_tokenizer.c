/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of tokenizer.json, and encode and decode.
 * Input: a byte of options, a tokenizer.json, a NUL, a text; without a NUL all is text
 * for a tokenizer trained on the text itself.  What is read must write, read back and
 * write to the same bytes; what is encoded must decode to itself.
 */
/* module: text */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/text.h"

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(const sm_tokenizer *t, const char *s, size_t n, bool special)
{
    sm_tokens ids = {0};
    sm_buf back = {0};
    require(sm_tokenizer_encode(t, &ids, s, n, special, NULL) == SM_OK);
    require(sm_tokenizer_decode(t, &back, ids.id, ids.n, false, NULL) == SM_OK);
    require(back.len == n && (n == 0 || memcmp(back.data, s, n) == 0));
    sm_tokens_free(&ids);
    sm_buf_free(&back);
}

static void check_file(const sm_tokenizer *t)
{
    sm_buf a = {0}, b = {0};
    sm_tokenizer *again = NULL;
    require(sm_tokenizer_write(&a, t, NULL) == SM_OK);
    require(sm_tokenizer_read(&again, a.data, a.len, "again", NULL) == SM_OK);
    require(sm_tokenizer_write(&b, again, NULL) == SM_OK);
    require(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    sm_tokenizer_free(again);
    sm_buf_free(&a);
    sm_buf_free(&b);
}

typedef struct one_text {
    const char *s;
    size_t n;
} one_text;

static sm_status get_text(void *self, size_t i, const char **text, size_t *len,
                          sm_err *err)
{
    const one_text *d = self;
    (void)i;
    (void)err;
    *text = d->s;
    *len = d->n;
    return SM_OK;
}

static void train_and_check(const char *s, size_t n, sm_pretokenizer pretok)
{
    static const char *const SPECIAL[] = {"<s>", "<|end|>", NULL};
    one_text d = {s, n};
    sm_ctx ctx = {0};
    sm_text_source source = {get_text, &d, 1};
    sm_bpe_train_config config = {
        .vocab_size = 300, .pretok = pretok, .special = SPECIAL};
    sm_tokenizer *t = NULL;
    require(sm_bpe_train(&t, &ctx, &source, &config, NULL) == SM_OK);
    check_text(t, s, n, false);
    check_text(t, s, n, true);
    check_file(t);
    sm_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *s = (const char *)data + 1;
    size_t n = size - 1;
    const char *nul = n ? memchr(s, 0, n) : NULL;
    if (!nul) {
        train_and_check(s, n, (sm_pretokenizer)(data[0] % 3));
        return 0;
    }
    sm_tokenizer *t = NULL;
    size_t n_json = (size_t)(nul - s);
    if (sm_tokenizer_read(&t, s, n_json, "fuzz", NULL) != SM_OK)
        return 0;
    check_file(t);
    check_text(t, nul + 1, n - n_json - 1, data[0] & 1);
    sm_tokenizer_free(t);
    return 0;
}
