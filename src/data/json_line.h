/* SPDX-License-Identifier: Apache-2.0 */
/** A pull parser for one line that holds a flat JSON object; strings are decoded in place.
 */
#ifndef SMELT_DATA_JSON_LINE_H
#define SMELT_DATA_JSON_LINE_H

#include "smelt/base.h"

/** Initialise .at = .start = line, .end = one past it; line[.end] must be writable. */
typedef struct sm_json_line {
    char *at, *end, *start;
    bool started;
    const char *problem; /* set when the line is malformed; `at` is where */
} sm_json_line;

/**
 * The next key and value, both NUL-terminated in place.  `value` is NULL for a value that
 * is a number, true, false or null; objects and arrays are refused.
 * @return false at the end of the object, or with j->problem set
 */
bool sm_json_line_next(sm_json_line *j, char **key, char **value, size_t *len);

#endif
