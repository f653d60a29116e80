/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 in pieces, over OpenSSL's EVP (which uses SHA-NI where there is one). */
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smelt/sys.h"

#define BLOCK ((size_t)1 << 20)

void sm_sha_begin(sm_sha *h)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    h->ctx = ctx;
    h->failed = !ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1;
}

void sm_sha_put(sm_sha *h, const void *data, size_t n)
{
    if (!h->failed && EVP_DigestUpdate(h->ctx, data, n) != 1)
        h->failed = true;
}

bool sm_sha_end(sm_sha *h, unsigned char out[32])
{
    if (!h->failed && EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
        h->failed = true;
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
    return !h->failed;
}

void sm_hex(char *out, const unsigned char *bytes, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[bytes[i] >> 4];
        out[2 * i + 1] = digit[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

/* All bytes of a descriptor into the hash. */
static sm_status put_file(sm_sha *h, int64_t *bytes, const sm_ctx *ctx, int fd,
                          const char *path, sm_err *err)
{
    char *block = sm_alloc(1, BLOCK);
    sm_status s = block ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", path);
    ssize_t n = 1;
    for (*bytes = 0; !s && n != 0; *bytes += n > 0 ? n : 0) {
        n = read(fd, block, BLOCK);
        if (n < 0 && errno != EINTR)
            s = sm_fail_errno(err, errno, "%s: read", path);
        else if (ctx && sm_stopped(ctx))
            s = sm_fail(err, SM_ECANCEL, "%s: stopped while it was hashed", path);
        if (n > 0)
            sm_sha_put(h, block, (size_t)n);
    }
    free(block);
    return s;
}

sm_status sm_sha_open_file(char out[65], int64_t *bytes, const sm_ctx *ctx, int fd,
                           const char *path, sm_err *err)
{
    sm_sha h;
    unsigned char digest[32];
    sm_sha_begin(&h);
    sm_status s = put_file(&h, bytes, ctx, fd, path, err);
    if (!sm_sha_end(&h, digest) && !s)
        s = sm_fail(err, SM_ENOMEM, "%s: SHA-256 failed", path);
    if (!s)
        sm_hex(out, digest, sizeof digest);
    return s;
}

sm_status sm_sha_file(char out[65], int64_t *bytes, const sm_ctx *ctx, const char *path,
                      sm_err *err)
{
    int fd;
    sm_status s = sm_file_open_regular(&fd, NULL, path, O_RDONLY, err);
    if (s)
        return s;
    s = sm_sha_open_file(out, bytes, ctx, fd, path, err);
    close(fd);
    return s;
}

bool sm_document_id(char out[33], const char *source, const char *path, const char *text,
                    size_t len)
{
    sm_sha h;
    unsigned char digest[32];
    sm_sha_begin(&h);
    sm_sha_put(&h, source, strlen(source) + 1);
    sm_sha_put(&h, path, strlen(path) + 1);
    sm_sha_put(&h, text, len);
    if (!sm_sha_end(&h, digest))
        return false;
    sm_hex(out, digest, 16);
    return true;
}
