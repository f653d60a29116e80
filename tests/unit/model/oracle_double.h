/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An oracle: the decoder's loss in double, written from the equations alone, one token at a
 * time, with libm and without any of smelt's kernels, blocks or packing.  It is what
 * gradients are differenced on.  Routing may be frozen, because a choice of experts has no
 * derivative.
 */
#ifndef ORACLE_DOUBLE_H
#define ORACLE_DOUBLE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/model.h"

typedef struct oracle {
    const sm_model *model;
    const double *w; /* [n_weight] */
    const sm_batch *b;
    sm_loss_config loss;
    int32_t *expert; /* [n_layer, n_tok, k]: routing, written unless frozen */
    int is_frozen;
    double *token_loss; /* [n_tok], may be NULL */
} oracle;

static inline void oracle_linear(double *y, const double *w, const double *x, int rows,
                                 int cols)
{
    for (int i = 0; i < rows; i++) {
        y[i] = 0;
        for (int j = 0; j < cols; j++)
            y[i] += w[(size_t)i * (size_t)cols + (size_t)j] * x[j];
    }
}

static inline void oracle_norm(double *y, const double *x, const double *w, double eps,
                               int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += x[i] * x[i];
    s = 1 / sqrt(s / n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * s * (w ? w[i] : 1);
}

/* y += Wd (silu(Wg x) * Wu x) */
static inline void oracle_swiglu(double *y, const double *gate_up, const double *down,
                                 const double *x, int d, int f, double weight)
{
    double *a = calloc((size_t)(2 * f + d), sizeof *a);
    oracle_linear(a, gate_up, x, 2 * f, d);
    for (int i = 0; i < f; i++)
        a[i] = a[i] / (1 + exp(-a[i])) * a[f + i];
    oracle_linear(a + 2 * f, down, a, d, f);
    for (int i = 0; i < d; i++)
        y[i] += weight * a[2 * f + i];
    free(a);
}

static inline void oracle_rope(double *x, int pos, const sm_model_config *c)
{
    int d = c->d_head;
    for (int j = 0; j < d / 2; j++) {
        double angle = pos * pow((double)c->rope_theta, -2.0 * j / d);
        int ia = c->rope_interleaved ? 2 * j : j;
        int ib = c->rope_interleaved ? 2 * j + 1 : j + d / 2;
        double a = x[ia], b = x[ib];
        x[ia] = a * cos(angle) - b * sin(angle);
        x[ib] = a * sin(angle) + b * cos(angle);
    }
}

/* o [n_ctx, n_head*d_head] of one sequence from its normed inputs. */
static inline void oracle_attention(const oracle *o, const sm_layer_view *v,
                                    const double *n1, const int32_t *doc, double *out)
{
    const sm_model_config *c = &o->model->config;
    int T = (int)o->b->n_ctx, d = c->d_head, w = (c->n_head + 2 * c->n_kv_head) * d;
    double *qkv = calloc((size_t)T * (size_t)w, sizeof *qkv);
    double *s = calloc((size_t)T, sizeof *s);
    for (int t = 0; t < T; t++) {
        double *row = qkv + (size_t)t * (size_t)w;
        int pos = t - doc[t];
        oracle_linear(row, o->w + v->qkv, n1 + (size_t)t * (size_t)c->d_model, w,
                      c->d_model);
        for (int h = 0; h < c->n_head + c->n_kv_head; h++) {
            if (v->has_rope)
                oracle_rope(row + h * d, pos, c);
            if (v->has_rope && c->qk_norm)
                oracle_norm(row + h * d, row + h * d, NULL, (double)c->norm_eps, d);
            if (!v->has_rope && c->attn_temp_scale > 0 && h < c->n_head)
                for (int i = 0; i < d; i++)
                    row[h * d + i] *=
                        1 + (double)c->attn_temp_scale *
                                log(1 + floor((pos + 1) / (double)c->attn_temp_floor));
        }
    }
    for (int t = 0; t < T; t++)
        for (int h = 0; h < c->n_head; h++) {
            const double *q = qkv + (size_t)t * (size_t)w + h * d;
            int g = h / (c->n_head / c->n_kv_head);
            double top = -INFINITY, sum = 0,
                   *y = out + ((size_t)t * (size_t)c->n_head + (size_t)h) * (size_t)d;
            for (int u = 0; u <= t; u++) {
                const double *k = qkv + (size_t)u * (size_t)w + (c->n_head + g) * d;
                int seen = doc[u] == doc[t];
                if (v->has_rope && c->attn_chunk > 0)
                    seen = seen &&
                           (t - doc[t]) / c->attn_chunk == (u - doc[u]) / c->attn_chunk;
                s[u] = 0;
                for (int i = 0; i < d; i++)
                    s[u] += q[i] * k[i];
                s[u] = seen ? s[u] / sqrt((double)d) : -INFINITY;
                top = s[u] > top ? s[u] : top;
            }
            for (int u = 0; u <= t; u++)
                sum += exp(s[u] - top);
            memset(y, 0, (size_t)d * sizeof *y);
            for (int u = 0; u <= t; u++) {
                const double *val =
                    qkv + (size_t)u * (size_t)w + (c->n_head + c->n_kv_head + g) * d;
                for (int i = 0; i < d; i++)
                    y[i] += exp(s[u] - top) / sum * val[i];
            }
        }
    free(qkv);
    free(s);
}

static inline double oracle_lse(const double *x, int n)
{
    double top = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (int i = 0; i < n; i++)
        sum += exp(x[i] - top);
    return top + log(sum);
}

/* Choose by logit + bias, ties to the lower id. */
static inline void oracle_choose(const double *logit, const float *bias, int n, int k,
                                 int32_t *expert)
{
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int e = 0; e < n; e++) {
            int taken = 0;
            for (int i = 0; i < j; i++)
                taken |= expert[i] == e;
            double at = logit[e] + (bias ? (double)bias[e] : 0);
            if (!taken &&
                (best < 0 || at > logit[best] + (bias ? (double)bias[best] : 0)))
                best = e;
        }
        expert[j] = best;
    }
}

