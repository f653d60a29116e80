/* SPDX-License-Identifier: Apache-2.0 */
/* `data add`: origins, what was counted in each, and the report of them. */
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "names.h"

static add_origin *origin_new(add_state *a, const add_origin *parent, const char *path)
{
    if (a->n_origin == a->cap_origin) {
        size_t cap = a->cap_origin ? 2 * a->cap_origin : 64;
        add_origin **p = sm_realloc(a->origin, cap, sizeof *p);
        if (!p)
            return NULL;
        a->origin = p;
        a->cap_origin = cap;
    }
    add_origin *o = sm_alloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->parent = parent;
    o->path = sm_strdup(path);
    o->copyright = json_object();
    o->doc_link = json_object();
    o->folder = json_object();
    o->errors = json_array();
    a->origin[a->n_origin++] = o;
    return o->path && o->copyright && o->doc_link && o->folder && o->errors ? o : NULL;
}

/* Archives carry their file's hash; loose files share their path's. */
static sm_status item_origin(add_state *a, add_item *item, add_origin **group,
                             sm_err *err)
{
    bool is_read = item->kind == ADD_FILE || item->kind == ADD_UNREADABLE;
    bool archive = is_read && sm_name_is_archive(item->name);
    add_origin *o = archive ? NULL : *group;
    if (!o)
        o = origin_new(a, NULL, archive ? item->name : a->items.group[item->group]);
    if (!o)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", item->name);
    if (archive)
        memcpy(o->sha256, item->sha256, sizeof o->sha256);
    else if (!*group && !sm_add_group_hash(o->sha256, &a->items, item->group))
        return sm_fail(err, SM_ENOMEM, "%s: SHA-256 failed", item->name);
    if (!archive)
        *group = o;
    o->bytes += item->bytes;
    item->origin = o;
    if (item->kind == ADD_LINK)
        o->n_aliases++;
    if (item->kind == ADD_SKIPPED)
        sm_add_origin_count(a, o, item->why, true);
    if (item->kind == ADD_UNREADABLE)
        sm_add_origin_error(a, o, item->name, item->problem);
    return SM_OK;
}

sm_status sm_add_make_origins(add_state *a, sm_err *err)
{
    sm_status s = SM_OK;
    add_origin **group = sm_alloc(a->items.n_group, sizeof(add_origin *));
    if (!group)
        return sm_fail(err, SM_ENOMEM, "data add: out of memory");
    for (size_t i = 0; i < a->items.n && !s; i++) {
        add_item *item = &a->items.item[i];
        s = item_origin(a, item, &group[item->group], err);
    }
    free(group);
    return s;
}

add_origin *sm_add_origin_of(add_state *a, const add_item *item, const char *package_at)
{
    add_origin *o = NULL;
    bool archive = sm_name_is_archive(item->name);
    if (!package_at || (archive && strcmp(package_at, item->name) == 0))
        return item->origin;
    pthread_mutex_lock(&a->lock);
    /* newest first: a lane asks for the same origin many times in a row */
    for (size_t i = a->n_origin; i > 0 && !o; i--)
        if (a->origin[i - 1]->parent == item->origin &&
            strcmp(a->origin[i - 1]->path, package_at) == 0)
            o = a->origin[i - 1];
    if (!o)
        o = origin_new(a, item->origin, package_at);
    pthread_mutex_unlock(&a->lock);
    return o;
}

void sm_add_origin_count(add_state *a, add_origin *o, const char *what, bool skipped)
{
    add_count *c = skipped ? o->skipped : o->format;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < ADD_MAX_CODES; i++) {
        if (c[i].what && strcmp(c[i].what, what) != 0)
            continue;
        c[i].what = what;
        c[i].n++;
        break;
    }
    pthread_mutex_unlock(&a->lock);
}

void sm_add_origin_error(add_state *a, add_origin *o, const char *path, const char *text)
{
    pthread_mutex_lock(&a->lock);
    o->n_errors++;
    if (json_array_size(o->errors) < ADD_MAX_ERRORS) {
        json_t *pair = json_pack("[s+s]", path, "", text);
        if (!pair)
            pair = json_pack("[ss]", "(name is not UTF-8)", text);
        json_array_append_new(o->errors, pair);
    }
    pthread_mutex_unlock(&a->lock);
}

void sm_add_origins_free(add_state *a)
{
    for (size_t i = 0; i < a->n_origin; i++) {
        add_origin *o = a->origin[i];
        free(o->path);
        free(o->package);
        free(o->version);
        free(o->architecture);
        free(o->licence);
        json_decref(o->copyright);
        json_decref(o->doc_link);
        json_decref(o->folder);
        json_decref(o->errors);
        free(o);
    }
    for (size_t i = 0; i < a->n_folder; i++) {
        sm_list_free(&a->folder[i]->terms);
        free(a->folder[i]->path);
        free(a->folder[i]->licence);
        free(a->folder[i]);
    }
    free(a->origin);
    free(a->folder);
    a->origin = NULL;
    a->folder = NULL;
    a->n_origin = a->n_folder = 0;
}

