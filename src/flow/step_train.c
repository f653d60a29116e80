/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step train: dataset and tokenizer into a model.
 *
 * The artifact is what Hugging Face loads (config.json, model.safetensors,
 * tokenizer.json) with training.json (the resolved recipe, the data's figures, the last
 * step's) and curve.jsonl.  All of it is a function of the recipe; speeds are in the run
 * record.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "curve.h"
#include "smelt/data.h"
#include "steps.h"
#include "train_options.h"

/* What is made ready before the first step. */
typedef struct material {
    char *tokenizer_path;
    sm_tokenizer *tokenizer;
    sm_dataset *train, *heldout;
    sm_token_data *data, *heldout_data;
    sm_train_config config;
} material;

static void material_free(material *m)
{
    sm_token_data_free(m->data);
    sm_token_data_free(m->heldout_data);
    sm_dataset_close(m->train);
    sm_dataset_close(m->heldout);
    sm_tokenizer_free(m->tokenizer);
    free(m->tokenizer_path);
}

static sm_status load_tokenizer(material *m, const sm_step_io *io, sm_err *err)
{
    int i = flow_input_of(io, "tokenizer");
    sm_status s =
        flow_input_path(&m->tokenizer_path, io, (size_t)i, "tokenizer.json", err);
    if (!s)
        s = sm_tokenizer_load(&m->tokenizer, m->tokenizer_path, err);
    if (!s)
        s = train_config_of(&m->config, io->options, sm_tokenizer_n_vocab(m->tokenizer),
                            err);
    return s;
}

static sm_status open_part(sm_dataset **out, const sm_step_io *io, const char *file,
                           sm_err *err)
{
    char *path = NULL;
    int i = flow_input_of(io, "dataset");
    sm_status s = flow_input_path(&path, io, (size_t)i, file, err);
    const char *one = path;
    if (!s)
        s = sm_dataset_open(out, io->ctx, &one, 1, err);
    free(path);
    return s;
}

static sm_status tokenise(sm_token_data **out, const material *m, const sm_step_io *io,
                          sm_dataset *docs, size_t n_max, int64_t overlap_tok,
                          sm_err *err)
{
    sm_text_source text = sm_dataset_text(docs);
    sm_token_config c = {.n_ctx = m->config.n_ctx,
                         .bos_id =
                             sm_tokenizer_special(m->tokenizer, "<|begin_of_text|>"),
                         .end_id = sm_tokenizer_special(m->tokenizer, "<|end_of_text|>"),
                         .overlap_tok = overlap_tok};
    if (c.bos_id < 0)
        return sm_fail(err, SM_EINVAL, "tokenizer: got no <|begin_of_text|>, want one");
    if (n_max < text.n)
        text.n = n_max;
    return sm_token_data_build(out, io->ctx, &text, m->tokenizer, &c, err);
}

static sm_status prepare(material *m, const sm_step_io *io, sm_err *err)
{
    sm_status s = load_tokenizer(m, io, err);
    if (!s)
        s = open_part(&m->train, io, "train.jsonl", err);
    if (!s)
        s = tokenise(&m->data, m, io, m->train, SIZE_MAX, 0, err);
    size_t n_eval = (size_t)sm_opt_int(io->options, "eval_docs");
    if (s || n_eval == 0)
        return s;
    s = open_part(&m->heldout, io, "heldout.jsonl", err);
    if (!s && sm_dataset_n(m->heldout) > 0)
        s = tokenise(&m->heldout_data, m, io, m->heldout, n_eval, m->config.n_ctx / 2,
                     err);
    return s;
}

/* ------------------------------------------------------------------ output */

static json_t *data_figures(const sm_token_data *d)
{
    const sm_token_stats *t = sm_token_data_stats(d);
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "documents",
                     (json_int_t)t->n_doc, "rows", (json_int_t)t->n_row, "tokens",
                     (json_int_t)t->n_tok, "bytes", (json_int_t)t->n_bytes,
                     "bytes_per_token", t->bytes_per_tok, "padding_frac", t->padding_frac,
                     "cut_frac", t->cut_frac);
}

/* training.json: no clock in it. */
static sm_status write_training(const material *m, const sm_step_io *io,
                                const sm_train_metrics *last, sm_err *err)
{
    sm_buf text = {0};
    char *path = sm_path_join(io->staging, "training.json");
    json_t *v = json_pack(
        "{s:o, s:o, s:{s:I, s:f, s:f}}", "config", sm_train_config_to_json(&m->config),
        "data", data_figures(m->data), "last", "tokens", (json_int_t)last->n_tok, "epoch",
        last->epoch, "loss", last->loss);
    if (v && last->has_eval)
        json_object_set_new(v, "heldout",
                            json_pack("{s:f, s:f, s:I, s:I}", "bpb", last->eval.bpb,
                                      "std_err", last->eval.std_err, "documents",
                                      (json_int_t)last->eval.n_doc, "bytes",
                                      (json_int_t)last->eval.n_bytes));
    sm_status s = v && path ? sm_json_pretty(&text, v, err)
                            : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(path, text.data, text.len, 0644, err);
    sm_buf_free(&text);
    json_decref(v);
    free(path);
    return s;
}

