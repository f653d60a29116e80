/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer and the head split over ranks, forward and backward: every rank holds its heads,
 * hidden units and part of the vocabulary, and partial sums meet only through sm_comm,
 * along the tree over slices.  Losses and gradients have the bits of the undivided pass,
 * for 1, 2 and 4 ranks.
 */
#include <math.h>

#include "fixture.h"
#include "smelt/tensor.h"
#include "unit/ranks.h"

enum { CTX = 64, SEQ = 2, T = CTX * SEQ, N_SLICE = 4, MAX_OWNED = 128 };

static const sm_model_config config = {
    .n_vocab = 118, .n_layer = 1, .d_model = 40, .n_head = 8, .n_kv_head = 4,
    .d_head = 32, .d_ff = 256, .rope_theta = 100, .norm_eps = 1e-5f, .max_ctx = CTX,
    .moe_every = 1, .n_slice = N_SLICE};
static const float Z = 0.01f; /* z-loss of the head */

typedef struct world_job {
    const sm_model *m;
    const char *profile;
    int32_t token[T], target[T], doc[T];
    float loss[T], *grad; /* what the ranks make */
} world_job;

/* One rank: its share of every width, and its buffers (released together). */
typedef struct rank_state {
    world_job *job;
    sm_comm *comm;
    const sm_kern *kern;
    const sm_prod *prod;
    int64_t d, q, kv, f, v, v0; /* widths of this rank; its first vocabulary row */
    int32_t n_slice;            /* of this rank */
    void *owned[MAX_OWNED];
    int n_owned;
} rank_state;

static void *own(rank_state *r, size_t bytes)
{
    void *p = sm_aligned_alloc(bytes + 64);
    assert_non_null(p);
    memset(p, 0, bytes);
    assert_true(r->n_owned < MAX_OWNED);
    return r->owned[r->n_owned++] = p;
}

static float *floats(rank_state *r, int64_t n)
{
    return own(r, (size_t)n * sizeof(float));
}

/* ---------------------------------------------------------- weights of a rank */

/* The rank's share of rows (is_rows) or columns of the matrix at `at`, [n_out, n_in], whose
 * shared dimension consists of runs; `into` true: put it back instead. */
typedef struct matrix {
    int64_t at, n_out, n_in;
    int n_run;
    int64_t run[3];
    bool is_rows;
} matrix;

static void move(const rank_state *r, const matrix *x, float *part, float *whole, bool back)
{
    int64_t start = 0, share = 0, ranks = r->comm->n_ranks;
    int64_t width = 0;
    for (int i = 0; i < x->n_run; i++)
        width += x->run[i] / ranks;
    for (int i = 0; i < x->n_run; i++) {
        int64_t n = x->run[i] / ranks, from = start + r->comm->rank * n;
        for (int64_t j = 0; j < n; j++)
            for (int64_t o = 0; o < (x->is_rows ? x->n_in : x->n_out); o++) {
                float *w = whole + x->at +
                           (x->is_rows ? (from + j) * x->n_in + o
                                       : o * x->n_in + from + j);
                float *p =
                    part + (x->is_rows ? (share + j) * x->n_in + o : o * width + share + j);
                *(back ? w : p) = *(back ? p : w);
            }
        start += x->run[i];
        share += n;
    }
}

typedef struct weights {
    matrix qkv, out, gate_up, down;
} weights;

static weights weights_of(const sm_model *m)
{
    const sm_model_config *c = &m->config;
    sm_layer_view v = sm_model_layer(m, 0);
    int64_t d = c->d_model, q = c->n_head * c->d_head, kv = c->n_kv_head * c->d_head;
    return (weights){{v.qkv, q + 2 * kv, d, 3, {q, kv, kv}, true},
                     {v.out, d, q, 1, {q}, false},
                     {v.gate_up, 2 * c->d_ff, d, 2, {c->d_ff, c->d_ff}, true},
                     {v.down, d, c->d_ff, 1, {c->d_ff}, false}};
}

/* ------------------------------------------------------------------- products */

/* y [T, n] = x [T, k] W^T (W [n, k]), or x [T, k] W (W [k, n]) when transposed. */
static float *times(rank_state *r, const float *x, const float *w, int64_t n, int64_t k,
                    bool is_t)
{
    float *y = floats(r, T * n);
    void *pb = own(r, sm_weight_bytes(r->prod, n, k));
    void *pa = own(r, sm_linear_scratch_bytes(r->prod, T, k));
    sm_weight_pack(NULL, r->prod, pb, w, is_t ? k : n, is_t ? n : k, is_t);
    sm_linear_rows(r->prod, y, n, x, k, pb, T, n, k, false, pa);
    return y;
}