/* ------------------------------------------------------------------- order */

/* What two origins with one name differ by is what they were read from. */
static const char *hash_of(const add_origin *o)
{
    return o->parent ? o->parent->sha256 : o->sha256;
}

static int compare_origins(const void *x, const void *y)
{
    add_origin *const *a = x, *const *b = y;
    int c = strcmp((*a)->path, (*b)->path);
    return c ? c : strcmp(hash_of(*a), hash_of(*b));
}

add_origin **sm_add_sort_origins(add_state *a)
{
    add_origin **sorted = sm_alloc(a->n_origin + 1, sizeof *sorted);
    if (!sorted)
        return NULL;
    if (a->n_origin > 0)
        memcpy(sorted, a->origin, a->n_origin * sizeof *sorted);
    qsort(sorted, a->n_origin, sizeof *sorted, compare_origins);
    for (size_t i = 0; i < a->n_origin; i++)
        sorted[i]->rank = (uint32_t)i;
    return sorted;
}

/* ------------------------------------------------------------- source.json */

static int compare_counts(const void *x, const void *y)
{
    const add_count *a = x, *b = y;
    if (!a->what || !b->what)
        return (a->what == NULL) - (b->what == NULL);
    return strcmp(a->what, b->what);
}

static json_t *counts_json(add_count *c, json_t *total)
{
    json_t *out = json_object();
    qsort(c, ADD_MAX_CODES, sizeof *c, compare_counts);
    for (int i = 0; i < ADD_MAX_CODES && c[i].what; i++) {
        json_int_t before = json_integer_value(json_object_get(total, c[i].what));
        json_object_set_new(out, c[i].what, json_integer(c[i].n));
        json_object_set_new(total, c[i].what, json_integer(before + c[i].n));
    }
    return out;
}

static int compare_errors(const void *x, const void *y)
{
    json_t *const *a = x, *const *b = y;
    int c = strcmp(json_string_value(json_array_get(*a, 0)),
                   json_string_value(json_array_get(*b, 0)));
    if (c)
        return c;
    return strcmp(json_string_value(json_array_get(*a, 1)),
                  json_string_value(json_array_get(*b, 1)));
}

static json_t *sorted_errors(const json_t *errors)
{
    size_t n = json_array_size(errors);
    json_t *out = json_array(), **p = sm_alloc(n + 1, sizeof *p);
    if (p) {
        for (size_t i = 0; i < n; i++)
            p[i] = json_array_get(errors, i);
        qsort(p, n, sizeof *p, compare_errors);
        for (size_t i = 0; i < n && i < ADD_SHOWN_ERRORS; i++)
            json_array_append(out, p[i]);
    }
    free(p);
    return out;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static json_t *origin_json(add_origin *o, json_t *formats, json_t *skipped)
{
    json_t *j = json_object();
    json_object_set_new(j, "path", json_string(o->path));
    json_object_set_new(j, "sha256", json_string(o->sha256));
    json_object_set_new(j, "bytes", json_integer(o->bytes));
    json_object_set_new(j, "package", json_string(or_empty(o->package)));
    json_object_set_new(j, "version", json_string(or_empty(o->version)));
    json_object_set_new(j, "architecture", json_string(or_empty(o->architecture)));
    json_object_set_new(j, "licence", json_string(or_empty(o->licence)));
    json_object_set_new(j, "documents", json_integer(o->n_documents));
    json_object_set_new(j, "text_bytes", json_integer(o->text_bytes));
    json_object_set_new(j, "formats", counts_json(o->format, formats));
    json_object_set_new(j, "aliases", json_integer(o->n_aliases));
    json_object_set_new(j, "skipped", counts_json(o->skipped, skipped));
    json_object_set_new(j, "n_errors", json_integer(o->n_errors));
    json_object_set_new(j, "errors", sorted_errors(o->errors));
    return j;
}

json_t *sm_add_report(const add_state *a, add_origin *const *sorted,
                      sm_spool_repeats repeats)
{
    json_t *out = json_object(), *list = json_array();
    json_t *formats = json_object(), *skipped = json_object();
    int64_t documents = 0, bytes = 0, aliases = 0, errors = 0;
    for (size_t i = 0; i < a->n_origin; i++) {
        documents += sorted[i]->n_documents;
        bytes += sorted[i]->text_bytes;
        aliases += sorted[i]->n_aliases;
        errors += sorted[i]->n_errors;
        json_array_append_new(list, origin_json(sorted[i], formats, skipped));
    }
    json_object_set_new(out, "name", json_string(a->name));
    json_object_set_new(out, "documents", json_integer(documents - (int64_t)repeats.n));
    json_object_set_new(out, "text_bytes",
                        json_integer(bytes - (int64_t)repeats.text_bytes));
    json_object_set_new(out, "repeated", json_integer((int64_t)repeats.n));
    json_object_set_new(out, "aliases", json_integer(aliases));
    json_object_set_new(out, "errors", json_integer(errors));
    json_object_set_new(out, "formats", formats);
    json_object_set_new(out, "skipped", skipped);
    json_object_set_new(out, "containers", list);
    return out;
}
