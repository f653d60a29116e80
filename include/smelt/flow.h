/* SPDX-License-Identifier: Apache-2.0 */
/**
 * flow (L8): the registry of steps; running, skipping, resuming, replaying.
 *
 * A step reads artifacts and writes files into a staging directory; flow computes the
 * recipe id, skips the step when the store already holds its result, and commits.  CLI
 * verbs and `smelt run` go through the same sm_flow_step, so their results are the same.
 */
#ifndef SMELT_FLOW_H
#define SMELT_FLOW_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a step is given. All borrowed for the call. */
typedef struct sm_step_io {
    const sm_ctx *ctx;
    sm_store *store;
    const json_t *options;      /* resolved against the step's table                    */
    const json_t *facts;        /* what sm_step.facts gave for the recipe; NULL: none    */
    const sm_artifact *input;   /* in the order of sm_step.inputs                       */
    size_t n_input;
    const char *staging;        /* write outputs here                                   */
    const char *scratch;        /* survives interruption of the same recipe: checkpoints */
    const char *run;            /* id of the run, for sm_store_metric                   */
    json_t *figures;            /* object: figures of merit for the run record          */
} sm_step_io;

/** A step. To add one: fill a const sm_step in flow/step_NAME.c and list it in registry.c.
 */
typedef struct sm_step {
    const char *name;     /* "data.curate"                                              */
    int version;          /* raise when the meaning changes                             */
    const char *output;   /* kind of the artifact                                       */
    const char *inputs;   /* kinds, "dataset tokenizer"; "source+" one or more, "index?"
                             none or one; named in any order, given in this one     */
    const char *also;     /* kind of an input whose own inputs are read too; NULL: none */
    const char *help;
    const sm_option *options;
    /** Extra facts for the recipe (parser versions, hash of named input files); may be
     * NULL.  New reference or NULL. */
    json_t *(*facts)(const sm_ctx *ctx, const json_t *options, sm_err *err);
    sm_status (*run)(const sm_step_io *io, sm_err *err);
    /** For a replay: what those facts were read from, made again below `dir` from the
     * recorded facts, and `options` pointed at it; optional (the files are read again). */
    sm_status (*restore)(json_t *options, const json_t *facts, const char *dir,
                         sm_err *err);
    /** What is to be durable before the result can be seen or a ref moves to it, made or
     * found made before; optional.  staging, scratch and figures are NULL. */
    sm_status (*announce)(const sm_step_io *io, const sm_artifact *result, sm_err *err);
    /** What else is to be so once the result is there, made or found made before; optional.
     * staging, scratch and figures are NULL. */
    sm_status (*settle)(const sm_step_io *io, const sm_artifact *result, sm_err *err);
    /** What a run would take, for --dry-run; optional.  staging, scratch, run are NULL.  An
     * input that is still to be made has its kind, no content, and in recipe_json the step
     * and the resolved options that will make it; *out NULL: that is too little to say. */
    sm_status (*plan)(json_t **out, const sm_step_io *io, sm_err *err);
} sm_step;

/** The step of that name ("data.add"), static storage; NULL: there is none. */
SM_API const sm_step *sm_step_find(const char *name);
/** The i-th step, NULL past the end. */
SM_API const sm_step *sm_step_at(size_t i);

typedef struct sm_flow_result {
    sm_artifact artifact;
    bool was_there;  /* skipped: the recipe had been made before   */
    double seconds;
    json_t *figures; /* figures of merit of this run; NULL when skipped */
} sm_flow_result;

struct sm_lr_range;

/** Run one step (or find its result) and move `ref` to it (NULL: none).  When another
 * process is at the same recipe, wait for it and take its result.  After an interruption
 * the same call goes on from what the step left in its scratch directory.
 * @param given  options as from flags or YAML, not yet resolved
 * @return SM_EINVAL (step, options, inputs), SM_ECANCEL, and what the step and the store
 *         return, the step's name in front */
SM_API sm_status sm_flow_step(sm_flow_result *out, const sm_ctx *ctx, sm_store *store,
                              const char *step, const char *const *input_refs,
                              size_t n_input, const json_t *given, const char *where,
                              const char *ref, sm_err *err);
SM_API void sm_flow_result_free(sm_flow_result *r);

/** What the same call would take: {"recipe", "made_before": bool, "content" (when made),
 * "options", and "plan" when the step offers one}.  Nothing is written. New reference. */
SM_API sm_status sm_flow_plan(json_t **out, const sm_ctx *ctx, sm_store *store,
                              const char *step, const char *const *input_refs,
                              size_t n_input, const json_t *given, const char *where,
                              sm_err *err);

/** A learning-rate range test of step train over the same inputs and options
 * (sm_train_find_lr).  Writes nothing.  Release with sm_lr_range_free. */
SM_API sm_status sm_flow_find_lr(struct sm_lr_range *out, const sm_ctx *ctx,
                                 sm_store *store, const char *const *input_refs,
                                 size_t n_input, const json_t *given, const char *where,
                                 int64_t n_steps, double lr_min, double lr_max,
                                 sm_err *err);

/** GFLOP/s of products of a profile that stay in cache, all threads, measured for about
 * `seconds`: what training speed is held against. */
SM_API sm_status sm_flow_ceiling(double *gflops, const sm_ctx *ctx, const char *profile,
                                 double seconds, sm_err *err);

/** Run a pipeline file; docs/formats/pipeline.md has the schema.
 *   pipeline: NAME
 *   steps: [{step: data.add, as: REF, in: [REF...], options: {...}}]
 * The whole file is checked before the first step runs: names, options, inputs by kind.
 * @param[out] made  {"AS": content id, ...} of what the steps made or found made; may be
 *                   NULL; set on SM_OK, new reference
 * @param overrides  {"STEP.OPTION": "text" or ["text", ...]}, STEP being a result's name, a
 *                   step's name or its last word; may be NULL
 * @param to  run the steps of this name, as in overrides, and those that they need; NULL: all */
