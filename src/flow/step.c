/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step: recipe, look-up, run, commit.
 *
 *   options, inputs, facts -> recipe id -> already made?
 *     yes: announce, move the ref, settle
 *     no:  lock the recipe, look again, run, announce, commit, settle
 *
 * Invariants: 1. one process at a time runs a recipe (flock on tmp/scratch-RECIPE.lock;
 * others wait and then find the result); 2. scratch belongs to the recipe, outlives an
 * interruption, and goes when the result is committed; 3. what a step writes becomes
 * visible in one commit or not at all.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "smelt/data.h"

typedef struct job {
    flow_ctx hashing;
    const sm_ctx *ctx; /* of hashing */
    sm_store *store;
    const sm_step *step;
    const char *ref;
    json_t *options, *recipe, *figures;
    sm_artifact *input;
    size_t n_input;
    sm_id id;
    char *scratch, *lock;
    int lock_fd;
} job;

/* ------------------------------------------------------------------ recipe */

/* Options of the recipe without "numerics", which is its field "profile". */
sm_status flow_recipe(json_t **out, const sm_step *step, const sm_step_io *io,
                      sm_err *err)
{
    sm_status s = SM_OK;
    const char *profile = json_string_value(json_object_get(io->options, "numerics"));
    json_t *subset = sm_options_recipe(step->options, io->options), *facts = NULL;
    json_t *recipe = NULL;
    sm_id *id = sm_alloc(io->n_input + 1, sizeof *id);
    for (size_t i = 0; id && i < io->n_input; i++)
        id[i] = io->input[i].content;
    if (step->facts) {
        sm_err why = {0};
        facts = step->facts(io->ctx, io->options, &why);
        if (!facts && why.status) {
            s = sm_fail(err, why.status, "%s", why.msg);
            goto done;
        }
    }
    if (subset)
        json_object_del(subset, "numerics");
    if (id && subset)
        recipe =
            sm_recipe_new(step->name, step->version, id, io->n_input, subset, profile);
    if (!recipe || (facts && json_object_set(recipe, "parsers", facts) != 0)) {
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", step->name);
        goto done;
    }
    *out = recipe;
    recipe = NULL;
done:
    json_decref(recipe);
    json_decref(facts);
    json_decref(subset);
    free(id);
    return s;
}

sm_status flow_ctx_make(flow_ctx *out, const sm_ctx *ctx, sm_err *err)
{
    *out = (flow_ctx){.ctx = ctx};
    if (ctx->hashes)
        return SM_OK;
    sm_status s = sm_file_hashes_create(&out->made, err);
    out->own = *ctx;
    out->own.hashes = out->made;
    out->ctx = &out->own;
    return s;
}

void flow_ctx_free(flow_ctx *f)
{
    sm_file_hashes_free(f->made);
    *f = (flow_ctx){0};
}

/* ------------------------------------------------------------ look-up, lock */

/* The artifact this recipe has made, if its objects are all there. */
static sm_status look_up(sm_artifact *out, bool *found, const job *j, sm_err *err)
{
    sm_err why = {0};
    sm_artifact a = {0};
    *found = false;
    sm_status s = sm_store_find_recipe(&a, j->store, &j->id, &why);
    if (s == SM_ENOENT)
        return SM_OK;
    if (s)
        return sm_fail(err, s, "%s", why.msg);
    for (size_t i = 0; i < a.n_file; i++) {
        char *path = NULL;
        s = sm_store_path(&path, j->store, &a, a.file[i].path, &why);
        bool there = !s && sm_path_exists(path);
        free(path);
        if (!there) {
            sm_log_line(j->ctx->log, SM_LOG_WARN,
                        "%s: %s is gone from the store; made again", j->step->name,
                        a.file[i].path);
            sm_artifact_free(&a);
            return SM_OK;
        }
    }
    *out = a;
    *found = true;
    return SM_OK;
}

/* What is known of a job, running or not. */
static sm_step_io io_of(const job *j)
{
    return (sm_step_io){.ctx = j->ctx,
                        .store = j->store,
                        .options = j->options,
                        .input = j->input,
                        .n_input = j->n_input,
                        .run = j->id.hex};
}

