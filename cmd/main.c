/* SPDX-License-Identifier: Apache-2.0 */
/* smelt: find the verb, run it, turn its outcome into an exit status. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "smelt/flow.h"
#include "verbs.h"

#define DECLARE(name) extern const verb verb_##name;
SMELT_VERBS(DECLARE)
#undef DECLARE

#define ENTRY(name) &verb_##name,
static const verb *const verbs[] = {SMELT_VERBS(ENTRY)};
#undef ENTRY

const verb *verb_at(size_t i)
{
    return i < sizeof verbs / sizeof *verbs ? verbs[i] : NULL;
}

const verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(verbs[i]->name, name))
            return verbs[i];
    return NULL;
}

const sm_option *verb_step_options(const verb *v)
{
    const sm_step *step = v->step ? sm_step_find(v->step) : NULL;
    return step ? step->options : NULL;
}

static int check_words(const app *a, const verb *v, const args *in)
{
    if ((int)in->n_pos < v->min_pos)
        return app_usage(a, "%s: got %zu word%s, want %s (see smelt %s --help)", v->name,
                         in->n_pos, in->n_pos == 1 ? "" : "s", v->usage, v->name);
    if (v->max_pos >= 0 && (int)in->n_pos > v->max_pos)
        return app_usage(a, "%s: unexpected '%.80s', want %s (see smelt %s --help)",
                         v->name, in->pos[v->max_pos],
                         v->usage && *v->usage ? v->usage : "no words", v->name);
    return EXIT_GOOD;
}

static int dispatch(app *a, int argc, char **argv)
{
    args in = {0};
    const verb *v = NULL;
    bool help = false;
    sm_err err = {0};
    sm_status s = args_parse(&in, &v, a, &help, argc, argv, &err);
    int rc;
    if (s) {
        rc = app_fail(a, s, &err);
    } else if (help || !v) {
        if (v)
            help_verb(stdout, v);
        else if (help && in.group)
            help_group(stdout, in.group);
        else
            help_program(help ? stdout : stderr);
        rc = help ? EXIT_GOOD : EXIT_USAGE;
    } else {
        rc = check_words(a, v, &in);
        if (rc == EXIT_GOOD)
            rc = v->run(a, v, &in);
    }
    args_free(&in);
    return rc;
}

/* Output that was lost, now or at any time before; a reader that left wanted no more. */
static bool lost_output(void)
{
    bool kept = fflush(stdout) == 0 && !ferror(stdout);
    return !kept && !app_reader_left();
}

int main(int argc, char **argv)
{
    app a = {0};
    app_hold_standard_files();
    app_catch_signals();
    int rc = dispatch(&a, argc - 1, argv + 1);
    app_close(&a);
    if (lost_output()) {
        fputs("smelt: standard output: cannot write\n", stderr);
        rc = rc == EXIT_GOOD ? EXIT_FAILED : rc;
    }
    return rc;
}
