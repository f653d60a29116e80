/* SPDX-License-Identifier: Apache-2.0 */
/* The API as a client sees it: routes, shapes, streams, cancellation, determinism. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

/* ------------------------------------------------------------------ shapes */

static void models_are_listed(void **state)
{
    (void)state;
    json_t *j = client_json(fx.port, "GET", "/v1/models", NULL, 200);
    assert_string_equal(text_at(j, "object"), "list");
    assert_int_equal(json_array_size(at(j, "data")), 1);
    assert_string_equal(text_at(j, "data.0.id"), "tiny");
    assert_string_equal(text_at(j, "data.0.object"), "model");
    assert_int_equal(json_integer_value(at(j, "data.0.created")), 1700000000);
    assert_string_equal(text_at(j, "data.0.owned_by"), "smelt");
    json_t *one = client_json(fx.port, "GET", "/v1/models/tiny", NULL, 200);
    assert_true(json_equal(one, at(j, "data.0")));
    json_decref(one);
    json_decref(j);
    j = client_json(fx.port, "GET", "/v1/models/gpt-4", NULL, 404);
    assert_string_equal(text_at(j, "error.code"), "model_not_found");
    json_decref(j);
}

static void check_usage(const json_t *u, int n_generated)
{
    int64_t prompt = json_integer_value(at(u, "prompt_tokens"));
    assert_true(prompt > 0);
    assert_int_equal(json_integer_value(at(u, "completion_tokens")), n_generated);
    assert_int_equal(json_integer_value(at(u, "total_tokens")), prompt + n_generated);
}

static void check_head(const json_t *j, const char *object, const char *id)
{
    assert_string_equal(text_at(j, "object"), object);
    assert_memory_equal(text_at(j, "id"), id, strlen(id));
    assert_true(json_integer_value(at(j, "created")) > 1600000000);
    assert_string_equal(text_at(j, "model"), "tiny");
    assert_string_equal(text_at(j, "system_fingerprint"), "f00d");
}

static void completions_have_openai_shape(void **state)
{
    (void)state;
    json_t *j = client_json(fx.port, "POST", "/v1/completions",
                            "{\"model\":\"tiny\",\"prompt\":\"the quick\",\"max_tokens\":9,"
                            "\"best_of\":1,\"n\":1,\"echo\":false,\"user\":\"u\"}", 200);
    check_head(j, "text_completion", "cmpl-");
    assert_int_equal(json_array_size(at(j, "choices")), 1);
    assert_true(json_is_string(at(j, "choices.0.text")));
    assert_int_equal(json_integer_value(at(j, "choices.0.index")), 0);
    assert_true(json_is_null(at(j, "choices.0.logprobs")));
    assert_string_equal(text_at(j, "choices.0.finish_reason"), "length");
    check_usage(at(j, "usage"), 9);
    json_decref(j);
}

static void chats_have_openai_shape(void **state)
{
    (void)state;
    json_t *j = client_json(
        fx.port, "POST", "/v1/chat/completions",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"the\"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"lazy\"}]}],\"max_completion_tokens\":7,"
        "\"response_format\":{\"type\":\"text\"}}", 200);
    check_head(j, "chat.completion", "chatcmpl-");
    assert_string_equal(text_at(j, "choices.0.message.role"), "assistant");
    assert_true(json_is_string(at(j, "choices.0.message.content")));
    assert_true(json_is_null(at(j, "choices.0.message.refusal")));
    assert_string_equal(text_at(j, "choices.0.finish_reason"), "length");
    check_usage(at(j, "usage"), 7);
    assert_non_null(strstr(text_at(j, "smelt.note"), "base model"));
    json_decref(j);
}

/* The events of a body, checked for form; the last is [DONE]. */
static json_t *events_of(const reply *r)
{
    json_t *list = json_array();
    const char *p = r->body.data;
    while (!strncmp(p, "data: {", 7)) {
        const char *end = strstr(p, "\n\n");
        assert_non_null(end);
        json_array_append_new(list, parse_json(p + 6, (size_t)(end - p) - 6));
        p = end + 2;
    }
    assert_string_equal(p, "data: [DONE]\n\n");
    return list;
}

