/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP client over raw sockets, so that a test may also send what no client would. */
#ifndef TEST_SERVE_CLIENT_H
#define TEST_SERVE_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "smelt/conf.h"

enum { CLIENT_TIMEOUT_S = 20 };

static inline int client_connect_at(const struct sockaddr_storage *to)
{
    int fd = socket(to->ss_family, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
    socklen_t n = to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                            : sizeof(struct sockaddr_in);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, n), 0);
    return fd;
}

static inline int client_connect(int port)
{
    struct sockaddr_storage to = {0};
    *(struct sockaddr_in *)&to = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return client_connect_at(&to);
}

/* False when the server has closed; a hostile request may be cut off. */
static inline bool client_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Read until `marker` has come (true), or the end (false). */
static inline bool client_read_until(int fd, sm_buf *in, const char *marker)
{
    char piece[4096];
    for (;;) {
        if (marker && in->data && strstr(in->data, marker))
            return true;
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0)
            return false;
        sm_buf_put(in, piece, (size_t)n);
    }
}

typedef struct reply {
    int code;     /* 0: closed without an answer */
    sm_buf head;  /* status line and headers     */
    sm_buf body;  /* without chunk marks         */
} reply;

static inline void reply_free(reply *r)
{
    sm_buf_free(&r->head);
    sm_buf_free(&r->body);
}

/* Value of a header, copied; NULL when absent. */
static inline char *reply_header(const reply *r, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = r->head.data; line; line = strstr(line, "\r\n")) {
        line += line == r->head.data ? 0 : 2;
        if (!strncasecmp(line, name, n) && line[n] == ':')
            return sm_strndup(line + n + 2, strcspn(line + n + 2, "\r"));
    }
    return NULL;
}

static inline void unchunk(sm_buf *out, const char *data, size_t len)
{
    const char *end = data + len;
    while (data < end) {
        char *after;
        size_t n = strtoul(data, &after, 16);
        if (after == data || after + 2 + n > end)
            return;
        sm_buf_put(out, after + 2, n);
        data = after + 2 + n + 2;
    }
}

static inline reply reply_parse(const sm_buf *raw)
{
    reply r = {0};
    const char *end = raw->data ? strstr(raw->data, "\r\n\r\n") : NULL;
    if (!end)
        return r;
    size_t n_head = (size_t)(end - raw->data) + 2;
    sm_buf_put(&r.head, raw->data, n_head);
    r.code = (int)strtol(raw->data + 9, NULL, 10);
    char *coding = reply_header(&r, "Transfer-Encoding");
    const char *body = end + 4;
    size_t len = raw->len - (size_t)(body - raw->data);
    if (coding && !strcmp(coding, "chunked"))
        unchunk(&r.body, body, len);
    else
        sm_buf_put(&r.body, body, len);
    free(coding);
    return r;
}

/* Send bytes as they are, read until the server closes. */
static inline reply client_talk(int fd, const char *data, size_t len)
{
    sm_buf in = {0};
    client_send(fd, data, len);
    client_read_until(fd, &in, NULL);
    close(fd);
    reply r = reply_parse(&in);
    sm_buf_free(&in);
    return r;
}

static inline reply client_raw(int port, const char *data, size_t len)
{
    return client_talk(client_connect(port), data, len);
}

static inline reply client_raw_at(const struct sockaddr_storage *to, const char *data,
                                  size_t len)
{
    return client_talk(client_connect_at(to), data, len);
}

static inline void put_request(sm_buf *out, const char *method, const char *url,
                               const char *headers, const char *body)
{
    sm_buf_printf(out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s", method,
                  url, headers);
    if (body)
        sm_buf_printf(out, "Content-Length: %zu\r\n", strlen(body));
    sm_buf_puts(out, "\r\n");
    if (body)
        sm_buf_puts(out, body);
}

static inline reply client_ask(int port, const char *method, const char *url, const char *body)
{
    sm_buf out = {0};
    put_request(&out, method, url, "", body);
    reply r = client_raw(port, out.data, out.len);
    sm_buf_free(&out);
    return r;
}

/* A stream under way: its request has been sent. */
static inline int client_open(int port, const char *url, const char *body)
{
    int fd = client_connect(port);
    sm_buf out = {0};
    put_request(&out, "POST", url, "", body);
    assert_true(client_send(fd, out.data, out.len));
    sm_buf_free(&out);
    return fd;
}

/* JSON as any client reads it; jansson refuses what is not UTF-8.  A model may well write
 * a NUL. */
static inline json_t *parse_json(const char *data, size_t len)
{
    json_error_t e;
    json_t *j = json_loadb(data, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &e);
    if (!j)
        fail_msg("%s: %.*s", e.text, (int)len, data);
    return j;
}

/* The body as JSON, with the code that is wanted. */
static inline json_t *reply_json_take(reply *r, int want_code)
{
    if (r->code != want_code)
        fail_msg("got HTTP %d, want %d: %s", r->code, want_code,
                 r->body.data ? r->body.data : "");
    json_t *j = parse_json(r->body.data ? r->body.data : "", r->body.len);
    reply_free(r);
    return j;
}

/* Append a JSON string, a NUL as \x01, so that tests may compare C strings. */
static inline void put_text(sm_buf *out, const json_t *j)
{
    const char *s = json_string_value(j);
    for (size_t i = 0; i < json_string_length(j); i++)
        sm_buf_putc(out, s[i] ? s[i] : 1);
    sm_buf_puts(out, "");
}

static inline json_t *client_json(int port, const char *method, const char *url,
                                  const char *body, int want_code)
{
    reply r = client_ask(port, method, url, body);
    return reply_json_take(&r, want_code);
}

/* A member by a path such as "choices.0.text". */
static inline json_t *at(const json_t *j, const char *path)
{
    char name[64];
    while (j && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, (size_t)strtoul(name, NULL, 10))
                             : json_object_get(j, name);
        path += n + (path[n] == '.');
    }
    return (json_t *)(uintptr_t)j;
}

static inline const char *text_at(const json_t *j, const char *path)
{
    const char *s = json_string_value(at(j, path));
    if (!s)
        fail_msg("no string at %s", path);
    return s;
}

#endif
