/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Licence names.  A document's licence is a conjunction: terms sorted by bytes, joined by
 * " AND "; a term is a name or a choice "(A OR B)".  Names are SPDX's where there is one.
 */
#ifndef SMELT_DATA_LICENCE_H
#define SMELT_DATA_LICENCE_H

#include "smelt/base.h"
#include "smelt/sys.h"

/** Debian's or anybody's short name -> SPDX-like: "GPL-2+" -> "GPL-2.0-or-later",
 * "Expat" -> "MIT".  Unknown names come through with odd characters as '-'. */
bool sm_licence_name(sm_buf *out, const char *name, size_t len);

/** "GPL-2+ or Artistic, and BSD-3-clause" -> terms pushed to `terms`.  Words with no operator
 * between them are one name, never a choice: "BSD (3 clause)". */
bool sm_licence_expression(sm_list *terms, const char *text, size_t len);

/** The licence whose full text this is, by its title in the first lines (static), and the
 * offset of the title's line; NULL when there is no title. */
const char *sm_licence_title(size_t *at, const char *text, size_t len);

/** Names recognised by their wording, pushed to `terms` (free-form texts).  Of a full text
 * its title counts, or, where a notice comes before it, what that says. */
bool sm_licence_wording(sm_list *terms, const char *text, size_t len);

/** Sort, drop repetitions, append "A AND B". */
bool sm_licence_join(sm_buf *out, sm_list *terms);

/** Whether any pattern (shell wildcards, case-insensitive) matches the name. */
bool sm_licence_matches(const char *const *pattern, size_t n_pattern, const char *name,
                        size_t len);

#endif
