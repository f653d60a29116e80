/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing of the weights: all at once, or some rows as soon as they have changed, while
 * they are in cache.
 *
 * Invariants:
 *  1. a matrix is packed by the jobs job0 .. job0 + n_job - 1: one an orientation, or one a
 *     slice and run of each; together they read every element once an orientation;
 *  2. matrices do not overlap, and are sorted by where they begin in weight[];
 *  3. a matrix is packed by rows if every tensor that has a part in it begins a multiple of
 *     SM_PACK_UNIT rows before or behind the matrix; then so do ranges of tensors that are
 *     multiples of as many rows, and none of them cuts a panel or a stretch of k.
 */
#include <stdlib.h>

#include "pass.h"

void sm_pass_begin_matrix(sm_pass *p, int64_t at, int64_t n_out, int64_t n_in)
{
    p->pack_matrix[p->n_pack_matrix++] =
        (pack_matrix){.at = at, .n_out = n_out, .n_in = n_in, .job0 = p->n_pack_job};
}

static int compare(const void *a, const void *b)
{
    const pack_matrix *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static bool can_pack_rows(const sm_model *m, const pack_matrix *x)
{
    int64_t end = x->at + x->n_out * x->n_in, unit = SM_PACK_UNIT * x->n_in;
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        const sm_param *q = &m->param[t];
        if (q->offset < end && q->offset + q->n > x->at && (q->offset - x->at) % unit)
            return false;
    }
    return true;
}

void sm_pass_plan_packing(sm_pass *p)
{
    for (int64_t i = 0; i < p->n_pack_matrix; i++) {
        pack_matrix *x = &p->pack_matrix[i];
        int64_t end = i + 1 < p->n_pack_matrix ? x[1].job0 : p->n_pack_job;
        x->n_job = end - x->job0;
        x->by_rows = can_pack_rows(p->c.model, x);
    }
    qsort(p->pack_matrix, (size_t)p->n_pack_matrix, sizeof *p->pack_matrix, compare);
}

sm_status sm_pass_pack(sm_pass *p, sm_err *err)
{
    (void)err;
    if (p->ctx.trace)
        sm_pass_set_pack_label(p, 0, p->n_pack_job);
    sm_weight_pack_many(p->ctx.pool, p->pack_job, p->n_pack_job);
    return SM_OK;
}

void sm_pass_pack_rest(sm_pass *p)
{
    for (int64_t i = 0; i < p->n_pack_matrix; i++) {
        const pack_matrix *x = &p->pack_matrix[i];
        if (x->by_rows)
            continue;
        if (p->ctx.trace)
            sm_pass_set_pack_label(p, x->job0, x->n_job);
        sm_weight_pack_many(p->ctx.pool, p->pack_job + x->job0, x->n_job);
    }
}

/* Rows row0 .. row1 - 1 of a matrix. */
static void pack_rows(const sm_pass *p, const pack_matrix *x, int64_t row0, int64_t row1)
{
    const float *w = p->c.model->weight + x->at;
    for (const sm_pack_job *j = p->pack_job + x->job0, *end = j + x->n_job; j < end; j++) {
        int64_t first = (j->w - w) / x->n_in; /* a slice may be some of the rows */
        int64_t from = row0 > first ? row0 - first : 0;
        int64_t to = row1 - first < j->n_out ? row1 - first : j->n_out;
        if (from < to)
            sm_weight_pack_rows(j, from, to - from);
    }
}

void sm_pass_pack_range(const sm_pass *p, int64_t at, int64_t n)
{
    int64_t low = 0, high = p->n_pack_matrix; /* low: the first that ends behind `at` */
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        const pack_matrix *x = &p->pack_matrix[mid];
        if (x->at + x->n_out * x->n_in <= at)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < p->n_pack_matrix && p->pack_matrix[low].at < at + n; low++) {
        const pack_matrix *x = &p->pack_matrix[low];
        int64_t from = at > x->at ? (at - x->at) / x->n_in : 0;
        int64_t to = (at + n - x->at) / x->n_in;
        if (x->by_rows)
            pack_rows(p, x, from, to < x->n_out ? to : x->n_out);
    }
}
