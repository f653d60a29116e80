/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products: random shapes, strides, source types and hostile values against the
 * reference; then three identities of one rung with itself: packing in pieces writes the
 * same bytes, and splitting i, j, or k at a multiple of 32 gives the same C.
 */
#include <stdlib.h>

#include "kcheck.h"

typedef struct shape {
    ptrdiff_t m, n, k, ldc;
    bool is_f32, accumulate, a_columns, b_columns;
    sm_dtype type_a, type_b;
    int mode;
    uint64_t seed;
} shape;

typedef struct operands {
    kc_buffer a, b, c, packed_a, packed_b;
} operands;

static const sm_prod *product_of(const sm_kern *k, const shape *s)
{
    return s->is_f32 ? &k->f32 : &k->bf16;
}

static void operands_free(operands *o)
{
    kc_buffer_free(&o->a);
    kc_buffer_free(&o->b);
    kc_buffer_free(&o->c);
    kc_buffer_free(&o->packed_a);
    kc_buffer_free(&o->packed_b);
}

static void fill_matrix(kc_buffer *b, sm_dtype type, ptrdiff_t n, int mode, kc_rng *r)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        float x = kc_value(r, mode);
        if (type == SM_BF16)
            ((uint16_t *)(void *)b->data)[i] = (uint16_t)(sm_bits(x) >> 16);
        else
            ((float *)(void *)b->data)[i] = x;
    }
}

static bool operands_create(operands *o, const sm_prod *p, const shape *s)
{
    *o = (operands){0};
    kc_rng r = {s->seed};
    size_t size_a = s->type_a == SM_BF16 ? 2 : 4, size_b = s->type_b == SM_BF16 ? 2 : 4;
    size_t shift = (size_t)kc_below(&r, 16) * 4;
    if (!kc_buffer_create(&o->a, (size_t)(s->m * s->k) * size_a, shift) ||
        !kc_buffer_create(&o->b, (size_t)(s->n * s->k) * size_b, shift) ||
        !kc_buffer_create(&o->c, (size_t)(s->m * s->ldc) * 4, shift) ||
        !kc_buffer_create(&o->packed_a, p->bytes_a(s->m, s->k), 0) ||
        !kc_buffer_create(&o->packed_b, p->bytes_b(s->n, s->k), 0))
        return false;
    fill_matrix(&o->a, s->type_a, s->m * s->k, s->mode, &r);
    fill_matrix(&o->b, s->type_b, s->n * s->k, s->mode, &r);
    fill_matrix(&o->c, SM_F32, s->m * s->ldc, s->mode, &r);
    return true;
}

/* Rows i..i+rows of A into `dst`; likewise B. */
static void pack_rows_a(const sm_prod *p, const shape *s, const operands *o, void *dst,
                        ptrdiff_t i, ptrdiff_t rows)
{
    size_t size = s->type_a == SM_BF16 ? 2 : 4;
    ptrdiff_t row = s->a_columns ? 1 : s->k, col = s->a_columns ? s->m : 1;
    p->pack_a(dst, o->a.data + (size_t)(i * row) * size, s->type_a, rows, s->k, row, col);
}

static void pack_rows_b(const sm_prod *p, const shape *s, const operands *o, void *dst,
                        ptrdiff_t j, ptrdiff_t rows)
{
    size_t size = s->type_b == SM_BF16 ? 2 : 4;
    ptrdiff_t row = s->b_columns ? 1 : s->k, col = s->b_columns ? s->n : 1;
    p->pack_b(dst, o->b.data + (size_t)(j * row) * size, s->type_b, rows, s->k, row, col);
}

static bool multiply(const sm_prod *p, const shape *s, operands *o)
{
    if (!operands_create(o, p, s))
        return false;
    pack_rows_a(p, s, o, o->packed_a.data, 0, s->m);
    pack_rows_b(p, s, o, o->packed_b.data, 0, s->n);
    p->gemm((float *)(void *)o->c.data, s->ldc, o->packed_a.data, o->packed_b.data, s->m,
            s->n, s->k, s->accumulate);
    return kc_buffer_intact(&o->c) && kc_buffer_intact(&o->packed_a) &&
           kc_buffer_intact(&o->packed_b);
}

