/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading tokenizer.json of Hugging Face tokenizers.  What is read is byte-level BPE with
 * one of the known pretokenizers; anything that would change ids and is not implemented
 * is refused by name rather than skipped.
 */
#include <stdlib.h>

#include "alphabet.h"
#include "smelt/conf.h"
#include "smelt/sys.h"
#include "tokenizer.h"

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "(no type)";
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

/* A field that is absent, null, false or "" has no effect. */
static bool is_off(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return is_absent(v) || json_is_false(v) ||
           (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_number(v) && json_number_value(v) == 0.0);
}

static sm_status want_off(const json_t *object, const char *what, const char *const *keys,
                          sm_err *err)
{
    for (; *keys; keys++)
        if (!is_off(object, *keys))
            return sm_fail(err, SM_EUNSUPPORTED, "%s.%s is set, want it off", what,
                           *keys);
    return SM_OK;
}

/* ------------------------------------------------------------ pre_tokenizer */

static sm_status check_byte_level(const json_t *p, sm_err *err)
{
    static const char *const OFF[] = {"add_prefix_space", NULL};
    if (!json_is_object(p) || strcmp(type_of(p), "ByteLevel") != 0)
        return sm_fail(err, SM_EUNSUPPORTED, "pre_tokenizer: found %s, want ByteLevel",
                       type_of(p));
    return want_off(p, "pre_tokenizer", OFF, err);
}

