/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPE training against a trainer that recounts everything at every step, and against
 * itself at other thread counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/sys.h"
#include "tokenizer.h"

typedef struct documents {
    const char *const *text;
    const size_t *len;
} documents;

static sm_status get_document(void *self, size_t i, const char **text, size_t *len,
                              sm_err *err)
{
    const documents *d = self;
    (void)err;
    *text = d->text[i];
    *len = d->len[i];
    return SM_OK;
}

static sm_tokenizer *train(documents *d, size_t n, int n_threads, int32_t vocab_size,
                           sm_pretokenizer pretok, const char *const *special)
{
    sm_ctx ctx = {0};
    sm_err err = {0};
    sm_tokenizer *t = NULL;
    sm_text_source source = {get_document, d, n};
    sm_bpe_train_config config = {
        .vocab_size = vocab_size, .pretok = pretok, .special = special};
    assert_int_equal(sm_pool_create(&ctx.pool, n_threads, NULL), SM_OK);
    if (sm_bpe_train(&t, &ctx, &source, &config, &err) != SM_OK)
        fail_msg("%s", err.msg);
    sm_pool_free(ctx.pool);
    return t;
}

/* ------------------------------------------------------------- naive trainer */

enum { MAX_SYMBOLS = 4096, MAX_NAIVE = 700 };

typedef struct naive {
    int32_t symbol[MAX_SYMBOLS]; /* words end with -1; no distinction of equal words */
    size_t n;
    char *bytes[MAX_NAIVE];
    size_t len[MAX_NAIVE];
    int32_t n_vocab;
} naive;

static int naive_compare(const naive *v, int32_t a, int32_t b)
{
    size_t n = v->len[a] < v->len[b] ? v->len[a] : v->len[b];
    int c = memcmp(v->bytes[a], v->bytes[b], n);
    return c ? c : (v->len[a] > v->len[b]) - (v->len[a] < v->len[b]);
}

static size_t naive_count(const naive *v, int32_t l, int32_t r)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < v->n; i++)
        n += v->symbol[i] == l && v->symbol[i + 1] == r;
    return n;
}

static bool naive_best(const naive *v, int32_t *left, int32_t *right)
{
    size_t best = 1;
    for (size_t i = 0; i + 1 < v->n; i++) {
        int32_t l = v->symbol[i], r = v->symbol[i + 1];
        if (l < 0 || r < 0)
            continue;
        size_t n = naive_count(v, l, r);
        int c = best < 2 ? -1 : naive_compare(v, l, *left);
        if (c == 0)
            c = naive_compare(v, r, *right);
        if (n >= 2 && (n > best || (n == best && c < 0))) {
            best = n;
            *left = l;
            *right = r;
        }
    }
    return best >= 2;
}

static int32_t naive_token(naive *v, int32_t l, int32_t r)
{
    size_t n = v->len[l] + v->len[r];
    char *s = malloc(n);
    assert_non_null(s);
    memcpy(s, v->bytes[l], v->len[l]);
    memcpy(s + v->len[l], v->bytes[r], v->len[r]);
    for (int32_t i = 0; i < v->n_vocab; i++) {
        if (v->len[i] == n && memcmp(v->bytes[i], s, n) == 0) {
            free(s);
            return i;
        }
    }
    v->bytes[v->n_vocab] = s;
    v->len[v->n_vocab] = n;
    return v->n_vocab++;
}

static void naive_apply(naive *v, int32_t l, int32_t r, int32_t id)
{
    size_t out = 0;
    for (size_t i = 0; i < v->n; i++) {
        bool here = i + 1 < v->n && v->symbol[i] == l && v->symbol[i + 1] == r;
        v->symbol[out++] = here ? id : v->symbol[i];
        i += here;
    }
    v->n = out;
}

/* Train naively and compare every merge; returns how many there were.  Both give a token
 * that arises in two ways one id. */
