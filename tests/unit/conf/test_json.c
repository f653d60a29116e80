/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: positions of errors, canonical form against RFC 8785 (section 3.2 and appendix
 * B), round trips.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "number.h"

static void expect_error(const char *text, const char *want)
{
    json_t *v = NULL;
    sm_err err = {0};
    sm_status s = sm_json_parse(&v, text, strlen(text), "x.json", &err);
    assert_int_not_equal(s, SM_OK);
    assert_null(v);
    if (!strstr(err.msg, want))
        fail_msg("got \"%s\", want it to hold \"%s\"", err.msg, want);
}

static void parse_errors_have_positions(void **state)
{
    (void)state;
    expect_error("", "x.json:1:");
    expect_error("{\"a\": 1,\n \"a\": 2}", "x.json:2:");
    expect_error("{\"a\": 1}\n x", "x.json:2:2: end of file expected");
    expect_error("[1,\n 2,\n }", "x.json:3:2:");
    expect_error("[\"\\u0000\"]", "x.json:1:");
    expect_error("[\"a\xff\"]", "x.json:1:4: got a byte that is not UTF-8");
    expect_error("[\"\xed\xa0\x80\"]", "not UTF-8");
    expect_error("[1e999]", "x.json:1:");
    expect_error("[123456789012345678901]", "x.json:1:");
    expect_error("nul", "x.json:1:");
}

static void any_bytes_make_a_string(void **state)
{
    (void)state;
    json_t *v = sm_json_string("a\xff\xC3\xA9");
    assert_string_equal(json_string_value(v), "a\xEF\xBF\xBD\xC3\xA9");
    json_decref(v);
    v = sm_json_string("");
    assert_string_equal(json_string_value(v), "");
    json_decref(v);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', 65);
    deep[65] = 0;
    expect_error(deep, "x.json:1:65: got more than 64 levels");
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    json_t *v = NULL;
    assert_int_equal(sm_json_parse(&v, deep, 128, "x.json", NULL), SM_OK);
    json_decref(v);
}

static void expect_canonical(const char *text, const char *want)
{
    json_t *v = NULL;
    sm_buf out = {0};
    sm_err err = {0};
    assert_int_equal(sm_json_parse(&v, text, strlen(text), "x", &err), SM_OK);
    assert_int_equal(sm_json_canonical(&out, v, &err), SM_OK);
    assert_string_equal(out.data, want);
    sm_buf_free(&out);
    json_decref(v);
}

/* RFC 8785, section 3.2.2 and 3.2.3. */
static void canonical_examples(void **state)
{
    (void)state;
    expect_canonical(
        "{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, "
        "0.000000000000000000000000001],"
        "\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\","
        "\"literals\": [null, true, false]}",
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,"
        "4.5,0.002,1e-27],\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    expect_canonical(
        "{\"\\u20ac\": \"Euro Sign\", \"\\r\": \"Carriage Return\","
        "\"\\ufb33\": \"Hebrew Letter Dalet With Dagesh\", \"1\": \"One\","
        "\"\\ud83d\\ude00\": \"Emoji: Grinning Face\", \"\\u0080\": \"Control\","
        "\"\\u00f6\": \"Latin Small Letter O With Diaeresis\"}",
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
        "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
        "\"\xe2\x82\xac\":\"Euro Sign\","
        "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
        "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
    expect_canonical("{\"b\":{}, \"a\":[], \"ab\": -0.0, \"aa\": 1.0}",
                     "{\"a\":[],\"aa\":1,\"ab\":0,\"b\":{}}");
}

static void big_integers_are_refused(void **state)
{
    (void)state;
    sm_buf out = {0};
    json_t *v = json_integer(INT64_C(9007199254740993));
    assert_int_equal(sm_json_canonical(&out, v, NULL), SM_EINVAL);
    json_decref(v);
    v = json_integer(-INT64_C(9007199254740992));
    sm_buf_clear(&out);
    assert_int_equal(sm_json_canonical(&out, v, NULL), SM_OK);
    assert_string_equal(out.data, "-9007199254740992");
    json_decref(v);
    sm_buf_free(&out);
}

/* RFC 8785, appendix B, but for NaN and infinity, which JSON values cannot hold. */
static void numbers_of_appendix_b(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *text;
    } vector[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3d30000000000000, "5.684341886080802e-14"}, /* 2^-44: the gap above is wider */
    };
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++) {
        char text[SM_NUMBER_MAX];
        double x;
        memcpy(&x, &vector[i].bits, sizeof x);
        sm_number_format(text, x);
        assert_string_equal(text, vector[i].text);
    }
}

static void random_doubles_read_back(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = sm_rng_u64(7, SM_STREAM_TEST, 0, i);
        double x, y;
        char text[SM_NUMBER_MAX];
        if ((bits >> 52 & 0x7ff) == 0x7ff)
            continue;
        memcpy(&x, &bits, sizeof x);
        sm_number_format(text, x);
        if (!strpbrk(text, ".e")) /* or it reads as an integer, perhaps over 64 bits */
            memcpy(text + strlen(text), ".0", 3);
        json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_non_null(v);
        y = json_number_value(v);
        json_decref(v);
        assert_memory_equal(&x, &y, sizeof x);
    }
}

static void pretty_keeps_order_and_types(void **state)
{
    (void)state;
    static const char text[] = "{\n  \"b\": 1.0,\n  \"a\": [\n    1,\n    {}\n  ],\n"
                               "  \"c\": 9223372036854775807\n}\n";
    json_t *v = NULL;
    sm_buf out = {0};
    assert_int_equal(sm_json_parse(&v, text, sizeof text - 1, "x", NULL), SM_OK);
    assert_int_equal(sm_json_pretty(&out, v, NULL), SM_OK);
    assert_string_equal(out.data, text);
    sm_buf_free(&out);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_errors_have_positions),
        cmocka_unit_test(any_bytes_make_a_string),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(canonical_examples),
        cmocka_unit_test(big_integers_are_refused),
        cmocka_unit_test(numbers_of_appendix_b),
        cmocka_unit_test(random_doubles_read_back),
        cmocka_unit_test(pretty_keeps_order_and_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
