/* SPDX-License-Identifier: Apache-2.0 */
/* A workspace with a corpus small enough that a model of it is trained in a blink. */
#ifndef FLOW_TEST_LAB_H
#define FLOW_TEST_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"
#include "smelt/kern.h"

enum { LAB_DOCS = 16, LAB_STEPS = 12 };

typedef struct lab {
    char dir[64], corpus[96];
    sm_store *store;
    sm_ctx ctx;
    sm_pool *pool;
    sm_id source, set, tokenizer, model; /* content ids */
} lab;

#define OK(call) lab_ok((call), &err, #call, __LINE__)
SM_UNUSED static void lab_ok(sm_status s, const sm_err *err, const char *what, int line)
{
    if (s)
        fail_msg("line %d: %s: %s: %s", line, what, sm_status_name(s), err->msg);
}

SM_UNUSED static void lab_write(const char *dir, const char *name, const char *text)
{
    char *path = sm_path_join(dir, name);
    sm_err err = {0};
    OK(sm_file_write_atomic(path, text, strlen(text), 0644, &err));
    free(path);
}

/* Document d: sentences drawn from a small language, its own by the choice of words. */
SM_UNUSED static void lab_document(sm_buf *out, uint64_t d)
{
    static const char *const who[] = {"the kernel", "a process",  "the shell",
                                      "a thread",   "the daemon", "a reader"};
    static const char *const does[] = {"opens",  "locks", "reads",
                                       "writes", "maps",  "closes"};
    static const char *const what[] = {"a file",     "the socket", "a pipe",
                                       "the device", "a page",     "the table"};
    for (uint64_t i = 0; i < 12; i++) {
        uint64_t r = sm_rng_u64(7, SM_STREAM_TEST, (uint32_t)d, i);
        sm_buf_printf(out, "%s %s %s, and then %s %s %s.\n", who[r % 6], does[r / 6 % 6],
                      what[r / 36 % 6], who[r / 216 % 6], does[r / 1296 % 6],
                      what[r / 7776 % 6]);
    }
}

SM_UNUSED static void lab_step(sm_id *out, lab *l, const char *step,
                               const char *const *in, size_t n_in, json_t *options)
{
    sm_flow_result r = {0};
    sm_err err = {0};
    OK(sm_flow_step(&r, &l->ctx, l->store, step, in, n_in, options, "test", NULL, &err));
    *out = r.artifact.content;
    sm_flow_result_free(&r);
    json_decref(options);
}

SM_UNUSED static json_t *lab_curate_options(void)
{
    return json_pack("{s:[s, s], s:f}", "steps", "normalise", "exact_dedup",
                     "heldout_frac", 0.25);
}

SM_UNUSED static json_t *lab_train_options(void)
{
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:i, s:f, "
        "s:i, s:i, s:i}",
        "n_layer", 2, "d_model", 32, "n_head", 2, "n_kv_head", 1, "d_head", 16, "d_ff",
        64, "n_expert", 4, "d_expert", 32, "d_shared", 32, "n_ctx", 32, "router_bias", 1,
        "n_seq", 8, "n_shard", 8, "n_steps", LAB_STEPS, "bias_rate", 0.001,
        "warmup_steps", 2, "commit_steps", 2, "eval_docs", 4);
}

/* Everything up to the tokenizer. */
SM_UNUSED static void lab_open(lab *l)
{
    sm_err err = {0};
    memset(l, 0, sizeof *l);
    snprintf(l->dir, sizeof l->dir, "/tmp/smelt-lab-XXXXXX");
    assert_non_null(mkdtemp(l->dir));
    snprintf(l->corpus, sizeof l->corpus, "%s/corpus", l->dir);
    OK(sm_mkdirs(l->corpus, &err));
    for (uint64_t d = 0; d < LAB_DOCS; d++) {
        char name[24];
        sm_buf text = {0};
        snprintf(name, sizeof name, "page-%02d.txt", (int)d);
        lab_document(&text, d);
        lab_write(l->corpus, name, text.data);
        if (d == 3)
            lab_write(l->corpus, "copy-of-03.txt", text.data);
        sm_buf_free(&text);
    }
    OK(sm_store_init(l->dir, &err));
    OK(sm_store_open(&l->store, l->dir, &err));
    OK(sm_kern_get(&l->ctx.kern, NULL, &err));
    OK(sm_pool_create(&l->pool, 2, &err));
    l->ctx.pool = l->pool;
    l->ctx.comm = sm_comm_self();
    lab_step(&l->source, l, "data.add", NULL, 0,
             json_pack("{s:[s]}", "paths", l->corpus));
    lab_step(&l->set, l, "data.curate", (const char *[]){l->source.hex}, 1,
             lab_curate_options());
    lab_step(&l->tokenizer, l, "tokenizer.train", (const char *[]){l->set.hex}, 1,
             json_pack("{s:i}", "vocab_size", 300));
}

SM_UNUSED static void lab_train(sm_id *out, lab *l, json_t *options)
{
    lab_step(out, l, "train", (const char *[]){l->set.hex, l->tokenizer.hex}, 2, options);
}

SM_UNUSED static void lab_close(lab *l)
{
    sm_store_close(l->store);
    sm_pool_free(l->pool);
    sm_remove_tree(l->dir, NULL);
}

#endif
