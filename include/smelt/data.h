/* SPDX-License-Identifier: Apache-2.0 */
/**
 * data (L4): sources, extraction into documents, curation, datasets and what is shown of
 * them.  docs/formats/dataset.md states the files and their invariants.
 *
 *   paths --sm_data_add--> documents.jsonl, source.json          (artifact "source")
 *   sources --sm_data_curate--> train, heldout, rejected.jsonl, stats.json ("dataset")
 *   *.jsonl --sm_dataset_open--> documents by index, for training, evaluation, indexing
 *
 * Everything written here is a pure function of the bytes read and of the options: the
 * same at any thread count and for any order of inputs.  Readers of single formats (man,
 * HTML, Markdown, plain text) are in extract.h.
 */
#ifndef SMELT_DATA_H
#define SMELT_DATA_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sm_file_writer; /* sys.h */

/* --------------------------------------------------------------- documents */

/**
 * One document.  All strings are NUL-terminated UTF-8, never NULL ("" = unknown), borrowed
 * from whoever hands the document out.  Fields as in docs/formats/dataset.md.
 */
typedef struct sm_document {
    const char *id;      /* 32 lower-case hex digits                              */
    const char *source;  /* name of the source                                    */
    const char *path;    /* inside the source; containers joined by '!'           */
    const char *format;  /* text, markdown, rst, html, man, jsonl                 */
    const char *title;   /* "lsof(8)", an HTML title, a first heading, or ""      */
    const char *summary; /* a man page's NAME line without the names, or ""       */
    const char *section; /* man section, or ""                                    */
    const char *package; /* Debian package, or ""                                 */
    const char *version; /* its version, or ""                                    */
    const char *licence; /* SPDX-like names joined by " AND ", or "unknown"       */
    const char *lang;    /* ISO 639-1, or "und"                                   */
    const char *reason;  /* rejected documents: "gopher.mean_word_length"; else "" */
    const char *detail;  /* rejected documents: "2.71, want 3..10"; else ""       */
    const char *text;    /* the text; text[text_len] == 0, no NUL before          */
    size_t text_len;     /* bytes                                                 */
} sm_document;

/** Append one line of a .jsonl file (keys in the order of dataset.md, '\n' at the end).
 * `reason` and `detail` are written only when reason is not "". */
SM_API bool sm_document_write(sm_buf *out, const sm_document *doc);

/* ----------------------------------------------------- reading a dataset */

/** Documents of one or more .jsonl files, in file order, by index. */
typedef struct sm_dataset sm_dataset;

/**
 * Read .jsonl files of a source or dataset.  Files are read whole and decoded in place, in
 * parallel over lines: memory is the size of the files plus 128 bytes a document.
 * Unknown keys are skipped, absent ones are "".
 * @param ctx   pool used for decoding; NULL = serial
 * @return SM_ECORRUPT ("FILE:LINE:COL: ...") for a line that is no JSON object of strings
 *         or has no "text", SM_EINVAL for a line over 1 GiB, SM_ENOENT, SM_EIO, SM_ENOMEM
 */
SM_API sm_status sm_dataset_open(sm_dataset **out, const sm_ctx *ctx,
                                 const char *const *path, size_t n_path, sm_err *err);
SM_API void sm_dataset_close(sm_dataset *d);
/** Number of documents, and bytes of their texts. */
SM_API size_t sm_dataset_n(const sm_dataset *d);
SM_API int64_t sm_dataset_text_bytes(const sm_dataset *d);
/** Document i, 0 <= i < n; fields are borrowed until close.  Thread-safe, O(1). */
SM_API sm_status sm_dataset_get(const sm_dataset *d, size_t i, sm_document *out,
                                sm_err *err);
/** Go through all: `*at` starts at 0; false at the end. */
SM_API bool sm_dataset_next(const sm_dataset *d, size_t *at, sm_document *out);
/** The texts as a source for sm_bpe_train and the packer; `d` must outlive it. */
SM_API sm_text_source sm_dataset_text(sm_dataset *d);

/* -------------------------------------------------------------- data add */

/** Options of step `data.add`; `paths` (list, required) are the files and directories. */
SM_API extern const sm_option sm_data_add_options[];

/**
 * Read sources into `staging`/documents.jsonl and `staging`/source.json.
 *
 * A path is a directory (walked; symbolic links are not followed), an archive (tar, zip,
 * .deb; compressed by gzip, xz, zstd, bzip2; nested up to 4 deep), a compressed file, a
 * .jsonl file, or a document.  Aliases (symbolic and hard links, man pages that are one
 * ".so" line) are counted and skipped.  A .deb gives package, version and licence.
 *
 * The inputs are hashed again when they have been read: what is written is of the bytes
 * that the hashes are of, or there is an error.
 *
 * @param options  resolved against sm_data_add_options
 * @param facts    of sm_data_add_facts with the same options: what the inputs have to be;
 *                 NULL: as they are
 * @param figures  object that receives "documents", "bytes", ...; may be NULL
 * @return SM_ENOENT, SM_EIO, SM_EDENIED for what cannot be opened, SM_ECORRUPT for a damaged
 *         archive (all unless `skip_damaged`);
 *         SM_EDENIED for a path that leaves its archive or a decompression bomb (likewise);
 *         SM_EINVAL when nothing was found, or an input changed meanwhile; SM_ECANCEL
 */
