/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The table of roff requests that matter for text, and those of files and layout.  To add
 * one: a handler and its row in the table, sorted by name.  Requests that only change
 * appearance are rows with `ignore`.
 */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"
#include "read_roff_request.h"

typedef struct request {
    const char *name;
    void (*run)(roff *r, const char *s, size_t n, int variant);
    int variant;
} request;

size_t roff_skip_blanks(const char *s, size_t n, size_t i)
{
    while (i < n && (s[i] == ' ' || s[i] == '\t'))
        i++;
    return i;
}

/* The word at *i; moves *i behind it and the blanks that follow. */
const char *roff_next_word(const char *s, size_t n, size_t *i, size_t *len)
{
    size_t start = roff_skip_blanks(s, n, *i), end = start;
    while (end < n && s[end] != ' ' && s[end] != '\t')
        end++;
    *len = end - start;
    *i = roff_skip_blanks(s, n, end);
    return s + start;
}

/* ----------------------------------------------------------- files, control */

static void do_so(roff *r, const char *s, size_t n, int variant)
{
    enum { INCLUDE_MAX = 64 };
    size_t i = 0, len, n_data = 0;
    const char *word = roff_next_word(s, n, &i, &len);
    char *name = sm_strndup(word, len), *data = NULL;
    sm_buf text = {.max = SM_EXTRACT_MAX_BYTES};
    (void)variant;
    if (name && r->so && ++r->n_include <= INCLUDE_MAX &&
        r->so->read(r->so->self, &data, &n_data, name, NULL) == SM_OK &&
        roff_spend(r, n_data) && sm_decode_text(&text, data, n_data, NULL, NULL)) {
        for (size_t k = 0; k < text.len; k++)
            if (text.data[k] == 0)
                text.data[k] = ' ';
        char *owned = text.data;
        text.data = NULL;
        roff_push(r, owned ? owned : "", text.len, owned, NULL, true);
    }
    sm_buf_free(&text);
    free(data);
    free(name);
}

static void do_cc(roff *r, const char *s, size_t n, int variant)
{
    size_t i = roff_skip_blanks(s, n, 0);
    (void)variant;
    r->control = i < n ? s[i] : '.';
}

enum { ESCAPE_SET = 0, ESCAPE_OFF = 1 };

static void do_ec(roff *r, const char *s, size_t n, int variant)
{
    size_t i = roff_skip_blanks(s, n, 0);
    r->escape = variant == ESCAPE_OFF ? 0 : i < n ? s[i] : '\\';
}

/* ------------------------------------------------------------------- layout */

static void do_br(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    (void)variant;
    roff_break(r);
}

static void do_sp(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    (void)variant;
    roff_para(r);
}

static void do_fill(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    roff_fill(r, variant != 0);
}

static void do_ce(roff *r, const char *s, size_t n, int variant)
{
    long k = 1;
    size_t used, i = roff_skip_blanks(s, n, 0);
    (void)variant;
    if (i < n && !roff_number(&k, s + i, n - i, &used))
        k = 1;
    roff_break(r);
    r->n_center = k < 0 ? 0 : k > 10000 ? 10000 : (int)k;
}

/* .tl 'left'middle'right' */
static void do_tl(roff *r, const char *s, size_t n, int variant)
{
    size_t i = roff_skip_blanks(s, n, 0);
    (void)variant;
    if (i >= n)
        return;
    char delim = s[i++];
    roff_break(r);
    while (i < n) {
        size_t start = i;
        while (i < n && s[i] != delim)
            i++;
        dw_blank(&r->w);
        roff_put(r, s + start, i - start);
        i++;
    }
    roff_break(r);
}

static void do_table(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    (void)variant;
    tbl_begin(r);
}

enum { EQN_END = 0, EQN_BEGIN = 1, SKIP_BEGIN = 2 };

static void do_preprocessor(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    r->in_eqn = variant == EQN_BEGIN;
    r->in_skip = variant == SKIP_BEGIN;
    dw_blank(&r->w);
}

