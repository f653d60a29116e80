/* SPDX-License-Identifier: Apache-2.0 */
/* `data curate`: train, held-out and rejected documents, and the counts of stats.json. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "curate.h"

/* Length classes: powers of two of bytes, [0, 64), [64, 128) ... */
#define N_LENGTHS 26

typedef struct part {
    const char *name, *file;
    int64_t n, bytes, chars;
    int64_t lengths[N_LENGTHS];
} part;

enum { TRAIN, HELDOUT, REJECTED, N_PART };

static int part_of(const curate_doc *d)
{
    return d->reason ? REJECTED : d->heldout ? HELDOUT : TRAIN;
}

static void count(part *p, const sm_document *d)
{
    int class = 0;
    for (size_t n = d->text_len >> 6; n > 0 && class < N_LENGTHS - 1; n >>= 1)
        class ++;
    p->lengths[class]++;
    p->n++;
    p->bytes += (int64_t)d->text_len;
    for (size_t i = 0; i < d->text_len; i++)
        p->chars += ((unsigned char)d->text[i] & 0xc0) != 0x80;
}

static sm_status write_part(curate *c, int which, part *p, const char *staging,
                            sm_err *err)
{
    sm_file_writer *w = NULL;
    sm_buf line = {0};
    char *path = sm_path_join(staging, p->file);
    sm_status s = path ? sm_file_writer_open(&w, path, 0644, err)
                       : sm_fail(err, SM_ENOMEM, "%s: out of memory", staging);
    for (size_t i = 0; i < c->n && !s; i++) {
        curate_doc *d = &c->doc[i];
        if (part_of(d) != which)
            continue;
        sm_document doc = d->doc;
        doc.reason = d->reason ? d->reason : "";
        doc.detail = d->detail ? d->detail : "";
        count(p, &doc);
        sm_buf_clear(&line);
        if (!sm_document_write(&line, &doc))
            s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
        else
            s = sm_file_writer_put(w, line.data, line.len, err);
    }
    if (s)
        sm_file_writer_abort(w);
    else
        s = sm_file_writer_commit(w, err);
    sm_buf_free(&line);
    free(path);
    return s;
}

/* ------------------------------------------------------------------- stats */

static void bump(json_t *object, const char *key, const char *field, int64_t by)
{
    json_t *row = json_object_get(object, key);
    if (!row) {
        row = json_pack("{s:i,s:i,s:i,s:i}", "train", 0, "heldout", 0, "rejected", 0,
                        "kept_bytes", 0);
        json_object_set_new(object, key, row);
    }
    json_int_t old = json_integer_value(json_object_get(row, field));
    json_object_set_new(row, field, json_integer(old + by));
}

/* {value: {train, heldout, rejected, kept_bytes}} of one field, keys sorted. */
static json_t *tally(const curate *c, size_t field_offset)
{
    static const char *const name[] = {"train", "heldout", "rejected"};
    json_t *rows = json_object();
    for (size_t i = 0; i < c->n; i++) {
        const curate_doc *d = &c->doc[i];
        const char *key;
        memcpy(&key, (const char *)&d->doc + field_offset, sizeof key);
        bump(rows, *key ? key : "(none)", name[part_of(d)], 1);
        if (!d->reason)
            bump(rows, *key ? key : "(none)", "kept_bytes", (int64_t)d->doc.text_len);
    }
    return rows;
}

static json_t *reasons(const curate *c)
{
    json_t *out = json_object();
    for (size_t i = 0; i < c->n; i++) {
        const curate_doc *d = &c->doc[i];
        if (!d->reason)
            continue;
        json_t *row = json_object_get(out, d->reason);
        if (!row) {
            row = json_pack("{s:s,s:i,s:i}", "step", d->step, "documents", 0, "bytes", 0);
            json_object_set_new(out, d->reason, row);
        }
        json_object_set_new(
            row, "documents",
            json_integer(1 + json_integer_value(json_object_get(row, "documents"))));
        json_object_set_new(
            row, "bytes",
            json_integer((json_int_t)d->doc.text_len +
                         json_integer_value(json_object_get(row, "bytes"))));
    }
    return out;
}

