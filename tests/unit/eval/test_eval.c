/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals, retrieval figures on a made-up index, minimal pairs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "smelt/eval.h"
#include "smelt/sys.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/smelt-eval-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return sm_remove_tree(dir, NULL);
}

/* Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29. */
static void wilson_matches_newcombes_table(void **state)
{
    (void)state;
    const struct {
        int64_t hits, n;
        double low, high;
    } row[] = {{81, 263, 0.2553, 0.3662},
               {15, 148, 0.0624, 0.1605},
               {0, 20, 0.0000, 0.1611},
               {1, 29, 0.0061, 0.1718}};
    for (int i = 0; i < 4; i++) {
        sm_interval v = sm_stat_proportion(row[i].hits, row[i].n);
        assert_true(fabs(v.low - row[i].low) < 6e-5);
        assert_true(fabs(v.high - row[i].high) < 6e-5);
    }
}

/* A score interval ends where proportions do: at 0 for none and at 1 for all, exactly. */
static void wilson_ends_at_the_ends(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 2000; n++) {
        sm_interval none = sm_stat_proportion(0, n), all = sm_stat_proportion(n, n);
        assert_true(none.low == 0 && all.high == 1);
        assert_true(fabs(none.high + all.low - 1) < 1e-12); /* by symmetry */
    }
}

/* The bootstrap interval of a mean is close to the normal one for many points. */
static void bootstrap_is_near_the_normal_interval(void **state)
{
    (void)state;
    enum { N = 1000 };
    double x[N], sum = 0, ss = 0;
    for (int i = 0; i < N; i++) {
        x[i] = sm_rng_normal(1, SM_STREAM_TEST, 0, (uint64_t)i);
        sum += x[i];
        ss += x[i] * x[i];
    }
    double mean = sum / N, se = sqrt((ss / N - mean * mean) / N);
    sm_interval v, again;
    assert_int_equal(sm_stat_bootstrap_mean(&v, x, N, 4000, 1, NULL), SM_OK);
    assert_int_equal(sm_stat_bootstrap_mean(&again, x, N, 4000, 1, NULL), SM_OK);
    assert_memory_equal(&v, &again, sizeof v);
    assert_true(fabs(v.value - mean) < 1e-12);
    assert_true(fabs(v.low - (mean - 1.96 * se)) < 0.15 * se);
    assert_true(fabs(v.high - (mean + 1.96 * se)) < 0.15 * se);
    assert_int_equal(sm_stat_bootstrap_mean(&v, x, 0, 4000, 1, NULL), SM_EINVAL);
}

