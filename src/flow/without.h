/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: a model trained on other documents, and what differs; for counterfactuals
 * and bisection. */
#ifndef SMELT_FLOW_WITHOUT_H
#define SMELT_FLOW_WITHOUT_H

#include "internal.h"
#include "smelt/bind.h"
#include "smelt/data.h"

/** Where a model comes from, up to its sources.  Release with origin_free. */
typedef struct origin {
    sm_artifact model, dataset, tokenizer;
    sm_artifact *source; /* [n_source] inputs of the dataset's data.curate */
    size_t n_source;
    sm_dataset **docs; /* [n_source] their documents */
} origin;

/** @return SM_EUNSUPPORTED when a step on the way is not train or data.curate */
sm_status origin_open(origin *o, const sm_ctx *ctx, sm_store *store, const char *ref,
                      sm_err *err);
void origin_free(origin *o);

/** Content ids of sources to curate together; grows. */
typedef struct id_list {
    sm_id *id;
    size_t n;
} id_list;
sm_status id_list_add(id_list *l, const sm_id *id, sm_err *err);

/** Run a step over inputs by content id. */
sm_status flow_remake(sm_artifact *out, const sm_ctx *ctx, sm_store *store,
                      const char *step, const id_list *in, const json_t *options,
                      const char *ref, sm_err *err);
/** Add to `out` what is left of source i of `o` when documents are left out: the source
 * itself, a filtered one, or nothing.
 * @param without  object whose keys are document ids */
sm_status flow_reduce(id_list *out, const sm_ctx *ctx, sm_store *store, const origin *o,
                      size_t i, const json_t *without, sm_err *err);

/* ---------------------------------------------------------- without_score.c */

/** Texts to score: document i is {id, text}.  Strings are borrowed. */
typedef struct text_set {
    const char **text;
    size_t *len;
    size_t n;
} text_set;
void text_set_free(text_set *t);

/** Documents of one part of a dataset (open until the texts are used) whose ids are keys
 * of `ids` (NULL: all), n_max at most. */
sm_status text_set_of(text_set *out, const sm_dataset *d, const json_t *ids, size_t n_max,
                      sm_err *err);
/** Open one .jsonl file of an artifact. */
sm_status flow_open_part(sm_dataset **out, const sm_ctx *ctx, sm_store *store,
                         const sm_artifact *a, const char *file, sm_err *err);
/** {id: true} of a dataset; new reference. */
sm_status flow_ids_of(json_t **out, const sm_dataset *d, sm_err *err);

/** trained.c: {id: true} of the documents that the input of kind "model" was trained on, by
 * the datasets of its recipe; of the input of kind "dataset" when that names none.
 * @return SM_ENOENT when an input of that recipe is not in the workspace */
sm_status flow_trained_ids(json_t **out, const sm_step_io *io, sm_err *err);

/** Bits per byte of a model on texts; nats [t->n], bytes [t->n] may be NULL. */
sm_status flow_bpb(double *bpb, const sm_ctx *ctx, const sm_bound_model *m,
                   const text_set *t, double *nats, sm_err *err);
/** {"before", "after", "difference", "low", "high", "documents", "bytes"}: both models on
 * the same texts; the interval is of the paired difference, 95 %.  New reference. */
sm_status flow_compare_bpb(json_t **out, const sm_ctx *ctx, const sm_bound_model *a,
                           const sm_bound_model *b, const text_set *t, sm_err *err);

/* -------------------------------------------------------- without_weights.c */

/** {"n", "changed", "l2", "relative", "groups": {NAME: the same}}: distances of two
 * models' weights by kind of tensor; a group of other shapes has "shape": false.
 * New reference. */
sm_status flow_compare_weights(json_t **out, const sm_model *a, const sm_model *b,
                               sm_err *err);

#endif
