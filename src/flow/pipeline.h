/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: a pipeline file that has been read and checked. */
#ifndef SMELT_FLOW_PIPELINE_H
#define SMELT_FLOW_PIPELINE_H

#include "internal.h"

typedef struct stage {
    const sm_step *step;
    const char *as;    /* borrowed from the document */
    const json_t *in;  /* array of strings, or NULL  */
    json_t *options;   /* a copy, overrides applied  */
    const char *where; /* NAME:LINE:COL, borrowed from positions */
    char content[65];  /* what it made; "" when that is not known yet */
} stage;

typedef struct pipeline {
    json_t *root;
    sm_positions *pos;
    stage *stage;
    size_t n;
} pipeline;

/** Read a file, apply the overrides, check all of it, and keep what `to` needs (NULL: all):
 * what may run.  Into a pipeline of zeroes, to be freed whatever the outcome. */
sm_status pipeline_open(pipeline *p, const sm_ctx *ctx, sm_store *store, const char *path,
                        const json_t *overrides, const char *to, sm_err *err);
void pipeline_free(pipeline *p);
/** The earlier stage that makes `name`; i when there is none. */
size_t pipeline_earlier(const pipeline *p, size_t i, const char *name);
/** What stage i reads, each by content id or by the name of a ref; NULL where an earlier
 * stage's result is not known yet.  Borrowed names in a new array; NULL without memory. */
const char **pipeline_refs(const pipeline *p, size_t i);

/** Other values for options, as sm_flow_run has them. */
sm_status pipeline_override(pipeline *p, const json_t *overrides, sm_err *err);
/** Leave the stages called `to`, as an override may name them, and those that they read,
 * directly or not.  Inputs must have been checked. */
sm_status pipeline_keep(pipeline *p, const char *to, sm_err *err);

#endif
