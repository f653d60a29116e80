/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding against published vectors and against the definition of byte-pair encoding;
 * reading and writing tokenizer.json; refusals.
 */
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

static bool is_absent(const char *path)
{
    if (sm_path_exists(path))
        return false;
    print_message("skipped: %s is absent\n", path);
    return true;
}

static char *slurp(const char *path, size_t *len)
{
    char *s = NULL;
    assert_int_equal(sm_file_read(&s, len, path, 0, NULL), SM_OK);
    return s;
}

static sm_tokenizer *load_json(const char *path)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_load(&t, path, &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

static sm_tokenizer *load_tiktoken(const char *path, sm_pretokenizer pretok,
                                   const char *const *special)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_load_tiktoken(&t, path, pretok, special, &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

static sm_tokens encode(const sm_tokenizer *t, const char *s, size_t n, bool special)
{
    sm_tokens ids = {0};
    assert_int_equal(sm_tokenizer_encode(t, &ids, s, n, special, NULL), SM_OK);
    return ids;
}

static void check_round_trip(const sm_tokenizer *t, const char *s, size_t n)
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

/* ------------------------------------------------------------------- vectors */

/* One vector: the text up to the separator, the ids of one line. */
static void check_vector(const sm_tokenizer *t, const char *s, size_t n, char *line)
{
    sm_tokens want = {0}, got = encode(t, s, n, false);
    for (char *p = line, *end;; p = end) {
        long id = strtol(p, &end, 10);
        if (end == p)
            break;
        assert_true(sm_tokens_push(&want, (int32_t)id));
    }
    if (got.n != want.n || (want.n && memcmp(got.id, want.id, want.n * sizeof *want.id)))
        fail_msg("ids of \"%.*s\" differ: %zu, want %zu: %s", (int)n, s, got.n, want.n,
                 line);
    check_round_trip(t, s, n);
    sm_tokens_free(&want);
    sm_tokens_free(&got);
}

static int check_vectors(const sm_tokenizer *t, const char *name)
{
    static const char SEPARATOR[] = "\n__ggml_vocab_test__\n";
    char path[512];
    size_t n_in, n_out;
    int n = 0;
    snprintf(path, sizeof path, VECTORS "%s.gguf.inp", name);
    if (is_absent(path))
        return -1;
    char *in = slurp(path, &n_in);
    snprintf(path, sizeof path, VECTORS "%s.gguf.out", name);
    char *out = slurp(path, &n_out), *line = out;
    for (char *s = in, *end; (end = strstr(s, SEPARATOR)) != NULL; n++) {
        char *line_end = strchr(line, '\n');
        assert_non_null(line_end);
        *line_end = 0;
        check_vector(t, s, (size_t)(end - s), line);
        s = end + sizeof SEPARATOR - 1;
        line = line_end + 1;
    }
    free(in);
    free(out);
    return n;
}

static void gpt2_ids_are_those_of_llama_cpp(void **state)
{
    (void)state;
    if (is_absent(GPT2_JSON))
        return;
    sm_tokenizer *t = load_json(GPT2_JSON);
    assert_int_equal(sm_tokenizer_n_vocab(t), 50257);
    int n = check_vectors(t, "gpt-2");
    assert_true(n == -1 || n >= 45);
    sm_tokenizer_free(t);
}

static void llama3_ids_are_those_of_llama_cpp(void **state)
{
    (void)state;
    if (is_absent(LLAMA3_MODEL))
        return;
    sm_tokenizer *t = load_tiktoken(LLAMA3_MODEL, SM_PRETOK_LLAMA3, NULL);
    assert_int_equal(sm_tokenizer_n_vocab(t), 128000);
    int n = check_vectors(t, "llama-bpe");
    assert_true(n == -1 || n >= 45);
    sm_tokenizer_free(t);
}

/* encoder.json spells each token in the byte-level alphabet. */
static void check_encoder_json(const sm_tokenizer *t, const char *path)
{
    sm_alphabet a;
    sm_buf bytes = {0};
    json_t *root = NULL;
    sm_alphabet_init(&a);
    assert_int_equal(sm_json_load(&root, path, NULL), SM_OK);
    assert_int_equal(json_object_size(root), 50257);
    for (void *it = json_object_iter(root); it; it = json_object_iter_next(root, it)) {
        const char *key = json_object_iter_key(it), *token;
        size_t len = 0;
        sm_buf_clear(&bytes);
        assert_true(sm_alphabet_read(&a, &bytes, key, strlen(key)));
        token = sm_tokenizer_bytes(
            t, (int32_t)json_integer_value(json_object_iter_value(it)), &len);
        assert_int_equal(len, bytes.len);
        assert_memory_equal(token, bytes.data, len);
    }
    json_decref(root);
    sm_buf_free(&bytes);
}

/* vocab.bpe: a line of version, then a merge a line. */
static void check_vocab_bpe(const sm_tokenizer *t, const char *path)
{
    sm_alphabet a;
    size_t n, i = 0, end;
    char *s = slurp(path, &n);
    sm_alphabet_init(&a);
    for (size_t at = strcspn(s, "\n") + 1; at < n; at = end + 1, i++) {
        end = at + strcspn(s + at, "\n");
        sm_buf want = {0};
        assert_true(i < t->n_merge);
        const sm_token *l = &t->token[t->merge[i].left],
                       *r = &t->token[t->merge[i].right];
        assert_true(sm_alphabet_write(&a, &want, l->bytes, l->len));
        assert_true(sm_buf_putc(&want, ' '));
        assert_true(sm_alphabet_write(&a, &want, r->bytes, r->len));
        assert_int_equal(want.len, end - at);
        assert_memory_equal(want.data, s + at, want.len);
        sm_buf_free(&want);
    }
    assert_int_equal(i, t->n_merge);
    assert_int_equal(i, 50000);
    free(s);
}

static void gpt2_json_equals_the_original_files(void **state)
{
    static const char ENCODER[] = DATA "tok-gpt2/encoder.json";
    static const char MERGES[] = DATA "tok-gpt2/vocab.bpe";
    (void)state;
    if (is_absent(GPT2_JSON) || is_absent(ENCODER) || is_absent(MERGES))
        return;
    sm_tokenizer *t = load_json(GPT2_JSON);
    check_encoder_json(t, ENCODER);
    check_vocab_bpe(t, MERGES);
    sm_tokenizer_free(t);
}

/* ------------------------------------------------- the definition, by strings */

/* tiktoken's algorithm as its README words it: ranks are looked up by joined bytes. */
static void naive_encode(sm_tokens *out, const sm_idmap *rank, const char *s, size_t n)
{
    size_t *cut = calloc(n + 1, sizeof *cut), n_part = n;
    assert_non_null(cut);
    for (size_t i = 0; i <= n; i++)
        cut[i] = i;
    int32_t whole = sm_idmap_get(rank, s, n);
    for (bool merged = whole < 0; merged;) {
        int32_t best = INT32_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n_part; i++) {
            int32_t r = sm_idmap_get(rank, s + cut[i], cut[i + 2] - cut[i]);
            if (r >= 0 && r < best) {
                best = r;
                at = i;
            }
        }
        merged = best != INT32_MAX;
        if (merged)
            memmove(cut + at + 1, cut + at + 2, (n_part-- - at - 1) * sizeof *cut);
    }
    if (whole >= 0)
        assert_true(sm_tokens_push(out, whole));
    for (size_t i = 0; whole < 0 && i < n_part; i++)
        assert_true(
            sm_tokens_push(out, sm_idmap_get(rank, s + cut[i], cut[i + 1] - cut[i])));
    free(cut);
}

static void check_definition(const sm_tokenizer *t, const sm_idmap *rank, const char *s,
                             size_t n)
{
    sm_tokens want = {0}, got = encode(t, s, n, false);
    for (size_t pos = 0, end; pos < n; pos = end) {
        end = sm_pretok_next(t->uclass, t->pretok, s, n, pos);
        naive_encode(&want, rank, s + pos, end - pos);
    }
    assert_int_equal(got.n, want.n);
    if (want.n)
        assert_memory_equal(got.id, want.id, want.n * sizeof *want.id);
    sm_tokens_free(&want);
    sm_tokens_free(&got);
}

static void llama4_ids_follow_the_definition(void **state)
{
    (void)state;
    if (is_absent(LLAMA4_MODEL))
        return;
    sm_tokenizer *t = load_tiktoken(LLAMA4_MODEL, SM_PRETOK_O200K, NULL);
    assert_int_equal(sm_tokenizer_n_vocab(t), 200000);
    sm_idmap rank = {0};
    assert_int_equal(sm_tokenizer_index(&rank, t, NULL), SM_OK);
    static const char *const FILES[] = {SHAKESPEARE, VECTORS "gpt-2.gguf.inp",
                                        DATA "num-unicode/sentencepiece/Scripts.txt",
                                        DATA "tok-gpt2/vocab.bpe"};
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        if (is_absent(FILES[i]))
            continue;
        size_t n;
        char *s = slurp(FILES[i], &n);
        check_definition(t, &rank, s, n < 200000 ? n : 200000);
        free(s);
    }
    for (uint32_t step = 0; step < 300; step++) { /* long and odd words */
        char s[600];
        size_t n = 1 + (size_t)sm_rng_below(sizeof s, 21, SM_STREAM_TEST, step, 9999);
        uint64_t letters = 1 + step % 26;
        for (size_t i = 0; i < n; i++)
            s[i] = step % 3 == 0
                       ? (char)sm_rng_below(256, 21, SM_STREAM_TEST, step, i)
                       : (char)('a' + sm_rng_below(letters, 21, SM_STREAM_TEST, step, i));
        check_definition(t, &rank, s, n);
        check_round_trip(t, s, n);
    }
    sm_idmap_free(&rank);
    sm_tokenizer_free(t);
}

