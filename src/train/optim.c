/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The optimizer: global gradient norm, AdamW (Loshchilov and Hutter, arXiv 1711.05101),
 * Muon's share by muon.c, and the loss-free router bias.  Work is split in blocks of 4096
 * elements that never straddle tensors; sums go block by block along fixed trees, so they do
 * not depend on threads.  The blocks of some 64 rows are one task, which hands the rows on to
 * be packed for the next step while they are in cache.
 */
#include <float.h>
#include <stdlib.h>

#include "train_internal.h"

enum { BLOCK = 4096, ROWS = 64 };

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

/* Blocks of a group of a tensor: 4096 of its rows are as many blocks as a row has elements,
 * and so are divisors of both; 64 rows where the row's length is a multiple of 64. */
static int64_t group_blocks(const sm_param *p)
{
    int64_t cols = p->n_dim > 0 ? p->shape[p->n_dim - 1] : 1, divisor = ROWS;
    while (cols % divisor)
        divisor /= 2;
    return cols / divisor;
}

static int64_t list_groups(train_optim *o, bool write)
{
    int64_t n_group = 0, block = 0;
    for (int32_t t = 0; t < o->model->n_param_tensors; t++) {
        const sm_param *p = &o->model->param[t];
        int64_t end = block + (p->n + BLOCK - 1) / BLOCK, step = group_blocks(p);
        for (; block < end; block = end - block > step ? block + step : end, n_group++)
            if (write)
                o->group[n_group] = block;
    }
    if (write)
        o->group[n_group] = block;
    return n_group;
}

/* Elements of the second moment; tensors that Muon moves have none. */
static int64_t list_second(int64_t *v_at, const sm_train_config *c, const sm_model *m)
{
    int64_t n = 0;
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        bool has = !train_is_muon(c, &m->param[t]);
        if (v_at)
            v_at[t] = has ? n : -1;
        n += has ? m->param[t].n : 0;
    }
    return n;
}

static size_t moment_bytes(const train_optim *o)
{
    return (size_t)(o->model->n_weight + o->n_v) * sizeof(float);
}

static sm_status allocate(train_optim *o, sm_err *err)
{
    size_t n_tensor = (size_t)o->model->n_param_tensors;
    o->m = sm_pages_alloc(moment_bytes(o));
    o->v_at = sm_alloc(n_tensor, sizeof *o->v_at);
    o->rate = sm_alloc(n_tensor, sizeof *o->rate);
    o->block = sm_alloc((size_t)o->n_block, sizeof *o->block);
    o->partial = sm_alloc((size_t)o->n_block, sizeof *o->partial);
    o->tensor_block = sm_alloc(n_tensor + 1, sizeof *o->tensor_block);
    o->group = sm_alloc((size_t)o->n_group + 1, sizeof *o->group);
    if (!o->m || !o->v_at || !o->rate || !o->block || !o->partial || !o->tensor_block ||
        !o->group)
        return sm_fail(err, SM_ENOMEM, "optimizer: %lld weights: out of memory",
                       (long long)o->model->n_weight);
    o->v = o->m + o->model->n_weight;
    return SM_OK;
}

sm_status train_optim_init(train_optim *o, const sm_ctx *ctx, const sm_train_config *c,
                           const sm_model *model, sm_err *err)
{
    *o = (train_optim){.model = model, .n_v = list_second(NULL, c, model)};
    o->n_block = list_blocks(o, false);
    o->n_group = list_groups(o, false);
    sm_status s = allocate(o, err);
    if (!s && c->optimizer == SM_OPTIMIZER_MUON)
        s = train_muon_create(&o->muon, ctx, c, model, err);
    if (s) {
        train_optim_fini(o);
        return s;
    }
    list_second(o->v_at, c, model);
    list_blocks(o, true);
    list_groups(o, true);
    return SM_OK;
}

