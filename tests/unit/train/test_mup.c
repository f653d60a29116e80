/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Width transfer: the coordinate check (Yang et al., arXiv 2203.03466, appendix D.1).
 * Models of width 64 to 512 take a few steps at one learning rate; how far the residual
 * stream after each layer and the logits have moved must not depend on the width.  The
 * same check must fail without width transfer, or it would check nothing.  Activations
 * come from a forward pass of its own, in double.
 */
#include <math.h>

#include "tiny.h"

enum { N_TOK = 16, N_LAYER = 2, N_VOCAB = 64, D_HEAD = 16, N_SEEN = N_LAYER + 1 };

/* -------------------------------------------------- a decoder in double */

static void rms_norm(double *y, const double *x, const float *w, int d, double eps)
{
    double sum = 0;
    for (int i = 0; i < d; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < d; i++)
        y[i] = x[i] / sqrt(sum / d + eps) * (double)w[i];
}

/* y [n] (+)= W [n, k] x */
static void matrix(double *y, const float *w, const double *x, int n, int k, bool add)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int p = 0; p < k; p++)
            sum += (double)w[(size_t)i * (size_t)k + (size_t)p] * x[p];
        y[i] = add ? y[i] + sum : sum;
    }
}

static void rope(double *x, int pos, int d, double theta)
{
    for (int j = 0; j < d / 2; j++) {
        double a = pos * pow(theta, -2.0 * j / d), c = cos(a), s = sin(a);
        double u = x[j], v = x[j + d / 2];
        x[j] = u * c - v * s;
        x[j + d / 2] = u * s + v * c;
    }
}

/* out [n_head * D_HEAD] of token t; qkv [N_TOK, width] */
static void attend(double *out, const double *qkv, int t, int n_head, int width)
{
    for (int h = 0; h < n_head; h++) {
        double p[N_TOK], sum = 0, *o = out + h * D_HEAD;
        for (int i = 0; i < D_HEAD; i++)
            o[i] = 0;
        for (int s = 0; s <= t; s++) {
            const double *q = qkv + t * width + h * D_HEAD;
            const double *k = qkv + s * width + (n_head + h) * D_HEAD;
            p[s] = 0;
            for (int i = 0; i < D_HEAD; i++)
                p[s] += q[i] * k[i] / sqrt(D_HEAD);
            p[s] = exp(p[s]);
            sum += p[s];
        }
        for (int s = 0; s <= t; s++)
            for (int i = 0; i < D_HEAD; i++)
                o[i] += p[s] / sum * qkv[s * width + (2 * n_head + h) * D_HEAD + i];
    }
}

/* What the check looks at: [N_LAYER][N_TOK, d] after each layer, then [N_TOK, N_VOCAB]. */
typedef struct seen {
    double *x[N_SEEN];
    int64_t n[N_SEEN];
} seen;

static void layer(double *x, const sm_model *m, int32_t l)
{
    const sm_model_config *c = &m->config;
    const sm_layer_view v = sm_model_layer(m, l);
    const float *w = m->weight;
    int d = c->d_model, width = 3 * d, ff = c->d_ff;
    double eps = (double)c->norm_eps, *qkv = sm_alloc(N_TOK, (size_t)width * sizeof *qkv);
    double *y = sm_alloc((size_t)d, sizeof *y), *o = sm_alloc((size_t)d, sizeof *o);
    double *g = sm_alloc(2 * (size_t)ff, sizeof *g);
    for (int t = 0; t < N_TOK; t++) {
        double *row = qkv + t * width;
        rms_norm(y, x + t * d, w + v.attn_norm, d, eps);
        matrix(row, w + v.qkv, y, width, d, false);
        for (int h = 0; h < 2 * c->n_head; h++)
            rope(row + h * D_HEAD, t, D_HEAD, (double)c->rope_theta);
    }
    for (int t = 0; t < N_TOK; t++) {
        attend(o, qkv, t, c->n_head, width);
        matrix(x + t * d, w + v.out, o, d, d, true);
        rms_norm(y, x + t * d, w + v.ffn_norm, d, eps);
        matrix(g, w + v.gate_up, y, 2 * ff, d, false);
        for (int i = 0; i < ff; i++)
            g[i] = g[i] / (1 + exp(-g[i])) * g[ff + i];
        matrix(x + t * d, w + v.down, g, d, ff, true);
    }
    free(qkv);
    free(y);
    free(o);
    free(g);
}

