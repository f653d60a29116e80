/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workspace's Ed25519 key pair (RFC 8032), as PEM files that `openssl pkeyutl` reads.
 * The private key is used in key_sign alone.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define PRIVATE_NAME "keys/ed25519.pem"
#define PUBLIC_NAME "keys/ed25519.pub"

/* PEM text of a key in a memory BIO, NULL on failure. */
static BIO *pem_of(EVP_PKEY *key, bool is_private)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return NULL;
    int ok = is_private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                        : PEM_write_bio_PUBKEY(bio, key);
    if (ok == 1)
        return bio;
    BIO_free(bio);
    return NULL;
}

static sm_status pem_write(const char *dir, const char *name, EVP_PKEY *key,
                           bool is_private, sm_err *err)
{
    sm_status st;
    char *text = NULL;
    char *path = sm_path_join(dir, name);
    BIO *bio = pem_of(key, is_private);
    long n = bio ? BIO_get_mem_data(bio, &text) : 0;
    if (!path || n <= 0)
        st = store_nomem(err);
    else
        st = sm_file_write_atomic(path, text, (size_t)n, is_private ? 0600 : 0644, err);
    BIO_free(bio);
    free(path);
    return st;
}

sm_status key_create(const char *dir, sm_err *err)
{
    sm_status st = SM_OK;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_keygen(ctx, &key) != 1)
        st = sm_fail(err, SM_EIO, "%s/keys: cannot generate an Ed25519 key", dir);
    if (!st)
        st = pem_write(dir, PRIVATE_NAME, key, true, err);
    if (!st)
        st = pem_write(dir, PUBLIC_NAME, key, false, err);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    return st;
}

static EVP_PKEY *pem_parse(const char *text, size_t len, bool is_private)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    if (!bio)
        return NULL;
    EVP_PKEY *key = is_private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                               : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

/* One spelling only: the file must be what we would write for the key that it holds. */
static bool pem_is_exact(EVP_PKEY *key, bool is_private, const char *text, size_t len)
{
    char *again = NULL;
    BIO *bio = pem_of(key, is_private);
    long n = bio ? BIO_get_mem_data(bio, &again) : 0;
    bool same = n == (long)len && memcmp(again, text, len) == 0;
    BIO_free(bio);
    return same;
}

static sm_status pem_load(EVP_PKEY **out, sm_store *s, const char *name, bool is_private,
                          sm_err *err)
{
    char *text = NULL;
    size_t len = 0;
    struct stat info;
    EVP_PKEY *key = NULL;
    sm_status st = SM_OK;
    char *path = store_path(s, name);
    if (!path)
        return store_nomem(err);
    if (stat(path, &info) != 0) {
        st = sm_fail_errno(err, errno, "%s", path);
    } else if (is_private && S_ISREG(info.st_mode) && (info.st_mode & 0777) != 0600) {
        st = sm_fail(err, SM_EDENIED, "%s: got mode %04o, want 0600", path,
                     (unsigned)(info.st_mode & 0777));
    } else {
        st = store_damage(sm_file_read(&text, &len, path, 65536, err), err);
    }
    if (st)
        goto done;
    key = pem_parse(text, len, is_private);
    if (!key || !pem_is_exact(key, is_private, text, len)) {
        EVP_PKEY_free(key);
        st = sm_fail(err, SM_ECORRUPT, "%s: want an Ed25519 key in PEM as init wrote it",
                     path);
        goto done;
    }
    *out = key;
done:
    free(text);
    free(path);
    return st;
}

sm_status key_public(EVP_PKEY **out, sm_store *s, sm_err *err)
{
    sm_status st = s->pub ? SM_OK : pem_load(&s->pub, s, PUBLIC_NAME, false, err);
    if (!st)
        *out = s->pub;
    return st;
}

static bool raw_public(unsigned char out[32], EVP_PKEY *key)
{
    size_t n = 32;
    return EVP_PKEY_get_raw_public_key(key, out, &n) == 1 && n == 32;
}

sm_status key_public_hex(char out[65], sm_store *s, sm_err *err)
{
    EVP_PKEY *pub;
    unsigned char raw[32];
    sm_status st = key_public(&pub, s, err);
    if (st)
        return st;
    if (!raw_public(raw, pub))
        return sm_fail(err, SM_ECORRUPT, "%s/" PUBLIC_NAME ": no raw key", s->dir);
    hex_of(out, raw, 32);
    return SM_OK;
}

sm_status key_sign(unsigned char sig[64], sm_store *s, const void *data, size_t len,
                   sm_err *err)
{
    if (!s->key) {
        sm_status st = pem_load(&s->key, s, PRIVATE_NAME, true, err);
        if (st)
            return st;
    }
    size_t n = 64;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key) == 1 &&
              EVP_DigestSign(ctx, sig, &n, data, len) == 1 && n == 64;
    EVP_MD_CTX_free(ctx);
    return ok ? SM_OK : sm_fail(err, SM_EIO, "Ed25519: cannot sign %zu bytes", len);
}

bool key_check(EVP_PKEY *pub, const void *data, size_t len, const unsigned char sig[64])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pub) == 1 &&
              EVP_DigestVerify(ctx, sig, 64, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

sm_status key_verify(sm_store *s, sm_err *err)
{
    EVP_PKEY *key = NULL, *pub = NULL;
    unsigned char a[32], b[32];
    sm_status st = pem_load(&pub, s, PUBLIC_NAME, false, err);
    if (!st)
        st = pem_load(&key, s, PRIVATE_NAME, true, err);
    if (!st && (!raw_public(a, key) || !raw_public(b, pub) || memcmp(a, b, 32) != 0))
        st = sm_fail(err, SM_ECORRUPT,
                     "%s/keys: ed25519.pub is not the public key of ed25519.pem", s->dir);
    EVP_PKEY_free(key);
    EVP_PKEY_free(pub);
    return st;
}

static sm_status public_pem(char **pem, sm_store *s, sm_err *err)
{
    EVP_PKEY *pub;
    char *text = NULL;
    sm_status st = key_public(&pub, s, err);
    if (st)
        return st;
    BIO *bio = pem_of(pub, false);
    long n = bio ? BIO_get_mem_data(bio, &text) : 0;
    *pem = n > 0 ? sm_strndup(text, (size_t)n) : NULL;
    BIO_free(bio);
    return *pem ? SM_OK : store_nomem(err);
}

sm_status sm_store_public_key(char **pem, sm_store *s, sm_err *err)
{
    store_enter(s);
    sm_status st = public_pem(pem, s, err);
    store_leave(s);
    return st;
}

sm_status sm_store_sign(unsigned char sig[64], sm_store *s, const void *data, size_t len,
                        sm_err *err)
{
    store_enter(s);
    sm_status st = key_sign(sig, s, data, len, err);
    store_leave(s);
    return st;
}

sm_status sm_store_check_signature(sm_store *s, const void *data, size_t len,
                                   const unsigned char sig[64], sm_err *err)
{
    EVP_PKEY *pub;
    store_enter(s);
    sm_status st = key_public(&pub, s, err);
    if (!st && !key_check(pub, data, len, sig))
        st = sm_fail(err, SM_EDENIED,
                     "signature of %zu bytes: not made with the key of %s", len, s->dir);
    store_leave(s);
    return st;
}
