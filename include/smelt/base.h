/* SPDX-License-Identifier: Apache-2.0 */
/**
 * base (L0): status codes and error messages, checked sizes, growable buffers, UTF-8,
 * arenas, counter-based randomness, and the sinks through which the library speaks.
 *
 * Rules that hold for every function of libsmelt:
 *  - a fallible function returns sm_status and takes `sm_err *err` last (NULL allowed);
 *  - results go out through pointers, first; on failure they are untouched unless the
 *    function says otherwise;
 *  - nothing here exits, aborts or prints.
 */
#ifndef SMELT_BASE_H
#define SMELT_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SM_VERSION "0.1.0"

/* Visibility of public symbols; everything else is hidden in the shared library. */
#if defined(__GNUC__)
#define SM_API __attribute__((visibility("default")))
#define SM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SM_UNUSED __attribute__((unused))
#else
#define SM_API
#define SM_PRINTF(f, a)
#define SM_UNUSED
#endif

/* ------------------------------------------------------------------ status */

typedef enum sm_status {
    SM_OK = 0,
    SM_EINVAL = -1,       /* bad argument, option, shape or config            */
    SM_ENOMEM = -2,       /* memory or a stated cap is exhausted              */
    SM_EIO = -3,          /* the operating system refused to read or write    */
    SM_ECORRUPT = -4,     /* bytes that do not parse or do not match a hash   */
    SM_ENOENT = -5,       /* a named thing does not exist                     */
    SM_EEXIST = -6,       /* a named thing exists already                     */
    SM_ENOSPC = -7,       /* disk full or quota reached                       */
    SM_ECANCEL = -8,      /* stopped on request; state is saved               */
    SM_EUNSUPPORTED = -9, /* well-formed, but not something smelt does        */
    SM_EDENIED = -10,     /* refused: policy, signature, gate or licence      */
    SM_ENUMERIC = -11     /* NaN, infinity or overflow in a computation       */
} sm_status;

/** Short name of a status ("EINVAL"), static storage. */
SM_API const char *sm_status_name(sm_status s);

#define SM_ERR_MAX 512

/** An error: a status and one line of UTF-8 for the user, whatever bytes were quoted in it:
 * line ends are blanks, other control characters U+FFFD.
 * Plain value, no ownership. */
typedef struct sm_err {
    sm_status status;
    char msg[SM_ERR_MAX];
} sm_err;

/** Record a message (what, where, the value found, the value wanted); returns `s`. */
SM_API sm_status sm_fail(sm_err *err, sm_status s, const char *fmt, ...) SM_PRINTF(3, 4);

/** The same, appending strerror of `errno_value`; ENOSPC/EDQUOT become SM_ENOSPC,
 * ENOENT becomes SM_ENOENT, ENOMEM becomes SM_ENOMEM, anything else SM_EIO. */
SM_API sm_status sm_fail_errno(sm_err *err, int errno_value, const char *fmt, ...)
    SM_PRINTF(3, 4);

/** Prefix the message already in `err` with context ("file.yaml: "); returns its status.
 * A message that begins with the last word of the context ("train: " before "train: ...")
 * does not say it twice.
 * `s` is returned unchanged when err is NULL. */
SM_API sm_status sm_fail_context(sm_err *err, sm_status s, const char *fmt, ...)
    SM_PRINTF(3, 4);

/* ----------------------------------------------------------- checked sizes */

/** *out = a*b, or false when it does not fit size_t. */
SM_API bool sm_mul_size(size_t *out, size_t a, size_t b);
/** *out = a+b, or false when it does not fit size_t. */
SM_API bool sm_add_size(size_t *out, size_t a, size_t b);

/* ------------------------------------------------------------------ memory */

/** malloc/calloc/realloc of n*size bytes with overflow check; NULL on failure.
 * sm_alloc zeroes.  free() releases. */
SM_API void *sm_alloc(size_t n, size_t size);
SM_API void *sm_realloc(void *p, size_t n, size_t size);
SM_API char *sm_strdup(const char *s);
SM_API char *sm_strndup(const char *s, size_t n);

