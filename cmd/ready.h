/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chat, ask and serve share: a release, model or index of the workspace, admitted and
 * made ready to answer.
 *
 * Admitted: the bytes of all that it was made from verify, whatever the flags say; and its
 * gate passed, unless --allow-ungated is given, which writes an audit record first.
 */
#ifndef SMELT_CMD_READY_H
#define SMELT_CMD_READY_H

#include "cmd.h"
#include "smelt/bind.h"

/** What a verb wants to answer with. */
typedef struct ready_want {
    const char *verb;   /* named by the audit record: "serve.allow_ungated"          */
    const char *ref;    /* release or model; "": none, the index alone               */
    const char *index;  /* index instead of the release's; "": the release's         */
    bool needs_index;   /* an error when there is none                               */
    bool only_ranks;    /* the model is loaded only where the ranking gives it weight, and
                           the index's tables may come from a cache: for one question */
    double w_model;     /* its weight; below 0: the one that the evaluation chose    */
    bool allow_ungated;
    int32_t max_streams;
} ready_want;

/** All of it open; parts that were not wanted are NULL or zero. */
typedef struct ready {
    const sm_ctx *ctx;
    sm_store *store;
    sm_servable v;
    sm_bound_model b;
    sm_index *x;
} ready;

/** Open the workspace, find, verify, check the gate, load.
 * @return SM_EDENIED for a gate that did not pass, SM_ECORRUPT for bytes that do not
 *         verify (both messages begin with "refused: "); release with ready_close in any
 *         case. */
sm_status ready_open(ready *out, app *a, const ready_want *want, sm_err *err);
void ready_close(ready *r);

/** Entry of an option table for --allow-ungated. */
#define READY_OPTION_ALLOW                                                             \
    {.key = "allow_ungated", .type = SM_OPT_BOOL, .def = "false",                      \
     .help = "use a model without a passed gate; written to the audit log"}

#endif
