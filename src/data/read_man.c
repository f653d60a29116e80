/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The man(7) macros: sections, paragraphs, tagged lists, indentation, fonts, links.
 *
 * Invariants:
 *  1. `depth` is the number of open .RS; items and paragraphs hang at that nesting.
 *  2. While `pending` is not NONE the next text becomes a heading or the term of an item;
 *     it is finished by man_line_end once the open block has text.
 */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

enum { DEPTH_MAX = 50 };

typedef enum man_pending { PENDING_NONE, PENDING_HEADING, PENDING_TERM } man_pending;

typedef struct man_state {
    int depth;
    man_pending pending;
    roff_args arg;
    char *link; /* of .UR or .MT */
    bool link_has_text;
    size_t link_from; /* length of the open block when the link began */
} man_state;

void man_free(man_state *m)
{
    if (!m)
        return;
    sm_buf_free(&m->arg.store);
    free(m->link);
    free(m);
}

static man_state *state(roff *r)
{
    if (!r->man) {
        r->man = sm_alloc(1, sizeof *r->man);
        r->has_failed |= !r->man;
        if (r->man)
            r->man->arg.store.max = ROFF_LINE_MAX + ROFF_ARG_MAX;
    }
    return r->man;
}

void man_line_end(roff *r)
{
    man_state *m = r->man;
    if (!m || m->pending == PENDING_NONE || r->joins_next || r->w.para.len == 0)
        return;
    if (m->pending == PENDING_TERM)
        dw_term_end(&r->w);
    else
        dw_para(&r->w);
    m->pending = PENDING_NONE;
}

static void begin_text(roff *r)
{
    if (!r->joins_next)
        dw_blank(&r->w);
    r->joins_next = false;
}

/* ------------------------------------------------------------------- macros */

static bool do_TH(roff *r, man_state *m)
{
    sm_buf plain = {.max = 4096};
    char **field[] = {&r->title, &r->section};
    for (int i = 0; i < 2 && i < m->arg.n; i++) {
        sm_buf_clear(&plain);
        roff_plain(r, &plain, m->arg.v[i], strlen(m->arg.v[i]));
        free(*field[i]);
        *field[i] = sm_strndup(plain.data ? plain.data : "", plain.len);
    }
    sm_buf_free(&plain);
    return false;
}

static void put_all(roff *r, const man_state *m, bool with_blanks)
{
    begin_text(r);
    for (int i = 0; i < m->arg.n; i++) {
        if (i > 0 && with_blanks)
            roff_put(r, " ", 1);
        roff_puts(r, m->arg.v[i]);
    }
}

static bool heading(roff *r, man_state *m, int level)
{
    m->depth = 0;
    roff_fill(r, true);
    dw_heading(&r->w, level);
    m->pending = PENDING_HEADING;
    if (m->arg.n > 0) {
        put_all(r, m, true);
        r->joins_next = false;
        dw_para(&r->w);
        m->pending = PENDING_NONE;
    }
    return false;
}

static bool do_SH(roff *r, man_state *m)
{
    return heading(r, m, 1);
}

static bool do_SS(roff *r, man_state *m)
{
    return heading(r, m, 2);
}

static bool do_PP(roff *r, man_state *m)
{
    m->pending = PENDING_NONE;
    r->joins_next = false;
    dw_indent(&r->w, m->depth);
    return false;
}

static bool do_TP(roff *r, man_state *m)
{
    r->joins_next = false;
    dw_item(&r->w, m->depth);
    m->pending = PENDING_TERM;
    return false;
}

/* Signs that mark an item and say nothing. */
static bool is_bullet(const sm_buf *b)
{
    static const char *const bullets[] = {"-",
                                          "*",
                                          "o",
                                          "\xe2\x80\xa2",
                                          "\xc2\xb7",
                                          "\xe2\x80\x93",
                                          "\xe2\x80\x94",
                                          "\xe2\x88\x92",
                                          "+",
                                          "\xe2\x88\x99"};
    for (size_t i = 0; i < sizeof bullets / sizeof *bullets; i++)
        if (strlen(bullets[i]) == b->len && memcmp(bullets[i], b->data, b->len) == 0)
            return true;
    return false;
}

static bool do_IP(roff *r, man_state *m)
{
    m->pending = PENDING_NONE;
    r->joins_next = false;
    sm_buf tag = {.max = ROFF_LINE_MAX};
    if (m->arg.n > 0)
        roff_plain(r, &tag, m->arg.v[0], strlen(m->arg.v[0]));
    size_t i = 0;
    while (i < tag.len && tag.data[i] == ' ')
        i++;
    if (i == tag.len) {
        dw_indent(&r->w, m->depth + 1);
    } else {
        dw_item(&r->w, m->depth);
        if (!is_bullet(&tag)) {
            roff_puts(r, m->arg.v[0]);
            dw_term_end(&r->w);
        }
    }
    sm_buf_free(&tag);
    r->joins_next = false;
    return false;
}

