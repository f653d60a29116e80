/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic and wall-clock time. */
#include <stdio.h>
#include <time.h>

#include "smelt/sys.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t sm_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sm_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void sm_wall_format(char out[32], int64_t wall_ns)
{
    time_t t = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "?");
}
