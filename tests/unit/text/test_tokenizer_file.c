/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing tokenizer.json and tiktoken files, and what they refuse.
 */
#include "help.h"

/* ---------------------------------------------------------------- small files */

static void check_ids(const sm_tokenizer *t, const char *s, bool special, size_t n,
                      const int32_t *want)
{
    sm_tokens ids = encode(t, s, strlen(s), special);
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.id, want, n * sizeof *want);
    sm_tokens_free(&ids);
}

static void merges_may_be_strings_or_pairs(void **state)
{
    (void)state;
    static const char VOCAB[] = ", \"ab\": 256, \"abc\": 257, \"\xC4\xA0"
                                "abc\": 258";
    char *a = make_json(BYTE_LEVEL, VOCAB, "\"a b\", \"ab c\", \"\xC4\xA0 abc\"", "");
    char *b = make_json(BYTE_LEVEL, VOCAB,
                        "[\"a\",\"b\"], [\"ab\",\"c\"], [\"\xC4\xA0\",\"abc\"]", "");
    sm_tokenizer *x = read_json(a), *y = read_json(b);
    sm_buf wx = {0}, wy = {0};
    check_ids(x, "abc abc abd", false, 5, (const int32_t[]){257, 258, ' ', 256, 'd'});
    assert_int_equal(sm_tokenizer_write(&wx, x, NULL), SM_OK);
    assert_int_equal(sm_tokenizer_write(&wy, y, NULL), SM_OK);
    assert_string_equal(wx.data, wy.data);
    sm_buf_free(&wx);
    sm_buf_free(&wy);
    sm_tokenizer_free(x);
    sm_tokenizer_free(y);
    free(a);
    free(b);
}

/* "abc" cannot be merged from "ab" first, so that only ignore_merges yields it. */
static void ignore_merges_is_honoured(void **state)
{
    (void)state;
    static const char VOCAB[] = ", \"ab\": 256, \"bc\": 257, \"abc\": 258";
    static const char MERGES[] = "\"a b\", \"b c\", \"a bc\"";
    char *off = make_json(BYTE_LEVEL, VOCAB, MERGES, "\"ignore_merges\": false,");
    char *on = make_json(BYTE_LEVEL, VOCAB, MERGES, "\"ignore_merges\": true,");
    sm_tokenizer *x = read_json(off), *y = read_json(on);
    check_ids(x, "abc", false, 2, (const int32_t[]){256, 'c'});
    check_ids(y, "abc", false, 1, (const int32_t[]){258});
    sm_tokenizer_free(x);
    sm_tokenizer_free(y);
    free(off);
    free(on);
}

static void added_tokens_are_matched_longest_first(void **state)
{
    (void)state;
    static const char BEFORE[] =
        BYTE_LEVEL "\"post_processor\": {\"type\": \"ByteLevel\"}, \"added_tokens\": ["
                   "{\"id\": 256, \"content\": \"<|a|>\", \"special\": true},"
                   "{\"id\": 257, \"content\": \"<|a|>b\", \"special\": true},"
                   "{\"id\": 259, \"content\": \"  \", \"special\": false}], ";
    char *json = make_json(BEFORE, "", "", "");
    sm_tokenizer *t = read_json(json);
    sm_err err;
    sm_buf out = {0};
    check_ids(t, "x<|a|>b<|a|>", true, 3, (const int32_t[]){'x', 257, 256});
    check_ids(t, "<|a|>", false, 5, (const int32_t[]){'<', '|', 'a', '|', '>'});
    check_ids(t, "x  y", false, 3, (const int32_t[]){'x', 259, 'y'});
    check_ids(t, "<|a|", true, 4, (const int32_t[]){'<', '|', 'a', '|'});
    const int32_t ids[] = {'x', 256, 259, 'y'};
    assert_int_equal(sm_tokenizer_decode(t, &out, ids, 4, true, NULL), SM_OK);
    assert_string_equal(out.data, "x  y");
    const int32_t hole[] = {258}, beyond[] = {260}, negative[] = {-1};
    assert_int_equal(sm_tokenizer_decode(t, &out, hole, 1, true, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "258"));
    assert_int_equal(sm_tokenizer_decode(t, &out, beyond, 1, true, NULL), SM_EINVAL);
    assert_int_equal(sm_tokenizer_decode(t, &out, negative, 1, true, NULL), SM_EINVAL);
    assert_null(sm_tokenizer_bytes(t, 258, NULL));
    assert_int_equal(sm_tokenizer_special(t, "<|a|>"), 256);
    sm_buf_clear(&out);
    assert_int_equal(sm_tokenizer_write(&out, t, NULL), SM_OK);
    assert_non_null(strstr(out.data, "\"post_processor\": {\"type\":\"ByteLevel\"}"));
    sm_buf_free(&out);
    sm_tokenizer_free(t);
    free(json);
}

