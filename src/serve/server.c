/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: one thread a connection, limits, routes.
 *
 * Limits: connections at once (connections.c); 64 KiB of headers; 30 s of a peer's silence;
 * a body of max_body_bytes within a minute.  A body that is larger is read on and dropped up
 * to DROP_FACTOR times that size, so that its sender sees the answer, and cut off beyond.
 *
 * Stopping: nobody can connect any more; waiting answers end with 503, streams with an
 * error event, and requests on open connections are told 503; after STOP_MS, or when
 * nothing is under way, what is still open is closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "smelt/sys.h"

enum { SILENCE_S = 30, BODY_TIMEOUT_S = 60, CONNECTION_MEMORY = 64 << 10, DROP_FACTOR = 16,
       STOP_MS = 3000 };

/* ------------------------------------------------------------------ routes */

static const sm_asset *asset_of(const sm_server *s, const char *url)
{
    for (size_t i = 0; i < s->config.n_asset; i++)
        if (!strcmp(s->config.asset[i].path, url))
            return &s->config.asset[i];
    return NULL;
}

static route_kind kind_of(const sm_server *s, const char *url)
{
    static const struct {
        const char *url;
        route_kind kind;
    } routes[] = {{"/v1/models", ROUTE_MODELS},
                  {"/v1/completions", ROUTE_COMPLETIONS},
                  {"/v1/chat/completions", ROUTE_CHAT},
                  {"/v1/ask", ROUTE_ASK},
                  {"/health", ROUTE_HEALTH},
                  {"/metrics", ROUTE_METRICS},
                  {"/api/about", ROUTE_API},
                  {"/api/curves", ROUTE_API},
                  {"/api/live", ROUTE_API},
                  {"/api/lineage.svg", ROUTE_API}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (!strcmp(url, routes[i].url))
            return routes[i].kind;
    if (!strncmp(url, MODEL_PREFIX, strlen(MODEL_PREFIX)))
        return ROUTE_MODELS;
    return asset_of(s, url) ? ROUTE_ASSET : ROUTE_UNKNOWN;
}

static mhd_result not_found(exchange *x)
{
    return reply_error(x, MHD_HTTP_NOT_FOUND, "invalid_request_error", NULL, "not_found",
                       "no such path; see /v1/models, /v1/completions, "
                       "/v1/chat/completions, /v1/ask, /health, /metrics");
}

static mhd_result reply_too_large(exchange *x)
{
    char message[80];
    snprintf(message, sizeof message, "body: want at most %zu bytes",
             x->server->config.max_body_bytes);
    return reply_error(x, MHD_HTTP_CONTENT_TOO_LARGE, "invalid_request_error", NULL,
                       "body_too_large", message);
}

static mhd_result reply_full(exchange *x)
{
    char message[96];
    snprintf(message, sizeof message, "connections: got more than %d, try again later",
             x->server->config.max_connections);
    return reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded_error", NULL,
                       "too_many_connections", message);
}

static mhd_result reply_coded(exchange *x, const char *coding)
{
    char message[96];
    snprintf(message, sizeof message, "Content-Encoding: got %.40s, want a body as it is",
             coding);
    return reply_error(x, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", NULL,
                       "unsupported_encoding", message);
}

static mhd_result answer_api(exchange *x, const char *url)
{
    const sm_serve_config *c = &x->server->config;
    if (!strcmp(url, "/api/lineage.svg"))
        return c->lineage_svg ? reply_text(x, MHD_HTTP_OK, "image/svg+xml", c->lineage_svg)
                              : not_found(x);
    if (!strcmp(url, "/api/live"))
        return c->live ? reply_json(x, MHD_HTTP_OK, c->live(c->live_self)) : not_found(x);
    const json_t *value = !strcmp(url, "/api/about") ? c->about : c->curves;
    return value ? reply_json(x, MHD_HTTP_OK, json_deep_copy(value)) : not_found(x);
}

