/* SPDX-License-Identifier: Apache-2.0 */
/* smelt data show, export, diff: what is in a source or a dataset. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "smelt/data.h"

/* Paths of the files an artifact has, and what is to be freed. */
typedef struct opened {
    sm_data_files files;
    char *path[6];
    sm_artifact artifact;
} opened;

static void opened_free(opened *o)
{
    for (size_t i = 0; i < sizeof o->path / sizeof *o->path; i++)
        free(o->path[i]);
    sm_artifact_free(&o->artifact);
}

static bool has_file(const sm_artifact *a, const char *name)
{
    for (size_t i = 0; i < a->n_file; i++)
        if (!strcmp(a->file[i].path, name))
            return true;
    return false;
}

static sm_status open_ref(opened *o, app *a, const char *ref, sm_err *err)
{
    const struct {
        const char *name, **to;
    } file[] = {
        {"documents.jsonl", &o->files.documents}, {"source.json", &o->files.source},
        {"train.jsonl", &o->files.train},         {"heldout.jsonl", &o->files.heldout},
        {"rejected.jsonl", &o->files.rejected},   {"stats.json", &o->files.stats},
    };
    sm_store *store;
    sm_status s = app_store(&store, a, err);
    if (!s)
        s = sm_store_find(&o->artifact, store, ref, err);
    if (!s && strcmp(o->artifact.kind, "source") && strcmp(o->artifact.kind, "dataset"))
        s = sm_fail(err, SM_EINVAL, "%s: got kind %s, want a source or a dataset", ref,
                    o->artifact.kind);
    o->files.name = ref;
    for (size_t i = 0; i < sizeof file / sizeof *file && !s; i++) {
        if (!has_file(&o->artifact, file[i].name))
            continue;
        s = sm_store_path(&o->path[i], store, &o->artifact, file[i].name, err);
        *file[i].to = o->path[i];
    }
    return s;
}

/* -------------------------------------------------------------------- show */

/* --html, and what sm_data_show_options has (show() resolves against that table). */
static const sm_option show_options[] = {
    {.key = "html",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "write a self-contained page with plots into this file"},
    {.key = "n_samples",
     .type = SM_OPT_INT,
     .def = "5",
     .min = 0,
     .max = 100,
     .help = "documents to show of each part"},
    {.key = "seed",
     .type = SM_OPT_INT,
     .def = "1",
     .min = 0,
     .max = 2147483647,
     .help = "another seed shows other samples"},
    {.key = "reason",
     .type = SM_OPT_STRING,
     .def = "",
     .help = "show rejected samples of this reason only"},
    SM_OPTION_END,
};

static sm_status show(sm_buf *out, app *a, const args *in, sm_data_form form, sm_err *err)
{
    const sm_ctx *ctx;
    opened o = {0};
    json_t *given = json_copy(in->opt), *options = NULL;
    json_object_del(given, "html");
    sm_status s =
        sm_options_resolve(&options, sm_data_show_options, given, "data show", err);
    json_decref(given);
    if (!s)
        s = open_ref(&o, a, in->pos[0], err);
    if (!s)
        s = app_ctx(&ctx, a, err);
    if (!s)
        s = sm_data_show(out, ctx, &o.files, form, options, err);
    json_decref(options);
    opened_free(&o);
    return s;
}

static int run_show(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_buf out = {0};
    const char *html = sm_opt_str(in->opt, "html");
    if (a->json && !strcmp(html, "-"))
        return app_usage(a, "data show: got 2 results for standard output, want one of "
                            "--json, --html -");
    sm_data_form form = *html ? SM_DATA_HTML : a->json ? SM_DATA_JSON : SM_DATA_TEXT;
    sm_status s = show(&out, a, in, form, &err);
    app_settle(a);
    if (!s)
        s = app_write(*html ? html : "-", &out, &err);
    sm_buf_free(&out);
    if (s)
        return app_fail(a, s, &err);
    bool is_file = *html && strcmp(html, "-") != 0;
    if (is_file && a->json)
        return app_print_json(json_pack("{s:o}", "html", sm_json_string(html)));
    if (is_file && !a->quiet)
        printf("wrote %s\n", html);
    return EXIT_GOOD;
}

const verb verb_data_show = {
    .name = "data show",
    .usage = "REF",
    .summary = "show counts, reasons, sizes, licences and samples of a source or dataset",
    .example = "smelt data show unix\nsmelt data show unix --html unix.html\n"
               "smelt data show unix --reason gopher.mean_word_length",
    .options = show_options,
    .min_pos = 1,
    .max_pos = 1,
    .run = run_show,
};

/* ------------------------------------------------------------------ export */

static const sm_option export_options[] = {
    {.key = "part",
     .type = SM_OPT_ENUM,
     .def = "all",
     .choices = "all|documents|train|heldout|rejected",
     .help = "which documents"},
    {.key = "format",
     .type = SM_OPT_ENUM,
     .def = "jsonl",
     .choices = "jsonl|text",
     .help = "text: the texts alone, one after another"},
    {.key = "max_docs",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 1e12,
     .help = "format text: the first so many documents; 0: all"},
    SM_OPTION_END,
};

