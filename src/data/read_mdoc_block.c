/* SPDX-License-Identifier: Apache-2.0 */
/* mdoc(7): sections, lists, displays, and the run of a line. */
#include <stdlib.h>
#include <string.h>

#include "read_mdoc.h"

void mdoc_free(mdoc_state *m)
{
    if (!m)
        return;
    sm_buf_free(&m->arg.store);
    for (int i = 0; i < MDOC_REF_FIELDS; i++)
        sm_buf_free(&m->ref[i]);
    free(m->name);
    free(m->es_open);
    free(m->es_close);
    free(m);
}

static mdoc_state *state(roff *r)
{
    if (!r->mdoc) {
        r->mdoc = sm_alloc(1, sizeof *r->mdoc);
        r->has_failed |= !r->mdoc;
        if (r->mdoc)
            r->mdoc->arg.store.max = ROFF_LINE_MAX + ROFF_ARG_MAX;
    }
    return r->mdoc;
}

void mdoc_reset_line(roff *r, mdoc_state *m)
{
    r->joins_next = false;
    m->no_blank_once = false;
}

/* ------------------------------------------------------- document and sections */

int mdoc_Dt(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    char **field[] = {&r->title, &r->section};
    (void)e;
    for (int k = 0; k < 2 && i + k < n; k++) {
        sm_buf plain = {.max = 4096};
        roff_plain(r, &plain, m->arg.v[i + k], strlen(m->arg.v[i + k]));
        free(*field[k]);
        *field[k] = sm_strndup(plain.data ? plain.data : "", plain.len);
        sm_buf_free(&plain);
    }
    return n;
}

static void close_all(roff *r, mdoc_state *m)
{
    m->n_list = m->n_list_over = m->n_display = m->n_explicit = 0;
    m->in_head = m->in_function = m->in_reference = false;
    roff_fill(r, true);
    mdoc_reset_line(r, m);
}

static int heading(roff *r, mdoc_state *m, int level, int i, int n)
{
    close_all(r, m);
    if (level == 1 && i < n) {
        const char *first = m->arg.v[i];
        m->in_synopsis = strcmp(first, "SYNOPSIS") == 0;
        m->in_authors = strcmp(first, "AUTHORS") == 0;
        m->in_name = strcmp(first, "NAME") == 0;
    }
    dw_heading(&r->w, level);
    mdoc_words(r, m, i, n);
    dw_para(&r->w);
    mdoc_reset_line(r, m);
    return n;
}

int mdoc_Sh(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    return heading(r, m, 1, i, n);
}

int mdoc_Ss(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    return heading(r, m, 2, i, n);
}

int mdoc_Nd(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_word(r, m, "-");
    mdoc_words(r, m, i, n);
    return n;
}

int mdoc_Pp(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)i;
    mdoc_reset_line(r, m);
    if (r->is_nofill)
        roff_para(r);
    else
        dw_indent(&r->w, m->n_list);
    return n;
}

/* -------------------------------------------------------------------- lists */

static mdoc_list_kind list_kind(const char *s, bool *is_diag)
{
    static const char *const heads[] = {"-tag", "-hang", "-ohang", "-inset", "-diag"};
    *is_diag = strcmp(s, "-diag") == 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strcmp(heads[i], s) == 0)
            return MDOC_LIST_HEAD;
    if (strcmp(s, "-enum") == 0)
        return MDOC_LIST_ENUM;
    return strcmp(s, "-column") == 0 ? MDOC_LIST_COLUMN : MDOC_LIST_PLAIN;
}

int mdoc_Bl(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_list list = {.kind = MDOC_LIST_PLAIN};
    for (; i < n; i++) {
        bool is_diag;
        mdoc_list_kind kind = list_kind(m->arg.v[i], &is_diag);
        if (kind != MDOC_LIST_PLAIN && list.kind == MDOC_LIST_PLAIN) {
            list.kind = kind;
            list.is_diag = is_diag;
        }
    }
    mdoc_reset_line(r, m);
    if (!r->is_nofill)
        dw_para(&r->w);
    m->in_head = false;
    if (m->n_list < MDOC_LIST_MAX)
        m->list[m->n_list++] = list;
    else
        m->n_list_over++;
    return n;
}

int mdoc_El(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)i;
    mdoc_reset_line(r, m);
    m->in_head = false;
    if (m->n_list_over > 0)
        m->n_list_over--;
    else
        m->n_list -= m->n_list > 0;
    dw_indent(&r->w, m->n_list);
    return n;
}

/* A row of a column list; cells are separated by .Ta, a tab, or plain words. */
static void column_row(roff *r, mdoc_state *m, int i, int n)
{
    dw_break(&r->w);
    while (i < n) {
        const mdoc_entry *e = mdoc_callable(m, i);
        if (e) {
            i = e->run(r, m, e, i + 1, n);
            continue;
        }
        char *s = m->arg.v[i++];
        for (char *tab; (tab = strchr(s, '\t')) != NULL; s = tab + 1) {
            *tab = 0;
            if (*s)
                mdoc_word(r, m, s);
            mdoc_word(r, m, "|");
        }
        if (*s)
            mdoc_word(r, m, s);
    }
}

