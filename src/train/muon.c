/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Muon (Jordan et al., 2024; scaled as in arXiv 2502.16982): momentum whose matrices are
 * orthogonalised before they are applied.
 *
 *   m = mu m + g;   x = g + mu m                        g: the clipped gradient
 *   x = x / |x|_F
 *   five times:  A = x x^T;  B = b A + c A A;  x = a x + B x      (a b c below)
 *   w = (1 - lr wd) w - lr 0.2 sqrt(max(rows, cols)) x
 *
 * A tall matrix takes A = x^T x and x = a x + x B, so the square side is always the short
 * one.  An iteration maps every singular value s to a s + b s^3 + c s^5 and leaves the
 * singular vectors: what began in 0.01..1 ends near 1 (0.68..1.2).
 *
 * A matrix is a tensor of the model; an expert of a stacked tensor; and of a stacked
 * gate_up the gate and the up half.  That q, k and v, gate and up lie side by side as one
 * product is a matter of packing: each has its own output, so each is orthogonalised
 * alone.  Heads are not split: a head's 64 or so rows of q are few against d_model.
 *
 * Numbers: products are those of the profile.  In bf16/1 only operands are rounded; x, A
 * and B stay f32, and the iteration corrects the rounding of the one before.  A is
 * symmetric to the bit (fma is commutative in its factors), so half of its tiles are
 * mirrored instead of computed.  Sums of squares go by row, then along a fixed tree.
 *
 * Work: matrices of up to SMALL elements are a task each; larger ones come one by one and
 * their tiles are the tasks.  The bits are the same.
 */
#include <stdlib.h>
#include <string.h>

#include "smelt/tensor.h"
#include "train_internal.h"

enum { SMALL = 1 << 20, STRIPE = 128, N_ITERATION = 5, LINE = 64 };

static const float NS_A = 3.4445f, NS_B = -4.7750f, NS_C = 2.0315f;
/* RMS of an update of AdamW, which Muon's is scaled to (arXiv 2502.16982). */
static const double UPDATE_RMS = 0.2;

typedef struct matrix {
    int64_t at, rows, cols;
    int32_t tensor;
} matrix;

struct train_muon {
    const sm_train_config *config;
    const sm_model *model;
    const sm_prod *prod;
    matrix *matrix; /* n_small small ones, then the others */
    int64_t n_matrix, n_small;
    char *scratch; /* n_thread blocks for small ones, or one for a large one */
    size_t stride;
};

/* ------------------------------------------------------------- the matrices */

static bool is_small(const matrix *m)
{
    return m->rows * m->cols <= SMALL;
}

bool train_is_muon(const sm_train_config *c, const sm_param *p)
{
    return c->optimizer == SM_OPTIMIZER_MUON && train_class_of(p) == TRAIN_HIDDEN;
}

/* The first matrix of a tensor; returns how many of that shape follow one another. */
static int64_t matrices_of(matrix *first, const sm_param *p, int32_t tensor)
{
    bool is_stack = p->n_dim == 3;
    int64_t n = is_stack ? p->shape[0] : 1;
    if (is_stack && strstr(p->name, "gate_up"))
        n *= 2;
    int64_t cols = p->shape[p->n_dim - 1];
    *first = (matrix){p->offset, p->n / n / cols, cols, tensor};
    return n;
}

/* All small, or all large ones, to `out` when it is not NULL; returns how many. */
static int64_t list(matrix *out, const sm_train_config *c, const sm_model *m, bool small)
{
    int64_t n = 0;
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        matrix x;
        if (!train_is_muon(c, &m->param[t]))
            continue;
        int64_t k = matrices_of(&x, &m->param[t], t);
        if (is_small(&x) != small)
            continue;
        for (int64_t i = 0; out && i < k; i++, x.at += x.rows * x.cols)
            out[n + i] = x;
        n += k;
    }
    return n;
}

/* ------------------------------------------------------------------ scratch */

static size_t lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* One orthogonalisation: x, two square matrices, packed operands, sums of rows. */
typedef struct newton {
    const sm_kern *kern;
    const sm_prod *prod;
    sm_pool *pool; /* NULL: serial, inside a task */
    int64_t rows, cols, side;
    float *x, *gram, *square;
    char *pa, *pb;
    double *row;
} newton;

