/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of tracks: YAML into tracks_file, every refusal with line and column.
 *
 * `vary` multiplies a track: one for every combination of its values, in the order of the
 * file, the last key fastest.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracks.h"
#include "train_options.h"

static const sm_option head_options[] = {
    {.key = "version", .type = SM_OPT_INT, .def = "1", .min = 1, .max = 1},
    {.key = "name", .type = SM_OPT_STRING, .def = NULL},
    {.key = "description", .type = SM_OPT_STRING, .def = ""},
    {.key = "of", .type = SM_OPT_STRING, .def = ""},
    {.key = "measure_seconds", .type = SM_OPT_FLOAT, .def = "8", .min = 0.1, .max = 600},
    {.key = "threads", .type = SM_OPT_INT, .def = "1", .min = 1, .max = 256},
    {.key = "jobs", .type = SM_OPT_INT, .def = "1", .min = 1, .max = 64},
    {.key = "evals", .type = SM_OPT_INT, .def = "8", .min = 1, .max = 1000},
    {.key = "warmup_frac", .type = SM_OPT_FLOAT, .def = "0.04", .min = 0, .max = 1},
    SM_OPTION_END};
static const sm_option halving_options[] = {
    {.key = "eta", .type = SM_OPT_INT, .def = "2", .min = 2, .max = 16},
    {.key = "rungs", .type = SM_OPT_INT, .def = "3", .min = 2, .max = 8},
    {.key = "within", .type = SM_OPT_ENUM, .def = "all", .choices = "all|family"},
    SM_OPTION_END};
static const sm_option track_options[] = {
    {.key = "name", .type = SM_OPT_STRING, .def = NULL},
    {.key = "family", .type = SM_OPT_STRING, .def = ""},
    {.key = "threads", .type = SM_OPT_INT, .def = "0", .min = 0, .max = 256},
    {.key = "seconds_per_step", .type = SM_OPT_FLOAT, .def = "0", .min = 0, .max = 1e6},
    SM_OPTION_END};

/* What a file decides for every run, and an option must not. */
static const char *const decided[] = {"seed", "n_steps", "stop_step", "eval_steps"};

typedef struct reader {
    tracks_file *f;
    json_t *root;
    sm_positions *pos;
    const char *path;
} reader;

static sm_status refuse(const reader *r, const char *pointer, sm_err *err,
                        const char *what)
{
    return sm_fail(err, SM_EINVAL, "%s: %s", sm_positions_at(r->pos, pointer), what);
}

