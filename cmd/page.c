/* SPDX-License-Identifier: Apache-2.0 */
/* Pages made from the verb table: Markdown for docs/commands, smelt.1, completions. */
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
    sm_buf_printf(out, ".SS smelt %s %s\n", v->name, v->usage ? v->usage : "");
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

bool page_man(sm_buf *out)
{
    sm_buf_puts(
        out, ".\\\" SPDX-License-Identifier: Apache-2.0\n"
             ".TH SMELT 1 \"\" \"smelt " SM_VERSION "\" \"User Commands\"\n"
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
    return !out->failed;
}

/* ------------------------------------------------------------- completions */

static void put_flags(sm_buf *out, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        sm_buf_puts(out, " --");
        for (const char *c = o->key; *c; c++)
            sm_buf_putc(out, *c == '_' ? '-' : *c);
    }
}

static void bash_verb(sm_buf *out, const verb *v)
{
    sm_buf_printf(out, "    '%s') flags='--help", v->name);
    put_flags(out, v->options);
    put_flags(out, verb_step_options(v));
    put_flags(out, global_options);
    sm_buf_puts(out, "' ;;\n");
}

static bool first_of_group(size_t i)
{
    size_t n = strcspn(verb_at(i)->name, " ");
    for (size_t j = 0; j < i; j++)
        if (strcspn(verb_at(j)->name, " ") == n &&
            !strncmp(verb_at(j)->name, verb_at(i)->name, n))
            return false;
    return true;
}

static void put_first_words(sm_buf *out)
{
    for (size_t i = 0; verb_at(i); i++)
        if (!verb_at(i)->hidden && first_of_group(i))
            sm_buf_printf(out, "%s%.*s", i ? " " : "",
                          (int)strcspn(verb_at(i)->name, " "), verb_at(i)->name);
}

static void put_second_words(sm_buf *out)
{
    for (size_t i = 0; verb_at(i); i++) {
        size_t n = strcspn(verb_at(i)->name, " ");
        if (!verb_at(i)->name[n] || !first_of_group(i))
            continue;
        sm_buf_printf(out, "    %.*s) second='", (int)n, verb_at(i)->name);
        const char *space = "";
        for (size_t j = i; verb_at(j); j++) {
            if (strncmp(verb_at(j)->name, verb_at(i)->name, n + 1) != 0)
                continue;
            sm_buf_printf(out, "%s%s", space, verb_at(j)->name + n + 1);
            space = " ";
        }
        sm_buf_puts(out, "' ;;\n");
    }
}

static void bash_completion(sm_buf *out)
{
    sm_buf_puts(out,
                "# bash completion of smelt; made by: smelt help --completions bash\n"
                "_smelt() {\n"
                "  local cur=${COMP_WORDS[COMP_CWORD]} one=${COMP_WORDS[1]} "
                "two=${COMP_WORDS[2]} flags= second=\n"
                "  if [ \"$COMP_CWORD\" = 1 ]; then\n    COMPREPLY=($(compgen -W '");
    put_first_words(out);
    sm_buf_puts(out, "' -- \"$cur\"))\n    return\n  fi\n  case $one in\n");
    put_second_words(out);
    sm_buf_puts(
        out, "  esac\n"
             "  if [ -n \"$second\" ] && [ \"$COMP_CWORD\" = 2 ]; then\n"
             "    COMPREPLY=($(compgen -W \"$second\" -- \"$cur\"))\n    return\n  fi\n"
             "  [ -n \"$second\" ] && one=\"$one $two\"\n  case $one in\n");
    for (size_t i = 0; verb_at(i); i++)
        bash_verb(out, verb_at(i));
    sm_buf_puts(out, "  esac\n"
                     "  case $cur in\n"
                     "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\")) ;;\n"
                     "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                     "  esac\n}\ncomplete -o filenames -F _smelt smelt\n");
}

static void zsh_completion(sm_buf *out)
{
    sm_buf_puts(out, "#compdef smelt\n"
                     "# zsh completion of smelt; made by: smelt help --completions zsh\n"
                     "local one=$words[2] flags= second=\n"
                     "if (( CURRENT == 2 )); then\n  compadd -- ");
    put_first_words(out);
    sm_buf_puts(out, "\n  return\nfi\ncase $one in\n");
    put_second_words(out);
    sm_buf_puts(out, "esac\nif [[ -n $second ]]; then\n"
                     "  if (( CURRENT == 3 )); then\n    compadd -- ${=second}\n"
                     "    return\n  fi\n  one=\"$one $words[3]\"\nfi\ncase $one in\n");
    for (size_t i = 0; verb_at(i); i++)
        bash_verb(out, verb_at(i));
    sm_buf_puts(out, "esac\nif [[ $PREFIX == -* ]]; then\n  compadd -- ${=flags}\n"
                     "else\n  _files\nfi\n");
}

/* Within single quotes fish reads \' and \\, and all else as it stands. */
static void fish_quoted(sm_buf *out, const char *text)
{
    sm_buf_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            sm_buf_putc(out, '\\');
        sm_buf_putc(out, *text);
    }
    sm_buf_putc(out, '\'');
}

static void fish_completion(sm_buf *out)
{
    sm_buf_puts(out,
                "# fish completion of smelt; made by: smelt help --completions fish\n");
    for (size_t i = 0; verb_at(i); i++) {
        const verb *v = verb_at(i);
        size_t n = strcspn(v->name, " ");
        if (v->hidden)
            continue;
        if (!v->name[n])
            sm_buf_printf(out, "complete -c smelt -n __fish_use_subcommand -a %s -d ",
                          v->name);
        else
            sm_buf_printf(out,
                          "complete -c smelt -n __fish_use_subcommand -a %.*s\n"
                          "complete -c smelt -n '__fish_seen_subcommand_from %.*s' -a %s "
                          "-d ",
                          (int)n, v->name, (int)n, v->name, v->name + n + 1);
        fish_quoted(out, v->summary);
        sm_buf_putc(out, '\n');
        const sm_option *table[] = {v->options, verb_step_options(v)};
        for (size_t t = 0; t < 2; t++) {
            for (const sm_option *o = table[t]; o && o->key; o++) {
                sm_buf_printf(out,
                              "complete -c smelt -n '__fish_seen_subcommand_from %s' -l ",
                              v->name[n] ? v->name + n + 1 : v->name);
                for (const char *c = o->key; *c; c++)
                    sm_buf_putc(out, *c == '_' ? '-' : *c);
                sm_buf_puts(out, o->type == SM_OPT_BOOL ? "\n" : " -r\n");
            }
        }
    }
}

bool page_completions(sm_buf *out, const char *shell)
{
    if (!strcmp(shell, "fish"))
        fish_completion(out);
    else if (!strcmp(shell, "zsh"))
        zsh_completion(out);
    else
        bash_completion(out);
    return !out->failed;
}
