/* SPDX-License-Identifier: Apache-2.0 */
/* Inside conf: what the checks and the renderings of an option table share. */
#ifndef SMELT_CONF_OPTIONS_H
#define SMELT_CONF_OPTIONS_H

#include "smelt/conf.h"

/** "an integer from 1 to 100": what an option accepts, for messages and pages. */
void sm_option_wanted(sm_buf *out, const sm_option *o);

#endif
