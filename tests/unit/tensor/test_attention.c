/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention: against a naive one in double, and the property that inference rests on: a
 * query's result has the same bits alone with the keys it sees (decoding) as in a block of
 * queries over a whole row (training), on every rung.
 */
#include "fixture.h"

enum { T = 150, NH = 4, NKV = 2, D = 24, LD = (NH + 2 * NKV) * D, CHUNK = 40 };

typedef struct data {
    float *qkv, *o, *m, *l;
    int32_t doc[2 * T];
} data;

static data make(void)
{
    data d = {.qkv = randoms(2 * T * LD, 1),
              .o = calloc(2 * T * NH * D, 4),
              .m = calloc(2 * T * NH, 4),
              .l = calloc(2 * T * NH, 4)};
    for (int t = 0; t < 2 * T; t++)
        d.doc[t] = t >= T && t % T >= 70 ? 70 : 0;
    return d;
}

static void drop(data *d)
{
    free(d->qkv);
    free(d->o);
    free(d->m);
    free(d->l);
}

static sm_attn attn_of(data *d, const sm_kern *kern, const sm_prod *prod, int32_t chunk)
{
    return (sm_attn){.kern = kern,
                     .prod = prod,
                     .n_seq = 2,
                     .n_ctx = T,
                     .n_head = NH,
                     .n_kv_head = NKV,
                     .d_head = D,
                     .chunk = chunk,
                     .doc_start = d->doc,
                     .qkv = d->qkv,
                     .o = d->o,
                     .m = d->m,
                     .l = d->l};
}

static void forward(data *d, const sm_kern *kern, const sm_prod *prod, int32_t chunk)
{
    sm_attn a = attn_of(d, kern, prod, chunk);
    size_t bytes = sm_attn_thread_bytes(prod, T, NH / NKV, D, false);
    void *scratch = sm_aligned_alloc(bytes);
    sm_attn_forward(NULL, &a, scratch, bytes);
    sm_aligned_free(scratch);
}

static void naive_row(const data *d, int t, int h, int32_t chunk, double y[D])
{
    const float *q = d->qkv + t * LD + h * D;
    int g = h / (NH / NKV), row = t / T * T, at = t % T;
    double s[T], top = -INFINITY, sum = 0;
    for (int u = 0; u <= at; u++) {
        const float *k = d->qkv + (row + u) * LD + (NH + g) * D;
        int start = d->doc[t];
        int seen = u >= start && (!chunk || (u - start) / chunk == (at - start) / chunk);
        s[u] = 0;
        for (int i = 0; i < D; i++)
            s[u] += (double)q[i] * (double)k[i];
        s[u] = seen ? s[u] / sqrt(D) : -INFINITY;
        top = fmax(top, s[u]);
    }
    memset(y, 0, D * sizeof *y);
    for (int u = 0; u <= at; u++)
        sum += exp(s[u] - top);
    for (int u = 0; u <= at; u++)
        for (int i = 0; i < D; i++)
            y[i] += exp(s[u] - top) / sum *
                    (double)d->qkv[(row + u) * LD + (NH + NKV + g) * D + i];
}

static void test_against_naive(void **state)
{
    (void)state;
    data d = make();
    for (int32_t chunk = 0; chunk <= CHUNK; chunk += CHUNK) {
        forward(&d, rung(0), &rung(0)->f32, chunk);
        for (int t = 0; t < 2 * T; t++)
            for (int h = 0; h < NH; h++) {
                double y[D];
                naive_row(&d, t, h, chunk, y);
                for (int i = 0; i < D; i++)
                    near((double)d.o[(t * NH + h) * D + i], y[i], 3e-6, "o", t);
            }
    }
    drop(&d);
}

