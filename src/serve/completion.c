/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/completions and /v1/chat/completions, whole and as server-sent events:
 *   data: {...}\n\n for each piece, then one with finish_reason, then data: [DONE]\n\n
 * While there is no text yet, comments (: waiting\n\n) show that the service is there, and
 * keep whatever stands between from taking the connection for dead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/sys.h"
#include "stream.h"

static const char base_note[] =
    "a base model: messages are joined and continued as plain text";

/* An answer under way to a connection. */
typedef struct answer {
    stream *s;
    sm_server *server;
    bool is_chat, include_usage, role_sent, finished;
    char id[40];
    int64_t created, seed;
    sm_buf out; /* events ready to be sent */
    size_t sent;
} answer;

static json_t *head(const answer *a, const char *object)
{
    const sm_serve_config *c = &a->server->config;
    return json_pack("{ss ss sI ss ss*}", "id", a->id, "object", object, "created",
                     (json_int_t)a->created, "model", c->model_name, "system_fingerprint",
                     c->fingerprint);
}

/* What OpenAI's objects have no place for. */
static json_t *extra(const answer *a)
{
    return json_pack("{sI ss*}", "seed", (json_int_t)a->seed, "note",
                     a->is_chat ? base_note : NULL);
}

static json_t *usage(const stream *s)
{
    return json_pack("{si si si}", "prompt_tokens", s->n_prompt, "completion_tokens",
                     s->n_generated, "total_tokens", s->n_prompt + s->n_generated);
}

/* ------------------------------------------------------------------- whole */

static json_t *whole_choice(const answer *a, const sm_buf *text)
{
    json_t *content = clean_string(text->data ? text->data : "", text->len);
    if (a->is_chat)
        return json_pack("{si s{ss so sn} sn ss}", "index", 0, "message", "role",
                         "assistant", "content", content, "refusal", "logprobs",
                         "finish_reason", finish_name(a->s->why));
    return json_pack("{si so sn ss}", "index", 0, "text", content, "logprobs",
                     "finish_reason", finish_name(a->s->why));
}

static mhd_result reply_whole(exchange *x, answer *a)
{
    sm_buf text = {0};
    bool is_done = false, ok = true;
    while (ok && !is_done)
        ok = stream_wait(a->s, &text, &is_done, INT64_MAX);
    mhd_result result;
    if (!ok && atomic_load(&a->server->stopping)) {
        result = reply_stopping(x);
    } else if (!ok) {
        result = reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "server_error", NULL,
                             "cancelled", "the request was cancelled");
    } else if (a->s->why == SM_FINISH_ERROR) {
        result = reply_status(x, a->s->err.status, NULL, &a->s->err);
    } else {
        json_t *body = head(a, a->is_chat ? "chat.completion" : "text_completion");
        json_object_set_new(body, "choices", json_pack("[o]", whole_choice(a, &text)));
        json_object_set_new(body, "usage", usage(a->s));
        json_object_set_new(body, "smelt", extra(a));
        result = reply_json(x, MHD_HTTP_OK, body);
    }
    sm_buf_free(&text);
    return result;
}

/* ------------------------------------------------------------------ events */

static bool put_event(answer *a, json_t *event)
{
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    bool ok = text && sm_buf_puts(&a->out, "data: ") && sm_buf_puts(&a->out, text) &&
              sm_buf_puts(&a->out, "\n\n");
    free(text);
    return ok;
}

static json_t *piece(answer *a, json_t *content, const char *finish)
{
    json_t *event = head(a, a->is_chat ? "chat.completion.chunk" : "text_completion");
    json_t *choice;
    if (a->is_chat) {
        json_t *delta = json_object();
        if (!a->role_sent)
            json_object_set_new(delta, "role", json_string("assistant"));
        a->role_sent = true;
        if (content)
            json_object_set_new(delta, "content", content);
        choice = json_pack("{si so sn ss?}", "index", 0, "delta", delta, "logprobs",
                           "finish_reason", finish);
    } else {
        choice = json_pack("{si so sn ss?}", "index", 0, "text",
                           content ? content : json_string(""), "logprobs",
                           "finish_reason", finish);
    }
    json_object_set_new(event, "choices", json_pack("[o]", choice));
    if (a->include_usage) /* null in all but the last */
        json_object_set_new(event, "usage", json_null());
    return event;
}

static bool put_error(answer *a, const char *message)
{
    a->finished = true;
    return put_event(a, json_pack("{s{so ss sn sn}}", "error", "message",
                                  clean_string(message, strlen(message)), "type",
                                  "server_error", "param", "code"));
}

