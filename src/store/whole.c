/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are about to be read are those that their id says: hashed once a handle. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void store_note_whole(sm_store *s, const sm_id *id)
{
    store_enter(s);
    if (!s->whole)
        s->whole = json_object();
    json_object_set_new(s->whole, id->hex, json_true()); /* lost: hashed once more */
    store_leave(s);
}

static bool is_noted(sm_store *s, const sm_id *id)
{
    store_enter(s);
    bool noted = json_object_get(s->whole, id->hex) != NULL;
    store_leave(s);
    return noted;
}

static const sm_artifact_file *file_of(const sm_artifact *a, const char *path)
{
    for (size_t i = 0; i < a->n_file; i++)
        if (!strcmp(a->file[i].path, path))
            return &a->file[i];
    return NULL;
}

/* The object is not what it was: which leaf of it? */
static sm_status fail_damaged(sm_store *s, const sm_artifact *a,
                              const sm_artifact_file *f, sm_err *err)
{
    object_report r;
    char leaf[128] = "its bytes do not match its name";
    sm_status st = object_check(&r, s, &f->object, err);
    if (st)
        return st;
    if (r.n_leaf > 0)
        object_leaf_text(leaf, &r, 0);
    return sm_fail(err, SM_ECORRUPT, "%s %.12s: %.120s: object %s: %s; run verify",
                   a->kind, a->content.hex, f->path, f->object.hex, leaf);
}

sm_status sm_store_whole_path(char **out, sm_store *s, const sm_artifact *a,
                              const char *path, sm_err *err)
{
    sm_id got;
    char *at = NULL;
    sm_status st = sm_store_path(&at, s, a, path, err); /* so it is one of a's files */
    if (st)
        return st;
    const sm_artifact_file *f = file_of(a, path);
    if (!is_noted(s, &f->object)) {
        st = sm_id_of_file(&got, at, err);
        if (!st && !id_equal(&got, &f->object))
            st = fail_damaged(s, a, f, err);
        if (!st)
            store_note_whole(s, &f->object);
    }
    if (st)
        free(at);
    else
        *out = at;
    return st;
}
