/* SPDX-License-Identifier: Apache-2.0 */
/* MinHash against arithmetic done another way, exact Jaccard, and brute-force clusters. */
#include "room.h"

#include "curate.h"
#include "simplify.h"

/* a x + b mod p by doubling and adding: no product ever exceeds 62 bits. */
static uint64_t slow_mix(uint64_t a, uint64_t b, uint64_t x)
{
    uint64_t r = 0, p = SM_MINHASH_PRIME;
    for (int i = 60; i >= 0; i--) {
        r = (r + r) % p;
        if (a >> i & 1)
            r = (r + x) % p;
    }
    return (r + b) % p;
}

static void test_mix(void **state)
{
    (void)state;
    const uint64_t p = SM_MINHASH_PRIME;
    const uint64_t edge[] = {0,     1,    2, 0xffffffff, 0x100000000, 0x1fffffff00000000,
                             p - 2, p - 1};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            for (int k = 0; k < 8; k++)
                assert_true(sm_minhash_mix(edge[i], edge[j], edge[k]) ==
                            slow_mix(edge[i], edge[j], edge[k]));
    for (uint64_t n = 0; n < 20000; n++) {
        uint64_t a = sm_rng_below(p, 1, SM_STREAM_TEST, 0, n);
        uint64_t b = sm_rng_below(p, 1, SM_STREAM_TEST, 1, n);
        uint64_t x = sm_rng_below(p, 1, SM_STREAM_TEST, 2, n);
        assert_true(sm_minhash_mix(a, b, x) == slow_mix(a, b, x));
    }
}

/* Every rung gives the minima of the definition, at odd lengths too. */
static void test_rungs(void **state)
{
    (void)state;
    enum { H = 9, N = 67 };
    uint64_t a[H], b[H], x[N];
    sm_minhash_family(a, b, H, 5);
    for (uint64_t i = 0; i < N; i++)
        x[i] = sm_rng_below(SM_MINHASH_PRIME, 2, SM_STREAM_TEST, 0, i);
    for (size_t n = 0; n <= N; n++) {
        uint64_t want[H], got[H];
        for (int k = 0; k < H; k++) {
            want[k] = UINT64_MAX;
            for (size_t i = 0; i < n; i++) {
                uint64_t h = slow_mix(a[k], b[k], x[i]);
                if (h < want[k])
                    want[k] = h;
            }
        }
        memset(got, 0xff, sizeof got);
        sm_minhash_absorb(got, a, b, H, x, n);
        assert_memory_equal(got, want, sizeof want);
#if defined(__x86_64__)
        if (sm_cpu_get()->avx2) {
            memset(got, 0xff, sizeof got);
            sm_minhash_absorb_avx2(got, a, b, H, x, n);
            assert_memory_equal(got, want, sizeof want);
        }
        if (sm_cpu_get()->avx512) {
            memset(got, 0xff, sizeof got);
            sm_minhash_absorb_avx512(got, a, b, H, x, n);
            assert_memory_equal(got, want, sizeof want);
        }
#endif
    }
}

/* Words 0..n-1 of a stream of distinct words, from `from`. */
static void stream(sm_buf *out, int from, int n)
{
    sm_buf_clear(out);
    for (int i = 0; i < n; i++)
        sm_buf_printf(out, "%sw%c%c%c", i ? " " : "", 'a' + (from + i) % 26,
                      'a' + (from + i) / 26 % 26, 'a' + (from + i) / 676);
}

/* Two windows of a stream share n-o-4 of their 5-grams: J is known.  Over 40 families of 112
 * functions the estimate's mean lies within 4 standard errors of J:
 * 4 * sqrt(J (1-J) / (40 * 112)) <= 0.030; single estimates within 5 of sqrt(J(1-J)/112). */
static void test_estimate(void **state)
{
    (void)state;
    enum { H = 112, N = 300, SEEDS = 40 };
    static const int shift[] = {0, 10, 50, 100, 200, 400};
    sm_buf x = {0}, y = {0};
    for (size_t s = 0; s < sizeof shift / sizeof *shift; s++) {
        int grams = N - 4, common = shift[s] < grams ? grams - shift[s] : 0;
        double jaccard = (double)common / (double)(2 * grams - common), mean = 0;
        stream(&x, 0, N);
        stream(&y, shift[s], N);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            uint64_t a[H], b[H], u[H], v[H];
            int same = 0;
            sm_minhash_family(a, b, H, seed);
            assert_int_equal(sm_minhash_signature(u, a, b, H, x.data, x.len, 5), grams);
            assert_int_equal(sm_minhash_signature(v, a, b, H, y.data, y.len, 5), grams);
            for (int k = 0; k < H; k++)
                same += u[k] == v[k];
            double estimate = (double)same / H, var = jaccard * (1 - jaccard) / H;
            double off = estimate - jaccard;
            assert_true(off * off <= 25 * var + 1e-12);
            mean += estimate / SEEDS;
        }
        double off = mean - jaccard;
        assert_true(off * off <= 16 * jaccard * (1 - jaccard) / (SEEDS * H) + 1e-12);
    }
    sm_buf_free(&x);
    sm_buf_free(&y);
}

