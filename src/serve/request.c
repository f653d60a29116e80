/* SPDX-License-Identifier: Apache-2.0 */
/* Completion and chat requests: fields, types, ranges. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The value as JSON, cut; "nothing" where there is none. */
static void describe(char out[48], const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    size_t n = sm_utf8_copy_printable(out, 40, text ? text : "nothing");
    if (text && strlen(text) > n)
        memcpy(out + n, "...", 4);
    free(text);
}

static sm_status wrong(const char **param, const char *name, const json_t *got,
                       const char *want, sm_err *err)
{
    char value[48];
    *param = name;
    describe(value, got);
    return sm_fail(err, SM_EINVAL, "%s: got %s, want %s", name, value, want);
}

static sm_status number(double *out, const json_t *body, const char *name,
                        const char **param, sm_err *err)
{
    const json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return SM_OK;
    if (!json_is_number(v) || !isfinite(json_number_value(v)))
        return wrong(param, name, v, "a number", err);
    *out = json_number_value(v);
    return SM_OK;
}

static sm_status integer(int64_t *out, const json_t *body, const char *name, int64_t min,
                         int64_t max, const char **param, sm_err *err)
{
    const json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return SM_OK;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        char want[80];
        snprintf(want, sizeof want, "an integer in %lld..%lld", (long long)min,
                 (long long)max);
        return wrong(param, name, v, max > min ? want : "1: a text for each request", err);
    }
    *out = json_integer_value(v);
    return SM_OK;
}

static sm_status boolean(bool *out, const json_t *body, const char *name,
                         const char **param, sm_err *err)
{
    const json_t *v = json_object_get(body, name);
    if (!v || json_is_null(v))
        return SM_OK;
    if (!json_is_boolean(v))
        return wrong(param, name, v, "true or false", err);
    *out = json_is_true(v);
    return SM_OK;
}

const char *request_param_of(const sm_err *err, bool is_chat)
{
    static const char *const names[] = {"temperature", "top_k", "top_p", "min_p", "seed",
                                        "max_tokens", "stop", "prompt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(err->msg, names[i], n) && err->msg[n] == ':')
            return is_chat && !strcmp(names[i], "prompt") ? "messages" : names[i];
    }
    return NULL;
}

static sm_status sampling(completion_request *r, const char **param, sm_err *err)
{
    double temperature = 1, top_p = 1, min_p = 0;
    int64_t top_k = 0, seed = 0, max_tokens = 128, n = 1;
    sm_status s = number(&temperature, r->body, "temperature", param, err);
    if (!s)
        s = number(&top_p, r->body, "top_p", param, err);
    if (!s)
        s = number(&min_p, r->body, "min_p", param, err);
    if (!s)
        s = integer(&top_k, r->body, "top_k", 0, INT32_MAX, param, err);
    if (!s)
        s = integer(&seed, r->body, "seed", INT64_MIN, INT64_MAX, param, err);
    if (!s)
        s = integer(&max_tokens, r->body, "max_tokens", 0, INT32_MAX, param, err);
    if (!s)
        s = integer(&max_tokens, r->body, "max_completion_tokens", 0, INT32_MAX, param, err);
    if (!s)
        s = integer(&n, r->body, "n", 1, 1, param, err);
    if (s)
        return s;
    r->sampling = (sm_sampling){.temperature = (float)temperature,
                                .top_k = (int32_t)top_k,
                                .top_p = (float)top_p,
                                .min_p = (float)min_p,
                                .seed = (uint64_t)seed,
                                .max_tokens = (int32_t)max_tokens,
                                .stop = r->stop};
    r->has_seed = json_is_integer(json_object_get(r->body, "seed"));
    s = sm_sampling_check(&r->sampling, err);
    *param = s ? request_param_of(err, r->is_chat) : NULL;
    return s;
}

static sm_status stops(completion_request *r, const char **param, sm_err *err)
{
    const json_t *v = json_object_get(r->body, "stop");
    if (!v || json_is_null(v))
        return SM_OK;
    if (json_is_string(v) && *json_string_value(v)) {
        r->stop[0] = json_string_value(v);
        return SM_OK;
    }
    if (!json_is_array(v) || json_array_size(v) > MAX_STOP)
        return wrong(param, "stop", v, "a text, or at most 16 of them", err);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *text = json_string_value(json_array_get(v, i));
        if (!text || !*text)
            return wrong(param, "stop", v, "texts that are not empty", err);
        r->stop[i] = text;
    }
    return SM_OK;
}

