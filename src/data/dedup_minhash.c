/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near-duplicates by MinHash and locality-sensitive hashing.
 *   1. signature of each kept document (parallel over documents);
 *   2. per bucket, documents sorted by the hash of its rows; equal ones are candidates
 *      (parallel over buckets);
 *   3. union-find over all candidate pairs; with verify > 0 only over pairs whose estimated
 *      Jaccard similarity reaches it;
 *   4. of each cluster the best described survives, then the longest, then the smallest id.
 * Union-find gives the same clusters in any order of pairs and documents are sorted by id,
 * so neither threads nor the order of inputs show.  Among more than MAX_PAIRS members of
 * one bucket group, verification compares with the first MAX_PAIRS by id only.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "curate.h"
#include "simplify.h"

#define DOCS_PER_TASK 16
#define MAX_PAIRS 64
#define MAX_EXAMPLES 24

typedef struct key {
    uint64_t hash;
    uint32_t doc;
} key;

typedef struct minhash {
    curate *c;
    size_t n, n_hash, n_bucket, rows, n_gram;
    uint32_t *of; /* [n] index of the document */
    uint64_t *a, *b;
    uint64_t *sig; /* [n, n_hash] */
    bool *has;     /* [n] long enough for one n-gram */
    key *key;      /* [n_bucket, n] sorted */
    size_t *n_key; /* [n_bucket] */
    uint32_t *parent;
    atomic_bool failed;
    sm_buf *scratch; /* [n_threads] */
} minhash;

static void sign_task(void *arg, ptrdiff_t task, int thread)
{
    minhash *m = arg;
    size_t to = (size_t)(task + 1) * DOCS_PER_TASK;
    for (size_t i = (size_t)task * DOCS_PER_TASK; i < to && i < m->n; i++) {
        const sm_document *d = &m->c->doc[m->of[i]].doc;
        sm_buf *simple = &m->scratch[thread];
        sm_buf_clear(simple);
        if (!sm_simplify_text(simple, d->text, d->text_len)) {
            m->failed = true;
            return;
        }
        m->has[i] = sm_minhash_signature(m->sig + i * m->n_hash, m->a, m->b, m->n_hash,
                                         simple->data, simple->len, m->n_gram) > 0;
    }
}

static int compare_keys(const void *x, const void *y)
{
    const key *a = x, *b = y;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->doc > b->doc) - (a->doc < b->doc);
}

static void bucket_task(void *arg, ptrdiff_t bucket, int thread)
{
    (void)thread;
    minhash *m = arg;
    key *keys = m->key + (size_t)bucket * m->n;
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!m->has[i])
            continue;
        const uint64_t *rows = m->sig + i * m->n_hash + (size_t)bucket * m->rows;
        keys[n++] = (key){XXH3_64bits(rows, m->rows * sizeof *rows), (uint32_t)i};
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    m->n_key[bucket] = n;
}

static double estimate(const minhash *m, uint32_t i, uint32_t j)
{
    const uint64_t *a = m->sig + (size_t)i * m->n_hash,
                   *b = m->sig + (size_t)j * m->n_hash;
    size_t same = 0;
    for (size_t k = 0; k < m->n_hash; k++)
        same += a[k] == b[k];
    return (double)same / (double)m->n_hash;
}

static uint32_t root(minhash *m, uint32_t i)
{
    while (m->parent[i] != i) {
        m->parent[i] = m->parent[m->parent[i]];
        i = m->parent[i];
    }
    return i;
}

static void join(minhash *m, uint32_t i, uint32_t j)
{
    uint32_t a = root(m, i), b = root(m, j);
    if (a < b)
        m->parent[b] = a;
    else
        m->parent[a] = b;
}

/* All pairs of one group of equal keys. */
static void join_group(minhash *m, const key *g, size_t n, double verify)
{
    for (size_t j = 1; j < n; j++) {
        if (verify <= 0) {
            join(m, g[0].doc, g[j].doc);
            continue;
        }
        for (size_t i = 0; i < j && i < MAX_PAIRS; i++) {
            if (root(m, g[i].doc) == root(m, g[j].doc))
                continue;
            if (estimate(m, g[i].doc, g[j].doc) >= verify)
                join(m, g[i].doc, g[j].doc);
        }
    }
}

static void cluster(minhash *m, double verify)
{
    for (size_t b = 0; b < m->n_bucket; b++) {
        const key *keys = m->key + b * m->n;
        for (size_t i = 0, j; i < m->n_key[b]; i = j) {
            for (j = i + 1; j < m->n_key[b] && keys[j].hash == keys[i].hash;)
                j++;
            if (j - i > 1)
                join_group(m, keys + i, j - i, verify);
        }
    }
}

