/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optimizer: global gradient norm, AdamW (Loshchilov and Hutter, arXiv 1711.05101)
 * and the loss-free router bias.  Work is split in blocks of 4096 elements that never
 * straddle tensors; sums go block by block along fixed trees, so they do not depend on
 * threads.
 */
#include <float.h>
#include <stdlib.h>

#include "train_internal.h"

enum { BLOCK = 4096 };

static bool is_finite(double x)
{
    return x - x == 0;
}

/*
 * Square root of doubles without libm: Newton's iteration from a power of two.  Within an
 * ulp, and the same bits everywhere, which is all that a recorded norm needs.
 */
double train_sqrt(double x)
{
    if (!(x > 0) || !is_finite(x))
        return x;
    double r = 1;
    while (r * r < x)
        r *= 2;
    while (r * r > x && r > DBL_MIN)
        r /= 2;
    for (int i = 0; i < 8; i++)
        r = 0.5 * (r + x / r);
    return r;
}

/* base^n by squaring: exact order of products, no libm. */
static double power(double base, int64_t n)
{
    double p = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n & 1)
            p *= base;
    return p;
}

/* -------------------------------------------------------------- blocks */

static int64_t list_blocks(train_optim *o, bool write)
{
    int64_t n_block = 0;
    for (int32_t t = 0; t < o->model->n_param_tensors; t++) {
        const sm_param *p = &o->model->param[t];
        if (write)
            o->tensor_block[t] = n_block;
        for (int64_t at = 0; at < p->n; at += BLOCK, n_block++)
            if (write)
                o->block[n_block] =
                    (train_block){.at = p->offset + at,
                                  .n = (int32_t)(p->n - at < BLOCK ? p->n - at : BLOCK),
                                  .tensor = t};
    }
    if (write)
        o->tensor_block[o->model->n_param_tensors] = n_block;
    return n_block;
}

sm_status train_optim_init(train_optim *o, const sm_model *model, sm_err *err)
{
    *o = (train_optim){.model = model};
    o->n_block = list_blocks(o, false);
    o->m = sm_aligned_alloc((size_t)model->n_weight * 2 * sizeof(float));
    o->block = sm_alloc((size_t)o->n_block, sizeof *o->block);
    o->partial = sm_alloc((size_t)o->n_block, sizeof *o->partial);
    o->tensor_block = sm_alloc((size_t)model->n_param_tensors + 1, sizeof(int64_t));
    if (!o->m || !o->block || !o->partial || !o->tensor_block) {
        train_optim_fini(o);
        return sm_fail(err, SM_ENOMEM, "optimizer: %lld weights: out of memory",
                       (long long)model->n_weight);
    }
    o->v = o->m + model->n_weight;
    list_blocks(o, true);
    return SM_OK;
}

void train_optim_fini(train_optim *o)
{
    sm_aligned_free(o->m);
    free(o->block);
    free(o->partial);
    free(o->tensor_block);
    *o = (train_optim){0};
}

size_t train_optim_bytes(const train_optim *o)
{
    return (size_t)o->model->n_weight * 2 * sizeof(float) +
           (size_t)o->n_block * (sizeof *o->block + sizeof *o->partial);
}

/* Norm from the blocks' sums of squares, or the tensor that is not finite. */
static sm_status norm_of(double *norm, const train_optim *o, const char *what,
                         int64_t step, sm_err *err)
{
    int32_t n = o->model->n_param_tensors;
    double *tensor = sm_alloc((size_t)n, sizeof *tensor);
    sm_status s = SM_OK;
    if (!tensor)
        return sm_fail(err, SM_ENOMEM, "%s norm: out of memory", what);
    for (int32_t t = 0; t < n && !s; t++) {
        int64_t first = o->tensor_block[t];
        tensor[t] = train_tree_f64(o->partial + first, o->tensor_block[t + 1] - first);
        if (!is_finite(tensor[t]))
            s = sm_fail(err, SM_ENUMERIC,
                        "step %lld: %s of %s: got NaN or infinity, want finite numbers",
                        (long long)step + 1, what, o->model->param[t].name);
    }
    if (!s)
        *norm = train_sqrt(train_tree_f64(tensor, n));
    free(tensor);
    return s;
}

