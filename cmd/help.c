/* SPDX-License-Identifier: Apache-2.0 */
/* --help: of the program, of a group of verbs, of a verb. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

const variable environment[] = {
    {"SMELT_CPU",
     "kernels to compute with: ref, avx2, avx512, avx512bf16 (bf16 products by "
     "VDPBF16PS) or amx; by default the fastest here; results do not depend on it"},
    {"TMPDIR", "where replay makes its workspace"},
    {NULL, NULL},
};

static void put_options(FILE *f, const char *title, const sm_option *table)
{
    sm_buf text = {0};
    if (!table || !table->key)
        return;
    if (sm_options_help(&text, table))
        fprintf(f, "\n%s\n%s", title, text.data);
    sm_buf_free(&text);
}

static void put_verb_line(FILE *f, const verb *v)
{
    sm_buf left = {0};
    sm_buf_printf(&left, "%s%s%s", v->name, v->usage ? " " : "",
                  v->usage ? v->usage : "");
    fprintf(f, "  %-34s %s\n", left.data ? left.data : v->name, v->summary);
    sm_buf_free(&left);
}

void help_program(FILE *f)
{
    fputs("usage: smelt VERB [options] [words]\n\n"
          "Raw documents in, a served and accountable model out.  Every result is an\n"
          "artifact of a workspace (.smelt), traceable to the bytes it was made from.\n\n"
          "verbs:\n",
          f);
    for (size_t i = 0; verb_at(i); i++)
        if (!verb_at(i)->hidden)
            put_verb_line(f, verb_at(i));
    put_options(f, "options of every verb:", global_options);
    fputs("\nenvironment:\n", f);
    for (const variable *e = environment; e->name; e++)
        fprintf(f, "  %-27s %s\n", e->name, e->help);
    fputs("\nsmelt VERB --help says more.  Exit status: 0 good; 1 failed, or a negative\n"
          "verdict; 2 wrong usage or configuration.\n",
          f);
}

void help_group(FILE *f, const char *group)
{
    size_t n = strlen(group);
    fprintf(f, "verbs of %s:\n", group);
    for (size_t i = 0; verb_at(i); i++)
        if (!strncmp(verb_at(i)->name, group, n) && verb_at(i)->name[n] == ' ')
            put_verb_line(f, verb_at(i));
    fprintf(f, "\nsmelt %s VERB --help says more.\n", group);
}

void help_verb(FILE *f, const verb *v)
{
    const sm_option *step = verb_step_options(v);
    fprintf(f, "usage: smelt %s [options]%s%s\n\n%s\n", v->name, v->usage ? " " : "",
            v->usage ? v->usage : "", v->summary);
    if (v->details)
        fprintf(f, "\n%s\n", v->details);
    put_options(f, "options:", v->options);
    if (step) {
        char title[96];
        snprintf(title, sizeof title, "options of step %s:", v->step);
        put_options(f, title, step);
    }
    put_options(f, "options of every verb:", global_options);
    if (v->example) {
        fputs("\nexample:\n", f);
        for (const char *p = v->example; *p;) {
            size_t n = strcspn(p, "\n");
            fprintf(f, "  %.*s\n", (int)n, p);
            p += n + (p[n] == '\n');
        }
    }
}
