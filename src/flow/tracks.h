/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside flow: a file of tracks.
 *
 *   read ──► resolve (budget -> steps) ──► rung 1 ──► ... ──► last rung ──► report
 *                │                           │ the worse end here: stop_step
 *           resolved.yaml                    └ their models are recorded too
 */
#ifndef SMELT_FLOW_TRACKS_H
#define SMELT_FLOW_TRACKS_H

#include "internal.h"
#include "smelt/tracks.h"
#include "smelt/train.h"

#define TRACKS_MAX 200
#define TRACKS_MAX_BUDGETS 16
#define TRACKS_MAX_SEEDS 64
#define TRACKS_MAX_RUNS 2000

typedef enum tracks_budget {
    BUDGET_NONE,
    BUDGET_STEPS,
    BUDGET_TOKENS,
    BUDGET_FLOPS,
    BUDGET_SECONDS
} tracks_budget;

/** One architecture. */
typedef struct tracks_track {
    char name[80], family[80];
    int threads;
    json_t *options;                   /* of step train, as given: common, then own */
    int64_t steps[TRACKS_MAX_BUDGETS]; /* 0: not resolved                           */
    double seconds_per_step;           /* measured; 0: not                          */
    int64_t n_param, n_active, tok_per_step; /* known once inputs are found          */
    double flops_per_tok;
} tracks_track;

typedef struct tracks_file {
    json_t *head; /* resolved scalars of the file */
    char name[64];
    char *in[2];
    tracks_budget kind;
    double budget[TRACKS_MAX_BUDGETS];
    int n_budget;
    int64_t seed[TRACKS_MAX_SEEDS];
    int n_seed;
    int eta, rungs;     /* rungs 1: no halving */
    bool within_family; /* tracks compete with those of their family alone */
    tracks_track *track;
    int n_track;
    char of[65]; /* SHA-256 of what was declared */
} tracks_file;

/** Read and check a file; messages have line and column. */
sm_status tracks_read(tracks_file *out, const char *path, sm_err *err);
void tracks_free(tracks_file *f);
/** The key by which a budget is declared ("budget_flops"), "" for none. */
const char *tracks_budget_key(tracks_budget kind);

/** Facts of every track, and steps where no clock is needed. */
sm_status tracks_facts(tracks_file *f, const sm_ctx *ctx, sm_store *store, sm_err *err);
/** Steps of every track: those of DIR/resolved.yaml if it is of this declaration, else
 * measured where needed, and written there. */
sm_status tracks_resolve(tracks_file *f, const sm_ctx *ctx, sm_store *store,
                         const char *dir, sm_err *err);
/** The resolved file, itself a file of tracks. */
sm_status tracks_write(sm_buf *out, const tracks_file *f, sm_err *err);
/** Measured at the first rung where all is known: evaluations before it, of `evals`. */
int64_t tracks_rung_evals(const tracks_file *f, int rung);

/** A step's inputs and resolved options, for what is not sm_flow_step. */
typedef struct tracks_io {
    sm_step_io io;
    json_t *options;
    sm_artifact *input;
} tracks_io;
sm_status tracks_io_open(tracks_io *out, const sm_ctx *ctx, sm_store *store,
                         const tracks_file *f, const json_t *options, const char *where,
                         sm_err *err);
void tracks_io_close(tracks_io *io);

/** The configuration of a step's options and tokenizer. Its strings are borrowed from the
 * options. */
sm_status tracks_train_config(sm_train_config *out, const sm_step_io *io, sm_err *err);
/** Mean seconds of a training step, measured for about so long; nothing is kept.
 * io: staging, scratch and run may be NULL */
sm_status tracks_measure(double *seconds_per_step, const sm_step_io *io, double seconds,
                         sm_err *err);

/* ------------------------------------------------------------ jobs side by side */

