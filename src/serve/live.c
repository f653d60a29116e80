/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs are under way.  The store cannot say: a run without a record works, was stopped
 * or has crashed.  A run that works moves on. */
#include "smelt/serve.h"

#define STILL_NS (60 * (int64_t)1000000000)

bool sm_serve_run_is_moving(json_t *seen, const char *run, int64_t step, int64_t now_ns)
{
    json_t *was = json_object_get(seen, run);
    if (!was) {
        json_object_set_new(seen, run, json_pack("{s:I}", "step", (json_int_t)step));
        return false;
    }
    if (json_integer_value(json_object_get(was, "step")) != step) {
        json_object_set_new(was, "step", json_integer(step));
        json_object_set_new(was, "moved_ns", json_integer(now_ns));
    }
    const json_t *moved_ns = json_object_get(was, "moved_ns");
    return moved_ns && now_ns - json_integer_value(moved_ns) < STILL_NS;
}
