/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `data add`: rounds of two parallel steps.
 *   fill     each lane reads its container until it holds LANE_BYTES of entries, taking the
 *            next file from the list whenever one is done;
 *   extract  all entries of all lanes become documents in the spool.
 * So one large package is extracted by every thread, and many small ones are read by every
 * thread.  Documents are sorted by id at the end: no order of work shows in the output.
 */
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "document.h"
#include "hash.h"
#include "names.h"

#define LANE_BYTES ((size_t)4 << 20)
#define LANE_ENTRIES 2048

const sm_option sm_data_add_options[] = {
    {.key = "paths",
     .type = SM_OPT_LIST,
     .def = NULL,
     .help = "directories, archives (tar, zip, .deb), .jsonl files or documents to read"},
    {.key = "name",
     .type = SM_OPT_STRING,
     .def = "docs",
     .help = "name of the source, kept with every document",
     .affects_result = true},
    {.key = "licence",
     .type = SM_OPT_STRING,
     .def = "unknown",
     .help = "licence of documents whose package or file states none",
     .affects_result = true},
    {.key = "include",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "take files that match this pattern even when their name says no document",
     .affects_result = true},
    {.key = "exclude",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "leave out files and archives that match this pattern, unopened",
     .affects_result = true},
    {.key = "max_file_bytes",
     .type = SM_OPT_INT,
     .def = "67108864",
     .min = 1,
     .max = 67108864,
     .unit = "bytes",
     .help = "larger files are recorded as errors",
     .affects_result = true},
    {.key = "max_ratio",
     .type = SM_OPT_FLOAT,
     .def = "200",
     .min = 1,
     .max = 1000000,
     .help = "refuse an archive that unpacks to more than this many times its size",
     .affects_result = true},
    {.key = "skip_damaged",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "record damaged archives and what cannot be opened as errors, keep the rest",
     .affects_result = true},
    SM_OPTION_END};

/* ------------------------------------------------------------------- lanes */

typedef struct lane {
    add_state *a;
    sm_container *container;
    size_t item;
    sm_entry *entry; /* [LANE_ENTRIES] */
    size_t *of_item; /* [LANE_ENTRIES] */
    size_t n;
} lane;

typedef struct round {
    add_state *a;
    lane *lane;
    int n_lane;
    size_t *at; /* prefix sums: first entry of each lane */
} round;

static const char *filter(void *self, const char *path, bool in_package)
{
    const add_state *a = self;
    return sm_add_verdict(a->options, path, in_package);
}

/* Keep the error of the lowest item, so that the report does not depend on timing. */
static void set_fatal(add_state *a, size_t item, const sm_err *e)
{
    pthread_mutex_lock(&a->lock);
    if (!a->fatal.status || item < a->fatal_item) {
        a->fatal = *e;
        a->fatal_item = item;
    }
    pthread_mutex_unlock(&a->lock);
}

/* A container could not be read to its end. */
static void broken(add_state *a, size_t index, const sm_err *e)
{
    const add_item *item = &a->items.item[index];
    bool damage = e->status == SM_ECORRUPT || e->status == SM_EDENIED;
    if (e->status != SM_EUNSUPPORTED && !(damage && a->skip_damaged)) {
        set_fatal(a, index, e);
        return;
    }
    sm_add_origin_error(a, item->origin, item->name, e->msg);
}

static bool next_item(add_state *a, size_t *out)
{
    pthread_mutex_lock(&a->lock);
    while (a->next_item < a->items.n && a->items.item[a->next_item].kind != ADD_FILE)
        a->next_item++;
    bool got = !a->fatal.status && a->next_item < a->items.n;
    if (got)
        *out = a->next_item++;
    pthread_mutex_unlock(&a->lock);
    return got;
}

static void lane_close(lane *l)
{
    sm_container_close(l->container);
    l->container = NULL;
    pthread_mutex_lock(&l->a->lock);
    l->a->bytes_done += l->a->items.item[l->item].bytes;
    pthread_mutex_unlock(&l->a->lock);
}

static void fill(void *arg, ptrdiff_t i, int thread)
{
    (void)thread;
    lane *l = &((round *)arg)->lane[i];
    add_state *a = l->a;
    size_t bytes = 0;
    l->n = 0;
    while (bytes < LANE_BYTES && l->n < LANE_ENTRIES) {
        sm_err e = {0};
        if (!l->container) {
            if (!next_item(a, &l->item))
                return;
            const add_item *item = &a->items.item[l->item];
            if (sm_container_open(&l->container, item->disk, item->name, &a->limits,
                                  filter, a, &e)) {
                broken(a, l->item, &e);
                continue;
            }
        }
        bool got;
        sm_status s = sm_container_next(l->container, &l->entry[l->n], &got, &e);
        if (s)
            broken(a, l->item, &e);
        if (s || !got) {
            lane_close(l);
            continue;
        }
        bytes += l->entry[l->n].len;
        l->of_item[l->n++] = l->item;
    }
}

