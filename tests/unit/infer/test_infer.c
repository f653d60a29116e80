/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generation and scoring.  The forward pass is held against the training forward (another
 * driver over the same kernels): equal to the bit, whatever shares the batch.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "smelt/infer.h"
#include "smelt/sys.h"

enum { N_CTX = 384 };

typedef struct fixture {
    sm_ctx ctx;
    sm_pool *pool;
    sm_tokenizer *tok;
    sm_model *model;
    sm_engine *engine;
} fixture;

static const char corpus[] = "the quick brown fox jumps over the lazy dog and the lazy dog "
                             "sleeps while the quick fox runs through the brown woods ";

static sm_status get_text(void *self, size_t i, const char **text, size_t *len, sm_err *err)
{
    (void)self, (void)i, (void)err;
    *text = corpus;
    *len = sizeof corpus - 1;
    return SM_OK;
}

enum { N_KIND = 4 };

static sm_model_config config_of(int kind, int32_t n_vocab)
{
    sm_model_config c = SM_MODEL_CONFIG_DEFAULT;
    c.n_vocab = n_vocab;
    c.n_layer = 4;
    c.d_model = 64;
    c.n_head = 4;
    c.n_kv_head = 2;
    c.d_head = 16;
    c.d_ff = 96;
    c.max_ctx = N_CTX;
    if (kind == 1) { /* Mixtral style */
        c.n_expert = 4;
        c.k_expert = 2;
        c.d_expert = 48;
    } else if (kind == 2) { /* Llama 4 style, everything on */
        c.n_expert = 4;
        c.d_expert = 48;
        c.d_shared = 48;
        c.router = SM_ROUTER_SIGMOID_TOP1;
        c.moe_every = 2;
        c.rope_interleaved = true;
        c.nope_every = 4;
        c.attn_chunk = 100;
        c.qk_norm = true;
        c.attn_temp_scale = 0.1f;
        c.attn_temp_floor = 64;
        c.tied = false;
    } else if (kind == 3) { /* contractions in four slices */
        c.n_head = 8;
        c.n_kv_head = 4;
        c.d_head = 32;
        c.d_ff = 128;
        c.n_expert = 4;
        c.k_expert = 2;
        c.d_expert = 128;
        c.d_shared = 128;
        c.moe_every = 2;
        c.n_slice = 4;
    }
    return c;
}

static void setup(fixture *f, int kind, int n_threads, const char *profile)
{
    static const char *const specials[] = {"<|begin_of_text|>", "<|end_of_text|>", NULL};
    sm_text_source source = {.get = get_text, .n = 1};
    sm_bpe_train_config bpe = {.vocab_size = 300, .pretok = SM_PRETOK_GPT2, .min_count = 2,
                               .special = specials};
    sm_err err = {0};
    *f = (fixture){0};
    if (sm_pool_create(&f->pool, n_threads, &err) || sm_kern_get(&f->ctx.kern, NULL, &err))
        fail_msg("%s", err.msg);
    f->ctx.pool = f->pool;
    if (sm_bpe_train(&f->tok, &f->ctx, &source, &bpe, &err))
        fail_msg("%s", err.msg);
    sm_model_config c = config_of(kind, sm_tokenizer_n_vocab(f->tok));
    if (sm_model_create(&f->model, &c, 7, &err))
        fail_msg("%s", err.msg);
    for (int64_t i = 0; i < f->model->n_weight; i++) /* away from the uniform distribution */
        f->model->weight[i] *= 4;
    sm_engine_config ec = {.profile = profile, .max_streams = 4};
    if (sm_engine_create(&f->engine, &f->ctx, f->model, f->tok, &ec, &err))
        fail_msg("%s", err.msg);
}

static void teardown(fixture *f)
{
    sm_engine_free(f->engine);
    sm_model_free(f->model);
    sm_tokenizer_free(f->tok);
    sm_pool_free(f->pool);
}

static const char *long_text(void)
{
    static char text[760];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = corpus[i % (sizeof corpus - 1)];
    return text;
}

