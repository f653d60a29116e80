/* SPDX-License-Identifier: Apache-2.0 */
/* smelt help: help on a verb, and the pages that are made from the verb table. */
#include <string.h>

#include "cmd.h"

static const sm_option options[] = {
    {.key = "man", .type = SM_OPT_BOOL, .def = "false", .help = "print the manual page"},
    {.key = "completions",
     .type = SM_OPT_ENUM,
     .def = "",
     .choices = "bash|zsh|fish",
     .help = "print the completions of a shell"},
    {.key = "markdown",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "print the verb's page of docs/commands"},
    {.key = "verbs",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "print the names of the verbs, one a line"},
    SM_OPTION_END,
};

static int print(sm_buf *text, bool ok)
{
    if (ok && text->data)
        fwrite(text->data, 1, text->len, stdout);
    sm_buf_free(text);
    return ok ? EXIT_GOOD : EXIT_FAILED;
}

static int list_verbs(void)
{
    for (size_t i = 0; verb_at(i); i++)
        if (!verb_at(i)->hidden)
            puts(verb_at(i)->name);
    return EXIT_GOOD;
}

static int run(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_buf name = {0}, text = {0};
    const char *shell = sm_opt_str(in->opt, "completions");
    if (sm_opt_bool(in->opt, "man"))
        return print(&text, page_man(&text));
    if (*shell)
        return print(&text, page_completions(&text, shell));
    if (sm_opt_bool(in->opt, "verbs"))
        return list_verbs();
    if (in->n_pos == 0) {
        help_program(stdout);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < in->n_pos; i++)
        sm_buf_printf(&name, "%s%s", i ? " " : "", in->pos[i]);
    const verb *v = name.data ? verb_find(name.data) : NULL;
    int rc = EXIT_GOOD;
    if (!v)
        rc = app_usage(a, "help: unknown verb '%.60s'; smelt help lists them",
                       name.data ? name.data : "");
    else if (sm_opt_bool(in->opt, "markdown"))
        rc = print(&text, page_markdown(&text, v));
    else
        help_verb(stdout, v);
    sm_buf_free(&name);
    return rc;
}

const verb verb_help = {
    .name = "help",
    .usage = "[VERB]",
    .summary = "explain a verb",
    .example = "smelt help data add\nsmelt help --man | man -l -",
    .options = options,
    .max_pos = 2,
    .run = run,
};
