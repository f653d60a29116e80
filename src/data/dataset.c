/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading .jsonl files.  Each file is read whole into private memory and every string is
 * decoded where it lies: an escape is never shorter than what it stands for, and the
 * closing quote becomes the NUL.  Lines are independent, so they are decoded in parallel.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "json_line.h"
#include "smelt/data.h"
#include "smelt/sys.h"

#define LINES_PER_TASK 256
#define MAX_LINE_BYTES ((size_t)1 << 30)

typedef struct jsonl_file {
    char *data;
    size_t len, first_line; /* index of its first document */
    const char *path;       /* borrowed while opening      */
} jsonl_file;

typedef struct line {
    char *at;
    size_t len;
    uint32_t file;
    uint32_t number; /* 1-based within the file */
} line;

struct sm_dataset {
    jsonl_file *file;
    size_t n_file;
    sm_document *doc;
    size_t n;
    int64_t text_bytes;
};

typedef struct opening {
    sm_dataset *d;
    line *line;
    size_t n_line, cap;
    sm_err *task_err; /* [n_task] */
} opening;

static bool push_line(opening *o, char *at, size_t len, uint32_t file, size_t number)
{
    if (o->n_line == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 4096;
        line *p = sm_realloc(o->line, cap, sizeof *p);
        if (!p)
            return false;
        o->line = p;
        o->cap = cap;
    }
    o->line[o->n_line++] = (line){at, len, file, (uint32_t)number};
    return true;
}

static sm_status split_lines(opening *o, uint32_t index, sm_err *err)
{
    jsonl_file *f = &o->d->file[index];
    char *p = f->data, *end = f->data + f->len;
    for (size_t number = 1; p < end; number++) {
        char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        if (len > MAX_LINE_BYTES || number > UINT32_MAX)
            return sm_fail(err, SM_EINVAL, "%s:%zu: line of %zu bytes, want at most %zu",
                           f->path, number, len, MAX_LINE_BYTES);
        bool blank = len == 0 || (len == 1 && *p == '\r');
        if (!blank && !push_line(o, p, len, index, number))
            return sm_fail(err, SM_ENOMEM, "%s: no memory for its lines", f->path);
        p += len + 1;
    }
    return SM_OK;
}

/* Where a key of a document is kept; NULL for a key that is none of ours. */
static const char **field_of(sm_document *d, const char *key)
{
    const struct {
        const char *key;
        const char **field;
    } table[] = {
        {"id", &d->id},           {"source", &d->source},   {"path", &d->path},
        {"format", &d->format},   {"title", &d->title},     {"summary", &d->summary},
        {"section", &d->section}, {"package", &d->package}, {"version", &d->version},
        {"licence", &d->licence}, {"lang", &d->lang},       {"reason", &d->reason},
        {"detail", &d->detail},   {"text", &d->text},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].key, key) == 0)
            return table[i].field;
    return NULL;
}

static sm_status decode_line(sm_document *doc, line *l, const char *path, sm_err *err)
{
    *doc = (sm_document){"", "", "", "", "", "", "", "", "", "", "", "", "", NULL, 0};
    sm_json_line j = {.at = l->at, .end = l->at + l->len, .start = l->at};
    char *key, *value;
    size_t len;
    while (sm_json_line_next(&j, &key, &value, &len)) {
        const char **field = field_of(doc, key);
        if (!field)
            continue;
        if (!value) {
            j.problem = "got a value that is no string, want a string";
            break;
        }
        *field = value;
        if (field == &doc->text)
            doc->text_len = len;
    }
    if (!j.problem && !doc->text)
        j.problem = "no \"text\" in this object";
    if (j.problem)
        return sm_fail(err, SM_ECORRUPT, "%s:%u:%zu: %s", path, l->number,
                       (size_t)(j.at - j.start) + 1, j.problem);
    return SM_OK;
}