static void extract(void *arg, ptrdiff_t index, int thread)
{
    (void)thread;
    round *r = arg;
    int k = 0;
    while (k + 1 < r->n_lane && r->at[k + 1] <= (size_t)index)
        k++;
    lane *l = &r->lane[k];
    size_t i = (size_t)index - r->at[k];
    sm_err e = {0};
    if (sm_add_entry(r->a, &r->a->items.item[l->of_item[i]], &l->entry[i], &e))
        set_fatal(r->a, l->of_item[i], &e);
    sm_entry_free(&l->entry[i]);
}

static sm_status run_rounds(round *r, sm_err *err)
{
    add_state *a = r->a;
    for (;;) {
        if (sm_stopped(a->ctx))
            return sm_fail(err, SM_ECANCEL, "data add: stopped");
        sm_pool_run(a->ctx->pool, r->n_lane, fill, r);
        size_t n = 0;
        for (int k = 0; k < r->n_lane; k++) {
            r->at[k] = n;
            n += r->lane[k].n;
        }
        sm_pool_run(a->ctx->pool, (ptrdiff_t)n, extract, r);
        if (a->fatal.status) {
            if (err)
                *err = a->fatal;
            return a->fatal.status;
        }
        int64_t total = 0;
        for (size_t i = 0; i < a->items.n; i++)
            total += a->items.item[i].bytes;
        sm_progress_update(a->ctx->progress, "data add", a->bytes_done, total, "bytes",
                           "");
        if (n == 0)
            return SM_OK;
    }
}

static sm_status read_all(add_state *a, sm_err *err)
{
    sm_status s = SM_OK;
    int n = 2 * (a->ctx->pool ? sm_pool_n_threads(a->ctx->pool) : 1);
    round r = {.a = a,
               .n_lane = n,
               .lane = sm_alloc((size_t)n, sizeof(lane)),
               .at = sm_alloc((size_t)n, sizeof(size_t))};
    bool ok = r.lane && r.at;
    for (int k = 0; ok && k < n; k++) {
        r.lane[k].a = a;
        r.lane[k].entry = sm_alloc(LANE_ENTRIES, sizeof(sm_entry));
        r.lane[k].of_item = sm_alloc(LANE_ENTRIES, sizeof(size_t));
        ok = r.lane[k].entry && r.lane[k].of_item;
    }
    s = ok ? run_rounds(&r, err) : sm_fail(err, SM_ENOMEM, "data add: out of memory");
    for (int k = 0; r.lane && k < n; k++) {
        sm_container_close(r.lane[k].container);
        free(r.lane[k].entry);
        free(r.lane[k].of_item);
    }
    free(r.lane);
    free(r.at);
    return s;
}

/* ------------------------------------------------------------------ output */

static sm_status write_documents(add_state *a, const char *staging, sm_err *err)
{
    sm_file_writer *w = NULL;
    sm_buf package = {0};
    sm_status s = SM_OK;
    char *path = sm_path_join(staging, "documents.jsonl");
    if (!s && !path)
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", staging);
    if (!s)
        s = sm_file_writer_open(&w, path, 0644, err);
    for (size_t i = 0; !s && i < sm_spool_n(a->spool); i++) {
        const char *bytes;
        const sm_spool_record *r = sm_spool_at(a->spool, i, &bytes);
        sm_buf_clear(&package);
        sm_buf_put(&package, bytes, r->head_bytes);
        if (!r->is_complete) {
            const add_folder *f = a->folder[r->folder];
            const char *name = f->origin->package, *version = f->origin->version;
            sm_document_write_package(&package, name ? name : "", version ? version : "",
                                      f->licence);
        }
        sm_buf_put(&package, bytes + r->head_bytes, r->tail_bytes);
        s = package.failed ? sm_fail(err, SM_ENOMEM, "%s: out of memory", path)
                           : sm_file_writer_put(w, package.data, package.len, err);
    }
    if (!s)
        s = sm_file_writer_commit(w, err);
    else
        sm_file_writer_abort(w);
    sm_buf_free(&package);
    free(path);
    return s;
}

static sm_status write_report(add_state *a, add_origin *const *sorted,
                              const char *staging, sm_spool_repeats repeats,
                              json_t *figures, sm_err *err)
{
    sm_buf text = {0};
    json_t *report = sm_add_report(a, sorted, repeats);
    char *path = sm_path_join(staging, "source.json");
    sm_status s = path ? sm_json_pretty(&text, report, err)
                       : sm_fail(err, SM_ENOMEM, "%s: out of memory", staging);
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    static const char *const figure[] = {"documents", "text_bytes", "aliases", "errors"};
    for (size_t i = 0; figures && i < sizeof figure / sizeof *figure; i++)
        json_object_set(figures, figure[i], json_object_get(report, figure[i]));
    json_decref(report);
    sm_buf_free(&text);
    free(path);
    return s;
}

