/* SPDX-License-Identifier: Apache-2.0 */
/* Inside conf: how the map of positions is filled. */
#ifndef SMELT_CONF_POSITIONS_H
#define SMELT_CONF_POSITIONS_H

#include "smelt/conf.h"

/** An empty map for the file `name`; NULL when out of memory. */
sm_positions *sm_positions_new(const char *name);
/** Ends the entry of a member's key, where its own entry is the value's. */
#define SM_KEY_MARK "\001"

/** Remember a pointer; pointers arrive in document order. */
bool sm_positions_add(sm_positions *pos, const char *pointer, int line, int column);
/** To be called once after the last add. */
void sm_positions_sort(sm_positions *pos);

#endif
