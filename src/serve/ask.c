/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/ask: retrieve, rank, answer with sentences of the best passage, cite. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { MAX_K = 50 };

static json_t *citation(const sm_index *x, const sm_hit *h)
{
    sm_passage p = sm_index_passage(x, h->passage);
    return json_pack("{ss ss ss ss ss ss ss ss ss sf s{sf sf sf sf sf sf}}", "title", p.title,
                     "summary", p.summary, "section", p.section, "heading", p.heading,
                     "path", p.path, "package", p.package, "version", p.version, "licence",
                     p.licence, "text", p.text, "score", h->score, "terms", "page", h->page,
                     "lead", h->lead, "passage", h->passage_bm25, "title", h->title, "summary",
                     h->summary, "model", h->model);
}

static json_t *answer_of(const sm_server *s, const char *question, const sm_hit *hit,
                         int32_t n)
{
    sm_buf text = {0};
    json_t *passages = json_array();
    if (n > 0) {
        sm_passage p = sm_index_passage(s->config.index, hit[0].passage);
        sm_index_extract_answer(&text, &p, question);
    }
    for (int32_t i = 0; i < n; i++)
        json_array_append_new(passages, citation(s->config.index, &hit[i]));
    json_t *out = json_pack("{ss ss ss so}", "question", question, "model",
                            s->config.model_name, "answer", text.data ? text.data : "",
                            "passages", passages);
    sm_buf_free(&text);
    return out;
}

static sm_status search(sm_server *s, const char *question, sm_hit *hit, int32_t k,
                        int32_t *n, sm_err *err)
{
    pthread_mutex_lock(&s->index_lock);
    sm_status st = sm_index_ask(s->config.index, question, &s->config.rank,
                                s->config.scorer, hit, k, n, err);
    pthread_mutex_unlock(&s->index_lock);
    return st;
}

mhd_result answer_ask(exchange *x)
{
    sm_err err = {0};
    json_t *body = NULL;
    if (!x->server->config.index)
        return reply_error(x, MHD_HTTP_NOT_FOUND, "invalid_request_error", NULL, "no_index",
                           "this server has no index to answer from");
    sm_status s = sm_json_parse(&body, x->body.data ? x->body.data : "", x->body.len, "body",
                                &err);
    if (s)
        return reply_status(x, s, NULL, &err);
    const char *question = json_string_value(json_object_get(body, "question"));
    const json_t *k = json_object_get(body, "k");
    if (json_is_null(k))
        k = NULL;
    int64_t n_want = k ? json_integer_value(k) : 5;
    mhd_result result;
    sm_hit hit[MAX_K];
    int32_t n = 0;
    if (!question || !*question)
        result = reply_error(x, MHD_HTTP_BAD_REQUEST, "invalid_request_error", "question",
                             NULL, "question: want a string that is not empty");
    else if ((k && !json_is_integer(k)) || n_want < 1 || n_want > MAX_K)
        result = reply_error(x, MHD_HTTP_BAD_REQUEST, "invalid_request_error", "k", NULL,
                             "k: want an integer in 1..50");
    else if ((s = search(x->server, question, hit, (int32_t)n_want, &n, &err)))
        result = reply_status(x, s, "question", &err);
    else
        result = reply_json(x, MHD_HTTP_OK, answer_of(x->server, question, hit, n));
    json_decref(body);
    return result;
}