/* Continue the tree over ranks and give everyone the root. */
static void tree_over_ranks(const rank_state *r, float *x, int64_t n)
{
    sm_comm *c = r->comm;
    size_t bytes = (size_t)n * sizeof(float);
    float *other = sm_aligned_alloc(bytes);
    for (int stride = 1; stride < c->n_ranks; stride *= 2) {
        if (c->rank & stride) {
            assert_int_equal(c->send(c->self, x, bytes, c->rank - stride, NULL), SM_OK);
            break;
        }
        assert_int_equal(c->recv(c->self, other, bytes, c->rank + stride, NULL), SM_OK);
        r->kern->add(x, other, n);
    }
    assert_int_equal(c->broadcast(c->self, x, bytes, 0, NULL), SM_OK);
    sm_aligned_free(other);
}

/* The same contraction, cut: this rank's slices, then the other ranks'. */
static float *times_shared(rank_state *r, const float *x, const float *w, sm_slices cut,
                           bool is_t)
{
    int64_t k = cut.run[0] + cut.run[1] + cut.run[2];
    float *y = floats(r, T * r->d);
    char *pb = own(r, sm_sliced_weight_bytes(r->prod, r->d, &cut));
    void *scratch = own(r, sm_sliced_scratch_bytes(r->prod, T, &cut, 1));
    sm_pack_job job[3 * N_SLICE], whole = {.prod = r->prod,
                                           .dst = pb,
                                           .w = w,
                                           .n_out = is_t ? k : r->d,
                                           .n_in = is_t ? r->d : k,
                                           .is_transposed = is_t};
    sm_weight_pack_many(NULL, job, sm_sliced_pack_jobs(job, &whole, &cut));
    sm_product p = {.kern = r->kern, .prod = r->prod, .cut = &cut, .y = y, .ldy = r->d,
                    .x = x, .ldx = k, .pb = pb, .m = T, .n = r->d};
    sm_sliced_rows(&p, scratch);
    tree_over_ranks(r, y, T * r->d);
    return y;
}

/* dW [m, n] = dy^T x */
static float *weight_grad(rank_state *r, const float *dy, int64_t m, const float *x,
                          int64_t n)
{
    sm_chunk rows = {0, T};
    int32_t first[2] = {0, 1};
    float *dst = floats(r, m * n);
    void *a = own(r, sm_grad_unit_a(r->prod, m) * (T / SM_TOKEN_BLOCK));
    void *b = own(r, sm_grad_unit_b(r->prod, n) * (T / SM_TOKEN_BLOCK));
    void *scratch = own(r, sm_grad_scratch_bytes(r->kern, 1));
    sm_grad_pack_a(r->prod, a, dy, m, rows, rows, m);
    sm_grad_pack_b(r->prod, b, x, n, rows, rows, n);
    sm_grad_job job = {.prod = r->prod, .dst = dst, .m = m, .n = n, .a = a, .b = b,
                       .run = &rows, .first = first};
    assert_int_equal(sm_grad_run(NULL, r->kern, &job, 1, 1, scratch), -1);
    return dst;
}

/* ---------------------------------------------------------------------- rows */

static float *norm(rank_state *r, const float *x, const float *w)
{
    float *y = floats(r, T * r->d);
    for (int64_t t = 0; t < T; t++)
        r->kern->rmsnorm(y + t * r->d, x + t * r->d, w, config.norm_eps, r->d);
    return y;
}

/* dx += norm's backward; the weight's gradient to dw, in sums of 32 rows. */
static void norm_bwd(rank_state *r, float *dx, float *dw, const float *dn, const float *x,
                     const float *w)
{
    float *part = floats(r, T / SM_TOKEN_BLOCK * r->d), *tmp = floats(r, r->d);
    for (int64_t t = 0; t < T; t++) {
        float s = r->kern->rmsnorm(tmp, x + t * r->d, NULL, config.norm_eps, r->d);
        r->kern->rmsnorm_bwd(dx + t * r->d, part + t / SM_TOKEN_BLOCK * r->d,
                             dn + t * r->d, x + t * r->d, w, s, r->d, true);
    }
    for (int64_t b = 1; b < T / SM_TOKEN_BLOCK; b++)
        r->kern->add(part, part + b * r->d, r->d);
    if (r->comm->rank == 0)
        memcpy(dw, part, (size_t)r->d * sizeof *dw);
}