/* ------------------------------------------------------------------- refusals */

static void check_refused(const char *json, const char *message)
{
    sm_tokenizer *t = NULL;
    sm_err err = {0};
    assert_int_not_equal(sm_tokenizer_read(&t, json, strlen(json), "t.json", &err),
                         SM_OK);
    assert_null(t);
    if (!strstr(err.msg, message))
        fail_msg("got \"%s\", want it to name \"%s\"", err.msg, message);
}

static void what_is_not_done_is_named(void **state)
{
    (void)state;
#define SPLIT(regex)                                                                     \
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\""          \
    ": \"Split\", \"pattern\": {\"Regex\": \"" regex "\"}, \"behavior\": \"Isolated\", " \
    "\"invert\": false}, {\"type\": \"ByteLevel\", \"use_regex\": false}]}, "
    static const struct {
        const char *before, *vocab, *merges, *options, *message;
    } CASES[] = {
        {"\"normalizer\": {\"type\": \"NFC\"}, " BYTE_LEVEL, "", "", "", "NFC"},
        {"\"pre_tokenizer\": {\"type\": \"Metaspace\"}, ", "", "", "", "Metaspace"},
        {"\"pre_tokenizer\": null, ", "", "", "", "pre_tokenizer"},
        {SPLIT("[a-z]+"), "", "", "", "[a-z]+"},
        {"\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true}, ", "",
         "", "", "add_prefix_space"},
        {"\"decoder\": {\"type\": \"WordPiece\"}, " BYTE_LEVEL, "", "", "", "WordPiece"},
        {BYTE_LEVEL, "", "", "\"dropout\": 0.1,", "dropout"},
        {BYTE_LEVEL, "", "", "\"end_of_word_suffix\": \"</w>\",", "end_of_word_suffix"},
        {BYTE_LEVEL, "", "\"a b\"", "", "merges[0]"},
        {BYTE_LEVEL, "", "\"a xyz\"", "", "xyz"},
        {BYTE_LEVEL, "", "\"ab\"", "", "merges[0]"},
        {BYTE_LEVEL, "", "[\"a\"]", "", "merges[0]"},
        {BYTE_LEVEL, "", "7", "", "merges[0]"},
        {BYTE_LEVEL, ", \"ab\": 0", "", "", "token id 0"},
        {BYTE_LEVEL, ", \"ab\": -5", "", "", "-5"},
        {BYTE_LEVEL, ", \"ab\": 99999999", "", "", "99999999"},
        {BYTE_LEVEL, ", \"ab\": \"x\"", "", "", "ab"},
        {BYTE_LEVEL, ", \"\": 256", "", "", "256"},
        {BYTE_LEVEL, ", \"\xE4\xB8\xAD\": 256", "", "", "alphabet"},
        {BYTE_LEVEL
         "\"added_tokens\": [{\"id\": 300, \"content\": \"<s>\", \"lstrip\": true}"
         "], ",
         "", "", "", "lstrip"},
        {BYTE_LEVEL
         "\"added_tokens\": [{\"id\": 300, \"content\": \"<s>\"}, {\"id\": 301, "
         "\"content\": \"<s>\"}], ",
         "", "", "", "300 and 301"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *json =
            make_json(CASES[i].before, CASES[i].vocab, CASES[i].merges, CASES[i].options);
        check_refused(json, CASES[i].message);
        free(json);
    }
    check_refused("{", "t.json:1");
    check_refused("[]", "model");
    check_refused("{\"model\": {\"type\": \"Unigram\"}}", "Unigram");
    check_refused("{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}",
                  "byte 0x00");
}

static void broken_tiktoken_files_name_the_line(void **state)
{
    (void)state;
    static const char *const BAD[] = {"QQ== 0\nQ 1\n", "QQ== 0\nQQ== x\n",
                                      "QQ== 0\nQQ==\n", "QQ== 0\nQg== 0\n"};
    char path[] = "/tmp/smelt-text-XXXXXX";
    assert_non_null(mkdtemp(path));
    char *file = sm_path_join(path, "t.model");
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        sm_tokenizer *t = NULL;
        sm_err err = {0};
        assert_int_equal(sm_file_write_atomic(file, BAD[i], strlen(BAD[i]), 0600, NULL),
                         SM_OK);
        assert_int_equal(
            sm_tokenizer_load_tiktoken(&t, file, SM_PRETOK_LLAMA3, NULL, &err),
            SM_ECORRUPT);
        assert_non_null(strstr(err.msg, "line 2"));
    }
    free(file);
    assert_int_equal(sm_remove_tree(path, NULL), SM_OK);
}

