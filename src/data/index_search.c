/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rank documents for a question: candidates by BM25 of pages and of passages, the title as
 * an abbreviation, then the model's query likelihood for the best few.
 */
#include <stdlib.h>
#include <string.h>

#include "index_internal.h"

enum { N_PAGES = 200, N_PASSAGES = 400, PREFIX_BYTES = 480 };

/* The question as an FTS5 expression: "w1" OR "w2" ...; a word holds no quote. */
static sm_status match_expression(sm_buf *out, const char *question, sm_err *err)
{
    index_words w;
    if (!sm_index_words(&w, question, true))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    for (size_t i = 0; i < w.n; i++)
        sm_buf_printf(out, "%s\"%s\"", i ? " OR " : "", w.word[i]);
    size_t n = w.n;
    sm_index_words_free(&w);
    if (n == 0)
        return sm_fail(err, SM_EINVAL, "question: got no word, want letters or digits");
    return out->failed ? sm_fail(err, SM_ENOMEM, "index: out of memory") : SM_OK;
}

typedef struct candidates {
    sm_hit *hit;
    size_t n, cap;
    int32_t *slot; /* [n_doc] index into hit + 1, 0: none */
} candidates;

static sm_hit *candidate(candidates *c, int32_t doc, size_t first_passage)
{
    if (c->slot[doc])
        return &c->hit[c->slot[doc] - 1];
    if (c->n == c->cap)
        return NULL;
    c->hit[c->n] = (sm_hit){.doc = doc, .passage = first_passage};
    c->slot[doc] = (int32_t)++c->n;
    return &c->hit[c->n - 1];
}

/* Run a query whose rows are (rowid, bm25); visit each. */
static sm_status each_row(sm_index *x, const char *sql, const char *match, int limit,
                          void (*visit)(sm_index *, candidates *, sqlite3_int64, double),
                          candidates *c, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(x->db, sql, -1, &q, NULL) != SQLITE_OK)
        return sm_index_fail(err, x->db);
    sqlite3_bind_text(q, 1, match, -1, SQLITE_STATIC);
    sqlite3_bind_int(q, 2, limit);
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW)
        visit(x, c, sqlite3_column_int64(q, 0) - 1, -sqlite3_column_double(q, 1));
    sqlite3_finalize(q);
    if (rc != SQLITE_DONE)
        return sm_index_fail(err, x->db);
    return SM_OK;
}

static void visit_page(sm_index *x, candidates *c, sqlite3_int64 row, double bm25)
{
    if (row < 0 || (size_t)row >= x->n_doc)
        return;
    sm_hit *h = candidate(c, (int32_t)row, x->first[row]);
    if (h)
        h->page = bm25;
}

static void visit_lead(sm_index *x, candidates *c, sqlite3_int64 row, double bm25)
{
    if (row < 0 || (size_t)row >= x->n_doc)
        return;
    sm_hit *h = candidate(c, (int32_t)row, x->first[row]);
    if (h)
        h->lead = bm25;
}

static void visit_passage(sm_index *x, candidates *c, sqlite3_int64 row, double bm25)
{
    if (row < 0 || (size_t)row >= x->n_passage)
        return;
    const sm_passage *p = &x->passage[row];
    sm_hit *h = candidate(c, p->doc, (size_t)row);
    if (h && bm25 > h->passage_bm25) {
        h->passage_bm25 = bm25;
        h->passage = (size_t)row;
    }
}

static sm_status gather_spaceless(sm_index *x, candidates *c, const char *question,
                                  sm_err *err)
{
    index_words w;
    sm_buf match = {0};
    if (!sm_index_terms(&w, question))
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    sm_index_match_terms(&match, &w);
    sm_status s = SM_OK;
    if (match.failed)
        s = sm_fail(err, SM_ENOMEM, "index: out of memory");
    else if (w.n > 0)
        s = each_row(x,
                     "SELECT rowid, bm25(spaceless, 3, 1, 1) FROM spaceless "
                     "WHERE spaceless MATCH ? ORDER BY 2, 1 LIMIT ?",
                     match.data, N_PASSAGES, visit_passage, c, err);
    sm_buf_free(&match);
    sm_index_words_free(&w);
    return s;
}

