/* SPDX-License-Identifier: Apache-2.0 */
/* What the page shows of a served model: facts, curves, lineage. */
#ifndef SMELT_CMD_SERVE_PAGE_H
#define SMELT_CMD_SERVE_PAGE_H

#include <pthread.h>

#include "smelt/bind.h"

typedef struct serve_page {
    json_t *about, *curves;
    sm_buf svg;
    int64_t created_s;
    sm_store *store; /* read again for runs under way, under `lock` */
    pthread_mutex_t lock;
    json_t *live;    /* what was read last, and when */
    int64_t live_ns;
    json_t *seen; /* runs without a result: sm_serve_run_is_moving */
} serve_page;

/** @param x  may be NULL */
sm_status serve_page_make(serve_page *out, sm_store *store, const sm_servable *v,
                          const sm_bound_model *b, const sm_index *x, const char *ref,
                          const json_t *examples, sm_err *err);
/** Curves of runs under way: {"runs": [{"id", "curves"}]}; `self` is a serve_page. */
json_t *serve_page_live(void *self);
void serve_page_free(serve_page *p);

#endif
