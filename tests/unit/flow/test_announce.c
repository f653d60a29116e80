/* SPDX-License-Identifier: Apache-2.0 */
/* What training says before it begins: a plan, where it will take more than a minute. */
#include "lab.h"

typedef struct ears {
    lab l;
    sm_log log;
    volatile int stop;
    bool stops; /* at the first line */
    char heard[512];
} ears;

static void hear(void *self, sm_log_level level, const char *line)
{
    ears *e = self;
    if (level != SM_LOG_INFO || strncmp(line, "train: ", 7) != 0 ||
        !strstr(line, " parameters active of "))
        return;
    assert_string_equal(e->heard, ""); /* once */
    snprintf(e->heard, sizeof e->heard, "%s", line);
    if (e->stops)
        sm_stop_set(&e->stop, 1);
}

static void open_ears(ears *e)
{
    memset(e, 0, sizeof *e);
    lab_open(&e->l);
    e->log = (sm_log){.emit = hear, .self = e, .level = SM_LOG_INFO};
    e->l.ctx.log = &e->log;
    e->l.ctx.stop = &e->stop;
}

static void test_short_runs_say_nothing(void **state)
{
    (void)state;
    ears e;
    sm_id id;
    open_ears(&e);
    lab_train(&id, &e.l, lab_train_options());
    assert_string_equal(e.heard, "");
    lab_close(&e.l);
}

/* A billion steps are days on any machine: it is said before the first, which here is the
 * last. */
static void test_long_runs_say_so(void **state)
{
    (void)state;
    ears e;
    sm_err err = {0};
    sm_flow_result r = {0};
    open_ears(&e);
    e.stops = true;
    json_t *options = lab_train_options();
    json_object_set_new(options, "n_steps", json_integer(1000000000));
    const char *in[] = {e.l.set.hex, e.l.tokenizer.hex};
    assert_int_equal(sm_flow_step(&r, &e.l.ctx, e.l.store, "train", in, 2, options,
                                  "test", NULL, &err),
                     SM_ECANCEL);
    assert_non_null(strstr(e.heard, "1000000000 steps of 256 tokens: some "));
    double active = -1, all = -1, gb = -1;
    long long hours = 0;
    int minutes = -1;
    assert_int_equal(
        sscanf(e.heard, "train: %lf M parameters active of %lf M", &active, &all), 2);
    assert_int_equal(sscanf(strstr(e.heard, "some "),
                            "some %lld h %d min and %lf GB here", &hours, &minutes, &gb),
                     3);
    assert_true(active >= 0 && active <= all && gb >= 0);
    assert_true(hours >= 1 && minutes >= 0 && minutes < 60);
    sm_flow_result_free(&r);
    json_decref(options);
    lab_close(&e.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_runs_say_nothing),
        cmocka_unit_test(test_long_runs_say_so),
    };
    return cmocka_run_group_tests_name("announce", tests, NULL, NULL);
}
