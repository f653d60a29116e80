/* SPDX-License-Identifier: Apache-2.0 */
/* Parts shared by the readers of light markup. */
#ifndef SMELT_DATA_READ_MARKDOWN_H
#define SMELT_DATA_READ_MARKDOWN_H

#include "read_writer.h"
#include "smelt/extract.h"

/** Write one paragraph's inline Markdown as text. */
void markdown_inline(doc_writer *w, const char *s, size_t n);

/** One pass of lines: s, n is the line without its newline. */
typedef struct line_cursor {
    const char *s, *end;
} line_cursor;
bool next_line(line_cursor *c, const char **line, size_t *n);
/** Blanks at the start of a line, a tab up to the next multiple of four. */
size_t line_indent(const char *s, size_t n, size_t *n_bytes);

/** What both readers do around their pass: decode, write, clean up. */
sm_status extract_markup(sm_extract *out, const char *data, size_t len, const char *where,
                         void (*pass)(sm_extract *out, doc_writer *w, const char *s,
                                      size_t n),
                         sm_err *err);

#endif
