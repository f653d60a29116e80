/* SPDX-License-Identifier: Apache-2.0 */
/* A generation on its way from the engine's thread to a connection's. */
#ifndef SMELT_SERVE_STREAM_H
#define SMELT_SERVE_STREAM_H

#include "internal.h"

/**
 * Shared by two owners, the engine (until done is called) and the connection; the last one
 * to leave frees it.  Everything below `lock` is guarded by it.
 */
typedef struct stream {
    sm_server *server;
    int64_t engine_id, asked_ns;
    int fd; /* the connection's socket, to notice that the peer left */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sm_buf text; /* generated and not yet taken */
    bool is_done, is_cancelled;
    sm_finish why;
    int32_t n_prompt, n_generated;
    sm_err err;
    int n_owners;
} stream;

/** Start generating. On success the caller owns one share of *out. */
sm_status stream_start(stream **out, exchange *x, const completion_request *r, sm_err *err);
/** Wait for text or the end, or until `until_ns` on sm_clock_ns().  Moves the text so far
 * into `out`; false when the peer left or the server stops (the generation is then
 * cancelled). */
bool stream_wait(stream *s, sm_buf *out, bool *is_done, int64_t until_ns);
/** Give up the connection's share, cancelling when not done. */
void stream_leave(stream *s);
const char *finish_name(sm_finish why);

#endif
