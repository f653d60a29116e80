/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sys (L1): files, clock, CPU features, threads, communication between ranks.
 */
#ifndef SMELT_SYS_H
#define SMELT_SYS_H

#include "smelt/base.h"
#include "smelt/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------- files */

/** Read a whole regular file.  *out is NUL-terminated at out[len], release with free().
 * @param max_bytes larger files are refused with SM_EINVAL (0 = 4 GiB)
 * @return SM_ENOENT, SM_EIO, SM_EINVAL (too large, a directory), SM_ENOMEM */
SM_API sm_status sm_file_read(char **out, size_t *len, const char *path, size_t max_bytes,
                              sm_err *err);

/** A read-only mapping.  Empty files map to data == "" with len 0. */
typedef struct sm_map {
    const unsigned char *data;
    size_t len;
    void *handle;
} sm_map;
/** @return SM_ENOENT, SM_EIO, SM_EINVAL (no regular file); close with sm_map_close, after
 * which data is gone.  Whoever shortens the file meanwhile makes reading it fatal. */
SM_API sm_status sm_map_open(sm_map *out, const char *path, sm_err *err);
SM_API void sm_map_close(sm_map *m);

/** Open a file that must be a regular one: a directory, a device or a FIFO is SM_EINVAL, and
 * none of them is waited for.
 * @param size  of the file in bytes; may be NULL
 * @param flags of open(2): O_RDONLY or O_RDWR, O_NOFOLLOW */
SM_API sm_status sm_file_open_regular(int *fd, size_t *size, const char *path, int flags,
                                      sm_err *err);

/** What the name of a file begins with that is not finished, or that a crash left. */
#define SM_TEMP_PREFIX ".sm-tmp-"

/** Write a file so that a crash at any instruction leaves the old file or the new one:
 * temporary file in the same directory, fsync, rename, fsync of the directory.
 * @param mode permission bits of the new file, e.g. 0644 */
SM_API sm_status sm_file_write_atomic(const char *path, const void *data, size_t len,
                                      unsigned mode, sm_err *err);

/** A file being written; visible under `path` only after commit (as above). */
typedef struct sm_file_writer sm_file_writer;
/** @param mode  as above  @return SM_EINVAL, SM_EIO, SM_ENOENT (the directory), SM_ENOMEM */
SM_API sm_status sm_file_writer_open(sm_file_writer **out, const char *path, unsigned mode,
                                     sm_err *err);
/** Append.  @return SM_EIO, SM_ENOSPC */
SM_API sm_status sm_file_writer_put(sm_file_writer *w, const void *data, size_t len,
                                    sm_err *err);
/** The same for an output that a user names: a symbolic link stays and its target is written;
 * what is there and no regular file (a device, a FIFO) is opened and written in place, and
 * then commit and abort only close it.  A directory is SM_EINVAL. */
SM_API sm_status sm_file_writer_open_named(sm_file_writer **out, const char *path,
                                           unsigned mode, sm_err *err);
/** The same into what is open already, as standard output is: from where it stands, and what
 * is there stays.  `name` is for messages; `fd` remains the caller's. */
SM_API sm_status sm_file_writer_open_fd(sm_file_writer **out, int fd, const char *name,
                                        sm_err *err);
SM_API sm_status sm_file_write_named(const char *path, const void *data, size_t len,
                                     unsigned mode, sm_err *err);
/** Flush, fsync, rename.  Frees the writer whatever the outcome. */
SM_API sm_status sm_file_writer_commit(sm_file_writer *w, sm_err *err);
/** Remove the temporary and free.  NULL-safe. */
SM_API void sm_file_writer_abort(sm_file_writer *w);

/** Create a directory and its parents (mode 0755); existing ones are fine. */
SM_API sm_status sm_mkdirs(const char *path, sm_err *err);
/** Remove a file or a whole directory tree of at most 64 levels; a symbolic link in it, or
 * at `path`, is removed itself and never followed.  What is not there is no error. */
SM_API sm_status sm_remove_tree(const char *path, sm_err *err);
SM_API bool sm_path_exists(const char *path);
SM_API bool sm_path_is_dir(const char *path);
/** The same where not being able to look is an error: a failing disk, a closed folder above.
 * @return SM_OK too where there is nothing; else SM_EIO and what errno says */
SM_API sm_status sm_path_look_dir(bool *is_dir, const char *path, sm_err *err);
/** Is it there, through links, and neither a regular file nor a directory? */
SM_API bool sm_path_is_special(const char *path);
/** "a/b" from a and b; *out is malloc'd, NULL when out of memory. */
SM_API char *sm_path_join(const char *a, const char *b);

/** Regular files below a directory, as paths relative to it, sorted by bytes (strcmp).
 * Symbolic links below it are not followed and not listed; what vanishes meanwhile is left
 * out, what cannot be read is an error.  At most 64 levels.  Release with sm_list_free. */
