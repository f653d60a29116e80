/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token data: documents tokenised in parallel, joined in document order, cut into pieces
 * and packed.  A chunk of documents is a task; what a chunk yields does not depend on who
 * runs it, and chunks are joined by index, so neither does the result.
 */
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

enum { CHUNK_DOCS = 64, MAX_CTX = 1 << 20 };

static sm_status check_config(const sm_token_config *c, int64_t n_doc, sm_err *err)
{
    if (c->n_ctx < 2 || c->n_ctx > MAX_CTX)
        return sm_fail(err, SM_EINVAL, "token data: n_ctx: got %lld, want 2..%d",
                       (long long)c->n_ctx, MAX_CTX);
    if (c->bos_id < 0 || c->end_id < -1)
        return sm_fail(err, SM_EINVAL,
                       "token data: bos_id, end_id: got %d, %d, want 0.. and -1..",
                       c->bos_id, c->end_id);
    if (c->overlap_tok < 0 || c->overlap_tok >= c->n_ctx)
        return sm_fail(err, SM_EINVAL, "token data: overlap_tok: got %lld, want 0..%lld",
                       (long long)c->overlap_tok, (long long)c->n_ctx - 1);
    if (n_doc < 1)
        return sm_fail(err, SM_EINVAL, "token data: got no documents, want at least 1");
    return SM_OK;
}

static sm_token_data *data_create(const sm_token_config *c, int64_t n_doc)
{
    sm_token_data *d = sm_alloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->config = *c;
    if (d->config.end_id < 0)
        d->config.end_id = c->bos_id;
    d->stats.n_doc = n_doc;
    d->start = sm_alloc((size_t)n_doc + 1, sizeof *d->start);
    d->doc_bytes = sm_alloc((size_t)n_doc, sizeof *d->doc_bytes);
    if (!d->start || !d->doc_bytes) {
        sm_token_data_free(d);
        return NULL;
    }
    return d;
}

void sm_token_data_free(sm_token_data *d)
{
    if (!d)
        return;
    free(d->tok);
    free(d->start);
    free(d->doc_bytes);
    free(d->piece);
    free(d->rows.first);
    free(d->rows.order);
    free(d);
}

const sm_token_stats *sm_token_data_stats(const sm_token_data *d)
{
    return &d->stats;
}

int64_t sm_token_data_n_ctx(const sm_token_data *d)
{
    return d->config.n_ctx;
}

/* -------------------------------------------------- pieces and statistics */

/* Pieces of one document of n positions; writes them when out is not NULL.  Later pieces
 * start `overlap` early and count only what the piece before did not. */
static int64_t cut(piece *out, int64_t doc, int64_t tok, int64_t n, int64_t n_ctx,
                   int64_t overlap)
{
    int64_t n_piece = 0, at = 0;
    while (at < n) {
        int64_t skip = at == 0 ? 0 : overlap;
        int64_t len = n - at + skip < n_ctx ? n - at + skip : n_ctx;
        if (out)
            out[n_piece] = (piece){.tok = tok + at - skip,
                                   .doc = doc,
                                   .len = (int32_t)len,
                                   .skip = (int32_t)skip};
        n_piece++;
        at += len - skip;
    }
    return n_piece;
}

static void count_tokens(sm_token_data *d)
{
    sm_token_stats *s = &d->stats;
    int64_t n_cut_tok = 0;
    for (int64_t i = 0; i < s->n_doc; i++) {
        int64_t n = d->start[i + 1] - d->start[i] - 1; /* END has no position */
        s->n_target += n;
        s->n_bytes += d->doc_bytes[i];
        s->n_doc_cut += n > d->config.n_ctx;
        n_cut_tok += n > d->config.n_ctx ? n : 0;
    }
    int64_t n_text = s->n_target - s->n_doc;
    for (int64_t i = 0; i < d->n_piece; i++)
        s->n_tok += d->piece[i].len;
    s->n_row = d->rows.n_row;
    s->bytes_per_tok = n_text > 0 ? (double)s->n_bytes / (double)n_text : 0;
    s->cut_frac = (double)n_cut_tok / (double)s->n_target;
    s->padding_frac = 1 - (double)s->n_tok / ((double)s->n_row * (double)d->config.n_ctx);
}

static void checksum(sm_token_data *d)
{
    uint64_t h =
        train_sum64((uint64_t)d->config.n_ctx, d->tok, (size_t)d->n_id * sizeof *d->tok);
    h = train_sum64(h, d->start, ((size_t)d->stats.n_doc + 1) * sizeof *d->start);
    h = train_sum64(h, d->doc_bytes, (size_t)d->stats.n_doc * sizeof *d->doc_bytes);
    h = train_sum64(h, d->rows.first, ((size_t)d->rows.n_row + 1) * sizeof(int64_t));
    d->stats.checksum =
        train_sum64(h, d->rows.order, (size_t)d->n_piece * sizeof *d->rows.order);
}