/* y += mixture(n2); adds the token's softmax to p, and returns its lse^2. */
static inline double oracle_moe(const oracle *o, const sm_layer_view *v, int layer,
                                int64_t token, const double *n2, double *y, double *p)
{
    const sm_model_config *c = &o->model->config;
    int E = c->n_expert, k = c->k_expert, d = c->d_model, f = c->d_expert;
    int64_t n_tok = o->b->n_seq * o->b->n_ctx;
    int32_t *expert = o->expert + ((int64_t)layer * n_tok + token) * k;
    double *logit = calloc((size_t)(E + d), sizeof *logit), *x = logit + E, sum = 0;
    oracle_linear(logit, o->w + v->router, n2, E, d);
    const float *bias = o->model->router_bias;
    if (!o->is_frozen)
        oracle_choose(logit, bias ? bias + (int64_t)layer * E : NULL, E, k, expert);
    for (int j = 0; j < k; j++)
        sum += exp(logit[expert[j]]);
    for (int j = 0; j < k; j++) {
        int e = expert[j];
        const double *gu = o->w + v->expert_gate_up + (int64_t)e * 2 * f * d;
        const double *down = o->w + v->expert_down + (int64_t)e * d * f;
        if (c->router == SM_ROUTER_SIGMOID_TOP1) {
            for (int i = 0; i < d; i++)
                x[i] = n2[i] / (1 + exp(-logit[e]));
            oracle_swiglu(y, gu, down, x, d, f, 1);
        } else {
            oracle_swiglu(y, gu, down, n2, d, f, exp(logit[e]) / sum);
        }
    }
    double lse = oracle_lse(logit, E);
    for (int e = 0; e < E; e++)
        p[e] += exp(logit[e] - lse);
    free(logit);
    return lse * lse;
}

