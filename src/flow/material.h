/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: what step train and its audit make ready before the first step. */
#ifndef SMELT_FLOW_MATERIAL_H
#define SMELT_FLOW_MATERIAL_H

#include "internal.h"
#include "smelt/data.h"
#include "smelt/train.h"

typedef struct material {
    char *tokenizer_path;
    sm_tokenizer *tokenizer;
    sm_dataset *train, *heldout;
    sm_token_data *data, *heldout_data;
    sm_train_config config;
} material;

/** Tokenizer and configuration alone.  Release with material_free whatever the outcome. */
sm_status material_tokenizer(material *m, const sm_step_io *io, sm_err *err);
/** All of it; held-out documents only when asked for and wanted by the options. */
sm_status material_prepare(material *m, const sm_step_io *io, bool with_heldout,
                           sm_err *err);
/** training.json of a run that ended with these figures, without the held-out ones. New
 * reference or NULL when out of memory. */
json_t *material_training(const material *m, int64_t n_tok, double epoch, double loss);
void material_free(material *m);

#endif
