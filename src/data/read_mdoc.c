/* SPDX-License-Identifier: Apache-2.0 */
/* mdoc(7): the table of macros, words and delimiters, and the macros inside a line. */
#include <stdlib.h>
#include <string.h>

#include "read_mdoc.h"

/* -------------------------------------------------------------------- words */

bool mdoc_is_open_delim(const char *s)
{
    return (s[0] == '(' || s[0] == '[') && s[1] == 0;
}

bool mdoc_is_close_delim(const char *s)
{
    return s[0] && strchr(".,:;)]?!", s[0]) && s[1] == 0;
}

static void begin(roff *r, mdoc_state *m)
{
    if (!r->joins_next && !m->no_blank_once)
        dw_blank(&r->w);
    else
        dw_join(&r->w);
    m->no_blank_once = false;
    r->joins_next = false;
}

void mdoc_word(roff *r, mdoc_state *m, const char *s)
{
    if (mdoc_is_close_delim(s))
        dw_join(&r->w);
    else
        begin(r, m);
    r->joins_next = false;
    m->no_blank_once = false;
    roff_puts(r, s);
    if (mdoc_is_open_delim(s) || (m->spacing_off && !mdoc_is_close_delim(s)))
        m->no_blank_once = true;
}

void mdoc_joined(roff *r, mdoc_state *m, const char *s)
{
    r->joins_next = false;
    m->no_blank_once = false;
    dw_join(&r->w);
    roff_puts(r, s);
}

const mdoc_entry *mdoc_callable(const mdoc_state *m, int i)
{
    if (m->arg.quoted[i])
        return NULL;
    const mdoc_entry *e = mdoc_find(m->arg.v[i]);
    return e && e->is_callable ? e : NULL;
}

int mdoc_plain(roff *r, mdoc_state *m, const char *prefix, int i, int n)
{
    for (; i < n && !mdoc_callable(m, i); i++) {
        const char *s = m->arg.v[i];
        bool is_mark =
            !m->arg.quoted[i] &&
            (mdoc_is_close_delim(s) || mdoc_is_open_delim(s) || strcmp(s, "|") == 0);
        if (*prefix && !is_mark) {
            mdoc_word(r, m, prefix);
            mdoc_joined(r, m, s);
            m->no_blank_once = m->spacing_off;
        } else {
            mdoc_word(r, m, s);
        }
    }
    return i;
}

void mdoc_words(roff *r, mdoc_state *m, int i, int n)
{
    while (i < n) {
        const mdoc_entry *e = mdoc_callable(m, i);
        if (e)
            i = e->run(r, m, e, i + 1, n);
        else
            mdoc_word(r, m, m->arg.v[i++]);
    }
}

/* ---------------------------------------------------------- macros in a line */

static int run_words(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    bool has_word = i < n && !mdoc_callable(m, i) && !mdoc_is_close_delim(m->arg.v[i]);
    if (!has_word && e->open)
        mdoc_word(r, m, e->open);
    return mdoc_plain(r, m, "", i, n);
}

static int run_Fl(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    int next = mdoc_plain(r, m, "-", i, n);
    if (next == i) {
        mdoc_word(r, m, "-");
        m->no_blank_once = i < n;
    }
    return next;
}

static int run_Nm(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    bool has_word = i < n && !mdoc_callable(m, i) && !mdoc_is_close_delim(m->arg.v[i]) &&
                    !mdoc_is_open_delim(m->arg.v[i]);
    if (has_word && !m->name) {
        sm_buf plain = {.max = 4096};
        roff_plain(r, &plain, m->arg.v[i], strlen(m->arg.v[i]));
        m->name = sm_strndup(plain.data ? plain.data : "", plain.len);
        sm_buf_free(&plain);
    }
    if (!has_word && m->name)
        mdoc_word(r, m, m->name);
    return mdoc_plain(r, m, "", i, n);
}

/* Enclosures that last to the end of the line. */
static int run_enclose(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    mdoc_word(r, m, e->open);
    m->no_blank_once = true;
    if (m->n_closer < MDOC_CLOSER_MAX)
        m->closer[m->n_closer++] = e->close;
    return i < n ? i : n;
}

static int run_open(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)n;
    m->n_explicit++;
    if (*e->open) {
        mdoc_word(r, m, e->open);
        m->no_blank_once = true;
    }
    return i;
}

static int run_close(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)n;
    m->n_explicit -= m->n_explicit > 0;
    if (*e->close)
        mdoc_joined(r, m, e->close);
    m->no_blank_once = m->spacing_off;
    return i;
}