typedef struct tracks_job {
    sm_ctx ctx;        /* of this job: its own pool, stop flag and progress */
    volatile int stop; /* asks the step under way to stop                    */
    int64_t pause;     /* stop by itself after this training step; 0: never  */
    bool paused;
    int64_t done; /* steps of the run under way                         */
    char label[96], figure[96];
    struct tracks_jobs *jobs;
    sm_progress progress;
} tracks_job;

/** What the progress line, which every job writes, calls the task of this one. */
void tracks_set_label(tracks_job *job, const char *label);
/** Have training stop by itself after this step; also when it has done so before. */
void tracks_pause_at(tracks_job *job, int64_t step);

/** Run task(arg, i, job) for i in 0..n-1, up to n_jobs at once, begun in order, each with
 * a pool of threads(arg, i) threads.  After an error or the user's stop no further task
 * begins and those under way are asked to stop. */
typedef struct tracks_tasks {
    int n, n_jobs;
    void *arg;
    int (*threads)(void *arg, int i);
    sm_status (*task)(void *arg, int i, tracks_job *job, sm_err *err);
    const char *what;    /* of the progress line                        */
    int64_t total_steps; /* 0: unknown                                  */
} tracks_tasks;
sm_status tracks_side_by_side(const sm_ctx *ctx, const tracks_tasks *t, sm_err *err);

/* ----------------------------------------------------------------- runs */

/** A track at a budget from a seed. */
typedef struct tracks_run {
    const tracks_track *track;
    int budget;
    int64_t seed, steps, eval_steps;
    int64_t stop_step; /* where halving ended it; 0: it ran to its end */
    double bpb;        /* held-out figure at the rung that it is in   */
    json_t *options;
    char ref[200];
    char recipe[65];  /* of the whole run       */
    char content[65]; /* of the model, once made */
} tracks_run;

typedef struct tracks_runs {
    const tracks_file *file;
    sm_store *store;
    tracks_run *run;
    int n;
} tracks_runs;

sm_status tracks_runs_make(tracks_runs *out, const tracks_file *f, const sm_ctx *ctx,
                           sm_store *store, sm_err *err);
/** Will the store take the names of the report and of every run? */
sm_status tracks_check_names(const tracks_file *f, const char *report, sm_err *err);
void tracks_runs_free(tracks_runs *r);
/** Train all, halving on the way. */
sm_status tracks_train(tracks_runs *r, const sm_ctx *ctx, sm_err *err);
/** The held-out figure of a run at a step, from its model or its scratch; *found says
 * whether it has come that far. */
sm_status tracks_value_at(double *bpb, bool *found, const tracks_runs *r,
                          const tracks_run *run, int64_t step, sm_err *err);
/** The recipe that ends a run at a step; *options (may be NULL) a new reference. */
sm_status tracks_stopped_recipe(char out[65], const tracks_runs *r, const tracks_run *run,
                                int64_t stop_step, json_t **options, sm_err *err);
/** For the report: run, model and training seconds at its evaluations, as one JSON text. */
sm_status tracks_describe(json_t **out, const tracks_runs *r, const tracks_run *run,
                          sm_err *err);
/** Path of a file of the scratch directory of a recipe; malloc'd. */
char *tracks_scratch(sm_store *store, const char *recipe, const char *file);

/* --------------------------------------------------------------- the report */

/** A bound of a fitted parameter as text: "none" where the fit gives none. */
const char *tracks_bound(char out[32], const json_t *v, const char *key);
/** Drawing: loss against FLOPs and against seconds; `alone` adds a style of its own. */
bool tracks_svg(sm_buf *out, const json_t *report, bool alone);
/** The place of a track among the names of a report; its colour is that modulo 8. */
size_t tracks_colour(const json_t *report, const char *track);
/** One page without script or network. */
bool tracks_page(sm_buf *out, const json_t *report);
/** The style that both share. */
extern const char tracks_style[];
/** One object a track and budget: means over seeds, differences; and fits by family.  New
 * references, NULL on failure. */
json_t *tracks_summary(const json_t *runs, sm_err *err);
json_t *tracks_fits(const json_t *runs, int32_t n_resample, sm_err *err);

#endif