/* Sum of the training forward's token losses of a text. */
static double training_nats(fixture *f, const char *profile, const char *text, int64_t *n)
{
    sm_tokens t = {0};
    sm_err err = {0};
    sm_tokens_push(&t, sm_tokenizer_special(f->tok, "<|begin_of_text|>"));
    assert_int_equal(sm_tokenizer_encode(f->tok, &t, text, strlen(text), false, &err), 0);
    assert_true(t.n > 300 && t.n <= N_CTX);
    int32_t token[N_CTX] = {0}, target[N_CTX], start[N_CTX] = {0};
    float loss[N_CTX];
    for (int i = 0; i < N_CTX; i++) {
        token[i] = i < (int)t.n ? t.id[i] : 0;
        target[i] = i + 1 < (int)t.n ? t.id[i + 1] : -1;
    }
    sm_pass_config pc = {.model = f->model, .profile = profile, .n_seq = 1, .n_ctx = N_CTX,
                         .seq_per_shard = 1, .n_micro = 1};
    sm_batch b = {1, N_CTX, 1, token, target, start};
    sm_pass *pass;
    sm_shard_stats stats;
    int64_t counts[16] = {0};
    if (sm_pass_create(&pass, &f->ctx, &pc, &err) || sm_pass_pack(pass, &err) ||
        sm_pass_forward(pass, &b, 0, &stats, counts, loss, &err))
        fail_msg("%s", err.msg);
    sm_pass_free(pass);
    double sum = 0;
    for (size_t i = 0; i + 1 < t.n; i++)
        sum -= (double)loss[i];
    *n = (int64_t)t.n - 1;
    sm_tokens_free(&t);
    return sum;
}

static void scores_equal_the_training_forward(void **state)
{
    (void)state;
    static const char *const profiles[] = {"bf16/1", "f32/1"};
    for (int kind = 0; kind < N_KIND; kind++)
        for (int p = 0; p < 2; p++) {
            fixture f;
            setup(&f, kind, 1 + kind % 3, profiles[p]);
            double nats;
            int64_t n, n_train;
            sm_err err = {0};
            double train = training_nats(&f, profiles[p], long_text(), &n_train);
            if (sm_engine_score(f.engine, "", 0, long_text(), strlen(long_text()), &nats, &n,
                                &err))
                fail_msg("%s", err.msg);
            assert_int_equal(n, n_train);
            if (nats != train)
                fail_msg("kind %d, %s: got %.17g, training has %.17g", kind, profiles[p],
                         nats, train);
            /* the chain rule: the parts of a text add up to the whole */
            double a, b;
            assert_int_equal(sm_engine_score(f.engine, "", 0, "the quick", 9, &a, &n, &err), 0);
            assert_int_equal(sm_engine_score(f.engine, "the quick", 9, " brown fox", 10, &b,
                                             &n, &err), 0);
            assert_int_equal(sm_engine_score(f.engine, "", 0, "the quick brown fox", 19, &nats,
                                             &n, &err), 0);
            assert_true(fabs(a + b - nats) < 1e-9);
            teardown(&f);
        }
}

static char *complete(fixture *f, const char *prompt, const sm_sampling *s, sm_finish *why)
{
    sm_buf out = {0};
    sm_err err = {0};
    sm_buf_puts(&out, "");
    if (sm_engine_complete(f->engine, prompt, strlen(prompt), s, &out, why, &err))
        fail_msg("%s", err.msg);
    return out.data;
}

/* One greedy token at a time from ever longer prompts equals one long generation. */
static void decoding_equals_prefill(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KIND; kind++) {
        fixture f;
        setup(&f, kind, 2, "bf16/1");
        sm_sampling s = SM_SAMPLING_DEFAULT;
        sm_finish why;
        s.temperature = 0;
        s.max_tokens = 24;
        char *whole = complete(&f, "the lazy", &s, &why);
        s.max_tokens = 23;
        char *shorter = complete(&f, "the lazy", &s, &why);
        assert_memory_equal(whole, shorter, strlen(shorter));
        free(whole);
        free(shorter);
        teardown(&f);
    }
}

