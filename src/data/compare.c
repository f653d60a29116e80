/* SPDX-License-Identifier: Apache-2.0 */
/* `data export` and `data diff`. */
#include <string.h>

#include "smelt/data.h"
#include "smelt/sys.h"

#define MAX_EXAMPLES 10

typedef struct file_part {
    const char *name, *path;
} file_part;

static void parts_of(file_part out[SM_N_PART], const sm_data_files *f)
{
    out[0] = (file_part){"documents", f->documents};
    out[1] = (file_part){"train", f->train};
    out[2] = (file_part){"heldout", f->heldout};
    out[3] = (file_part){"rejected", f->rejected};
}

static sm_status copy_file(sm_file_writer *w, const char *path, int64_t *n, sm_err *err)
{
    sm_map map;
    sm_status s = sm_map_open(&map, path, err);
    if (s)
        return s;
    for (size_t i = 0; i < map.len; i++)
        *n += map.data[i] == '\n';
    s = sm_file_writer_put(w, map.data, map.len, err);
    sm_map_close(&map);
    return s;
}

sm_status sm_data_parts(const char *path[SM_N_PART], size_t *n,
                        const sm_data_files *files, const char *part, sm_err *err)
{
    file_part parts[SM_N_PART];
    parts_of(parts, files);
    *n = 0;
    for (int i = 0; i < SM_N_PART; i++)
        if (parts[i].path && (!strcmp(part, "all") || !strcmp(part, parts[i].name)))
            path[(*n)++] = parts[i].path;
    if (*n > 0)
        return SM_OK;
    return sm_fail(err, SM_EINVAL,
                   "data export: %s has no part \"%s\", want one of documents, train, "
                   "heldout, rejected, all",
                   files->name ? files->name : "this", part);
}

sm_status sm_data_export(sm_file_writer *w, const sm_data_files *files, const char *part,
                         int64_t *n_docs, sm_err *err)
{
    const char *path[SM_N_PART];
    size_t n;
    *n_docs = 0;
    sm_status s = sm_data_parts(path, &n, files, part, err);
    for (size_t i = 0; i < n && !s; i++)
        s = copy_file(w, path[i], n_docs, err);
    return s;
}

/* -------------------------------------------------------------------- diff */

/* One side: all documents, with the part each is in; parts are sorted by id. */
typedef struct side {
    sm_dataset *d;
    size_t end[SM_N_PART], at[SM_N_PART]; /* cursors into each part */
    const char *part[SM_N_PART];
} side;

static sm_status open_side(side *s, const sm_ctx *ctx, const sm_data_files *f,
                           sm_err *err)
{
    file_part parts[SM_N_PART];
    size_t from = 0;
    parts_of(parts, f);
    for (int i = 0; i < SM_N_PART; i++) {
        s->part[i] = parts[i].name;
        s->at[i] = s->end[i] = from;
        if (!parts[i].path)
            continue;
        sm_dataset *one = NULL;
        sm_status st = sm_dataset_open(&one, ctx, &parts[i].path, 1, err);
        if (st)
            return st;
        from += sm_dataset_n(one);
        sm_dataset_close(one);
        s->end[i] = from;
    }
    const char *path[SM_N_PART];
    size_t n = 0;
    for (int i = 0; i < SM_N_PART; i++)
        if (parts[i].path)
            path[n++] = parts[i].path;
    return sm_dataset_open(&s->d, ctx, path, n, err);
}

/* The part whose next document has the smallest id; -1 at the end of all. */
static int next_of(const side *s, sm_document *out)
{
    int best = -1;
    for (int i = 0; i < SM_N_PART; i++) {
        sm_document doc;
        if (s->at[i] >= s->end[i] || sm_dataset_get(s->d, s->at[i], &doc, NULL))
            continue;
        if (best < 0 || strcmp(doc.id, out->id) < 0) {
            best = i;
            *out = doc;
        }
    }
    return best;
}

static void note(json_t *out, const char *kind, const sm_document *doc, const char *from,
                 const char *to)
{
    json_int_t n = json_integer_value(json_object_get(out, kind));
    json_object_set_new(out, kind, json_integer(n + 1));
    json_t *examples = json_object_get(out, "examples");
    json_t *list = json_object_get(examples, kind);
    if (!list) {
        list = json_array();
        json_object_set_new(examples, kind, list);
    }
    if (n < MAX_EXAMPLES)
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "id", doc->id, "path",
                                              doc->path, "from", from, "to", to));
}

static void merge(json_t *out, side *a, side *b)
{
    sm_document x, y;
    for (;;) {
        int i = next_of(a, &x), j = next_of(b, &y);
        if (i < 0 && j < 0)
            return;
        int c = i < 0 ? 1 : j < 0 ? -1 : strcmp(x.id, y.id);
        if (c < 0) {
            note(out, "removed", &x, a->part[i], "");
        } else if (c > 0) {
            note(out, "added", &y, "", b->part[j]);
        } else if (i != j) {
            note(out, "moved", &y, a->part[i], b->part[j]);
        } else if (x.text_len != y.text_len || memcmp(x.text, y.text, x.text_len) != 0) {
            note(out, "changed", &y, a->part[i], b->part[j]);
        } else {
            json_int_t n = json_integer_value(json_object_get(out, "same"));
            json_object_set_new(out, "same", json_integer(n + 1));
        }
        if (c <= 0)
            a->at[i]++;
        if (c >= 0)
            b->at[j]++;
    }
}

sm_status sm_data_diff(json_t **out, const sm_ctx *ctx, const sm_data_files *a,
                       const sm_data_files *b, sm_err *err)
{
    side x = {0}, y = {0};
    json_t *j = json_pack("{s:i,s:i,s:i,s:i,s:i,s:{}}", "added", 0, "removed", 0, "moved",
                          0, "changed", 0, "same", 0, "examples");
    sm_status s =
        j ? open_side(&x, ctx, a, err) : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = open_side(&y, ctx, b, err);
    if (!s) {
        merge(j, &x, &y);
        *out = j;
        j = NULL;
    }
    sm_dataset_close(x.d);
    sm_dataset_close(y.d);
    json_decref(j);
    return s;
}
