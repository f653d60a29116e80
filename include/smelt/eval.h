/* SPDX-License-Identifier: Apache-2.0 */
/**
 * eval (L6): tasks, metrics and their uncertainty.  Every task returns figures in one form,
 * which reports print and gates read:
 *
 *   {"NAME": {"value": x, "low": a, "high": b, "n": count, "unit": "..."}, ...}
 *
 * low..high is a 95 % interval; how it was made stands with each task.  Both are absent where
 * there is nothing to make one of, such as a single document.
 */
#ifndef SMELT_EVAL_H
#define SMELT_EVAL_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/index.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------- statistics */

typedef struct sm_interval {
    double value, low, high; /* low, high: NaN when there is no interval */
    int64_t n;
} sm_interval;

/** Wilson's score interval of a proportion at 95 % (Wilson 1927). 0 <= hits <= n, n >= 1. */
SM_API sm_interval sm_stat_proportion(int64_t hits, int64_t n);
/** Mean of x [n] with a percentile bootstrap interval of n_resample resamples; a pure
 * function of (x, seed). n >= 1.  No interval when it would have no width (one value, or
 * equal ones): resampling cannot tell how far the mean is from the truth then. */
SM_API sm_status sm_stat_bootstrap_mean(sm_interval *out, const double *x, int64_t n,
                                        int32_t n_resample, uint64_t seed, sm_err *err);
/** Set figures[name], without "low" and "high" when one of them is not finite; takes no
 * ownership. */
SM_API bool sm_figure_set(json_t *figures, const char *name, const sm_interval *v,
                          const char *unit);

/* --------------------------------------------------------------- retrieval */

/** A question whose right answers are known. */
typedef struct sm_question {
    const char *text;   /* borrowed                              */
    int32_t doc;        /* ordinal in the index of a right page  */
    bool seen;          /* the model was trained on that page    */
} sm_question;

/** The questions an index offers: the summary of each page that has one.  Pages with equal
 * summaries count as right for each other (the caller compares summaries).
 * @param is_seen  says whether a document id was trained on; NULL: none was
 * @param[out] out malloc'd [*n], release with free() */
SM_API sm_status sm_eval_questions(sm_question **out, int64_t *n, const sm_index *x,
                                   bool (*is_seen)(void *self, const char *id), void *self,
                                   sm_err *err);

typedef struct sm_retrieval_config {
    sm_rank rank;           /* lexical weights; w_model is ignored                     */
    int64_t max_questions;  /* at most this many, chosen by hash of the page; 0: all   */
    bool unseen_only;       /* only questions of pages the model has not seen          */
    uint64_t seed;          /* of folds and resamples                                  */
} sm_retrieval_config;
#define SM_RETRIEVAL_CONFIG_DEFAULT {.rank = SM_RANK_DEFAULT, .seed = 1}

/**
 * recall@1, recall@5 and MRR (over the best 20) of three rankings of the same questions:
 *   bm25.*     FTS5's BM25 of whole pages, one field: the baseline
 *   lexical.*  fields, passages and titles
 *   ask.*      the same with the model's query likelihood; only with a scorer
 * and of the paired differences lexical_gain.* = lexical - bm25, model_gain.* = ask -
 * lexical, ask_gain.* = ask - bm25.  Intervals: Wilson's of recalls, the bootstrap over
 * questions of MRR and differences.  The model's weight is chosen on one half of the
 * questions (even or odd by hash) and used on the other: ask.*, model_gain.* and ask_gain.*
 * are of that, whatever is served.  Figure "w_model" is the weight to serve with: the one
 * chosen on all questions when the interval of model_gain.mrr lies above 0; else, also where
 * there is none, 0: no re-ranking, and what is served is lexical.*.  "w_model.even" and
 * "w_model.odd" are the weights chosen on the halves.
 * @param x       opened without names
 * @param scorer  NULL: no model
 * @return SM_EINVAL when fewer than 2 questions are left, errors of search
 */
SM_API sm_status sm_eval_retrieval(json_t **figures, const sm_ctx *ctx, sm_index *x,
                                   const sm_question *question, int64_t n,
                                   const sm_retrieval_config *config,
                                   const sm_scorer *scorer, sm_err *err);

/* ------------------------------------------------------------ minimal pairs */

/** Share of pairs whose good sentence is likelier (sum of log p), over all and by UID.
 * The file is JSONL as BLiMP's: "sentence_good", "sentence_bad", "UID".
 * @param max_pairs  per UID, the first ones; 0: all
 * A UID has at most 100 bytes and is not "accuracy", the figure of all pairs.
 * @return SM_ECORRUPT names line and field, as do errors of the scorer; SM_EINVAL for an empty
 *         file */
SM_API sm_status sm_eval_pairs(json_t **figures, const sm_ctx *ctx, const char *path,
                               int64_t max_pairs, const sm_scorer *scorer, sm_err *err);

/* ------------------------------------------------------------------ report */

/** Figures as an aligned table for a terminal, and a line below it where "w_model" is 0. */
SM_API bool sm_eval_table(sm_buf *out, const json_t *figures);

#ifdef __cplusplus
}
#endif
#endif
