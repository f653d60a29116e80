/* SPDX-License-Identifier: Apache-2.0 */
/* Checked allocation, the bump arena and the growable buffer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/base.h"

enum { ALIGN = 64, PAGE = 4096, BIG = 1 << 20, ARENA_BLOCK = 1 << 20 };

bool sm_mul_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool sm_add_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out);
}

void *sm_alloc(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *sm_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!sm_mul_size(&bytes, n, size))
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *sm_strndup(const char *s, size_t n)
{
    char *d = malloc(n + 1);
    if (d) {
        memcpy(d, s, n);
        d[n] = 0;
    }
    return d;
}

char *sm_strdup(const char *s)
{
    return sm_strndup(s, strlen(s));
}

void *sm_aligned_alloc(size_t bytes)
{
    size_t align = bytes >= BIG ? PAGE : ALIGN, rounded;
    if (!sm_add_size(&rounded, bytes ? bytes : 1, align - 1))
        return NULL;
    rounded &= ~(align - 1);
    void *p = aligned_alloc(align, rounded);
    if (p)
        memset(p, 0, rounded);
    return p;
}

void sm_aligned_free(void *p)
{
    free(p);
}

/* ------------------------------------------------------------------- arena */

/* Blocks form a list, newest first; a mark is the total handed out so far. */
typedef struct arena_block {
    struct arena_block *prev;
    size_t base; /* total handed out when this block began */
    size_t used, cap;
    char *data;
} arena_block;

struct sm_arena {
    arena_block *top;
    size_t total, peak, cap;
};

sm_status sm_arena_create(sm_arena **out, size_t cap_bytes, sm_err *err)
{
    sm_arena *a = sm_alloc(1, sizeof *a);
    if (!a)
        return sm_fail(err, SM_ENOMEM, "arena: out of memory");
    a->cap = cap_bytes;
    *out = a;
    return SM_OK;
}

static arena_block *block_new(sm_arena *a, size_t bytes)
{
    size_t cap = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
    arena_block *b = sm_alloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->data = sm_aligned_alloc(cap);
    if (!b->data) {
        free(b);
        return NULL;
    }
    b->cap = cap;
    b->base = a->total;
    b->prev = a->top;
    a->top = b;
    return b;
}

void *sm_arena_alloc(sm_arena *a, size_t bytes)
{
    size_t need;
    if (!sm_add_size(&need, bytes, ALIGN - 1))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (need > a->cap || a->total > a->cap - need)
        return NULL;
    arena_block *b = a->top;
    if (!b || b->cap - b->used < need)
        b = block_new(a, need);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    a->total += need;
    if (a->total > a->peak)
        a->peak = a->total;
    return p;
}

size_t sm_arena_mark(const sm_arena *a)
{
    return a->total;
}

static void block_free(arena_block *b)
{
    sm_aligned_free(b->data);
    free(b);
}

void sm_arena_release(sm_arena *a, size_t mark)
{
    while (a->top && a->top->base >= mark && a->top->prev) {
        arena_block *b = a->top;
        a->top = b->prev;
        a->total = b->base;
        block_free(b);
    }
    if (a->top && mark >= a->top->base) {
        a->top->used = mark - a->top->base;
        a->total = mark;
    }
}

size_t sm_arena_peak_bytes(const sm_arena *a)
{
    return a->peak;
}

void sm_arena_free(sm_arena *a)
{
    if (!a)
        return;
    while (a->top) {
        arena_block *b = a->top;
        a->top = b->prev;
        block_free(b);
    }
    free(a);
}

/* ------------------------------------------------------------------ buffer */

bool sm_buf_reserve(sm_buf *b, size_t more)
{
    size_t max = b->max ? b->max : (size_t)1 << 30, need;
    if (b->failed)
        return false;
    if (!sm_add_size(&need, b->len, more) || need > max || need == SIZE_MAX) {
        b->failed = true;
        return false;
    }
    if (b->data && need + 1 <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need + 1)
        cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    char *p = realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    if (!b->data)
        p[0] = 0;
    b->data = p;
    b->cap = cap;
    return true;
}

bool sm_buf_put(sm_buf *b, const void *bytes, size_t n)
{
    if (!sm_buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool sm_buf_puts(sm_buf *b, const char *s)
{
    return sm_buf_put(b, s, strlen(s));
}

bool sm_buf_putc(sm_buf *b, char c)
{
    return sm_buf_put(b, &c, 1);
}

bool sm_buf_printf(sm_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    bool ok = n >= 0 && sm_buf_reserve(b, (size_t)n);
    if (ok) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
    return ok;
}

void sm_buf_clear(sm_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

void sm_buf_free(sm_buf *b)
{
    free(b->data);
    *b = (sm_buf){.max = b->max};
}
