/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core schema of YAML 1.2 (section 10.3.2): which plain scalars are null, booleans,
 * integers and floats; everything else is a string.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "yaml_scalar.h"

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

static bool is_null(const char *s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(s, words);
}

static bool is_true(const char *s)
{
    static const char *const words[] = {"true", "True", "TRUE", NULL};
    return is_one_of(s, words);
}

static bool is_false(const char *s)
{
    static const char *const words[] = {"false", "False", "FALSE", NULL};
    return is_one_of(s, words);
}

static bool is_infinite_or_nan(const char *s)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan",
                                        ".NaN", ".NAN", NULL};
    if (*s == '+' || *s == '-')
        s++;
    return is_one_of(s, words);
}

/* Base of an integer and where its digits begin; 0 when s is not one. */
static int integer_base(const char *s)
{
    const char *digits = "0123456789";
    int base = 10;
    if (s[0] == '0' && (s[1] == 'o' || s[1] == 'x')) {
        base = s[1] == 'o' ? 8 : 16;
        digits = s[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
        s += 2;
    } else if (*s == '+' || *s == '-') {
        s++;
    }
    return *s && s[strspn(s, digits)] == 0 ? base : 0;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *s)
{
    static const char digits[] = "0123456789";
    if (*s == '+' || *s == '-')
        s++;
    size_t whole = strspn(s, digits), part = 0;
    s += whole;
    if (*s == '.') {
        part = strspn(s + 1, digits);
        s += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-')
            s++;
        size_t n = strspn(s, digits);
        if (n == 0)
            return false;
        s += n;
    }
    return *s == 0;
}

static sm_status integer_value(json_t **out, const char *s, int base, const char *where,
                               sm_err *err)
{
    errno = 0;
    long long v = strtoll(base == 10 ? s : s + 2, NULL, base);
    if (errno == ERANGE)
        return sm_fail(err, SM_EINVAL, "%s: got integer %s, want at most 64 bits", where,
                       s);
    *out = json_integer(v);
    return SM_OK;
}

static sm_status float_value(json_t **out, const char *s, const char *where, sm_err *err)
{
    double v = strtod(s, NULL);
    if (!isfinite(v))
        return sm_fail(err, SM_EINVAL, "%s: got number %s, want one that a double holds",
                       where, s);
    *out = json_real(v);
    return SM_OK;
}

sm_status sm_yaml_plain_scalar(json_t **out, const char *s, const char *where,
                               sm_err *err)
{
    int base = integer_base(s);
    json_t *v = NULL;
    sm_status st = SM_OK;
    if (is_null(s))
        v = json_null();
    else if (is_true(s))
        v = json_true();
    else if (is_false(s))
        v = json_false();
    else if (base)
        st = integer_value(&v, s, base, where, err);
    else if (is_infinite_or_nan(s))
        st = sm_fail(err, SM_EINVAL, "%s: got %s, want a finite number", where, s);
    else if (is_float(s))
        st = float_value(&v, s, where, err);
    else
        v = json_string(s);
    if (!st && !v)
        st = sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
    if (!st)
        *out = v;
    return st;
}
