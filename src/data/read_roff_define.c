/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that define: macros, strings, registers, aliases, translations. */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"
#include "read_roff_request.h"

/* Is this line the end of a definition: ".." or ".name"? */
static bool ends_definition(const roff *r, const char *s, size_t n, const char *end,
                            size_t n_end)
{
    if (n < 2 || (s[0] != r->control && s[0] != '\''))
        return false;
    size_t i = roff_skip_blanks(s, n, 1);
    if (n - i < n_end || memcmp(s + i, end, n_end) != 0)
        return false;
    i += n_end;
    return i == n || s[i] == ' ' || s[i] == '\t' || s[i] == '\\';
}

/* Read a body up to its end mark into `body` (NULL: drop it). */
static void read_body(roff *r, sm_buf *body, const char *end, size_t n_end)
{
    const char *line;
    size_t n;
    while (roff_raw_line(r, &line, &n)) {
        if (ends_definition(r, line, n, end, n_end))
            return;
        if (body) {
            if (r->escape) /* else the body is kept for when escapes are on again */
                roff_expand(r, body, line, n, true);
            else
                sm_buf_put(body, line, n);
            sm_buf_putc(body, '\n');
        }
    }
}

void roff_do_de(roff *r, const char *s, size_t n, int variant)
{
    size_t i = 0, n_name, n_end;
    const char *name = roff_next_word(s, n, &i, &n_name);
    const char *end = roff_next_word(s, n, &i, &n_end);
    char end_mark[64] = ".";
    if (n_end > 0 && n_end < sizeof end_mark)
        memcpy(end_mark, end, n_end);
    else
        n_end = 1;
    sm_buf body = {.max = ROFF_LINE_MAX};
    read_body(r, &body, end_mark, n_end);
    roff_def *d = roff_dict_put(&r->dict, name, n_name);
    if (d) {
        if (variant != DEFINE_APPEND || !d->is_macro)
            sm_buf_clear(&d->body);
        sm_buf_put(&d->body, body.data, body.len);
        d->has_body = d->is_macro = true;
    }
    sm_buf_free(&body);
}

void roff_do_ig(roff *r, const char *s, size_t n, int variant)
{
    size_t i = 0, n_end;
    const char *end = roff_next_word(s, n, &i, &n_end);
    char end_mark[64] = ".";
    (void)variant;
    if (n_end > 0 && n_end < sizeof end_mark)
        memcpy(end_mark, end, n_end);
    else
        n_end = 1;
    read_body(r, NULL, end_mark, n_end);
}

void roff_do_ds(roff *r, const char *s, size_t n, int variant)
{
    size_t i = 0, n_name;
    const char *name = roff_next_word(s, n, &i, &n_name);
    roff_def *d = roff_dict_put(&r->dict, name, n_name);
    if (!d)
        return;
    if (i < n && s[i] == '"')
        i++;
    sm_buf text = {.max = ROFF_LINE_MAX};
    for (; i < n; i++) { /* copy mode: the expansion left `\\` alone */
        sm_buf_putc(&text, s[i]);
        if (s[i] == '\\' && i + 1 < n && s[i + 1] == '\\')
            i++;
    }
    if (variant != DEFINE_APPEND || d->is_macro)
        sm_buf_clear(&d->body);
    if (roff_spend(r, text.len))
        sm_buf_put(&d->body, text.data, text.len);
    d->has_body = true;
    d->is_macro = false;
    sm_buf_free(&text);
}

void roff_do_nr(roff *r, const char *s, size_t n, int variant)
{
    size_t i = 0, n_name, used;
    const char *name = roff_next_word(s, n, &i, &n_name);
    long v;
    (void)variant;
    char sign = i < n && (s[i] == '+' || s[i] == '-') ? s[i] : 0;
    if (!roff_number(&v, s + i + (sign != 0), n - i - (sign != 0), &used))
        return;
    roff_def *d = roff_dict_put(&r->dict, name, n_name);
    if (!d)
        return;
    unsigned long old = d->has_value ? (unsigned long)d->value : 0;
    d->value = sign == '+'   ? (long)(old + (unsigned long)v)
               : sign == '-' ? (long)(old - (unsigned long)v)
                             : v;
    d->has_value = true;
    i = roff_skip_blanks(s, n, i + used + (sign != 0));
    if (i < n && roff_number(&v, s + i, n - i, &used))
        d->step = v;
}

