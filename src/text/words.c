/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting pretokens: a table for each thread, added up at the end.  Sums of integers do
 * not depend on order, so nor do the totals.
 */
#include "words.h"

#include <stdlib.h>

#include "smelt/sys.h"

enum { CHUNK_BYTES = 1 << 16 };

/* ------------------------------------------------------------------ one table */

static const char *keep_bytes(sm_words *w, const char *s, size_t len)
{
    if (!w->store && sm_arena_create(&w->store, SIZE_MAX / 2, NULL) != SM_OK)
        return NULL;
    if (len > w->chunk_left) {
        size_t size = len > CHUNK_BYTES ? len : CHUNK_BYTES;
        w->chunk = sm_arena_alloc(w->store, size);
        w->chunk_left = w->chunk ? size : 0;
        if (!w->chunk)
            return NULL;
    }
    char *d = w->chunk;
    memcpy(d, s, len);
    w->chunk += len;
    w->chunk_left -= len;
    return d;
}

static bool words_add(sm_words *w, const char *s, uint32_t len, uint64_t count)
{
    int32_t at = sm_idmap_get(&w->index, s, len);
    if (at >= 0) {
        w->word[at].count += count;
        return true;
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        sm_word *p = sm_realloc(w->word, cap, sizeof *p);
        if (!p)
            return false;
        w->word = p;
        w->cap = cap;
    }
    const char *bytes = keep_bytes(w, s, len);
    at = (int32_t)w->n;
    if (!bytes || w->n >= INT32_MAX || !sm_idmap_add(&w->index, bytes, len, &at))
        return false;
    w->word[w->n++] = (sm_word){bytes, count, len};
    return true;
}

void sm_words_free(sm_words *w)
{
    free(w->word);
    sm_idmap_free(&w->index);
    sm_arena_free(w->store);
    *w = (sm_words){0};
}

/* -------------------------------------------------------------- all documents */

typedef struct counter {
    sm_words words;
    sm_status status;
    ptrdiff_t failed_at; /* document of the error */
    sm_err err;
} counter;

typedef struct count_task {
    const sm_ctx *ctx;
    const sm_text_source *source;
    const sm_uclass *uclass;
    sm_pretokenizer pretok;
    counter *counter; /* [n_threads] */
} count_task;

static sm_status count_text(counter *c, const count_task *k, const char *s, size_t n)
{
    for (size_t pos = 0, end; pos < n; pos = end) {
        end = sm_pretok_next(k->uclass, k->pretok, s, n, pos);
        if (end - pos >= UINT32_MAX)
            return sm_fail(&c->err, SM_EINVAL, "a word of %zu bytes, want < 4 GiB",
                           end - pos);
        if (!words_add(&c->words, s + pos, (uint32_t)(end - pos), 1))
            return sm_fail(&c->err, SM_ENOMEM, "no memory for %zu distinct words",
                           c->words.n);
    }
    return SM_OK;
}

static void count_document(void *arg, ptrdiff_t i, int thread)
{
    const count_task *k = arg;
    counter *c = &k->counter[thread];
    const char *text = NULL;
    size_t len = 0;
    if (c->status != SM_OK)
        return;
    if (sm_stopped(k->ctx))
        c->status = sm_fail(&c->err, SM_ECANCEL, "stopped");
    else
        c->status = k->source->get(k->source->self, (size_t)i, &text, &len, &c->err);
    if (c->status == SM_OK)
        c->status = count_text(c, k, text, len);
    if (c->status != SM_OK)
        c->failed_at = i;
}

/* Add up the threads' tables in the first and hand it out. */
static sm_status collect(sm_words *out, counter *c, int n, sm_err *err)
{
    const counter *failed = NULL;
    for (int i = 0; i < n; i++)
        if (c[i].status != SM_OK && (!failed || c[i].failed_at < failed->failed_at))
            failed = &c[i];
    if (failed)
        return sm_fail(err, failed->status, "document %td: %s", failed->failed_at,
                       failed->err.msg);
    for (int i = 1; i < n; i++) {
        for (size_t k = 0; k < c[i].words.n; k++) {
            const sm_word *w = &c[i].words.word[k];
            if (!words_add(&c[0].words, w->bytes, w->len, w->count))
                return sm_fail(err, SM_ENOMEM, "no memory for %zu distinct words",
                               c[0].words.n);
        }
        sm_words_free(&c[i].words);
    }
    *out = c[0].words;
    c[0].words = (sm_words){0};
    return SM_OK;
}

sm_status sm_words_count(sm_words *out, const sm_ctx *ctx, const sm_text_source *source,
                         sm_pretokenizer pretok, sm_err *err)
{
    int n_threads = sm_pool_n_threads(ctx->pool);
    sm_uclass *uclass = NULL;
    counter *c = sm_alloc((size_t)n_threads, sizeof *c);
    sm_status st = c ? sm_uclass_create(&uclass, err)
                     : sm_fail(err, SM_ENOMEM, "tokenizer: out of memory");
    if (st != SM_OK)
        goto done;
    count_task k = {ctx, source, uclass, pretok, c};
    sm_pool_run(ctx->pool, (ptrdiff_t)source->n, count_document, &k);
    st = collect(out, c, n_threads, err);
done:
    for (int i = 0; c && i < n_threads; i++)
        sm_words_free(&c[i].words);
    free(c);
    sm_uclass_free(uclass);
    return st;
}
