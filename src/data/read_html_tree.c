/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The tree of a page, by gumbo, in an arena of its own that is released at once: gumbo's own
 * clean-up recurses over the depth of the page.
 *
 * Gumbo meets a page that it cannot build (an HTML table's part that stands inside <svg>,
 * say) with an assertion, and a lack of memory with a null pointer.  Neither may end the
 * program, so both leave the parser by a jump: the arena is all that it holds.  For the
 * assertions this file gives __assert_fail, which the C library would (Linux Standard Base,
 * generic part, baselib---assert-fail-1): what comes while no page is parsed is passed on to it.
 */
#include <dlfcn.h> /* RTLD_NEXT */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "read_html.h"

enum { CHUNK_BYTES = 256 << 10, ALIGN = 16 };

struct html_chunk {
    struct html_chunk *next;
    size_t used, cap;
};

/* Where the page leaves that this thread parses. */
static _Thread_local jmp_buf *way_out;

/* gumbo's public header cannot say it: every assertion of a library arrives here. */
_Noreturn __attribute__((visibility("default"))) void
__assert_fail(const char *expression, const char *file, unsigned line,
              const char *function);

void __assert_fail(const char *expression, const char *file, unsigned line,
                   const char *function)
{
    if (way_out)
        longjmp(*way_out, HTML_TREE_REFUSED);
    void (*next)(const char *, const char *, unsigned, const char *) = NULL;
    void *found = dlsym(RTLD_NEXT, "__assert_fail");
    memcpy(&next, &found, sizeof next);
    if (next)
        next(expression, file, line, function);
    __builtin_trap();
}

static void *allocate(void *self, size_t size)
{
    html_tree *t = self;
    size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t head = sizeof(struct html_chunk) + ALIGN;
    if (!t->top || t->top->cap - t->top->used < need) {
        size_t cap = need > CHUNK_BYTES ? need : CHUNK_BYTES;
        struct html_chunk *c = malloc(head + cap);
        if (!c)
            longjmp(*way_out, HTML_TREE_NO_MEMORY);
        *c = (struct html_chunk){.next = t->top, .cap = cap};
        t->top = c;
    }
    char *base = (char *)t->top;
    size_t offset = (head & ~(size_t)(ALIGN - 1)) + t->top->used;
    t->top->used += need;
    return base + offset;
}

static void release(void *self, void *p)
{
    (void)self;
    (void)p;
}

html_tree_status html_tree_parse(html_tree *t, const char *s, size_t len)
{
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = allocate;
    options.deallocator = release;
    options.userdata = t;
    options.max_errors = 0;
    jmp_buf out;
    switch (setjmp(out)) {
    case 0:
        way_out = &out;
        t->document = gumbo_parse_with_options(&options, s, len)->document;
        way_out = NULL;
        return HTML_TREE_BUILT;
    case HTML_TREE_REFUSED:
        way_out = NULL;
        return HTML_TREE_REFUSED;
    default:
        way_out = NULL;
        return HTML_TREE_NO_MEMORY;
    }
}

void html_tree_free(html_tree *t)
{
    while (t->top) {
        struct html_chunk *c = t->top;
        t->top = c->next;
        free(c);
    }
}