void roff_do_rm(roff *r, const char *s, size_t n, int variant)
{
    for (size_t i = 0, len; i < n;) {
        const char *name = roff_next_word(s, n, &i, &len);
        roff_def *d = roff_dict_find(&r->dict, name, len);
        if (d && variant == REMOVE_BODY)
            d->has_body = d->is_macro = false;
        else if (d)
            d->has_value = false;
    }
}

/* .rn old new and .als new old: the new name gets a copy of the old body. */
void roff_do_rn(roff *r, const char *s, size_t n, int variant)
{
    size_t i = 0, n_a, n_b;
    const char *a = roff_next_word(s, n, &i, &n_a), *b = roff_next_word(s, n, &i, &n_b);
    const char *old = variant == COPY_RENAME ? a : b,
               *new = variant == COPY_RENAME ? b : a;
    size_t n_old = variant == COPY_RENAME ? n_a : n_b, n_new = n_a + n_b - n_old;
    if (n_old == 0 || n_new == 0 || (n_old == n_new && memcmp(old, new, n_old) == 0))
        return;
    sm_buf body = {.max = ROFF_LINE_MAX};
    roff_def *from = roff_dict_find(&r->dict, old, n_old);
    bool is_user = from && from->has_body, is_macro = !is_user || from->is_macro;
    if (is_user) {
        sm_buf_put(&body, from->body.data, from->body.len);
    } else { /* a request or macro of the package: call that one */
        sm_buf_putc(&body, '.');
        sm_buf_putc(&body, ROFF_BUILTIN_MARK);
        sm_buf_put(&body, old, n_old);
        sm_buf_puts(&body, " \\$@\n");
    }
    roff_def *to = roff_dict_put(&r->dict, new, n_new);
    if (to && roff_spend(r, body.len)) {
        sm_buf_clear(&to->body);
        sm_buf_put(&to->body, body.data, body.len);
        to->has_body = true;
        to->is_macro = is_macro;
    }
    if (is_user && variant == COPY_RENAME) {
        from = roff_dict_find(&r->dict, old, n_old); /* the table may have moved */
        from->has_body = from->is_macro = false;
    }
    sm_buf_free(&body);
}

/* One character or escape of .tr as UTF-8. */
static size_t tr_unit(roff *r, const char *s, size_t n, char out[ROFF_GLYPH_MAX],
                      unsigned char *len)
{
    size_t k = 1;
    roff_escape e;
    if (s[0] == '\\' && n > 1)
        k = 1 + roff_escape_read(&e, s + 1, n - 1);
    else
        while (k < n && ((unsigned char)s[k] & 0xc0) == 0x80)
            k++;
    sm_buf plain = {.max = ROFF_LINE_MAX};
    int n_tr = r->n_tr;
    r->n_tr = 0;
    roff_plain(r, &plain, s, k);
    r->n_tr = n_tr;
    *len = (unsigned char)(plain.len <= ROFF_GLYPH_MAX ? plain.len : 0);
    if (*len)
        memcpy(out, plain.data, *len);
    sm_buf_free(&plain);
    return k;
}

void roff_do_tr(roff *r, const char *s, size_t n, int variant)
{
    (void)variant;
    for (size_t i = roff_skip_blanks(s, n, 0); i < n && r->n_tr < ROFF_TR_MAX;) {
        int k = r->n_tr;
        i += tr_unit(r, s + i, n - i, r->tr[k].from, &r->tr[k].n_from);
        if (i < n)
            i += tr_unit(r, s + i, n - i, r->tr[k].to, &r->tr[k].n_to);
        else
            r->tr[k].n_to = 0;
        if (r->tr[k].n_from == 0)
            continue;
        unsigned char first = (unsigned char)r->tr[k].from[0];
        if (first < 128)
            r->tr_ascii[first] = true;
        r->n_tr++;
    }
}