/** Zeroed memory aligned to 64 bytes, from 1 MiB on to a page of 4096.
 * Release with sm_aligned_free. NULL on failure. */
SM_API void *sm_aligned_alloc(size_t bytes);
SM_API void sm_aligned_free(void *p);

/** A bump allocator with a hard cap.  Blocks come from the system as needed. */
typedef struct sm_arena sm_arena;
/** Takes no block yet.  @param cap_bytes  all that it ever gives  @return SM_ENOMEM */
SM_API sm_status sm_arena_create(sm_arena **out, size_t cap_bytes, sm_err *err);
/** 64-byte aligned, uninitialised; NULL when the cap is reached. */
SM_API void *sm_arena_alloc(sm_arena *a, size_t bytes);
/** Position to return to: everything allocated since is released at once. */
SM_API size_t sm_arena_mark(const sm_arena *a);
SM_API void sm_arena_release(sm_arena *a, size_t mark);
SM_API size_t sm_arena_peak_bytes(const sm_arena *a);
SM_API void sm_arena_free(sm_arena *a);

/** A growable byte buffer, always NUL-terminated at data[len] once non-empty.
 * Zero-initialise with {0}; `max` 0 means 1 GiB.  On failure `failed` is set and later
 * appends are no-ops, so that a caller may check once at the end. */
typedef struct sm_buf {
    char *data;
    size_t len, cap, max;
    bool failed;
} sm_buf;
/** Append; false, and nothing appended, without memory or beyond `max`. */
SM_API bool sm_buf_put(sm_buf *b, const void *bytes, size_t n);
SM_API bool sm_buf_puts(sm_buf *b, const char *s);
SM_API bool sm_buf_putc(sm_buf *b, char c);
SM_API bool sm_buf_printf(sm_buf *b, const char *fmt, ...) SM_PRINTF(2, 3);
/** Make room for `more` bytes behind data[len], so that they may be written in place. */
SM_API bool sm_buf_reserve(sm_buf *b, size_t more);
/** Empty it and forget a failure; the memory is kept. */
SM_API void sm_buf_clear(sm_buf *b);
/** Release; the buffer is as new and keeps its `max`. */
SM_API void sm_buf_free(sm_buf *b);

/* ------------------------------------------------------------------- UTF-8 */

/** Decode one code point at s[0..n-1], n >= 1.  Returns bytes consumed (1..4), or 0 for an
 * invalid sequence (then skip one byte). */
SM_API int sm_utf8_decode(uint32_t *cp, const char *s, size_t n);
/** Bytes written (1..4), or 0 for a surrogate or a number beyond U+10FFFF. */
SM_API int sm_utf8_encode(char out[4], uint32_t cp);
/** Length of the longest valid prefix (== n when all is valid UTF-8). */
SM_API size_t sm_utf8_valid_prefix(const char *s, size_t n);
/** Append text with each byte that is not UTF-8 replaced by U+FFFD. */
SM_API bool sm_utf8_put_clean(sm_buf *out, const char *s, size_t n);
/** Append text for a terminal: what is not UTF-8 and control characters other than '\t' and
 * '\n', which could move the cursor or retitle the window, become U+FFFD. */
SM_API bool sm_utf8_put_printable(sm_buf *out, const char *s, size_t n);
/** The same into out[cap], cap >= 1, with a NUL; what does not fit is cut between characters.
 * Returns the bytes written before the NUL. */
SM_API size_t sm_utf8_copy_printable(char *out, size_t cap, const char *s);

/* -------------------------------------------------------------- randomness */

/**
 * Counter-based random bits: a pure function of its arguments (Philox4x32-10, Salmon et
 * al., SC'11).  Key = seed, counter = (stream, step, index).  The same on every machine.
 */
SM_API void sm_rng_block(uint32_t out[4], uint64_t seed, uint32_t stream, uint32_t step,
                         uint64_t index);
