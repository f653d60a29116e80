/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that are one flow step (data add, train, ...): the same call as a pipeline's, so
 * the results are the same.  A word that ends in .yaml is a file with the keys of one
 * step of a pipeline; flags win over it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "smelt/flow.h"

const sm_option step_verb_options[] = {
    STEP_VERB_OPTIONS,
    SM_OPTION_END,
};

static bool is_yaml(const char *s)
{
    const char *dot = strrchr(s, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static sm_status check_file(const json_t *file, const sm_positions *pos, const verb *self,
                            sm_err *err)
{
    static const char *const known[] = {"step", "as", "in", "options"};
    const char *key;
    json_t *v;
    if (!json_is_object(file))
        return sm_fail(err, SM_EINVAL, "%s: want a mapping with in, as, options",
                       sm_positions_at(pos, ""));
    json_object_foreach((json_t *)(uintptr_t)file, key, v)
    {
        sm_buf at = {0};
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            ok = ok || !strcmp(known[i], key);
        sm_buf_printf(&at, "/%s", key);
        sm_status s =
            ok ? SM_OK
               : sm_fail(err, SM_EINVAL,
                         "%s: unknown key '%.60s', want step, as, in or options",
                         sm_positions_key(pos, at.data ? at.data : ""), key);
        sm_buf_free(&at);
        if (s)
            return s;
    }
    const json_t *step = json_object_get(file, "step");
    if (step &&
        (!json_is_string(step) || strcmp(json_string_value(step), self->step) != 0))
        return sm_fail(err, SM_EINVAL, "%s: step: want %s", sm_positions_at(pos, "/step"),
                       self->step);
    return sm_options_check(verb_step_options(self), json_object_get(file, "options"),
                            pos, "/options", err);
}

static sm_status read_file(step_request *r, const verb *self, const char *path,
                           sm_err *err)
{
    sm_positions *pos = NULL;
    sm_status s = sm_yaml_load(&r->file, &pos, path, err);
    if (s)
        return s;
    s = check_file(r->file, pos, self, err);
    const json_t *in = json_object_get(r->file, "in");
    if (!s && in && !json_is_array(in))
        s = sm_fail(err, SM_EINVAL, "%s: in: want a list of names",
                    sm_positions_at(pos, "/in"));
    const json_t *as = json_object_get(r->file, "as");
    if (!s && as && !json_is_string(as))
        s = sm_fail(err, SM_EINVAL, "%s: as: want a name", sm_positions_at(pos, "/as"));
    if (!s && as)
        r->as = json_string_value(as);
    sm_positions_free(pos);
    return s;
}

/* Words become refs, or values of the option that the verb says they fill. */
static sm_status take_words(step_request *r, const verb *self, const args *in,
                            sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < in->n_pos && !s; i++) {
        if (is_yaml(in->pos[i]) && !self->pos_option)
            continue;
        if (self->pos_option)
            s = sm_options_set_text(in->step, verb_step_options(self), self->pos_option,
                                    in->pos[i], err);
        else
            r->ref[r->n_ref++] = in->pos[i];
    }
    return s;
}

static sm_status take_file_refs(step_request *r, const char *path, sm_err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(r->file, "in"), i, v)
    {
        if (!json_is_string(v))
            return sm_fail(err, SM_EINVAL, "%s: in: want a list of names", path);
        r->ref[r->n_ref++] = json_string_value(v);
    }
    return SM_OK;
}

/* Options that must be given and are not: named as they are typed. */
static sm_status check_required(const step_request *r, const verb *self, sm_err *err)
{
    for (const sm_option *o = verb_step_options(self); o && o->key; o++) {
        char flag[64];
        if (o->def || json_object_get(r->options, o->key))
            continue;
        if (self->pos_option && !strcmp(self->pos_option, o->key))
            return sm_fail(err, SM_EINVAL,
                           "%s: got 0 words, want %s (see smelt %s --help)", self->name,
                           self->usage, self->name);
        option_flag(flag, o->key);
        return sm_fail(err, SM_EINVAL, "%s: --%s: missing, want %s", self->name, flag,
                       o->type == SM_OPT_PATH ? "a path" : "a value");
    }
    return SM_OK;
}

