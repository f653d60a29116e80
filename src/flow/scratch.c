/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scratch of unfinished recipes: list it, remove it.  A process that runs a recipe holds a
 * flock on tmp/scratch-RECIPE.lock (step.c); whoever gets that lock has the folder to itself.
 */
#include "smelt/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define PREFIX "scratch-"

static bool is_running(const char *dir)
{
    sm_buf path = {0};
    int fd =
        sm_buf_printf(&path, "%s.lock", dir) ? open(path.data, O_RDWR | O_CLOEXEC) : -1;
    sm_buf_free(&path);
    bool running = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return running;
}

static sm_status measure(json_t **out, const char *dir, const char *recipe, sm_err *err)
{
    sm_list files = {0};
    struct stat info;
    char touched[32];
    int64_t bytes = 0, newest = stat(dir, &info) == 0 ? (int64_t)info.st_mtime : 0;
    sm_status s = sm_list_files(&files, dir, err);
    for (size_t i = 0; i < files.n && !s; i++) {
        char *path = sm_path_join(dir, files.item[i]);
        if (path && stat(path, &info) == 0) { /* else it went meanwhile */
            bytes += (int64_t)info.st_size;
            newest = (int64_t)info.st_mtime > newest ? (int64_t)info.st_mtime : newest;
        }
        free(path);
    }
    sm_wall_format(touched, newest * 1000000000);
    if (!s)
        *out = json_pack("{s:s, s:I, s:I, s:s, s:b}", "recipe", recipe, "bytes",
                         (json_int_t)bytes, "files", (json_int_t)files.n, "touched",
                         touched, "running", is_running(dir));
    sm_list_free(&files);
    return s || *out ? s : sm_fail(err, SM_ENOMEM, "out of memory");
}

static int64_t bytes_of(const json_t *entry)
{
    return json_integer_value(json_object_get(entry, "bytes"));
}

/* Insert, largest first; takes the reference. */
static bool insert(json_t *list, json_t *entry)
{
    size_t i = 0;
    while (i < json_array_size(list) &&
           bytes_of(json_array_get(list, i)) >= bytes_of(entry))
        i++;
    return json_array_insert_new(list, i, entry) == 0;
}

/* An entry of tmp/, when it is the scratch of a recipe. */
static sm_status take_entry(json_t *list, const char *tmp, const char *name, sm_err *err)
{
    json_t *entry = NULL;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strchr(name, '.'))
        return SM_OK;
    char *dir = sm_path_join(tmp, name);
    sm_status s = dir ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s && sm_path_is_dir(dir))
        s = measure(&entry, dir, name + strlen(PREFIX), err);
    free(dir);
    if (s == SM_ENOENT) /* finished meanwhile */
        return SM_OK;
    if (!s && entry && !insert(list, entry))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    return s;
}

sm_status sm_scratch_list(json_t **out, sm_store *store, sm_err *err)
{
    char *tmp = sm_path_join(sm_store_dir(store), "tmp");
    json_t *list = json_array();
    sm_list names = {0};
    sm_status s = tmp && list ? sm_list_entries(&names, tmp, err)
                              : sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < names.n && !s; i++)
        s = take_entry(list, tmp, names.item[i], err);
    sm_list_free(&names);
    free(tmp);
    if (s)
        json_decref(list);
    else
        *out = list;
    return s;
}

/* One entry of the list; nothing when a process took the recipe up meanwhile. */
static sm_status clean_one(int64_t *n, int64_t *bytes, const sm_store *store,
                           const json_t *entry, sm_err *err)
{
    sm_buf dir = {0}, lock = {0};
    sm_status s = SM_OK;
    if (!sm_buf_printf(&dir, "%s/tmp/" PREFIX "%s", sm_store_dir(store),
                       json_string_value(json_object_get(entry, "recipe"))) ||
        !sm_buf_printf(&lock, "%s.lock", dir.data))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    int fd = s ? -1 : flow_lock_try(lock.data);
    if (fd >= 0 && !(s = sm_remove_tree(dir.data, err))) {
        *n += 1;
        *bytes += bytes_of(entry);
    }
    flow_lock_end(fd, lock.data);
    sm_buf_free(&dir);
    sm_buf_free(&lock);
    return s;
}

sm_status sm_scratch_clean(int64_t *n, int64_t *bytes, sm_store *store, sm_err *err)
{
    json_t *list = NULL, *entry;
    size_t i;
    *n = *bytes = 0;
    sm_status s = sm_scratch_list(&list, store, err);
    if (s)
        return s;
    json_array_foreach(list, i, entry)
    {
        if (!s)
            s = clean_one(n, bytes, store, entry, err);
    }
    json_decref(list);
    return s;
}
