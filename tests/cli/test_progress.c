/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line and the log of progress, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd.h"

#define SECOND INT64_C(1000000000)

static int64_t now; /* a clock takes no argument */

static int64_t clock_of_test(void)
{
    return now;
}

typedef struct watched {
    progress *progress;
    sm_progress sink;
    FILE *out;
    char *text;
    size_t len, seen;
} watched;

static void watch(watched *w, progress_form form)
{
    now = 1000 * SECOND;
    w->out = open_memstream(&w->text, &w->len);
    assert_non_null(w->out);
    w->progress = progress_create(form, w->out, clock_of_test);
    assert_non_null(w->progress);
    w->sink = progress_sink(w->progress);
}

/* What has been written since the last call. */
static void expect(watched *w, const char *want)
{
    fflush(w->out);
    assert_string_equal(w->text ? w->text + w->seen : "", want);
    w->seen = w->len;
}

static void end(watched *w)
{
    progress_free(w->progress);
    fclose(w->out);
    free(w->text);
}

static void step(const watched *w, int64_t done)
{
    sm_progress_update(&w->sink, "train", done, 200, "steps", "loss 2.5");
}

/* -v without a terminal: nothing for half a minute, then a line, and none before the next
 * half minute is over; rate and time left are those of the phase so far. */
static void test_log(void **state)
{
    (void)state;
    watched w = {0};
    watch(&w, PROGRESS_LOG);
    step(&w, 0);
    now += 30 * SECOND;
    step(&w, 30);
    expect(&w, "");
    now += SECOND;
    step(&w, 62);
    expect(&w, "train 62/200 steps  31%  2/s  ETA 0:01:09  loss 2.5\n");
    now += 29 * SECOND;
    step(&w, 120);
    expect(&w, "");
    now += 2 * SECOND;
    step(&w, 124);
    expect(&w, "train 124/200 steps  62%  2/s  ETA 0:00:38  loss 2.5\n");
    step(&w, 200); /* the end is said by what is printed next */
    expect(&w, "");
    progress_clear(w.progress);
    expect(&w, "");
    end(&w);
}

/* On a terminal: at most ten times a second, the end at once, cleared for what follows; a
 * line wider than 80 columns leaves out rate, unit and share, in this order. */
static void test_live(void **state)
{
    (void)state;
    watched w = {0};
    watch(&w, PROGRESS_LIVE);
    step(&w, 0);
    expect(&w, "\r\033[Ktrain 0/200 steps   0%  loss 2.5");
    now += SECOND / 10;
    step(&w, 1);
    expect(&w, "");
    now += 1;
    step(&w, 1);
    expect(&w, "\r\033[Ktrain 1/200 steps   0%  10/s  ETA 0:00:19  loss 2.5");
    step(&w, 200);
    expect(&w, "\r\033[Ktrain 200/200 steps 100%  2000/s  loss 2.5");
    now += SECOND;
    sm_progress_update(&w.sink, "train", 110, 200, "steps",
                       "loss 2.5  12345 tok/s  67% of ceiling  load 1.25");
    expect(&w,
           "\r\033[Ktrain 110/200  ETA 0:00:00  loss 2.5  12345 tok/s  67% of ceiling  "
           "load 1.25");
    progress_clear(w.progress);
    expect(&w, "\r\033[K");
    progress_clear(w.progress);
    expect(&w, "");
    end(&w);
}

static void test_none(void **state)
{
    (void)state;
    watched w = {0};
    watch(&w, PROGRESS_NONE);
    step(&w, 0);
    now += 40 * SECOND;
    step(&w, 80);
    expect(&w, "");
    progress_report(w.progress);
    expect(
        &w,
        "phase                       seconds           done unit         per second\n"
        "train                         40.00             80 steps                 2\n");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
