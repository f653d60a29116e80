/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward pass over rows of several sequences.  Row by row the same operations as in
 * training: rmsnorm, q|k|v, rope, attention over key blocks, residual by accumulation,
 * SwiGLU or experts, final norm, head.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "internal.h"

typedef struct step {
    sm_engine *e;
    const step_row *row;
    int32_t n, n_run, n_wanted;
    row_run run[STEP_ROWS];
    int32_t wanted[STEP_ROWS]; /* rows whose logits are wanted */
    int32_t index[STEP_ROWS], first[STEP_ROWS];
    const infer_layer *w;
    int32_t layer;
} step;

/* ------------------------------------------------------------------- memory */

static float *take(char **at, size_t *used, int64_t n)
{
    size_t bytes = ((size_t)n * sizeof(float) + 63) & ~(size_t)63;
    float *p = *at ? (float *)(void *)(*at + *used) : NULL;
    *used += bytes;
    return p;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Scratch of a thread: attention, or the rows of one expert chunk. */
static size_t thread_bytes(const sm_engine *e)
{
    const sm_model_config *c = &e->model->config;
    size_t attn = sm_attn_scratch_bytes(e->prod, c->d_head, c->max_ctx);
    size_t wide = (size_t)(c->d_model > c->d_expert ? c->d_model : c->d_expert);
    size_t rows = (size_t)(SM_EXPERT_ROWS * (c->d_model + c->d_expert)) * sizeof(float);
    size_t expert =
        rows + sm_linear_scratch_bytes(e->prod, SM_EXPERT_ROWS, (int64_t)wide) + 256;
    sm_slices cut = {c->n_slice, 1, {c->d_expert}};
    if (c->n_slice > 1)
        expert += sm_sliced_scratch_bytes(e->prod, SM_EXPERT_ROWS, &cut, 1);
    return (most(attn, expert) + 4095) & ~(size_t)4095;
}

static size_t pack_bytes(const sm_engine *e)
{
    const sm_model_config *c = &e->model->config;
    int64_t wide = c->d_ff > c->d_shared ? c->d_ff : c->d_shared;
    wide = wide > c->d_model ? wide : c->d_model;
    wide = wide > e->width_q ? wide : e->width_q;
    sm_slices cut = {c->n_slice, 1, {wide}};
    return most(sm_sliced_scratch_bytes(e->prod, STEP_ROWS, &cut,
                                        sm_pool_n_threads(e->ctx.pool)),
                most(sm_linear_scratch_bytes(e->prod, STEP_ROWS, wide),
                     sm_linear_scratch_bytes(e->prod_f32, STEP_ROWS, c->d_model)));
}

static void place(sm_engine *e, size_t *used)
{
    const sm_model_config *c = &e->model->config;
    char *at = e->step_memory;
    step_buffers *b = &e->b;
    int64_t R = STEP_ROWS, d = c->d_model, E = c->n_expert, k = c->k_expert;
    int64_t f = c->d_ff > c->d_shared ? c->d_ff : c->d_shared;
    int64_t rows = E ? R * k : 0;
    int64_t chunks = E ? sm_perm_max_chunk(R, c->k_expert, c->n_expert) : 0;
    b->x = take(&at, used, R * d);
    b->n1 = take(&at, used, R * d);
    b->qkv = take(&at, used, R * e->width_qkv);
    b->o = take(&at, used, R * e->width_q);
    b->n2 = take(&at, used, R * d);
    b->gu = take(&at, used, R * 2 * f);
    b->a = take(&at, used, R * f);
    b->logit = take(&at, used, R * E);
    b->weight = take(&at, used, R * k);
    b->expert = (int32_t *)(void *)take(&at, used, R * k);
    b->egu = take(&at, used, rows * 2 * c->d_expert);
    b->ey = take(&at, used, rows * d);
    b->perm.row_slot = (int32_t *)(void *)take(&at, used, rows);
    b->perm.slot_row = (int32_t *)(void *)take(&at, used, R * k);
    b->perm.chunk = (sm_chunk *)(void *)take(&at, used, 2 * chunks);
    b->perm.chunk_expert = (int32_t *)(void *)take(&at, used, chunks);
    b->perm.row0 = (int32_t *)(void *)take(&at, used, E + 1);
    b->perm.packed0 = (int32_t *)(void *)take(&at, used, E);
    b->logits = take(&at, used, R * (int64_t)c->n_vocab);
    b->loss = take(&at, used, R);
    b->pack = take(&at, used, (int64_t)(pack_bytes(e) / sizeof(float)) + 16);
    b->scratch_stride = thread_bytes(e);
    b->scratch = (char *)take(&at, used, (int64_t)(b->scratch_stride / sizeof(float)) *
                                             sm_pool_n_threads(e->ctx.pool));
}

sm_status step_create(sm_engine *e, sm_err *err)
{
    size_t used = 0;
    place(e, &used);
    e->step_memory = sm_aligned_alloc(used);
    if (!e->step_memory)
        return sm_fail(err, SM_ENOMEM, "engine: no memory for %zu bytes of buffers", used);
    used = 0;
    place(e, &used);
    return SM_OK;
}

/* ---------------------------------------------------------------- attention */

static void norm_rope_task(void *arg, ptrdiff_t i, int thread)
{
    const step *st = arg;
    const sm_engine *e = st->e;
    const sm_model_config *c = &e->model->config;
    bool rope = st->w->view.has_rope;
    (void)thread;
    sm_rotary ro = {.cos = rope ? e->rope_cos : NULL, .sin = rope ? e->rope_sin : NULL,
                    .temp = !rope && c->attn_temp_scale > 0 ? e->temp : NULL,
                    .is_interleaved = c->rope_interleaved,
                    .has_qk_norm = c->qk_norm && rope, .norm_eps = c->norm_eps,
                    .n_head = c->n_head, .n_kv_head = c->n_kv_head, .d_head = c->d_head};
    float r[512];
    sm_rotary_row(e->ctx.kern, &ro, e->b.qkv + i * e->width_qkv, r, st->index[i]);
}

static void append_task(void *arg, ptrdiff_t i, int thread)
{
    const step *st = arg;
    row_run r = st->run[i];
    (void)thread;
    kv_append(st->e, st->row[r.row0].kv, st->layer, st->index[r.row0],
              st->e->b.qkv + r.row0 * st->e->width_qkv, r.n);
}

/* One head of one run. */
static void attention_task(void *arg, ptrdiff_t i, int thread)
{
    step *st = arg;
    sm_engine *e = st->e;
    const sm_model_config *c = &e->model->config;
    int64_t h = i % c->n_head, d = c->d_head;
    row_run run = st->run[i / c->n_head];
    int64_t n_key = st->index[run.row0] + run.n;
    for (int32_t r0 = 0; r0 < run.n; r0 += SM_KEY_BLOCK) {
        int32_t at = run.row0 + r0, n = run.n - r0;
        sm_attn_rows rows = {
            .kern = e->ctx.kern, .prod = e->prod, .d_head = d,
            .scale = 1.0f / sqrtf((float)d),
            .o = e->b.o + at * e->width_q + h * d, .ldo = e->width_q,
            .q = e->b.qkv + at * e->width_qkv + h * d, .ldq = e->width_qkv,
            .n_q = n < SM_KEY_BLOCK ? n : SM_KEY_BLOCK, .index = st->index + at,
            .first = st->first + at,
            .kv = kv_view(e, st->row[at].kv, st->layer,
                          (int32_t)(h / (c->n_head / c->n_kv_head)), n_key)};
        sm_attn_forward_rows(&rows, e->b.scratch + (size_t)thread * e->b.scratch_stride);
    }
}

/* x += in W^T, in the slices of W's contraction */
static void add_to_residual(const step *st, const float *in, const void *w,
                            const sm_slices *cut)
{
    const sm_engine *e = st->e;
    int64_t d = e->model->config.d_model;
    sm_product p = {.kern = e->ctx.kern, .prod = e->prod, .cut = cut, .y = e->b.x, .ldy = d,
                    .x = in, .ldx = cut->run[0], .pb = w, .m = st->n, .n = d,
                    .accumulate = true};
    sm_sliced_linear(e->ctx.pool, &p, e->b.pack);
}

static void attention(step *st)
{
    sm_engine *e = st->e;
    const sm_model_config *c = &e->model->config;
    int32_t chunk = st->w->view.has_rope ? c->attn_chunk : 0;
    for (int32_t i = 0; i < st->n; i++)
        st->first[i] = sm_attn_first(st->index[i], 0, chunk);
    sm_linear(e->ctx.pool, e->prod, e->b.qkv, e->width_qkv, e->b.n1, c->d_model, st->w->qkv,
              st->n, e->width_qkv, c->d_model, false, e->b.pack);
    sm_pool_run(e->ctx.pool, st->n, norm_rope_task, st);
    sm_pool_run(e->ctx.pool, st->n_run, append_task, st);
    sm_pool_run(e->ctx.pool, (ptrdiff_t)st->n_run * c->n_head, attention_task, st);
    add_to_residual(st, e->b.o, st->w->out, &st->w->cut_out);
}

/* ------------------------------------------------------------- feed forward */

typedef struct swiglu_rows {
    const sm_kern *kern;
    float *a;
    const float *gu;
    int64_t f;
} swiglu_rows;

static void swiglu_task(void *arg, ptrdiff_t i, int thread)
{
    const swiglu_rows *s = arg;
    (void)thread;
    s->kern->swiglu(s->a + i * s->f, s->gu + i * 2 * s->f, s->gu + i * 2 * s->f + s->f, s->f);
}

static void dense_ffn(step *st)
{
    sm_engine *e = st->e;
    int64_t d = e->model->config.d_model, f = st->w->view.d_ff;
    if (f == 0)
        return;
    sm_linear(e->ctx.pool, e->prod, e->b.gu, 2 * f, e->b.n2, d, st->w->gate_up, st->n,
              2 * f, d, false, e->b.pack);
    swiglu_rows s = {e->ctx.kern, e->b.a, e->b.gu, f};
    sm_pool_run(e->ctx.pool, st->n, swiglu_task, &s);
    add_to_residual(st, e->b.a, st->w->down, &st->w->cut_down);
}

static bool is_sigmoid(const sm_engine *e)
{
    return e->model->config.router == SM_ROUTER_SIGMOID_TOP1;
}

static void expert_task(void *arg, ptrdiff_t i, int thread)
{
    const step *st = arg;
    const sm_engine *e = st->e;
    const sm_model_config *c = &e->model->config;
    sm_chunk ck = e->b.perm.chunk[i];
    size_t x = (size_t)e->b.perm.chunk_expert[i];
    int64_t d = c->d_model, f = c->d_expert, k = c->k_expert;
    float *in = (float *)(void *)(e->b.scratch + (size_t)thread * e->b.scratch_stride);
    float *a = in + SM_EXPERT_ROWS * d, *gu = e->b.egu + ck.row0 * 2 * f;
    void *pack = (void *)(((uintptr_t)(a + SM_EXPERT_ROWS * f) + 63) & ~(uintptr_t)63);
    for (int32_t t = 0; t < ck.n_row; t++) {
        int32_t slot = e->b.perm.row_slot[ck.row0 + t];
        const float *n2 = e->b.n2 + slot / k * d;
        if (is_sigmoid(e))
            e->ctx.kern->scale(in + t * d, n2, e->b.weight[slot], d);
        else
            memcpy(in + t * d, n2, (size_t)d * sizeof *in);
    }
    sm_linear_rows(e->prod, gu, 2 * f, in, d, st->w->expert_gate_up +
                   x * st->w->stride_gate_up, ck.n_row, 2 * f, d, false, pack);
    for (int32_t t = 0; t < ck.n_row; t++)
        e->ctx.kern->swiglu(a + t * f, gu + t * 2 * f, gu + t * 2 * f + f, f);
    sm_product down = {.kern = e->ctx.kern, .prod = e->prod, .cut = &st->w->cut_expert,
                       .y = e->b.ey + ck.row0 * d, .ldy = d, .x = a, .ldx = f,
                       .pb = st->w->expert_down + x * st->w->stride_down, .m = ck.n_row,
                       .n = d};
    sm_sliced_rows(&down, pack);
}

static void combine_task(void *arg, ptrdiff_t i, int thread)
{
    const step *st = arg;
    const sm_engine *e = st->e;
    int64_t d = e->model->config.d_model, k = e->model->config.k_expert;
    (void)thread;
    for (int64_t slot = i * k; slot < (i + 1) * k; slot++) {
        const float *ey = e->b.ey + e->b.perm.slot_row[slot] * d;
        if (is_sigmoid(e))
            e->ctx.kern->add(e->b.x + i * d, ey, d);
        else
            e->ctx.kern->axpy(e->b.x + i * d, e->b.weight[slot], ey, d);
    }
}

static void experts(step *st)
{
    sm_engine *e = st->e;
    const sm_model *m = e->model;
    const sm_model_config *c = &m->config;
    sm_linear(e->ctx.pool, e->prod_f32, e->b.logit, c->n_expert, e->b.n2, c->d_model,
              st->w->router, st->n, c->n_expert, c->d_model, false, e->b.pack);
    unsigned fp = sm_fp_enter();
    sm_route_rows(e->ctx.kern, e->b.expert, e->b.weight, e->b.logit,
                  m->router_bias ? m->router_bias + (int64_t)st->layer * c->n_expert : NULL,
                  st->n, c->n_expert, c->k_expert, is_sigmoid(e));
    sm_fp_leave(fp);
    dense_ffn(st); /* the shared expert, where there is one */
    sm_perm_build(&e->b.perm, e->b.expert, st->n, c->k_expert, c->n_expert, 1);
    sm_pool_run(e->ctx.pool, e->b.perm.n_chunk, expert_task, st);
    sm_pool_run(e->ctx.pool, st->n, combine_task, st);
}

/* --------------------------------------------------------------------- rows */

typedef struct norm_rows {
    const sm_engine *e;
    float *y;
    const float *x, *w;
    const int32_t *pick; /* rows of x; NULL: all in order */
} norm_rows;

static void norm_task(void *arg, ptrdiff_t i, int thread)
{
    const norm_rows *n = arg;
    int64_t d = n->e->model->config.d_model, from = n->pick ? n->pick[i] : i;
    (void)thread;
    n->e->ctx.kern->rmsnorm(n->y + i * d, n->x + from * d, n->w,
                            n->e->model->config.norm_eps, d);
}

static void norm(const step *st, float *y, const float *w, const int32_t *pick, int32_t n)
{
    norm_rows rows = {st->e, y, st->e->b.x, w, pick};
    sm_pool_run(st->e->ctx.pool, n, norm_task, &rows);
}

static void loss_task(void *arg, ptrdiff_t i, int thread)
{
    step *st = arg;
    sm_engine *e = st->e;
    int32_t row = st->wanted[i], target = st->row[row].target;
    (void)thread;
    int64_t n = e->model->config.n_vocab;
    sm_slices cut = {e->model->config.n_slice, 1, {n}};
    if (target >= 0)
        e->b.loss[row] = sm_sliced_cross_entropy(e->ctx.kern, NULL, e->b.logits + i * n,
                                                 target, 0, &cut);
}

static sm_status head(step *st, sm_err *err)
{
    sm_engine *e = st->e;
    const sm_model_config *c = &e->model->config;
    if (st->n_wanted == 0)
        return SM_OK;
    norm(st, e->b.n1, e->model->weight + sm_model_ends(e->model).norm, st->wanted,
         st->n_wanted);
    sm_linear(e->ctx.pool, e->prod, e->b.logits, c->n_vocab, e->b.n1, c->d_model, e->head,
              st->n_wanted, c->n_vocab, c->d_model, false, e->b.pack);
    sm_pool_run(e->ctx.pool, st->n_wanted, loss_task, st);
    for (int32_t i = 0; i < st->n_wanted; i++) {
        float x = e->b.logits[(int64_t)i * c->n_vocab];
        if (!(fabsf(x) <= FLT_MAX))
            return sm_fail(err, SM_ENUMERIC, "logits of position %d: got %g, want finite "
                           "numbers", st->index[st->wanted[i]], (double)x);
    }
    return SM_OK;
}

static void find_runs(step *st)
{
    for (int32_t i = 0; i < st->n; i++) {
        st->index[i] = st->row[i].index;
        if (i == 0 || st->row[i].kv != st->row[i - 1].kv)
            st->run[st->n_run++] = (row_run){i, 0};
        st->run[st->n_run - 1].n++;
        if (st->row[i].want_logits || st->row[i].target >= 0)
            st->wanted[st->n_wanted++] = i;
    }
}

sm_status step_run(sm_engine *e, const step_row *row, int32_t n, sm_err *err)
{
    const sm_model_config *c = &e->model->config;
    step st = {.e = e, .row = row, .n = n};
    find_runs(&st);
    const float *embed = e->model->weight + sm_model_ends(e->model).embed;
    for (int32_t i = 0; i < n; i++)
        memcpy(e->b.x + (int64_t)i * c->d_model, embed + (int64_t)row[i].token * c->d_model,
               (size_t)c->d_model * sizeof(float));
    for (st.layer = 0; st.layer < c->n_layer; st.layer++) {
        st.w = &e->layer[st.layer];
        norm(&st, e->b.n1, st.w->attn_norm, NULL, n);
        attention(&st);
        norm(&st, e->b.n2, st.w->ffn_norm, NULL, n);
        if (st.w->view.is_moe)
            experts(&st);
        else
            dense_ffn(&st);
    }
    for (int32_t r = 0; r < st.n_run; r++)
        row[st.run[r].row0].kv->n_tok = st.index[st.run[r].row0] + st.run[r].n;
    return head(&st, err);
}
