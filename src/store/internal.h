/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store, inside: what the files of this module share.  docs/formats/workspace.md has the
 * invariants; the order that keeps them is
 *
 *   objects durable -> lock -> BEGIN -> rows -> audit record durable -> COMMIT -> unlock
 *
 * The audit log is the truth about what moved: the catalog is what one gets by applying
 * its records in order (apply.c), on every commit, after a crash, and when it is lost.
 * Locks, in this order: the handle's mutex, the flock of .smelt/lock, SQLite's own.
 */
#ifndef SMELT_STORE_INTERNAL_H
#define SMELT_STORE_INTERNAL_H

#include <openssl/evp.h>
#include <pthread.h>
#include <sqlite3.h>

#include "smelt/conf.h"
#include "smelt/store.h"
#include "smelt/sys.h"

#define STORE_FORMAT "smelt workspace 1\n"
#define STORE_LEAF_BYTES ((size_t)1 << 20)
#define STORE_LINE_MAX ((size_t)16 << 20) /* one audit record */
#define STORE_JSON_MAX ((size_t)64 << 20) /* a manifest, recipe or run record */

/* What helps against a damaged catalog. */
#define STORE_REBUILD_HINT "`smelt verify --rebuild` makes it again from the audit log"

/* Position in the audit log: n records, bytes in file, hash of the last one. */
typedef struct audit_head {
    int64_t n;
    int64_t bytes;
    sm_id hash;
} audit_head;

struct sm_store {
    char *root;    /* directory that holds .smelt */
    char *dir;     /* root/.smelt */
    sqlite3 *db;   /* synchronous=FULL */
    sqlite3 *fast; /* metrics: synchronous=NORMAL; opened when first needed */
    sqlite3_stmt *metric;
    EVP_PKEY *key, *pub; /* loaded when first needed */
    pthread_mutex_t mutex;
    int lock_fd;
    int lock_depth;
    int open_fd;   /* `format`, flock'd: shared by each open handle, alone by a rebuild */
    json_t *whole; /* object ids whose bytes this handle has hashed (whole.c) */
    char *session; /* .smelt/tmp/s-..., holds this handle's staging directories */
    int session_fd;
    /* Called at each point between two durable operations; tests crash there. */
    void (*at_point)(void *self, const char *point);
    void *at_self;
};

void store_enter(sm_store *s);
void store_leave(sm_store *s);
void store_point(sm_store *s, const char *point);
/* malloc'd dir/rel, NULL when out of memory. */
char *store_path(const sm_store *s, const char *rel);
/* The nearest directory at or above `dir` (NULL: where we are) with a .smelt; malloc'd.
 * SM_ENOENT when there is none. */
sm_status store_find_root(char **out, const char *dir, sm_err *err);
sm_status store_nomem(sm_err *err);
/* A file of the workspace that is no regular file, or too large: damage, not wrong usage. */
sm_status store_damage(sm_status st, sm_err *err);
/* flock dir/format: LOCK_SH waits for a rebuild to end; LOCK_EX is SM_EDENIED while a handle is
 * open anywhere.  Closing *fd lets go. */
sm_status store_hold(int *fd, const char *dir, int how, sm_err *err);
/* sm_store_open for who holds the workspace alone. */
sm_status store_open_held(sm_store **out, const char *dir, sm_err *err);
/* fsync of a directory, so that its entries survive a crash. */
sm_status store_sync_dir(const char *path, sm_err *err);
/* flock of .smelt/lock, counted: nested calls are free. */
sm_status store_lock(sm_store *s, sm_err *err);
void store_unlock(sm_store *s);
/* Remove the staging directories of processes that are gone. */
void store_clean_staging(sm_store *s);

/* ------------------------------------------------------------ hash.c, key.c */

typedef struct sha256 {
    EVP_MD_CTX *ctx;
} sha256;
sm_status sha256_open(sha256 *h, sm_err *err);
bool sha256_restart(sha256 *h);
bool sha256_put(sha256 *h, const void *data, size_t len);
bool sha256_close(sha256 *h, sm_id *out); /* finish; sha256_restart to go on */
void sha256_free(sha256 *h);
void hex_of(char *out, const unsigned char *data, size_t len); /* 2*len + NUL */
bool hex_parse(unsigned char *out, size_t len, const char *hex);
bool id_equal(const sm_id *a, const sm_id *b);