void train_optim_fini(train_optim *o)
{
    if (o->m)
        sm_pages_free(o->m, moment_bytes(o));
    free(o->v_at);
    free(o->rate);
    free(o->block);
    free(o->partial);
    free(o->tensor_block);
    free(o->group);
    train_muon_free(o->muon);
    *o = (train_optim){0};
}

size_t train_optim_bytes(const sm_ctx *ctx, const sm_train_config *c,
                         const sm_model *model)
{
    train_optim o = {.model = model};
    size_t n_tensor = (size_t)model->n_param_tensors, muon = 0;
    if (c->optimizer == SM_OPTIMIZER_MUON)
        muon = train_muon_bytes(ctx, c, model);
    return (size_t)(model->n_weight + list_second(NULL, c, model)) * sizeof(float) +
           (size_t)list_blocks(&o, false) * (sizeof *o.block + sizeof *o.partial) +
           (size_t)(list_groups(&o, false) + 1) * sizeof *o.group +
           n_tensor * (sizeof *o.v_at + sizeof *o.rate) +
           (n_tensor + 1) * sizeof *o.tensor_block + muon;
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

/* Coefficients of every tensor for this step. */
static void set_rates(train_optim *o, const sm_train_config *c, float grad_scale,
                      int64_t step)
{
    double lr = sm_train_lr(c, step);
    double correction1 = 1 - power(c->beta1, step + 1);
    sm_adamw h = {.grad_scale = grad_scale,
                  .beta1 = (float)c->beta1,
                  .take1 = (float)(1 - c->beta1),
                  .beta2 = (float)c->beta2,
                  .take2 = (float)(1 - c->beta2),
                  .root2 = (float)train_sqrt(1 - power(c->beta2, step + 1)),
                  .eps = (float)c->eps};
    for (int32_t t = 0; t < o->model->n_param_tensors; t++) {
        const sm_param *p = &o->model->param[t];
        train_factor f = train_factor_of(c, p);
        double rate = lr * f.lr, decay = p->decay ? c->weight_decay * f.decay : 0;
        h.keep = (float)(1 - rate * decay);
        h.step = (float)(rate / correction1);
        o->rate[t] = h;
    }
}

typedef struct adamw_job {
    train_optim *o;
    const sm_kern *kern;
    float *weight;
    const float *grad;
} adamw_job;

/* The sum of squares is taken while the block is in cache: NaN costs no second pass. */
static void move_block(const adamw_job *j, int64_t i)
{
    const train_block *b = &j->o->block[i];
    int64_t v_at = j->o->v_at[b->tensor];
    if (v_at >= 0) /* else Muon has moved it */
        j->kern->adamw(j->weight + b->at, j->o->m + b->at,
                       j->o->v + v_at + (b->at - j->o->model->param[b->tensor].offset),
                       j->grad + b->at, b->n, &j->o->rate[b->tensor]);
    j->o->partial[i] = (double)j->kern->sumsq(j->weight + b->at, b->n);
}

static void adamw_task(void *arg, ptrdiff_t i, int thread)
{
    const adamw_job *j = arg;
    int64_t first = j->o->group[i], end = j->o->group[i + 1];
    const train_block *b = &j->o->block[first], *last = &j->o->block[end - 1];
    (void)thread;
    for (int64_t k = first; k < end; k++)
        move_block(j, k);
    if (j->o->pass)
        sm_pass_pack_range(j->o->pass, b->at, last->at + last->n - b->at);
}

sm_status train_optim_step(double *weight_norm, train_optim *o, const sm_ctx *ctx,
                           const sm_train_config *c, float *weight, const float *grad,
                           float grad_scale, int64_t step, sm_err *err)
{
    adamw_job j = {.o = o, .kern = ctx->kern, .weight = weight, .grad = grad};
    set_rates(o, c, grad_scale, step);
    if (o->muon)
        train_muon_step(o->muon, ctx, weight, o->m, grad, grad_scale,
                        sm_train_lr(c, step));
    sm_pool_run(ctx->pool, o->n_group, adamw_task, &j);
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
