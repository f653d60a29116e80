/* SPDX-License-Identifier: Apache-2.0 */
/* `data add`: from the paths that the user names to the files that are read. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "hash.h"
#include "names.h"

/* ------------------------------------------------------------------- names */

static bool matches(const json_t *patterns, const char *path)
{
    size_t i;
    json_t *p;
    json_array_foreach((json_t *)(uintptr_t)patterns, i, p)
    {
        if (fnmatch(json_string_value(p), path, 0) == 0)
            return true;
    }
    return false;
}

const char *sm_add_verdict(const json_t *options, const char *name, bool in_package)
{
    if (matches(sm_opt_list(options, "exclude"), name))
        return "excluded";
    const char *why = sm_name_verdict(name, in_package);
    return why && matches(sm_opt_list(options, "include"), name) ? NULL : why;
}

/* ----------------------------------------------------------------- listing */

sm_status sm_add_push_item(add_items *items, const add_item *item, const char *disk,
                           const char *name, sm_err *err)
{
    add_item *p = items->item;
    if (items->n == items->cap) {
        size_t cap = items->cap ? 2 * items->cap : 64;
        p = sm_realloc(items->item, cap, sizeof *p);
        if (p) {
            items->item = p;
            items->cap = cap;
        }
    }
    char *d = sm_strdup(disk), *n = sm_strdup(name);
    if (!p || !d || !n) {
        free(d);
        free(n);
        free(item->problem);
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", disk);
    }
    add_item *to = &items->item[items->n++];
    *to = *item;
    to->disk = d;
    to->name = n;
    return SM_OK;
}

sm_status sm_add_unreadable(add_item *item, const char *disk, const json_t *options,
                            const sm_err *why, sm_err *err)
{
    if (why->status == SM_ENOMEM)
        return sm_fail(err, SM_ENOMEM, "%s", why->msg);
    if (!sm_opt_bool(options, "skip_damaged"))
        return sm_fail(err, why->status,
                       "%s; --exclude leaves it out, --skip-damaged records it",
                       why->msg);
    size_t n = strlen(disk);
    const char *text = strncmp(why->msg, disk, n) == 0 && why->msg[n] == ':'
                           ? why->msg + n + 1 + strspn(why->msg + n + 1, " ")
                           : why->msg;
    item->kind = ADD_UNREADABLE;
    item->problem = sm_strdup(text);
    return item->problem ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", disk);
}

/* Last component, without trailing slashes: "/a/b/" -> "b", "." -> ".". */
static char *base_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    return sm_strndup(path + from, n - from);
}

/* A file that the user names is taken for what it is, unless it is excluded as well. */
static sm_status add_named(add_items *items, const json_t *options, const char *path,
                           uint32_t group, sm_err *err)
{
    const char *name = items->group[group];
    add_item item = {.is_named = true, .group = group};
    if (matches(sm_opt_list(options, "exclude"), name)) {
        item.kind = ADD_SKIPPED;
        item.why = "excluded";
    }
    return sm_add_push_item(items, &item, path, name, err);
}

static sm_status add_path(add_items *items, const json_t *options, const char *path,
                          uint32_t group, sm_err *err)
{
    bool is_dir = false;
    sm_status s = sm_path_look_dir(&is_dir, path, err);
    if (s)
        return s;
    if (is_dir)
        return sm_add_walk(items, options, path, group, err);
    if (!sm_path_exists(path))
        return sm_fail(err, SM_ENOENT, "%s: no such file or directory", path);
    return add_named(items, options, path, group, err);
}

static int compare_items(const void *a, const void *b)
{
    const add_item *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->disk, y->disk);
}

sm_status sm_add_list_items(add_items *out, const json_t *options, sm_err *err)
{
    sm_status s = SM_OK;
    const json_t *paths = sm_opt_list(options, "paths");
    *out = (add_items){0};
    size_t n = json_array_size(paths);
    if (n == 0)
        return sm_fail(err, SM_EINVAL, "data add: paths: got none, want at least one");
    out->group = sm_alloc(n, sizeof *out->group);
    if (!out->group)
        return sm_fail(err, SM_ENOMEM, "data add: out of memory");
    for (size_t i = 0; i < n && !s; i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        out->group[i] = base_name(path);
        out->n_group++;
        s = out->group[i] ? add_path(out, options, path, (uint32_t)i, err)
                          : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    }
    if (s)
        sm_add_items_free(out);
    else if (out->n > 1)
        qsort(out->item, out->n, sizeof *out->item, compare_items);
    return s;
}

/* ------------------------------------------------------------------ hashes */

typedef struct hashing {
    const sm_ctx *ctx;
    add_items *items;
    bool again;
    sm_err *err;
} hashing;

