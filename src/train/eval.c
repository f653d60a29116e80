/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits per byte on held-out documents.  Rows are scored in order with forward passes; the
 * nats of a document are summed in row and position order, so the figure does not depend
 * on how many rows go at once.  The standard error is that of a ratio of two sums over
 * documents (delta method):
 *
 *   R = sum x_i / sum b_i,  se = sqrt(n/(n-1) * sum (x_i - R b_i)^2) / sum b_i
 */
#include <stdlib.h>

#include "smelt/tensor.h"
#include "train_internal.h"

static const double LN2 = 0x1.62e42fefa39efp-1;

typedef struct scorer {
    const sm_ctx *ctx;
    const sm_token_data *data;
    sm_pass *pass;
    int64_t n_seq, n_ctx; /* rows at once */
    int32_t *token, *target, *doc_start;
    int64_t *doc; /* [n_seq, n_ctx] */
    float *loss;  /* [n_seq, n_ctx] */
    int64_t *counts;
    double *nats; /* [n_doc] */
} scorer;

/* Rows at once, rounded up so that their tokens are a multiple of SM_TOKEN_BLOCK. */
static int64_t whole_blocks(int64_t n_seq, int64_t n_ctx)
{
    int64_t step = 1;
    while (step * n_ctx % SM_TOKEN_BLOCK)
        step *= 2;
    return (n_seq + step - 1) / step * step;
}

static sm_status scorer_init(scorer *s, const sm_ctx *ctx, const sm_model *model,
                             const char *profile, const sm_token_data *data,
                             int64_t max_seq, sm_err *err)
{
    int64_t n_row = data->rows.n_row;
    *s = (scorer){.ctx = ctx, .data = data, .n_ctx = data->config.n_ctx};
    s->n_seq = whole_blocks(max_seq < n_row ? max_seq : n_row, s->n_ctx);
    size_t n = (size_t)s->n_seq * (size_t)s->n_ctx;
    size_t n_count = (size_t)model->config.n_layer * (size_t)model->config.n_expert;
    s->token = sm_alloc(n, 3 * sizeof *s->token);
    s->doc = sm_alloc(n, sizeof *s->doc);
    s->loss = sm_alloc(n, sizeof *s->loss);
    s->nats = sm_alloc((size_t)data->stats.n_doc, sizeof *s->nats);
    s->counts = n_count ? sm_alloc(n_count, sizeof *s->counts) : NULL;
    if (!s->token || !s->doc || !s->loss || !s->nats || (n_count && !s->counts))
        return sm_fail(err, SM_ENOMEM, "evaluation: %zu positions: out of memory", n);
    s->target = s->token + n;
    s->doc_start = s->target + n;
    sm_pass_config c = {.model = model,
                        .profile = profile,
                        .n_seq = s->n_seq,
                        .n_ctx = s->n_ctx,
                        .seq_per_shard = s->n_seq,
                        .n_micro = 1};
    return sm_pass_create(&s->pass, ctx, &c, err);
}

static void scorer_fini(scorer *s)
{
    sm_pass_free(s->pass);
    free(s->token);
    free(s->doc);
    free(s->loss);
    free(s->nats);
    free(s->counts);
}

/* Rows beyond the last stand still: nothing is counted in them. */
static void fill_rows(scorer *s, int64_t first)
{
    for (int64_t r = 0; r < s->n_seq; r++) {
        int64_t at = r * s->n_ctx;
        if (first + r < s->data->rows.n_row) {
            sm_token_data_row(s->data, first + r, s->token + at, s->target + at,
                              s->doc_start + at, s->doc + at);
            continue;
        }
        for (int64_t i = 0; i < s->n_ctx; i++) {
            s->token[at + i] = s->data->config.bos_id;
            s->target[at + i] = -1;
            s->doc_start[at + i] = (int32_t)i;
            s->doc[at + i] = -1;
        }
    }
}

static sm_status score_rows(scorer *s, int64_t first, sm_err *err)
{
    sm_shard_stats stats;
    fill_rows(s, first);
    sm_batch b = {.n_seq = s->n_seq,
                  .n_ctx = s->n_ctx,
                  .seq_per_shard = s->n_seq,
                  .token = s->token,
                  .target = s->target,
                  .doc_start = s->doc_start};
    sm_status st = sm_pass_forward(s->pass, &b, 0, &stats, s->counts, s->loss, err);
    if (st)
        return sm_fail_context(err, st, "evaluation: ");
    for (int64_t i = 0; i < s->n_seq * s->n_ctx; i++)
        if (s->doc[i] >= 0 && s->target[i] >= 0)
            s->nats[s->doc[i]] += (double)s->loss[i];
    return SM_OK;
}

static sm_status score_all(scorer *s, sm_err *err)
{
    for (int64_t r = 0; r < s->data->rows.n_row; r += s->n_seq) {
        if (sm_stopped(s->ctx))
            return sm_fail(err, SM_ECANCEL, "evaluation: stopped on request");
        sm_status st = score_rows(s, r, err);
        if (st)
            return st;
        int64_t n_done = r + s->n_seq;
        sm_progress_update(s->ctx->progress, "evaluate",
                           n_done < s->data->rows.n_row ? n_done : s->data->rows.n_row,
                           s->data->rows.n_row, "rows", "");
    }
    return SM_OK;
}

static void summarise(sm_bpb *out, const sm_token_data *d, const double *nats)
{
    double sum = 0, spread = 0, bytes = (double)d->stats.n_bytes;
    int64_t n = d->stats.n_doc;
    for (int64_t i = 0; i < n; i++)
        sum += nats[i];
    for (int64_t i = 0; i < n; i++) {
        double e = nats[i] - sum / bytes * (double)d->doc_bytes[i];
        spread += e * e;
    }
    *out = (sm_bpb){.bpb = sum / (LN2 * bytes),
                    .nats_per_tok = sum / (double)d->stats.n_target,
                    .n_doc = n,
                    .n_tok = d->stats.n_target,
                    .n_bytes = d->stats.n_bytes};
    if (n > 1)
        out->std_err = train_sqrt(spread * (double)n / (double)(n - 1)) / (LN2 * bytes);
}

sm_status sm_eval_bpb(sm_bpb *out, const sm_ctx *ctx, const sm_model *model,
                      const char *profile, const sm_token_data *data, int64_t max_seq,
                      double *doc_nats, sm_err *err)
{
    scorer s;
    if (data->stats.n_bytes < 1)
        return sm_fail(err, SM_EINVAL, "evaluation: got documents of 0 bytes, want text");
    if (max_seq < 1 || data->config.n_ctx > model->config.max_ctx)
        return sm_fail(
            err, SM_EINVAL,
            "evaluation: max_seq, n_ctx: got %lld, %lld; want 1.. and up to %d",
            (long long)max_seq, (long long)data->config.n_ctx, model->config.max_ctx);
    sm_status st = scorer_init(&s, ctx, model, profile, data, max_seq, err);
    if (!st)
        st = score_all(&s, err);
    if (!st) {
        summarise(out, data, s.nats);
        for (int64_t i = 0; doc_nats && i < data->stats.n_doc; i++)
            doc_nats[i] = s.nats[i];
    }
    scorer_fini(&s);
    return st;
}
