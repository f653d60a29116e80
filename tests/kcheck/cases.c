/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One definition a kernel: its arrays and how to call it.  Bits of `variant` select
 * in-place calls (the output is first filled with the input), NULL options and flags.
 */
#include "kcheck.h"

static const float *in(const kc_args *g, int i)
{
    return g->p[i];
}

/* Output array 0 and input array `i`, or both the same array in odd variants. */
static const float *source_for(kc_args *g, int i)
{
    if (!(g->variant & 1))
        return g->p[i];
    if (g->n > 0)
        memcpy(g->p[0], g->p[i], (size_t)g->n * sizeof(float));
    return g->p[0];
}

static void call_sum(const sm_kern *k, kc_args *g)
{
    g->result[0] = k->sum(in(g, 0), g->n);
}

static void call_sumsq(const sm_kern *k, kc_args *g)
{
    g->result[0] = k->sumsq(in(g, 0), g->n);
}

static void call_dot(const sm_kern *k, kc_args *g)
{
    g->result[0] = k->dot(in(g, 0), in(g, 1), g->n);
}

static void call_max(const sm_kern *k, kc_args *g)
{
    g->result[0] = k->max(in(g, 0), g->n);
}

static void call_exp(const sm_kern *k, kc_args *g)
{
    k->exp(g->p[0], source_for(g, 1), g->n);
}

static void call_log(const sm_kern *k, kc_args *g)
{
    k->log(g->p[0], source_for(g, 1), g->n);
}

static void call_sigmoid(const sm_kern *k, kc_args *g)
{
    k->sigmoid(g->p[0], source_for(g, 1), g->n);
}

static void call_add(const sm_kern *k, kc_args *g)
{
    k->add(g->p[0], g->variant & 1 ? in(g, 0) : in(g, 1), g->n);
}

static void call_scale(const sm_kern *k, kc_args *g)
{
    k->scale(g->p[0], source_for(g, 1), g->a[0], g->n);
}

static void call_axpy(const sm_kern *k, kc_args *g)
{
    k->axpy(g->p[0], g->a[0], g->variant & 1 ? in(g, 0) : in(g, 1), g->n);
}

static void call_mul(const sm_kern *k, kc_args *g)
{
    k->mul(g->p[0], source_for(g, 1), in(g, 2), g->n);
}

static void call_f32_to_bf16(const sm_kern *k, kc_args *g)
{
    k->f32_to_bf16(g->p[0], in(g, 1), g->n);
}

static void call_bf16_to_f32(const sm_kern *k, kc_args *g)
{
    k->bf16_to_f32(g->p[0], g->p[1], g->n);
}

static void call_softmax(const sm_kern *k, kc_args *g)
{
    k->softmax(g->p[0], g->n, g->variant & 1 ? NULL : &g->result[0],
               g->variant & 2 ? NULL : &g->result[1]);
}

static void call_rmsnorm(const sm_kern *k, kc_args *g)
{
    const float *x = source_for(g, 1);
    g->result[0] = k->rmsnorm(g->p[0], x, g->variant & 2 ? NULL : in(g, 2), 1e-5f, g->n);
}

static void call_rmsnorm_bwd(const sm_kern *k, kc_args *g)
{
    k->rmsnorm_bwd(g->p[0], g->variant & 1 ? NULL : g->p[1], in(g, 2), in(g, 3),
                   g->variant & 2 ? NULL : in(g, 4), g->a[0], g->n,
                   (g->variant & 4) != 0);
}

static void call_swiglu(const sm_kern *k, kc_args *g)
{
    k->swiglu(g->p[0], source_for(g, 1), in(g, 2), g->n);
}

static void call_swiglu_bwd(const sm_kern *k, kc_args *g)
{
    k->swiglu_bwd(g->p[0], g->p[1], g->variant & 1 ? NULL : g->p[2], in(g, 3), in(g, 4),
                  in(g, 5), g->n);
}

static void call_rope(const sm_kern *k, kc_args *g)
{
    k->rope(g->p[0], in(g, 1), in(g, 2), g->n, (g->variant & 1) != 0);
}

/* Keys lo..hi-1 are seen: all, a part, none, bounds outside the row. */
static void visible(const kc_args *g, ptrdiff_t *lo, ptrdiff_t *hi)
{
    ptrdiff_t third = g->n / 3;
    *lo = g->variant & 2 ? third : g->variant & 4 ? -third : 0;
    *hi = g->variant & 8 ? g->n - third : g->n + third;
    if ((g->variant & 6) == 6)
        *hi = *lo;
}

/* Rows of one array, each with its own bounds. */
static void call_attn_softmax(const sm_kern *k, kc_args *g)
{
    enum { ROWS = 3 };
    ptrdiff_t n_row = g->variant == 0 ? 1 : g->variant / 32 % (ROWS + 1);
    int32_t first[ROWS], index[ROWS];
    float m[ROWS], l[ROWS], shrink[ROWS] = {0};
    for (int r = 0; r < ROWS; r++) {
        kc_args row = *g;
        ptrdiff_t lo, hi;
        row.variant = r == 0 ? g->variant : g->variant >> r ^ (unsigned)r;
        visible(&row, &lo, &hi);
        first[r] = (int32_t)lo + 5;
        index[r] = (int32_t)hi + 4;
        m[r] = row.variant & 1 ? -__builtin_inff() : g->a[r % 2];
        l[r] = g->a[2];
    }
    k->attn_softmax(&(sm_attn_scores){
        .s = g->p[0], .n_row = n_row, .n = n_row > 0 ? g->n / n_row : 0,
        .scale = g->variant & 16 ? 1.0f : g->a[3], .first = first, .index = index,
        .key0 = 5, .m = m, .l = l, .shrink = shrink});
    for (int r = 0; r < ROWS; r++) {
        g->result[3 * r] = r < n_row ? shrink[r] : 0.0f;
        g->result[3 * r + 1] = m[r];
        g->result[3 * r + 2] = l[r];
    }
}

