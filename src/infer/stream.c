/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its prompt, its text so far, and what of it may be shown.  Held back are an
 * unfinished UTF-8 sequence and an end that could become a stop string.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { N_STOP_MAX = 16 };

static sm_status copy_stops(stream *s, const sm_sampling *sampling, sm_err *err)
{
    for (int i = 0; sampling->stop && i < N_STOP_MAX && sampling->stop[i]; i++) {
        s->stop_text[i] = sm_strdup(sampling->stop[i]);
        if (!s->stop_text[i])
            return sm_fail(err, SM_ENOMEM, "stop: out of memory");
        s->stop[i] = s->stop_text[i];
    }
    s->sampling.stop = s->stop;
    return SM_OK;
}

static sm_status encode_prompt(stream *s, const sm_engine *e, const char *prompt, size_t len,
                               sm_err *err)
{
    if (e->bos >= 0 && !sm_tokens_push(&s->prompt, e->bos))
        return sm_fail(err, SM_ENOMEM, "prompt: out of memory");
    sm_status st = sm_tokenizer_encode(e->tokenizer, &s->prompt, prompt, len, false, err);
    if (st)
        return st;
    if (s->prompt.n == 0)
        return sm_fail(err, SM_EINVAL, "prompt: got no text, want some");
    if (s->prompt.n >= (size_t)e->max_ctx)
        return sm_fail(err, SM_EINVAL, "prompt: got %zu tokens, want at most %d",
                       s->prompt.n, e->max_ctx - 1);
    return SM_OK;
}

sm_status stream_create(stream **out, sm_engine *e, const char *prompt, size_t len,
                        const sm_sampling *sampling, sm_stream_sink sink, sm_err *err)
{
    sm_status st = sm_sampling_check(sampling, err);
    if (st)
        return st;
    stream *s = sm_alloc(1, sizeof *s);
    if (!s)
        return sm_fail(err, SM_ENOMEM, "prompt: out of memory");
    s->sampling = *sampling;
    s->sink = sink;
    s->text.max = (size_t)64 << 20;
    st = copy_stops(s, sampling, err);
    if (!st)
        st = encode_prompt(s, e, prompt, len, err);
    if (st) {
        stream_free(s);
        return st;
    }
    *out = s;
    return SM_OK;
}

void stream_free(stream *s)
{
    if (!s)
        return;
    for (int i = 0; i < N_STOP_MAX; i++)
        free(s->stop_text[i]);
    sm_tokens_free(&s->prompt);
    sm_buf_free(&s->text);
    kv_free(&s->kv);
    free(s);
}

/* Where the earliest stop string begins at or after `from`; SIZE_MAX when none does. */
static size_t find_stop(const stream *s, size_t from)
{
    size_t best = SIZE_MAX;
    for (int i = 0; s->stop[i]; i++) {
        size_t n = strlen(s->stop[i]);
        for (size_t at = from; at + n <= s->text.len && at < best; at++)
            if (!memcmp(s->text.data + at, s->stop[i], n))
                best = at;
    }
    return best;
}

/* Length of the end of the text that is a proper beginning of a stop string. */
static size_t held_for_stop(const stream *s)
{
    size_t held = 0;
    for (int i = 0; s->stop[i]; i++) {
        size_t n = strlen(s->stop[i]) - 1;
        if (n > s->text.len - s->n_emitted)
            n = s->text.len - s->n_emitted;
        for (; n > held; n--)
            if (!memcmp(s->text.data + s->text.len - n, s->stop[i], n))
                held = n;
    }
    return held;
}

/* Length of an unfinished UTF-8 sequence at the end, at most 3. */
static size_t held_for_utf8(const stream *s)
{
    size_t len = s->text.len;
    for (size_t back = 1; back <= 3 && back <= len - s->n_emitted; back++) {
        unsigned char c = (unsigned char)s->text.data[len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return want > back ? back : 0;
    }
    return 0;
}

static bool emit(stream *s, size_t end)
{
    bool ok = true;
    if (end > s->n_emitted && s->sink.text)
        ok = s->sink.text(s->sink.self, s->text.data + s->n_emitted, end - s->n_emitted,
                          s->n_generated);
    s->n_emitted = end > s->n_emitted ? end : s->n_emitted;
    return ok;
}

static bool ends_text(const sm_engine *e, int32_t token)
{
    for (int32_t i = 0; i < e->n_end; i++)
        if (e->end[i] == token)
            return true;
    return false;
}

sm_finish stream_take(sm_engine *e, stream *s, int32_t token)
{
    s->last = token;
    s->n_generated++;
    if (ends_text(e, token))
        return SM_FINISH_STOP;
    if (sm_tokenizer_decode(e->tokenizer, &s->text, &token, 1, true, NULL))
        return SM_FINISH_ERROR;
    size_t stop = find_stop(s, s->n_emitted);
    if (stop != SIZE_MAX) {
        s->text.len = stop;
        return SM_FINISH_STOP;
    }
    size_t stop_held = held_for_stop(s), utf8_held = held_for_utf8(s);
    if (!emit(s, s->text.len - (stop_held > utf8_held ? stop_held : utf8_held)))
        return SM_FINISH_CANCEL;
    if (s->n_generated >= s->sampling.max_tokens)
        return SM_FINISH_LENGTH;
    if (s->kv.n_tok + 1 >= e->max_ctx)
        return SM_FINISH_LENGTH;
    return SM_FINISH_NONE;
}

void stream_finish(stream *s, sm_finish why, const sm_err *err)
{
    if (why != SM_FINISH_CANCEL)
        emit(s, s->text.len);
    if (s->sink.done)
        s->sink.done(s->sink.self, why, (int32_t)s->prompt.n, s->n_generated,
                     why == SM_FINISH_ERROR ? err : NULL);
}
