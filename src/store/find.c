/* SPDX-License-Identifier: Apache-2.0 */
/* Names to artifacts: refs, versions, tags, content ids and their prefixes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

/* ------------------------------------------------------------------- ref syntax */

static bool is_name_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return !first && (c == '.' || c == '_' || c == '-');
}

/* Length of the name at the start of text, 0 when there is none. */
static size_t name_length(const char *text)
{
    size_t n = 0;
    while (is_name_char(text[n], n == 0))
        n++;
    return n;
}

static bool parse_version(int64_t *out, const char *digits)
{
    int64_t v = 0;
    size_t n = 0;
    for (; digits[n] >= '0' && digits[n] <= '9' && n < 10; n++)
        v = 10 * v + (digits[n] - '0');
    *out = v;
    return n > 0 && digits[n] == 0 && digits[0] != '0';
}

bool ref_parse(ref_name *out, const char *text)
{
    *out = (ref_name){0};
    sm_id id;
    size_t n = name_length(text);
    if (n == 0 || n >= sizeof out->name)
        return false;
    memcpy(out->name, text, n);
    if (sm_id_parse(&id, out->name)) /* an id means itself, whoever names what */
        return false;
    const char *rest = text + n;
    if (*rest == 0)
        return true;
    if (rest[0] == '@' && rest[1] == 'v')
        return parse_version(&out->version, rest + 2);
    size_t m = rest[0] == ':' ? name_length(rest + 1) : 0;
    if (m == 0 || m >= sizeof out->tag || rest[1 + m] != 0)
        return false;
    memcpy(out->tag, rest + 1, m);
    return true;
}

void ref_format(char out[256], const char *name, int64_t version, const char *tag)
{
    if (*tag)
        snprintf(out, 256, "%.128s:%.64s", name, tag);
    else
        snprintf(out, 256, "%.128s@v%lld", name, (long long)version);
}

/* ------------------------------------------------------------------ suggestions */

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance of the first 128 bytes. */
static int distance(const char *a, const char *b)
{
    int row[130];
    int n = (int)strnlen(b, 128);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; i < 128 && a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int up = row[j + 1];
            row[j + 1] = min3(up + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = up;
        }
    }
    return row[n];
}

static const char refs_as_text[] = "SELECT DISTINCT name FROM ref UNION "
                                   "SELECT CASE WHEN version > 0 THEN name || '@v' || "
                                   "version ELSE name || ':' || tag END "
                                   "FROM ref ORDER BY 1";

/* The ref that is nearest to `text`; "" when none is near. */
static sm_status nearest(char out[256], sqlite3 *db, const char *text, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    int best = (int)strlen(text) / 3 + 2;
    out[0] = 0;
    sm_status st = catalog_query(&q, db, err, refs_as_text, "");
    while (!st && !(st = catalog_step(&row, db, q, err)) && row) {
        int d = distance(text, catalog_text(q, 0));
        if (d < best) {
            best = d;
            snprintf(out, 256, "%.255s", catalog_text(q, 0));
        }
    }
    sqlite3_finalize(q);
    return st;
}

static sm_status fail_unknown(const sm_store *s, sqlite3 *db, const char *ref,
                              sm_err *err)
{
    char near[256];
    sm_status st = nearest(near, db, ref, err);
    if (st)
        return st;
    if (*near)
        return sm_fail(err, SM_ENOENT, "%.200s: no such ref; the nearest is %s", ref,
                       near);
    return sm_fail(err, SM_ENOENT, "%.200s: no such ref, and none like it in %s", ref,
                   s->root);
}

/* --------------------------------------------------------------------- lookups */

/* First column of the first row as an id; SM_ENOENT (without message) when no row. */
static sm_status take_id(sm_id *out, sqlite3 *db, sqlite3_stmt *q, sm_err *err)
{
    bool row = false;
    sm_status st = catalog_step(&row, db, q, err);
    if (!st && !row)
        st = SM_ENOENT;
    if (!st && !sm_id_parse(out, catalog_text(q, 0)))
        st = sm_fail(err, SM_ECORRUPT, "catalog: got \"%.80s\", want an id",
                     catalog_text(q, 0));
    sqlite3_finalize(q);
    return st;
}

