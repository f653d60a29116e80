/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork-join pool.  Tasks are indices handed out by an atomic counter: which thread takes
 * which index is free, what an index computes is not, so results do not depend on the
 * number of threads.  Workers spin briefly between loops before they sleep: a training
 * step has hundreds of loops of a few microseconds.
 *
 * Invariants of `state` = generation << 32 | open << 31 | workers inside:
 *  1. a worker enters only while the loop of the generation it saw is open;
 *  2. the caller closes the loop when the indices are used up, then waits only for those
 *     inside: a worker that the system has not scheduled holds nobody up;
 *  3. fn, arg and n are written only while the loop is closed and nobody is inside.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "smelt/sys.h"

enum { SPIN = 4000, MAX_THREADS = 256 };

typedef struct worker {
    struct sm_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct sm_pool {
    int n_threads, n_started;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    atomic_uint_fast64_t state;
    atomic_bool quit;
    atomic_ptrdiff_t next;
    ptrdiff_t n;
    void (*fn)(void *, ptrdiff_t, int);
    void *arg;
    sm_trace *trace;
    worker *workers;
};

static const uint_fast64_t OPEN = UINT64_C(1) << 31, INSIDE = (UINT64_C(1) << 31) - 1;

static unsigned generation_of(uint_fast64_t state)
{
    return (unsigned)(state >> 32);
}

static void run_share(sm_pool *p, int thread)
{
    sm_trace_span share = sm_trace_begin(p->trace, thread);
    ptrdiff_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
        p->fn(p->arg, i, thread);
    if (p->trace)
        sm_trace_close_share(&share);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Wait for another generation than the one seen; returns it. */
static unsigned wait_generation(sm_pool *p, unsigned seen)
{
    for (int i = 0; i < SPIN; i++) {
        unsigned g = generation_of(atomic_load_explicit(&p->state, memory_order_acquire));
        if (g != seen)
            return g;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (generation_of(atomic_load(&p->state)) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return generation_of(atomic_load_explicit(&p->state, memory_order_acquire));
}

/* Join the loop of this generation; false when it is over already. */
static bool enter(sm_pool *p, unsigned generation)
{
    uint_fast64_t s = atomic_load_explicit(&p->state, memory_order_acquire);
    while (generation_of(s) == generation && (s & OPEN))
        if (atomic_compare_exchange_weak_explicit(&p->state, &s, s + 1,
                                                  memory_order_acq_rel,
                                                  memory_order_acquire))
            return true;
    return false;
}

static void leave(sm_pool *p)
{
    uint_fast64_t before = atomic_fetch_sub_explicit(&p->state, 1, memory_order_acq_rel);
    if ((before & INSIDE) == 1 && !(before & OPEN)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->idle);
        pthread_mutex_unlock(&p->lock);
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    sm_pool *p = w->pool;
    unsigned seen = 0;
    sm_fp_enter();
    for (;;) {
        seen = wait_generation(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        if (enter(p, seen)) {
            run_share(p, w->index);
            leave(p);
        }
    }
}

sm_status sm_pool_create(sm_pool **out, int n_threads, sm_err *err)
{
    if (n_threads < 0 || n_threads > MAX_THREADS)
        return sm_fail(err, SM_EINVAL, "threads: got %d, want 0..%d", n_threads,
                       MAX_THREADS);
    if (n_threads == 0)
        n_threads = sm_cpu_get()->n_cpu;
    sm_pool *p = sm_alloc(1, sizeof *p);
    worker *w = sm_alloc((size_t)n_threads, sizeof *w);
    if (!p || !w) {
        free(p);
        free(w);
        return sm_fail(err, SM_ENOMEM, "pool: out of memory");
    }
    p->n_threads = n_threads;
    p->workers = w;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    for (int i = 1; i < n_threads; i++) {
        w[i] = (worker){.pool = p, .index = i};
        int e = pthread_create(&w[i].thread, NULL, worker_main, &w[i]);
        if (e) {
            sm_pool_free(p);
            return sm_fail_errno(err, e, "pool: thread %d of %d", i, n_threads);
        }
        p->n_started++;
    }
    *out = p;
    return SM_OK;
}

int sm_pool_n_threads(const sm_pool *pool)
{
    return pool ? pool->n_threads : 1;
}

void sm_pool_trace(sm_pool *pool, sm_trace *trace)
{
    if (pool)
        pool->trace = trace;
}

static bool is_empty(sm_pool *p)
{
    return (atomic_load_explicit(&p->state, memory_order_acquire) & INSIDE) == 0;
}

static void wait_idle(sm_pool *p)
{
    for (int i = 0; i < SPIN; i++) {
        if (is_empty(p))
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (!is_empty(p))
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* Begin a generation, open or (at the end) closed; nobody is inside. */
static void publish(sm_pool *p, uint_fast64_t open)
{
    unsigned next = generation_of(atomic_load(&p->state)) + 1;
    pthread_mutex_lock(&p->lock);
    atomic_store_explicit(&p->state, (uint_fast64_t)next << 32 | open,
                          memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void sm_pool_run(sm_pool *pool, ptrdiff_t n, void (*fn)(void *, ptrdiff_t, int), void *arg)
{
    unsigned saved = sm_fp_enter();
    if (!pool || pool->n_started == 0 || n <= 1) {
        sm_trace_span share = sm_trace_begin(pool ? pool->trace : NULL, 0);
        for (ptrdiff_t i = 0; i < n; i++)
            fn(arg, i, 0);
        if (share.trace)
            sm_trace_close_share(&share);
    } else {
        pool->fn = fn;
        pool->arg = arg;
        pool->n = n;
        atomic_store(&pool->next, 0);
        publish(pool, OPEN);
        run_share(pool, 0);
        atomic_fetch_and(&pool->state, ~OPEN);
        wait_idle(pool);
    }
    if (pool && pool->trace)
        sm_trace_spend_label(pool->trace);
    sm_fp_leave(saved);
}

void sm_pool_free(sm_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    publish(pool, 0);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->idle);
    free(pool->workers);
    free(pool);
}
