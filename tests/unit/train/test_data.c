/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token data: every token of every document is a target exactly once (the identity that
 * packing must keep), masks, padding, the order of rows, tokenising in parallel.
 */
#include "helpers.h"

enum { BOS = 1, END = 2, N_DOC = 3000 };

typedef struct corpus {
    int32_t *id;
    int64_t *start, *bytes;
} corpus;

/* Documents of 0..max_len tokens, skewed to short ones; ids tell document and place. */
static void corpus_init(corpus *c, int64_t max_len)
{
    c->start = sm_alloc(N_DOC + 1, sizeof *c->start);
    c->bytes = sm_alloc(N_DOC, sizeof *c->bytes);
    for (uint32_t i = 0; i < N_DOC; i++) {
        float u = sm_rng_uniform(5, SM_STREAM_TEST, 0, i);
        int64_t len = (int64_t)((float)max_len * u * u * u);
        c->start[i + 1] = c->start[i] + len;
        c->bytes[i] = 4 * len;
    }
    c->id = sm_alloc((size_t)c->start[N_DOC], sizeof *c->id);
    for (int64_t i = 0; i < c->start[N_DOC]; i++)
        c->id[i] = 3 + (int32_t)(sm_rng_u64(6, SM_STREAM_TEST, 0, (uint64_t)i) % 5000);
}

static void corpus_fini(corpus *c)
{
    free(c->id);
    free(c->start);
    free(c->bytes);
}

typedef struct rows {
    int64_t n_ctx;
    int32_t *token, *target, *doc_start;
    int64_t *doc;
} rows;

static void rows_init(rows *r, int64_t n_ctx)
{
    r->n_ctx = n_ctx;
    r->token = sm_alloc((size_t)n_ctx, 3 * sizeof *r->token);
    r->target = r->token + n_ctx;
    r->doc_start = r->target + n_ctx;
    r->doc = sm_alloc((size_t)n_ctx, sizeof *r->doc);
}

static void rows_fini(rows *r)
{
    free(r->token);
    free(r->doc);
}

/* What position `at` of document d should hold: BOS t1 .. tn END. */
static int32_t want_id(const corpus *c, int64_t d, int64_t at)
{
    int64_t n = c->start[d + 1] - c->start[d];
    return at == 0 ? BOS : at == n + 1 ? END : c->id[c->start[d] + at - 1];
}

/* Masks and continuity of one row; returns its padding. */
static int64_t check_row(const sm_token_data *d, int64_t row, rows *r)
{
    int64_t n_pad = 0;
    sm_token_data_row(d, row, r->token, r->target, r->doc_start, r->doc);
    for (int64_t i = 0; i < r->n_ctx; i++) {
        if (r->doc[i] < 0) {
            n_pad++;
            assert_int_equal(r->target[i], -1);
            assert_int_equal(r->doc_start[i], i);
            continue;
        }
        assert_in_range(r->doc_start[i], 0, i);
        int64_t in_piece = i - r->doc_start[i];
        assert_true(in_piece == 0 || r->doc[i] == r->doc[i - 1]);
        assert_true(in_piece == 0 || r->doc_start[i] == r->doc_start[i - 1]);
        assert_true(in_piece == 0 || r->target[i - 1] == -1 ||
                    r->target[i - 1] == r->token[i]);
    }
    return n_pad;
}

/* Targets are compared as a multiset of (document, token, target) by a sum of hashes. */
static uint64_t mixed(int64_t doc, int32_t prev, int32_t id)
{
    uint64_t key[3] = {(uint64_t)doc, (uint64_t)prev, (uint64_t)id};
    return train_sum64(9, key, sizeof key);
}

static uint64_t want_targets(const corpus *c)
{
    uint64_t sum = 0;
    for (int64_t d = 0; d < N_DOC; d++)
        for (int64_t at = 0; at <= c->start[d + 1] - c->start[d]; at++)
            sum += mixed(d, want_id(c, d, at), want_id(c, d, at + 1));
    return sum;
}