/* Stream a request; the joined text. */
static char *stream_text(const char *url, const char *body, bool is_chat, json_t **events_out)
{
    reply r = client_ask(fx.port, "POST", url, body);
    assert_int_equal(r.code, 200);
    char *type = reply_header(&r, "Content-Type");
    assert_string_equal(type, "text/event-stream; charset=utf-8");
    free(type);
    json_t *events = events_of(&r), *e;
    sm_buf text = {0};
    size_t i;
    sm_buf_puts(&text, "");
    json_array_foreach(events, i, e)
    {
        check_head(e, is_chat ? "chat.completion.chunk" : "text_completion",
                   is_chat ? "chatcmpl-" : "cmpl-");
        const json_t *piece = at(e, is_chat ? "choices.0.delta.content" : "choices.0.text");
        put_text(&text, piece);
    }
    if (events_out)
        *events_out = json_incref(events);
    json_decref(events);
    reply_free(&r);
    return text.data;
}

static void assert_text_equal(const char *text, const json_t *j)
{
    sm_buf want = {0};
    put_text(&want, j);
    assert_string_equal(text, want.data);
    sm_buf_free(&want);
}

#define COMPLETION "\"prompt\":\"the quick\",\"max_tokens\":40,\"seed\":3"
#define CHAT \
    "\"messages\":[{\"role\":\"user\",\"content\":\"the quick\"}],\"max_tokens\":40,\"seed\":3"

static void streams_equal_whole_answers(void **state)
{
    (void)state;
    json_t *events;
    json_t *whole = client_json(fx.port, "POST", "/v1/completions", "{" COMPLETION "}", 200);
    char *text = stream_text("/v1/completions", "{" COMPLETION ",\"stream\":true}", false,
                             &events);
    assert_text_equal(text, at(whole, "choices.0.text"));
    size_t n = json_array_size(events);
    for (size_t i = 0; i < n; i++) {
        const json_t *why = at(json_array_get(events, i), "choices.0.finish_reason");
        assert_true(i + 1 < n ? json_is_null(why) : !strcmp(json_string_value(why), "length"));
        assert_null(at(json_array_get(events, i), "usage"));
    }
    json_decref(events);
    json_decref(whole);
    free(text);

    whole = client_json(fx.port, "POST", "/v1/chat/completions", "{" CHAT "}", 200);
    text = stream_text("/v1/chat/completions", "{" CHAT ",\"stream\":true,\"stream_options\":"
                       "{\"include_usage\":true}}", true, &events);
    assert_text_equal(text, at(whole, "choices.0.message.content"));
    n = json_array_size(events);
    assert_string_equal(text_at(json_array_get(events, 0), "choices.0.delta.role"),
                        "assistant");
    assert_true(json_is_null(at(json_array_get(events, 0), "usage")));
    const json_t *last = json_array_get(events, n - 1);
    assert_int_equal(json_array_size(at(last, "choices")), 0);
    check_usage(at(last, "usage"), 40);
    assert_string_equal(text_at(json_array_get(events, n - 2), "choices.0.finish_reason"),
                        "length");
    json_decref(events);
    json_decref(whole);
    free(text);
}

static void stop_strings_end_a_text(void **state)
{
    (void)state;
    json_t *whole = client_json(fx.port, "POST", "/v1/completions", "{" COMPLETION "}", 200);
    const char *text = text_at(whole, "choices.0.text");
    /* three ASCII bytes of the text that JSON need not escape */
    const char *at_byte = text;
    while (strlen(at_byte) > 3 && strspn(at_byte, "abcdefghijklmnopqrstuvwxyz ") < 3)
        at_byte++;
    assert_true(strlen(at_byte) > 3);
    char body[256], stop[4] = {at_byte[0], at_byte[1], at_byte[2], 0};
    for (int as_list = 0; as_list < 2; as_list++) {
        snprintf(body, sizeof body, "{" COMPLETION ",\"stop\":%s\"%s\"%s}",
                 as_list ? "[\"never seen\"," : "", stop, as_list ? "]" : "");
        json_t *j = client_json(fx.port, "POST", "/v1/completions", body, 200);
        const char *short_text = text_at(j, "choices.0.text");
        assert_string_equal(text_at(j, "choices.0.finish_reason"), "stop");
        assert_null(strstr(short_text, stop));
        assert_memory_equal(text, short_text, strlen(short_text));
        json_decref(j);
    }
    json_decref(whole);
}

