/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `data curate`: runs of steps that look at one document are done in one parallel pass;
 * steps that look at all documents come between.  Documents are sorted by id first and each
 * is judged alone, so the result does not depend on threads or on the order of sources.
 */
#include <stdlib.h>
#include <string.h>

#include "curate.h"
#include "hash.h"

#define DOCS_PER_TASK 32

sm_status sm_curate_reject(curate_doc *d, const char *reason, sm_err *err,
                           const char *fmt, ...)
{
    char text[SM_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->reason = reason;
    free(d->detail);
    d->detail = sm_strdup(text);
    return d->detail ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", d->doc.id);
}

sm_status sm_curate_judge(curate_doc *d, const char *reason, const sm_buf *detail,
                          sm_err *err)
{
    if (!reason)
        return SM_OK;
    if (detail->failed)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", d->doc.id);
    return sm_curate_reject(d, reason, err, "%s", detail->data);
}

const char *sm_rule_say(sm_buf *detail, const char *reason, double got, const char *want,
                        double limit)
{
    sm_buf_printf(detail, "%.4g, want %s %.4g", got, want, limit);
    return reason;
}

sm_status sm_curate_set_text(curate_doc *d, const sm_buf *text, sm_err *err)
{
    if (text->len == d->doc.text_len && memcmp(text->data, d->doc.text, text->len) == 0)
        return SM_OK;
    char *copy = sm_strndup(text->data ? text->data : "", text->len);
    if (!copy)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", d->doc.id);
    free(d->owned);
    d->owned = copy;
    d->doc.text = copy;
    d->doc.text_len = text->len;
    d->changed = true;
    return SM_OK;
}

sm_status sm_curate_words(const curate_doc *d, curate_scratch *scratch, sm_err *err)
{
    if (scratch->words_of == d)
        return SM_OK;
    sm_status s = sm_words_split(&scratch->words, d->doc.text, d->doc.text_len, err);
    scratch->words_of = s ? NULL : d;
    return s;
}

/* ------------------------------------------------- passes over documents */

typedef struct pass {
    curate *c;
    size_t from, to; /* steps */
    bool hash;       /* instead of steps: hash the texts that are kept */
    curate_scratch *scratch;
    int64_t *removed, *changed; /* [n_threads, CURATE_MAX_STEPS] */
} pass;

static void run_steps(pass *p, curate_doc *d, curate_scratch *s, int thread)
{
    curate *c = p->c;
    for (size_t k = p->from; k < p->to && !d->reason && !s->err.status; k++) {
        size_t cell = (size_t)thread * CURATE_MAX_STEPS + k;
        d->changed = false;
        if (c->step[k]->each(&c->params, d, s, &s->err))
            return;
        p->changed[cell] += d->changed;
        if (d->changed)
            s->words_of = NULL;
        if (!d->reason)
            continue;
        d->step = c->step[k]->name;
        p->removed[cell]++;
    }
}

static void pass_task(void *arg, ptrdiff_t task, int thread)
{
    pass *p = arg;
    curate_scratch *s = &p->scratch[thread];
    size_t to = (size_t)(task + 1) * DOCS_PER_TASK;
    for (size_t i = (size_t)task * DOCS_PER_TASK; i < to && i < p->c->n; i++) {
        curate_doc *d = &p->c->doc[i];
        if (s->err.status || d->reason)
            continue;
        if (!p->hash)
            run_steps(p, d, s, thread);
        else if (!sm_text_hash(d->hash, d->doc.text, d->doc.text_len, &s->a))
            sm_fail(&s->err, SM_ENOMEM, "%s: out of memory", d->doc.id);
    }
}

static void add_counts(pass *p, int n_thread)
{
    for (int t = 0; t < n_thread; t++)
        for (size_t k = 0; k < CURATE_MAX_STEPS; k++) {
            p->c->removed[k] += p->removed[(size_t)t * CURATE_MAX_STEPS + k];
            p->c->changed[k] += p->changed[(size_t)t * CURATE_MAX_STEPS + k];
        }
}

static sm_status run_pass(curate *c, size_t from, size_t to, bool hash, sm_err *err)
{
    int n = c->ctx->pool ? sm_pool_n_threads(c->ctx->pool) : 1;
    size_t cells = (size_t)n * CURATE_MAX_STEPS;
    pass p = {.c = c,
              .from = from,
              .to = to,
              .hash = hash,
              .scratch = sm_alloc((size_t)n, sizeof *p.scratch),
              .removed = sm_alloc(cells, sizeof *p.removed),
              .changed = sm_alloc(cells, sizeof *p.changed)};
    sm_status s = SM_OK;
    if (!p.scratch || !p.removed || !p.changed) {
        s = sm_fail(err, SM_ENOMEM, "data curate: out of memory");
        goto done;
    }
    ptrdiff_t n_task = (ptrdiff_t)((c->n + DOCS_PER_TASK - 1) / DOCS_PER_TASK);
    sm_pool_run(c->ctx->pool, n_task, pass_task, &p);
    add_counts(&p, n);
    for (int t = 0; t < n && !s; t++)
        if (p.scratch[t].err.status) {
            s = p.scratch[t].err.status;
            if (err)
                *err = p.scratch[t].err;
        }
done:
    for (int t = 0; p.scratch && t < n; t++) {
        sm_words_release(&p.scratch[t].words);
        sm_buf_free(&p.scratch[t].a);
        sm_buf_free(&p.scratch[t].b);
    }
    free(p.scratch);
    free(p.removed);
    free(p.changed);
    return s;
}

static sm_status run_whole(curate *c, size_t k, sm_err *err)
{
    sm_status s = run_pass(c, 0, 0, true, err);
    if (!s)
        s = c->step[k]->all(c, err);
    for (size_t i = 0; i < c->n; i++)
        if (c->doc[i].reason && !c->doc[i].step) {
            c->doc[i].step = c->step[k]->name;
            c->removed[k]++;
        }
    return s;
}

static sm_status run_all(curate *c, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t k = 0, end; k < c->n_step && !s; k = end) {
        if (sm_stopped(c->ctx))
            return sm_fail(err, SM_ECANCEL, "data curate: stopped before %s",
                           c->step[k]->name);
        sm_progress_update(c->ctx->progress, "data curate", (int64_t)k,
                           (int64_t)c->n_step, "steps", c->step[k]->name);
        end = k + 1;
        if (c->step[k]->all) {
            s = run_whole(c, k, err);
            continue;
        }
        while (end < c->n_step && c->step[end]->each)
            end++;
        s = run_pass(c, k, end, false, err);
    }
    return s ? s : run_pass(c, 0, 0, true, err);
}

