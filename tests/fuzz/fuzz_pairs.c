/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of minimal pairs: no crash; a fault names its line, and the figures
 * that come out are proportions with an interval around them, all pairs counted once. */
/* module: eval */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Likes short sentences. */
static sm_status brevity(void *self, const char *prefix, size_t n, const char *s,
                         size_t ns, double *nats, int64_t *n_token, sm_err *err)
{
    (void)self, (void)prefix, (void)n, (void)s, (void)err;
    *nats = -(double)ns;
    *n_token = 1;
    return SM_OK;
}

static void check(const json_t *figures)
{
    const char *name;
    json_t *f;
    json_int_t n = 0, all = -1;
    json_object_foreach((json_t *)(uintptr_t)figures, name, f)
    {
        double value = sm_json_real(f, "value");
        require(value >= 0 && value <= 1 && sm_json_int(f, "n") > 0);
        require(sm_json_real(f, "low") <= value && value <= sm_json_real(f, "high"));
        if (strcmp(name, "pairs.accuracy") == 0)
            all = sm_json_int(f, "n");
        else
            n += sm_json_int(f, "n");
    }
    require(n == all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sm_ctx ctx = {0};
    sm_scorer scorer = {.score = brevity};
    sm_err err = {0};
    json_t *figures = NULL;
    for (int64_t most = 0; most < 2; most++) {
        if (eval_pairs_text(&figures, &ctx, (const char *)data, size, "fuzz", most,
                            &scorer, &err)) {
            require(strncmp(err.msg, "fuzz:", 5) == 0);
        } else {
            check(figures);
            json_decref(figures);
        }
    }
    return 0;
}