static size_t check_against_naive(const char *text, size_t len, int32_t vocab_size,
                                  sm_pretokenizer pretok)
{
    documents d = {&text, &len};
    sm_tokenizer *t = train(&d, 1, 1, vocab_size, pretok, NULL);
    naive *v = calloc(1, sizeof *v);
    assert_non_null(v);
    for (size_t pos = 0, end; pos < len; pos = end) {
        end = sm_pretok_next(t->uclass, pretok, text, len, pos);
        for (size_t i = pos; i < end; i++)
            v->symbol[v->n++] = (unsigned char)text[i];
        v->symbol[v->n++] = -1;
    }
    for (v->n_vocab = 0; v->n_vocab < 256; v->n_vocab++) {
        v->bytes[v->n_vocab] = malloc(1);
        v->bytes[v->n_vocab][0] = (char)v->n_vocab;
        v->len[v->n_vocab] = 1;
    }
    int32_t l = 0, r = 0;
    size_t n = 0;
    while (v->n_vocab < vocab_size && naive_best(v, &l, &r)) {
        int32_t id = naive_token(v, l, r);
        naive_apply(v, l, r, id);
        assert_true(n < t->n_merge);
        assert_int_equal(t->merge[n].left, l);
        assert_int_equal(t->merge[n].right, r);
        assert_int_equal(t->merge[n].id, id);
        n++;
    }
    assert_int_equal(t->n_merge, n);
    assert_int_equal(t->n_vocab, v->n_vocab);
    for (int32_t i = 0; i < v->n_vocab; i++)
        free(v->bytes[i]);
    free(v);
    sm_tokenizer_free(t);
    return n;
}

static void small_texts_equal_the_naive_trainer(void **state)
{
    (void)state;
    static const char TEXT[] =
        "It was the best of times, it was the worst of times, it was the age of wisdom, "
        "it "
        "was the age of foolishness, it was the epoch of belief, it was the epoch of "
        "incredulity; na\xC3\xAFve caf\xC3\xA9s "
        "\xE4\xB8\xAD\xE6\x96\x87\xE4\xB8\xAD\xE6\x96"
        "\x87 1234 12345\n\n\n  aaaaaaaa aaa aaaaa";
    for (int kind = SM_PRETOK_GPT2; kind <= SM_PRETOK_CL100K; kind++)
        assert_true(
            check_against_naive(TEXT, sizeof TEXT - 1, 400, (sm_pretokenizer)kind) > 20);
}

/* One to three letters make overlapping pairs. */
static void random_words_equal_the_naive_trainer(void **state)
{
    (void)state;
    for (uint32_t step = 0; step < 60; step++) {
        char s[700];
        uint64_t n = 100 + sm_rng_below(600, 3, SM_STREAM_TEST, step, 9999);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t c = sm_rng_below(step % 2 ? 12 : 40, 3, SM_STREAM_TEST, step, i);
            s[i] = (char)(c == 0 ? ' ' : 'a' + c % (step % 3 + 1));
        }
        check_against_naive(s, n, 500, SM_PRETOK_O200K);
    }
}

/* ------------------------------------------------------------------- threads */

static char *written(const sm_tokenizer *t)
{
    sm_buf b = {0};
    assert_int_equal(sm_tokenizer_write(&b, t, NULL), SM_OK);
    return b.data;
}

static void any_thread_count_gives_the_same_file(void **state)
{
    (void)state;
    enum { N_DOC = 40 };
    static const char *const SPECIAL[] = {"<|begin|>", "<|end|>", NULL};
    char *text[N_DOC];
    size_t len[N_DOC];
    for (uint32_t i = 0; i < N_DOC; i++) {
        len[i] = 3000;
        text[i] = malloc(len[i]);
        assert_non_null(text[i]);
        for (size_t k = 0; k < len[i]; k++) {
            uint32_t c = (uint32_t)sm_rng_below(20, 5, SM_STREAM_TEST, i, k);
            text[i][k] = c < 4 ? ' ' : (char)('a' + c % 9);
        }
    }
    documents d = {(const char *const *)text, len};
    char *first = NULL;
    for (int n = 1; n <= 4; n *= 2) {
        sm_tokenizer *t = train(&d, N_DOC, n, 1000, SM_PRETOK_O200K, SPECIAL);
        assert_int_equal(sm_tokenizer_n_vocab(t), 1000);
        assert_int_equal(sm_tokenizer_special(t, "<|begin|>"), 998);
        assert_int_equal(sm_tokenizer_special(t, "<|end|>"), 999);
        assert_int_equal(sm_tokenizer_special(t, "<|en"), -1);
        char *s = written(t);
        if (first)
            assert_string_equal(s, first);
        if (!first)
            first = s;
        else
            free(s);
        sm_tokenizer_free(t);
    }
    free(first);
    for (int i = 0; i < N_DOC; i++)
        free(text[i]);
}

