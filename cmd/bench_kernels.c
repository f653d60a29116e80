/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a training step at the shapes of a model of 32 million parameters:
 * 2,048 tokens in 4 sequences, width 512, 8 heads of 64 (4 of them keys), FFN 1,408.
 * Products take f32 rows and pack them, as a step does.  FLOPs and bytes are those of the
 * table of operations.
 */
#include "bench_kernels.h"

#include <stdlib.h>
#include <string.h>

#include "smelt/kern.h"
#include "smelt/sys.h"
#include "smelt/tensor.h"

enum {
    TOK = 2048,
    N_SEQ = 4,
    N_CTX = TOK / N_SEQ,
    D = 512,
    FF = 1408,
    HEADS = 8,
    KV_HEADS = 4,
    D_HEAD = 64,
    QKV = (HEADS + 2 * KV_HEADS) * D_HEAD,
    WIDE = 2 * FF,
    VOCAB = 8192,
    LOSS_ROWS = TOK * WIDE / VOCAB,
    CHUNKS = TOK / SM_ROW_BLOCK
};

typedef struct room {
    const sm_ctx *ctx;
    const sm_prod *prod;
    float *x, *y, *z, *w; /* [TOK, WIDE] each */
    float *m, *l;         /* [TOK, HEADS]     */
    int32_t *doc_start;   /* [TOK]            */
    char *packed, *scratch, *grad_a, *grad_b;
    size_t stride; /* scratch of a thread */
} room;

/* ---------------------------------------------------------------- products */

static void linear(room *r, int64_t n, int64_t k)
{
    sm_linear(r->ctx->pool, r->prod, r->y, n, r->x, k, r->packed, TOK, n, k, false,
              r->scratch);
}

static void pack_weight(room *r, int64_t n, int64_t k)
{
    sm_weight_pack(r->ctx->pool, r->prod, r->packed, r->w, n, k, false);
}

static void prepare_qkv(room *r)
{
    pack_weight(r, QKV, D);
}

static void run_qkv(room *r)
{
    linear(r, QKV, D);
}

static void prepare_gate_up(room *r)
{
    pack_weight(r, WIDE, D);
}

static void run_gate_up(room *r)
{
    linear(r, WIDE, D);
}

static void prepare_down(room *r)
{
    pack_weight(r, D, FF);
}

static void run_down(room *r)
{
    linear(r, D, FF);
}

static void chunk_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    sm_chunk c = {(int32_t)(i * SM_ROW_BLOCK), SM_ROW_BLOCK};
    sm_chunk run = sm_grad_run_of((sm_chunk){0, TOK}, c.row0);
    (void)thread;
    sm_grad_pack_a(r->prod, r->grad_a, r->x + c.row0 * D, D, c, run, D);
    sm_grad_pack_b(r->prod, r->grad_b, r->z + c.row0 * FF, FF, c, run, FF);
}

static void run_weight_grad(room *r)
{
    sm_chunk run[CHUNKS];
    int32_t first[] = {0, 0};
    for (int32_t row = 0; row < TOK; row += run[first[1] - 1].n_row)
        run[first[1]++] = sm_grad_run_of((sm_chunk){0, TOK}, row);
    sm_grad_job job = {.prod = r->prod,
                       .dst = r->y,
                       .m = D,
                       .n = FF,
                       .a = r->grad_a,
                       .b = r->grad_b,
                       .run = run,
                       .first = first};
    sm_pool_run(r->ctx->pool, CHUNKS, chunk_task, r);
    sm_grad_run(r->ctx->pool, r->ctx->kern, &job, 1, 1, r->scratch);
}

/* --------------------------------------------------------------- attention */

static sm_attn attention_of(room *r)
{
    return (sm_attn){.kern = r->ctx->kern,
                     .prod = r->prod,
                     .n_seq = N_SEQ,
                     .n_ctx = N_CTX,
                     .n_head = HEADS,
                     .n_kv_head = KV_HEADS,
                     .d_head = D_HEAD,
                     .doc_start = r->doc_start,
                     .qkv = r->x,
                     .o = r->y,
                     .m = r->m,
                     .l = r->l,
                     .d_o = r->z,
                     .dqkv = r->w};
}

static void run_attention(room *r)
{
    sm_attn a = attention_of(r);
    sm_attn_forward(r->ctx->pool, &a, r->scratch, r->stride);
}

static void run_attention_bwd(room *r)
{
    sm_attn a = attention_of(r);
    sm_attn_backward(r->ctx->pool, &a, r->scratch, r->stride);
}

/* -------------------------------------------------------------- rows, step */

static void norm_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    (void)thread;
    for (ptrdiff_t t = i * SM_ROW_BLOCK; t < (i + 1) * SM_ROW_BLOCK; t++)
        r->ctx->kern->rmsnorm(r->y + t * D, r->x + t * D, r->w, 1e-5f, D);
}

static void run_norm(room *r)
{
    sm_pool_run(r->ctx->pool, CHUNKS, norm_task, r);
}

