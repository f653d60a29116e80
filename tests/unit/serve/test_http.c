/* SPDX-License-Identifier: Apache-2.0 */
/* What the service refuses, and that nothing a peer sends stops it from serving others. */
#include "fixture.h"

#include <errno.h>
#include <sys/resource.h>

#include "internal.h"

/* ---------------------------------------------------------------- requests */

static json_t *refused(const char *url, const char *body, int code, const char *param)
{
    json_t *j = client_json(fx.port, "POST", url, body, code);
    assert_true(strlen(text_at(j, "error.message")) > 5);
    assert_string_equal(text_at(j, "error.type"), "invalid_request_error");
    const char *got = json_string_value(at(j, "error.param"));
    if (param ? !got || strcmp(got, param) != 0 : got != NULL)
        fail_msg("%.80s: got param %s, want %s", body, got ? got : "null", param ? param : "null");
    assert_non_null(at(j, "error.code"));
    return j;
}

static void bad_bodies_name_the_field(void **state)
{
    static const char *const bad[][2] = {
        {"", NULL}, {"{", NULL}, {"[]", NULL}, {"null", NULL}, {"\"x\"", NULL},
        {"{\"prompt\":\"a\",\"prompt\":\"b\"}", NULL},
        {"{\"prompt\":\"a\\u0000b\"}", NULL},
        {"{\"prompt\":\"\xff\"}", NULL},
        {"{}", "prompt"}, {"{\"prompt\":5}", "prompt"}, {"{\"prompt\":[\"a\",\"b\"]}", "prompt"},
        {"{\"prompt\":[1,2]}", "prompt"},
        {"{\"prompt\":\"a\",\"temperature\":\"hot\"}", "temperature"},
        {"{\"prompt\":\"a\",\"temperature\":-1}", "temperature"},
        {"{\"prompt\":\"a\",\"temperature\":1e9}", "temperature"},
        {"{\"prompt\":\"a\",\"top_p\":0}", "top_p"}, {"{\"prompt\":\"a\",\"top_p\":1.5}", "top_p"},
        {"{\"prompt\":\"a\",\"min_p\":1}", "min_p"}, {"{\"prompt\":\"a\",\"top_k\":-1}", "top_k"},
        {"{\"prompt\":\"a\",\"top_k\":2.5}", "top_k"}, {"{\"prompt\":\"a\",\"seed\":1.5}", "seed"},
        {"{\"prompt\":\"a\",\"max_tokens\":-1}", "max_tokens"},
        {"{\"prompt\":\"a\",\"max_tokens\":99999999999}", "max_tokens"},
        {"{\"prompt\":\"a\",\"n\":2}", "n"}, {"{\"prompt\":\"a\",\"stop\":5}", "stop"},
        {"{\"prompt\":\"a\",\"stop\":\"\"}", "stop"}, {"{\"prompt\":\"a\",\"stop\":[\"\"]}", "stop"},
        {"{\"prompt\":\"a\",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
         "\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"]}", "stop"},
        {"{\"prompt\":\"a\",\"stream\":1}", "stream"},
        {"{\"prompt\":\"a\",\"stream_options\":3}", "stream_options"},
        {"{\"prompt\":\"a\",\"stream_options\":{\"include_usage\":3}}",
         "stream_options.include_usage"},
        {"{\"prompt\":\"a\",\"best_of\":2}", "best_of"}, {"{\"prompt\":\"a\",\"logprobs\":0}", "logprobs"},
        {"{\"prompt\":\"a\",\"echo\":true}", "echo"}, {"{\"prompt\":\"a\",\"suffix\":\"z\"}", "suffix"},
        {"{\"prompt\":\"a\",\"logit_bias\":{\"5\":1}}", "logit_bias"},
        {"{\"prompt\":\"a\",\"frequency_penalty\":0.5}", "frequency_penalty"},
        {"{\"prompt\":\"a\",\"response_format\":{\"type\":\"json_object\"}}", "response_format"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        json_decref(refused("/v1/completions", bad[i][0], 400, bad[i][1]));
    static const char *const bad_chat[] = {
        "{}", "{\"messages\":[]}", "{\"messages\":[5]}", "{\"messages\":[{\"role\":\"user\"}]}",
        "{\"messages\":[{\"role\":1,\"content\":\"x\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}"};
    for (size_t i = 0; i < sizeof bad_chat / sizeof *bad_chat; i++)
        json_decref(refused("/v1/chat/completions", bad_chat[i], 400, "messages"));
    json_decref(refused("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":"
                        "\"x\"}],\"tools\":[{}]}", 400, "tools"));
}

static void messages_say_what_was_found(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"/v1/completions", "{\"prompt\":[\"a\",\"b\"]}",
         "prompt: got [\"a\",\"b\"], want a string, or a list of one"},
        {"/v1/completions", "{\"prompt\":\"a\",\"n\":2}",
         "n: got 2, want 1: a text for each request"},
        {"/v1/completions", "{}", "prompt: got nothing, want a string, or a list of one"},
        {"/v1/completions", "{\"prompt\":\"a\",\"stop\":\"\"}",
         "stop: got \"\", want a text, or at most 16 of them"},
        {"/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
         "{\"role\":\"user\",\"content\":null}]}",
         "messages[1].content: want a string, or parts of type text"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = client_json(fx.port, "POST", bad[i][0], bad[i][1], 400);
        assert_string_equal(text_at(j, "error.message"), bad[i][2]);
        json_decref(j);
    }
}

