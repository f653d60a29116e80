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

/* Help on what the words name: a verb, or a group of verbs. */
static int explain(const app *a, const char *name, bool markdown)
{
    sm_buf text = {0};
    sm_err err = {0};
    const verb *v = verb_find(name);
    if (a->json && !markdown && (v || verb_is_group(name)))
        return app_print_json(v ? page_json_verb(v) : page_json(name));
    if (!v && !markdown && verb_is_group(name)) {
        help_group(stdout, name);
        return EXIT_GOOD;
    }
    if (!v) {
        sm_status s = verb_unknown(name, &err);
        sm_fail_context(&err, s, "help: ");
        return app_fail(a, s, &err);
    }
    if (markdown)
        return print(&text, page_markdown(&text, v));
    help_verb(stdout, v);
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
    if (in->n_pos == 0 && a->json)
        return app_print_json(page_json(NULL));
    if (in->n_pos == 0) {
        help_program(stdout);
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < in->n_pos; i++)
        sm_buf_printf(&name, "%s%s", i ? " " : "", in->pos[i]);
    int rc = explain(a, name.data ? name.data : "", sm_opt_bool(in->opt, "markdown"));
    sm_buf_free(&name);
    return rc;
}

const verb verb_help = {
    .name = "help",
    .usage = "[VERB]",
    .summary = "explain a verb",
    .example =
        "smelt help data add\nsmelt help train --json\nsmelt help --man | man -l -",
    .options = options,
    .max_pos = 2,
    .run = run,
};