/* Equal values, or one: resampling them shows no spread, which is not to say there is none. */
static void an_interval_without_width_is_none(void **state)
{
    (void)state;
    const double same[] = {1, 1, 1}, one[] = {0.5};
    sm_interval v;
    json_t *figures = json_object();
    assert_int_equal(sm_stat_bootstrap_mean(&v, same, 3, 2000, 1, NULL), SM_OK);
    assert_true(v.value == 1 && isnan(v.low) && isnan(v.high));
    assert_int_equal(sm_stat_bootstrap_mean(&v, one, 1, 2000, 1, NULL), SM_OK);
    assert_true(v.value == 0.5 && isnan(v.low) && isnan(v.high));
    assert_true(sm_figure_set(figures, "x", &v, "share"));
    assert_null(json_object_get(json_object_get(figures, "x"), "low"));
    assert_null(json_object_get(json_object_get(figures, "x"), "high"));
    sm_buf table = {0};
    assert_true(sm_eval_table(&table, figures));
    assert_null(strchr(table.data, '['));
    sm_buf_free(&table);
    json_decref(figures);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The percentile interval leaves 2.5 % of the resamples out on either side: 100 of 4000. */
static void bootstrap_leaves_a_fortieth_out_on_each_side(void **state)
{
    (void)state;
    enum { N = 50, R = 4000 };
    static double x[N], mean[R];
    sm_interval v;
    for (int i = 0; i < N; i++)
        x[i] = sm_rng_normal(2, SM_STREAM_TEST, 0, (uint64_t)i);
    for (uint32_t r = 0; r < R; r++) {
        mean[r] = 0;
        for (uint64_t i = 0; i < N; i++)
            mean[r] += x[sm_rng_below(N, 7, SM_STREAM_BOOT, r, i)];
        mean[r] /= N;
    }
    qsort(mean, R, sizeof *mean, compare_doubles);
    assert_int_equal(sm_stat_bootstrap_mean(&v, x, N, R, 7, NULL), SM_OK);
    assert_true(fabs(v.low - mean[100]) < 1e-12 && mean[99] < mean[100]);
    assert_true(fabs(v.high - mean[R - 101]) < 1e-12 && mean[R - 101] < mean[R - 100]);
}

/* An interval has both ends or is none, and the table shows the ends that it has. */
static void half_an_interval_is_none(void **state)
{
    (void)state;
    const sm_interval row[] = {
        {1, 0.5, INFINITY, 3}, {1, -INFINITY, 2, 3}, {1, 0.5, 1.5, 3}};
    for (int i = 0; i < 3; i++) {
        json_t *figures = json_object();
        sm_buf table = {0};
        assert_true(sm_figure_set(figures, "x", &row[i], "share"));
        const json_t *x = json_object_get(figures, "x");
        assert_int_equal(json_object_get(x, "low") != NULL, i == 2);
        assert_int_equal(json_object_get(x, "high") != NULL, i == 2);
        assert_true(sm_eval_table(&table, figures));
        assert_int_equal(strstr(table.data, "[   0.5000,    1.5000]") != NULL, i == 2);
        sm_buf_free(&table);
        json_decref(figures);
    }
}

static double value(const json_t *figures, const char *name, const char *key)
{
    const json_t *f = json_object_get(figures, name);
    if (!f)
        fail_msg("no figure %s", name);
    return json_number_value(json_object_get(f, key));
}

/*
 * Forty pages: the body of page i holds "alpha" and its own word.  Pages 0..19 can be found
 * by their word, pages 20..39 ask for "alpha" alone, so that only the model can tell them
 * apart.
 */
static char *write_passages(void)
{
    sm_buf b = {0};
    for (int i = 0; i < 40; i++) {
        char summary[64];
        if (i < 20)
            snprintf(summary, sizeof summary, "word%d", i);
        else
            snprintf(summary, sizeof summary, "alpha for page%d", i);
        sm_buf_printf(
            &b,
            "{\"doc\":\"%032d\",\"title\":\"Title %d\",\"summary\":\"%s\","
            "\"heading\":\"DESCRIPTION\",\"text\":\"alpha word%d body text\"}\n",
            i, i, summary, i);
    }
    char *path = sm_path_join(dir, "passages.jsonl");
    assert_int_equal(sm_file_write_atomic(path, b.data, b.len, 0644, NULL), SM_OK);
    sm_buf_free(&b);
    return path;
}

/* Knows that "... for pageN" belongs to the page with wordN. */
static sm_status oracle(void *self, const char *prefix, size_t n, const char *q,
                        size_t nq, double *nats, int64_t *n_token, sm_err *err)
{
    (void)self, (void)n, (void)nq, (void)err;
    const char *page = strstr(q, "page");
    char want[32] = "word";
    snprintf(want + 4, sizeof want - 4, "%s ", page ? page + 4 : "?");
    *nats = strstr(prefix, want) ? -1 : -9;
    *n_token = 1;
    return SM_OK;
}

static bool even_is_seen(void *self, const char *id)
{
    (void)self;
    return (id[31] & 1) == 0;
}

static void retrieval_separates_the_models_share(void **state)
{
    (void)state;
    char *path = write_passages();
    sm_index *x;
    sm_question *q;
    int64_t n;
    sm_ctx ctx = {0};
    sm_scorer scorer = {.score = oracle};
    sm_retrieval_config c = SM_RETRIEVAL_CONFIG_DEFAULT;
    c.rank.n_rerank = 40;
    json_t *f;
    sm_err err = {0};
    assert_int_equal(sm_index_open(&x, path, NULL, false, &err), SM_OK);
    assert_int_equal(sm_eval_questions(&q, &n, x, even_is_seen, NULL, &err), SM_OK);
    assert_int_equal(n, 40);
    if (sm_eval_retrieval(&f, &ctx, x, q, n, &c, NULL, &err))
        fail_msg("%s", err.msg);
    assert_null(json_object_get(f, "ask.mrr"));
    double lexical = value(f, "lexical.recall_at_1", "value");
    assert_true(lexical >= 0.5);
    sm_interval wilson = sm_stat_proportion((int64_t)(lexical * 40 + 0.5), 40);
    assert_true(value(f, "lexical.recall_at_1", "low") == wilson.low);
    assert_true(value(f, "lexical.recall_at_1", "high") == wilson.high);
    json_decref(f);
    if (sm_eval_retrieval(&f, &ctx, x, q, n, &c, &scorer, &err))
        fail_msg("%s", err.msg);
    assert_true(value(f, "lexical.recall_at_1", "value") == lexical);
    assert_true(value(f, "ask.recall_at_1", "value") > lexical);
    assert_true(fabs(value(f, "model_gain.recall_at_1", "value") -
                     (value(f, "ask.recall_at_1", "value") - lexical)) < 1e-12);
    assert_true(value(f, "w_model", "value") > 0);
    json_decref(f);
    c.unseen_only = true;
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, NULL, &err), SM_OK);
    assert_true(value(f, "bm25.mrr", "n") == 20);
    json_decref(f);
    free(q);
    sm_index_close(x);
    free(path);
}