/* Nothing to write: say what became of what was read. */
static sm_status no_document(add_state *a, add_origin *const *sorted, sm_err *err)
{
    json_t *report = sm_add_report(a, sorted, (sm_spool_repeats){0}), *first = NULL, *n,
           *o;
    const char *key;
    size_t i;
    sm_buf why = {0};
    json_object_foreach(json_object_get(report, "skipped"), key, n)
        sm_buf_printf(&why, "; %lld %s", (long long)json_integer_value(n), key);
    json_array_foreach(json_object_get(report, "containers"), i, o) if (!first) first =
        json_array_get(json_object_get(o, "errors"), 0);
    if (first)
        sm_buf_printf(&why, "; %lld error(s), the first: %s: %s",
                      (long long)sm_json_int(report, "errors"),
                      json_string_value(json_array_get(first, 0)),
                      json_string_value(json_array_get(first, 1)));
    sm_status s =
        sm_fail(err, SM_EINVAL, "no document in %zu file(s) below %s%s", a->items.n,
                a->items.group[0], why.data && !why.failed ? why.data : "");
    sm_buf_free(&why);
    json_decref(report);
    return s;
}

/* Everything is read: settle what depends on the whole, then write. */
static sm_status write_all(add_state *a, const char *staging, json_t *figures,
                           sm_err *err)
{
    add_origin **sorted = sm_add_sort_origins(a);
    uint32_t *rank = sm_alloc(a->n_folder + 1, sizeof *rank);
    sm_spool_repeats repeats = {0};
    sm_status s = SM_OK;
    for (size_t i = 0; sorted && rank && i < a->n_folder; i++)
        rank[i] = a->folder[i]->origin->rank;
    if (!sorted || !rank || !sm_add_settle_licences(sorted, a))
        s = sm_fail(err, SM_ENOMEM, "data add: out of memory");
    if (!s)
        s = sm_spool_seal(a->spool, rank, &repeats, err);
    if (!s && sm_spool_n(a->spool) == 0)
        s = no_document(a, sorted, err);
    if (!s)
        s = write_documents(a, staging, err);
    if (!s)
        s = write_report(a, sorted, staging, repeats, figures, err);
    free(sorted);
    free(rank);
    return s;
}

sm_status sm_data_add(const sm_ctx *ctx, const json_t *options, const json_t *facts,
                      const char *staging, json_t *figures, sm_err *err)
{
    add_state a = {.ctx = ctx,
                   .options = options,
                   .limits = SM_CONTAINER_LIMITS_DEFAULT,
                   .name = sm_opt_str(options, "name"),
                   .licence = sm_opt_str(options, "licence"),
                   .skip_damaged = sm_opt_bool(options, "skip_damaged")};
    a.limits.max_file_bytes = (size_t)sm_opt_int(options, "max_file_bytes");
    a.limits.max_ratio = sm_opt_float(options, "max_ratio");
    pthread_mutex_init(&a.lock, NULL);
    const json_t *paths = sm_opt_list(options, "paths");
    sm_status s = sm_add_list_items(&a.items, options, err);
    if (!s)
        s = sm_add_hash_items(&a.items, options, ctx, err);
    if (!s)
        s = sm_add_check_facts(&a.items, facts, paths, err);
    if (!s)
        s = sm_add_make_origins(&a, err);
    if (!s)
        s = sm_spool_create(&a.spool, staging, err);
    if (!s)
        s = read_all(&a, err);
    if (!s)
        s = sm_add_check_items(&a.items, ctx, err);
    if (!s)
        s = write_all(&a, staging, figures, err);
    sm_add_origins_free(&a);
    sm_spool_free(a.spool);
    sm_add_items_free(&a.items);
    pthread_mutex_destroy(&a.lock);
    return s;
}

json_t *sm_data_add_facts(const sm_ctx *ctx, const json_t *options, sm_err *err)
{
    add_items items;
    if (sm_add_list_items(&items, options, err))
        return NULL;
    json_t *out = NULL, *list = json_array();
    if (sm_add_hash_items(&items, options, ctx, err))
        goto done;
    for (uint32_t g = 0; g < items.n_group; g++) {
        char hex[65];
        json_t *pair = sm_add_group_hash(hex, &items, g)
                           ? json_pack("[s+s]", items.group[g], "", hex)
                           : NULL;
        if (!pair || json_array_append_new(list, pair) != 0) {
            sm_fail(err, SM_ENOMEM, "data add: out of memory");
            goto done;
        }
    }
    out = json_pack("{s:O,s:i}", "inputs", list, "readers", 4);
done:
    json_decref(list);
    sm_add_items_free(&items);
    return out;
}