static void bad_questions_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{", NULL}, {"{}", "question"}, {"[1]", "question"}, {"{\"question\":\"\"}", "question"},
        {"{\"question\":\"?!\"}", "question"}, {"{\"question\":\"a\",\"k\":0}", "k"},
        {"{\"question\":\"a\",\"k\":51}", "k"}, {"{\"question\":\"a\",\"k\":\"3\"}", "k"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        json_decref(refused("/v1/ask", bad[i][0], 400, bad[i][1]));
    sm_buf body = {0};
    sm_buf_puts(&body, "{\"question\":\"");
    while (body.len < 6000)
        sm_buf_puts(&body, "word ");
    sm_buf_puts(&body, "\"}");
    json_decref(refused("/v1/ask", body.data, 400, "question"));
    sm_buf_free(&body);
}

static void other_models_and_long_prompts_are_refused(void **state)
{
    (void)state;
    json_t *j = refused("/v1/completions", "{\"model\":\"gpt\",\"prompt\":\"a\"}", 404, "model");
    assert_string_equal(text_at(j, "error.code"), "model_not_found");
    assert_string_equal(text_at(j, "error.message"), "model: got gpt, want tiny");
    json_decref(j);
    sm_buf body = {0};
    sm_buf_puts(&body, "{\"prompt\":\"");
    while (body.len < 50000)
        sm_buf_puts(&body, "zxzxzxzxzx");
    sm_buf_puts(&body, "\"}");
    j = refused("/v1/completions", body.data, 400, "prompt");
    assert_non_null(strstr(text_at(j, "error.message"), "want at most 8191"));
    assert_string_equal(text_at(j, "error.code"), "context_length_exceeded");
    json_decref(j);
    j = refused("/v1/completions", "{\"prompt\":\"\"}", 400, "prompt");
    assert_true(json_is_null(at(j, "error.code")));
    json_decref(j);
    sm_buf_free(&body);
}

/* A message that quotes the request is cut somewhere; the answer stays UTF-8. */
static void answers_are_utf8(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n += 7) {
        sm_buf body = {0};
        sm_buf_printf(&body, "{\"prompt\": %.*s", n % 4, "xyz");
        for (int i = 0; i < n; i++)
            sm_buf_puts(&body, "漢");
        json_decref(refused("/v1/completions", body.data, 400, NULL));
        sm_buf_free(&body);
    }
}

/* ------------------------------------------------------------------ routes */

