/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference against the same formulas in double with libm, under a bound on the
 * error: a few ulp for elementwise kernels, a bound that grows with length for sums. Each
 * check returns its worst error in units of its bound; above 1 it fails.
 */
#include <math.h>

#include "kcheck.h"

enum { N = 1000 };
static const double ULP = 0x1p-24; /* half a unit in the last place, relative */

typedef struct inputs {
    float x[N], y[N], z[N], out[N], out2[N];
} inputs;

static double worst(double so_far, double got, double want, double bound)
{
    double error = fabs(got - want) / bound;
    return error > so_far || error != error ? error : so_far;
}

/* exp and log: at most 2 ulp of the result. */
static double check_exp(const sm_kern *k, inputs *t)
{
    double w = 0;
    for (int i = 0; i < N; i++)
        t->x[i] *= 10.5f;
    k->exp(t->out, t->x, N);
    for (int i = 0; i < N; i++) {
        double want = exp((double)t->x[i]);
        w = worst(w, (double)t->out[i], want, 4 * ULP * want + 0x1p-126);
    }
    return w;
}

static double check_log(const sm_kern *k, inputs *t)
{
    double w = 0;
    for (int i = 0; i < N; i++)
        t->x[i] = i % 2 ? 1.0f + t->x[i] / 16.0f : (float)exp(10.0 * (double)t->x[i]);
    k->log(t->out, t->x, N);
    for (int i = 0; i < N; i++) {
        double want = log((double)t->x[i]);
        w = worst(w, (double)t->out[i], want, 4 * ULP * fabs(want) + 0x1p-126);
    }
    return w;
}

static double check_sums(const sm_kern *k, inputs *t)
{
    double s = 0, a = 0, q = 0, d = 0, ad = 0;
    float m = t->x[0];
    for (int i = 0; i < N; i++) {
        double x = (double)t->x[i], y = (double)t->y[i];
        s += x;
        a += fabs(x);
        q += x * x;
        d += x * y;
        ad += fabs(x * y);
        m = t->x[i] > m ? t->x[i] : m;
    }
    double bound = (N / 32 + 7) * ULP, w = 0;
    w = worst(w, (double)k->sum(t->x, N), s, bound * a);
    w = worst(w, (double)k->sumsq(t->x, N), q, bound * q);
    w = worst(w, (double)k->dot(t->x, t->y, N), d, bound * ad);
    return worst(w, (double)k->max(t->x, N), (double)m, 0x1p-126);
}

static double check_simple(const sm_kern *k, inputs *t)
{
    double w = 0;
    memcpy(t->out, t->z, sizeof t->out);
    k->axpy(t->out, 1.7f, t->x, N);
    for (int i = 0; i < N; i++) {
        double want = (double)1.7f * (double)t->x[i] + (double)t->z[i];
        w = worst(w, (double)t->out[i], want, ULP * fabs(want) + 0x1p-126);
    }
    k->mul(t->out, t->x, t->y, N);
    k->add(t->out, t->z, N);
    k->scale(t->out, t->out, 0.3f, N);
    for (int i = 0; i < N; i++) {
        double p = (double)t->x[i] * (double)t->y[i], z = (double)t->z[i];
        w = worst(w, (double)t->out[i], (double)0.3f * (p + z),
                  4 * ULP * (fabs(p) + fabs(z)));
    }
    return w;
}