/* The answer to a request that does not come to its route; false: go on. */
static bool answer_before(exchange *x, const char *method, mhd_result *result)
{
    const char *host = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Host");
    const char *origin =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Origin");
    bool host_ok = !x->server->is_local || host_is_local(host);
    bool origin_ok = !x->server->is_local || !origin || origin_is_local(origin);
    if (!host_ok || !origin_ok) {
        x->kind = ROUTE_REFUSED;
        *result = reply_error(x, MHD_HTTP_FORBIDDEN, "invalid_request_error", NULL,
                              host_ok ? "bad_origin" : "bad_host",
                              host_ok ? "Origin: want none, or a page on this machine"
                                      : "Host: want localhost or a loopback address");
        return true;
    }
    const char *coding =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Encoding");
    bool wants_post = is_post_route(x->kind), is_options = !strcmp(method, "OPTIONS");
    bool is_get = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    if (x->kind == ROUTE_UNKNOWN)
        *result = not_found(x);
    else if (is_options)
        *result = reply_options(x);
    else if (wants_post ? strcmp(method, "POST") != 0 : !is_get)
        *result = reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED, "invalid_request_error", NULL,
                              "method_not_allowed",
                              wants_post ? "want POST" : "want GET or HEAD");
    else if (wants_post && atomic_load(&x->server->stopping))
        *result = reply_stopping(x);
    else if (wants_post && is_surplus(x))
        *result = reply_full(x);
    else if (x->n_dropped > 0)
        *result = reply_too_large(x);
    else if (wants_post && coding && strcasecmp(coding, "identity") != 0)
        *result = reply_coded(x, coding);
    else
        return false;
    return true;
}

static mhd_result dispatch(exchange *x, const char *url, const char *method)
{
    mhd_result result;
    if (answer_before(x, method, &result))
        return result;
    x->is_timed = is_post_route(x->kind);
    const sm_asset *asset;
    switch (x->kind) {
    case ROUTE_MODELS:
        return answer_models(x, url);
    case ROUTE_COMPLETIONS:
        return answer_completion(x, false);
    case ROUTE_CHAT:
        return answer_completion(x, true);
    case ROUTE_ASK:
        return answer_ask(x);
    case ROUTE_HEALTH:
        return answer_health(x);
    case ROUTE_METRICS:
        return answer_metrics(x);
    case ROUTE_API:
        return answer_api(x, url);
    default:
        asset = asset_of(x->server, url);
        return asset ? reply_bytes(x, asset->type, asset->data, asset->len) : not_found(x);
    }
}

/* --------------------------------------------------------------- callbacks */

/* Headers have come; the body follows. */
static mhd_result begin(sm_server *s, struct MHD_Connection *connection, const char *url,
                        void **con_cls)
{
    exchange *x = sm_alloc(1, sizeof *x);
    if (!x)
        return MHD_NO;
    *con_cls = x;
    atomic_fetch_add(&s->n_open, 1);
    x->server = s;
    x->connection = connection;
    x->kind = kind_of(s, url);
    x->body.max = s->config.max_body_bytes;
    x->started_ns = sm_clock_ns();
    if (!headers_are_plain(connection)) {
        x->kind = ROUTE_REFUSED;
        return reply_error(x, MHD_HTTP_BAD_REQUEST, "invalid_request_error", NULL,
                           "bad_headers", "a header that could be read in two ways");
    }
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    if (length && strtoull(length, NULL, 10) / DROP_FACTOR >= s->config.max_body_bytes)
        return reply_too_large(x);
    return MHD_YES;
}

static mhd_result take_body(exchange *x, const char *upload, size_t *size)
{
    if (x->n_dropped > 0 || !sm_buf_put(&x->body, upload, *size))
        x->n_dropped += *size;
    *size = 0;
    bool too_late = sm_clock_ns() - x->started_ns > BODY_TIMEOUT_S * (int64_t)1000000000;
    bool too_much = x->n_dropped / DROP_FACTOR >= x->server->config.max_body_bytes;
    return too_late || too_much ? MHD_NO : MHD_YES;
}

