/* SPDX-License-Identifier: Apache-2.0 */
/* The model's weight in the ranking: on which half it is judged, and when it is served. */
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

enum { MAX_QUESTION = 12 };
static const double NEVER = 1e9; /* above every weight that is tried */
static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/smelt-rerank-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return sm_remove_tree(dir, NULL);
}

static double value(const json_t *figures, const char *name, const char *key)
{
    const json_t *f = json_object_get(figures, name);
    if (!f)
        fail_msg("no figure %s", name);
    return json_number_value(json_object_get(f, key));
}

/* --------------------------------------------------------- constructed ranks */

/* Page 2k answers question k; page 2k+1 has no summary and stands above it by `gap`, so that
 * the lexical rank of each answer is 2.  The model makes that up, and the rank is 1, from the
 * weight `least` on.  Questions are counted in the order in which they are asked: those of
 * even number are one half, the others the other. */
typedef struct made_up {
    const char *asked[MAX_QUESTION];
    int n_asked;
    double gap[MAX_QUESTION], least[MAX_QUESTION];
} made_up;

static int number_of(made_up *m, const char *question)
{
    int k = 0;
    while (k < m->n_asked && strcmp(m->asked[k], question) != 0)
        k++;
    if (k == m->n_asked)
        m->asked[m->n_asked++] = question;
    return k;
}

static sm_status from_a_weight_on(void *self, const char *prefix, size_t n, const char *q,
                                  size_t nq, double *nats, int64_t *n_token, sm_err *err)
{
    made_up *m = self;
    int k = number_of(m, q);
    (void)n, (void)nq, (void)err;
    *nats = strstr(prefix, "decoy") ? -1 - m->gap[k] / (0.9 * m->least[k]) : -1;
    *n_token = 1;
    return SM_OK;
}

static sm_index *open_pages(int n_question)
{
    sm_buf b = {0};
    sm_index *x = NULL;
    for (int i = 0; i < 4 * n_question; i++) {
        int k = i / 2;
        sm_buf_printf(&b, "{\"doc\":\"%032d\",\"title\":\"T\",\"heading\":\"D\",", i);
        if (k >= n_question)
            sm_buf_puts(&b, "\"summary\":\"\",\"text\":\"none of them\"}\n");
        else if (i % 2)
            sm_buf_printf(&b, "\"summary\":\"\",\"text\":\"decoy hue%d fruit%d\"}\n", k,
                          k);
        else
            sm_buf_printf(&b,
                          "\"summary\":\"hue%d fruit%d\","
                          "\"text\":\"fruit%d and some more\"}\n",
                          k, k, k);
    }
    char *path = sm_path_join(dir, "pages.jsonl");
    assert_int_equal(sm_file_write_atomic(path, b.data, b.len, 0644, NULL), SM_OK);
    assert_int_equal(sm_index_open(&x, path, NULL, false, NULL), SM_OK);
    sm_buf_free(&b);
    free(path);
    return x;
}

static double lexical_gap(sm_index *x, const char *question, const sm_rank *rank)
{
    sm_hit hit[20];
    int32_t n = 0;
    assert_int_equal(sm_index_search(x, question, rank, NULL, hit, 20, &n, NULL), SM_OK);
    assert_int_equal(n, 2);
    assert_true(hit[0].doc % 2 == 1 && hit[0].lexical > hit[1].lexical);
    return hit[0].lexical - hit[1].lexical;
}

/* Figures of n questions, the model right about question k from weight least[k] on. */
static json_t *figures_of(int n, const double *least)
{
    sm_index *x = open_pages(n);
    sm_ctx ctx = {0};
    made_up m = {.n_asked = 0};
    sm_scorer scorer = {.self = &m, .score = from_a_weight_on};
    sm_retrieval_config c = SM_RETRIEVAL_CONFIG_DEFAULT;
    sm_question *q;
    int64_t n_found;
    json_t *f;
    for (int k = 0; k < n; k++)
        m.gap[k] = m.least[k] = 1;
    assert_int_equal(sm_eval_questions(&q, &n_found, x, NULL, NULL, NULL), SM_OK);
    assert_int_equal(n_found, n);
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, &scorer, NULL), SM_OK);
    json_decref(f); /* now the order is known */
    assert_int_equal(m.n_asked, n);
    for (int k = 0; k < n; k++)
        m.gap[k] = lexical_gap(x, m.asked[k], &c.rank);
    memcpy(m.least, least, (size_t)n * sizeof *least);
    assert_int_equal(sm_eval_retrieval(&f, &ctx, x, q, n, &c, &scorer, NULL), SM_OK);
    assert_true(value(f, "lexical.mrr", "value") == 0.5);
    free(q);
    sm_index_close(x);
    return f;
}

/* ------------------------------------------------------------ halves are crossed */

