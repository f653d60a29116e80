/* SPDX-License-Identifier: Apache-2.0 */
/* What clients that were written for other servers send, and how many of them come. */
#include "fixture.h"

#define CHAT "\"messages\":[{\"role\":\"user\",\"content\":\"the\"}],\"max_tokens\":2"
#define PROMPT "\"prompt\":\"the\",\"max_tokens\":2"

/* ------------------------------------------------------------------ fields */

static void check_refused(const char *url, const char *body, const char *param)
{
    json_t *j = client_json(fx.port, "POST", url, body, 400);
    assert_string_equal(text_at(j, "error.type"), "invalid_request_error");
    assert_string_equal(text_at(j, "error.param"), param);
    json_decref(j);
}

/* Fields of OpenAI, vLLM and llama.cpp that would change the answer. */
static void foreign_fields_are_refused(void **state)
{
    (void)state;
    static const char *const field[][2] = {{"repetition_penalty", "1.2"},
                                           {"repeat_penalty", "1.2"},
                                           {"typical_p", "0.5"},
                                           {"mirostat", "2"},
                                           {"dry_multiplier", "0.8"},
                                           {"xtc_probability", "0.5"},
                                           {"samplers", "[\"top_k\"]"},
                                           {"use_beam_search", "true"},
                                           {"bad_words", "[\"a\"]"},
                                           {"allowed_token_ids", "[5]"},
                                           {"n_predict", "3"},
                                           {"min_tokens", "5"},
                                           {"ignore_eos", "true"},
                                           {"stop_token_ids", "[5]"},
                                           {"include_stop_str_in_output", "true"},
                                           {"grammar", "\"root ::= 1\""},
                                           {"json_schema", "{\"type\":\"object\"}"},
                                           {"guided_json", "{\"type\":\"object\"}"},
                                           {"structured_outputs", "{\"regex\":\"a\"}"},
                                           {"prompt_logprobs", "0"},
                                           {"truncate_prompt_tokens", "2"},
                                           {"lora", "[{\"id\":0}]"},
                                           {"tool_choice", "\"required\""},
                                           {"tool_choice", "{\"type\":\"function\"}"},
                                           {"function_call", "{\"name\":\"x\"}"},
                                           {"modalities", "[\"text\",\"audio\"]"},
                                           {"audio", "{\"voice\":\"alloy\"}"},
                                           {"chat_template", "\"{{x}}\""},
                                           {"response_format", "\" text\""},
                                           {"response_format", "\"json\""}};
    char body[200];
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        snprintf(body, sizeof body, "{" PROMPT ",\"%s\":%s}", field[i][0], field[i][1]);
        check_refused("/v1/completions", body, field[i][0]);
        snprintf(body, sizeof body, "{" CHAT ",\"%s\":%s}", field[i][0], field[i][1]);
        check_refused("/v1/chat/completions", body, field[i][0]);
    }
    static const char *const call[] = {
        "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\"}]",
        "\"function_call\":{\"name\":\"x\"}"};
    for (size_t i = 0; i < sizeof call / sizeof *call; i++) {
        snprintf(body, sizeof body,
                 "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",%s}]}",
                 call[i]);
        check_refused("/v1/chat/completions", body, "messages");
    }
}

/* The same fields, saying what happens anyway. */
static void neutral_fields_are_taken(void **state)
{
    (void)state;
    json_decref(client_json(
        fx.port, "POST", "/v1/chat/completions",
        "{" CHAT ",\"repetition_penalty\":1.0,\"repeat_penalty\":1,\"typical_p\":1,"
        "\"mirostat\":0,\"min_tokens\":0,\"ignore_eos\":false,\"stop_token_ids\":[],"
        "\"tool_choice\":\"none\",\"function_call\":\"auto\",\"modalities\":[\"text\"],"
        "\"audio\":null,\"grammar\":\"\",\"logit_bias\":{},\"parallel_tool_calls\":true,"
        "\"reasoning_effort\":\"low\",\"store\":false,\"metadata\":{\"a\":\"b\"}}",
        200));
    json_decref(client_json(fx.port, "POST", "/v1/chat/completions",
                            "{\"max_tokens\":2,\"messages\":[{\"role\":\"user\","
                            "\"content\":\"a\",\"name\":\"bob\"},"
                            "{\"role\":\"assistant\",\"content\":\"b\",\"tool_calls\":[],"
                            "\"function_call\":null}]}",
                            200));
}

static void long_chats_are_told_by_code(void **state)
{
    (void)state;
    sm_buf body = {0};
    sm_buf_puts(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    while (body.len < 50000)
        sm_buf_puts(&body, "zxzxzxzxzx");
    sm_buf_puts(&body, "\"}]}");
    json_t *j = client_json(fx.port, "POST", "/v1/chat/completions", body.data, 400);
    assert_string_equal(text_at(j, "error.code"), "context_length_exceeded");
    assert_string_equal(text_at(j, "error.param"), "messages");
    json_decref(j);
    sm_buf_free(&body);
}

/* Clients keep answers by id, also beyond the end of a service. */
static void ids_differ_between_services(void **state)
{
    (void)state;
    sm_server *other;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &fx.config, NULL), SM_OK);
    sm_server *third;
    assert_int_equal(sm_serve_start(&third, &fx.ctx, &fx.config, NULL), SM_OK);
    json_t *a =
        client_json(sm_serve_port(other), "POST", "/v1/completions", "{" PROMPT "}", 200);
    json_t *b =
        client_json(sm_serve_port(third), "POST", "/v1/completions", "{" PROMPT "}", 200);
    assert_string_not_equal(text_at(a, "id"), text_at(b, "id"));
    json_decref(a);
    json_decref(b);
    sm_serve_stop(other);
    sm_serve_stop(third);
}

