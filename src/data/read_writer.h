/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The text form that all readers write (see smelt/extract.h): a writer that collects one
 * block at a time and emits it with its heading signs, list marker and indentation.
 *
 * Invariants:
 *  1. `out` holds finished blocks only; it never ends with a newline until dw_finish.
 *  2. `para` is the open block.  Flowing text has single blanks, '\n' only for forced
 *     breaks, and no blank at either end; HARD_BLANK stands for a blank that must stay.
 *  3. `term` is set between dw_term_end and the first block that follows it.
 */
#ifndef SMELT_DATA_READ_WRITER_H
#define SMELT_DATA_READ_WRITER_H

#include "smelt/base.h"

/** A blank that is not collapsed, in the input of dw_text and in `para`. */
#define DW_HARD_BLANK '\x1f'

typedef struct doc_writer {
    sm_buf *out;
    sm_buf para, term;
    int indent;      /* blanks before the lines of the next block          */
    int heading;     /* level 1..6 when the open block is a heading        */
    bool has_marker; /* the next block starts with "- "                    */
    bool owes_blank; /* a blank comes before the next word                 */
    bool is_pre;     /* lines are kept                                     */
    bool was_list;   /* the last emitted block was inside a list           */
    bool has_failed; /* a cap or memory was exhausted                      */
} doc_writer;

void dw_init(doc_writer *w, sm_buf *out);
void dw_free(doc_writer *w);
/** Append text: blanks collapse and words wrap in flowing blocks; kept in pre blocks. */
void dw_text(doc_writer *w, const char *s, size_t n);
void dw_puts(doc_writer *w, const char *s);
/** Owe a blank before the next word; cancel it. */
void dw_blank(doc_writer *w);
void dw_join(doc_writer *w);
/** Forced line break inside the block. */
void dw_break(doc_writer *w);
/** End the open block. */
void dw_para(doc_writer *w);
/** End the open block; what follows up to the next dw_para is a heading. */
void dw_heading(doc_writer *w, int level);
/** End the open block; the next one is a list item at nesting `depth` (0 = outermost). */
void dw_item(doc_writer *w, int depth);
/** The text since dw_item becomes the term of the item. */
void dw_term_end(doc_writer *w);
/** End the open block and set the indentation of what follows to nesting `depth`. */
void dw_indent(doc_writer *w, int depth);
/** End the open block; what follows is preformatted, or flows again. */
void dw_pre(doc_writer *w, bool on);
/** End everything, add the last newline.  False when a cap or memory was exhausted. */
bool dw_finish(doc_writer *w);

#endif