static bool do_RS(roff *r, man_state *m)
{
    r->joins_next = false;
    m->depth += m->depth < DEPTH_MAX;
    dw_indent(&r->w, m->depth);
    return false;
}

static bool do_RE(roff *r, man_state *m)
{
    long to = 0;
    size_t used;
    r->joins_next = false;
    if (m->arg.n > 0 && roff_number(&to, m->arg.v[0], strlen(m->arg.v[0]), &used))
        to -= 1;
    else
        to = m->depth - 1;
    if (to < m->depth)
        m->depth = to < 0 ? 0 : (int)to;
    dw_indent(&r->w, m->depth);
    return false;
}

static bool do_joined(roff *r, man_state *m)
{
    if (m->arg.n > 0)
        put_all(r, m, false);
    return m->arg.n > 0;
}

static bool do_spaced(roff *r, man_state *m)
{
    if (m->arg.n > 0)
        put_all(r, m, true);
    return m->arg.n > 0;
}

static bool do_OP(roff *r, man_state *m)
{
    begin_text(r);
    roff_puts(r, "[");
    for (int i = 0; i < m->arg.n; i++) {
        if (i > 0)
            roff_put(r, " ", 1);
        roff_puts(r, m->arg.v[i]);
    }
    dw_join(&r->w);
    roff_puts(r, "]");
    return true;
}

static bool do_MR(roff *r, man_state *m)
{
    static const char *const mark[] = {"", "(", ")"};
    begin_text(r);
    for (int i = 0; i < m->arg.n; i++) {
        roff_puts(r, i < 3 ? mark[i] : " ");
        roff_puts(r, m->arg.v[i]);
    }
    if (m->arg.n == 2)
        roff_puts(r, ")");
    return true;
}

static bool do_SY(roff *r, man_state *m)
{
    dw_indent(&r->w, m->depth);
    roff_fill(r, true);
    put_all(r, m, true);
    return false;
}

static bool do_UR(roff *r, man_state *m)
{
    free(m->link);
    m->link = m->arg.n > 0 ? sm_strdup(m->arg.v[0]) : NULL;
    m->link_from = r->w.para.len;
    return false;
}

static bool do_UE(roff *r, man_state *m)
{
    if (!m->link)
        return false;
    bool has_text = r->w.para.len != m->link_from;
    if (has_text)
        begin_text(r);
    else
        dw_blank(&r->w);
    roff_puts(r, "<");
    roff_puts(r, m->link);
    roff_puts(r, ">");
    for (int i = 0; i < m->arg.n; i++)
        roff_puts(r, m->arg.v[i]);
    free(m->link);
    m->link = NULL;
    return true;
}

static bool do_EX(roff *r, man_state *m)
{
    (void)m;
    roff_fill(r, false);
    return false;
}

static bool do_EE(roff *r, man_state *m)
{
    (void)m;
    roff_fill(r, true);
    return false;
}

typedef struct man_entry {
    char name[4];
    bool (*run)(roff *r, man_state *m); /* true: wrote text of a line */
} man_entry;

/* Sorted by name. */
static const man_entry macros[] = {
    {"B", do_spaced},  {"BI", do_joined}, {"BR", do_joined}, {"EE", do_EE},
    {"EX", do_EX},     {"HP", do_PP},     {"I", do_spaced},  {"IB", do_joined},
    {"IP", do_IP},     {"IR", do_joined}, {"LP", do_PP},     {"ME", do_UE},
    {"MR", do_MR},     {"MT", do_UR},     {"OP", do_OP},     {"P", do_PP},
    {"PP", do_PP},     {"R", do_spaced},  {"RB", do_joined}, {"RE", do_RE},
    {"RI", do_joined}, {"RS", do_RS},     {"SB", do_spaced}, {"SH", do_SH},
    {"SM", do_spaced}, {"SS", do_SS},     {"SY", do_SY},     {"TH", do_TH},
    {"TP", do_TP},     {"TQ", do_TP},     {"UE", do_UE},     {"UR", do_UR},
    {"YS", do_PP},
};

bool man_macro(roff *r, const char *name, const char *rest, size_t n)
{
    man_state *m = state(r);
    size_t lo = 0, hi = sizeof macros / sizeof *macros;
    while (m && lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(macros[mid].name, name);
        if (c == 0) {
            roff_split_args(&m->arg, rest, n);
            return macros[mid].run(r, m);
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}
