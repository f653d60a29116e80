/* SPDX-License-Identifier: Apache-2.0 */
/* What the page shows of a served model: facts, curves, lineage. */
#ifndef SMELT_CMD_SERVE_PAGE_H
#define SMELT_CMD_SERVE_PAGE_H

#include "smelt/bind.h"

typedef struct serve_page {
    json_t *about, *curves;
    sm_buf svg;
    int64_t created_s;
} serve_page;

sm_status serve_page_make(serve_page *out, sm_store *store, const sm_servable *v,
                          const sm_bound_model *b, const char *ref, const json_t *examples,
                          sm_err *err);
void serve_page_free(serve_page *p);

#endif
