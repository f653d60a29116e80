/* SPDX-License-Identifier: Apache-2.0 */
/** Writing documents in pieces: a package's licence is known only when it has been read
 * whole, so `data add` writes head and tail first and joins them with it later. */
#ifndef SMELT_DATA_DOCUMENT_H
#define SMELT_DATA_DOCUMENT_H

#include "smelt/data.h"

/* head + package + tail = the line that sm_document_write makes. */
bool sm_document_write_head(sm_buf *out, const sm_document *doc);
bool sm_document_write_package(sm_buf *out, const char *package, const char *version,
                               const char *licence);
bool sm_document_write_tail(sm_buf *out, const sm_document *doc);

#endif