/* Lay a newton out over `base` (NULL: only measure); returns its bytes. */
static size_t place(newton *z, const sm_prod *prod, char *base, int64_t rows,
                    int64_t cols)
{
    int64_t s = rows < cols ? rows : cols, l = rows < cols ? cols : rows;
    size_t at[7] = {0};
    size_t bytes[6] = {
        (size_t)(rows * cols) * sizeof(float),
        (size_t)(s * s) * sizeof(float),
        (size_t)(s * s) * sizeof(float),
        larger(prod->bytes_a(s, l), larger(prod->bytes_a(s, s), prod->bytes_a(l, s))),
        larger(prod->bytes_b(s, l), larger(prod->bytes_b(s, s), prod->bytes_b(l, s))),
        (size_t)rows * sizeof(double),
    };
    for (int i = 0; i < 6; i++)
        at[i + 1] = at[i] + lines(bytes[i]);
    if (base) {
        z->prod = prod;
        z->rows = rows;
        z->cols = cols;
        z->side = s;
        z->x = (float *)(void *)(base + at[0]);
        z->gram = (float *)(void *)(base + at[1]);
        z->square = (float *)(void *)(base + at[2]);
        z->pa = base + at[3];
        z->pb = base + at[4];
        z->row = (double *)(void *)(base + at[5]);
    }
    return at[6];
}

/* Bytes of a block, and of all blocks: one a thread, or one for the largest matrix. */
static size_t scratch_bytes(size_t *stride, const sm_ctx *ctx, const sm_train_config *c,
                            const sm_model *m)
{
    const sm_prod *prod = sm_kern_prod(ctx->kern, c->profile);
    size_t small = 0, large = 0;
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        matrix x;
        if (!train_is_muon(c, &m->param[t]))
            continue;
        matrices_of(&x, &m->param[t], t);
        size_t bytes = place(NULL, prod, NULL, x.rows, x.cols);
        if (is_small(&x))
            small = larger(small, bytes);
        else
            large = larger(large, bytes);
    }
    *stride = small;
    int n_thread = ctx->pool ? sm_pool_n_threads(ctx->pool) : 1;
    return larger(small * (size_t)n_thread, large);
}

size_t train_muon_bytes(const sm_ctx *ctx, const sm_train_config *c, const sm_model *m)
{
    size_t stride, n = scratch_bytes(&stride, ctx, c, m);
    int64_t n_matrix = list(NULL, c, m, true) + list(NULL, c, m, false);
    return n + (size_t)n_matrix * sizeof(matrix);
}

sm_status train_muon_create(train_muon **out, const sm_ctx *ctx, const sm_train_config *c,
                            const sm_model *model, sm_err *err)
{
    train_muon *u = sm_alloc(1, sizeof *u);
    if (!u)
        return sm_fail(err, SM_ENOMEM, "muon: out of memory");
    *u = (train_muon){.config = c,
                      .model = model,
                      .prod = sm_kern_prod(ctx->kern, c->profile),
                      .n_small = list(NULL, c, model, true)};
    u->n_matrix = u->n_small + list(NULL, c, model, false);
    size_t bytes = scratch_bytes(&u->stride, ctx, c, model);
    u->matrix = sm_alloc((size_t)u->n_matrix, sizeof *u->matrix);
    u->scratch = sm_aligned_alloc(bytes);
    if (!u->matrix || !u->scratch) {
        train_muon_free(u);
        return sm_fail(err, SM_ENOMEM, "muon: scratch of %zu bytes: out of memory", bytes);
    }
    list(u->matrix, c, model, true);
    list(u->matrix + u->n_small, c, model, false);
    *out = u;
    return SM_OK;
}

void train_muon_free(train_muon *u)
{
    if (!u)
        return;
    free(u->matrix);
    sm_aligned_free(u->scratch);
    free(u);
}

/* ----------------------------------------------------------------- products */

/* An operand: rows and k of a matrix in memory, packed in stripes. */
typedef struct pack_job {
    const sm_prod *prod;
    char *dst;
    const float *src;
    int64_t rows, k, row_stride, col_stride, stripe;
    bool is_b;
} pack_job;

static void pack_task(void *arg, ptrdiff_t i, int thread)
{
    const pack_job *j = arg;
    int64_t r = i * j->stripe, n = j->rows - r < j->stripe ? j->rows - r : j->stripe;
    const float *src = j->src + r * j->row_stride;
    (void)thread;
    if (j->is_b)
        j->prod->pack_b(j->dst + j->prod->offset_b(r, j->k), src, SM_F32, n, j->k,
                        j->row_stride, j->col_stride);
    else
        j->prod->pack_a(j->dst + j->prod->offset_a(r, j->k), src, SM_F32, n, j->k,
                        j->row_stride, j->col_stride);
}

static int64_t stripe_of(int64_t panel)
{
    return (STRIPE + panel - 1) / panel * panel;
}