static void test_short(void **state)
{
    (void)state;
    uint64_t a[4], b[4], sig[4];
    sm_minhash_family(a, b, 4, 1);
    assert_int_equal(sm_minhash_signature(sig, a, b, 4, "one two three four", 18, 5), 0);
    assert_true(sig[0] == UINT64_MAX);
    assert_int_equal(sm_minhash_signature(sig, a, b, 4, "one two three four five", 23, 5),
                     1);
    assert_true(sig[0] < SM_MINHASH_PRIME);
    assert_int_equal(sm_minhash_signature(sig, a, b, 4, "", 0, 5), 0);
}

/* ------------------------------------------------------- whole curation */

static void put_doc(sm_buf *out, int i, const char *text, const char *title)
{
    char id[33];
    snprintf(id, sizeof id, "%032x", (unsigned)i * 2654435761u);
    sm_document d = {id, "s",   "p",  "text", title, "",   "",          "",
                     "", "MIT", "en", "",     "",    text, strlen(text)};
    assert_true(sm_document_write(out, &d));
}

static json_t *reasons(room *r, const char *staging)
{
    char name[80];
    size_t len;
    snprintf(name, sizeof name, "%s/stats.json", staging);
    char *text = room_get(r, name, &len);
    json_t *j = json_loadb(text, len, 0, NULL);
    json_t *out = json_incref(json_object_get(j, "reasons"));
    json_decref(j);
    free(text);
    return out;
}

/* Families of near copies (J = 0.93 by construction) among unrelated texts: one of each
 * family survives, the longest; the unrelated all survive.  The chance that 14 x 8 misses a
 * pair of J = 0.93 is (1 - 0.93^8)^14 = 2e-6. */
static void test_families(void **state)
{
    (void)state;
    enum { FAMILIES = 20, COPIES = 4, OTHERS = 60 };
    static const char *const in[] = {"in.jsonl", NULL};
    room r;
    room_open(&r, 2);
    sm_buf file = {0}, text = {0};
    int id = 1;
    for (int f = 0; f < FAMILIES; f++)
        for (int c = 0; c < COPIES; c++) {
            stream(&text, 300 * f, 280 + c); /* a longer window for each copy */
            put_doc(&file, id++, text.data, "");
        }
    for (int k = 0; k < OTHERS; k++) {
        stream(&text, 8000 + 120 * k, 100);
        put_doc(&file, id++, text.data, "");
    }
    room_put(&r, "in.jsonl", file.data, file.len);
    json_t *figures = json_object();
    sm_err e = {0};
    if (run_curate(&r, in, "out", "{\"steps\": [\"minhash_dedup\"], \"heldout_frac\": 0}",
                   figures, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(json_integer_value(json_object_get(figures, "kept")),
                     FAMILIES + OTHERS);
    json_t *why = reasons(&r, "out");
    json_t *dup = json_object_get(why, "minhash.duplicate");
    assert_int_equal(json_integer_value(json_object_get(dup, "documents")),
                     FAMILIES * (COPIES - 1));
    /* survivors of the families are their longest members */
    size_t len;
    char *train = room_get(&r, "out/train.jsonl", &len);
    int longest = 0;
    for (char *p = train; *p;) {
        char *nl = strchr(p, '\n');
        json_t *d = json_loadb(p, (size_t)(nl - p), 0, NULL);
        const char *t = json_string_value(json_object_get(d, "text"));
        longest += strlen(t) == 5 * 283 - 1;
        json_decref(d);
        p = nl + 1;
    }
    assert_int_equal(longest, FAMILIES);
    free(train);
    json_decref(why);
    json_decref(figures);
    sm_buf_free(&file);
    sm_buf_free(&text);
    room_close(&r);
}

/* A described document survives a longer one; equal texts differ only in white space. */
static void test_survivor(void **state)
{
    (void)state;
    static const char *const in[] = {"in.jsonl", NULL};
    room r;
    room_open(&r, 1);
    sm_buf file = {0};
    put_doc(&file, 1, "The same text as ever.", "");
    put_doc(&file, 2, "The  same\ntext as ever.\n", "");
    put_doc(&file, 3, "The same text as ever. ", "page(1)");
    put_doc(&file, 4, "Another text altogether.", "");
    room_put(&r, "in.jsonl", file.data, file.len);
    sm_err e = {0};
    if (run_curate(&r, in, "out", "{\"steps\": [\"exact_dedup\"], \"heldout_frac\": 0}",
                   NULL, &e))
        fail_msg("%s", e.msg);
    size_t len;
    char *train = room_get(&r, "out/train.jsonl", &len);
    assert_non_null(strstr(train, "page(1)"));
    assert_non_null(strstr(train, "Another text"));
    int lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += train[i] == '\n';
    assert_int_equal(lines, 2);
    free(train);
    sm_buf_free(&file);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix),      cmocka_unit_test(test_rungs),
        cmocka_unit_test(test_estimate), cmocka_unit_test(test_short),
        cmocka_unit_test(test_families), cmocka_unit_test(test_survivor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
