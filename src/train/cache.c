/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token cache: one scratch file that saves a tokenisation between runs of one recipe.
 * A means, never an artifact: read on the machine that wrote it, rebuilt when anything does
 * not fit.
 *
 *   offset 0   header (magic, sum64 of everything after it, counts, key hash)
 *   then       int64 start[n_doc+1], int64 doc_bytes[n_doc], int32 tok[n_id]
 *
 * Invariants checked on reading: size of the file; checksum; start ascends from 0 to n_id by
 * at least 2.  Pieces and rows are computed again: cheap, and free of file damage.
 */
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

typedef struct cache_header {
    char magic[8];
    uint64_t sum, key;
    int64_t n_doc, n_id;
    int32_t bos_id, end_id;
} cache_header;

static const char MAGIC[8] = {'s', 'm', 't', 'o', 'k', 's', '0', '1'};

static uint64_t key_hash(const sm_token_config *c)
{
    const char *key = c->cache_key ? c->cache_key : "";
    return train_sum64(1, key, strlen(key));
}

static uint64_t body_sum(const int64_t *start, const int64_t *bytes, const int32_t *tok,
                         int64_t n_doc, int64_t n_id)
{
    uint64_t h = train_sum64(2, start, ((size_t)n_doc + 1) * sizeof *start);
    h = train_sum64(h, bytes, (size_t)n_doc * sizeof *bytes);
    return train_sum64(h, tok, (size_t)n_id * sizeof *tok);
}

sm_status train_cache_save(const sm_token_data *d, const sm_token_config *c, sm_err *err)
{
    int64_t n_doc = d->stats.n_doc;
    cache_header h = {.key = key_hash(c), .n_doc = n_doc, .n_id = d->n_id,
                      .bos_id = d->config.bos_id, .end_id = d->config.end_id};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    h.sum = body_sum(d->start, d->doc_bytes, d->tok, n_doc, d->n_id);
    sm_file_writer *w = NULL;
    sm_status s = sm_file_writer_open(&w, c->cache_path, 0644, err);
    if (!s)
        s = sm_file_writer_put(w, &h, sizeof h, err);
    if (!s)
        s = sm_file_writer_put(w, d->start, ((size_t)n_doc + 1) * sizeof *d->start, err);
    if (!s)
        s = sm_file_writer_put(w, d->doc_bytes, (size_t)n_doc * sizeof *d->doc_bytes, err);
    if (!s)
        s = sm_file_writer_put(w, d->tok, (size_t)d->n_id * sizeof *d->tok, err);
    if (s) {
        sm_file_writer_abort(w);
        return s;
    }
    return sm_file_writer_commit(w, err);
}

/* Is this the file of these documents?  Sizes are bounded before they are multiplied. */
static bool header_fits(const cache_header *h, size_t len, const sm_token_config *c,
                        int64_t n_doc)
{
    int32_t end_id = c->end_id < 0 ? c->bos_id : c->end_id;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) || h->key != key_hash(c) ||
        h->n_doc != n_doc || h->bos_id != c->bos_id || h->end_id != end_id)
        return false;
    if (h->n_id < 0 || (uint64_t)h->n_id > len || (uint64_t)n_doc > len)
        return false;
    return len == sizeof *h + (size_t)(2 * n_doc + 1) * sizeof(int64_t) +
                         (size_t)h->n_id * sizeof(int32_t);
}

static bool starts_ascend(const int64_t *start, int64_t n_doc, int64_t n_id)
{
    for (int64_t i = 0; i < n_doc; i++)
        if (start[i + 1] - start[i] < 2)
            return false;
    return start[0] == 0 && start[n_doc] == n_id;
}

static sm_token_data *copy_out(const unsigned char *data, const sm_token_config *c,
                               const cache_header *h)
{
    size_t n_doc = (size_t)h->n_doc, n_id = (size_t)h->n_id;
    sm_token_data *d = sm_alloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->config = *c;
    d->config.cache_path = d->config.cache_key = NULL;
    d->config.end_id = h->end_id;
    d->stats.n_doc = h->n_doc;
    d->n_id = h->n_id;
    d->start = sm_alloc(n_doc + 1, sizeof *d->start);
    d->doc_bytes = sm_alloc(n_doc, sizeof *d->doc_bytes);
    d->tok = sm_alloc(n_id, sizeof *d->tok);
    if (!d->start || !d->doc_bytes || !d->tok) {
        sm_token_data_free(d);
        return NULL;
    }
    const unsigned char *p = data + sizeof *h;
    memcpy(d->start, p, (n_doc + 1) * sizeof *d->start);
    p += (n_doc + 1) * sizeof *d->start;
    memcpy(d->doc_bytes, p, n_doc * sizeof *d->doc_bytes);
    p += n_doc * sizeof *d->doc_bytes;
    memcpy(d->tok, p, n_id * sizeof *d->tok);
    return d;
}

sm_status train_cache_parse(sm_token_data **out, const unsigned char *data, size_t len,
                            const sm_token_config *c, int64_t n_doc, sm_err *err)
{
    cache_header h;
    if (len < sizeof h)
        return sm_fail(err, SM_ECORRUPT, "%zu bytes, want at least %zu", len, sizeof h);
    memcpy(&h, data, sizeof h);
    if (!header_fits(&h, len, c, n_doc))
        return sm_fail(err, SM_ENOENT, "made of other documents or damaged");
    sm_token_data *d = copy_out(data, c, &h);
    if (!d)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    sm_status s = SM_OK;
    if (body_sum(d->start, d->doc_bytes, d->tok, n_doc, d->n_id) != h.sum ||
        !starts_ascend(d->start, n_doc, d->n_id))
        s = sm_fail(err, SM_ECORRUPT, "checksum does not match");
    if (!s)
        s = train_data_finish(d, err);
    if (s) {
        sm_token_data_free(d);
        return s;
    }
    *out = d;
    return SM_OK;
}

sm_status train_cache_load(sm_token_data **out, const sm_ctx *ctx,
                           const sm_token_config *c, int64_t n_doc)
{
    sm_map m;
    sm_err why;
    if (sm_map_open(&m, c->cache_path, &why))
        return SM_ENOENT;
    sm_status s = train_cache_parse(out, m.data, m.len, c, n_doc, &why);
    sm_map_close(&m);
    if (s)
        sm_log_line(ctx->log, SM_LOG_WARN, "token cache %s: %s; tokenising again",
                    c->cache_path, why.msg);
    return s;
}