static void keep_example(curate *c, const curate_doc *kept, const curate_doc *gone,
                         double j)
{
    if (json_array_size(c->pairs) >= MAX_EXAMPLES)
        return;
    json_array_append_new(c->pairs, json_pack("{s:s,s:s,s:f}", "kept", kept->doc.path,
                                              "removed", gone->doc.path, "estimate", j));
}

/* One survivor a cluster; `best` is indexed by root. */
static sm_status reject_others(minhash *m, uint32_t *best, sm_err *err)
{
    sm_status s = SM_OK;
    curate *c = m->c;
    for (uint32_t i = 0; i < m->n; i++)
        best[i] = i;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t r = root(m, i);
        if (sm_survives(&c->doc[m->of[i]], &c->doc[m->of[best[r]]]))
            best[r] = i;
    }
    for (uint32_t i = 0; i < m->n && !s; i++) {
        uint32_t keep = best[root(m, i)];
        if (keep == i)
            continue;
        curate_doc *gone = &c->doc[m->of[i]];
        const curate_doc *kept = &c->doc[m->of[keep]];
        double j = estimate(m, i, keep);
        s = sm_curate_reject(gone, "minhash.duplicate", err,
                             "of %s (%s), estimated similarity %.2f", kept->doc.id,
                             kept->doc.path, j);
        keep_example(c, kept, gone, j);
    }
    return s;
}

static bool prepare(minhash *m, int n_thread)
{
    size_t cells = 0, keys = 0;
    if (!sm_mul_size(&cells, m->n, m->n_hash) || !sm_mul_size(&keys, m->n, m->n_bucket))
        return false;
    m->a = sm_alloc(m->n_hash, sizeof *m->a);
    m->b = sm_alloc(m->n_hash, sizeof *m->b);
    m->sig = sm_alloc(cells + 1, sizeof *m->sig);
    m->has = sm_alloc(m->n + 1, sizeof *m->has);
    m->key = sm_alloc(keys + 1, sizeof *m->key);
    m->n_key = sm_alloc(m->n_bucket, sizeof *m->n_key);
    m->parent = sm_alloc(m->n + 1, sizeof *m->parent);
    m->scratch = sm_alloc((size_t)n_thread, sizeof *m->scratch);
    for (uint32_t i = 0; m->parent && i < m->n; i++)
        m->parent[i] = i;
    return m->a && m->b && m->sig && m->has && m->key && m->n_key && m->parent &&
           m->scratch;
}

static void release(minhash *m, int n_thread)
{
    for (int t = 0; m->scratch && t < n_thread; t++)
        sm_buf_free(&m->scratch[t]);
    free(m->scratch);
    free(m->of);
    free(m->a);
    free(m->b);
    free(m->sig);
    free(m->has);
    free(m->key);
    free(m->n_key);
    free(m->parent);
}

sm_status sm_step_minhash_dedup(curate *c, sm_err *err)
{
    const minhash_params *p = &c->params.minhash;
    if (c->n >= UINT32_MAX)
        return sm_fail(err, SM_EINVAL,
                       "minhash_dedup: got %zu documents, want fewer than %u", c->n,
                       UINT32_MAX);
    int n_thread = c->ctx->pool ? sm_pool_n_threads(c->ctx->pool) : 1;
    minhash m = {.c = c,
                 .n_bucket = (size_t)p->buckets,
                 .rows = (size_t)p->hashes,
                 .n_gram = (size_t)p->ngram,
                 .n_hash = (size_t)(p->buckets * p->hashes),
                 .of = sm_alloc(c->n + 1, sizeof(uint32_t))};
    sm_status s = SM_OK;
    uint32_t *best = NULL;
    for (size_t i = 0; m.of && i < c->n; i++)
        if (!c->doc[i].reason)
            m.of[m.n++] = (uint32_t)i;
    best = sm_alloc(m.n + 1, sizeof *best);
    if (!m.of || !best || !prepare(&m, n_thread)) {
        s = sm_fail(err, SM_ENOMEM, "minhash_dedup: no memory for %zu signatures", m.n);
        goto done;
    }
    sm_minhash_family(m.a, m.b, m.n_hash, (uint64_t)p->seed);
    sm_pool_run(c->ctx->pool, (ptrdiff_t)((m.n + DOCS_PER_TASK - 1) / DOCS_PER_TASK),
                sign_task, &m);
    if (m.failed) {
        s = sm_fail(err, SM_ENOMEM, "minhash_dedup: out of memory");
        goto done;
    }
    sm_pool_run(c->ctx->pool, (ptrdiff_t)m.n_bucket, bucket_task, &m);
    cluster(&m, p->verify);
    s = reject_others(&m, best, err);
done:
    release(&m, n_thread);
    free(best);
    return s;
}
