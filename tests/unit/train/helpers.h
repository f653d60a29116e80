/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this folder share: contexts, a scratch directory, pretend ranks. */
#ifndef TRAIN_TEST_HELPERS_H
#define TRAIN_TEST_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train_internal.h"
#include "unit/ranks.h"

#define OK(call) check_ok((call), &err, #call, __LINE__)

SM_UNUSED static void check_ok(sm_status s, const sm_err *err, const char *what, int line)
{
    if (s)
        fail_msg("line %d: %s: %s: %s", line, what, sm_status_name(s), err->msg);
}

/* A context with its own pool; rung NULL = the best. */
SM_UNUSED static sm_ctx make_ctx(const char *rung, int n_threads)
{
    sm_ctx ctx = {0};
    sm_err err;
    OK(sm_kern_get(&ctx.kern, rung, &err));
    OK(sm_pool_create(&ctx.pool, n_threads, &err));
    return ctx;
}

SM_UNUSED static void free_ctx(sm_ctx *ctx)
{
    sm_pool_free(ctx->pool);
    ctx->pool = NULL;
}

SM_UNUSED static char *make_dir(char name[32])
{
    snprintf(name, 32, "/tmp/smelt-train-XXXXXX");
    assert_non_null(mkdtemp(name));
    return name;
}

#endif