static void norm_bwd_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    float *dw = (float *)(void *)(r->scratch + (size_t)thread * r->stride);
    for (ptrdiff_t t = i * SM_ROW_BLOCK; t < (i + 1) * SM_ROW_BLOCK; t++)
        r->ctx->kern->rmsnorm_bwd(r->y + t * D, dw, r->z + t * D, r->x + t * D, r->w, 1,
                                  D, false);
}

static void run_norm_bwd(room *r)
{
    memset(r->scratch, 0, r->stride);
    sm_pool_run(r->ctx->pool, CHUNKS, norm_bwd_task, r);
}

static void swiglu_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    (void)thread;
    for (ptrdiff_t t = i * SM_ROW_BLOCK; t < (i + 1) * SM_ROW_BLOCK; t++)
        r->ctx->kern->swiglu(r->y + t * FF, r->x + t * WIDE, r->x + t * WIDE + FF, FF);
}

static void run_swiglu(room *r)
{
    sm_pool_run(r->ctx->pool, CHUNKS, swiglu_task, r);
}

static void softmax_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    (void)thread;
    for (ptrdiff_t t = i * SM_ROW_BLOCK; t < (i + 1) * SM_ROW_BLOCK; t++)
        r->ctx->kern->softmax(r->z + t * N_CTX, N_CTX, NULL, NULL);
}

static void run_softmax(room *r)
{
    sm_pool_run(r->ctx->pool, CHUNKS, softmax_task, r);
}

static void loss_task(void *arg, ptrdiff_t i, int thread)
{
    room *r = arg;
    float *x = r->x + i * VOCAB;
    (void)thread;
    r->m[i] = r->ctx->kern->cross_entropy(r->y + i * VOCAB, x, 7, 1, 0, VOCAB, NULL);
}

static void run_loss(room *r)
{
    sm_pool_run(r->ctx->pool, LOSS_ROWS, loss_task, r);
}

static void adamw_task(void *arg, ptrdiff_t i, int thread)
{
    static const sm_adamw h = {.grad_scale = 1,
                               .beta1 = 0.9f,
                               .take1 = 0.1f,
                               .beta2 = 0.95f,
                               .take2 = 0.05f,
                               .root2 = 1,
                               .eps = 1e-8f,
                               .keep = 0.9999999f,
                               .step = 1e-6f};
    room *r = arg;
    ptrdiff_t n = SM_ROW_BLOCK * WIDE;
    (void)thread;
    r->ctx->kern->adamw(r->w + i * n, r->y + i * n, r->z + i * n, r->x + i * n, n, &h);
}

static void prepare_adamw(room *r)
{
    memset(r->z, 0, (size_t)TOK * WIDE * sizeof *r->z); /* second moments: not negative */
}

static void run_adamw(room *r)
{
    sm_pool_run(r->ctx->pool, CHUNKS, adamw_task, r);
}

static void run_pack(room *r)
{
    pack_weight(r, WIDE, D);
}

/* ------------------------------------------------------------------ table */

typedef struct kernel_case {
    const char *name, *shape, *op; /* op: in sm_op_table */
    sm_op_shape s;
    bool backward;
    void (*run)(room *r);
    void (*prepare)(room *r);
} kernel_case;

static const kernel_case cases[] = {
    {"qkv",
     "2048 x 1024 x 512",
     "linear",
     {.n_tok = TOK, .n_out = QKV, .n_in = D},
     false,
     run_qkv,
     prepare_qkv},
    {"gate_up",
     "2048 x 2816 x 512",
     "linear",
     {.n_tok = TOK, .n_out = WIDE, .n_in = D},
     false,
     run_gate_up,
     prepare_gate_up},
    {"down",
     "2048 x 512 x 1408",
     "linear",
     {.n_tok = TOK, .n_out = D, .n_in = FF},
     false,
     run_down,
     prepare_down},
    {"weight gradient",
     "512 x 1408 x 2048",
     "linear",
     {.n_tok = TOK, .n_out = D, .n_in = FF},
     false,
     run_weight_grad,
     NULL},
    {"attention",
     "4 x 512, 8 of 64",
     "attention",
     {.n_tok = TOK,
      .n_ctx = (N_CTX + 1) / 2.0,
      .n_head = HEADS,
      .n_kv_head = KV_HEADS,
      .d_head = D_HEAD},
     false,
     run_attention,
     NULL},
    {"attention backward",
     "4 x 512, 8 of 64",
     "attention",
     {.n_tok = TOK,
      .n_ctx = (N_CTX + 1) / 2.0,
      .n_head = HEADS,
      .n_kv_head = KV_HEADS,
      .d_head = D_HEAD},
     true,
     run_attention_bwd,
     NULL},
    {"norm", "2048 x 512", "rmsnorm", {.n_tok = TOK, .n_out = D}, false, run_norm, NULL},
    {"norm backward",
     "2048 x 512",
     "rmsnorm",
     {.n_tok = TOK, .n_out = D},
     true,
     run_norm_bwd,
     NULL},
    {"swiglu",
     "2048 x 1408",
     "swiglu",
     {.n_tok = TOK, .n_out = FF},
     false,
     run_swiglu,
     NULL},
    {"softmax",
     "2048 x 512",
     "residual",
     {.n_tok = TOK, .n_out = N_CTX},
     false,
     run_softmax,
     NULL},
    {"cross-entropy",
     "704 x 8192",
     "cross_entropy",
     {.n_tok = LOSS_ROWS, .n_vocab = VOCAB},
     false,
     run_loss,
     NULL},
    {"pack a weight",
     "2816 x 512",
     NULL,
     {.n_tok = WIDE, .n_out = D},
     false,
     run_pack,
     NULL},
    {"AdamW",
     "5767168 weights",
     NULL,
     {.n_tok = TOK, .n_out = WIDE},
     false,
     run_adamw,
     prepare_adamw},
};

