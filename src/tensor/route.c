/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing of tokens to experts: choice, gradients of the router, and the permutation that
 * brings an expert's tokens together.
 *   Mixtral (2401.04088): softmax over the k chosen logits weights the experts' outputs.
 *   Llama 4: k = 1, sigmoid(logit) scales the expert's input.
 *   Selection bias without a loss: Wang et al., 2408.15664.
 */
#include <string.h>

#include "internal.h"
#include "smelt/tensor.h"

static float score(const float *logit, const float *bias, int32_t e)
{
    return bias ? logit[e] + bias[e] : logit[e];
}

/* A number wins over what it is greater than and over a NaN; a NaN over nothing. */
static bool wins(float x, float best)
{
    return x == x && !(best >= x);
}

/* The first of those left unless another wins: of equal scores the lower id. */
static int32_t best_left(const float *logit, const float *bias, const int32_t *taken,
                         int32_t n_taken, int32_t n_expert)
{
    int32_t best = -1;
    for (int32_t e = 0; e < n_expert; e++) {
        bool is_taken = false;
        for (int32_t j = 0; j < n_taken; j++)
            is_taken = is_taken || taken[j] == e;
        if (!is_taken &&
            (best < 0 || wins(score(logit, bias, e), score(logit, bias, best))))
            best = e;
    }
    return best;
}

void sm_route_rows(const sm_kern *kern, int32_t *expert, float *weight,
                   const float *logit, const float *bias, int64_t n, int32_t n_expert,
                   int32_t k, bool is_sigmoid)
{
    for (int64_t t = 0; t < n; t++) {
        const float *row = logit + t * n_expert;
        int32_t *e = expert + t * k;
        float *w = weight + t * k;
        for (int32_t j = 0; j < k; j++) {
            e[j] = best_left(row, bias, e, j, n_expert);
            w[j] = row[e[j]];
        }
        if (is_sigmoid)
            kern->sigmoid(w, w, k);
        else
            kern->softmax(w, k, NULL, NULL);
    }
}

float sm_logsumexp_row(const sm_kern *kern, const float *x, int64_t n, float *tmp)
{
    float m, s, log_s;
    memcpy(tmp, x, (size_t)n * sizeof *tmp);
    kern->softmax(tmp, n, &m, &s);
    kern->log(&log_s, &s, 1);
    return m + log_s;
}

/* d += p (g - <p, g>) + 2 z lse p, p = softmax of all logits, in tmp; returns <p, g>. */
static float add_aux(const sm_kern *kern, float *d, const float *logit, const float *g,
                     float z, int32_t n, float *p)
{
    float m, s, log_s;
    memcpy(p, logit, (size_t)n * sizeof *p);
    kern->softmax(p, n, &m, &s);
    kern->log(&log_s, &s, 1);
    float mean = g ? kern->dot(p, g, n) : 0.0f, pull = 2.0f * z * (m + log_s);
    for (int32_t e = 0; e < n; e++) {
        float slope = g ? g[e] - mean : 0.0f;
        d[e] = d[e] + p[e] * (slope + pull);
    }
    return mean;
}

float sm_route_row_bwd(const sm_kern *kern, float *dlogit, const float *logit,
                       const int32_t *expert, const float *weight, const float *dweight,
                       const float *g, float z, int32_t n_expert, int32_t k,
                       bool is_sigmoid, float *tmp)
{
    memset(dlogit, 0, (size_t)n_expert * sizeof *dlogit);
    float mean = is_sigmoid ? 0.0f : kern->dot(weight, dweight, k);
    for (int32_t j = 0; j < k; j++)
        dlogit[expert[j]] = is_sigmoid ? dweight[j] * weight[j] * (1.0f - weight[j])
                                       : weight[j] * (dweight[j] - mean);
    return g || z != 0.0f ? add_aux(kern, dlogit, logit, g, z, n_expert, tmp) : 0.0f;
}

/* ------------------------------------------------------------- permutation */

enum { NEAR_ROWS = SM_TOKEN_BLOCK }; /* a chunk goes this far to end with a group */

/* Every group may be padded by a block less one row; the sum is of whole blocks. */
int64_t sm_perm_max_packed(int64_t n_tok, int32_t k, int32_t n_expert, int64_t n_shard)
{
    int64_t most = n_tok * k + n_expert * n_shard * (int64_t)(SM_TOKEN_BLOCK - 1);
    return most / SM_TOKEN_BLOCK * SM_TOKEN_BLOCK;
}