static void ignore(roff *r, const char *s, size_t n, int variant)
{
    (void)r;
    (void)s;
    (void)n;
    (void)variant;
}

/* Sorted by name (bytes). */
static const request requests[] = {
    {"EN", do_preprocessor, EQN_END},
    {"EQ", do_preprocessor, EQN_BEGIN},
    {"G1", do_preprocessor, SKIP_BEGIN},
    {"G2", do_preprocessor, EQN_END},
    {"GE", do_preprocessor, EQN_END},
    {"GS", do_preprocessor, SKIP_BEGIN},
    {"PE", do_preprocessor, EQN_END},
    {"PF", do_preprocessor, EQN_END},
    {"PS", do_preprocessor, SKIP_BEGIN},
    {"TE", ignore, 0},
    {"TS", do_table, 0},
    {"ab", roff_do_leave, LEAVE_ALL},
    {"ad", ignore, 0},
    {"als", roff_do_rn, COPY_ALIAS},
    {"am", roff_do_de, DEFINE_APPEND},
    {"am1", roff_do_de, DEFINE_APPEND},
    {"as", roff_do_ds, DEFINE_APPEND},
    {"as1", roff_do_ds, DEFINE_APPEND},
    {"bp", do_sp, 0},
    {"br", do_br, 0},
    {"break", roff_do_leave, LEAVE_LOOP},
    {"brp", do_br, 0},
    {"c2", ignore, 0},
    {"cc", do_cc, 0},
    {"ce", do_ce, 0},
    {"cu", ignore, 0},
    {"de", roff_do_de, DEFINE_NEW},
    {"de1", roff_do_de, DEFINE_NEW},
    {"do", roff_do_call, 0},
    {"ds", roff_do_ds, DEFINE_NEW},
    {"ds1", roff_do_ds, DEFINE_NEW},
    {"ec", do_ec, ESCAPE_SET},
    {"ecr", do_ec, ESCAPE_SET},
    {"ecs", ignore, 0},
    {"el", roff_do_el, 0},
    {"eo", do_ec, ESCAPE_OFF},
    {"ex", roff_do_leave, LEAVE_ALL},
    {"fi", do_fill, 1},
    {"ft", ignore, 0},
    {"hy", ignore, 0},
    {"ie", roff_do_if, IF_WITH_ELSE},
    {"if", roff_do_if, IF_ALONE},
    {"ig", roff_do_ig, 0},
    {"in", do_br, 0},
    {"ll", ignore, 0},
    {"na", ignore, 0},
    {"ne", ignore, 0},
    {"nf", do_fill, 0},
    {"nh", ignore, 0},
    {"nop", roff_do_line, 0},
    {"nr", roff_do_nr, 0},
    {"nx", roff_do_leave, LEAVE_ALL},
    {"pl", ignore, 0},
    {"ps", ignore, 0},
    {"return", roff_do_leave, LEAVE_MACRO},
    {"rj", do_ce, 0},
    {"rm", roff_do_rm, REMOVE_BODY},
    {"rn", roff_do_rn, COPY_RENAME},
    {"rr", roff_do_rm, REMOVE_VALUE},
    {"rs", ignore, 0},
    {"shift", roff_do_shift, 0},
    {"so", do_so, 0},
    {"sp", do_sp, 0},
    {"sv", do_sp, 0},
    {"ta", ignore, 0},
    {"ti", do_br, 0},
    {"tl", do_tl, 0},
    {"tm", ignore, 0},
    {"tr", roff_do_tr, 0},
    {"ul", ignore, 0},
    {"vs", ignore, 0},
    {"while", roff_do_while, 0},
};

bool roff_request(roff *r, const char *name, size_t n_name, const char *rest, size_t n)
{
    size_t lo = 0, hi = sizeof requests / sizeof *requests;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strncmp(requests[mid].name, name, n_name);
        if (c == 0 && requests[mid].name[n_name] != 0)
            c = 1;
        if (c == 0) {
            requests[mid].run(r, rest, n, requests[mid].variant);
            return true;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}