static sm_status by_ref(sm_id *out, sqlite3 *db, const ref_name *r, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    sm_status st;
    if (r->version || *r->tag)
        st = catalog_query(
            &q, db, err, "SELECT manifest FROM ref WHERE name=? AND version=? AND tag=?",
            "sis", r->name, r->version, r->tag);
    else
        st = catalog_query(&q, db, err,
                           "SELECT manifest FROM ref WHERE name=? AND version > 0 "
                           "ORDER BY version DESC LIMIT 1",
                           "s", r->name);
    return st ? st : take_id(out, db, q, err);
}

sm_status manifest_of_content(sm_id *out, sqlite3 *db, const char *content, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    sm_status st = catalog_query(&q, db, err,
                                 "SELECT manifest FROM artifact WHERE content=? "
                                 "ORDER BY record LIMIT 1",
                                 "s", content);
    return st ? st : take_id(out, db, q, err);
}

static bool is_prefix(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n >= 8 && n <= 64 && text[n] == 0;
}

static sm_status by_prefix(sm_id *out, sqlite3 *db, const char *prefix, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    char end[66];
    char first[65] = "";
    int n = 0;
    snprintf(end, sizeof end, "%.64sg", prefix); /* sorts after every hex digit */
    sm_status st = catalog_query(&q, db, err,
                                 "SELECT DISTINCT content FROM artifact "
                                 "WHERE content >= ? AND content < ? LIMIT 9",
                                 "ss", prefix, end);
    while (!st && !(st = catalog_step(&row, db, q, err)) && row)
        if (n++ == 0)
            snprintf(first, sizeof first, "%.64s", catalog_text(q, 0));
    sqlite3_finalize(q);
    if (st)
        return st;
    if (n == 0)
        return SM_ENOENT;
    if (n > 1)
        return sm_fail(err, SM_EINVAL,
                       "%s: got a prefix of %s%d content ids, want one; give more digits",
                       prefix, n > 8 ? "more than " : "", n > 8 ? 8 : n);
    return manifest_of_content(out, db, first, err);
}

sm_status find_manifest(sm_id *out, const sm_store *s, sqlite3 *db, const char *ref,
                        sm_err *err)
{
    ref_name r;
    sm_status st = SM_ENOENT;
    bool is_ref = ref_parse(&r, ref);
    if (is_ref)
        st = by_ref(out, db, &r, err);
    if (st == SM_ENOENT && is_prefix(ref))
        st = by_prefix(out, db, ref, err);
    if (st != SM_ENOENT)
        return st;
    if (sm_id_parse(out, ref))
        return sm_fail(err, SM_ENOENT, "%.64s: no such content id in %s", ref, s->root);
    if (!is_ref)
        return sm_fail(err, SM_ENOENT,
                       "\"%.200s\": got no ref, want NAME, NAME@vN, NAME:TAG or an id",
                       ref);
    return fail_unknown(s, db, ref, err);
}

/* The catalog's texts are trusted only as far as their hashes go. */
static sm_status load_checked(sm_artifact *out, const char *manifest, const char *text,
                              const char *recipe, sm_err *err)
{
    sm_id id;
    sm_artifact a = {0};
    sm_status st = sm_id_of_bytes(&id, text, strlen(text), err);
    if (!st && strcmp(id.hex, manifest) != 0)
        st = sm_fail(err, SM_ECORRUPT, "catalog: manifest %s is damaged; run verify",
                     manifest);
    if (!st)
        st = manifest_parse(&a, text, recipe, err);
    if (!st)
        st = sm_id_of_bytes(&id, recipe, strlen(recipe), err);
    if (!st && !id_equal(&id, &a.recipe))
        st = sm_fail(err, SM_ECORRUPT, "catalog: recipe %s is damaged; run verify",
                     a.recipe.hex);
    if (st)
        sm_artifact_free(&a);
    else
        *out = a;
    return st;
}