sm_status step_request_read(step_request *r, const verb *self, const args *in,
                            sm_err *err)
{
    const char *config = sm_opt_str(in->opt, "config");
    for (size_t i = 0; i < in->n_pos && !self->pos_option; i++)
        if (is_yaml(in->pos[i]))
            config = in->pos[i];
    sm_status s = *config ? read_file(r, self, config, err) : SM_OK;
    if (s)
        return s;
    size_t n = in->n_pos + json_array_size(json_object_get(r->file, "in"));
    r->ref = sm_alloc(n + 1, sizeof *r->ref);
    if (!r->ref)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", self->name);
    s = take_words(r, self, in, err);
    if (!s && r->n_ref == 0)
        s = take_file_refs(r, config, err);
    const json_t *given = json_object_get(r->file, "options");
    r->options = json_is_object(given) ? json_deep_copy(given) : json_object();
    if (!s && (!r->options || json_object_update(r->options, in->step) != 0))
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", self->name);
    if (!s)
        s = check_required(r, self, err);
    if (*sm_opt_str(in->opt, "as"))
        r->as = sm_opt_str(in->opt, "as");
    if (!r->as || !*r->as)
        r->as = sm_step_find(self->step)->output;
    return s;
}

void step_request_free(step_request *r)
{
    free(r->ref);
    json_decref(r->options);
    json_decref(r->file);
    *r = (step_request){0};
}

static int64_t bytes_of(const sm_artifact *a)
{
    int64_t sum = 0;
    for (size_t i = 0; i < a->n_file; i++)
        sum += a->file[i].bytes;
    return sum;
}

/* "  kept 412, rejected 6": numbers and words of the run, a few a line. */
static void print_figures(const json_t *figures)
{
    const char *key;
    json_t *v;
    size_t width = 0;
    json_object_foreach((json_t *)(uintptr_t)figures, key, v)
    {
        char text[160];
        if (json_is_integer(v))
            snprintf(text, sizeof text, "%.60s %" PRId64, key,
                     (int64_t)json_integer_value(v));
        else if (json_is_real(v))
            snprintf(text, sizeof text, "%.60s %.5g", key, json_real_value(v));
        else if (json_is_string(v))
            snprintf(text, sizeof text, "%.60s %.60s", key, json_string_value(v));
        else
            continue;
        if (width > 0 && width + strlen(text) > 76) {
            printf("\n");
            width = 0;
        }
        width += (size_t)printf("%s%s", width ? ", " : "  ", text);
    }
    if (width > 0)
        printf("\n");
}

/* `profile` and `more` are taken over; NULL: none. */
static json_t *result_json(const step_request *r, const sm_flow_result *got,
                           json_t *profile, json_t *more)
{
    const sm_artifact *x = &got->artifact;
    json_t *files = json_array();
    for (size_t i = 0; i < x->n_file; i++)
        json_array_append_new(files, json_pack("{s:s, s:s, s:I}", "path", x->file[i].path,
                                               "object", x->file[i].object.hex, "bytes",
                                               (json_int_t)x->file[i].bytes));
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:f, s:o, s:O*, s:o*}", "ref", r->as, "kind",
                  x->kind, "content", x->content.hex, "recipe", x->recipe.hex,
                  "made_before", got->was_there, "seconds", got->seconds, "files", files,
                  "figures", got->figures, "profile", profile);
    json_object_update_missing(out, more);
    json_decref(more);
    return out;
}

static void print_result(const step_request *r, const sm_flow_result *got)
{
    char size[32];
    const sm_artifact *x = &got->artifact;
    printf("%s: %s %.12s, %zu file%s, %s", r->as, x->kind, x->content.hex, x->n_file,
           x->n_file == 1 ? "" : "s", human_bytes(size, bytes_of(x)));
    if (got->was_there)
        printf(" (made before)\n");
    else
        printf(" (%.1f s)\n", got->seconds);
    print_figures(got->figures);
}

static bool ends_with(const char *key, const char *end)
{
    size_t n = strlen(key), m = strlen(end);
    return n > m && !strcmp(key + n - m, end);
}

