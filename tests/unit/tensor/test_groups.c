/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention over several key groups: against a naive one in double, one query at a time as
 * a decoder does it, on every rung, and split over ranks that hold the keys of some groups
 * each and exchange parts through sm_comm: the same bits.
 */
#include "fixture.h"
#include "unit/ranks.h"

enum {
    T = 3 * SM_KEY_GROUP + 300,
    N_GROUP = 4,
    NH = 2,
    D = 8,
    LD = (NH + 2) * D,
    CUT = 1500 /* where the second document begins */
};

typedef struct data {
    float *qkv, *d_o;
    int32_t doc[T];
} data;

typedef struct result {
    float *o, *m, *l, *dqkv;
} result;

static data *make(void)
{
    data *d = calloc(1, sizeof *d);
    d->qkv = randoms(T * LD, 1);
    d->d_o = randoms(T * NH * D, 2);
    for (int t = CUT; t < T; t++)
        d->doc[t] = t < T - 200 ? 0 : CUT; /* a few queries see the second one alone */
    return d;
}

static void drop(data *d)
{
    free(d->qkv);
    free(d->d_o);
    free(d);
}

static result room(void)
{
    return (result){calloc(T * NH * D, 4), calloc(T * NH, 4), calloc(T * NH, 4),
                    calloc(T * LD, 4)};
}

static void drop_result(result *r)
{
    free(r->o);
    free(r->m);
    free(r->l);
    free(r->dqkv);
}

static sm_attn attn_of(const data *d, result *r, const sm_kern *kern, const sm_prod *prod)
{
    return (sm_attn){.kern = kern,
                     .prod = prod,
                     .n_seq = 1,
                     .n_ctx = T,
                     .n_head = NH,
                     .n_kv_head = 1,
                     .d_head = D,
                     .doc_start = d->doc,
                     .qkv = d->qkv,
                     .o = r->o,
                     .m = r->m,
                     .l = r->l,
                     .d_o = d->d_o,
                     .dqkv = r->dqkv};
}

static result whole(const data *d, const sm_kern *kern, const sm_prod *prod)
{
    result r = room();
    sm_attn a = attn_of(d, &r, kern, prod);
    size_t bytes = sm_attn_thread_bytes(prod, T, NH, D, true);
    void *scratch = sm_aligned_alloc(bytes);
    sm_attn_forward(NULL, &a, scratch, bytes);
    sm_attn_backward(NULL, &a, scratch, bytes);
    sm_aligned_free(scratch);
    return r;
}

static const float *key(const data *d, int u)
{
    return d->qkv + u * LD + NH * D;
}

static void naive_row(const data *d, int t, int h, double y[D])
{
    static double s[T];
    double top = -INFINITY, sum = 0;
    for (int u = d->doc[t]; u <= t; u++) {
        s[u] = 0;
        for (int i = 0; i < D; i++)
            s[u] += (double)d->qkv[t * LD + h * D + i] * (double)key(d, u)[i] / sqrt(D);
        top = fmax(top, s[u]);
    }
    memset(y, 0, D * sizeof *y);
    for (int u = d->doc[t]; u <= t; u++)
        sum += exp(s[u] - top);
    for (int u = d->doc[t]; u <= t; u++)
        for (int i = 0; i < D; i++)
            y[i] += exp(s[u] - top) / sum * (double)key(d, u)[D + i];
}

static void test_against_naive(void **state)
{
    (void)state;
    data *d = make();
    const sm_kern *kern = NULL;
    for (int r = 0; rung(r); r++)
        kern = rung(r);
    result got = whole(d, kern, &kern->f32);
    for (int t = 0; t < T; t += 17)
        for (int h = 0; h < NH; h++) {
            double y[D];
            naive_row(d, t, h, y);
            for (int i = 0; i < D; i++)
                near((double)got.o[(t * NH + h) * D + i], y[i], 3e-6, "o", t);
        }
    drop_result(&got);
    drop(d);
}

/* The keys lo..hi-1 packed where they belong, everything else hostile. */
static sm_attn_kv pack_keys(const data *d, const sm_prod *prod, int64_t lo, int64_t hi)
{
    size_t kb = sm_attn_k_bytes(prod, D), vb = sm_attn_v_bytes(prod, D);
    size_t blocks = (T + SM_KEY_BLOCK - 1) / SM_KEY_BLOCK;
    char *k = sm_aligned_alloc(blocks * kb), *v = sm_aligned_alloc(blocks * vb);
    memset(k, 0xff, blocks * kb);
    memset(v, 0xff, blocks * vb);
    for (int64_t at = lo; at < hi; at += SM_KEY_BLOCK) {
        int64_t n = hi - at < SM_KEY_BLOCK ? hi - at : SM_KEY_BLOCK;
        size_t b = (size_t)(at / SM_KEY_BLOCK);
        sm_attn_pack(prod, k + b * kb, v + b * vb, key(d, (int)at), key(d, (int)at) + D,
                     LD, n, D);
    }
    return (sm_attn_kv){k, v, hi};
}