/* The optimizer and packing are not in the table of operations. */
static kernel_rate cost_of(const kernel_case *c)
{
    kernel_rate r = {.name = c->name, .shape = c->shape};
    const sm_op *op = c->op ? sm_op_find(c->op) : NULL;
    double n = c->s.n_tok * c->s.n_out;
    if (op) {
        r.flops = c->backward ? op->flops_backward(&c->s) : op->flops_forward(&c->s);
        r.bytes = op->bytes_moved(&c->s);
    } else {
        r.flops = c->run == run_adamw ? 16 * n : 0;
        r.bytes = (c->run == run_adamw ? 28 : 6) * n;
    }
    return r;
}

static double best_ms(room *r, const kernel_case *c, double seconds)
{
    int64_t best = INT64_MAX, end = sm_clock_ns() + (int64_t)(seconds * 1e9);
    if (c->prepare)
        c->prepare(r);
    do {
        int64_t start = sm_clock_ns();
        c->run(r);
        int64_t ns = sm_clock_ns() - start;
        best = ns < best ? ns : best;
    } while (sm_clock_ns() < end);
    return (double)best / 1e6;
}

/* ------------------------------------------------------------------- room */

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761u >> 7) % 1000) * 0.001f;
}

static size_t scratch_bytes(const room *r, int n_threads)
{
    size_t linear = sm_linear_scratch_bytes(r->prod, TOK, WIDE);
    size_t grad = sm_grad_scratch_bytes(r->ctx->kern, 1) * (size_t)n_threads;
    size_t attention = r->stride * (size_t)n_threads, most = linear;
    most = grad > most ? grad : most;
    return attention > most ? attention : most;
}

static sm_status room_init(room *r, const sm_ctx *ctx, sm_err *err)
{
    size_t n = (size_t)TOK * WIDE, blocks = TOK / SM_TOKEN_BLOCK;
    *r = (room){.ctx = ctx, .prod = &ctx->kern->bf16};
    r->stride = sm_attn_thread_bytes(r->prod, N_CTX, HEADS / KV_HEADS, D_HEAD, true);
    float **rows[] = {&r->x, &r->y, &r->z, &r->w};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = sm_aligned_alloc(n * sizeof(float));
    r->m = sm_aligned_alloc((size_t)TOK * HEADS * sizeof *r->m);
    r->l = sm_aligned_alloc((size_t)TOK * HEADS * sizeof *r->l);
    r->doc_start = sm_aligned_alloc(TOK * sizeof *r->doc_start);
    r->packed = sm_aligned_alloc(sm_weight_bytes(r->prod, WIDE, D));
    r->grad_a = sm_aligned_alloc(blocks * sm_grad_unit_a(r->prod, D));
    r->grad_b = sm_aligned_alloc(blocks * sm_grad_unit_b(r->prod, FF));
    r->scratch = sm_aligned_alloc(scratch_bytes(r, sm_pool_n_threads(ctx->pool)));
    if (!r->x || !r->y || !r->z || !r->w || !r->m || !r->l || !r->doc_start ||
        !r->packed || !r->grad_a || !r->grad_b || !r->scratch)
        return sm_fail(err, SM_ENOMEM, "bench: out of memory");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fill(*rows[i], n);
    return SM_OK;
}

static void room_fini(room *r)
{
    float *floats[] = {r->x, r->y, r->z, r->w, r->m, r->l};
    char *bytes[] = {r->packed, r->grad_a, r->grad_b, r->scratch};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        sm_aligned_free(floats[i]);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        sm_aligned_free(bytes[i]);
    sm_aligned_free(r->doc_start);
}

sm_status bench_kernels(kernel_rate *rate, size_t *n, const sm_ctx *ctx, double seconds,
                        sm_err *err)
{
    room r;
    sm_status s = room_init(&r, ctx, err);
    *n = s ? 0 : sizeof cases / sizeof *cases;
    unsigned saved = sm_fp_enter();
    for (size_t i = 0; i < *n; i++) {
        rate[i] = cost_of(&cases[i]);
        rate[i].ms = best_ms(&r, &cases[i], seconds);
    }
    sm_fp_leave(saved);
    room_fini(&r);
    return s;
}
