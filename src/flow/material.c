/* SPDX-License-Identifier: Apache-2.0 */
/* What training reads, made ready: tokenizer, documents as tokens, configuration. */
#include <stdlib.h>

#include "material.h"
#include "train_options.h"

void material_free(material *m)
{
    sm_token_data_free(m->data);
    sm_token_data_free(m->heldout_data);
    sm_dataset_close(m->train);
    sm_dataset_close(m->heldout);
    sm_tokenizer_free(m->tokenizer);
    free(m->tokenizer_path);
}

sm_status material_tokenizer(material *m, const sm_step_io *io, sm_err *err)
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

sm_status material_prepare(material *m, const sm_step_io *io, bool with_heldout,
                           sm_err *err)
{
    sm_status s = material_tokenizer(m, io, err);
    if (!s)
        s = open_part(&m->train, io, "train.jsonl", err);
    if (!s)
        s = tokenise(&m->data, m, io, m->train, SIZE_MAX, 0, err);
    size_t n_eval = (size_t)sm_opt_int(io->options, "eval_docs");
    if (s || n_eval == 0 || !with_heldout)
        return s;
    s = open_part(&m->heldout, io, "heldout.jsonl", err);
    if (!s && sm_dataset_n(m->heldout) > 0)
        s = tokenise(&m->heldout_data, m, io, m->heldout, n_eval, m->config.n_ctx / 2,
                     err);
    return s;
}

static json_t *data_figures(const sm_token_data *d)
{
    const sm_token_stats *t = sm_token_data_stats(d);
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "documents",
                     (json_int_t)t->n_doc, "rows", (json_int_t)t->n_row, "tokens",
                     (json_int_t)t->n_tok, "bytes", (json_int_t)t->n_bytes,
                     "bytes_per_token", t->bytes_per_tok, "padding_frac", t->padding_frac,
                     "cut_frac", t->cut_frac);
}

json_t *material_training(const material *m, int64_t n_tok, double epoch, double loss)
{
    return json_pack("{s:o, s:o, s:{s:I, s:f, s:f}}", "config",
                     sm_train_config_to_json(&m->config), "data", data_figures(m->data),
                     "last", "tokens", (json_int_t)n_tok, "epoch", epoch, "loss", loss);
}
