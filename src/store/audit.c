/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one canonical JSON object a line.
 *
 *   hash = SHA-256 of the canonical record without "hash" and "sig"
 *   prev = hash of the record before (64 zeros for the first), n counts from 1
 *   sig  = Ed25519 over "smelt audit 1\n" + hash
 *
 * A line must be its own canonical form, so that no byte of it can change unseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define LOG_NAME "audit/log.jsonl"
#define SIGN_PREFIX "smelt audit 1\n"
#define SIGN_LEN (sizeof SIGN_PREFIX - 1 + 64)

static void signed_text(char out[SIGN_LEN + 1], const sm_id *hash)
{
    snprintf(out, SIGN_LEN + 1, SIGN_PREFIX "%s", hash->hex);
}

void audit_record_free(audit_record *r)
{
    json_decref(r->json);
    *r = (audit_record){0};
}

/* Hash of the record as it stands (without hash and sig). */
static sm_status record_hash(sm_id *out, const json_t *json, sm_err *err)
{
    sm_buf b = {.max = STORE_LINE_MAX};
    sm_status st = sm_json_canonical(&b, json, err);
    if (!st)
        st = sm_id_of_bytes(out, b.data, b.len, err);
    sm_buf_free(&b);
    return st;
}

static void record_view(audit_record *r)
{
    r->n = json_integer_value(json_object_get(r->json, "n"));
    r->time = json_string_value(json_object_get(r->json, "time"));
    r->event = json_string_value(json_object_get(r->json, "event"));
    r->detail = json_object_get(r->json, "detail");
}

sm_status audit_make(sm_buf *line, audit_record *out, sm_store *s, const audit_head *head,
                     const char *event, const json_t *detail, sm_err *err)
{
    char time[32], text[SIGN_LEN + 1], hex[129];
    unsigned char sig[64];
    audit_record r = {0};
    json_t *copy = detail ? json_deep_copy(detail) : json_object();
    sm_wall_format(time, sm_wall_ns());
    r.json =
        json_pack("{s:I, s:s, s:s, s:o, s:s}", "n", (json_int_t)(head->n + 1), "time",
                  time, "event", event, "detail", copy, "prev", head->hash.hex);
    if (!r.json)
        return sm_fail(err, SM_EINVAL, "audit: event and detail must be UTF-8 JSON");
    sm_status st = record_hash(&r.hash, r.json, err);
    if (st)
        goto done;
    signed_text(text, &r.hash);
    st = key_sign(sig, s, text, SIGN_LEN, err);
    if (st)
        goto done;
    hex_of(hex, sig, 64);
    if (json_object_set_new(r.json, "hash", json_string(r.hash.hex)) ||
        json_object_set_new(r.json, "sig", json_string(hex))) {
        st = store_nomem(err);
        goto done;
    }
    line->max = STORE_LINE_MAX;
    st = sm_json_canonical(line, r.json, err);
    if (!st && !sm_buf_putc(line, '\n'))
        st = sm_fail(err, SM_EINVAL, "audit: record of more than %zu bytes",
                     STORE_LINE_MAX);
done:
    if (st) {
        audit_record_free(&r);
        return st;
    }
    record_view(&r);
    *out = r;
    return SM_OK;
}

/* -------------------------------------------------------------------- writing */

static sm_status log_open(int *fd, char **path, const sm_store *s, int flags, sm_err *err)
{
    *path = store_path(s, LOG_NAME);
    if (!*path)
        return store_nomem(err);
    sm_status st = store_damage(sm_file_open_regular(fd, NULL, *path, flags, err), err);
    if (st) {
        free(*path);
        *path = NULL;
    }
    return st;
}