static seen look(const sm_model *m)
{
    seen s = {0};
    int d = m->config.d_model;
    sm_model_view ends = sm_model_ends(m);
    double *x = sm_alloc(N_TOK, (size_t)d * sizeof *x);
    double *y = sm_alloc((size_t)d, sizeof *y);
    for (int t = 0; t < N_TOK; t++)
        for (int i = 0; i < d; i++)
            x[t * d + i] = (double)m->weight[ends.embed + (t * 7 % N_VOCAB) * d + i];
    for (int l = 0; l < N_LAYER; l++) {
        layer(x, m, l);
        s.n[l] = (int64_t)N_TOK * d;
        s.x[l] = sm_alloc((size_t)s.n[l], sizeof *x);
        memcpy(s.x[l], x, (size_t)s.n[l] * sizeof *x);
    }
    s.n[N_LAYER] = N_TOK * N_VOCAB;
    s.x[N_LAYER] = sm_alloc((size_t)s.n[N_LAYER], sizeof *x);
    for (int t = 0; t < N_TOK; t++) {
        rms_norm(y, x + t * d, m->weight + ends.norm, d, (double)m->config.norm_eps);
        matrix(s.x[N_LAYER] + t * N_VOCAB, m->weight + ends.head, y, N_VOCAB, d, false);
    }
    free(x);
    free(y);
    return s;
}

static void forget(seen *s)
{
    for (int i = 0; i < N_SEEN; i++)
        free(s->x[i]);
}

/* ------------------------------------------------------- coordinate check */

/* One way to train, over widths 64, 128, ...; lr is large enough to move the weights well
 * and small enough that the narrowest model stays calm. */
typedef struct family {
    sm_optimizer optimizer;
    bool tied;
    double lr;
    int64_t n_steps;
    int n_width;
} family;

static sm_train_config config(const family *f, int d, bool mup)
{
    sm_train_config c = tiny_dense();
    c.model.n_layer = N_LAYER;
    c.model.d_model = d;
    c.model.d_head = D_HEAD;
    c.model.n_head = c.model.n_kv_head = d / D_HEAD;
    c.model.d_ff = 2 * d;
    c.model.tied = f->tied;
    c.profile = "f32/1";
    c.optimizer = f->optimizer;
    c.n_seq = 4;
    c.n_shard = 4;
    c.n_steps = f->n_steps;
    c.warmup_steps = 0;
    c.min_lr_frac = 1;
    c.lr = f->lr;
    c.mup_base_width = mup ? 64 : 0;
    c.checkpoint_steps = 0;
    return c;
}

static sm_model *train(const sm_train_config *c)
{
    sm_err err;
    sm_model *m = NULL;
    sm_ctx ctx = make_ctx(NULL, 2);
    sm_token_data *data = tiny_data(c->n_ctx);
    sm_train_io io = {.data = data};
    OK(sm_train_run(&m, NULL, &ctx, c, &io, &err));
    sm_token_data_free(data);
    free_ctx(&ctx);
    return m;
}

/* RMS of how far each thing seen moves in the steps of c. */
static void moved(double out[N_SEEN], const sm_train_config *c)
{
    sm_err err;
    sm_model *fresh = NULL, *m = train(c);
    OK(sm_model_create(&fresh, &c->model, c->seed, &err));
    train_init_scale(fresh, c);
    seen a = look(fresh), b = look(m);
    for (int i = 0; i < N_SEEN; i++) {
        double sum = 0;
        for (int64_t k = 0; k < a.n[i]; k++)
            sum += (a.x[i][k] - b.x[i][k]) * (a.x[i][k] - b.x[i][k]);
        out[i] = sqrt(sum / (double)a.n[i]);
    }
    forget(&a);
    forget(&b);
    sm_model_free(fresh);
    sm_model_free(m);
}

/* Slopes of log RMS against log width, by least squares. */
static void slopes(double out[N_SEEN], const family *f, bool mup)
{
    double xy[N_SEEN] = {0}, xx = 0, mean = 0.5 * (f->n_width - 1);
    for (int i = 0; i < f->n_width; i++) {
        double rms[N_SEEN];
        sm_train_config c = config(f, 64 << i, mup);
        moved(rms, &c);
        xx += (i - mean) * (i - mean);
        for (int k = 0; k < N_SEEN; k++)
            xy[k] += (i - mean) * log2(rms[k]);
    }
    for (int k = 0; k < N_SEEN; k++)
        out[k] = xy[k] / xx;
    print_message("%s, %s, width transfer %s: slopes %.2f %.2f, logits %.2f\n",
                  f->optimizer == SM_OPTIMIZER_MUON ? "muon" : "adamw",
                  f->tied ? "tied" : "untied", mup ? "on" : "off", out[0], out[1],
                  out[2]);
}

/* With width transfer nothing grows, nor do the layers fall silent.  Logits may shrink at
 * first, to `least`: the share of a random head in them dies out as 1/sqrt(width). */
