/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.  Flags are looked up in three tables: those of every verb, the verb's
 * own, its step's.  "--key VALUE" and "--key=VALUE" set, "--key" and "--no-key" set and
 * clear a boolean, "--" ends the flags; flags and words mix freely.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

const sm_option global_options[] = {
    {.key = "workspace",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "directory with the workspace, instead of the nearest one upwards"},
    {.key = "threads",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 256,
     .help =
         "threads to compute with; 0 takes every processor; results do not depend on it"},
    {.key = "json",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "print the result as JSON"},
    {.key = "quiet",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "no progress, no messages but errors (-q)"},
    {.key = "verbose",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "more messages (-v); without a terminal, progress each half minute"},
    {.key = "log_view",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "at the end, a table of what ran, how long, how fast"},
    SM_OPTION_END,
};

typedef struct parser {
    app *app;
    const verb *verb;
    args *out;
    json_t *global, *own;
    bool help;
    int argc, at;
    char **argv;
} parser;

/* Key of a flag: "min-words=3" -> "min_words", and where the value begins (NULL: none).
 */
static bool split_flag(char key[64], const char **value, const char *flag)
{
    const char *eq = strchr(flag, '=');
    size_t n = eq ? (size_t)(eq - flag) : strlen(flag);
    *value = eq ? eq + 1 : NULL;
    if (n == 0 || n > 63)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (flag[i] == '_')
            return false;
        key[i] = flag[i] == '-' ? '_' : flag[i];
    }
    key[n] = 0;
    return true;
}

typedef struct slot {
    const sm_option *table, *option;
    json_t *given;
} slot;

/* Where an option of this key lives. */
static bool find_slot(slot *out, const parser *p, const char *key)
{
    const slot all[] = {
        {.table = global_options, .given = p->global},
        {.table = p->verb ? p->verb->options : NULL, .given = p->own},
        {.table = p->verb ? verb_step_options(p->verb) : NULL, .given = p->out->step},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const sm_option *o = sm_option_find(all[i].table, key);
        if (o) {
            *out = all[i];
            out->option = o;
            return true;
        }
    }
    return false;
}

static const char *nearest(const parser *p, const char *key)
{
    static const char *const help[] = {"help"};
    const sm_option *table[] = {p->verb ? p->verb->options : NULL,
                                p->verb ? verb_step_options(p->verb) : NULL,
                                global_options};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *near = sm_option_nearest(table[i], key);
        if (near)
            return near;
    }
    return sm_nearest_name(key, help, 1);
}

/* Does any verb have it?  Then it was given before its verb. */
static bool is_of_a_verb(const char *key)
{
    for (size_t i = 0; verb_at(i); i++)
        if (sm_option_find(verb_at(i)->options, key) ||
            sm_option_find(verb_step_options(verb_at(i)), key))
            return true;
    return false;
}

static sm_status unknown_flag(const parser *p, const char *flag, const char *key,
                              sm_err *err)
{
    if (!p->verb && is_of_a_verb(key))
        return sm_fail(err, SM_EINVAL,
                       "option '--%.60s': got no verb before it, want one", flag);
    const char *near = nearest(p, key);
    char hint[64] = "";
    for (size_t i = 0; near && i < sizeof hint - 1 && near[i]; i++)
        hint[i] = near[i] == '_' ? '-' : near[i];
    return sm_fail(err, SM_EINVAL, "%s%sunknown option '--%.60s'%s%s%s",
                   p->verb ? p->verb->name : "", p->verb ? ": " : "", flag,
                   near ? " (did you mean '--" : "", hint, near ? "'?)" : "");
}