static void pack(const newton *z, bool is_b, const float *src, int64_t rows, int64_t k,
                 int64_t row_stride, int64_t col_stride)
{
    pack_job j = {.prod = z->prod,
                  .dst = is_b ? z->pb : z->pa,
                  .src = src,
                  .rows = rows,
                  .k = k,
                  .row_stride = row_stride,
                  .col_stride = col_stride,
                  .stripe = stripe_of(is_b ? z->prod->nr : z->prod->mr),
                  .is_b = is_b};
    sm_pool_run(z->pool, (rows + j.stripe - 1) / j.stripe, pack_task, &j);
}

typedef struct tile_job {
    const newton *z;
    float *c;
    int64_t m, n, k, step_m, step_n, tiles_n;
    bool accumulate, is_symmetric;
} tile_job;

static void tile_task(void *arg, ptrdiff_t i, int thread)
{
    const tile_job *j = arg;
    const sm_prod *p = j->z->prod;
    int64_t i0 = i / j->tiles_n * j->step_m, j0 = i % j->tiles_n * j->step_n;
    (void)thread;
    if (j->is_symmetric && j0 + j->step_n <= i0) /* all of it below the diagonal */
        return;
    p->gemm(j->c + i0 * j->n + j0, j->n, j->z->pa + p->offset_a(i0, j->k),
            j->z->pb + p->offset_b(j0, j->k), j->m - i0 < j->step_m ? j->m - i0 : j->step_m,
            j->n - j0 < j->step_n ? j->n - j0 : j->step_n, j->k, j->accumulate);
}

static void mirror_task(void *arg, ptrdiff_t i, int thread)
{
    const tile_job *j = arg;
    (void)thread;
    for (int64_t q = 0; q < i; q++)
        j->c[i * j->n + q] = j->c[q * j->n + i];
}

/* c [m, n] (+)= the packed operands. */
static void product(const newton *z, float *c, int64_t m, int64_t n, int64_t k,
                    bool accumulate, bool is_symmetric)
{
    tile_job j = {.z = z,
                  .c = c,
                  .m = m,
                  .n = n,
                  .k = k,
                  .step_m = stripe_of(z->prod->mr),
                  .step_n = stripe_of(z->prod->nr),
                  .accumulate = accumulate,
                  .is_symmetric = is_symmetric};
    j.tiles_n = (n + j.step_n - 1) / j.step_n;
    sm_pool_run(z->pool, (m + j.step_m - 1) / j.step_m * j.tiles_n, tile_task, &j);
    if (is_symmetric)
        sm_pool_run(z->pool, m, mirror_task, &j);
}

/* ------------------------------------------------------------ Newton-Schulz */

static void polynomial_task(void *arg, ptrdiff_t i, int thread)
{
    const newton *z = arg;
    float *a = z->gram + i * z->side;
    (void)thread;
    z->kern->scale(a, a, NS_B, z->side);
    z->kern->axpy(a, NS_C, z->square + i * z->side, z->side);
}

static void grow_task(void *arg, ptrdiff_t i, int thread)
{
    const newton *z = arg;
    (void)thread;
    z->kern->scale(z->x + i * z->cols, z->x + i * z->cols, NS_A, z->cols);
}

static void iterate(newton *z)
{
    bool is_tall = z->rows > z->cols;
    int64_t s = z->side, l = is_tall ? z->rows : z->cols;
    int64_t step = is_tall ? 1 : z->cols, along = is_tall ? z->cols : 1;
    pack(z, false, z->x, s, l, step, along);
    pack(z, true, z->x, s, l, step, along);
    product(z, z->gram, s, s, l, false, true);
    pack(z, false, z->gram, s, s, s, 1);
    pack(z, true, z->gram, s, s, s, 1);
    product(z, z->square, s, s, s, false, true);
    sm_pool_run(z->pool, s, polynomial_task, z);
    pack(z, is_tall, z->gram, s, s, s, 1);
    pack(z, !is_tall, z->x, l, s, along, step);
    sm_pool_run(z->pool, z->rows, grow_task, z);
    product(z, z->x, z->rows, z->cols, s, true, false);
}

static void sumsq_task(void *arg, ptrdiff_t i, int thread)
{
    const newton *z = arg;
    (void)thread;
    z->row[i] = (double)z->kern->sumsq(z->x + i * z->cols, z->cols);
}

typedef struct scale_job {
    const newton *z;
    float factor;
} scale_job;

static void scale_task(void *arg, ptrdiff_t i, int thread)
{
    const scale_job *j = arg;
    float *x = j->z->x + i * j->z->cols;
    (void)thread;
    j->z->kern->scale(x, x, j->factor, j->z->cols);
}

