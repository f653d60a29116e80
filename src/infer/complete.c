/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking completion, and the likelihood of a text. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* --------------------------------------------------------------- completion */

typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sm_buf *out;
    bool is_done;
    sm_finish why;
    sm_err err;
} waiter;

static bool wait_text(void *self, const char *bytes, size_t n, int32_t n_tokens)
{
    waiter *w = self;
    (void)n_tokens;
    return sm_buf_put(w->out, bytes, n);
}

static void wait_done(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                      const sm_err *err)
{
    waiter *w = self;
    (void)n_prompt;
    (void)n_generated;
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    w->why = why;
    if (err)
        w->err = *err;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

sm_status sm_engine_complete(sm_engine *e, const char *prompt, size_t len,
                             const sm_sampling *sampling, sm_buf *out, sm_finish *why,
                             sm_err *err)
{
    waiter w = {.out = out};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    sm_stream_sink sink = {.text = wait_text, .done = wait_done, .self = &w};
    sm_status s = sm_engine_submit(e, prompt, len, sampling, sink, NULL, err);
    if (!s) {
        pthread_mutex_lock(&w.lock);
        while (!w.is_done)
            pthread_cond_wait(&w.changed, &w.lock);
        pthread_mutex_unlock(&w.lock);
        if (w.why == SM_FINISH_ERROR)
            s = sm_fail(err, w.err.status ? w.err.status : SM_EIO, "%s", w.err.msg);
        else if (out->failed)
            s = sm_fail(err, SM_ENOMEM, "completion: out of memory");
        if (!s && why)
            *why = w.why;
    }
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.changed);
    return s;
}

/* ------------------------------------------------------------------ scoring */

/* Feed tokens 0..n-2; nats of tokens from..n-1.  Under `compute`. */
static sm_status score_tokens(sm_engine *e, const int32_t *id, int32_t n, int32_t from,
                              double *nats, sm_err *err)
{
    step_row row[STEP_ROWS];
    sm_status s = SM_OK;
    *nats = 0;
    e->score_kv.n_tok = 0;
    for (int32_t at = 0; at < n - 1 && !s; at += STEP_ROWS) {
        int32_t m = n - 1 - at < STEP_ROWS ? n - 1 - at : STEP_ROWS;
        for (int32_t i = 0; i < m; i++)
            row[i] = (step_row){.kv = &e->score_kv, .token = id[at + i], .index = at + i,
                                .target = at + i + 1 >= from ? id[at + i + 1] : -1};
        s = step_run(e, row, m, err);
        for (int32_t i = 0; i < m && !s; i++)
            if (row[i].target >= 0)
                *nats -= (double)e->b.loss[i];
    }
    return s;
}

/* Drop the oldest tokens of the prefix (but not the first) until all fits. */
static sm_status shorten_prefix(const sm_engine *e, sm_tokens *t, size_t *from, sm_err *err)
{
    size_t keep = e->bos >= 0 ? 1 : 0, over = t->n - (size_t)e->max_ctx;
    if (*from < keep + over)
        return sm_fail(err, SM_EINVAL, "score: got %zu tokens to score, want at most %zu",
                       t->n - *from, (size_t)e->max_ctx - keep);
    memmove(t->id + keep, t->id + keep + over, (t->n - keep - over) * sizeof *t->id);
    t->n -= over;
    *from -= over;
    return SM_OK;
}

sm_status sm_engine_score(sm_engine *e, const char *prefix, size_t prefix_len,
                          const char *continuation, size_t continuation_len, double *nats,
                          int64_t *n_token, sm_err *err)
{
    sm_tokens t = {0};
    sm_status s = SM_OK;
    if (e->bos >= 0 && !sm_tokens_push(&t, e->bos))
        s = sm_fail(err, SM_ENOMEM, "score: out of memory");
    if (!s)
        s = sm_tokenizer_encode(e->tokenizer, &t, prefix, prefix_len, false, err);
    size_t from = t.n;
    if (!s)
        s = sm_tokenizer_encode(e->tokenizer, &t, continuation, continuation_len, false,
                                err);
    if (!s && t.n > from && from == 0)
        from = 1; /* nothing conditions the first token */
    if (!s && t.n > (size_t)e->max_ctx)
        s = shorten_prefix(e, &t, &from, err);
    if (!s && t.n <= from) {
        *nats = 0;
        *n_token = 0;
    } else if (!s) {
        pthread_mutex_lock(&e->compute);
        s = score_tokens(e, t.id, (int32_t)t.n, (int32_t)from, nats, err);
        pthread_mutex_unlock(&e->compute);
        *n_token = (int64_t)(t.n - from);
    }
    sm_tokens_free(&t);
    return s;
}
