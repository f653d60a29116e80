/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Embedding: lookup, and the gradient as sums over the tokens of each id, in order, a shard
 * at a time, joined along the tree over shards.
 *
 * Invariant: a leaf without tokens and without a head is exactly +0, and node(x, +0) is
 * x + 0.  Leaves that are known to be +0 are not computed, only added as such, so that the
 * bits are those of the full tree.
 */
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum { VOCAB_BLOCK = 64 };

void sm_embed_rows(float *x, const float *w, const int32_t *token, int64_t n, int64_t d)
{
    for (int64_t t = 0; t < n; t++)
        memcpy(x + t * d, w + token[t] * d, (size_t)d * sizeof *x);
}

void sm_embed_sort(int32_t *order, int32_t *start, const int32_t *token, int64_t n_tok,
                   int64_t n_vocab)
{
    memset(start, 0, (size_t)(n_vocab + 1) * sizeof *start);
    for (int64_t t = 0; t < n_tok; t++)
        start[token[t] + 1]++;
    for (int64_t v = 0; v < n_vocab; v++)
        start[v + 1] += start[v];
    for (int64_t t = 0; t < n_tok; t++)
        order[start[token[t]]++] = (int32_t)t;
    for (int64_t v = n_vocab; v > 0; v--)
        start[v] = start[v - 1];
    start[0] = 0;
}

/* One row of scratch for each level of the tree, after a line that notes failure. */
size_t sm_embed_scratch_bytes(int64_t d, int64_t n_shard)
{
    return 64 + sm_line_bytes((size_t)(1 + sm_log2_floor(n_shard)) * (size_t)d *
                              sizeof(float));
}

/* The tokens of id v in shards s .. s+n-1, ascending. */
typedef struct id_tokens {
    const int32_t *at, *end;
} id_tokens;

static const int32_t *first_token(const sm_embed_grad *g, int64_t v, int64_t token)
{
    const int32_t *low = g->order + g->start[v], *high = g->order + g->start[v + 1];
    while (low < high) {
        const int32_t *mid = low + (high - low) / 2;
        if (*mid < token)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static id_tokens tokens_of(const sm_embed_grad *g, int64_t v, int64_t s, int64_t n)
{
    if (!g->dx)
        return (id_tokens){NULL, NULL};
    return (id_tokens){first_token(g, v, s * g->shard_tok),
                       first_token(g, v, (s + n) * g->shard_tok)};
}

static void add_tokens(const sm_kern *kern, const sm_embed_grad *g, int64_t s, int64_t v,
                       int64_t at, float *out, int64_t n)
{
    id_tokens ids = tokens_of(g, v, s, 1);
    for (; ids.at < ids.end; ids.at++)
        kern->add(out, g->dx + (int64_t)*ids.at * g->d + at, n);
}

void sm_embed_leaf(const sm_kern *kern, const sm_embed_grad *g, int64_t s, int64_t v,
                   int64_t at, float *out, int64_t n)
{
    kern->scale(out, out, g->scale, n);
    add_tokens(kern, g, s, v, at, out, n);
}

typedef struct embed_run {
    const sm_embed_grad *g;
    char *scratch;
    size_t stride;
} embed_run;

static void leaf(const sm_embed_grad *g, int64_t v, int64_t s, float *out)
{
    if (g->head)
        g->kern->scale(out, g->head + (s * g->n_vocab + v) * g->d, g->scale, g->d);
    else
        memset(out, 0, (size_t)g->d * sizeof *out);
    add_tokens(g->kern, g, s, v, 0, out, g->d);
}

static bool is_zero(const sm_embed_grad *g, int64_t v, int64_t s, int64_t n)
{
    id_tokens ids = tokens_of(g, v, s, n);
    return !g->head && ids.at == ids.end;
}

static void node(const sm_embed_grad *g, int64_t v, int64_t s, int64_t n, float *out,
                 float *tmp)
{
    if (is_zero(g, v, s, n)) {
        memset(out, 0, (size_t)g->d * sizeof *out);
    } else if (n == 1) {
        leaf(g, v, s, out);
    } else {
        node(g, v, s, n / 2, out, tmp);
        node(g, v, s + n / 2, n / 2, tmp, tmp + g->d);
        g->kern->add(out, tmp, g->d);
    }
}

static void embed_task(void *arg, ptrdiff_t i, int thread)
{
    const embed_run *r = arg;
    const sm_embed_grad *g = r->g;
    char *mine = r->scratch + (size_t)thread * r->stride;
    int64_t v1 = sm_min_i64((i + 1) * (int64_t)VOCAB_BLOCK, g->n_vocab);
    for (int64_t v = i * VOCAB_BLOCK; v < v1; v++) {
        float *out = g->dw + v * g->d;
        node(g, v, 0, g->n_shard, out, (float *)(void *)(mine + 64));
        if (!sm_is_finite(g->kern->sum(out, g->d)))
            *(int *)(void *)mine = 1;
    }
}

bool sm_embed_grad_run(sm_pool *pool, const sm_embed_grad *g, void *scratch)
{
    embed_run r = {g, scratch, sm_embed_scratch_bytes(g->d, g->n_shard)};
    bool is_good = true;
    for (int t = 0; t < sm_pool_n_threads(pool); t++)
        *(int *)(void *)(r.scratch + (size_t)t * r.stride) = 0;
    sm_pool_run(pool, sm_ceil_div(g->n_vocab, VOCAB_BLOCK), embed_task, &r);
    for (int t = 0; t < sm_pool_n_threads(pool); t++)
        is_good = is_good && *(int *)(void *)(r.scratch + (size_t)t * r.stride) == 0;
    return is_good;
}
