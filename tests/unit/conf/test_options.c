/* SPDX-License-Identifier: Apache-2.0 */
/* The option table: defaults, checks, recipe subset, text, suggestions, renderings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smelt/conf.h"

static const sm_option table[] = {
    {.key = "min_words",
     .type = SM_OPT_INT,
     .def = "20",
     .min = 1,
     .max = 1000,
     .unit = "words",
     .help = "shortest document kept",
     .affects_result = true},
    {.key = "rate",
     .type = SM_OPT_FLOAT,
     .def = "0.5",
     .min = 0,
     .max = 1,
     .help = "share kept",
     .affects_result = true},
    {.key = "preset",
     .type = SM_OPT_ENUM,
     .def = "web",
     .choices = "web|technical",
     .help = "rules",
     .affects_result = true},
    {.key = "licence",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "licences allowed",
     .affects_result = true},
    {.key = "dry_run", .type = SM_OPT_BOOL, .def = "false", .help = "plan only"},
    {.key = "note", .type = SM_OPT_STRING, .def = "", .help = "free text"},
    {.key = "limit", .type = SM_OPT_INT, .def = "", .help = "at most this many"},
    SM_OPTION_END,
};

static const sm_option needy[] = {
    {.key = "path", .type = SM_OPT_PATH, .def = NULL, .help = "what to read"},
    SM_OPTION_END,
};

static json_t *resolved(const char *given, sm_err *err)
{
    json_t *g = given ? json_loads(given, 0, NULL) : NULL, *out = NULL;
    sm_options_resolve(&out, table, g, "t.yaml:3:5", err);
    json_decref(g);
    return out;
}

static void defaults_fill_every_key(void **state)
{
    (void)state;
    json_t *r = resolved(NULL, NULL);
    assert_non_null(r);
    assert_int_equal(json_object_size(r), 7);
    assert_int_equal(sm_opt_int(r, "min_words"), 20);
    assert_true(sm_opt_float(r, "rate") == 0.5);
    assert_string_equal(sm_opt_str(r, "preset"), "web");
    assert_int_equal(json_array_size(sm_opt_list(r, "licence")), 0);
    assert_false(sm_opt_bool(r, "dry_run"));
    assert_true(json_is_null(json_object_get(r, "limit")));
    json_decref(r);
}

static void refuse(const char *given, const char *want)
{
    sm_err err = {0};
    json_t *r = resolved(given, &err);
    assert_null(r);
    assert_int_equal(err.status, SM_EINVAL);
    assert_string_equal(err.msg, want);
}

static void bad_values_are_named(void **state)
{
    (void)state;
    refuse("{\"min_words\": 0}",
           "t.yaml:3:5: min_words: got 0, want an integer from 1 to 1000");
    refuse("{\"min_words\": \"20\"}",
           "t.yaml:3:5: min_words: got \"20\", want an integer from 1 to 1000");
    refuse("{\"min_words\": 2.5}",
           "t.yaml:3:5: min_words: got 2.5, want an integer from 1 to 1000");
    refuse("{\"rate\": 1.5}", "t.yaml:3:5: rate: got 1.5, want a number from 0 to 1");
    refuse("{\"preset\": \"we\"}",
           "t.yaml:3:5: preset: got \"we\", want one of web|technical");
    refuse("{\"preset\": \"web|technical\"}",
           "t.yaml:3:5: preset: got \"web|technical\", want one of web|technical");
    refuse("{\"preset\": \"web|\"}",
           "t.yaml:3:5: preset: got \"web|\", want one of web|technical");
    refuse("{\"preset\": \"\"}",
           "t.yaml:3:5: preset: got \"\", want one of web|technical");
    refuse("{\"licence\": [1]}", "t.yaml:3:5: licence: got [1], want a list of strings");
    refuse("{\"dry_run\": 1}", "t.yaml:3:5: dry_run: got 1, want true or false");
    refuse("{\"min_wrods\": 1}",
           "t.yaml:3:5: unknown option 'min_wrods' (did you mean 'min_words'?)");
    refuse("{\"zzz\": 1}", "t.yaml:3:5: unknown option 'zzz'");
    sm_err err = {0};
    json_t *r = NULL;
    assert_int_equal(sm_options_resolve(&r, needy, NULL, "flag", &err), SM_EINVAL);
    assert_string_equal(err.msg, "flag: path: missing, want a path");
}

static void recipe_holds_what_changes_the_result(void **state)
{
    (void)state;
    json_t *r = resolved("{\"min_words\": 20, \"rate\": 1, \"note\": \"x\", "
                         "\"licence\": \"MIT\", \"dry_run\": true}",
                         NULL);
    json_t *recipe = sm_options_recipe(table, r);
    sm_buf out = {0};
    assert_int_equal(sm_json_canonical(&out, recipe, NULL), SM_OK);
    assert_string_equal(out.data, "{\"licence\":[\"MIT\"],\"rate\":1}");
    sm_buf_free(&out);
    json_decref(recipe);
    json_decref(r);
}

static void text_becomes_values(void **state)
{
    (void)state;
    sm_err err = {0};
    json_t *g = json_object();
    assert_int_equal(sm_options_set_text(g, table, "min_words", "7", &err), SM_OK);
    assert_int_equal(sm_options_set_text(g, table, "rate", "1e-3", &err), SM_OK);
    assert_int_equal(sm_options_set_text(g, table, "licence", "MIT", &err), SM_OK);
    assert_int_equal(sm_options_set_text(g, table, "licence", "GPL-2", &err), SM_OK);
    assert_int_equal(sm_options_set_text(g, table, "dry_run", "true", &err), SM_OK);
    sm_buf out = {0};
    sm_json_canonical(&out, g, NULL);
    assert_string_equal(out.data, "{\"dry_run\":true,\"licence\":[\"MIT\",\"GPL-2\"],"
                                  "\"min_words\":7,\"rate\":0.001}");
    sm_buf_free(&out);
    static const char *const bad[][2] = {
        {"min_words", "7x"}, {"min_words", ""}, {"min_words", "99999999999999999999"},
        {"rate", "nan"},     {"rate", "inf"},   {"rate", "0x1p3"},
        {"dry_run", "yes"},  {"note", "\xff"},  {"min_word", "7"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sm_options_set_text(g, table, bad[i][0], bad[i][1], &err),
                         SM_EINVAL);
    assert_string_equal(err.msg, "unknown option 'min_word' (did you mean 'min_words'?)");
    assert_int_equal(sm_options_set_text(g, table, "rate", "high", &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "rate: got \"high\", want a number"));
    json_decref(g);
}

static void refuse_at(const char *yaml, const char *want)
{
    json_t *v = NULL;
    sm_positions *pos = NULL;
    sm_err err = {0};
    assert_int_equal(sm_yaml_parse(&v, &pos, yaml, strlen(yaml), "p.yaml", &err), SM_OK);
    const json_t *given = json_object_get(v, "options");
    assert_int_equal(sm_options_check(table, given, pos, "/options", &err), SM_EINVAL);
    assert_string_equal(err.msg, want);
    sm_positions_free(pos);
    json_decref(v);
}

static void checks_point_at_the_key(void **state)
{
    (void)state;
    refuse_at("options:\n  min_words: 5\n  rate: 2\n",
              "p.yaml:3:9: rate: got 2, want a number from 0 to 1");
    refuse_at("options:\n  min_words: 5\n  x/y~z: 2\n",
              "p.yaml:3:3: unknown option 'x/y~z'");
}

static void nearest_names(void **state)
{
    (void)state;
    static const char *const verbs[] = {"init", "status", "lineage", "verify"};
    assert_string_equal(sm_nearest_name("lineag", verbs, 4), "lineage");
    assert_string_equal(sm_nearest_name("statsu", verbs, 4), "status");
    assert_null(sm_nearest_name("frobnicate", verbs, 4));
    assert_string_equal(sm_option_nearest(table, "licenses"), "licence");
}

static void renderings_name_every_option(void **state)
{
    (void)state;
    sm_buf help = {0}, md = {0}, roff = {0};
    assert_true(sm_options_help(&help, table));
    assert_true(sm_options_markdown(&md, table));
    assert_true(sm_options_roff(&roff, table));
    assert_non_null(strstr(help.data,
                           "  --min-words N               shortest document kept "
                           "(default 20; from 1 to 1000; words)\n"));
    assert_non_null(strstr(help.data, "--dry-run  "));
    assert_non_null(strstr(md.data, "| `--preset` | `preset` | one of web\\|technical; "
                                    "default web | rules | yes |\n"));
    assert_non_null(strstr(roff.data, ".TP\n\\fB\\-\\-min\\-words\\fR \\fIN\\fR\n"));
    for (const sm_option *o = table; o->key; o++)
        assert_non_null(strstr(md.data, o->help));
    sm_buf_free(&help);
    sm_buf_free(&md);
    sm_buf_free(&roff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_every_key),
        cmocka_unit_test(bad_values_are_named),
        cmocka_unit_test(recipe_holds_what_changes_the_result),
        cmocka_unit_test(text_becomes_values),
        cmocka_unit_test(checks_point_at_the_key),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(renderings_name_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