static void questions_are_answered_with_citations(void **state)
{
    (void)state;
    json_t *j = client_json(fx.port, "POST", "/v1/ask",
                            "{\"question\":\"list open files\",\"k\":2}", 200);
    assert_string_equal(text_at(j, "question"), "list open files");
    assert_string_equal(text_at(j, "model"), "tiny");
    assert_true(strlen(text_at(j, "answer")) > 0);
    assert_int_equal(json_array_size(at(j, "passages")), 2);
    assert_string_equal(text_at(j, "passages.0.title"), "lsof(8)");
    assert_string_equal(text_at(j, "passages.0.version"), "1.2-3");
    assert_string_equal(text_at(j, "passages.0.licence"), "GPL-2.0");
    assert_true(json_real_value(at(j, "passages.0.score")) >=
                json_real_value(at(j, "passages.1.score")));
    assert_true(json_is_real(at(j, "passages.0.terms.title")));
    json_decref(j);
    j = client_json(fx.port, "POST", "/v1/ask", "{\"question\":\"naïvely Grüße 漢字\"}", 200);
    assert_string_equal(text_at(j, "passages.0.title"), "ls(1)");
    json_decref(j);
    j = client_json(fx.port, "POST", "/v1/ask", "{\"question\":\"zzzz\",\"k\":null}", 200);
    assert_int_equal(json_array_size(at(j, "passages")), 0);
    assert_string_equal(text_at(j, "answer"), "");
    json_decref(j);
    j = client_json(fx.port, "POST", "/v1/ask", "{\"question\":\"pizza basil files\"}", 200);
    assert_int_equal(json_array_size(at(j, "passages")), 0); /* one word of three */
    json_decref(j);
}

/* What clients send along: fields without a value, and ones that mean what happens anyway. */
static void what_clients_send_along_is_taken(void **state)
{
    (void)state;
    static const char *const chat[] = {
        "\"model\":null,\"n\":null,\"stop\":null,\"seed\":null,\"stream\":null,"
        "\"stream_options\":null,\"temperature\":null,\"tools\":null,\"user\":null",
        "\"n\":1,\"logprobs\":false,\"top_logprobs\":null,\"tools\":[],\"user\":\"u\","
        "\"response_format\":{\"type\":\"text\"},\"stop\":[],\"presence_penalty\":0"};
    for (size_t i = 0; i < sizeof chat / sizeof *chat; i++) {
        sm_buf b = {0};
        sm_buf_printf(&b, "{\"max_completion_tokens\":3,\"messages\":["
                      "{\"role\":\"user\",\"content\":\"the quick\"},"
                      "{\"role\":\"assistant\",\"content\":null},"
                      "{\"role\":\"assistant\"}],%s}", chat[i]);
        json_t *j = client_json(fx.port, "POST", "/v1/chat/completions", b.data, 200);
        check_usage(at(j, "usage"), 3);
        json_decref(j);
        sm_buf_free(&b);
    }
}

/* ------------------------------------------------------------- determinism */

enum { N_CLIENT = 6 };

static void *one_client(void *arg)
{
    char body[160];
    snprintf(body, sizeof body, "{\"prompt\":\"the lazy dog\",\"max_tokens\":120,\"seed\":%d,"
             "\"top_p\":0.95,\"stream\":%s}", *(int *)arg, *(int *)arg % 2 ? "true" : "false");
    if (*(int *)arg % 2)
        return stream_text("/v1/completions", body, false, NULL);
    json_t *j = client_json(fx.port, "POST", "/v1/completions", body, 200);
    sm_buf text = {0};
    put_text(&text, at(j, "choices.0.text"));
    json_decref(j);
    return text.data;
}

static void company_does_not_change_a_text(void **state)
{
    (void)state;
    pthread_t thread[N_CLIENT];
    int seed[N_CLIENT];
    char *alone[N_CLIENT];
    for (int i = 0; i < N_CLIENT; i++) {
        seed[i] = i;
        alone[i] = one_client(&seed[i]);
        assert_true(i == 0 || strcmp(alone[i], alone[i - 1]) != 0);
    }
    for (int i = 0; i < N_CLIENT; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, one_client, &seed[i]), 0);
    for (int i = 0; i < N_CLIENT; i++) {
        void *together;
        pthread_join(thread[i], &together);
        assert_string_equal(together, alone[i]);
        free(together);
        free(alone[i]);
    }
}

