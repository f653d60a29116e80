/* SPDX-License-Identifier: Apache-2.0 */
/* mdoc(7): declarations and calls of functions, sentences about them, references. */
#include <string.h>

#include "read_mdoc.h"

int mdoc_In(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_synopsis_break(r, m);
    if (i < n) {
        mdoc_word(r, m, m->in_synopsis ? "#include <" : "<");
        mdoc_joined(r, m, m->arg.v[i++]);
        mdoc_joined(r, m, ">");
    }
    i = mdoc_plain(r, m, "", i, n);
    mdoc_synopsis_break(r, m);
    return i;
}

int mdoc_Ft(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    mdoc_synopsis_break(r, m);
    return mdoc_plain(r, m, "", i, n);
}

/* The k-th parameter of a function: the first joins the parenthesis. */
static void put_parameter(roff *r, mdoc_state *m, int k, const char *s)
{
    mdoc_joined(r, m, k > 0 ? "," : "");
    if (k > 0)
        dw_blank(&r->w);
    roff_puts(r, s);
}

int mdoc_Fn(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i >= n || mdoc_callable(m, i))
        return i;
    if (mdoc_is_open_delim(m->arg.v[i]))
        mdoc_word(r, m, m->arg.v[i++]);
    if (i < n)
        mdoc_word(r, m, m->arg.v[i++]);
    mdoc_joined(r, m, "(");
    for (int k = 0; i < n && !mdoc_callable(m, i) && !mdoc_is_close_delim(m->arg.v[i]);
         k++) {
        put_parameter(r, m, k, m->arg.v[i++]);
    }
    mdoc_joined(r, m, ")");
    if (m->in_synopsis)
        mdoc_joined(r, m, ";");
    i = mdoc_plain(r, m, "", i, n);
    mdoc_synopsis_break(r, m);
    return i;
}

int mdoc_Fo(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n)
        mdoc_word(r, m, m->arg.v[i++]);
    mdoc_joined(r, m, "(");
    m->no_blank_once = true;
    m->in_function = true;
    m->n_explicit++;
    m->n_fa = 0;
    return n;
}

int mdoc_Fa(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (!m->in_function)
        return mdoc_plain(r, m, "", i, n);
    for (; i < n && !mdoc_callable(m, i); i++) {
        if (!m->arg.quoted[i] && mdoc_is_close_delim(m->arg.v[i])) {
            mdoc_word(r, m, m->arg.v[i]);
            continue;
        }
        put_parameter(r, m, m->n_fa++, m->arg.v[i]);
    }
    return i;
}

int mdoc_Fc(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    m->n_explicit -= m->n_explicit > 0;
    m->in_function = false;
    mdoc_joined(r, m, m->in_synopsis ? ");" : ")");
    i = mdoc_plain(r, m, "", i, n);
    mdoc_synopsis_break(r, m);
    return i;
}

/* "a(), b(), and c()" of the words, with `after` behind each. */
static void name_series(roff *r, mdoc_state *m, const char *after, int i, int n)
{
    for (int k = i; k < n; k++) {
        if (k > i && k == n - 1)
            mdoc_word(r, m, "and");
        mdoc_word(r, m, m->arg.v[k]);
        mdoc_joined(r, m, after);
        if (k < n - 1 && n - i > 2)
            mdoc_joined(r, m, ",");
    }
}

int mdoc_Rv(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n && strcmp(m->arg.v[i], "-std") == 0)
        i++;
    if (i < n) {
        mdoc_word(r, m, "The");
        name_series(r, m, "()", i, n);
        mdoc_word(r, m, n - i > 1 ? "functions return" : "function returns");
        mdoc_word(r, m, "the value 0 if successful; otherwise the value -1 is returned");
    } else {
        mdoc_word(r, m,
                  "Upon successful completion, the value 0 is returned; otherwise the "
                  "value -1 is returned");
    }
    mdoc_word(r, m, "and the global variable errno is set to indicate the error.");
    return n;
}

int mdoc_Ex(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    if (i < n && strcmp(m->arg.v[i], "-std") == 0)
        i++;
    bool several = n - i > 1;
    mdoc_word(r, m, "The");
    if (i < n)
        name_series(r, m, "", i, n);
    else
        mdoc_word(r, m, m->name ? m->name : "");
    mdoc_word(r, m, several ? "utilities exit" : "utility exits");
    mdoc_word(r, m, "0 on success, and >0 if an error occurs.");
    return n;
}

/* --------------------------------------------------------------- references */

/* The order in which a reference prints its fields. */
static const char ref_order[] = "ATBIJRNVUPQCDO";

int mdoc_Rs(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)i;
    mdoc_reset_line(r, m);
    m->in_reference = true;
    m->n_ref_author = 0;
    for (int k = 0; k < MDOC_REF_FIELDS; k++) {
        sm_buf_clear(&m->ref[k]);
        m->ref[k].max = ROFF_LINE_MAX;
    }
    return n;
}

int mdoc_ref_field(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    const char *at = strchr(ref_order, e->name[1]);
    if (!at || !m->in_reference) {
        mdoc_words(r, m, i, n);
        return n;
    }
    sm_buf *field = &m->ref[at - ref_order];
    /* authors are kept apart by a newline until their number is known */
    if (field->len)
        sm_buf_putc(field, e->name[1] == 'A' ? '\n' : ' ');
    for (int k = i; k < n; k++) {
        if (k > i && !mdoc_is_close_delim(m->arg.v[k]))
            sm_buf_putc(field, ' ');
        sm_buf_puts(field, m->arg.v[k]);
    }
    m->n_ref_author += e->name[1] == 'A';
    return n;
}

static void put_authors(roff *r, mdoc_state *m)
{
    const sm_buf *b = &m->ref[0];
    int k = 0;
    for (size_t i = 0; i < b->len; k++) {
        const char *nl = memchr(b->data + i, '\n', b->len - i);
        size_t end = nl ? (size_t)(nl - b->data) : b->len;
        if (k > 0 && m->n_ref_author > 2)
            mdoc_joined(r, m, ",");
        if (k > 0 && k == m->n_ref_author - 1)
            mdoc_word(r, m, "and");
        mdoc_word(r, m, "");
        roff_put(r, b->data + i, end - i);
        i = end + 1;
    }
}

int mdoc_Re(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n)
{
    (void)e;
    (void)i;
    bool is_first = true;
    m->in_reference = false;
    for (int k = 0; k < MDOC_REF_FIELDS; k++) {
        if (!m->ref[k].len)
            continue;
        if (!is_first)
            mdoc_joined(r, m, ",");
        if (k == 0)
            put_authors(r, m);
        else
            mdoc_word(r, m, m->ref[k].data);
        is_first = false;
        sm_buf_clear(&m->ref[k]);
    }
    if (!is_first)
        mdoc_joined(r, m, ".");
    return n;
}
