/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of `data curate`.
 *
 *   curate_options.c  the option table, presets, resolved parameters
 *   curate.c          the order of work: runs of per-document steps, then whole-set steps
 *   repair.c normalise.c           change the text
 *   rule_*.c                       keep or reject one document
 *   dedup_exact.c minhash.c ...    look at all documents
 *   curate_write.c    train, heldout, rejected, stats
 */
#ifndef SMELT_DATA_CURATE_H
#define SMELT_DATA_CURATE_H

#include "smelt/data.h"
#include "smelt/sys.h"
#include "words.h"

/* ------------------------------------------------------------- parameters */

typedef struct gopher_params {
    int64_t min_words, max_words, min_stop_words;
    double min_mean, max_mean, max_hash, max_ellipsis, max_bullet, max_ellipsis_lines,
        min_alpha;
} gopher_params;

typedef struct repeat_params {
    double para, para_char, line, line_char;
    double top[3]; /* 2-, 3-, 4-grams  */
    double dup[6]; /* 5- to 10-grams   */
} repeat_params;

typedef struct fineweb_params {
    double line_punct, short_line, char_dup, list;
    int64_t short_line_chars;
} fineweb_params;

typedef struct c4_params {
    bool terminal_punct;
    int64_t min_sentences, min_line_words, max_word_chars;
    bool curly_bracket;
} c4_params;

typedef struct minhash_params {
    int64_t buckets, hashes, ngram, seed;
    double verify;
} minhash_params;

typedef struct curate_params {
    int64_t min_chars, max_chars;
    const char **lang, **allow, **deny; /* borrowed from the options */
    size_t n_lang, n_allow, n_deny;
    bool allow_unknown;
    gopher_params gopher;
    repeat_params repeat;
    fineweb_params fineweb;
    c4_params c4;
    minhash_params minhash;
    double heldout_frac;
    int64_t split_seed;
} curate_params;

/* -------------------------------------------------------------- documents */

/** A document on its way. `doc.text` points into the dataset or to `owned`. */
typedef struct curate_doc {
    sm_document doc;
    char *owned;            /* the text when a step changed it                   */
    const char *reason;     /* static; NULL = kept so far                        */
    char *detail;           /* malloc'd, of the reason                           */
    const char *step;       /* name of the step that rejected it                 */
    unsigned char hash[16]; /* of the normalised text; see sm_text_hash          */
    bool heldout, changed;
} curate_doc;

typedef struct curate curate;

/** Scratch of one thread. */
typedef struct curate_scratch {
    sm_words words;
    const curate_doc *words_of; /* whose text `words` holds; see sm_curate_words */
    sm_buf a, b;
    sm_err err;
} curate_scratch;

/** A step.  To add one: a row in the table of curate_options.c; exactly one of the two
 * functions is set. */
typedef struct curate_step {
    const char *name, *help;
    /** One document: may replace its text or reject it.  Called from several threads. */
    sm_status (*each)(const curate_params *p, curate_doc *d, curate_scratch *scratch,
                      sm_err *err);
    /** All documents that are still kept. */
    sm_status (*all)(curate *c, sm_err *err);
} curate_step;

#define CURATE_MAX_STEPS 24

struct curate {
    const sm_ctx *ctx;
    curate_params params;
    const char *preset;
    const curate_step *step[CURATE_MAX_STEPS];
    size_t n_step;
    int64_t removed[CURATE_MAX_STEPS], changed[CURATE_MAX_STEPS],
        seconds_ns[CURATE_MAX_STEPS];
    curate_doc *doc; /* sorted by id */
    size_t n;
    size_t n_repeated; /* ids that occurred in several sources */
    json_t *pairs;     /* examples of near-duplicates for the page */
};

/** Fill params, preset and steps from resolved options. */
sm_status sm_curate_configure(curate *c, const json_t *options, sm_err *err);
void sm_curate_configure_free(curate *c);
/** Every parameter with its value, by step, for stats.json; new reference. */
json_t *sm_curate_describe(const curate *c);

/** Reject: `reason` is static, the detail is formatted. */
sm_status sm_curate_reject(curate_doc *d, const char *reason, sm_err *err,
                           const char *fmt, ...) SM_PRINTF(4, 5);
/** Reject for the reason that a rule gave, with its detail; NULL: the document stays. */
sm_status sm_curate_judge(curate_doc *d, const char *reason, const sm_buf *detail,
                          sm_err *err);
