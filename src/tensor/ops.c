/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operations: what each costs as a function of its shape, what it keeps for
 * its backward, how it may be cut.  To add one: an entry here, its routines in a file of
 * their own, a test of its gradient.  A product of m x n x k counts 2mnk FLOPs, other
 * operations a few a value.
 */
#include <string.h>

#include "smelt/tensor.h"

static double linear_forward(const sm_op_shape *s)
{
    return 2 * s->n_tok * s->n_out * s->n_in;
}

static double linear_backward(const sm_op_shape *s)
{
    return 2 * linear_forward(s);
}

static double linear_moved(const sm_op_shape *s)
{
    return 4 * (s->n_tok * (s->n_out + s->n_in) + s->n_out * s->n_in);
}

static double linear_saved(const sm_op_shape *s)
{
    return 4 * s->n_tok * s->n_in;
}

/* Scores and mixing: two products of n_tok x n_ctx x d_head a head. */
static double attention_forward(const sm_op_shape *s)
{
    return 4 * s->n_tok * s->n_ctx * s->n_head * s->d_head;
}

/* dV, dP, dQ, dK, and the scores again. */
static double attention_backward(const sm_op_shape *s)
{
    return 10 * s->n_tok * s->n_ctx * s->n_head * s->d_head;
}

static double attention_moved(const sm_op_shape *s)
{
    return 4 * s->n_tok * (2 * s->n_head + 2 * s->n_kv_head) * s->d_head;
}

static double attention_saved(const sm_op_shape *s)
{
    return attention_moved(s) + 8 * s->n_tok * s->n_head;
}

static double row_cost(const sm_op_shape *s)
{
    return 4 * s->n_tok * s->n_out;
}

static double row_cost_twice(const sm_op_shape *s)
{
    return 2 * row_cost(s);
}

static double row_moved(const sm_op_shape *s)
{
    return 8 * s->n_tok * s->n_out;
}

static double row_saved(const sm_op_shape *s)
{
    return 4 * s->n_tok * s->n_out;
}

static double swiglu_saved(const sm_op_shape *s)
{
    return 8 * s->n_tok * s->n_out;
}

static double rope_cost(const sm_op_shape *s)
{
    return 3 * s->n_tok * (s->n_head + s->n_kv_head) * s->d_head;
}

static double rope_moved(const sm_op_shape *s)
{
    return 8 * s->n_tok * (s->n_head + s->n_kv_head) * s->d_head;
}

static double scalar_saved(const sm_op_shape *s)
{
    return 4 * s->n_tok;
}

static double route_forward(const sm_op_shape *s)
{
    return s->n_tok * s->n_expert * (s->k_expert + 4);
}

static double route_moved(const sm_op_shape *s)
{
    return 4 * s->n_tok * (s->n_expert + 2 * s->k_expert);
}

static double permute_moved(const sm_op_shape *s)
{
    return 8 * s->n_tok * s->k_expert * s->n_out;
}

static double embed_moved(const sm_op_shape *s)
{
    return 8 * s->n_tok * s->n_out;
}

static double none(const sm_op_shape *s)
{
    (void)s;
    return 0;
}

static double loss_cost(const sm_op_shape *s)
{
    return 6 * s->n_tok * s->n_vocab;
}

static double loss_moved(const sm_op_shape *s)
{
    return 8 * s->n_tok * s->n_vocab;
}

static const sm_op table[] = {
    {"embed", none, none, embed_moved, none, "token ids", SM_SPLIT_TOKENS | SM_SPLIT_OUT,
     "rows of the sequence's own ids"},
    {"rmsnorm", row_cost, row_cost_twice, row_moved, scalar_saved, "r; its input is kept",
     SM_SPLIT_TOKENS, "sum over its rows of dy * x * r"},
    {"linear", linear_forward, linear_backward, linear_moved, linear_saved, "x",
     SM_SPLIT_TOKENS | SM_SPLIT_OUT | SM_SPLIT_IN, "dy^T x over its rows"},
    {"rope", rope_cost, rope_cost, rope_moved, none, "nothing: angles are a table",
     SM_SPLIT_TOKENS | SM_SPLIT_HEADS, "no weights"},
    {"attention", attention_forward, attention_backward, attention_moved, attention_saved,
     "q, k, v, o, m, l", SM_SPLIT_HEADS, "no weights"},
    {"swiglu", row_cost, row_cost_twice, row_moved, swiglu_saved, "gate, up",
     SM_SPLIT_TOKENS | SM_SPLIT_OUT, "no weights"},
    {"route", route_forward, route_forward, route_moved, route_moved,
     "logits, chosen ids, weights", SM_SPLIT_TOKENS, "no weights"},
    {"permute", none, none, permute_moved, none, "row of each (token, choice)",
     SM_SPLIT_EXPERTS, "no weights"},
    {"expert_linear", linear_forward, linear_backward, linear_moved, linear_saved, "x",
     SM_SPLIT_EXPERTS | SM_SPLIT_OUT | SM_SPLIT_IN, "dy^T x over its rows in the group"},
    {"residual", row_saved, none, row_moved, row_saved, "block input",
     SM_SPLIT_TOKENS | SM_SPLIT_OUT, "no weights"},
    {"cross_entropy", loss_cost, none, loss_moved, none,
     "nothing: logits live for a block of rows", SM_SPLIT_TOKENS, "no weights"},
};

const sm_op *sm_op_table(size_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

const sm_op *sm_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}
