/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for large buffers, in huge pages where Linux grants them: a step walks matrices by
 * columns, a page a row, and the first touch of every page is a fault.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "smelt/sys.h"

enum { HUGE_PAGE = 2 << 20 };

static bool whole_pages(size_t *out, size_t bytes)
{
    bool fits = sm_add_size(out, bytes, HUGE_PAGE - 1);
    *out &= ~(size_t)(HUGE_PAGE - 1);
    return fits && *out > 0;
}

void *sm_pages_alloc(size_t bytes)
{
    size_t size, mapped;
    if (!whole_pages(&size, bytes) || !sm_add_size(&mapped, size, HUGE_PAGE))
        return NULL;
    char *p =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t lead = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (lead > 0)
        munmap(p, lead);
    munmap(p + lead + size, HUGE_PAGE - lead);
#ifdef MADV_HUGEPAGE
    madvise(p + lead, size, MADV_HUGEPAGE);
#endif
    return p + lead;
}

void sm_pages_free(void *memory, size_t bytes)
{
    size_t size;
    if (memory && whole_pages(&size, bytes))
        munmap(memory, size);
}