static void check_all(int64_t n_ctx, int64_t max_len, int64_t overlap, double max_padding)
{
    corpus c;
    rows r;
    sm_err err;
    sm_token_data *d = NULL;
    corpus_init(&c, max_len);
    rows_init(&r, n_ctx);
    sm_token_config k = {
        .n_ctx = n_ctx, .bos_id = BOS, .end_id = END, .overlap_tok = overlap};
    OK(sm_token_data_from_ids(&d, c.id, c.start, c.bytes, N_DOC, &k, &err));
    const sm_token_stats *s = sm_token_data_stats(d);
    int64_t n_pad = 0, n_target = 0;
    uint64_t got = 0;
    for (int64_t row = 0; row < s->n_row; row++) {
        n_pad += check_row(d, row, &r);
        for (int64_t i = 0; i < n_ctx; i++)
            if (r.target[i] >= 0) {
                got += mixed(r.doc[i], r.token[i], r.target[i]);
                n_target++;
            }
    }
    assert_true(got == want_targets(&c));
    assert_int_equal(n_target, c.start[N_DOC] + N_DOC);
    assert_int_equal(n_target, s->n_target);
    assert_int_equal(s->n_cropped_tok, 0);
    assert_int_equal(s->n_bytes, 4 * c.start[N_DOC]);
    assert_true(s->bytes_per_tok == 4);
    assert_int_equal(s->n_tok, s->n_row * n_ctx - n_pad);
    assert_true(s->padding_frac < max_padding);
    assert_true((s->n_doc_cut > 0) == (max_len > n_ctx));
    assert_true((s->cut_frac > 0) == (max_len > n_ctx));
    sm_token_data_free(d);
    rows_fini(&r);
    corpus_fini(&c);
}

static void test_packing(void **state)
{
    (void)state;
    check_all(512, 500, 0, 0.01);
    check_all(512, 4000, 0, 0.01);
    check_all(128, 600, 0, 0.01);
    check_all(65, 64, 0, 0.01);
}

static void test_overlap(void **state)
{
    (void)state;
    /* tails of cut documents are longer than the overlap, so rows fill less well */
    check_all(512, 4000, 256, 0.3);
    check_all(64, 1000, 63, 0.3);
}

/* Longer documents are cut at n_ctx, shorter ones are whole. */
static void test_small_by_hand(void **state)
{
    (void)state;
    const int32_t id[] = {10, 11, 12, 13, 14, 15, 20, 30, 31};
    const int64_t start[] = {0, 6, 7, 9};
    int32_t token[4], target[4], from[4];
    sm_token_data *d = NULL;
    sm_err err;
    sm_token_config k = {.n_ctx = 4, .bos_id = BOS, .end_id = -1};
    OK(sm_token_data_from_ids(&d, id, start, NULL, 3, &k, &err));
    /* pieces: BOS 10 11 12 | 13 14 15; BOS 20; BOS 30 31 -> rows of 4, 3, 3, 2 */
    assert_int_equal(sm_token_data_stats(d)->n_row, 4);
    assert_int_equal(sm_token_data_stats(d)->n_doc_cut, 1);
    const int32_t want[4][3][4] = {
        {{BOS, 10, 11, 12}, {10, 11, 12, 13}, {0, 0, 0, 0}},
        {{13, 14, 15, BOS}, {14, 15, BOS, -1}, {0, 0, 0, 3}},
        {{BOS, 30, 31, BOS}, {30, 31, BOS, -1}, {0, 0, 0, 3}},
        {{BOS, 20, BOS, BOS}, {20, BOS, -1, -1}, {0, 0, 2, 3}},
    };
    for (int64_t row = 0; row < 4; row++) {
        sm_token_data_row(d, row, token, target, from, NULL);
        assert_memory_equal(token, want[row][0], sizeof token);
        assert_memory_equal(target, want[row][1], sizeof target);
        assert_memory_equal(from, want[row][2], sizeof from);
    }
    sm_token_data_free(d);
}

static void test_order_is_a_permutation(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 2, 3, 5, 16, 17, 1000, 4097};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        int64_t n = sizes[k], n_same = 0, n_fixed = 0;
        char *seen = sm_alloc((size_t)n, 1);
        for (int64_t i = 0; i < n; i++) {
            int64_t x = sm_shuffle_index(11, 3, n, i);
            assert_in_range(x, 0, n - 1);
            assert_int_equal(seen[x]++, 0);
            n_same += x == sm_shuffle_index(11, 4, n, i);
            n_fixed += x == i;
        }
        assert_true(n < 1000 || (n_same < 10 && n_fixed < 10));
        free(seen);
    }
}

static void test_epochs(void **state)
{
    (void)state;
    corpus c;
    sm_err err;
    sm_token_data *d = NULL;
    corpus_init(&c, 100);
    sm_token_config k = {.n_ctx = 256, .bos_id = BOS, .end_id = END};
    OK(sm_token_data_from_ids(&d, c.id, c.start, c.bytes, N_DOC, &k, &err));
    int64_t n = sm_token_data_stats(d)->n_row;
    char *seen = sm_alloc((size_t)n, 1);
    for (int64_t s = 0; s < 3 * n; s++)
        seen[sm_token_data_order(d, 1, s)]++;
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(seen[i], 3);
    free(seen);
    sm_token_data_free(d);
    corpus_fini(&c);
}

