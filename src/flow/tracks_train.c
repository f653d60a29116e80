/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training the runs, with successive halving (Jamieson and Talwalkar, 1502.07943).
 *
 * A run is one recipe from its first step to its last; a rung only pauses it.
 *
 *   start ──► pause at the rung's step (a checkpoint is saved)
 *               ├─ kept:    the same recipe goes on from that checkpoint
 *               └─ dropped: its scratch becomes that of the recipe with stop_step there,
 *                           which is then committed as a model of its own
 *
 * Invariants: 1. what a survivor ends in is what the recipe gives undisturbed (pausing is
 * an interruption, and interruptions do not change a bit); 2. a dropped model is what its
 * own recipe gives, so it can be replayed; 3. the figures by which a rung decides are in
 * models or scratch when they are read, so an interrupted file decides the same again, and
 * they are read as a run gets there: another file may take its scratch on afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "tracks.h"

enum { MAX_TRIES = 8 }; /* to have a figure that others may take away */

typedef struct rung {
    tracks_runs *runs;
    const sm_ctx *ctx;
    int *index; /* [n] of the runs that are in it */
    int n, number;
    bool last;
} rung;

static int64_t rung_step(const rung *g, const tracks_run *r)
{
    return g->last ? r->steps
                   : r->eval_steps * tracks_rung_evals(g->runs->file, g->number);
}

static int threads_of(void *arg, int i)
{
    const rung *g = arg;
    return g->runs->run[g->index[i]].track->threads;
}

static void label(tracks_job *job, const tracks_run *r)
{
    char text[96];
    snprintf(text, sizeof text, "%.60s s%lld", r->track->name, (long long)r->seed);
    tracks_set_label(job, text);
}

static sm_status train_step(sm_flow_result *out, const tracks_runs *t,
                            const tracks_run *r, const json_t *options, const sm_ctx *ctx,
                            sm_err *err)
{
    const char *in[2] = {t->file->in[0], t->file->in[1]};
    return sm_flow_step(out, ctx, t->store, "train", in, 2, options, r->ref, r->ref, err);
}

/* To the step of a rung, but not past it. */
static sm_status pause_at_rung(const rung *g, tracks_run *r, tracks_job *job, sm_err *err)
{
    sm_flow_result got = {0};
    tracks_pause_at(job, rung_step(g, r));
    label(job, r);
    sm_status s = train_step(&got, g->runs, r, r->options, &job->ctx, err);
    sm_flow_result_free(&got);
    return s == SM_ECANCEL && job->paused && !sm_stopped(g->ctx) ? SM_OK : s;
}

/* The run's figure at a rung, from what is there or from training up to it.  What is there
 * may go meanwhile: another file that halves the same run elsewhere hands its scratch over
 * to the recipe that is stopped there.  Then it is trained again. */
static sm_status advance_to_rung(const rung *g, tracks_run *r, tracks_job *job,
                                 sm_err *err)
{
    bool found = false;
    sm_status s = tracks_value_at(&r->bpb, &found, g->runs, r, rung_step(g, r), err);
    for (int i = 0; i < MAX_TRIES && !s && !found; i++) {
        s = pause_at_rung(g, r, job, err);
        if (!s)
            s = tracks_value_at(&r->bpb, &found, g->runs, r, rung_step(g, r), err);
    }
    if (!s && !found)
        s = sm_fail(err, SM_EINVAL,
                    "%s: no held-out figure at step %lld; halving wants eval_docs > 0 "
                    "and held-out documents",
                    r->ref, (long long)rung_step(g, r));
    return s;
}

/* To the rung's step, or to the end. */
static sm_status advance(void *arg, int i, tracks_job *job, sm_err *err)
{
    rung *g = arg;
    tracks_run *r = &g->runs->run[g->index[i]];
    sm_flow_result got = {0};
    if (!g->last)
        return advance_to_rung(g, r, job, err);
    label(job, r);
    sm_status s = train_step(&got, g->runs, r, r->options, &job->ctx, err);
    if (!s) {
        snprintf(r->content, sizeof r->content, "%s", got.artifact.content.hex);
        sm_log_line(g->ctx->log, SM_LOG_INFO, "%s: %s", r->ref,
                    got.was_there ? "made before" : "trained");
    }
    sm_flow_result_free(&got);
    return s;
}