static void a_reported_seed_repeats_a_text(void **state)
{
    (void)state;
    static const char ask[] = "{\"prompt\":\"the\",\"max_tokens\":30}";
    json_t *a = client_json(fx.port, "POST", "/v1/completions", ask, 200);
    json_t *b = client_json(fx.port, "POST", "/v1/completions", ask, 200);
    assert_string_not_equal(text_at(a, "choices.0.text"), text_at(b, "choices.0.text"));
    char body[120];
    snprintf(body, sizeof body, "{\"prompt\":\"the\",\"max_tokens\":30,\"seed\":%lld}",
             (long long)json_integer_value(at(a, "smelt.seed")));
    json_t *again = client_json(fx.port, "POST", "/v1/completions", body, 200);
    assert_string_equal(text_at(a, "choices.0.text"), text_at(again, "choices.0.text"));
    json_decref(a);
    json_decref(b);
    json_decref(again);
}

/* ------------------------------------------------------- streams, departures */

#define LONG_TEXT "{\"prompt\":\"the\",\"max_tokens\":8000,\"stream\":true}"

static void two_streams_run_at_once(void **state)
{
    (void)state;
    sm_buf first = {0}, second = {0};
    int a = client_open(fx.port, "/v1/completions", LONG_TEXT);
    assert_true(client_read_until(a, &first, "data: {"));
    int b = client_open(fx.port, "/v1/completions", LONG_TEXT);
    assert_true(client_read_until(b, &second, "data: {"));
    assert_int_equal(stats().n_active, 2); /* the first has not ended */
    close(a);
    close(b);
    sm_buf_free(&first);
    sm_buf_free(&second);
    assert_true(wait_until_idle() < 5);
}

static void departure_cancels(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        LONG_TEXT, "{\"prompt\":\"the\",\"max_tokens\":8000}"};
    for (int i = 0; i < 2; i++) {
        int64_t before = stats().n_generated_tokens;
        int fd = client_open(fx.port, "/v1/completions", bodies[i]);
        while (stats().n_generated_tokens == before)
            nap();
        close(fd);
        assert_true(wait_until_idle() < 5);
        assert_true(stats().n_generated_tokens - before < 7000);
    }
    assert_alive();
}

/* Slow on purpose: a stream that meets its end-of-text token leaves a place in the queue,
 * which must not happen before the question is refused. */
static bool until_told(void *self, const char *bytes, size_t n, int32_t n_tokens)
{
    (void)bytes, (void)n, (void)n_tokens;
    for (int i = 0; i < 50 && !atomic_load((atomic_bool *)self); i++)
        nap();
    return !atomic_load((atomic_bool *)self);
}

static void ignore_end(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                       const sm_err *err)
{
    (void)self, (void)why, (void)n_prompt, (void)n_generated, (void)err;
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    static atomic_bool end; /* outlives the streams whatever fails */
    sm_sampling s = SM_SAMPLING_DEFAULT;
    sm_stream_sink sink = {.text = until_told, .done = ignore_end, .self = &end};
    s.max_tokens = 8000;
    do { /* full for good only when the engine has taken out all that it writes at once */
        while (sm_engine_submit(fx.engine, "the", 3, &s, sink, NULL, NULL) == SM_OK)
            assert_true(stats().n_queued <= 256);
    } while (stats().n_active < 4 || stats().n_queued < 256);
    reply r = client_ask(fx.port, "POST", "/v1/completions", "{\"prompt\":\"the\"}");
    char *retry = reply_header(&r, "Retry-After");
    assert_string_equal(retry, "1");
    free(retry);
    json_t *j = reply_json_take(&r, 503);
    assert_string_equal(text_at(j, "error.type"), "overloaded_error");
    json_decref(j);
    assert_alive();
    atomic_store(&end, true);
    assert_true(wait_until_idle() < 30);
}

/* n places of the engine, the rest of them, taken by texts that go on until *end. */
static void hold_the_engine(atomic_bool *end, int n)
{
    sm_sampling s = SM_SAMPLING_DEFAULT;
    sm_stream_sink sink = {.text = until_told, .done = ignore_end, .self = end};
    s.max_tokens = 8000;
    atomic_store(end, false);
    for (int i = 0; i < n; i++)
        assert_int_equal(sm_engine_submit(fx.engine, "the", 3, &s, sink, NULL, NULL), SM_OK);
    while (stats().n_active < 4)
        nap();
}

#define SHORT_TEXT "{\"prompt\":\"the\",\"max_tokens\":4"

