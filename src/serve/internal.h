/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the service share. */
#ifndef SMELT_SERVE_INTERNAL_H
#define SMELT_SERVE_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "smelt/serve.h"

enum { N_ROUTE_KIND = 10, N_CODE_CLASS = 6, MAX_STOP = 16 };

typedef enum route_kind {
    ROUTE_MODELS, ROUTE_COMPLETIONS, ROUTE_CHAT, ROUTE_ASK, ROUTE_HEALTH, ROUTE_METRICS,
    ROUTE_API, ROUTE_ASSET, ROUTE_UNKNOWN, ROUTE_REFUSED
} route_kind;

struct sm_server {
    sm_serve_config config;
    sm_ctx ctx;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool stopping;
    pthread_mutex_t index_lock; /* an index answers one question at a time */
    atomic_llong n_answered[N_ROUTE_KIND][N_CODE_CLASS]; /* by kind and code / 100 */
    atomic_llong next_id;
    int64_t started_ns;
};

/** One HTTP exchange. */
typedef struct exchange {
    sm_server *server;
    struct MHD_Connection *connection;
    route_kind kind;
    sm_buf body;
    bool too_large;
} exchange;

typedef enum MHD_Result mhd_result;

/* reply.c */
mhd_result reply_json(exchange *x, unsigned code, json_t *body); /* takes body */
mhd_result reply_text(exchange *x, unsigned code, const char *type, const char *text);
mhd_result reply_bytes(exchange *x, const char *type, const void *data, size_t len);
/** OpenAI's error object; param and code may be NULL. */
mhd_result reply_error(exchange *x, unsigned http, const char *type, const char *param,
                       const char *code, const char *message);
/** The HTTP status of an sm_status. */
mhd_result reply_status(exchange *x, sm_status s, const char *param, const sm_err *err);
void add_common_headers(struct MHD_Response *r);
void count_answer(exchange *x, unsigned code);

/* request.c */
/** What a completion request asks for.  Strings live in `body`. */
typedef struct completion_request {
    json_t *body;
    sm_buf prompt;
    sm_sampling sampling;
    const char *stop[MAX_STOP + 1];
    bool stream, include_usage, is_chat;
} completion_request;
/** Parse and check a body; on failure *param names the field. */
sm_status request_parse(completion_request *r, const exchange *x, bool is_chat,
                        const char **param, sm_err *err);
void request_free(completion_request *r);
/** "model", when given, must be the one served. */
bool request_model_matches(const json_t *body, const sm_server *s);

/* completion.c, ask.c, metrics.c */
mhd_result answer_completion(exchange *x, bool is_chat);
mhd_result answer_ask(exchange *x);
mhd_result answer_metrics(exchange *x);
mhd_result answer_models(exchange *x);
mhd_result answer_health(exchange *x);

#endif
