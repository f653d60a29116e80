/* SPDX-License-Identifier: Apache-2.0 */
/**
 * store (L3): the workspace: objects, artifacts, recipes, refs, catalog, run records,
 * lineage and the audit log.  docs/formats/workspace.md states the invariants.
 *
 *   .smelt/objects/ab/cdef...       bytes; name = SHA-256 of the bytes
 *   .smelt/objects/ab/cdef....leaf  SHA-256 of each 1 MiB leaf, to locate damage
 *   .smelt/catalog.db               SQLite: artifacts, refs, runs, metrics
 *   .smelt/audit/log.jsonl          hash-chained, signed records
 *   .smelt/keys/                    Ed25519 key pair, mode 0600
 *   .smelt/tmp/                     staging of steps under way
 *   .smelt/format, .smelt/lock      version of all this; one change at a time
 */
#ifndef SMELT_STORE_H
#define SMELT_STORE_H

#include "smelt/base.h"
#include "smelt/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A SHA-256 as 64 lower-case hex digits and NUL. */
typedef struct sm_id {
    char hex[65];
} sm_id;

/** Hash bytes / a file / check the form of text. */
SM_API sm_status sm_id_of_bytes(sm_id *out, const void *data, size_t len, sm_err *err);
SM_API sm_status sm_id_of_file(sm_id *out, const char *path, sm_err *err);
SM_API bool sm_id_parse(sm_id *out, const char *text);

typedef struct sm_store sm_store;

/** Make a workspace in `dir`/.smelt with a signing key. SM_EEXIST when there is one. */
SM_API sm_status sm_store_init(const char *dir, sm_err *err);
/** Open the workspace found in `dir` or the nearest parent; `dir` NULL = current.
 * SM_ENOENT tells how to make one.  Safe with other processes on the same workspace; a
 * handle may be shared by threads (its calls exclude each other).  Finishes what a crash
 * left: a recorded move that did not become visible becomes visible. */
SM_API sm_status sm_store_open(sm_store **out, const char *dir, sm_err *err);
SM_API void sm_store_close(sm_store *s);
/** What became of the metrics, the one thing in a catalog that is not in the log. */
typedef struct sm_rebuilt {
    int64_t n_metric; /* rows carried over                                        */
    int64_t n_bad;    /* rows that could be read and are no metric: left out       */
    char lost[300];   /* "" = all could be read; else between which rows some could
                         not (how many is not known) */
} sm_rebuilt;

/** Put a damaged catalog.db aside and make it again from the audit log and the objects.
 * Metrics are carried over row by row, from both ends as far as they can be read.  `dir`
 * as for open.  A catalog that is gone is
 * made by open itself.
 * @param[out] out  may be NULL; unchanged after an error
 * @return SM_EDENIED when another process has the workspace open, and when the catalog
 *         can still tell that the log was cut or rewritten: making it again would hide
 *         that */
SM_API sm_status sm_store_rebuild(sm_rebuilt *out, const char *dir, sm_err *err);
/** The directory that holds .smelt, and .smelt itself; borrowed. */
SM_API const char *sm_store_root(const sm_store *s);
SM_API const char *sm_store_dir(const sm_store *s);

/* --------------------------------------------------------------- artifacts */

/** One file of an artifact. */
typedef struct sm_artifact_file {
    char *path; /* relative, '/'-separated, no "." or ".." */
    sm_id object;
    int64_t bytes;
} sm_artifact_file;

/** An immutable result: sorted files, and the recipe that made it. */
typedef struct sm_artifact {
    char kind[24]; /* "source", "dataset", "tokenizer", "model", ... */
    sm_id content; /* SHA-256 of canonical JSON [[path, object id], ...] */
    sm_id recipe;  /* SHA-256 of the canonical recipe                 */
    json_t *recipe_json;
    sm_artifact_file *file;
    size_t n_file;
} sm_artifact;
/** Release what it holds; it is then all zero.  The store keeps the artifact. */
SM_API void sm_artifact_free(sm_artifact *a);

/** Take every file below `staging` into the store as one artifact: objects are durable,
 * then one transaction makes artifact, recipe and run visible and moves `ref` (the new
 * version is ref@vN), with its audit record durable first.  `staging` is removed; its
 * files are moved into the store (copied where they have another name under which they
 * could be written), so nothing may have them open, and after a failure they may be gone
 * from it (the objects stay; make the result again in a fresh directory).
 * When `ref` names this very artifact already, it does not move.
 * @param ref   NAME or NAME:TAG; may be NULL (no ref moves)
 * @param run   run record: {"argv", "cwd", "build", "machine", "kernels", "threads", "started",
 *              "seconds", "figures", "options"}, and "id", by which its metrics are found (SHA-256
 *              of the record when absent); may be NULL
 * @return SM_EINVAL for a bad kind, ref or recipe and for a staging without files;
 *         SM_ENOSPC, SM_EIO: the workspace is as before.  When the disk fills between the
 *         audit record and the catalog, the next open or change completes the move. */