static void test_refuses(void **state)
{
    (void)state;
    const int32_t id[] = {5, -7};
    const int64_t start[] = {0, 1, 2};
    sm_token_data *d = NULL;
    sm_err err;
    sm_token_config k = {.n_ctx = 8, .bos_id = BOS, .end_id = END};
    assert_int_equal(sm_token_data_from_ids(&d, id, start, NULL, 2, &k, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "document 1: token 0: got -7"));
    assert_int_equal(sm_token_data_from_ids(&d, id, start, NULL, 0, &k, &err), SM_EINVAL);
    k.n_ctx = 1;
    assert_int_equal(sm_token_data_from_ids(&d, id, start, NULL, 1, &k, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "n_ctx: got 1"));
    k = (sm_token_config){.n_ctx = 8, .bos_id = -1, .end_id = END};
    assert_int_equal(sm_token_data_from_ids(&d, id, start, NULL, 1, &k, &err), SM_EINVAL);
    k = (sm_token_config){.n_ctx = 8, .bos_id = 0, .end_id = END, .overlap_tok = 8};
    assert_int_equal(sm_token_data_from_ids(&d, id, start, NULL, 1, &k, &err), SM_EINVAL);
    assert_null(d);
}

/* ------------------------------------------------------ from a tokenizer */

enum { N_TEXT = 700 };

typedef struct texts {
    char *text[N_TEXT];
    size_t len[N_TEXT];
    size_t bad; /* index that get() refuses, N_TEXT: none */
} texts;

static sm_status get_text(void *self, size_t i, const char **text, size_t *len,
                          sm_err *err)
{
    const texts *t = self;
    if (i == t->bad)
        return sm_fail(err, SM_EIO, "unreadable");
    *text = t->text[i];
    *len = t->len[i];
    return SM_OK;
}

static void texts_init(texts *t)
{
    static const char *const word[] = {"the ",     "file ", "opens ",   "a ",
                                       "socket, ", "and ",  "returns ", "-1.\n",
                                       "errno ",   "is ",   "set. "};
    t->bad = N_TEXT;
    for (uint32_t i = 0; i < N_TEXT; i++) {
        sm_buf b = {0};
        uint64_t n = sm_rng_below(80, 1, SM_STREAM_TEST, i, 0);
        for (uint64_t w = 0; w < n; w++)
            sm_buf_puts(&b, word[sm_rng_below(11, 1, SM_STREAM_TEST, i, w + 1)]);
        sm_buf_putc(&b, '.');
        t->text[i] = b.data;
        t->len[i] = b.len;
    }
}

static void test_tokenised(void **state)
{
    (void)state;
    texts t;
    sm_err err;
    texts_init(&t);
    sm_text_source src = {.get = get_text, .self = &t, .n = N_TEXT};
    const char *const special[] = {"<|begin_of_text|>", NULL};
    sm_bpe_train_config bc = {
        .vocab_size = 300, .pretok = SM_PRETOK_O200K, .min_count = 2, .special = special};
    sm_ctx one = make_ctx(NULL, 1), four = make_ctx(NULL, 4);
    sm_tokenizer *tok = NULL;
    OK(sm_bpe_train(&tok, &one, &src, &bc, &err));
    sm_token_config k = {.n_ctx = 128, .end_id = -1};
    k.bos_id = sm_tokenizer_special(tok, special[0]);
    sm_token_data *a = NULL, *b = NULL, *c = NULL;
    OK(sm_token_data_build(&a, &one, &src, tok, &k, &err));
    OK(sm_token_data_build(&b, &four, &src, tok, &k, &err));
    assert_memory_equal(sm_token_data_stats(a), sm_token_data_stats(b),
                        sizeof(sm_token_stats));
    assert_true(sm_token_data_stats(a)->padding_frac < 0.01);
    t.bad = 77;
    assert_int_equal(sm_token_data_build(&c, &four, &src, tok, &k, &err), SM_EIO);
    assert_non_null(strstr(err.msg, "document 77: unreadable"));
    assert_null(c);
    sm_token_data_free(a);
    sm_token_data_free(b);
    sm_tokenizer_free(tok);
    for (int i = 0; i < N_TEXT; i++)
        free(t.text[i]);
    free_ctx(&one);
    free_ctx(&four);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_small_by_hand),
        cmocka_unit_test(test_order_is_a_permutation),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_tokenised),
    };
    return cmocka_run_group_tests_name("token data", tests, NULL, NULL);
}
