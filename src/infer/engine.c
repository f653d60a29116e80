/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: creation, the queue, and the loop that advances all streams together
 * (continuous batching, Orca, OSDI'22): each step feeds one token of every stream that
 * writes and fills up with prompt tokens of those that still read, oldest first.
 *
 * Locks: `lock` (queue, counters) and `compute` (buffers of the forward pass) are never
 * held together; no callback is made under either.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "smelt/sys.h"

/* ----------------------------------------------------------------- creation */

static const char *const begin_names[] = {"<|begin_of_text|>", "<|endoftext|>", "<s>"};
static const char *const end_names[] = {"<|end_of_text|>", "<|endoftext|>",
                                        "<|begin_of_text|>", "</s>"};

static void find_specials(sm_engine *e)
{
    e->bos = -1;
    for (size_t i = 0; e->bos < 0 && i < sizeof begin_names / sizeof *begin_names; i++)
        e->bos = sm_tokenizer_special(e->tokenizer, begin_names[i]);
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++) {
        int32_t id = sm_tokenizer_special(e->tokenizer, end_names[i]);
        if (id >= 0)
            e->end[e->n_end++] = id;
    }
}

static sm_status make_tables(sm_engine *e, sm_err *err)
{
    const sm_model_config *c = &e->model->config;
    size_t n = (size_t)e->max_ctx * (size_t)(c->d_head / 2);
    e->rope_cos = sm_aligned_alloc(n * sizeof(float));
    e->rope_sin = sm_aligned_alloc(n * sizeof(float));
    e->temp = sm_aligned_alloc((size_t)e->max_ctx * sizeof(float));
    e->chosen = sm_aligned_alloc((size_t)c->n_vocab * sizeof(float));
    e->order = sm_alloc((size_t)c->n_vocab, 2 * sizeof *e->order);
    e->active = sm_alloc((size_t)e->max_streams, sizeof(stream *));
    if (!e->rope_cos || !e->rope_sin || !e->temp || !e->chosen || !e->order || !e->active)
        return sm_fail(err, SM_ENOMEM, "engine: out of memory");
    sm_rope_table(e->rope_cos, e->rope_sin, e->max_ctx, c->d_head, (double)c->rope_theta);
    if (c->attn_temp_scale > 0)
        sm_temp_table(e->temp, e->max_ctx, (double)c->attn_temp_scale,
                      (double)c->attn_temp_floor);
    return SM_OK;
}

static sm_status check(sm_engine *e, const sm_engine_config *config, sm_err *err)
{
    const sm_model_config *c = &e->model->config;
    const char *profile = config && config->profile ? config->profile : "bf16/1";
    e->max_streams = config && config->max_streams ? config->max_streams : 8;
    e->max_ctx = config && config->max_ctx ? config->max_ctx : c->max_ctx;
    e->prod = sm_kern_prod(e->ctx.kern, profile);
    e->prod_f32 = &e->ctx.kern->f32;
    if (!e->prod)
        return sm_fail(err, SM_EINVAL, "profile: got %s, want bf16/1 or f32/1", profile);
    if (e->max_streams < 1 || e->max_streams > MAX_STREAMS)
        return sm_fail(err, SM_EINVAL, "max_streams: got %d, want 1..%d", e->max_streams,
                       MAX_STREAMS);
    if (e->max_ctx < 2 || e->max_ctx > c->max_ctx)
        return sm_fail(err, SM_EINVAL, "max_ctx: got %d, want 2..%d", e->max_ctx,
                       c->max_ctx);
    if (c->n_head + c->n_kv_head > 512)
        return sm_fail(err, SM_EUNSUPPORTED, "n_head + n_kv_head: got %d, want at most 512",
                       c->n_head + c->n_kv_head);
    int32_t n = sm_tokenizer_n_vocab(e->tokenizer);
    if (n > c->n_vocab)
        return sm_fail(err, SM_EINVAL, "tokenizer: got %d tokens, want at most the model's "
                       "%d", n, c->n_vocab);
    return SM_OK;
}

static void *engine_main(void *arg);

sm_status sm_engine_create(sm_engine **out, const sm_ctx *ctx, const sm_model *model,
                           const sm_tokenizer *tokenizer, const sm_engine_config *config,
                           sm_err *err)
{
    sm_engine *e = sm_alloc(1, sizeof *e);
    if (!e)
        return sm_fail(err, SM_ENOMEM, "engine: out of memory");
    const sm_model_config *c = &model->config;
    e->ctx = *ctx;
    e->model = model;
    e->tokenizer = tokenizer;
    e->width_q = c->n_head * c->d_head;
    e->width_kv = 2 * c->n_kv_head * c->d_head;
    e->width_qkv = e->width_q + e->width_kv;
    pthread_mutex_init(&e->compute, NULL);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    find_specials(e);
    sm_status s = check(e, config, err);
    if (!s) {
        e->k_bytes = sm_attn_k_bytes(e->prod, c->d_head);
        e->v_bytes = sm_attn_v_bytes(e->prod, c->d_head);
        e->n_block = (e->max_ctx + SM_KEY_BLOCK - 1) / SM_KEY_BLOCK;
        s = make_tables(e, err);
    }
    if (!s)
        s = engine_pack_weights(e, err);
    if (!s)
        s = step_create(e, err);
    if (!s)
        s = kv_create(&e->score_kv, e, err);
    if (!s && pthread_create(&e->thread, NULL, engine_main, e) != 0)
        s = sm_fail(err, SM_ENOMEM, "engine: cannot start a thread");
    if (s) {
        sm_engine_free(e);
        return s;
    }
    e->has_thread = true;
    *out = e;
    return SM_OK;
}

