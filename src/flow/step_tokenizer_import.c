/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step tokenizer.import: a tokenizer.json or a tiktoken file from elsewhere, checked and
 * written as smelt writes its own, so that equal tokenizers are one artifact however their
 * files look.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/text.h"
#include "steps.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)

static const sm_option options[] = {
    {.key = "file",
     .type = SM_OPT_PATH,
     .def = NULL,
     .help = "a tokenizer.json of Hugging Face or a file of tiktoken: byte-level BPE",
     .affects_result = false},
    {.key = "pretok",
     .type = SM_OPT_ENUM,
     .def = "own",
     .choices = "own|" FLOW_PRETOK,
     .help =
         "how text is cut before merging; own: as the file says, which one of tiktoken "
         "does not",
     .affects_result = true},
    {.key = "special",
     .type = SM_OPT_LIST,
     .def = "<|begin_of_text|>,<|end_of_text|>",
     .help =
         "special tokens that training needs; those that are missing take the next ids",
     .affects_result = true},
    SM_OPTION_END,
};

/* The bytes enter the recipe, not the path they were read from. */
static json_t *facts(const sm_ctx *ctx, const json_t *given, sm_err *err)
{
    (void)ctx;
    sm_id id;
    if (sm_id_of_file(&id, sm_opt_str(given, "file"), err))
        return NULL;
    return json_pack("{s:s}", "file", id.hex);
}

static json_t *added_token(int32_t id, const char *text)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)id, "content",
                     text, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                     "special", 1);
}

/* The file with the special tokens that it lacks; *n_added of them. */
static sm_status complete(json_t *file, int *n_added, const sm_tokenizer *t,
                          const json_t *special, sm_err *err)
{
    size_t i;
    json_t *text, *added = json_object_get(file, "added_tokens");
    int32_t next = sm_tokenizer_n_vocab(t);
    json_array_foreach((json_t *)(uintptr_t)special, i, text)
    {
        if (sm_tokenizer_special(t, json_string_value(text)) >= 0)
            continue;
        if (!json_is_array(added)) {
            added = json_array();
            json_object_set_new(file, "added_tokens", added);
        }
        if (json_array_append_new(added, added_token(next++, json_string_value(text))))
            return sm_fail(err, SM_ENOMEM, "tokenizer.import: out of memory");
        ++*n_added;
    }
    return SM_OK;
}

/* Read it as it is, then again with what was added. */
static sm_status read_json(sm_tokenizer **out, int *n_added, const sm_step_io *io,
                           const char *path, const char *text, size_t len, sm_err *err)
{
    char *more = NULL;
    json_t *file = NULL;
    sm_tokenizer *t = NULL;
    sm_status s = sm_tokenizer_read(&t, text, len, path, err);
    if (!s)
        s = sm_json_parse(&file, text, len, path, err);
    if (!s)
        s = complete(file, n_added, t, sm_opt_list(io->options, "special"), err);
    if (!s && *n_added > 0) {
        sm_tokenizer_free(t);
        t = NULL;
        more = json_dumps(file, JSON_COMPACT);
        s = more ? sm_tokenizer_read(&t, more, strlen(more), path, err)
                 : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    }
    if (!s) {
        *out = t;
        t = NULL;
    }
    sm_tokenizer_free(t);
    json_decref(file);
    free(more);
    return s;
}

static sm_status read_tiktoken(sm_tokenizer **out, int *n_added, const sm_step_io *io,
                               const char *path, sm_err *err)
{
    const char *special[FLOW_MAX_SPECIAL + 1];
    const json_t *list = sm_opt_list(io->options, "special");
    sm_status s = flow_special(special, list, err);
    if (s)
        return s;
    *n_added = (int)json_array_size(list);
    int kind = flow_pretok(sm_opt_str(io->options, "pretok"));
    return sm_tokenizer_load_tiktoken(out, path, (sm_pretokenizer)kind, special, err);
}

/* One of JSON begins with a brace, which is no letter of base64. */
static sm_status read_file(sm_tokenizer **out, int *n_added, const sm_step_io *io,
                           const char *path, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    bool is_own = !strcmp(sm_opt_str(io->options, "pretok"), "own");
    sm_status s = sm_file_read(&text, &len, path, MAX_FILE_BYTES, err);
    if (s)
        return s;
    bool is_json = text[strspn(text, " \t\r\n")] == '{';
    if (is_json && is_own)
        s = read_json(out, n_added, io, path, text, len, err);
    else if (is_json)
        s = sm_fail(err, SM_EINVAL,
                    "pretok: got %s, want own: %s says itself how text is cut",
                    sm_opt_str(io->options, "pretok"), path);
    else if (is_own)
        s = sm_fail(err, SM_EINVAL,
                    "%s: no JSON; a file of tiktoken needs --pretok (" FLOW_PRETOK ")",
                    path);
    else
        s = read_tiktoken(out, n_added, io, path, err);
    free(text);
    return s;
}

static sm_status check_unchanged(const sm_step_io *io, const char *path, sm_err *err)
{
    sm_id now;
    const char *want = json_string_value(json_object_get(io->facts, "file"));
    sm_status s = sm_id_of_file(&now, path, err);
    if (!s && want && strcmp(now.hex, want) != 0)
        s = sm_fail(err, SM_EINVAL, "%s: changed while it was read", path);
    return s;
}

static sm_status run(const sm_step_io *io, sm_err *err)
{
    const char *path = sm_opt_str(io->options, "file");
    sm_tokenizer *t = NULL;
    int n_added = 0;
    sm_status s = read_file(&t, &n_added, io, path, err);
    if (!s)
        s = check_unchanged(io, path, err);
    if (!s)
        s = flow_write_tokenizer(io, t, err);
    if (!s) {
        json_object_set_new(io->figures, "vocab", json_integer(sm_tokenizer_n_vocab(t)));
        json_object_set_new(io->figures, "added", json_integer(n_added));
    }
    sm_tokenizer_free(t);
    return s;
}

const sm_step step_tokenizer_import = {
    .name = "tokenizer.import",
    .version = 1,
    .output = "tokenizer",
    .inputs = "",
    .help = "a tokenizer from elsewhere, checked and in smelt's form",
    .options = options,
    .facts = facts,
    .run = run,
};