static sm_status read_split(sm_pretokenizer *out, const json_t *p, sm_err *err)
{
    const char *regex =
        json_string_value(json_object_get(json_object_get(p, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(p, "behavior"));
    bool invert = json_is_true(json_object_get(p, "invert"));
    if (strcmp(type_of(p), "Split") != 0)
        return sm_fail(err, SM_EUNSUPPORTED, "pre_tokenizer: found %s, want Split",
                       type_of(p));
    if (!regex || !sm_pretok_from_regex(out, regex))
        return sm_fail(
            err, SM_EUNSUPPORTED,
            "pre_tokenizer: found pattern %.200s, want that of GPT-2, Llama 3, "
            "cl100k or Llama 4 (o200k)",
            regex ? regex : "(no Regex)");
    /* The expressions match everything, so that keeping the matches alone (Removed with
     * invert) is the same as isolating them. */
    if (!behavior || strcmp(behavior, invert ? "Removed" : "Isolated") != 0)
        return sm_fail(err, SM_EUNSUPPORTED,
                       "pre_tokenizer: Split behavior %s, want Isolated (or Removed with "
                       "invert)",
                       behavior ? behavior : "(none)");
    return SM_OK;
}

static sm_status read_pre_tokenizer(sm_pretokenizer *out, const json_t *p, sm_err *err)
{
    if (json_is_object(p) && strcmp(type_of(p), "Sequence") == 0) {
        const json_t *list = json_object_get(p, "pretokenizers");
        const json_t *byte_level = json_array_get(list, 1);
        if (json_array_size(list) != 2)
            return sm_fail(err, SM_EUNSUPPORTED,
                           "pre_tokenizer: a Sequence of %zu, want Split and ByteLevel",
                           json_array_size(list));
        sm_status st = read_split(out, json_array_get(list, 0), err);
        if (st == SM_OK)
            st = check_byte_level(byte_level, err);
        if (st == SM_OK && !json_is_false(json_object_get(byte_level, "use_regex")))
            st =
                sm_fail(err, SM_EUNSUPPORTED,
                        "pre_tokenizer: ByteLevel after Split has use_regex, want false");
        return st;
    }
    sm_status st = check_byte_level(p, err);
    if (st == SM_OK && json_is_false(json_object_get(p, "use_regex")))
        st = sm_fail(err, SM_EUNSUPPORTED,
                     "pre_tokenizer: ByteLevel without regex and without Split");
    *out = SM_PRETOK_GPT2;
    return st;
}

/* -------------------------------------------------------------------- tokens */

static sm_status read_added_one(sm_tokenizer *t, const json_t *a, sm_err *err)
{
    static const char *const OFF[] = {"single_word", "lstrip", "rstrip", NULL};
    const json_t *id = json_object_get(a, "id");
    const json_t *content = json_object_get(a, "content");
    if (!json_is_integer(id) || !json_is_string(content))
        return sm_fail(err, SM_ECORRUPT, "added_tokens: want an integer id and content");
    sm_status st = want_off(a, json_string_value(content), OFF, err);
    if (st != SM_OK)
        return st;
    uint32_t flags = TOKEN_ADDED;
    if (json_is_true(json_object_get(a, "special")))
        flags |= TOKEN_SPECIAL;
    return sm_tokenizer_put(t, json_integer_value(id), json_string_value(content),
                            json_string_length(content), flags, err);
}

static sm_status read_added(sm_tokenizer *t, const json_t *list, sm_err *err)
{
    if (!is_absent(list) && !json_is_array(list))
        return sm_fail(err, SM_ECORRUPT, "added_tokens: want an array");
    for (size_t i = 0; i < json_array_size(list); i++) {
        sm_status st = read_added_one(t, json_array_get(list, i), err);
        if (st != SM_OK)
            return st;
    }
    return SM_OK;
}

/* A vocabulary entry whose id an added token has must be that token as spelled. */
static sm_status read_token(sm_tokenizer *t, const sm_alphabet *a, sm_buf *bytes,
                            const char *text, const json_t *id, sm_err *err)
{
    if (!json_is_integer(id))
        return sm_fail(err, SM_ECORRUPT, "vocab: token %.80s has no integer id", text);
    json_int_t i = json_integer_value(id);
    size_t n = strlen(text);
    if (i >= 0 && i < t->n_vocab && t->token[i].flags & TOKEN_ADDED)
        return sm_tokenizer_put(t, i, text, n, TOKEN_MODEL, err);
    sm_buf_clear(bytes);
    if (!sm_alphabet_read(a, bytes, text, n))
        return sm_fail(err, SM_EUNSUPPORTED,
                       "vocab: token %lld (%.80s) is not in the byte-level alphabet",
                       (long long)i, text);
    return sm_tokenizer_put(t, i, bytes->data ? bytes->data : "", bytes->len, TOKEN_MODEL,
                            err);
}

static sm_status read_vocab(sm_tokenizer *t, const sm_alphabet *a, json_t *vocab,
                            sm_err *err)
{
    sm_buf bytes = {0};
    sm_status st = SM_OK;
    if (!json_is_object(vocab))
        return sm_fail(err, SM_ECORRUPT, "model.vocab: want an object");
    for (void *it = json_object_iter(vocab); it && st == SM_OK;
         it = json_object_iter_next(vocab, it))
        st = read_token(t, a, &bytes, json_object_iter_key(it),
                        json_object_iter_value(it), err);
    sm_buf_free(&bytes);
    return st;
}

/* -------------------------------------------------------------------- merges */

typedef struct merge_reader {
    sm_tokenizer *t;
    const sm_alphabet *alphabet;
    sm_idmap by_bytes;
    sm_buf bytes;
} merge_reader;

static int32_t find_spelled(merge_reader *r, const char *s, size_t n)
{
    sm_buf_clear(&r->bytes);
    if (n == 0 || !sm_alphabet_read(r->alphabet, &r->bytes, s, n))
        return -1;
    return sm_idmap_get(&r->by_bytes, r->bytes.data, r->bytes.len);
}

/* The two halves of a merge, written "left right" or ["left", "right"]. */
static bool merge_halves(const json_t *m, const char **left, size_t *n_left,
                         const char **right, size_t *n_right)
{
    if (json_is_string(m)) {
        const char *s = json_string_value(m), *space = strchr(s, ' ');
        if (!space)
            return false;
        *left = s;
        *n_left = (size_t)(space - s);
        *right = space + 1;
        *n_right = json_string_length(m) - *n_left - 1;
        return true;
    }
    const json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
    if (json_array_size(m) != 2 || !json_is_string(a) || !json_is_string(b))
        return false;
    *left = json_string_value(a);
    *n_left = json_string_length(a);
    *right = json_string_value(b);
    *n_right = json_string_length(b);
    return true;
}

/* How much of a text of n bytes a message shows. */
static int shown(size_t n)
{
    return n < 80 ? (int)n : 80;
}

static sm_status read_merge(merge_reader *r, const json_t *m, size_t i, sm_err *err)
{
    const char *left, *right;
    size_t n_left, n_right;
    if (!merge_halves(m, &left, &n_left, &right, &n_right))
        return sm_fail(err, SM_ECORRUPT,
                       "merges[%zu]: want \"left right\" or [\"left\", \"right\"]", i);
    int32_t a = find_spelled(r, left, n_left), b = find_spelled(r, right, n_right);
    if (a < 0 || b < 0)
        return sm_fail(err, SM_ECORRUPT, "merges[%zu]: %.*s is not in the vocabulary", i,
                       shown(a < 0 ? n_left : n_right), a < 0 ? left : right);
    sm_buf_clear(&r->bytes);
    sm_buf_put(&r->bytes, r->t->token[a].bytes, r->t->token[a].len);
    if (!sm_buf_put(&r->bytes, r->t->token[b].bytes, r->t->token[b].len))
        return sm_fail(err, SM_ENOMEM, "merges[%zu]: out of memory", i);
    int32_t id = sm_idmap_get(&r->by_bytes, r->bytes.data, r->bytes.len);
    if (id < 0)
        return sm_fail(err, SM_ECORRUPT,
                       "merges[%zu]: tokens %d and %d make a text that is not in the "
                       "vocabulary",
                       i, a, b);
    r->t->merge[r->t->n_merge++] = (sm_merge){a, b, id, (int32_t)i};
    return SM_OK;
}

static sm_status read_merges(sm_tokenizer *t, const sm_alphabet *a, const json_t *merges,
                             sm_err *err)
{
    merge_reader r = {.t = t, .alphabet = a};
    size_t n = json_array_size(merges);
    if (!json_is_array(merges) || n > INT32_MAX)
        return sm_fail(err, SM_ECORRUPT, "model.merges: want an array");
    t->merge = sm_alloc(n, sizeof *t->merge);
    if (!t->merge)
        return sm_fail(err, SM_ENOMEM, "tokenizer: no memory for %zu merges", n);
    sm_status st = sm_tokenizer_index(&r.by_bytes, t, err);
    for (size_t i = 0; i < n && st == SM_OK; i++)
        st = read_merge(&r, json_array_get(merges, i), i, err);
    sm_idmap_free(&r.by_bytes);
    sm_buf_free(&r.bytes);
    return st;
}

/* ------------------------------------------------------------------ the file */

static sm_status check_model(const json_t *model, sm_err *err)
{
    /* unk_token, fuse_unk and byte_fallback cannot act: every byte is a token. */
    static const char *const OFF[] = {"dropout", "continuing_subword_prefix",
                                      "end_of_word_suffix", NULL};
    const json_t *type = json_object_get(model, "type");
    if (!json_is_object(model))
        return sm_fail(err, SM_ECORRUPT, "want an object with a \"model\"");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return sm_fail(err, SM_EUNSUPPORTED, "model: found %s, want BPE", type_of(model));
    return want_off(model, "model", OFF, err);
}

static sm_status check_around(const json_t *root, sm_err *err)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *decoder = json_object_get(root, "decoder");
    if (!is_absent(normalizer))
        return sm_fail(err, SM_EUNSUPPORTED, "normalizer: found %s, want none",
                       type_of(normalizer));
    if (!is_absent(decoder) && strcmp(type_of(decoder), "ByteLevel") != 0)
        return sm_fail(err, SM_EUNSUPPORTED, "decoder: found %s, want ByteLevel",
                       type_of(decoder));
    return SM_OK;
}

static sm_status keep_post_processor(sm_tokenizer *t, const json_t *p, sm_err *err)
{
    if (is_absent(p))
        return SM_OK;
    t->post_processor = json_dumps(p, JSON_COMPACT);
    return t->post_processor ? SM_OK
                             : sm_fail(err, SM_ENOMEM, "post_processor: out of memory");
}

static sm_status read_root(sm_tokenizer *t, const json_t *root, sm_err *err)
{
    json_t *model = json_object_get(root, "model");
    sm_alphabet a;
    sm_alphabet_init(&a);
    sm_status st = check_model(model, err);
    if (st == SM_OK)
        st = check_around(root, err);
    if (st == SM_OK)
        st = read_pre_tokenizer(&t->pretok, json_object_get(root, "pre_tokenizer"), err);
    if (st == SM_OK)
        st = keep_post_processor(t, json_object_get(root, "post_processor"), err);
    if (st != SM_OK)
        return st;
    t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    st = read_added(t, json_object_get(root, "added_tokens"), err);
    if (st == SM_OK)
        st = read_vocab(t, &a, json_object_get(model, "vocab"), err);
    if (st == SM_OK)
        st = read_merges(t, &a, json_object_get(model, "merges"), err);
    return st == SM_OK ? sm_tokenizer_finish(t, err) : st;
}

sm_status sm_tokenizer_read(sm_tokenizer **out, const char *json, size_t len,
                            const char *name, sm_err *err)
{
    json_t *root = NULL;
    sm_tokenizer *t = NULL;
    sm_status st = sm_json_parse(&root, json, len, name, err);
    if (st != SM_OK)
        return st;
    t = sm_alloc(1, sizeof *t);
    if (!t)
        st = sm_fail(err, SM_ENOMEM, "tokenizer: out of memory");
    else
        st = read_root(t, root, err);
    if (st == SM_OK) {
        *out = t;
        t = NULL;
    } else {
        st = sm_fail_context(err, st, "%s: ", name);
    }
    sm_tokenizer_free(t);
    json_decref(root);
    return st;
}

sm_status sm_tokenizer_load(sm_tokenizer **out, const char *path, sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    sm_status st = sm_file_read(&text, &len, path, 0, err);
    if (st == SM_OK)
        st = sm_tokenizer_read(out, text, len, path, err);
    free(text);
    return st;
}