static void drop_keys(sm_attn_kv *kv)
{
    sm_aligned_free((void *)(uintptr_t)kv->k);
    sm_aligned_free((void *)(uintptr_t)kv->v);
}

static sm_attn_rows rows_of(const data *d, const sm_kern *kern, const sm_prod *prod,
                            sm_attn_kv kv)
{
    return (sm_attn_rows){.kern = kern,
                          .prod = prod,
                          .d_head = D,
                          .scale = 1.0f / sqrtf(D),
                          .ldo = NH * D,
                          .q = d->qkv,
                          .ldq = LD,
                          .kv = kv};
}

static void test_decode_has_the_same_bits(void **state)
{
    (void)state;
    static const int at[] = {5, 1023, 1024, 1700, 2047, 2048, 3071, 3072, T - 201, T - 1};
    data *d = make();
    for (int r = 0; rung(r); r++) {
        const sm_prod *prod = &rung(r)->bf16;
        result want = whole(d, rung(r), prod);
        void *scratch = sm_aligned_alloc(sm_attn_scratch_bytes(prod, D, T));
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            int32_t t = at[i], first = d->doc[t];
            sm_attn_kv kv = pack_keys(d, prod, 0, t + 1);
            sm_attn_rows a = rows_of(d, rung(r), prod, kv);
            float o[D];
            unsigned fp = sm_fp_enter();
            a.o = o;
            a.q += t * LD;
            a.n_q = 1;
            a.index = &t;
            a.first = &first;
            sm_attn_forward_rows(&a, scratch);
            sm_fp_leave(fp);
            if (memcmp(o, want.o + t * NH * D, sizeof o) != 0)
                fail_msg("%s: token %d differs", rung(r)->name, t);
            drop_keys(&kv);
        }
        sm_aligned_free(scratch);
        drop_result(&want);
    }
    drop(d);
}

static void test_rungs_agree(void **state)
{
    (void)state;
    data *d = make();
    result want = whole(d, rung(0), &rung(0)->bf16);
    for (int r = 1; rung(r); r++) {
        result got = whole(d, rung(r), &rung(r)->bf16);
        assert_memory_equal(got.o, want.o, T * NH * D * 4);
        assert_memory_equal(got.dqkv, want.dqkv, T * LD * 4);
        drop_result(&got);
    }
    drop_result(&want);
    drop(d);
}

/* ------------------------------------------------------------ split over ranks */

typedef struct split {
    const data *d;
    const sm_kern *kern;
    const sm_prod *prod;
    const result *want; /* m and l of the whole forward go into backward */
    result got;
} split;

/* A rank's part of one head's output: what its keys lo..hi-1 give every query. */
static void part_of_keys(const split *s, result *r, sm_attn_kv kv, int h, int32_t lo,
                         int32_t hi, void *scratch)
{
    for (int32_t t0 = 0; t0 < T; t0 += SM_KEY_BLOCK) {
        int32_t index[SM_KEY_BLOCK], first[SM_KEY_BLOCK];
        int32_t n = T - t0 < SM_KEY_BLOCK ? T - t0 : SM_KEY_BLOCK;
        for (int32_t i = 0; i < n; i++) {
            int32_t t = t0 + i, f = s->d->doc[t];
            first[i] = f < lo ? lo : f;
            index[i] = t < hi ? t : hi - 1;
            if (index[i] < first[i]) /* sees none of them */
                index[i] = first[i] = lo;
        }
        sm_attn_rows a = rows_of(s->d, s->kern, s->prod, kv);
        a.o = r->o + (t0 * NH + h) * D;
        a.q += t0 * LD + h * D;
        a.n_q = n;
        a.index = index;
        a.first = first;
        a.m = r->m + t0 * NH + h;
        a.l = r->l + t0 * NH + h;
        a.ml_stride = NH;
        a.is_part = true;
        sm_attn_forward_rows(&a, scratch);
        for (int32_t t = t0; t < t0 + n; t++)
            if (t < lo || s->d->doc[t] >= hi) {
                r->m[t * NH + h] = -INFINITY;
                r->l[t * NH + h] = 0;
            }
    }
}

static void join_parts(const sm_kern *kern, result *a, const result *b)
{
    for (int64_t i = 0; i < T * NH; i++) {
        sm_attn_part x = {a->o + i * D, a->m + i, a->l + i};
        sm_attn_part y = {b->o + i * D, b->m + i, b->l + i};
        sm_attn_join(kern, &x, &y, D);
    }
}

static void send_result(sm_comm *c, const result *r, int to)
{
    assert_int_equal(c->send(c->self, r->o, T * NH * D * 4, to, NULL), SM_OK);
    assert_int_equal(c->send(c->self, r->m, T * NH * 4, to, NULL), SM_OK);
    assert_int_equal(c->send(c->self, r->l, T * NH * 4, to, NULL), SM_OK);
    assert_int_equal(c->send(c->self, r->dqkv, T * LD * 4, to, NULL), SM_OK);
}

