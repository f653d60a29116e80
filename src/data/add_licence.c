/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `data add`: licences.  A document's package, version and licence are those of its origin
 * and folder, which are complete only when everything has been read (a copyright file may
 * come last, or be a link into another package); hence the join at the end.
 *
 *   in a package   its copyright file, through links between documentation folders
 *   elsewhere      the licence files of the nearest folder around it that has any
 */
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "licence.h"

/* ----------------------------------------------------------------- folders */

static add_folder *folder_new(add_state *a, add_origin *o, const char *path)
{
    if (a->n_folder == a->cap_folder) {
        size_t cap = a->cap_folder ? 2 * a->cap_folder : 64;
        add_folder **p = sm_realloc(a->folder, cap, sizeof *p);
        if (!p)
            return NULL;
        a->folder = p;
        a->cap_folder = cap;
    }
    add_folder *f = sm_alloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->index = (uint32_t)a->n_folder;
    f->origin = o;
    f->path = sm_strdup(path);
    a->folder[a->n_folder++] = f;
    json_t *index = json_integer(f->index);
    return f->path && json_object_set_new_nocheck(o->folder, path, index) == 0 ? f : NULL;
}

static add_folder *folder_at(const add_state *a, const add_origin *o, const char *path)
{
    const json_t *index = json_object_get(o->folder, path);
    return index ? a->folder[json_integer_value(index)] : NULL;
}

/* "x.tar!a/b" -> "x.tar!a" -> "x.tar" -> "", in place; false at the end. */
static bool to_parent(char *path)
{
    size_t n = strlen(path);
    if (n == 0)
        return false;
    while (n > 0 && path[n - 1] != '/' && path[n - 1] != '!')
        n--;
    path[n > 0 ? n - 1 : 0] = 0;
    return true;
}

add_folder *sm_add_folder_of(add_state *a, add_origin *o, const char *path)
{
    char *folder = sm_strdup(path);
    if (!folder)
        return NULL;
    to_parent(folder);
    pthread_mutex_lock(&a->lock);
    add_folder *f = folder_at(a, o, folder);
    if (!f)
        f = folder_new(a, o, folder);
    pthread_mutex_unlock(&a->lock);
    free(folder);
    return f;
}

/* The terms of "A AND B". */
static bool push_terms(sm_list *terms, const char *licence)
{
    static const char and[] = " AND ";
    while (*licence) {
        const char *end = strstr(licence, and);
        size_t n = end ? (size_t)(end - licence) : strlen(licence);
        char *term = sm_strndup(licence, n);
        bool ok = term && sm_list_push(terms, term);
        free(term);
        if (!ok)
            return false;
        licence += end ? n + sizeof and-1 : n;
    }
    return true;
}

bool sm_add_folder_licence(add_state *a, add_origin *o, const char *path,
                           const char *licence)
{
    add_folder *f = sm_add_folder_of(a, o, path);
    if (!f)
        return false;
    pthread_mutex_lock(&a->lock);
    f->is_licensed = true;
    bool ok = push_terms(&f->terms, licence);
    pthread_mutex_unlock(&a->lock);
    return ok;
}

/* ---------------------------------------------------------------- packages */

/* The copyright that any origin holds for a documentation folder, or NULL. */
static const char *copyright_of(add_origin *const *sorted, size_t n, const char *folder)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(sorted[i]->copyright, folder);
        if (v)
            return json_string_value(v);
    }
    return NULL;
}

/* The entry with the smallest key, so that the order of reading does not matter. */
static const char *first_value(const json_t *object)
{
    const char *key, *best = NULL;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        if (!best || strcmp(key, best) < 0)
            best = key;
    }
    return best ? json_string_value(json_object_get(object, best)) : NULL;
}

static const char *package_licence(const add_state *a, add_origin *const *sorted,
                                   const add_origin *o)
{
    const char *found = NULL;
    const char *folder = o->package;
    for (int hops = 0; folder && !found && hops < 8; hops++) {
        found = json_string_value(json_object_get(o->copyright, folder));
        if (!found && hops > 0)
            found = copyright_of(sorted, a->n_origin, folder);
        folder = json_string_value(json_object_get(o->doc_link, folder));
    }
    if (!found)
        found = first_value(o->copyright);
    return found && *found && strcmp(found, "unknown") != 0 ? found : a->licence;
}

/* -------------------------------------------------------------- settlement */

/* The conjunction of terms, or `otherwise` when there are none; malloc'd. */
static char *joined(sm_list *terms, const char *otherwise)
{
    sm_buf b = {0};
    if (terms->n == 0)
        return sm_strdup(otherwise);
    if (sm_licence_join(&b, terms))
        return b.data;
    sm_buf_free(&b);
    return NULL;
}

/* What holds in a folder: the licence files of the nearest one that has any, from it up. */
static bool settle_folder(const add_state *a, add_origin *const *sorted, add_folder *f)
{
    add_folder *found = NULL;
    char *path = sm_strdup(f->path);
    if (!path)
        return false;
    do {
        found = folder_at(a, f->origin, path);
    } while (!(found && found->is_licensed) && to_parent(path));
    free(path);
    f->licence = found && found->is_licensed
                     ? joined(&found->terms, a->licence)
                     : sm_strdup(package_licence(a, sorted, f->origin));
    return f->licence;
}

/* Of a package its licence; of an archive or a directory those that it holds. */
static bool settle_origin(const add_state *a, add_origin *const *sorted, add_origin *o)
{
    sm_list all = {0};
    const char *key;
    json_t *index;
    bool ok = true;
    json_object_foreach(o->folder, key, index)
    {
        const sm_list *terms = &a->folder[json_integer_value(index)]->terms;
        for (size_t i = 0; i < terms->n && ok; i++)
            ok = sm_list_push(&all, terms->item[i]);
    }
    o->licence = ok ? joined(&all, package_licence(a, sorted, o)) : NULL;
    sm_list_free(&all);
    return o->licence;
}

bool sm_add_settle_licences(add_origin *const *sorted, const add_state *a)
{
    for (size_t i = 0; i < a->n_origin; i++)
        if (!settle_origin(a, sorted, sorted[i]))
            return false;
    for (size_t i = 0; i < a->n_folder; i++)
        if (!settle_folder(a, sorted, a->folder[i]))
            return false;
    return true;
}
