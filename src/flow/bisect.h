/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: which change between two models moved a metric. */
#ifndef SMELT_FLOW_BISECT_H
#define SMELT_FLOW_BISECT_H

#include "without.h"

typedef enum change_kind {
    CHANGE_TRAIN,     /* an option of train       */
    CHANGE_CURATE,    /* an option of data.curate */
    CHANGE_TOKENIZER, /* the artifact as a whole  */
    CHANGE_DOCUMENTS  /* a group of documents     */
} change_kind;

/** One difference between the good model and the bad one. */
typedef struct change {
    change_kind kind;
    char *name;         /* option key, "tokenizer", package or path */
    json_t *good, *bad; /* values of an option; NULL otherwise      */
    json_t *removed,
        *added; /* {id: path}: only in the good one's sources, only in the bad's */
} change;

typedef struct change_list {
    change *at;
    size_t n;
} change_list;
void change_list_free(change_list *l);

typedef struct bisect {
    const sm_ctx *ctx;
    sm_store *store;
    const sm_bisect_config *config;
    sm_artifact good_eval, bad_eval; /* n_file 0: the refs are models            */
    origin good, bad;
    change_list list;
    sm_dataset *heldout; /* the good one's held-out documents                */
    text_set texts;      /* those that are held out in both                  */
    double good_value, bad_value, threshold;
    json_t *history; /* [{"changes": [names], "value", "bad", "model"}]  */
    json_t *seen;    /* {mask as text: bool}: verdicts so far            */
    int64_t n_runs;
} bisect;

/** Find both models and what differs, documents grouped by package or directory. */
sm_status bisect_open(bisect *b, const char *good, const char *bad, sm_err *err);
void bisect_close(bisect *b);
/** The same changes, those of `in` that hold several documents split by path. */
sm_status bisect_split(change_list *out, const bisect *b, const bool *in, sm_err *err);

/** The model with the changes of `in` applied to the good one, and its metric. */
sm_status bisect_make(sm_artifact *out, bisect *b, const bool *in, sm_err *err);
sm_status bisect_measure(double *value, bisect *b, const sm_artifact *model, sm_err *err);

#endif
