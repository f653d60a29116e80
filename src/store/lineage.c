/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph of artifacts that led to one: recipes name their inputs by content id, so the
 * walk goes from recipe to inputs.  A node is what one recipe made, so its id is that of
 * the manifest: two recipes may make the same content, and a step may leave its input as
 * it was.  Nodes come inputs first and the one asked for last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MAX_DEPTH 2000

typedef struct walk {
    sm_store *s;
    json_t *nodes, *edges;
    json_t *seen; /* node id -> false while it is visited, true when it is a node */
} walk;

static sm_status node_refs(json_t **out, sqlite3 *db, const char *manifest, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    char text[256];
    json_t *list = json_array();
    sm_status st = catalog_query(&q, db, err,
                                 "SELECT name, version, tag FROM ref WHERE manifest=? "
                                 "ORDER BY version = 0, record DESC, tag",
                                 "s", manifest);
    while (!st && !(st = catalog_step(&row, db, q, err)) && row) {
        ref_format(text, catalog_text(q, 0), sqlite3_column_int64(q, 1),
                   catalog_text(q, 2));
        json_array_append_new(list, json_string(text));
    }
    sqlite3_finalize(q);
    if (st)
        json_decref(list);
    else
        *out = list;
    return st;
}

static sm_status node_made(char out[64], sqlite3 *db, const char *manifest, sm_err *err)
{
    sqlite3_stmt *q = NULL;
    bool row = false;
    out[0] = 0;
    sm_status st = catalog_query(
        &q, db, err, "SELECT made FROM artifact WHERE manifest=?", "s", manifest);
    if (!st && !(st = catalog_step(&row, db, q, err)) && row) {
        size_t n = strnlen(catalog_text(q, 0), 63);
        memcpy(out, catalog_text(q, 0), n);
        out[n] = 0;
    }
    sqlite3_finalize(q);
    return st;
}

static sm_status add_node(walk *w, const sm_artifact *a, const char *manifest,
                          sm_err *err)
{
    json_t *refs = NULL;
    char made[64];
    int64_t bytes = 0;
    for (size_t i = 0; i < a->n_file; i++)
        bytes += a->file[i].bytes;
    sm_status st = node_made(made, w->s->db, manifest, err);
    if (!st)
        st = node_refs(&refs, w->s->db, manifest, err);
    if (st)
        return st;
    const char *step = json_string_value(json_object_get(a->recipe_json, "step"));
    json_t *options = json_object_get(a->recipe_json, "options");
    json_t *node = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:O, s:s}", "id", manifest, "kind",
        a->kind, "content", a->content.hex, "recipe", a->recipe.hex, "step",
        step ? step : "", "refs", refs, "bytes", (json_int_t)bytes, "files",
        (json_int_t)a->n_file, "options", options ? options : json_null(), "made", made);
    return json_array_append_new(w->nodes, node) ? store_nomem(err) : SM_OK;
}

/* An input that is not in this workspace (it was copied here without its makers). */
static sm_status add_missing(walk *w, const char *content, sm_err *err)
{
    json_t *node =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:[], s:i, s:i, s:{}, s:s}", "id", content,
                  "kind", "missing", "content", content, "recipe", "", "step", "", "refs",
                  "bytes", 0, "files", 0, "options", "made", "");
    return json_array_append_new(w->nodes, node) ? store_nomem(err) : SM_OK;
}

static sm_status visit(walk *w, const char *manifest, int depth, sm_err *err);

/* The node that an input is.  Who made it first counts; one that is being visited was made
 * from what it would be the input of (a copied step whose result is its input, say), so its
 * own makers are not here. */
static sm_status input_node(sm_id *node, walk *w, const char *content, int depth,
                            sm_err *err)
{
    sm_status st = manifest_of_content(node, w->s->db, content, err);
    const json_t *is_done = json_object_get(w->seen, node->hex);
    if (st == SM_ENOENT || (!st && is_done && !json_is_true(is_done))) {
        snprintf(node->hex, sizeof node->hex, "%.64s", content);
        if (json_object_get(w->seen, node->hex))
            return SM_OK;
        st = add_missing(w, content, err);
        return !st && json_object_set_new(w->seen, node->hex, json_true())
                   ? store_nomem(err)
                   : st;
    }
    return st || is_done ? st : visit(w, node->hex, depth + 1, err);
}

static sm_status visit_input(walk *w, const char *content, const char *to, int depth,
                             sm_err *err)
{
    sm_id from = {""};
    sm_status st = input_node(&from, w, content, depth, err);
    if (!st && json_array_append_new(w->edges, json_pack("[s, s]", from.hex, to)))
        st = store_nomem(err);
    return st;
}

static sm_status visit(walk *w, const char *manifest, int depth, sm_err *err)
{
    sm_artifact a = {0};
    if (depth > MAX_DEPTH)
        return sm_fail(err, SM_EUNSUPPORTED, "lineage: more than %d steps deep",
                       MAX_DEPTH);
    if (json_object_set_new(w->seen, manifest, json_false()))
        return store_nomem(err);
    sm_status st = load_manifest(&a, w->s, manifest, err);
    if (st)
        return st;
    const json_t *inputs = json_object_get(a.recipe_json, "inputs");
    for (size_t i = 0; i < json_array_size(inputs) && !st; i++) {
        const char *content = json_string_value(json_array_get(inputs, i));
        if (content)
            st = visit_input(w, content, manifest, depth, err);
    }
    if (!st)
        st = add_node(w, &a, manifest, err);
    if (!st && json_object_set_new(w->seen, manifest, json_true()))
        st = store_nomem(err);
    sm_artifact_free(&a);
    return st;
}

static sm_status lineage(json_t **out, sm_store *s, const char *ref, sm_err *err)
{
    walk w = {s, json_array(), json_array(), json_object()};
    sm_id manifest;
    sm_status st = find_manifest(&manifest, s, s->db, ref, err);
    if (!st)
        st = visit(&w, manifest.hex, 0, err);
    if (!st)
        *out = json_pack("{s:O, s:O}", "nodes", w.nodes, "edges", w.edges);
    if (!st && !*out)
        st = store_nomem(err);
    json_decref(w.nodes);
    json_decref(w.edges);
    json_decref(w.seen);
    return st;
}

sm_status sm_store_lineage(json_t **out, sm_store *s, const char *ref, sm_err *err)
{
    store_enter(s);
    sm_status st = lineage(out, s, ref, err);
    store_leave(s);
    return st;
}