static double check_convert(const sm_kern *k, inputs *t)
{
    uint16_t h[N];
    double w = 0;
    k->f32_to_bf16(h, t->x, N);
    k->bf16_to_f32(t->out, h, N);
    for (int i = 0; i < N; i++)
        w = worst(w, (double)t->out[i], (double)t->x[i], 0x1p-8 * fabs((double)t->x[i]));
    return w;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double check_gates(const sm_kern *k, inputs *t)
{
    double w = 0;
    k->sigmoid(t->out, t->x, N);
    for (int i = 0; i < N; i++)
        w = worst(w, (double)t->out[i], sigmoid((double)t->x[i]),
                  8 * ULP * sigmoid((double)t->x[i]));
    k->swiglu(t->out, t->x, t->y, N);
    for (int i = 0; i < N; i++) {
        double want = (double)t->x[i] * sigmoid((double)t->x[i]) * (double)t->y[i];
        w = worst(w, (double)t->out[i], want, 12 * ULP * fabs(want) + 0x1p-126);
    }
    k->swiglu_bwd(t->out, t->out2, NULL, t->z, t->x, t->y, N);
    for (int i = 0; i < N; i++) {
        double g = (double)t->x[i], u = (double)t->y[i], d = (double)t->z[i],
               s = sigmoid(g);
        double size = fabs(d) * (1 + fabs(u)) * (1 + fabs(g));
        w = worst(w, (double)t->out[i], d * u * s * (1 + g * (1 - s)), 16 * ULP * size);
        w = worst(w, (double)t->out2[i], d * g * s, 16 * ULP * size);
    }
    return w;
}

static double softmax_total(const float *x, double *top)
{
    double m = -HUGE_VAL, s = 0;
    for (int i = 0; i < N; i++)
        m = fmax(m, (double)x[i]);
    for (int i = 0; i < N; i++)
        s += exp((double)x[i] - m);
    *top = m;
    return s;
}

static double check_softmax(const sm_kern *k, inputs *t)
{
    float m, s, shrink, running_m = -INFINITY, running_l = 0.0f;
    double top, total = softmax_total(t->x, &top), w = 0;
    memcpy(t->out, t->x, sizeof t->out);
    k->softmax(t->out, N, &m, &s);
    w = worst(w, (double)s, total, 64 * ULP * total);
    for (int i = 0; i < N; i++) {
        double want = exp((double)t->x[i] - top) / total;
        w = worst(w, (double)t->out[i], want, 80 * ULP * want + 0x1p-126);
    }
    memcpy(t->out, t->x, sizeof t->out);
    for (int i = 0; i < N; i += 100) { /* the same total, block by block */
        sm_attn_scores block = {t->out + i, 1, 100, 1.0f, &(int32_t){0}, &(int32_t){N}, 0,
                                &running_m, &running_l, &shrink};
        k->attn_softmax(&block);
    }
    w = worst(w, (double)running_m, top, 0x1p-126);
    return worst(w, (double)running_l, total, 128 * ULP * total);
}

static double check_norm(const sm_kern *k, inputs *t)
{
    double q = 0, w = 0, dot = 0;
    for (int i = 0; i < N; i++) {
        q += (double)t->x[i] * (double)t->x[i];
        dot += (double)t->z[i] * (double)t->y[i] * (double)t->x[i];
    }
    double r = 1 / sqrt(q / N + (double)1e-5f), bound = 64 * ULP;
    float rf = k->rmsnorm(t->out, t->x, t->y, 1e-5f, N);
    w = worst(w, (double)rf, r, bound * r);
    for (int i = 0; i < N; i++) {
        double want = (double)t->x[i] * r * (double)t->y[i];
        w = worst(w, (double)t->out[i], want, bound * fabs(want) + 0x1p-126);
    }
    memset(t->out2, 0, sizeof t->out2);
    k->rmsnorm_bwd(t->out, t->out2, t->z, t->x, t->y, rf, N, false);
    for (int i = 0; i < N; i++) {
        double g = (double)t->z[i] * (double)t->y[i], x = (double)t->x[i];
        double size = r * (fabs(g) + fabs(x) * 64 * r * r * 8);
        w = worst(w, (double)t->out[i], g * r - x * r * r * r * dot / N, bound * size);
        w = worst(w, (double)t->out2[i], (double)t->z[i] * x * r,
                  bound * fabs(x * r * 8));
    }
    return w;
}

static double check_rope(const sm_kern *k, inputs *t)
{
    double w = 0;
    for (int j = 0; j < N / 2; j++) {
        t->y[j] = (float)cos(0.01 * j);
        t->z[j] = (float)sin(0.01 * j);
    }
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        memcpy(t->out, t->x, sizeof t->out);
        k->rope(t->out, t->y, t->z, N, interleaved);
        for (int j = 0; j < N / 2; j++) {
            int p = interleaved ? 2 * j : j, q = interleaved ? p + 1 : j + N / 2;
            double a = (double)t->x[p], b = (double)t->x[q], size = fabs(a) + fabs(b);
            w = worst(w, (double)t->out[p], a * cos(0.01 * j) - b * sin(0.01 * j),
                      4 * ULP * size);
            w = worst(w, (double)t->out[q], a * sin(0.01 * j) + b * cos(0.01 * j),
                      4 * ULP * size);
        }
    }
    return w;
}

static double check_loss(const sm_kern *k, inputs *t)
{
    const int target = 17;
    const double z = 1e-3, gain = 0.5;
    float lse;
    double top, total = softmax_total(t->x, &top), want = top + log(total), w = 0;
    double loss =
        (double)k->cross_entropy(t->out, t->x, target, (float)gain, (float)z, N, &lse);
    w = worst(w, loss, want - (double)t->x[target], 64 * ULP * (fabs(want) + 8));
    w = worst(w, (double)lse, want, 64 * ULP * (fabs(want) + 8));
    for (int i = 0; i < N; i++) {
        double p = exp((double)t->x[i] - top) / total;
        double d = (p - (i == target) + 2 * z * want * p) * gain;
        w = worst(w, (double)t->out[i], d, 128 * ULP * (p + (i == target)) + 0x1p-126);
    }
    return w;
}