static json_t *part_json(const part *p)
{
    json_t *lengths = json_array();
    for (int i = 0; i < N_LENGTHS; i++)
        json_array_append_new(lengths, json_integer(p->lengths[i]));
    return json_pack("{s:I,s:I,s:I,s:o}", "documents", (json_int_t)p->n, "bytes",
                     (json_int_t)p->bytes, "characters", (json_int_t)p->chars, "lengths",
                     lengths);
}

static json_t *stats(const curate *c, const part *p)
{
    json_t *out = json_object();
    json_object_set_new(out, "documents", json_integer((json_int_t)c->n));
    json_object_set_new(out, "repeated", json_integer((json_int_t)c->n_repeated));
    for (int i = 0; i < N_PART; i++)
        json_object_set_new(out, p[i].name, part_json(&p[i]));
    json_object_set_new(out, "preset", json_string(c->preset));
    json_object_set_new(out, "steps", sm_curate_describe(c));
    json_object_set_new(out, "split",
                        json_pack("{s:f,s:I}", "heldout_frac", c->params.heldout_frac,
                                  "split_seed", (json_int_t)c->params.split_seed));
    json_object_set_new(out, "reasons", reasons(c));
    json_object_set_new(out, "packages", tally(c, offsetof(sm_document, package)));
    json_object_set_new(out, "licences", tally(c, offsetof(sm_document, licence)));
    json_object_set_new(out, "formats", tally(c, offsetof(sm_document, format)));
    json_object_set_new(out, "languages", tally(c, offsetof(sm_document, lang)));
    json_object_set_new(out, "sections", tally(c, offsetof(sm_document, section)));
    json_object_set(out, "near_duplicates", c->pairs);
    json_object_set_new(out, "length_class",
                        json_string("class 0 is below 64 bytes, class k "
                                    "is 2^(k+5) up to 2^(k+6)"));
    return out;
}

static sm_status write_stats(const json_t *j, const char *staging, sm_err *err)
{
    /* canonical, so that hash tables' order of keys cannot show */
    sm_buf text = {0};
    char *path = sm_path_join(staging, "stats.json");
    sm_status s = path ? sm_json_canonical(&text, j, err)
                       : sm_fail(err, SM_ENOMEM, "%s: out of memory", staging);
    if (!s && !sm_buf_putc(&text, '\n'))
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    free(path);
    return s;
}

sm_status sm_curate_write(curate *c, const char *staging, json_t *figures, sm_err *err)
{
    part p[N_PART] = {{.name = "train", .file = "train.jsonl"},
                      {.name = "heldout", .file = "heldout.jsonl"},
                      {.name = "rejected", .file = "rejected.jsonl"}};
    sm_status s = SM_OK;
    for (int i = 0; i < N_PART && !s; i++)
        s = write_part(c, i, &p[i], staging, err);
    if (s)
        return s;
    json_t *j = stats(c, p);
    s = write_stats(j, staging, err);
    json_decref(j);
    if (figures) {
        json_object_set_new(figures, "documents", json_integer((json_int_t)c->n));
        json_object_set_new(figures, "kept", json_integer(p[TRAIN].n + p[HELDOUT].n));
        json_object_set_new(figures, "rejected", json_integer(p[REJECTED].n));
        json_object_set_new(figures, "train_bytes", json_integer(p[TRAIN].bytes));
        json_object_set_new(figures, "heldout_bytes", json_integer(p[HELDOUT].bytes));
    }
    return s;
}

json_t *sm_data_curate_facts(const sm_ctx *ctx, const json_t *options, sm_err *err)
{
    enum { RULES = 2 }; /* 1: another list of terminal punctuation */
    (void)ctx;
    (void)options;
    json_t *out =
        json_pack("{s:s,s:i}", "unicode", utf8proc_unicode_version(), "rules", RULES);
    if (!out)
        sm_fail(err, SM_ENOMEM, "data curate: out of memory");
    return out;
}
