/* SPDX-License-Identifier: Apache-2.0 */
/* Minimal pairs in BLiMP's form (Warstadt et al., TACL 2020). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pairs.h"
#include "smelt/sys.h"

#define TOTAL "accuracy" /* pairs.accuracy */
enum { MAX_UID = 100 };  /* bytes */

typedef struct tally {
    json_t *by_uid; /* UID -> [hits, n] */
    int64_t hits, n;
} tally;

static sm_status count(tally *t, const char *uid, bool hit, sm_err *err)
{
    json_t *pair = json_object_get(t->by_uid, uid);
    int64_t hits = json_integer_value(json_array_get(pair, 0)) + hit;
    int64_t n = json_integer_value(json_array_get(pair, 1)) + 1;
    if (json_object_set_new(t->by_uid, uid,
                            json_pack("[II]", (json_int_t)hits, (json_int_t)n)))
        return sm_fail(err, SM_ENOMEM, "pairs: out of memory");
    t->hits += hit;
    t->n++;
    return SM_OK;
}

/* A UID is part of a figure's name, beside the figure of all pairs. */
static sm_status check_uid(const char *uid, const char *where, sm_err *err)
{
    if (strlen(uid) > MAX_UID)
        return sm_fail(err, SM_ECORRUPT, "%s: UID: got %zu bytes, want at most %d", where,
                       strlen(uid), MAX_UID);
    if (!strcmp(uid, TOTAL))
        return sm_fail(err, SM_ECORRUPT,
                       "%s: UID: got \"%s\", the name of the figure of all pairs; want "
                       "another",
                       where, uid);
    return SM_OK;
}

/* The string of a key, which is not empty. */
static sm_status read_text(const char **out, const json_t *o, const char *key,
                           const char *where, sm_err *err)
{
    const json_t *v = json_object_get(o, key);
    *out = json_string_value(v);
    if (*out && **out)
        return SM_OK;
    char *got = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    sm_status s =
        sm_fail(err, SM_ECORRUPT, "%s: %s: got %.60s, want a string that is not empty",
                where, key, got ? got : "none");
    free(got);
    return s;
}

static sm_status score_line(tally *t, const json_t *o, const char *where, int64_t max_pairs,
                            const sm_scorer *scorer, sm_err *err)
{
    static const char *const keys[] = {"sentence_good", "sentence_bad", "UID"};
    const char *v[3];
    if (!json_is_object(o))
        return sm_fail(err, SM_ECORRUPT,
                       "%s: got a line that is no object, want "
                       "{\"sentence_good\": ...}",
                       where);
    sm_status s = SM_OK;
    for (int k = 0; k < 3 && !s; k++)
        s = read_text(&v[k], o, keys[k], where, err);
    if (!s)
        s = check_uid(v[2], where, err);
    if (s)
        return s;
    json_t *seen = json_object_get(t->by_uid, v[2]);
    if (max_pairs > 0 && json_integer_value(json_array_get(seen, 1)) >= max_pairs)
        return SM_OK;
    double nats[2];
    int64_t n_token;
    for (int k = 0; k < 2; k++) {
        s = scorer->score(scorer->self, "", 0, v[k], strlen(v[k]), &nats[k], &n_token, err);
        if (s)
            return sm_fail_context(err, s, "%s: %s: ", where, keys[k]);
    }
    return count(t, v[2], nats[0] > nats[1], err);
}

/* White space alone, as the blank lines of a file with CR LF. */
static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

static sm_status score_text(tally *t, const sm_ctx *ctx, const char *text, size_t size,
                            const char *name, int64_t max_pairs, const sm_scorer *scorer,
                            sm_err *err)
{
    const char *p = text, *end = p + size;
    sm_status s = SM_OK;
    if (size >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) /* a byte order mark */
        p += 3;
    for (int64_t line = 1; p < end && !s; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        char where[SM_ERR_MAX];
        snprintf(where, sizeof where, "%s:%lld", name, (long long)line);
        json_t *o = NULL;
        if (!is_blank(p, len))
            s = sm_json_parse(&o, p, len, where, err);
        if (o && !s)
            s = score_line(t, o, where, max_pairs, scorer, err);
        json_decref(o);
        p = nl ? nl + 1 : end;
        if (!s && sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "pairs: stopped");
        sm_progress_update(ctx->progress, "pairs", (int64_t)(p - text), (int64_t)size,
                           "bytes", "");
    }
    return s;
}

static json_t *figures_of(const tally *t)
{
    json_t *out = json_object(), *pair;
    const char *uid;
    sm_interval all = sm_stat_proportion(t->hits, t->n);
    bool ok = out && sm_figure_set(out, "pairs." TOTAL, &all, "share");
    json_object_foreach(t->by_uid, uid, pair)
    {
        sm_interval one = sm_stat_proportion(json_integer_value(json_array_get(pair, 0)),
                                             json_integer_value(json_array_get(pair, 1)));
        char name[128];
        snprintf(name, sizeof name, "pairs.%s", uid);
        ok = ok && sm_figure_set(out, name, &one, "share");
    }
    if (!ok) {
        json_decref(out);
        return NULL;
    }
    return out;
}

sm_status eval_pairs_text(json_t **figures, const sm_ctx *ctx, const char *text, size_t size,
                          const char *name, int64_t max_pairs, const sm_scorer *scorer,
                          sm_err *err)
{
    tally t = {.by_uid = json_object()};
    sm_status s = t.by_uid ? score_text(&t, ctx, text, size, name, max_pairs, scorer, err)
                           : sm_fail(err, SM_ENOMEM, "pairs: out of memory");
    if (!s && t.n == 0)
        s = sm_fail(err, SM_EINVAL, "%s: got no pairs, want one a line", name);
    json_t *out = NULL;
    if (!s && !(out = figures_of(&t)))
        s = sm_fail(err, SM_ENOMEM, "pairs: out of memory");
    if (!s)
        *figures = out;
    json_decref(t.by_uid);
    return s;
}

sm_status sm_eval_pairs(json_t **figures, const sm_ctx *ctx, const char *path,
                        int64_t max_pairs, const sm_scorer *scorer, sm_err *err)
{
    sm_map m;
    sm_status s = sm_map_open(&m, path, err);
    if (s)
        return s;
    s = eval_pairs_text(figures, ctx, (const char *)m.data, m.len, path, max_pairs, scorer,
                        err);
    sm_map_close(&m);
    return s;
}