SM_API sm_status sm_flow_run(json_t **made, const sm_ctx *ctx, sm_store *store,
                             const char *path, const json_t *overrides, const char *to,
                             sm_err *err);

/** What the same call would do: {"steps": [{"as", "step", "made_before": bool, "recipe" (when
 * its inputs are there), "content" (when made), "after" (names of inputs still to be made),
 * "plan" (when it would run and offers one)}], "to_run", "expected_seconds" (of those with
 * a plan)}.  The file is checked as for a run; nothing is written.  New reference. */
SM_API sm_status sm_flow_run_plan(json_t **out, const sm_ctx *ctx, sm_store *store,
                                  const char *path, const json_t *overrides,
                                  const char *to, sm_err *err);

/** Recompute `ref` from its inputs alone (whole: and their makers, up to sources) in a
 * scratch workspace and compare content ids. SM_EDENIED with the files that differ,
 * SM_EUNSUPPORTED when this build cannot run the recipe (step version, parsers).  A source
 * is read again from where its run found it; under `whole` it is taken as it is. */
SM_API sm_status sm_flow_replay(const sm_ctx *ctx, sm_store *store, const char *ref,
                                bool whole, sm_err *err);

/* ------------------------------------------------------- audit by sampling */

/** How much of a training run to recompute. */
typedef struct sm_sample_config {
    int64_t n;     /* segments, 0: by frac; more than there are means all              */
    double frac;   /* share of the segments, rounded up: 0..1                          */
    uint64_t seed; /* chooses them; to be drawn after the run committed to its chain   */
} sm_sample_config;

/** Probability that k of n segments, drawn without putting back, hold at least one of f
 * forged ones: 1 - C(n-f, k) / C(n, k).  0 <= f, k <= n. */
SM_API double sm_sample_caught(int64_t n, int64_t f, int64_t k);

/** Audit the training run of a model: its chain.jsonl against itself, the recipe, the
 * initial state, the kept states (artifact of step train.states, when there is one), the
 * model's weights; then recompute sampled segments and compare with the commitments.
 * Without kept states everything up to the end of the last sampled segment is recomputed.
 * @param[out] report  {"content", "segments", "sampled", "findings", "caught", ...}, docs
 *                     in docs/training.md; set on SM_OK and on SM_EDENIED; new reference
 * @return SM_EDENIED when something differs (the first finding); SM_EUNSUPPORTED for
 *         another kind of artifact, one without a chain, or another step version */
SM_API sm_status sm_flow_sample(json_t **report, const sm_ctx *ctx, sm_store *store,
                                const char *ref, const sm_sample_config *c, sm_err *err);

/* --------------------------------------------------------- counterfactuals */

typedef struct sm_without_config {
    const char *const *document; /* each an id or 8 digits of it, a path, a title, or a
                                    shell pattern of paths; all that match leave      */
    size_t n_document;
    bool retrain_tokenizer; /* false: the tokenizer is held fixed                      */
    size_t heldout_docs;    /* held-out documents scored, at most                      */
    const char *const *prompt; /* continued greedily by both models                   */
    size_t n_prompt;
    int32_t max_tokens; /* of a continuation                                           */
    const char *const *ask; /* answered from an index of either dataset, by words alone */
    size_t n_ask;
    const char *as; /* ref of the new model; NULL: none                                */
} sm_without_config;

/** Train the model that `ref` would have been without some documents of its sources, by
 * recorded steps (data.filter, data.curate, train), and compare the two.
 * @param[out] report {"before", "after" (content ids), "same", "removed", "moved" (other
 *             documents that changed sides or came back), "weights", "loss",
 *             "heldout_bpb", "removed_bpb", "answers"}, docs in docs/training.md; new
 *             reference
 * @return SM_ENOENT for a name that matches no document; SM_EUNSUPPORTED for a model that
 *         was not made by train from data.curate; errors of the steps */
SM_API sm_status sm_flow_without(json_t **report, const sm_ctx *ctx, sm_store *store,
                                 const char *ref, const sm_without_config *c,
                                 sm_err *err);

typedef struct sm_bisect_config {
    const char *metric;  /* "heldout_bpb" or "loss" of models; a figure's name of
                            evaluations                                              */
    bool has_threshold;
    double threshold;    /* between good and bad; without one the middle             */
    size_t heldout_docs; /* for heldout_bpb: documents held out by both, at most     */
    int64_t max_runs;    /* combinations tried, at most                              */
    bool dry_run;        /* list the differences, try nothing                        */
} sm_bisect_config;

/** Find the smallest set of changes (options of train and data.curate, the tokenizer,
 * documents) that takes the metric of `good` across the threshold towards `bad`, by delta
 * debugging over recorded runs.  Both are models, or evaluations of models.
 * @param[out] report {"metric", "good", "bad", "threshold", "differences",
 *             "expected_runs", "cause", "minimal", "with_cause", "runs", "history"}; new
 *             reference
 * @return SM_EINVAL (no difference, a metric that is not there, a threshold outside);
 *         SM_EUNSUPPORTED when the cause is in none of the changes, or a recipe is not
 *         data.curate and train; errors of the steps */
SM_API sm_status sm_flow_bisect(json_t **report, const sm_ctx *ctx, sm_store *store,
                                const char *good, const char *bad,
                                const sm_bisect_config *c, sm_err *err);

#ifdef __cplusplus
}
#endif
#endif