/* ------------------------------------------------------------- what can go wrong */

static sm_status failing_get(void *self, size_t i, const char **text, size_t *len,
                             sm_err *err)
{
    (void)self;
    *text = "some text";
    *len = 9;
    return i == 3 ? sm_fail(err, SM_EIO, "disk on fire") : SM_OK;
}

static void errors_name_what_is_wrong(void **state)
{
    (void)state;
    static const char *const TWICE[] = {"<a>", "<a>", NULL};
    static const char *const BAD[] = {"\xFF", NULL};
    sm_ctx ctx = {0};
    sm_err err;
    sm_tokenizer *t = NULL;
    sm_text_source source = {failing_get, NULL, 3};
    sm_bpe_train_config c = {.vocab_size = 100};
    assert_int_equal(sm_bpe_train(&t, &ctx, &source, &c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "vocab_size is 100"));
    c = (sm_bpe_train_config){.vocab_size = 300, .special = TWICE};
    assert_int_equal(sm_bpe_train(&t, &ctx, &source, &c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "<a>"));
    c.special = BAD;
    assert_int_equal(sm_bpe_train(&t, &ctx, &source, &c, &err), SM_EINVAL);
    c.special = NULL;
    source.n = 5;
    assert_int_equal(sm_bpe_train(&t, &ctx, &source, &c, &err), SM_EIO);
    assert_non_null(strstr(err.msg, "document 3: disk on fire"));
    source.n = 3;
    volatile int stop = 1;
    ctx.stop = &stop;
    assert_int_equal(sm_bpe_train(&t, &ctx, &source, &c, &err), SM_ECANCEL);
    assert_null(t);
}

static void no_text_gives_bytes_and_specials(void **state)
{
    (void)state;
    static const char *const SPECIAL[] = {"<|x|>", NULL};
    documents d = {NULL, NULL};
    sm_tokenizer *t = train(&d, 0, 1, 5000, SM_PRETOK_GPT2, SPECIAL);
    assert_int_equal(sm_tokenizer_n_vocab(t), 257);
    assert_int_equal(sm_tokenizer_special(t, "<|x|>"), 256);
    sm_tokenizer_free(t);
}

/* One word of 500 kB must not be scanned once a merge. */
static void one_long_word_takes_no_more_than_its_length(void **state)
{
    (void)state;
    size_t len = 500000;
    char *s = malloc(len);
    assert_non_null(s);
    for (size_t i = 0; i < len; i++)
        s[i] = (char)('a' + sm_rng_below(4, 11, SM_STREAM_TEST, 0, i));
    const char *text = s;
    documents d = {&text, &len};
    int64_t begin = sm_clock_ns();
    sm_tokenizer *t = train(&d, 1, 1, 1256, SM_PRETOK_O200K, NULL);
    assert_int_equal(sm_tokenizer_n_vocab(t), 1256);
    assert_true(sm_clock_ns() - begin < INT64_C(30000000000));
    sm_tokenizer_free(t);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_texts_equal_the_naive_trainer),
        cmocka_unit_test(random_words_equal_the_naive_trainer),
        cmocka_unit_test(any_thread_count_gives_the_same_file),
        cmocka_unit_test(errors_name_what_is_wrong),
        cmocka_unit_test(no_text_gives_bytes_and_specials),
        cmocka_unit_test(one_long_word_takes_no_more_than_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