static void coded_bodies_are_refused(void **state)
{
    (void)state;
    static const char *const coding[] = {"gzip", "identity"};
    for (int i = 0; i < 2; i++) {
        char header[60];
        snprintf(header, sizeof header, "Content-Encoding: %s\r\n", coding[i]);
        sm_buf b = {0};
        put_request(&b, "POST", "/v1/completions", header, "{" PROMPT "}");
        reply r = client_raw(fx.port, b.data, b.len);
        json_t *j = reply_json_take(&r, i ? 200 : 415);
        if (i == 0) {
            assert_string_equal(text_at(j, "error.message"),
                                "Content-Encoding: got gzip, want a body as it is");
            assert_string_equal(text_at(j, "error.code"), "unsupported_encoding");
        }
        json_decref(j);
        sm_buf_free(&b);
    }
}

/* ------------------------------------------------------------- connections */

static int64_t n_timed(void)
{
    static const char name[] =
        "smelt_request_duration_seconds_count{route=\"completions\"} ";
    reply r = client_ask(fx.port, "GET", "/metrics", NULL);
    const char *p = strstr(r.body.data, name);
    assert_non_null(p);
    int64_t n = strtoll(p + strlen(name), NULL, 10);
    reply_free(&r);
    return n;
}

/* What computes nothing takes no time worth counting. */
static void only_what_computes_is_timed(void **state)
{
    (void)state;
    int64_t before = n_timed();
    reply r = client_ask(fx.port, "OPTIONS", "/v1/completions", NULL);
    assert_int_equal(r.code, 204);
    reply_free(&r);
    json_decref(client_json(fx.port, "GET", "/v1/completions", NULL, 405));
    json_decref(client_json(fx.port, "POST", "/v1/completions", "{" PROMPT "}", 200));
    for (int i = 0; n_timed() < before + 1 && i < 1000; i++)
        nap();
    assert_int_equal(n_timed(), before + 1);
}

/* A request on an open connection; false when it was closed instead. */
static bool ask_on(int fd, const char *request, char *answer, size_t size)
{
    sm_buf in = {0};
    bool ok = client_send(fd, request, strlen(request)) &&
              client_read_until(fd, &in, "\r\n\r\n");
    snprintf(answer, size, "%s", ok ? in.data : "");
    sm_buf_free(&in);
    return ok;
}

static const char health[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* Clients that keep their connections do not keep others out. */
static void idle_connections_leave_room(void **state)
{
    (void)state;
    enum { N = 3 * MAX_CONNECTIONS };
    int fd[N];
    char answer[2000];
    for (int i = 0; i < N; i++) {
        fd[i] = client_connect(fx.port);
        if (!ask_on(fd[i], health, answer, sizeof answer))
            fail_msg("connection %d: got no answer", i);
        assert_memory_equal(answer, "HTTP/1.1 200", 12);
        if (strstr(answer, "Connection: close")) {
            reply end = client_talk(fd[i], "", 0); /* until it is closed */
            reply_free(&end);
            fd[i] = -1;
        }
    }
    json_decref(client_json(fx.port, "POST", "/v1/completions", "{" PROMPT "}", 200));
    for (int i = 0; i < N; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

/* Connections beyond those that are held are told so, and the rest goes on. */
static void too_many_connections_are_told(void **state)
{
    (void)state;
    int fd[MAX_CONNECTIONS];
    sm_server *other;
    assert_int_equal(sm_serve_start(&other, &fx.ctx, &fx.config, NULL), SM_OK);
    int port = sm_serve_port(other);
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        fd[i] = client_connect(port);
        client_send(fd[i], "GET", 3);
    }
    json_t *j = client_json(port, "POST", "/v1/completions", "{" PROMPT "}", 503);
    assert_string_equal(text_at(j, "error.type"), "overloaded_error");
    assert_string_equal(text_at(j, "error.code"), "too_many_connections");
    json_decref(j);
    json_decref(client_json(port, "GET", "/health", NULL, 200));
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        close(fd[i]);
    for (int i = 0, code = 0; code != 200;
         i++) { /* as soon as the departed are noticed */
        assert_true(i < 1000);
        reply r = client_ask(port, "POST", "/v1/completions", "{" PROMPT "}");
        code = r.code;
        reply_free(&r);
        nap();
    }
    sm_serve_stop(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_fields_are_refused),
        cmocka_unit_test(neutral_fields_are_taken),
        cmocka_unit_test(long_chats_are_told_by_code),
        cmocka_unit_test(ids_differ_between_services),
        cmocka_unit_test(coded_bodies_are_refused),
        cmocka_unit_test(only_what_computes_is_timed),
        cmocka_unit_test(idle_connections_leave_room),
        cmocka_unit_test(too_many_connections_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
