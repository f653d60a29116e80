/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions of bash, zsh and fish, made from the verb table: verbs, flags, the values of
 * flags that have a choice, and refs, which the shell asks `smelt status --refs` for.
 */
#include <string.h>

#include "cmd.h"

static void put_flag(sm_buf *out, const char *key)
{
    char flag[64];
    option_flag(flag, key);
    sm_buf_puts(out, flag);
}

static void put_flags(sm_buf *out, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        sm_buf_puts(out, " --");
        put_flag(out, o->key);
    }
}

/* "a b c" of "a|b|c" */
static void put_choices(sm_buf *out, const char *choices)
{
    for (; *choices; choices++)
        sm_buf_putc(out, *choices == '|' ? ' ' : *choices);
}

/* Does the verb take refs?  Its usage names their kinds. */
static bool takes_refs(const verb *v)
{
    static const char *const kind[] = {"REF",   "SOURCE",  "DATASET", "TOKENIZER",
                                       "MODEL", "RELEASE", "GOOD"};
    for (size_t i = 0; v->usage && i < sizeof kind / sizeof *kind; i++)
        if (strstr(v->usage, kind[i]))
            return true;
    return false;
}

/* ------------------------------------------------------------- bash and zsh */

/* "--router) values='sigmoid softmax' ;;" for each option that has a choice. */
static void put_values(sm_buf *out, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        if (o->type != SM_OPT_ENUM && o->type != SM_OPT_REF)
            continue;
        sm_buf_puts(out, "        --");
        put_flag(out, o->key);
        sm_buf_puts(out, o->type == SM_OPT_REF ? ") values=$(_smelt_refs" : ") values='");
        if (o->type == SM_OPT_ENUM)
            put_choices(out, o->choices);
        sm_buf_puts(out, o->type == SM_OPT_REF ? ") ;;\n" : "' ;;\n");
    }
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

/* The second words of the group that verb i begins. */
static void put_group(sm_buf *out, size_t i, const char *between)
{
    size_t n = strcspn(verb_at(i)->name, " ");
    const char *space = "";
    for (size_t j = i; verb_at(j); j++) {
        if (strncmp(verb_at(j)->name, verb_at(i)->name, n + 1) != 0)
            continue;
        sm_buf_printf(out, "%s%s", space, verb_at(j)->name + n + 1);
        space = between;
    }
}

static void put_second_words(sm_buf *out)
{
    for (size_t i = 0; verb_at(i); i++) {
        size_t n = strcspn(verb_at(i)->name, " ");
        if (!verb_at(i)->name[n] || !first_of_group(i))
            continue;
        sm_buf_printf(out, "    %.*s) second='", (int)n, verb_at(i)->name);
        put_group(out, i, " ");
        sm_buf_puts(out, "' ;;\n");
    }
}

/* What follows a verb, in words that both shells read alike. */
static void put_verb(sm_buf *out, const verb *v)
{
    sm_buf_printf(out, "    '%s')\n      flags='--help", v->name);
    put_flags(out, v->options);
    put_flags(out, verb_step_options(v));
    put_flags(out, global_options);
    sm_buf_puts(out, "'\n");
    if (takes_refs(v))
        sm_buf_puts(out, "      refs=yes\n");
    if (!strcmp(v->name, "help")) {
        sm_buf_puts(out, "      names='");
        put_first_words(out);
        sm_buf_puts(out, "'\n");
    }
    sm_buf_puts(out, "      case $prev in\n");
    put_values(out, v->options);
    put_values(out, verb_step_options(v));
    sm_buf_puts(out, "        *) ;;\n      esac ;;\n");
}

