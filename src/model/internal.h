/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of model share: the walk over a decoder's tensors and the JSON fields. */
#ifndef SM_MODEL_INTERNAL_H
#define SM_MODEL_INTERNAL_H

#include "smelt/model.h"

/* Which Hugging Face family names the tensors and fields. */
typedef enum model_family { FAMILY_LLAMA, FAMILY_MIXTRAL, FAMILY_LLAMA4 } model_family;
model_family sm_model_family(const sm_model_config *c);

/* One tensor of a decoder, as the walk meets them: in the order of the allocation. */
typedef struct tensor_spec {
    char name[96];
    int64_t shape[3];
    int32_t n_dim;
    bool is_norm;
    bool is_expert;       /* one of n_expert alternatives                       */
    bool is_block_output; /* feeds the residual stream                          */
    int32_t fan_in;
} tensor_spec;

typedef void (*tensor_visit)(void *self, const tensor_spec *t);
/* Visit every tensor of a checked config. */
void sm_model_walk(const sm_model_config *c, tensor_visit visit, void *self);

int64_t sm_tensor_spec_n(const tensor_spec *t);

/* A model whose weights are zero. */
sm_status sm_model_create_empty(sm_model **out, const sm_model_config *c, sm_err *err);

#endif
