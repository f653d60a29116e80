/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tbl(1): options, format and data lines of a table become one text line a row.
 *
 *   .TS -> OPTIONS --";"--> FORMAT --"."--> DATA --.T&--> FORMAT ... --.TE--> closed
 *
 * Invariants:
 *  1. The layout only matters where it changes text: spans and numeric cells do not.
 *  2. In T{ ... T} the lines are ordinary roff text whose output is collected in `cell`.
 */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

typedef enum tbl_part { TBL_OPTIONS, TBL_FORMAT, TBL_DATA } tbl_part;

typedef struct tbl_state {
    tbl_part part;
    char tab;
    bool in_block; /* inside T{ ... T}           */
    bool has_line; /* before it: first line seen */
    sm_buf row;    /* cells so far, " | " between */
    int n_cell;
    bool was_nofill;
} tbl_state;

void tbl_free(tbl_state *t)
{
    if (!t)
        return;
    sm_buf_free(&t->row);
    free(t);
}

bool tbl_begin(roff *r)
{
    tbl_state *t = sm_alloc(1, sizeof *t);
    if (!t) {
        r->has_failed = true;
        return false;
    }
    t->tab = '\t';
    t->row.max = ROFF_LINE_MAX;
    t->was_nofill = r->is_nofill;
    r->tbl = t;
    r->joins_next = false;
    if (!r->is_nofill)
        dw_para(&r->w);
    return true;
}

static void flush_row(roff *r, tbl_state *t)
{
    bool has_text = false;
    for (size_t i = 0; i < t->row.len && !has_text; i++)
        has_text = !strchr(" |", t->row.data[i]);
    if (has_text) {
        dw_text(&r->w, t->row.data, t->row.len);
        dw_break(&r->w);
    }
    sm_buf_clear(&t->row);
    t->n_cell = 0;
}

void tbl_end(roff *r)
{
    tbl_state *t = r->tbl;
    if (!t)
        return;
    flush_row(r, t);
    if (!t->was_nofill)
        dw_para(&r->w);
    tbl_free(t);
    r->tbl = NULL;
}

/* "tab(|) allbox;" */
static void read_options(tbl_state *t, const char *s, size_t n)
{
    for (size_t i = 0; i + 4 < n; i++)
        if ((memcmp(s + i, "tab", 3) == 0 || memcmp(s + i, "TAB", 3) == 0)) {
            size_t k = i + 3;
            while (k < n && s[k] == ' ')
                k++;
            if (k + 1 < n && s[k] == '(')
                t->tab = s[k + 1];
        }
}

/* True when the line ends with `c`, blanks aside. */
static bool ends_with(const char *s, size_t n, char c)
{
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    return n > 0 && s[n - 1] == c;
}

/* A cell of rules only: "_", "=", "\_", "\^". */
static bool is_rule(const char *s, size_t n)
{
    while (n > 0 && s[n - 1] == ' ')
        n--;
    while (n > 0 && s[0] == ' ') {
        s++;
        n--;
    }
    return (n == 1 && (s[0] == '_' || s[0] == '=')) ||
           (n == 2 && s[0] == '\\' && strchr("_=^", s[1]));
}

static void put_cell(roff *r, tbl_state *t, const char *s, size_t n)
{
    if (t->n_cell++ > 0)
        sm_buf_puts(&t->row, " | ");
    if (is_rule(s, n))
        return;
    if (n >= 2 && s[0] == '\\' && s[1] == 'R') /* \Rx: x repeated over the cell */
        return;
    roff_plain(r, &t->row, s, n);
}

/* Cells of a data line from s; a trailing "T{" opens a block. */
static void read_cells(roff *r, tbl_state *t, const char *s, size_t n)
{
    size_t i = 0;
    while (i <= n) {
        const char *tab = memchr(s + i, t->tab, n - i);
        size_t end = tab ? (size_t)(tab - s) : n, len = end - i;
        if (!tab && len >= 2 && s[i] == 'T' && s[i + 1] == '{' && len <= 4) {
            t->in_block = true;
            if (t->n_cell++ > 0)
                sm_buf_puts(&t->row, " | ");
            return;
        }
        put_cell(r, t, s + i, len);
        i = end + 1;
        if (!tab)
            break;
    }
    flush_row(r, t);
}

