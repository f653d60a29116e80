/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step eval: bits per byte on held-out documents, retrieval, minimal pairs, samples.
 * Held out and unseen mean: not in the train part that the model's own recipe names, which
 * need not be that of the dataset given here.
 * Output: figures.json (the form of eval.h), report.txt, samples.jsonl.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/bind.h"
#include "smelt/data.h"
#include "smelt/eval.h"
#include "smelt/train.h"
#include "steps.h"
#include "without.h"

static const sm_option eval_options[] = {
    {.key = "heldout_docs",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 1e9,
     .unit = "documents",
     .help = "held-out documents scored for bits per byte; 0: all",
     .affects_result = true},
    {.key = "questions",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 1e9,
     .help = "NAME lines asked as questions; 0: all that qualify",
     .affects_result = true},
    {.key = "unseen_only",
     .type = SM_OPT_BOOL,
     .def = "true",
     .help =
         "ask only for pages that the model was not trained on; --no-unseen-only: of all",
     .affects_result = true},
    {.key = "pairs",
     .type = SM_OPT_PATH,
     .def = "",
     .help = "minimal pairs, JSONL as BLiMP's",
     .affects_result = false},
    {.key = "max_pairs",
     .type = SM_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 1e9,
     .help = "pairs of each phenomenon; 0: all",
     .affects_result = true},
    {.key = "samples",
     .type = SM_OPT_LIST,
     .def = "",
     .help = "prompts to continue, a few tokens each",
     .affects_result = true},
    {.key = "sample_tokens",
     .type = SM_OPT_INT,
     .def = "64",
     .min = 1,
     .max = 4096,
     .unit = "tokens",
     .help = "length of a sample",
     .affects_result = true},
    {.key = "seed",
     .type = SM_OPT_INT,
     .def = "1",
     .min = 0,
     .max = 9e15,
     .help = "of folds, resamples and samples",
     .affects_result = true},
    SM_OPTION_END};

/* The pairs enter the recipe by their bytes, not by their path. */
static json_t *eval_facts(const sm_ctx *ctx, const json_t *options, sm_err *err)
{
    (void)ctx;
    const char *path = sm_opt_str(options, "pairs");
    sm_id id;
    if (!*path)
        return json_object();
    if (sm_id_of_file(&id, path, err))
        return NULL;
    return json_pack("{s:s}", "pairs", id.hex);
}

typedef struct work {
    const sm_step_io *io;
    sm_bound_model bound;
    json_t *trained; /* {id: true} of what the model was trained on          */
    sm_dataset *heldout;
    size_t *unseen; /* [n_unseen] of the held-out documents, those not in it */
    size_t n_unseen;
    sm_index *index;
    json_t *figures;
} work;

/* -------------------------------------------------------------- the tasks */

static bool is_seen(void *self, const char *id)
{
    const work *w = self;
    return json_object_get(w->trained, id) != NULL;
}

/* What was left out is a figure, so that a gate can ask for none. */
static sm_status report_left_out(work *w, size_t n, sm_err *err)
{
    size_t n_left = n - w->n_unseen;
    sm_interval v = {.value = (double)n_left, .low = NAN, .high = NAN, .n = (int64_t)n};
    if (n_left > 0)
        sm_log_line(
            w->io->ctx->log, SM_LOG_WARN,
            "eval: %zu of %zu held-out documents left out: the model was trained on "
            "them",
            n_left, n);
    if (n > 0 && w->n_unseen == 0)
        return sm_fail(err, SM_EINVAL,
                       "dataset %.12s: the model was trained on all of its "
                       "%zu held-out documents, want one that it has not seen",
                       w->io->input[flow_input_of(w->io, "dataset")].content.hex, n);
    return sm_figure_set(w->figures, "heldout.left_out", &v, "documents")
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "out of memory");
}