/*
 * By hand.  The model puts question 0 right from weight 0.25 on and question 1 from weight 1
 * on.  So 0.25 is what question 0 alone would choose and 1 what question 1 would: question 0
 * is judged at 1 and gains, question 1 at 0.25 and does not.  Were a question judged at the
 * weight that it chose itself, both would gain.
 */
static void a_weight_is_judged_on_the_other_half(void **state)
{
    (void)state;
    json_t *f = figures_of(2, (double[]){0.25, 1});
    assert_true(value(f, "lexical.recall_at_1", "value") == 0);
    assert_true(value(f, "ask.recall_at_1", "value") == 0.5);
    assert_true(value(f, "model_gain.mrr", "value") == 0.25);
    assert_true(value(f, "w_model.even", "value") == 0.25);
    assert_true(value(f, "w_model.odd", "value") == 1);
    json_decref(f);
}

/* ------------------------------------------------------- when a weight is served */

/* Seven of eight questions gain half a rank, whichever of them are drawn: the interval
 * excludes 0, and the weight is the least one that is best for all. */
static void a_weight_that_helps_is_served(void **state)
{
    (void)state;
    json_t *f = figures_of(8, (double[]){0.25, 0.25, 1, 1, 0.25, 0.25, 0.25, NEVER});
    assert_true(value(f, "model_gain.mrr", "value") == 7 * 0.5 / 8);
    assert_true(value(f, "model_gain.mrr", "low") > 0);
    assert_true(value(f, "w_model", "value") == 1);
    assert_true(value(f, "w_model", "n") == 8);
    assert_null(json_object_get(json_object_get(f, "w_model"), "low"));
    json_decref(f);
}

/* Two of eight questions gain, one in each half, at a weight that both halves choose: a mean
 * above 0.  None of the two is drawn in a tenth of the resamples, (6/8)^8, so the interval
 * reaches 0 and the gain may be chance. */
static void a_gain_that_may_be_chance_is_not(void **state)
{
    (void)state;
    json_t *f =
        figures_of(8, (double[]){0.5, 0.5, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER});
    assert_true(value(f, "model_gain.mrr", "value") == 2 * 0.5 / 8);
    assert_true(value(f, "model_gain.mrr", "low") == 0);
    assert_true(value(f, "model_gain.mrr", "high") > 0);
    assert_true(value(f, "w_model.even", "value") == 0.5);
    assert_true(value(f, "w_model.odd", "value") == 0.5);
    assert_true(value(f, "w_model", "value") == 0);
    /* what was judged is said as it was, whatever is served */
    assert_true(value(f, "ask.mrr", "value") == 0.5 + 2 * 0.5 / 8);
    json_decref(f);
}

/* Where all questions gain alike there is no interval, and so none that excludes 0. */
static void a_gain_without_an_interval_is_not(void **state)
{
    (void)state;
    json_t *f = figures_of(4, (double[]){1, 1, 1, 1});
    assert_true(value(f, "model_gain.mrr", "value") == 0.5);
    assert_null(json_object_get(json_object_get(f, "model_gain.mrr"), "low"));
    assert_true(value(f, "w_model", "value") == 0);
    json_decref(f);
}

/* A weight that helps one half only is chosen there and pays nothing on the other. */
static void a_weight_that_does_not_pay_is_none(void **state)
{
    (void)state;
    json_t *f = figures_of(2, (double[]){0.25, NEVER});
    assert_true(value(f, "model_gain.mrr", "value") == 0);
    assert_true(value(f, "w_model", "value") == 0);
    assert_true(value(f, "w_model.even", "value") == 0.25);
    assert_true(value(f, "w_model.odd", "value") == 0);
    json_decref(f);
}

/* -------------------------------------------------------------- in words */

static void expect_note(const json_t *figures, bool want)
{
    const char *note = "\nre-ranking with the model did not help measurably: off\n";
    sm_buf table = {0};
    assert_true(sm_eval_table(&table, figures));
    const char *at = strstr(table.data, note);
    assert_int_equal(at != NULL, want);
    assert_true(!at || !at[strlen(note)]); /* below the table */
    sm_buf_free(&table);
}

static void the_report_says_when_it_is_off(void **state)
{
    (void)state;
    json_t *off = figures_of(2, (double[]){0.25, 1}),
           *on = figures_of(8, (double[]){1, 1, 1, 1, 1, 1, 1, NEVER});
    expect_note(off, true);
    expect_note(on, false);
    json_object_del(off, "w_model"); /* no model was asked */
    expect_note(off, false);
    json_decref(off);
    json_decref(on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_weight_is_judged_on_the_other_half),
        cmocka_unit_test(a_weight_that_helps_is_served),
        cmocka_unit_test(a_gain_that_may_be_chance_is_not),
        cmocka_unit_test(a_gain_without_an_interval_is_not),
        cmocka_unit_test(a_weight_that_does_not_pay_is_none),
        cmocka_unit_test(the_report_says_when_it_is_off),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
