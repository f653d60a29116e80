/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of experts, the permutation, the embedding's gradient, the output head, rope. */
#include "fixture.h"

static void test_choice(void **state)
{
    (void)state;
    static const float logit[3][4] = {{1, 2, 2, 0}, {0, 0, 0, 0}, {3, NAN, 1, 2}};
    static const float bias[4] = {0, 0, 0, 5};
    int32_t e[6];
    float w[6];
    const sm_kern *k = rung(0);
    sm_route_rows(k, e, w, logit[0], NULL, 3, 4, 2, false);
    assert_int_equal(e[0], 1); /* ties go to the lower id */
    assert_int_equal(e[1], 2);
    near((double)w[0], 0.5, 1e-6, "w", 0);
    assert_int_equal(e[2], 0);
    assert_int_equal(e[3], 1);
    assert_int_equal(e[4], 0);
    for (int i = 0; i < 6; i++)
        assert_in_range(e[i], 0, 3);
    sm_route_rows(k, e, w, logit[0], bias, 1, 4, 2,
                  false); /* bias chooses, never weighs */
    assert_int_equal(e[0], 3);
    assert_int_equal(e[1], 1);
    near((double)w[0], 1 / (1 + exp(2)), 1e-6, "w", 0);
    sm_route_rows(k, e, w, logit[0], NULL, 1, 4, 1, true);
    near((double)w[0], 1 / (1 + exp(-2)), 1e-6, "sigmoid", 0);
}

/* Wherever a NaN stands, in logits or in the bias, it comes after every number. */
static void test_nan_comes_last(void **state)
{
    (void)state;
    enum { E = 5 };
    static const int32_t order[E] = {3, 2, 1, 0, 4};
    for (int at = 0; at < E; at++)
        for (int in_bias = 0; in_bias < 2; in_bias++) {
            float logit[E] = {1, 2, 3, 4, -INFINITY}, bias[E] = {0}, w[E];
            int32_t e[E], n = 0;
            (in_bias ? bias : logit)[at] = NAN;
            sm_route_rows(rung(0), e, w, logit, bias, 1, E, E, false);
            for (int j = 0; j < E; j++)
                if (order[j] != at)
                    assert_int_equal(e[n++], order[j]);
            assert_int_equal(e[n], at);
        }
}

static void test_router_gradient(void **state)
{
    (void)state;
    enum { E = 6, K = 3 };
    float *logit = randoms(E, 1), *dw = randoms(K, 2), *g = randoms(E, 3);
    for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
        int32_t k = sigmoid ? 1 : K, expert[K];
        float w[K], d[E], tmp[E], z = 0.3f;
        sm_route_rows(rung(0), expert, w, logit, NULL, 1, E, k, sigmoid);
        sm_route_row_bwd(rung(0), d, logit, expert, w, dw, g, z, E, k, sigmoid, tmp);
        for (int at = 0; at < E; at++) {
            double f[2];
            for (int side = 0; side < 2; side++) {
                double x[E], all = 0, chosen = 0, lse;
                for (int i = 0; i < E; i++) {
                    x[i] = (double)logit[i] + (i == at ? (side ? -1e-5 : 1e-5) : 0);
                    all += exp(x[i]);
                }
                for (int j = 0; j < k; j++)
                    chosen += exp(x[expert[j]]);
                lse = log(all);
                f[side] = (double)z * lse * lse;
                for (int i = 0; i < E; i++)
                    f[side] += (double)g[i] * exp(x[i]) / all;
                for (int j = 0; j < k; j++)
                    f[side] += (double)dw[j] * (sigmoid ? 1 / (1 + exp(-x[expert[j]]))
                                                        : exp(x[expert[j]]) / chosen);
            }
            near((double)d[at], (f[0] - f[1]) / 2e-5, 1e-5, "dlogit", at);
        }
    }
    free(logit);
    free(dw);
    free(g);
}

enum { PT = 2048, PE = 5, PK = 2 };

/* Sorted by expert, shard and token; chunks cover an expert's rows in order and end inside
 * a group at whole blocks; pieces cover a chunk and tell runs apart. */
