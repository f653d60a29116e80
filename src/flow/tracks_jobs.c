/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks side by side: one thread a job, each task with a pool of its own.
 *
 * Tasks begin in order.  The calling thread passes the user's wish to stop on to the jobs;
 * one mutex guards what they share: the next task, the first error, the progress line.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tracks.h"

typedef struct tracks_jobs {
    const sm_ctx *ctx;
    const tracks_tasks *tasks;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    tracks_job *job;
    int n_job, n_live, next;
    int64_t finished_steps; /* of tasks that ended */
    sm_status status;
    sm_err err;
} tracks_jobs;

/* ---------------------------------------------------------------- progress */

/* "moe s1 loss 3.2 | dense s1 loss 3.4" */
static void show(tracks_jobs *j)
{
    char text[240] = "";
    int64_t done = j->finished_steps;
    size_t n = 0;
    for (int i = 0; i < j->n_job; i++) {
        const tracks_job *b = &j->job[i];
        done += b->done;
        if (*b->label && n + 40 < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%.24s %.14s",
                                  n ? " | " : "", b->label, b->figure);
        n = n < sizeof text ? n : sizeof text - 1;
    }
    sm_progress_update(j->ctx->progress, j->tasks->what, done, j->tasks->total_steps,
                       "steps", text);
}

static bool user_stops(const tracks_jobs *j)
{
    return sm_stopped(j->ctx);
}

static void on_progress(void *self, const char *what, int64_t done, int64_t total,
                        const char *unit, const char *detail)
{
    tracks_job *b = self;
    (void)total;
    (void)unit;
    if (strcmp(what, "train") != 0)
        return;
    pthread_mutex_lock(&b->jobs->mutex);
    b->done = done;
    snprintf(b->figure, sizeof b->figure, "%s", detail ? detail : "");
    if (b->pause > 0 && done >= b->pause) {
        b->paused = true;
        sm_stop_set(&b->stop, 1);
    }
    show(b->jobs);
    if (user_stops(b->jobs))
        sm_stop_set(&b->stop, 1);
    pthread_mutex_unlock(&b->jobs->mutex);
}

void tracks_set_label(tracks_job *job, const char *label)
{
    pthread_mutex_lock(&job->jobs->mutex);
    snprintf(job->label, sizeof job->label, "%s", label);
    pthread_mutex_unlock(&job->jobs->mutex);
}

void tracks_pause_at(tracks_job *job, int64_t step)
{
    tracks_jobs *j = job->jobs;
    pthread_mutex_lock(&j->mutex);
    job->pause = step;
    job->paused = false;
    sm_stop_set(&job->stop, j->status || user_stops(j));
    pthread_mutex_unlock(&j->mutex);
}

/* -------------------------------------------------------------------- jobs */

/* The next task, -1 when there is none or an end was asked for. */
static int take_next(tracks_jobs *j, tracks_job *b)
{
    int i = -1;
    pthread_mutex_lock(&j->mutex);
    if (!j->status && user_stops(j) && j->next < j->tasks->n)
        j->status = sm_fail(&j->err, SM_ECANCEL,
                            "%s: stopped on request; run it again "
                            "to go on",
                            j->tasks->what);
    if (!j->status && j->next < j->tasks->n)
        i = j->next++;
    sm_stop_set(&b->stop, 0);
    b->pause = b->done = 0;
    b->paused = false;
    b->label[0] = b->figure[0] = 0;
    pthread_mutex_unlock(&j->mutex);
    return i;
}

static void note_end(tracks_jobs *j, tracks_job *b, sm_status s, const sm_err *err)
{
    pthread_mutex_lock(&j->mutex);
    j->finished_steps += b->done;
    b->done = 0;
    b->label[0] = 0;
    if (s && !j->status) {
        j->status = s;
        j->err = *err;
        for (int k = 0; k < j->n_job; k++)
            sm_stop_set(&j->job[k].stop, 1);
    }
    pthread_mutex_unlock(&j->mutex);
}

static sm_status run_task(tracks_jobs *j, tracks_job *b, int i, sm_err *err)
{
    sm_pool *pool = NULL;
    int threads = j->tasks->threads(j->tasks->arg, i);
    sm_status s = threads > 1 ? sm_pool_create(&pool, threads, err) : SM_OK;
    b->ctx = *j->ctx;
    b->ctx.pool = pool;
    b->ctx.comm = sm_comm_self();
    b->ctx.stop = &b->stop;
    b->progress = (sm_progress){.update = on_progress, .self = b};
    b->ctx.progress = &b->progress;
    if (!s)
        s = j->tasks->task(j->tasks->arg, i, b, err);
    sm_pool_free(pool);
    return s;
}

static void *work(void *arg)
{
    tracks_job *b = arg;
    tracks_jobs *j = b->jobs;
    for (int i = take_next(j, b); i >= 0; i = take_next(j, b)) {
        sm_err err = {0};
        sm_status s = run_task(j, b, i, &err);
        note_end(j, b, s, &err);
    }
    pthread_mutex_lock(&j->mutex);
    j->n_live--;
    pthread_cond_signal(&j->ended);
    pthread_mutex_unlock(&j->mutex);
    return NULL;
}

/* Until all jobs have ended, look ten times a second whether the user wants to stop. */
static void watch(tracks_jobs *j)
{
    pthread_mutex_lock(&j->mutex);
    while (j->n_live > 0) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 100000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&j->ended, &j->mutex, &t);
        for (int i = 0; i < j->n_job && user_stops(j); i++)
            sm_stop_set(&j->job[i].stop, 1);
    }
    pthread_mutex_unlock(&j->mutex);
}

sm_status tracks_side_by_side(const sm_ctx *ctx, const tracks_tasks *t, sm_err *err)
{
    tracks_jobs j = {.ctx = ctx, .tasks = t};
    int n = t->n_jobs < t->n ? t->n_jobs : t->n, n_begun = 0;
    pthread_t *thread = sm_alloc((size_t)n + 1, sizeof *thread);
    j.job = sm_alloc((size_t)n + 1, sizeof *j.job);
    if (!thread || !j.job) {
        free(thread);
        free(j.job);
        return sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    }
    pthread_mutex_init(&j.mutex, NULL);
    pthread_cond_init(&j.ended, NULL);
    pthread_mutex_lock(&j.mutex);
    for (; n_begun < n; n_begun++) {
        j.job[n_begun].jobs = &j;
        int e = pthread_create(&thread[n_begun], NULL, work, &j.job[n_begun]);
        if (e) {
            j.status = sm_fail_errno(&j.err, e, "tracks: thread");
            break;
        }
        j.n_live++;
        j.n_job++;
    }
    pthread_mutex_unlock(&j.mutex);
    watch(&j);
    for (int i = 0; i < n_begun; i++)
        pthread_join(thread[i], NULL);
    pthread_cond_destroy(&j.ended);
    pthread_mutex_destroy(&j.mutex);
    free(thread);
    free(j.job);
    if (j.status && err)
        *err = j.err;
    return j.status;
}