static mhd_result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **con_cls)
{
    (void)version;
    exchange *x = *con_cls;
    if (!x)
        return begin(cls, connection, url, con_cls);
    if (*upload_size > 0)
        return take_body(x, upload, upload_size);
    return dispatch(x, url, method);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    sm_server *s = cls;
    (void)connection;
    (void)why;
    exchange *x = *con_cls;
    if (!x)
        return;
    if (x->is_timed)
        observe(&s->duration[x->kind], sm_clock_ns() - x->started_ns);
    sm_buf_free(&x->body);
    free(x);
    *con_cls = NULL;
    atomic_fetch_sub(&s->n_open, 1);
}

/* ------------------------------------------------------------- start, stop */

static sm_status address_of(struct sockaddr_storage *out, const sm_serve_config *c,
                            sm_err *err)
{
    if (c->port < 0 || c->port > 65535)
        return sm_fail(err, SM_EINVAL, "port: got %d, want 0..65535", c->port);
    if (!address_parse(out, c->address))
        return sm_fail(err, SM_EINVAL, "address: got %s, want a numeric IPv4 or IPv6 address",
                       c->address);
    if (out->ss_family == AF_INET)
        ((struct sockaddr_in *)out)->sin_port = htons((uint16_t)c->port);
    else
        ((struct sockaddr_in6 *)out)->sin6_port = htons((uint16_t)c->port);
    return SM_OK;
}

static int port_of(struct MHD_Daemon *d)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

sm_status sm_serve_start(sm_server **out, const sm_ctx *ctx, const sm_serve_config *config,
                         sm_err *err)
{
    sm_server *s = sm_alloc(1, sizeof *s);
    if (!s)
        return sm_fail(err, SM_ENOMEM, "serve: out of memory");
    s->config = *config;
    s->ctx = *ctx;
    s->started_ns = sm_clock_ns();
    s->seed = (uint64_t)sm_wall_ns();
    if (!s->config.address)
        s->config.address = "127.0.0.1";
    if (s->config.max_connections <= 0)
        s->config.max_connections = 512;
    if (s->config.silence_s <= 0)
        s->config.silence_s = SILENCE_S;
    if (s->config.max_body_bytes == 0)
        s->config.max_body_bytes = 1 << 20;
    pthread_mutex_init(&s->index_lock, NULL);
    struct sockaddr_storage where;
    sm_status st = address_of(&where, &s->config, err);
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | /* select() ends at 1024 descriptors */
                     MHD_USE_ITC; /* to stop listening while answers end */
    s->is_local = !st && address_is_loopback(&where);
    if (!st && where.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (!st)
        s->daemon = MHD_start_daemon(
            flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &where,
            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)s->config.max_connections + SM_SERVE_SPARE,
            MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)s->config.silence_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!st && !s->daemon)
        st = sm_fail_errno(err, errno, "cannot listen on %s port %d", s->config.address,
                           s->config.port);
    if (st) {
        sm_serve_stop(s);
        return st;
    }
    s->port = port_of(s->daemon);
    *out = s;
    return SM_OK;
}

int sm_serve_port(const sm_server *s)
{
    return s->port;
}

/* No more connections; what is under way sees `stopping` and ends, within STOP_MS. */
static void end_exchanges(sm_server *s)
{
    int64_t until_ns = sm_clock_ns() + STOP_MS * (int64_t)1000000;
    atomic_store(&s->stopping, true);
    int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR); /* who tries to connect is refused, not kept waiting */
    while (atomic_load(&s->n_open) > 0 && sm_clock_ns() < until_ns)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    MHD_stop_daemon(s->daemon);
    if (fd >= 0)
        close(fd);
}

void sm_serve_stop(sm_server *s)
{
    if (!s)
        return;
    if (s->daemon)
        end_exchanges(s);
    pthread_mutex_destroy(&s->index_lock);
    free(s);
}