/* Pieces, rows and statistics of d->tok. */
static sm_status finish(sm_token_data *d, sm_err *err)
{
    const sm_token_config *c = &d->config;
    for (int64_t i = 0; i < d->stats.n_doc; i++)
        d->n_piece +=
            cut(NULL, i, 0, d->start[i + 1] - d->start[i] - 1, c->n_ctx, c->overlap_tok);
    d->piece = sm_alloc((size_t)d->n_piece, sizeof *d->piece);
    if (!d->piece)
        return sm_fail(err, SM_ENOMEM, "token data: %lld pieces: out of memory",
                       (long long)d->n_piece);
    int64_t at = 0;
    for (int64_t i = 0; i < d->stats.n_doc; i++)
        at += cut(d->piece + at, i, d->start[i], d->start[i + 1] - d->start[i] - 1,
                  c->n_ctx, c->overlap_tok);
    sm_status s = train_pack(&d->rows, d->piece, d->n_piece, c->n_ctx, err);
    if (s)
        return s;
    count_tokens(d);
    checksum(d);
    return SM_OK;
}

/* ------------------------------------------------------------- from ids */

static sm_status append_doc(sm_token_data *d, int64_t doc, const int32_t *id, int64_t n,
                            sm_err *err)
{
    int32_t *to = d->tok + d->start[doc];
    to[0] = d->config.bos_id;
    for (int64_t i = 0; i < n; i++) {
        if (id[i] < 0)
            return sm_fail(err, SM_EINVAL,
                           "token data: document %lld: token %lld: got %d, want 0..",
                           (long long)doc, (long long)i, id[i]);
        to[i + 1] = id[i];
    }
    to[n + 1] = d->config.end_id;
    return SM_OK;
}

sm_status sm_token_data_from_ids(sm_token_data **out, const int32_t *id,
                                 const int64_t *start, const int64_t *n_bytes,
                                 int64_t n_doc, const sm_token_config *c, sm_err *err)
{
    sm_status s = check_config(c, n_doc, err);
    if (s)
        return s;
    sm_token_data *d = data_create(c, n_doc);
    if (!d)
        return sm_fail(err, SM_ENOMEM, "token data: out of memory");
    for (int64_t i = 0; i < n_doc; i++) {
        d->start[i + 1] = d->start[i] + (start[i + 1] - start[i]) + 2;
        d->doc_bytes[i] = n_bytes ? n_bytes[i] : 0;
    }
    d->n_id = d->start[n_doc];
    d->tok = sm_alloc((size_t)d->n_id, sizeof *d->tok);
    if (!d->tok)
        s = sm_fail(err, SM_ENOMEM, "token data: %lld tokens: out of memory",
                    (long long)d->n_id);
    for (int64_t i = 0; i < n_doc && !s; i++)
        s = append_doc(d, i, id + start[i], start[i + 1] - start[i], err);
    if (!s)
        s = finish(d, err);
    if (s) {
        sm_token_data_free(d);
        return s;
    }
    *out = d;
    return SM_OK;
}

/* ---------------------------------------------------------- tokenisation */

/* One chunk of documents. */
typedef struct chunk {
    sm_tokens tok;
    int64_t n[CHUNK_DOCS], bytes[CHUNK_DOCS];
    sm_status status;
    sm_err err;
} chunk;

typedef struct tokenise_job {
    const sm_ctx *ctx;
    const sm_text_source *docs;
    const sm_tokenizer *tok;
    chunk *chunk;
    ptrdiff_t first; /* chunk of task 0 */
} tokenise_job;

static sm_status tokenise_doc(chunk *k, const tokenise_job *j, size_t doc, size_t slot)
{
    const char *text = NULL;
    size_t len = 0, before = k->tok.n;
    if (sm_stopped(j->ctx))
        return sm_fail(&k->err, SM_ECANCEL, "tokenise: stopped on request");
    sm_status s = j->docs->get(j->docs->self, doc, &text, &len, &k->err);
    if (!s)
        s = sm_tokenizer_encode(j->tok, &k->tok, text, len, false, &k->err);
    k->n[slot] = (int64_t)(k->tok.n - before);
    k->bytes[slot] = (int64_t)len;
    return s;
}

static void tokenise_task(void *arg, ptrdiff_t i, int thread)
{
    const tokenise_job *j = arg;
    chunk *k = &j->chunk[j->first + i];
    size_t first = (size_t)(j->first + i) * CHUNK_DOCS;
    (void)thread;
    for (size_t s = 0; s < CHUNK_DOCS && first + s < j->docs->n && !k->status; s++) {
        k->status = tokenise_doc(k, j, first + s, s);
        if (k->status)
            sm_fail_context(&k->err, k->status, "document %zu: ", first + s);
    }
}

