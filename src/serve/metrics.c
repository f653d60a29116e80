/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/models, /v1/models/NAME, /health, and /metrics in Prometheus' text format. */
#include <string.h>

#include "internal.h"
#include "smelt/sys.h"

mhd_result answer_models(exchange *x, const char *url)
{
    const sm_serve_config *c = &x->server->config;
    bool is_list = strncmp(url, MODEL_PREFIX, strlen(MODEL_PREFIX)) != 0;
    if (!is_list && strcmp(url + strlen(MODEL_PREFIX), c->model_name) != 0)
        return reply_no_model(x, url + strlen(MODEL_PREFIX));
    json_t *model = json_pack("{ss ss sI ss}", "id", c->model_name, "object", "model",
                              "created", (json_int_t)c->created_s, "owned_by", "smelt");
    return reply_json(x, MHD_HTTP_OK, is_list ? json_pack("{ss s[o]}", "object", "list",
                                                          "data", model) : model);
}

mhd_result answer_health(exchange *x)
{
    bool stopping = atomic_load(&x->server->stopping);
    return reply_json(x, stopping ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                      json_pack("{ss ss}", "status", stopping ? "stopping" : "ok", "model",
                                x->server->config.model_name));
}

static void counter(sm_buf *b, const char *name, const char *type, const char *help,
                    double value)
{
    sm_buf_printf(b, "# HELP smelt_%s %s\n# TYPE smelt_%s %s\nsmelt_%s %.17g\n", name, help,
                  name, type, name, value);
}

static void requests(sm_buf *b, sm_server *s)
{
    static const char *const kind[N_ROUTE_KIND] = {
        "models", "completions", "chat", "ask", "health",
        "metrics", "api", "page", "unknown", "refused"};
    sm_buf_puts(b, "# HELP smelt_http_responses_total Responses by route and status class.\n"
                   "# TYPE smelt_http_responses_total counter\n");
    for (int k = 0; k < N_ROUTE_KIND; k++)
        for (int c = 1; c < N_CODE_CLASS; c++) {
            long long n = atomic_load(&s->n_answered[k][c]);
            if (n > 0)
                sm_buf_printf(b,
                              "smelt_http_responses_total{route=\"%s\",status=\"%dxx\"} %lld\n",
                              kind[k], c, n);
        }
}

static const double bucket_s[N_BUCKET - 1] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                              0.5,   1,    2.5,   5,    10,  30};

void observe(histogram *h, int64_t ns)
{
    int i = 0;
    while (i < N_BUCKET - 1 && (double)ns * 1e-9 > bucket_s[i])
        i++;
    atomic_fetch_add(&h->n[i], 1);
    atomic_fetch_add(&h->sum_ns, ns);
}

/* label is "" or `route="chat"` and the like. */
static void put_histogram(sm_buf *b, const char *name, const char *label, histogram *h)
{
    const char *comma = *label ? "," : "", *open = *label ? "{" : "", *close = *label ? "}" : "";
    long long sum = 0;
    for (int i = 0; i < N_BUCKET; i++) {
        sum += atomic_load(&h->n[i]);
        sm_buf_printf(b, "smelt_%s_bucket{%s%sle=\"", name, label, comma);
        if (i < N_BUCKET - 1)
            sm_buf_printf(b, "%g", bucket_s[i]);
        else
            sm_buf_puts(b, "+Inf");
        sm_buf_printf(b, "\"} %lld\n", sum);
    }
    sm_buf_printf(b, "smelt_%s_sum%s%s%s %.9g\n", name, open, label, close,
                  (double)atomic_load(&h->sum_ns) * 1e-9);
    sm_buf_printf(b, "smelt_%s_count%s%s%s %lld\n", name, open, label, close, sum);
}

static void durations(sm_buf *b, sm_server *s)
{
    sm_buf_puts(b, "# HELP smelt_request_duration_seconds From headers read to answer sent.\n"
                   "# TYPE smelt_request_duration_seconds histogram\n");
    put_histogram(b, "request_duration_seconds", "route=\"completions\"",
                  &s->duration[ROUTE_COMPLETIONS]);
    put_histogram(b, "request_duration_seconds", "route=\"chat\"", &s->duration[ROUTE_CHAT]);
    put_histogram(b, "request_duration_seconds", "route=\"ask\"", &s->duration[ROUTE_ASK]);
    sm_buf_puts(b, "# HELP smelt_time_to_first_text_seconds From request to first text.\n"
                   "# TYPE smelt_time_to_first_text_seconds histogram\n");
    put_histogram(b, "time_to_first_text_seconds", "", &s->first_text);
}

mhd_result answer_metrics(exchange *x)
{
    sm_server *s = x->server;
    sm_engine_stats e;
    sm_engine_stats_get(s->config.engine, &e);
    sm_buf b = {0};
    requests(&b, s);
    durations(&b, s);
    counter(&b, "requests_total", "counter", "Generations asked for.", (double)e.n_requests);
    counter(&b, "streams_active", "gauge", "Generations under way.", (double)e.n_active);
    counter(&b, "streams_queued", "gauge", "Generations waiting.", (double)e.n_queued);
    counter(&b, "prompt_tokens_total", "counter", "Tokens read.",
            (double)e.n_prompt_tokens);
    counter(&b, "generated_tokens_total", "counter", "Tokens written.",
            (double)e.n_generated_tokens);
    counter(&b, "prefill_seconds_total", "counter", "Time spent reading prompts.",
            (double)e.prefill_ns * 1e-9);
    counter(&b, "decode_seconds_total", "counter", "Time spent writing.",
            (double)e.decode_ns * 1e-9);
    counter(&b, "uptime_seconds", "gauge", "Time since the server started.",
            (double)(sm_clock_ns() - s->started_ns) * 1e-9);
    mhd_result r = b.failed ? MHD_NO
                            : reply_text(x, MHD_HTTP_OK,
                                         "text/plain; version=0.0.4; charset=utf-8", b.data);
    sm_buf_free(&b);
    return r;
}