SM_API uint64_t sm_rng_u64(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index);
/** Uniform in 0..n-1, n >= 1 (multiply-shift of 64 bits; bias < 2^-32 for n < 2^32). */
SM_API uint64_t sm_rng_below(uint64_t n, uint64_t seed, uint32_t stream, uint32_t step,
                             uint64_t index);
/** Uniform in [0,1) with 24 bits. */
SM_API float sm_rng_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index);
/** Nearly standard normal by our own arithmetic (no libm): the sum of twelve uniforms less 6,
 * so mean 0, variance 1 and |x| < 6.  Reproducible to the bit. */
SM_API float sm_rng_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index);

/* Streams, so that two uses never share bits. */
enum {
    SM_STREAM_INIT = 1,   /* parameter initialisation: index = element        */
    SM_STREAM_DATA = 2,   /* data order                                       */
    SM_STREAM_SAMPLE = 3, /* sampling of generated tokens                     */
    SM_STREAM_HASH = 5,   /* coefficients of hash families                    */
    SM_STREAM_BOOT = 6,   /* bootstrap intervals                              */
    SM_STREAM_TEST = 7,
    SM_STREAM_AUDIT = 8   /* segments of a training run to recompute  */
};

/* --------------------------------------------------------- sinks, context */

typedef enum sm_log_level { SM_LOG_ERROR, SM_LOG_WARN, SM_LOG_INFO, SM_LOG_DEBUG } sm_log_level;

/** Where the library speaks.  emit may be called from any thread, one line, no newline. */
typedef struct sm_log {
    void (*emit)(void *self, sm_log_level level, const char *line);
    void *self;
    sm_log_level level;
} sm_log;
/** Emit a formatted line, cut at 1023 bytes; nothing when `log` is NULL or `level` is above
 * log->level. */
SM_API void sm_log_line(const sm_log *log, sm_log_level level, const char *fmt, ...)
    SM_PRINTF(3, 4);

/** Progress of long work.  total 0 = unknown; detail is the figure that matters. */
typedef struct sm_progress {
    void (*update)(void *self, const char *what, int64_t done, int64_t total,
                   const char *unit, const char *detail);
    void *self;
} sm_progress;
/** Call p->update; nothing when `p` is NULL. */
SM_API void sm_progress_update(const sm_progress *p, const char *what, int64_t done,
                               int64_t total, const char *unit, const char *detail);

/** A model as lower layers see one: log p(continuation | prefix) in nats and the number of
 * scored tokens.  Bound by flow; data and label ask for nothing more. */
typedef struct sm_scorer {
    sm_status (*score)(void *self, const char *prefix, size_t prefix_len,
                       const char *continuation, size_t continuation_len, double *nats,
                       int64_t *n_token, sm_err *err);
    void *self;
} sm_scorer;

struct sm_pool;
struct sm_kern;
struct sm_comm;
struct sm_trace;
struct sm_file_hashes;

/**
 * What every computation is given.  All pointers are borrowed and outlive the call;
 * log, progress and trace may be NULL (silent).  `stop`, when not NULL, becomes non-zero
 * when the user asks to stop: long work finishes its atomic unit, saves, returns
 * SM_ECANCEL.  Others write it meanwhile: set it by sm_stop_set, read it by sm_stopped.
 */
typedef struct sm_ctx {
    struct sm_pool *pool;
    const struct sm_kern *kern;
    struct sm_comm *comm;
    const sm_log *log;
    const sm_progress *progress;
    const volatile int *stop;
    struct sm_trace *trace; /* event log (smelt/trace.h); NULL: off */
    struct sm_file_hashes *hashes; /* of inputs (smelt/data.h); NULL: none are remembered */
} sm_ctx;

/** Whether an end was asked for: ctx->stop is set and not 0.  An atomic read. */
SM_API bool sm_stopped(const sm_ctx *ctx);
/** Asks those whose ctx->stop is `flag` to stop (1), or no longer (0).  An atomic write,
 * allowed in signal handlers and from any thread. */
SM_API void sm_stop_set(volatile int *flag, int value);

#ifdef __cplusplus
}
#endif
#endif
