/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log: lanes of one thread each, a ring of events and a table of sums.
 *
 * Own time without a stack: a lane counts the nanoseconds that recorded spans have covered.
 * A span notes the count when it begins; what was covered since, when it ends, is what lies
 * inside it, and it then covers its whole duration itself.
 *
 * Invariants: 1. a lane is written by its thread alone; 2. the label is written by the
 * caller of a loop before the loop is open and read by workers before they leave it, so the
 * pool's own synchronisation orders it; 3. names are compared by address while recording
 * and by text when read.
 */
#include <stdlib.h>
#include <string.h>

#include "smelt/sys.h"

enum { MAX_THREADS = 256, OTHER = SM_TRACE_NAMES - 1 };

typedef struct lane {
    _Alignas(64) sm_event *event; /* [n_event] of the trace */
    size_t n;                     /* recorded in all        */
    int64_t covered_ns, busy_ns;
    sm_trace_sum sum[SM_TRACE_NAMES];
} lane;

struct sm_trace {
    int n_threads;
    size_t n_event;
    lane *lane;
    struct {
        const char *name;
        double flops, bytes;
        bool is_spent; /* a loop has carried the costs */
    } label;
};

sm_status sm_trace_create(sm_trace **out, int n_threads, size_t n_event, sm_err *err)
{
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return sm_fail(err, SM_EINVAL, "trace: threads: got %d, want 1..%d", n_threads,
                       MAX_THREADS);
    sm_trace *t = sm_alloc(1, sizeof *t);
    lane *l = sm_aligned_alloc((size_t)n_threads * sizeof *l);
    if (!t || !l) {
        free(t);
        sm_aligned_free(l);
        return sm_fail(err, SM_ENOMEM, "trace: out of memory");
    }
    *t = (sm_trace){.n_threads = n_threads, .n_event = n_event, .lane = l};
    for (int i = 0; i < n_threads && n_event > 0; i++) {
        l[i].event = sm_alloc(n_event, sizeof *l[i].event);
        if (!l[i].event) {
            sm_trace_free(t);
            return sm_fail(err, SM_ENOMEM, "trace: %zu events: out of memory", n_event);
        }
    }
    *out = t;
    return SM_OK;
}

void sm_trace_free(sm_trace *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n_threads; i++)
        free(t->lane[i].event);
    sm_aligned_free(t->lane);
    free(t);
}

/* --------------------------------------------------------------- recording */

static sm_trace_sum *sum_of(lane *l, const char *name)
{
    size_t at = ((uintptr_t)name >> 3) % OTHER;
    for (size_t i = 0; i < OTHER; i++, at = (at + 1) % OTHER)
        if (l->sum[at].name == name || !l->sum[at].name) {
            l->sum[at].name = name;
            return &l->sum[at];
        }
    l->sum[OTHER].name = "other";
    return &l->sum[OTHER];
}

void sm_trace_open(sm_trace_span *s)
{
    s->covered_ns = s->trace->lane[s->thread].covered_ns;
    s->start_ns = sm_clock_ns();
}

void sm_trace_close(sm_trace_span *s, const char *name, int64_t count, double flops,
                    double bytes)
{
    lane *l = &s->trace->lane[s->thread];
    int64_t now = sm_clock_ns(), ns = now - s->start_ns;
    sm_trace_sum *sum = sum_of(l, name);
    sum->count += count;
    sum->total_ns += ns;
    sum->self_ns += ns - (l->covered_ns - s->covered_ns);
    sum->flops += flops;
    sum->bytes += bytes;
    if (s->trace->n_event > 0)
        l->event[l->n % s->trace->n_event] = (sm_event){.name = name,
                                                        .start_ns = s->start_ns,
                                                        .ns = ns,
                                                        .flops = (float)flops,
                                                        .bytes = (float)bytes};
    l->n++;
    l->covered_ns = s->covered_ns = s->covered_ns + ns;
    s->start_ns = now;
}

void sm_trace_set_label(sm_trace *t, const char *name, double flops, double bytes)
{
    t->label.name = name;
    t->label.flops = flops;
    t->label.bytes = bytes;
    t->label.is_spent = false;
}

void sm_trace_spend_label(sm_trace *t)
{
    t->label.is_spent = t->label.name != NULL;
}

void sm_trace_close_share(sm_trace_span *s)
{
    sm_trace *t = s->trace;
    int64_t start = s->start_ns;
    bool is_caller = s->thread == 0 && !t->label.is_spent;
    sm_trace_close(s, t->label.name ? t->label.name : "loop", is_caller,
                   is_caller ? t->label.flops : 0, is_caller ? t->label.bytes : 0);
    t->lane[s->thread].busy_ns += s->start_ns - start;
}

/* ----------------------------------------------------------------- reading */

int sm_trace_n_threads(const sm_trace *t)
{
    return t->n_threads;
}

int64_t sm_trace_busy_ns(const sm_trace *t, int thread)
{
    return t->lane[thread].busy_ns;
}