static int write_at(int fd, const char *data, size_t len, int64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* All of `len` bytes, or the errno; EIO where there are not so many. */
static int read_at(int fd, char *data, size_t len, int64_t at)
{
    while (len > 0) {
        ssize_t n = pread(fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        data += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* What the log ends with must be what the catalog saw last: else it was truncated or
 * rewritten, and nothing may be added to it. */
static sm_status check_end(int fd, const char *path, const audit_head *head, sm_err *err)
{
    char tail[513], want[80];
    size_t len = head->bytes < 512 ? (size_t)head->bytes : 512;
    off_t size = lseek(fd, 0, SEEK_END);
    if ((int64_t)size > head->bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "%s: %lld bytes after record %lld do not verify; nothing can be "
                       "recorded; run verify",
                       path, (long long)size - (long long)head->bytes,
                       (long long)head->n);
    if ((int64_t)size != head->bytes)
        return sm_fail(err, SM_ECORRUPT,
                       "%s: got %lld bytes, want %lld: truncated or rewritten", path,
                       (long long)size, (long long)head->bytes);
    if (len == 0)
        return SM_OK;
    int e = read_at(fd, tail, len, head->bytes - (int64_t)len);
    if (e != 0)
        return sm_fail_errno(err, e, "%s: read", path);
    tail[len] = 0;
    /* hash, n, prev, sig and time end a line, in less than 512 bytes */
    snprintf(want, sizeof want, "\"hash\":\"%s\"", head->hash.hex);
    if (strlen(tail) != len || !strstr(tail, want))
        return sm_fail(err, SM_ECORRUPT,
                       "%s: record %lld: got another end, want hash %s: rewritten", path,
                       (long long)head->n, head->hash.hex);
    return SM_OK;
}

sm_status audit_write(sm_store *s, const audit_head *head, const sm_buf *line,
                      sm_err *err)
{
    int fd = -1;
    char *path = NULL;
    sm_status st = log_open(&fd, &path, s, O_RDWR, err);
    if (st)
        return st;
    st = check_end(fd, path, head, err);
    if (st)
        goto done;
    int e = write_at(fd, line->data, line->len, head->bytes);
    store_point(s, "audit.written");
    if (e == 0 && fsync(fd) != 0)
        e = errno;
    if (e != 0) {
        st = sm_fail_errno(err, e, "%s: append", path);
        /* Nobody has been told of this record; should this fail too, the next change
         * removes the torn line. */
        if (ftruncate(fd, (off_t)head->bytes) == 0)
            fsync(fd);
    }
done:
    close(fd);
    free(path);
    return st;
}

/* -------------------------------------------------------------------- reading */

/* Does the record say what its hash and signature say? */
static sm_status check_seal(audit_record *r, sm_store *s, sm_err *err)
{
    char text[SIGN_LEN + 1];
    unsigned char sig[64];
    EVP_PKEY *pub = NULL;
    const char *hash = json_string_value(json_object_get(r->json, "hash"));
    const char *hex = json_string_value(json_object_get(r->json, "sig"));
    json_t *bare = json_copy(r->json);
    if (!bare)
        return store_nomem(err);
    json_object_del(bare, "hash");
    json_object_del(bare, "sig");
    sm_status st = record_hash(&r->hash, bare, err);
    json_decref(bare);
    if (!st && (!hash || strcmp(hash, r->hash.hex) != 0))
        st = sm_fail(err, SM_ECORRUPT, "hash does not match the record");
    if (!st && (!hex || strlen(hex) != 128 || !hex_parse(sig, 64, hex)))
        st = sm_fail(err, SM_ECORRUPT, "signature is not 128 hex digits");
    if (!st)
        st = key_public(&pub, s, err);
    if (st)
        return st;
    signed_text(text, &r->hash);
    if (!key_check(pub, text, SIGN_LEN, sig))
        return sm_fail(err, SM_ECORRUPT, "signature does not match the key");
    return SM_OK;
}

sm_status audit_record_read(audit_record *r, sm_store *s, const char *line, size_t len,
                            sm_err *err)
{
    sm_buf again = {.max = STORE_LINE_MAX};
    sm_status st = sm_json_parse(&r->json, line, len, "record", err);
    if (!st)
        st = sm_json_canonical(&again, r->json, err);
    if (st)
        st = st == SM_ENOMEM ? st : SM_ECORRUPT;
    if (!st && (again.len != len || memcmp(again.data, line, len) != 0))
        st = sm_fail(err, SM_ECORRUPT, "line is not canonical JSON");
    sm_buf_free(&again);
    if (st)
        return st;
    record_view(r);
    if (!r->time || !r->event || !json_is_object(r->detail) ||
        !json_is_string(json_object_get(r->json, "prev")) ||
        json_object_size(r->json) != 7)
        return sm_fail(err, SM_ECORRUPT, "a field is missing or of the wrong type");
    return check_seal(r, s, err);
}

/* A record, and that it follows the one before. */
static sm_status check_line(audit_record *r, sm_store *s, const char *line, size_t len,
                            const audit_head *before, sm_err *err)
{
    sm_status st = audit_record_read(r, s, line, len, err);
    if (st)
        return st;
    if (before->n >= 0 && r->n != before->n + 1)
        return sm_fail(err, SM_ECORRUPT, "got n=%lld, want %lld", (long long)r->n,
                       (long long)(before->n + 1));
    const char *prev = json_string_value(json_object_get(r->json, "prev"));
    if (before->n >= 0 && strcmp(prev, before->hash.hex) != 0)
        return sm_fail(err, SM_ECORRUPT, "prev does not match the record before");
    return SM_OK;
}

static sm_status scan_line(audit_scan *scan, sm_store *s, audit_head *before,
                           const char *line, size_t len, int64_t line_no, sm_err *err)
{
    char text[SM_ERR_MAX + 64];
    sm_err inner = {0};
    audit_record r = {0};
    sm_status st = check_line(&r, s, line, len, before, &inner);
    if (st == SM_OK) {
        *before = (audit_head){.n = r.n, .bytes = scan->tail, .hash = r.hash};
        scan->end = *before;
        if (scan->each)
            st = scan->each(scan->self, &r, NULL, err);
    } else if (st != SM_ECORRUPT) {
        st = sm_fail(err, st, "%s", inner.msg);
    } else {
        scan->n_bad++;
        before->n = -1; /* what must follow is unknown */
        snprintf(text, sizeof text, LOG_NAME " line %lld: %s", (long long)line_no,
                 inner.msg);
        st = scan->each ? scan->each(scan->self, NULL, text, err) : SM_OK;
    }
    audit_record_free(&r);
    return st;
}

/* A line whose reading failed half-way is none: getline would hand out its beginning. */
ssize_t audit_line(char **line, size_t *cap, FILE *f, int64_t at)
{
    for (;;) {
        ssize_t n = getline(line, cap, f);
        if (!ferror(f))
            return n;
        if (errno != EINTR)
            return -1;
        clearerr(f);
        if (fseeko(f, (off_t)at, SEEK_SET) != 0)
            return -1;
    }
}

sm_status audit_read(audit_scan *scan, sm_store *s, const audit_head *from, sm_err *err)
{
    int fd = -1;
    char *path = NULL, *line = NULL;
    size_t cap = 0;
    ssize_t n;
    FILE *f = NULL;
    audit_head before = *from;
    int64_t line_no = from->n;
    EVP_PKEY *pub;
    sm_status st = key_public(&pub, s, err); /* without it every line would look bad */
    if (!st)
        st = log_open(&fd, &path, s, O_RDONLY, err);
    if (st)
        return st == SM_ENOENT ? SM_ECORRUPT : st; /* a workspace without it is no more */
    scan->end = *from;
    scan->size = (int64_t)lseek(fd, 0, SEEK_END);
    scan->tail = from->bytes;
    if (!(f = fdopen(fd, "rb")) || fseeko(f, (off_t)from->bytes, SEEK_SET) != 0) {
        st = sm_fail_errno(err, errno, "%s", path);
        goto done;
    }
    while (!st && (n = audit_line(&line, &cap, f, scan->tail)) > 0 &&
           line[n - 1] == '\n') {
        scan->tail += n;
        st = scan_line(scan, s, &before, line, (size_t)n - 1, ++line_no, err);
    }
    if (!st && ferror(f))
        st = sm_fail_errno(err, errno, "%s: read", path);
done:
    if (f)
        fclose(f);
    else
        close(fd);
    free(line);
    free(path);
    return st;
}

sm_status audit_keep_tail(json_t **what, sm_store *s, const audit_scan *scan, sm_err *err)
{
    int fd = -1;
    char *path = NULL, *kept = NULL, *bytes = NULL;
    char name[96];
    sm_id id;
    size_t len = (size_t)(scan->size - scan->tail);
    int e = 0;
    sm_status st = log_open(&fd, &path, s, O_RDONLY, err);
    if (st)
        return st;
    if (!(bytes = malloc(len ? len : 1)))
        st = store_nomem(err);
    else if ((e = read_at(fd, bytes, len, scan->tail)) != 0)
        st = sm_fail_errno(err, e, "%s: read", path);
    if (!st)
        st = sm_id_of_bytes(&id, bytes, len, err);
    if (!st) {
        snprintf(name, sizeof name, "audit/removed-%s", id.hex);
        kept = store_path(s, name);
        *what = json_pack("{s:I, s:s}", "bytes", (json_int_t)len, "removed", id.hex);
        st = kept && *what ? sm_file_write_atomic(kept, bytes, len, 0444, err)
                           : store_nomem(err);
    }
    close(fd);
    free(bytes);
    free(kept);
    free(path);
    return st;
}

sm_status audit_replace_tail(sm_store *s, const audit_head *head, const sm_buf *line,
                             sm_err *err)
{
    char *text = NULL, *path = store_path(s, LOG_NAME);
    size_t len = 0, keep = (size_t)head->bytes;
    sm_file_writer *w = NULL;
    if (!path)
        return store_nomem(err);
    sm_status st = sm_file_read(&text, &len, path, 0, err);
    if (!st && len < keep)
        st = sm_fail(err, SM_ECORRUPT, "%s: got %zu bytes, want %zu: truncated", path,
                     len, keep);
    if (!st)
        st = sm_file_writer_open(&w, path, 0644, err);
    if (!st)
        st = sm_file_writer_put(w, text, keep, err);
    if (!st)
        st = sm_file_writer_put(w, line->data, line->len, err);
    store_point(s, "audit.prepared");
    if (!st)
        st = sm_file_writer_commit(w, err);
    else
        sm_file_writer_abort(w);
    free(text);
    free(path);
    return st;
}

/* ------------------------------------------------------------------ public entry */

static bool is_reserved(const char *event)
{
    static const char *const own[] = {"artifact.", "ref.",   "workspace.",
                                      "catalog.",  "audit.", "object."};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(event, own[i], strlen(own[i])) == 0)
            return true;
    return *event == 0;
}

sm_status audit_append(sm_store *s, const char *event, const json_t *detail, sm_err *err)
{
    store_enter(s);
    sm_status st = change_begin(s, err);
    if (!st)
        st = change_end(s, change_log(s, event, detail, err), err);
    store_leave(s);
    return st;
}

sm_status sm_audit_append(sm_store *s, const char *event, const json_t *detail,
                          sm_err *err)
{
    if (is_reserved(event))
        return sm_fail(err, SM_EINVAL,
                       "audit: event \"%.60s\" belongs to the store itself", event);
    if (detail && !json_is_object(detail))
        return sm_fail(err, SM_EINVAL, "audit: %.60s: detail must be an object", event);
    return audit_append(s, event, detail, err);
}