static float *sum_of(rank_state *r, const float *a, const float *b)
{
    float *y = floats(r, T * r->d);
    memcpy(y, a, (size_t)(T * r->d) * sizeof *y);
    r->kern->add(y, b, T * r->d);
    return y;
}

/* Loss of every token, and the gradient of this rank's logits, in place. */
static void losses(rank_state *r, float *logit)
{
    const sm_slices cut = {r->n_slice, 1, {r->v}};
    float *row = floats(r, 3 * T), *m = row, *s = row + T, *hit = row + 2 * T;
    for (int64_t t = 0; t < T; t++)
        m[t] = r->kern->max(logit + t * r->v, r->v);
    for (int from = 0; from < r->comm->n_ranks; from++) { /* a maximum has no order */
        float other[T];
        memcpy(other, m, sizeof other);
        assert_int_equal(
            r->comm->broadcast(r->comm->self, other, sizeof other, from, NULL), SM_OK);
        for (int64_t t = 0; t < T; t++)
            s[t] = from == 0 || other[t] > s[t] ? other[t] : s[t];
    }
    memcpy(m, s, T * sizeof *m);
    for (int64_t t = 0; t < T; t++) {
        float part[N_SLICE] = {0};
        int64_t at = r->job->target[t] - r->v0;
        for (int32_t i = 0; i < r->n_slice; i++) {
            sm_span span = sm_slice_span(&cut, i, 0);
            part[i] = r->kern->exp_sum(logit + t * r->v + span.at, m[t], span.n);
        }
        for (int32_t n = r->n_slice; n > 1; n /= 2)
            for (int32_t i = 0; i < n / 2; i++)
                part[i] = part[2 * i] + part[2 * i + 1];
        s[t] = part[0];
        hit[t] = at >= 0 && at < r->v ? logit[t * r->v + at] : 0;
    }
    tree_over_ranks(r, s, T);
    tree_over_ranks(r, hit, T);
    for (int64_t t = 0; t < T; t++) {
        float log_s, *x = logit + t * r->v;
        r->kern->log(&log_s, &s[t], 1);
        if (r->comm->rank == 0)
            r->job->loss[t] = r->job->target[t] < 0 ? 0 : (m[t] - hit[t]) + log_s;
        if (r->job->target[t] < 0)
            memset(x, 0, (size_t)r->v * sizeof *x);
        else
            r->kern->cross_entropy_bwd(x, x, r->job->target[t] - r->v0, m[t], s[t], 1, Z,
                                       r->v);
    }
}

/* ------------------------------------------------------------------ the layer */

typedef struct attention {
    sm_attn a;
    sm_rotary ro;
    void *scratch;
    size_t bytes;
} attention;

static attention attention_of(rank_state *r, float *qkv)
{
    int32_t ranks = r->comm->n_ranks, nh = config.n_head / ranks,
            nkv = config.n_kv_head / ranks;
    float *cosine = floats(r, CTX * config.d_head), *sine = cosine + CTX * config.d_head / 2;
    attention x = {.bytes = sm_attn_thread_bytes(r->prod, CTX, nh / nkv, config.d_head,
                                                 true)};
    sm_rope_table(cosine, sine, CTX, config.d_head, (double)config.rope_theta);
    x.ro = (sm_rotary){.cos = cosine, .sin = sine, .n_head = nh, .n_kv_head = nkv,
                       .d_head = config.d_head};
    x.a = (sm_attn){.kern = r->kern, .prod = r->prod, .n_seq = SEQ, .n_ctx = CTX,
                    .n_head = nh, .n_kv_head = nkv, .d_head = config.d_head,
                    .doc_start = r->job->doc, .qkv = qkv, .o = floats(r, T * r->q),
                    .m = floats(r, T * nh), .l = floats(r, T * nh),
                    .dqkv = floats(r, T * (r->q + 2 * r->kv))};
    x.scratch = own(r, x.bytes);
    return x;
}

static int64_t position(const rank_state *r, int64_t t)
{
    return t % CTX - r->job->doc[t];
}

