/* SPDX-License-Identifier: Apache-2.0 */
/* Renderings of an option table: --help, Markdown, roff.  All read the same fields. */
#include <string.h>

#include "options.h"

/* "--min-words" of "min_words"; escape '-' for roff. */
static void put_flag(sm_buf *out, const char *key, bool roff)
{
    const char *dash = roff ? "\\-" : "-";
    sm_buf_puts(out, dash);
    sm_buf_puts(out, dash);
    for (; *key; key++) {
        if (*key == '_')
            sm_buf_puts(out, dash);
        else
            sm_buf_putc(out, *key);
    }
}

const char *sm_option_metavar(const sm_option *o)
{
    static const char *const word[] = {
        [SM_OPT_BOOL] = "",       [SM_OPT_INT] = "N",     [SM_OPT_FLOAT] = "X",
        [SM_OPT_STRING] = "TEXT", [SM_OPT_ENUM] = NULL,   [SM_OPT_PATH] = "PATH",
        [SM_OPT_REF] = "REF",     [SM_OPT_LIST] = "TEXT",
    };
    return o->type == SM_OPT_ENUM ? o->choices : word[o->type];
}

/* "default 20; from 1 to 99; tokens; repeatable"; without the range where what the option
 * takes is said beside it. */
static void put_notes(sm_buf *out, const sm_option *o, bool with_range)
{
    sm_buf range = {0};
    if (!o->def)
        sm_buf_puts(out, "required");
    else if (*o->def)
        sm_buf_printf(out, "default %s", o->def);
    else
        sm_buf_puts(out, o->type == SM_OPT_BOOL ? "default false" : "unset by default");
    if (with_range && (o->type == SM_OPT_INT || o->type == SM_OPT_FLOAT)) {
        sm_option_wanted(&range, o);
        const char *from = range.data ? strstr(range.data, "from ") : NULL;
        if (from)
            sm_buf_printf(out, "; %s", from);
    }
    if (o->unit)
        sm_buf_printf(out, "; %s", o->unit);
    if (o->type == SM_OPT_LIST)
        sm_buf_puts(out, "; repeatable");
    sm_buf_free(&range);
}

bool sm_options_help(sm_buf *out, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        sm_buf_puts(out, "  ");
        size_t start = out->len;
        put_flag(out, o->key, false);
        if (*sm_option_metavar(o))
            sm_buf_printf(out, " %s", sm_option_metavar(o));
        size_t width = out->len - start;
        if (width > 26) {
            sm_buf_printf(out, "\n%30s", "");
        } else {
            sm_buf_printf(out, "%*s", (int)(28 - width), "");
        }
        sm_buf_printf(out, "%s (", o->help);
        put_notes(out, o, true);
        sm_buf_puts(out, ")\n");
    }
    return !out->failed;
}

/* Markdown's cell separator must not end a cell. */
static void put_cell(sm_buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '|')
            sm_buf_putc(out, '\\');
        sm_buf_putc(out, *s);
    }
}

bool sm_options_markdown(sm_buf *out, const sm_option *table)
{
    if (!table || !table->key)
        return sm_buf_puts(out, "No options.\n");
    sm_buf_puts(out, "| flag | YAML key | takes | what it does | in the recipe |\n");
    sm_buf_puts(out, "|---|---|---|---|---|\n");
    for (const sm_option *o = table; o->key; o++) {
        sm_buf takes = {0};
        sm_option_wanted(&takes, o);
        sm_buf_puts(&takes, "; ");
        put_notes(&takes, o, false);
        sm_buf_puts(out, "| `");
        put_flag(out, o->key, false);
        sm_buf_printf(out, "` | `%s` | ", o->key);
        put_cell(out, takes.data ? takes.data : "");
        sm_buf_puts(out, " | ");
        put_cell(out, o->help);
        sm_buf_printf(out, " | %s |\n", o->affects_result ? "yes" : "no");
        sm_buf_free(&takes);
    }
    return !out->failed;
}

static void put_roff_text(sm_buf *out, const char *s)
{
    if (*s == '.' || *s == '\'')
        sm_buf_puts(out, "\\&");
    for (; *s; s++) {
        if (*s == '\\')
            sm_buf_puts(out, "\\e");
        else if (*s == '-')
            sm_buf_puts(out, "\\-");
        else
            sm_buf_putc(out, *s);
    }
}

bool sm_options_roff(sm_buf *out, const sm_option *table)
{
    for (const sm_option *o = table; o && o->key; o++) {
        sm_buf notes = {0};
        put_notes(&notes, o, true);
        sm_buf_puts(out, ".TP\n\\fB");
        put_flag(out, o->key, true);
        sm_buf_puts(out, "\\fR");
        if (*sm_option_metavar(o)) {
            sm_buf_puts(out, " \\fI");
            put_roff_text(out, sm_option_metavar(o));
            sm_buf_puts(out, "\\fR");
        }
        sm_buf_putc(out, '\n');
        put_roff_text(out, o->help);
        sm_buf_puts(out, " (");
        put_roff_text(out, notes.data ? notes.data : "");
        sm_buf_puts(out, ")\n");
        sm_buf_free(&notes);
    }
    return !out->failed;
}