/* Where an expert has several chunks each is meant to have half of SM_EXPERT_ROWS at the
 * least, and ends at most NEAR_ROWS from there. */
int64_t sm_perm_max_chunk(int64_t n_tok, int32_t k, int32_t n_expert)
{
    return n_tok * k / (SM_EXPERT_ROWS / 2 - NEAR_ROWS) + n_expert;
}

/* The better end of a chunk around `target`, which lies in group g (after its first row):
 * an end of a group if it is near, so that a run is packed whole; else the nearest whole
 * block of the group.  At most `limit`, and after `start`. */
static int32_t end_near(const sm_perm *p, int64_t g, int32_t start, int32_t target,
                        int32_t limit)
{
    int32_t first = p->row0[g], last = p->row0[g + 1];
    bool is_first_near = first > start && target - first <= NEAR_ROWS;
    if (last <= limit && last - target <= NEAR_ROWS &&
        !(is_first_near && target - first < last - target))
        return last;
    if (is_first_near)
        return first;
    int32_t below = first + (target - first) / SM_TOKEN_BLOCK * SM_TOKEN_BLOCK;
    int32_t above = (int32_t)sm_min_i64(below + SM_TOKEN_BLOCK, last);
    return above <= limit && above - target < target - below ? above : below;
}

/* The chunks of expert e, whose groups are g .. end - 1. */
static void lay_chunks(sm_perm *p, int32_t e, int64_t g, int64_t end)
{
    int32_t row = p->row0[g], left;
    while ((left = p->row0[end] - row) > 0) {
        int32_t n = (left + SM_EXPERT_ROWS - 1) / SM_EXPERT_ROWS, next = row + left;
        if (n > 1) {
            while (p->row0[g + 1] < row + left / n)
                g++;
            next = end_near(p, g, row, row + left / n, row + SM_EXPERT_ROWS);
        }
        p->chunk[p->n_chunk] = (sm_chunk){row, next - row};
        p->chunk_expert[p->n_chunk++] = e;
        row = next;
    }
}

/* A counting sort: stable, so a group keeps its tokens in order.  row0[g + 1] counts group
 * g, then is the cursor of group g, and so ends where group g + 1 begins. */
void sm_perm_build(sm_perm *p, const int32_t *expert, int64_t n_tok, int32_t k,
                   int32_t n_expert, int64_t n_shard)
{
    int64_t n_group = n_expert * n_shard, shard_slots = n_tok / n_shard * k;
    int32_t row = 0, packed = 0, *cursor = p->row0 + 1;
    memset(p->row0, 0, (size_t)(n_group + 1) * sizeof *p->row0);
    for (int64_t slot = 0; slot < n_tok * k; slot++)
        cursor[expert[slot] * n_shard + slot / shard_slots]++;
    for (int64_t g = 0; g < n_group; g++) {
        int32_t n = cursor[g];
        cursor[g] = row;
        p->packed0[g] = packed;
        row += n;
        packed += (int32_t)sm_ceil_to(n, SM_TOKEN_BLOCK);
    }
    for (int64_t slot = 0; slot < n_tok * k; slot++) {
        int32_t at = cursor[expert[slot] * n_shard + slot / shard_slots]++;
        p->row_slot[at] = (int32_t)slot;
        p->slot_row[slot] = at;
    }
    p->n_chunk = 0;
    for (int32_t e = 0; e < n_expert; e++)
        lay_chunks(p, e, e * n_shard, (e + 1) * n_shard);
}

sm_perm_piece sm_perm_first_piece(const sm_perm *p, sm_chunk rows, int64_t *group)
{
    while (p->row0[*group + 1] <= rows.row0)
        ++*group;
    int32_t first = p->row0[*group], last = p->row0[*group + 1];
    sm_chunk whole = {p->packed0[*group], last - first};
    sm_perm_piece piece = {{whole.row0 + rows.row0 - first, 0}, {0, 0}};
    piece.run = sm_grad_run_of(whole, piece.packed.row0);
    int32_t left = piece.run.row0 + piece.run.n_row - piece.packed.row0;
    piece.packed.n_row = (int32_t)sm_min_i64(left, rows.n_row);
    return piece;
}