sm_status load_manifest(sm_artifact *out, sm_store *s, const char *manifest, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    sm_status st = catalog_query(&q, s->db, err,
                                 "SELECT a.json, r.json FROM artifact a "
                                 "JOIN recipe r ON r.id = a.recipe WHERE a.manifest=?",
                                 "s", manifest);
    if (!st)
        st = catalog_step(&row, s->db, q, err);
    if (!st && !row)
        st = sm_fail(err, SM_ECORRUPT, "catalog: manifest %s is missing; run verify",
                     manifest);
    if (!st)
        st = load_checked(out, manifest, catalog_text(q, 0), catalog_text(q, 1), err);
    sqlite3_finalize(q);
    return st;
}

sm_status sm_store_find_node(sm_artifact *out, sm_store *s, const sm_id *node, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    sm_id id;
    store_enter(s);
    sm_status st = catalog_query(
        &q, s->db, err, "SELECT manifest FROM artifact WHERE manifest=?", "s", node->hex);
    if (!st)
        st = take_id(&id, s->db, q, err);
    if (st == SM_ENOENT)
        st = sm_fail(err, SM_ENOENT, "%s: no such artifact in %s", node->hex, s->root);
    if (!st)
        st = load_manifest(out, s, id.hex, err);
    store_leave(s);
    return st;
}

sm_status sm_store_find(sm_artifact *out, sm_store *s, const char *ref, sm_err *err)
{
    sm_id id;
    store_enter(s);
    sm_status st = find_manifest(&id, s, s->db, ref, err);
    if (!st)
        st = load_manifest(out, s, id.hex, err);
    store_leave(s);
    return st;
}

sm_status sm_store_find_recipe(sm_artifact *out, sm_store *s, const sm_id *recipe,
                               sm_err *err)
{
    sqlite3_stmt *q = NULL;
    sm_id id;
    store_enter(s);
    sm_status st = catalog_query(&q, s->db, err,
                                 "SELECT manifest FROM artifact WHERE recipe=? "
                                 "ORDER BY record DESC LIMIT 1",
                                 "s", recipe->hex);
    if (!st)
        st = take_id(&id, s->db, q, err);
    if (st == SM_ENOENT)
        st = sm_fail(err, SM_ENOENT, "recipe %s has made nothing here", recipe->hex);
    if (!st)
        st = load_manifest(out, s, id.hex, err);
    store_leave(s);
    return st;
}

static const sm_artifact_file *file_of(const sm_artifact *a, const char *path)
{
    for (size_t i = 0; i < a->n_file; i++)
        if (!strcmp(a->file[i].path, path))
            return &a->file[i];
    return NULL;
}

sm_status sm_store_path(char **out, sm_store *s, const sm_artifact *a, const char *path,
                        sm_err *err)
{
    struct stat info;
    const sm_artifact_file *f = file_of(a, path);
    if (!f)
        return sm_fail(err, SM_ENOENT, "%s %.12s: no file \"%.200s\" in it", a->kind,
                       a->content.hex, path);
    char *at = object_path(s, &f->object);
    if (!at)
        return store_nomem(err);
    sm_status st = SM_OK;
    if (stat(at, &info) != 0)
        st = sm_fail_errno(err, errno, "%s %.12s: %.200s: object %s", a->kind,
                           a->content.hex, path, f->object.hex);
    else if ((int64_t)info.st_size != f->bytes)
        st = sm_fail(err, SM_ECORRUPT, "%s: object %s: got %lld bytes, want %lld", path,
                     f->object.hex, (long long)info.st_size, (long long)f->bytes);
    if (st)
        free(at);
    else
        *out = at;
    return st;
}
