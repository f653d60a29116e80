/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Best-fit-decreasing bin packing of document pieces into rows, and the order in which
 * training visits the rows.
 *
 * Lengths are small integers, so both halves are bucket methods: a counting sort of the
 * pieces by decreasing length, and one stack of rows for every amount of free space with
 * a bitmap over the stacks that are not empty.  O(n_piece * n_ctx/64) at worst.
 */
#include <stdlib.h>
#include <string.h>

#include "train_internal.h"

/* ------------------------------------------------------------ free space */

typedef struct bins {
    int64_t n_ctx;
    int64_t *head;  /* [n_ctx+1] newest row with that much free space, -1 */
    int64_t *next;  /* [n_piece] rows chained below it                    */
    uint64_t *used; /* bitmap over free space                             */
} bins;

static void bins_push(bins *b, int64_t row, int64_t space)
{
    b->next[row] = b->head[space];
    b->head[space] = row;
    b->used[space / 64] |= UINT64_C(1) << (space % 64);
}

static int64_t lowest_bit(uint64_t x)
{
    int64_t i = 0;
    for (int step = 32; step; step /= 2)
        if (!(x & ((UINT64_C(1) << step) - 1))) {
            x >>= step;
            i += step;
        }
    return i;
}

/* The smallest free space >= want that some row has, -1 when none. */
static int64_t bins_best(const bins *b, int64_t want)
{
    int64_t n_word = b->n_ctx / 64 + 1;
    uint64_t mask = ~UINT64_C(0) << (want % 64);
    for (int64_t w = want / 64; w < n_word; w++, mask = ~UINT64_C(0))
        if (b->used[w] & mask)
            return w * 64 + lowest_bit(b->used[w] & mask);
    return -1;
}

static int64_t bins_pop(bins *b, int64_t space)
{
    int64_t row = b->head[space];
    b->head[space] = b->next[row];
    if (b->head[space] < 0)
        b->used[space / 64] &= ~(UINT64_C(1) << (space % 64));
    return row;
}

static bool bins_init(bins *b, int64_t n_piece, int64_t n_ctx)
{
    b->n_ctx = n_ctx;
    b->head = sm_alloc((size_t)n_ctx + 1, sizeof *b->head);
    b->next = sm_alloc((size_t)n_piece, sizeof *b->next);
    b->used = sm_alloc((size_t)n_ctx / 64 + 1, sizeof *b->used);
    if (!b->head || !b->next || !b->used)
        return false;
    for (int64_t i = 0; i <= n_ctx; i++)
        b->head[i] = -1;
    return true;
}

static void bins_fini(bins *b)
{
    free(b->head);
    free(b->next);
    free(b->used);
}

/* --------------------------------------------------------------- packing */

/* Piece indices by decreasing length, equal ones ascending. */
static bool sort_decreasing(int64_t *order, const piece *p, int64_t n, int64_t n_ctx)
{
    int64_t *at = sm_alloc((size_t)n_ctx + 2, sizeof *at);
    if (!at)
        return false;
    for (int64_t i = 0; i < n; i++)
        at[n_ctx - p[i].len + 1]++;
    for (int64_t l = 1; l <= n_ctx + 1; l++)
        at[l] += at[l - 1];
    for (int64_t i = 0; i < n; i++)
        order[at[n_ctx - p[i].len]++] = i;
    free(at);
    return true;
}

/* Row of every piece; returns the number of rows. */
static int64_t place(int64_t *row_of, bins *b, const int64_t *order, const piece *p,
                     int64_t n)
{
    int64_t n_row = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t len = p[order[i]].len;
        int64_t space = bins_best(b, len);
        int64_t row = space < 0 ? n_row++ : bins_pop(b, space);
        row_of[order[i]] = row;
        bins_push(b, row, (space < 0 ? b->n_ctx : space) - len);
    }
    return n_row;
}

/* Group pieces by row, each row in the order its pieces were placed. */
static void group(packing *k, const int64_t *row_of, const int64_t *placed, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        k->first[row_of[i] + 1]++;
    for (int64_t r = 0; r < k->n_row; r++)
        k->first[r + 1] += k->first[r];
    for (int64_t i = 0; i < n; i++)
        k->order[k->first[row_of[placed[i]]]++] = placed[i];
    for (int64_t r = k->n_row; r > 0; r--)
        k->first[r] = k->first[r - 1];
    k->first[0] = 0;
}

sm_status train_pack(packing *out, const piece *p, int64_t n_piece, int64_t n_ctx,
                     sm_err *err)
{
    packing k = {0};
    bins b = {0};
    size_t n = (size_t)n_piece;
    int64_t *placed = sm_alloc(n, sizeof *placed);
    int64_t *row_of = sm_alloc(n, sizeof *row_of);
    sm_status s = SM_ENOMEM;
    k.order = sm_alloc(n, sizeof *k.order);
    if (!placed || !row_of || !k.order || !bins_init(&b, n_piece, n_ctx) ||
        !sort_decreasing(placed, p, n_piece, n_ctx))
        goto done;
    k.n_row = place(row_of, &b, placed, p, n_piece);
    k.first = sm_alloc((size_t)k.n_row + 1, sizeof *k.first);
    if (!k.first)
        goto done;
    group(&k, row_of, placed, n_piece);
    *out = k;
    k = (packing){0};
    s = SM_OK;
done:
    bins_fini(&b);
    free(placed);
    free(row_of);
    free(k.order);
    free(k.first);
    return s ? sm_fail(err, s, "token data: packing %lld pieces: out of memory",
                       (long long)n_piece)
             : SM_OK;
}

/* ----------------------------------------------------------------- order */

/* One Feistel pass over 2*half bits. */
static uint64_t feistel(uint64_t x, unsigned half, uint64_t seed, uint32_t epoch)
{
    uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t l = x >> half, r = x & mask;
    for (uint64_t round = 0; round < 6; round++) {
        uint64_t f = sm_rng_u64(seed, SM_STREAM_DATA, epoch, round << 32 | r) & mask;
        uint64_t next = l ^ f;
        l = r;
        r = next;
    }
    return l << half | r;
}

int64_t sm_shuffle_index(uint64_t seed, uint32_t epoch, int64_t n, int64_t i)
{
    unsigned half = 1;
    while (half < 31 && (UINT64_C(1) << (2 * half)) < (uint64_t)n)
        half++;
    uint64_t x = (uint64_t)i;
    do /* at most four times as many values as wanted: short walks */
        x = feistel(x, half, seed, epoch);
    while (x >= (uint64_t)n);
    return (int64_t)x;
}
