/* SPDX-License-Identifier: Apache-2.0 */
/* `data add` of .jsonl: long lines, small limits, archives. */
#include "room.h"

static int64_t figure(const json_t *figures, const char *name)
{
    return json_integer_value(json_object_get(figures, name));
}

static void put_record(sm_buf *b, int number, size_t padding)
{
    sm_buf_printf(b, "{\"text\": \"The text of record %d. ", number);
    for (size_t i = 0; i < padding; i++)
        sm_buf_putc(b, "word "[i % 5]);
    sm_buf_puts(b, "\"}\n");
}

static bool holds(const room *r, const char *name, const char *what)
{
    size_t len;
    char *text = room_get(r, name, &len);
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

/* A limit far below a piece's size holds for lines, not for the file. */
static void test_small_limit(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    sm_buf b = {0};
    sm_err e = {0};
    for (int i = 0; i < 3000; i++)
        put_record(&b, i, 40);
    room_put(&r, "in/x.jsonl", b.data, b.len);
    json_t *f = json_object();
    if (run_add(&r, "in", "out", "\"max_file_bytes\": 200", f, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(figure(f, "documents"), 3000);
    assert_int_equal(figure(f, "errors"), 0);
    assert_true(holds(&r, "out/documents.jsonl", "\"x.jsonl#3000\""));
    json_decref(f);
    sm_buf_free(&b);
    room_close(&r);
}

/* Lines over the limit, wherever they stand, cost nothing but themselves. */
static void test_long_lines(void **state)
{
    (void)state;
    static const size_t padding[] = {300000, 10, 10, 300000, 400000, 10, 300000};
    room r;
    room_open(&r, 2);
    sm_buf b = {0};
    sm_err e = {0};
    for (int i = 0; i < 7; i++)
        put_record(&b, i + 1, padding[i]);
    for (int last = 0; last < 2; last++) { /* with and without the last line end */
        json_t *f = json_object();
        room_put(&r, "in/x.jsonl", b.data, b.len - (size_t)last);
        if (run_add(&r, "in", "out", "\"max_file_bytes\": 100000", f, &e))
            fail_msg("%s", e.msg);
        assert_int_equal(figure(f, "documents"), 3);
        assert_int_equal(figure(f, "errors"), 4);
        static const char *const gone[] = {"x.jsonl#1", "x.jsonl#4", "x.jsonl#5",
                                           "x.jsonl#7"};
        for (int i = 0; i < 4; i++)
            assert_true(holds(&r, "out/source.json", gone[i]));
        assert_true(holds(&r, "out/source.json", "a line is larger than max_file_bytes"));
        assert_true(holds(&r, "out/documents.jsonl", "\"x.jsonl#2\""));
        assert_true(holds(&r, "out/documents.jsonl", "\"x.jsonl#6\""));
        json_decref(f);
    }
    sm_buf_free(&b);
    room_close(&r);
}

/* A line of exactly the limit is taken, one byte more is not. */
static void test_exact_limit(void **state)
{
    (void)state;
    room r;
    room_open(&r, 1);
    sm_buf b = {0};
    sm_err e = {0};
    char limit[60];
    put_record(&b, 1, 100);
    size_t one = b.len - 1;
    put_record(&b, 2, 101);
    room_put(&r, "x.jsonl", b.data, b.len);
    snprintf(limit, sizeof limit, "\"max_file_bytes\": %zu", one);
    json_t *f = json_object();
    assert_int_equal(run_add(&r, "x.jsonl", "out", limit, f, &e), SM_OK);
    assert_int_equal(figure(f, "documents"), 1);
    assert_true(holds(&r, "out/source.json", "x.jsonl#2"));
    json_decref(f);
    sm_buf_free(&b);
    room_close(&r);
}

/* Every piece of a file in an archive has the file's name. */
static void test_in_archive(void **state)
{
    (void)state;
    room r;
    room_open(&r, 2);
    sm_buf b = {0}, tar = {0};
    sm_err e = {0};
    for (int i = 0; i < 12; i++)
        put_record(&b, i, 300000);
    const member m = {.name = "d/x.jsonl", .data = b.data, .len = b.len};
    make_archive(&tar, KIND_TAR, &m, 1);
    room_put(&r, "t.tar", tar.data, tar.len);
    json_t *f = json_object();
    if (run_add(&r, "t.tar", "out", "", f, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(figure(f, "documents"), 12);
    assert_true(holds(&r, "out/documents.jsonl", "\"t.tar!d/x.jsonl#1\""));
    assert_true(holds(&r, "out/documents.jsonl", "\"t.tar!d/x.jsonl#12\""));
    json_decref(f);
    sm_buf_free(&b);
    sm_buf_free(&tar);
    room_close(&r);
}

/* What writers of JSONL put around and between the texts costs no record. */
static void test_odd_records(void **state)
{
    (void)state;
    static const char lines[] =
        "\xEF\xBB\xBF{\"text\": \"The first line, after a mark.\", \"lang\": \"EN\"}\r\n"
        "{\"text\": \"A simhash is in it.\", \"hash\": 18446744073709551615}\n"
        "{\"text\": \"The language is a region's.\", \"language\": \"pt-BR\"}\n"
        "{\"text\": \"The house of the cat and the dog is on the hill by the river.\", "
        "\"language\": \"eng_Latn\"}\n"
        "{\"text\": \"a\\u0000b\"}\n";
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    room_put(&r, "x.jsonl", lines, sizeof lines - 1);
    json_t *f = json_object();
    if (run_add(&r, "x.jsonl", "out", "", f, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(figure(f, "documents"), 4);
    assert_int_equal(figure(f, "errors"), 1);
    assert_true(holds(&r, "out/source.json", "\"x.jsonl#5\""));
    assert_true(holds(&r, "out/source.json", "NUL (\\\\u0000) in a string"));
    assert_true(holds(&r, "out/documents.jsonl", "\"lang\":\"pt\""));
    assert_true(holds(&r, "out/documents.jsonl", "\"lang\":\"en\""));
    assert_false(holds(&r, "out/documents.jsonl", "EN\""));
    assert_false(holds(&r, "out/documents.jsonl", "eng_Latn"));
    json_decref(f);
    room_close(&r);
}

/* Where nothing is left, the first reason is told. */
static void test_no_record(void **state)
{
    (void)state;
    room r;
    sm_err e = {0};
    room_open(&r, 1);
    room_puts(&r, "x.jsonl", "[{\"text\": \"A list of records.\"}]\n");
    assert_int_equal(run_add(&r, "x.jsonl", "out", "", NULL, &e), SM_EINVAL);
    assert_non_null(
        strstr(e.msg, "1 error(s), the first: x.jsonl#1: got JSON of another"));
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_limit), cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_exact_limit), cmocka_unit_test(test_in_archive),
        cmocka_unit_test(test_odd_records), cmocka_unit_test(test_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
