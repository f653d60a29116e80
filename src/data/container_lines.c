/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a .jsonl entry; see container_lines.h. */
#include "container_lines.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)1 << 20)

bool sm_lines_begin(sm_lines *x, const char *path, size_t max_bytes)
{
    sm_lines_free(x);
    *x = (sm_lines){.is_on = true,
                    .path = sm_strdup(path),
                    .max_bytes = max_bytes,
                    .first = 1,
                    .at = 1};
    return x->path;
}

void sm_lines_free(sm_lines *x)
{
    free(x->path);
    sm_buf_free(&x->carry);
    *x = (sm_lines){0};
}

/* The lines so far; the last of an entry may lack its '\n'. */
static sm_status hand_lines(sm_lines *x, sm_entry *e, sm_err *err)
{
    if (!sm_buf_reserve(&x->carry, 1))
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", x->path);
    x->carry.data[x->carry.len] = 0;
    e->kind = SM_ENTRY_LINES;
    e->path = sm_strdup(x->path);
    e->line = x->first;
    e->data = x->carry.data;
    e->len = x->carry.len;
    x->carry = (sm_buf){0};
    x->start = 0;
    x->first = x->at;
    return e->path ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", x->path);
}

static sm_status hand_long_line(sm_lines *x, sm_entry *e, sm_err *err)
{
    static const char what[] = "a line is larger than max_file_bytes";
    sm_buf path = {0};
    sm_buf_printf(&path, "%s#%lld", x->path, (long long)x->at);
    x->is_long = false;
    x->is_dropping = true;
    e->kind = SM_ENTRY_PROBLEM;
    e->path = path.data;
    e->data = sm_strdup(what);
    e->len = sizeof what - 1;
    return !path.failed && e->data
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "%s: out of memory", x->path);
}

/* The rest of the line at hand, as far as the block has it. */
static sm_status take_line(sm_lines *x, sm_err *err)
{
    const char *nl = memchr(x->block, '\n', x->block_len);
    size_t text = nl ? (size_t)(nl - x->block) : x->block_len, n = text + (nl != NULL);
    if (!x->is_dropping && x->carry.len - x->start + text > x->max_bytes) {
        x->carry.len = x->start;
        x->is_long = true;
        return SM_OK;
    }
    if (!x->is_dropping && !sm_buf_put(&x->carry, x->block, n))
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", x->path);
    x->block += n;
    x->block_len -= n;
    if (!nl)
        return SM_OK;
    x->at++;
    x->start = x->carry.len;
    if (x->is_dropping)
        x->first = x->at;
    x->is_dropping = false;
    return SM_OK;
}

sm_status sm_lines_next(sm_lines *x, sm_entry *e, sm_lines_source more, void *self,
                        sm_err *err)
{
    size_t enough = x->max_bytes < CHUNK ? x->max_bytes : CHUNK;
    sm_status s = SM_OK;
    *e = (sm_entry){0};
    while (x->is_on && x->start < enough && !x->is_long && !s) {
        if (x->block_len == 0)
            s = more(self, &x->block, &x->block_len, err);
        if (s)
            break;
        x->is_on = x->block_len > 0;
        if (x->is_on)
            s = take_line(x, err);
    }
    if (s)
        return s;
    return x->is_long && x->start == 0 ? hand_long_line(x, e, err)
                                       : hand_lines(x, e, err);
}
