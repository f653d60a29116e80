/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: the engine appends text and says when it is done; the connection's thread waits
 * with a timeout short enough to notice a peer that left or a server that stops.
 */
#include <stdlib.h>
#include <time.h>

#include "smelt/sys.h"
#include "stream.h"

enum { POLL_MS = 50 };

static void release(stream *s)
{
    pthread_mutex_lock(&s->lock);
    int left = --s->n_owners;
    pthread_mutex_unlock(&s->lock);
    if (left > 0)
        return;
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    sm_buf_free(&s->text);
    free(s);
}

static bool on_text(void *self, const char *bytes, size_t n, int32_t n_tokens)
{
    stream *s = self;
    pthread_mutex_lock(&s->lock);
    sm_buf_put(&s->text, bytes, n);
    if (s->n_generated == 0 && !s->is_cancelled) /* else the server may be gone */
        observe(&s->server->first_text, sm_clock_ns() - s->asked_ns);
    s->n_generated = n_tokens;
    bool go_on = !s->is_cancelled && !s->text.failed;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void on_done(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                    const sm_err *err)
{
    stream *s = self;
    pthread_mutex_lock(&s->lock);
    s->is_done = true;
    s->why = why;
    s->n_prompt = n_prompt;
    s->n_generated = n_generated;
    if (err)
        s->err = *err;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    release(s);
}

static int socket_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

sm_status stream_start(stream **out, exchange *x, const completion_request *r, sm_err *err)
{
    stream *s = sm_alloc(1, sizeof *s);
    if (!s)
        return sm_fail(err, SM_ENOMEM, "stream: out of memory");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    s->server = x->server;
    s->asked_ns = x->started_ns;
    s->fd = socket_of(x->connection);
    s->n_owners = 2;
    sm_stream_sink sink = {.text = on_text, .done = on_done, .self = s};
    sm_status st = sm_engine_submit(x->server->config.engine, r->prompt.data ? r->prompt.data
                                                                             : "",
                                    r->prompt.len, &r->sampling, sink, &s->engine_id, err);
    if (st) {
        s->n_owners = 1; /* the engine never had its share */
        release(s);
        return st;
    }
    *out = s;
    return SM_OK;
}

static void deadline(struct timespec *t)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_nsec += POLL_MS * 1000000L;
    if (t->tv_nsec >= 1000000000L) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000L;
    }
}

bool stream_wait(stream *s, sm_buf *out, bool *is_done, int64_t until_ns)
{
    bool ok = true;
    pthread_mutex_lock(&s->lock);
    while (ok && s->text.len == 0 && !s->is_done && sm_clock_ns() < until_ns) {
        struct timespec t;
        deadline(&t);
        pthread_cond_timedwait(&s->changed, &s->lock, &t);
        ok = !sm_socket_peer_closed(s->fd) && !atomic_load(&s->server->stopping);
    }
    if (!s->is_done && atomic_load(&s->server->stopping)) /* however much text comes */
        ok = false;
    ok = ok && (s->text.len == 0 || sm_buf_put(out, s->text.data, s->text.len));
    sm_buf_clear(&s->text);
    *is_done = s->is_done;
    s->is_cancelled = s->is_cancelled || !ok;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void stream_leave(stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool cancel = !s->is_done;
    s->is_cancelled = true;
    pthread_mutex_unlock(&s->lock);
    if (cancel)
        sm_engine_cancel(s->server->config.engine, s->engine_id);
    release(s);
}

const char *finish_name(sm_finish why)
{
    switch (why) {
    case SM_FINISH_LENGTH:
        return "length";
    case SM_FINISH_CANCEL:
        return "cancelled";
    case SM_FINISH_ERROR:
        return "error";
    default:
        return "stop";
    }
}