static sm_status gather(sm_index *x, candidates *c, const char *question,
                        const char *match, const sm_rank *rank, sm_err *err)
{
    if (rank->whole_page_only)
        return each_row(x, "SELECT rowid, bm25(plain) FROM plain WHERE plain MATCH ? "
                           "ORDER BY 2, 1 LIMIT ?", match, N_PAGES, visit_page, c, err);
    sm_status s = each_row(x, "SELECT rowid, bm25(page, 8, 2, 8, 1) FROM page "
                              "WHERE page MATCH ? ORDER BY 2, 1 LIMIT ?", match, N_PAGES,
                           visit_page, c, err);
    if (!s)
        s = each_row(x, "SELECT rowid, bm25(beginning, 2, 2, 1) FROM beginning "
                        "WHERE beginning MATCH ? ORDER BY 2, 1 LIMIT ?", match, N_PAGES,
                     visit_lead, c, err);
    if (!s)
        s = each_row(x, "SELECT rowid, bm25(passage, 3, 1, 1) FROM passage "
                        "WHERE passage MATCH ? ORDER BY 2, 1 LIMIT ?", match, N_PASSAGES,
                     visit_passage, c, err);
    if (!s && rank->any_script)
        s = gather_spaceless(x, c, question, err);
    return s;
}

static int by_score(const void *a, const void *b)
{
    const sm_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

/*
 * The question is scored where the corpus itself would put such a line: after the passage,
 * as the NAME line of its page.
 */
static sm_status model_term(double *out, const sm_scorer *scorer, const sm_passage *p,
                            const char *question, sm_err *err)
{
    sm_buf prefix = {0};
    size_t n = strlen(p->text), title = strcspn(p->title, "(");
    sm_buf_put(&prefix, p->text, n > PREFIX_BYTES ? PREFIX_BYTES : n);
    sm_buf_puts(&prefix, "\n\n# NAME\n\n");
    sm_buf_put(&prefix, p->title, title);
    sm_buf_puts(&prefix, " - ");
    double nats = 0;
    int64_t n_token = 0;
    sm_status s = prefix.failed
                      ? sm_fail(err, SM_ENOMEM, "index: out of memory")
                      : scorer->score(scorer->self, prefix.data, prefix.len, question,
                                      strlen(question), &nats, &n_token, err);
    sm_buf_free(&prefix);
    if (!s)
        *out = n_token > 0 ? nats / (double)n_token : 0;
    return s;
}

static sm_status rerank(sm_index *x, candidates *c, const char *question,
                        const sm_rank *rank, const sm_scorer *scorer, sm_err *err)
{
    size_t n = c->n < (size_t)rank->n_rerank ? c->n : (size_t)rank->n_rerank;
    for (size_t i = 0; i < n; i++) {
        sm_hit *h = &c->hit[i];
        sm_status s = model_term(&h->model, scorer, &x->passage[h->passage], question, err);
        if (s)
            return s;
        h->score += (double)rank->w_model * h->model;
    }
    qsort(c->hit, n, sizeof *c->hit, by_score); /* the rest keeps its place below */
    return SM_OK;
}

static bool is_command(const sm_passage *p)
{
    return *p->section == '1' || *p->section == '8';
}

static void score_lexically(sm_index *x, candidates *c, const char *question,
                            const sm_rank *rank)
{
    double command = sm_index_asks_how(question) ? (double)rank->w_command : 0;
    for (size_t i = 0; i < c->n; i++) {
        sm_hit *h = &c->hit[i];
        h->lexical = h->page;
        if (!rank->whole_page_only) {
            const char *title = x->passage[h->passage].title;
            if (!rank->any_script || !sm_index_has_spaceless(title))
                h->title = sm_index_abbreviation(title, question);
            h->summary = x->with_names
                             ? sm_index_dice(x->passage[h->passage].summary, question) : 0;
            h->lexical += (double)rank->w_lead * h->lead +
                          (double)rank->w_passage * h->passage_bm25 +
                          (double)rank->w_title * h->title +
                          (double)rank->w_summary * h->summary +
                          (is_command(&x->passage[h->passage]) ? command : 0);
        }
        h->score = h->lexical;
    }
    qsort(c->hit, c->n, sizeof *c->hit, by_score);
}

sm_status sm_index_search(sm_index *x, const char *question, const sm_rank *rank,
                          const sm_scorer *scorer, sm_hit *hit, int32_t k, int32_t *n_hit,
                          sm_err *err)
{
    sm_buf match = {0};
    candidates c = {.cap = 2 * N_PAGES + 2 * N_PASSAGES};
    c.hit = sm_alloc(c.cap, sizeof *c.hit);
    c.slot = sm_alloc(x->n_doc, sizeof *c.slot);
    sm_status s = c.hit && c.slot ? match_expression(&match, question, err)
                                  : sm_fail(err, SM_ENOMEM, "index: out of memory");
    if (!s)
        s = gather(x, &c, question, match.data, rank, err);
    if (!s)
        score_lexically(x, &c, question, rank);
    if (!s && scorer && rank->w_model != 0)
        s = rerank(x, &c, question, rank, scorer, err);
    if (!s) {
        size_t n = c.n < (size_t)k ? c.n : (size_t)k;
        memcpy(hit, c.hit, n * sizeof *hit);
        *n_hit = (int32_t)n;
    }
    sm_buf_free(&match);
    free(c.hit);
    free(c.slot);
    return s;
}
