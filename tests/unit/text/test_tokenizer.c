/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding against published vectors and against the definition of byte-pair encoding.
 */
#include "help.h"

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

static void put_base64(sm_buf *out, const char *s, size_t n)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = 0;
        for (size_t k = 0; k < 3; k++)
            x = x << 8 | (i + k < n ? (unsigned char)s[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            sm_buf_putc(out, k <= n - i ? digit[x >> (18 - 6 * k) & 63] : '=');
    }
}

/* A tiktoken file of the 256 bytes and of n words, each of two that are there already. */
static char *make_ranks(int n)
{
    static char word[1024][64];
    size_t len[1024], n_word = 256;
    sm_buf b = {0};
    for (size_t i = 0; i < 256; i++) {
        word[i][0] = (char)i;
        len[i] = 1;
    }
    for (uint64_t i = 0; n_word < 256 + (size_t)n; i++) {
        uint64_t of = 4 + n_word - 256; /* a to d, or a word */
        size_t part[2], at = 0, is_new = 1;
        for (uint64_t k = 0; k < 2; k++) {
            size_t r = sm_rng_below(of, 22, SM_STREAM_TEST, (uint32_t)k, i);
            part[k] = r < 4 ? 'a' + r : 252 + r;
        }
        if (len[part[0]] + len[part[1]] > 40)
            continue;
        for (int k = 0; k < 2; at += len[part[k++]])
            memcpy(word[n_word] + at, word[part[k]], len[part[k]]);
        for (size_t w = 0; w < n_word && is_new; w++)
            is_new = len[w] != at || memcmp(word[w], word[n_word], at) != 0;
        len[n_word] = at;
        n_word += is_new;
    }
    for (size_t i = 0; i < n_word; i++) {
        put_base64(&b, word[i], len[i]);
        sm_buf_printf(&b, " %zu\n", i);
    }
    assert_false(b.failed);
    return b.data;
}

/* The same with a vocabulary of our own, which is there without any data: words long enough
 * for the heap, of letters that nearly all pairs of merge. */
static void made_up_ids_follow_the_definition(void **state)
{
    (void)state;
    char dir[] = "/tmp/smelt-text-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sm_path_join(dir, "t.model"), *ranks = make_ranks(600);
    assert_int_equal(sm_file_write_atomic(path, ranks, strlen(ranks), 0600, NULL), SM_OK);
    sm_tokenizer *t = load_tiktoken(path, SM_PRETOK_O200K, NULL);
    sm_idmap rank = {0};
    assert_int_equal(sm_tokenizer_n_vocab(t), 856);
    assert_int_equal(sm_tokenizer_index(&rank, t, NULL), SM_OK);
    for (uint32_t step = 0; step < 200; step++) {
        char s[600];
        size_t n = 1 + (size_t)sm_rng_below(step % 2 ? 40 : sizeof s, 23, SM_STREAM_TEST,
                                            step, 9999);
        for (size_t i = 0; i < n; i++)
            s[i] = (char)('a' + sm_rng_below(1 + step % 5, 23, SM_STREAM_TEST, step, i));
        check_definition(t, &rank, s, n);
        check_round_trip(t, s, n);
    }
    sm_idmap_free(&rank);
    sm_tokenizer_free(t);
    assert_int_equal(sm_remove_tree(dir, NULL), SM_OK);
    free(path);
    free(ranks);
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
    size_t n = 400000;
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
        cmocka_unit_test(made_up_ids_follow_the_definition),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(long_words_take_no_quadratic_time),
        cmocka_unit_test(random_bytes_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
