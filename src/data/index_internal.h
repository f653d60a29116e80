/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the retrieval index share. */
#ifndef SMELT_DATA_INDEX_INTERNAL_H
#define SMELT_DATA_INDEX_INTERNAL_H

#include <sqlite3.h>

#include "smelt/index.h"
#include "smelt/sys.h"

/** Passages of one document are consecutive. */
struct sm_index {
    json_t *lines;       /* array: one object a passage, owns the strings   */
    sm_passage *passage; /* [n_passage]                                     */
    size_t n_passage;
    size_t *first;       /* [n_doc+1] first passage of each document        */
    size_t n_doc;
    sqlite3 *db;
    bool with_names;
};

/** Words of a text, lower case. */
typedef struct index_words {
    char *text; /* the words, each NUL-terminated, one after another */
    const char **word;
    size_t n;
} index_words;

/** Distinct words of a question in order, as FTS5 is asked for them: runs of ASCII letters
 * and digits and of bytes beyond ASCII; without English stop words unless nothing else is
 * left. */
bool sm_index_words(index_words *out, const char *text, bool drop_stop_words);
/** Distinct terms of a text in order, as they are compared: words in any script, and of
 * what is written in Han or Kana each two characters that stand together (one that stands
 * alone by itself); without English stop words. */
bool sm_index_terms(index_words *out, const char *text);
bool sm_index_is_stop_word(const char *w);
/** Whether the words hold this one. */
bool sm_index_words_hold(const index_words *w, const char *s);
/** Whether the text has a character of Han or Kana. */
bool sm_index_has_spaceless(const char *text);
/** Append the text with blanks around each character of Han and Kana. */
void sm_index_space_out(sm_buf *out, const char *text);
/** Append the terms as an FTS5 expression for table spaceless: "t1" OR "t2" ... */
void sm_index_match_terms(sm_buf *out, const index_words *w);
void sm_index_words_free(index_words *w);

/** 2 * words in common / words of both; words match by stem. */
double sm_index_dice(const char *summary, const char *question);

/** True when the question asks how to do a thing: "how do I ...", "which command ...". */
bool sm_index_asks_how(const char *question);

/** True when the heading is that of a NAME section. */
bool sm_index_is_name(const char *heading);

/** Full-text tables of these passages: from the cache (NULL: made in memory). */
sm_status sm_index_attach(sm_index *x, const char *cache_path, const sm_map *passages,
                          sm_err *err);
/** Make the full-text tables in an open, empty database. */
sm_status sm_index_fill(sm_index *x, sm_err *err);
sm_status sm_index_sql(sqlite3 *db, const char *sql, sm_err *err);
/* What SQLite says of its last call, with the file where there is one. */
sm_status sm_index_fail(sm_err *err, sqlite3 *db);

#endif
