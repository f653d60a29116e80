/* SPDX-License-Identifier: Apache-2.0 */
/* Gate files: what is refused, and verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "smelt/rollout.h"

static const char good[] = "gate: g\n"
                           "require:\n"
                           "  - {figure: bpb, max: 2.5}\n"
                           "  - {figure: recall, min: 0.6, bound: low}\n";

static void bad_files_are_named_with_their_place(void **state)
{
    (void)state;
    const struct {
        const char *text, *want;
    } row[] = {
        {"gate: g\n", "g.yaml:1:1: require: want a list"},
        {"gate: g\nrequire: []\n", "g.yaml:2:10: require"},
        {"gate: g\nrequire:\n  - {figure: x}\n", "g.yaml:3:5: min, max: want at least one"},
        {"gate: g\nrequire:\n  - {figure: x, min: no}\n", "want numbers"},
        {"gate: g\nrequire:\n  - {figure: x, min: 1, bound: mid}\n", "bound: want value"},
        {"gate: g\nrequire:\n  - {figure: x, least: 1}\n", "unknown key least"},
        {"gate: [\n", "g.yaml:"},
        {"", "g.yaml"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *gate = NULL;
        sm_err err = {0};
        assert_int_not_equal(
            sm_gate_parse(&gate, row[i].text, strlen(row[i].text), "g.yaml", &err), SM_OK);
        assert_null(gate);
        if (!strstr(err.msg, row[i].want))
            fail_msg("got '%s', want '%s' in it", err.msg, row[i].want);
    }
}

static bool passes(const char *figures)
{
    json_t *gate, *f = json_loads(figures, 0, NULL), *verdict;
    assert_non_null(f);
    assert_int_equal(sm_gate_parse(&gate, good, strlen(good), "g", NULL), SM_OK);
    assert_int_equal(sm_gate_check(&verdict, gate, f, NULL), SM_OK);
    bool passed = json_is_true(json_object_get(verdict, "passed"));
    sm_buf b = {0};
    assert_true(sm_gate_report(&b, verdict));
    assert_true((strstr(b.data, "FAIL") == NULL) == passed);
    sm_buf_free(&b);
    json_decref(gate);
    json_decref(f);
    json_decref(verdict);
    return passed;
}

static void verdicts_follow_the_thresholds(void **state)
{
    (void)state;
    assert_true(passes("{\"bpb\":{\"value\":2.5},\"recall\":{\"low\":0.6,\"value\":0.7}}"));
    assert_false(passes("{\"bpb\":{\"value\":2.6},\"recall\":{\"low\":0.6,\"value\":0.7}}"));
    assert_false(passes("{\"bpb\":{\"value\":2.4},\"recall\":{\"low\":0.5,\"value\":0.7}}"));
    assert_false(passes("{\"bpb\":{\"value\":2.4}}"));
    assert_false(passes("{\"bpb\":{\"value\":2.4},\"recall\":{\"value\":0.7}}"));
    assert_false(passes("{}"));
}

/* A verdict says what was held against what, and how each check went. */
static void a_verdict_says_what_was_checked(void **state)
{
    (void)state;
    const char *text = "gate: g\n"
                       "require:\n"
                       "  - {figure: a, min: 1, max: 2}\n"
                       "  - {figure: b, min: 4}\n"
                       "  - {figure: c, max: 5, bound: high}\n"
                       "  - {figure: d, min: 1, max: 2}\n";
    const char *want =
        "{\"gate\":\"g\",\"passed\":false,\"checks\":["
        "{\"figure\":\"a\",\"bound\":\"value\",\"why\":\"\",\"passed\":true,"
        "\"value\":1.5,\"min\":1.0,\"max\":2.0},"
        "{\"figure\":\"b\",\"bound\":\"value\",\"why\":\"below the minimum\","
        "\"passed\":false,\"value\":3.5,\"min\":4.0},"
        "{\"figure\":\"c\",\"bound\":\"high\",\"why\":\"above the maximum\","
        "\"passed\":false,\"value\":6.5,\"max\":5.0},"
        "{\"figure\":\"d\",\"bound\":\"value\",\"why\":\"above the maximum\","
        "\"passed\":false,\"value\":2.5,\"min\":1.0,\"max\":2.0}]}";
    json_t *gate, *verdict, *wanted = json_loads(want, 0, NULL);
    json_t *f = json_loads("{\"a\":{\"value\":1.5},\"b\":{\"value\":3.5},"
                           "\"c\":{\"value\":1,\"high\":6.5},\"d\":{\"value\":2.5}}",
                           0, NULL);
    sm_buf b = {0};
    assert_int_equal(sm_gate_parse(&gate, text, strlen(text), "g", NULL), SM_OK);
    assert_int_equal(sm_gate_check(&verdict, gate, f, NULL), SM_OK);
    assert_true(json_equal(verdict, wanted));
    assert_true(sm_gate_report(&b, verdict));
    assert_non_null(strstr(b.data, "pass  a "));
    assert_non_null(strstr(b.data, "1.5000, want >= 1, want <= 2"));
    assert_non_null(strstr(b.data, "3.5000, want >= 4  below the minimum"));
    assert_non_null(strstr(b.data, "6.5000, want <= 5  above the maximum"));
    sm_buf_free(&b);
    json_decref(gate);
    json_decref(f);
    json_decref(verdict);
    json_decref(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_named_with_their_place),
        cmocka_unit_test(verdicts_follow_the_thresholds),
        cmocka_unit_test(a_verdict_says_what_was_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
