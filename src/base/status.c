/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and one-line error messages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smelt/base.h"

const char *sm_status_name(sm_status s)
{
    static const char *const names[] = {
        "OK",     "EINVAL", "ENOMEM",  "EIO",          "ECORRUPT", "ENOENT",
        "EEXIST", "ENOSPC", "ECANCEL", "EUNSUPPORTED", "EDENIED",  "ENUMERIC"};
    int i = -(int)s;
    if (i < 0 || i >= (int)(sizeof names / sizeof *names))
        return "EUNKNOWN";
    return names[i];
}

static void set_message(sm_err *err, sm_status s, const char *fmt, va_list ap)
    SM_PRINTF(3, 0);

static void set_message(sm_err *err, sm_status s, const char *fmt, va_list ap)
{
    char raw[2 * SM_ERR_MAX]; /* longer than what is kept: the cut is made below */
    err->status = s;
    vsnprintf(raw, sizeof raw, fmt, ap);
    for (char *p = raw; *p; p++) /* one line, whatever was quoted in it */
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    sm_utf8_copy_printable(err->msg, sizeof err->msg, raw);
}

static void append(sm_err *err, const char *text)
{
    size_t n = strlen(err->msg);
    sm_utf8_copy_printable(err->msg + n, sizeof err->msg - n, text);
}

sm_status sm_fail(sm_err *err, sm_status s, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_message(err, s, fmt, ap);
        va_end(ap);
    }
    return s;
}

static sm_status status_of_errno(int e)
{
    switch (e) {
    case ENOSPC:
    case EDQUOT:
        return SM_ENOSPC;
    case ENOENT:
        return SM_ENOENT;
    case EEXIST:
        return SM_EEXIST;
    case ENOMEM:
        return SM_ENOMEM;
    default:
        return SM_EIO;
    }
}

sm_status sm_fail_errno(sm_err *err, int errno_value, const char *fmt, ...)
{
    sm_status s = status_of_errno(errno_value);
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        set_message(err, s, fmt, ap);
        va_end(ap);
        char why[128];
        if (strerror_r(errno_value, why, sizeof why) != 0)
            snprintf(why, sizeof why, "errno %d", errno_value);
        append(err, ": ");
        append(err, why);
    }
    return s;
}

/* The message without the words up to a colon with which the context ends: "train: model: "
 * before "model: n_head ..." names the model once. */
static const char *without_last_word(const char *message, const char *context, size_t n)
{
    size_t from = n >= 2 ? n - 2 : 0;
    if (n < 3 || strcmp(context + from, ": ") != 0)
        return message;
    while (from > 0 && context[from - 1] != ' ')
        from--;
    return strncmp(message, context + from, n - from) ? message : message + (n - from);
}

sm_status sm_fail_context(sm_err *err, sm_status s, const char *fmt, ...)
{
    if (err) {
        char old[SM_ERR_MAX];
        memcpy(old, err->msg, sizeof old);
        va_list ap;
        va_start(ap, fmt);
        set_message(err, s, fmt, ap);
        va_end(ap);
        append(err, without_last_word(old, err->msg, strlen(err->msg)));
    }
    return s;
}