static sm_status write_texts(sm_file_writer *w, const sm_dataset *d, int64_t max,
                             int64_t *n, sm_err *err)
{
    sm_document doc;
    sm_status s = SM_OK;
    for (size_t at = 0; !s && (max == 0 || *n < max) && sm_dataset_next(d, &at, &doc);
         ++*n)
        s = sm_file_writer_put(w, doc.text, doc.text_len, err);
    return s;
}

static sm_status export_text(sm_file_writer *w, app *a, const sm_data_files *files,
                             const char *part, int64_t max, int64_t *n, sm_err *err)
{
    const sm_ctx *ctx;
    sm_dataset *d = NULL;
    const char *path[SM_N_PART];
    size_t n_path;
    *n = 0;
    sm_status s = sm_data_parts(path, &n_path, files, part, err);
    if (!s)
        s = app_ctx(&ctx, a, err);
    if (!s)
        s = sm_dataset_open(&d, ctx, path, n_path, err);
    if (!s)
        s = write_texts(w, d, max, n, err);
    sm_dataset_close(d);
    return s;
}

static sm_status export_to(const char *file, app *a, const args *in,
                           const sm_data_files *files, int64_t *n, sm_err *err)
{
    sm_file_writer *w = NULL;
    const char *part = sm_opt_str(in->opt, "part");
    sm_status s = strcmp(file, "-") == 0
                      ? sm_file_writer_open_fd(&w, STDOUT_FILENO, "standard output", err)
                      : sm_file_writer_open_named(&w, file, 0644, err);
    if (!s && !strcmp(sm_opt_str(in->opt, "format"), "text"))
        s = export_text(w, a, files, part, sm_opt_int(in->opt, "max_docs"), n, err);
    else if (!s)
        s = sm_data_export(w, files, part, n, err);
    if (!s)
        return sm_file_writer_commit(w, err);
    sm_file_writer_abort(w);
    return s;
}

static int run_export(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    opened o = {0};
    int64_t n = 0;
    sm_status s = open_ref(&o, a, in->pos[0], &err);
    if (!s)
        s = export_to(in->pos[1], a, in, &o.files, &n, &err);
    opened_free(&o);
    bool to_stdout = !strcmp(in->pos[1], "-");
    if (s && !(to_stdout && app_reader_left()))
        return app_fail(a, s, &err);
    if (to_stdout)
        return EXIT_GOOD;
    if (a->json)
        return app_print_json(json_pack("{s:o, s:I}", "file", sm_json_string(in->pos[1]),
                                        "documents", (json_int_t)n));
    printf("wrote %" PRId64 " document%s to %s\n", n, n == 1 ? "" : "s", in->pos[1]);
    return EXIT_GOOD;
}

const verb verb_data_export = {
    .name = "data export",
    .usage = "REF FILE",
    .summary = "write the documents of a source or dataset to a file",
    .details = "FILE \"-\" is standard output.",
    .example = "smelt data export unix train.jsonl --part train\n"
               "smelt data export unix - --format text --max-docs 10",
    .options = export_options,
    .min_pos = 2,
    .max_pos = 2,
    .run = run_export,
};

/* -------------------------------------------------------------------- diff */

static void print_diff(const json_t *diff)
{
    const char *key, *name;
    json_t *v, *list, *item;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)diff, key, v)
    {
        if (json_is_integer(v))
            printf("%-10s %" PRId64 "\n", key, (int64_t)json_integer_value(v));
    }
    json_object_foreach(json_object_get(diff, "examples"), name, list)
    {
        json_array_foreach(list, i, item)
        {
            sm_buf text = {0};
            sm_json_canonical(&text, item, NULL);
            printf("  %s: %s\n", name, text.data ? text.data : "");
            sm_buf_free(&text);
        }
    }
}

static int run_diff(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    const sm_ctx *ctx;
    opened x = {0}, y = {0};
    json_t *diff = NULL;
    sm_status s = open_ref(&x, a, in->pos[0], &err);
    if (!s)
        s = open_ref(&y, a, in->pos[1], &err);
    if (!s)
        s = app_ctx(&ctx, a, &err);
    if (!s)
        s = sm_data_diff(&diff, ctx, &x.files, &y.files, &err);
    opened_free(&x);
    opened_free(&y);
    app_settle(a);
    if (s)
        return app_fail(a, s, &err);
    if (a->json)
        return app_print_json(diff);
    print_diff(diff);
    json_decref(diff);
    return EXIT_GOOD;
}

const verb verb_data_diff = {
    .name = "data diff",
    .usage = "REF REF",
    .summary = "compare two datasets document by document",
    .example = "smelt data diff unix@v1 unix@v2",
    .min_pos = 2,
    .max_pos = 2,
    .run = run_diff,
};
