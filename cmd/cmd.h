/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program smelt: what its verbs share.
 *
 * A verb is one `const verb` in a file of its own (verb_NAME.c); verbs.h lists them.  Its
 * flags are an sm_option table, so that parsing, --help, the manual page, docs/commands
 * and the shell completions come from one place.  Verbs return an exit status and print;
 * the library below them does neither.
 */
#ifndef SMELT_CMD_H
#define SMELT_CMD_H

#include <stdio.h>

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/flow.h"
#include "smelt/store.h"
#include "smelt/sys.h"

/* Exit statuses. */
enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct progress progress;

/** The state of one run of the program. */
typedef struct app {
    const char *workspace; /* --workspace, NULL: found upwards from the current one */
    int threads;           /* 0: as many as processors */
    bool json, quiet, verbose, log_view;
    const char *profile; /* where the trace of the steps goes; NULL or "": nowhere */
    sm_trace *trace;
    sm_log log;
    progress *progress;
    sm_progress progress_sink;
    sm_pool *pool;
    sm_store *store;
    sm_ctx ctx;
} app;

/** What the command line said to a verb. */
typedef struct args {
    const char **pos; /* words that are no flags, in order */
    size_t n_pos;
    const char *group; /* "data" of `smelt data --help`, else NULL */
    json_t *opt;       /* the verb's own options, resolved */
    json_t *given;     /* those of them that were given    */
    json_t *step;      /* options of its step as given, not resolved */
    json_t *global;    /* options of every verb as given; holds --workspace */
} args;

/** A verb.  Fields not set are NULL or 0. */
typedef struct verb {
    const char *name;    /* "init", "data add"                                          */
    const char *usage;   /* words after the flags: "REF", "PATH..."                     */
    const char *summary; /* one line                                                    */
    const char *details; /* paragraphs for --help and the pages; may be NULL            */
    const char *example; /* one command a line                                          */
    const sm_option *options; /* its own                                                */
    const char *step; /* name of the flow step whose options are flags as well       */
    const char *pos_option; /* the step's LIST option that the words fill; NULL: refs   */
    int min_pos, max_pos;   /* words wanted; max -1: any number                         */
    bool hidden;            /* not listed                                               */
    int (*run)(app *a, const struct verb *self, const args *in);
} verb;

/** The i-th verb in the order of verbs.h, NULL past the end. */
const verb *verb_at(size_t i);
const verb *verb_find(const char *name);
/** Options that every verb takes. */
extern const sm_option global_options[];
/** The table of a verb's step, NULL when it has none. */
const sm_option *verb_step_options(const verb *v);

/* ------------------------------------------------------------------- app.c */

/** Threads, kernels and communication, on first use. */
sm_status app_ctx(const sm_ctx **out, app *a, sm_err *err);
/** The workspace, on first use. */
sm_status app_store(sm_store **out, app *a, sm_err *err);
/** Erase the progress line: long work is over, results are about to be printed. */
void app_settle(const app *a);
/** Report an error (and as JSON on stdout under --json); returns the exit status. */
int app_fail(const app *a, sm_status s, const sm_err *err);
/** The same for wrong usage; returns EXIT_USAGE. */
int app_usage(const app *a, const char *fmt, ...) SM_PRINTF(2, 3);
/** Print a JSON value on stdout, readable, and release it.  Returns EXIT_GOOD, or, having said
 * so, EXIT_FAILED when there is no value.  Text from outside enters it by sm_json_string. */
int app_print_json(json_t *value);
/** Write text to a file ("-" is stdout, which main checks at the end). */
sm_status app_write(const char *path, const sm_buf *text, sm_err *err);
void app_close(app *a);
/** Before anything is opened: descriptors 0 to 2 exist. */
void app_hold_standard_files(void);
/** Standard output is a pipe whose reader is gone. */
bool app_reader_left(void);
/** First SIGINT or SIGTERM asks long work to stop; the second ends the process. */
void app_catch_signals(void);
extern volatile int app_stop;

/* -------------------------------------------------------------- progress.c */

/** LIVE: one line, redrawn; LOG: a line each half minute. */
typedef enum progress_form { PROGRESS_NONE, PROGRESS_LIVE, PROGRESS_LOG } progress_form;
/** Always keeps the figures for --log-view.
 * @param out     stderr, but in tests
 * @param now_ns  sm_clock_ns, but in tests
 * @return NULL: no memory */
progress *progress_create(progress_form form, FILE *out, int64_t (*now_ns)(void));
sm_progress progress_sink(progress *p);
/** Erase the line, so that something else can be printed. */
void progress_clear(progress *p);
/** What ran, how long, how fast: a table. */
void progress_report(progress *p);
void progress_free(progress *p);

