/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs the page shows as under way, on a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those above first */
#include <cmocka.h>

#include "smelt/serve.h"

#define S(x) ((x) * (int64_t)1000000000)

static void a_run_is_under_way_while_it_moves(void **state)
{
    (void)state;
    json_t *seen = json_object();
    assert_false(sm_serve_run_is_moving(seen, "a", 7, S(100))); /* seen first: who knows */
    assert_false(sm_serve_run_is_moving(seen, "given up", 9, S(100)));
    assert_false(sm_serve_run_is_moving(seen, "a", 7, S(103)));
    assert_true(sm_serve_run_is_moving(seen, "a", 8, S(106)));
    assert_true(sm_serve_run_is_moving(seen, "a", 8, S(136))); /* a slow step */
    assert_true(sm_serve_run_is_moving(seen, "a", 9, S(160)));
    assert_true(sm_serve_run_is_moving(seen, "a", 9, S(219)));
    assert_false(sm_serve_run_is_moving(seen, "a", 9, S(220))); /* stopped */
    assert_false(sm_serve_run_is_moving(seen, "a", 9, S(9000)));
    assert_true(sm_serve_run_is_moving(seen, "a", 5, S(9003))); /* resumed from a checkpoint */
    assert_false(sm_serve_run_is_moving(seen, "given up", 9, S(9003)));
    json_decref(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_is_under_way_while_it_moves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
