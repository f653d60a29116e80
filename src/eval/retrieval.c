/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrieval figures.  Every question is searched once by the baseline and once by the
 * lexical ranking with the model's term at weight 1; other weights only reorder those hits,
 * so the choice of a weight costs nothing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/eval.h"

enum { DEPTH = 20, N_RESAMPLE = 2000 };
static const double weights[] = {0, 0.25, 0.5, 1, 2, 3, 5, 8};
enum { N_WEIGHT = sizeof weights / sizeof *weights };

/* ---------------------------------------------------------------- questions */

sm_status sm_eval_questions(sm_question **out, int64_t *n, const sm_index *x,
                            bool (*is_seen)(void *self, const char *id), void *self,
                            sm_err *err)
{
    size_t n_doc = sm_index_n_doc(x);
    sm_question *q = sm_alloc(n_doc, sizeof *q);
    if (!q)
        return sm_fail(err, SM_ENOMEM, "eval: out of memory");
    *n = 0;
    for (size_t d = 0; d < n_doc; d++) {
        sm_passage p = sm_index_passage(x, sm_index_first_passage(x, (int32_t)d));
        if (*p.summary)
            q[(*n)++] = (sm_question){.text = p.summary,
                                      .doc = (int32_t)d,
                                      .seen = is_seen && is_seen(self, p.id)};
    }
    *out = q;
    return SM_OK;
}