void sm_engine_free(sm_engine *e)
{
    if (!e)
        return;
    if (e->has_thread) {
        pthread_mutex_lock(&e->lock);
        e->quit = true;
        pthread_cond_broadcast(&e->wake);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    kv_free(&e->score_kv);
    pthread_mutex_destroy(&e->compute);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->wake);
    sm_aligned_free(e->weights_memory);
    sm_aligned_free(e->step_memory);
    sm_aligned_free(e->rope_cos);
    sm_aligned_free(e->rope_sin);
    sm_aligned_free(e->temp);
    sm_aligned_free(e->chosen);
    free(e->layer);
    free(e->order);
    free(e->active);
    free(e);
}

/* -------------------------------------------------------------------- queue */

static void finish(stream *s, sm_finish why, const sm_err *err)
{
    stream_finish(s, why, err);
    stream_free(s);
}

sm_status sm_engine_submit(sm_engine *e, const char *prompt, size_t len,
                           const sm_sampling *sampling, sm_stream_sink sink,
                           int64_t *id_out, sm_err *err)
{
    stream *s;
    sm_status st = stream_create(&s, e, prompt, len, sampling, sink, err);
    if (st)
        return st;
    pthread_mutex_lock(&e->lock);
    if (e->n_queued >= MAX_QUEUE || e->quit) {
        pthread_mutex_unlock(&e->lock);
        stream_free(s);
        return sm_fail(err, SM_ENOMEM, "queue: %d requests wait already, try again later",
                       MAX_QUEUE);
    }
    s->id = ++e->next_id;
    if (id_out)
        *id_out = s->id;
    if (e->queue_tail)
        e->queue_tail->next = s;
    else
        e->queue_head = s;
    e->queue_tail = s;
    e->n_queued++;
    e->stats.n_requests++;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    return SM_OK;
}

/* Take a stream out of the queue; NULL when none has this id. Under `lock`. */
static stream *unlink_queued(sm_engine *e, int64_t id)
{
    stream *before = NULL, *s = e->queue_head;
    for (; s && s->id != id; s = s->next)
        before = s;
    if (!s)
        return NULL;
    if (before)
        before->next = s->next;
    else
        e->queue_head = s->next;
    if (e->queue_tail == s)
        e->queue_tail = before;
    e->n_queued--;
    return s;
}

static stream *take_first(sm_engine *e)
{
    pthread_mutex_lock(&e->lock);
    stream *s = e->queue_head ? unlink_queued(e, e->queue_head->id) : NULL;
    pthread_mutex_unlock(&e->lock);
    return s;
}

void sm_engine_cancel(sm_engine *e, int64_t id)
{
    pthread_mutex_lock(&e->lock);
    stream *queued = unlink_queued(e, id);
    for (int32_t i = 0; i < e->n_active; i++)
        if (e->active[i]->id == id)
            atomic_store(&e->active[i]->cancelled, true);
    pthread_mutex_unlock(&e->lock);
    if (queued)
        finish(queued, SM_FINISH_CANCEL, NULL);
}

void sm_engine_stats_get(const sm_engine *e, sm_engine_stats *out)
{
    sm_engine *m = (sm_engine *)(uintptr_t)e; /* the lock is not part of the value */
    pthread_mutex_lock(&m->lock);
    *out = e->stats;
    out->n_active = e->n_active;
    out->n_queued = e->n_queued;
    pthread_mutex_unlock(&m->lock);
}

/* --------------------------------------------------------------------- loop */

/* Move waiting streams to active ones while there is room; false when it is time to end. */
static bool admit(sm_engine *e)
{
    stream *refused = NULL;
    sm_err err = {0};
    pthread_mutex_lock(&e->lock);
    while (!e->quit && e->n_active == 0 && !e->queue_head)
        pthread_cond_wait(&e->wake, &e->lock);
    while (!e->quit && e->queue_head && e->n_active < e->max_streams) {
        stream *s = unlink_queued(e, e->queue_head->id);
        s->next = NULL;
        if (kv_create(&s->kv, e, &err)) {
            s->next = refused;
            refused = s;
        } else {
            e->active[e->n_active++] = s;
        }
    }
    bool go_on = !e->quit;
    pthread_mutex_unlock(&e->lock);
    while (refused) {
        stream *s = refused;
        refused = s->next;
        finish(s, SM_FINISH_ERROR, &err);
    }
    return go_on;
}

static void retire(sm_engine *e, int32_t i, sm_finish why, const sm_err *err)
{
    stream *s = e->active[i];
    pthread_mutex_lock(&e->lock);
    for (int32_t j = i; j + 1 < e->n_active; j++)
        e->active[j] = e->active[j + 1];
    e->n_active--;
    pthread_mutex_unlock(&e->lock);
    finish(s, why, err);
}