static void check_rows(const sm_perm *p, const int32_t *expert, int64_t n_shard)
{
    int32_t row = 0;
    for (int64_t g = 0; g < PE * n_shard; g++) {
        assert_int_equal(p->row0[g], row);
        for (int32_t last = -1; row < p->row0[g + 1]; row++) {
            int32_t slot = p->row_slot[row];
            assert_true(slot > last);
            assert_int_equal(expert[slot], g / n_shard);
            assert_int_equal(slot / PK / (PT / n_shard), g % n_shard);
            assert_int_equal(p->slot_row[slot], row);
            last = slot;
        }
    }
    assert_int_equal(row, PT * PK);
}

static void check_pieces(const sm_perm *p, int32_t chunk, int64_t n_shard)
{
    sm_chunk left = p->chunk[chunk];
    int64_t group = p->chunk_expert[chunk] * n_shard;
    while (left.n_row > 0) {
        sm_perm_piece piece = sm_perm_first_piece(p, left, &group);
        int32_t at = left.row0 - p->row0[group], n = p->row0[group + 1] - p->row0[group];
        assert_in_range(at, 0, n - 1);
        assert_int_equal(at % SM_TOKEN_BLOCK, 0);
        assert_int_equal(piece.packed.row0, p->packed0[group] + at);
        assert_in_range(piece.packed.n_row, 1, left.n_row);
        assert_in_range(at + piece.packed.n_row, 1, n);
        int32_t run = at / SM_RUN_ROWS * SM_RUN_ROWS;
        assert_int_equal(piece.run.row0, p->packed0[group] + run);
        assert_int_equal(piece.run.n_row, n - run < SM_RUN_ROWS ? n - run : SM_RUN_ROWS);
        assert_in_range(piece.packed.row0 + piece.packed.n_row, piece.run.row0 + 1,
                        piece.run.row0 + piece.run.n_row);
        left.row0 += piece.packed.n_row;
        left.n_row -= piece.packed.n_row;
    }
}

static void check_chunks(const sm_perm *p, int64_t n_shard)
{
    int32_t row = 0;
    for (int32_t c = 0; c < p->n_chunk; c++) {
        int64_t g = p->chunk_expert[c] * n_shard;
        int32_t n = p->row0[g + n_shard] - p->row0[g];
        assert_int_equal(p->chunk[c].row0, row);
        row += p->chunk[c].n_row;
        assert_in_range(row, p->row0[g] + 1, p->row0[g + n_shard]);
        assert_in_range(p->chunk[c].n_row, n > SM_EXPERT_ROWS ? 48 : n, SM_EXPERT_ROWS);
        check_pieces(p, c, n_shard);
    }
    assert_int_equal(row, PT * PK);
}

static void check_permutation(const int32_t *expert, int64_t n_shard)
{
    int64_t chunks = sm_perm_max_chunk(PT, PK, PE), groups = PE * n_shard;
    sm_perm p = {.row_slot = calloc(PT * PK, 4),
                 .slot_row = calloc(PT * PK, 4),
                 .chunk = calloc((size_t)chunks, sizeof(sm_chunk)),
                 .chunk_expert = calloc((size_t)chunks, 4),
                 .row0 = calloc((size_t)groups + 1, 4),
                 .packed0 = calloc((size_t)groups, 4)};
    sm_perm_build(&p, expert, PT, PK, PE, n_shard);
    assert_in_range(p.n_chunk, 1, chunks);
    int32_t packed = 0;
    for (int64_t g = 0; g < groups; g++) {
        assert_int_equal(p.packed0[g], packed);
        packed += (p.row0[g + 1] - p.row0[g] + SM_TOKEN_BLOCK - 1) / SM_TOKEN_BLOCK *
                  SM_TOKEN_BLOCK;
    }
    assert_in_range(packed, PT * PK, sm_perm_max_packed(PT, PK, PE, n_shard));
    check_rows(&p, expert, n_shard);
    check_chunks(&p, n_shard);
    free(p.row_slot);
    free(p.slot_row);
    free(p.chunk);
    free(p.chunk_expert);
    free(p.row0);
    free(p.packed0);
}

static void test_permutation(void **state)
{
    (void)state;
    static int32_t expert[PT * PK];
    for (int t = 0; t < PT; t++) { /* expert 3 gets nothing; expert 0 most */
        expert[2 * t] = t % 7 == 0 ? 4 : 0;
        expert[2 * t + 1] = 1 + t % 2;
    }
    for (int64_t shards = 1; shards <= 64; shards *= 2)
        check_permutation(expert, shards);
    for (uint64_t seed = 0; seed < 200; seed++) { /* every share from none to most */
        uint64_t share = 1 + sm_rng_below(12, seed, SM_STREAM_TEST, 1, 0);
        for (uint64_t i = 0; i < PT * PK; i++)
            expert[i] =
                (int32_t)(sm_rng_below(PE + share, seed, SM_STREAM_TEST, 0, i) % PE);
        check_permutation(expert, INT64_C(1) << seed % 7);
    }
}