/* Before a result can be seen. */
static sm_status announce(void *self, const sm_artifact *a, sm_err *err)
{
    const job *j = self;
    sm_step_io io = io_of(j);
    if (!j->step->announce)
        return SM_OK;
    sm_status s = j->step->announce(&io, a, err);
    return s ? sm_fail_context(err, s, "%s: ", j->step->name) : SM_OK;
}

/* Point the job's ref at a result that was there, unless it does so already. */
static sm_status move_ref(const job *j, const sm_artifact *a, sm_err *err)
{
    sm_artifact now = {0};
    if (!j->ref)
        return SM_OK;
    sm_status s = sm_store_find(&now, j->store, j->ref, NULL);
    bool same = !s && !strcmp(now.content.hex, a->content.hex);
    sm_artifact_free(&now);
    return same ? SM_OK : sm_store_set_ref(j->store, j->ref, &a->content, err);
}

/* A result that was there, as if it had been made now. */
static sm_status show_again(job *j, const sm_artifact *a, sm_err *err)
{
    sm_status s = announce(j, a, err);
    return s ? s : move_ref(j, a, err);
}

static sm_status make_scratch(job *j, sm_err *err)
{
    sm_buf path = {0}, lock = {0};
    sm_buf_printf(&path, "%s/tmp/scratch-%.16s", sm_store_dir(j->store), j->id.hex);
    if (!path.failed)
        sm_buf_printf(&lock, "%s.lock", path.data);
    j->scratch = path.data;
    j->lock = lock.data;
    if (path.failed || lock.failed)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", j->step->name);
    return SM_OK;
}

/* ----------------------------------------------------------------- running */

static sm_status run_in_staging(job *j, const char *staging, sm_err *err)
{
    sm_step_io io = io_of(j);
    io.facts = json_object_get(j->recipe, "parsers");
    io.staging = staging;
    io.scratch = j->scratch;
    io.figures = j->figures;
    sm_status s = sm_mkdirs(j->scratch, err);
    if (!s)
        s = j->step->run(&io, err);
    if (s)
        sm_fail_context(err, s, "%s: ", j->step->name);
    return s;
}

static sm_status commit(sm_artifact *out, job *j, const char *staging,
                        const json_t *record, sm_err *err)
{
    const sm_commit c = {.kind = j->step->output,
                         .recipe = j->recipe,
                         .staging = staging,
                         .ref = j->ref,
                         .run = record,
                         .before = announce,
                         .self = j};
    return sm_store_commit_after(out, j->store, &c, err);
}

static sm_status run_and_commit(sm_artifact *out, job *j, sm_err *err)
{
    char *staging = NULL;
    int64_t start = sm_clock_ns();
    json_t *record = flow_record(j->ctx, j->id.hex, j->options, j->figures);
    sm_status s = record ? sm_store_staging(&staging, j->store, j->step->output, err)
                         : sm_fail(err, SM_ENOMEM, "%s: out of memory", j->step->name);
    if (!s)
        s = run_in_staging(j, staging, err);
    if (!s) {
        double seconds = (double)((sm_clock_ns() - start) / 1000000) / 1000;
        json_object_set_new(record, "seconds", json_real(seconds));
        s = commit(out, j, staging, record, err);
    }
    if (s && staging)
        sm_remove_tree(staging, NULL);
    if (!s)
        sm_remove_tree(j->scratch, NULL);
    json_decref(record);
    free(staging);
    return s;
}

/* Lock, look again (another process may have made it meanwhile), run. */
static sm_status make(sm_flow_result *out, job *j, sm_err *err)
{
    sm_status s = make_scratch(j, err);
    if (!s)
        s = flow_lock_wait(&j->lock_fd, j->lock, j->ctx, j->step->name,
                           "is making the same thing", err);
    if (!s)
        s = look_up(&out->artifact, &out->was_there, j, err);
    if (!s && out->was_there)
        s = show_again(j, &out->artifact, err);
    else if (!s)
        s = run_and_commit(&out->artifact, j, err);
    if (j->lock_fd >= 0 && (!s || rmdir(j->scratch) == 0)) {
        flow_lock_end(j->lock_fd, j->lock); /* done, or nothing to go on from */
        j->lock_fd = -1;
    }
    return s;
}

/* A kill between the commit and the removal of scratch leaves it behind.  Whoever holds the
 * lock is still at work there: what it makes may have been made by another recipe's run. */
