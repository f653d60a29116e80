/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork-join pool.  Tasks are indices handed out by an atomic counter: which thread takes
 * which index is free, what an index computes is not, so results do not depend on the
 * number of threads.  Workers spin briefly between loops before they sleep: a training
 * step has hundreds of loops of a few microseconds.
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
    atomic_uint generation; /* a new loop, or the end */
    atomic_int n_busy;      /* workers that have not finished this loop */
    atomic_bool quit;
    atomic_ptrdiff_t next;
    ptrdiff_t n;
    void (*fn)(void *, ptrdiff_t, int);
    void *arg;
    worker *workers;
};

static void run_share(sm_pool *p, int thread)
{
    ptrdiff_t i;
    while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
        p->fn(p->arg, i, thread);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static unsigned wait_generation(sm_pool *p, unsigned seen)
{
    for (int i = 0; i < SPIN; i++) {
        unsigned g = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (g != seen)
            return g;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load_explicit(&p->generation, memory_order_acquire);
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
        run_share(p, w->index);
        if (atomic_fetch_sub_explicit(&p->n_busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
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

static void wait_idle(sm_pool *p)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&p->n_busy, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->n_busy, memory_order_acquire) != 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void publish(sm_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void sm_pool_run(sm_pool *pool, ptrdiff_t n, void (*fn)(void *, ptrdiff_t, int), void *arg)
{
    unsigned saved = sm_fp_enter();
    if (!pool || pool->n_started == 0 || n <= 1) {
        for (ptrdiff_t i = 0; i < n; i++)
            fn(arg, i, 0);
    } else {
        pool->fn = fn;
        pool->arg = arg;
        pool->n = n;
        atomic_store(&pool->next, 0);
        atomic_store(&pool->n_busy, pool->n_started);
        publish(pool);
        run_share(pool, 0);
        wait_idle(pool);
    }
    sm_fp_leave(saved);
}

void sm_pool_free(sm_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    publish(pool);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->idle);
    free(pool->workers);
    free(pool);
}
