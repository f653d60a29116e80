/* SPDX-License-Identifier: Apache-2.0 */
/* Which segments are sampled, and what a sample proves. */
#include <stdlib.h>

#include "sample.h"

double sm_sample_caught(int64_t n, int64_t f, int64_t k)
{
    double missed = 1; /* product of (n-f-i)/(n-i): the i-th draw is an honest one too */
    if (f > n - k)
        return k > 0 ? 1 : 0;
    for (int64_t i = 0; i < k; i++)
        missed *= (double)(n - f - i) / (double)(n - i);
    return 1 - missed;
}

int64_t sample_size(const sm_sample_config *c, int64_t n)
{
    int64_t k = c->n;
    if (k <= 0) {
        k = (int64_t)(c->frac * (double)n);
        k += (double)k < c->frac * (double)n;
    }
    return k < 1 ? 1 : k > n ? n : k;
}

/* The first k places of a Fisher-Yates shuffle. */
sm_status sample_draw(bool *sampled, int64_t n, int64_t k, uint64_t seed, sm_err *err)
{
    int64_t *order = sm_alloc((size_t)n, sizeof *order);
    if (!order)
        return sm_fail(err, SM_ENOMEM, "sample: out of memory");
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = 0; i < k; i++) {
        int64_t j = i + (int64_t)sm_rng_below((uint64_t)(n - i), seed, SM_STREAM_AUDIT, 0,
                                              (uint64_t)i);
        int64_t x = order[j];
        order[j] = order[i];
        order[i] = x;
        sampled[x] = true;
    }
    free(order);
    return SM_OK;
}

json_t *sample_odds(int64_t n, int64_t k)
{
    static const int percent[] = {0, 1, 5, 10};
    json_t *list = json_array();
    int64_t last = 0;
    for (size_t i = 0; list && i < sizeof percent / sizeof *percent; i++) {
        int64_t f = (n * percent[i] + 99) / 100;
        f = f < 1 ? 1 : f;
        if (f == last)
            continue;
        last = f;
        json_array_append_new(list, json_pack("{s:I, s:f, s:f}", "forged", (json_int_t)f,
                                              "share", (double)f / (double)n,
                                              "probability", sm_sample_caught(n, f, k)));
    }
    return list;
}
