/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing tokenizer.json: keys in a fixed order, tokens by id, merges by rank, so that
 * equal tokenizers are equal bytes.  Merges are written as "left right", which every
 * version of the peers reads; the alphabet has no space, so they cannot be misread.
 */
#include "alphabet.h"
#include "tokenizer.h"

/* A JSON string of UTF-8 text, with quotes. */
static void put_string(sm_buf *out, const char *s, size_t n)
{
    sm_buf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            sm_buf_putc(out, '\\');
            sm_buf_putc(out, s[i]);
        } else if (c < 0x20) {
            sm_buf_printf(out, "\\u%04x", c);
        } else {
            sm_buf_putc(out, s[i]);
        }
    }
    sm_buf_putc(out, '"');
}

static void put_spelled(sm_buf *text, const sm_alphabet *a, const sm_token *k)
{
    sm_alphabet_write(a, text, k->bytes, k->len);
}

static void put_added(sm_buf *out, const sm_tokenizer *t)
{
    const char *between = "\n";
    sm_buf_puts(out, "  \"added_tokens\": [");
    for (int32_t i = 0; i < t->n_vocab; i++) {
        const sm_token *k = &t->token[i];
        if (!(k->flags & TOKEN_ADDED))
            continue;
        sm_buf_printf(out, "%s    {\"id\": %d, \"content\": ", between, i);
        put_string(out, k->bytes, k->len);
        sm_buf_printf(out,
                      ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                      "\"normalized\": false, \"special\": %s}",
                      k->flags & TOKEN_SPECIAL ? "true" : "false");
        between = ",\n";
    }
    sm_buf_puts(out, *between == ',' ? "\n  ],\n" : "],\n");
}

static void put_byte_level(sm_buf *out, const char *prefix_space, const char *use_regex)
{
    sm_buf_printf(out,
                  "{\"type\": \"ByteLevel\", \"add_prefix_space\": %s, \"trim_offsets\": "
                  "true, \"use_regex\": %s}",
                  prefix_space, use_regex);
}

static void put_pre_tokenizer(sm_buf *out, const sm_tokenizer *t)
{
    sm_buf_puts(out, "  \"pre_tokenizer\": ");
    if (t->pretok == SM_PRETOK_GPT2) {
        put_byte_level(out, "false", "true");
    } else {
        const char *regex = sm_pretok_regex(t->pretok);
        sm_buf_puts(out, "{\"type\": \"Sequence\", \"pretokenizers\": [\n"
                         "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        put_string(out, regex, strlen(regex));
        sm_buf_puts(out, "}, \"behavior\": \"Isolated\", \"invert\": false},\n    ");
        put_byte_level(out, "false", "false");
        sm_buf_puts(out, "\n  ]}");
    }
    sm_buf_puts(out, ",\n");
}

static void put_vocab(sm_buf *out, const sm_tokenizer *t, const sm_alphabet *a)
{
    const char *between = "\n";
    sm_buf text = {0};
    sm_buf_puts(out, "    \"vocab\": {");
    for (int32_t i = 0; i < t->n_vocab; i++) {
        if (!(t->token[i].flags & TOKEN_MODEL))
            continue;
        sm_buf_clear(&text);
        if (t->token[i].flags & TOKEN_ADDED)
            sm_buf_put(&text, t->token[i].bytes, t->token[i].len);
        else
            put_spelled(&text, a, &t->token[i]);
        sm_buf_printf(out, "%s      ", between);
        put_string(out, text.data, text.len);
        sm_buf_printf(out, ": %d", i);
        between = ",\n";
    }
    sm_buf_puts(out, "\n    },\n");
    out->failed |= text.failed;
    sm_buf_free(&text);
}

static void put_merges(sm_buf *out, const sm_tokenizer *t, const sm_alphabet *a)
{
    sm_buf text = {0};
    sm_buf_puts(out, "    \"merges\": [");
    for (size_t i = 0; i < t->n_merge; i++) {
        sm_buf_clear(&text);
        put_spelled(&text, a, &t->token[t->merge[i].left]);
        sm_buf_putc(&text, ' ');
        put_spelled(&text, a, &t->token[t->merge[i].right]);
        sm_buf_puts(out, i ? ",\n      " : "\n      ");
        put_string(out, text.data, text.len);
    }
    sm_buf_puts(out, t->n_merge ? "\n    ]\n" : "]\n");
    out->failed |= text.failed;
    sm_buf_free(&text);
}

sm_status sm_tokenizer_write(sm_buf *out, const sm_tokenizer *t, sm_err *err)
{
    sm_alphabet a;
    sm_alphabet_init(&a);
    sm_buf_puts(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                     "  \"padding\": null,\n");
    put_added(out, t);
    sm_buf_puts(out, "  \"normalizer\": null,\n");
    put_pre_tokenizer(out, t);
    sm_buf_printf(out, "  \"post_processor\": %s,\n",
                  t->post_processor ? t->post_processor : "null");
    sm_buf_puts(out, "  \"decoder\": ");
    put_byte_level(out, "true", "true");
    sm_buf_printf(out,
                  ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                  "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                  "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                  "    \"byte_fallback\": false,\n    \"ignore_merges\": %s,\n",
                  t->ignore_merges ? "true" : "false");
    put_vocab(out, t, &a);
    put_merges(out, t, &a);
    sm_buf_puts(out, "  }\n}\n");
    if (out->failed)
        return sm_fail(err, SM_ENOMEM, "tokenizer: no memory to write %d tokens",
                       t->n_vocab);
    return SM_OK;
}