static void decode_task(void *arg, ptrdiff_t task, int thread)
{
    (void)thread;
    opening *o = arg;
    size_t from = (size_t)task * LINES_PER_TASK;
    size_t to = from + LINES_PER_TASK < o->n_line ? from + LINES_PER_TASK : o->n_line;
    for (size_t i = from; i < to && o->task_err[task].status == SM_OK; i++)
        decode_line(&o->d->doc[i], &o->line[i], o->d->file[o->line[i].file].path,
                    &o->task_err[task]);
}

static sm_status decode_all(opening *o, const sm_ctx *ctx, sm_err *err)
{
    size_t n_task = (o->n_line + LINES_PER_TASK - 1) / LINES_PER_TASK;
    o->d->doc = sm_alloc(o->n_line ? o->n_line : 1, sizeof *o->d->doc);
    o->task_err = sm_alloc(n_task ? n_task : 1, sizeof *o->task_err);
    if (!o->d->doc || !o->task_err)
        return sm_fail(err, SM_ENOMEM, "no memory for %zu documents", o->n_line);
    sm_pool_run(ctx ? ctx->pool : NULL, (ptrdiff_t)n_task, decode_task, o);
    for (size_t t = 0; t < n_task; t++)
        if (o->task_err[t].status) {
            if (err)
                *err = o->task_err[t];
            return o->task_err[t].status;
        }
    o->d->n = o->n_line;
    for (size_t i = 0; i < o->d->n; i++)
        o->d->text_bytes += (int64_t)o->d->doc[i].text_len;
    return SM_OK;
}

sm_status sm_dataset_open(sm_dataset **out, const sm_ctx *ctx, const char *const *path,
                          size_t n_path, sm_err *err)
{
    sm_status s = SM_OK;
    opening o = {.d = sm_alloc(1, sizeof *o.d)};
    if (o.d)
        o.d->file = sm_alloc(n_path ? n_path : 1, sizeof *o.d->file);
    if (!o.d || !o.d->file) {
        s = sm_fail(err, SM_ENOMEM, "no memory for a dataset");
        goto done;
    }
    for (size_t i = 0; i < n_path && !s; i++) {
        jsonl_file *f = &o.d->file[i];
        f->path = path[i];
        s = sm_file_read(&f->data, &f->len, path[i], SIZE_MAX / 2, err);
        if (s)
            break;
        o.d->n_file++;
        s = split_lines(&o, (uint32_t)i, err);
    }
    if (!s)
        s = decode_all(&o, ctx, err);
    if (!s) {
        *out = o.d;
        o.d = NULL;
    }
done:
    sm_dataset_close(o.d);
    free(o.line);
    free(o.task_err);
    return s;
}

void sm_dataset_close(sm_dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_file; i++)
        free(d->file[i].data);
    free(d->file);
    free(d->doc);
    free(d);
}

size_t sm_dataset_n(const sm_dataset *d)
{
    return d->n;
}

int64_t sm_dataset_text_bytes(const sm_dataset *d)
{
    return d->text_bytes;
}

sm_status sm_dataset_get(const sm_dataset *d, size_t i, sm_document *out, sm_err *err)
{
    if (i >= d->n)
        return sm_fail(err, SM_EINVAL, "document %zu, want one of 0..%zu", i, d->n);
    *out = d->doc[i];
    return SM_OK;
}

bool sm_dataset_next(const sm_dataset *d, size_t *at, sm_document *out)
{
    if (*at >= d->n)
        return false;
    *out = d->doc[(*at)++];
    return true;
}

static sm_status text_get(void *self, size_t i, const char **text, size_t *len,
                          sm_err *err)
{
    const sm_dataset *d = self;
    if (i >= d->n)
        return sm_fail(err, SM_EINVAL, "document %zu, want one of 0..%zu", i, d->n);
    *text = d->doc[i].text;
    *len = d->doc[i].text_len;
    return SM_OK;
}

sm_text_source sm_dataset_text(sm_dataset *d)
{
    return (sm_text_source){.get = text_get, .self = d, .n = d->n};
}
