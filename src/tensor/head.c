/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output head with cross-entropy, forward and backward in one walk.
 *
 * Loss and gradients of a block of HEAD_ROWS tokens are made right after its logits:
 *   x^ = rmsnorm(x); z = x^ W^T; loss, dz = cross_entropy(z); dx = dz W;  dW += dz^T x^
 * so the logits are computed once and exist for a block only.  dW is a contraction over
 * tokens and must be chained in order: the blocks of a span leave dz^T and x^ packed, side
 * by side in runs that one product contracts, and a second phase chains the runs onto dW,
 * threaded over tiles of the vocabulary, or leaves them to the caller.  Gradients are of
 * the SUM of losses; the caller scales them when it knows the number of targets.
 *
 * Invariants: blocks start at multiples of 32 tokens inside their shard; the chain of a
 * shard's dW visits its runs ascending.
 */
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

enum {
    HEAD_ROWS = SM_HEAD_ROWS,
    VOCAB_TILE = 256,
    SPAN_ELEMENTS = 1 << 25, /* logits packed at once, whatever the vocabulary */
    SPAN_BLOCKS_MIN = 2,     /* one each for two threads */
    SPAN_BLOCKS_MAX = 32
};

static int64_t span_blocks(int64_t n_vocab)
{
    int64_t n = SPAN_ELEMENTS / (n_vocab * HEAD_ROWS);
    return n < SPAN_BLOCKS_MIN ? SPAN_BLOCKS_MIN : sm_min_i64(n, SPAN_BLOCKS_MAX);
}

typedef struct head_layout {
    int64_t ld; /* of logits */
    size_t norm, logit, pack;
} head_layout;

/* Rows of logits are read across when they are packed: a distance of a power of two would
 * put them all into the same few sets of the caches. */
static int64_t logit_stride(int64_t n_vocab)
{
    int64_t line = (int64_t)(sm_line_bytes(1) / sizeof(float));
    return sm_ceil_to(n_vocab, line) + line;
}

static head_layout layout_of(const sm_prod *p, int64_t n_vocab, int64_t d)
{
    size_t px = p->bytes_a(HEAD_ROWS, d), pz = p->bytes_a(HEAD_ROWS, n_vocab);
    int64_t ld = logit_stride(n_vocab);
    return (head_layout){.ld = ld,
                         .norm = sm_line_bytes((size_t)(HEAD_ROWS * d) * sizeof(float)),
                         .logit = sm_line_bytes((size_t)(HEAD_ROWS * ld) * sizeof(float)),
                         .pack = sm_line_bytes(px > pz ? px : pz)};
}

size_t sm_head_thread_bytes(const sm_prod *prod, int64_t n_vocab, int64_t d,
                            bool want_grad)
{
    head_layout l = layout_of(prod, n_vocab, d);
    if (!want_grad)
        l.pack = sm_line_bytes(prod->bytes_a(HEAD_ROWS, d));
    return l.norm + l.logit + l.pack;
}

int64_t sm_head_span(int64_t n_vocab, int64_t n_tok)
{
    return sm_min_i64(span_blocks(n_vocab) * HEAD_ROWS, n_tok);
}

typedef struct head_run {
    const sm_head *h;
    head_layout lay;
    char *scratch;
    size_t stride;
    int64_t blocks_per_shard, block0, n_block; /* the span: blocks block0 .. +n_block-1 */
    int64_t token0, n_tok;                     /* and its tokens                       */
} head_run;

typedef struct head_block {
    int64_t shard, token0, n;
} head_block;

static head_block block_at(const head_run *r, int64_t b)
{
    int64_t shard = b / r->blocks_per_shard, at = b % r->blocks_per_shard * HEAD_ROWS;
    return (head_block){shard, shard * r->h->shard_tok + at,
                        sm_min_i64(HEAD_ROWS, r->h->shard_tok - at)};
}

/* The run that the token at `row` of the span lies in, in rows of the span. */
static sm_chunk run_at(const head_run *r, int64_t row)
{
    int64_t shard_tok = r->h->shard_tok;
    int64_t at = (r->token0 + row) / shard_tok * shard_tok - r->token0;
    int64_t end = sm_min_i64(at + shard_tok, r->n_tok);
    at = at > 0 ? at : 0;
    return sm_grad_run_of((sm_chunk){(int32_t)at, (int32_t)(end - at)}, (int32_t)row);
}

static sm_slices vocab_slices(const sm_head *h)
{
    return (sm_slices){h->n_slice, 1, {h->n_vocab}};
}

