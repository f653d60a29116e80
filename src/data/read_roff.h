/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The roff interpreter behind sm_extract_man.
 *
 *   frames (file, .so, macro bodies) --line--> expand (\* \n \$ \w, comments)
 *     --> request | user macro | man(7) or mdoc(7) macro | text line
 *     --> output escapes (\f \( \h ...) --> doc_writer
 *
 * Invariants:
 *  1. A frame is popped only by roff_next_line; handlers may push, never pop.
 *  2. `budget` bytes of expansion and lines are spent by everything that can loop (macros,
 *     .while, string growth); at zero the input ends.  Running time is linear in it.
 *  3. Lines handed to handlers are expanded once; `\\` in them still stands for one
 *     backslash, and becomes one when a definition is stored (copy mode).
 */
#ifndef SMELT_DATA_READ_ROFF_H
#define SMELT_DATA_READ_ROFF_H

#include "read_writer.h"
#include "smelt/extract.h"

enum {
    ROFF_GLYPH_MAX = 32,  /* UTF-8 bytes of one special character          */
    ROFF_ARG_MAX = 256,   /* arguments of one macro call                   */
    ROFF_FRAME_MAX = 100, /* nesting of macros and includes                */
    ROFF_LINE_MAX = 1 << 20,
    ROFF_DEF_MAX = 20000, /* names defined                                 */
    ROFF_COND_MAX = 500,  /* nesting of \{ blocks and of .ie               */
    ROFF_NEST_MAX = 100,  /* requests inside one line                      */
    ROFF_TR_MAX = 64,     /* pairs of .tr                                  */
    ROFF_BUILTIN_MARK = 1 /* before a name: not the user's macro of it     */
};

/* ------------------------------------------------------------- definitions */

/** What a name stands for: a string or macro body, a register, or both. */
typedef struct roff_def {
    char *name;
    sm_buf body;
    long value, step;
    bool has_body, is_macro, has_value;
} roff_def;

typedef struct roff_dict {
    roff_def *slot; /* open addressing, capacity a power of two */
    size_t n, cap;
} roff_dict;

roff_def *roff_dict_find(const roff_dict *d, const char *name, size_t n);
/** Find or add; NULL when memory or ROFF_DEF_MAX is exhausted. */
roff_def *roff_dict_put(roff_dict *d, const char *name, size_t n);
void roff_dict_free(roff_dict *d);

/* ------------------------------------------------------------------- state */

typedef struct roff_args {
    char *v[ROFF_ARG_MAX]; /* NUL-terminated, into `store` */
    bool quoted[ROFF_ARG_MAX];
    int n;
    sm_buf store;
} roff_args;

typedef struct roff_frame {
    const char *data;
    size_t len, pos;
    char *owned;    /* released with the frame                        */
    roff_args *arg; /* of a macro call, else NULL                     */
    bool is_file;   /* text that came from outside, not a macro body  */
    bool is_loop;   /* body of .while                                 */
    int n_cond;     /* open blocks when it was pushed                 */
} roff_frame;

typedef enum roff_set { ROFF_SET_NONE, ROFF_SET_MAN, ROFF_SET_MDOC } roff_set;

struct man_state;
struct mdoc_state;
struct tbl_state;

typedef struct roff {
    doc_writer w;
    const sm_so_resolver *so;
    roff_frame frame[ROFF_FRAME_MAX];
    int n_frame;
    roff_dict dict;
    sm_buf raw;                     /* the physical line, continued lines joined */
    int n_nest;                     /* requests running inside requests, as .if .if ... */
    int n_cond;                     /* open, taken \{ blocks                      */
    bool else_taken[ROFF_COND_MAX]; /* .ie without its .el yet: take the .el? */
    int n_else;
    size_t budget;
    size_t n_include;
    char control, escape; /* '.' and '\\' unless .cc, .ec, .eo; escape 0 = none */
    bool is_nofill;
    bool joins_next;      /* the last text ended with \c                 */
    bool in_eqn, in_skip; /* inside .EQ; inside a picture                */
    char eqn_delim[2];
    int n_center; /* input lines still centred                   */
    struct {
        char from[ROFF_GLYPH_MAX], to[ROFF_GLYPH_MAX];
        unsigned char n_from, n_to;
    } tr[ROFF_TR_MAX];
    int n_tr;
    bool tr_ascii[128]; /* some pair of tr starts with this byte         */
    roff_set set;
    struct tbl_state *tbl; /* open table, else NULL */
    struct man_state *man;
    struct mdoc_state *mdoc;
    char *title, *section;
    bool has_ended;  /* .ex or the budget */
    bool is_cut;     /* the budget        */
    bool has_failed; /* out of memory     */
} roff;

/* ------------------------------------------------------------------- input */

/** Push text to be read next; owned (may be NULL) is freed with the frame, also on failure.
 */
bool roff_push(roff *r, const char *data, size_t len, char *owned, roff_args *arg,
               bool is_file);
/** Next line into r->raw, comments at line start skipped; false at the end of input. */
bool roff_next_line(roff *r);
/** One raw line of the top frame for .de, .ig; false at the end of that frame. */
bool roff_raw_line(roff *r, const char **line, size_t *n);
/** Interpolate strings, registers and arguments; copy mode also halves `\\`. */
bool roff_expand(roff *r, sm_buf *out, const char *s, size_t n, bool copy_mode);
/** Read all lines of the frames. */
void roff_run(roff *r);
/** Handle one line that is expanded already (request, macro or text). */
void roff_line(roff *r, const char *s, size_t n);
/** Run a macro or request line without its control character. */
void roff_call(roff *r, const char *s, size_t n);
void roff_split_args(roff_args *a, const char *s, size_t n);
void roff_args_free(roff_args *a);
bool roff_spend(roff *r, size_t n);

/* ------------------------------------------------- requests and conditions */

/** Run `name` when it is a roff request; false when it is not. */
bool roff_request(roff *r, const char *name, size_t n_name, const char *rest, size_t n);
/** Condition at s; *used is how much of it was read. */
bool roff_condition(roff *r, const char *s, size_t n, size_t *used);
/** Numeric expression; false when there is none. */
bool roff_number(long *out, const char *s, size_t n, size_t *used);
bool roff_register(const roff *r, const char *name, size_t n, long *out);
/** Handle the `\}` of a line that is being executed; returns the length without them. */
size_t roff_close_blocks(roff *r, sm_buf *line);

/* ----------------------------------------------------------------- escapes */

/** One escape sequence after the backslash: its letter and argument. */
typedef struct roff_escape {
    char c;
    const char *arg;
    size_t n;
    int sign; /* of \n+x */
} roff_escape;
/** @param s the character after the backslash; n >= 1.  Returns bytes used, >= 1. */
size_t roff_escape_read(roff_escape *e, const char *s, size_t n);
size_t roff_glyph(char out[ROFF_GLYPH_MAX], const char *name, size_t n);
size_t roff_number_glyph(char out[ROFF_GLYPH_MAX], const char *digits, size_t n);
/** Write expanded text, interpreting output escapes. */
void roff_put(roff *r, const char *s, size_t n);
void roff_puts(roff *r, const char *s);
/** The same into a buffer as plain text without layout. */
void roff_plain(roff *r, sm_buf *out, const char *s, size_t n);

/* ----------------------------------------------------------------- layout */

void roff_break(roff *r);
void roff_para(roff *r);
void roff_fill(roff *r, bool fill);

/* ------------------------------------------------------------- macro sets */

bool man_macro(roff *r, const char *name, const char *rest, size_t n);
/** Called after every line that may have produced text. */
void man_line_end(roff *r);
void man_free(struct man_state *m);
/** True: wrote text of a line. */
bool mdoc_macro(roff *r, const char *name, const char *rest, size_t n);
void mdoc_end(roff *r);
void mdoc_free(struct mdoc_state *m);
/** Tables: begin at .TS, then every line until it returns false. */
bool tbl_begin(roff *r);
void tbl_line(roff *r, const char *s, size_t n);
void tbl_end(roff *r);
void tbl_free(struct tbl_state *t);

#endif
