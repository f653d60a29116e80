/* SPDX-License-Identifier: Apache-2.0 */
/* Inside flow: a file of JSON lines in scratch, one for each step that is due, which must
 * outlive kills and keep up with the checkpoints beside it. */
#ifndef SMELT_FLOW_JOURNAL_H
#define SMELT_FLOW_JOURNAL_H

#include "internal.h"

typedef struct journal journal;

/** The steps of which a line is due: first, first + interval, ..., and last. */
typedef struct journal_due {
    int64_t first, interval, last; /* first <= last, interval >= 1 */
    /* Is what belongs to a step's line there?  NULL: nothing does. */
    bool (*is_kept)(const void *self, int64_t step);
    const void *self;
} journal_due;

/** Open scratch/NAME for appending.  Checkpoints there (ckpt-RUN-STEP) that are past a
 * line that is missing, or past what belongs to it, cannot lead to a whole journal: they
 * are removed, with a warning, and training goes on from before. */
sm_status journal_open(journal **out, const sm_step_io *io, const char *name,
                       const journal_due *due, sm_err *err);
/** Append a line with its newline. */
sm_status journal_put(journal *j, const char *line, size_t len, sm_err *err);
/** Make the lines durable.  A file that was removed meanwhile is written again.
 * @return SM_ECORRUPT when it was cut */
sm_status journal_sync(journal *j, sm_err *err);
/** All lines so far; *text malloc'd. SM_ECORRUPT when the file was cut. */
sm_status journal_read(char **text, size_t *len, const journal *j, sm_err *err);
const char *journal_path(const journal *j);
void journal_free(journal *j);

#endif