static sm_status prompt(completion_request *r, const char **param, sm_err *err)
{
    const json_t *v = json_object_get(r->body, "prompt");
    if (json_is_array(v) && json_array_size(v) == 1)
        v = json_array_get(v, 0);
    if (!json_is_string(v))
        return wrong(param, "prompt", v, "a string, or a list of one", err);
    if (!sm_buf_put(&r->prompt, json_string_value(v), json_string_length(v)))
        return sm_fail(err, SM_ENOMEM, "prompt: out of memory");
    return SM_OK;
}

static bool put_text(sm_buf *out, const json_t *text)
{
    if (json_is_string(text))
        sm_buf_put(out, json_string_value(text), json_string_length(text));
    return json_is_string(text);
}

/* A string, or a list of {"type": "text", "text": "..."}. */
static bool put_content(sm_buf *out, const json_t *content)
{
    if (!json_is_array(content))
        return put_text(out, content);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") != 0 || !put_text(out, json_object_get(part, "text")))
            return false;
    }
    return true;
}

/* What an assistant said may be nothing. */
static bool is_without_text(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    return !strcmp(json_string_value(json_object_get(message, "role")), "assistant") &&
           (!content || json_is_null(content));
}

/* The field with a call of a tool, which smelt does not have; NULL: none. */
static const char *call_of(const json_t *message)
{
    const json_t *one = json_object_get(message, "function_call");
    if (json_array_size(json_object_get(message, "tool_calls")) > 0)
        return "tool_calls";
    return one && !json_is_null(one) ? "function_call" : NULL;
}

/* A base model knows no roles: contents are joined by blank lines and continued. */
static sm_status messages(completion_request *r, const char **param, sm_err *err)
{
    const json_t *v = json_object_get(r->body, "messages");
    if (!json_is_array(v) || json_array_size(v) == 0)
        return wrong(param, "messages", v, "a list of at least one message", err);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *m = json_array_get(v, i);
        if (i > 0)
            sm_buf_puts(&r->prompt, "\n\n");
        *param = "messages";
        if (!json_is_string(json_object_get(m, "role")))
            return sm_fail(err, SM_EINVAL, "messages[%zu].role: want a string", i);
        if (call_of(m))
            return sm_fail(err, SM_EUNSUPPORTED, "messages[%zu].%s: not supported by this "
                           "server", i, call_of(m));
        if (!is_without_text(m) && !put_content(&r->prompt, json_object_get(m, "content")))
            return sm_fail(err, SM_EINVAL, "messages[%zu].content: want a string, or parts of "
                           "type text", i);
    }
    *param = NULL;
    if (r->prompt.failed)
        return sm_fail(err, SM_ENOMEM, "messages: out of memory");
    return SM_OK;
}

bool request_model_matches(const json_t *body, const sm_server *s)
{
    const json_t *m = json_object_get(body, "model");
    return !m || json_is_null(m) ||
           (json_is_string(m) && !strcmp(json_string_value(m), s->config.model_name));
}

sm_status request_parse(completion_request *r, const exchange *x, bool is_chat,
                        const char **param, sm_err *err)
{
    *r = (completion_request){.is_chat = is_chat};
    *param = NULL;
    sm_status s = sm_json_parse(&r->body, x->body.data ? x->body.data : "", x->body.len,
                                "body", err);
    if (!s && !json_is_object(r->body))
        s = sm_fail(err, SM_EINVAL, "body: want a JSON object");
    if (!s)
        s = request_refuse_foreign(r->body, param, err);
    if (!s)
        s = is_chat ? messages(r, param, err) : prompt(r, param, err);
    if (!s)
        s = stops(r, param, err);
    if (!s)
        s = sampling(r, param, err);
    if (!s)
        s = boolean(&r->stream, r->body, "stream", param, err);
    const json_t *more = json_object_get(r->body, "stream_options");
    if (!s && more && !json_is_null(more) && !json_is_object(more))
        s = wrong(param, "stream_options", more, "an object", err);
    if (!s)
        s = boolean(&r->include_usage, more, "include_usage", param, err);
    if (s && *param && !strcmp(*param, "include_usage"))
        *param = "stream_options.include_usage";
    if (s)
        request_free(r);
    return s;
}

void request_free(completion_request *r)
{
    json_decref(r->body);
    r->body = NULL;
    sm_buf_free(&r->prompt);
}
