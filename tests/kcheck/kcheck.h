/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kcheck: every kernel of the table at every rung, compared with the reference bit for
 * bit, checked against double arithmetic, and timed, from one definition a kernel. To add
 * a kernel: one kc_case in cases.c (a missing one fails the completeness check).
 */
#ifndef KCHECK_H
#define KCHECK_H

#include <stdio.h>

#include "internal.h"
#include "smelt/kern.h"
#include "smelt/sys.h"

enum { KC_MAX_ARRAYS = 6, KC_MAX_RESULTS = 9 };

/* Usual coefficients of AdamW: early steps at rate 1e-3 with a decay of 0.1. */
#define KC_ADAMW {0.5f, 0.9f, 0.1f, 0.95f, 0.05f, 0.5f, 1e-8f, 0.9999f, 2e-3f}

/* What a call gets.  Scalars are filled at random; a case uses those it needs. */
typedef struct kc_args {
    ptrdiff_t n;
    void *p[KC_MAX_ARRAYS];
    float a[4];
    unsigned variant; /* random bits for flags, NULL options and aliasing; 0 in benches */
    int32_t target;   /* 0..n-1 */
    sm_adamw adamw;
    float result[KC_MAX_RESULTS];
} kc_args;

typedef enum kc_direction { KC_IN, KC_OUT, KC_INOUT } kc_direction;

typedef struct kc_array {
    kc_direction direction;
    sm_dtype type;
    int divisor; /* length n / divisor */
} kc_array;

typedef struct kc_case {
    const char *name;
    size_t entry; /* offset of the pointer in sm_kern */
    int n_arrays;
    kc_array arrays[KC_MAX_ARRAYS];
    void (*call)(const sm_kern *k, kc_args *g);
    ptrdiff_t min_n, unit; /* n is a multiple of unit, at least min_n */
} kc_case;

extern const kc_case kc_cases[];
extern const int kc_n_cases;

/* Random bits: splitmix64, printable seed. */
typedef struct kc_rng {
    uint64_t state;
} kc_rng;
uint64_t kc_next(kc_rng *r);
ptrdiff_t kc_below(kc_rng *r, ptrdiff_t n);

/* Kinds of input, from ordinary to hostile. */
enum {
    KC_ORDINARY,  /* in (-8, 8) */
    KC_WIDE,      /* in (-128, 128), beyond the range of exp */
    KC_ANY_BITS,  /* any 32 bits */
    KC_UNDERFLOW, /* products near 2^-126 */
    KC_OVERFLOW,  /* products near 2^128 */
    KC_SPECIAL,   /* ordinary with zeros, denormals, infinities, NaN */
    KC_SPARSE,    /* zeros of both signs and a few tiny values */
    KC_N_MODES
};
const char *kc_mode_name(int mode);
float kc_value(kc_rng *r, int mode);

/* A buffer between guards at a chosen misalignment. */
typedef struct kc_buffer {
    unsigned char *base, *data;
    size_t bytes, total;
} kc_buffer;
bool kc_buffer_create(kc_buffer *b, size_t bytes, size_t misalign);
bool kc_buffer_intact(const kc_buffer *b);
void kc_buffer_free(kc_buffer *b);

/* First differing element or -1; any NaN equals any NaN. */
ptrdiff_t kc_compare(const void *a, const void *b, sm_dtype type, ptrdiff_t n);

/* What to run and where the counts go. */
typedef struct kc_run {
    const sm_kern *ref, *rung;
    const char *label, *pattern; /* pattern NULL = all */
    uint64_t seed;
    int trials;
    long n_checks, n_failures;
} kc_run;
bool kc_wanted(const kc_run *run, const char *name);

void kc_check_cases(kc_run *run);
void kc_check_products(kc_run *run);
void kc_check_directed(kc_run *run);
void kc_check_sweep(kc_run *run, uint32_t stride);
int kc_check_complete(void);
int kc_check_tile_model(void);
int kc_oracle(uint64_t seed);
/* Ceilings of one thread at a rung, 0 where this machine has none: GFLOP/s of products,
 * GB/s of loads from L1. */
double kc_product_peak(const sm_kern *k, const sm_prod *p);
double kc_read_peak(const sm_kern *k);
int kc_bench(const sm_kern *const *rungs, int n_rungs, const char *pattern);

/* The amx rung with its tile unit in software; false where AVX-512 is missing. */
bool kc_amx_model(sm_kern *out);

#endif