/* Join the chunks; the error of the lowest document wins, whoever met it first. */
static sm_status join(sm_token_data *d, const chunk *k, int64_t n_chunk, sm_err *err)
{
    int64_t n_doc = d->stats.n_doc;
    for (int64_t i = 0; i < n_chunk; i++)
        if (k[i].status) {
            if (err)
                *err = k[i].err;
            return k[i].status;
        }
    for (int64_t i = 0; i < n_doc; i++) {
        d->start[i + 1] = d->start[i] + k[i / CHUNK_DOCS].n[i % CHUNK_DOCS] + 2;
        d->doc_bytes[i] = k[i / CHUNK_DOCS].bytes[i % CHUNK_DOCS];
    }
    d->n_id = d->start[n_doc];
    d->tok = sm_alloc((size_t)d->n_id, sizeof *d->tok);
    if (!d->tok)
        return sm_fail(err, SM_ENOMEM, "token data: %lld tokens: out of memory",
                       (long long)d->n_id);
    int64_t at = 0;
    sm_status s = SM_OK;
    for (int64_t i = 0; i < n_doc && !s; i++) {
        const chunk *c = &k[i / CHUNK_DOCS];
        int64_t n = c->n[i % CHUNK_DOCS];
        at = i % CHUNK_DOCS ? at : 0;
        s = append_doc(d, i, n ? c->tok.id + at : NULL, n, err);
        at += n;
    }
    return s;
}

static sm_status tokenise(sm_token_data *d, const sm_ctx *ctx, const sm_text_source *docs,
                          const sm_tokenizer *tok, sm_err *err)
{
    int64_t n_chunk = (d->stats.n_doc + CHUNK_DOCS - 1) / CHUNK_DOCS;
    chunk *k = sm_alloc((size_t)n_chunk, sizeof *k);
    if (!k)
        return sm_fail(err, SM_ENOMEM, "token data: %lld chunks: out of memory",
                       (long long)n_chunk);
    tokenise_job j = {.ctx = ctx, .docs = docs, .tok = tok, .chunk = k};
    /* a wave at a time, so that progress moves and a stop is noticed */
    int64_t wave = 8 * (int64_t)sm_pool_n_threads(ctx->pool);
    sm_status s = SM_OK;
    for (int64_t first = 0; first < n_chunk && !s; first += wave) {
        int64_t n = n_chunk - first < wave ? n_chunk - first : wave;
        int64_t n_done = (first + n) * CHUNK_DOCS;
        j.first = first;
        sm_pool_run(ctx->pool, n, tokenise_task, &j);
        for (int64_t i = first; i < first + n && !s; i++)
            s = k[i].status;
        sm_progress_update(ctx->progress, "tokenise",
                           n_done < d->stats.n_doc ? n_done : d->stats.n_doc,
                           d->stats.n_doc, "documents", "");
    }
    s = join(d, k, n_chunk, err);
    for (int64_t i = 0; i < n_chunk; i++)
        sm_tokens_free(&k[i].tok);
    free(k);
    return s;
}

sm_status sm_token_data_build(sm_token_data **out, const sm_ctx *ctx,
                              const sm_text_source *docs, const sm_tokenizer *tok,
                              const sm_token_config *c, sm_err *err)
{
    int32_t n_vocab = sm_tokenizer_n_vocab(tok);
    sm_status s = check_config(c, (int64_t)docs->n, err);
    if (s)
        return s;
    if (c->bos_id >= n_vocab || c->end_id >= n_vocab)
        return sm_fail(err, SM_EINVAL,
                       "token data: bos_id, end_id: got %d, %d, want below "
                       "n_vocab = %d",
                       c->bos_id, c->end_id, n_vocab);
    sm_token_data *d = data_create(c, (int64_t)docs->n);
    if (!d)
        return sm_fail(err, SM_ENOMEM, "token data: out of memory");
    s = tokenise(d, ctx, docs, tok, err);
    if (!s)
        s = finish(d, err);
    if (s) {
        sm_token_data_free(d);
        return s;
    }
    *out = d;
    return SM_OK;
}

/* ------------------------------------------------------------------ rows */

/* One piece into positions at..at+len-1 of a row. */
static void put_piece(const sm_token_data *d, const piece *p, int64_t at, int32_t *token,
                      int32_t *target, int32_t *doc_start, int64_t *doc)
{
    for (int64_t i = 0; i < p->len; i++) {
        token[at + i] = d->tok[p->tok + i];
        target[at + i] = i < p->skip ? -1 : d->tok[p->tok + i + 1];
        doc_start[at + i] = (int32_t)at;
        if (doc)
            doc[at + i] = p->doc;
    }
}

void sm_token_data_row(const sm_token_data *d, int64_t row, int32_t *token,
                       int32_t *target, int32_t *doc_start, int64_t *doc)
{
    int64_t at = 0;
    for (int64_t i = d->rows.first[row]; i < d->rows.first[row + 1]; i++) {
        const piece *p = &d->piece[d->rows.order[i]];
        put_piece(d, p, at, token, target, doc_start, doc);
        at += p->len;
    }
    for (; at < d->config.n_ctx; at++) {
        token[at] = d->config.bos_id;
        target[at] = -1;
        doc_start[at] = (int32_t)at;
        if (doc)
            doc[at] = -1;
    }
}

int64_t sm_token_data_order(const sm_token_data *d, uint64_t seed, int64_t seq)
{
    int64_t epoch = seq / d->rows.n_row;
    return sm_shuffle_index(seed, (uint32_t)epoch, d->rows.n_row, seq % d->rows.n_row);
}