/* x -> near its orthogonal factor; 0 stays 0; a norm that overflows becomes NaN, which
 * the weights' check then names. */
static void orthogonalise(newton *z)
{
    sm_pool_run(z->pool, z->rows, sumsq_task, z);
    double norm = train_sqrt(train_tree_f64(z->row, z->rows));
    scale_job j = {.z = z, .factor = norm > 0 ? (float)(1 / norm) : 1};
    if (norm - norm != 0)
        j.factor = (float)(norm - norm);
    sm_pool_run(z->pool, z->rows, scale_task, &j);
    for (int i = 0; i < N_ITERATION; i++)
        iterate(z);
}

sm_status train_muon_orthogonalise(float *x, int64_t rows, int64_t cols,
                                   const sm_ctx *ctx, const char *profile, sm_err *err)
{
    const sm_prod *prod = sm_kern_prod(ctx->kern, profile);
    newton z = {.kern = ctx->kern, .pool = ctx->pool};
    char *scratch = sm_aligned_alloc(place(NULL, prod, NULL, rows, cols));
    if (!scratch)
        return sm_fail(err, SM_ENOMEM, "muon: out of memory");
    place(&z, prod, scratch, rows, cols);
    size_t bytes = (size_t)(rows * cols) * sizeof *x;
    memcpy(z.x, x, bytes);
    orthogonalise(&z);
    memcpy(x, z.x, bytes);
    sm_aligned_free(scratch);
    return SM_OK;
}

/* --------------------------------------------------------------------- step */

typedef struct muon_job {
    train_muon *u;
    const sm_kern *kern;
    float *weight, *m;
    const float *grad;
    float grad_scale, momentum;
    double lr;
    newton *z;         /* of the matrix at hand */
    const matrix *mat; /* likewise              */
    float keep, rate;
} muon_job;

static void momentum_task(void *arg, ptrdiff_t i, int thread)
{
    const muon_job *j = arg;
    int64_t n = j->mat->cols, at = j->mat->at + i * n;
    float *m = j->m + at, *x = j->z->x + i * n;
    (void)thread;
    j->kern->scale(m, m, j->momentum, n);
    j->kern->axpy(m, j->grad_scale, j->grad + at, n);
    j->kern->scale(x, j->grad + at, j->grad_scale, n);
    j->kern->axpy(x, j->momentum, m, n);
}

static void apply_task(void *arg, ptrdiff_t i, int thread)
{
    const muon_job *j = arg;
    int64_t n = j->mat->cols, at = j->mat->at + i * n;
    (void)thread;
    j->kern->scale(j->weight + at, j->weight + at, j->keep, n);
    j->kern->axpy(j->weight + at, -j->rate, j->z->x + i * n, n);
}

static void update_matrix(const muon_job *job, const matrix *mat, sm_pool *pool,
                          char *scratch)
{
    newton z = {.kern = job->kern, .pool = pool};
    muon_job j = *job;
    const sm_train_config *c = j.u->config;
    const sm_param *p = &j.u->model->param[mat->tensor];
    train_factor f = train_factor_of(c, p);
    int64_t longest = mat->rows > mat->cols ? mat->rows : mat->cols;
    double lr = j.lr * f.lr, decay = p->decay ? c->weight_decay * f.decay : 0;
    j.keep = (float)(1 - lr * decay);
    j.rate = (float)(lr * UPDATE_RMS * train_sqrt((double)longest));
    j.z = &z;
    j.mat = mat;
    place(&z, j.u->prod, scratch, mat->rows, mat->cols);
    sm_pool_run(pool, mat->rows, momentum_task, &j);
    orthogonalise(&z);
    sm_pool_run(pool, mat->rows, apply_task, &j);
}

static void small_task(void *arg, ptrdiff_t i, int thread)
{
    const muon_job *j = arg;
    update_matrix(j, &j->u->matrix[i], NULL, j->u->scratch + (size_t)thread * j->u->stride);
}

void train_muon_step(train_muon *u, const sm_ctx *ctx, float *weight, float *m,
                     const float *grad, float grad_scale, double lr)
{
    muon_job j = {.u = u,
                  .kern = ctx->kern,
                  .weight = weight,
                  .m = m,
                  .grad = grad,
                  .grad_scale = grad_scale,
                  .momentum = (float)u->config->muon_momentum,
                  .lr = lr};
    sm_pool_run(ctx->pool, u->n_small, small_task, &j);
    for (int64_t i = u->n_small; i < u->n_matrix; i++)
        update_matrix(&j, &u->matrix[i], ctx->pool, u->scratch);
}