static void run_layer(rank_state *r)
{
    const sm_model *m = r->job->m;
    sm_layer_view v = sm_model_layer(m, 0);
    sm_model_view ends = sm_model_ends(m);
    weights w = weights_of(m);
    float *weight = m->weight, *grad = r->job->grad;
    int64_t d = r->d, wide = r->q + 2 * r->kv, f = r->f, n_target = 0;
    float *wqkv = floats(r, wide * d), *wo = floats(r, d * r->q);
    float *wgu = floats(r, 2 * f * d), *wd = floats(r, d * f);
    move(r, &w.qkv, wqkv, weight, false);
    move(r, &w.out, wo, weight, false);
    move(r, &w.gate_up, wgu, weight, false);
    move(r, &w.down, wd, weight, false);

    float *x = floats(r, T * d);
    sm_embed_rows(x, weight + ends.embed, r->job->token, T, d);
    float *n1 = norm(r, x, weight + v.attn_norm);
    float *qkv = times(r, n1, wqkv, wide, d, false);
    attention at = attention_of(r, qkv);
    for (int64_t t = 0; t < T; t++)
        sm_rotary_row(r->kern, &at.ro, qkv + t * wide, NULL, position(r, t));
    sm_attn_forward(NULL, &at.a, at.scratch, at.bytes);
    sm_slices heads = {r->n_slice, 1, {r->q}}, hidden = {r->n_slice, 1, {f}};
    float *h = sum_of(r, x, times_shared(r, at.a.o, wo, heads, false));
    float *n2 = norm(r, h, weight + v.ffn_norm);
    float *gu = times(r, n2, wgu, 2 * f, d, false), *a = floats(r, T * f);
    for (int64_t t = 0; t < T; t++)
        r->kern->swiglu(a + t * f, gu + t * 2 * f, gu + t * 2 * f + f, f);
    float *y = sum_of(r, h, times_shared(r, a, wd, hidden, false));

    float *nf = norm(r, y, weight + ends.norm), *head = weight + ends.head + r->v0 * d;
    float *dlogit = times(r, nf, head, r->v, d, false);
    losses(r, dlogit);
    sm_slices vocab = {r->n_slice, 1, {r->v}};
    float *dnf = times_shared(r, dlogit, head, vocab, true);
    for (int t = 0; t < T; t++)
        n_target += r->job->target[t] >= 0;
    float scale = (float)(1.0 / (double)n_target);
    float *dhead = weight_grad(r, dlogit, r->v, nf, d);
    r->kern->scale(grad + ends.head + r->v0 * d, dhead, scale, r->v * d);

    float *dx = floats(r, T * d);
    r->kern->scale(dnf, dnf, scale, T * d);
    norm_bwd(r, dx, grad + ends.norm, dnf, y, weight + ends.norm);
    float *da = times(r, dx, wd, f, d, true), *dgu = floats(r, T * 2 * f);
    for (int64_t t = 0; t < T; t++)
        r->kern->swiglu_bwd(dgu + t * 2 * f, dgu + t * 2 * f + f, NULL, da + t * f,
                            gu + t * 2 * f, gu + t * 2 * f + f, f);
    move(r, &w.down, weight_grad(r, dx, d, a, f), grad, true);
    move(r, &w.gate_up, weight_grad(r, dgu, 2 * f, n2, d), grad, true);
    sm_slices gate_up = {r->n_slice, 2, {f, f}};
    float *dn2 = times_shared(r, dgu, wgu, gate_up, true);
    norm_bwd(r, dx, grad + v.ffn_norm, dn2, h, weight + v.ffn_norm);

    at.a.d_o = times(r, dx, wo, r->q, d, true);
    move(r, &w.out, weight_grad(r, dx, d, at.a.o, r->q), grad, true);
    sm_attn_backward(NULL, &at.a, at.scratch, at.bytes);
    float *tmp = floats(r, config.d_head);
    for (int64_t t = 0; t < T; t++)
        sm_rotary_row_bwd(r->kern, &at.ro, at.a.dqkv + t * wide, qkv + t * wide, NULL,
                          position(r, t), tmp);
    move(r, &w.qkv, weight_grad(r, at.a.dqkv, wide, n1, d), grad, true);
    sm_slices triple = {r->n_slice, 3, {r->q, r->kv, r->kv}};
    float *dn1 = times_shared(r, at.a.dqkv, wqkv, triple, true);
    norm_bwd(r, dx, grad + v.attn_norm, dn1, x, weight + v.attn_norm);
}