static sm_status copy_tokenizer(const material *m, const sm_step_io *io, sm_err *err)
{
    char *text = NULL, *path = sm_path_join(io->staging, "tokenizer.json");
    size_t len = 0;
    sm_status s = path ? sm_file_read(&text, &len, m->tokenizer_path, 0, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(path, text, len, 0644, err);
    free(text);
    free(path);
    return s;
}

static void set_figures(const sm_step_io *io, const material *m,
                        const sm_train_summary *t)
{
    json_t *f = io->figures;
    json_object_set_new(f, "loss", json_real(t->last.loss));
    json_object_set_new(f, "tokens", json_integer(t->last.n_tok));
    json_object_set_new(f, "parameters",
                        json_integer(sm_model_n_param(&m->config.model)));
    json_object_set_new(f, "active", json_integer(sm_model_n_active(&m->config.model)));
    json_object_set_new(f, "tok_per_s", json_real(t->mean_tok_per_s));
    json_object_set_new(f, "gflops", json_real(t->mean_gflops));
    json_object_set_new(f, "ceiling_gflops", json_real(m->config.ceiling_gflops));
    json_object_set_new(f, "peak_bytes", json_integer((json_int_t)t->peak_bytes));
    json_object_set_new(f, "resumed_step", json_integer(t->resumed_step));
    if (t->last.has_eval)
        json_object_set_new(f, "heldout_bpb", json_real(t->last.eval.bpb));
}

static sm_status save(const sm_step_io *io, const material *m, const sm_model *model,
                      const sm_train_summary *summary, sm_err *err)
{
    bool bf16 = !strcmp(sm_opt_str(io->options, "save_type"), "bf16");
    sm_status s = sm_model_save(model, io->staging, bf16 ? SM_BF16 : SM_F32, err);
    if (!s)
        s = copy_tokenizer(m, io, err);
    if (!s)
        s = write_training(m, io, &summary->last, err);
    if (!s)
        set_figures(io, m, summary);
    return s;
}

/* -------------------------------------------------------------------- run */

static sm_status run(const sm_step_io *io, sm_err *err)
{
    material m = {0};
    curve *c = NULL;
    sm_model *model = NULL;
    sm_train_summary summary = {0};
    sm_status s = prepare(&m, io, err);
    if (!s)
        s = sm_flow_ceiling(&m.config.ceiling_gflops, io->ctx, m.config.profile, 0.2,
                            err);
    if (!s)
        s = curve_open(&c, io, &m.config, err);
    if (!s) {
        sm_train_io t = {.data = m.data,
                         .held_out = m.heldout_data,
                         .scratch = io->scratch,
                         .on_step = curve_step,
                         .self = c};
        s = sm_train_run(&model, &summary, io->ctx, &m.config, &t, err);
    }
    if (!s)
        s = curve_finish(c, err);
    if (!s)
        s = save(io, &m, model, &summary, err);
    curve_free(c);
    sm_model_free(model);
    material_free(&m);
    return s;
}

static sm_status plan(json_t **out, const sm_step_io *io, sm_err *err)
{
    material m = {0};
    sm_train_plan p;
    sm_status s = load_tokenizer(&m, io, err);
    if (!s)
        s = sm_flow_ceiling(&m.config.ceiling_gflops, io->ctx, m.config.profile, 0.2,
                            err);
    if (!s)
        s = sm_train_plan_make(&p, io->ctx, &m.config, err);
    material_free(&m);
    if (s)
        return s;
    *out = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:f}",
        "parameters", (json_int_t)p.n_param, "active_parameters", (json_int_t)p.n_active,
        "tokens_per_step", (json_int_t)p.tok_per_step, "tokens", (json_int_t)p.n_tok,
        "flops", p.flops, "weight_bytes", (json_int_t)p.weight_bytes, "gradient_bytes",
        (json_int_t)p.grad_bytes, "optimizer_bytes", (json_int_t)p.optimizer_bytes,
        "activation_bytes", (json_int_t)p.activation_bytes, "packed_bytes",
        (json_int_t)p.packed_bytes, "total_bytes", (json_int_t)p.total_bytes,
        "micro_batches", (json_int_t)p.n_micro, "reruns_forward", p.rerun_forward,
        "ceiling_gflops", m.config.ceiling_gflops, "expected_seconds",
        p.expected_seconds);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}

const sm_step step_train = {
    .name = "train",
    .version = 1,
    .output = "model",
    .inputs = "dataset tokenizer",
    .help = "train a model on the training part of a dataset",
    .options = train_options,
    .run = run,
    .plan = plan,
};