static sm_status open_heldout(work *w, sm_err *err)
{
    const sm_step_io *io = w->io;
    sm_document d;
    sm_status s =
        flow_open_part(&w->heldout, io->ctx, io->store,
                       &io->input[flow_input_of(io, "dataset")], "heldout.jsonl", err);
    if (!s)
        s = flow_trained_ids(&w->trained, io, err);
    size_t n = s ? 0 : sm_dataset_n(w->heldout);
    w->unseen = sm_alloc(n, sizeof *w->unseen);
    if (!s && !w->unseen)
        s = sm_fail(err, SM_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && !s; i++) {
        s = sm_dataset_get(w->heldout, i, &d, err);
        if (!s && !is_seen(w, d.id))
            w->unseen[w->n_unseen++] = i;
    }
    return s ? s : report_left_out(w, n, err);
}

static sm_status get_unseen(void *self, size_t i, const char **text, size_t *len,
                            sm_err *err)
{
    const work *w = self;
    sm_document d;
    sm_status s = sm_dataset_get(w->heldout, w->unseen[i], &d, err);
    if (s)
        return s;
    *text = d.text;
    *len = d.text_len;
    return SM_OK;
}

static sm_status bits_per_byte(work *w, sm_err *err)
{
    const sm_step_io *io = w->io;
    sm_text_source text = {.get = get_unseen, .self = w, .n = w->n_unseen};
    size_t max = (size_t)sm_opt_int(io->options, "heldout_docs");
    if (max > 0 && max < text.n)
        text.n = max;
    if (text.n == 0) {
        sm_log_line(io->ctx->log, SM_LOG_WARN,
                    "eval: no held-out documents, so no bits per "
                    "byte");
        return SM_OK;
    }
    const sm_tokenizer *tok = w->bound.tokenizer;
    sm_token_config tc = {.n_ctx = w->bound.model->config.max_ctx,
                          .bos_id = sm_tokenizer_special(tok, "<|begin_of_text|>"),
                          .end_id = sm_tokenizer_special(tok, "<|end_of_text|>")};
    tc.overlap_tok = tc.n_ctx / 2;
    sm_token_data *data = NULL;
    sm_bpb b;
    sm_status s = sm_token_data_build(&data, io->ctx, &text, tok, &tc, err);
    if (!s)
        s = sm_eval_bpb(&b, io->ctx, w->bound.model, w->bound.profile, data, 4, NULL,
                        err);
    sm_token_data_free(data);
    if (s)
        return s;
    double half = b.n_doc > 1 ? 1.96 * b.std_err : NAN; /* one document has no spread */
    sm_interval v = {
        .value = b.bpb, .low = b.bpb - half, .high = b.bpb + half, .n = b.n_doc};
    return sm_figure_set(w->figures, "heldout.bpb", &v, "bits/byte")
               ? SM_OK
               : sm_fail(err, SM_ENOMEM, "out of memory");
}

static sm_status retrieval(work *w, sm_err *err)
{
    const sm_step_io *io = w->io;
    int i = flow_input_of(io, "index");
    if (i < 0)
        return SM_OK;
    sm_question *q = NULL;
    int64_t n = 0, n_ask = 0;
    json_t *f = NULL;
    sm_retrieval_config c = SM_RETRIEVAL_CONFIG_DEFAULT;
    c.max_questions = sm_opt_int(io->options, "questions");
    c.unseen_only = sm_opt_bool(io->options, "unseen_only");
    c.seed = (uint64_t)sm_opt_int(io->options, "seed");
    sm_status s = sm_bind_index(&w->index, io->store, &io->input[i], false, false, err);
    if (!s)
        s = sm_eval_questions(&q, &n, w->index, is_seen, w, err);
    for (int64_t k = 0; k < n; k++)
        n_ask += !c.unseen_only || !q[k].seen;
    if (!s && n_ask < 2)
        sm_log_line(io->ctx->log, SM_LOG_WARN,
                    "eval: %lld pages have a summary to ask for, "
                    "so no retrieval figures",
                    (long long)n_ask);
    else if (!s)
        s = sm_eval_retrieval(&f, io->ctx, w->index, q, n, &c, &w->bound.scorer, err);
    if (f && !s)
        json_object_update(w->figures, f);
    json_decref(f);
    free(q);
    return s;
}