/* .Eo and .Ec carry their own delimiters. */
static int run_Eo(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    m->n_explicit++;
    if (i < n && !mdoc_callable(m, i)) {
        mdoc_word(r, m, m->arg.v[i++]);
        m->no_blank_once = true;
    }
    return i;
}

static int run_Ec(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    m->n_explicit -= m->n_explicit > 0;
    if (i < n && !mdoc_callable(m, i))
        mdoc_joined(r, m, m->arg.v[i++]);
    return i;
}

static int run_Es(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)r;
    (void)e;
    if (i + 1 < n && m->n_closer == 0) { /* closers may point at the old pair */
        free(m->es_open);
        free(m->es_close);
        m->es_open = sm_strdup(m->arg.v[i]);
        m->es_close = sm_strdup(m->arg.v[i + 1]);
        i += 2;
    }
    return i;
}

static int run_En(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)n;
    mdoc_entry own = *e;
    own.open = m->es_open ? m->es_open : "";
    own.close = m->es_close ? m->es_close : "";
    return run_enclose(r, m, &own, i, n);
}

static int run_Xr(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i >= n || mdoc_callable(m, i))
        return i;
    mdoc_word(r, m, m->arg.v[i++]);
    if (i < n && !mdoc_callable(m, i) && !mdoc_is_close_delim(m->arg.v[i])) {
        mdoc_joined(r, m, "(");
        mdoc_joined(r, m, m->arg.v[i++]);
        mdoc_joined(r, m, ")");
    }
    return mdoc_plain(r, m, "", i, n);
}

static int run_Ns(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)n;
    r->joins_next = false;
    m->no_blank_once = true;
    return i;
}

static int run_Ap(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)n;
    mdoc_joined(r, m, "'");
    m->no_blank_once = true;
    return i;
}

static int run_Pf(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n) {
        begin(r, m);
        roff_puts(r, m->arg.v[i++]);
        m->no_blank_once = i < n;
    }
    return i;
}

static int run_Sm(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)r;
    (void)e;
    if (i < n && (strcmp(m->arg.v[i], "on") == 0 || strcmp(m->arg.v[i], "off") == 0))
        m->spacing_off = strcmp(m->arg.v[i++], "off") == 0;
    else
        m->spacing_off = !m->spacing_off;
    m->no_blank_once = false;
    return i;
}

/* BSD releases: .Bx 4.3 tahoe, .Fx 9 ... */
static int run_system(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    mdoc_word(r, m, e->open);
    return mdoc_plain(r, m, "", i, n);
}

static int run_Bx(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    bool has_version = i < n && !mdoc_callable(m, i) && !mdoc_is_close_delim(m->arg.v[i]);
    if (has_version) {
        mdoc_word(r, m, m->arg.v[i++]);
        mdoc_joined(r, m, "BSD");
    } else {
        mdoc_word(r, m, "BSD");
    }
    if (has_version && i < n && !mdoc_callable(m, i) &&
        !mdoc_is_close_delim(m->arg.v[i])) {
        char variant[2] = {m->arg.v[i][0], 0};
        if (variant[0] >= 'a' && variant[0] <= 'z')
            variant[0] = (char)(variant[0] - 'a' + 'A');
        mdoc_joined(r, m, "-");
        mdoc_joined(r, m, variant);
        mdoc_joined(r, m, m->arg.v[i++] + 1);
    }
    return mdoc_plain(r, m, "", i, n);
}

static int run_At(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    const char *text = i < n ? mdoc_system(m->arg.v[i]) : NULL;
    mdoc_word(r, m, text ? text : "AT&T UNIX");
    return mdoc_plain(r, m, "", i + (text != NULL), n);
}

static int run_St(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n && m->arg.v[i][0] == '-') {
        const char *text = mdoc_standard(m->arg.v[i++] + 1);
        if (text)
            mdoc_word(r, m, text);
    }
    return mdoc_plain(r, m, "", i, n);
}

static int run_Lb(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i >= n)
        return i;
    const char *key = m->arg.v[i++], *text = mdoc_library(key);
    if (text) {
        mdoc_word(r, m, text);
        mdoc_word(r, m, "(");
        mdoc_word(r, m, key);
        mdoc_joined(r, m, ", -l");
        mdoc_joined(r, m, key + 3);
        mdoc_joined(r, m, ")");
    } else {
        mdoc_word(r, m, "library \"");
        mdoc_joined(r, m, key);
        mdoc_joined(r, m, "\"");
    }
    return mdoc_plain(r, m, "", i, n);
}

