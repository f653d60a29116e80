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

/* Better than the best so far, or the first candidate; a NaN never wins over a number, and
 * equal scores leave the lower id in place. */
static int32_t best_left(const float *logit, const float *bias, const int32_t *taken,
                         int32_t n_taken, int32_t n_expert)
{
    int32_t best = -1;
    for (int32_t e = 0; e < n_expert; e++) {
        bool is_taken = false;
        for (int32_t j = 0; j < n_taken; j++)
            is_taken = is_taken || taken[j] == e;
        if (!is_taken && (best < 0 || score(logit, bias, e) > score(logit, bias, best)))
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

int64_t sm_perm_max_row(int64_t n_tok, int32_t k, int32_t n_expert, int64_t n_shard)
{
    return sm_ceil_to(n_tok * k, SM_TOKEN_BLOCK) +
           n_expert * n_shard * (int64_t)SM_TOKEN_BLOCK;
}

int64_t sm_perm_max_chunk(int64_t n_tok, int32_t k, int32_t n_expert, int64_t n_shard)
{
    return n_tok * k / SM_ROW_BLOCK + n_expert * n_shard + 1;
}

/* Groups one after another, each from a multiple of 32 rows; its chunks. */
static void lay_groups(sm_perm *p, int64_t n_group, int64_t n_shard)
{
    p->n_row = 0;
    p->n_chunk = 0;
    for (int64_t g = 0; g < n_group; g++) {
        p->first[g] = p->n_chunk;
        for (int32_t done = 0; done < p->count[g]; done += SM_ROW_BLOCK) {
            int32_t left = p->count[g] - done;
            p->chunk[p->n_chunk] = (sm_chunk){(int32_t)p->n_row + done,
                                              left < SM_ROW_BLOCK ? left : SM_ROW_BLOCK};
            p->chunk_expert[p->n_chunk++] = (int32_t)(g / n_shard);
        }
        p->n_row += sm_ceil_to(p->count[g], SM_TOKEN_BLOCK);
    }
    p->first[n_group] = p->n_chunk;
}

/* A counting sort: stable, so a group keeps its tokens in order. `count` is the cursor of
 * each group on the second walk and ends as it began. */
void sm_perm_build(sm_perm *p, const int32_t *expert, int64_t n_tok, int32_t k,
                   int32_t n_expert, int64_t n_shard)
{
    int64_t n_group = n_expert * n_shard, shard_slots = n_tok / n_shard * k;
    memset(p->count, 0, (size_t)n_group * sizeof *p->count);
    for (int64_t slot = 0; slot < n_tok * k; slot++)
        p->count[expert[slot] * n_shard + slot / shard_slots]++;
    lay_groups(p, n_group, n_shard);
    for (int64_t row = 0; row < p->n_row; row++)
        p->row_slot[row] = -1;
    int64_t row0 = 0;
    for (int64_t g = 0; g < n_group; g++) {
        int32_t n = p->count[g];
        p->count[g] = (int32_t)row0;
        row0 += sm_ceil_to(n, SM_TOKEN_BLOCK);
    }
    for (int64_t slot = 0; slot < n_tok * k; slot++) {
        int32_t *cursor = &p->count[expert[slot] * n_shard + slot / shard_slots];
        p->row_slot[*cursor] = (int32_t)slot;
        p->slot_row[slot] = (*cursor)++;
    }
    row0 = 0;
    for (int64_t g = 0; g < n_group; g++) {
        p->count[g] -= (int32_t)row0;
        row0 += sm_ceil_to(p->count[g], SM_TOKEN_BLOCK);
    }
}
