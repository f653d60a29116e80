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
        sm_buf_printf(&b,
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
static sm_status oracle(void *self, const char *prefix, size_t n, const char *q, size_t nq,
                        double *nats, int64_t *n_token, sm_err *err)
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

/* Likes short sentences. */
static sm_status brevity(void *self, const char *prefix, size_t n, const char *s, size_t ns,
                         double *nats, int64_t *n_token, sm_err *err)
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
    const char *text = "{\"sentence_good\":\"a\",\"sentence_bad\":\"aa\",\"UID\":\"x\"}\n"
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
             "\n{\"sentence_good\":\"%s\",\"sentence_bad\":\"aa\",\"UID\":\"%s\"}\n", good,
             uid);
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
    expect_pairs_fault("accuracy", "a", SM_ECORRUPT, "faults.jsonl:2: UID: got \"accuracy\"");
    expect_pairs_fault(longest + 100 - 2, "a", SM_ECORRUPT, "faults.jsonl:2: UID: got 102 bytes");
    expect_pairs_fault("x", "a sentence that is long", SM_EINVAL,
                       "faults.jsonl:2: sentence_good: got 23 tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_matches_newcombes_table),
        cmocka_unit_test(bootstrap_is_near_the_normal_interval),
        cmocka_unit_test(an_interval_without_width_is_none),
        cmocka_unit_test(retrieval_separates_the_models_share),
        cmocka_unit_test(pairs_are_counted_by_uid),
        cmocka_unit_test(blank_lines_of_pairs_are_skipped),
        cmocka_unit_test(faults_of_pairs_have_a_place),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
