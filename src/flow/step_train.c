/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step train: dataset and tokenizer into a model.
 *
 * The artifact is what Hugging Face loads (config.json, model.safetensors,
 * tokenizer.json) with training.json (the resolved recipe, the data's figures, the last
 * step's), curve.jsonl, and chain.jsonl (commitments to the states on the way).  All of it
 * is a function of the recipe; speeds are in the run record.
 *
 * Step train.states: the same run, of which the states are the result.  `keep_states`
 * makes both in one run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "curve.h"
#include "material.h"
#include "steps.h"
#include "train_options.h"

/* ------------------------------------------------------------------ output */

/* training.json: no clock in it. */
static sm_status write_training(const material *m, const sm_step_io *io,
                                const sm_train_metrics *last, sm_err *err)
{
    sm_buf text = {0};
    char *path = sm_path_join(io->staging, "training.json");
    json_t *v = material_training(m, last->n_tok, last->epoch, last->loss);
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
                        const sm_train_summary *t, const chain *c)
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
    if (c)
        json_object_set_new(f, "commit_seconds", json_real(chain_seconds(c)));
    if (t->last.has_eval)
        json_object_set_new(f, "heldout_bpb", json_real(t->last.eval.bpb));
}

static sm_status save(const sm_step_io *io, const material *m, const sm_model *model,
                      const sm_train_summary *summary, const chain *c, sm_err *err)
{
    bool bf16 = !strcmp(sm_opt_str(io->options, "save_type"), "bf16");
    sm_status s = sm_model_save(model, io->staging, bf16 ? SM_BF16 : SM_F32, err);
    if (!s)
        s = copy_tokenizer(m, io, err);
    if (!s)
        s = write_training(m, io, &summary->last, err);
    if (!s)
        set_figures(io, m, summary, c);
    return s;
}

/* ------------------------------------------------------------- commitments */

static sm_status open_chain(chain **out, const material *m, const sm_step_io *io,
                            bool keep, sm_err *err)
{
    chain_header h;
    int64_t interval = sm_opt_int(io->options, "commit_steps");
    if (interval < 0 && keep)
        return sm_fail(err, SM_EINVAL,
                       "keep_states: got commit_steps = -1, want states to be committed");
    if (interval < 0)
        return SM_OK;
    sm_status s = chain_header_of(&h, &m->config, m->data, interval, err);
    return s ? s : chain_open(out, io, &h, keep, err);
}

/* What step train.states made of these options and inputs (content "" when it was not run),
 * and its recipe; both to be released whatever the outcome. */
static sm_status find_states(sm_artifact *out, json_t **recipe, const sm_step_io *io,
                             sm_err *err)
{
    sm_id id;
    sm_status s = flow_recipe(recipe, &step_train_states, io, err);
    if (!s)
        s = sm_recipe_id(&id, *recipe, err);
    if (!s)
        s = sm_store_find_recipe(out, io->store, &id, err);
    return s == SM_ENOENT ? SM_OK : s;
}

/* The kept states, as the artifact that step train.states would make. */
static sm_status commit_states(chain *c, const sm_step_io *io, sm_err *err)
{
    json_t *recipe = NULL;
    char *dir = NULL;
    sm_artifact a = {0};
    sm_status s = find_states(&a, &recipe, io, err);
    if (!s && !*a.content.hex) {
        s = sm_store_staging(&dir, io->store, "checkpoint", err);
        if (!s)
            s = chain_take_states(c, dir, err);
        if (!s)
            s = chain_finish(c, dir, err);
        if (!s)
            s = sm_store_commit(&a, io->store, "checkpoint", recipe, dir, "checkpoint",
                                NULL, err);
        if (s && dir)
            sm_remove_tree(dir, NULL);
    }
    if (!s)
        json_object_set_new(io->figures, "states", json_string(a.content.hex));
    sm_artifact_free(&a);
    free(dir);
    json_decref(recipe);
    return s;
}

/* -------------------------------------------------------------------- run */

