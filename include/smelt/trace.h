/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sys (L1): the event log.  What each thread did, when, how long, in how many
 * floating-point operations and bytes.
 *
 * A recorder hangs off sm_ctx.trace; NULL there means off, and every call below is then one
 * branch.  Each thread writes to a lane of its own: a ring of events allocated up front and
 * a table of sums, so recording takes no lock and allocates nothing.  Nothing recorded
 * enters a result.
 *
 *     sm_trace_span s = sm_trace_begin(ctx->trace, thread);
 *     ...                                  // norm
 *     sm_trace_lap(&s, "norm", flops, bytes);
 *     ...                                  // product
 *     sm_trace_lap(&s, "qkv", flops, bytes);
 *
 * Spans may nest; a span's own time is its duration less that of the spans inside.  One that
 * is begun and never ended costs nothing.  A pool given the recorder (sm_pool_trace) records
 * the share of each thread in each loop under the label of sm_trace_label.
 */
#ifndef SMELT_TRACE_H
#define SMELT_TRACE_H

#include "smelt/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SM_TRACE_NAMES = 64 /* distinct names a lane keeps sums of; more go to "other" */
};

typedef struct sm_trace sm_trace;

/** One thing that was done. */
typedef struct sm_event {
    const char *name; /* static storage                              */
    int64_t start_ns; /* of sm_clock_ns                              */
    int64_t ns;       /* duration, with what was done inside         */
    float flops, bytes;
} sm_event;

/** All that was done under one name. */
typedef struct sm_trace_sum {
    const char *name;
    int64_t count;           /* spans; the loops of a label count once           */
    int64_t self_ns;         /* over all threads, without the spans inside       */
    int64_t total_ns;        /* with them                                        */
    double flops, bytes;
} sm_trace_sum;

/** A span that is open. */
typedef struct sm_trace_span {
    sm_trace *trace; /* NULL: off */
    int64_t start_ns, covered_ns;
    int thread;
} sm_trace_span;

/** @param n_threads lanes, 1..256
 * @param n_event  events a lane keeps, the newest; 0: sums alone
 * @return SM_EINVAL, SM_ENOMEM */
SM_API sm_status sm_trace_create(sm_trace **out, int n_threads, size_t n_event,
                                 sm_err *err);
SM_API void sm_trace_free(sm_trace *t);

/* What the inline functions below call when the recorder is there. */
SM_API void sm_trace_open(sm_trace_span *s);
SM_API void sm_trace_close(sm_trace_span *s, const char *name, int64_t count, double flops,
                           double bytes);

/** Begin a span on the calling thread's lane. */
static inline sm_trace_span sm_trace_begin(sm_trace *t, int thread)
{
    sm_trace_span s; /* no initialiser by name: C++17 has none */
    s.trace = t;
    s.start_ns = s.covered_ns = 0;
    s.thread = thread;
    if (t)
        sm_trace_open(&s);
    return s;
}

/** End the span under a name (static storage) and begin the next one. */
static inline void sm_trace_lap(sm_trace_span *s, const char *name, double flops,
                                double bytes)
{
    if (s->trace)
        sm_trace_close(s, name, 1, flops, bytes);
}

/** Name the loops of the pool from now on and say what all of them cost until the next
 * label.  Called by the thread that is about to call sm_pool_run.  NULL: "loop". */
SM_API void sm_trace_set_label(sm_trace *t, const char *name, double flops, double bytes);
static inline void sm_trace_label(sm_trace *t, const char *name, double flops,
                                  double bytes)
{
    if (t)
        sm_trace_set_label(t, name, flops, bytes);
}
/** For pools: end a thread's share of a loop; thread 0 carries the costs of the label, in
 * the first of its loops. */
SM_API void sm_trace_close_share(sm_trace_span *s);
SM_API void sm_trace_spend_label(sm_trace *t);

/* ----------------------------------------------------------------- reading
 * While nothing records. */

/** Lanes. */
SM_API int sm_trace_n_threads(const sm_trace *t);
/** Sums by name, the largest own time first; returns how many, at most `max`. */
SM_API size_t sm_trace_sums(const sm_trace *t, sm_trace_sum *out, size_t max);
/** Nanoseconds that a thread was inside loops. */
SM_API int64_t sm_trace_busy_ns(const sm_trace *t, int thread);
/** Events that were overwritten because a ring was full. */
SM_API int64_t sm_trace_n_lost(const sm_trace *t);
/** The events that are kept, as Chrome trace events (JSON; Perfetto and about:tracing open
 * it): complete events "X" with ts and dur in microseconds since the first, tid the thread.
 * @param process name to show for the process; plain ASCII without quotes
 * @return SM_EIO, SM_ENOSPC */
SM_API sm_status sm_trace_write(const sm_trace *t, const char *path, const char *process,
                                sm_err *err);

#ifdef __cplusplus
}
#endif
#endif
