/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: what steps, pipelines and replay share. */
#ifndef SMELT_FLOW_INTERNAL_H
#define SMELT_FLOW_INTERNAL_H

#include "smelt/flow.h"
#include "smelt/sys.h"

/** One kind of input that a step declares: "source+" is {"source", many}. */
typedef struct input_kind {
    char kind[24];
    bool many;     /* '+': one or more */
    bool optional; /* '?': none or one */
} input_kind;

#define MAX_KINDS 8

/** Split a declaration such as "source+ tokenizer?"; returns how many kinds there are. */
size_t flow_input_kinds(input_kind out[MAX_KINDS], const char *inputs);

/** "a" or "an". */
const char *flow_article(const char *kind);

/** Do inputs of these kinds fit the step?  `ref` [n] are their names, for the message.
 * @return SM_EINVAL */
sm_status flow_inputs_fit(const sm_step *step, const char *const *kind,
                          const char *const *ref, size_t n, const char *where,
                          sm_err *err);

/** Find the artifacts that refs name and put them in the order the step declares (those
 * of a '+' kind by content id, so that the order in which they are named does not
 * matter).
 * @param[out] out  [*n_out] new array, each to be freed with sm_artifact_free */
sm_status flow_inputs_find(sm_artifact **out, size_t *n_out, sm_store *store,
                           const sm_step *step, const char *const *refs, size_t n_refs,
                           const char *where, sm_err *err);
void flow_inputs_free(sm_artifact *input, size_t n);

/** Path of a file of input i; *out malloc'd. */
sm_status flow_input_path(char **out, const sm_step_io *io, size_t i, const char *file,
                          sm_err *err);
/** Paths of one file of every input of a kind; release with flow_paths_free, whatever the
 * outcome (NULL-safe). */
sm_status flow_input_paths(char ***out, size_t *n_out, const sm_step_io *io,
                           const char *kind, const char *file, sm_err *err);
void flow_paths_free(char **path, size_t n);
/** The first input of a kind, -1 when there is none. */
int flow_input_of(const sm_step_io *io, const char *kind);

/** The recipe of a step with the options and inputs of `io`. New reference in *out. */
sm_status flow_recipe(json_t **out, const sm_step *step, const sm_step_io *io, sm_err *err);

/** A context that remembers the hashes of files: `ctx` when it does, else a copy of it.
 * Release with flow_ctx_free whatever the outcome. */
typedef struct flow_ctx {
    const sm_ctx *ctx;
    sm_ctx own;
    struct sm_file_hashes *made;
} flow_ctx;
sm_status flow_ctx_make(flow_ctx *out, const sm_ctx *ctx, sm_err *err);
void flow_ctx_free(flow_ctx *f);

/** What is known of a run before it starts; figures are borrowed into it. New reference
 * or NULL when out of memory. */
json_t *flow_record(const sm_ctx *ctx, const char *run, const json_t *options,
                    json_t *figures);

/** The options with which to run the recipe of `a` again. New reference or NULL. */
json_t *flow_replay_options(sm_store *store, const sm_step *step, const sm_artifact *a);

/** The step of this build that made `a`; SM_EUNSUPPORTED when it has no such step or
 * another version of it. */
sm_status flow_recorded_step(const sm_step **out, const sm_artifact *a, sm_err *err);

/** Text of a model as a JSON string, what is no UTF-8 replaced.  New reference or NULL when
 * out of memory. */
json_t *flow_clean_string(const sm_buf *b);

/** A fresh directory TMPDIR/smelt-WHO-XXXXXX; *out malloc'd, for the caller to remove. */
sm_status flow_temporary(char **out, const char *who, sm_err *err);

/** Take the lock file at `path`, made when it is not there: its descriptor, -1 when a process
 * holds it or it cannot be made. */
int flow_lock_try(const char *path);
/** The same, but wait for whoever holds it, and say so once: "WHO: another process WHAT".
 * @return SM_ECANCEL when asked to stop meanwhile */
sm_status flow_lock_wait(int *fd, const char *path, const sm_ctx *ctx, const char *who,
                         const char *what, sm_err *err);
/** Remove the lock file and let go of it; fd may be -1. */
void flow_lock_end(int fd, const char *path);

/** The audit event of a gate: {"model", "release", "passed"}, ids being content ids. */
#define FLOW_GATE_EVENT "gate.verdict"

/** sm_step_find that names the nearest step when there is none. */
sm_status flow_step_find(const sm_step **out, const char *name, const char *where,
                         sm_err *err);

#endif
