/* SPDX-License-Identifier: Apache-2.0 */
/* smelt tokenizer train, import, encode, decode. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "smelt/text.h"

const verb verb_tokenizer_train = {
    .name = "tokenizer train",
    .usage = "DATASET",
    .summary = "train byte-level BPE on the training part of a dataset",
    .example = "smelt tokenizer train unix --vocab-size 16384 --as unix-tokenizer",
    .options = step_verb_options,
    .step = "tokenizer.train",
    .max_pos = -1,
    .run = run_step_verb,
};

const verb verb_tokenizer_import = {
    .name = "tokenizer import",
    .usage = "FILE",
    .summary = "take a tokenizer from elsewhere, to train with",
    .details =
        "FILE is a tokenizer.json of Hugging Face or, with --pretok, a file of tiktoken\n"
        "(a token in base64 and its rank a line).  It is checked and written in smelt's\n"
        "own form: byte-level BPE as Hugging Face writes it.  Special tokens that\n"
        "training needs and the file lacks are added behind its last id.",
    .example = "smelt tokenizer import llama/tokenizer.json --as llama-tokenizer\n"
               "smelt tokenizer import cl100k_base.tiktoken --pretok cl100k --as cl100k",
    .options = step_verb_options,
    .step = "tokenizer.import",
    .pos_option = "file",
    .max_pos = 1,
    .run = run_step_verb,
};

/* A ref of the workspace, or a path to a tokenizer.json. */
static sm_status load(sm_tokenizer **out, app *a, const char *name, sm_err *err)
{
    sm_store *store;
    sm_artifact found = {0};
    char *path = NULL;
    if (sm_path_exists(name) && !sm_path_is_dir(name))
        return sm_tokenizer_load(out, name, err);
    sm_status s = app_store(&store, a, err);
    if (!s)
        s = sm_store_find(&found, store, name, err);
    if (!s)
        s = sm_store_path(&path, store, &found, "tokenizer.json", err);
    if (!s)
        s = sm_tokenizer_load(out, path, err);
    free(path);
    sm_artifact_free(&found);
    return s;
}

static sm_status read_stdin(sm_buf *out, sm_err *err)
{
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0)
        if (!sm_buf_put(out, block, n))
            return sm_fail(err, SM_ENOMEM, "standard input: got over 1 GiB, want less");
    return ferror(stdin) ? sm_fail(err, SM_EIO, "standard input: cannot read") : SM_OK;
}

/* The file named by word i, standard input when there is none or it is "-". */
static sm_status read_input(sm_buf *out, const args *in, size_t i, sm_err *err)
{
    char *data;
    size_t len;
    if (in->n_pos <= i || !strcmp(in->pos[i], "-"))
        return read_stdin(out, err);
    sm_status s = sm_file_read(&data, &len, in->pos[i], (size_t)1 << 30, err);
    if (s)
        return s;
    if (!sm_buf_put(out, data, len))
        s = sm_fail(err, SM_ENOMEM, "%s: out of memory", in->pos[i]);
    free(data);
    return s;
}

/* ------------------------------------------------------------------ encode */

static const sm_option encode_options[] = {
    {.key = "special",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "special tokens in the text count as such"},
    {.key = "pieces",
     .type = SM_OPT_BOOL,
     .def = "false",
     .help = "print each token's id and bytes, one a line"},
    SM_OPTION_END,
};

static void print_piece(const sm_tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *bytes = sm_tokenizer_bytes(t, id, &n);
    printf("%" PRId32 "\t", id);
    for (size_t i = 0; bytes && i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x20 || c == 0x7f || c == '\\')
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    putchar('\n');
}

static int print_ids(const app *a, const sm_tokenizer *t, const sm_tokens *ids,
                     bool pieces)
{
    if (a->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < ids->n; i++)
            json_array_append_new(list, json_integer(ids->id[i]));
        return app_print_json(
            json_pack("{s:o, s:I}", "ids", list, "n", (json_int_t)ids->n));
    }
    for (size_t i = 0; i < ids->n; i++) {
        if (pieces)
            print_piece(t, ids->id[i]);
        else
            printf("%s%" PRId32, i ? " " : "", ids->id[i]);
    }
    if (!pieces)
        putchar('\n');
    return EXIT_GOOD;
}

