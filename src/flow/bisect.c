/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change moved a metric: delta debugging (Zeller and Hildebrandt, 2002) over what
 * differs between a good model and a bad one.
 *
 *   c = all changes, n = 2
 *   split c into n parts;  a part is bad alone      -> c = part,          n = 2
 *                          c without a part is bad  -> c = complement,    n = n - 1
 *                          neither                  -> n = 2 n, until parts are single
 *
 * "Bad" is on the bad one's side of the threshold.  The end is 1-minimal: without any one
 * of its changes the metric is on the good side.  One cause among n takes about 2 log2 n
 * runs.  Every combination is made by recorded steps, so one met twice is trained once,
 * also by a later call.
 */
#include <stdlib.h>
#include <string.h>

#include "bisect.h"

static json_t *names_of(const bisect *b, const bool *in)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < b->list.n; i++)
        if (in[i])
            json_array_append_new(list, json_string(b->list.at[i].name));
    return list;
}

static size_t count(const bool *in, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += in[i];
    return k;
}

/* About how many runs one cause among n takes. */
static int64_t expected_runs(size_t n)
{
    int64_t k = 0;
    while (((size_t)1 << k) < n)
        k++;
    return 2 * k + 1;
}

static bool is_bad(const bisect *b, double value)
{
    return b->bad_value > b->good_value ? value >= b->threshold : value <= b->threshold;
}

static void note(bisect *b, const bool *in, const sm_artifact *model, double value,
                 bool bad, const char *failure)
{
    json_t *v =
        json_pack("{s:o, s:b, s:s*, s:s*}", "changes", names_of(b, in), "bad", bad,
                  "model", *model->kind ? model->content.hex : NULL, "failure", failure);
    if (v && !failure)
        json_object_set_new(v, "value", json_real(value));
    json_array_append_new(b->history, v);
    sm_log_line(b->ctx->log, SM_LOG_INFO, "bisect: %zu of %zu changes: %s %.5g, %s",
                count(in, b->list.n), b->list.n, b->config->metric, value,
                failure ? failure
                : bad   ? "bad"
                        : "good");
}

/* A run that diverges is bad; a combination that is no valid recipe is not.  A model that
 * cannot be measured is an error. */
static sm_status try_new(bool *bad, bisect *b, const bool *in, sm_err *err)
{
    sm_artifact model = {0};
    sm_err why = {0};
    double value = 0;
    if (b->n_runs >= b->config->max_runs)
        return sm_fail(err, SM_ECANCEL, "bisect: stopped after %lld runs (max_runs)",
                       (long long)b->n_runs);
    sm_progress_update(b->ctx->progress, "bisect", b->n_runs, expected_runs(b->list.n),
                       "runs", "");
    b->n_runs++;
    sm_status s = bisect_make(&model, b, in, &why);
    bool is_none = s == SM_EINVAL;
    if (!s)
        s = bisect_measure(&value, b, &model, &why);
    if (s && s != SM_ENUMERIC && !is_none) {
        sm_artifact_free(&model);
        return sm_fail(err, s, "%s", why.msg);
    }
    *bad = s == SM_ENUMERIC || (s == SM_OK && is_bad(b, value));
    note(b, in, &model, value, *bad, s ? why.msg : NULL);
    sm_artifact_free(&model);
    return SM_OK;
}

static sm_status try_changes(bool *bad, bisect *b, const bool *in, sm_err *err)
{
    sm_status s = SM_OK;
    char *mask = sm_alloc(b->list.n + 1, 1);
    if (!mask)
        return sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    for (size_t i = 0; i < b->list.n; i++)
        mask[i] = in[i] ? '1' : '0';
    const json_t *seen = json_object_get(b->seen, mask);
    if (seen)
        *bad = json_is_true(seen);
    else if (!(s = try_new(bad, b, in, err)))
        json_object_set_new(b->seen, mask, json_boolean(*bad));
    free(mask);
    return s;
}

