/* SPDX-License-Identifier: Apache-2.0 */
/* The amx kernels over the timed tile unit: the same source, its instructions replaced. */
#include "tiles.h"

#ifdef __x86_64__
#define SM_TILE_MODEL "timed_unit.h"
#define sm_kern_set_amx set_timed_amx
#include "x86/amx/prod.c"

bool bench_timed_tiles(sm_kern *out)
{
    const sm_kern *below;
    if (sm_kern_get(&below, "avx512", NULL) != SM_OK)
        return false;
    *out = *below;
    out->rung = SM_RUNG_AMX;
    out->name = "timed tiles";
    set_timed_amx(out);
    return true;
}
#else
bool bench_timed_tiles(sm_kern *out)
{
    (void)out;
    return false;
}
#endif