/* FNV-1a of the document id: chooses folds and samples by content. */
static uint64_t hash_of(const sm_index *x, const sm_question *q, uint64_t seed)
{
    const char *id = sm_index_passage(x, sm_index_first_passage(x, q->doc)).id;
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

typedef struct chosen {
    uint64_t hash;
    sm_question q;
} chosen;

static int by_hash(const void *a, const void *b)
{
    const chosen *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->q.doc < y->q.doc ? -1 : x->q.doc > y->q.doc;
}

/* The questions to ask, in order of their hash. */
static sm_status choose(chosen **out, int64_t *n_out, const sm_index *x,
                        const sm_question *q, int64_t n, const sm_retrieval_config *c,
                        sm_err *err)
{
    chosen *k = sm_alloc((size_t)n, sizeof *k);
    if (!k)
        return sm_fail(err, SM_ENOMEM, "eval: out of memory");
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        if (!c->unseen_only || !q[i].seen)
            k[m++] = (chosen){.hash = hash_of(x, &q[i], c->seed), .q = q[i]};
    qsort(k, (size_t)m, sizeof *k, by_hash);
    if (c->max_questions > 0 && m > c->max_questions)
        m = c->max_questions;
    if (m < 2) {
        free(k);
        return sm_fail(err, SM_EINVAL, "eval: got %lld questions%s, want at least 2",
                       (long long)m, c->unseen_only ? " of unseen pages" : "");
    }
    *out = k;
    *n_out = m;
    return SM_OK;
}

/* ------------------------------------------------------------------ ranking */

static bool is_right(const sm_index *x, const sm_question *q, int32_t doc)
{
    return doc == q->doc ||
           !strcmp(sm_index_passage(x, sm_index_first_passage(x, doc)).summary, q->text);
}

typedef struct answer_list {
    sm_hit hit[DEPTH];
    bool right[DEPTH];
    int32_t n;
} answer_list;

/* Rank (from 1) of the best right hit when the model's term has weight w; 0: none. */
static int32_t rank_at_weight(const answer_list *a, double w)
{
    int32_t best = 0;
    for (int32_t i = 0; i < a->n; i++) {
        if (!a->right[i])
            continue;
        double mine = a->hit[i].lexical + w * a->hit[i].model;
        int32_t rank = 1;
        for (int32_t j = 0; j < a->n; j++) {
            double other = a->hit[j].lexical + w * a->hit[j].model;
            rank += j != i &&
                    (other > mine || (other == mine && a->hit[j].doc < a->hit[i].doc));
        }
        if (best == 0 || rank < best)
            best = rank;
    }
    return best;
}

static sm_status ask(answer_list *a, sm_index *x, const sm_question *q,
                     const sm_rank *rank, const sm_scorer *scorer, sm_err *err)
{
    sm_status s = sm_index_search(x, q->text, rank, scorer, a->hit, DEPTH, &a->n, err);
    if (s)
        return s;
    for (int32_t i = 0; i < a->n; i++)
        a->right[i] = is_right(x, q, a->hit[i].doc);
    /* hits that the model did not read keep below those it did, at any weight */
    double floor = 0;
    for (int32_t i = 0; i < a->n; i++)
        if (a->hit[i].model < floor)
            floor = a->hit[i].model;
    for (int32_t i = 0; scorer && i < a->n; i++)
        if (a->hit[i].model == 0)
            a->hit[i].model = floor;
    return SM_OK;
}

/* ------------------------------------------------------------------ figures */

enum { RECALL_1, RECALL_5, RECIPROCAL_RANK, N_MEASURE };

typedef struct measure {
    double v[N_MEASURE];
} measure;

static measure measure_of(int32_t rank)
{
    return (measure){.v = {[RECALL_1] = rank == 1,
                           [RECALL_5] = rank >= 1 && rank <= 5,
                           [RECIPROCAL_RANK] = rank > 0 ? 1.0 / rank : 0}};
}

typedef struct table {
    int64_t n;
    chosen *q;
    answer_list *lexical;
    measure *base, *lex, *model;
    double *tmp;
} table;

static double mean_rr(const table *t, double w, int fold)
{
    double sum = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (fold < 0 || (int)(i & 1) == fold)
            sum += measure_of(rank_at_weight(&t->lexical[i], w)).v[RECIPROCAL_RANK];
    return sum;
}

static double best_weight(const table *t, int fold)
{
    double best = weights[0], top = mean_rr(t, best, fold);
    for (int k = 1; k < N_WEIGHT; k++) {
        double m = mean_rr(t, weights[k], fold);
        if (m > top) {
            top = m;
            best = weights[k];
        }
    }
    return best;
}

/* A recall is a proportion; a reciprocal rank and a paired difference are means. */
static sm_status interval_of(sm_interval *v, table *t, int k, const measure *a,
                             const measure *b, uint64_t seed, sm_err *err)
{
    double sum = 0;
    for (int64_t i = 0; i < t->n; i++)
        sum += t->tmp[i] = a[i].v[k] - (b ? b[i].v[k] : 0);
    if (b || k == RECIPROCAL_RANK)
        return sm_stat_bootstrap_mean(v, t->tmp, t->n, N_RESAMPLE, seed, err);
    *v = sm_stat_proportion((int64_t)sum, t->n);
    return SM_OK;
}

/* Figures prefix.recall_at_1 and so on of a, or of a - b. */
static sm_status report(json_t *figures, table *t, const char *prefix, const measure *a,
                        const measure *b, uint64_t seed, sm_err *err)
{
    static const char *const names[N_MEASURE] = {"recall_at_1", "recall_at_5", "mrr"};
    for (int k = 0; k < N_MEASURE; k++) {
        sm_interval v;
        sm_status s = interval_of(&v, t, k, a, b, seed, err);
        if (s)
            return s;
        char name[64];
        size_t len = strlen(prefix);
        memcpy(name, prefix, len);
        name[len] = '.';
        memcpy(name + len + 1, names[k], strlen(names[k]) + 1);
        if (!sm_figure_set(figures, name, &v, "share"))
            return sm_fail(err, SM_ENOMEM, "eval: out of memory");
    }
    return SM_OK;
}

static sm_status search_all(table *t, const sm_ctx *ctx, sm_index *x,
                            const sm_retrieval_config *c, const sm_scorer *scorer,
                            sm_err *err)
{
    sm_rank plain = {.whole_page_only = true}, rank = c->rank;
    rank.w_model = scorer ? 1 : 0;
    for (int64_t i = 0; i < t->n; i++) {
        const sm_question *q = &t->q[i].q;
        answer_list base;
        sm_status s = ask(&base, x, q, &plain, NULL, err);
        if (!s)
            s = ask(&t->lexical[i], x, q, &rank, scorer, err);
        if (!s && sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "eval: stopped");
        if (s)
            return s;
        t->base[i] = measure_of(rank_at_weight(&base, 0));
        t->lex[i] = measure_of(rank_at_weight(&t->lexical[i], 0));
        sm_progress_update(ctx->progress, "retrieval", i + 1, t->n, "questions", "");
    }
    return SM_OK;
}

/* A weight that was chosen, not estimated: no bounds. */
static bool set_weight(json_t *figures, const char *name, double w, int64_t n)
{
    const sm_interval only = {.value = w, .low = NAN, .high = NAN, .n = n};
    return sm_figure_set(figures, name, &only, "weight");
}

/* A gain on the other half that may be chance is not worth serving with: it costs a pass of
 * the model over every candidate.  No interval (NaN) shows nothing either. */
static bool helps(const sm_interval *gain)
{
    return gain->low > 0;
}

static sm_status report_model(json_t *figures, table *t, uint64_t seed, sm_err *err)
{
    double w[2] = {best_weight(t, 1), best_weight(t, 0)}; /* chosen on the other half */
    for (int64_t i = 0; i < t->n; i++)
        t->model[i] = measure_of(rank_at_weight(&t->lexical[i], w[i & 1]));
    sm_interval gain;
    sm_status s = interval_of(&gain, t, RECIPROCAL_RANK, t->model, t->lex, seed, err);
    if (s)
        return s;
    if (!set_weight(figures, "w_model", helps(&gain) ? best_weight(t, -1) : 0, t->n) ||
        !set_weight(figures, "w_model.even", w[1], (t->n + 1) / 2) ||
        !set_weight(figures, "w_model.odd", w[0], t->n / 2))
        return sm_fail(err, SM_ENOMEM, "eval: out of memory");
    s = report(figures, t, "ask", t->model, NULL, seed, err);
    if (!s)
        s = report(figures, t, "model_gain", t->model, t->lex, seed, err);
    if (!s)
        s = report(figures, t, "ask_gain", t->model, t->base, seed, err);
    return s;
}

static void table_free(table *t)
{
    free(t->q);
    free(t->lexical);
    free(t->base);
    free(t->lex);
    free(t->model);
    free(t->tmp);
}

sm_status sm_eval_retrieval(json_t **figures, const sm_ctx *ctx, sm_index *x,
                            const sm_question *question, int64_t n,
                            const sm_retrieval_config *config, const sm_scorer *scorer,
                            sm_err *err)
{
    table t = {0};
    json_t *out = json_object();
    sm_status s = choose(&t.q, &t.n, x, question, n, config, err);
    if (!s) {
        size_t m = (size_t)t.n;
        t.lexical = sm_alloc(m, sizeof *t.lexical);
        t.base = sm_alloc(m, sizeof *t.base);
        t.lex = sm_alloc(m, sizeof *t.lex);
        t.model = sm_alloc(m, sizeof *t.model);
        t.tmp = sm_alloc(m, sizeof *t.tmp);
        if (!out || !t.lexical || !t.base || !t.lex || !t.model || !t.tmp)
            s = sm_fail(err, SM_ENOMEM, "eval: out of memory");
    }
    if (!s)
        s = search_all(&t, ctx, x, config, scorer, err);
    if (!s)
        s = report(out, &t, "bm25", t.base, NULL, config->seed, err);
    if (!s)
        s = report(out, &t, "lexical", t.lex, NULL, config->seed, err);
    if (!s)
        s = report(out, &t, "lexical_gain", t.lex, t.base, config->seed, err);
    if (!s && scorer)
        s = report_model(out, &t, config->seed, err);
    table_free(&t);
    if (s) {
        json_decref(out);
        return s;
    }
    *figures = out;
    return SM_OK;
}