typedef struct sm_list {
    char **item;
    size_t n, cap;
} sm_list;
/** @return SM_ENOENT, SM_EIO, SM_ENOMEM */
SM_API sm_status sm_list_files(sm_list *out, const char *dir, sm_err *err);
/** Sorted names of what is in a directory itself, folders and links too, "." and ".." not.
 * SM_ENOENT when there is none. */
SM_API sm_status sm_list_entries(sm_list *out, const char *dir, sm_err *err);
SM_API bool sm_list_push(sm_list *l, const char *item);
SM_API void sm_list_sort(sm_list *l);
SM_API void sm_list_free(sm_list *l);

/** True when the peer of a connected socket has closed or is gone (does not block). */
SM_API bool sm_socket_peer_closed(int fd);

/* ------------------------------------------------------------------- clock */

/** Monotonic nanoseconds (durations) and wall-clock nanoseconds since 1970 UTC. */
SM_API int64_t sm_clock_ns(void);
SM_API int64_t sm_wall_ns(void);
/** "2026-01-31T12:00:00Z" of wall nanoseconds; out has room for 32 bytes. */
SM_API void sm_wall_format(char out[32], int64_t wall_ns);

/* --------------------------------------------------------------------- CPU */

typedef struct sm_cpu {
    bool avx2;   /* AVX2, FMA and F16C, and the OS saves ymm               */
    bool avx512; /* F, BW, DQ, VL, VNNI, BF16, and the OS saves zmm        */
    bool amx;    /* AMX tile, bf16 and int8, OS support, permission given  */
    bool sha;
    char model[64];
    int n_cpu; /* processors this process may use */
} sm_cpu;
/** Detect; asks the kernel for AMX permission the first time. Thread-safe. */
SM_API const sm_cpu *sm_cpu_get(void);

/* ------------------------------------------------------------------ memory */

/** Zeroed memory for a large buffer, in huge pages where the system grants them; resident
 * once it is touched.  2 MiB aligned, so meant for megabytes.
 * @return NULL for 0 bytes or when there is no room; release with sm_pages_free */
SM_API void *sm_pages_alloc(size_t bytes);
/** @param bytes  as given to sm_pages_alloc.  NULL-safe. */
SM_API void sm_pages_free(void *memory, size_t bytes);

/* ----------------------------------------------------------------- threads */

/** A fork-join pool.  Work is split by shape, never by thread count, so results do not
 * depend on n_threads.  One loop at a time; not re-entrant from inside a task. */
typedef struct sm_pool sm_pool;
/** @param n_threads 1..256, 0 = processors available.  Workers run with MXCSR 0x9fc0. */
SM_API sm_status sm_pool_create(sm_pool **out, int n_threads, sm_err *err);
SM_API int sm_pool_n_threads(const sm_pool *pool);
/** Record every loop from now on with `trace` (NULL: no more), which has a lane for each
 * thread.  Not while a loop runs; a NULL pool records nothing. */
SM_API void sm_pool_trace(sm_pool *pool, sm_trace *trace);
/** Call fn(arg, i, thread) for every i in 0..n-1, in any order; thread in
 * 0..n_threads-1 (index of scratch).  Returns when all are done.  The caller takes part,
 * with MXCSR 0x9fc0 inside the tasks and restored after.  pool NULL = run serially. */
SM_API void sm_pool_run(sm_pool *pool, ptrdiff_t n,
                        void (*fn)(void *arg, ptrdiff_t i, int thread), void *arg);
SM_API void sm_pool_free(sm_pool *pool);

/** MXCSR for recorded arithmetic (round to nearest even, FTZ, DAZ, exceptions masked).
 * enter returns the old value for leave.  Needed around kernel calls made outside
 * sm_pool_run. */
SM_API unsigned sm_fp_enter(void);
SM_API void sm_fp_leave(unsigned saved);

/* ----------------------------------------------------- communication (ranks) */

/**
 * Collectives as an interface.  The one-process version is built in and the only one that
 * there is; the tests have one of threads.
 * Every entry is collective unless it says otherwise.  To add one: fill the table.
 */
typedef struct sm_comm {
    int rank, n_ranks;
    void *self;
    sm_status (*barrier)(void *self, sm_err *err);
    /* send to / receive from one rank; blocking; not collective */
    sm_status (*send)(void *self, const void *data, size_t bytes, int to, sm_err *err);
    sm_status (*recv)(void *self, void *data, size_t bytes, int from, sm_err *err);
    sm_status (*broadcast)(void *self, void *data, size_t bytes, int root, sm_err *err);
    void (*destroy)(void *self);
} sm_comm;
/** The communicator of a lone process: rank 0 of 1. Static storage, never freed. */
SM_API sm_comm *sm_comm_self(void);

#ifdef __cplusplus
}
#endif
#endif