/* What was read before is remembered; what is compared with it is read. */
static sm_status hash_item(char out[65], int64_t *bytes, const hashing *h,
                           const add_item *item, sm_err *err)
{
    return h->again ? sm_sha_file(out, bytes, h->ctx, item->disk, err)
                    : sm_file_hash(out, bytes, h->ctx, item->disk, err);
}

static void hash_task(void *arg, ptrdiff_t i, int thread)
{
    (void)thread;
    hashing *h = arg;
    add_item *item = &h->items->item[i];
    char now[65];
    int64_t bytes;
    if (item->kind != ADD_FILE || hash_item(now, &bytes, h, item, &h->err[i]))
        return;
    if (h->again && strcmp(now, item->sha256) != 0) {
        sm_fail(&h->err[i], SM_EINVAL, "%s: changed while it was read", item->disk);
        return;
    }
    memcpy(item->sha256, now, sizeof now);
    item->bytes = bytes;
}

sm_status sm_add_hash_items(add_items *items, const json_t *options, const sm_ctx *ctx,
                            sm_err *err)
{
    sm_status s = SM_OK;
    hashing h = {ctx, items, false, sm_alloc(items->n + 1, sizeof *h.err)};
    if (!h.err)
        return sm_fail(err, SM_ENOMEM, "data add: out of memory");
    sm_pool_run(ctx->pool, (ptrdiff_t)items->n, hash_task, &h);
    for (size_t i = 0; i < items->n && !s; i++)
        if (h.err[i].status == SM_ECANCEL)
            s = sm_fail(err, SM_ECANCEL, "%s", h.err[i].msg);
        else if (h.err[i].status)
            s = sm_add_unreadable(&items->item[i], items->item[i].disk, options,
                                  &h.err[i], err);
    free(h.err);
    return s;
}

sm_status sm_add_check_items(add_items *items, const sm_ctx *ctx, sm_err *err)
{
    sm_status s = SM_OK;
    hashing h = {ctx, items, true, sm_alloc(items->n + 1, sizeof *h.err)};
    if (!h.err)
        return sm_fail(err, SM_ENOMEM, "data add: out of memory");
    sm_pool_run(ctx->pool, (ptrdiff_t)items->n, hash_task, &h);
    for (size_t i = 0; i < items->n && !s; i++)
        if (h.err[i].status)
            s = sm_fail(err, h.err[i].status, "%s", h.err[i].msg);
    free(h.err);
    return s;
}

sm_status sm_add_check_facts(const add_items *items, const json_t *facts,
                             const json_t *paths, sm_err *err)
{
    const json_t *inputs = json_object_get(facts, "inputs");
    for (uint32_t g = 0; inputs && g < items->n_group; g++) {
        char now[65];
        const char *want =
            json_string_value(json_array_get(json_array_get(inputs, g), 1));
        if (!sm_add_group_hash(now, items, g))
            return sm_fail(err, SM_ENOMEM, "data add: SHA-256 failed");
        if (!want || strcmp(want, now) != 0)
            return sm_fail(err, SM_EINVAL, "%s: changed while it was read",
                           json_string_value(json_array_get(paths, g)));
    }
    return SM_OK;
}

/* The hash of an item's bytes, or of what stands in their place. */
static void put_item(sm_sha *h, const add_item *item)
{
    static const char *const kind[] = {"", "link", "skipped", "unreadable"};
    sm_sha_put(h, item->name, strlen(item->name) + 1);
    if (item->kind == ADD_FILE) {
        sm_sha_put(h, item->sha256, 64);
        return;
    }
    const char *what = item->why ? item->why : item->problem ? item->problem : "";
    sm_sha_put(h, kind[item->kind], strlen(kind[item->kind]) + 1);
    sm_sha_put(h, what, strlen(what) + 1);
}

bool sm_add_group_hash(char out[65], const add_items *items, uint32_t group)
{
    sm_sha h;
    unsigned char digest[32];
    const add_item *only = NULL; /* the path is one file */
    sm_sha_begin(&h);
    for (size_t i = 0; i < items->n; i++) {
        const add_item *item = &items->item[i];
        if (item->group != group)
            continue;
        put_item(&h, item);
        only = item->is_named && item->kind == ADD_FILE ? item : NULL;
    }
    if (!sm_sha_end(&h, digest))
        return false;
    sm_hex(out, digest, sizeof digest);
    if (only) /* which is known by its own hash */
        memcpy(out, only->sha256, 65);
    return true;
}

void sm_add_items_free(add_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        free(items->item[i].disk);
        free(items->item[i].name);
        free(items->item[i].problem);
    }
    for (size_t i = 0; i < items->n_group; i++)
        free(items->group[i]);
    free(items->item);
    free(items->group);
    *items = (add_items){0};
}
