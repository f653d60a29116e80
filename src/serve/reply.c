/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: JSON, text, errors in OpenAI's form, and the headers every reply carries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/text.h"

void count_answer(exchange *x, unsigned code)
{
    atomic_fetch_add(&x->server->n_answered[x->kind][code / 100 < N_CODE_CLASS
                                                         ? code / 100 : 0], 1);
}

/* A page of another port of this machine may ask (guard.c), so it may read the answer. */
static void add_origin_header(struct MHD_Response *r, const exchange *x)
{
    const char *origin =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Origin");
    if (!x->server->is_local || !origin || !origin_is_local(origin))
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Origin", origin);
    MHD_add_response_header(r, "Vary", "Origin");
}

void add_common_headers(struct MHD_Response *r, const exchange *x)
{
    add_origin_header(r, x);
    if (atomic_load(&x->server->stopping) || is_crowded(x->server))
        MHD_add_response_header(r, "Connection", "close");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "Content-Security-Policy",
                            "default-src 'self'; style-src 'self' 'unsafe-inline'; "
                            "img-src 'self' data:; base-uri 'none'; form-action 'self'; "
                            "frame-ancestors 'none'");
}

bool is_post_route(route_kind kind)
{
    return kind == ROUTE_COMPLETIONS || kind == ROUTE_CHAT || kind == ROUTE_ASK;
}

json_t *clean_string(const char *text, size_t len)
{
    sm_buf b = {0};
    bool ok = sm_utf8_put_clean(&b, text, len);
    json_t *j = ok ? json_stringn(b.data ? b.data : "", b.len) : NULL;
    sm_buf_free(&b);
    return j;
}

static const char *methods_of(route_kind kind)
{
    return is_post_route(kind) ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
}

static mhd_result queue(exchange *x, unsigned code, const char *type, struct MHD_Response *r)
{
    if (!r)
        return MHD_NO;
    if (type)
        MHD_add_response_header(r, "Content-Type", type);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED || code == MHD_HTTP_NO_CONTENT)
        MHD_add_response_header(r, "Allow", methods_of(x->kind));
    if (code == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(r, "Retry-After", "1");
    add_common_headers(r, x);
    count_answer(x, code);
    mhd_result ok = MHD_queue_response(x->connection, code, r);
    MHD_destroy_response(r);
    return ok;
}

mhd_result reply_json(exchange *x, unsigned code, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return MHD_NO;
    return queue(x, code, "application/json",
                MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

mhd_result reply_text(exchange *x, unsigned code, const char *type, const char *text)
{
    char *copy = sm_strdup(text);
    if (!copy)
        return MHD_NO;
    return queue(x, code, type,
                MHD_create_response_from_buffer(strlen(copy), copy, MHD_RESPMEM_MUST_FREE));
}

mhd_result reply_bytes(exchange *x, const char *type, const void *data, size_t len)
{
    /* the bytes are static; libmicrohttpd does not write to persistent buffers */
    return queue(x, MHD_HTTP_OK, type,
                MHD_create_response_from_buffer(len, (void *)(uintptr_t)data,
                                                MHD_RESPMEM_PERSISTENT));
}

mhd_result reply_options(exchange *x)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Access-Control-Allow-Methods", methods_of(x->kind));
    MHD_add_response_header(r, "Access-Control-Allow-Headers", "Authorization, *");
    return queue(x, MHD_HTTP_NO_CONTENT, NULL, r);
}

mhd_result reply_error(exchange *x, unsigned http, const char *type, const char *param,
                       const char *code, const char *message)
{
    /* a message may quote the request, cut in the middle of a character */
    return reply_json(x, http, json_pack("{s{so ss ss? ss?}}", "error", "message",
                                         clean_string(message, strlen(message)), "type",
                                         type, "param", param, "code", code));
}

mhd_result reply_no_model(exchange *x, const char *got)
{
    char message[SM_ERR_MAX];
    snprintf(message, sizeof message, "model: got %.100s, want %.100s", got,
             x->server->config.model_name);
    return reply_error(x, MHD_HTTP_NOT_FOUND, "invalid_request_error", "model",
                       "model_not_found", message);
}

mhd_result reply_stopping(exchange *x)
{
    return reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "server_error", NULL, "stopping",
                       STOPPING_MESSAGE);
}

mhd_result reply_status(exchange *x, sm_status s, const char *param, const sm_err *err)
{
    switch (s) {
    case SM_EINVAL:
    case SM_ECORRUPT:
    case SM_EUNSUPPORTED:
        return reply_error(x, MHD_HTTP_BAD_REQUEST, "invalid_request_error", param, NULL,
                           err->msg);
    case SM_ENOMEM:
        return reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "overloaded_error", NULL,
                           "overloaded", err->msg);
    case SM_ECANCEL:
        return reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "server_error", NULL,
                           "stopping", err->msg);
    default:
        return reply_error(x, MHD_HTTP_INTERNAL_SERVER_ERROR, "server_error", NULL, NULL,
                           err->msg);
    }
}
