/* SPDX-License-Identifier: Apache-2.0 */
/* Open passages and, from them or from a cache (index_cache.c), their full-text tables. */
#include <stdlib.h>
#include <string.h>

#include "index_internal.h"

/* ------------------------------------------------------------ the passages */

static sm_status parse_lines(sm_index *x, const sm_map *m, const char *path, sm_err *err)
{
    const char *p = (const char *)m->data, *end = p + m->len;
    x->lines = json_array();
    for (int64_t line = 1; p < end; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        json_error_t je;
        json_t *o = json_loadb(p, n, JSON_REJECT_DUPLICATES, &je);
        if (!json_is_object(o) || !*sm_json_text(o, "doc") ||
            json_array_append_new(x->lines, o)) {
            json_decref(json_is_object(o) ? NULL : o);
            return sm_fail(err, SM_ECORRUPT,
                           "%s:%lld: got no passage, want a JSON object "
                           "with \"doc\" and \"text\"",
                           path, (long long)line);
        }
        p += n + 1;
    }
    x->n_passage = json_array_size(x->lines);
    if (x->n_passage == 0)
        return sm_fail(err, SM_EINVAL, "%s: got no passages, want one", path);
    return SM_OK;
}

static sm_status bind_passages(sm_index *x, sm_err *err)
{
    x->passage = sm_alloc(x->n_passage, sizeof *x->passage);
    x->first = sm_alloc(x->n_passage + 1, sizeof *x->first);
    if (!x->passage || !x->first)
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    for (size_t i = 0; i < x->n_passage; i++) {
        const json_t *o = json_array_get(x->lines, i);
        const char *id = sm_json_text(o, "doc");
        if (i == 0 || strcmp(id, x->passage[i - 1].id) != 0)
            x->first[x->n_doc++] = i;
        x->passage[i] = (sm_passage){.doc = (int32_t)(x->n_doc - 1),
                                     .id = id,
                                     .title = sm_json_text(o, "title"),
                                     .summary = sm_json_text(o, "summary"),
                                     .section = sm_json_text(o, "section"),
                                     .heading = sm_json_text(o, "heading"),
                                     .package = sm_json_text(o, "package"),
                                     .version = sm_json_text(o, "version"),
                                     .licence = sm_json_text(o, "licence"),
                                     .path = sm_json_text(o, "path"),
                                     .text = sm_json_text(o, "text")};
    }
    x->first[x->n_doc] = x->n_passage;
    return SM_OK;
}

sm_status sm_index_open(sm_index **out, const char *passages_path, const char *cache_path,
                        bool with_names, sm_err *err)
{
    sm_map m;
    sm_status s = sm_map_open(&m, passages_path, err);
    if (s)
        return s;
    sm_index *x = sm_alloc(1, sizeof *x);
    if (!x) {
        sm_map_close(&m);
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    }
    x->with_names = with_names;
    s = parse_lines(x, &m, passages_path, err);
    if (!s)
        s = bind_passages(x, err);
    if (!s)
        s = sm_index_attach(x, cache_path, &m, err);
    sm_map_close(&m);
    if (s) {
        sm_index_close(x);
        return s;
    }
    *out = x;
    return SM_OK;
}

void sm_index_close(sm_index *x)
{
    if (!x)
        return;
    sqlite3_close(x->db);
    json_decref(x->lines);
    free(x->passage);
    free(x->first);
    free(x);
}

size_t sm_index_n_doc(const sm_index *x)
{
    return x->n_doc;
}

size_t sm_index_n_passage(const sm_index *x)
{
    return x->n_passage;
}

sm_passage sm_index_passage(const sm_index *x, size_t i)
{
    return x->passage[i];
}

size_t sm_index_first_passage(const sm_index *x, int32_t doc)
{
    return x->first[doc];
}