static void loss_rows(const sm_head *h, head_block b, float *logit, int64_t ld)
{
    sm_slices cut = vocab_slices(h);
    for (int64_t i = 0; i < b.n; i++) {
        float *row = logit + i * ld;
        int32_t target = h->target[b.token0 + i];
        float *loss = &h->loss[b.token0 + i];
        if (target >= 0) {
            *loss = sm_sliced_cross_entropy(h->kern, h->dx ? row : NULL, row, target,
                                            h->z_coef, &cut);
        } else {
            *loss = 0.0f;
            if (h->dx)
                memset(row, 0, (size_t)h->n_vocab * sizeof *row);
        }
    }
}

/* Phase 1: one block of rows, from the residual stream to loss and dx. */
static void rows_task(void *arg, ptrdiff_t i, int thread)
{
    const head_run *r = arg;
    const sm_head *h = r->h;
    head_block b = block_at(r, r->block0 + i);
    char *mine = r->scratch + (size_t)thread * r->stride;
    float *norm = (float *)(void *)mine, *logit = (float *)(void *)(mine + r->lay.norm);
    void *pack = mine + r->lay.norm + r->lay.logit;
    for (int64_t t = 0; t < b.n; t++)
        h->r[b.token0 + t] = h->kern->rmsnorm(
            norm + t * h->d, h->x + (b.token0 + t) * h->d, h->norm, h->norm_eps, h->d);
    sm_linear_rows(h->prod, logit, r->lay.ld, norm, h->d, h->w, b.n, h->n_vocab, h->d,
                   false, pack);
    loss_rows(h, b, logit, r->lay.ld);
    if (!h->dx)
        return;
    sm_slices cut = vocab_slices(h);
    sm_product dx = {.kern = h->kern,
                     .prod = h->prod,
                     .cut = &cut,
                     .y = h->dx + b.token0 * h->d,
                     .ldy = h->d,
                     .x = logit,
                     .ldx = r->lay.ld,
                     .pb = h->wt,
                     .m = b.n,
                     .n = h->d};
    sm_sliced_rows(&dx, pack);
    sm_chunk c = {(int32_t)(b.token0 - r->token0), (int32_t)b.n};
    sm_chunk run = run_at(r, c.row0);
    sm_grad_pack_a(h->prod, h->dlogit_t, logit, r->lay.ld, c, run, h->n_vocab);
    sm_grad_pack_b(h->prod, h->norm_x, norm, h->d, c, run, h->d);
}

/* Phase 2: one tile of the vocabulary, chained over the span's runs. */
static void vocab_task(void *arg, ptrdiff_t i, int thread)
{
    const head_run *r = arg;
    const sm_head *h = r->h;
    (void)thread;
    int64_t step = sm_ceil_to(VOCAB_TILE, h->prod->mr), v0 = i * step;
    int64_t n = sm_min_i64(step, h->n_vocab - v0);
    size_t unit_a = sm_grad_unit_a(h->prod, h->n_vocab);
    size_t unit_b = sm_grad_unit_b(h->prod, h->d);
    for (int64_t row = 0; row < r->n_tok;) {
        sm_chunk run = run_at(r, row);
        int64_t token = r->token0 + run.row0;
        size_t block = (size_t)(run.row0 / SM_TOKEN_BLOCK);
        const char *dz = (const char *)h->dlogit_t + block * unit_a;
        const char *x = (const char *)h->norm_x + block * unit_b;
        float *dw = h->dw + (token / h->shard_tok * h->n_vocab + v0) * h->d;
        h->prod->gemm(dw, h->d, dz + h->prod->offset_a(v0, run.n_row), x, n, h->d,
                      run.n_row, token % h->shard_tok != 0);
        row += run.n_row;
    }
}

void sm_head_run(sm_pool *pool, const sm_head *h, void *scratch, size_t stride)
{
    head_run r = {.h = h,
                  .lay = layout_of(h->prod, h->n_vocab, h->d),
                  .scratch = scratch,
                  .stride = stride,
                  .blocks_per_shard = sm_ceil_div(h->shard_tok, HEAD_ROWS)};
    int64_t blocks = r.blocks_per_shard * h->n_shard;
    int64_t span = h->dw ? span_blocks(h->n_vocab) : blocks;
    int64_t tiles = sm_ceil_div(h->n_vocab, sm_ceil_to(VOCAB_TILE, h->prod->mr));
    for (r.block0 = 0; r.block0 < blocks; r.block0 += span) {
        r.n_block = sm_min_i64(span, blocks - r.block0);
        head_block last = block_at(&r, r.block0 + r.n_block - 1);
        r.token0 = block_at(&r, r.block0).token0;
        r.n_tok = last.token0 + last.n - r.token0;
        sm_pool_run(pool, r.n_block, rows_task, &r);
        if (h->dw)
            sm_pool_run(pool, tiles, vocab_task, &r);
    }
}
