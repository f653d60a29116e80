/* SPDX-License-Identifier: Apache-2.0 */
/* `data show`: from the files of an artifact to one summary. */
#include <stdlib.h>
#include <string.h>

#include "show.h"

#define N_LENGTHS 26
#define SAMPLE_BYTES 1200

/* ---------------------------------------------------------------- sorting */

static int compare_rows(const void *x, const void *y, const char *by)
{
    json_t *const *a = x, *const *b = y;
    int64_t na = sm_json_int(*a, by), nb = sm_json_int(*b, by);
    if (na != nb)
        return na > nb ? -1 : 1;
    return strcmp(sm_json_text(*a, "name"), sm_json_text(*b, "name"));
}

static int by_bytes(const void *x, const void *y)
{
    return compare_rows(x, y, "bytes");
}

static int by_documents(const void *x, const void *y)
{
    return compare_rows(x, y, "documents");
}

/* A new array with the rows in order; takes the reference of `rows`. */
static json_t *sorted(json_t *rows, int (*compare)(const void *, const void *))
{
    size_t n = json_array_size(rows);
    json_t **p = sm_alloc(n + 1, sizeof *p);
    if (!p)
        return rows;
    for (size_t i = 0; i < n; i++)
        p[i] = json_array_get(rows, i);
    qsort(p, n, sizeof *p, compare);
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(out, p[i]);
    free(p);
    json_decref(rows);
    return out;
}

/* {"x": {"train", "heldout", "rejected", "kept_bytes"}} -> rows */
static json_t *rows_of(const json_t *object)
{
    json_t *out = json_array(), *v;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        json_int_t kept = sm_json_int(v, "train") + sm_json_int(v, "heldout");
        json_array_append_new(
            out, json_pack("{s:s,s:I,s:I,s:I}", "name", key, "kept", kept, "rejected",
                           (json_int_t)sm_json_int(v, "rejected"), "bytes",
                           (json_int_t)sm_json_int(v, "kept_bytes")));
    }
    return sorted(out, by_bytes);
}

static json_t *reason_rows(const json_t *object)
{
    json_t *out = json_array(), *v;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        json_t *row = json_copy(v);
        json_object_set_new(row, "name", json_string(key));
        json_array_append_new(out, row);
    }
    return sorted(out, by_documents);
}

/* ---------------------------------------------------------------- samples */

/* At most `max` bytes of text, cut between characters. */
static json_t *excerpt(const char *text, size_t len, size_t max)
{
    size_t n = len < max ? len : max;
    while (n > 0 && n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return json_stringn(text, n);
}

static json_t *sample(const sm_document *d)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:o}", "id", d->id, "path",
                     d->path, "title", d->title, "package", d->package, "licence",
                     d->licence, "lang", d->lang, "reason", d->reason, "detail",
                     d->detail, "bytes", (json_int_t)d->text_len, "text",
                     excerpt(d->text, d->text_len, SAMPLE_BYTES));
}

static int64_t count_reason(const json_t *samples, const char *reason)
{
    size_t i;
    json_t *v;
    int64_t n = 0;
    json_array_foreach((json_t *)(uintptr_t)samples, i, v)
    {
        n += strcmp(sm_json_text(v, "reason"), reason) == 0;
    }
    return n;
}

/* Up to n documents in a random order of the seed.  Rejected ones take turns by reason:
 * first one of each reason, then a second, and so on. */
static json_t *choose(const sm_dataset *d, int64_t n, uint64_t seed, const char *reason)
{
    json_t *out = json_array();
    size_t total = sm_dataset_n(d);
    for (int64_t turn = 1; turn <= n && (int64_t)json_array_size(out) < n; turn++) {
        size_t tries = total < 4000 ? 4 * total : 16000;
        for (size_t k = 0; k < tries && (int64_t)json_array_size(out) < n; k++) {
            sm_document doc;
            uint64_t i = sm_rng_below(total, seed, SM_STREAM_TEST, (uint32_t)turn, k);
            if (sm_dataset_get(d, i, &doc, NULL))
                break;
            if (*reason && strcmp(doc.reason, reason) != 0)
                continue;
            if (*doc.reason && !*reason && count_reason(out, doc.reason) >= turn)
                continue;
            size_t j;
            json_t *v;
            bool seen = false;
            json_array_foreach(out, j, v)
            {
                seen = seen || strcmp(sm_json_text(v, "id"), doc.id) == 0;
            }
            if (!seen)
                json_array_append_new(out, sample(&doc));
        }
    }
    return out;
}

static sm_status samples_of(json_t **out, const sm_ctx *ctx, const char *path,
                            const json_t *options, const char *reason, sm_err *err)
{
    sm_dataset *d = NULL;
    sm_status s = sm_dataset_open(&d, ctx, &path, 1, err);
    if (s)
        return s;
    *out = choose(d, sm_opt_int(options, "n_samples"),
                  (uint64_t)sm_opt_int(options, "seed"), reason);
    sm_dataset_close(d);
    return SM_OK;
}

/* ---------------------------------------------------------------- datasets */

static json_t *part(const char *name, const json_t *stats)
{
    const json_t *p = json_object_get(stats, name);
    json_t *lengths = json_object_get(p, "lengths");
    return json_pack("{s:s,s:I,s:I,s:O}", "name", name, "documents",
                     (json_int_t)sm_json_int(p, "documents"), "bytes",
                     (json_int_t)sm_json_int(p, "bytes"), "lengths",
                     lengths ? lengths : json_null());
}