/* The macros that carry text keep it; the others are layout. */
static void block_macro(roff *r, tbl_state *t, const char *s, size_t n)
{
    static const char *const text[] = {"B",  "I",  "R",  "SM", "SB", "BI", "BR",
                                       "IB", "IR", "RB", "RI", "IP", "TP", "MR"};
    roff_args a = {.store = {.max = ROFF_LINE_MAX + ROFF_ARG_MAX}};
    roff_split_args(&a, s, n);
    bool keep = false, joins = a.n > 0 && strlen(a.v[0]) == 2 &&
                               strcmp(a.v[0], "SM") != 0 && strcmp(a.v[0], "SB") != 0;
    for (size_t i = 0; a.n > 0 && i < sizeof text / sizeof *text; i++)
        keep |= strcmp(a.v[0], text[i]) == 0;
    if (keep)
        sm_buf_putc(&t->row, ' ');
    for (int i = 1; keep && i < a.n; i++) {
        if (i > 1 && !joins)
            sm_buf_putc(&t->row, ' ');
        roff_plain(r, &t->row, a.v[i], strlen(a.v[i]));
    }
    sm_buf_free(&a.store);
}

static void block_line(roff *r, tbl_state *t, const char *s, size_t n)
{
    if (n >= 2 && s[0] == 'T' && s[1] == '}') {
        t->in_block = false;
        if (n > 2 && s[2] == t->tab)
            read_cells(r, t, s + 3, n - 3);
        else
            flush_row(r, t);
        return;
    }
    sm_buf_putc(&t->row, ' ');
    roff_plain(r, &t->row, s, n);
}

static bool is_request(const char *s, size_t n, const char *name)
{
    size_t k = strlen(name);
    return n > k && s[0] == '.' && memcmp(s + 1, name, k) == 0 &&
           (n == k + 1 || s[k + 1] == ' ' || s[k + 1] == '\t');
}

/* Control lines between the rows.  True when the line is dealt with. */
static bool control_line(roff *r, tbl_state *t, const char *s, size_t n)
{
    if (is_request(s, n, "TE") || is_request(s, n, "SH") || is_request(s, n, "Sh")) {
        bool is_end = s[1] == 'T';
        tbl_end(r);
        if (!is_end)
            roff_line(r, s, n);
        return true;
    }
    if (is_request(s, n, "T&")) {
        t->part = TBL_FORMAT;
        return true;
    }
    if (n >= 2 && (s[1] >= '0' && s[1] <= '9'))
        return false; /* a number such as .5 */
    if (t->part != TBL_DATA) {
        if (ends_with(s, n, '.') && (n == 1 || s[1] == ' '))
            t->part = TBL_DATA; /* the format's full stop on a line of its own */
        return true;
    }
    size_t i = 1;
    while (i < n && s[i] == ' ')
        i++;
    size_t k = i;
    while (k < n && s[k] != ' ')
        k++;
    static const char *const run[] = {"if", "ie", "el", "ds", "nr",
                                      "de", "ig", "so", "\\}"};
    const roff_def *d = roff_dict_find(&r->dict, s + i, k - i);
    bool executes = d && d->has_body;
    for (size_t j = 0; j < sizeof run / sizeof *run && !executes; j++)
        executes = strlen(run[j]) == k - i && memcmp(run[j], s + i, k - i) == 0;
    if (executes)
        roff_call(r, s + 1, n - 1);
    else
        block_macro(r, t, s + i, n - i);
    return true;
}

void tbl_line(roff *r, const char *s, size_t n)
{
    tbl_state *t = r->tbl;
    if (n > 0 && (s[0] == '.' || s[0] == '\'') && control_line(r, t, s, n))
        return;
    if (t->part == TBL_OPTIONS && !t->has_line && ends_with(s, n, ';')) {
        t->has_line = true;
        t->part = TBL_FORMAT;
        read_options(t, s, n);
        return;
    }
    t->has_line = true;
    if (t->part != TBL_DATA) {
        t->part = ends_with(s, n, '.') ? TBL_DATA : TBL_FORMAT;
        return;
    }
    if (t->in_block)
        block_line(r, t, s, n);
    else
        read_cells(r, t, s, n);
}