static sm_status long_flag(parser *p, const char *flag, sm_err *err)
{
    char key[64];
    const char *value;
    slot at;
    if (!split_flag(key, &value, flag))
        return unknown_flag(p, flag, flag, err);
    if (!strcmp(key, "help") && !value) {
        p->help = true;
        return SM_OK;
    }
    bool clear = false;
    bool found = find_slot(&at, p, key);
    if (!found && !strncmp(key, "no_", 3)) {
        found = find_slot(&at, p, key + 3) && at.option->type == SM_OPT_BOOL;
        clear = found;
    }
    if (!found)
        return unknown_flag(p, flag, key, err);
    if (at.option->type == SM_OPT_BOOL) {
        if (value)
            return sm_fail(
                err, SM_EINVAL, "--%s: takes no value (--no-%.*s switches it off)", flag,
                (int)strcspn(flag, "=") - (clear ? 3 : 0), flag + (clear ? 3 : 0));
        json_object_set_new(at.given, at.option->key, json_boolean(!clear));
        return SM_OK;
    }
    if (!value) {
        if (p->at >= p->argc)
            return sm_fail(err, SM_EINVAL, "--%s: missing its value, want %s", flag,
                           sm_option_metavar(at.option));
        value = p->argv[p->at++];
    }
    sm_status s = sm_options_set_text(at.given, at.table, at.option->key, value, err);
    if (s)
        sm_fail_context(err, s, "%s%s", p->verb ? p->verb->name : "",
                        p->verb ? ": " : "");
    return s;
}

static sm_status short_flags(parser *p, const char *word, sm_err *err)
{
    for (const char *c = word + 1; *c; c++) {
        if (*c == 'h')
            p->help = true;
        else if (*c == 'q')
            json_object_set_new(p->global, "quiet", json_true());
        else if (*c == 'v')
            json_object_set_new(p->global, "verbose", json_true());
        else
            return sm_fail(err, SM_EINVAL, "%s%sunknown option '%.60s'",
                           p->verb ? p->verb->name : "", p->verb ? ": " : "", word);
    }
    return SM_OK;
}

/* ------------------------------------------------------------------- verbs */

bool verb_is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; verb_at(i); i++)
        if (!strncmp(verb_at(i)->name, word, n) && verb_at(i)->name[n] == ' ')
            return true;
    return false;
}

sm_status verb_unknown(const char *name, sm_err *err)
{
    char group[128][16];
    const char *known[256];
    size_t n = 0;
    for (size_t i = 0; verb_at(i) && i < 128; i++) {
        size_t len = strcspn(verb_at(i)->name, " ");
        known[n++] = verb_at(i)->name;
        if (verb_at(i)->name[len]) {
            snprintf(group[i], sizeof group[i], "%.*s", (int)len, verb_at(i)->name);
            known[n++] = group[i];
        }
    }
    const char *near = sm_nearest_name(name, known, n);
    return sm_fail(err, SM_EINVAL, "unknown verb '%.60s'%s%s%s", name,
                   near ? " (did you mean '" : "", near ? near : "",
                   near ? "'?)" : "; smelt help lists them");
}

/* The word at hand, and the next one where verbs have two, name the verb. */
static sm_status take_verb(parser *p, const char *word, sm_err *err)
{
    p->verb = verb_find(word);
    if (p->verb)
        return SM_OK;
    if (!verb_is_group(word))
        return verb_unknown(word, err);
    if (p->at < p->argc &&
        (!strcmp(p->argv[p->at], "--help") || !strcmp(p->argv[p->at], "-h"))) {
        p->out->group = word;
        return SM_OK;
    }
    if (p->at >= p->argc || p->argv[p->at][0] == '-') {
        sm_buf list = {0};
        for (size_t i = 0; verb_at(i); i++)
            if (!strncmp(verb_at(i)->name, word, strlen(word)))
                sm_buf_printf(&list, "%s%s", list.len ? ", " : "", verb_at(i)->name);
        sm_status s = sm_fail(err, SM_EINVAL, "%s: got no verb, want one of: %s", word,
                              list.data ? list.data : "");
        sm_buf_free(&list);
        return s;
    }
    char name[96];
    snprintf(name, sizeof name, "%.40s %.40s", word, p->argv[p->at++]);
    p->verb = verb_find(name);
    return p->verb ? SM_OK : verb_unknown(name, err);
}

