/* SPDX-License-Identifier: Apache-2.0 */
/* The page's files, embedded at build time from web/. */
#ifndef SMELT_CMD_PAGES_H
#define SMELT_CMD_PAGES_H

#include "smelt/serve.h"

extern const sm_asset sm_pages[];
extern const size_t sm_n_pages;

#endif
