/* SPDX-License-Identifier: Apache-2.0 */
/* Audit by sampling: files beside the weights that are not what recipe, inputs and curve
 * say. */
#include "forger.h"

/* Put `with` in place of the first `what` of a file; with NULL `what` at its end. */
static void alter(const char *dir, const char *name, const char *what, const char *with)
{
    sm_err err = {0};
    char *path = sm_path_join(dir, name), *text = NULL;
    size_t len = 0;
    sm_buf out = {0};
    OK(sm_file_read(&text, &len, path, 0, &err));
    char *at = what ? strstr(text, what) : text + len;
    assert_non_null(at);
    sm_buf_put(&out, text, (size_t)(at - text));
    sm_buf_puts(&out, with);
    sm_buf_puts(&out, what ? at + strlen(what) : "");
    lab_write(dir, name, out.data);
    sm_buf_free(&out);
    free(text);
    free(path);
}

/* Honest weights and chain, another file beside them: found however few segments are
 * sampled. */
static void a_forged_file_is_found(void **state)
{
    static const struct {
        const char *file, *what, *with;
    } row[] = {
        {"config.json", "10000", "70000"},
        {"tokenizer.json", "\"a\"", "\"~\""},
        {"training.json", "\"tokens\": ", "\"tokens\": 1"},
        {"training.json", NULL, " "},
        {"curve.jsonl", NULL, "{\"loss\":0.1,\"step\":13}\n"},
    };
    sm_err err = {0};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        forger f;
        json_t *report = NULL;
        forger_open(&f, *state);
        alter(f.model_dir, row[i].file, row[i].what, row[i].with);
        forger_commit(&f);
        assert_int_equal(audit_of(&report, &f.to, "model", 1, i, &err), SM_EDENIED);
        assert_string_equal(finding(report, "what"), row[i].file);
        assert_non_null(strstr(err.msg, row[i].file));
        json_decref(report);
        forger_close(&f);
    }
}

static void a_file_too_many_is_found(void **state)
{
    forger f;
    sm_err err = {0};
    json_t *report = NULL;
    forger_open(&f, *state);
    lab_write(f.model_dir, "generation_config.json", "{}");
    forger_commit(&f);
    assert_int_equal(audit_of(&report, &f.to, "model", 1, 0, &err), SM_EDENIED);
    assert_string_equal(finding(report, "what"), "generation_config.json");
    json_decref(report);
    forger_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forged_file_is_found),
        cmocka_unit_test(a_file_too_many_is_found),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