SM_API sm_status sm_store_commit(sm_artifact *out, sm_store *s, const char *kind,
                                 const json_t *recipe, const char *staging,
                                 const char *ref, const json_t *run, sm_err *err);

/** The same, with something that is to be durable before the result can be seen. */
typedef struct sm_commit {
    const char *kind;
    const json_t *recipe;
    const char *staging;
    const char *ref;   /* NULL: none */
    const json_t *run; /* NULL: none */
    /** Called when the objects are durable and nothing refers to them yet; may append to
     * the audit log and read files of `a`.  An error of it ends the commit. */
    sm_status (*before)(void *self, const sm_artifact *a, sm_err *err);
    void *self;
} sm_commit;
/** As sm_store_commit; what `before` returns besides. */
SM_API sm_status sm_store_commit_after(sm_artifact *out, sm_store *s, const sm_commit *c,
                                       sm_err *err);

/** Find by ref ("docs", "docs@v3", "unix:stable"), content id or its prefix (>= 8 digits).
 * 64 hex digits are an id and never a ref; a ref wins over a shorter prefix.
 * SM_ENOENT names the nearest ref; SM_EINVAL when a prefix is ambiguous. */
SM_API sm_status sm_store_find(sm_artifact *out, sm_store *s, const char *ref,
                               sm_err *err);
/** Find by the id of a lineage node: that content as that recipe made it.  SM_ENOENT when
 * there is none, such as for a node of kind "missing". */
SM_API sm_status sm_store_find_node(sm_artifact *out, sm_store *s, const sm_id *node,
                                    sm_err *err);
/** The artifact that a recipe has already made here; SM_ENOENT when none. */
SM_API sm_status sm_store_find_recipe(sm_artifact *out, sm_store *s, const sm_id *recipe,
                                      sm_err *err);
/** Absolute path of a file of an artifact in the object store (read only, mappable);
 * *out malloc'd. SM_ENOENT when the artifact has no such file or the object is gone. */
SM_API sm_status sm_store_path(char **out, sm_store *s, const sm_artifact *a,
                               const char *path, sm_err *err);
/** The same, for who is about to read it: the bytes are compared with the object's id the
 * first time that this handle is asked (verify counts), in one pass and without a copy.
 * @return SM_ECORRUPT names artifact, file, object and the leaf that is wrong */
SM_API sm_status sm_store_whole_path(char **out, sm_store *s, const sm_artifact *a,
                                     const char *path, sm_err *err);
/** Point a movable tag ("name:tag") or a ref (a new version of "name") at an artifact;
 * nothing happens when it points there already. SM_ENOENT: no such content here. */
SM_API sm_status sm_store_set_ref(sm_store *s, const char *ref, const sm_id *content,
                                  sm_err *err);
/** Would commit and set_ref take this name?  For those who have work to do before they do.
 * @return SM_EINVAL */
SM_API sm_status sm_ref_check(const char *ref, sm_err *err);
/** Copy an artifact's files, recipe and manifest from one workspace to another, re-hashing
 * on the way, and point `ref` (may be NULL) at it there.  Makers are not copied. */
SM_API sm_status sm_store_copy(sm_store *dst, sm_store *src, const sm_artifact *artifact,
                               const char *ref, sm_err *err);
/** A fresh staging directory below .smelt/tmp; *out malloc'd. Left-overs of dead processes
 * are removed when the store is opened. */
SM_API sm_status sm_store_staging(char **out, sm_store *s, const char *name, sm_err *err);

/** Recipe of a step: {"step","version","inputs":[content ids],"options","profile",
 * "parsers"}; options hold only those that affect the result and differ from defaults. */
SM_API json_t *sm_recipe_new(const char *step, int version, const sm_id *input,
                             size_t n_input, const json_t *options, const char *profile);
SM_API sm_status sm_recipe_id(sm_id *out, const json_t *recipe, sm_err *err);

/* ----------------------------------------------------- metrics, lineage, audit */

/** One row for `smelt status`, pages and plots; name e.g. "loss"; run is the "id" of the
 * run record.  Writing (run, name, step) again replaces it, so a resumed run is the same
 * as an undisturbed one.  A machine's crash may lose the last rows.
 * @return SM_ENUMERIC when value is not finite */
SM_API sm_status sm_store_metric(sm_store *s, const char *run, const char *name,
                                 int64_t step, double value, sm_err *err);
/** Series of a run: {"loss":[[step,value],...],...}, steps ascending; `name` NULL = all.
 * An unknown run gives {}. New reference. */
SM_API sm_status sm_store_metrics_read(json_t **out, sm_store *s, const char *run,
                                       const char *name, sm_err *err);

