/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes against published ones, near copies that are none, which of two equal documents
 * stays, what a curation says of what it did, licences without a name.
 */
#include "room.h"

#include "curate.h"
#include "hash.h"

/* NIST's example for "abc" (FIPS 180-2, B.1), the digests of nothing and of one byte, and
 * an id made with Python's hashlib: sha256(b"s\0p\0text")[:16]. */
static void test_digests(void **state)
{
    (void)state;
    const struct {
        const char *text, *want;
    } row[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"a", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    room r;
    room_open(&r, 1);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char hex[65];
        int64_t bytes = -1;
        room_puts(&r, "f", row[i].text);
        char *path = room_path(&r, "f");
        assert_int_equal(sm_sha_file(hex, &bytes, &r.ctx, path, NULL), SM_OK);
        assert_string_equal(hex, row[i].want);
        assert_int_equal(bytes, strlen(row[i].text));
        free(path);
    }
    char id[33];
    assert_true(sm_document_id(id, "s", "p", "text", 4));
    assert_string_equal(id, "a1b7474e2b479ccd0a6a289085c28d6d");
    room_close(&r);
}

static void put_doc(sm_buf *out, const char *id, const char *text, const char *section)
{
    sm_document d = {id, "s",   "p",  "text", "", "",   section,     "",
                     "", "MIT", "en", "",     "", text, strlen(text)};
    assert_true(sm_document_write(out, &d));
}

static json_t *curate_stats(room *r, const sm_buf *file, const char *options)
{
    static const char *const in[] = {"in.jsonl", NULL};
    sm_err e = {0};
    size_t len;
    room_put(r, "in.jsonl", file->data, file->len);
    if (run_curate(r, in, "out", options, NULL, &e))
        fail_msg("%s", e.msg);
    char *text = room_get(r, "out/stats.json", &len);
    json_t *j = json_loadb(text, len, 0, NULL);
    free(text);
    assert_non_null(j);
    return j;
}

/* n words from `from` on. */
static char *words(int from, int n)
{
    sm_buf b = {0};
    for (int i = from; i < from + n; i++)
        sm_buf_printf(&b, "w%c%c%c ", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
    return b.data;
}

/* With one hash a bucket nearly every pair is a candidate, and the estimate alone decides:
 * 0.95 of 5-grams in common is a near copy, the first document's too, and 0.4 is none. */
static void test_candidates_are_verified(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    sm_buf file = {0};
    char *a = words(0, 304), *b = words(8, 304), *c = words(130, 304);
    put_doc(&file, "00000000000000000000000000000001", a, "");
    put_doc(&file, "00000000000000000000000000000002", b, "");
    put_doc(&file, "00000000000000000000000000000003", c, "");
    json_t *j = curate_stats(&r, &file,
                             "{\"steps\": [\"minhash_dedup\"], \"heldout_frac\": 0, "
                             "\"minhash_buckets\": 400, \"minhash_hashes\": 1, "
                             "\"minhash_verify\": 0.8}");
    json_t *pairs = json_object_get(j, "near_duplicates");
    assert_int_equal(json_array_size(pairs), 1);
    double got = json_number_value(json_object_get(json_array_get(pairs, 0), "estimate"));
    double want = 292.0 / 308; /* 300 5-grams each, 292 in common */
    assert_true(got > want - 0.06 && got < want + 0.06);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(j, "train"), "documents")), 2);
    json_decref(j);
    free(a);
    free(b);
    free(c);
    sm_buf_free(&file);
    room_close(&r);
}

/* Equal documents of which as much is known: the lower id stays, whichever came first. */
static void test_lower_id_stays(void **state)
{
    (void)state;
    const char *const low = "00000000000000000000000000000001";
    const char *const high = "f0000000000000000000000000000000";
    for (int order = 0; order < 2; order++) {
        room r;
        size_t len;
        room_open(&r, 1);
        sm_buf file = {0};
        put_doc(&file, order ? high : low, "The same text as ever.", "");
        put_doc(&file, order ? low : high, "The same text as ever.", "");
        json_decref(curate_stats(&r, &file,
                                 "{\"steps\": [\"exact_dedup\"], \"heldout_frac\": 0}"));
        char *train = room_get(&r, "out/train.jsonl", &len);
        assert_non_null(strstr(train, low));
        assert_null(strstr(train, high));
        free(train);
        sm_buf_free(&file);
        room_close(&r);
    }
}

static int64_t at(const json_t *j, const char *key, size_t i)
{
    return json_integer_value(json_array_get(json_object_get(j, key), i));
}

/* Class k of lengths is 2^(k+5) up to 2^(k+6) bytes, class 0 below 64; sections are counted;
 * characters are not bytes; a step says how many texts it changed. */
static void test_statistics(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    sm_buf file = {0};
    char text[257];
    for (int i = 0; i < 256; i++)
        text[i] = (char)('a' + i % 7);
    text[255] = '\n'; /* as normalised texts end */
    text[256] = 0;
    put_doc(&file, "00000000000000000000000000000001", text + 256 - 63, "1");
    put_doc(&file, "00000000000000000000000000000002", text + 256 - 64, "1");
    put_doc(&file, "00000000000000000000000000000003", text + 256 - 128, "2");
    put_doc(&file, "00000000000000000000000000000004", text, "3");
    put_doc(&file, "00000000000000000000000000000005",
            "na\xc3\xafve\n\n\n\n\n and so on  ", "3");
    json_t *j =
        curate_stats(&r, &file, "{\"steps\": [\"normalise\"], \"heldout_frac\": 0}");
    const json_t *train = json_object_get(j, "train"),
                 *s = json_object_get(j, "sections");
    const int64_t want[5] = {2, 1, 1, 1, 0};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(at(train, "lengths", i), want[i]);
    const json_t *one = json_object_get(s, "1");
    assert_int_equal(json_object_size(s), 3);
    assert_int_equal(json_integer_value(json_object_get(one, "train")), 2);
    assert_int_equal(json_integer_value(json_object_get(one, "kept_bytes")), 63 + 64);
    assert_int_equal(json_integer_value(json_object_get(train, "bytes")) -
                         json_integer_value(json_object_get(train, "characters")),
                     1);
    const json_t *step = json_array_get(json_object_get(j, "steps"), 0);
    assert_int_equal(json_integer_value(json_object_get(step, "changed")), 1);
    json_decref(j);
    sm_buf_free(&file);
    room_close(&r);
}

/* An empty name is unknown wherever it stands. */
static void test_licence_without_a_name(void **state)
{
    (void)state;
    static const char *const none[] = {"", "()", "MIT AND ", " AND MIT", "unknown"};
    static const char *const some[] = {"MIT", "(MIT OR GPL-3)", "MIT AND BSD-3"};
    curate_params p = {0};
    const char *why;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        p.allow_unknown = false;
        assert_false(sm_licence_allowed(&p, none[i], &why));
        assert_string_equal(why, "licence.unknown");
        p.allow_unknown = true;
        assert_true(sm_licence_allowed(&p, none[i], &why));
    }
    p.allow_unknown = false;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_true(sm_licence_allowed(&p, some[i], &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_candidates_are_verified),
        cmocka_unit_test(test_lower_id_stays),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_licence_without_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