/* One query with only the keys up to it packed, as a decoder holds them. */
static void decode(const data *d, const sm_kern *kern, const sm_prod *prod, int t, int h,
                   int32_t chunk, float o[D])
{
    int g = h / (NH / NKV), row = t / T * T;
    int32_t index = t % T, first = sm_attn_first(index, d->doc[t], chunk);
    int64_t n_key = index + 1, blocks = (n_key + SM_KEY_BLOCK - 1) / SM_KEY_BLOCK;
    size_t kb = sm_attn_k_bytes(prod, D), vb = sm_attn_v_bytes(prod, D);
    char *k = sm_aligned_alloc((size_t)blocks * kb),
         *v = sm_aligned_alloc((size_t)blocks * vb);
    void *scratch = sm_aligned_alloc(sm_attn_scratch_bytes(prod, D, T));
    for (int64_t b = 0; b < blocks; b++) {
        const float *src = d->qkv + (row + b * SM_KEY_BLOCK) * LD + (NH + g) * D;
        int64_t left = n_key - b * SM_KEY_BLOCK;
        sm_attn_pack(prod, k + (size_t)b * kb, v + (size_t)b * vb, src, src + NKV * D, LD,
                     left < SM_KEY_BLOCK ? left : SM_KEY_BLOCK, D);
    }
    sm_attn_rows a = {.kern = kern,
                      .prod = prod,
                      .d_head = D,
                      .scale = 1.0f / sqrtf(D),
                      .o = o,
                      .ldo = D,
                      .q = d->qkv + t * LD + h * D,
                      .ldq = LD,
                      .n_q = 1,
                      .index = &index,
                      .first = &first,
                      .kv = {k, v, n_key}};
    unsigned fp = sm_fp_enter();
    sm_attn_forward_rows(&a, scratch);
    sm_fp_leave(fp);
    sm_aligned_free(scratch);
    sm_aligned_free(k);
    sm_aligned_free(v);
}

static void test_decode_has_the_same_bits(void **state)
{
    (void)state;
    for (int r = 0; rung(r); r++)
        for (int p = 0; p < 2; p++)
            for (int32_t chunk = 0; chunk <= CHUNK; chunk += CHUNK) {
                const sm_prod *prod = p ? &rung(r)->f32 : &rung(r)->bf16;
                data d = make();
                forward(&d, rung(r), prod, chunk);
                for (int t = 0; t < 2 * T; t += 7)
                    for (int h = 0; h < NH; h++) {
                        float o[D];
                        decode(&d, rung(r), prod, t, h, chunk, o);
                        if (memcmp(o, d.o + (t * NH + h) * D, sizeof o) != 0)
                            fail_msg("%s %s: token %d head %d differs", rung(r)->name,
                                     prod->profile, t, h);
                    }
                drop(&d);
            }
}

/* Backward: dq.q etc. by differences of a random projection, in the f32 profile. */
static double projection(data *d, const float *probe)
{
    double sum = 0;
    for (int t = 0; t < 2 * T; t++)
        for (int h = 0; h < NH; h++) {
            double y[D];
            naive_row(d, t, h, CHUNK, y);
            for (int i = 0; i < D; i++)
                sum += y[i] * (double)probe[(t * NH + h) * D + i];
        }
    return sum;
}

static void test_backward(void **state)
{
    (void)state;
    data d = make();
    const sm_kern *kern = rung(0);
    float *probe = randoms(2 * T * NH * D, 2), *dqkv = calloc(2 * T * LD, 4);
    forward(&d, kern, &kern->f32, CHUNK);
    sm_attn a = attn_of(&d, kern, &kern->f32, CHUNK);
    a.d_o = probe;
    a.dqkv = dqkv;
    size_t bytes = sm_attn_thread_bytes(&kern->f32, T, NH / NKV, D, true);
    void *scratch = sm_aligned_alloc(bytes);
    sm_attn_backward(NULL, &a, scratch, bytes);
    for (int s = 0; s < 24; s++) {
        int64_t at = (int64_t)sm_rng_below(2 * T * LD, 3, SM_STREAM_TEST, 3, (uint64_t)s);
        float keep = d.qkv[at], eps = 1.0f / 256;
        d.qkv[at] = keep + eps;
        double up = projection(&d, probe), step = (double)d.qkv[at];
        d.qkv[at] = keep - eps;
        double down = projection(&d, probe);
        step -= (double)d.qkv[at];
        d.qkv[at] = keep;
        near((double)dqkv[at], (up - down) / step, 2e-4, "dqkv", at);
    }
    sm_aligned_free(scratch);
    free(probe);
    free(dqkv);
    drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_naive),
        cmocka_unit_test(test_decode_has_the_same_bits),
        cmocka_unit_test(test_backward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
