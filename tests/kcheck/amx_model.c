/* SPDX-License-Identifier: Apache-2.0 */
/* The amx kernels over the software tile unit: the same source, its instructions
 * replaced. */
#define SM_TILE_MODEL "tile_model.h"
#define sm_kern_set_amx kc_set_amx_model
#include "x86/amx/prod.c"

#include "kcheck.h"

bool kc_amx_model(sm_kern *out)
{
    const sm_kern *below;
    if (sm_kern_get(&below, "avx512", NULL) != SM_OK)
        return false;
    *out = *below;
    out->rung = SM_RUNG_AMX;
    out->name = "amx";
    kc_set_amx_model(out);
    return true;
}