static void bash_completion(sm_buf *out)
{
    sm_buf_puts(
        out, "# bash completion of smelt; made by: smelt help --completions bash\n"
             "_smelt_refs() { \"${COMP_WORDS[0]}\" status --refs 2>/dev/null; }\n"
             "_smelt() {\n"
             "  local cur=${COMP_WORDS[COMP_CWORD]-} prev=${COMP_WORDS[COMP_CWORD-1]-}\n"
             "  local one=${COMP_WORDS[1]-} two=${COMP_WORDS[2]-}\n"
             "  local flags= second= values= names= refs=\n"
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
        put_verb(out, verb_at(i));
    sm_buf_puts(out, "  esac\n"
                     "  if [ -n \"$values\" ]; then\n"
                     "    COMPREPLY=($(compgen -W \"$values\" -- \"$cur\"))\n"
                     "    return\n  fi\n"
                     "  case $cur in\n"
                     "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\")) ;;\n"
                     "    *) [ -z \"$refs\" ] || names=$(_smelt_refs)\n"
                     "       COMPREPLY=($(compgen -W \"$names\" -- \"$cur\")\n"
                     "                  $(compgen -f -- \"$cur\")) ;;\n"
                     "  esac\n}\ncomplete -o filenames -F _smelt smelt\n");
}

static void zsh_completion(sm_buf *out)
{
    sm_buf_puts(out, "#compdef smelt\n"
                     "# zsh completion of smelt; made by: smelt help --completions zsh\n"
                     "_smelt_refs() { $words[1] status --refs 2>/dev/null }\n"
                     "local one=$words[2] prev=$words[CURRENT-1]\n"
                     "local flags= second= values= names= refs=\n"
                     "if (( CURRENT == 2 )); then\n  compadd -- ");
    put_first_words(out);
    sm_buf_puts(out, "\n  return\nfi\ncase $one in\n");
    put_second_words(out);
    sm_buf_puts(out, "esac\nif [[ -n $second ]]; then\n"
                     "  if (( CURRENT == 3 )); then\n    compadd -- ${=second}\n"
                     "    return\n  fi\n  one=\"$one $words[3]\"\nfi\ncase $one in\n");
    for (size_t i = 0; verb_at(i); i++)
        put_verb(out, verb_at(i));
    sm_buf_puts(out, "esac\nif [[ -n $values ]]; then\n  compadd -- ${=values}\n"
                     "elif [[ $PREFIX == -* ]]; then\n  compadd -- ${=flags}\n"
                     "else\n  [[ -z $refs ]] || names=$(_smelt_refs)\n"
                     "  [[ -z $names ]] || compadd -- ${=names}\n  _files\nfi\n");
}

/* -------------------------------------------------------------------- fish */

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

/* The options of a table, where `when` holds ("" is always). */
static void fish_options(sm_buf *out, const char *when, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        sm_buf_printf(out, "complete -c smelt%s -l ", when);
        put_flag(out, o->key);
        if (o->type == SM_OPT_ENUM) {
            sm_buf_puts(out, " -x -a '");
            put_choices(out, o->choices);
            sm_buf_putc(out, '\'');
        } else if (o->type == SM_OPT_REF) {
            sm_buf_puts(out, " -x -a '(__smelt_refs)'");
        } else if (o->type == SM_OPT_INT || o->type == SM_OPT_FLOAT) {
            sm_buf_puts(out, " -x");
        } else if (o->type != SM_OPT_BOOL) {
            sm_buf_puts(out, " -r");
        }
        sm_buf_puts(out, " -d ");
        fish_quoted(out, o->help);
        sm_buf_putc(out, '\n');
    }
}

/* The word with which verb i is begun: its own, or its group's once. */
static void fish_first_word(sm_buf *out, size_t i)
{
    const verb *v = verb_at(i);
    size_t n = strcspn(v->name, " ");
    if (!first_of_group(i))
        return;
    sm_buf_printf(out, "complete -c smelt -n '__smelt_at' -f -a %.*s -d ", (int)n,
                  v->name);
    if (v->name[n]) {
        sm_buf_putc(out, '\'');
        put_group(out, i, ", ");
        sm_buf_puts(out, "'\n");
    } else {
        fish_quoted(out, v->summary);
        sm_buf_putc(out, '\n');
    }
}

static void fish_verb(sm_buf *out, size_t i)
{
    const verb *v = verb_at(i);
    size_t n = strcspn(v->name, " ");
    char when[64];
    fish_first_word(out, i);
    if (v->name[n]) {
        sm_buf_printf(out, "complete -c smelt -n '__smelt_at %.*s' -f -a %s -d ", (int)n,
                      v->name, v->name + n + 1);
        fish_quoted(out, v->summary);
        sm_buf_putc(out, '\n');
    }
    snprintf(when, sizeof when, " -n '__smelt_in %s'", v->name);
    if (takes_refs(v))
        sm_buf_printf(out, "complete -c smelt%s -a '(__smelt_refs)'\n", when);
    fish_options(out, when, v->options);
    fish_options(out, when, verb_step_options(v));
}

static void fish_completion(sm_buf *out)
{
    sm_buf_puts(out,
                "# fish completion of smelt; made by: smelt help --completions fish\n"
                "function __smelt_words # those before the cursor that are no flags\n"
                "    set -l words (commandline -opc)\n"
                "    string match -v -- '-*' $words[2..-1]\nend\n"
                "function __smelt_at # nothing but these words\n"
                "    set -l words (__smelt_words)\n"
                "    test \"$words\" = \"$argv\"\nend\n"
                "function __smelt_in # these words first\n"
                "    set -l words (__smelt_words)\n"
                "    string match -q -- \"$argv *\" \"$words \"\nend\n"
                "function __smelt_refs\n"
                "    set -l words (commandline -opc)\n"
                "    $words[1] status --refs 2>/dev/null\nend\n");
    for (size_t i = 0; verb_at(i); i++)
        if (!verb_at(i)->hidden)
            fish_verb(out, i);
    sm_buf_puts(out, "complete -c smelt -s h -l help -d 'explain the verb'\n");
    fish_options(out, "", global_options);
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