/* ---------------------------------------------------------------- small files */

/* A tokenizer.json around the 256 bytes: `vocab` and `merges` are appended. */
static char *make_json(const char *before, const char *vocab, const char *merges,
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

static sm_tokenizer *read_json(const char *json)
{
    sm_tokenizer *t = NULL;
    sm_err err;
    if (sm_tokenizer_read(&t, json, strlen(json), "t.json", &err) != SM_OK)
        fail_msg("%s", err.msg);
    return t;
}

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

/* ----------------------------------------------------------- threads, hostility */

typedef struct encode_task {
    const sm_tokenizer *t;
    const char *s;
    size_t n;
    const sm_tokens *want;
    bool is_same[64];
} encode_task;

static void encode_once(void *arg, ptrdiff_t i, int thread)
{
    encode_task *k = arg;
    sm_tokens ids = {0};
    (void)thread;
    k->is_same[i] = sm_tokenizer_encode(k->t, &ids, k->s, k->n, false, NULL) == SM_OK &&
                    ids.n == k->want->n &&
                    !memcmp(ids.id, k->want->id, ids.n * sizeof *ids.id);
    sm_tokens_free(&ids);
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    if (is_absent(GPT2_JSON) || is_absent(SHAKESPEARE))
        return;
    sm_tokenizer *t = load_json(GPT2_JSON), *u = load_json(GPT2_JSON);
    size_t n;
    char *s = slurp(SHAKESPEARE, &n);
    sm_tokens want = encode(t, s, 200000, false);
    encode_task k = {.t = u, .s = s, .n = 200000, .want = &want};
    sm_pool *pool = NULL;
    assert_int_equal(sm_pool_create(&pool, 4, NULL), SM_OK);
    sm_pool_run(pool, 16, encode_once, &k);
    for (int i = 0; i < 16; i++)
        assert_true(k.is_same[i]);
    sm_pool_free(pool);
    sm_tokens_free(&want);
    free(s);
    sm_tokenizer_free(t);
    sm_tokenizer_free(u);
}

static void long_words_take_no_quadratic_time(void **state)
{
    (void)state;
    char *json = make_json(BYTE_LEVEL, ", \"aa\": 256, \"aaaa\": 257, \"ab\": 258",
                           "\"a a\", \"aa aa\", \"a b\"", "");
    sm_tokenizer *t = read_json(json);
    size_t n = 2000000;
    char *s = malloc(n);
    assert_non_null(s);
    int64_t begin = sm_clock_ns();
    memset(s, 'a', n);
    sm_tokens ids = encode(t, s, n, false);
    assert_int_equal(ids.n, n / 4);
    sm_tokens_free(&ids);
    memset(s, '<', n);
    check_round_trip(t, s, n);
    memset(s, ' ', n);
    check_round_trip(t, s, n);
    assert_true(sm_clock_ns() - begin < INT64_C(20000000000));
    free(s);
    sm_tokenizer_free(t);
    free(json);
}

static void random_bytes_round_trip(void **state)
{
    (void)state;
    char *json = make_json(BYTE_LEVEL, ", \"aa\": 256", "\"a a\"", "");
    sm_tokenizer *t = read_json(json);
    for (uint32_t step = 0; step < 2000; step++) {
        uint32_t r[64];
        for (uint32_t i = 0; i < 64; i += 4)
            sm_rng_block(r + i, 31, SM_STREAM_TEST, step, i);
        check_round_trip(t, (const char *)r, step % (sizeof r + 1));
    }
    sm_tokenizer_free(t);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_ids_are_those_of_llama_cpp),
        cmocka_unit_test(llama3_ids_are_those_of_llama_cpp),
        cmocka_unit_test(gpt2_json_equals_the_original_files),
        cmocka_unit_test(llama4_ids_follow_the_definition),
        cmocka_unit_test(merges_may_be_strings_or_pairs),
        cmocka_unit_test(ignore_merges_is_honoured),
        cmocka_unit_test(added_tokens_are_matched_longest_first),
        cmocka_unit_test(what_is_not_done_is_named),
        cmocka_unit_test(broken_tiktoken_files_name_the_line),
        cmocka_unit_test(files_survive_writing_and_reading),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(long_words_take_no_quadratic_time),
        cmocka_unit_test(random_bytes_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
