/* SPDX-License-Identifier: Apache-2.0 */
/* A file of tracks from end to end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracks.h"

static sm_status report_options(json_t **out, const tracks_runs *t, sm_err *err)
{
    sm_buf text = {0};
    json_t *runs = json_array();
    sm_status s = tracks_write(&text, t->file, err);
    for (int i = 0; i < t->n && !s; i++) {
        json_t *v = NULL;
        sm_buf line = {0};
        s = tracks_describe(&v, t, &t->run[i], err);
        if (!s)
            s = sm_json_canonical(&line, v, err);
        if (!s && json_array_append_new(runs, json_string(line.data)))
            s = sm_fail(err, SM_ENOMEM, "tracks: out of memory");
        sm_buf_free(&line);
        json_decref(v);
    }
    if (!s) {
        *out = json_pack("{s:s, s:O, s:s}", "title", t->file->name, "runs", runs,
                         "declaration", text.data);
        s = *out ? SM_OK : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    }
    sm_buf_free(&text);
    json_decref(runs);
    return s;
}

static sm_status report(sm_flow_result *out, const tracks_runs *t, const sm_ctx *ctx,
                        const char *ref, sm_err *err)
{
    json_t *options = NULL;
    const char **model = sm_alloc((size_t)t->n + 1, sizeof *model);
    size_t n = 0;
    sm_status s = model ? report_options(&options, t, err)
                        : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    for (int i = 0; i < t->n && !s; i++) {
        bool there = false; /* two tracks may be the same recipe under two names */
        for (size_t k = 0; k < n && !there; k++)
            there = !strcmp(model[k], t->run[i].content);
        if (!there)
            model[n++] = t->run[i].content;
    }
    if (!s)
        s = sm_flow_step(out, ctx, t->store, "tracks", model, n, options, t->file->name,
                         ref, err);
    json_decref(options);
    free(model);
    return s;
}

/* The report's files beside resolved.yaml, for a browser. */
static sm_status copy_out(const sm_flow_result *r, sm_store *store, const char *dir,
                          sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < r->artifact.n_file && !s; i++) {
        const char *file = r->artifact.file[i].path;
        char *from = NULL, *text = NULL, *to = sm_path_join(dir, file);
        size_t len = 0;
        s = sm_store_path(&from, store, &r->artifact, file, err);
        if (!s)
            s = sm_file_read(&text, &len, from, 0, err);
        if (!s && !to)
            s = sm_fail(err, SM_ENOMEM, "tracks: out of memory");
        if (!s)
            s = sm_file_write_atomic(to, text, len, 0644, err);
        free(text);
        free(from);
        free(to);
    }
    return s;
}

static void warn_of_cores(const tracks_file *f, const sm_ctx *ctx)
{
    int n_cpu = sm_cpu_get()->n_cpu, most = 0;
    int64_t jobs = sm_opt_int(f->head, "jobs");
    for (int i = 0; i < f->n_track; i++)
        most = f->track[i].threads > most ? f->track[i].threads : most;
    if (jobs * most > n_cpu)
        sm_log_line(ctx->log, SM_LOG_WARN,
                    "tracks: %lld jobs of %d threads on %d processors: they will share",
                    (long long)jobs, most, n_cpu);
}

static const char *report_name(const tracks_file *f, const sm_tracks_config *c)
{
    return c->ref && *c->ref ? c->ref : f->name;
}

/* What can be known before anything is trained is refused here, --dry-run included. */
static sm_status open_file(tracks_file *f, char **dir, const sm_ctx *ctx, sm_store *store,
                           const sm_tracks_config *c, sm_err *err)
{
    sm_buf name = {0};
    sm_status s = tracks_read(f, c->path, err);
    if (!s)
        s = tracks_check_names(f, report_name(f, c), err);
    if (!s)
        s = tracks_facts(f, ctx, store, err);
    if (!s) {
        if (c->dir && *c->dir)
            sm_buf_puts(&name, c->dir);
        else
            sm_buf_printf(&name, "%s.tracks", f->name);
        *dir = name.data;
        s = name.failed ? sm_fail(err, SM_ENOMEM, "tracks: out of memory") : SM_OK;
    }
    return s;
}