typedef struct collected {
    sm_buf text;
    int n_done;
    sm_finish why;
    int64_t first_ns, done_ns;
} collected;

static bool on_text(void *self, const char *bytes, size_t n, int32_t n_tokens)
{
    collected *c = self;
    (void)n_tokens;
    if (!c->first_ns)
        c->first_ns = sm_clock_ns();
    return sm_buf_put(&c->text, bytes, n);
}

static void on_done(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                    const sm_err *err)
{
    collected *c = self;
    (void)n_prompt, (void)n_generated, (void)err;
    c->why = why;
    c->n_done++;
    c->done_ns = sm_clock_ns();
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void companions_do_not_change_a_stream(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 2, 2, "bf16/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    s.max_tokens = 60;
    s.top_p = 0.9f;
    s.top_k = 40;
    s.seed = 5;
    const char *prompts[] = {"the quick", long_text(), "dog", "fox runs", "woods", "sleeps"};
    sm_buf alone[6] = {{0}};
    collected together[6] = {{{0}, 0, 0, 0, 0}};
    for (int i = 0; i < 6; i++) {
        s.seed = (uint64_t)i;
        sm_finish why;
        assert_int_equal(sm_engine_complete(f.engine, prompts[i], strlen(prompts[i]), &s,
                                            &alone[i], &why, NULL), SM_OK);
    }
    for (int i = 0; i < 6; i++) { /* six requests on four streams */
        sm_stream_sink sink = {on_text, on_done, &together[i]};
        s.seed = (uint64_t)i;
        assert_int_equal(sm_engine_submit(f.engine, prompts[i], strlen(prompts[i]), &s, sink,
                                          NULL, NULL), SM_OK);
    }
    sm_engine_stats stats;
    do { /* until all are done */
        nap();
        sm_engine_stats_get(f.engine, &stats);
    } while (stats.n_active + stats.n_queued > 0);
    sm_engine_free(f.engine);
    f.engine = NULL;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(together[i].n_done, 1);
        assert_int_equal(together[i].text.len, alone[i].len);
        assert_memory_equal(together[i].text.data, alone[i].data, alone[i].len);
        sm_buf_free(&alone[i]);
        sm_buf_free(&together[i].text);
    }
    /* the second stream speaks before the first has ended */
    assert_true(together[2].first_ns < together[0].done_ns);
    teardown(&f);
}

static int64_t n_queued(const fixture *f)
{
    sm_engine_stats stats;
    sm_engine_stats_get(f->engine, &stats);
    return stats.n_queued;
}

typedef struct holder {
    atomic_bool is_held, go;
} holder;

/* Holds the engine's thread, so that it admits nobody, until it is told. */
static bool hold(void *self, const char *bytes, size_t n, int32_t n_tokens)
{
    holder *h = self;
    (void)bytes, (void)n, (void)n_tokens;
    atomic_store(&h->is_held, true);
    while (!atomic_load(&h->go))
        nap();
    return false;
}

/* First, middle, last and again: whoever is cancelled leaves the queue, and the others are
 * served. */
