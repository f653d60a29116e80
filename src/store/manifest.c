/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, content ids, recipes: their JSON forms and identities. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void sm_artifact_free(sm_artifact *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_file; i++)
        free(a->file[i].path);
    free(a->file);
    json_decref(a->recipe_json);
    *a = (sm_artifact){0};
}

bool kind_is_valid(const char *kind)
{
    size_t n = strlen(kind);
    if (n == 0 || n >= sizeof((sm_artifact *)0)->kind)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(kind[i] >= 'a' && kind[i] <= 'z') && kind[i] != '-' && kind[i] != '_')
            return false;
    return true;
}

/* [[path, object], ...] */
sm_status content_id(sm_id *out, const sm_artifact *a, sm_err *err)
{
    sm_status st = SM_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_file && !st; i++)
        if (json_array_append_new(
                list, json_pack("[s, s]", a->file[i].path, a->file[i].object.hex)) != 0)
            st =
                sm_fail(err, SM_EINVAL, "path is not UTF-8: file %zu of the artifact", i);
    if (!st)
        st = sm_recipe_id(out, list, err);
    json_decref(list);
    return st;
}

sm_status manifest_json(json_t **out, const sm_artifact *a, sm_err *err)
{
    json_t *files = json_array();
    for (size_t i = 0; i < a->n_file; i++) {
        const sm_artifact_file *f = &a->file[i];
        if (json_array_append_new(files, json_pack("[s, s, I]", f->path, f->object.hex,
                                                   (json_int_t)f->bytes)) != 0) {
            json_decref(files);
            return sm_fail(err, SM_EINVAL, "path is not UTF-8: file %zu of the artifact",
                           i);
        }
    }
    *out = json_pack("{s:s, s:s, s:s, s:s, s:o}", "manifest", "1", "kind", a->kind,
                     "content", a->content.hex, "recipe", a->recipe.hex, "files", files);
    return *out ? SM_OK : store_nomem(err);
}

static bool path_is_safe(const char *path)
{
    if (*path == 0 || *path == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
    }
    return true;
}

static bool parse_file(sm_artifact_file *out, const json_t *row)
{
    const char *path = json_string_value(json_array_get(row, 0));
    const char *object = json_string_value(json_array_get(row, 1));
    const json_t *bytes = json_array_get(row, 2);
    if (json_array_size(row) != 3 || !path || !path_is_safe(path) ||
        !sm_id_parse(&out->object, object) || !json_is_integer(bytes) ||
        json_integer_value(bytes) < 0)
        return false;
    out->bytes = json_integer_value(bytes);
    out->path = sm_strdup(path);
    return out->path != NULL;
}

static sm_status parse_fields(sm_artifact *a, const json_t *json, sm_err *err)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    const json_t *files = json_object_get(json, "files");
    size_t n = json_array_size(files);
    if (!kind || !kind_is_valid(kind) || n == 0 ||
        !sm_id_parse(&a->content, json_string_value(json_object_get(json, "content"))) ||
        !sm_id_parse(&a->recipe, json_string_value(json_object_get(json, "recipe"))))
        return sm_fail(err, SM_ECORRUPT,
                       "manifest: want kind, content, recipe and files");
    memcpy(a->kind, kind, strlen(kind) + 1);
    if (!(a->file = sm_alloc(n, sizeof *a->file)))
        return store_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (!parse_file(&a->file[i], json_array_get(files, i)))
            return sm_fail(err, SM_ECORRUPT,
                           "manifest: files[%zu]: want [path, id, bytes]", i);
        a->n_file++;
        if (i > 0 && strcmp(a->file[i - 1].path, a->file[i].path) >= 0)
            return sm_fail(err, SM_ECORRUPT, "manifest: files[%zu]: paths are not sorted",
                           i);
    }
    return SM_OK;
}

sm_status manifest_parse(sm_artifact *out, const char *text, const char *recipe,
                         sm_err *err)
{
    sm_artifact a = {0};
    json_t *json = NULL;
    sm_id content;
    sm_status st = sm_json_parse(&json, text, strlen(text), "manifest", err);
    if (!st)
        st = parse_fields(&a, json, err);
    if (!st)
        st = content_id(&content, &a, err);
    if (!st && !id_equal(&content, &a.content))
        st = sm_fail(err, SM_ECORRUPT, "manifest: content %s does not match its files",
                     a.content.hex);
    if (!st && recipe)
        st = sm_json_parse(&a.recipe_json, recipe, strlen(recipe), "recipe", err);
    json_decref(json);
    if (st) {
        sm_artifact_free(&a);
        return st == SM_EINVAL ? SM_ECORRUPT : st;
    }
    *out = a;
    return SM_OK;
}

json_t *sm_recipe_new(const char *step, int version, const sm_id *input, size_t n_input,
                      const json_t *options, const char *profile)
{
    json_t *inputs = json_array();
    json_t *given = options ? json_deep_copy(options) : json_object();
    for (size_t i = 0; i < n_input; i++)
        json_array_append_new(inputs, json_string(input[i].hex));
    json_t *recipe = json_pack("{s:s, s:i, s:o, s:o}", "step", step, "version", version,
                               "inputs", inputs, "options", given);
    if (recipe && profile &&
        json_object_set_new(recipe, "profile", json_string(profile))) {
        json_decref(recipe);
        recipe = NULL;
    }
    return recipe;
}

sm_status sm_recipe_id(sm_id *out, const json_t *recipe, sm_err *err)
{
    sm_buf b = {.max = STORE_JSON_MAX};
    sm_status st = sm_json_canonical(&b, recipe, err);
    if (!st)
        st = sm_id_of_bytes(out, b.data, b.len, err);
    sm_buf_free(&b);
    return st;
}
