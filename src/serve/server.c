/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: one thread a connection, limits, routes.
 *
 * A browser on this machine may be made to send requests here by a page from elsewhere
 * (DNS rebinding); so a server on loopback answers only requests whose Host is loopback.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"
#include "smelt/sys.h"

enum { TIMEOUT_S = 30, CONNECTION_MEMORY = 64 << 10 };

/* ------------------------------------------------------------------ routes */

static bool is_loopback_host(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(host, names[i], n) && (host[n] == 0 || host[n] == ':'))
            return true;
    }
    return false;
}

static bool host_allowed(const exchange *x)
{
    const char *address = x->server->config.address;
    if (strncmp(address, "127.", 4) != 0 && strcmp(address, "::1") != 0)
        return true;
    const char *host = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Host");
    return host && is_loopback_host(host);
}

static route_kind kind_of(const char *url)
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
                  {"/api/lineage.svg", ROUTE_API}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (!strcmp(url, routes[i].url))
            return routes[i].kind;
    return ROUTE_UNKNOWN;
}

static const sm_asset *asset_of(const sm_server *s, const char *url)
{
    for (size_t i = 0; i < s->config.n_asset; i++)
        if (!strcmp(s->config.asset[i].path, url))
            return &s->config.asset[i];
    return NULL;
}

static mhd_result not_found(exchange *x)
{
    return reply_error(x, MHD_HTTP_NOT_FOUND, "invalid_request_error", NULL, "not_found",
                       "no such path; see /v1/models, /v1/completions, "
                       "/v1/chat/completions, /v1/ask, /health, /metrics");
}

static mhd_result answer_api(exchange *x, const char *url)
{
    const sm_serve_config *c = &x->server->config;
    if (!strcmp(url, "/api/lineage.svg"))
        return c->lineage_svg ? reply_text(x, MHD_HTTP_OK, "image/svg+xml", c->lineage_svg)
                              : not_found(x);
    const json_t *value = !strcmp(url, "/api/about") ? c->about : c->curves;
    return value ? reply_json(x, MHD_HTTP_OK, json_deep_copy(value)) : not_found(x);
}

static mhd_result dispatch(exchange *x, const char *url, const char *method)
{
    if (!host_allowed(x)) {
        x->kind = ROUTE_REFUSED;
        return reply_error(x, MHD_HTTP_FORBIDDEN, "invalid_request_error", NULL, "bad_host",
                           "Host: want localhost or a loopback address");
    }
    bool wants_post = x->kind == ROUTE_COMPLETIONS || x->kind == ROUTE_CHAT ||
                      x->kind == ROUTE_ASK;
    bool is_get = !strcmp(method, "GET") || !strcmp(method, "HEAD");
    if (wants_post ? strcmp(method, "POST") != 0 : !is_get)
        return reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED, "invalid_request_error", NULL,
                           "method_not_allowed",
                           wants_post ? "want POST" : "want GET");
    if (x->too_large)
        return reply_error(x, MHD_HTTP_CONTENT_TOO_LARGE, "invalid_request_error", NULL,
                           "body_too_large", "the body is larger than this server reads");
    const sm_asset *asset;
    switch (x->kind) {
    case ROUTE_MODELS:
        return answer_models(x);
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
        if (!asset)
            return not_found(x);
        x->kind = ROUTE_ASSET;
        return reply_bytes(x, asset->type, asset->data, asset->len);
    }
}

/* --------------------------------------------------------------- callbacks */

static mhd_result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **con_cls)
{
    (void)version;
    exchange *x = *con_cls;
    if (!x) { /* headers have come; the body follows */
        x = sm_alloc(1, sizeof *x);
        if (!x)
            return MHD_NO;
        x->server = cls;
        x->connection = connection;
        x->kind = kind_of(url);
        x->body.max = x->server->config.max_body_bytes;
        *con_cls = x;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (!sm_buf_put(&x->body, upload, *upload_size))
            x->too_large = true; /* read on and drop, so that the answer is seen */
        *upload_size = 0;
        return MHD_YES;
    }
    return dispatch(x, url, method);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)connection;
    (void)why;
    exchange *x = *con_cls;
    if (!x)
        return;
    sm_buf_free(&x->body);
    free(x);
    *con_cls = NULL;
}

/* ------------------------------------------------------------- start, stop */

static sm_status address_of(struct sockaddr_storage *out, const sm_serve_config *c,
                            sm_err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (c->port < 0 || c->port > 65535)
        return sm_fail(err, SM_EINVAL, "port: got %d, want 0..65535", c->port);
    if (inet_pton(AF_INET, c->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)c->port);
        return SM_OK;
    }
    if (inet_pton(AF_INET6, c->address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)c->port);
        return SM_OK;
    }
    return sm_fail(err, SM_EINVAL, "address: got %s, want a numeric IPv4 or IPv6 address",
                   c->address);
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
    if (!s->config.address)
        s->config.address = "127.0.0.1";
    if (s->config.max_connections <= 0)
        s->config.max_connections = 64;
    if (s->config.max_body_bytes == 0)
        s->config.max_body_bytes = 1 << 20;
    pthread_mutex_init(&s->index_lock, NULL);
    struct sockaddr_storage where;
    sm_status st = address_of(&where, &s->config, err);
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD;
    if (!st && where.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (!st)
        s->daemon = MHD_start_daemon(
            flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &where,
            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)s->config.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)CONNECTION_MEMORY, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
            MHD_OPTION_END);
    if (!st && !s->daemon)
        st = sm_fail(err, SM_EIO, "cannot listen on %s port %d", s->config.address,
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

void sm_serve_stop(sm_server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    pthread_mutex_destroy(&s->index_lock);
    free(s);
}