static sm_status gather_dataset(json_t *out, const sm_ctx *ctx, const sm_data_files *f,
                                const json_t *options, sm_err *err)
{
    static const char *const table[] = {"packages", "licences", "languages", "formats",
                                        "sections"};
    json_t *stats = NULL, *kept = NULL, *rejected = NULL;
    const char *reason = sm_opt_str(options, "reason");
    sm_status s = sm_json_load(&stats, f->stats, err);
    if (!s && f->train)
        s = samples_of(&kept, ctx, f->train, options, "", err);
    if (!s && f->rejected)
        s = samples_of(&rejected, ctx, f->rejected, options, reason, err);
    if (s)
        goto done;
    json_object_set_new(out, "kind", json_string("dataset"));
    json_object_set_new(out, "preset", json_string(sm_json_text(stats, "preset")));
    json_object_set_new(out, "parts",
                        json_pack("[ooo]", part("train", stats), part("heldout", stats),
                                  part("rejected", stats)));
    json_object_set(out, "steps", json_object_get(stats, "steps"));
    json_object_set_new(out, "reasons", reason_rows(json_object_get(stats, "reasons")));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        json_object_set_new(out, table[i], rows_of(json_object_get(stats, table[i])));
    json_object_set(out, "near_duplicates", json_object_get(stats, "near_duplicates"));
    json_object_set_new(out, "samples",
                        json_pack("{s:O?,s:O?}", "kept", kept, "rejected", rejected));
done:
    json_decref(stats);
    json_decref(kept);
    json_decref(rejected);
    return s;
}

/* ----------------------------------------------------------------- sources */

static void bump(json_t *object, const char *key, int64_t bytes)
{
    json_t *row = json_object_get(object, *key ? key : "(none)");
    if (!row) {
        row = json_pack("{s:i,s:i}", "train", 0, "kept_bytes", 0);
        json_object_set_new(object, *key ? key : "(none)", row);
    }
    json_object_set_new(row, "train", json_integer(sm_json_int(row, "train") + 1));
    json_object_set_new(row, "kept_bytes",
                        json_integer(sm_json_int(row, "kept_bytes") + bytes));
}

static void tally(json_t *out, const sm_dataset *d)
{
    static const char *const table[] = {"packages", "licences", "languages", "formats",
                                        "sections"};
    json_t *t[5], *lengths = json_array();
    int64_t count[N_LENGTHS] = {0};
    sm_document doc;
    for (int i = 0; i < 5; i++)
        t[i] = json_object();
    for (size_t at = 0; sm_dataset_next(d, &at, &doc);) {
        const char *const key[] = {doc.package, doc.licence, doc.lang, doc.format,
                                   doc.section};
        int class = 0;
        for (int i = 0; i < 5; i++)
            bump(t[i], key[i], (int64_t)doc.text_len);
        for (size_t n = doc.text_len >> 6; n > 0 && class < N_LENGTHS - 1; n >>= 1)
            class ++;
        count[class]++;
    }
    for (int i = 0; i < N_LENGTHS; i++)
        json_array_append_new(lengths, json_integer(count[i]));
    json_object_set_new(out, "parts",
                        json_pack("[{s:s,s:I,s:I,s:o}]", "name", "documents", "documents",
                                  (json_int_t)sm_dataset_n(d), "bytes",
                                  (json_int_t)sm_dataset_text_bytes(d), "lengths",
                                  lengths));
    for (int i = 0; i < 5; i++) {
        json_object_set_new(out, table[i], rows_of(t[i]));
        json_decref(t[i]);
    }
}

static json_t *all_errors(const json_t *source)
{
    json_t *out = json_array(), *c;
    size_t i;
    json_array_foreach(json_object_get(source, "containers"), i, c)
    {
        json_array_extend(out, json_object_get(c, "errors"));
    }
    return out;
}

static sm_status gather_source(json_t *out, const sm_ctx *ctx, const sm_data_files *f,
                               const json_t *options, sm_err *err)
{
    json_t *source = NULL;
    sm_dataset *d = NULL;
    sm_status s = sm_dataset_open(&d, ctx, &f->documents, 1, err);
    if (!s && f->source)
        s = sm_json_load(&source, f->source, err);
    if (s)
        goto done;
    json_object_set_new(out, "kind", json_string("source"));
    tally(out, d);
    json_object_set(out, "skipped", json_object_get(source, "skipped"));
    json_object_set_new(out, "errors", all_errors(source));
    json_object_set_new(out, "n_errors", json_integer(sm_json_int(source, "errors")));
    json_object_set_new(out, "aliases", json_integer(sm_json_int(source, "aliases")));
    json_object_set_new(out, "samples",
                        json_pack("{s:o}", "kept",
                                  choose(d, sm_opt_int(options, "n_samples"),
                                         (uint64_t)sm_opt_int(options, "seed"), "")));
done:
    json_decref(source);
    sm_dataset_close(d);
    return s;
}

sm_status sm_show_gather(json_t **out, const sm_ctx *ctx, const sm_data_files *files,
                         const json_t *options, sm_err *err)
{
    json_t *j = json_object();
    if (!j)
        return sm_fail(err, SM_ENOMEM, "data show: out of memory");
    json_object_set_new(j, "name", json_string(files->name ? files->name : "dataset"));
    sm_status s = SM_OK;
    if (files->stats)
        s = gather_dataset(j, ctx, files, options, err);
    else if (files->documents)
        s = gather_source(j, ctx, files, options, err);
    else
        s = sm_fail(err, SM_EINVAL, "data show: %s is neither a source nor a dataset",
                    files->name ? files->name : "this");
    if (s)
        json_decref(j);
    else
        *out = j;
    return s;
}
