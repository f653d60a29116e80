/* SPDX-License-Identifier: Apache-2.0 */
/* `data add`: from the paths that the user names to the files that are read. */
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "hash.h"

static bool push_item(add_items *items, char *disk, char *name, uint32_t group)
{
    if (items->n == items->cap) {
        size_t cap = items->cap ? 2 * items->cap : 64;
        add_item *p = sm_realloc(items->item, cap, sizeof *p);
        if (!p)
            return false;
        items->item = p;
        items->cap = cap;
    }
    items->item[items->n++] = (add_item){.disk = disk, .name = name, .group = group};
    return true;
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

static sm_status add_one(add_items *items, const char *path, uint32_t group,
                         const char *name, sm_err *err)
{
    char *disk = sm_strdup(path), *inside = sm_strdup(name);
    if (disk && inside && push_item(items, disk, inside, group))
        return SM_OK;
    free(disk);
    free(inside);
    return sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
}

static sm_status walk_folder(add_items *items, const char *path, uint32_t group,
                            sm_err *err)
{
    sm_list files;
    sm_status s = sm_list_files(&files, path, err);
    if (s)
        return s;
    for (size_t i = 0; i < files.n && !s; i++) {
        char *disk = sm_path_join(path, files.item[i]);
        s = disk ? add_one(items, disk, group, files.item[i], err)
                 : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        free(disk);
    }
    sm_list_free(&files);
    return s;
}

static int compare_items(const void *a, const void *b)
{
    const add_item *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->disk, y->disk);
}

sm_status sm_add_list_items(add_items *out, const json_t *paths, sm_err *err)
{
    sm_status s = SM_OK;
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
        if (!out->group[i])
            s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        else if (!sm_path_exists(path))
            s = sm_fail(err, SM_ENOENT, "%s: no such file or directory", path);
        else if (sm_path_is_dir(path))
            s = walk_folder(out, path, (uint32_t)i, err);
        else
            s = add_one(out, path, (uint32_t)i, out->group[i], err);
    }
    if (s)
        sm_add_items_free(out);
    else if (out->n > 1)
        qsort(out->item, out->n, sizeof *out->item, compare_items);
    return s;
}

typedef struct hashing {
    add_items *items;
    bool again;
    sm_err *err;
} hashing;

static void hash_task(void *arg, ptrdiff_t i, int thread)
{
    (void)thread;
    hashing *h = arg;
    add_item *item = &h->items->item[i];
    char now[65];
    int64_t bytes;
    if (sm_sha_file(now, &bytes, item->disk, &h->err[i]))
        return;
    if (h->again && strcmp(now, item->sha256) != 0) {
        sm_fail(&h->err[i], SM_EINVAL, "%s: changed while it was read", item->disk);
        return;
    }
    memcpy(item->sha256, now, sizeof now);
    item->bytes = bytes;
}

static sm_status hash_all(add_items *items, bool again, struct sm_pool *pool, sm_err *err)
{
    sm_status s = SM_OK;
    hashing h = {items, again, sm_alloc(items->n ? items->n : 1, sizeof *h.err)};
    if (!h.err)
        return sm_fail(err, SM_ENOMEM, "data add: out of memory");
    sm_pool_run(pool, (ptrdiff_t)items->n, hash_task, &h);
    for (size_t i = 0; i < items->n && !s; i++)
        if (h.err[i].status) {
            s = h.err[i].status;
            if (err)
                *err = h.err[i];
        }
    free(h.err);
    return s;
}

sm_status sm_add_hash_items(add_items *items, struct sm_pool *pool, sm_err *err)
{
    return hash_all(items, false, pool, err);
}

sm_status sm_add_check_items(add_items *items, struct sm_pool *pool, sm_err *err)
{
    return hash_all(items, true, pool, err);
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

bool sm_add_group_hash(char out[65], const add_items *items, uint32_t group)
{
    sm_sha h;
    unsigned char digest[32];
    size_t n = 0, last = 0;
    sm_sha_begin(&h);
    for (size_t i = 0; i < items->n; i++) {
        const add_item *item = &items->item[i];
        if (item->group != group)
            continue;
        sm_sha_put(&h, item->name, strlen(item->name) + 1);
        sm_sha_put(&h, item->sha256, 64);
        last = i;
        n++;
    }
    if (!sm_sha_end(&h, digest))
        return false;
    sm_hex(out, digest, sizeof digest);
    /* a path that is one file is known by that file's own hash */
    if (n == 1 && strcmp(items->item[last].name, items->group[group]) == 0)
        memcpy(out, items->item[last].sha256, 65);
    return true;
}

void sm_add_items_free(add_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        free(items->item[i].disk);
        free(items->item[i].name);
    }
    for (size_t i = 0; i < items->n_group; i++)
        free(items->group[i]);
    free(items->item);
    free(items->group);
    *items = (add_items){0};
}
