/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact deduplication: equal texts up to white space.  Of several copies the best described
 * survives (title, summary, section), then the longest, then the one with the smallest id.
 */
#include <stdlib.h>
#include <string.h>

#include "curate.h"
#include "hash.h"

bool sm_text_hash(unsigned char out[16], const char *text, size_t len, sm_buf *scratch)
{
    sm_buf_clear(scratch);
    if (!sm_buf_reserve(scratch, len + 1))
        return false;
    bool space = true;
    char *to = scratch->data;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!blank)
            *to++ = c;
        else if (!space)
            *to++ = ' ';
        space = blank;
    }
    size_t n = (size_t)(to - scratch->data);
    if (n > 0 && scratch->data[n - 1] == ' ')
        n--;
    unsigned char digest[32];
    sm_sha h;
    sm_sha_begin(&h);
    sm_sha_put(&h, scratch->data, n);
    if (!sm_sha_end(&h, digest))
        return false;
    memcpy(out, digest, 16);
    return true;
}

/* How much is known about a document: a manual page says its name, purpose and section. */
static int described(const sm_document *d)
{
    return (*d->title != 0) + (*d->summary != 0) + (*d->section != 0);
}

bool sm_survives(const curate_doc *a, const curate_doc *b)
{
    int know_a = described(&a->doc), know_b = described(&b->doc);
    if (know_a != know_b)
        return know_a > know_b;
    if (a->doc.text_len != b->doc.text_len)
        return a->doc.text_len > b->doc.text_len;
    return strcmp(a->doc.id, b->doc.id) < 0;
}

/* Same hash together, the survivor first. */
static int compare(const void *x, const void *y)
{
    curate_doc *const *a = x, *const *b = y;
    int c = memcmp((*a)->hash, (*b)->hash, sizeof(*a)->hash);
    if (c)
        return c;
    return sm_survives(*a, *b) ? -1 : sm_survives(*b, *a);
}

sm_status sm_step_exact_dedup(curate *c, sm_err *err)
{
    sm_status s = SM_OK;
    curate_doc **kept = sm_alloc(c->n + 1, sizeof *kept);
    if (!kept)
        return sm_fail(err, SM_ENOMEM, "exact_dedup: out of memory");
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!c->doc[i].reason)
            kept[n++] = &c->doc[i];
    qsort(kept, n, sizeof *kept, compare);
    for (size_t i = 1, first = 0; i < n && !s; i++) {
        if (memcmp(kept[first]->hash, kept[i]->hash, sizeof kept[i]->hash) == 0)
            s = sm_curate_reject(kept[i], "exact.duplicate", err, "of %s (%s)",
                                 kept[first]->doc.id, kept[first]->doc.path);
        else
            first = i;
    }
    free(kept);
    return s;
}
