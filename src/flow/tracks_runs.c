/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runs of a file of tracks: their recipes, how far each has come, what its steps took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "steps.h"
#include "tracks.h"

/* ------------------------------------------------------------------ making */

static sm_status set_int(json_t *options, const char *key, int64_t v, sm_err *err)
{
    return json_object_set_new(options, key, json_integer((json_int_t)v)) == 0
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
}

/* What the file decides.  commit_steps is set so that a run that halving ends has committed
 * the same states as one that goes on. */
static sm_status run_options(tracks_run *r, const tracks_file *f, sm_err *err)
{
    int64_t evals = sm_opt_int(f->head, "evals");
    double warmup = sm_opt_float(f->head, "warmup_frac");
    r->steps = r->track->steps[r->budget];
    r->eval_steps = r->steps % evals == 0 ? r->steps / evals : 0;
    r->options = json_deep_copy(r->track->options);
    sm_status s = r->options ? SM_OK : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    if (!s)
        s = set_int(r->options, "seed", r->seed, err);
    if (!s)
        s = set_int(r->options, "n_steps", r->steps, err);
    if (!s)
        s = set_int(r->options, "eval_steps", r->eval_steps, err);
    if (!s && f->rungs > 1 && !json_object_get(r->options, "commit_steps"))
        s = set_int(r->options, "commit_steps", r->eval_steps, err);
    if (!s && !json_object_get(r->options, "warmup_steps"))
        s = set_int(r->options, "warmup_steps", (int64_t)(warmup * (double)r->steps),
                    err);
    return s;
}

/* NAME-TRACK[-bBUDGET]-sSEED */
static void run_name(tracks_run *r, const tracks_file *f)
{
    char budget[16] = "";
    if (f->n_budget > 1)
        snprintf(budget, sizeof budget, "-b%d", r->budget + 1);
    snprintf(r->ref, sizeof r->ref, "%s-%s%s-s%lld", f->name, r->track->name, budget,
             (long long)r->seed);
}

sm_status tracks_check_names(const tracks_file *f, const char *report, sm_err *err)
{
    sm_status s = sm_ref_check(report, err);
    for (int b = 0; b < f->n_budget && !s; b++)
        for (int i = 0; i < f->n_seed && !s; i++)
            for (int k = 0; k < f->n_track && !s; k++) {
                tracks_run r = {.track = &f->track[k], .budget = b, .seed = f->seed[i]};
                run_name(&r, f);
                s = sm_ref_check(r.ref, err);
            }
    return s ? sm_fail_context(err, s, "%s: ", f->name) : SM_OK;
}

static sm_status recipe_of(char out[65], const tracks_runs *t, const json_t *options,
                           const char *where, sm_err *err)
{
    tracks_io io = {0};
    json_t *recipe = NULL;
    sm_id id;
    sm_status s = tracks_io_open(&io, NULL, t->store, t->file, options, where, err);
    if (!s)
        s = flow_recipe(&recipe, &step_train, &io.io, err);
    if (!s)
        s = sm_recipe_id(&id, recipe, err);
    if (!s)
        snprintf(out, 65, "%s", id.hex);
    json_decref(recipe);
    tracks_io_close(&io);
    return s;
}

static sm_status make_run(tracks_run *r, const tracks_runs *t, const tracks_track *track,
                          int budget, int64_t seed, const sm_ctx *ctx, sm_err *err)
{
    tracks_io io = {0};
    sm_train_config c;
    r->track = track;
    r->budget = budget;
    r->seed = seed;
    run_name(r, t->file);
    sm_status s = run_options(r, t->file, err);
    if (!s)
        s = recipe_of(r->recipe, t, r->options, r->ref, err);
    if (!s) /* what does not fit is refused before anything runs */
        s = tracks_io_open(&io, ctx, t->store, t->file, r->options, r->ref, err);
    if (!s)
        s = tracks_train_config(&c, &io.io, err);
    tracks_io_close(&io);
    return s ? sm_fail_context(err, s, "%s: ", r->ref) : SM_OK;
}

/* Tracks of one budget and seed side by side, so that a machine's moods hit them alike. */
sm_status tracks_runs_make(tracks_runs *out, const tracks_file *f, const sm_ctx *ctx,
                           sm_store *store, sm_err *err)
{
    tracks_runs t = {.file = f, .store = store};
    sm_status s = SM_OK;
    t.run = sm_alloc((size_t)f->n_budget * (size_t)f->n_seed * (size_t)f->n_track,
                     sizeof *t.run);
    if (!t.run)
        return sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    for (int b = 0; b < f->n_budget; b++)
        for (int i = 0; i < f->n_seed; i++)
            for (int k = 0; k < f->n_track && !s; k++)
                s = make_run(&t.run[t.n++], &t, &f->track[k], b, f->seed[i], ctx, err);
    if (s)
        tracks_runs_free(&t);
    else
        *out = t;
    return s;
}

void tracks_runs_free(tracks_runs *r)
{
    for (int i = 0; i < r->n; i++)
        json_decref(r->run[i].options);
    free(r->run);
    *r = (tracks_runs){0};
}

/* ------------------------------------------------------------- how far it is */

