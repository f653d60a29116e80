/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reading containers (archives, .deb, compressed and plain files) entry by entry.
 *
 *   item (a file on disk)
 *     +- level 0: libarchive over the file        tar, zip, ar, or the raw bytes
 *          +- level 1: libarchive over an entry   data.tar.xz of a .deb, x.tar.gz, page.gz
 *               +- ... at most SM_CONTAINER_DEPTH levels
 *
 * Every byte that any level produces is counted against one limit, so that nesting cannot
 * multiply a bomb.  Names are checked: absolute ones and ".." are refused.
 */
#ifndef SMELT_DATA_CONTAINER_H
#define SMELT_DATA_CONTAINER_H

#include "smelt/base.h"

#define SM_CONTAINER_DEPTH 5

typedef struct sm_container_limits {
    size_t
        max_file_bytes;  /* of one entry; larger ones are reported and skipped         */
    double max_ratio;    /* bytes produced per byte of the file, above a floor         */
    int64_t floor_bytes; /* produced before the ratio counts                           */
} sm_container_limits;

#define SM_CONTAINER_LIMITS_DEFAULT                                                   \
    {                                                                                 \
        .max_file_bytes = (size_t)64 << 20, .max_ratio = 200, .floor_bytes = 16 << 20 \
    }

typedef enum sm_entry_kind {
    SM_ENTRY_FILE,      /* data holds the bytes                                       */
    SM_ENTRY_LINES,     /* a piece of a .jsonl file: whole lines from `line` on       */
    SM_ENTRY_CONTROL,   /* the control file of a .deb                                 */
    SM_ENTRY_COPYRIGHT, /* usr/share/doc/PACKAGE/copyright of a .deb                  */
    SM_ENTRY_ALIAS,     /* a link; `target` says where to                             */
    SM_ENTRY_SKIPPED,   /* not a document; `why` says why                             */
    SM_ENTRY_PROBLEM    /* this entry could not be read; `why` says why               */
} sm_entry_kind;

typedef struct sm_entry {
    sm_entry_kind kind;
    char *path;       /* inside the source, containers joined by '!'                  */
    char *package_at; /* path of the innermost .deb it is in, NULL outside            */
    char *target;     /* SM_ENTRY_ALIAS                                               */
    const char *why;  /* SKIPPED: a static code; PROBLEM: malloc'd in `data` instead  */
    char *data;       /* malloc'd, data[len] == 0                                     */
    size_t len;
    int64_t line;
} sm_entry;
void sm_entry_free(sm_entry *e);

/** What to do with a name before its bytes are read: NULL = read it, else the static code
 * of why it is skipped.  `in_package`: the name is inside a .deb. */
typedef const char *(*sm_entry_filter)(void *self, const char *path, bool in_package);

typedef struct sm_container sm_container;

/**
 * @param disk_path  the file
 * @param name       what it is called inside the source
 * @return SM_EIO when it cannot be opened or read; SM_ECORRUPT when it has the magic of an
 *         archive but is none
 */
sm_status sm_container_open(sm_container **out, const char *disk_path, const char *name,
                            const sm_container_limits *limits, sm_entry_filter filter,
                            void *filter_self, sm_err *err);
/** The same over bytes, borrowed until close. */
sm_status sm_container_open_memory(sm_container **out, const void *data, size_t len,
                                   const char *name, const sm_container_limits *limits,
                                   sm_entry_filter filter, void *filter_self,
                                   sm_err *err);
/**
 * The next entry; *got false at the end.  Caller frees it with sm_entry_free.
 * @return SM_ECORRUPT (damaged or truncated), SM_EDENIED (a name that leaves the archive, a
 *         bomb), SM_EIO (a read of the file failed); the container is then at its end
 */
sm_status sm_container_next(sm_container *c, sm_entry *out, bool *got, sm_err *err);
/** True once a second name or a compression was seen: it is more than a plain file. */
bool sm_container_is_archive(const sm_container *c);
void sm_container_close(sm_container *c);

#endif