static sm_status train(sm_model **model, sm_train_summary *summary, const material *m,
                       const sm_step_io *io, curve *k, chain *c, sm_err *err)
{
    sm_train_io t = {.data = m->data,
                     .held_out = m->heldout_data,
                     .scratch = io->scratch,
                     .on_step = k ? curve_step : NULL,
                     .self = k,
                     .on_commit = c ? chain_commit : NULL,
                     .commit_self = c,
                     .commit_steps =
                         chain_interval(sm_opt_int(io->options, "commit_steps"),
                                        sm_train_end(&m->config))};
    return sm_train_run(model, summary, io->ctx, &m->config, &t, err);
}

/* A model that other programs would load as another one, and no word of theirs. */
static sm_status tell_own(const sm_step_io *io, const sm_model_config *c, sm_err *err)
{
    sm_buf own = {0};
    sm_status s = sm_model_config_own(&own, c, err);
    if (!s && own.len > 0)
        sm_log_line(io->ctx->log, SM_LOG_INFO,
                    "train: programs that know nothing but its type, %s, will compute "
                    "other logits with this model: %s",
                    sm_model_config_type(c), own.data);
    sm_buf_free(&own);
    return s;
}

/* Evaluations were asked for, and there is nothing to score. */
static void warn_unscored(const sm_step_io *io, const material *m)
{
    int64_t steps = sm_opt_int(io->options, "eval_steps");
    if (steps > 0 && !m->heldout_data)
        sm_log_line(io->ctx->log, SM_LOG_WARN,
                    "train: eval_steps: got %lld with %s, so nothing is evaluated",
                    (long long)steps,
                    sm_opt_int(io->options, "eval_docs") > 0
                        ? "a dataset that holds no document out"
                        : "eval_docs 0");
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    material m = {0};
    curve *k = NULL;
    chain *c = NULL;
    sm_model *model = NULL;
    sm_train_summary summary = {0};
    bool keep = sm_opt_bool(io->options, "keep_states");
    sm_status s = material_prepare(&m, io, true, err);
    if (!s)
        s = sm_flow_ceiling(&m.config.ceiling_gflops, io->ctx, m.config.profile, 0.2,
                            err);
    if (!s)
        s = tell_own(io, &m.config.model, err);
    if (!s)
        warn_unscored(io, &m);
    if (!s)
        s = curve_open(&k, io, &m.config, err);
    if (!s)
        s = open_chain(&c, &m, io, keep, err);
    if (!s)
        s = train(&model, &summary, &m, io, k, c, err);
    if (!s)
        s = curve_finish(k, err);
    if (!s && keep)
        s = commit_states(c, io, err);
    if (!s && c)
        s = chain_finish(c, io->staging, err);
    if (!s)
        s = save(io, &m, model, &summary, c, err);
    chain_free(c);
    curve_free(k);
    sm_model_free(model);
    material_free(&m);
    return s;
}

static sm_status run_states(const sm_step_io *io, sm_err *err)
{
    material m = {0};
    chain *c = NULL;
    sm_model *model = NULL;
    sm_train_summary summary = {0};
    sm_status s = material_prepare(&m, io, false, err);
    if (!s)
        s = open_chain(&c, &m, io, true, err);
    if (!s)
        s = train(&model, &summary, &m, io, NULL, c, err);
    if (!s)
        s = chain_take_states(c, io->staging, err);
    if (!s)
        s = chain_finish(c, io->staging, err);
    chain_free(c);
    sm_model_free(model);
    material_free(&m);
    return s;
}

/* States were asked for of a model that was made without them: made by their own step. */
static sm_status settle(const sm_step_io *io, const sm_artifact *model, sm_err *err)
{
    json_t *recipe = NULL;
    sm_artifact a = {0};
    sm_flow_result made = {0};
    if (!sm_opt_bool(io->options, "keep_states"))
        return SM_OK;
    sm_status s = find_states(&a, &recipe, io, err);
    if (!s && !*a.content.hex) {
        const char *in[] = {io->input[0].content.hex, io->input[1].content.hex};
        sm_log_line(io->ctx->log, SM_LOG_INFO,
                    "train: keep_states: model %.12s was made without them; step "
                    "train.states makes them now",
                    model->content.hex);
        s = sm_flow_step(&made, io->ctx, io->store, "train.states", in, 2, io->options,
                         "keep_states", "checkpoint", err);
    }
    sm_flow_result_free(&made);
    sm_artifact_free(&a);
    json_decref(recipe);
    return s;
}

