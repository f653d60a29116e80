/* SPDX-License-Identifier: Apache-2.0 */
/* smelt train --find-lr: a range test as a table, a plot of text, and a suggestion. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"
#include "smelt/train.h"

enum { PLOT_ROWS = 12, PLOT_COLS = 64, TABLE_ROWS = 20 };

static json_t *to_json(const sm_lr_range *r)
{
    json_t *points = json_array();
    for (int64_t i = 0; i < r->n; i++)
        json_array_append_new(points, json_pack("{s:f, s:f, s:f}", "lr", r->point[i].lr,
                                                "loss", r->point[i].loss, "smooth",
                                                r->point[i].smooth));
    return json_pack("{s:o, s:b, s:f, s:f, s:f}", "points", points, "diverged",
                     r->has_diverged, "steepest_lr", r->point[r->steepest].lr,
                     "lowest_lr", r->point[r->lowest].lr, "suggestion", r->suggestion);
}

static void print_table(const sm_lr_range *r)
{
    int64_t every = (r->n + TABLE_ROWS - 1) / TABLE_ROWS;
    printf("%10s  %9s  %9s\n", "lr", "loss", "smoothed");
    for (int64_t i = 0; i < r->n; i++)
        if (i % every == 0 || i == r->n - 1)
            printf("%10.3g  %9.4f  %9.4f\n", r->point[i].lr, r->point[i].loss,
                   r->point[i].smooth);
}

static int64_t point_of_col(const sm_lr_range *r, int col, int n_col)
{
    return n_col > 1 ? col * (r->n - 1) / (n_col - 1) : 0;
}

/* Smoothed loss against log lr; | marks the column of the suggestion. */
static void print_plot(const sm_lr_range *r)
{
    int n_col = r->n < PLOT_COLS ? (int)r->n : PLOT_COLS, mark = -1;
    double lo = r->point[0].smooth, hi = lo;
    for (int64_t i = 0; i < r->n; i++) {
        lo = r->point[i].smooth < lo ? r->point[i].smooth : lo;
        hi = r->point[i].smooth > hi ? r->point[i].smooth : hi;
    }
    for (int c = 0; c < n_col && r->suggestion > 0; c++)
        if (r->point[point_of_col(r, c, n_col)].lr <= r->suggestion)
            mark = c;
    double unit = hi > lo ? (hi - lo) / (PLOT_ROWS - 1) : 1;
    printf("\n");
    for (int row = PLOT_ROWS - 1; row >= 0; row--) {
        char line[PLOT_COLS + 1];
        for (int c = 0; c < n_col; c++) {
            double y = r->point[point_of_col(r, c, n_col)].smooth;
            bool is_here = (int)((y - lo) / unit + 0.5) == row;
            line[c] = is_here ? '*' : c == mark ? '|' : ' ';
        }
        line[n_col] = 0;
        printf("%9.3f |%s\n", lo + unit * row, line);
    }
    printf("%10s+", "");
    for (int c = 0; c < n_col; c++)
        putchar('-');
    printf("\n%11s%-*.3g %.3g  (lr)\n\n", "", n_col > 6 ? n_col - 6 : n_col,
           r->point[0].lr, r->point[r->n - 1].lr);
}

static void print_range(const sm_lr_range *r)
{
    print_table(r);
    print_plot(r);
    printf("%s\n", r->has_diverged ? "the loss broke at the last rate shown"
                                   : "the loss did not break; a higher --find-lr-max "
                                     "would show more");
    if (r->suggestion > 0)
        printf("falls fastest at %.2g, is lowest at %.2g\nsuggestion: --lr %.2g\n",
               r->point[r->steepest].lr, r->point[r->lowest].lr, r->suggestion);
    else
        printf("no suggestion: the loss never fell; try other rates or more steps\n");
}

static sm_status find(sm_lr_range *out, app *a, const step_request *r, const args *in,
                      sm_err *err)
{
    const sm_ctx *ctx;
    sm_store *store;
    sm_status s = app_store(&store, a, err);
    if (!s)
        s = app_ctx(&ctx, a, err);
    if (!s)
        s = sm_flow_find_lr(out, ctx, store, r->ref, r->n_ref, r->options, "train",
                            sm_opt_int(in->opt, "find_lr_steps"),
                            sm_opt_float(in->opt, "find_lr_min"),
                            sm_opt_float(in->opt, "find_lr_max"), err);
    return s;
}

int run_find_lr(app *a, const verb *self, const args *in)
{
    sm_err err = {0};
    step_request r = {0};
    sm_lr_range range = {0};
    int rc = EXIT_GOOD;
    sm_status s = step_request_read(&r, self, in, &err);
    if (!s)
        s = find(&range, a, &r, in, &err);
    app_settle(a);
    if (s)
        rc = app_fail(a, s, &err);
    else if (a->json)
        rc = app_print_json(to_json(&range));
    else
        print_range(&range);
    sm_lr_range_free(&range);
    step_request_free(&r);
    return rc;
}
