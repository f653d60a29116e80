/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the service share. */
#ifndef SMELT_SERVE_INTERNAL_H
#define SMELT_SERVE_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "smelt/serve.h"

#define STOPPING_MESSAGE "the service is stopping"
#define MODEL_PREFIX "/v1/models/" /* and the name of one */

enum { N_ROUTE_KIND = 10, N_CODE_CLASS = 6, MAX_STOP = 16, N_BUCKET = 13 };

typedef enum route_kind {
    ROUTE_MODELS, ROUTE_COMPLETIONS, ROUTE_CHAT, ROUTE_ASK, ROUTE_HEALTH, ROUTE_METRICS,
    ROUTE_API, ROUTE_ASSET, ROUTE_UNKNOWN, ROUTE_REFUSED
} route_kind;

/** Durations counted into buckets; the last one has no upper bound. */
typedef struct histogram {
    atomic_llong n[N_BUCKET];
    atomic_llong sum_ns;
} histogram;

struct sm_server {
    sm_serve_config config;
    sm_ctx ctx;
    struct MHD_Daemon *daemon;
    int port;
    bool is_local; /* listens on loopback: Host and Origin are checked */
    atomic_bool stopping;
    atomic_int n_open; /* exchanges that were begun and have not ended */
    atomic_int n_connections;
    pthread_mutex_t index_lock; /* an index answers one question at a time */
    atomic_llong n_answered[N_ROUTE_KIND][N_CODE_CLASS]; /* by kind and code / 100 */
    histogram duration[N_ROUTE_KIND]; /* of requests that compute: completions, chat, ask */
    histogram first_text;             /* from request to first text of a generation      */
    atomic_llong next_id;
    int64_t started_ns;
    uint64_t seed; /* of requests that name none: mixed with their number */
};

/** One HTTP exchange. */
typedef struct exchange {
    sm_server *server;
    struct MHD_Connection *connection;
    route_kind kind;
    sm_buf body;
    size_t n_dropped; /* bytes of a body that is too large */
    bool is_timed;    /* came to a route that computes */
    int64_t started_ns;
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
/** 404: the model is another; got is its name. */
mhd_result reply_no_model(exchange *x, const char *got);
/** 503: the service stops. */
mhd_result reply_stopping(exchange *x);
/** 204: which methods the route has, and what a page on this machine may send. */
mhd_result reply_options(exchange *x);
void add_common_headers(struct MHD_Response *r, const exchange *x);
void count_answer(exchange *x, unsigned code);
bool is_post_route(route_kind kind);
/** A JSON string of bytes, each that is not UTF-8 replaced by U+FFFD. */
json_t *clean_string(const char *text, size_t len);

/* request.c */
/** What a completion request asks for.  Strings live in `body`. */
typedef struct completion_request {
    json_t *body;
    sm_buf prompt;
    sm_sampling sampling;
    const char *stop[MAX_STOP + 1];
    bool stream, include_usage, is_chat, has_seed;
} completion_request;
/** Parse and check a body; on failure *param names the field (NULL: none in particular)
 * and r is empty. */
sm_status request_parse(completion_request *r, const exchange *x, bool is_chat,
                        const char **param, sm_err *err);
void request_free(completion_request *r);
/** The field that a message of a lower room is about ("top_p: got 0, ..."); NULL: none. */
const char *request_param_of(const sm_err *err, bool is_chat);
/** "model", when given, must be the one served. */
bool request_model_matches(const json_t *body, const sm_server *s);

/* connections.c */
/** Counts connections; the callback of MHD_OPTION_NOTIFY_CONNECTION, cls a server. */
void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                   enum MHD_ConnectionNotificationCode what);
/** Nearly as many connections are held as may be: an answer is the last of its own. */
bool is_crowded(const sm_server *s);
/** Whether this connection is one of those beyond max_connections. */
bool is_surplus(const exchange *x);

/* foreign.c */
/** Fields of other servers that would change the answer: SM_EUNSUPPORTED names the first. */
sm_status request_refuse_foreign(const json_t *body, const char **param, sm_err *err);

/* guard.c */
/** A numeric IPv4 or IPv6 address, port 0; false when the text is neither. */
bool address_parse(struct sockaddr_storage *out, const char *text);
/** 127/8, ::1, or the former mapped into IPv6. */
bool address_is_loopback(const struct sockaddr_storage *a);
/** Whether a Host header (NULL: none) names this machine. */
bool host_is_local(const char *host);
/** Whether an Origin header names a page of this machine. */
bool origin_is_local(const char *origin);
/** Whether a header can be read in one way only; both strings end with a NUL. */
bool header_is_plain(const char *name, size_t name_len, const char *value,
                     size_t value_len);
/** The same of all headers together: one length, or chunks, or neither; one Host and one
 * Origin at most. */
bool headers_are_plain(struct MHD_Connection *c);

/* completion.c, ask.c, metrics.c */
void observe(histogram *h, int64_t ns);
mhd_result answer_completion(exchange *x, bool is_chat);
mhd_result answer_ask(exchange *x);
mhd_result answer_metrics(exchange *x);
mhd_result answer_models(exchange *x, const char *url);
mhd_result answer_health(exchange *x);

#endif
