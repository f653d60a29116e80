/* SPDX-License-Identifier: Apache-2.0 */
/* What a context carries: log and progress sinks, silent when absent, and the stop flag. */
#include <stdio.h>

#include "smelt/base.h"

void sm_log_line(const sm_log *log, sm_log_level level, const char *fmt, ...)
{
    if (!log || !log->emit || level > log->level)
        return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log->emit(log->self, level, line);
}

void sm_progress_update(const sm_progress *p, const char *what, int64_t done,
                        int64_t total, const char *unit, const char *detail)
{
    if (p && p->update)
        p->update(p->self, what, done, total, unit, detail);
}

bool sm_stopped(const sm_ctx *ctx)
{
    return ctx->stop && __atomic_load_n(ctx->stop, __ATOMIC_RELAXED);
}

void sm_stop_set(volatile int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELAXED);
}
