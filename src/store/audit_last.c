/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last thing the log says of something.
 *
 * A line is canonical JSON, so `"event":"NAME"` stands in it letter by letter: lines that do
 * not hold the words looked for are passed over unparsed, and a log of many thousands of
 * records is read in milliseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct wanted {
    const char *event, *key, *value;
    sm_buf event_text, value_text; /* as a line holds them */
} wanted;

static sm_status prepare(wanted *w, sm_err *err)
{
    sm_buf_printf(&w->event_text, "\"event\":\"%s\"", w->event);
    sm_buf_printf(&w->value_text, "\"%s\":\"%s\"", w->key, w->value);
    return w->event_text.failed || w->value_text.failed ? store_nomem(err) : SM_OK;
}

/* Take over the detail of a line when it is one that was looked for. */
static sm_status take_line(json_t **detail, sm_store *s, const wanted *w, const char *line,
                           size_t len, sm_err *err)
{
    audit_record r = {0};
    sm_err why = {0};
    if (strlen(line) != len)
        return sm_fail(err, SM_ECORRUPT, "audit/log.jsonl: a record with a byte 0");
    if (!strstr(line, w->event_text.data) || !strstr(line, w->value_text.data))
        return SM_OK;
    sm_status st = audit_record_read(&r, s, line, len, &why);
    if (st)
        st = sm_fail(err, st, "audit/log.jsonl: a record of %s %.12s: %.300s", w->event,
                     w->value, why.msg);
    else if (!strcmp(r.event, w->event) &&
             !strcmp(sm_json_text(r.detail, w->key), w->value)) {
        json_decref(*detail);
        *detail = json_incref((json_t *)(uintptr_t)r.detail);
    }
    audit_record_free(&r);
    return st;
}

/* Up to what the catalog has acknowledged: what follows may be a change under way. */
static sm_status read_log(json_t **detail, sm_store *s, const wanted *w, FILE *f,
                          int64_t bytes, sm_err *err)
{
    int64_t at = 0;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    sm_status st = SM_OK;
    while (!st && bytes > at && (n = audit_line(&line, &cap, f, at)) > 0) {
        at += n;
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        st = take_line(detail, s, w, line, (size_t)n - 1, err);
    }
    if (!st && ferror(f))
        st = sm_fail_errno(err, errno, "audit/log.jsonl: read");
    else if (!st && at != bytes)
        st = sm_fail(err, SM_ECORRUPT,
                     "audit/log.jsonl: got %lld bytes less than the catalog has seen: "
                     "truncated or rewritten",
                     (long long)(bytes - at));
    free(line);
    return st;
}

sm_status sm_audit_last(json_t **detail, sm_store *s, const char *event, const char *key,
                        const char *value, sm_err *err)
{
    wanted w = {.event = event, .key = key, .value = value};
    audit_head head;
    FILE *f = NULL;
    *detail = NULL;
    store_enter(s);
    sm_status st = prepare(&w, err);
    char *path = store_path(s, "audit/log.jsonl");
    if (!st && !path)
        st = store_nomem(err);
    if (!st)
        st = catalog_head(&head, s->db, err);
    if (!st && !(f = fopen(path, "rb")))
        st = sm_fail_errno(err, errno, "%s", path);
    if (!st)
        st = read_log(detail, s, &w, f, head.bytes, err);
    if (st) {
        json_decref(*detail);
        *detail = NULL;
    }
    if (f)
        fclose(f);
    store_leave(s);
    free(path);
    sm_buf_free(&w.event_text);
    sm_buf_free(&w.value_text);
    return st;
}