/* Longer in the queue than a peer may be silent: it is not the peer that is silent. */
static void waiting_is_not_silence(void **state)
{
    (void)state;
    static atomic_bool end;
    sm_server *other;
    sm_serve_config c = fx.config;
    sm_buf events = {0}, whole = {0};
    c.silence_s = 2;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &c, NULL), SM_OK);
    hold_the_engine(&end, 4);
    int a = client_open(sm_serve_port(other), "/v1/completions", SHORT_TEXT ",\"stream\":true}");
    int b = client_open(sm_serve_port(other), "/v1/completions", SHORT_TEXT "}");
    int64_t t0 = sm_clock_ns();
    while (sm_clock_ns() - t0 < 2500000000)
        nap();
    assert_true(client_read_until(a, &events, ": waiting\n\n"));
    assert_int_equal(stats().n_queued, 2);
    atomic_store(&end, true);
    assert_true(client_read_until(a, &events, "data: [DONE]\n\n"));
    client_read_until(b, &whole, NULL);
    reply r = reply_parse(&whole);
    json_decref(reply_json_take(&r, 200));
    close(a);
    close(b);
    sm_buf_free(&events);
    sm_buf_free(&whole);
    sm_serve_stop(other);
    assert_true(wait_until_idle() < 5);
}

/* Behind texts that go on, requests whose clients leave do not fill the queue for others. */
static void the_departed_do_not_wait(void **state)
{
    (void)state;
    static atomic_bool end;
    hold_the_engine(&end, 4);
    for (int i = 0; i < 10; i++) {
        int fd = client_open(fx.port, "/v1/completions",
                             i % 2 ? SHORT_TEXT "}" : SHORT_TEXT ",\"stream\":true}");
        while (stats().n_queued == 0)
            nap();
        close(fd);
        for (int k = 0; stats().n_queued > 0; k++) {
            assert_true(k < 1000);
            nap();
        }
    }
    assert_int_equal(stats().n_active, 4);
    atomic_store(&end, true);
    assert_true(wait_until_idle() < 5);
}

static void *stop_server(void *server)
{
    sm_serve_stop(server);
    return NULL;
}

static bool can_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool ok = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    return ok;
}

/* The rest of an answer on `fd`, which is closed. */
static json_t *end_of_answer(int fd, int want_code)
{
    reply r = client_talk(fd, "", 0);
    return reply_json_take(&r, want_code);
}

/* A stream that writes, one that waits, an answer that waits, a request half sent, an idle
 * connection: each is told. */
static void stopping_tells_everybody(void **state)
{
    (void)state;
    static const char head[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 16\r\n\r\n";
    static const char health[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static atomic_bool end;
    sm_server *other;
    sm_serve_config c = fx.config;
    sm_buf in = {0}, waiting = {0}, idle_in = {0};
    pthread_t stopper;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &c, NULL), SM_OK);
    c.port = sm_serve_port(other);
    int writes = client_open(c.port, "/v1/completions", LONG_TEXT);
    int idle = client_connect(c.port), half = client_connect(c.port);
    assert_true(client_read_until(writes, &in, "data: {"));
    hold_the_engine(&end, 3);
    int waits = client_open(c.port, "/v1/completions", SHORT_TEXT "}");
    int stream = client_open(c.port, "/v1/completions", LONG_TEXT);
    while (stats().n_queued < 2)
        nap();
    assert_true(client_send(half, head, sizeof head - 1));
    assert_true(client_send(idle, health, sizeof health - 1));
    assert_true(client_read_until(idle, &idle_in, "\"ok\""));

    int64_t t0 = sm_clock_ns();
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, other), 0);
    while (can_connect(c.port))
        nap();
    json_t *j = end_of_answer(waits, 503);
    assert_string_equal(text_at(j, "error.code"), "stopping");
    json_decref(j);
    client_read_until(writes, &in, NULL);
    client_read_until(stream, &waiting, NULL);
    for (int i = 0; i < 2; i++) {
        assert_non_null(strstr(i ? waiting.data : in.data, "{\"error\":{\"message\":\"the "
                               "service is stopping\""));
        assert_null(strstr(i ? waiting.data : in.data, "[DONE]"));
        assert_non_null(strstr(i ? waiting.data : in.data, "\r\n0\r\n\r\n")); /* whole */
    }
    assert_true(client_send(idle, health, sizeof health - 1));
    j = end_of_answer(idle, 503);
    assert_string_equal(text_at(j, "status"), "stopping");
    json_decref(j);
    assert_true(client_send(half, "{\"prompt\":\"the\"}", 16));
    j = end_of_answer(half, 503);
    assert_string_equal(text_at(j, "error.code"), "stopping");
    json_decref(j);
    pthread_join(stopper, NULL);
    assert_true(sm_clock_ns() - t0 < 2500000000); /* nothing was left to wait for */

    assert_int_equal(sm_serve_start(&other, &fx.ctx, &c, NULL), SM_OK); /* the port is free */
    sm_serve_stop(other);
    atomic_store(&end, true);
    assert_true(wait_until_idle() < 5);
    close(writes);
    close(stream);
    sm_buf_free(&in);
    sm_buf_free(&waiting);
    sm_buf_free(&idle_in);
}

