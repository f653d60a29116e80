/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: the core schema (YAML 1.2.2, example 10.3), positions, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/conf.h"

static void expect_yaml(const char *yaml, const char *canonical)
{
    json_t *v = NULL;
    sm_buf out = {0};
    sm_err err = {0};
    if (sm_yaml_parse(&v, NULL, yaml, strlen(yaml), "x.yaml", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(sm_json_canonical(&out, v, NULL), SM_OK);
    assert_string_equal(out.data, canonical);
    sm_buf_free(&out);
    json_decref(v);
}

static void expect_error_bytes(const char *yaml, size_t n, const char *want)
{
    json_t *v = NULL;
    sm_positions *pos = NULL;
    sm_err err = {0};
    sm_status s = sm_yaml_parse(&v, &pos, yaml, n, "x.yaml", &err);
    assert_int_not_equal(s, SM_OK);
    assert_null(v);
    assert_null(pos);
    if (!strstr(err.msg, want))
        fail_msg("got \"%s\", want it to hold \"%s\"", err.msg, want);
}

static void expect_error(const char *yaml, const char *want)
{
    expect_error_bytes(yaml, strlen(yaml), want);
}

static void core_schema(void **state)
{
    (void)state;
    /* The lists of example 10.3, but for .inf and .nan, which JSON cannot hold. */
    expect_yaml("A null: null\nAlso a null: # Empty\nNot a null: \"\"\n"
                "Booleans: [ true, True, false, FALSE ]\n"
                "Integers: [ 0, 0o7, 0x3A, -19 ]\n"
                "Floats: [ 0., -0.0, .5, +12e03, -2E+05 ]\n",
                "{\"A null\":null,\"Also a null\":null,"
                "\"Booleans\":[true,true,false,false],"
                "\"Floats\":[0,0,0.5,12000,-200000],"
                "\"Integers\":[0,7,58,-19],\"Not a null\":\"\"}");
    expect_yaml("[yes, no, on, 0o8, 0xg, 1.2.3, 1e, +, ., 1_000, '1', ~]",
                "[\"yes\",\"no\",\"on\",\"0o8\",\"0xg\",\"1.2.3\",\"1e\",\"+\",\".\","
                "\"1_000\",\"1\",null]");
    expect_yaml(
        "a: !!str 1\nb: !!int 2\nc: !!float 3\nd: !!seq [1]\ne: !!map {}\nf: ! 4\n",
        "{\"a\":\"1\",\"b\":2,\"c\":3,\"d\":[1],\"e\":{},\"f\":\"4\"}");
    expect_yaml("a: |\n  x\n  y\nb: >-\n  x\n  y\n",
                "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
    expect_yaml("%YAML 1.2\n---\n1: 2\n...\n", "{\"1\":2}");
    expect_yaml("9223372036854775807: x", "{\"9223372036854775807\":\"x\"}");
}

static void refusals_have_positions(void **state)
{
    (void)state;
    expect_error("", "x.yaml:1:1: got an empty document");
    expect_error("# nothing\n", "x.yaml:1:1: got an empty document");
    expect_error("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: got key 'a' twice");
    expect_error("a: &x 1\n", "x.yaml:1:7: got an anchor");
    expect_error("a: *x\n", "x.yaml:1:5: got an alias");
    expect_error("a:\n  - !foo 3\n", "x.yaml:2:10: got tag !foo");
    expect_error("a: !!int x\n", "x.yaml:1:10: got a scalar that does not fit its tag");
    expect_error("a: !!seq {}\n", "x.yaml:1:10: got a collection that does not fit");
    expect_error("a: !!map x\n", "x.yaml:1:10: got a scalar under the tag");
    expect_error("a: 1\n---\nb: 2\n", "x.yaml:2:1: got a second document");
    expect_error("a: [1, 2\nb: 3\n", "x.yaml:3:1: flow sequence without");
    expect_error("a:\n\t- 1\n", "x.yaml:2:1: tab character");
    expect_error("a: b: c\n", "x.yaml:1:5:");
    expect_error("a: 99999999999999999999\n",
                 "x.yaml:1:4: got integer 99999999999999999999");
    expect_error("a: 1e999\n", "x.yaml:1:4: got number 1e999");
    expect_error("a: .nan\n", "x.yaml:1:4: got .nan, want a finite number");
    expect_error("? [a]\n: 1\n", "x.yaml:1:3: got a key that is not a scalar");
    expect_error("a: \"\\x00\"\n", "x.yaml:1:5: got a NUL");
    expect_error("ok: 1\nbad: \xff\n", "x.yaml:2:6: got a byte that is not text");
    expect_error("\xC3\xA9\xC3\xA9\xff", "x.yaml:1:3: got a byte that is not text");
    expect_error_bytes("a: b\0c\n", 7, "x.yaml:1:5: got a byte that is not text");
}

static void long_names_keep_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"a: 1\nb: *x\n",
                                      "a: 1\nb: 0x99999999999999999999\n"};
    char name[301];
    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (int i = 0; i < 2; i++) {
        sm_err e = {0};
        json_t *v;
        assert_int_equal(sm_yaml_parse(&v, NULL, bad[i], strlen(bad[i]), name, &e),
                         SM_EINVAL);
        assert_memory_equal(e.msg, name, sizeof name - 1);
        assert_memory_equal(e.msg + sizeof name - 1, ":2:", 3);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char deep[400];
    memset(deep, '[', 66);
    memset(deep + 66, ']', 66);
    expect_error_bytes(deep, 132, "got more than 64 levels");
    json_t *v = NULL;
    assert_int_equal(sm_yaml_parse(&v, NULL, deep + 16, 100, "x", NULL), SM_OK);
    json_decref(v);
}

static void positions_by_pointer(void **state)
{
    (void)state;
    static const char yaml[] = "pipeline: p\nsteps:\n  - step: a\n    options:\n"
                               "      min/max: 3\n      t~x: [1,\n        2]\n";
    json_t *v = NULL;
    sm_positions *pos = NULL;
    assert_int_equal(sm_yaml_parse(&v, &pos, yaml, sizeof yaml - 1, "p.yaml", NULL),
                     SM_OK);
    assert_string_equal(sm_positions_at(pos, ""), "p.yaml:1:1");
    assert_string_equal(sm_positions_at(pos, "/pipeline"), "p.yaml:1:11");
    assert_string_equal(sm_positions_at(pos, "/steps/0"), "p.yaml:3:5");
    assert_string_equal(sm_positions_at(pos, "/steps/0/step"), "p.yaml:3:11");
    assert_string_equal(sm_positions_at(pos, "/steps/0/options/min~1max"), "p.yaml:5:16");
    assert_string_equal(sm_positions_at(pos, "/steps/0/options/t~0x/1"), "p.yaml:7:9");
    /* the nearest enclosing node stands in for what is not there */
    assert_string_equal(sm_positions_at(pos, "/steps/0/in/2"), "p.yaml:3:5");
    assert_string_equal(sm_positions_at(pos, "/nothing"), "p.yaml:1:1");
    assert_string_equal(sm_positions_key(pos, "/steps/0/options"), "p.yaml:4:5");
    assert_string_equal(sm_positions_key(pos, "/steps/0/options/min~1max"), "p.yaml:5:7");
    assert_string_equal(sm_positions_key(pos, "/steps/0"), "p.yaml:3:5");
    assert_string_equal(sm_positions_at(NULL, "/x"), "");
    sm_positions_free(pos);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(core_schema),
        cmocka_unit_test(refusals_have_positions),
        cmocka_unit_test(long_names_keep_their_line),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(positions_by_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