static sm_status pairs(work *w, sm_err *err)
{
    const char *path = sm_opt_str(w->io->options, "pairs");
    json_t *f = NULL;
    if (!*path)
        return SM_OK;
    sm_status s =
        sm_eval_pairs(&f, w->io->ctx, path, sm_opt_int(w->io->options, "max_pairs"),
                      &w->bound.scorer, err);
    if (!s)
        json_object_update(w->figures, f);
    json_decref(f);
    return s;
}

/* ------------------------------------------------------------------ output */

static sm_status write_file(const work *w, const char *name, const sm_buf *text,
                            sm_err *err)
{
    char *path = sm_path_join(w->io->staging, name);
    sm_status s = path && !text->failed
                      ? sm_file_write_atomic(path, text->data ? text->data : "",
                                             text->len, 0644, err)
                      : sm_fail(err, SM_ENOMEM, "out of memory");
    free(path);
    return s;
}

static sm_status write_samples(work *w, sm_err *err)
{
    const json_t *list = sm_opt_list(w->io->options, "samples");
    sm_sampling how = SM_SAMPLING_DEFAULT;
    how.temperature = 0.8f;
    how.top_p = 0.95f;
    how.seed = (uint64_t)sm_opt_int(w->io->options, "seed");
    how.max_tokens = (int32_t)sm_opt_int(w->io->options, "sample_tokens");
    sm_buf out = {0};
    sm_status s = SM_OK;
    for (size_t i = 0; i < json_array_size(list) && !s; i++) {
        const char *prompt = json_string_value(json_array_get(list, i));
        sm_buf text = {0};
        s = sm_engine_complete(w->bound.engine, prompt, strlen(prompt), &how, &text, NULL,
                               err);
        json_t *line = s ? NULL
                         : json_pack("{s:s, s:o}", "prompt", prompt, "text",
                                     flow_clean_string(&text));
        if (!s &&
            (!line || sm_json_canonical(&out, line, err) || !sm_buf_putc(&out, '\n')))
            s = sm_fail(err, SM_ENOMEM, "out of memory");
        json_decref(line);
        sm_buf_free(&text);
    }
    if (!s && json_array_size(list) > 0)
        s = write_file(w, "samples.jsonl", &out, err);
    sm_buf_free(&out);
    return s;
}

static sm_status write_figures(work *w, sm_err *err)
{
    sm_buf json = {0}, table = {0};
    sm_status s = sm_json_pretty(&json, w->figures, err);
    if (!s)
        s = write_file(w, "figures.json", &json, err);
    sm_eval_table(&table, w->figures);
    if (!s)
        s = write_file(w, "report.txt", &table, err);
    const char *name;
    json_t *f;
    json_object_foreach(w->figures, name, f)
        json_object_set(w->io->figures, name, json_object_get(f, "value"));
    sm_buf_free(&json);
    sm_buf_free(&table);
    return s;
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    work w = {.io = io, .figures = json_object()};
    sm_status s = w.figures ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_bind_model(&w.bound, io->ctx, io->store,
                          &io->input[flow_input_of(io, "model")], NULL, 1, err);
    if (!s)
        s = open_heldout(&w, err);
    if (!s)
        s = bits_per_byte(&w, err);
    if (!s)
        s = retrieval(&w, err);
    if (!s)
        s = pairs(&w, err);
    if (!s)
        s = write_samples(&w, err);
    if (!s)
        s = write_figures(&w, err);
    sm_index_close(w.index);
    sm_dataset_close(w.heldout);
    free(w.unseen);
    json_decref(w.trained);
    sm_bound_model_free(&w.bound);
    json_decref(w.figures);
    return s;
}

const sm_step step_eval = {
    .name = "eval",
    .version = 4, /* 1: held out by the dataset given, percentile intervals of shares;
                   * 2: bounds of w_model, which were the weights of the halves;
                   * 3: w_model where the gain's interval holds 0, unnoted in the report */
    .output = "evaluation",
    .inputs = "model dataset index?",
    .also = "model",
    .help = "bits per byte on held-out documents, retrieval, minimal pairs, samples",
    .options = eval_options,
    .facts = eval_facts,
    .run = run,
};