static void print_shape(const kc_run *run, const shape *s, const char *what)
{
    printf(
        "FAIL %s %s %s: m=%td n=%td k=%td ldc=%td accumulate=%d A=%s%s B=%s%s inputs=%s "
        "seed=%llu\n",
        run->label, s->is_f32 ? "f32/1" : "bf16/1", what, s->m, s->n, s->k, s->ldc,
        s->accumulate, s->type_a == SM_BF16 ? "bf16" : "f32", s->a_columns ? "^T" : "",
        s->type_b == SM_BF16 ? "bf16" : "f32", s->b_columns ? "^T" : "",
        kc_mode_name(s->mode), (unsigned long long)s->seed);
}

static bool check_against_ref(const kc_run *run, const shape *s)
{
    operands a, b;
    bool ok = multiply(product_of(run->ref, s), s, &a);
    bool intact = multiply(product_of(run->rung, s), s, &b);
    ptrdiff_t at = -1;
    if (ok && intact)
        at = kc_compare(a.c.data, b.c.data, SM_F32, s->m * s->ldc);
    if (!ok || !intact || at >= 0) {
        print_shape(run, s, intact ? "differs from ref" : "guard bytes or memory");
        if (at >= 0)
            printf("  C[%td,%td]: ref %a, rung %a\n", at / s->ldc, at % s->ldc,
                   (double)((float *)(void *)a.c.data)[at],
                   (double)((float *)(void *)b.c.data)[at]);
        ok = false;
    }
    operands_free(&a);
    operands_free(&b);
    return ok;
}

/* Packing rows from a panel on writes what packing everything writes there. */
static bool check_pack_pieces(const kc_run *run, const shape *s)
{
    const sm_prod *p = product_of(run->rung, s);
    operands whole, pieces;
    bool ok = multiply(p, s, &whole) && operands_create(&pieces, p, s);
    if (ok) {
        ptrdiff_t i = s->m / 2 / p->mr * p->mr, j = s->n / 2 / p->nr * p->nr;
        unsigned char *a = pieces.packed_a.data, *b = pieces.packed_b.data;
        pack_rows_a(p, s, &pieces, a + p->offset_a(i, s->k), i, s->m - i);
        pack_rows_a(p, s, &pieces, a, 0, i);
        pack_rows_b(p, s, &pieces, b + p->offset_b(j, s->k), j, s->n - j);
        pack_rows_b(p, s, &pieces, b, 0, j);
        ok = memcmp(a, whole.packed_a.data, whole.packed_a.bytes) == 0 &&
             memcmp(b, whole.packed_b.data, whole.packed_b.bytes) == 0;
        operands_free(&pieces);
    }
    operands_free(&whole);
    if (!ok)
        print_shape(run, s, "packed in pieces differs");
    return ok;
}

/* C in four quarters equals C at once. */
static bool check_split_c(const kc_run *run, const shape *s)
{
    const sm_prod *p = product_of(run->rung, s);
    operands whole, parts;
    bool ok = multiply(p, s, &whole) && operands_create(&parts, p, s);
    if (ok) {
        ptrdiff_t i = s->m / 2 / p->mr * p->mr, j = s->n / 2 / p->nr * p->nr;
        ptrdiff_t is[3] = {0, i, s->m}, js[3] = {0, j, s->n};
        float *c = (float *)(void *)parts.c.data;
        for (int q = 0; q < 4; q++) {
            ptrdiff_t i0 = is[q / 2], j0 = js[q % 2];
            p->gemm(c + i0 * s->ldc + j0, s->ldc,
                    whole.packed_a.data + p->offset_a(i0, s->k),
                    whole.packed_b.data + p->offset_b(j0, s->k), is[q / 2 + 1] - i0,
                    js[q % 2 + 1] - j0, s->k, s->accumulate);
        }
        ok = kc_compare(whole.c.data, c, SM_F32, s->m * s->ldc) < 0;
        operands_free(&parts);
    }
    operands_free(&whole);
    if (!ok)
        print_shape(run, s, "split over i and j differs");
    return ok;
}