static sm_status take_word(parser *p, const char *word, bool flags, sm_err *err)
{
    if (flags && !strncmp(word, "--", 2))
        return long_flag(p, word + 2, err);
    if (flags && word[0] == '-' && word[1] && (word[1] < '0' || word[1] > '9'))
        return short_flags(p, word, err);
    if (!p->verb)
        return take_verb(p, word, err);
    p->out->pos[p->out->n_pos++] = word;
    return SM_OK;
}

/* ------------------------------------------------------------------ results */

static sm_status apply_globals(parser *p, sm_err *err)
{
    json_t *g = NULL;
    sm_status s = sm_options_resolve(&g, global_options, p->global, "option", err);
    if (s)
        return s;
    json_t *workspace = json_object_get(p->global, "workspace");
    p->app->workspace = json_string_value(workspace); /* lives as long as args */
    p->app->threads = (int)sm_opt_int(g, "threads");
    p->app->json = sm_opt_bool(g, "json");
    p->app->quiet = sm_opt_bool(g, "quiet");
    p->app->verbose = sm_opt_bool(g, "verbose");
    p->app->log_view = sm_opt_bool(g, "log_view");
    json_decref(g);
    return SM_OK;
}

/* Whether the words ask for JSON, also those behind one that cannot be parsed: an error is
 * reported in the form that was asked for. */
static bool asks_for_json(int argc, char **argv)
{
    bool json = false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "--no-json"))
            json = argv[i][2] == 'j';
    return json;
}

sm_status args_parse(args *out, const verb **v, app *a, bool *help, int argc, char **argv,
                     sm_err *err)
{
    parser p = {.app = a, .out = out, .argc = argc, .argv = argv};
    bool flags = true;
    sm_status s = SM_OK;
    out->pos = sm_alloc((size_t)argc + 1, sizeof *out->pos);
    out->step = json_object();
    out->global = p.global = json_object();
    p.own = json_object();
    if (!out->pos || !out->step || !p.global || !p.own)
        s = sm_fail(err, SM_ENOMEM, "command line: out of memory");
    while (!s && p.at < p.argc) {
        const char *word = argv[p.at++];
        if (flags && !strcmp(word, "--"))
            flags = false;
        else if (flags && !p.verb && !strcmp(word, "--version"))
            s = take_verb(&p, "version", err);
        else
            s = take_word(&p, word, flags, err);
    }
    sm_status g = p.global ? apply_globals(&p, s ? NULL : err) : SM_OK;
    if (!s)
        s = g;
    if (s)
        a->json = asks_for_json(argc, argv);
    if (!s && p.verb && !p.help)
        s = sm_options_resolve(&out->opt, p.verb->options, p.own, p.verb->name, err);
    out->given = p.own;
    *v = p.verb;
    *help = p.help;
    return s;
}

void args_free(args *in)
{
    free(in->pos);
    json_decref(in->opt);
    json_decref(in->given);
    json_decref(in->step);
    json_decref(in->global);
    *in = (args){0};
}

/* ------------------------------------------- options that are of another one */

const char *args_idle(const args *in, const char *const *key, const char *of)
{
    for (; !json_object_get(in->given, of) && *key; key++)
        if (json_object_get(in->given, *key))
            return *key;
    return NULL;
}

/* "find_lr" as it is typed: "find-lr". */
void option_flag(char out[64], const char *key)
{
    size_t n = 0;
    for (; key[n] && n < 63; n++)
        out[n] = key[n] == '_' ? '-' : key[n];
    out[n] = 0;
}

int args_refuse_idle(const app *a, const verb *v, const char *key, const char *of)
{
    char flag[64], other[64];
    option_flag(flag, key);
    option_flag(other, of);
    return app_usage(a, "%s: --%s is of --%s, which is not given", v->name, flag, other);
}
