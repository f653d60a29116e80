/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the cases on the reference and on a rung with the same inputs and compares every
 * byte they wrote. */
#include "kcheck.h"

typedef struct side {
    kc_args args;
    kc_buffer buffers[KC_MAX_ARRAYS];
} side;

static void side_free(side *s)
{
    for (int i = 0; i < KC_MAX_ARRAYS; i++)
        kc_buffer_free(&s->buffers[i]);
}

static size_t element_bytes(sm_dtype type)
{
    return type == SM_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static bool side_create(side *s, const kc_case *c, ptrdiff_t n, kc_rng shifts)
{
    *s = (side){0};
    for (int i = 0; i < c->n_arrays; i++) {
        size_t size = element_bytes(c->arrays[i].type);
        size_t misalign = (size_t)kc_below(&shifts, 64 / (ptrdiff_t)size) * size;
        if (!kc_buffer_create(&s->buffers[i], (size_t)(n / c->arrays[i].divisor) * size,
                              misalign))
            return false;
        s->args.p[i] = s->buffers[i].data;
    }
    s->args.n = n;
    return true;
}

static void fill_scalars(kc_args *g, kc_rng *r, int mode)
{
    for (int i = 0; i < 4; i++)
        g->a[i] = kc_value(r, mode);
    g->variant = (unsigned)kc_next(r);
    g->target = (int32_t)kc_below(r, g->n);
    g->adamw = (sm_adamw)KC_ADAMW;
    if (g->variant & 1)
        g->adamw = (sm_adamw){kc_value(r, mode), kc_value(r, mode), kc_value(r, mode),
                              kc_value(r, mode), kc_value(r, mode), kc_value(r, mode),
                              kc_value(r, mode), kc_value(r, mode), kc_value(r, mode)};
}

static void fill(side *s, const kc_case *c, kc_rng r, int mode)
{
    fill_scalars(&s->args, &r, mode);
    for (int i = 0; i < c->n_arrays; i++) {
        ptrdiff_t n = s->args.n / c->arrays[i].divisor;
        for (ptrdiff_t j = 0; j < n; j++) {
            float x = kc_value(&r, mode);
            if (c->arrays[i].type == SM_BF16)
                ((uint16_t *)s->args.p[i])[j] = (uint16_t)(sm_bits(x) >> 16);
            else
                memcpy((char *)s->args.p[i] + (size_t)j * sizeof x, &x, sizeof x);
        }
    }
}

/* -1 when equal, else the array (or KC_MAX_ARRAYS for a result) that differs. */
static int differing(const side *a, const side *b, const kc_case *c, ptrdiff_t *where)
{
    *where = kc_compare(a->args.result, b->args.result, SM_F32, KC_MAX_RESULTS);
    if (*where >= 0)
        return KC_MAX_ARRAYS;
    for (int i = 0; i < c->n_arrays; i++) {
        *where = kc_compare(a->args.p[i], b->args.p[i], c->arrays[i].type,
                            a->args.n / c->arrays[i].divisor);
        if (*where >= 0)
            return i;
    }
    return -1;
}

static void print_difference(const kc_case *c, const side *a, const side *b, int array,
                             ptrdiff_t where)
{
    if (array == KC_MAX_ARRAYS) {
        printf("  result %td: ref %a, rung %a\n", where, (double)a->args.result[where],
               (double)b->args.result[where]);
    } else if (c->arrays[array].type == SM_BF16) {
        printf("  array %d element %td: ref %04x, rung %04x\n", array, where,
               ((const uint16_t *)a->args.p[array])[where],
               ((const uint16_t *)b->args.p[array])[where]);
    } else {
        printf("  array %d element %td: ref %a, rung %a\n", array, where,
               (double)((const float *)a->args.p[array])[where],
               (double)((const float *)b->args.p[array])[where]);
    }
}

static bool check_once(kc_run *run, const kc_case *c, ptrdiff_t n, int mode,
                       uint64_t seed)
{
    kc_rng r = {seed};
    kc_next(&r);
    side a, b;
    bool ok = side_create(&a, c, n, r);
    ok = side_create(&b, c, n, r) && ok;
    if (ok) {
        fill(&a, c, r, mode);
        fill(&b, c, r, mode);
        c->call(run->ref, &a.args);
        c->call(run->rung, &b.args);
        ptrdiff_t where;
        int array = differing(&a, &b, c, &where);
        bool intact = true;
        for (int i = 0; i < c->n_arrays; i++)
            intact = intact && kc_buffer_intact(&b.buffers[i]);
        if (array >= 0 || !intact) {
            printf("FAIL %s %s: n=%td inputs=%s variant=%#x seed=%llu%s\n", run->label,
                   c->name, n, kc_mode_name(mode), a.args.variant,
                   (unsigned long long)seed, intact ? "" : " guard bytes overwritten");
            if (array >= 0)
                print_difference(c, &a, &b, array, where);
            ok = false;
        }
    } else {
        printf("FAIL %s: out of memory\n", c->name);
    }
    side_free(&a);
    side_free(&b);
    return ok;
}

/* Every length up to 70, then random ones. */
static ptrdiff_t length_of(const kc_case *c, int trial, kc_rng *r)
{
    ptrdiff_t n = trial < 70 ? trial : kc_below(r, trial % 8 ? 300 : 3000);
    n -= n % c->unit;
    return n < c->min_n ? c->min_n : n;
}

void kc_check_cases(kc_run *run)
{
    for (int i = 0; i < kc_n_cases; i++) {
        const kc_case *c = &kc_cases[i];
        if (!kc_wanted(run, c->name))
            continue;
        kc_rng r = {run->seed + (uint64_t)i * 1000003u};
        int failures = 0;
        for (int t = 0; t < run->trials && failures < 3; t++)
            for (int mode = 0; mode < KC_N_MODES && failures < 3; mode++) {
                ptrdiff_t n = length_of(c, t, &r);
                failures += !check_once(run, c, n, mode, kc_next(&r));
                run->n_checks++;
            }
        run->n_failures += failures;
    }
}

/* 4096 patterns of 32 bits from `first` on, `stride` apart, through one case. */
static bool check_batch(kc_run *run, const kc_case *c, uint32_t first, uint32_t stride)
{
    enum { BATCH = 4096 };
    static float x[BATCH], a[BATCH], b[BATCH];
    for (uint32_t j = 0; j < BATCH; j++)
        x[j] = sm_from_bits(first + j * stride);
    kc_args ga = {.n = BATCH, .p = {a, x}}, gb = {.n = BATCH, .p = {b, x}};
    c->call(run->ref, &ga);
    c->call(run->rung, &gb);
    ptrdiff_t at = kc_compare(a, b, c->arrays[0].type, BATCH);
    if (at >= 0)
        printf("FAIL %s %s(%a): bits %08x\n", run->label, c->name, (double)x[at],
               sm_bits(x[at]));
    return at < 0;
}

/* Every pattern near the places where a definition changes branch, then every stride-th
 * of all 2^32. */
static bool sweep(kc_run *run, const kc_case *c, uint32_t stride)
{
    static const float places[] = {
        0.0f, 88.72283f,      -87.33654f,      0x1p-126f,
        1.0f, 0x1.6a09e6p-1f, 0x1.fffffep127f, -0x1.fffffep127f};
    bool ok = true;
    for (size_t i = 0; i < sizeof places / sizeof *places && ok; i++)
        ok = check_batch(run, c, sm_bits(places[i]) - 2048, 1);
    for (uint64_t bits = 0; bits <= UINT32_MAX && ok; bits += UINT64_C(4096) * stride)
        ok = check_batch(run, c, (uint32_t)bits, stride);
    return ok;
}

void kc_check_sweep(kc_run *run, uint32_t stride)
{
    static const char *const names[] = {"exp", "log", "sigmoid", "f32_to_bf16"};
    for (int i = 0; i < kc_n_cases; i++) {
        bool is_swept = false;
        for (size_t q = 0; q < sizeof names / sizeof *names; q++)
            is_swept |= strcmp(kc_cases[i].name, names[q]) == 0;
        if (!is_swept || !kc_wanted(run, kc_cases[i].name))
            continue;
        run->n_failures += !sweep(run, &kc_cases[i], stride);
        run->n_checks++;
    }
}