/* What commitments cost: how many, and the bytes of all of them if they are kept. */
static void plan_states(json_t *out, const sm_step_io *io, const sm_train_config *c,
                        const sm_train_plan *p)
{
    int64_t interval = sm_opt_int(io->options, "commit_steps");
    int64_t n = interval < 0 ? 0 : chain_length(interval, sm_train_end(c));
    int64_t state = (int64_t)(p->weight_bytes + p->optimizer_bytes);
    json_object_set_new(out, "committed_states", json_integer(n));
    json_object_set_new(out, "state_bytes", json_integer(state));
    json_object_set_new(
        out, "kept_states_bytes",
        json_integer(sm_opt_bool(io->options, "keep_states") ? n * state : 0));
}

/* The configuration; of a tokenizer that is still to be trained the vocabulary is known. */
static sm_status plan_config(material *m, bool *is_known, const sm_step_io *io,
                             sm_err *err)
{
    const sm_artifact *t = &io->input[flow_input_of(io, "tokenizer")];
    const json_t *options = json_object_get(t->recipe_json, "options");
    *is_known = true;
    if (*t->content.hex)
        return material_tokenizer(m, io, err);
    int64_t n_vocab = json_integer_value(json_object_get(options, "vocab_size"));
    *is_known = n_vocab > 0 && n_vocab <= INT32_MAX;
    return *is_known ? train_config_of(&m->config, io->options, (int32_t)n_vocab, err)
                     : SM_OK;
}

static sm_status plan(json_t **out, const sm_step_io *io, sm_err *err)
{
    material m = {0};
    sm_train_plan p;
    bool is_known = false;
    sm_status s = plan_config(&m, &is_known, io, err);
    if (s || !is_known) {
        material_free(&m);
        return s;
    }
    s = sm_flow_ceiling(&m.config.ceiling_gflops, io->ctx, m.config.profile, 0.2, err);
    if (!s)
        s = sm_train_plan_make(&p, io->ctx, &m.config, err);
    if (!s)
        s = tell_own(io, &m.config.model, err);
    material_free(&m);
    if (s)
        return s;
    *out = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, "
        "s:f}",
        "parameters", (json_int_t)p.n_param, "active_parameters", (json_int_t)p.n_active,
        "tokens_per_step", (json_int_t)p.tok_per_step, "tokens", (json_int_t)p.n_tok,
        "flops_per_token", p.flops_per_tok, "flops", p.flops, "weight_bytes",
        (json_int_t)p.weight_bytes, "gradient_bytes", (json_int_t)p.grad_bytes,
        "optimizer_bytes", (json_int_t)p.optimizer_bytes, "activation_bytes",
        (json_int_t)p.activation_bytes, "packed_bytes", (json_int_t)p.packed_bytes,
        "total_bytes", (json_int_t)p.total_bytes, "micro_batches", (json_int_t)p.n_micro,
        "reruns_forward", p.rerun_forward, "ceiling_gflops", m.config.ceiling_gflops,
        "expected_seconds", p.expected_seconds);
    plan_states(*out, io, &m.config, &p);
    return *out ? SM_OK : sm_fail(err, SM_ENOMEM, "out of memory");
}

const sm_step step_train = {
    .name = "train",
    .version = 3,
    .output = "model",
    .inputs = "dataset tokenizer",
    .help = "train a model on the training part of a dataset",
    .options = train_options,
    .run = run,
    .settle = settle,
    .plan = plan,
};

const sm_step step_train_states = {
    .name = "train.states",
    .version = 1,
    .output = "checkpoint",
    .inputs = "dataset tokenizer",
    .help = "train, and keep the committed states instead of the model",
    .options = train_options,
    .run = run_states,
    .plan = plan,
};