char *tracks_scratch(sm_store *store, const char *recipe, const char *file)
{
    sm_buf b = {0};
    sm_buf_printf(&b, "%s/tmp/scratch-%.16s%s%s", sm_store_dir(store), recipe,
                  *file ? "/" : "", file);
    if (b.failed) {
        sm_buf_free(&b);
        return NULL;
    }
    return b.data;
}

/* The held-out figure of a step in a curve; the last whole line of the step counts. */
static sm_status curve_value(double *bpb, bool *found, const char *path, int64_t step,
                             sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_status s = sm_file_read(&text, &len, path, 0, err);
    lines l = {.text = text, .len = s ? 0 : len};
    while (lines_next_step(&l))
        if (l.step == step && json_object_get(l.value, "heldout_bpb")) {
            *bpb = json_number_value(json_object_get(l.value, "heldout_bpb"));
            *found = true;
        }
    free(text);
    return s;
}

static sm_status model_value(double *bpb, bool *found, sm_store *store,
                             const char *recipe, int64_t step, sm_err *err)
{
    sm_artifact a = {0};
    sm_id id;
    char *path = NULL;
    sm_status s =
        sm_id_parse(&id, recipe)
            ? sm_store_find_recipe(&a, store, &id, err)
            : sm_fail(err, SM_EINVAL, "recipe: got '%.70s', want a SHA-256", recipe);
    if (!s)
        s = sm_store_path(&path, store, &a, "curve.jsonl", err);
    if (!s)
        s = curve_value(bpb, found, path, step, err);
    free(path);
    sm_artifact_free(&a);
    return s == SM_ENOENT ? SM_OK : s;
}

sm_status tracks_stopped_recipe(char out[65], const tracks_runs *t, const tracks_run *r,
                                int64_t stop_step, json_t **options, sm_err *err)
{
    json_t *o = json_deep_copy(r->options);
    sm_status s = o ? set_int(o, "stop_step", stop_step, err)
                    : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    if (!s)
        s = recipe_of(out, t, o, r->ref, err);
    if (!s && options)
        *options = json_incref(o);
    json_decref(o);
    return s;
}

sm_status tracks_value_at(double *bpb, bool *found, const tracks_runs *t,
                          const tracks_run *r, int64_t step, sm_err *err)
{
    char stopped[65];
    *found = false;
    sm_status s = model_value(bpb, found, t->store, r->recipe, step, err);
    for (int k = 0; k + 1 < t->file->rungs && !s && !*found; k++) {
        int64_t stop = r->eval_steps * tracks_rung_evals(t->file, k);
        if (stop < step)
            continue;
        s = tracks_stopped_recipe(stopped, t, r, stop, NULL, err);
        if (!s)
            s = model_value(bpb, found, t->store, stopped, step, err);
    }
    if (s || *found)
        return s;
    char *path = tracks_scratch(t->store, r->recipe, "curve.jsonl");
    if (!path)
        return sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    if (sm_path_exists(path))
        s = curve_value(bpb, found, path, step, err);
    free(path);
    return s;
}

/* -------------------------------------------------------------------- time */

/* Seconds of training at the end of each step, from the rates in the catalog: steps alone,
 * without evaluations and checkpoints.  Steps whose rate is lost take the mean. */
static double *seconds_by_step(const tracks_runs *t, const tracks_run *r, int64_t n,
                               sm_err *err)
{
    json_t *all = NULL, *row;
    size_t i;
    double *at = sm_alloc((size_t)n + 1, sizeof *at), sum = 0;
    double tok = (double)r->track->tok_per_step;
    int64_t known = 0;
    sm_status s = at ? sm_store_metrics_read(&all, t->store, r->recipe, "tok_per_s", err)
                     : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    if (s) {
        free(at);
        return NULL;
    }
    json_array_foreach(json_object_get(all, "tok_per_s"), i, row)
    {
        int64_t step = json_integer_value(json_array_get(row, 0));
        double rate = json_number_value(json_array_get(row, 1));
        if (step >= 1 && step <= n && rate > 0 && at[step] == 0) {
            at[step] = tok / rate;
            sum += at[step];
            known++;
        }
    }
    json_decref(all);
    for (int64_t k = 1; k <= n; k++)
        at[k] = at[k - 1] + (at[k] > 0 ? at[k] : known ? sum / (double)known : 0);
    return at;
}

sm_status tracks_describe(json_t **out, const tracks_runs *t, const tracks_run *r,
                          sm_err *err)
{
    int64_t n = r->stop_step ? r->stop_step : r->steps;
    double *at = seconds_by_step(t, r, n, err);
    json_t *seconds = json_array();
    if (!at) {
        json_decref(seconds);
        return err && err->status ? err->status : SM_EIO;
    }
    for (int64_t k = r->eval_steps ? r->eval_steps : n; k <= n && at[n] > 0;
         k += r->eval_steps ? r->eval_steps : n)
        json_array_append_new(seconds, json_pack("[I, f]", (json_int_t)k,
                                                 (double)(int64_t)(at[k] * 1000) / 1000));
    free(at);
    *out = json_pack("{s:s, s:s, s:i, s:I, s:s, s:b, s:o}", "track", r->track->name,
                     "family", r->track->family, "budget", r->budget, "seed",
                     (json_int_t)r->seed, "model", r->content, "stopped",
                     r->stop_step > 0, "seconds", seconds);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
}