static void call_attn_softmax_bwd(const sm_kern *k, kc_args *g)
{
    ptrdiff_t lo, hi;
    visible(g, &lo, &hi);
    k->attn_softmax_bwd(g->p[0], g->p[1], g->n, 0.125f, lo, hi, g->a[0], g->a[1],
                        g->a[2]);
}

static void call_cross_entropy(const sm_kern *k, kc_args *g)
{
    float *dx = g->p[0];
    const float *x = g->variant & 2 ? source_for(g, 1) : in(g, 1);
    g->result[0] = k->cross_entropy(g->variant & 4 ? NULL : dx, x, g->target, g->a[0],
                                    g->variant & 8 ? 0.0f : g->a[1], g->n,
                                    g->variant & 16 ? NULL : &g->result[1]);
}

static void call_exp_sum(const sm_kern *k, kc_args *g)
{
    g->result[0] = k->exp_sum(in(g, 0), g->a[0], g->n);
}

static void call_cross_entropy_bwd(const sm_kern *k, kc_args *g)
{
    ptrdiff_t target = g->variant & 2 ? g->target : g->variant & 4 ? -1 : g->n;
    k->cross_entropy_bwd(g->p[0], source_for(g, 1), target, g->a[0], g->a[1], g->a[2],
                         g->variant & 8 ? 0.0f : g->a[3], g->n);
}

static void call_adamw(const sm_kern *k, kc_args *g)
{
    k->adamw(g->p[0], g->p[1], g->p[2], in(g, 3), g->n, &g->adamw);
}

#define CASE(name) #name, offsetof(sm_kern, name)
#define X                \
    {                    \
        KC_IN, SM_F32, 1 \
    }
#define Y                 \
    {                     \
        KC_OUT, SM_F32, 1 \
    }
#define XY                  \
    {                       \
        KC_INOUT, SM_F32, 1 \
    }
#define HALF             \
    {                    \
        KC_IN, SM_F32, 2 \
    }

const kc_case kc_cases[] = {
    {CASE(sum), 1, {X}, call_sum, 0, 1},
    {CASE(sumsq), 1, {X}, call_sumsq, 0, 1},
    {CASE(dot), 2, {X, X}, call_dot, 0, 1},
    {CASE(max), 1, {X}, call_max, 0, 1},
    {CASE(exp), 2, {Y, X}, call_exp, 0, 1},
    {CASE(log), 2, {Y, X}, call_log, 0, 1},
    {CASE(add), 2, {XY, X}, call_add, 0, 1},
    {CASE(scale), 2, {Y, X}, call_scale, 0, 1},
    {CASE(axpy), 2, {XY, X}, call_axpy, 0, 1},
    {CASE(mul), 3, {Y, X, X}, call_mul, 0, 1},
    {CASE(f32_to_bf16), 2, {{KC_OUT, SM_BF16, 1}, X}, call_f32_to_bf16, 0, 1},
    {CASE(bf16_to_f32), 2, {Y, {KC_IN, SM_BF16, 1}}, call_bf16_to_f32, 0, 1},
    {CASE(softmax), 1, {XY}, call_softmax, 0, 1},
    {CASE(rmsnorm), 3, {Y, X, X}, call_rmsnorm, 1, 1},
    {CASE(rmsnorm_bwd), 5, {XY, XY, X, X, X}, call_rmsnorm_bwd, 1, 1},
    {CASE(swiglu), 3, {Y, X, X}, call_swiglu, 0, 1},
    {CASE(swiglu_bwd), 6, {Y, Y, Y, X, X, X}, call_swiglu_bwd, 0, 1},
    {CASE(sigmoid), 2, {Y, X}, call_sigmoid, 0, 1},
    {CASE(rope), 3, {XY, HALF, HALF}, call_rope, 0, 2},
    {CASE(attn_softmax), 1, {XY}, call_attn_softmax, 0, 1},
    {CASE(attn_softmax_bwd), 2, {XY, XY}, call_attn_softmax_bwd, 0, 1},
    {CASE(cross_entropy), 2, {XY, X}, call_cross_entropy, 1, 1},
    {CASE(exp_sum), 1, {X}, call_exp_sum, 0, 1},
    {CASE(cross_entropy_bwd), 2, {Y, X}, call_cross_entropy_bwd, 1, 1},
    {CASE(adamw), 4, {XY, XY, XY, X}, call_adamw, 0, 1},
};
const int kc_n_cases = sizeof kc_cases / sizeof *kc_cases;

/* Every pointer of the table behind its products has a case; the products themselves are
 * walked entry by entry in products.c. */
int kc_check_complete(void)
{
    int missing = 0;
    for (size_t at = offsetof(sm_kern, sum); at < sizeof(sm_kern);
         at += sizeof(void (*)(void))) {
        bool found = false;
        for (int i = 0; i < kc_n_cases; i++)
            found |= kc_cases[i].entry == at;
        if (!found) {
            printf("kcheck: no case for the entry at byte %zu of sm_kern\n", at);
            missing++;
        }
    }
    return missing;
}