/* n pages, of which two and two have one summary: "alpha KEY0", "alpha KEY0", "alpha KEY1"...;
 * where KEY stands in no text, all pages answer a question alike and the first are listed. */
static sm_index *open_twins(int n)
{
    sm_buf b = {0};
    sm_index *x = NULL;
    for (int i = 0; i < n; i++)
        sm_buf_printf(&b,
                      "{\"doc\":\"%032d\",\"title\":\"T\",\"summary\":\"alpha key%d\","
                      "\"heading\":\"D\",\"text\":\"alpha %s%d body\"}\n",
                      i, i / 2, i % 4 ? "word" : "key", i / 2);
    char *path = sm_path_join(dir, "twins.jsonl");
    assert_int_equal(sm_file_write_atomic(path, b.data, b.len, 0644, NULL), SM_OK);
    assert_int_equal(sm_index_open(&x, path, NULL, false, NULL), SM_OK);
    sm_buf_free(&b);
    free(path);
    return x;
}

/* Recall at 1 and 5 and the mean reciprocal rank (Manning, Raghavan and Schuetze,
 * "Introduction to Information Retrieval", 8) from the lists that a search gives. */
static void define_figures(double want[3], int n_of[3], sm_index *x, const sm_question *q,
                           int64_t n, const sm_rank *rank)
{
    memset(want, 0, 3 * sizeof *want);
    memset(n_of, 0, 3 * sizeof *n_of);
    for (int64_t i = 0; i < n; i++) {
        sm_hit hit[20];
        int32_t n_hit, at = 0;
        assert_int_equal(sm_index_search(x, q[i].text, rank, NULL, hit, 20, &n_hit, NULL),
                         SM_OK);
        while (
            at < n_hit &&
            strcmp(q[i].text,
                   sm_index_passage(x, sm_index_first_passage(x, hit[at].doc)).summary))
            at++;
        want[0] += at < n_hit && at < 1;
        want[1] += at < n_hit && at < 5;
        want[2] += at < n_hit ? 1.0 / (at + 1) : 0;
        n_of[at == n_hit ? 0 : at < 5 ? 1 : 2]++;
    }
    for (int k = 0; k < 3; k++)
        want[k] /= (double)n;
}

static void retrieval_figures_are_as_defined(void **state)
{
    (void)state;
    sm_index *x = open_twins(48);
    sm_ctx ctx = {0};
    sm_retrieval_config c = SM_RETRIEVAL_CONFIG_DEFAULT;
    const sm_rank plain = {.whole_page_only = true};
    const char *const name[] = {"recall_at_1", "recall_at_5", "mrr"};
    sm_question *q;
    int64_t n;
    json_t *f;
    double base[3], lexical[3];
    int n_of[3]; /* questions without an answer, with one among five, with one below */
    assert_int_equal(sm_eval_questions(&q, &n, x, NULL, NULL, NULL), SM_OK);
    define_figures(lexical, n_of, x, q, n, &c.rank);
    define_figures(base, n_of, x, q, n, &plain);
    assert_true(n_of[0] > 0 && n_of[1] > 0 && n_of[2] > 0);
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, NULL, NULL), SM_OK);
    for (int k = 0; k < 3; k++) {
        char at[40];
        snprintf(at, sizeof at, "bm25.%s", name[k]);
        assert_true(fabs(value(f, at, "value") - base[k]) < 1e-12);
        snprintf(at, sizeof at, "lexical.%s", name[k]);
        assert_true(fabs(value(f, at, "value") - lexical[k]) < 1e-12);
        snprintf(at, sizeof at, "lexical_gain.%s", name[k]);
        assert_true(fabs(value(f, at, "value") - (lexical[k] - base[k])) < 1e-12);
    }
    json_decref(f);
    free(q);
    sm_index_close(x);
}

/* Finds all texts alike. */
static sm_status indifferent(void *self, const char *prefix, size_t n, const char *q,
                             size_t nq, double *nats, int64_t *n_token, sm_err *err)
{
    (void)self, (void)prefix, (void)n, (void)q, (void)nq, (void)err;
    *nats = -5;
    *n_token = 1;
    return SM_OK;
}

/* A model to which all is alike changes no order, also not of the hits that it did not read;
 * and no more questions are asked than told. */
