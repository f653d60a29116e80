/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial scale.  A matrix whose rows have fan_in inputs of size 1 should give outputs of
 * size 1: normal(0, 1/sqrt(fan_in)) (LeCun et al., "Efficient BackProp", 1998).  The
 * usual 0.02 is that for a fan_in of 2500; at 128 or 256 it makes every block all but
 * silent and the first few hundred steps are lost.
 */
#include <string.h>

#include "train_internal.h"

/* The standard deviation that sm_model_create gives. */
static const double MODEL_SD = 0.02;

static bool is_scaled(const sm_param *p)
{
    return p->n_dim >= 2 && p->fan_in > 0 && !strstr(p->name, "embed_tokens");
}

void train_init_scale(sm_model *m, double gain)
{
    for (int32_t t = 0; gain > 0 && t < m->n_param_tensors; t++) {
        const sm_param *p = &m->param[t];
        if (!is_scaled(p))
            continue;
        float *w = m->weight + p->offset;
        float factor = (float)(gain / (MODEL_SD * train_sqrt((double)p->fan_in)));
        for (int64_t i = 0; i < p->n; i++)
            w[i] *= factor;
    }
}