enum { ET = 64, EV = 150, ED = 40, ES = 4 };

static void test_embedding(void **state)
{
    (void)state;
    float *dx = randoms(ET * ED, 1), *head = randoms(ES * EV * ED, 2);
    float *dw = calloc(EV * ED, 4), *halves = calloc(2 * EV * ED, 4);
    int32_t token[ET], order[ET], start[EV + 1];
    for (int t = 0; t < ET; t++)
        token[t] = t * t % 13;
    void *scratch = sm_aligned_alloc(sm_embed_scratch_bytes(ED, ES));
    for (int tied = 0; tied < 2; tied++) {
        sm_embed_grad g = {.kern = rung(0),
                           .dw = dw,
                           .head = tied ? head : NULL,
                           .dx = dx,
                           .scale = 0.25f,
                           .order = order,
                           .start = start,
                           .n_vocab = EV,
                           .d = ED,
                           .n_shard = ES,
                           .shard_tok = ET / ES};
        sm_embed_sort(order, start, token, ET, EV);
        assert_true(sm_embed_grad_run(NULL, &g, scratch));
        for (int v = 0; v < EV; v++)
            for (int i = 0; i < ED; i++) {
                double want = 0;
                for (int t = 0; t < ET; t++)
                    want += token[t] == v ? (double)dx[t * ED + i] : 0;
                for (int s = 0; tied && s < ES; s++)
                    want += 0.25 * (double)head[(s * EV + v) * ED + i];
                near((double)dw[v * ED + i], want, 1e-5, "dw", v * ED + i);
            }
        for (int h = 0; h < 2; h++) {
            sm_embed_sort(order, start, token + h * ET / 2, ET / 2, EV);
            g.n_shard = ES / 2;
            g.dw = halves + h * EV * ED;
            g.dx = dx + h * ET / 2 * ED;
            g.head = tied ? head + h * ES / 2 * EV * ED : NULL;
            assert_true(sm_embed_grad_run(NULL, &g, scratch));
        }
        rung(0)->add(halves, halves + EV * ED, EV * ED);
        assert_memory_equal(halves, dw, EV * ED * sizeof *dw);
    }
    sm_aligned_free(scratch);
    free(dx);
    free(head);
    free(dw);
    free(halves);
}

/* A vocabulary so large that a span is one block; 96 tokens are a block and a half. */
enum { HV = 140000, HD = 8, HT = 192, HS = 2 };

/* Loss and dx of one token; what it adds to the watched row of shard 1's dw. */
static void check_token(const sm_head *h, const float *w, int t, double dw[HD])
{
    double n[HD], sum = 0, square = 0, dx[HD] = {0}, *z = calloc(HV, sizeof *z);
    int32_t target = h->target[t], watched = h->target[HT - 4];
    for (int i = 0; i < HD; i++)
        square += (double)h->x[t * HD + i] * (double)h->x[t * HD + i] / HD;
    for (int i = 0; i < HD; i++)
        n[i] = (double)h->x[t * HD + i] / sqrt(square + 1e-5) * (double)h->norm[i];
    for (int v = 0; v < HV; v++) {
        for (int i = 0; i < HD; i++)
            z[v] += n[i] * (double)w[v * HD + i];
        sum += exp(z[v]);
    }
    near((double)h->loss[t], target < 0 ? 0 : log(sum) - z[target], 2e-5, "loss", t);
    for (int v = 0; target >= 0 && v < HV; v++)
        for (int i = 0; i < HD; i++)
            dx[i] += (exp(z[v]) / sum - (v == target)) * (double)w[v * HD + i];
    for (int i = 0; i < HD; i++) {
        near((double)h->dx[t * HD + i], dx[i], 1e-3, "dx", t); /* a chain of 140,000 */
        if (t >= HT / HS && target >= 0)
            dw[i] += (exp(z[watched]) / sum - (watched == target)) * n[i];
    }
    free(z);
}