/* What a stream contributes to a step. */
typedef struct share {
    int32_t n_rows, row0;
    bool samples;
} share;

static int32_t add_rows(stream *s, step_row *row, int32_t n, int32_t room, share *out)
{
    *out = (share){.row0 = n};
    int32_t left = (int32_t)s->prompt.n - s->n_done;
    int32_t take = left > 0 ? left : 1;
    if (take > room)
        take = room;
    for (int32_t i = 0; i < take; i++) {
        int32_t index = (int32_t)s->kv.n_tok + i;
        row[n + i] = (step_row){.kv = &s->kv, .index = index, .target = -1,
                                .token = left > 0 ? s->prompt.id[s->n_done + i] : s->last};
    }
    out->n_rows = take;
    out->samples = take > 0 && take >= left;
    if (out->samples)
        row[n + take - 1].want_logits = true;
    if (left > 0)
        s->n_done += take;
    return n + take;
}

typedef struct plan {
    step_row row[STEP_ROWS];
    share share[MAX_STREAMS];
    int32_t n, n_prompt;
} plan;

/* Writers first, one row each; then readers fill the step, oldest first. */
static void plan_step(sm_engine *e, plan *p)
{
    p->n = p->n_prompt = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < e->n_active; i++) {
            stream *s = e->active[i];
            bool reads = (size_t)s->n_done < s->prompt.n || s->n_generated == 0;
            if (reads != (pass == 1))
                continue;
            int32_t before = p->n;
            p->n = add_rows(s, p->row, p->n, STEP_ROWS - p->n, &p->share[i]);
            p->n_prompt += reads ? p->n - before : 0;
        }
}

/* Time is shared out by rows; a step that ends a prompt also writes a token. */
static void count_step(sm_engine *e, const plan *p, int64_t n_generated, int64_t ns)
{
    pthread_mutex_lock(&e->lock);
    e->stats.n_prompt_tokens += p->n_prompt;
    e->stats.n_generated_tokens += n_generated;
    int64_t prefill = p->n > 0 ? ns * p->n_prompt / p->n : 0;
    e->stats.prefill_ns += prefill;
    e->stats.decode_ns += ns - prefill;
    pthread_mutex_unlock(&e->lock);
}

/* Hand out what a step sampled; the number of tokens that streams took. */
static int64_t take_tokens(sm_engine *e, const plan *p, const int32_t *token,
                           sm_finish why[MAX_STREAMS])
{
    int64_t n = 0;
    for (int32_t i = 0; i < e->n_active; i++) {
        stream *s = e->active[i];
        if (atomic_load(&s->cancelled)) {
            why[i] = SM_FINISH_CANCEL;
        } else if (p->share[i].samples && s->sampling.max_tokens == 0) {
            why[i] = SM_FINISH_LENGTH;
        } else if (p->share[i].samples) {
            why[i] = stream_take(e, s, token[i]);
            n++;
        }
    }
    return n;
}

static void advance(sm_engine *e, plan *p)
{
    sm_err err = {0};
    sm_finish why[MAX_STREAMS] = {SM_FINISH_NONE};
    plan_step(e, p);
    int64_t t0 = sm_clock_ns(), n_generated = 0;
    pthread_mutex_lock(&e->compute);
    sm_status st = step_run(e, p->row, p->n, &err);
    /* logits come in the order of rows, so streams are visited in that order too */
    int32_t logit = 0;
    int32_t token[MAX_STREAMS];
    for (int32_t r = 0; !st && r < p->n; r++)
        if (p->row[r].want_logits)
            for (int32_t i = 0; i < e->n_active; i++)
                if (&e->active[i]->kv == p->row[r].kv)
                    token[i] = sample_token(
                        e, e->b.logits + (int64_t)logit++ * e->model->config.n_vocab,
                        &e->active[i]->sampling, e->active[i]->n_generated);
    pthread_mutex_unlock(&e->compute);
    int64_t ns = sm_clock_ns() - t0;
    if (!st)
        n_generated = take_tokens(e, p, token, why);
    count_step(e, p, n_generated, ns);
    for (int32_t i = e->n_active - 1; i >= 0; i--)
        if (st || why[i] != SM_FINISH_NONE)
            retire(e, i, st ? SM_FINISH_ERROR : why[i], &err);
}

static void *engine_main(void *arg)
{
    sm_engine *e = arg;
    plan *p = sm_alloc(1, sizeof *p);
    sm_err none = {.status = SM_ENOMEM, .msg = "engine: out of memory"};
    while (admit(e))
        if (p)
            advance(e, p);
        else
            retire(e, 0, SM_FINISH_ERROR, &none);
    while (e->n_active > 0)
        retire(e, e->n_active - 1, SM_FINISH_CANCEL, NULL);
    for (stream *s; (s = take_first(e));) /* quit is set: nobody adds to the queue */
        finish(s, SM_FINISH_CANCEL, NULL);
    free(p);
    return NULL;
}