/* Generate dir/keys/ed25519.pem (0600) and dir/keys/ed25519.pub. */
sm_status key_create(const char *dir, sm_err *err);
sm_status key_public(EVP_PKEY **out, sm_store *s, sm_err *err); /* borrowed */
sm_status key_public_hex(char out[65], sm_store *s, sm_err *err);
/* The only place that uses the private key: a signing process can replace its body. */
sm_status key_sign(unsigned char sig[64], sm_store *s, const void *data, size_t len,
                   sm_err *err);
bool key_check(EVP_PKEY *pub, const void *data, size_t len, const unsigned char sig[64]);
/* Both files parse, match each other byte for byte, and the private one is 0600. */
sm_status key_verify(sm_store *s, sm_err *err);

/* ------------------------------------------------------------------ object.c */

/* Store a regular file; it is moved when `may_move` and that is possible. */
sm_status object_put_file(sm_id *id, int64_t *bytes, sm_store *s, const char *path,
                          bool may_move, sm_err *err);
sm_status object_put_bytes(sm_id *id, sm_store *s, const void *data, size_t len,
                           sm_err *err);
/* Canonical JSON as an object; *text (may be NULL) malloc'd. */
sm_status object_put_json(sm_id *id, char **text, sm_store *s, const json_t *value,
                          sm_err *err);
char *object_path(const sm_store *s, const sm_id *id); /* malloc'd */
/* A canonical JSON object whose bytes match its name; *text (may be NULL) malloc'd. */
sm_status object_load_json(json_t **out, char **text, sm_store *s, const sm_id *id,
                           sm_err *err);

/* What object_check found: a bit set, and the leaves that differ. */
enum {
    OBJECT_MISSING = 1,
    OBJECT_BYTES = 2,
    OBJECT_LEAF_FILE = 4,
    OBJECT_UNREADABLE = 8
};
typedef struct object_report {
    int wrong;
    int64_t bytes;
    int64_t leaf[8]; /* first damaged leaves */
    int n_leaf;      /* all damaged leaves, may exceed 8 */
    char why[128];   /* for OBJECT_UNREADABLE, OBJECT_LEAF_FILE */
} object_report;
sm_status object_check(object_report *r, sm_store *s, const sm_id *id, sm_err *err);
/* "leaf 1 (bytes 1048576..2097151) does not match its hash", of r->leaf[i]. */
void object_leaf_text(char out[128], const object_report *r, int i);
/* whole.c: the object has been compared with its id, and need not be again. */
void store_note_whole(sm_store *s, const sm_id *id);

/* ----------------------------------------------------------------- catalog.c */

sm_status catalog_open(sqlite3 **out, const char *path, bool durable, sm_err *err);
sm_status catalog_create(sqlite3 *db, sm_err *err); /* the schema, in any database */
/* A view or a trigger can show each reader another catalog: SM_ECORRUPT names it. */
sm_status catalog_check_plain(sqlite3 *db, sm_err *err);
sm_status catalog_fail(sm_err *err, sqlite3 *db, const char *what);
sm_status catalog_exec(sqlite3 *db, const char *sql, sm_err *err);
/* Prepare and bind: 's' const char * (NULL = SQL NULL), 'i' int64_t, 'd' double. */
sm_status catalog_query(sqlite3_stmt **out, sqlite3 *db, sm_err *err, const char *sql,
                        const char *types, ...);
/* The same, run to its end without rows. */
sm_status catalog_run(sqlite3 *db, sm_err *err, const char *sql, const char *types, ...);
/* Next row: SM_OK and *row says whether there is one. */
sm_status catalog_step(bool *row, sqlite3 *db, sqlite3_stmt *st, sm_err *err);
const char *catalog_text(sqlite3_stmt *st, int column); /* never NULL */
sm_status catalog_head(audit_head *out, sqlite3 *db, sm_err *err);
sm_status catalog_set_head(sqlite3 *db, const audit_head *head, sm_err *err);

/* ------------------------------------------------------------------- audit.c */

/* A record that has been read; detail is borrowed from json. */
typedef struct audit_record {
    json_t *json;
    int64_t n;
    const char *time, *event;
    const json_t *detail;
    sm_id hash;
} audit_record;

/* Make the next record, signed: its line (with the newline) and what it says. */
sm_status audit_make(sm_buf *line, audit_record *out, sm_store *s, const audit_head *head,
                     const char *event, const json_t *detail, sm_err *err);
