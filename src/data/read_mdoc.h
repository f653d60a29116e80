/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mdoc(7) macros.  One input line is a list of words; a word that names a callable
 * macro runs it on the words behind it.
 *
 * Invariants:
 *  1. roff.joins_next is mdoc's "no blank before the next word".
 *  2. `closer` holds the closing text of enclosures that end with the line (.Op, .Dq ...);
 *     it is empty between lines.
 *  3. `list` is the stack of open .Bl; the head of an item is open while `in_head`, which
 *     lasts until a line ends with no explicit block (.Xo, .Oo ...) open.
 */
#ifndef SMELT_DATA_READ_MDOC_H
#define SMELT_DATA_READ_MDOC_H

#include "read_roff.h"

enum {
    MDOC_LIST_MAX = 40,
    MDOC_CLOSER_MAX = 64,
    MDOC_REF_FIELDS = 14,
    MDOC_DISPLAY_MAX = 40
};

typedef enum mdoc_list_kind {
    MDOC_LIST_PLAIN, /* bullet, dash, hyphen, item: no head */
    MDOC_LIST_ENUM,
    MDOC_LIST_HEAD, /* tag, hang, ohang, inset, diag       */
    MDOC_LIST_COLUMN
} mdoc_list_kind;

typedef struct mdoc_list {
    mdoc_list_kind kind;
    bool is_diag;
    int n_item;
} mdoc_list;

typedef struct mdoc_state {
    roff_args arg;
    char *name; /* of the page: first .Nm */
    mdoc_list list[MDOC_LIST_MAX];
    int n_list, n_list_over; /* open lists; those beyond the cap */
    bool was_nofill[MDOC_DISPLAY_MAX];
    int n_display;
    const char *closer[MDOC_CLOSER_MAX];
    int n_closer;
    int n_explicit; /* explicit blocks open since the head began */
    bool in_head, in_synopsis, in_authors, in_name;
    bool spacing_off; /* .Sm off */
    bool no_blank_once;
    bool in_function; /* between .Fo and .Fc */
    int n_fa;
    bool in_reference; /* between .Rs and .Re */
    sm_buf ref[MDOC_REF_FIELDS];
    int n_ref_author;
    char *es_open, *es_close; /* of .Es */
} mdoc_state;

typedef struct mdoc_entry {
    const char *name;
    /** Run on words i..n-1; returns the first word that it did not use. */
    int (*run)(roff *r, mdoc_state *m, const struct mdoc_entry *e, int i, int n);
    const char *open, *close; /* enclosures; prefix or default text of others */
    bool is_callable;
} mdoc_entry;

const mdoc_entry *mdoc_find(const char *name);
const char *mdoc_library(const char *key);
const char *mdoc_standard(const char *key);
const char *mdoc_system(const char *key);

/* -------------------------------------------------- words, shared by the files */

/** Write one word with the blank that it is owed. */
void mdoc_word(roff *r, mdoc_state *m, const char *s);
/** Write text without a blank before it. */
void mdoc_joined(roff *r, mdoc_state *m, const char *s);
/** Run words i..n-1: text and callable macros. */
void mdoc_words(roff *r, mdoc_state *m, int i, int n);
/** Write words up to the next callable macro, each after `prefix`. */
int mdoc_plain(roff *r, mdoc_state *m, const char *prefix, int i, int n);
bool mdoc_is_open_delim(const char *s);
bool mdoc_is_close_delim(const char *s);
/** Forget a pending "no blank". */
void mdoc_reset_line(roff *r, mdoc_state *m);
/** In SYNOPSIS: what follows starts a line. */
void mdoc_synopsis_break(roff *r, mdoc_state *m);
/** Is word i a macro that runs? */
const mdoc_entry *mdoc_callable(const mdoc_state *m, int i);

typedef int mdoc_run(roff *r, mdoc_state *m, const mdoc_entry *e, int i, int n);
mdoc_run mdoc_Sh, mdoc_Ss, mdoc_Pp, mdoc_Bl, mdoc_El, mdoc_It, mdoc_Ta, mdoc_Bd, mdoc_Ed,
    mdoc_D1, mdoc_Rs, mdoc_Re, mdoc_ref_field, mdoc_Fo, mdoc_Fc, mdoc_Fn, mdoc_Fa,
    mdoc_In, mdoc_Ft, mdoc_Rv, mdoc_Ex, mdoc_Dt, mdoc_Nd, mdoc_block_line;

#endif