static void cancelled_requests_leave_the_queue(void **state)
{
    (void)state;
    enum { N = 5 };
    static const int order[] = {2, 0, 4, 2};
    fixture f;
    holder h = {false, false};
    int64_t id[N];
    collected waiting[N] = {{{0}, 0, 0, 0, 0}};
    setup(&f, 0, 1, "f32/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    sm_stream_sink held = {.text = hold, .self = &h};
    s.max_tokens = 3;
    assert_int_equal(sm_engine_submit(f.engine, "the", 3, &s, held, NULL, NULL), SM_OK);
    while (!atomic_load(&h.is_held))
        nap();
    for (int i = 0; i < N; i++) {
        sm_stream_sink sink = {on_text, on_done, &waiting[i]};
        assert_int_equal(sm_engine_submit(f.engine, "fox", 3, &s, sink, &id[i], NULL), SM_OK);
    }
    for (int i = 0; i < 4; i++) {
        sm_engine_cancel(f.engine, id[order[i]]);
        assert_int_equal(waiting[order[i]].n_done, 1);
        assert_int_equal(waiting[order[i]].why, SM_FINISH_CANCEL);
        assert_int_equal(n_queued(&f), i < 3 ? N - 1 - i : N - 3);
    }
    collected last = {{0}, 0, 0, 0, 0};
    sm_stream_sink sink = {on_text, on_done, &last};
    assert_int_equal(sm_engine_submit(f.engine, "dog", 3, &s, sink, NULL, NULL), SM_OK);
    atomic_store(&h.go, true);
    char *after = complete(&f, "dog", &s, NULL); /* waits for those before it */
    sm_engine_free(f.engine);
    f.engine = NULL;
    for (int i = 0; i < N; i++) {
        assert_int_equal(waiting[i].n_done, 1);
        assert_true(i % 2 == 0 ? waiting[i].why == SM_FINISH_CANCEL
                               : waiting[i].why != SM_FINISH_CANCEL);
        sm_buf_free(&waiting[i].text);
    }
    assert_int_equal(last.n_done, 1);
    assert_memory_equal(last.text.data, after, strlen(after));
    free(after);
    sm_buf_free(&last.text);
    teardown(&f);
}

static void stop_strings_are_withheld(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0, 1, "f32/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    sm_finish why;
    s.max_tokens = 40;
    s.seed = 3;
    char *free_text = complete(&f, "the", &s, &why);
    assert_true(strlen(free_text) > 12);
    char stop[4] = {free_text[6], free_text[7], free_text[8], 0};
    const char *stops[] = {"\x01never", stop, NULL};
    s.stop = stops;
    char *stopped = complete(&f, "the", &s, &why);
    assert_int_equal(why, SM_FINISH_STOP);
    assert_null(strstr(stopped, stop));
    assert_memory_equal(stopped, free_text, strlen(stopped));
    free(stopped);
    free(free_text);
    s.stop = NULL;
    s.max_tokens = 0;
    char *none = complete(&f, "the", &s, &why);
    assert_string_equal(none, "");
    assert_int_equal(why, SM_FINISH_LENGTH);
    free(none);
    teardown(&f);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 0, 1, "bf16/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    sm_err err;
    sm_buf out = {0};
    s.top_p = 0;
    assert_int_equal(sm_engine_complete(f.engine, "a", 1, &s, &out, NULL, &err), SM_EINVAL);
    assert_non_null(strstr(err.msg, "top_p: got 0"));
    s = (sm_sampling)SM_SAMPLING_DEFAULT;
    s.temperature = NAN;
    assert_int_equal(sm_engine_complete(f.engine, "a", 1, &s, &out, NULL, &err), SM_EINVAL);
    s = (sm_sampling)SM_SAMPLING_DEFAULT;
    char *huge = sm_alloc(1, 40001);
    memset(huge, 'z', 40000);
    assert_int_equal(sm_engine_complete(f.engine, huge, 40000, &s, &out, NULL, &err),
                     SM_EINVAL);
    assert_non_null(strstr(err.msg, "want at most 383"));
    double nats;
    int64_t n;
    assert_int_equal(sm_engine_score(f.engine, "a", 1, huge, 40000, &nats, &n, &err),
                     SM_EINVAL);
    assert_int_equal(sm_engine_score(f.engine, huge, 40000, "a", 1, &nats, &n, &err), SM_OK);
    assert_true(nats < 0);
    free(huge);
    sm_buf_free(&out);
    teardown(&f);
}

/* The limit of ever lower temperatures is the likeliest token, down to where 1/t overflows. */
static void low_temperatures_are_greedy(void **state)
{
    (void)state;
    static const float low[] = {1e-6f, 1e-30f, 1e-37f, 1.2e-38f, 1e-39f, 1e-45f};
    fixture f;
    setup(&f, 0, 1, "f32/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    s.max_tokens = 30;
    s.seed = 9;
    s.temperature = 0;
    char *best = complete(&f, "the", &s, NULL);
    for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
        s.temperature = low[i];
        char *text = complete(&f, "the", &s, NULL);
        assert_string_equal(text, best);
        free(text);
    }
    free(best);
    teardown(&f);
}

typedef struct ended {
    sm_engine *engine;
    int32_t n_prompt, n_generated;
    sm_engine_stats stats; /* when the request ended */
    atomic_bool is_done;
} ended;

static void on_end(void *self, sm_finish why, int32_t n_prompt, int32_t n_generated,
                   const sm_err *err)
{
    ended *x = self;
    (void)why, (void)err;
    x->n_prompt = n_prompt;
    x->n_generated = n_generated;
    sm_engine_stats_get(x->engine, &x->stats);
    atomic_store(&x->is_done, true);
}

/* The counters are the sums of what requests report. */
static void counters_agree_with_requests(void **state)
{
    (void)state;
    static const int32_t lengths[] = {1, 0, 7, 1, 30};
    fixture f;
    setup(&f, 0, 1, "f32/1");
    int64_t n_prompt = 0, n_generated = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ended x = {.engine = f.engine};
        sm_sampling s = SM_SAMPLING_DEFAULT;
        sm_stream_sink sink = {.done = on_end, .self = &x};
        s.max_tokens = lengths[i];
        assert_int_equal(sm_engine_submit(f.engine, "the quick", 9, &s, sink, NULL, NULL),
                         SM_OK);
        while (!atomic_load(&x.is_done))
            nap();
        n_prompt += x.n_prompt;
        n_generated += x.n_generated;
        assert_int_equal(x.stats.n_prompt_tokens, n_prompt);
        assert_int_equal(x.stats.n_generated_tokens, n_generated);
    }
    assert_true(n_generated > 10);
    teardown(&f);
}