/* Append one record as a change of its own. */
sm_status audit_append(sm_store *s, const char *event, const json_t *detail, sm_err *err);
/* Read one line (without the newline): its form, hash and signature are checked, its place
 * in the chain is not.  Into a record of zeroes, to be freed whatever the outcome. */
sm_status audit_record_read(audit_record *r, sm_store *s, const char *line, size_t len,
                            sm_err *err);
void audit_record_free(audit_record *r);
/* Append under the lock: durable on return; on failure the file is as before. */
sm_status audit_write(sm_store *s, const audit_head *head, const sm_buf *line,
                      sm_err *err);

/* Read records from `from` on.  each() gets good records, and bad ones as a message with
 * rec NULL; a non-zero return stops. */
typedef struct audit_scan {
    sm_status (*each)(void *self, const audit_record *rec, const char *finding,
                      sm_err *err);
    void *self;
    audit_head end; /* after the last good record                        */
    int64_t tail;   /* after the last whole line                         */
    int64_t size;   /* of the file: more than tail when a line is unfinished */
    int64_t n_bad;
} audit_scan;
/* getline for the log, of a line that begins at byte `at`: over after an interruption; -1 also
 * where the reading of a line fails, then ferror(f) and errno say so. */
ssize_t audit_line(char **line, size_t *cap, FILE *f, int64_t at);
sm_status audit_read(audit_scan *scan, sm_store *s, const audit_head *from, sm_err *err);
/* Copy the unfinished line at the end to audit/removed-SHA256; *what gets {"bytes",
 * "removed"}. */
sm_status audit_keep_tail(json_t **what, sm_store *s, const audit_scan *scan,
                          sm_err *err);
/* Instead of what follows head->bytes, this line: by one rename, so that a crash leaves
 * the log with the tail or the log with the record that says that it is gone. */
sm_status audit_replace_tail(sm_store *s, const audit_head *head, const sm_buf *line,
                             sm_err *err);

/* audit_check.c: the first record binds the key; the end is what the catalog has seen. */
sm_status audit_check_record(sm_store *s, const audit_record *rec, sm_err *err);
sm_status audit_check_end(const audit_scan *scan, const audit_head *head, sm_err *err);

/* ------------------------------------------------------------ apply.c, change.c */

/* Apply one record to a catalog.  SM_ECORRUPT when a manifest, recipe or run record that
 * it names cannot be read; what does not depend on that is applied. */
sm_status apply_record(sqlite3 *db, sm_store *s, const audit_record *rec, sm_err *err);

/* A change: begin takes the lock, opens a transaction and finishes what a crash left;
 * log applies and records one event; end commits (or rolls back when st is not SM_OK). */
sm_status change_begin(sm_store *s, sm_err *err);
sm_status change_log(sm_store *s, const char *event, const json_t *detail, sm_err *err);
sm_status change_end(sm_store *s, sm_status st, sm_err *err);
/* Finish what a crash left, if anything (on open). */
sm_status change_recover(sm_store *s, sm_err *err);

/* -------------------------------------------------------------- manifest.c, find.c */

sm_status manifest_json(json_t **out, const sm_artifact *a, sm_err *err);
/* From a manifest's and a recipe's text (NULL: leave recipe_json NULL). */
sm_status manifest_parse(sm_artifact *out, const char *text, const char *recipe,
                         sm_err *err);
sm_status content_id(sm_id *out, const sm_artifact *a, sm_err *err);
bool kind_is_valid(const char *kind);

/* "name", "name@v3" or "name:tag". */
typedef struct ref_name {
    char name[129];
    char tag[65];    /* "" = none */
    int64_t version; /* 0 = none  */
} ref_name;
bool ref_parse(ref_name *out, const char *text);
void ref_format(char out[256], const char *name, int64_t version, const char *tag);

/* The manifest id that `ref` means in a catalog: the workspace's, or one made from its
 * log. */
sm_status find_manifest(sm_id *out, const sm_store *s, sqlite3 *db, const char *ref,
                        sm_err *err);
sm_status load_manifest(sm_artifact *out, sm_store *s, const char *manifest, sm_err *err);
/* Manifest of a content id (the first made), SM_ENOENT when none. */
sm_status manifest_of_content(sm_id *out, sqlite3 *db, const char *content, sm_err *err);

#endif
