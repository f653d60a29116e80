/* SPDX-License-Identifier: Apache-2.0 */
/** SHA-256 of pieces (OpenSSL EVP), for document ids, containers and the split. */
#ifndef SMELT_DATA_HASH_H
#define SMELT_DATA_HASH_H

#include "smelt/base.h"

typedef struct sm_sha {
    void *ctx; /* EVP_MD_CTX */
    bool failed;
} sm_sha;

/** Start; release with sm_sha_end, which also works after a failure. */
void sm_sha_begin(sm_sha *h);
void sm_sha_put(sm_sha *h, const void *data, size_t n);
/** Finish, free; false when any step failed. */
bool sm_sha_end(sm_sha *h, unsigned char out[32]);

/** Lower-case hex of n bytes; out has room for 2n+1. */
void sm_hex(char *out, const unsigned char *bytes, size_t n);

/** SHA-256 of a regular file as 64 hex digits, and its size in bytes.  The file is read, not
 * mapped: one that becomes shorter meanwhile is no fault.
 * @param ctx  may be NULL; SM_ECANCEL when it asks to stop */
sm_status sm_sha_file(char out[65], int64_t *bytes, const sm_ctx *ctx, const char *path,
                      sm_err *err);
/** The same of what is open; `path` is for messages. */
sm_status sm_sha_open_file(char out[65], int64_t *bytes, const sm_ctx *ctx, int fd,
                           const char *path, sm_err *err);
/** The same, or what ctx->hashes (may be NULL) knows of it. */
sm_status sm_file_hash(char out[65], int64_t *bytes, const sm_ctx *ctx, const char *path,
                       sm_err *err);

/** Document id: 32 hex digits of SHA-256(source NUL path NUL text). */
bool sm_document_id(char out[33], const char *source, const char *path, const char *text,
                    size_t len);

#endif