/* ------------------------------------------------------------------- split */

/* Held out when 53 bits of SHA-256(seed, hash of the text) fall below the fraction. */
static sm_status judge_heldout(curate_doc *d, const curate_params *p, sm_err *err)
{
    unsigned char digest[32], seed[8];
    for (int i = 0; i < 8; i++)
        seed[i] = (unsigned char)((uint64_t)p->split_seed >> (8 * i));
    sm_sha h;
    sm_sha_begin(&h);
    sm_sha_put(&h, seed, sizeof seed);
    sm_sha_put(&h, d->hash, sizeof d->hash);
    if (!sm_sha_end(&h, digest))
        return sm_fail(err, SM_ENOMEM, "%s: SHA-256 failed", d->doc.id);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | digest[i];
    d->heldout = (double)(v >> 11) < p->heldout_frac * 9007199254740992.0;
    return SM_OK;
}

/* Which of the documents that are kept are held out; *n_train are not. */
static sm_status split(curate *c, int64_t *n_train, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < c->n && !s; i++) {
        curate_doc *d = &c->doc[i];
        if (d->reason)
            continue;
        s = judge_heldout(d, &c->params, err);
        *n_train += !s && !d->heldout;
    }
    return s;
}

/* ------------------------------------------------------------------ inputs */

/* By id; records of one document from several inputs may differ in what an input said of it,
 * such as its licence: which one stays must not depend on the order of inputs. */
static int compare_records(const void *x, const void *y)
{
    const sm_document *a = &((const curate_doc *)x)->doc,
                      *b = &((const curate_doc *)y)->doc;
    int c = strcmp(a->id, b->id);
    if (c)
        return c;
    const char *const of_a[] = {a->licence, a->package, a->version, a->title,
                                a->summary, a->section, a->format,  a->lang,
                                a->source,  a->path,    a->text};
    const char *const of_b[] = {b->licence, b->package, b->version, b->title,
                                b->summary, b->section, b->format,  b->lang,
                                b->source,  b->path,    b->text};
    for (size_t k = 0; k < sizeof of_a / sizeof *of_a && !c; k++)
        c = strcmp(of_a[k], of_b[k]);
    return c;
}

