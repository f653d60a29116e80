/* SPDX-License-Identifier: Apache-2.0 */
/* Positions of a document's nodes: JSON pointer -> "NAME:LINE:COL", sorted by pointer. */
#include <stdlib.h>
#include <string.h>

#include "positions.h"

typedef struct position {
    char *pointer, *text;
} position;

struct sm_positions {
    char *name;
    position *item;
    size_t n, cap;
};

sm_positions *sm_positions_new(const char *name)
{
    sm_positions *pos = sm_alloc(1, sizeof *pos);
    if (pos && !(pos->name = sm_strdup(name))) {
        free(pos);
        pos = NULL;
    }
    return pos;
}

bool sm_positions_add(sm_positions *pos, const char *pointer, int line, int column)
{
    if (pos->n == pos->cap) {
        size_t cap = pos->cap ? 2 * pos->cap : 32;
        position *p = sm_realloc(pos->item, cap, sizeof *p);
        if (!p)
            return false;
        pos->item = p;
        pos->cap = cap;
    }
    sm_buf text = {0};
    char *key = sm_strdup(pointer);
    if (!key || !sm_buf_printf(&text, "%s:%d:%d", pos->name, line, column)) {
        free(key);
        sm_buf_free(&text);
        return false;
    }
    pos->item[pos->n++] = (position){.pointer = key, .text = text.data};
    return true;
}

bool sm_pointer_push(sm_buf *pointer, const char *key)
{
    sm_buf_putc(pointer, '/');
    for (; *key; key++) {
        if (*key == '~')
            sm_buf_puts(pointer, "~0");
        else if (*key == '/')
            sm_buf_puts(pointer, "~1");
        else
            sm_buf_putc(pointer, *key);
    }
    return !pointer->failed;
}

static int compare_positions(const void *a, const void *b)
{
    const position *x = a, *y = b;
    return strcmp(x->pointer, y->pointer);
}

void sm_positions_sort(sm_positions *pos)
{
    if (pos->n > 1)
        qsort(pos->item, pos->n, sizeof *pos->item, compare_positions);
}

static const char *find(const sm_positions *pos, const char *pointer, size_t n)
{
    size_t lo = 0, hi = pos->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strncmp(pos->item[mid].pointer, pointer, n);
        if (c == 0 && pos->item[mid].pointer[n])
            c = 1;
        if (c == 0)
            return pos->item[mid].text;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const char *sm_positions_at(const sm_positions *pos, const char *pointer)
{
    if (!pos)
        return "";
    size_t n = strlen(pointer);
    for (;;) {
        const char *text = find(pos, pointer, n);
        if (text)
            return text;
        if (n == 0)
            return pos->name;
        do
            n--;
        while (n > 0 && pointer[n] != '/');
    }
}

const char *sm_positions_key(const sm_positions *pos, const char *pointer)
{
    sm_buf key = {0};
    sm_buf_printf(&key, "%s%s", pointer, SM_KEY_MARK);
    const char *text = pos && key.data ? find(pos, key.data, key.len) : NULL;
    sm_buf_free(&key);
    return text ? text : sm_positions_at(pos, pointer);
}

void sm_positions_free(sm_positions *pos)
{
    if (!pos)
        return;
    for (size_t i = 0; i < pos->n; i++) {
        free(pos->item[i].pointer);
        free(pos->item[i].text);
    }
    free(pos->item);
    free(pos->name);
    free(pos);
}