/* Peers that never end what they began hold a stop for a bounded time. */
static void stopping_does_not_wait_for_good(void **state)
{
    (void)state;
    static const char half[] = "POST /v1/ask HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 100\r\n\r\n{";
    sm_server *other;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &fx.config, NULL), SM_OK);
    int fd = client_connect(sm_serve_port(other));
    assert_true(client_send(fd, half, sizeof half - 1));
    int64_t t0 = sm_clock_ns();
    sm_serve_stop(other);
    assert_true(sm_clock_ns() - t0 < 5000000000);
    close(fd);
}

/* ----------------------------------------------------------------- metrics */

/* The value of a sample; -1 when it is absent. */
static double sample(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; (p = strstr(p, name)); p += n)
        if ((p == text || p[-1] == '\n') && p[n] == ' ')
            return strtod(p + n + 1, NULL);
    return -1;
}

/* NAME or NAME{k="v",...}, a space, a number. */
static void check_sample(const char *line, const char *families)
{
    size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    char type[96], *end;
    assert_true(n > 6 && !strncmp(line, "smelt_", 6));
    const char *p = line + n;
    if (*p == '{') {
        p = strchr(p, '}');
        assert_non_null(p);
        p++;
    }
    assert_int_equal(*p, ' ');
    double v = strtod(p + 1, &end);
    assert_true(v >= 0 && *end == 0);
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    bool found = false;
    for (int i = 0; i < 4 && !found; i++) {
        size_t k = strlen(suffixes[i]);
        if (n > k && !strncmp(line + n - k, suffixes[i], k)) {
            snprintf(type, sizeof type, "# TYPE %.*s ", (int)(n - k), line);
            found = strstr(families, type) != NULL;
        }
    }
    if (!found)
        fail_msg("no # TYPE before %s", line);
}

static void metrics_are_prometheus_text(void **state)
{
    (void)state;
    reply r = client_ask(fx.port, "GET", "/metrics", NULL);
    assert_int_equal(r.code, 200);
    char *type = reply_header(&r, "Content-Type");
    assert_string_equal(type, "text/plain; version=0.0.4; charset=utf-8");
    free(type);
    char *copy = sm_strdup(r.body.data), *save = NULL;
    assert_int_equal(r.body.data[r.body.len - 1], '\n');
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!strncmp(line, "# HELP ", 7) || !strncmp(line, "# TYPE ", 7))
            continue;
        check_sample(line, r.body.data);
    }
    free(copy);
    assert_true(sample(r.body.data, "smelt_requests_total") > 0);
    double all = sample(r.body.data, "smelt_time_to_first_text_seconds_count");
    double cum = 0;
    const char *p = r.body.data;
    while ((p = strstr(p, "smelt_time_to_first_text_seconds_bucket"))) {
        double v = strtod(strchr(p, '}') + 1, NULL);
        assert_true(v >= cum);
        cum = v;
        p++;
    }
    assert_true(all > 0 && cum == all);
    assert_true(sample(r.body.data, "smelt_streams_active") == 0);
    reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_listed),
        cmocka_unit_test(completions_have_openai_shape),
        cmocka_unit_test(chats_have_openai_shape),
        cmocka_unit_test(streams_equal_whole_answers),
        cmocka_unit_test(stop_strings_end_a_text),
        cmocka_unit_test(questions_are_answered_with_citations),
        cmocka_unit_test(what_clients_send_along_is_taken),
        cmocka_unit_test(company_does_not_change_a_text),
        cmocka_unit_test(a_reported_seed_repeats_a_text),
        cmocka_unit_test(two_streams_run_at_once),
        cmocka_unit_test(departure_cancels),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(waiting_is_not_silence),
        cmocka_unit_test(the_departed_do_not_wait),
        cmocka_unit_test(stopping_tells_everybody),
        cmocka_unit_test(stopping_does_not_wait_for_good),
        cmocka_unit_test(metrics_are_prometheus_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