static bool is_name(const char *s)
{
    return s && *s && strlen(s) < 60 && s[0] != '.' && s[0] != '-' &&
           strspn(s,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(s);
}

/* The members of `v` without those in `other`, checked against a table. */
static sm_status scalars(json_t **out, const reader *r, const json_t *v,
                         const char *pointer, const sm_option *table,
                         const char *const *other, size_t n_other, sm_err *err)
{
    json_t *own = json_copy((json_t *)(uintptr_t)v);
    for (size_t i = 0; i < n_other; i++)
        json_object_del(own, other[i]);
    sm_status s = sm_options_check(table, own, r->pos, pointer, err);
    if (!s)
        s = sm_options_resolve(out, table, own, sm_positions_at(r->pos, pointer), err);
    json_decref(own);
    return s;
}

/* One number or a list of them. */
static sm_status numbers(double *out, int *n, int max, const reader *r, const json_t *v,
                         const char *pointer, sm_err *err)
{
    size_t count = json_is_array(v) ? json_array_size(v) : 1;
    if (count == 0 || count > (size_t)max)
        return sm_fail(err, SM_EINVAL, "%s: got %zu numbers, want 1..%d",
                       sm_positions_at(r->pos, pointer), count, max);
    for (size_t i = 0; i < count; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        double value = json_number_value(x);
        if (!json_is_number(x) || !(value >= 0) || value > 1e30)
            return refuse(r, pointer, err, "want a number from 0 to 1e30, or a list");
        out[i] = value;
    }
    *n = (int)count;
    return SM_OK;
}

/* ---------------------------------------------------------------- budgets */

static const char *const budget_key[] = {"", "budget_steps", "budget_tokens",
                                         "budget_flops", "budget_seconds"};

const char *tracks_budget_key(tracks_budget kind)
{
    return budget_key[kind];
}

static sm_status read_budget(const reader *r, sm_err *err)
{
    tracks_file *f = r->f;
    for (int k = BUDGET_STEPS; k <= BUDGET_SECONDS; k++) {
        const json_t *v = json_object_get(r->root, budget_key[k]);
        char pointer[40];
        snprintf(pointer, sizeof pointer, "/%s", budget_key[k]);
        if (!v)
            continue;
        if (f->kind)
            return refuse(r, pointer, err, "a second budget; want one");
        f->kind = (tracks_budget)k;
        sm_status s =
            numbers(f->budget, &f->n_budget, TRACKS_MAX_BUDGETS, r, v, pointer, err);
        for (int i = 0; i < f->n_budget && !s; i++)
            if (!(f->budget[i] > 0))
                s = refuse(r, pointer, err, "want budgets above 0");
        if (s)
            return s;
    }
    if (!f->kind)
        return refuse(r, "", err,
                      "budget: missing, want budget_flops, budget_seconds, "
                      "budget_tokens or budget_steps");
    return SM_OK;
}

static sm_status read_seeds(const reader *r, sm_err *err)
{
    double x[TRACKS_MAX_SEEDS] = {1};
    const json_t *v = json_object_get(r->root, "seeds");
    r->f->n_seed = 1;
    sm_status s =
        v ? numbers(x, &r->f->n_seed, TRACKS_MAX_SEEDS, r, v, "/seeds", err) : SM_OK;
    for (int i = 0; i < r->f->n_seed && !s; i++) {
        if (x[i] > 9007199254740992.0 || floor(x[i]) != x[i])
            s = refuse(r, "/seeds", err, "want whole numbers");
        r->f->seed[i] = (int64_t)x[i];
        for (int j = 0; j < i && !s; j++)
            if (r->f->seed[j] == r->f->seed[i])
                s = refuse(r, "/seeds", err, "a seed is there twice");
    }
    return s;
}

/* ----------------------------------------------------------------- tracks */

static sm_status check_options(const reader *r, const json_t *v, const char *pointer,
                               sm_err *err)
{
    for (size_t i = 0; i < sizeof decided / sizeof *decided; i++)
        if (json_object_get(v, decided[i]))
            return sm_fail(err, SM_EINVAL,
                           "%s: %s: set by the file's budget, seeds, evals or halving",
                           sm_positions_at(r->pos, pointer), decided[i]);
    return v ? sm_options_check(train_options, v, r->pos, pointer, err) : SM_OK;
}

static sm_status read_steps(const reader *r, tracks_track *t, const json_t *v,
                            const char *pointer, sm_err *err)
{
    double x[TRACKS_MAX_BUDGETS];
    int n = 0;
    if (!v)
        return SM_OK;
    sm_status s = numbers(x, &n, TRACKS_MAX_BUDGETS, r, v, pointer, err);
    if (!s && n != r->f->n_budget)
        s = refuse(r, pointer, err, "steps: want one number a budget");
    for (int i = 0; i < n && !s; i++) {
        if (x[i] < 1 || x[i] > 1e9 || floor(x[i]) != x[i])
            s = refuse(r, pointer, err, "steps: want whole numbers from 1");
        t->steps[i] = (int64_t)x[i];
    }
    return s;
}

static sm_status add_track(const reader *r, const tracks_track *t, const char *pointer,
                           sm_err *err)
{
    tracks_file *f = r->f;
    if (f->n_track == TRACKS_MAX)
        return refuse(r, pointer, err, "more than 200 tracks");
    if (!is_name(t->name))
        return refuse(r, pointer, err,
                      "name: want 1..59 letters, digits, '.', '_' or '-'");
    for (int i = 0; i < f->n_track; i++)
        if (!strcmp(f->track[i].name, t->name))
            return sm_fail(err, SM_EINVAL, "%s: a second track is called '%s'",
                           sm_positions_at(r->pos, pointer), t->name);
    tracks_track *grown = sm_realloc(f->track, (size_t)f->n_track + 1, sizeof *grown);
    if (!grown)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", r->path);
    f->track = grown;
    grown[f->n_track] = *t;
    grown[f->n_track].options = json_deep_copy(t->options);
    if (!grown[f->n_track++].options)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", r->path);
    return SM_OK;
}

/* "-128", "-0.004", "-softmax" */
static void append_value(char *name, size_t size, const json_t *v)
{
    size_t n = strlen(name);
    if (json_is_string(v))
        snprintf(name + n, size - n, "-%s", json_string_value(v));
    else if (json_is_boolean(v))
        snprintf(name + n, size - n, "-%s", json_is_true(v) ? "on" : "off");
    else
        snprintf(name + n, size - n, "-%g", json_number_value(v));
}

/* Every combination of the values from iterator `at` of `vary` on. */
static sm_status multiply(const reader *r, const tracks_track *t, json_t *vary, void *at,
                          const char *pointer, sm_err *err)
{
    size_t i;
    json_t *v;
    sm_status s = SM_OK;
    if (!at)
        return add_track(r, t, pointer, err);
    const char *key = json_object_iter_key(at);
    json_t *values = json_object_iter_value(at);
    if (!json_is_array(values) || json_array_size(values) == 0)
        return refuse(r, pointer, err, "vary: want options with lists of values");
    json_array_foreach(values, i, v)
    {
        tracks_track one = *t;
        json_t *given = json_pack("{s:O}", key, v), *checked = NULL;
        one.options = json_deep_copy(t->options);
        append_value(one.name, sizeof one.name, v);
        if (!s && (!given || !one.options || json_object_update(one.options, given)))
            s = sm_fail(err, SM_ENOMEM, "%s: out of memory", r->path);
        if (!s)
            s = sm_options_resolve(&checked, train_options, given,
                                   sm_positions_at(r->pos, pointer), err);
        if (!s)
            s = multiply(r, &one, vary, json_object_iter_next(vary, at), pointer, err);
        json_decref(checked);
        json_decref(given);
        json_decref(one.options);
    }
    return s;
}

static sm_status read_track(const reader *r, size_t i, const json_t *v, sm_err *err)
{
    static const char *const other[] = {"options", "vary", "steps"};
    char at[64], sub[80];
    tracks_track t = {0};
    json_t *head = NULL, *vary = json_object_get(v, "vary");
    snprintf(at, sizeof at, "/tracks/%zu", i);
    if (!json_is_object(v))
        return refuse(r, at, err, "want a mapping with name and options");
    sm_status s = scalars(&head, r, v, at, track_options, other, 3, err);
    if (s)
        return s;
    snprintf(t.name, sizeof t.name, "%s", sm_opt_str(head, "name"));
    snprintf(t.family, sizeof t.family, "%s",
             *sm_opt_str(head, "family") ? sm_opt_str(head, "family") : t.name);
    t.threads = (int)sm_opt_int(head, "threads");
    t.seconds_per_step = sm_opt_float(head, "seconds_per_step");
    json_decref(head);
    snprintf(sub, sizeof sub, "%s/options", at);
    s = check_options(r, json_object_get(v, "options"), sub, err);
    t.options = json_object();
    if (!s && !t.options)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", r->path);
    json_object_update(t.options, json_object_get(r->root, "options"));
    json_object_update(t.options, json_object_get(v, "options"));
    snprintf(sub, sizeof sub, "%s/steps", at);
    if (!s)
        s = read_steps(r, &t, json_object_get(v, "steps"), sub, err);
    snprintf(sub, sizeof sub, "%s/vary", at);
    if (!s && vary && !json_is_object(vary))
        s = refuse(r, sub, err, "vary: want options with lists of values");
    for (size_t k = 0; k < sizeof decided / sizeof *decided && !s; k++)
        if (json_object_get(vary, decided[k]))
            s = refuse(r, sub, err, "vary: seed and steps are the file's own");
    if (!s)
        s = multiply(r, &t, vary, vary ? json_object_iter(vary) : NULL, vary ? sub : at,
                     err);
    json_decref(t.options);
    return s;
}

/* ------------------------------------------------------------------- file */

static sm_status read_inputs(const reader *r, sm_err *err)
{
    const json_t *in = json_object_get(r->root, "in");
    if (!json_is_array(in) || json_array_size(in) != 2)
        return refuse(r, "/in", err, "in: want a dataset and a tokenizer");
    for (size_t i = 0; i < 2; i++) {
        const char *ref = json_string_value(json_array_get(in, i));
        if (!ref || !*ref)
            return refuse(r, "/in", err, "in: want two names");
        if (!(r->f->in[i] = sm_strdup(ref)))
            return sm_fail(err, SM_ENOMEM, "%s: out of memory", r->path);
    }
    return SM_OK;
}

static sm_status read_halving(const reader *r, sm_err *err)
{
    const json_t *v = json_object_get(r->root, "halving");
    json_t *got = NULL;
    r->f->rungs = 1;
    if (!v)
        return SM_OK;
    if (!json_is_object(v))
        return refuse(r, "/halving", err, "halving: want a mapping with eta and rungs");
    sm_status s = scalars(&got, r, v, "/halving", halving_options, NULL, 0, err);
    if (s)
        return s;
    r->f->eta = (int)sm_opt_int(got, "eta");
    r->f->rungs = (int)sm_opt_int(got, "rungs");
    r->f->within_family = !strcmp(sm_opt_str(got, "within"), "family");
    json_decref(got);
    if (r->f->n_budget > 1)
        return refuse(r, "/halving", err, "halving: wants one budget, got several");
    if (tracks_rung_evals(r->f, 1) <= tracks_rung_evals(r->f, 0))
        return refuse(r, "/halving", err,
                      "halving: evals: too few for the rungs, want eta^(rungs-1)");
    return SM_OK;
}

/* The identity of what is declared, the description left out. */
static sm_status hash_declaration(const reader *r, sm_err *err)
{
    const char *given = sm_opt_str(r->f->head, "of");
    json_t *copy = json_copy(r->root);
    sm_buf text = {0};
    sm_id id;
    if (strlen(given) == 64) {
        snprintf(r->f->of, sizeof r->f->of, "%s", given);
        json_decref(copy);
        return SM_OK;
    }
    json_object_del(copy, "description");
    sm_status s = sm_json_canonical(&text, copy, err);
    if (!s)
        s = sm_id_of_bytes(&id, text.data, text.len, err);
    if (!s)
        snprintf(r->f->of, sizeof r->f->of, "%s", id.hex);
    sm_buf_free(&text);
    json_decref(copy);
    return s;
}

static sm_status read_head(const reader *r, sm_err *err)
{
    static const char *const other[] = {
        "in",           "tracks",        "options",      "seeds",         "halving",
        "budget_steps", "budget_tokens", "budget_flops", "budget_seconds"};
    if (!json_is_object(r->root))
        return refuse(r, "", err, "want a mapping with name, in, tracks and a budget");
    sm_status s = scalars(&r->f->head, r, r->root, "", head_options, other, 9, err);
    if (s)
        return s;
    const char *name = sm_opt_str(r->f->head, "name");
    if (!is_name(name))
        return refuse(r, "/name", err,
                      "name: want 1..59 letters, digits, '.', '_' or '-'");
    snprintf(r->f->name, sizeof r->f->name, "%s", name);
    s = read_inputs(r, err);
    if (!s)
        s = read_budget(r, err);
    if (!s)
        s = read_seeds(r, err);
    if (!s)
        s = read_halving(r, err);
    if (!s)
        s = check_options(r, json_object_get(r->root, "options"), "/options", err);
    return s ? s : hash_declaration(r, err);
}

sm_status tracks_read(tracks_file *out, const char *path, sm_err *err)
{
    tracks_file f = {0};
    reader r = {.f = &f, .path = path};
    size_t i;
    json_t *v;
    sm_status s = sm_yaml_load(&r.root, &r.pos, path, err);
    if (!s)
        s = read_head(&r, err);
    const json_t *tracks = json_object_get(r.root, "tracks");
    if (!s && (!json_is_array(tracks) || json_array_size(tracks) == 0))
        s = refuse(&r, "/tracks", err, "tracks: want a list of one track or more");
    json_array_foreach((json_t *)(uintptr_t)tracks, i, v)
    {
        if (!s)
            s = read_track(&r, i, v, err);
    }
    if (!s && (int64_t)f.n_track * f.n_budget * f.n_seed > TRACKS_MAX_RUNS)
        s = refuse(&r, "/tracks", err, "more than 2000 runs");
    json_decref(r.root);
    sm_positions_free(r.pos);
    if (s)
        tracks_free(&f);
    else
        *out = f;
    return s;
}

void tracks_free(tracks_file *f)
{
    for (int i = 0; i < f->n_track; i++)
        json_decref(f->track[i].options);
    free(f->track);
    free(f->in[0]);
    free(f->in[1]);
    json_decref(f->head);
    *f = (tracks_file){0};
}
