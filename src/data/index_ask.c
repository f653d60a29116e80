/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what was found answers the question: how much of it the best documents hold. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index_internal.h"

enum { N_JUDGED = 5 };
static const double LEAST_SHARE = 0.5;

/* The documents that are judged, and how much of the question each holds. */
typedef struct verdict {
    const sm_hit *hit;
    int32_t n;
    double held[N_JUDGED], whole;
} verdict;

/* Documents with a word are counted once each; rows are in the order of documents. */
typedef struct word_rows {
    int64_t n_doc;
    bool in[N_JUDGED];
} word_rows;

static sm_status find_in(word_rows *r, sm_index *x, const verdict *v, const char *sql,
                         bool is_by_passage, const char *match, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    int64_t last = -1, n_doc = 0;
    int rc = sqlite3_prepare_v2(x->db, sql, -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(q, 1, match, -1, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        return sm_index_fail(err, x->db);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        int64_t doc = sqlite3_column_int64(q, 0) - 1;
        if (is_by_passage)
            doc = doc >= 0 && (size_t)doc < x->n_passage ? x->passage[doc].doc : last;
        n_doc += doc != last;
        last = doc;
        for (int32_t i = 0; i < v->n; i++)
            r->in[i] = r->in[i] || v->hit[i].doc == doc;
    }
    sqlite3_finalize(q);
    r->n_doc = n_doc > r->n_doc ? n_doc : r->n_doc;
    return rc == SQLITE_DONE ? SM_OK : sm_index_fail(err, x->db);
}

/* A word may stand between spaces in one document, and within a run of Han in another. */
static sm_status find_word(word_rows *r, sm_index *x, const verdict *v, const char *match,
                           sm_err *err)
{
    *r = (word_rows){0};
    sm_status s = find_in(r, x, v, "SELECT rowid FROM page WHERE page MATCH ? ORDER BY 1",
                          false, match, err);
    return s ? s
             : find_in(r, x, v,
                       "SELECT rowid FROM spaceless WHERE spaceless MATCH ? "
                       "ORDER BY 1",
                       true, match, err);
}

/* Whether a word only joins others: a stop word of the ranking, or one of these, which the
 * ranking weighs as it finds them. */
static bool is_joining(const char *w)
{
    static const char *const more[] = {
        "about", "after", "all",  "am",   "any",   "because", "been",    "before", "but",
        "could", "did",   "done", "got",  "had",   "has",     "have",    "he",     "her",
        "here",  "him",   "his",  "if",   "just",  "let",     "may",     "must",   "no",
        "our",   "out",   "over", "s",    "she",   "should",  "so",      "some",   "t",
        "than",  "their", "them", "then", "there", "these",   "they",    "those",  "up",
        "us",    "was",   "we",   "were", "whom",  "whose",   "without", "would"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (!strcmp(w, more[i]))
            return true;
    return sm_index_is_stop_word(w);
}

static sm_status weigh_word(verdict *v, sm_index *x, const char *word, sm_err *err)
{
    index_words one = {.word = &word, .n = 1};
    sm_buf match = {0};
    word_rows r = {0};
    sm_index_match_terms(&match, &one);
    sm_status s = match.failed ? sm_fail(err, SM_ENOMEM, "index: out of memory")
                               : find_word(&r, x, v, match.data, err);
    sm_buf_free(&match);
    if (s || (r.n_doc == 0 && sm_index_has_spaceless(word)))
        return s; /* of two characters that never meet none can tell that they are a word */
    double idf = log(((double)x->n_doc + 1) / ((double)r.n_doc + 1));
    double weight =
        idf > 0.01 ? idf : 0.01; /* a word of every page still counts a little */
    v->whole += weight;
    for (int32_t i = 0; i < v->n; i++)
        v->held[i] += r.in[i] ? weight : 0;
    return SM_OK;
}

/* A title of one word, its manual section aside, that is a word of the question. */
static bool is_called(const char *title, const index_words *question)
{
    size_t n = strcspn(title, "(");
    char *name = sm_strndup(title, n);
    index_words w = {0};
    bool called = name && sm_index_words(&w, name, false) && w.n == 1 &&
                  strlen(w.word[0]) == n && sm_index_words_hold(question, w.word[0]);
    sm_index_words_free(&w);
    free(name);
    return called;
}

static bool any_is_called(const sm_index *x, const verdict *v, const char *question)
{
    index_words w;
    bool called = false;
    if (!sm_index_words(&w, question, false))
        return false;
    for (int32_t i = 0; i < v->n && !called; i++)
        called = is_called(x->passage[v->hit[i].passage].title, &w);
    sm_index_words_free(&w);
    return called;
}

static sm_status is_answered(bool *out, sm_index *x, const char *question, verdict *v,
                             sm_err *err)
{
    index_words w;
    sm_status s = SM_OK;
    if (!sm_index_terms(&w, question))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    for (size_t i = 0; i < w.n && !s; i++)
        if (!is_joining(w.word[i]))
            s = weigh_word(v, x, w.word[i], err);
    sm_index_words_free(&w);
    *out = !s && any_is_called(x, v, question);
    for (int32_t i = 0; i < v->n && !s; i++)
        *out = *out || (v->held[i] > 0 && v->held[i] >= LEAST_SHARE * v->whole);
    return s;
}

sm_status sm_index_ask(sm_index *x, const char *question, const sm_rank *rank,
                       const sm_scorer *scorer, sm_hit *hit, int32_t k, int32_t *n_hit,
                       sm_err *err)
{
    size_t len = strlen(question);
    if (len > SM_QUESTION_BYTES)
        return sm_fail(err, SM_EINVAL, "question: got %zu bytes, want at most %d", len,
                       SM_QUESTION_BYTES);
    int32_t want = k > N_JUDGED ? k : N_JUDGED, n = 0;
    sm_hit *best = sm_alloc((size_t)want, sizeof *best);
    if (!best)
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    sm_rank any_script = *rank;
    any_script.any_script = true;
    sm_status s = sm_index_search(x, question, &any_script, scorer, best, want, &n, err);
    verdict v = {.hit = best, .n = n < N_JUDGED ? n : N_JUDGED};
    bool answered = false;
    if (!s)
        s = is_answered(&answered, x, question, &v, err);
    if (!s) {
        *n_hit = !answered ? 0 : n < k ? n : k;
        memcpy(hit, best, (size_t)*n_hit * sizeof *hit);
    }
    free(best);
    return s;
}