static void on_rank(sm_comm *comm, void *arg)
{
    world_job *job = arg;
    int64_t n = comm->n_ranks, heads = (int64_t)config.n_head * config.d_head;
    sm_slices vocab = {N_SLICE, 1, {config.n_vocab}};
    rank_state r = {.job = job, .comm = comm, .d = config.d_model, .q = heads / n,
                    .kv = (int64_t)config.n_kv_head * config.d_head / n,
                    .f = config.d_ff / n, .n_slice = (int32_t)(N_SLICE / n)};
    sm_span begin = sm_slice_span(&vocab, comm->rank * r.n_slice, 0);
    sm_span end = sm_slice_span(&vocab, (comm->rank + 1) * r.n_slice - 1, 0);
    r.v0 = begin.at;
    r.v = end.at + end.n - begin.at;
    assert_int_equal(sm_kern_get(&r.kern, NULL, NULL), SM_OK);
    r.prod = sm_kern_prod(r.kern, job->profile);
    unsigned fp = sm_fp_enter();
    run_layer(&r);
    sm_fp_leave(fp);
    for (int i = 0; i < r.n_owned; i++)
        sm_aligned_free(r.owned[i]);
}

/* ------------------------------------------------------------------- the test */

static void undivided(const world_job *j, float loss[T], float *grad)
{
    sm_ctx ctx = {0};
    sm_pass *p = NULL;
    sm_shard_stats stats;
    int64_t n_target = 0;
    sm_pass_config pc = {.model = j->m, .profile = j->profile, .n_seq = SEQ, .n_ctx = CTX,
                         .seq_per_shard = SEQ, .n_micro = 1, .backward = true,
                         .loss = {.head_z_coef = Z}};
    sm_batch b = {SEQ, CTX, SEQ, j->token, j->target, j->doc};
    for (int t = 0; t < T; t++)
        n_target += j->target[t] >= 0;
    assert_int_equal(sm_kern_get(&ctx.kern, NULL, NULL), SM_OK);
    assert_int_equal(sm_pass_create(&p, &ctx, &pc, NULL), SM_OK);
    assert_int_equal(sm_pass_forward(p, &b, 0, &stats, NULL, loss, NULL), SM_OK);
    assert_int_equal(sm_pass_backward(p, &b, 0, grad, NULL, n_target, T, NULL), SM_OK);
    sm_pass_free(p);
}

static void compare(const world_job *j, const float *loss, const float *grad, int n)
{
    for (int t = 0; t < T; t++)
        if (memcmp(&loss[t], &j->loss[t], sizeof(float)))
            fail_msg("%s, %d ranks: loss of token %d: %a, want %a", j->profile, n, t,
                     (double)j->loss[t], (double)loss[t]);
    for (int32_t i = 0; i < j->m->n_param_tensors; i++) {
        const sm_param *p = &j->m->param[i];
        if (p->offset == sm_model_ends(j->m).embed)
            continue; /* a lookup: no contraction to share */
        for (int64_t e = p->offset; e < p->offset + p->n; e++)
            if (memcmp(&grad[e], &j->grad[e], sizeof(float)))
                fail_msg("%s, %d ranks: gradient of %s[%lld]: %a, want %a", j->profile, n,
                         p->name, (long long)(e - p->offset), (double)j->grad[e],
                         (double)grad[e]);
    }
}

static void test_profile(const char *profile)
{
    sm_model *m = make_model(&config);
    world_job *j = calloc(1, sizeof *j);
    float loss[T], *grad = calloc((size_t)m->n_weight, sizeof *grad);
    *j = (world_job){.m = m, .profile = profile};
    for (int t = 0; t < T; t++) {
        uint64_t i = (uint64_t)t;
        j->token[t] = (int32_t)sm_rng_below(118, 5, SM_STREAM_TEST, 1, i);
        j->target[t] =
            t % 9 == 8 ? -1 : (int32_t)sm_rng_below(118, 5, SM_STREAM_TEST, 2, i);
        j->doc[t] = t % CTX < 20 ? 0 : 20;
    }
    undivided(j, loss, grad);
    for (int n = 1; n <= 4; n *= 2) {
        j->grad = calloc((size_t)m->n_weight, sizeof *j->grad);
        run_ranks(n, on_rank, j);
        compare(j, loss, grad, n);
        free(j->grad);
    }
    free(grad);
    free(j);
    sm_model_free(m);
}

static void test_bf16(void **state)
{
    (void)state;
    test_profile("bf16/1");
}

static void test_f32(void **state)
{
    (void)state;
    test_profile("f32/1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
