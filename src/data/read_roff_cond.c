/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that steer: conditionals, loops, leaving and shifting. */
#include <stdlib.h>
#include <string.h>

#include "read_roff.h"
#include "read_roff_request.h"

/* Blocks opened minus blocks closed in a line; *end is behind the `\}` that made the
 * balance zero, or n. */
static int balance(const char *s, size_t n, int depth)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const char *p = memchr(s + i, '\\', n - i - 1);
        if (!p)
            break;
        i = (size_t)(p - s) + 1;
        if (s[i] == '{')
            depth++;
        else if (s[i] == '}' && --depth == 0)
            return 0;
    }
    return depth;
}

/* Skip what a false condition governs: the rest of the line, or its block. */
static void skip_governed(roff *r, const char *rest, size_t n)
{
    const char *line;
    int depth = balance(rest, n, 0);
    while (depth > 0 && roff_raw_line(r, &line, &n))
        depth = balance(line, n, depth);
}

static void run_governed(roff *r, const char *s, size_t n)
{
    size_t i = roff_skip_blanks(s, n, 0);
    bool is_block = false;
    while (i + 1 < n && s[i] == '\\' && s[i + 1] == '{') {
        if (r->n_cond < ROFF_COND_MAX)
            r->n_cond++;
        i = roff_skip_blanks(s, n, i + 2);
        is_block = true;
    }
    if (i < n || !is_block)
        roff_line(r, s + i, n - i);
}

void roff_do_if(roff *r, const char *s, size_t n, int variant)
{
    size_t used;
    bool holds = roff_condition(r, s, n, &used);
    if (variant == IF_WITH_ELSE) {
        if (r->n_else ==
            ROFF_COND_MAX) { /* hundreds of .ie without .el: forget the old */
            memmove(r->else_taken, r->else_taken + 1,
                    sizeof r->else_taken[0] * (ROFF_COND_MAX - 1));
            r->n_else--;
        }
        r->else_taken[r->n_else++] = !holds;
    }
    if (holds)
        run_governed(r, s + used, n - used);
    else
        skip_governed(r, s + used, n - used);
}

void roff_do_el(roff *r, const char *s, size_t n, int variant)
{
    (void)variant;
    bool taken = r->n_else > 0 && r->else_taken[--r->n_else];
    if (taken)
        run_governed(r, s, n);
    else
        skip_governed(r, s, n);
}

size_t roff_close_blocks(roff *r, sm_buf *line)
{
    size_t j = 0;
    char *s = line->data;
    for (size_t i = 0; i < line->len; i++) {
        if (s[i] == '\\' && i + 1 < line->len) {
            if (s[i + 1] == '}') {
                if (r->n_cond > 0)
                    r->n_cond--;
                i++;
                continue;
            }
            if (s[i + 1] == '{') { /* the rest belongs to an .if on this line */
                memmove(s + j, s + i, line->len - i);
                j += line->len - i;
                break;
            }
            s[j++] = s[i++];
        }
        s[j++] = s[i];
    }
    line->len = j;
    s[j] = 0;
    return j;
}

/* .while: the condition must be evaluated anew, so the raw text is kept and pushed again
 * below the body for as long as it holds. */
void roff_do_while(roff *r, const char *s, size_t n, int variant)
{
    (void)variant;
    (void)s;
    (void)n;
    const char *at = r->raw.data ? strstr(r->raw.data, "while") : NULL;
    if (!at)
        return;
    sm_buf all = {.max = ROFF_LINE_MAX}, cond = {.max = ROFF_LINE_MAX};
    sm_buf_puts(&all, ".while");
    sm_buf_puts(&all, at + 5);
    int depth = balance(all.data, all.len, 0);
    const char *line;
    size_t len, used = 0;
    while (depth > 0 && roff_raw_line(r, &line, &len)) {
        depth = balance(line, len, depth);
        sm_buf_putc(&all, '\n');
        sm_buf_put(&all, line, len);
    }
    const char *body = all.data ? strstr(all.data, "\\{") : NULL;
    if (body && !all.failed)
        roff_expand(r, &cond, all.data + 6, (size_t)(body - all.data) - 6, false);
    if (body && cond.data && roff_spend(r, all.len) &&
        roff_condition(r, cond.data, cond.len, &used)) {
        size_t n_body = all.len - (size_t)(body - all.data) - 2;
        if (n_body >= 2 && memcmp(all.data + all.len - 2, "\\}", 2) == 0)
            n_body -= 2;
        char *copy = sm_strndup(body + 2, n_body);
        char *again = sm_strndup(all.data, all.len);
        if (copy && again && roff_push(r, again, all.len, again, NULL, false)) {
            r->frame[r->n_frame - 1].is_loop = true;
            roff_push(r, copy, n_body, copy, NULL, false);
        } else {
            free(copy);
        }
    }
    sm_buf_free(&all);
    sm_buf_free(&cond);
}

void roff_do_leave(roff *r, const char *s, size_t n, int variant)
{
    (void)s;
    (void)n;
    for (int i = r->n_frame - 1; i >= 0; i--) {
        roff_frame *f = &r->frame[i];
        if (variant != LEAVE_ALL && f->is_file)
            return;
        f->pos = f->len;
        r->n_cond = f->n_cond;
        if ((variant == LEAVE_LOOP && f->is_loop) || (variant == LEAVE_MACRO && f->arg))
            return;
    }
    r->has_ended = true;
}

void roff_do_shift(roff *r, const char *s, size_t n, int variant)
{
    long k = 1;
    size_t used, i = roff_skip_blanks(s, n, 0);
    (void)variant;
    if (i < n && !roff_number(&k, s + i, n - i, &used))
        k = 1;
    for (int f = r->n_frame - 1; f >= 0; f--) {
        roff_args *a = r->frame[f].arg;
        if (!a)
            continue;
        int by = k < 0 ? 0 : k > a->n ? a->n : (int)k;
        memmove(a->v, a->v + by, sizeof *a->v * (size_t)(a->n - by));
        a->n -= by;
        return;
    }
}

void roff_do_line(roff *r, const char *s, size_t n, int variant)
{
    size_t i = roff_skip_blanks(s, n, 0);
    (void)variant;
    roff_line(r, s + i, n - i);
}

void roff_do_call(roff *r, const char *s, size_t n, int variant)
{
    size_t i = roff_skip_blanks(s, n, 0);
    (void)variant;
    if (r->n_nest >= ROFF_NEST_MAX)
        return;
    r->n_nest++;
    roff_call(r, s + i, n - i);
    r->n_nest--;
}