static void test_head(void **state)
{
    (void)state;
    const sm_kern *kern = NULL;
    assert_int_equal(sm_kern_get(&kern, NULL, NULL), SM_OK);
    const sm_prod *p = &kern->f32;
    float *w = randoms(HV * HD, 1), *x = randoms(HT * HD, 2), *norm = randoms(HD, 3);
    float *out = calloc(HT * (2 + HD) + (size_t)HS * HV * HD, 4);
    int32_t target[HT];
    for (int t = 0; t < HT; t++)
        target[t] = t % 5 == 4 ? -1 : t * 700;
    void *pw = sm_aligned_alloc(sm_weight_bytes(p, HV, HD));
    void *pt = sm_aligned_alloc(sm_weight_bytes(p, HD, HV));
    sm_weight_pack(NULL, p, pw, w, HV, HD, false);
    sm_weight_pack(NULL, p, pt, w, HV, HD, true);
    sm_head h = {.kern = kern,
                 .prod = p,
                 .n_vocab = HV,
                 .d = HD,
                 .n_shard = HS,
                 .shard_tok = HT / HS,
                 .w = pw,
                 .wt = pt,
                 .x = x,
                 .norm = norm,
                 .norm_eps = 1e-5f,
                 .target = target,
                 .loss = out,
                 .r = out + HT,
                 .dx = out + 2 * HT,
                 .dw = out + 2 * HT + HT * HD};
    size_t stride = sm_head_thread_bytes(p, HV, HD, true);
    void *scratch = sm_aligned_alloc(stride);
    size_t blocks = (size_t)sm_head_span(HV, HT) / SM_TOKEN_BLOCK;
    h.dlogit_t = sm_aligned_alloc(blocks * sm_grad_unit_a(p, HV));
    h.norm_x = sm_aligned_alloc(blocks * sm_grad_unit_b(p, HD));
    sm_head_run(NULL, &h, scratch, stride);
    double dw[HD] = {0};
    for (int t = 0; t < HT; t++)
        check_token(&h, w, t, dw);
    for (int i = 0; i < HD; i++)
        near((double)h.dw[((size_t)HV + (size_t)target[HT - 4]) * HD + (size_t)i], dw[i],
             1e-4, "dw", i);
    sm_aligned_free(scratch);
    sm_aligned_free(h.dlogit_t);
    sm_aligned_free(h.norm_x);
    sm_aligned_free(pw);
    sm_aligned_free(pt);
    free(w);
    free(x);
    free(norm);
    free(out);
}

/* Angles against libm; a rotation keeps lengths and depends on distance only. */
static void test_rope(void **state)
{
    (void)state;
    enum { P = 600, RD = 32 };
    float *c = calloc(P * RD / 2, 4), *s = calloc(P * RD / 2, 4), temp[64];
    sm_rope_table(c, s, P, RD, 10000);
    for (int p = 0; p < P; p += 13)
        for (int j = 0; j < RD / 2; j++) {
            double a = p * pow(10000, -2.0 * j / RD);
            near((double)c[p * RD / 2 + j], cos(a), 1e-7, "cos", p);
            near((double)s[p * RD / 2 + j], sin(a), 1e-7, "sin", p);
        }
    sm_temp_table(temp, 64, 0.1, 8);
    assert_true(temp[6] == 1.0f);
    near((double)temp[7], 1 + 0.1 * log(2), 1e-7, "temp", 7);
    near((double)temp[63], 1 + 0.1 * log(9), 1e-7, "temp", 63);
    for (int inter = 0; inter < 2; inter++) {
        sm_rotary ro = {.cos = c,
                        .sin = s,
                        .is_interleaved = inter,
                        .n_head = 1,
                        .n_kv_head = 1,
                        .d_head = RD};
        double dots[2];
        for (int shift = 0; shift < 2; shift++) {
            float *qk = randoms(3 * RD, 5), *other = randoms(3 * RD, 5);
            sm_rotary_row(rung(0), &ro, qk, NULL, 40 + 500 * shift);
            sm_rotary_row(rung(0), &ro, other, NULL, 33 + 500 * shift);
            dots[shift] = (double)rung(0)->dot(qk, other + RD, RD);
            free(qk);
            free(other);
        }
        near(dots[0], dots[1], 1e-4, "relative", inter);
    }
    free(c);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_nan_comes_last),
        cmocka_unit_test(test_router_gradient),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
