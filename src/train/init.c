/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial scale.  A matrix whose rows have fan_in inputs of size 1 should give outputs of
 * size 1: normal(0, 1/sqrt(fan_in)) (LeCun et al., "Efficient BackProp", 1998).  The
 * usual 0.02 is that for a fan_in of 2500; at 128 or 256 it makes every block all but
 * silent and the first few hundred steps are lost.
 *
 * The residual stream begins as the embedding.  What blocks add at first is much the same
 * for every token (attention is then a mean over the context), so when it outweighs the
 * embedding a router sees one token only and sends all to one expert.  Hence an embedding
 * of 1/sqrt(d_model), which also gives a tied head logits of size 1, and blocks that begin
 * by adding nothing (Goyal et al., 1706.02677, and Zhang et al., 1901.09321, begin theirs
 * so).  docs/training.md has what it brings.
 */
#include "train_internal.h"

/* The standard deviation that sm_model_create gives. */
static const double MODEL_SD = 0.02;

/* Width transfer leaves the embedding as it is at the base width. */
static double fan_of(const sm_train_config *c, const sm_param *p)
{
    if (train_class_of(p) != TRAIN_EMBED)
        return (double)p->fan_in;
    return (double)(c->mup_base_width > 0 ? c->mup_base_width : c->model.d_model);
}

static double gain_of(const sm_train_config *c, const sm_param *p)
{
    bool is_scaled = c->init_gain > 0 && p->n_dim >= 2;
    double gain = is_scaled ? c->init_gain / (MODEL_SD * train_sqrt(fan_of(c, p))) : 1;
    return p->is_block_output ? gain * c->init_residual : gain;
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
            w[i] = factor == 0 ? 0 : w[i] * factor;
    }
}