static void wrong_methods_and_paths(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        {"GET", "/v1/completions", "POST, OPTIONS"}, {"PUT", "/v1/chat/completions", "POST, OPTIONS"},
        {"DELETE", "/v1/ask", "POST, OPTIONS"},
        {"POST", "/v1/models", "GET, HEAD, OPTIONS"},
        {"DELETE", "/v1/models/tiny", "GET, HEAD, OPTIONS"},
        {"POST", "/", "GET, HEAD, OPTIONS"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        reply r = client_ask(fx.port, wrong[i][0], wrong[i][1], NULL);
        char *allow = reply_header(&r, "Allow");
        assert_int_equal(r.code, 405);
        assert_string_equal(allow, wrong[i][2]);
        free(allow);
        reply_free(&r);
    }
    static const char *const absent[] = {
        "/nothing", "/app.js/", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
        "/app.js%00.html/x", "/v1", "/v1/model/gpt", "/api/", "/%ff%fe"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        reply r = client_ask(fx.port, i % 2 ? "POST" : "GET", absent[i], NULL);
        if (strstr(absent[i], "%00") ? r.code < 400 : r.code != 404)
            fail_msg("%s: got HTTP %d", absent[i], r.code);
        reply_free(&r);
    }
}

static void the_page_and_its_data(void **state)
{
    static const char *const files[][3] = {
        {"/", "text/html", "<!doctype html>hello"}, {"/app.js?v=1", "text/javascript", "1;"},
        {"/api/about", "application/json", "{\"model\":\"tiny\"}"},
        {"/api/curves", "application/json", "{\"loss\":[[1,2.5]]}"},
        {"/api/live", "application/json", "{\"runs\":[{\"id\":\"tiny\"}]}"},
        {"/api/lineage.svg", "image/svg+xml", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        reply get = client_ask(fx.port, "GET", files[i][0], NULL);
        reply head = client_ask(fx.port, "HEAD", files[i][0], NULL);
        char *type = reply_header(&get, "Content-Type"), want[32];
        char *policy = reply_header(&get, "Content-Security-Policy");
        char *length = reply_header(&head, "Content-Length");
        assert_int_equal(get.code, 200);
        assert_int_equal(head.code, 200);
        assert_string_equal(type, files[i][1]);
        assert_string_equal(get.body.data, files[i][2]);
        assert_int_equal(head.body.len, 0);
        snprintf(want, sizeof want, "%zu", strlen(files[i][2]));
        assert_string_equal(length, want);
        assert_non_null(strstr(policy, "default-src 'self'"));
        free(type);
        free(policy);
        free(length);
        reply_free(&get);
        reply_free(&head);
    }
}

static int code_with_headers(const char *method, const char *url, const char *headers)
{
    sm_buf out = {0};
    sm_buf_printf(&out, "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n", method, url, headers);
    reply r = client_raw(fx.port, out.data, out.len);
    int code = r.code;
    reply_free(&r);
    sm_buf_free(&out);
    return code;
}

static void foreign_pages_are_refused(void **state)
{
    (void)state;
    assert_int_equal(code_with_headers("GET", "/health", "Host: localhost:8080\r\n"), 200);
    assert_int_equal(code_with_headers("GET", "/health", "Host: [::1]\r\n"), 200);
    assert_int_equal(code_with_headers("GET", "/health", "Host: evil.example\r\n"), 403);
    assert_int_equal(code_with_headers("GET", "/health", "Host: 127.0.0.1.evil.example\r\n"),
                     403);
    assert_int_equal(code_with_headers("GET", "/health", "Host: localhost:80@evil\r\n"), 403);
    assert_int_equal(code_with_headers("GET", "/health", ""), 400);
    assert_int_equal(code_with_headers("GET", "/health", "Host: localhost\r\n"
                                       "Origin: http://127.0.0.1:8080\r\n"), 200);
    assert_int_equal(code_with_headers("POST", "/v1/ask", "Host: localhost\r\n"
                                       "Origin: https://evil.example\r\n"), 403);
    assert_int_equal(code_with_headers("POST", "/v1/ask", "Host: localhost\r\n"
                                       "Origin: null\r\n"), 403);
    /* of two, a reader may take either */
    assert_int_equal(code_with_headers("GET", "/health", "Host: localhost\r\n"
                                       "Host: evil.example\r\n"), 400);
    assert_int_equal(code_with_headers("GET", "/health", "Host: localhost\r\n"
                                       "Origin: http://localhost\r\n"
                                       "Origin: http://evil.example\r\n"), 400);
}

static char *header_with(const char *method, const char *url, const char *headers,
                         const char *name, int want_code)
{
    sm_buf out = {0};
    sm_buf_printf(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
                  method, url, headers);
    reply r = client_raw(fx.port, out.data, out.len);
    assert_int_equal(r.code, want_code);
    char *value = reply_header(&r, name);
    reply_free(&r);
    sm_buf_free(&out);
    return value;
}

/* A page of another port of this machine may ask, and a browser lets it read the answer. */
static void pages_of_this_machine_may_read(void **state)
{
    (void)state;
    static const char from[] = "Origin: http://localhost:3000\r\n"
                               "Access-Control-Request-Method: POST\r\n"
                               "Access-Control-Request-Headers: authorization\r\n";
    static const char *const want[][2] = {
        {"Access-Control-Allow-Origin", "http://localhost:3000"},
        {"Access-Control-Allow-Methods", "POST, OPTIONS"},
        {"Access-Control-Allow-Headers", "Authorization, *"},
        {"Vary", "Origin"}, {"Allow", "POST, OPTIONS"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char *got = header_with("OPTIONS", "/v1/completions", from, want[i][0], 204);
        assert_non_null(got);
        assert_string_equal(got, want[i][1]);
        free(got);
    }
    char *got = header_with("GET", "/v1/models", from, "Access-Control-Allow-Origin", 200);
    assert_string_equal(got, "http://localhost:3000");
    free(got);
    got = header_with("GET", "/v1/models", "", "Access-Control-Allow-Origin", 200);
    assert_null(got);
    got = header_with("OPTIONS", "/v1/ask", "Origin: http://evil.example\r\n",
                      "Access-Control-Allow-Origin", 403);
    assert_null(got);
    free(header_with("OPTIONS", "/nothing", "", "Allow", 404));
}

static void authorities_of_this_machine(void **state)
{
    (void)state;
    static const char *const own[] = {
        "localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:8080", "127.8.9.10", "[::1]",
        "[::1]:8080", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"};
    static const char *const foreign[] = {
        "", ":80", "evil.example", "localhost.evil.example", "127.evil.example",
        "127.0.0.1.evil.example", "127.0.0.1:80@evil", "127.0.0.1:80:90", "[127.0.0.1]",
        "::1", "[::1", "[::1]evil", "[::1]]", "[::2]", "[::ffff:10.0.0.1]", "10.0.0.1",
        "0.0.0.0", "[::]", "[localhost]", "localhost ",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]"};
    char origin[100];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(origin, sizeof origin, "http://%s", own[i]);
        if (!host_is_local(own[i]) || !origin_is_local(origin))
            fail_msg("%s is foreign, want local", own[i]);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(origin, sizeof origin, "http://%s", foreign[i]);
        if (host_is_local(foreign[i]) || origin_is_local(origin))
            fail_msg("%s is local, want foreign", foreign[i]);
    }
    assert_false(host_is_local(NULL));
    assert_false(origin_is_local("null"));
}

/* However its address was spelled. */
static void a_server_on_loopback_is_guarded(void **state)
{
    (void)state;
    static const char *const spelled[] = {"127.1.2.3", "::1", "0:0:0:0:0:0:0:1",
                                          "0000::0001"};
    static const char ask[] = "GET /health HTTP/1.1\r\nHost: evil.example\r\n"
                              "Connection: close\r\n\r\n";
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++) {
        sm_server *s = NULL;
        sm_serve_config c = fx.config;
        struct sockaddr_storage where;
        c.address = spelled[i];
        assert_true(address_parse(&where, c.address));
        sm_status st = sm_serve_start(&s, &fx.ctx, &c, NULL);
        if (st && where.ss_family == AF_INET6)
            continue; /* a machine without IPv6 */
        assert_int_equal(st, SM_OK);
        if (where.ss_family == AF_INET6)
            ((struct sockaddr_in6 *)&where)->sin6_port = htons((uint16_t)sm_serve_port(s));
        else
            ((struct sockaddr_in *)&where)->sin_port = htons((uint16_t)sm_serve_port(s));
        reply r = client_raw_at(&where, ask, sizeof ask - 1);
        assert_int_equal(r.code, 403);
        reply_free(&r);
        sm_serve_stop(s);
    }
}

static void bodies_have_a_limit(void **state)
{
    (void)state;
    char *big = sm_alloc(1, MAX_BODY + 2);
    memset(big, ' ', MAX_BODY + 1);
    json_t *j = refused("/v1/completions", big, 413, NULL);
    assert_string_equal(text_at(j, "error.code"), "body_too_large");
    json_decref(j);
    free(big);
    /* far beyond the limit: refused before it is sent, cut off while it is */
    assert_int_equal(code_with_headers("POST", "/v1/ask", "Host: localhost\r\nContent-Length: "
                                       "99999999999\r\n"), 413);
    int fd = client_connect(fx.port);
    static const char head[] = "POST /v1/ask HTTP/1.1\r\nHost: localhost\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static char chunk[8 + 65536 + 2] = "10000\r\n";
    memset(chunk + 7, 'x', 65536);
    memcpy(chunk + 7 + 65536, "\r\n", 2);
    bool open = client_send(fd, head, sizeof head - 1);
    int n = 0;
    for (; open && n < 2000; n++)
        open = client_send(fd, chunk, 7 + 65536 + 2);
    assert_true(n < 2000);
    close(fd);
    assert_alive();
}

/* ----------------------------------------------------------------- hostile */

typedef struct hostile {
    const char *what, *bytes;
    size_t len; /* 0: strlen */
} hostile;

#define POST "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
#define GET "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"

/* 31 bytes; with any sound framing the answer is 200 */
#define BODY "{\"prompt\":\"the\",\"max_tokens\":1}"

static const hostile attacks[] = {
    {"garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15},
    {"no version", "GET /health\r\n\r\n", 0},
    {"bad version", "GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 0},
    {"only a line feed", "\n\n\n\n\n\n\n\n", 0},
    {"NUL in the request line", "GET /he\0lth HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
     60},
    {"header without a colon", GET "nonsense\r\n\r\n", 0},
    {"space before a colon", GET "Content-Length : 3\r\n\r\nabc", 0},
    {"negative length", POST "Content-Length: -5\r\n\r\n" BODY, 0},
    {"length of letters", POST "Content-Length: ten\r\n\r\n" BODY, 0},
    {"length beyond 64 bits", POST "Content-Length: 99999999999999999999999\r\n\r\n" BODY, 0},
    {"two lengths", POST "Content-Length: 31\r\nContent-Length: 3\r\n\r\n" BODY, 0},
    {"length and chunks", POST "Content-Length: 31\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "1f\r\n" BODY "\r\n0\r\n\r\n", 0},
    {"bad chunk size", POST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" BODY "\r\n0\r\n\r\n", 0},
    {"huge chunk size", POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" BODY, 0},
    {"chunks and a length", POST "Transfer-Encoding: chunked\r\nContent-Length: 41\r\n\r\n"
                                 "1f\r\n" BODY "\r\n0\r\n\r\n", 0},
    {"a folded coding", POST "Transfer-Encoding: x,\r\n chunked\r\n\r\n1f\r\n" BODY
                             "\r\n0\r\n\r\n", 0},
    {"negative chunk size", POST "Transfer-Encoding: chunked\r\n\r\n-1f\r\n" BODY "\r\n0\r\n\r\n", 0},
    {"unknown coding", POST "Transfer-Encoding: gzip\r\nContent-Length: 31\r\n\r\n" BODY, 0},
    {"an unknown coding before chunks", POST "Transfer-Encoding: gzip, chunked\r\n\r\n1f\r\n"
                                             BODY "\r\n0\r\n\r\n", 0},
    {"an unknown coding alone", POST "Transfer-Encoding: identity\r\n\r\n", 0},
    {"chunks twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "1f\r\n" BODY "\r\n0\r\n\r\n", 0},
    {"a list of lengths", POST "Content-Length: 31, 31\r\n\r\n" BODY, 0},
    {"a signed length", POST "Content-Length: +31\r\n\r\n" BODY, 0},
    {"a hexadecimal length", POST "Content-Length: 0x1f\r\n\r\n" BODY, 0},
    {"an empty length", POST "Content-Length:\r\n\r\n" BODY, 0},
    {"an absolute address", "GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n"
                            "Connection: close\r\n\r\n", 0},
    {"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n"
                "Connection: close\r\n\r\n", 0},
};

/* The connection stays open both ways: a peer that half-closes is told 503 whatever it sent.
 * Only a request without an end of its headers is ended so. */
static int code_of(const hostile *a)
{
    int fd = client_connect(fx.port);
    client_send(fd, a->bytes, a->len ? a->len : strlen(a->bytes));
    if (a->len == 0 && !strstr(a->bytes, "\r\n\r\n"))
        shutdown(fd, SHUT_WR);
    reply r = client_talk(fd, "", 0);
    int code = r.code;
    reply_free(&r);
    return code;
}

static void hostile_bytes_do_no_harm(void **state)
{
    (void)state;
    static const hostile sound[] = {
        {"a length", POST "Content-Length: 31\r\n\r\n" BODY, 0},
        {"chunks", POST "Transfer-Encoding: chunked\r\n\r\n1f\r\n" BODY "\r\n0\r\n\r\n", 0}};
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        assert_int_equal(code_of(&sound[i]), 200);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        int code = code_of(&attacks[i]);
        bool is_cut_off = code == 0 && !strstr(attacks[i].bytes, "HTTP/");
        if (!is_cut_off && code != 505 && (code < 400 || code > 499))
            fail_msg("%s: got HTTP %d, want a refusal", attacks[i].what, code);
        assert_alive();
    }
    sm_buf deep = {0};
    for (int i = 0; i < 30000; i++)
        sm_buf_putc(&deep, '[');
    json_decref(refused("/v1/ask", deep.data, 400, NULL));
    sm_buf_free(&deep);
}

static void long_lines_do_no_harm(void **state)
{
    (void)state;
    static const char *const heads[] = {"GET /", GET "X: ", GET "Cookie: "};
    for (size_t i = 0; i < 3; i++)
        for (size_t n = 1000; n <= 1000000; n *= 10) {
            sm_buf out = {0};
            sm_buf_puts(&out, heads[i]);
            for (size_t k = 0; k < n; k++)
                sm_buf_putc(&out, 'a');
            sm_buf_puts(&out, i ? "\r\n\r\n"
                                : " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            reply r = client_raw(fx.port, out.data, out.len);
            int fine = i ? 200 : 404;
            if (n <= 10000 ? r.code != fine : r.code != 0 && (r.code < 400 || r.code == fine))
                fail_msg("%zu bytes: got HTTP %d", n, r.code);
            reply_free(&r);
            sm_buf_free(&out);
        }
    assert_alive();
}

static void pipelined_requests_are_answered_in_turn(void **state)
{
    (void)state;
    static const char two[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                              "POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
                              "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n";
    int fd = client_connect(fx.port);
    sm_buf in = {0};
    client_send(fd, two, sizeof two - 1);
    client_read_until(fd, &in, NULL);
    close(fd);
    const char *a = strstr(in.data, "\"status\":\"ok\""), *b = strstr(in.data, "HTTP/1.1 400"),
               *c = strstr(in.data, "\"object\":\"list\"");
    assert_true(a && b && c && a < b && b < c);
    sm_buf_free(&in);
}

static void chunked_bodies_are_read(void **state)
{
    (void)state;
    static const char bytes[] = POST "Transfer-Encoding: chunked\r\n\r\n"
                                     "9\r\n{\"prompt\"\r\n1c;x=y\r\n:\"the quick\",\"max_tokens\":3\r\n"
                                     "1\r\n}\r\n0\r\n\r\n";
    reply r = client_raw(fx.port, bytes, sizeof bytes - 1);
    json_t *j = reply_json_take(&r, 200);
    assert_int_equal(json_integer_value(at(j, "usage.completion_tokens")), 3);
    json_decref(j);
}

/* Half-sent requests hold connections; the rest is served all the same. */
static void slow_peers_do_not_stop_others(void **state)
{
    (void)state;
    static const char *const parts[] = {"", "GE", "GET /health HTTP/1.1\r\nHost:",
                                        POST "Content-Length: 100\r\n\r\n{\"pro",
                                        POST "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"p"};
    int fd[15];
    for (int i = 0; i < 15; i++) {
        fd[i] = client_connect(fx.port);
        client_send(fd[i], parts[i % 5], strlen(parts[i % 5]));
    }
    assert_alive();
    json_decref(client_json(fx.port, "POST", "/v1/completions",
                            "{\"prompt\":\"the\",\"max_tokens\":5}", 200));
    for (int i = 0; i < 15; i++)
        close(fd[i]);
    assert_alive();
}

/* Sockets beyond what select() can name are served like others. */
static void high_descriptors_are_served(void **state)
{
    (void)state;
    enum { N = 1100 }; /* above FD_SETSIZE */
    static int fd[N];
    struct rlimit was, r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    r = was;
    r.rlim_cur = N + 100;
    if (was.rlim_cur < r.rlim_cur && setrlimit(RLIMIT_NOFILE, &r) != 0) {
        print_message("skipped: %llu open files at most\n", (unsigned long long)was.rlim_max);
        skip();
    }
    for (int i = 0; i < N; i++) {
        fd[i] = dup(STDERR_FILENO);
        assert_true(fd[i] >= 0);
    }
    sm_server *other;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &fx.config, NULL), SM_OK);
    json_decref(client_json(sm_serve_port(other), "GET", "/health", NULL, 200));
    json_decref(client_json(sm_serve_port(other), "POST", "/v1/completions",
                            "{\"prompt\":\"the\",\"max_tokens\":5}", 200));
    sm_serve_stop(other);
    for (int i = 0; i < N; i++)
        close(fd[i]);
    setrlimit(RLIMIT_NOFILE, &was);
}

/* ------------------------------------------------------------------- start */

static void starting_checks_its_configuration(void **state)
{
    (void)state;
    sm_server *s = NULL;
    sm_err err;
    sm_serve_config c = fx.config;
    c.port = 70000;
    assert_int_equal(sm_serve_start(&s, &fx.ctx, &c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "port: got 70000"));
    c.port = 0;
    c.address = "localhost";
    assert_int_equal(sm_serve_start(&s, &fx.ctx, &c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "address: got localhost"));
    c.address = "192.0.2.1"; /* nobody's */
    assert_int_equal(sm_serve_start(&s, &fx.ctx, &c, &err), SM_EIO);
    assert_non_null(strstr(err.msg, "192.0.2.1"));
    c.address = NULL;
    c.port = fx.port; /* another server's */
    char want[80];
    snprintf(want, sizeof want, "cannot listen on 127.0.0.1 port %d: ", fx.port);
    assert_int_equal(sm_serve_start(&s, &fx.ctx, &c, &err), SM_EIO);
    assert_non_null(strstr(err.msg, want));
    assert_non_null(strstr(err.msg, strerror(EADDRINUSE)));
    c.port = 0;
    c.index = NULL;
    c.about = NULL;
    c.lineage_svg = NULL;
    c.live = NULL;
    assert_int_equal(sm_serve_start(&s, &fx.ctx, &c, &err), SM_OK);
    json_t *j = client_json(sm_serve_port(s), "POST", "/v1/ask", "{\"question\":\"a\"}", 404);
    assert_string_equal(text_at(j, "error.code"), "no_index");
    json_decref(j);
    json_decref(client_json(sm_serve_port(s), "GET", "/api/about", NULL, 404));
    json_decref(client_json(sm_serve_port(s), "GET", "/api/lineage.svg", NULL, 404));
    json_decref(client_json(sm_serve_port(s), "GET", "/api/live", NULL, 404));
    sm_serve_stop(s);
    sm_serve_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_bodies_name_the_field),
        cmocka_unit_test(messages_say_what_was_found),
        cmocka_unit_test(bad_questions_are_refused),
        cmocka_unit_test(other_models_and_long_prompts_are_refused),
        cmocka_unit_test(answers_are_utf8),
        cmocka_unit_test(wrong_methods_and_paths),
        cmocka_unit_test(the_page_and_its_data),
        cmocka_unit_test(foreign_pages_are_refused),
        cmocka_unit_test(pages_of_this_machine_may_read),
        cmocka_unit_test(authorities_of_this_machine),
        cmocka_unit_test(a_server_on_loopback_is_guarded),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(hostile_bytes_do_no_harm),
        cmocka_unit_test(long_lines_do_no_harm),
        cmocka_unit_test(pipelined_requests_are_answered_in_turn),
        cmocka_unit_test(chunked_bodies_are_read),
        cmocka_unit_test(slow_peers_do_not_stop_others),
        cmocka_unit_test(high_descriptors_are_served),
        cmocka_unit_test(starting_checks_its_configuration),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
