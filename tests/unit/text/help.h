/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the tokenizer share: loading, encoding, a small tokenizer.json. */
#ifndef SMELT_TESTS_TEXT_HELP_H
#define SMELT_TESTS_TEXT_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alphabet.h"
#include "smelt/conf.h"
#include "smelt/sys.h"
#include "tokenizer.h"

#define DATA SMELT_SOURCE_DIR "/../shared/data/"
#define GPT2_JSON DATA "tok-gpt2/gpt2_tokenizer.json"
#define LLAMA3_MODEL DATA "tok-llama/llama3/tokenizer.model"
#define LLAMA4_MODEL DATA "tok-llama/llama4/tokenizer.model"
#define SHAKESPEARE DATA "text-tinyshakespeare/input.txt"
#define VECTORS DATA "tok-llamacpp-vectors/ggml-vocab-"

static inline bool is_absent(const char *path)
{
    if (sm_path_exists(path))
        return false;
    print_message("skipped: %s is absent\n", path);
    return true;
}

static inline char *slurp(const char *path, size_t *len)
{
    char *s = NULL;
    assert_int_equal(sm_file_read(&s, len, path, 0, NULL), SM_OK);
    return s;
}

static inline sm_tokenizer *load_json(const char *path)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_load(&t, path, &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

static inline sm_tokenizer *load_tiktoken(const char *path, sm_pretokenizer pretok,
                                          const char *const *special)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_load_tiktoken(&t, path, pretok, special, &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

static inline sm_tokens encode(const sm_tokenizer *t, const char *s, size_t n,
                               bool special)
{
    sm_tokens ids = {0};
    assert_int_equal(sm_tokenizer_encode(t, &ids, s, n, special, NULL), SM_OK);
    return ids;
}

static inline void check_round_trip(const sm_tokenizer *t, const char *s, size_t n)
{
    sm_tokens ids = encode(t, s, n, false);
    sm_buf back = {0};
    assert_int_equal(sm_tokenizer_decode(t, &back, ids.id, ids.n, false, NULL), SM_OK);
    assert_int_equal(back.len, n);
    if (n > 0)
        assert_memory_equal(back.data, s, n);
    sm_buf_free(&back);
    sm_tokens_free(&ids);
}

/* A tokenizer.json around the 256 bytes: `vocab` and `merges` are appended. */
static inline char *make_json(const char *before, const char *vocab, const char *merges,
                              const char *options)
{
    sm_buf b = {0}, c = {0};
    sm_buf_printf(&b, "{%s\"model\": {\"type\": \"BPE\", %s \"vocab\": {", before,
                  options);
    for (int i = 0, next = 0x100; i < 256; i++) {
        bool itself = (i >= 0x21 && i <= 0x7E) || (i >= 0xA1 && i != 0xAD);
        char u[4];
        int k = sm_utf8_encode(u, (uint32_t)(itself ? i : next++));
        sm_buf_puts(&b, i == '"' || i == '\\' ? ", \"\\" : i ? ", \"" : "\"");
        sm_buf_put(&b, u, (size_t)k);
        sm_buf_printf(&b, "\": %d", i);
    }
    sm_buf_printf(&b, "%s}, \"merges\": [%s]}}", vocab, merges);
    assert_false(b.failed);
    sm_buf_free(&c);
    return b.data;
}

#define BYTE_LEVEL \
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "

static inline sm_tokenizer *read_json(const char *json)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_read(&t, json, strlen(json), "t.json", &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

#endif