SM_API sm_status sm_data_add(const sm_ctx *ctx, const json_t *options,
                             const json_t *facts, const char *staging, json_t *figures,
                             sm_err *err);

/** SHA-256 of files, remembered for as long as a file is what it was (device, inode, size,
 * times): put into ctx->hashes, each input of a run is hashed once before it is read.
 * Thread-safe. */
typedef struct sm_file_hashes sm_file_hashes;
/** Knows nothing yet; release with sm_file_hashes_free (NULL-safe).  @return SM_ENOMEM */
SM_API sm_status sm_file_hashes_create(sm_file_hashes **out, sm_err *err);
SM_API void sm_file_hashes_free(sm_file_hashes *h);

/** What of the outside world enters the recipe of data.add: {"inputs": [[name, SHA-256],
 * ...], "readers": version}.  A directory's hash covers names and bytes of its files; of
 * links and of what is left out by name, the name; of what cannot be read, under
 * `skip_damaged`, the reason.  New reference, NULL on error (SM_ECANCEL when asked to stop). */
SM_API json_t *sm_data_add_facts(const sm_ctx *ctx, const json_t *options, sm_err *err);

/* ----------------------------------------------------------- data curate */

/** Options of step `data.curate`. Numbers that are unset take the preset's value. */
SM_API extern const sm_option sm_data_curate_options[];

/**
 * Curate documents into `staging`/{train,heldout,rejected}.jsonl and stats.json: a declared
 * list of steps (a preset, or `steps`), then the split.  A step keeps, changes or rejects a
 * document; a rejected one goes to rejected.jsonl with its reason as it was when rejected.
 *
 * @param path     documents.jsonl of each source, any order
 * @param options  resolved against sm_data_curate_options
 * @param figures  object that receives "kept", "rejected", "train_bytes", ...; may be NULL
 * @return SM_EINVAL (an unknown step, a bad parameter, nothing left to train on),
 *         SM_ECORRUPT, SM_EIO, SM_ENOSPC, SM_ECANCEL
 */
SM_API sm_status sm_data_curate(const sm_ctx *ctx, const char *const *path, size_t n_path,
                                const json_t *options, const char *staging,
                                json_t *figures, sm_err *err);

/** Versions that enter the recipe of data.curate: {"unicode", "rules"}. New reference. */
SM_API json_t *sm_data_curate_facts(const sm_ctx *ctx, const json_t *options,
                                    sm_err *err);

/* ------------------------------------------------ show, export, diff */

/** The files of one artifact; NULL for those it does not have. */
typedef struct sm_data_files {
    const char *name;      /* what to call it: the ref                       */
    const char *documents; /* documents.jsonl (artifact "source")            */
    const char *source;    /* source.json                                    */
    const char *train;     /* train.jsonl (artifact "dataset") and so on     */
    const char *heldout;
    const char *rejected;
    const char *stats;
} sm_data_files;

typedef enum sm_data_form { SM_DATA_TEXT, SM_DATA_JSON, SM_DATA_HTML } sm_data_form;

/** Options of `data show`: n_samples, seed, reason. */
SM_API extern const sm_option sm_data_show_options[];

/** Counts, reasons, sizes, licences, packages and samples of a source or dataset, as text
 * for a terminal, JSON, or one self-contained page (no script, no network). */
SM_API sm_status sm_data_show(sm_buf *out, const sm_ctx *ctx, const sm_data_files *files,
                              sm_data_form form, const json_t *options, sm_err *err);

#define SM_N_PART 4
/** Files of one part ("train", "heldout", "rejected", "documents"), or of "all" that there
 * are.
 * @param[out] path  [*n], borrowed from files
 * @return SM_EINVAL when there is none */
SM_API sm_status sm_data_parts(const char *path[SM_N_PART], size_t *n,
                               const sm_data_files *files, const char *part, sm_err *err);

/** Put the documents of one part, or of "all", into w as JSONL; the caller commits.
 * @param[out] n_docs  how many
 * @return SM_EINVAL when there is no such part, else an error of reading or writing */
SM_API sm_status sm_data_export(struct sm_file_writer *w, const sm_data_files *files,
                                const char *part, int64_t *n_docs, sm_err *err);

/** Compare two datasets by document id: {"added", "removed", "moved", "changed": counts,
 * "examples": {...}}; "same", "moved" (went from one part to another).  New reference. */
SM_API sm_status sm_data_diff(json_t **out, const sm_ctx *ctx, const sm_data_files *a,
                              const sm_data_files *b, sm_err *err);

/* ------------------------------------------------- parts of general use */

/**
 * Licence of a Debian copyright file, machine-readable (DEP-5) or free-form.
 * Writes SPDX-like names sorted and joined by " AND ", "unknown" when none is recognised.
 */
SM_API bool sm_licence_of_copyright(sm_buf *out, const char *text, size_t len);
/** Licence named by a text: an SPDX-License-Identifier line, or the wording of a known
 * licence; "" appended when none. */
SM_API bool sm_licence_of_text(sm_buf *out, const char *text, size_t len);

/** ISO 639-1 code of the language of a text, static storage; "und" when undecided. */
SM_API const char *sm_lang_detect(const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
