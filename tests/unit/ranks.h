/* SPDX-License-Identifier: Apache-2.0 */
/* Pretend ranks: threads of one process that meet only through sm_comm.  Included after
 * cmocka.h. */
#ifndef UNIT_RANKS_H
#define UNIT_RANKS_H

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "smelt/sys.h"

/* Threads of one process as ranks: a mailbox of one message for every pair. */
enum { MAX_RANKS = 4 };

typedef struct mailbox {
    const void *data;
    size_t bytes;
    bool full;
} mailbox;

typedef struct world {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    mailbox box[MAX_RANKS][MAX_RANKS]; /* [from][to] */
    int n_ranks;
} world;

typedef struct member {
    world *world;
    int rank;
} member;

SM_UNUSED static sm_status world_send(void *self, const void *data, size_t bytes, int to,
                                      sm_err *err)
{
    member *m = self;
    mailbox *b = &m->world->box[m->rank][to];
    (void)err;
    pthread_mutex_lock(&m->world->lock);
    *b = (mailbox){.data = data, .bytes = bytes, .full = true};
    pthread_cond_broadcast(&m->world->moved);
    while (b->full)
        pthread_cond_wait(&m->world->moved, &m->world->lock);
    pthread_mutex_unlock(&m->world->lock);
    return SM_OK;
}

SM_UNUSED static sm_status world_recv(void *self, void *data, size_t bytes, int from,
                                      sm_err *err)
{
    member *m = self;
    mailbox *b = &m->world->box[from][m->rank];
    sm_status s = SM_OK;
    pthread_mutex_lock(&m->world->lock);
    while (!b->full)
        pthread_cond_wait(&m->world->moved, &m->world->lock);
    if (b->bytes == bytes)
        memcpy(data, b->data, bytes);
    else
        s = sm_fail(err, SM_EIO, "got %zu bytes, want %zu", b->bytes, bytes);
    b->full = false;
    pthread_cond_broadcast(&m->world->moved);
    pthread_mutex_unlock(&m->world->lock);
    return s;
}

SM_UNUSED static sm_status world_broadcast(void *self, void *data, size_t bytes, int root,
                                           sm_err *err)
{
    member *m = self;
    sm_status s = SM_OK;
    if (m->rank != root)
        return world_recv(self, data, bytes, root, err);
    for (int to = 0; to < m->world->n_ranks && !s; to++)
        if (to != root)
            s = world_send(self, data, bytes, to, err);
    return s;
}

SM_UNUSED static sm_status world_barrier(void *self, sm_err *err)
{
    char c = 0;
    member *m = self;
    sm_status s = SM_OK;
    for (int r = 1; r < m->world->n_ranks && !s; r++)
        s = m->rank == 0   ? world_recv(self, &c, 1, r, err)
            : m->rank == r ? world_send(self, &c, 1, 0, err)
                           : SM_OK;
    return s ? s : world_broadcast(self, &c, 1, 0, err);
}

/* Run fn(rank's comm, arg) on n threads and wait. */
typedef struct rank_task {
    member member;
    sm_comm comm;
    void (*fn)(sm_comm *comm, void *arg);
    void *arg;
} rank_task;

SM_UNUSED static void *rank_main(void *arg)
{
    rank_task *t = arg;
    t->fn(&t->comm, t->arg);
    return NULL;
}

SM_UNUSED static void run_ranks(int n, void (*fn)(sm_comm *comm, void *arg), void *arg)
{
    world w = {.n_ranks = n};
    rank_task task[MAX_RANKS];
    pthread_t thread[MAX_RANKS];
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.moved, NULL);
    for (int r = 0; r < n; r++) {
        task[r] = (rank_task){.member = {.world = &w, .rank = r}, .fn = fn, .arg = arg};
        task[r].comm = (sm_comm){.rank = r,
                                 .n_ranks = n,
                                 .self = &task[r].member,
                                 .barrier = world_barrier,
                                 .send = world_send,
                                 .recv = world_recv,
                                 .broadcast = world_broadcast};
        assert_int_equal(pthread_create(&thread[r], NULL, rank_main, &task[r]), 0);
    }
    for (int r = 0; r < n; r++)
        pthread_join(thread[r], NULL);
    pthread_cond_destroy(&w.moved);
    pthread_mutex_destroy(&w.lock);
}

#endif
