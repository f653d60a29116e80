/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of roff requests, shared by the table and the files that implement them. */
#ifndef SMELT_DATA_READ_ROFF_REQUEST_H
#define SMELT_DATA_READ_ROFF_REQUEST_H

#include "read_roff.h"

enum { DEFINE_NEW = 0, DEFINE_APPEND = 1, DEFINE_INDIRECT = 2 };
enum { REMOVE_BODY = 0, REMOVE_VALUE = 1 };
enum { COPY_ALIAS = 0, COPY_RENAME = 1 };
enum { IF_ALONE = 0, IF_WITH_ELSE = 1 };
enum { LEAVE_LOOP = 0, LEAVE_MACRO = 1, LEAVE_ALL = 2 };

size_t roff_skip_blanks(const char *s, size_t n, size_t i);
/** The word at *i; moves *i behind it and the blanks that follow. */
const char *roff_next_word(const char *s, size_t n, size_t *i, size_t *len);

/* Handlers: the rest of the line, and the variant of the table's row. */
void roff_do_de(roff *r, const char *s, size_t n, int variant);
void roff_do_ig(roff *r, const char *s, size_t n, int variant);
void roff_do_ds(roff *r, const char *s, size_t n, int variant);
void roff_do_nr(roff *r, const char *s, size_t n, int variant);
void roff_do_rm(roff *r, const char *s, size_t n, int variant);
void roff_do_rn(roff *r, const char *s, size_t n, int variant);
void roff_do_tr(roff *r, const char *s, size_t n, int variant);
void roff_do_if(roff *r, const char *s, size_t n, int variant);
void roff_do_el(roff *r, const char *s, size_t n, int variant);
void roff_do_while(roff *r, const char *s, size_t n, int variant);
void roff_do_leave(roff *r, const char *s, size_t n, int variant);
void roff_do_shift(roff *r, const char *s, size_t n, int variant);
void roff_do_line(roff *r, const char *s, size_t n, int variant);
void roff_do_call(roff *r, const char *s, size_t n, int variant);

#endif
