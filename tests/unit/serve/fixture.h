/* SPDX-License-Identifier: Apache-2.0 */
/* A server over a small random model and an index of three pages. */
#ifndef TEST_SERVE_FIXTURE_H
#define TEST_SERVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka wants some of those above first */
#include <cmocka.h>

#include "client.h"
#include "smelt/data.h"
#include "smelt/serve.h"
#include "smelt/sys.h"

enum { N_CTX = 8192, MAX_BODY = 64 << 10, MAX_CONNECTIONS = 24 };

typedef struct fixture {
    char dir[64];
    sm_ctx ctx;
    sm_pool *pool;
    sm_tokenizer *tok;
    sm_model *model;
    sm_engine *engine;
    sm_index *index;
    json_t *about, *curves;
    sm_serve_config config;
    sm_server *server;
    int port;
} fixture;

static fixture fx;

static const char corpus[] = "the quick brown fox jumps over the lazy dog and the lazy dog "
                             "sleeps while the quick fox runs through the brown woods ";

static const char *const pages[][3] = {
    {"lsof(8)", "list open files",
     "# NAME\n\nlsof - list open files\n\n# DESCRIPTION\n\nLsof lists on its standard output "
     "file information about files opened by processes."},
    {"ls(1)", "list directory contents",
     "# NAME\n\nls - list directory contents\n\n# DESCRIPTION\n\nList the FILEs, naïvely: "
     "Grüße, 漢字, 😀."},
    {"kill(1)", "send a signal to a process",
     "# NAME\n\nkill - send a signal\n\n# DESCRIPTION\n\nThe default is <b>TERM</b>."},
};

static sm_status corpus_get(void *self, size_t i, const char **text, size_t *len, sm_err *err)
{
    (void)self, (void)i, (void)err;
    *text = corpus;
    *len = sizeof corpus - 1;
    return SM_OK;
}

/* No end-of-text token, so that a text ends only where the request says. */
static sm_status make_engine(fixture *f, sm_err *err)
{
    sm_text_source source = {.get = corpus_get, .n = 1};
    sm_bpe_train_config bpe = {.vocab_size = 300, .pretok = SM_PRETOK_GPT2, .min_count = 2};
    sm_model_config c = SM_MODEL_CONFIG_DEFAULT;
    sm_engine_config ec = {.profile = "bf16/1", .max_streams = 4};
    sm_status s = sm_pool_create(&f->pool, 1, err); /* a busy machine */
    f->ctx.pool = f->pool;
    if (!s)
        s = sm_kern_get(&f->ctx.kern, NULL, err);
    if (!s)
        s = sm_bpe_train(&f->tok, &f->ctx, &source, &bpe, err);
    if (s)
        return s;
    c.n_vocab = sm_tokenizer_n_vocab(f->tok);
    c.n_layer = 4;
    c.d_model = 64;
    c.n_head = 4;
    c.n_kv_head = 2;
    c.d_head = 16;
    c.d_ff = 96;
    c.n_expert = 4;
    c.k_expert = 2;
    c.d_expert = 48;
    c.max_ctx = N_CTX;
    s = sm_model_create(&f->model, &c, 7, err);
    return s ? s : sm_engine_create(&f->engine, &f->ctx, f->model, f->tok, &ec, err);
}

static sm_status make_index(fixture *f, sm_err *err)
{
    sm_buf out = {0};
    char id[40];
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        snprintf(id, sizeof id, "%032zu", i + 1);
        sm_document d = {.id = id, .source = "t", .path = pages[i][0], .format = "man",
                         .title = pages[i][0], .summary = pages[i][1], .section = "1",
                         .package = "p", .version = "1.2-3", .licence = "GPL-2.0",
                         .lang = "en", .reason = "", .detail = "", .text = pages[i][2],
                         .text_len = strlen(pages[i][2])};
        assert_true(sm_document_write(&out, &d));
    }
    char *docs = sm_path_join(f->dir, "documents.jsonl");
    char *passages = sm_path_join(f->dir, "passages.jsonl");
    const char *paths[] = {docs};
    json_t *options = NULL;
    sm_status s = sm_file_write_atomic(docs, out.data, out.len, 0644, err);
    if (!s)
        s = sm_options_resolve(&options, sm_index_options, NULL, "test", err);
    if (!s)
        s = sm_index_build(&f->ctx, paths, 1, options, f->dir, NULL, err);
    if (!s)
        s = sm_index_open(&f->index, passages, NULL, true, err);
    json_decref(options);
    free(docs);
    free(passages);
    sm_buf_free(&out);
    return s;
}

static json_t *live_runs(void *self)
{
    return json_pack("{s[{ss}]}", "runs", "id", ((fixture *)self)->config.model_name);
}

static int setup(void **state)
{
    static const sm_asset assets[] = {
        {"/", "text/html", (const unsigned char *)"<!doctype html>hello", 20},
        {"/app.js", "text/javascript", (const unsigned char *)"1;", 2}};
    sm_err err = {0};
    (void)state;
    snprintf(fx.dir, sizeof fx.dir, "/tmp/smelt-serve-XXXXXX");
    if (!mkdtemp(fx.dir) || make_engine(&fx, &err) || make_index(&fx, &err)) {
        print_error("%s\n", err.msg);
        return -1;
    }
    fx.about = json_pack("{ss}", "model", "tiny");
    fx.curves = json_pack("{s[[if]]}", "loss", 1, 2.5);
    fx.config = (sm_serve_config){
        .model_name = "tiny", .engine = fx.engine, .index = fx.index,
        .rank = SM_RANK_DEFAULT, .about = fx.about, .curves = fx.curves,
        .live = live_runs, .live_self = &fx,
        .lineage_svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", .asset = assets,
        .n_asset = 2, .max_body_bytes = MAX_BODY, .max_connections = MAX_CONNECTIONS,
        .created_s = 1700000000, .fingerprint = "f00d"};
    if (sm_serve_start(&fx.server, &fx.ctx, &fx.config, &err)) {
        print_error("%s\n", err.msg);
        return -1;
    }
    fx.port = sm_serve_port(fx.server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sm_serve_stop(fx.server);
    sm_engine_free(fx.engine);
    sm_index_close(fx.index);
    sm_model_free(fx.model);
    sm_tokenizer_free(fx.tok);
    sm_pool_free(fx.pool);
    json_decref(fx.about);
    json_decref(fx.curves);
    return sm_remove_tree(fx.dir, NULL);
}

static inline sm_engine_stats stats(void)
{
    sm_engine_stats s;
    sm_engine_stats_get(fx.engine, &s);
    return s;
}

static inline void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* Until no generation is under way; the seconds it took. */
static inline double wait_until_idle(void)
{
    int64_t t0 = sm_clock_ns();
    double waited = 0;
    while (stats().n_active + stats().n_queued > 0 && waited < 30) {
        nap();
        waited = (double)(sm_clock_ns() - t0) * 1e-9;
    }
    return waited;
}

static inline void assert_alive(void)
{
    json_t *j = client_json(fx.port, "GET", "/health", NULL, 200);
    assert_string_equal(text_at(j, "status"), "ok");
    json_decref(j);
}

#endif