static void remove_left_over(job *j)
{
    if (make_scratch(j, NULL) || !sm_path_exists(j->scratch))
        return;
    int fd = flow_lock_try(j->lock);
    if (fd < 0)
        return;
    sm_remove_tree(j->scratch, NULL);
    flow_lock_end(fd, j->lock);
}

static sm_status settle(const job *j, const sm_artifact *a, sm_err *err)
{
    sm_step_io io = io_of(j);
    if (!j->step->settle)
        return SM_OK;
    sm_status s = j->step->settle(&io, a, err);
    return s ? sm_fail_context(err, s, "%s: ", j->step->name) : SM_OK;
}

static void job_free(job *j)
{
    flow_ctx_free(&j->hashing);
    flow_inputs_free(j->input, j->n_input);
    json_decref(j->options);
    json_decref(j->recipe);
    json_decref(j->figures);
    if (j->lock_fd >= 0)
        close(j->lock_fd);
    free(j->scratch);
    free(j->lock);
}

/* Everything that is known before anything runs: step, options, inputs, recipe. */
static sm_status job_open(job *j, const char *step, const char *const *input_refs,
                          size_t n_input, const json_t *given, const char *where,
                          sm_err *err)
{
    sm_status s = flow_ctx_make(&j->hashing, j->ctx, err);
    j->ctx = j->hashing.ctx;
    if (!s)
        s = flow_step_find(&j->step, step, where, err);
    if (!s)
        s = sm_options_resolve(&j->options, j->step->options, given, where, err);
    if (!s)
        s = flow_inputs_find(&j->input, &j->n_input, j->store, j->step, input_refs,
                             n_input, where, err);
    sm_step_io io = io_of(j);
    if (!s)
        s = flow_recipe(&j->recipe, j->step, &io, err);
    if (!s)
        s = sm_recipe_id(&j->id, j->recipe, err);
    if (!s && !(j->figures = json_object()))
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", step);
    return s;
}

sm_status sm_flow_step(sm_flow_result *out, const sm_ctx *ctx, sm_store *store,
                       const char *step, const char *const *input_refs, size_t n_input,
                       const json_t *given, const char *where, const char *ref,
                       sm_err *err)
{
    job j = {.ctx = ctx, .store = store, .ref = ref, .lock_fd = -1};
    sm_flow_result r = {0};
    int64_t start = sm_clock_ns();
    sm_status s = ref ? sm_ref_check(ref, err) : SM_OK;
    if (!s)
        s = job_open(&j, step, input_refs, n_input, given, where, err);
    else
        sm_fail_context(err, s, "%s: ", where);
    if (!s)
        s = look_up(&r.artifact, &r.was_there, &j, err);
    if (!s && r.was_there) {
        remove_left_over(&j);
        s = show_again(&j, &r.artifact, err);
    } else if (!s)
        s = make(&r, &j, err);
    if (!s)
        s = settle(&j, &r.artifact, err);
    if (!s && !r.was_there)
        r.figures = json_incref(j.figures);
    job_free(&j);
    if (s) {
        sm_flow_result_free(&r);
        return s;
    }
    r.seconds = (double)((sm_clock_ns() - start) / 1000000) / 1000;
    *out = r;
    return SM_OK;
}

sm_status sm_flow_plan(json_t **out, const sm_ctx *ctx, sm_store *store, const char *step,
                       const char *const *input_refs, size_t n_input, const json_t *given,
                       const char *where, sm_err *err)
{
    job j = {.ctx = ctx, .store = store, .lock_fd = -1};
    sm_artifact a = {0};
    bool found = false;
    json_t *plan = NULL;
    sm_status s = job_open(&j, step, input_refs, n_input, given, where, err);
    if (!s)
        s = look_up(&a, &found, &j, err);
    sm_step_io io = io_of(&j);
    io.run = NULL;
    if (!s && j.step->plan)
        s = j.step->plan(&plan, &io, err);
    if (!s) {
        *out = json_pack("{s:s, s:b, s:s*, s:O, s:o*}", "recipe", j.id.hex, "made_before",
                         found, "content", found ? a.content.hex : NULL, "options",
                         j.options, "plan", plan);
        s = *out ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", step);
    }
    sm_artifact_free(&a);
    job_free(&j);
    return s;
}

void sm_flow_result_free(sm_flow_result *r)
{
    sm_artifact_free(&r->artifact);
    json_decref(r->figures);
    *r = (sm_flow_result){0};
}