/** Give a document a new text (copied from `text` when it differs). */
sm_status sm_curate_set_text(curate_doc *d, const sm_buf *text, sm_err *err);

/** Words of the document in scratch->words, split only when its text is new there. */
sm_status sm_curate_words(const curate_doc *d, curate_scratch *scratch, sm_err *err);

/* ---------------------------------------------------------------- the steps */

sm_status sm_step_repair(const curate_params *, curate_doc *, curate_scratch *, sm_err *);
sm_status sm_step_normalise(const curate_params *, curate_doc *, curate_scratch *,
                            sm_err *);
sm_status sm_step_length(const curate_params *, curate_doc *, curate_scratch *, sm_err *);
sm_status sm_step_language(const curate_params *, curate_doc *, curate_scratch *,
                           sm_err *);
sm_status sm_step_licence(const curate_params *, curate_doc *, curate_scratch *,
                          sm_err *);
sm_status sm_step_gopher_quality(const curate_params *, curate_doc *, curate_scratch *,
                                 sm_err *);
sm_status sm_step_gopher_repetition(const curate_params *, curate_doc *, curate_scratch *,
                                    sm_err *);
sm_status sm_step_c4(const curate_params *, curate_doc *, curate_scratch *, sm_err *);
sm_status sm_step_fineweb(const curate_params *, curate_doc *, curate_scratch *,
                          sm_err *);
sm_status sm_step_exact_dedup(curate *c, sm_err *err);
sm_status sm_step_minhash_dedup(curate *c, sm_err *err);

/** Whether a licence string ("A AND (B OR C)") passes; `*why` is static on refusal. */
bool sm_licence_allowed(const curate_params *p, const char *licence, const char **why);

/** 128 bits of SHA-256 over the text with white space collapsed: what exact deduplication
 * and the split go by. */
bool sm_text_hash(unsigned char out[16], const char *text, size_t len, sm_buf *scratch);

/** Which of two copies survives: the better described (title, summary, section), then the
 * longer text, then the smaller id. */
bool sm_survives(const curate_doc *a, const curate_doc *b);

sm_status sm_curate_write(curate *c, const char *staging, json_t *figures, sm_err *err);

/* --------------------------------------- pure parts, for tests and for reuse */

/** Undo UTF-8 read as windows-1252 and written as UTF-8 again ("â€™" -> "’"), and
 * C1 controls that were windows-1252. Appends to out. */
bool sm_repair_text(sm_buf *out, const char *text, size_t len);
/** NFC, '\n' line ends, no controls, plain blanks, no trailing blanks, at most one blank
 * line, one '\n' at the end. Appends to out. */
bool sm_normalise_text(sm_buf *out, const char *text, size_t len);

/** The first rule that a text breaks: static reason code, or NULL; detail appended. */
const char *sm_rule_gopher_quality(const gopher_params *p, const sm_words *w,
                                   sm_buf *detail);
/** The same in *reason; SM_ENOMEM. */
sm_status sm_rule_gopher_repetition(const char **reason, const repeat_params *p,
                                    sm_words *w, sm_buf *detail, sm_err *err);
sm_status sm_rule_fineweb(const char **reason, const fineweb_params *p, sm_words *w,
                          sm_buf *detail, sm_err *err);
/** C4: appends the lines that are kept to out. */
sm_status sm_rule_c4(const char **reason, const c4_params *p, const char *text,
                     size_t len, sm_buf *out, sm_buf *detail, sm_err *err);
/** Append "GOT, want WANT LIMIT" to detail; returns `reason`. */
const char *sm_rule_say(sm_buf *detail, const char *reason, double got, const char *want,
                        double limit);

/** Elements that occurred before, and their code points (datatrove's find_duplicates). */
typedef struct sm_repeats {
    int64_t n, n_char;
} sm_repeats;
/** @param span [n] parts of w's text.  SM_ENOMEM. */
sm_status sm_find_repeats(sm_repeats *out, sm_words *w, const sm_span *span, size_t n,
                          sm_err *err);
/** Split the text on runs of at least `min_ends` '\n' into w->block (re.split).
 * SM_ENOMEM. */
sm_status sm_split_blocks(sm_words *w, sm_span whole, int min_ends, sm_err *err);

#endif
