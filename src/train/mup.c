/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Width transfer: maximal update parametrisation (Yang et al., "Tensor Programs V", arXiv
 * 2203.03466) without multipliers in the forward pass, so that the result is a plain
 * model.  With r = d_model / mup_base_width, relative to the plain recipe
 * (the embedding: to that at the base width, where it begins at 1/sqrt(mup_base_width)):
 *
 *                    init      lr, AdamW   lr, Muon    why
 *   embedding        1         1           -           rows are looked up: no sum grows
 *   hidden           1         1/r         1/sqrt(r)   1/sqrt(fan_in) at first; an update
 *                                                      of AdamW is coherent over fan_in,
 *                                                      one of Muon orthogonal
 *   router           1/sqrt(r) 1/r         -           finite outputs of a wide input
 *   last norm        1/r       1/r         -           the output multiplier 1/r of the
 *                                                      paper, folded into its weight
 *   head of its own  sqrt(r)   1           -           constant: the last norm divides
 *   other norms      1         1           -
 *
 * The head (or the tied embedding) sees norm(x) * w with w = 1/r at first: exactly the
 * logits W norm(x) / r, and AdamW, which ignores the scale of a gradient, moves w in steps
 * of lr/r.  That is the multiplier that lets one table be input and output at once.
 *
 * Weight decay of what lr divides is multiplied by the same: lr * wd, the rate at which
 * old weights are forgotten, does not depend on the width.
 */
#include <string.h>

#include "train_internal.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

train_class train_class_of(const sm_param *p)
{
    if (p->n_dim < 2)
        return !strcmp(p->name, "model.norm.weight") ? TRAIN_LAST_NORM : TRAIN_NORM;
    if (strstr(p->name, "embed_tokens"))
        return TRAIN_EMBED;
    if (strstr(p->name, "lm_head"))
        return TRAIN_HEAD;
    if (ends_with(p->name, ".router.weight") ||
        ends_with(p->name, "block_sparse_moe.gate.weight"))
        return TRAIN_ROUTER;
    return TRAIN_HIDDEN;
}

train_factor train_factor_of(const sm_train_config *c, const sm_param *p)
{
    train_factor f = {1, 1, 1};
    if (c->mup_base_width == 0)
        return f;
    double r = (double)c->model.d_model / (double)c->mup_base_width;
    switch (train_class_of(p)) {
    case TRAIN_HIDDEN:
        f.lr = train_is_muon(c, p) ? 1 / train_sqrt(r) : 1 / r;
        break;
    case TRAIN_ROUTER:
        f.lr = 1 / r;
        f.init = 1 / train_sqrt(r);
        break;
    case TRAIN_LAST_NORM:
        f.lr = f.init = 1 / r;
        break;
    case TRAIN_HEAD:
        f.init = train_sqrt(r);
        break;
    default:
        break;
    }
    f.decay = 1 / f.lr;
    return f;
}
