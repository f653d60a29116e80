/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step data.filter: a source without some of its documents, or only those.
 *
 * It stands before curation, so it answers "what if this document had not been there":
 * duplicates that had given way to it come back.  Lines are taken over byte for byte, in
 * their order; a source cut in two and given to data.curate together is the dataset of the
 * whole.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/data.h"
#include "steps.h"

static const sm_option filter_options[] = {
    {.key = "without",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "ids of the documents to leave out",
     .affects_result = true},
    {.key = "only",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "ids of the documents to keep, instead of --without",
     .affects_result = true},
    SM_OPTION_END,
};

typedef struct filter {
    const char **id; /* [n], sorted; borrowed from the options */
    bool *met;       /* [n] */
    size_t n;
    bool keep; /* those named, not the others */
} filter;

static int compare_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static sm_status read_ids(filter *f, const json_t *options, sm_err *err)
{
    const json_t *without = sm_opt_list(options, "without");
    const json_t *only = sm_opt_list(options, "only");
    f->keep = json_array_size(only) > 0;
    if (f->keep == (json_array_size(without) > 0))
        return sm_fail(err, SM_EINVAL, "without, only: got %s, want one of them",
                       f->keep ? "both" : "neither");
    const json_t *list = f->keep ? only : without;
    f->n = json_array_size(list);
    f->id = sm_alloc(f->n, sizeof *f->id);
    f->met = sm_alloc(f->n, sizeof *f->met);
    if (!f->id || !f->met)
        return sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < f->n; i++)
        f->id[i] = json_string_value(json_array_get(list, i));
    qsort(f->id, f->n, sizeof *f->id, compare_text);
    return SM_OK;
}

static bool passes(filter *f, const char *id)
{
    const char **at = bsearch(&id, f->id, f->n, sizeof *f->id, compare_text);
    if (at)
        f->met[at - f->id] = true;
    return f->keep == (at != NULL);
}

/* Line i of the file is document i. */
static sm_status copy_lines(filter *f, const sm_map *map, const sm_dataset *docs,
                            sm_file_writer *w, int64_t *n_kept, sm_err *err)
{
    const char *p = (const char *)map->data, *end = p + map->len;
    size_t i = 0;
    sm_status s = SM_OK;
    for (; p < end && !s; i++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((eol ? eol + 1 : end) - p);
        sm_document d;
        s = i < sm_dataset_n(docs) ? sm_dataset_get(docs, i, &d, err)
                                   : sm_fail(err, SM_ECORRUPT,
                                             "documents.jsonl: line "
                                             "%zu is no document",
                                             i + 1);
        if (!s && passes(f, d.id)) {
            s = sm_file_writer_put(w, p, len, err);
            ++*n_kept;
        }
        p += len;
    }
    if (!s && i != sm_dataset_n(docs))
        s = sm_fail(err, SM_ECORRUPT, "documents.jsonl: got %zu lines, want %zu", i,
                    sm_dataset_n(docs));
    return s;
}

static sm_status write_documents(const sm_step_io *io, filter *f, const char *from,
                                 int64_t *n_kept, sm_err *err)
{
    sm_map map = {0};
    sm_dataset *docs = NULL;
    sm_file_writer *w = NULL;
    char *to = sm_path_join(io->staging, "documents.jsonl");
    sm_status s = to ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_dataset_open(&docs, io->ctx, &from, 1, err);
    if (!s)
        s = sm_map_open(&map, from, err);
    if (!s)
        s = sm_file_writer_open(&w, to, 0644, err);
    if (!s)
        s = copy_lines(f, &map, docs, w, n_kept, err);
    for (size_t i = 0; i < f->n && !s; i++)
        if (!f->met[i])
            s = sm_fail(err, SM_EINVAL, "the source has no document %.40s", f->id[i]);
    if (!s && *n_kept == 0)
        s = sm_fail(err, SM_EINVAL, "no document is left of %zu", sm_dataset_n(docs));
    if (s)
        sm_file_writer_abort(w);
    else
        s = sm_file_writer_commit(w, err);
    sm_map_close(&map);
    sm_dataset_close(docs);
    free(to);
    return s;
}

/* What was read stays on record, with what was left of it. */
static sm_status write_source(const sm_step_io *io, const filter *f, const char *from,
                              int64_t n_kept, sm_err *err)
{
    json_t *v = NULL;
    sm_buf text = {0};
    char *to = sm_path_join(io->staging, "source.json");
    sm_status s =
        to ? sm_json_load(&v, from, err) : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s &&
        json_object_set_new(v, "filter",
                            json_pack("{s:I, s:I}", f->keep ? "only" : "without",
                                      (json_int_t)f->n, "documents", (json_int_t)n_kept)))
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_json_pretty(&text, v, err);
    if (!s)
        s = sm_file_write_atomic(to, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    json_decref(v);
    free(to);
    return s;
}

static sm_status run_filter(const sm_step_io *io, sm_err *err)
{
    filter f = {0};
    int64_t n_kept = 0;
    char *documents = NULL, *source = NULL;
    sm_status s = read_ids(&f, io->options, err);
    if (!s)
        s = flow_input_path(&documents, io, 0, "documents.jsonl", err);
    if (!s)
        s = flow_input_path(&source, io, 0, "source.json", err);
    if (!s)
        s = write_documents(io, &f, documents, &n_kept, err);
    if (!s)
        s = write_source(io, &f, source, n_kept, err);
    if (!s)
        json_object_set_new(io->figures, "documents", json_integer(n_kept));
    free(documents);
    free(source);
    free(f.id);
    free(f.met);
    return s;
}

const sm_step step_data_filter = {
    .name = "data.filter",
    .version = 1,
    .output = "source",
    .inputs = "source",
    .help = "a source without some documents, or only those",
    .options = filter_options,
    .run = run_filter,
};