static void check(const family *f, double least)
{
    double on[N_SEEN], off[N_SEEN];
    slopes(on, f, true);
    slopes(off, f, false);
    for (int k = 0; k < N_SEEN; k++) {
        assert_true(on[k] < 0.2 && on[k] > (k < N_LAYER ? -0.3 : least));
        assert_true(off[k] > (k < N_LAYER ? 0.25 : 0.1));
    }
}

static void test_coordinates_tied(void **state)
{
    (void)state;
    check(&(family){SM_OPTIMIZER_ADAMW, true, 4e-3, 4, 4}, -0.2);
}

static void test_coordinates_untied(void **state)
{
    (void)state;
    check(&(family){SM_OPTIMIZER_ADAMW, false, 1e-3, 4, 4}, -0.5);
}

static void test_coordinates_muon(void **state)
{
    (void)state;
    check(&(family){SM_OPTIMIZER_MUON, true, 5e-2, 6, 3}, -0.2);
}

/* ------------------------------------------------------------ what it is */

/* At its base width it is the plain recipe, to the bit. */
static void test_base_width_changes_nothing(void **state)
{
    (void)state;
    for (int moe = 0; moe <= 1; moe++)
        for (int muon = 0; muon <= 1; muon++) {
            sm_train_config c = moe ? tiny_moe() : tiny_dense();
            c.n_steps = 6;
            c.checkpoint_steps = 0;
            c.optimizer = muon ? SM_OPTIMIZER_MUON : SM_OPTIMIZER_ADAMW;
            sm_model *plain = train(&c);
            c.mup_base_width = c.model.d_model;
            sm_model *with = train(&c);
            assert_true(model_sum(plain) == model_sum(with));
            c.mup_base_width = c.model.d_model / 2;
            sm_model *other = train(&c);
            assert_true(model_sum(plain) != model_sum(other));
            sm_model_free(plain);
            sm_model_free(with);
            sm_model_free(other);
        }
}

/* The table of mup.c at four times the base width. */
static void test_factors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int n_dim;
        double lr, lr_muon, init;
    } want[] = {
        {"model.embed_tokens.weight", 2, 1, 1, 1},
        {"model.layers.0.self_attn.q_proj.weight", 2, 0.25, 0.5, 1},
        {"model.layers.0.mlp.gate_proj.weight", 2, 0.25, 0.5, 1},
        {"model.layers.0.feed_forward.experts.gate_up_proj", 3, 0.25, 0.5, 1},
        {"model.layers.0.block_sparse_moe.experts.3.w2.weight", 2, 0.25, 0.5, 1},
        {"model.layers.0.block_sparse_moe.gate.weight", 2, 0.25, 0.25, 0.5},
        {"model.layers.0.feed_forward.router.weight", 2, 0.25, 0.25, 0.5},
        {"model.layers.0.input_layernorm.weight", 1, 1, 1, 1},
        {"model.norm.weight", 1, 0.25, 0.25, 0.25},
        {"lm_head.weight", 2, 1, 1, 2},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        sm_train_config c = tiny_dense();
        sm_param p = {.n_dim = want[i].n_dim};
        snprintf(p.name, sizeof p.name, "%s", want[i].name);
        c.mup_base_width = c.model.d_model / 4;
        train_factor f = train_factor_of(&c, &p);
        assert_true(f.lr == want[i].lr && f.init == want[i].init);
        assert_true(f.lr * f.decay == 1);
        c.optimizer = SM_OPTIMIZER_MUON;
        f = train_factor_of(&c, &p);
        assert_true(f.lr == want[i].lr_muon && f.lr * f.decay == 1);
    }
}

static void test_config(void **state)
{
    (void)state;
    sm_err err;
    sm_train_config c = tiny_dense();
    c.mup_base_width = 16;
    OK(sm_train_config_check(&c, &err));
    json_t *j = sm_train_config_to_json(&c);
    assert_int_equal(json_integer_value(json_object_get(j, "mup_base_width")), 16);
    json_decref(j);
    c.init_gain = 0;
    assert_int_equal(sm_train_config_check(&c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "init_gain"));
    c.mup_base_width = -1;
    assert_int_equal(sm_train_config_check(&c, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "mup_base_width"));
    c = tiny_dense(); /* what a plain recipe wrote before it writes still */
    j = sm_train_config_to_json(&c);
    assert_null(json_object_get(j, "mup_base_width"));
    assert_null(json_object_get(j, "optimizer"));
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coordinates_tied),
        cmocka_unit_test(test_coordinates_untied),
        cmocka_unit_test(test_coordinates_muon),
        cmocka_unit_test(test_base_width_changes_nothing),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests_name("mup", tests, NULL, NULL);
}