/* --------------------------------------------------------------- profile.c */

/** What rates are held against; 0: unknown. */
typedef struct profile_ceiling {
    double gflops, gbytes_s;
} profile_ceiling;

/** Where the steps went, by operation; false when there were none. */
bool profile_print(FILE *f, const sm_trace *t, profile_ceiling ceiling);
/** The same as JSON; new reference. */
json_t *profile_json(const sm_trace *t, profile_ceiling ceiling);
/** Write the trace to a->profile and measure the ceilings; nothing of it when no step was run:
 * a trace of an earlier run stays.
 * @param figures of the run, for its ceiling_gflops; may be NULL */
sm_status app_profile(app *a, const json_t *figures, profile_ceiling *out, sm_err *err);

/* ------------------------------------------------------------ args.c, help.c */

/** Parse the words after the program's name.  *v is NULL when there is no verb.
 * @param help  set when --help or -h was given */
sm_status args_parse(args *out, const verb **v, app *a, bool *help, int argc, char **argv,
                     sm_err *err);
void args_free(args *in);
/** Do verbs of two words begin with this one: "data"? */
bool verb_is_group(const char *word);
/** The error of a verb that there is not, with the one that may have been meant. */
sm_status verb_unknown(const char *name, sm_err *err);
/** "find_lr" as it is typed: "find-lr". */
void option_flag(char out[64], const char *key);
/** Options that say something about another one do nothing without it.
 * @param key  NULL-ended
 * @param of   the option that they are of
 * @return the first one that was given, to be refused; NULL when there is none or `of` was
 *         given as well */
const char *args_idle(const args *in, const char *const *key, const char *of);
/** Refuse it: "VERB: --KEY is of --OF, which is not given"; exit status. */
int args_refuse_idle(const app *a, const verb *v, const char *key, const char *of);

/** Variables of the environment that every verb heeds; the last name is NULL. */
typedef struct variable {
    const char *name, *help;
} variable;
extern const variable environment[];

void help_program(FILE *f);
void help_group(FILE *f, const char *group);
void help_verb(FILE *f, const verb *v);
bool page_markdown(sm_buf *out, const verb *v);
bool page_man(sm_buf *out);
/** The verbs (of a group; NULL: all) and what they share, or one verb, for --json. */
json_t *page_json(const char *group);
json_t *page_json_verb(const verb *v);
bool page_completions(sm_buf *out, const char *shell);

/* --------------------------------------------------------------- verb_step.c */

/** What a verb of one flow step was asked for. */
typedef struct step_request {
    const char *as;
    const char **ref;
    size_t n_ref;
    json_t *options; /* as given                */
    json_t *file;    /* the YAML, NULL: none    */
} step_request;
/** From flags, words and --config, into a request of zeroes; strings are borrowed from
 * `in`.  Release with step_request_free whatever the outcome. */
sm_status step_request_read(step_request *r, const verb *self, const args *in,
                            sm_err *err);
void step_request_free(step_request *r);

/** What a verb has to add to the result of its step under --json: a new object. */
typedef sm_status step_more(json_t **members, app *a, const sm_artifact *made, sm_err *err);
/** Run a verb that is one flow step: options from flags and --config, result as --as.
 * @param more  NULL: nothing
 * @param[out] out  what was made; empty after --dry-run and when it failed; release with
 *                  sm_flow_result_free */
int run_step(app *a, const verb *self, const args *in, step_more *more,
             sm_flow_result *out);
/** The same for a verb that does no more with it. */
int run_step_verb(app *a, const verb *self, const args *in);
extern const sm_option step_verb_options[];
#define STEP_VERB_OPTIONS                                                                \
    {.key = "as",                                                                        \
     .type = SM_OPT_STRING,                                                              \
     .def = "",                                                                          \
     .help = "name of the result; by default its kind"},                                 \
        {.key = "config",                                                                \
         .type = SM_OPT_PATH,                                                            \
         .def = "",                                                                      \
         .help = "YAML file with the keys of one pipeline step: in, as, options"},       \
        {.key = "dry_run",                                                               \
         .type = SM_OPT_BOOL,                                                            \
         .def = "false",                                                                 \
         .help = "say what the run would take, make nothing"}

/* ----------------------------------------------------------------- find_lr.c */

/** smelt train --find-lr: the range test, as a table, a plot and a suggestion. */
int run_find_lr(app *a, const verb *self, const args *in);

/** "12.3 MB" */
const char *human_bytes(char out[32], int64_t bytes);

#endif