int mdoc_It(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_reset_line(r, m);
    m->n_explicit = 0;
    m->in_head = false;
    if (m->n_list == 0)
        return n;
    mdoc_list *list = &m->list[m->n_list - 1];
    if (list->kind == MDOC_LIST_COLUMN) {
        column_row(r, m, i, n);
        return n;
    }
    dw_item(&r->w, m->n_list - 1);
    list->n_item++;
    if (list->kind == MDOC_LIST_ENUM) {
        char number[16] = {0};
        sm_buf b = {.max = sizeof number};
        sm_buf_printf(&b, "%d.", list->n_item);
        if (b.data)
            mdoc_word(r, m, b.data);
        sm_buf_free(&b);
    } else if (list->kind == MDOC_LIST_HEAD) {
        m->in_head = true;
        for (; list->is_diag && i < n; i++)
            mdoc_word(r, m, m->arg.v[i]);
        mdoc_words(r, m, i, n);
    }
    return n;
}

int mdoc_Ta(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)n;
    if (m->n_list > 0 && m->list[m->n_list - 1].kind == MDOC_LIST_COLUMN)
        mdoc_word(r, m, "|");
    return i;
}

/* ----------------------------------------------------------------- displays */

int mdoc_Bd(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    bool keeps_lines = false;
    for (; i < n; i++)
        keeps_lines |=
            strcmp(m->arg.v[i], "-literal") == 0 || strcmp(m->arg.v[i], "-unfilled") == 0;
    mdoc_reset_line(r, m);
    if (m->n_display < MDOC_DISPLAY_MAX)
        m->was_nofill[m->n_display++] = r->is_nofill;
    if (!r->is_nofill)
        dw_para(&r->w);
    roff_fill(r, !keeps_lines);
    return n;
}

int mdoc_Ed(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)i;
    mdoc_reset_line(r, m);
    bool nofill = m->n_display > 0 && m->was_nofill[--m->n_display];
    dw_para(&r->w);
    roff_fill(r, !nofill);
    return n;
}

/* .D1 and .Dl: one line on its own. */
int mdoc_D1(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_reset_line(r, m);
    bool was_nofill = r->is_nofill;
    if (!was_nofill)
        roff_fill(r, false);
    mdoc_words(r, m, i, n);
    while (m->n_closer > 0)
        mdoc_joined(r, m, m->closer[--m->n_closer]);
    dw_break(&r->w);
    roff_fill(r, !was_nofill);
    return n;
}

/* A line of its own in SYNOPSIS: .Fd, and others there. */
void mdoc_synopsis_break(roff *r, mdoc_state *m)
{
    if (m->in_synopsis && !r->is_nofill && m->n_closer == 0) {
        mdoc_reset_line(r, m);
        dw_break(&r->w);
    }
}

int mdoc_block_line(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_synopsis_break(r, m);
    for (; i < n; i++)
        mdoc_word(r, m, m->arg.v[i]);
    mdoc_synopsis_break(r, m);
    return n;
}

/* ------------------------------------------------------------------- a line */

/* Enclosures of the line end before its trailing delimiters. */
static void end_line(roff *r, mdoc_state *m, int from, int n)
{
    while (m->n_closer > 0)
        mdoc_joined(r, m, m->closer[--m->n_closer]);
    for (; from < n; from++)
        mdoc_word(r, m, m->arg.v[from]);
    if (m->in_head && m->n_explicit == 0) {
        m->in_head = false;
        dw_term_end(&r->w);
        mdoc_reset_line(r, m);
    }
    /* "no blank" outlives the line only where the next one may use it */
    r->joins_next = m->no_blank_once;
    m->no_blank_once = false;
}

bool mdoc_macro(roff *r, const char *name, const char *rest, size_t n)
{
    mdoc_state *m = state(r);
    const mdoc_entry *e = m ? mdoc_find(name) : NULL;
    if (!e)
        return false;
    roff_split_args(&m->arg, rest, n);
    int n_arg = m->arg.n, n_main = n_arg;
    bool is_block = !e->is_callable && e->run != mdoc_It && e->run != mdoc_D1;
    while (!is_block && n_main > 0 && !m->arg.quoted[n_main - 1] &&
           mdoc_is_close_delim(m->arg.v[n_main - 1]) &&
           !(n_main == 1 && strcmp(name, "Fl") == 0))
        n_main--;
    if (m->in_synopsis && strcmp(name, "Nm") == 0 && m->n_list == 0)
        mdoc_synopsis_break(r, m);
    if (m->in_authors && strcmp(name, "An") == 0 && !r->is_nofill && !m->n_list)
        mdoc_synopsis_break(r, m);
    int used = e->run(r, m, e, 0, n_main);
    if (used < n_main)
        mdoc_words(r, m, used, n_main);
    end_line(r, m, n_main, n_arg);
    return !is_block || e->run == mdoc_Nd;
}

void mdoc_end(roff *r)
{
    if (r->mdoc)
        close_all(r, r->mdoc);
}
