/* SPDX-License-Identifier: Apache-2.0 */
/** What file names say: archives, compressions, kinds of files that are no documents. */
#ifndef SMELT_DATA_NAMES_H
#define SMELT_DATA_NAMES_H

#include "smelt/base.h"

bool sm_name_is_compressed(const char *name);
/** .tar and its compressed forms, .tgz and the like, .zip, .deb, .udeb. */
bool sm_name_is_archive(const char *name);
/** .jsonl or .ndjson, compressed or not. */
bool sm_name_is_jsonl(const char *name);

/**
 * Whether a file should become a document: NULL for yes, else why not, static storage:
 * "changelog", "binary" (images, fonts, other books), "code" (programs and data),
 * "navigation" (indices and search pages of HTML manuals), "duplicate_source" (_sources of
 * Sphinx), "not_documentation" (outside usr/share/{doc,man,info,help} of a package).
 */
const char *sm_name_verdict(const char *path, bool in_package);

#endif
