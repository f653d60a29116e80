/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to ids: split at added tokens, cut into pretokens, and for each of these look it
 * up as a token, then in the cache, and only then merge.
 */
#include "tokenizer.h"

static sm_status no_memory(const sm_tokens *out, sm_err *err)
{
    return sm_fail(err, SM_ENOMEM, "encode: no memory for more than %zu tokens", out->n);
}

static sm_status encode_miss(const sm_tokenizer *t, sm_tokens *out, uint64_t key,
                             const char *s, size_t len, sm_err *err)
{
    const sm_cache_entry *e =
        len <= SM_CACHE_MAX_BYTES ? sm_cache_find(t->cache, key, s, len) : NULL;
    if (e && sm_tokens_reserve(out, e->n_id)) {
        memcpy(out->id + out->n, e->id, e->n_id * sizeof *e->id);
        out->n += e->n_id;
        return SM_OK;
    }
    size_t begin = out->n;
    sm_status st = sm_tokenizer_merge(t, out, s, len, err);
    if (st == SM_OK)
        sm_cache_add(t->cache, key, s, len, out->id + begin, out->n - begin);
    return st;
}

/* Text without added tokens. */
static sm_status encode_plain(const sm_tokenizer *t, sm_tokens *out, const char *s,
                              size_t n, sm_err *err)
{
    for (size_t pos = 0, end; pos < n; pos = end) {
        end = sm_pretok_next(t->uclass, t->pretok, s, n, pos);
        size_t len = end - pos;
        uint64_t key = sm_key_bytes(s + pos, len);
        int32_t id = sm_idmap_find(&t->words, key, s + pos, len);
        if (id < 0) {
            sm_status st = encode_miss(t, out, key, s + pos, len, err);
            if (st != SM_OK)
                return st;
            continue;
        }
        if (out->n == out->cap && !sm_tokens_reserve(out, 1))
            return no_memory(out, err);
        out->id[out->n++] = id;
    }
    return SM_OK;
}

sm_status sm_tokenizer_encode(const sm_tokenizer *t, sm_tokens *out, const char *text,
                              size_t len, bool allow_special, sm_err *err)
{
    const bool *first = allow_special ? t->added_first : t->plain_first;
    bool search = allow_special ? t->n_added > 0 : t->has_plain;
    size_t begin = 0, at = 0;
    while (search && at < len) {
        size_t k = 0;
        int32_t id = -1;
        if (first[(unsigned char)text[at]])
            id = sm_tokenizer_match_added(t, text + at, len - at, allow_special, &k);
        if (id < 0) {
            at++;
            continue;
        }
        sm_status st = encode_plain(t, out, text + begin, at - begin, err);
        if (st != SM_OK)
            return st;
        if (!sm_tokens_push(out, id))
            return no_memory(out, err);
        at += k;
        begin = at;
    }
    return encode_plain(t, out, text + begin, len - begin, err);
}