/* What is longer than an hour also as people count it. */
static void print_number(const char *key, double v)
{
    int64_t minutes = v < 1e15 ? (int64_t)(v / 60 + 0.5) : 0;
    if (ends_with(key, "_seconds") && minutes >= 60)
        printf("  %-20s %.0f (%" PRId64 " h %02d min)\n", key, v, minutes / 60,
               (int)(minutes % 60));
    else
        printf("  %-20s %.4g\n", key, v);
}

/* "total_bytes  1.2 GB": the plan as a table. */
static int print_plan(const app *a, json_t *plan)
{
    const char *key;
    json_t *v;
    if (a->json)
        return app_print_json(plan);
    printf("recipe %.12s%s\n", json_string_value(json_object_get(plan, "recipe")),
           json_is_true(json_object_get(plan, "made_before")) ? " (made before)" : "");
    json_object_foreach(json_object_get(plan, "plan"), key, v)
    {
        char size[32];
        if (ends_with(key, "_bytes"))
            printf("  %-20s %s\n", key, human_bytes(size, json_integer_value(v)));
        else if (json_is_integer(v))
            printf("  %-20s %" PRId64 "\n", key, (int64_t)json_integer_value(v));
        else if (json_is_real(v))
            print_number(key, json_real_value(v));
        else
            printf("  %-20s %s\n", key, json_is_true(v) ? "yes" : "no");
    }
    json_decref(plan);
    return EXIT_GOOD;
}

static sm_status dry_run(json_t **plan, app *a, const verb *self, const step_request *r,
                         sm_err *err)
{
    const sm_ctx *ctx;
    sm_store *store;
    sm_status s = app_store(&store, a, err);
    if (!s)
        s = app_ctx(&ctx, a, err);
    if (!s && (s = sm_ref_check(r->as, err)))
        sm_fail_context(err, s, "%s: ", self->name);
    if (!s)
        s = sm_flow_plan(plan, ctx, store, self->step, r->ref, r->n_ref, r->options,
                         self->name, err);
    return s;
}

static sm_status make(sm_flow_result *got, app *a, const verb *self,
                      const step_request *r, sm_err *err)
{
    const sm_ctx *ctx;
    sm_store *store;
    sm_status s = app_store(&store, a, err);
    if (!s)
        s = app_ctx(&ctx, a, err);
    if (!s)
        s = sm_flow_step(got, ctx, store, self->step, r->ref, r->n_ref, r->options,
                         self->name, r->as, err);
    return s;
}

/* --profile, after the step: the trace goes to its file, the table after the result. */
static sm_status report(app *a, const step_request *r, const sm_flow_result *got,
                        step_more *more, sm_err *err)
{
    profile_ceiling c = {0};
    json_t *members = NULL;
    bool profile = a->profile && *a->profile;
    sm_status s = profile ? app_profile(a, got->figures, &c, err) : SM_OK;
    if (!s && a->json && more)
        s = more(&members, a, &got->artifact, err);
    if (s)
        return s;
    if (a->json)
        app_print_json(
            result_json(r, got, profile ? profile_json(a->trace, c) : NULL, members));
    else
        print_result(r, got);
    if (profile && !a->json && !profile_print(stdout, a->trace, c))
        sm_log_line(&a->log, SM_LOG_WARN, "profile: no step was run, %s is not written",
                    a->profile);
    return SM_OK;
}

int run_step(app *a, const verb *self, const args *in, step_more *more,
             sm_flow_result *out)
{
    sm_err err = {0};
    step_request r = {0};
    sm_flow_result got = {0};
    json_t *plan = NULL;
    sm_status s = step_request_read(&r, self, in, &err);
    if (!s && sm_opt_bool(in->opt, "dry_run"))
        s = dry_run(&plan, a, self, &r, &err);
    else if (!s)
        s = make(&got, a, self, &r, &err);
    int rc = EXIT_GOOD;
    app_settle(a);
    if (!s && !plan)
        s = report(a, &r, &got, more, &err);
    if (s)
        rc = app_fail(a, s, &err);
    else if (plan)
        rc = print_plan(a, plan);
    if (s)
        sm_flow_result_free(&got);
    *out = got;
    step_request_free(&r);
    return rc;
}

int run_step_verb(app *a, const verb *self, const args *in)
{
    sm_flow_result made;
    int rc = run_step(a, self, in, NULL, &made);
    sm_flow_result_free(&made);
    return rc;
}