/* ---------------------------------------------------------------- dropping */

/* Has the run gone past its stop?  It does when it was interrupted while the figure at the
 * stop was computed: the figure is made up for when it goes on, one step later. */
static bool is_past(const tracks_runs *t, const tracks_run *r)
{
    char *path = tracks_scratch(t->store, r->recipe, "curve.jsonl"), *text = NULL;
    size_t len = 0;
    bool past = !path || sm_file_read(&text, &len, path, 0, NULL);
    lines l = {.text = text, .len = past ? 0 : len};
    while (lines_next_step(&l))
        past = past || l.step > r->stop_step;
    free(text);
    free(path);
    return past;
}

static char *lock_of(const char *scratch)
{
    sm_buf b = {0};
    if (scratch && sm_buf_printf(&b, "%s.lock", scratch))
        return b.data;
    sm_buf_free(&b);
    return NULL;
}

/* The scratch of a paused run becomes the stopped recipe's, unless somebody is at either or
 * it has gone past the step: then the stopped recipe is run from its start.
 *
 * Both recipes are locked while the directory changes its name, or a process that begins
 * the stopped recipe could make and fill the directory between the look and the rename, and
 * one that goes on with the whole recipe could lose it under its feet.  Nobody waits with
 * one of the two in hand, so there is no order to keep.  Between the end here and train_step
 * anybody may take up the stopped recipe: what lies there is a state of it. */
static void hand_over(const tracks_runs *t, const tracks_run *r, const char *stopped)
{
    char *from = tracks_scratch(t->store, r->recipe, "");
    char *to = tracks_scratch(t->store, stopped, "");
    char *from_lock = lock_of(from), *to_lock = lock_of(to);
    int from_fd = -1, to_fd = -1;
    if (from_lock && to_lock && sm_path_exists(from))
        from_fd = flow_lock_try(from_lock);
    if (from_fd >= 0)
        to_fd = flow_lock_try(to_lock);
    if (to_fd >= 0 && !is_past(t, r) && !sm_path_exists(to))
        rename(from, to); /* or the stopped recipe begins anew */
    flow_lock_end(to_fd, to_lock);
    flow_lock_end(from_fd, from_lock);
    free(from);
    free(to);
    free(from_lock);
    free(to_lock);
}

static sm_status settle(void *arg, int i, tracks_job *job, sm_err *err)
{
    rung *g = arg;
    tracks_run *r = &g->runs->run[g->index[i]];
    sm_flow_result got = {0};
    json_t *options = NULL;
    char stopped[65];
    label(job, r);
    r->stop_step = rung_step(g, r);
    sm_status s = tracks_stopped_recipe(stopped, g->runs, r, r->stop_step, &options, err);
    if (!s) {
        hand_over(g->runs, r, stopped);
        s = train_step(&got, g->runs, r, options, &job->ctx, err);
    }
    if (!s)
        snprintf(r->content, sizeof r->content, "%s", got.artifact.content.hex);
    sm_flow_result_free(&got);
    json_decref(options);
    return s;
}

typedef struct standing {
    const tracks_track *track;
    double sum;
    int n;
    bool stays;
} standing;

static int by_loss(const void *a, const void *b)
{
    const standing *x = a, *y = b;
    double d = x->sum / x->n - y->sum / y->n;
    return d < 0 ? -1 : d > 0 ? 1 : x->track < y->track ? -1 : 1;
}