/* Sampled frequencies of the first token agree with the model's probabilities. */
static void samples_follow_the_distribution(void **state)
{
    (void)state;
    enum { N = 3000 };
    fixture f;
    setup(&f, 0, 1, "f32/1");
    sm_sampling s = SM_SAMPLING_DEFAULT;
    s.max_tokens = 1;
    int hits = 0;
    double nats;
    int64_t n;
    s.temperature = 0;
    char *best = complete(&f, "the", &s, NULL);
    assert_true(strlen(best) > 0);
    s.temperature = 1;
    for (uint64_t i = 0; i < N; i++) {
        s.seed = i;
        char *t = complete(&f, "the", &s, NULL);
        hits += !strcmp(t, best);
        free(t);
    }
    /* the likelihood of that token's bytes as a continuation */
    assert_int_equal(sm_engine_score(f.engine, "the", 3, best, strlen(best), &nats, &n, NULL),
                     SM_OK);
    if (n == 1) { /* the same token; else other tokens spell it */
        double p = exp(nats), se = sqrt(p * (1 - p) / N);
        assert_true(fabs((double)hits / N - p) < 5 * se);
    }
    s.min_p = 0.999f; /* leaves the best alone */
    for (uint64_t i = 0; i < 20; i++) {
        s.seed = i;
        char *t = complete(&f, "the", &s, NULL);
        assert_string_equal(t, best);
        free(t);
    }
    s.min_p = 0;
    s.top_k = 1;
    char *t = complete(&f, "the", &s, NULL);
    assert_string_equal(t, best);
    free(t);
    free(best);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_equal_the_training_forward),
        cmocka_unit_test(decoding_equals_prefill),
        cmocka_unit_test(companions_do_not_change_a_stream),
        cmocka_unit_test(cancelled_requests_leave_the_queue),
        cmocka_unit_test(stop_strings_are_withheld),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(low_temperatures_are_greedy),
        cmocka_unit_test(counters_agree_with_requests),
        cmocka_unit_test(samples_follow_the_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