static bool is_id(const char *s)
{
    return strlen(s) == 32 && strspn(s, "0123456789abcdef") == 32;
}

static sm_status take_documents(curate *c, const sm_dataset *d, sm_err *err)
{
    c->doc = sm_alloc(sm_dataset_n(d) + 1, sizeof *c->doc);
    if (!c->doc)
        return sm_fail(err, SM_ENOMEM, "data curate: out of memory");
    sm_document doc;
    for (size_t at = 0; sm_dataset_next(d, &at, &doc);) {
        if (!is_id(doc.id))
            return sm_fail(err, SM_ECORRUPT,
                           "document %zu: id: got \"%.40s\", want 32 hex digits", at,
                           doc.id);
        doc.reason = doc.detail = "";
        c->doc[c->n++].doc = doc;
    }
    if (c->n > 1)
        qsort(c->doc, c->n, sizeof *c->doc, compare_records);
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (kept > 0 && strcmp(c->doc[kept - 1].doc.id, c->doc[i].doc.id) == 0)
            c->n_repeated++; /* the same document in two sources is one document */
        else
            c->doc[kept++] = c->doc[i];
    }
    c->n = kept;
    return SM_OK;
}

/* ------------------------------------------------------------ nothing left */

typedef struct reason_count {
    const char *reason; /* static */
    size_t n;
} reason_count;

static int by_count(const void *a, const void *b)
{
    const reason_count *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return strcmp(x->reason, y->reason);
}

/* Documents by reason, most first; returns how many reasons there are. */
static size_t count_reasons(reason_count *out, size_t max, const curate *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const char *why = c->doc[i].reason ? c->doc[i].reason : "held out";
        size_t k = 0;
        while (k < n && strcmp(out[k].reason, why) != 0)
            k++;
        if (k == max)
            continue;
        if (k == n)
            out[n++] = (reason_count){.reason = why};
        out[k].n++;
    }
    qsort(out, n, sizeof *out, by_count);
    return n;
}

/* The rejected documents are not kept either, so the error itself has to say why. */
static sm_status refuse_empty(const curate *c, sm_err *err)
{
    enum { MAX_REASONS = 64, SHOWN = 4 };
    reason_count count[MAX_REASONS];
    size_t n = count_reasons(count, MAX_REASONS, c);
    sm_buf why = {0};
    if (n == 0)
        return sm_fail(err, SM_EINVAL, "got sources without documents, want one");
    for (size_t k = 0; k < n && k < SHOWN; k++)
        sm_buf_printf(&why, "%s%s %zu", k ? ", " : "", count[k].reason, count[k].n);
    if (n > SHOWN)
        sm_buf_printf(&why, " and %zu more reasons", n - SHOWN);
    if (!strcmp(count[0].reason, "licence.unknown"))
        sm_buf_puts(&why,
                    "; --allow-unknown-licence keeps documents whose licence is not "
                    "known");
    sm_status s = sm_fail(err, SM_EINVAL, "none of %zu documents is left to train on: %s",
                          c->n, why.failed ? "" : why.data);
    sm_buf_free(&why);
    return s;
}

sm_status sm_data_curate(const sm_ctx *ctx, const char *const *path, size_t n_path,
                         const json_t *options, const char *staging, json_t *figures,
                         sm_err *err)
{
    curate c = {.ctx = ctx, .pairs = json_array()};
    sm_dataset *d = NULL;
    int64_t n_train = 0;
    sm_status s = sm_curate_configure(&c, options, err);
    if (!s)
        s = sm_dataset_open(&d, ctx, path, n_path, err);
    if (!s)
        s = take_documents(&c, d, err);
    if (!s)
        s = run_all(&c, err);
    if (!s)
        s = split(&c, &n_train, err);
    if (!s)
        s = sm_curate_write(&c, staging, figures, err);
    if (!s && n_train == 0)
        s = refuse_empty(&c, err);
    for (size_t i = 0; i < c.n; i++) {
        free(c.doc[i].owned);
        free(c.doc[i].detail);
    }
    free(c.doc);
    json_decref(c.pairs);
    sm_curate_configure_free(&c);
    sm_dataset_close(d);
    return s;
}