/* Part p of n of the changes in c, or all but it. */
static void take_part(bool *out, const bool *c, size_t n_all, size_t p, size_t n,
                      bool complement)
{
    size_t k = count(c, n_all), at = 0;
    for (size_t i = 0; i < n_all; i++) {
        bool mine = c[i] && at >= p * k / n && at < (p + 1) * k / n;
        out[i] = c[i] && mine != complement;
        at += c[i];
    }
}

/* One round: *c shrinks, or *n grows; *done at the end. */
static sm_status round_of(bool *c, size_t *n, bool *done, bool *scratch, bisect *b,
                          sm_err *err)
{
    size_t n_all = b->list.n, k = count(c, n_all);
    for (int complement = 0; complement < (*n > 2 ? 2 : 1); complement++)
        for (size_t p = 0; p < *n; p++) {
            bool bad = false;
            take_part(scratch, c, n_all, p, *n, complement);
            sm_status s = try_changes(&bad, b, scratch, err);
            if (s)
                return s;
            if (!bad)
                continue;
            memcpy(c, scratch, n_all * sizeof *c);
            *n = complement && *n > 3 ? *n - 1 : 2;
            *done = count(c, n_all) == 1;
            return SM_OK;
        }
    *done = *n >= k;
    *n = 2 * *n < k ? 2 * *n : k;
    return SM_OK;
}

static sm_status minimise(bool *c, bisect *b, sm_err *err)
{
    size_t n = 2;
    bool done = count(c, b->list.n) < 2;
    bool *scratch = sm_alloc(b->list.n, sizeof *scratch);
    sm_status s = scratch ? SM_OK : sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    while (!s && !done)
        s = round_of(c, &n, &done, scratch, b, err);
    free(scratch);
    return s;
}

/* ------------------------------------------------------------------ report */

static json_t *change_json(const change *c)
{
    static const char *const kind[] = {"train", "data.curate", "tokenizer", "documents"};
    json_t *v = json_pack("{s:s, s:s}", "kind", kind[c->kind], "name", c->name);
    if (v && c->kind == CHANGE_DOCUMENTS) {
        json_object_set(v, "removed", c->removed);
        json_object_set(v, "added", c->added);
    } else if (v && c->good) {
        json_object_set(v, "good", c->good);
        json_object_set(v, "bad", c->bad);
    }
    return v;
}

static json_t *changes_json(const bisect *b, const bool *in)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < b->list.n; i++)
        if (!in || in[i])
            json_array_append_new(list, change_json(&b->list.at[i]));
    return list;
}

static sm_status measure_ends(bisect *b, sm_err *err)
{
    const sm_bisect_config *c = b->config;
    sm_status s = bisect_measure(&b->good_value, b, &b->good.model, err);
    if (!s)
        s = bisect_measure(&b->bad_value, b, &b->bad.model, err);
    b->threshold = c->has_threshold ? c->threshold : (b->good_value + b->bad_value) / 2;
    if (!s && b->good_value == b->bad_value)
        return sm_fail(
            err, SM_EINVAL,
            "bisect: %s of the good one and of the bad one: got %g for both, want "
            "two figures",
            c->metric, b->good_value);
    bool is_loss = !strcmp(c->metric, "heldout_bpb") || !strcmp(c->metric, "loss");
    if (!s && is_loss && b->bad_value < b->good_value)
        sm_log_line(
            b->ctx->log, SM_LOG_WARN,
            "bisect: the bad one has the lower %s (%g, the good one %g), and lower "
            "is better: are they the other way round?",
            c->metric, b->bad_value, b->good_value);
    if (!s && (!is_bad(b, b->bad_value) || is_bad(b, b->good_value)))
        s = sm_fail(err, SM_EINVAL,
                    "threshold: got %g, want it between %s of the good one (%g) and of "
                    "the bad one (%g)",
                    b->threshold, c->metric, b->good_value, b->bad_value);
    return s;
}