/* What one process at a time may work at.  Two in a directory would each measure, resolve the
 * same declaration to other steps, and overwrite one another's resolved.yaml and report; of
 * two at one declaration, wherever their directories are, one would drop runs whose figures
 * the other has yet to read.  The directory is locked first: whoever has the declaration
 * waits for nothing. */
typedef struct turn {
    char *path[2];
    int fd[2];
} turn;

static sm_status turn_take(turn *t, const char *dir, const tracks_file *f,
                           const sm_store *store, const sm_ctx *ctx, sm_err *err)
{
    sm_buf b = {0};
    sm_status s = sm_mkdirs(dir, err);
    t->path[0] = sm_path_join(dir, ".lock");
    if (sm_buf_printf(&b, "%s/tmp/tracks-%.16s.lock", sm_store_dir(store), f->of))
        t->path[1] = b.data;
    else
        sm_buf_free(&b);
    if (!s && (!t->path[0] || !t->path[1]))
        s = sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    for (int i = 0; i < 2 && !s; i++)
        s = flow_lock_wait(&t->fd[i], t->path[i], ctx, f->name,
                           "is at work on these tracks", err);
    return s;
}

static void turn_end(turn *t)
{
    for (int i = 1; i >= 0; i--) {
        flow_lock_end(t->fd[i], t->path[i]);
        free(t->path[i]);
    }
}

sm_status sm_flow_tracks(sm_flow_result *out, const sm_ctx *ctx, sm_store *store,
                         const sm_tracks_config *c, sm_err *err)
{
    tracks_file f = {0};
    tracks_runs t = {0};
    sm_flow_result r = {0};
    char *dir = NULL;
    turn mine = {.fd = {-1, -1}};
    sm_status s = open_file(&f, &dir, ctx, store, c, err);
    if (!s)
        s = turn_take(&mine, dir, &f, store, ctx, err);
    if (!s) {
        warn_of_cores(&f, ctx);
        s = tracks_resolve(&f, ctx, store, dir, err);
    }
    if (!s)
        s = tracks_runs_make(&t, &f, ctx, store, err);
    if (!s)
        s = tracks_train(&t, ctx, err);
    if (!s)
        s = report(&r, &t, ctx, report_name(&f, c), err);
    if (!s)
        s = copy_out(&r, store, dir, err);
    turn_end(&mine);
    if (s)
        sm_flow_result_free(&r);
    else
        *out = r;
    tracks_runs_free(&t);
    tracks_free(&f);
    free(dir);
    return s;
}

static json_t *plan_track(const tracks_file *f, const tracks_track *t)
{
    json_t *steps = json_array();
    for (int b = 0; b < f->n_budget; b++)
        json_array_append_new(steps,
                              t->steps[b] ? json_integer(t->steps[b]) : json_null());
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:I, s:i, s:o}", "track", t->name,
                     "family", t->family, "parameters", (json_int_t)t->n_param, "active",
                     (json_int_t)t->n_active, "flops_per_token", t->flops_per_tok,
                     "tokens_per_step", (json_int_t)t->tok_per_step, "threads",
                     t->threads, "steps", steps);
}

sm_status sm_flow_tracks_plan(json_t **out, const sm_ctx *ctx, sm_store *store,
                              const sm_tracks_config *c, sm_err *err)
{
    tracks_file f = {0};
    char *dir = NULL;
    sm_status s = open_file(&f, &dir, ctx, store, c, err);
    json_t *tracks = json_array();
    for (int i = 0; i < f.n_track && !s; i++)
        json_array_append_new(tracks, plan_track(&f, &f.track[i]));
    if (!s) {
        *out = json_pack("{s:s, s:i, s:O}", "name", f.name, "runs",
                         f.n_track * f.n_budget * f.n_seed, "tracks", tracks);
        s = *out ? SM_OK : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    }
    json_decref(tracks);
    tracks_free(&f);
    free(dir);
    return s;
}
