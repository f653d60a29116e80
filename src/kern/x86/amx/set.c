/* SPDX-License-Identifier: Apache-2.0 */
/* What the amx rung overrides. */
#include "internal.h"

void sm_kern_set_amx(sm_kern *t)
{
    t->rung = t->rung;
}
