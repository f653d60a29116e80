/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a step went, by operation: the sums of the event log as a table and as JSON.
 *
 * Times are own times summed over threads; the share is of all that the threads had, steps
 * times threads.  A rate is what all threads would reach if they did nothing else.  JSON
 * has every operation, the table those that matter.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/kern.h"

static const char STEP[] = "step";
static const double SMALL = 0.0005; /* share below which an operation has no line */

typedef struct table {
    sm_trace_sum sum[SM_TRACE_NAMES];
    size_t n;
    const sm_trace *trace;
    int n_threads;
    int64_t n_steps;
    double step_ns, thread_ns; /* of the steps; times threads */
    profile_ceiling ceiling;
} table;

static table read_table(const sm_trace *t, profile_ceiling ceiling)
{
    table x = {.trace = t, .n_threads = sm_trace_n_threads(t), .ceiling = ceiling};
    x.n = sm_trace_sums(t, x.sum, SM_TRACE_NAMES);
    for (size_t i = 0; i < x.n; i++)
        if (!strcmp(x.sum[i].name, STEP)) {
            x.n_steps = x.sum[i].count;
            x.step_ns = (double)x.sum[i].total_ns;
        }
    x.thread_ns = x.step_ns * x.n_threads;
    return x;
}

/* 1e9 a second, over all threads. */
static double rate_of(const table *x, const sm_trace_sum *s, double what)
{
    bool is_step = !strcmp(s->name, STEP); /* one thread's clock stands for all */
    double ns = is_step ? (double)s->total_ns : (double)s->self_ns / x->n_threads;
    return ns > 0 ? what / ns : 0;
}

static double share_of(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* Is it part of a step?  Evaluations and checkpoints stand beside the steps. */
static bool is_in_step(const sm_trace_sum *s)
{
    return strcmp(s->name, "evaluation") != 0 && strcmp(s->name, "checkpoint") != 0;
}

static void print_number(FILE *f, int width, double x, const char *unit)
{
    if (x > 0)
        fprintf(f, "%*.*f%s", width, x < 10 ? 2 : x < 100 ? 1 : 0, x, unit);
    else
        fprintf(f, "%*s%*s", width, "-", (int)strlen(unit), "");
}

static void print_sum(FILE *f, const table *x, const sm_trace_sum *s)
{
    double gflops = rate_of(x, s, s->flops), gbytes = rate_of(x, s, s->bytes);
    const char *name = strcmp(s->name, STEP) != 0 ? s->name : "step, outside of loops";
    fprintf(f, "%-24s %9lld %10.1f", name, (long long)s->count, (double)s->self_ns / 1e6);
    if (is_in_step(s))
        fprintf(f, " %5.1f%%", 100 * share_of((double)s->self_ns, x->thread_ns));
    else
        fprintf(f, " %6s", "-");
    print_number(f, 9, gflops, "");
    print_number(f, 5, 100 * share_of(gflops, x->ceiling.gflops), "%");
    print_number(f, 8, gbytes, "");
    print_number(f, 5, 100 * share_of(gbytes, x->ceiling.gbytes_s), "%");
    fprintf(f, "\n");
}

static void print_threads(FILE *f, const table *x)
{
    for (int i = 0; i < x->n_threads; i++) {
        double busy = (double)sm_trace_busy_ns(x->trace, i);
        fprintf(f, "thread %-3d busy %5.1f%%  idle or serial %5.1f%%\n", i,
                100 * share_of(busy, x->step_ns),
                100 * share_of(x->step_ns - busy, x->step_ns));
    }
}

bool profile_print(FILE *f, const sm_trace *t, profile_ceiling ceiling)
{
    table x = read_table(t, ceiling);
    if (x.n_steps == 0)
        return false;
    fprintf(f, "%lld steps of %.1f ms on %d threads\n", (long long)x.n_steps,
            x.step_ns / 1e6 / (double)x.n_steps, x.n_threads);
    fprintf(f, "%-24s %9s %10s %6s%9s %5s%8s %5s\n", "operation", "calls", "thread ms",
            "share", "GFLOP/s", "peak", "GB/s", "read");
    sm_trace_sum rest = {.name = "everything else"};
    for (size_t i = 0; i < x.n; i++) {
        const sm_trace_sum *s = &x.sum[i];
        if (!is_in_step(s) || (double)s->self_ns >= SMALL * x.thread_ns) {
            print_sum(f, &x, s);
        } else {
            rest.count += s->count;
            rest.self_ns += s->self_ns;
        }
    }
    print_sum(f, &x, &rest);
    print_threads(f, &x);
    return true;
}

json_t *profile_json(const sm_trace *t, profile_ceiling ceiling)
{
    table x = read_table(t, ceiling);
    json_t *operations = json_array(), *threads = json_array();
    for (size_t i = 0; i < x.n; i++) {
        const sm_trace_sum *s = &x.sum[i];
        json_array_append_new(
            operations,
            json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f}", "name", s->name, "calls",
                      (json_int_t)s->count, "self_ms", (double)s->self_ns / 1e6,
                      "total_ms", (double)s->total_ns / 1e6, "share",
                      is_in_step(s) ? share_of((double)s->self_ns, x.thread_ns) : 0,
                      "gflops", rate_of(&x, s, s->flops), "gb_s",
                      rate_of(&x, s, s->bytes)));
    }
    for (int i = 0; i < x.n_threads; i++)
        json_array_append_new(
            threads, json_pack("{s:i, s:f}", "thread", i, "busy",
                               share_of((double)sm_trace_busy_ns(t, i), x.step_ns)));
    return json_pack("{s:I, s:f, s:f, s:f, s:o, s:o}", "steps", (json_int_t)x.n_steps,
                     "step_ms", share_of(x.step_ns / 1e6, (double)x.n_steps),
                     "ceiling_gflops", ceiling.gflops, "ceiling_gb_s", ceiling.gbytes_s,
                     "operations", operations, "threads", threads);
}

sm_status app_profile(app *a, const json_t *figures, profile_ceiling *out, sm_err *err)
{
    sm_kern_ceilings c;
    if (read_table(a->trace, *out).n_steps == 0)
        return SM_OK;
    sm_status s = sm_kern_ceiling(&c, &a->ctx, err);
    if (!s)
        s = sm_trace_write(a->trace, a->profile, "smelt train", err);
    if (s)
        return s;
    *out = (profile_ceiling){
        .gflops = json_number_value(json_object_get(figures, "ceiling_gflops")),
        .gbytes_s = c.read_gbytes_s};
    return SM_OK;
}
