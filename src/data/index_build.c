/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cut documents into passages: at headings, then at blank lines, up to passage_words words;
 * a paragraph longer than twice that is cut at a space.  Order: document id, then place.
 */
#include <stdlib.h>
#include <string.h>

#include "index_internal.h"
#include "smelt/data.h"
#include "smelt/sys.h"

const sm_option sm_index_options[] = {
    {.key = "passage_words", .type = SM_OPT_INT, .def = "120", .min = 20, .max = 2000,
     .unit = "words", .help = "longest passage, but for a single long paragraph",
     .affects_result = true},
    SM_OPTION_END};

typedef struct cutter {
    const sm_document *doc;
    int64_t max_words, words, n_passages;
    char heading[160];
    sm_buf text;
    sm_file_writer *out;
} cutter;

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static int64_t count_words(const char *s, size_t n)
{
    int64_t words = 0;
    for (size_t i = 0; i < n; i++)
        words += !is_blank(s[i]) && (i == 0 || is_blank(s[i - 1]));
    return words;
}

static sm_status write_passage(cutter *c, sm_err *err)
{
    if (c->words == 0) {
        sm_buf_clear(&c->text);
        return SM_OK;
    }
    while (c->text.len > 0 && c->text.data[c->text.len - 1] == '\n')
        c->text.data[--c->text.len] = 0;
    const sm_document *d = c->doc;
    json_t *j = json_pack("{ss ss ss ss ss ss ss ss ss ss}", "doc", d->id, "title", d->title,
                          "summary", d->summary, "section", d->section, "heading",
                          c->heading, "package", d->package, "version", d->version,
                          "licence", d->licence, "path", d->path, "text", c->text.data);
    char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;
    sm_status s = SM_OK;
    if (!line)
        s = sm_fail(err, SM_ENOMEM, "index: passage of %s: out of memory or bad UTF-8",
                    d->path);
    else if (!(s = sm_file_writer_put(c->out, line, strlen(line), err)))
        s = sm_file_writer_put(c->out, "\n", 1, err);
    free(line);
    json_decref(j);
    sm_buf_clear(&c->text);
    c->words = 0;
    c->n_passages++;
    return s;
}

static bool is_heading(const char *line, size_t n)
{
    size_t i = 0;
    while (i < n && i < 6 && line[i] == '#')
        i++;
    return i > 0 && i < n && line[i] == ' ';
}

static void set_heading(cutter *c, const char *line, size_t n)
{
    while (n > 0 && (*line == '#' || *line == ' '))
        line++, n--;
    if (n >= sizeof c->heading)
        n = sizeof c->heading - 1;
    memcpy(c->heading, line, n);
    c->heading[n] = 0;
    /* do not leave half a UTF-8 sequence at the cut */
    c->heading[sm_utf8_valid_prefix(c->heading, n)] = 0;
}

/* Length of the piece of a long paragraph: max_words words, cut at a blank. */
static size_t piece_length(const char *s, size_t n, int64_t max_words)
{
    int64_t words = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_blank(s[i]) || (i > 0 && !is_blank(s[i - 1])))
            continue;
        if (words == max_words)
            return i;
        words++;
    }
    return n;
}

static sm_status add_paragraph(cutter *c, const char *s, size_t n, sm_err *err)
{
    int64_t words = count_words(s, n);
    while (words > 2 * c->max_words) {
        size_t cut = piece_length(s, n, c->max_words);
        sm_status st = write_passage(c, err);
        sm_buf_put(&c->text, s, cut);
        c->words = c->max_words;
        if (!st)
            st = write_passage(c, err);
        if (st)
            return st;
        s += cut;
        n -= cut;
        words -= c->max_words;
    }
    if (c->words > 0 && c->words + words > c->max_words) {
        sm_status st = write_passage(c, err);
        if (st)
            return st;
    }
    if (c->text.len > 0)
        sm_buf_puts(&c->text, "\n\n");
    sm_buf_put(&c->text, s, n);
    c->words += words;
    return c->text.failed ? sm_fail(err, SM_ENOMEM, "index: out of memory") : SM_OK;
}

static sm_status cut_document(cutter *c, const sm_document *doc, sm_err *err)
{
    c->doc = doc;
    c->heading[0] = 0;
    const char *p = doc->text, *end = p + doc->text_len;
    sm_status s = SM_OK;
    while (p < end && !s) {
        if (*p == '\n') {
            p++;
            continue;
        }
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl : end;
        if (is_heading(p, (size_t)(stop - p))) {
            s = write_passage(c, err);
            set_heading(c, p, (size_t)(stop - p));
            p = stop + 1;
            continue;
        }
        while (stop < end && !(stop + 1 < end && stop[1] == '\n')) { /* to a blank line */
            const char *more = memchr(stop + 1, '\n', (size_t)(end - stop - 1));
            stop = more ? more : end;
        }
        s = add_paragraph(c, p, (size_t)(stop - p), err);
        p = stop;
    }
    return s ? s : write_passage(c, err);
}

static int compare_ids(const void *a, const void *b)
{
    const sm_document *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static sm_status cut_all(cutter *c, const sm_ctx *ctx, sm_dataset *set, size_t *n_docs,
                         sm_err *err)
{
    size_t n = sm_dataset_n(set);
    sm_document *doc = sm_alloc(n, sizeof *doc);
    if (!doc)
        return sm_fail(err, SM_ENOMEM, "index: out of memory");
    sm_status s = SM_OK;
    for (size_t i = 0; i < n && !s; i++)
        s = sm_dataset_get(set, i, &doc[i], err);
    if (!s)
        qsort(doc, n, sizeof *doc, compare_ids);
    for (size_t i = 0; i < n && !s; i++) {
        if (sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "index: stopped");
        else
            s = cut_document(c, &doc[i], err);
        if (i % 256 == 0)
            sm_progress_update(ctx->progress, "index", (int64_t)i, (int64_t)n, "documents",
                               "");
    }
    *n_docs = n;
    free(doc);
    return s;
}

sm_status sm_index_build(const sm_ctx *ctx, const char *const *path, size_t n_path,
                         const json_t *options, const char *staging, json_t *figures,
                         sm_err *err)
{
    sm_dataset *set = NULL;
    cutter c = {.max_words = sm_opt_int(options, "passage_words")};
    size_t n_docs = 0;
    char *out_path = sm_path_join(staging, "passages.jsonl");
    sm_status s = out_path ? sm_dataset_open(&set, ctx, path, n_path, err)
                           : sm_fail(err, SM_ENOMEM, "index: out of memory");
    if (!s)
        s = sm_file_writer_open(&c.out, out_path, 0644, err);
    if (!s)
        s = cut_all(&c, ctx, set, &n_docs, err);
    if (!s && c.n_passages == 0)
        s = sm_fail(err, SM_EINVAL, "index: got no passage from %zu documents, want one",
                    n_docs);
    if (s) {
        sm_file_writer_abort(c.out);
    } else {
        s = sm_file_writer_commit(c.out, err);
    }
    if (!s && figures) {
        json_object_set_new(figures, "documents", json_integer((json_int_t)n_docs));
        json_object_set_new(figures, "passages", json_integer(c.n_passages));
    }
    sm_buf_free(&c.text);
    sm_dataset_close(set);
    free(out_path);
    return s;
}
