/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial scale.  A matrix whose rows have fan_in inputs of size 1 should give outputs of
 * size 1: normal(0, 1/sqrt(fan_in)) (LeCun et al., "Efficient BackProp", 1998).  The
 * usual 0.02 is that for a fan_in of 2500; at 128 or 256 it makes every block all but
 * silent and the first few hundred steps are lost.
 */
#include "train_internal.h"

/* The standard deviation that sm_model_create gives. */
static const double MODEL_SD = 0.02;

static double gain_of(const sm_train_config *c, const sm_param *p)
{
    bool is_scaled = c->init_gain > 0 && p->n_dim >= 2 && p->fan_in > 0 &&
                     train_class_of(p) != TRAIN_EMBED;
    return is_scaled ? c->init_gain / (MODEL_SD * train_sqrt((double)p->fan_in)) : 1;
}

void train_init_scale(sm_model *m, const sm_train_config *c)
{
    for (int32_t t = 0; t < m->n_param_tensors; t++) {
        const sm_param *p = &m->param[t];
        float *w = m->weight + p->offset;
        float factor = (float)(gain_of(c, p) * train_factor_of(c, p).init);
        if (factor == 1)
            continue;
        for (int64_t i = 0; i < p->n; i++)
            w[i] *= factor;
    }
}