/* ------------------------------------------------------- writing and reading */

/* Written, read and written again: the same bytes and the same ids. */
static void check_rewritten(const sm_tokenizer *t, const char *s, size_t n)
{
    sm_buf a = {0}, b = {0};
    sm_tokenizer *back = NULL;
    sm_err err;
    assert_int_equal(sm_tokenizer_write(&a, t, NULL), SM_OK);
    if (sm_tokenizer_read(&back, a.data, a.len, "again", &err) != SM_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sm_tokenizer_write(&b, back, NULL), SM_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    sm_tokens x = encode(t, s, n, true), y = encode(back, s, n, true);
    assert_int_equal(x.n, y.n);
    if (x.n)
        assert_memory_equal(x.id, y.id, x.n * sizeof *x.id);
    sm_tokens_free(&x);
    sm_tokens_free(&y);
    sm_buf_free(&a);
    sm_buf_free(&b);
    sm_tokenizer_free(back);
}

static void files_survive_writing_and_reading(void **state)
{
    static const char *const SPECIAL[] = {"<|begin_of_text|>", "<|\"q\\\t|>", NULL};
    static const char SMALL[] =
        "<|begin_of_text|>Don't you're <|endoftext|> 123456 \n\n x";
    (void)state;
    size_t n = sizeof SMALL - 1;
    char *s = sm_path_exists(SHAKESPEARE) ? slurp(SHAKESPEARE, &n) : sm_strdup(SMALL);
    if (!is_absent(GPT2_JSON)) {
        sm_tokenizer *t = load_json(GPT2_JSON);
        check_rewritten(t, s, n);
        check_rewritten(t, SMALL, sizeof SMALL - 1);
        sm_tokenizer_free(t);
    }
    if (!is_absent(LLAMA3_MODEL)) {
        sm_tokenizer *t = load_tiktoken(LLAMA3_MODEL, SM_PRETOK_LLAMA3, SPECIAL);
        assert_int_equal(sm_tokenizer_special(t, "<|begin_of_text|>"), 128000);
        check_rewritten(t, s, n);
        check_rewritten(t, SMALL, sizeof SMALL - 1);
        sm_tokenizer_free(t);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_may_be_strings_or_pairs),
        cmocka_unit_test(ignore_merges_is_honoured),
        cmocka_unit_test(added_tokens_are_matched_longest_first),
        cmocka_unit_test(what_is_not_done_is_named),
        cmocka_unit_test(broken_tiktoken_files_name_the_line),
        cmocka_unit_test(files_survive_writing_and_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