int64_t sm_trace_n_lost(const sm_trace *t)
{
    int64_t lost = 0;
    for (int i = 0; i < t->n_threads; i++)
        if (t->n_event > 0 && t->lane[i].n > t->n_event)
            lost += (int64_t)(t->lane[i].n - t->n_event);
    return lost;
}

/* Add a lane's sum to the one of the same text, or append it. */
static size_t merge(sm_trace_sum *out, size_t n, size_t max, const sm_trace_sum *s)
{
    size_t i = 0;
    while (i < n && strcmp(out[i].name, s->name) != 0)
        i++;
    if (i == max)
        return n;
    if (i == n) {
        out[n++] = *s;
        return n;
    }
    out[i].count += s->count;
    out[i].self_ns += s->self_ns;
    out[i].total_ns += s->total_ns;
    out[i].flops += s->flops;
    out[i].bytes += s->bytes;
    return n;
}

static int by_self(const void *a, const void *b)
{
    const sm_trace_sum *x = a, *y = b;
    if (x->self_ns != y->self_ns)
        return x->self_ns < y->self_ns ? 1 : -1;
    return strcmp(x->name, y->name);
}

size_t sm_trace_sums(const sm_trace *t, sm_trace_sum *out, size_t max)
{
    size_t n = 0;
    for (int i = 0; i < t->n_threads; i++)
        for (size_t k = 0; k < SM_TRACE_NAMES; k++)
            if (t->lane[i].sum[k].name)
                n = merge(out, n, max, &t->lane[i].sum[k]);
    qsort(out, n, sizeof *out, by_self);
    return n;
}

/* ----------------------------------------------------------------- writing */

typedef struct kept {
    const lane *lane;
    size_t first, n; /* ring positions first .. first+n-1, modulo n_event */
} kept;

static kept kept_of(const sm_trace *t, int i)
{
    const lane *l = &t->lane[i];
    size_t n = l->n < t->n_event ? l->n : t->n_event;
    return (kept){.lane = l, .first = l->n - n, .n = n};
}

static const sm_event *event_at(const sm_trace *t, const kept *k, size_t i)
{
    return &k->lane->event[(k->first + i) % t->n_event];
}

static int64_t first_ns(const sm_trace *t)
{
    int64_t first = INT64_MAX;
    for (int i = 0; i < t->n_threads; i++) {
        kept k = kept_of(t, i);
        for (size_t e = 0; e < k.n; e++)
            if (event_at(t, &k, e)->start_ns < first)
                first = event_at(t, &k, e)->start_ns;
    }
    return first;
}

static void put_event(sm_buf *b, const sm_event *e, int thread, int64_t first)
{
    int64_t at = e->start_ns - first;
    sm_buf_printf(b,
                  ",\n{\"ph\":\"X\",\"cat\":\"op\",\"name\":\"%s\",\"ts\":%lld.%03d,"
                  "\"dur\":%lld.%03d,\"pid\":1,\"tid\":%d",
                  e->name, (long long)(at / 1000), (int)(at % 1000),
                  (long long)(e->ns / 1000), (int)(e->ns % 1000), thread);
    if (e->flops > 0 || e->bytes > 0)
        sm_buf_printf(b, ",\"args\":{\"flops\":%.6g,\"bytes\":%.6g}", (double)e->flops,
                      (double)e->bytes);
    sm_buf_puts(b, "}");
}

static void put_head(sm_buf *b, const sm_trace *t, const char *process)
{
    sm_buf_printf(b,
                  "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"lost_events\":%lld},\n"
                  "\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,"
                  "\"tid\":0,\"ts\":0,\"args\":{\"name\":\"%s\"}}",
                  (long long)sm_trace_n_lost(t), process);
    for (int i = 0; i < t->n_threads; i++)
        sm_buf_printf(b,
                      ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%d,"
                      "\"ts\":0,\"args\":{\"name\":\"thread %d\"}}",
                      i, i);
}

static sm_status flush(sm_file_writer *w, sm_buf *b, sm_err *err)
{
    if (b->failed)
        return sm_fail(err, SM_ENOMEM, "trace: out of memory");
    sm_status s = sm_file_writer_put(w, b->data, b->len, err);
    sm_buf_clear(b);
    return s;
}

sm_status sm_trace_write(const sm_trace *t, const char *path, const char *process,
                         sm_err *err)
{
    sm_file_writer *w = NULL;
    sm_buf b = {0};
    int64_t first = first_ns(t);
    sm_status s = sm_file_writer_open_named(&w, path, 0644, err);
    if (s)
        return s;
    put_head(&b, t, process);
    for (int i = 0; i < t->n_threads && !s; i++) {
        kept k = kept_of(t, i);
        for (size_t e = 0; e < k.n && !s; e++) {
            put_event(&b, event_at(t, &k, e), i, first);
            if (b.len > 1 << 16)
                s = flush(w, &b, err);
        }
    }
    sm_buf_puts(&b, "\n]}\n");
    if (!s)
        s = flush(w, &b, err);
    sm_buf_free(&b);
    if (!s)
        return sm_file_writer_commit(w, err);
    sm_file_writer_abort(w);
    return s;
}