/* The auxiliary terms of one layer over the whole batch. */
static inline double oracle_aux(const oracle *o, int layer, const double *p, double z)
{
    const sm_model_config *c = &o->model->config;
    double n_tok = (double)(o->b->n_seq * o->b->n_ctx), aux = 0;
    int64_t n = o->b->n_seq * o->b->n_ctx * c->k_expert;
    for (int e = 0; e < c->n_expert; e++) {
        double count = 0;
        for (int64_t i = 0; i < n; i++)
            count += o->expert[layer * n + i] == e;
        aux += count / (c->k_expert * n_tok) * p[e] / n_tok;
    }
    return (double)o->loss.aux_coef * c->n_expert * aux +
           (double)o->loss.z_coef * z / n_tok;
}

/* The loss of the whole batch: mean over targets plus auxiliary terms. */
static inline double oracle_loss(const oracle *o)
{
    const sm_model_config *c = &o->model->config;
    sm_model_view ends = sm_model_ends(o->model);
    int T = (int)o->b->n_ctx, d = c->d_model, V = c->n_vocab, q = c->n_head * c->d_head;
    int64_t n_tok = o->b->n_seq * T, n_target = 0;
    size_t size = (size_t)n_tok * (size_t)d;
    double *x = calloc(size, sizeof *x), *n = calloc(size, sizeof *n);
    double *at = calloc((size_t)n_tok * (size_t)q, sizeof *at), loss = 0, extra = 0;
    double *tmp = calloc((size_t)(V + d + c->n_expert), sizeof *tmp);
    for (int64_t t = 0; t < n_tok; t++)
        memcpy(x + t * d, o->w + ends.embed + (int64_t)o->b->token[t] * d,
               (size_t)d * sizeof *x);
    for (int l = 0; l < c->n_layer; l++) {
        sm_layer_view v = sm_model_layer(o->model, l);
        double *p = tmp + V + d, z = 0;
        memset(p, 0, (size_t)c->n_expert * sizeof *p);
        for (int64_t t = 0; t < n_tok; t++)
            oracle_norm(n + t * d, x + t * d, o->w + v.attn_norm, (double)c->norm_eps, d);
        for (int64_t s = 0; s < o->b->n_seq; s++)
            oracle_attention(o, &v, n + s * T * d, o->b->doc_start + s * T,
                             at + s * T * q);
        for (int64_t t = 0; t < n_tok; t++) {
            oracle_linear(tmp, o->w + v.out, at + t * q, d, q);
            for (int i = 0; i < d; i++)
                x[t * d + i] += tmp[i];
            oracle_norm(n + t * d, x + t * d, o->w + v.ffn_norm, (double)c->norm_eps, d);
            if (v.is_moe)
                z += oracle_moe(o, &v, l, t, n + t * d, x + t * d, p);
            if (v.d_ff > 0)
                oracle_swiglu(x + t * d, o->w + v.gate_up, o->w + v.down, n + t * d, d,
                              v.d_ff, 1);
        }
        if (v.is_moe)
            extra += oracle_aux(o, l, p, z);
    }
    for (int64_t t = 0; t < n_tok; t++) {
        if (o->token_loss)
            o->token_loss[t] = 0;
        if (o->b->target[t] < 0)
            continue;
        oracle_norm(n, x + t * d, o->w + ends.norm, (double)c->norm_eps, d);
        oracle_linear(tmp, o->w + ends.head, n, V, d);
        double lse = oracle_lse(tmp, V), nats = lse - tmp[o->b->target[t]];
        if (o->token_loss)
            o->token_loss[t] = nats;
        loss += nats + (double)o->loss.head_z_coef * lse * lse;
        n_target++;
    }
    free(x);
    free(n);
    free(at);
    free(tmp);
    return loss / (double)n_target + extra;
}

#endif
