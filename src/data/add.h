/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of `data add`.
 *
 *   add_inputs.c   paths -> items (files on disk), their hashes
 *   add_walk.c     a directory -> items
 *   add.c          lanes read containers, the pool extracts documents, rounds of both
 *   add_entry.c    one entry -> documents in the spool, counts in its origin
 *   add_origin.c   origins: packages, archives, directories; source.json
 *   add_licence.c  folders of an origin, and whose licence holds where
 */
#ifndef SMELT_DATA_ADD_H
#define SMELT_DATA_ADD_H

#include <pthread.h>

#include "container.h"
#include "smelt/data.h"
#include "smelt/sys.h"
#include "spool.h"

typedef enum add_item_kind {
    ADD_FILE,      /* to be read                                          */
    ADD_LINK,      /* a symbolic link, counted                            */
    ADD_SKIPPED,   /* ruled out by its name, not opened                   */
    ADD_UNREADABLE /* a file or folder that could not be read             */
} add_item_kind;

/** A file to read, or what stands in its place. */
typedef struct add_item {
    add_item_kind kind;
    bool is_named;   /* the path that the user gave, not one below it     */
    const char *why; /* ADD_SKIPPED: static code                          */
    char *problem;   /* ADD_UNREADABLE: without the place on disk         */
    char *disk;      /* where it is                                       */
    char *name;      /* what it is called inside the source               */
    uint32_t group;  /* index of the path given by the user               */
    char sha256[65]; /* filled by sm_add_hash_items                       */
    int64_t bytes;
    struct add_origin *origin; /* of what is read from it, packages in it apart;
                                  filled by sm_add_make_origins */
} add_item;

typedef struct add_items {
    add_item *item; /* sorted by (name, disk) */
    size_t n, cap;
    char **group; /* name of each path given  */
    size_t n_group;
} add_items;

/** @param options  of data.add: paths, include, exclude, skip_damaged */
sm_status sm_add_list_items(add_items *out, const json_t *options, sm_err *err);
/** The files of a directory, unsorted, into `items`. */
sm_status sm_add_walk(add_items *items, const json_t *options, const char *path,
                      uint32_t group, sm_err *err);
/** A copy of `item` with these names; takes item->problem, whatever the outcome. */
sm_status sm_add_push_item(add_items *items, const add_item *item, const char *disk,
                           const char *name, sm_err *err);
/** NULL: a file of this name is read; else the static code of why not. */
const char *sm_add_verdict(const json_t *options, const char *name, bool in_package);
/** Mark an item that could not be read for the reason given; an error, unless the options
 * say skip_damaged. */
sm_status sm_add_unreadable(add_item *item, const char *disk, const json_t *options,
                            const sm_err *why, sm_err *err);
/** The hashes of the files, ctx->hashes being asked first. */
sm_status sm_add_hash_items(add_items *items, const json_t *options, const sm_ctx *ctx,
                            sm_err *err);
/** Read and hash them again: SM_EINVAL, naming the file, when one is no longer what it was. */
sm_status sm_add_check_items(add_items *items, const sm_ctx *ctx, sm_err *err);
/** Whether the groups are those of the facts (NULL: they are); `paths` for the message. */
sm_status sm_add_check_facts(const add_items *items, const json_t *facts,
                             const json_t *paths, sm_err *err);
/** SHA-256 over the sorted (name, hash) of a group's items, as hex; of what is not read,
 * what is known of it stands for the hash. */
bool sm_add_group_hash(char out[65], const add_items *items, uint32_t group);
void sm_add_items_free(add_items *items);

typedef struct add_count {
    const char *what; /* static or interned code */
    int64_t n;
} add_count;

#define ADD_MAX_CODES 24
#define ADD_MAX_ERRORS \
    65536 /* kept while reading, so that the shown ones do not depend on */
#define ADD_SHOWN_ERRORS \
    200 /* the order of reading                                        */

/** Where documents come from: an archive, the loose files of a path, or a package inside
 * one of these.  Names need not differ (two paths may end in the same word): an origin is
 * one item, one path given, or (origin, name) of a package. */
typedef struct add_origin {
    uint32_t rank;                   /* by sm_add_sort_origins                   */
    const struct add_origin *parent; /* what a package lies in, NULL outside     */
    char *path;
    char sha256[65]; /* "" of a package inside an archive */
    int64_t bytes;
    char *package, *version, *architecture;
    char *licence;     /* by sm_add_settle_licences */
    json_t *copyright; /* {documentation folder: licence} as found */
    json_t *doc_link;  /* {package: package} of usr/share/doc links */
    json_t *folder;    /* {path: index in add_state.folder}        */
    add_count format[ADD_MAX_CODES], skipped[ADD_MAX_CODES];
    int64_t n_documents, n_aliases, n_errors, text_bytes;
    json_t *errors; /* [[path, text], ...] */
} add_origin;

/** A folder of an origin that holds documents or licence files; "" is the top of a
 * directory, the archive's name that of an archive.  A package is one folder. */
typedef struct add_folder {
    uint32_t index; /* in add_state.folder: the order of making, which is no result */
    add_origin *origin;
    char *path;
    bool is_licensed; /* holds a licence file, be it one that is not recognised */
    sm_list terms;    /* what its licence files say */
    char *licence;    /* of documents in it; by sm_add_settle_licences */
} add_folder;

typedef struct add_state {
    const sm_ctx *ctx;
    const json_t *options;
    const char *name;    /* of the source */
    const char *licence; /* for documents that state none */
    sm_container_limits limits;
    bool skip_damaged;
    add_items items;
    sm_spool *spool;
    pthread_mutex_t lock; /* guards the fields below */
    add_origin **origin;
    size_t n_origin, cap_origin;
    add_folder **folder;
    size_t n_folder, cap_folder;
    size_t next_item;
    int64_t bytes_done;
    sm_err fatal; /* of the lowest item */
    size_t fatal_item;
} add_state;

/** An origin of each archive and of the loose files of each path, with what is known of
 * items that are not read. */
sm_status sm_add_make_origins(add_state *a, sm_err *err);
/** The origin of an entry of an item: the item's, or that of the package at `package_at`
 * (may be NULL), made when there is none.  NULL without memory. */
add_origin *sm_add_origin_of(add_state *a, const add_item *item, const char *package_at);
void sm_add_origin_count(add_state *a, add_origin *o, const char *what, bool skipped);
void sm_add_origin_error(add_state *a, add_origin *o, const char *path, const char *text);
void sm_add_origins_free(add_state *a);
/** The folder that the file at `path` lies in; NULL without memory. */
add_folder *sm_add_folder_of(add_state *a, add_origin *o, const char *path);
/** A licence file at `path` says `licence` ("" for one that is not recognised). */
bool sm_add_folder_licence(add_state *a, add_origin *o, const char *path,
                           const char *licence);

/** When all is read: the origins in an order that depends on names and bytes alone, and
 * the rank of each; malloc'd array, NULL without memory. */
add_origin **sm_add_sort_origins(add_state *a);
/** Settle each origin's and folder's licence, following doc links between packages. */
bool sm_add_settle_licences(add_origin *const *sorted, const add_state *a);
/** The content of source.json; new reference. */
json_t *sm_add_report(const add_state *a, add_origin *const *sorted,
                      sm_spool_repeats repeats);

/** Turn one entry into documents (or counts).  Frees nothing.  Thread-safe. */
sm_status sm_add_entry(add_state *a, const add_item *item, const sm_entry *e,
                       sm_err *err);

#endif