/** What the workspace holds, newest first; new reference:
 *  {"artifacts":[{"content","manifest","kind","recipe","step","bytes","files","made",
 *                 "refs":["docs@v3","docs:stable"]}],
 *   "refs":[{"ref","name","version" (0 for a tag),"tag","content","kind","moved",
 *            "newest" (bool: what NAME alone means)}],
 *   "runs":[{"id","made","content","kind","step","metrics" (names),"run" (the record)}],
 *   "unfinished":[ids of runs with metrics and no record: under way, or given up],
 *   "audit":{"n","head"}} */
SM_API sm_status sm_store_list(json_t **out, sm_store *s, sm_err *err);

/** Re-hash everything reachable from `ref` (NULL: the whole workspace), recipes, refs and
 * the audit chain included (metrics are not).  One finding a line through `emit` (may be
 * NULL), naming object, leaf, file and ref; no lock is held meanwhile.
 * @param[out] n_checked  objects re-hashed; may be NULL
 * @return SM_OK when clean, SM_ECORRUPT when not (err holds the first finding), SM_ENOENT
 *         when `ref` names nothing */
SM_API sm_status sm_store_verify(sm_store *s, const char *ref,
                                 void (*emit)(void *self, const char *line), void *self,
                                 int64_t *n_checked, sm_err *err);

/** The graph that led to `ref`: {"nodes":[{"id","kind","content","recipe","step","refs",
 * "bytes","files","options","made"}],"edges":[[from,to]]}, inputs first, `ref` last; "id"
 * is the manifest's, of one content made by one recipe (two recipes may make the same),
 * "files" is a count.  Where several have made an input, the first counts.  An input that
 * is not here, or is here only as a result of this one, has kind "missing" and its content
 * id.  New reference. */
SM_API sm_status sm_store_lineage(json_t **out, sm_store *s, const char *ref,
                                  sm_err *err);
/** Drawings of such a graph, appended to `out`: a tree in UTF-8 for the terminal, DOT for
 * Graphviz, a self-contained SVG (boxes are <g class="node" data-id="...">; colours follow
 * the reader's light or dark preference).  Texts are escaped.
 * @return SM_EINVAL for JSON that is no such graph; SM_EUNSUPPORTED for an SVG of more
 *         than some thousand boxes and bends */
SM_API sm_status sm_lineage_tree(sm_buf *out, const json_t *graph, sm_err *err);
SM_API sm_status sm_lineage_dot(sm_buf *out, const json_t *graph, sm_err *err);
SM_API sm_status sm_lineage_svg(sm_buf *out, const json_t *graph, sm_err *err);

/** Append a signed record {n, time, event, detail, prev, hash, sig} to the hash chain;
 * durable on return.  `detail` is an object or NULL.  Events of the store itself
 * ("artifact.*", "ref.*", "workspace.*", "catalog.*", "audit.*", "object.*") are refused
 * with SM_EINVAL; a log that was truncated or rewritten gives SM_ECORRUPT. */
SM_API sm_status sm_audit_append(sm_store *s, const char *event, const json_t *detail,
                                 sm_err *err);
/** The detail of the last record of `event` whose detail says `value` (a plain word, such as
 * an id) under `key`; NULL when there is none.  The log itself is read, so that an answer
 * does not hang on the catalog; hash and signature of the records that match are checked,
 * the chain is not.  New reference.
 * @return SM_ECORRUPT when such a record is not what its hash or signature says */
SM_API sm_status sm_audit_last(json_t **detail, sm_store *s, const char *event,
                               const char *key, const char *value, sm_err *err);
/** Check the chain and its signatures, that the log ends where the catalog saw it end, and
 * that a saved checkpoint (NULL = none) is part of it.
 * @return SM_ECORRUPT with the first thing that is wrong: line, truncated, rewritten */
SM_API sm_status sm_audit_verify(sm_store *s, const char *checkpoint_path,
                                 int64_t *n_records, sm_err *err);
/** Write {"n","head","time","key","signature"} to keep elsewhere; refused with SM_ECORRUPT
 * when the log is not whole. */
SM_API sm_status sm_audit_checkpoint(sm_store *s, const char *out_path, sm_err *err);

/** The public key that checks this workspace's signatures, as PEM; malloc'd.  SM_ECORRUPT:
 * keys/ed25519.pub is not a key as init wrote it. */
SM_API sm_status sm_store_public_key(char **pem, sm_store *s, sm_err *err);

/** Sign / check bytes with the workspace's Ed25519 key.  SM_EDENIED: the signature does not
 * match, or the private key is readable by others (want mode 0600). */
SM_API sm_status sm_store_sign(unsigned char sig[64], sm_store *s, const void *data,
                               size_t len, sm_err *err);
SM_API sm_status sm_store_check_signature(sm_store *s, const void *data, size_t len,
                                          const unsigned char sig[64], sm_err *err);

#ifdef __cplusplus
}
#endif
#endif
