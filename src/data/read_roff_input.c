/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Input side of the roff interpreter: the stack of frames, physical and continued lines,
 * interpolation of strings, registers and arguments, and the splitting of arguments.
 */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"

enum { EXPAND_DEPTH_MAX = 64 };

bool roff_spend(roff *r, size_t n)
{
    if (n > r->budget) {
        r->budget = 0;
        r->has_ended = r->is_cut = true;
        return false;
    }
    r->budget -= n;
    return true;
}

void roff_args_free(roff_args *a)
{
    if (a)
        sm_buf_free(&a->store);
    free(a);
}

bool roff_push(roff *r, const char *data, size_t len, char *owned, roff_args *arg,
               bool is_file)
{
    if (r->n_frame >= ROFF_FRAME_MAX) {
        free(owned);
        roff_args_free(arg);
        return false;
    }
    r->frame[r->n_frame++] = (roff_frame){.data = data,
                                          .len = len,
                                          .owned = owned,
                                          .arg = arg,
                                          .is_file = is_file,
                                          .n_cond = r->n_cond};
    return true;
}

static void pop(roff *r)
{
    roff_frame *f = &r->frame[--r->n_frame];
    free(f->owned);
    roff_args_free(f->arg);
    *f = (roff_frame){0};
}

bool roff_raw_line(roff *r, const char **line, size_t *n)
{
    if (r->n_frame == 0)
        return false;
    roff_frame *f = &r->frame[r->n_frame - 1];
    if (f->pos >= f->len || !roff_spend(r, 16))
        return false;
    const char *s = f->data + f->pos, *nl = memchr(s, '\n', f->len - f->pos);
    *line = s;
    *n = nl ? (size_t)(nl - s) : f->len - f->pos;
    f->pos += *n + (nl != NULL);
    return roff_spend(r, *n);
}

/* Odd number of backslashes at the end: the newline is escaped. */
static bool is_continued(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && s[n - 1 - k] == '\\')
        k++;
    return k % 2 == 1;
}

/* Position of an unescaped `\"` or `\#`; n when there is none. */
static size_t find_comment(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *p = memchr(s + i, '\\', n - i);
        if (!p || p + 1 >= s + n)
            return n;
        if (p[1] == '"' || p[1] == '#')
            return (size_t)(p - s);
        i = (size_t)(p - s) + 2;
    }
    return n;
}

