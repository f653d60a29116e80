/* SPDX-License-Identifier: Apache-2.0 */
/* Pages made from the verb table: Markdown for docs/commands, smelt.1. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/* ---------------------------------------------------------------- Markdown */

bool page_markdown(sm_buf *out, const verb *v)
{
    const sm_option *step = verb_step_options(v);
    sm_buf_printf(out, "# smelt %s\n\n%s.\n\n", v->name, v->summary);
    sm_buf_printf(out, "```\nsmelt %s [options]%s%s\n```\n", v->name, v->usage ? " " : "",
                  v->usage ? v->usage : "");
    if (v->details)
        sm_buf_printf(out, "\n%s\n", v->details);
    if (v->example)
        sm_buf_printf(out, "\n## Example\n\n```sh\n%s\n```\n", v->example);
    if (v->options && v->options->key) {
        sm_buf_puts(out, "\n## Options\n\n");
        sm_options_markdown(out, v->options);
    }
    if (step && step->key) {
        sm_buf_printf(out, "\n## Options of step `%s`\n\n", v->step);
        sm_options_markdown(out, step);
    }
    sm_buf_puts(out, "\nOptions of every verb are in [smelt help](help.md).\n");
    if (!strcmp(v->name, "help")) {
        sm_buf_puts(out, "\n## Options of every verb\n\n");
        sm_options_markdown(out, global_options);
        sm_buf_puts(out, "\n## Environment\n\n| variable | meaning |\n|---|---|\n");
        for (const variable *e = environment; e->name; e++)
            sm_buf_printf(out, "| `%s` | %s |\n", e->name, e->help);
    }
    return !out->failed;
}

/* --------------------------------------------------------------------- man */

#define MANUAL_DATE "2026-11-22" /* of the last change that its readers should know of */

static void roff_text(sm_buf *out, const char *s)
{
    bool start = true;
    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            sm_buf_puts(out, "\\&");
        start = *s == '\n';
        if (*s == '\\')
            sm_buf_puts(out, "\\e");
        else if (*s == '-')
            sm_buf_puts(out, "\\-");
        else if (*s == '\n' && s[1] == '\n') {
            sm_buf_puts(out, "\n.PP\n");
            s++;
        } else
            sm_buf_putc(out, *s);
    }
}

static void man_verb(sm_buf *out, const verb *v)
{
    const sm_option *step = verb_step_options(v);
    sm_buf_printf(out, ".SS smelt %s%s%s\n", v->name, v->usage ? " " : "",
                  v->usage ? v->usage : "");
    roff_text(out, v->summary);
    sm_buf_puts(out, ".\n");
    if (v->details) {
        sm_buf_puts(out, ".PP\n");
        roff_text(out, v->details);
        sm_buf_putc(out, '\n');
    }
    sm_options_roff(out, v->options);
    sm_options_roff(out, step);
    if (v->example) {
        sm_buf_puts(out, ".PP\nExample:\n.PP\n.nf\n.RS\n");
        roff_text(out, v->example);
        sm_buf_puts(out, "\n.RE\n.fi\n");
    }
}

/* Where a line of text is broken: at the last blank before column 80 after which no line
 * begins that roff would take for a request; its length when there is none. */
static size_t man_break(const char *line, size_t n)
{
    size_t at = n;
    for (size_t i = 1; n > 79 && i < 79; i++)
        if (line[i] == ' ' && line[i - 1] != ' ' && !strchr(".' ", line[i + 1]))
            at = i;
    return at;
}

/* Break what is filled; requests and what stands between .nf and .fi stay as they are. */
static void man_wrap(sm_buf *out, const char *text)
{
    bool filled = true;
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (!strncmp(text, ".nf", 3) || !strncmp(text, ".fi", 3))
            filled = text[1] == 'f';
        size_t take = filled && *text != '.' ? man_break(text, n) : n;
        sm_buf_printf(out, "%.*s\n", (int)take, text);
        text += take + (text[take] != 0);
    }
}

static void put_man(sm_buf *out)
{
    sm_buf_puts(
        out, ".\\\" SPDX-License-Identifier: Apache-2.0\n"
             ".TH SMELT 1 " MANUAL_DATE " \"smelt " SM_VERSION "\" \"User Commands\"\n"
             ".SH NAME\nsmelt \\- from raw documents to a served, accountable language "
             "model\n"
             ".SH SYNOPSIS\n.B smelt\n.I VERB\n[\\fIoptions\\fR] [\\fIwords\\fR]\n"
             ".SH DESCRIPTION\n"
             "Every verb reads immutable artifacts of a workspace (the directory\n"
             ".IR .smelt ,\nfound upwards) and writes new ones.  A result made before is "
             "found, not made again;\nwhat was interrupted goes on where it stopped.\n"
             ".SH OPTIONS OF EVERY VERB\n");
    sm_options_roff(out, global_options);
    sm_buf_puts(out, ".SH VERBS\n");
    for (size_t i = 0; verb_at(i); i++)
        if (!verb_at(i)->hidden)
            man_verb(out, verb_at(i));
    sm_buf_puts(
        out, ".SH EXIT STATUS\n.TP\n0\ngood\n.TP\n1\nfailed, or a negative verdict\n"
             ".TP\n2\nwrong usage or configuration\n"
             ".SH SIGNALS\nThe first SIGINT or SIGTERM finishes the current unit of work "
             "and saves; the second stops at once.\n"
             ".SH ENVIRONMENT\n");
    for (const variable *e = environment; e->name; e++)
        sm_buf_printf(out, ".TP\n.B %s\n%s\n", e->name, e->help);
    sm_buf_puts(out,
                ".SH FILES\n.TP\n.I .smelt/\nthe workspace: objects, catalog, audit log, "
                "keys\n");
}

bool page_man(sm_buf *out)
{
    sm_buf text = {0};
    put_man(&text);
    if (text.data)
        man_wrap(out, text.data);
    bool ok = text.data && !text.failed && !out->failed;
    sm_buf_free(&text);
    return ok;
}
