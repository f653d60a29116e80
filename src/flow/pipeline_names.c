/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages by name: other values for their options (--set), and only those that some of them
 * need (--to).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

/* -------------------------------------------------------------------- names */

/* What a stage may be called on the command line: its result's name, its step's name, or the
 * step's last word.  The first kind of name that fits any stage is the one that counts,
 * so that "train" is the step train, not tokenizer.train too. */
enum { BY_RESULT, BY_STEP, BY_WORD, N_NAMES };

static const char *name_of(const stage *g, int kind)
{
    const char *word = strrchr(g->step->name, '.');
    if (kind == BY_RESULT)
        return g->as;
    return kind == BY_WORD && word ? word + 1 : g->step->name;
}

static bool is_named(const stage *g, int kind, const char *name, size_t n)
{
    const char *own = name_of(g, kind);
    return strlen(own) == n && !strncmp(own, name, n);
}

/* The kind of name by which `name` fits a stage, N_NAMES when it fits none. */
static int kind_of_name(const pipeline *p, const char *name, size_t n)
{
    for (int kind = 0; kind < N_NAMES; kind++)
        for (size_t i = 0; i < p->n; i++)
            if (is_named(&p->stage[i], kind, name, n))
                return kind;
    return N_NAMES;
}

/* "--set: got 'trian.n_steps', but no step is called 'trian' (did you mean 'train'?)" */
static sm_status no_such_step(const pipeline *p, const char *flag, const char *name,
                              size_t n, sm_err *err)
{
    char step[64];
    const char *near = NULL;
    snprintf(step, sizeof step, "%.*s", (int)n, name);
    for (int kind = 0; kind < N_NAMES && !near; kind++)
        for (size_t i = 0; i < p->n && !near; i++) {
            const char *known = name_of(&p->stage[i], kind);
            near = sm_nearest_name(step, &known, 1);
        }
    return sm_fail(err, SM_EINVAL, "%s: got '%.80s', but no step is called '%s'%s%s%s",
                   flag, name, step, near ? " (did you mean '" : "", near ? near : "",
                   near ? "'?)" : "");
}

/* ---------------------------------------------------------------- overrides */

static sm_status set_option(stage *g, const char *key, const json_t *value, sm_err *err)
{
    sm_status s = SM_OK;
    size_t k;
    json_t *v;
    json_object_del(g->options, key);
    if (json_is_string(value))
        return sm_options_set_text(g->options, g->step->options, key,
                                   json_string_value(value), err);
    json_array_foreach((json_t *)(uintptr_t)value, k, v)
    {
        if (!s && json_is_string(v))
            s = sm_options_set_text(g->options, g->step->options, key,
                                    json_string_value(v), err);
    }
    return s;
}

static sm_status apply_override(pipeline *p, const char *name, const json_t *value,
                                sm_err *err)
{
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || !dot[1])
        return sm_fail(err, SM_EINVAL, "--set: got '%.80s', want STEP.OPTION=VALUE",
                       name);
    int kind = kind_of_name(p, name, (size_t)(dot - name));
    if (kind == N_NAMES)
        return no_such_step(p, "--set", name, (size_t)(dot - name), err);
    for (size_t i = 0; i < p->n; i++) {
        stage *g = &p->stage[i];
        if (!is_named(g, kind, name, (size_t)(dot - name)))
            continue;
        sm_status s = set_option(g, dot + 1, value, err);
        json_t *checked = NULL;
        if (!s)
            s = sm_options_resolve(&checked, g->step->options, g->options, g->as, err);
        else
            sm_fail_context(err, s, "%s: ", g->as);
        json_decref(checked);
        if (s)
            return sm_fail_context(err, s, "--set: ");
    }
    return SM_OK;
}

sm_status pipeline_override(pipeline *p, const json_t *overrides, sm_err *err)
{
    const char *name;
    json_t *value;
    sm_status s = SM_OK;
    json_object_foreach((json_t *)(uintptr_t)overrides, name, value)
    {
        if (!s)
            s = apply_override(p, name, value, err);
    }
    return s;
}

/* -------------------------------------------------------------------- a part */

/* Mark what stage i reads: earlier stages alone. */
static void need_inputs(bool *needed, const pipeline *p, size_t i)
{
    size_t k;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)p->stage[i].in, k, v)
    {
        size_t which = pipeline_earlier(p, i, json_string_value(v));
        if (which < i)
            needed[which] = true;
    }
}

sm_status pipeline_keep(pipeline *p, const char *to, sm_err *err)
{
    size_t len = strlen(to), n = 0;
    int kind = kind_of_name(p, to, len);
    if (kind == N_NAMES)
        return no_such_step(p, "--to", to, len, err);
    bool *needed = sm_alloc(p->n, sizeof *needed);
    if (!needed)
        return sm_fail(err, SM_ENOMEM, "pipeline: out of memory");
    for (size_t i = p->n; i-- > 0;) {
        needed[i] = needed[i] || is_named(&p->stage[i], kind, to, len);
        if (needed[i])
            need_inputs(needed, p, i);
    }
    for (size_t i = 0; i < p->n; i++) {
        if (needed[i])
            p->stage[n++] = p->stage[i];
        else
            json_decref(p->stage[i].options);
    }
    p->n = n;
    free(needed);
    return SM_OK;
}