/* k = 32q, then the rest with accumulate, equals k at once. */
static bool check_split_k(const kc_run *run, const shape *s)
{
    if (s->k < 64 || s->a_columns || s->b_columns)
        return true;
    const sm_prod *p = product_of(run->rung, s);
    operands whole, parts;
    bool ok = multiply(p, s, &whole) && operands_create(&parts, p, s);
    if (ok) {
        ptrdiff_t k0 = s->k / 64 * 32;
        float *c = (float *)(void *)parts.c.data;
        for (int half = 0; half < 2; half++) {
            ptrdiff_t from = half ? k0 : 0, k = half ? s->k - k0 : k0;
            size_t size_a = s->type_a == SM_BF16 ? 2 : 4,
                   size_b = s->type_b == SM_BF16 ? 2 : 4;
            p->pack_a(parts.packed_a.data, parts.a.data + (size_t)from * size_a,
                      s->type_a, s->m, k, s->k, 1);
            p->pack_b(parts.packed_b.data, parts.b.data + (size_t)from * size_b,
                      s->type_b, s->n, k, s->k, 1);
            p->gemm(c, s->ldc, parts.packed_a.data, parts.packed_b.data, s->m, s->n, k,
                    half || s->accumulate);
        }
        ok = kc_compare(whole.c.data, c, SM_F32, s->m * s->ldc) < 0;
        operands_free(&parts);
    }
    operands_free(&whole);
    if (!ok)
        print_shape(run, s, "split over k differs");
    return ok;
}

static shape random_shape(kc_rng *r, int trial)
{
    bool large = trial % 8 == 7, deep = trial % 64 >= 62; /* several stretches of k */
    shape s = {.m = 1 + kc_below(r, large ? 300 : 40),
               .n = 1 + kc_below(r, large ? 150 : 80),
               .k = trial % 16 / 2 == 1 ? 0
                                        : kc_below(r, deep    ? 3500
                                                      : large ? 700
                                                              : 130),
               .is_f32 = trial & 1,
               .accumulate = kc_next(r) & 1,
               .a_columns = kc_next(r) & 1,
               .b_columns = kc_next(r) & 1,
               .type_a = kc_next(r) & 1 ? SM_BF16 : SM_F32,
               .type_b = kc_next(r) & 1 ? SM_BF16 : SM_F32,
               .mode = trial / 2 % KC_N_MODES,
               .seed = kc_next(r)};
    s.ldc = s.n + kc_below(r, 6);
    return s;
}

void kc_check_products(kc_run *run)
{
    kc_rng r = {run->seed};
    for (int t = 0; t < run->trials && run->n_failures < 5; t++) {
        shape s = random_shape(&r, t);
        if (!kc_wanted(run, s.is_f32 ? "f32/1" : "bf16/1"))
            continue;
        bool ok = check_against_ref(run, &s) && check_pack_pieces(run, &s) &&
                  check_split_c(run, &s) && check_split_k(run, &s);
        run->n_failures += !ok;
        run->n_checks += 4;
    }
}

/* The sliver where tininess after rounding shows: 2^-126 - 2^-150 is representable in 24
 * bits with an unbounded exponent but lies below 2^-126, so it becomes zero; IEEE fmaf
 * and a flush of denormals afterwards would give 2^-126. */
void kc_check_directed(kc_run *run)
{
    float a[64] = {[0] = 0x1p-63f, [2] = -0x1p-75f},
          b[64] = {[0] = 0x1p-63f, [2] = 0x1p-75f};
    for (int is_f32 = 0; is_f32 < 2; is_f32++) {
        const sm_prod *p = is_f32 ? &run->rung->f32 : &run->rung->bf16;
        void *pa = sm_aligned_alloc(p->bytes_a(1, 64)),
             *pb = sm_aligned_alloc(p->bytes_b(1, 64));
        float c = 7.0f, y = 0x1p-126f;
        if (pa && pb) {
            p->pack_a(pa, a, SM_F32, 1, 64, 64, 1);
            p->pack_b(pb, b, SM_F32, 1, 64, 64, 1);
            p->gemm(&c, 1, pa, pb, 1, 1, 64, false);
        }
        run->rung->axpy(&y, -0x1p-75f, &(float){0x1p-75f}, 1);
        if (sm_bits(c) != 0 || sm_bits(y) != 0) {
            printf("FAIL %s %s: 2^-126 - 2^-150 gave %a (axpy %a), want 0\n", run->label,
                   p->profile, (double)c, (double)y);
            run->n_failures++;
        }
        run->n_checks++;
        sm_aligned_free(pa);
        sm_aligned_free(pb);
    }
}
