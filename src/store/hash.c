/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 through OpenSSL's EVP (SHA-NI where the processor has it), and hex digits. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

sm_status sha256_open(sha256 *h, sm_err *err)
{
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || !sha256_restart(h)) {
        sha256_free(h);
        return sm_fail(err, SM_ENOMEM, "SHA-256: cannot start");
    }
    return SM_OK;
}

bool sha256_restart(sha256 *h)
{
    return EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1;
}

bool sha256_put(sha256 *h, const void *data, size_t len)
{
    return EVP_DigestUpdate(h->ctx, data, len) == 1;
}

bool sha256_close(sha256 *h, sm_id *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (EVP_DigestFinal_ex(h->ctx, digest, &n) != 1 || n != 32)
        return false;
    hex_of(out->hex, digest, 32);
    return true;
}

void sha256_free(sha256 *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

void hex_of(char *out, const unsigned char *data, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    /* Lower case only: one spelling, so that a flipped case bit is a difference. */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_parse(unsigned char *out, size_t len, const char *hex)
{
    for (size_t i = 0; i < len; i++) {
        int hi = hex_digit(hex[2 * i]);
        int lo = hi < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (lo < 0)
            return false;
        out[i] = (unsigned char)(hi << 4 | lo);
    }
    return hex[2 * len] == 0;
}

bool id_equal(const sm_id *a, const sm_id *b)
{
    return memcmp(a->hex, b->hex, 64) == 0;
}

bool sm_id_parse(sm_id *out, const char *text)
{
    unsigned char digest[32];
    if (!text || !hex_parse(digest, 32, text))
        return false;
    hex_of(out->hex, digest, 32);
    return true;
}

sm_status sm_id_of_bytes(sm_id *out, const void *data, size_t len, sm_err *err)
{
    sha256 h;
    sm_status st = sha256_open(&h, err);
    if (st)
        return st;
    if (!sha256_put(&h, data, len) || !sha256_close(&h, out))
        st = sm_fail(err, SM_EIO, "SHA-256 of %zu bytes failed", len);
    sha256_free(&h);
    return st;
}

sm_status sm_id_of_file(sm_id *out, const char *path, sm_err *err)
{
    sha256 h = {NULL};
    unsigned char *block = NULL;
    ssize_t n;
    int fd = -1;
    sm_status st = sm_file_open_regular(&fd, NULL, path, O_RDONLY, err);
    if (st)
        return st;
    st = sha256_open(&h, err);
    if (st)
        goto done;
    if (!(block = malloc(STORE_LEAF_BYTES))) {
        st = store_nomem(err);
        goto done;
    }
    while ((n = read(fd, block, STORE_LEAF_BYTES)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            st = sm_fail_errno(err, errno, "%s: read", path);
            goto done;
        }
        if (!sha256_put(&h, block, (size_t)n)) {
            st = sm_fail(err, SM_EIO, "%s: SHA-256 failed", path);
            goto done;
        }
    }
    if (!sha256_close(&h, out))
        st = sm_fail(err, SM_EIO, "%s: SHA-256 failed", path);
done:
    sha256_free(&h);
    free(block);
    close(fd);
    return st;
}