static void recv_result(sm_comm *c, result *r, int from)
{
    assert_int_equal(c->recv(c->self, r->o, T * NH * D * 4, from, NULL), SM_OK);
    assert_int_equal(c->recv(c->self, r->m, T * NH * 4, from, NULL), SM_OK);
    assert_int_equal(c->recv(c->self, r->l, T * NH * 4, from, NULL), SM_OK);
    assert_int_equal(c->recv(c->self, r->dqkv, T * LD * 4, from, NULL), SM_OK);
}

static void backward_of_keys(const split *s, result *r, int64_t group0, int64_t n_group)
{
    result in = *s->want;
    in.dqkv = r->dqkv;
    sm_attn a = attn_of(s->d, &in, s->kern, s->prod);
    a.key_group0 = group0;
    a.n_key_group = n_group;
    size_t bytes = sm_attn_thread_bytes(s->prod, T, NH, D, true);
    void *scratch = sm_aligned_alloc(bytes);
    sm_attn_backward(NULL, &a, scratch, bytes);
    sm_aligned_free(scratch);
}

static void on_rank(sm_comm *c, void *arg)
{
    split *s = arg;
    int64_t n = N_GROUP / c->n_ranks, g0 = c->rank * n, end = (g0 + n) * SM_KEY_GROUP;
    int32_t lo = (int32_t)(g0 * SM_KEY_GROUP), hi = (int32_t)(end < T ? end : T);
    result mine = room(), other = room();
    sm_attn_kv kv = pack_keys(s->d, s->prod, lo, hi);
    void *scratch = sm_aligned_alloc(sm_attn_scratch_bytes(s->prod, D, T));
    unsigned fp = sm_fp_enter();
    for (int h = 0; h < NH; h++)
        part_of_keys(s, &mine, kv, h, lo, hi, scratch);
    backward_of_keys(s, &mine, g0, n);
    for (int stride = 1; stride < c->n_ranks; stride *= 2) {
        if (c->rank & stride) {
            send_result(c, &mine, c->rank - stride);
            break;
        }
        recv_result(c, &other, c->rank + stride);
        join_parts(s->kern, &mine, &other);
        s->kern->add(mine.dqkv, other.dqkv, T * LD); /* dk, dv: others' are zero */
    }
    if (c->rank == 0) {
        for (int64_t i = 0; i < T * NH; i++)
            s->kern->scale(mine.o + i * D, mine.o + i * D, 1.0f / mine.l[i], D);
        s->got = mine;
    } else {
        drop_result(&mine);
    }
    sm_fp_leave(fp);
    drop_result(&other);
    drop_keys(&kv);
    sm_aligned_free(scratch);
}

static void test_ranks_keep_the_bits(void **state)
{
    (void)state;
    data *d = make();
    const sm_kern *kern = NULL;
    for (int r = 0; rung(r); r++)
        kern = rung(r);
    for (int p = 0; p < 2; p++) {
        const sm_prod *prod = p ? &kern->f32 : &kern->bf16;
        result want = whole(d, kern, prod);
        for (int n = 1; n <= 4; n *= 2) {
            split s = {.d = d, .kern = kern, .prod = prod, .want = &want};
            run_ranks(n, on_rank, &s);
            assert_memory_equal(s.got.o, want.o, T * NH * D * 4);
            assert_memory_equal(s.got.m, want.m, T * NH * 4);
            assert_memory_equal(s.got.l, want.l, T * NH * 4);
            assert_memory_equal(s.got.dqkv, want.dqkv, T * LD * 4);
            drop_result(&s.got);
        }
        drop_result(&want);
    }
    drop(d);
}

/* The derivative of <o, d_o> in the inputs, by differences of the naive attention. */
static double projection(const data *d, int from)
{
    double sum = 0;
    for (int t = from; t < T; t++)
        for (int h = 0; h < NH; h++) {
            double y[D];
            naive_row(d, t, h, y);
            for (int i = 0; i < D; i++)
                sum += y[i] * (double)d->d_o[(t * NH + h) * D + i];
        }
    return sum;
}

static void test_backward(void **state)
{
    (void)state;
    data *d = make();
    const sm_kern *kern = NULL;
    for (int r = 0; rung(r); r++)
        kern = rung(r);
    result got = whole(d, kern, &kern->f32);
    static const int at[][2] = {{T - 1, 3}, {T - 100, 11}, {3000, NH * D + 2},
                                {2100, NH * D + D + 5}};
    for (size_t s = 0; s < sizeof at / sizeof *at; s++) {
        float *x = d->qkv + at[s][0] * LD + at[s][1], keep = *x, eps = 1.0f / 64;
        *x = keep + eps;
        double up = projection(d, at[s][0]), step = (double)*x;
        *x = keep - eps;
        double down = projection(d, at[s][0]);
        step -= (double)*x;
        *x = keep;
        near((double)got.dqkv[x - d->qkv], (up - down) / step, 2e-4, "dqkv", (int)s);
    }
    drop_result(&got);
    drop(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_naive),
        cmocka_unit_test(test_decode_has_the_same_bits),
        cmocka_unit_test(test_rungs_agree),
        cmocka_unit_test(test_ranks_keep_the_bits),
        cmocka_unit_test(test_backward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