static double check_adamw(const sm_kern *k, inputs *t)
{
    sm_adamw h = KC_ADAMW;
    inputs before = *t;
    double w = 0;
    for (int i = 0; i < N; i++)
        before.z[i] = t->z[i] = fabsf(t->z[i]);
    k->adamw(t->x, t->y, t->z, t->out, N, &h);
    for (int i = 0; i < N; i++) {
        double b1 = (double)h.beta1, b2 = (double)h.beta2;
        double g = (double)before.out[i] * (double)h.grad_scale;
        double m = b1 * (double)before.y[i] + (1 - b1) * g;
        double v = b2 * (double)before.z[i] + (1 - b2) * g * g;
        double x = (double)before.x[i], root = sqrt(v) / (double)h.root2 + (double)h.eps;
        double step = (double)h.step * m / root, want = (double)h.keep * x - step;
        w = worst(w, (double)t->y[i], m,
                  16 * ULP * (fabs((double)before.y[i]) + fabs(g)));
        w = worst(w, (double)t->z[i], v, 16 * ULP * v);
        w = worst(w, (double)t->x[i], want, 4 * ULP * (fabs(x) + fabs(step)));
    }
    return w;
}

/* |error| <= (k + 2) half ulps of sum |a||b|, of the operands as rounded to bf16. */
static double check_product(const sm_prod *p, inputs *t, bool is_bf16, const sm_kern *k)
{
    enum { M = 10, NN = 20, K = 50 };
    float c[M * NN];
    double w = 0;
    void *pa = sm_aligned_alloc(p->bytes_a(M, K)),
         *pb = sm_aligned_alloc(p->bytes_b(NN, K));
    if (!pa || !pb)
        return NAN;
    if (is_bf16) {
        uint16_t h[N];
        k->f32_to_bf16(h, t->x, N);
        k->bf16_to_f32(t->x, h, N);
        k->f32_to_bf16(h, t->y, N);
        k->bf16_to_f32(t->y, h, N);
    }
    p->pack_a(pa, t->x, SM_F32, M, K, K, 1);
    p->pack_b(pb, t->y, SM_F32, NN, K, 1, NN);
    p->gemm(c, NN, pa, pb, M, NN, K, false);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < NN; j++) {
            double s = 0, size = 0;
            for (int q = 0; q < K; q++) {
                double term = (double)t->x[i * K + q] * (double)t->y[q * NN + j];
                s += term;
                size += fabs(term);
            }
            w = worst(w, (double)c[i * NN + j], s, (K + 2) * ULP * size);
        }
    sm_aligned_free(pa);
    sm_aligned_free(pb);
    return w;
}

static double check_bf16_product(const sm_kern *k, inputs *t)
{
    return check_product(&k->bf16, t, true, k);
}

static double check_f32_product(const sm_kern *k, inputs *t)
{
    return check_product(&k->f32, t, false, k);
}

int kc_oracle(uint64_t seed)
{
    static const struct {
        const char *name;
        double (*check)(const sm_kern *, inputs *);
    } checks[] = {{"exp", check_exp},
                  {"log", check_log},
                  {"sums", check_sums},
                  {"add mul scale axpy", check_simple},
                  {"bf16", check_convert},
                  {"sigmoid swiglu", check_gates},
                  {"softmax", check_softmax},
                  {"rmsnorm", check_norm},
                  {"rope", check_rope},
                  {"cross_entropy", check_loss},
                  {"adamw", check_adamw},
                  {"bf16 product", check_bf16_product},
                  {"f32 product", check_f32_product}};
    sm_kern ref;
    sm_kern_set_ref_plain(&ref);
    kc_rng r = {seed};
    int failures = 0;
    for (size_t c = 0; c < sizeof checks / sizeof *checks; c++) {
        double w = 0;
        for (int trial = 0; trial < 20; trial++) {
            static inputs t;
            float *all = t.x;
            for (size_t i = 0; i < sizeof t / sizeof(float); i++)
                all[i] = kc_value(&r, KC_ORDINARY);
            double e = checks[c].check(&ref, &t);
            w = e > w || e != e ? e : w;
        }
        printf("oracle %-20s worst error %.3f of its bound%s\n", checks[c].name, w,
               w <= 1 ? "" : "  FAIL");
        failures += !(w <= 1);
    }
    return failures;
}