static void hits_that_were_not_read_stay_below(void **state)
{
    (void)state;
    sm_index *x = open_twins(48);
    sm_ctx ctx = {0};
    sm_scorer scorer = {.score = indifferent};
    sm_retrieval_config c = SM_RETRIEVAL_CONFIG_DEFAULT;
    sm_question *q;
    int64_t n;
    json_t *f;
    int64_t n_all, m = 0;
    c.rank.n_rerank = 2; /* neither is a right one */
    assert_int_equal(sm_eval_questions(&q, &n_all, x, NULL, NULL, NULL), SM_OK);
    for (int64_t i = 0; i < n_all; i++)
        if (q[i].doc / 2 % 2) /* in no text: all pages tie */
            q[m++] = q[i];
    n = m;
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, &scorer, NULL), SM_OK);
    assert_true(value(f, "ask.mrr", "value") == value(f, "lexical.mrr", "value"));
    assert_true(value(f, "model_gain.recall_at_5", "value") == 0);
    assert_true(value(f, "ask.mrr", "n") == 24 && value(f, "ask.mrr", "value") > 0);
    json_decref(f);
    c.max_questions = 7;
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, NULL, NULL), SM_OK);
    assert_true(value(f, "lexical.mrr", "n") == 7);
    json_decref(f);
    free(q);
    sm_index_close(x);
}

/* Likes short sentences. */
static sm_status brevity(void *self, const char *prefix, size_t n, const char *s,
                         size_t ns, double *nats, int64_t *n_token, sm_err *err)
{
    (void)self, (void)prefix, (void)n, (void)s, (void)err;
    *nats = -(double)ns;
    *n_token = 1;
    return SM_OK;
}

static sm_status run_pairs(json_t **f, const char *text, int64_t max, sm_err *err)
{
    char *path = sm_path_join(dir, "pairs.jsonl");
    sm_ctx ctx = {0};
    sm_scorer scorer = {.score = brevity};
    assert_int_equal(sm_file_write_atomic(path, text, strlen(text), 0644, NULL), SM_OK);
    sm_status s = sm_eval_pairs(f, &ctx, path, max, &scorer, err);
    free(path);
    return s;
}

static void pairs_are_counted_by_uid(void **state)
{
    (void)state;
    const char *text =
        "{\"sentence_good\":\"a\",\"sentence_bad\":\"aa\",\"UID\":\"x\"}\n"
        "{\"sentence_good\":\"aaa\",\"sentence_bad\":\"aa\",\"UID\":\"x\"}\n"
        "{\"sentence_good\":\"a\",\"sentence_bad\":\"aa\",\"UID\":\"y\"}\n";
    json_t *f;
    sm_err err;
    assert_int_equal(run_pairs(&f, text, 0, &err), SM_OK);
    assert_true(fabs(value(f, "pairs.accuracy", "value") - 2.0 / 3) < 1e-12);
    assert_true(value(f, "pairs.x", "value") == 0.5);
    json_decref(f);
    assert_int_equal(run_pairs(&f, text, 1, &err), SM_OK);
    assert_true(value(f, "pairs.x", "value") == 1);
    json_decref(f);
    assert_int_equal(run_pairs(&f, "{\"sentence_good\":\"a\"}\n", 0, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "pairs.jsonl:1: sentence_bad"));
    assert_int_equal(run_pairs(&f, "", 0, &err), SM_EINVAL);
}

/* As editors of other systems leave a file: a byte order mark, CR LF, blank lines. */
static void blank_lines_of_pairs_are_skipped(void **state)
{
    (void)state;
    json_t *f;
    sm_err err;
    const char *text =
        "\xef\xbb\xbf{\"sentence_good\":\"a\",\"sentence_bad\":\"aa\","
        "\"UID\":\"x\"}\r\n\r\n \t\n"
        "{\"sentence_good\":\"aa\",\"sentence_bad\":\"a\",\"UID\":\"x\"}\r\n";
    assert_int_equal(run_pairs(&f, text, 0, &err), SM_OK);
    assert_true(value(f, "pairs.x", "value") == 0.5);
    json_decref(f);
    assert_int_equal(run_pairs(&f, "\r\n", 0, &err), SM_EINVAL);
    assert_int_equal(run_pairs(&f, "\n[1]\n", 0, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "pairs.jsonl:2: got a line that is no object"));
    assert_int_equal(run_pairs(&f, "{\"sentence_good\":7}", 0, &err), SM_ECORRUPT);
    assert_non_null(strstr(err.msg, "sentence_good: got 7, want a string"));
}