/* --------------------------------------------------------- gradient norm */

typedef struct norm_job {
    const train_optim *o;
    const sm_kern *kern;
    const float *grad;
} norm_job;

static void norm_task(void *arg, ptrdiff_t i, int thread)
{
    const norm_job *j = arg;
    const train_block *b = &j->o->block[i];
    (void)thread;
    j->o->partial[i] = (double)j->kern->sumsq(j->grad + b->at, b->n);
}

sm_status train_grad_norm(double *norm, const train_optim *o, const sm_ctx *ctx,
                          const float *grad, int64_t step, sm_err *err)
{
    norm_job j = {.o = o, .kern = ctx->kern, .grad = grad};
    sm_pool_run(ctx->pool, o->n_block, norm_task, &j);
    return norm_of(norm, o, "gradient", step, err);
}

/* ----------------------------------------------------------------- AdamW */

typedef struct adamw_job {
    train_optim *o;
    const sm_kern *kern;
    float *weight;
    const float *grad;
    sm_adamw decay, plain;
} adamw_job;

/* The sum of squares is taken while the block is in cache: NaN costs no second pass. */
static void adamw_task(void *arg, ptrdiff_t i, int thread)
{
    const adamw_job *j = arg;
    const train_block *b = &j->o->block[i];
    const sm_adamw *h = j->o->model->param[b->tensor].decay ? &j->decay : &j->plain;
    (void)thread;
    j->kern->adamw(j->weight + b->at, j->o->m + b->at, j->o->v + b->at, j->grad + b->at,
                   b->n, h);
    j->o->partial[i] = (double)j->kern->sumsq(j->weight + b->at, b->n);
}

sm_status train_optim_step(double *weight_norm, train_optim *o, const sm_ctx *ctx,
                           const sm_train_config *c, float *weight, const float *grad,
                           float grad_scale, int64_t step, sm_err *err)
{
    adamw_job j = {.o = o, .kern = ctx->kern, .weight = weight, .grad = grad};
    j.decay = (sm_adamw){.lr = (float)sm_train_lr(c, step),
                         .beta1 = (float)c->beta1,
                         .beta2 = (float)c->beta2,
                         .eps = (float)c->eps,
                         .weight_decay = (float)c->weight_decay,
                         .grad_scale = grad_scale};
    j.decay.c1 = (float)(1 / (1 - power(c->beta1, step + 1)));
    j.decay.c2 = (float)(1 / (1 - power(c->beta2, step + 1)));
    j.plain = j.decay;
    j.plain.weight_decay = 0;
    sm_pool_run(ctx->pool, o->n_block, adamw_task, &j);
    return norm_of(weight_norm, o, "weight", step, err);
}

/* ------------------------------------------------------------ router bias */

static void bias_layer(float *bias, const int64_t *count, int64_t n, double rate)
{
    int64_t total = 0, n_up = 0;
    for (int64_t e = 0; e < n; e++)
        total += count[e];
    if (total == 0) /* a dense layer */
        return;
    for (int64_t e = 0; e < n; e++)
        n_up += (count[e] * n < total) - (count[e] * n > total);
    double mean = rate * (double)n_up / (double)n;
    for (int64_t e = 0; e < n; e++) {
        int sign = (count[e] * n < total) - (count[e] * n > total);
        bias[e] = (float)((double)bias[e] + (rate * sign - mean));
    }
}

void train_bias_update(float *bias, const int64_t *counts, int64_t n_layer,
                       int64_t n_expert, double rate)
{
    for (int64_t l = 0; l < n_layer; l++)
        bias_layer(bias + l * n_expert, counts + l * n_expert, n_expert, rate);
}
