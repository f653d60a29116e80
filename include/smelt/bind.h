/* SPDX-License-Identifier: Apache-2.0 */
/**
 * bind (part of module flow, L8): a model of the workspace made ready to run, and bound to
 * those below that ask for a scorer.
 */
#ifndef SMELT_BIND_H
#define SMELT_BIND_H

#include "smelt/base.h"
#include "smelt/index.h"
#include "smelt/infer.h"
#include "smelt/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A model with its tokenizer and engine.  Release with sm_bound_model_free. */
typedef struct sm_bound_model {
    sm_model *model;
    sm_tokenizer *tokenizer;
    sm_engine *engine;
    sm_scorer scorer; /* the engine's likelihood */
    char profile[16]; /* numerics it runs with   */
} sm_bound_model;

/** Load an artifact of kind "model" and start an engine.  Its files are compared with their
 * ids (sm_store_whole_path); whether a gate passed it is for sm_servable_find to say.
 * examples/generate.c is a whole program around it.
 * @param[out] out     untouched on failure; needs neither store nor artifact any more
 * @param ctx          its pool and kernels are borrowed until sm_bound_model_free
 * @param profile      "bf16/1" or "f32/1"; NULL: the one the model was trained with
 * @param max_streams  texts written at once, 1..256; 0: 8
 * @return SM_EINVAL for another kind or profile, SM_ECORRUPT names file and leaf, errors of
 *         loading, SM_ENOMEM */
SM_API sm_status sm_bind_model(sm_bound_model *out, const sm_ctx *ctx, sm_store *store,
                               const sm_artifact *model, const char *profile,
                               int32_t max_streams, sm_err *err);
/** Engine, tokenizer, model; then it is all zero, which may be freed again. */
SM_API void sm_bound_model_free(sm_bound_model *b);

/** Open an artifact of kind "index".
 * @param with_names  false leaves out NAME sections and summaries
 * @param may_cache   keep and reuse its full-text tables below .smelt/tmp, for who asks
 *                    often and records nothing; false: make them from the passages */
SM_API sm_status sm_bind_index(sm_index **out, sm_store *store, const sm_artifact *index,
                               bool with_names, bool may_cache, sm_err *err);

/**
 * What a ref stands for when it is to be served: a release names model, evaluation and
 * index; a model stands for itself and, when there is one, the release of the gate that was
 * last run on it (by the audit log; the newest one where the log knows of none).
 */
typedef struct sm_servable {
    sm_artifact release; /* release.n_file 0: none                       */
    sm_artifact model;
    sm_artifact index;   /* index.n_file 0: none                         */
    json_t *verdict;     /* the release's verdict, NULL without a release */
    bool passed;
    bool cut_short;      /* the last gate ended before its release was there: run it again */
    sm_rank rank;        /* with the weight that the evaluation chose    */
} sm_servable;
/** Fill `out`, also where no gate passed: the caller looks at `passed`.  Bytes are
 * not verified here.
 * @param[out] out   release with sm_servable_free; untouched on failure
 * @param index_ref  an index to use instead of the release's; NULL: the release's
 * @return SM_EINVAL for a ref to something else, SM_ENOENT, SM_ECORRUPT */
SM_API sm_status sm_servable_find(sm_servable *out, sm_store *store, const char *ref,
                                  const char *index_ref, sm_err *err);
SM_API void sm_servable_free(sm_servable *s);

#ifdef __cplusplus
}
#endif
#endif