static int run_encode(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_tokenizer *t = NULL;
    sm_buf text = {0};
    sm_tokens ids = {0};
    int rc = EXIT_GOOD;
    sm_status s = load(&t, a, in->pos[0], &err);
    if (!s)
        s = read_input(&text, in, 1, &err);
    if (!s)
        s = sm_tokenizer_encode(t, &ids, text.data ? text.data : "", text.len,
                                sm_opt_bool(in->opt, "special"), &err);
    if (s)
        rc = app_fail(a, s, &err);
    else
        rc = print_ids(a, t, &ids, sm_opt_bool(in->opt, "pieces"));
    sm_tokens_free(&ids);
    sm_buf_free(&text);
    sm_tokenizer_free(t);
    return rc;
}

const verb verb_tokenizer_encode = {
    .name = "tokenizer encode",
    .usage = "TOKENIZER [FILE]",
    .summary = "turn text (a file or standard input) into token ids",
    .details = "TOKENIZER is a ref (a tokenizer or a model) or a tokenizer.json.",
    .example = "echo 'list open files' | smelt tokenizer encode unix-tokenizer",
    .options = encode_options,
    .min_pos = 1,
    .max_pos = 2,
    .run = run_encode,
};

/* ------------------------------------------------------------------ decode */

/* Ids separated by anything that is no digit, so that JSON arrays are taken too. */
static sm_status parse_ids(sm_tokens *out, const sm_buf *text, sm_err *err)
{
    const char *p = text->data ? text->data : "", *last = p + text->len;
    while ((p += strcspn(p, "-0123456789")) < last) {
        if (!*p) { /* a NUL separates too */
            p++;
            continue;
        }
        char *end;
        long long v = strtoll(p, &end, 10);
        if (end == p || v < 0 || v > INT32_MAX)
            return sm_fail(err, SM_EINVAL,
                           "tokenizer decode: got '%.*s', want a token id",
                           (int)strcspn(p + 1, " ,]\n") % 20 + 1, p);
        if (!sm_tokens_push(out, (int32_t)v))
            return sm_fail(err, SM_ENOMEM, "tokenizer decode: out of memory");
        p = end;
    }
    return SM_OK;
}

static sm_status read_ids(sm_tokens *out, const args *in, sm_err *err)
{
    sm_buf text = {0};
    sm_status s = SM_OK;
    for (size_t i = 1; i < in->n_pos; i++)
        sm_buf_printf(&text, "%s ", in->pos[i]);
    if (in->n_pos < 2)
        s = read_stdin(&text, err);
    if (!s)
        s = parse_ids(out, &text, err);
    sm_buf_free(&text);
    return s;
}

/* {"text": ...}; bytes that are no UTF-8 are no text and stand as U+FFFD; a NUL is one. */
static int print_decoded(const sm_buf *text)
{
    sm_buf clean = {0};
    bool ok = sm_buf_puts(&clean, "") &&
              sm_utf8_put_clean(&clean, text->data ? text->data : "", text->len);
    int rc = app_print_json(
        ok ? json_pack("{s:o}", "text", json_stringn_nocheck(clean.data, clean.len))
           : NULL);
    sm_buf_free(&clean);
    return rc;
}

static int run_decode(app *a, const verb *self, const args *in)
{
    (void)self;
    sm_err err = {0};
    sm_tokenizer *t = NULL;
    sm_buf text = {0};
    sm_tokens ids = {0};
    int rc = EXIT_GOOD;
    sm_status s = load(&t, a, in->pos[0], &err);
    if (!s)
        s = read_ids(&ids, in, &err);
    if (!s)
        s = sm_tokenizer_decode(t, &text, ids.id, ids.n, false, &err);
    if (s)
        rc = app_fail(a, s, &err);
    else if (a->json)
        rc = print_decoded(&text);
    else if (text.len)
        fwrite(text.data, 1, text.len, stdout);
    sm_tokens_free(&ids);
    sm_buf_free(&text);
    sm_tokenizer_free(t);
    return rc;
}

const verb verb_tokenizer_decode = {
    .name = "tokenizer decode",
    .usage = "TOKENIZER [ID...]",
    .summary = "turn token ids (words or standard input) into the bytes they stand for",
    .example = "smelt tokenizer decode unix-tokenizer 1203 77 310",
    .min_pos = 1,
    .max_pos = -1,
    .run = run_decode,
};
