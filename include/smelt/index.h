/* SPDX-License-Identifier: Apache-2.0 */
/**
 * index (part of module data, L4): passages, full-text search and ranking for questions.
 *
 *   dataset --sm_index_build--> passages.jsonl (artifact "index") --sm_index_open-->
 *   a full-text cache (SQLite FTS5, Porter stems) --sm_index_search--> ranked documents
 *
 * The score of document d for question q is
 *
 *   score(d) = page(d) + w_lead * lead(d) + w_passage * max_p passage(p)
 *            + w_title * abbreviation(title, q) + w_summary * dice(summary, q)
 *            + w_command [q asks how to, d is a command]
 *            + w_model * mean_token log p(q | best passage of d)
 *
 * page, lead and passage are FTS5's BM25 (k1 1.2, b 0.75) with a weight for each field; lead
 * is of title, summary and the beginning of DESCRIPTION alone, so that a long page does not
 * drown what it says of itself.  abbreviation says how well a title such as "lsof"
 * abbreviates the words of q ("list open files").  dice is the share of words in common
 * (Dice 1945), 0 in an index without names.  A command is a page of manual section 1 or 8;
 * a question asks how to when it begins "how do", "how to", "which command" or the like.
 * The last term is query likelihood (Ponte and Croft, SIGIR'98) by a model and concerns the
 * n_rerank best documents alone.
 */
#ifndef SMELT_INDEX_H
#define SMELT_INDEX_H

#include "smelt/base.h"
#include "smelt/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of step `index`: passage_words. */
SM_API extern const sm_option sm_index_options[];

/** Cut the documents of one or more .jsonl files into passages: at headings, then at
 * paragraphs, up to `passage_words` words. Writes `staging`/passages.jsonl, sorted by
 * document id and place.
 * @return SM_EINVAL when there is no passage, SM_ECORRUPT, SM_EIO, SM_ENOMEM */
SM_API sm_status sm_index_build(const sm_ctx *ctx, const char *const *path, size_t n_path,
                                const json_t *options, const char *staging,
                                json_t *figures, sm_err *err);

typedef struct sm_index sm_index;

/** Open passages.jsonl.
 * @param cache_path  where the full-text tables are kept and reused (a file, with its
 *                    checksum in FILE.seal; made when absent, remade when the checksum or
 *                    the passages do not fit); NULL: made in memory, from the passages
 *                    alone (some 0.1 ms a passage)
 * @param with_names  false leaves out NAME sections and summaries, for evaluation */
SM_API sm_status sm_index_open(sm_index **out, const char *passages_path,
                               const char *cache_path, bool with_names, sm_err *err);
SM_API void sm_index_close(sm_index *x);
SM_API size_t sm_index_n_doc(const sm_index *x);
SM_API size_t sm_index_n_passage(const sm_index *x);

/** One passage; strings are borrowed until close, never NULL. */
typedef struct sm_passage {
    int32_t doc; /* ordinal of its document, 0..n_doc-1 */
    const char *id, *title, *summary, *section, *heading, *package, *version, *licence,
        *path, *text;
} sm_passage;
/** Passage i, 0 <= i < n_passage (assert). */
SM_API sm_passage sm_index_passage(const sm_index *x, size_t i);
/** First passage of a document (its title, summary, ... are the document's). */
SM_API size_t sm_index_first_passage(const sm_index *x, int32_t doc);

/** How to rank.  Start from SM_RANK_DEFAULT. */
typedef struct sm_rank {
    bool whole_page_only; /* plain BM25 of the whole page, one field: the baseline   */
    bool any_script;      /* Han and Kana by pairs of characters, no titles in them as
                           * abbreviations: set by sm_index_ask; without it, as
                           * evaluations are recorded                               */
    float w_lead, w_passage, w_title, w_summary, w_command, w_model;
    int32_t n_rerank;     /* documents whose passage the model scores                */
} sm_rank;
#define SM_RANK_DEFAULT                                                                    \
    {.w_lead = 0.8f, .w_passage = 0.2f, .w_title = 8, .w_summary = 25, .w_command = 6,     \
     .n_rerank = 10}

typedef struct sm_hit {
    int32_t doc;
    size_t passage;       /* the best passage of the document                         */
    double score;         /* all terms                                                */
    double lexical;       /* without the model's                                      */
    double page, lead, passage_bm25, title, summary, model; /* before their weights   */
} sm_hit;

/** Rank documents for a question, best first (ties: lower ordinal).
 * @param scorer  NULL: no model term
 * @param[out] hit [k]; *n_hit <= k
 * @return SM_EINVAL for a question without a word, errors of the scorer.
 *         One search at a time on an index.
 *         A question in words that are written together finds them only where they stand
 *         so: see any_script. */
SM_API sm_status sm_index_search(sm_index *x, const char *question, const sm_rank *rank,
                                 const sm_scorer *scorer, sm_hit *hit, int32_t k,
                                 int32_t *n_hit, sm_err *err);

#define SM_QUESTION_BYTES 4096

/**
 * What a person is answered with: sm_index_search over any script, and no hit at all where
 * the documents say too little of what was asked.  A question is answered when one of its
 * five best documents holds half of it, its words weighted by their rarity:
 *
 *   sum of idf(w) over words w of d  >=  1/2 sum of idf(w) over words w of q,
 *   idf(w) = log((n_doc + 1) / (n_doc with w + 1))
 *
 * (words that only join others aside, and pairs of Han or Kana that no document has), or is
 * called by a word of the question, as lsof(8) by "lsof".  Of 631 NAME lines whose page was
 * found with NAME sections left out of the index none falls below that.
 * @return SM_EINVAL for a question without a word, or of more than SM_QUESTION_BYTES
 */
SM_API sm_status sm_index_ask(sm_index *x, const char *question, const sm_rank *rank,
                              const sm_scorer *scorer, sm_hit *hit, int32_t k,
                              int32_t *n_hit, sm_err *err);

/** The page's title and summary where it has one, then the one to three sentences of the
 * passage that share most words with the question, in their order; appended to out. */
SM_API bool sm_index_extract_answer(sm_buf *out, const sm_passage *p, const char *question);

/** How well `title` abbreviates `question`, 0..1: the letters of the title are found in
 * order in the question; 1 for one at the start of a word, 0.9 right after the one before,
 * 0.25 elsewhere; the best total over max(3, letters). */
SM_API double sm_index_abbreviation(const char *title, const char *question);

#ifdef __cplusplus
}
#endif
#endif
