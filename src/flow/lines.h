/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: going over a text of one JSON value a line. */
#ifndef SMELT_FLOW_LINES_H
#define SMELT_FLOW_LINES_H

#include "internal.h"

/** Where a walk is; begin with {.text, .len}.  The text is borrowed. */
typedef struct lines {
    const char *text;
    size_t len, at;
    const char *line; /* the present line, without its newline */
    size_t line_len, number;
    bool is_whole; /* it ends with a newline */
    json_t *value; /* of the present line, until the next */
    int64_t step;  /* of lines_next_step */
} lines;

/** The next whole line that is an object with a "step" from 0; others are passed over, and
 * so is a last line that was cut short: a killed process may have left such.  False at the
 * end, when nothing is held any more; whoever stops before it calls lines_end. */
bool lines_next_step(lines *l);

/** The next line of a file in which every line must be whole and JSON.  After *more is false
 * or an error nothing more is to come; lines_end releases the value.
 * @param file  for messages ("chain.jsonl"); may be "" */
sm_status lines_next(bool *more, lines *l, const char *file, sm_err *err);
void lines_end(lines *l);

#endif