/* All changes together must be bad, or what is bad is in none of them. */
static sm_status check_all(bisect *b, const bool *c, sm_err *err)
{
    bool bad = false;
    sm_status s = try_changes(&bad, b, c, err);
    const json_t *first = json_array_get(b->history, 0);
    const char *why = json_string_value(json_object_get(first, "failure"));
    if (!s && !bad)
        s = sm_fail(err, SM_EUNSUPPORTED,
                    "bisect: the good model with all %zu changes is not bad, so the "
                    "cause is not among them%s%s",
                    b->list.n, why ? "; it cannot be made: " : "", why ? why : "");
    return s;
}

/* Groups of documents that remain are searched once more, path by path. */
static sm_status refine(bool **c, bisect *b, sm_err *err)
{
    change_list finer = {0};
    sm_status s = bisect_split(&finer, b, *c, err);
    if (s || finer.n <= count(*c, b->list.n)) {
        change_list_free(&finer);
        return s;
    }
    change_list_free(&b->list);
    b->list = finer;
    json_object_clear(b->seen);
    free(*c);
    *c = sm_alloc(b->list.n, sizeof **c);
    for (size_t i = 0; *c && i < b->list.n; i++)
        (*c)[i] = true;
    return *c ? minimise(*c, b, err) : sm_fail(err, SM_ENOMEM, "bisect: out of memory");
}

/* The last entry of the history whose changes are those of the cause. */
static const json_t *entry_of(const bisect *b, const bool *c)
{
    json_t *names = names_of(b, c);
    const json_t *found = NULL;
    size_t i;
    json_t *v;
    json_array_foreach(b->history, i, v)
    {
        if (json_equal(json_object_get(v, "changes"), names))
            found = v;
    }
    json_decref(names);
    return found;
}

static sm_status search(json_t *report, bisect *b, sm_err *err)
{
    bool *c = sm_alloc(b->list.n, sizeof *c);
    if (!c)
        return sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    for (size_t i = 0; i < b->list.n; i++)
        c[i] = true;
    sm_status s = check_all(b, c, err);
    if (!s)
        s = minimise(c, b, err);
    if (!s)
        s = refine(&c, b, err);
    bool stopped = s == SM_ECANCEL && b->n_runs >= b->config->max_runs;
    if (!s || stopped) {
        json_object_set_new(report, "cause", c ? changes_json(b, c) : json_array());
        json_object_set_new(report, "minimal", json_boolean(!stopped));
        const json_t *made = c ? entry_of(b, c) : NULL;
        if (made)
            json_object_set(report, "with_cause", (json_t *)(uintptr_t)made);
        s = SM_OK;
    }
    free(c);
    return s;
}

sm_status sm_flow_bisect(json_t **report, const sm_ctx *ctx, sm_store *store,
                         const char *good, const char *bad, const sm_bisect_config *c,
                         sm_err *err)
{
    bisect b = {.ctx = ctx, .store = store, .config = c};
    json_t *v = NULL;
    sm_status s = bisect_open(&b, good, bad, err);
    if (!s)
        s = measure_ends(&b, err);
    if (!s &&
        !(v = json_pack("{s:s, s:{s:s, s:f}, s:{s:s, s:f}, s:f, s:o, s:I}", "metric",
                        c->metric, "good", "model", b.good.model.content.hex, "value",
                        b.good_value, "bad", "model", b.bad.model.content.hex, "value",
                        b.bad_value, "threshold", b.threshold, "differences",
                        changes_json(&b, NULL), "expected_runs",
                        (json_int_t)expected_runs(b.list.n))))
        s = sm_fail(err, SM_ENOMEM, "bisect: out of memory");
    if (!s && !c->dry_run)
        s = search(v, &b, err);
    if (!s && !c->dry_run) {
        json_object_set(v, "history", b.history);
        json_object_set_new(v, "runs", json_integer(b.n_runs));
    }
    if (!s)
        *report = json_incref(v);
    json_decref(v);
    bisect_close(&b);
    return s;
}