/* Append a line with a changed escape character (.ec, .eo) rewritten to the usual one. */
static void put_raw(roff *r, const char *s, size_t n)
{
    if (r->escape == '\\') {
        sm_buf_put(&r->raw, s, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\')
            sm_buf_puts(&r->raw, "\\e");
        else if (r->escape && s[i] == r->escape)
            sm_buf_putc(&r->raw, '\\');
        else
            sm_buf_putc(&r->raw, s[i]);
    }
}

bool roff_next_line(roff *r)
{
    const char *s;
    size_t n;
    sm_buf_clear(&r->raw);
    while (r->n_frame > 0 && !r->has_ended) {
        size_t from = r->raw.len;
        if (!roff_raw_line(r, &s, &n)) {
            if (r->raw.len > 0)
                return true;
            pop(r);
            continue;
        }
        if (from == 0 && n >= 3 && (s[0] == '.' || s[0] == '\'') && s[1] == '\\' &&
            (s[2] == '"' || s[2] == '#') && r->escape == '\\')
            continue;
        put_raw(r, s, n);
        char *line = r->raw.data ? r->raw.data + from : NULL;
        size_t len = r->raw.len - from, cut = line ? find_comment(line, len) : len;
        if (cut < len) {
            bool joins = line[cut + 1] == '#';
            r->raw.len = from + cut;
            line[cut] = 0;
            if (joins && r->raw.len < ROFF_LINE_MAX)
                continue;
        } else if (is_continued(line, len) && r->raw.len < ROFF_LINE_MAX) {
            r->raw.data[--r->raw.len] = 0;
            continue;
        }
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- expansion */

static bool expand(roff *r, sm_buf *out, const char *s, size_t n, bool copy_mode,
                   int depth);

/* The call whose arguments \$ means: the innermost macro frame. */
static const roff_args *current_args(const roff *r)
{
    for (int i = r->n_frame - 1; i >= 0; i--)
        if (r->frame[i].arg)
            return r->frame[i].arg;
    return NULL;
}

static void put_argument(roff *r, sm_buf *out, const char *name, size_t n)
{
    const roff_args *a = current_args(r);
    if (!a || n == 0)
        return;
    if (name[0] == '*' || name[0] == '@') {
        for (int i = 0; i < a->n; i++) {
            const char *q = name[0] == '@' ? "\"" : "";
            sm_buf_printf(out, "%s%s%s%s", i ? " " : "", q, a->v[i], q);
            if (!roff_spend(r, strlen(a->v[i])))
                return;
        }
        return;
    }
    int k = 0;
    for (size_t i = 0; i < n && name[i] >= '0' && name[i] <= '9' && k < 1000; i++)
        k = k * 10 + (name[i] - '0');
    if (k >= 1 && k <= a->n && roff_spend(r, strlen(a->v[k - 1])))
        sm_buf_puts(out, a->v[k - 1]);
}

static void put_register(roff *r, sm_buf *out, const roff_escape *e)
{
    long v = 0;
    roff_def *d = roff_dict_find(&r->dict, e->arg, e->n);
    if (e->sign && d && d->has_value)
        d->value = (long)((unsigned long)d->value +
                          (unsigned long)(e->sign > 0 ? d->step : -d->step));
    roff_register(r, e->arg, e->n, &v);
    sm_buf_printf(out, "%ld", v);
}

/* Strings that the macro packages predefine. */
static const char *predefined(const char *name, size_t n)
{
    static const struct {
        const char *name, *value;
    } table[] = {{"R", "\\(rg"},
                 {"Tm", "\\(tm"},
                 {"lq", "\\(lq"},
                 {"rq", "\\(rq"},
                 {"S", ""},
                 {"HF", ""},
                 {"Am", "&"},
                 {"Ba", "|"},
                 {"Ge", "\\(>="},
                 {"Gt", ">"},
                 {"Le", "\\(<="},
                 {"Lt", "<"},
                 {"Ne", "\\(!="},
                 {"Pm", "\\(+-"},
                 {"If", "\\(if"},
                 {"Pi", "\\(*p"},
                 {"Na", "NaN"},
                 {"ga", "\\(ga"},
                 {"aa", "\\(aa"},
                 {"q", "\\(dq"},
                 {"Lq", "\\(lq"},
                 {"Rq", "\\(rq"},
                 {"left-bracket", "["},
                 {"left-singlequote", "\\(oq"},
                 {"right-singlequote", "\\(cq"},
                 {"lp", "("},
                 {"rp", ")"},
                 {"Px", "POSIX"},
                 {"Ai", "ANSI"},
                 {".T", "utf8"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
            return table[i].value;
    return NULL;
}

static void put_string(roff *r, sm_buf *out, const char *name, size_t n, bool copy_mode,
                       int depth)
{
    const char *space = memchr(name, ' ', n); /* \*[name arg ...]: arguments unused */
    if (space)
        n = (size_t)(space - name);
    const roff_def *d = roff_dict_find(&r->dict, name, n);
    if (d && d->has_body && !d->is_macro) {
        /* The table may move while expanding: work on a copy only when needed. */
        if (!memchr(d->body.data ? d->body.data : "", '\\', d->body.len)) {
            if (roff_spend(r, d->body.len))
                sm_buf_put(out, d->body.data, d->body.len);
            return;
        }
        char *copy =
            roff_spend(r, d->body.len) ? sm_strndup(d->body.data, d->body.len) : NULL;
        if (copy)
            expand(r, out, copy, d->body.len, copy_mode, depth + 1);
        free(copy);
        return;
    }
    const char *text = predefined(name, n);
    if (text)
        sm_buf_puts(out, text);
}

/* Visible width of text in basic units: 24 a character, as on a terminal. */
static long text_width(roff *r, const char *s, size_t n)
{
    sm_buf plain = {.max = ROFF_LINE_MAX};
    roff_plain(r, &plain, s, n);
    long chars = 0;
    for (size_t i = 0; i < plain.len; i++)
        chars += ((unsigned char)plain.data[i] & 0xc0) != 0x80;
    sm_buf_free(&plain);
    return chars * 24;
}

/* Escapes that interpolate.  Returns false when `e` is not one of them. */
static bool interpolate(roff *r, sm_buf *out, const roff_escape *e, bool copy_mode,
                        int depth)
{
    if (!strchr("*n$wBA", e->c) || (copy_mode && strchr("wBA", e->c)))
        return false;
    roff_escape x = *e;
    sm_buf name = {.max = ROFF_LINE_MAX};
    if (e->n && memchr(e->arg, '\\', e->n)) {
        expand(r, &name, e->arg, e->n, copy_mode, depth + 1);
        x.arg = name.data ? name.data : "";
        x.n = name.len;
    }
    long v;
    size_t used;
    switch (e->c) {
    case '*':
        put_string(r, out, x.arg, x.n, copy_mode, depth);
        break;
    case 'n':
        put_register(r, out, &x);
        break;
    case '$':
        put_argument(r, out, x.arg, x.n);
        break;
    case 'w':
        sm_buf_printf(out, "%ld", text_width(r, x.arg, x.n));
        break;
    case 'B':
        sm_buf_putc(out, roff_number(&v, x.arg, x.n, &used) && used == x.n ? '1' : '0');
        break;
    default:
        sm_buf_putc(out, '1');
        break;
    }
    sm_buf_free(&name);
    return true;
}

static bool expand(roff *r, sm_buf *out, const char *s, size_t n, bool copy_mode,
                   int depth)
{
    if (depth > EXPAND_DEPTH_MAX)
        return true;
    for (size_t i = 0; i < n;) {
        const char *p = memchr(s + i, '\\', n - i);
        size_t run = p ? (size_t)(p - s) - i : n - i;
        sm_buf_put(out, s + i, run);
        i += run;
        if (i + 1 >= n) { /* the end, or an escaped newline that a body keeps */
            if (i < n && copy_mode)
                sm_buf_putc(out, '\\');
            break;
        }
        roff_escape e;
        size_t used = roff_escape_read(&e, s + i + 1, n - i - 1);
        if (e.c == '\\' && copy_mode)
            sm_buf_putc(out, '\\');
        else if (!interpolate(r, out, &e, copy_mode, depth)) {
            bool nests = e.n && strchr("hvloDsSHXZ", e.c) && memchr(e.arg, '\\', e.n);
            /* Only the letter is copied, so that escapes in the argument are met too. */
            sm_buf_put(out, s + i, nests ? 2 : used + 1);
            used = nests ? 1 : used;
        }
        i += used + 1;
        if (out->failed || r->has_ended || !roff_spend(r, used + e.n))
            return false;
    }
    return !out->failed;
}

bool roff_expand(roff *r, sm_buf *out, const char *s, size_t n, bool copy_mode)
{
    return expand(r, out, s, n, copy_mode, 0);
}

/* ---------------------------------------------------------------- arguments */

/* End of the argument that starts at i; writes it to the store. */
static size_t read_arg(sm_buf *store, const char *s, size_t n, size_t i, bool *quoted)
{
    *quoted = s[i] == '"';
    i += *quoted;
    while (i < n) {
        if (*quoted && s[i] == '"') {
            if (i + 1 >= n || s[i + 1] != '"')
                return i + 1;
            i++;
        } else if (!*quoted && s[i] == ' ') {
            return i;
        } else if (s[i] == '\\' && i + 1 < n) {
            sm_buf_putc(store, s[i++]);
        }
        sm_buf_putc(store, s[i++]);
    }
    return i;
}

void roff_split_args(roff_args *a, const char *s, size_t n)
{
    a->n = 0;
    sm_buf_clear(&a->store);
    /* An argument never grows: one NUL each is all that is added. */
    if (!sm_buf_reserve(&a->store, n + ROFF_ARG_MAX + 1))
        return;
    for (size_t i = 0; i < n && a->n < ROFF_ARG_MAX;) {
        while (i < n && s[i] == ' ')
            i++;
        if (i >= n)
            break;
        a->v[a->n] = a->store.data + a->store.len;
        i = read_arg(&a->store, s, n, i, &a->quoted[a->n]);
        sm_buf_putc(&a->store, 0);
        a->n++;
    }
}