static bool put_end(answer *a)
{
    a->finished = true;
    if (a->s->why == SM_FINISH_ERROR)
        return put_error(a, a->s->err.msg);
    json_t *last = piece(a, NULL, finish_name(a->s->why));
    json_object_set_new(last, "smelt", extra(a));
    bool ok = put_event(a, last);
    if (ok && a->include_usage) {
        json_t *event = head(a, a->is_chat ? "chat.completion.chunk" : "text_completion");
        json_object_set_new(event, "choices", json_array());
        json_object_set_new(event, "usage", usage(a->s));
        ok = put_event(a, event);
    }
    return ok && sm_buf_puts(&a->out, "data: [DONE]\n\n");
}

/* Fill a->out with an event or a comment; false to end the connection. */
static bool next_events(answer *a)
{
    sm_buf text = {0};
    int64_t wait_ns = a->server->config.silence_s * (int64_t)1000000000 / 3;
    bool is_done = false, ok = stream_wait(a->s, &text, &is_done, sm_clock_ns() + wait_ns);
    if (!ok) {
        ok = atomic_load(&a->server->stopping) && put_error(a, STOPPING_MESSAGE);
    } else if (text.len == 0 && !is_done) {
        ok = sm_buf_puts(&a->out, ": waiting\n\n");
    } else {
        ok = text.len == 0 || put_event(a, piece(a, clean_string(text.data, text.len), NULL));
        if (ok && is_done)
            ok = put_end(a);
    }
    sm_buf_free(&text);
    return ok;
}

static ssize_t read_events(void *cls, uint64_t pos, char *buf, size_t max)
{
    answer *a = cls;
    (void)pos;
    if (a->sent == a->out.len) {
        sm_buf_clear(&a->out);
        a->sent = 0;
        if (a->finished)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!next_events(a))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = a->out.len - a->sent;
    if (n > max)
        n = max;
    memcpy(buf, a->out.data + a->sent, n);
    a->sent += n;
    return (ssize_t)n;
}

static void answer_free(void *cls)
{
    answer *a = cls;
    if (a->s)
        stream_leave(a->s);
    sm_buf_free(&a->out);
    free(a);
}

static mhd_result reply_events(exchange *x, answer *a)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_events, a, answer_free);
    if (!r) {
        answer_free(a);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "text/event-stream; charset=utf-8");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    add_common_headers(r, x);
    count_answer(x, MHD_HTTP_OK);
    mhd_result ok = MHD_queue_response(x->connection, MHD_HTTP_OK, r);
    MHD_destroy_response(r);
    return ok;
}

/* ------------------------------------------------------------------- entry */

/* Why the engine did not take a request.  Of a prompt that has text only the length can be
 * wrong, and clients that shorten theirs look for OpenAI's code of that. */
static mhd_result reply_unstarted(exchange *x, sm_status s, bool is_chat, bool has_prompt,
                                  const sm_err *err)
{
    const char *param = request_param_of(err, is_chat);
    if (s == SM_EINVAL && has_prompt && param &&
        !strcmp(param, is_chat ? "messages" : "prompt"))
        return reply_error(x, MHD_HTTP_BAD_REQUEST, "invalid_request_error", param,
                           "context_length_exceeded", err->msg);
    return reply_status(x, s, param, err);
}

mhd_result answer_completion(exchange *x, bool is_chat)
{
    sm_err err = {0};
    const char *param;
    completion_request r;
    sm_status s = request_parse(&r, x, is_chat, &param, &err);
    if (s)
        return reply_status(x, s, param, &err);
    if (!request_model_matches(r.body, x->server)) {
        const char *name = json_string_value(json_object_get(r.body, "model"));
        mhd_result refused = reply_no_model(x, name ? name : "what is no string");
        request_free(&r);
        return refused;
    }
    answer *a = sm_alloc(1, sizeof *a);
    if (!a) {
        request_free(&r);
        return MHD_NO;
    }
    a->server = x->server;
    a->is_chat = is_chat;
    a->include_usage = r.include_usage;
    a->created = sm_wall_ns() / 1000000000;
    long long number = atomic_fetch_add(&x->server->next_id, 1);
    snprintf(a->id, sizeof a->id, "%s-%016llx", is_chat ? "chatcmpl" : "cmpl",
             (unsigned long long)sm_rng_u64(x->server->seed, SM_STREAM_SAMPLE, 1,
                                            (uint64_t)number));
    if (!r.has_seed) /* another text each time, as clients expect; 53 bits survive JSON */
        r.sampling.seed = sm_rng_u64(x->server->seed, SM_STREAM_SAMPLE, 0,
                                     (uint64_t)number) >> 11;
    a->seed = (int64_t)r.sampling.seed;
    s = stream_start(&a->s, x, &r, &err);
    bool as_events = r.stream, has_prompt = r.prompt.len > 0;
    request_free(&r);
    mhd_result result;
    if (s)
        result = reply_unstarted(x, s, is_chat, has_prompt, &err);
    else if (as_events)
        return reply_events(x, a);
    else
        result = reply_whole(x, a);
    answer_free(a);
    return result;
}
