/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program on libsmelt: find a release (or a model) of a workspace, refuse what no gate
 * passed, and continue a text greedily, byte for byte as `smelt chat --temperature 0` does.
 *
 *     cc generate.c $(pkg-config --cflags --libs smelt) -o generate
 *     ./generate unix-release 'To list open files'
 */
#include <smelt/bind.h>
#include <smelt/kern.h>
#include <smelt/sys.h>

#include <stdio.h>
#include <string.h>

/* What a computation is given: threads, kernels, and no sinks, so that it is silent. */
static sm_status make_context(sm_ctx *out, sm_pool **pool, sm_err *err)
{
    *out = (sm_ctx){.comm = sm_comm_self()};
    sm_status s = sm_pool_create(pool, 0, err);
    out->pool = *pool;
    return s ? s : sm_kern_get(&out->kern, NULL, err);
}

/* The model behind a ref, if its gate passed; its bytes are compared with their hashes as
 * they are loaded. */
static sm_status open_model(sm_bound_model *out, const sm_ctx *ctx, const char *ref,
                            sm_err *err)
{
    sm_store *store = NULL;
    sm_servable found = {0};
    sm_status s = sm_store_open(&store, NULL, err);
    if (!s)
        s = sm_servable_find(&found, store, ref, NULL, err);
    if (!s && !found.passed)
        s = sm_fail(err, SM_EDENIED, "%s: no gate passed it", ref);
    if (!s)
        s = sm_bind_model(out, ctx, store, &found.model, NULL, 1, err);
    sm_servable_free(&found);
    sm_store_close(store);
    return s;
}

int main(int argc, char **argv)
{
    sm_err err = {0};
    sm_pool *pool = NULL;
    sm_ctx ctx;
    sm_bound_model bound = {0};
    sm_buf text = {0};
    sm_sampling greedy = SM_SAMPLING_DEFAULT;
    greedy.temperature = 0;
    greedy.max_tokens = 32;
    if (argc != 3) {
        fprintf(stderr, "usage: generate REF PROMPT\n");
        return 2;
    }
    sm_status s = make_context(&ctx, &pool, &err);
    if (!s)
        s = open_model(&bound, &ctx, argv[1], &err);
    if (!s)
        s = sm_engine_complete(bound.engine, argv[2], strlen(argv[2]), &greedy, &text,
                               NULL, &err);
    if (s)
        fprintf(stderr, "generate: %s\n", err.msg);
    else
        printf("%s%s\n", argv[2], text.data ? text.data : "");
    sm_buf_free(&text);
    sm_bound_model_free(&bound);
    sm_pool_free(pool);
    return s != SM_OK;
}