/* Refuses long sentences, as an engine does whose context they exceed. */
static sm_status short_only(void *self, const char *prefix, size_t n, const char *s,
                            size_t ns, double *nats, int64_t *n_token, sm_err *err)
{
    if (ns > 8)
        return sm_fail(err, SM_EINVAL, "got %zu tokens, want at most 8", ns);
    return brevity(self, prefix, n, s, ns, nats, n_token, err);
}

static void expect_pairs_fault(const char *uid, const char *good, sm_status want,
                               const char *message)
{
    char text[600];
    sm_ctx ctx = {0};
    sm_scorer scorer = {.score = short_only};
    sm_err err = {0};
    json_t *f = NULL;
    /* a path longer than most, whose line must still be there */
    char deep[320], *path;
    snprintf(deep, sizeof deep, "%s/%0240d", dir, 0);
    assert_int_equal(sm_mkdirs(deep, NULL), SM_OK);
    path = sm_path_join(deep, "faults.jsonl");
    snprintf(text, sizeof text,
             "\n{\"sentence_good\":\"%s\",\"sentence_bad\":\"aa\",\"UID\":\"%s\"}\n",
             good, uid);
    assert_int_equal(sm_file_write_atomic(path, text, strlen(text), 0644, NULL), SM_OK);
    assert_int_equal(sm_eval_pairs(&f, &ctx, path, 0, &scorer, &err), want);
    if (!strstr(err.msg, message))
        fail_msg("want \"%s\" in: %s", message, err.msg);
    free(path);
}

/* Figures are named by UIDs: none may stand for another one, or be cut. */
static void faults_of_pairs_have_a_place(void **state)
{
    (void)state;
    char longest[201];
    for (int i = 0; i < 100; i++)
        memcpy(longest + 2 * i, "\xc3\xa9", 2);
    longest[200] = 0;
    expect_pairs_fault("accuracy", "a", SM_ECORRUPT,
                       "faults.jsonl:2: UID: got \"accuracy\"");
    expect_pairs_fault(longest + 100 - 2, "a", SM_ECORRUPT,
                       "faults.jsonl:2: UID: got 102 bytes");
    longest[99] = 'x'; /* and 50 of two bytes */
    expect_pairs_fault(longest + 99, "a", SM_ECORRUPT,
                       "faults.jsonl:2: UID: got 101 bytes, want at most 100");
    expect_pairs_fault("x", "a sentence that is long", SM_EINVAL,
                       "faults.jsonl:2: sentence_good: got 23 tokens");
}

/* The longest UID there may be names its figure in full. */
static void the_longest_uid_is_not_cut(void **state)
{
    (void)state;
    char text[300], name[120], uid[101];
    json_t *f;
    for (int i = 0; i < 100; i++)
        uid[i] = (char)('a' + i % 26);
    uid[100] = 0;
    snprintf(name, sizeof name, "pairs.%s", uid);
    snprintf(text, sizeof text,
             "{\"sentence_good\":\"a\",\"sentence_bad\":\"aa\",\"UID\":\"%s\"}\n", uid);
    assert_int_equal(run_pairs(&f, text, 0, NULL), SM_OK);
    assert_true(value(f, name, "value") == 1);
    json_decref(f);
}

/* A pair counts when the good sentence is the more likely one (Warstadt et al.): not when
 * both are as likely. */
static void a_tie_is_no_hit(void **state)
{
    (void)state;
    json_t *f;
    assert_int_equal(run_pairs(&f,
                               "{\"sentence_good\":\"ab\",\"sentence_bad\":\"ba\","
                               "\"UID\":\"x\"}\n",
                               0, NULL),
                     SM_OK);
    assert_true(value(f, "pairs.accuracy", "value") == 0);
    json_decref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_matches_newcombes_table),
        cmocka_unit_test(wilson_ends_at_the_ends),
        cmocka_unit_test(bootstrap_is_near_the_normal_interval),
        cmocka_unit_test(bootstrap_leaves_a_fortieth_out_on_each_side),
        cmocka_unit_test(an_interval_without_width_is_none),
        cmocka_unit_test(half_an_interval_is_none),
        cmocka_unit_test(retrieval_separates_the_models_share),
        cmocka_unit_test(retrieval_figures_are_as_defined),
        cmocka_unit_test(hits_that_were_not_read_stay_below),
        cmocka_unit_test(pairs_are_counted_by_uid),
        cmocka_unit_test(a_tie_is_no_hit),
        cmocka_unit_test(blank_lines_of_pairs_are_skipped),
        cmocka_unit_test(faults_of_pairs_have_a_place),
        cmocka_unit_test(the_longest_uid_is_not_cut),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
