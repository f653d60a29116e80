/* SPDX-License-Identifier: Apache-2.0 */
/* Two models on the same texts: bits per byte and a paired interval. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "smelt/train.h"
#include "without.h"

#define LN2 0.69314718055994530942

void text_set_free(text_set *t)
{
    free(t->text);
    free(t->len);
    *t = (text_set){0};
}

sm_status text_set_of(text_set *out, const sm_dataset *d, const json_t *ids, size_t n_max,
                      sm_err *err)
{
    sm_document doc;
    size_t n = sm_dataset_n(d);
    text_set t = {.text = sm_alloc(n + 1, sizeof *t.text),
                  .len = sm_alloc(n + 1, sizeof *t.len)};
    if (!t.text || !t.len) {
        text_set_free(&t);
        return sm_fail(err, SM_ENOMEM, "out of memory");
    }
    for (size_t at = 0; t.n < n_max && sm_dataset_next(d, &at, &doc);) {
        if (ids && !json_object_get(ids, doc.id))
            continue;
        t.text[t.n] = doc.text;
        t.len[t.n++] = doc.text_len;
    }
    *out = t;
    return SM_OK;
}

sm_status flow_ids_of(json_t **out, const sm_dataset *d, sm_err *err)
{
    sm_document doc;
    json_t *ids = json_object();
    for (size_t at = 0; ids && sm_dataset_next(d, &at, &doc);)
        if (json_object_set_new(ids, doc.id, json_true())) {
            json_decref(ids);
            ids = NULL;
        }
    *out = ids;
    return ids ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}

static sm_status get_text(void *self, size_t i, const char **text, size_t *len,
                          sm_err *err)
{
    const text_set *t = self;
    (void)err;
    *text = t->text[i];
    *len = t->len[i];
    return SM_OK;
}

sm_status flow_bpb(double *bpb, const sm_ctx *ctx, const sm_bound_model *m,
                   const text_set *t, double *nats, sm_err *err)
{
    sm_text_source text = {.get = get_text, .self = (text_set *)(uintptr_t)t, .n = t->n};
    int64_t n_ctx = m->model->config.max_ctx;
    sm_token_config c = {.n_ctx = n_ctx,
                         .bos_id =
                             sm_tokenizer_special(m->tokenizer, "<|begin_of_text|>"),
                         .end_id = sm_tokenizer_special(m->tokenizer, "<|end_of_text|>"),
                         .overlap_tok = n_ctx / 2};
    sm_token_data *data = NULL;
    sm_bpb b;
    sm_status s = sm_token_data_build(&data, ctx, &text, m->tokenizer, &c, err);
    if (!s)
        s = sm_eval_bpb(&b, ctx, m->model, m->profile, data, 4, nats, err);
    sm_token_data_free(data);
    if (!s)
        *bpb = b.bpb;
    return s;
}

/* Documents differ in length and in how much they gain; so the standard error is that of a
 * ratio, over documents, of differences in nats. */
static double paired_error(const text_set *t, const double *before, const double *after)
{
    double sum = 0, bytes = 0, spread = 0;
    for (size_t i = 0; i < t->n; i++) {
        sum += after[i] - before[i];
        bytes += (double)t->len[i];
    }
    for (size_t i = 0; i < t->n; i++) {
        double e = after[i] - before[i] - sum / bytes * (double)t->len[i];
        spread += e * e;
    }
    double n = (double)t->n;
    return t->n > 1 ? sqrt(spread * n / (n - 1)) / (LN2 * bytes) : 0;
}

sm_status flow_compare_bpb(json_t **out, const sm_ctx *ctx, const sm_bound_model *a,
                           const sm_bound_model *b, const text_set *t, sm_err *err)
{
    double before = 0, after = 0, bytes = 0, *nats = sm_alloc(2 * t->n + 1, sizeof *nats);
    sm_status s = nats ? flow_bpb(&before, ctx, a, t, nats, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = flow_bpb(&after, ctx, b, t, nats + t->n, err);
    for (size_t i = 0; i < t->n; i++)
        bytes += (double)t->len[i];
    if (!s) {
        double e = 1.96 * paired_error(t, nats, nats + t->n), d = after - before;
        *out = json_pack("{s:f, s:f, s:f, s:I, s:f}", "before", before, "after", after,
                         "difference", d, "documents", (json_int_t)t->n, "bytes", bytes);
        if (*out && t->n > 1) { /* one document has no spread */
            json_object_set_new(*out, "low", json_real(d - e));
            json_object_set_new(*out, "high", json_real(d + e));
        }
        if (!*out)
            s = sm_fail(err, SM_ENOMEM, "out of memory");
    }
    free(nats);
    return s;
}
