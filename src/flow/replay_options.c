/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options to run a recorded recipe with.
 *
 * Those that affect the result are the recipe's.  The others (memory, paths of files
 * whose bytes are in the recipe as facts) are taken from the newest run record, relative
 * paths made absolute by the directory that run was started in.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The newest run record of an artifact; borrowed from a list of sm_store_list. */
static const json_t *newest_run(const json_t *list, const sm_artifact *a)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(list, "runs"), i, v)
    {
        const char *content = json_string_value(json_object_get(v, "content"));
        if (content && !strcmp(content, a->content.hex))
            return json_object_get(v, "run");
    }
    return NULL;
}

static json_t *absolute(const char *path, const char *cwd)
{
    if (!*path || *path == '/' || !*cwd)
        return json_string(path);
    char *whole = sm_path_join(cwd, path);
    json_t *v = whole ? json_string(whole) : NULL;
    free(whole);
    return v;
}

/* An option that names files: of type PATH, or a list called "paths". */
static json_t *absolute_option(const sm_option *o, const json_t *v, const char *cwd)
{
    size_t i;
    json_t *item;
    if (o->type == SM_OPT_PATH && json_is_string(v))
        return absolute(json_string_value(v), cwd);
    if (o->type != SM_OPT_LIST || strcmp(o->key, "paths") != 0)
        return json_copy((json_t *)(uintptr_t)v);
    json_t *list = json_array();
    json_array_foreach((json_t *)(uintptr_t)v, i, item)
    {
        json_array_append_new(list, absolute(json_string_value(item), cwd));
    }
    return list;
}

json_t *flow_replay_options(sm_store *store, const sm_step *step, const sm_artifact *a)
{
    json_t *list = NULL, *options = json_object();
    const json_t *recipe = a->recipe_json, *run = NULL;
    if (!sm_store_list(&list, store, NULL))
        run = newest_run(list, a);
    const json_t *recorded = json_object_get(run, "options");
    const char *cwd = json_string_value(json_object_get(run, "cwd"));
    for (const sm_option *o = step->options; options && o && o->key; o++) {
        const json_t *v = json_object_get(recorded, o->key);
        if (v && !json_is_null(v) && !o->affects_result)
            json_object_set_new(options, o->key, absolute_option(o, v, cwd ? cwd : ""));
    }
    const json_t *profile = json_object_get(recipe, "profile");
    if (options) {
        json_object_update(options, json_object_get(recipe, "options"));
        if (json_is_string(profile))
            json_object_set(options, "numerics", (json_t *)(uintptr_t)profile);
    }
    json_decref(list);
    return options;
}