/* .Lk address text: the text, then the address. */
static int run_Lk(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i >= n)
        return i;
    const char *address = m->arg.v[i++];
    int stop = i;
    while (stop < n && !mdoc_callable(m, stop) && !mdoc_is_close_delim(m->arg.v[stop]))
        stop++;
    if (stop > i) {
        mdoc_plain(r, m, "", i, stop);
        mdoc_joined(r, m, ":");
    }
    mdoc_word(r, m, address);
    return mdoc_plain(r, m, "", stop, n);
}

static int run_An(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n &&
        (strcmp(m->arg.v[i], "-split") == 0 || strcmp(m->arg.v[i], "-nosplit") == 0))
        return n;
    return mdoc_plain(r, m, "", i, n);
}

static int run_text(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    mdoc_word(r, m, e->open);
    return mdoc_plain(r, m, "", i, n);
}

static int run_ignored(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)r;
    (void)m;
    (void)e;
    (void)i;
    return n;
}

/* -------------------------------------------------------------------- table */

/* Sorted by name (bytes).  To add a macro: a row, and a function when no kind fits. */
static const mdoc_entry macros[] = {
    {"%A", mdoc_ref_field, NULL, NULL, false},
    {"%B", mdoc_ref_field, NULL, NULL, false},
    {"%C", mdoc_ref_field, NULL, NULL, false},
    {"%D", mdoc_ref_field, NULL, NULL, false},
    {"%I", mdoc_ref_field, NULL, NULL, false},
    {"%J", mdoc_ref_field, NULL, NULL, false},
    {"%N", mdoc_ref_field, NULL, NULL, false},
    {"%O", mdoc_ref_field, NULL, NULL, false},
    {"%P", mdoc_ref_field, NULL, NULL, false},
    {"%Q", mdoc_ref_field, NULL, NULL, false},
    {"%R", mdoc_ref_field, NULL, NULL, false},
    {"%T", mdoc_ref_field, NULL, NULL, false},
    {"%U", mdoc_ref_field, NULL, NULL, false},
    {"%V", mdoc_ref_field, NULL, NULL, false},
    {"Ac", run_close, NULL, ">", true},
    {"Ad", run_words, NULL, NULL, true},
    {"An", run_An, NULL, NULL, true},
    {"Ao", run_open, "<", NULL, true},
    {"Ap", run_Ap, NULL, NULL, true},
    {"Aq", run_enclose, "<", ">", true},
    {"Ar", run_words, "file ...", NULL, true},
    {"At", run_At, NULL, NULL, true},
    {"Bc", run_close, NULL, "]", true},
    {"Bd", mdoc_Bd, NULL, NULL, false},
    {"Bf", run_ignored, NULL, NULL, false},
    {"Bk", run_ignored, NULL, NULL, false},
    {"Bl", mdoc_Bl, NULL, NULL, false},
    {"Bo", run_open, "[", NULL, true},
    {"Bq", run_enclose, "[", "]", true},
    {"Brc", run_close, NULL, "}", true},
    {"Bro", run_open, "{", NULL, true},
    {"Brq", run_enclose, "{", "}", true},
    {"Bsx", run_system, "BSD/OS", NULL, true},
    {"Bt", run_text, "is currently in beta test.", NULL, false},
    {"Bx", run_Bx, NULL, NULL, true},
    {"Cd", run_words, NULL, NULL, true},
    {"Cm", run_words, NULL, NULL, true},
    {"D1", mdoc_D1, NULL, NULL, false},
    {"Db", run_ignored, NULL, NULL, false},
    {"Dc", run_close, NULL, "\xe2\x80\x9d", true},
    {"Dd", run_ignored, NULL, NULL, false},
    {"Dl", mdoc_D1, NULL, NULL, false},
    {"Do", run_open, "\xe2\x80\x9c", NULL, true},
    {"Dq", run_enclose, "\xe2\x80\x9c", "\xe2\x80\x9d", true},
    {"Dt", mdoc_Dt, NULL, NULL, false},
    {"Dv", run_words, NULL, NULL, true},
    {"Dx", run_system, "DragonFly", NULL, true},
    {"Ec", run_Ec, NULL, NULL, true},
    {"Ed", mdoc_Ed, NULL, NULL, false},
    {"Ef", run_ignored, NULL, NULL, false},
    {"Ek", run_ignored, NULL, NULL, false},
    {"El", mdoc_El, NULL, NULL, false},
    {"Em", run_words, NULL, NULL, true},
    {"En", run_En, NULL, NULL, true},
    {"Eo", run_Eo, NULL, NULL, true},
    {"Er", run_words, NULL, NULL, true},
    {"Es", run_Es, NULL, NULL, true},
    {"Ev", run_words, NULL, NULL, true},
    {"Ex", mdoc_Ex, NULL, NULL, false},
    {"Fa", mdoc_Fa, NULL, NULL, true},
    {"Fc", mdoc_Fc, NULL, NULL, true},
    {"Fd", mdoc_block_line, NULL, NULL, false},
    {"Fl", run_Fl, NULL, NULL, true},
    {"Fn", mdoc_Fn, NULL, NULL, true},
    {"Fo", mdoc_Fo, NULL, NULL, false},
    {"Fr", run_words, NULL, NULL, true},
    {"Ft", mdoc_Ft, NULL, NULL, true},
    {"Fx", run_system, "FreeBSD", NULL, true},
    {"Hf", run_words, NULL, NULL, false},
    {"Ic", run_words, NULL, NULL, true},
    {"In", mdoc_In, NULL, NULL, true},
    {"It", mdoc_It, NULL, NULL, false},
    {"Lb", run_Lb, NULL, NULL, true},
    {"Li", run_words, NULL, NULL, true},
    {"Lk", run_Lk, NULL, NULL, true},
    {"Lp", mdoc_Pp, NULL, NULL, false},
    {"Ms", run_words, NULL, NULL, true},
    {"Mt", run_words, "~", NULL, true},
    {"Nd", mdoc_Nd, NULL, NULL, false},
    {"Nm", run_Nm, NULL, NULL, true},
    {"No", run_words, NULL, NULL, true},
    {"Ns", run_Ns, NULL, NULL, true},
    {"Nx", run_system, "NetBSD", NULL, true},
    {"Oc", run_close, NULL, "]", true},
    {"Oo", run_open, "[", NULL, true},
    {"Op", run_enclose, "[", "]", true},
    {"Os", run_ignored, NULL, NULL, false},
    {"Ot", run_words, NULL, NULL, false},
    {"Ox", run_system, "OpenBSD", NULL, true},
    {"Pa", run_words, "~", NULL, true},
    {"Pc", run_close, NULL, ")", true},
    {"Pf", run_Pf, NULL, NULL, true},
    {"Po", run_open, "(", NULL, true},
    {"Pp", mdoc_Pp, NULL, NULL, false},
    {"Pq", run_enclose, "(", ")", true},
    {"Qc", run_close, NULL, "\"", true},
    {"Ql", run_enclose, "\xe2\x80\x98", "\xe2\x80\x99", true},
    {"Qo", run_open, "\"", NULL, true},
    {"Qq", run_enclose, "\"", "\"", true},
    {"Re", mdoc_Re, NULL, NULL, false},
    {"Rs", mdoc_Rs, NULL, NULL, false},
    {"Rv", mdoc_Rv, NULL, NULL, false},
    {"Sc", run_close, NULL, "\xe2\x80\x99", true},
    {"Sh", mdoc_Sh, NULL, NULL, false},
    {"Sm", run_Sm, NULL, NULL, false},
    {"So", run_open, "\xe2\x80\x98", NULL, true},
    {"Sq", run_enclose, "\xe2\x80\x98", "\xe2\x80\x99", true},
    {"Ss", mdoc_Ss, NULL, NULL, false},
    {"St", run_St, NULL, NULL, true},
    {"Sx", run_words, NULL, NULL, true},
    {"Sy", run_words, NULL, NULL, true},
    {"Ta", mdoc_Ta, NULL, NULL, true},
    {"Tg", run_ignored, NULL, NULL, false},
    {"Tn", run_words, NULL, NULL, true},
    {"Ud", run_text, "currently under development.", NULL, false},
    {"Ux", run_system, "UNIX", NULL, true},
    {"Va", run_words, NULL, NULL, true},
    {"Vt", run_words, NULL, NULL, true},
    {"Xc", run_close, NULL, "", true},
    {"Xo", run_open, "", NULL, true},
    {"Xr", run_Xr, NULL, NULL, true},
};

const mdoc_entry *mdoc_find(const char *name)
{
    size_t lo = 0, hi = sizeof macros / sizeof *macros;
    if (!name[0] || !name[1] || (name[2] && name[3]))
        return NULL;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(macros[mid].name, name);
        if (c == 0)
            return &macros[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
