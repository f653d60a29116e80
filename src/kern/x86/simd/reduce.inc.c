/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions in 32 lanes, held in 32/W vectors.  EACH_BLOCK runs a statement for every
 * vector of every block of 32 elements, the last one padded: v is the vector's place in
 * its block, i its first element, count how many of its elements exist (may be <= 0).
 */
enum { N_ACC = 32 / W };

#define EACH_BLOCK(n, statement)                                              \
    do {                                                                      \
        ptrdiff_t base = 0;                                                   \
        for (; base + 32 <= (n); base += 32)                                  \
            for (int v = 0; v < N_ACC; v++) {                                 \
                const ptrdiff_t i = base + v * W, count = W;                  \
                statement;                                                    \
            }                                                                 \
        if (base < (n))                                                       \
            for (int v = 0; v < N_ACC; v++) {                                 \
                const ptrdiff_t left = (n)-base - v * W;                      \
                const ptrdiff_t count = left < W ? (left > 0 ? left : 0) : W; \
                const ptrdiff_t i = count > 0 ? base + v * W : base;          \
                statement;                                                    \
            }                                                                 \
    } while (0)

static inline float fold_lanes(const vf acc[N_ACC])
{
    vf a[N_ACC];
    for (int v = 0; v < N_ACC; v++)
        a[v] = acc[v];
    for (int h = N_ACC / 2; h >= 1; h /= 2)
        for (int v = 0; v < h; v++)
            a[v] = vadd(a[v], a[v + h]);
    return fold_add(a[0]);
}

static inline void clear_lanes(vf acc[N_ACC])
{
    for (int v = 0; v < N_ACC; v++)
        acc[v] = vzero();
}

static float sum(const float *x, ptrdiff_t n)
{
    vf acc[N_ACC];
    clear_lanes(acc);
    EACH_BLOCK(n, acc[v] = vadd(acc[v], get(x + i, count)));
    return fold_lanes(acc);
}

static float sumsq(const float *x, ptrdiff_t n)
{
    vf acc[N_ACC];
    clear_lanes(acc);
    EACH_BLOCK(n, vf a = get(x + i, count); acc[v] = vfma(a, a, acc[v]));
    return fold_lanes(acc);
}

static float dot(const float *x, const float *y, ptrdiff_t n)
{
    vf acc[N_ACC];
    clear_lanes(acc);
    EACH_BLOCK(n, acc[v] = vfma(get(x + i, count), get(y + i, count), acc[v]));
    return fold_lanes(acc);
}

/* Lanes never hold a NaN, so their order does not matter but for the sign of zero, which
 * + 0.0 removes. */
static float max_of(const float *x, ptrdiff_t n)
{
    vf low = vset(-INFINITY), acc[N_ACC];
    for (int v = 0; v < N_ACC; v++)
        acc[v] = low;
    EACH_BLOCK(n, acc[v] = vmax(blend_first(get(x + i, count), low, count), acc[v]));
    for (int v = 1; v < N_ACC; v++)
        acc[0] = vmax(acc[v], acc[0]);
    return fold_max(acc[0]) + 0.0f;
}
