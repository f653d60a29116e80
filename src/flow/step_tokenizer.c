/* SPDX-License-Identifier: Apache-2.0 */
/* Step tokenizer.train: the training part of a dataset into tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/data.h"
#include "smelt/text.h"
#include "steps.h"

static const sm_option options[] = {
    {.key = "vocab_size",
     .type = SM_OPT_INT,
     .def = "8192",
     .min = 257,
     .max = 1048576,
     .unit = "tokens",
     .help = "size of the vocabulary, special tokens included",
     .affects_result = true},
    {.key = "pretok",
     .type = SM_OPT_ENUM,
     .def = "o200k",
     .choices = FLOW_PRETOK,
     .help = "how text is cut before merging",
     .affects_result = true},
    {.key = "min_count",
     .type = SM_OPT_INT,
     .def = "2",
     .min = 1,
     .max = 1e9,
     .help = "a merge must occur at least this often",
     .affects_result = true},
    {.key = "special",
     .type = SM_OPT_LIST,
     .def = "<|begin_of_text|>,<|end_of_text|>",
     .help = "special tokens; they take the last ids",
     .affects_result = true},
    SM_OPTION_END,
};

int flow_pretok(const char *name)
{
    static const struct {
        const char *name;
        sm_pretokenizer kind;
    } known[] = {{"gpt2", SM_PRETOK_GPT2},
                 {"o200k", SM_PRETOK_O200K},
                 {"llama3", SM_PRETOK_LLAMA3},
                 {"cl100k", SM_PRETOK_CL100K}};
    size_t i = 0;
    while (i + 1 < sizeof known / sizeof *known && strcmp(known[i].name, name) != 0)
        i++;
    return (int)known[i].kind;
}

sm_status flow_special(const char *out[FLOW_MAX_SPECIAL + 1], const json_t *list,
                       sm_err *err)
{
    size_t n = json_array_size(list);
    if (n > FLOW_MAX_SPECIAL)
        return sm_fail(err, SM_EINVAL, "special: got %zu tokens, want at most %d", n,
                       FLOW_MAX_SPECIAL);
    for (size_t i = 0; i < n; i++)
        out[i] = json_string_value(json_array_get(list, i));
    out[n] = NULL;
    return SM_OK;
}

static sm_status train(sm_tokenizer **out, const sm_step_io *io, sm_dataset *d,
                       sm_err *err)
{
    const char *special[FLOW_MAX_SPECIAL + 1];
    sm_status s = flow_special(special, sm_opt_list(io->options, "special"), err);
    if (s)
        return s;
    sm_bpe_train_config c = {
        .vocab_size = (int32_t)sm_opt_int(io->options, "vocab_size"),
        .pretok = (sm_pretokenizer)flow_pretok(sm_opt_str(io->options, "pretok")),
        .min_count = sm_opt_int(io->options, "min_count"),
        .special = special};
    sm_text_source text = sm_dataset_text(d);
    return sm_bpe_train(out, io->ctx, &text, &c, err);
}

sm_status flow_write_tokenizer(const sm_step_io *io, const sm_tokenizer *t, sm_err *err)
{
    sm_buf json = {0};
    char *path = sm_path_join(io->staging, "tokenizer.json");
    sm_status s = path ? sm_tokenizer_write(&json, t, err)
                       : sm_fail(err, SM_ENOMEM, "out of memory");
    if (!s)
        s = sm_file_write_atomic(path, json.data, json.len, 0644, err);
    sm_buf_free(&json);
    free(path);
    return s;
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    char *path = NULL;
    sm_dataset *d = NULL;
    sm_tokenizer *t = NULL;
    sm_status s = flow_input_path(&path, io, 0, "train.jsonl", err);
    const char *file = path;
    if (!s)
        s = sm_dataset_open(&d, io->ctx, &file, 1, err);
    if (!s)
        s = train(&t, io, d, err);
    if (!s)
        s = flow_write_tokenizer(io, t, err);
    if (!s) {
        json_object_set_new(io->figures, "vocab", json_integer(sm_tokenizer_n_vocab(t)));
        json_object_set_new(io->figures, "text_bytes",
                            json_integer(sm_dataset_text_bytes(d)));
    }
    sm_tokenizer_free(t);
    sm_dataset_close(d);
    free(path);
    return s;
}

const sm_step step_tokenizer_train = {
    .name = "tokenizer.train",
    .version = 1,
    .output = "tokenizer",
    .inputs = "dataset",
    .help = "train byte-level BPE on the training part of a dataset",
    .options = options,
    .run = run,
};