/* The tracks of a rung, best mean over seeds first; their number. */
static int rank(standing *out, const rung *g)
{
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        const tracks_run *r = &g->runs->run[g->index[i]];
        int k = 0;
        while (k < n && out[k].track != r->track)
            k++;
        if (k == n)
            out[n++] = (standing){.track = r->track};
        out[k].sum += r->bpb;
        out[k].n++;
    }
    qsort(out, (size_t)n, sizeof *out, by_loss);
    return n;
}

/* The best 1/eta stay, of all or of each family; s [n] is in order. */
static void choose(standing *s, int n, const tracks_file *f)
{
    for (int i = 0; i < n; i++) {
        int better = 0, rivals = 0;
        for (int k = 0; k < n; k++)
            if (!f->within_family || !strcmp(s[k].track->family, s[i].track->family)) {
                better += k < i;
                rivals++;
            }
        s[i].stays = better < (rivals + f->eta - 1) / f->eta;
    }
}

static void say(const rung *g, const standing *s, int n)
{
    sm_buf text = {0};
    for (int i = 0; i < n; i++)
        sm_buf_printf(&text, "%s%s %.4f%s", i ? ", " : "", s[i].track->name,
                      s[i].sum / s[i].n, s[i].stays ? "" : " (dropped)");
    sm_log_line(g->ctx->log, SM_LOG_INFO, "rung %d: %s", g->number + 1,
                text.data ? text.data : "");
    sm_buf_free(&text);
}

static bool stays(const standing *s, int n, const tracks_track *t)
{
    for (int k = 0; k < n; k++)
        if (s[k].track == t)
            return s[k].stays;
    return false;
}

/* Keep the best 1/eta of the tracks; the others' models are recorded as they stand. */
static sm_status halve(rung *g, sm_err *err)
{
    tracks_tasks t = {.arg = g,
                      .threads = threads_of,
                      .task = settle,
                      .what = "tracks",
                      .n_jobs = (int)sm_opt_int(g->runs->file->head, "jobs")};
    int n = 0, n_kept = 0;
    standing *s = sm_alloc((size_t)g->n, sizeof *s);
    int *kept = sm_alloc((size_t)g->n, sizeof *kept);
    sm_status st = s && kept ? SM_OK : sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    if (!st) {
        n = rank(s, g);
        choose(s, n, g->runs->file);
        say(g, s, n);
    }
    for (int i = 0; i < g->n && !st; i++) {
        if (stays(s, n, g->runs->run[g->index[i]].track))
            kept[n_kept++] = g->index[i];
        else
            g->index[t.n++] = g->index[i];
    }
    if (!st)
        st = tracks_side_by_side(g->ctx, &t, err);
    if (!st) {
        memcpy(g->index, kept, (size_t)n_kept * sizeof *kept);
        g->n = n_kept;
    }
    free(s);
    free(kept);
    return st;
}

/* -------------------------------------------------------------------- all */

static sm_status run_rung(rung *g, sm_err *err)
{
    tracks_tasks t = {.n = g->n,
                      .n_jobs = (int)sm_opt_int(g->runs->file->head, "jobs"),
                      .arg = g,
                      .threads = threads_of,
                      .task = advance,
                      .what = "tracks"};
    for (int i = 0; i < g->n; i++)
        t.total_steps += rung_step(g, &g->runs->run[g->index[i]]);
    sm_status s = tracks_side_by_side(g->ctx, &t, err);
    return s || g->last ? s : halve(g, err);
}

sm_status tracks_train(tracks_runs *r, const sm_ctx *ctx, sm_err *err)
{
    rung g = {.runs = r, .ctx = ctx, .n = r->n};
    sm_status s = SM_OK;
    g.index = sm_alloc((size_t)r->n + 1, sizeof *g.index);
    if (!g.index)
        return sm_fail(err, SM_ENOMEM, "tracks: out of memory");
    for (int i = 0; i < r->n; i++)
        g.index[i] = i;
    for (g.number = 0; g.number < r->file->rungs && !s; g.number++) {
        g.last = g.number + 1 == r->file->rungs;
        s = run_rung(&g, err);
    }
    free(g.index);
    return s;
}
