/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table: defaults, checks, recipe subset, typed access.
 *
 * Invariant of a resolved object: every key of the table is there, with its type's JSON
 * kind (BOOL boolean, INT integer, FLOAT real, LIST array of strings, the rest string),
 * or null when an INT or FLOAT is unset.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "options.h"

const sm_option *sm_option_find(const sm_option *table, const char *key)
{
    for (const sm_option *o = table; o && o->key; o++)
        if (!strcmp(o->key, key))
            return o;
    return NULL;
}

/* Levenshtein distance, 99 when either word is too long to be a slip of the hand. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[48];
    if (n > 47 || m > 47)
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *sm_nearest_name(const char *name, const char *const *known, size_t n)
{
    int best = (int)(strlen(name) + 2) / 3 + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        int d = distance(name, known[i]);
        if (d < best) {
            best = d;
            found = known[i];
        }
    }
    for (size_t i = 0; i < n && !found && strlen(name) >= 4; i++)
        if (strstr(known[i], name)) /* half of a name was remembered */
            found = known[i];
    return found;
}

const char *sm_option_nearest(const sm_option *table, const char *key)
{
    const char *known[256];
    size_t n = 0;
    for (const sm_option *o = table; o && o->key && n < 256; o++)
        known[n++] = o->key;
    return sm_nearest_name(key, known, n);
}

/* ------------------------------------------------------------- text to value */

static json_t *split_list(const char *text)
{
    json_t *a = json_array();
    while (a && *text) {
        size_t n = strcspn(text, ",");
        json_array_append_new(a, json_stringn(text, n));
        text += n + (text[n] == ',');
    }
    return a;
}

static json_t *parse_number(const sm_option *o, const char *text)
{
    char *end;
    errno = 0;
    if (!*text || strchr(" \t\n", *text))
        return NULL;
    if (o->type == SM_OPT_INT) {
        long long v = strtoll(text, &end, 10);
        return *end || errno ? NULL : json_integer(v);
    }
    if (strpbrk(text, "xXnN")) /* no hexadecimal, nan, inf */
        return NULL;
    double x = strtod(text, &end);
    return *end || !isfinite(x) ? NULL : json_real(x);
}

/* The value that text stands for, NULL when it stands for none of this type. */
static json_t *parse_text(const sm_option *o, const char *text)
{
    switch (o->type) {
    case SM_OPT_BOOL:
        if (!strcmp(text, "true"))
            return json_true();
        return strcmp(text, "false") ? NULL : json_false();
    case SM_OPT_INT:
    case SM_OPT_FLOAT:
        return parse_number(o, text);
    case SM_OPT_LIST:
        return split_list(text);
    default:
        return json_string(text);
    }
}

static json_t *default_value(const sm_option *o)
{
    bool number = o->type == SM_OPT_INT || o->type == SM_OPT_FLOAT;
    if (number && (!o->def || !*o->def))
        return json_null();
    if (o->type == SM_OPT_BOOL && (!o->def || !*o->def))
        return json_false();
    return parse_text(o, o->def ? o->def : "");
}

/* ------------------------------------------------------------------- checks */

void sm_option_wanted(sm_buf *out, const sm_option *o)
{
    static const char *const kind[] = {
        [SM_OPT_BOOL] = "true or false", [SM_OPT_INT] = "an integer",
        [SM_OPT_FLOAT] = "a number",     [SM_OPT_STRING] = "a string",
        [SM_OPT_ENUM] = "one of ",       [SM_OPT_PATH] = "a path",
        [SM_OPT_REF] = "a ref",          [SM_OPT_LIST] = "a list of strings",
    };
    sm_buf_puts(out, kind[o->type]);
    if (o->type == SM_OPT_ENUM)
        sm_buf_puts(out, o->choices ? o->choices : "");
    if ((o->type == SM_OPT_INT || o->type == SM_OPT_FLOAT) &&
        (o->min != 0 || o->max != 0)) {
        char lo[SM_NUMBER_MAX], hi[SM_NUMBER_MAX];
        sm_number_format(lo, o->min);
        sm_number_format(hi, o->max);
        sm_buf_printf(out, " from %s to %s", lo, hi);
    }
}

static sm_status refuse(sm_err *err, const char *where, const sm_option *o,
                        const json_t *got)
{
    sm_buf want = {0}, text = {0};
    sm_option_wanted(&want, o);
    if (json_is_integer(got)) /* canonical JSON refuses those beyond 2^53 */
        sm_buf_printf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(got));
    else
        sm_json_canonical(&text, got, NULL);
    sm_status s = sm_fail(err, SM_EINVAL, "%s%s%s: got %.120s, want %s", where,
                          *where ? ": " : "", o->key, text.data ? text.data : "?",
                          want.data ? want.data : "another value");
    sm_buf_free(&want);
    sm_buf_free(&text);
    return s;
}

static bool in_range(const sm_option *o, double x)
{
    return (o->min == 0 && o->max == 0) || (x >= o->min && x <= o->max);
}

static bool is_choice(const char *choices, const char *s)
{
    for (const char *c = choices; c && *s; c = strchr(c, '|'), c = c ? c + 1 : NULL) {
        size_t n = strcspn(c, "|");
        if (n == strlen(s) && !memcmp(c, s, n))
            return true;
    }
    return false;
}

static json_t *checked_integer(const sm_option *o, const json_t *v)
{
    if (json_is_real(v)) { /* 1e6 is a float to YAML */
        double x = json_real_value(v);
        if (!(fabs(x) <= (double)SM_JSON_INT_MAX) || x != (double)(int64_t)x ||
            !in_range(o, x))
            return NULL;
        return json_integer((json_int_t)x);
    }
    if (!json_is_integer(v) || !in_range(o, (double)json_integer_value(v)))
        return NULL;
    return json_integer(json_integer_value(v));
}

static json_t *checked_list(const json_t *v)
{
    size_t i;
    json_t *item;
    if (json_is_string(v)) /* a list of one may be written without brackets */
        return json_pack("[O]", v);
    if (!json_is_array(v))
        return NULL;
    json_array_foreach((json_t *)(uintptr_t)v, i, item)
    {
        if (!json_is_string(item))
            return NULL;
    }
    return json_copy((json_t *)(uintptr_t)v);
}

/* A new reference to the value in its normal form, NULL when it is not allowed. */
static json_t *checked(const sm_option *o, const json_t *v)
{
    switch (o->type) {
    case SM_OPT_BOOL:
        return json_is_boolean(v) ? json_boolean(json_is_true(v)) : NULL;
    case SM_OPT_INT:
        return checked_integer(o, v);
    case SM_OPT_FLOAT:
        if (!json_is_number(v) || !in_range(o, json_number_value(v)))
            return NULL;
        return json_real(json_number_value(v));
    case SM_OPT_ENUM:
        if (!json_is_string(v) || !is_choice(o->choices, json_string_value(v)))
            return NULL;
        return json_string(json_string_value(v));
    case SM_OPT_LIST:
        return checked_list(v);
    default:
        return json_is_string(v) ? json_string(json_string_value(v)) : NULL;
    }
}

static sm_status check_names(const sm_option *table, const json_t *given,
                             const char *where, sm_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)given, key, v)
    {
        if (sm_option_find(table, key))
            continue;
        const char *near = sm_option_nearest(table, key);
        return sm_fail(err, SM_EINVAL, "%s%sunknown option '%.60s'%s%s%s", where,
                       *where ? ": " : "", key, near ? " (did you mean '" : "",
                       near ? near : "", near ? "'?)" : "");
    }
    return SM_OK;
}

static sm_status resolve_one(json_t *out, const sm_option *o, const json_t *given,
                             const char *where, sm_err *err)
{
    const json_t *v = given ? json_object_get(given, o->key) : NULL;
    json_t *value = NULL;
    if (v && !json_is_null(v)) {
        value = checked(o, v);
        if (!value)
            return refuse(err, where, o, v);
    } else if (o->def) {
        value = default_value(o);
        assert(value); /* a default that its own type refuses */
    } else {
        sm_buf want = {0};
        sm_option_wanted(&want, o);
        sm_status s = sm_fail(err, SM_EINVAL, "%s: %s: missing, want %s", where, o->key,
                              want.data ? want.data : "a value");
        sm_buf_free(&want);
        return s;
    }
    if (json_object_set_new(out, o->key, value) != 0)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
    return SM_OK;
}

sm_status sm_options_resolve(json_t **out, const sm_option *table, const json_t *given,
                             const char *where, sm_err *err)
{
    if (given && !json_is_object(given) && !json_is_null(given))
        return sm_fail(err, SM_EINVAL, "%s: options: want a mapping", where);
    if (json_is_null(given))
        given = NULL;
    sm_status s = given ? check_names(table, given, where, err) : SM_OK;
    if (s)
        return s;
    json_t *v = json_object();
    if (!v)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", where);
    for (const sm_option *o = table; o && o->key && !s; o++)
        s = resolve_one(v, o, given, where, err);
    if (s)
        json_decref(v);
    else
        *out = v;
    return s;
}

sm_status sm_options_check(const sm_option *table, const json_t *given,
                           const sm_positions *pos, const char *pointer, sm_err *err)
{
    const char *key;
    json_t *v;
    sm_status s = SM_OK;
    if (!given || json_is_null(given))
        return SM_OK;
    if (!json_is_object(given))
        return sm_fail(err, SM_EINVAL, "%s: options: want a mapping",
                       sm_positions_at(pos, pointer));
    json_object_foreach((json_t *)(uintptr_t)given, key, v)
    {
        sm_buf at = {0};
        const sm_option *o = sm_option_find(table, key);
        sm_buf_puts(&at, pointer);
        sm_pointer_push(&at, key);
        const char *where = sm_positions_at(pos, at.data ? at.data : pointer);
        if (!o) {
            json_t *one = json_pack("{s:O}", key, v);
            where = sm_positions_key(pos, at.data ? at.data : pointer);
            s = check_names(table, one, where, err);
            json_decref(one);
        } else if (!json_is_null(v)) {
            json_t *value = checked(o, v);
            if (!value)
                s = refuse(err, where, o, v);
            json_decref(value);
        }
        sm_buf_free(&at);
        if (s)
            break;
    }
    return s;
}

json_t *sm_options_recipe(const sm_option *table, const json_t *resolved)
{
    json_t *out = json_object();
    for (const sm_option *o = table; out && o && o->key; o++) {
        json_t *v = json_object_get(resolved, o->key);
        json_t *def = o->def ? default_value(o) : NULL;
        if (o->affects_result && v && !(def && json_equal(v, def)))
            json_object_set(out, o->key, v);
        json_decref(def);
    }
    return out;
}

sm_status sm_options_set_text(json_t *given, const sm_option *table, const char *key,
                              const char *text, sm_err *err)
{
    json_t *probe = json_pack("{s:n}", key);
    sm_status s = probe ? check_names(table, probe, "", err)
                        : sm_fail(err, SM_EINVAL, "option: name is not UTF-8");
    json_decref(probe);
    if (s)
        return s;
    const sm_option *o = sm_option_find(table, key);
    size_t n = strlen(text);
    if (sm_utf8_valid_prefix(text, n) < n)
        return sm_fail(err, SM_EINVAL, "%s: got text that is not UTF-8", key);
    json_t *v = o->type == SM_OPT_LIST ? json_pack("[s]", text) : parse_text(o, text);
    if (!v) {
        json_t *got = json_string(text);
        s = refuse(err, "", o, got);
        json_decref(got);
        return s;
    }
    json_t *old = json_object_get(given, key);
    int rc;
    if (o->type == SM_OPT_LIST && json_is_array(old)) {
        rc = json_array_extend(old, v);
        json_decref(v);
    } else {
        rc = json_object_set_new(given, key, v);
    }
    return rc == 0 ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", key);
}

/* ------------------------------------------------------------- typed access */

int64_t sm_opt_int(const json_t *resolved, const char *key)
{
    const json_t *v = json_object_get(resolved, key);
    assert(json_is_integer(v) || json_is_null(v));
    return json_integer_value(v);
}

double sm_opt_float(const json_t *resolved, const char *key)
{
    const json_t *v = json_object_get(resolved, key);
    assert(json_is_number(v) || json_is_null(v));
    return json_number_value(v);
}

bool sm_opt_bool(const json_t *resolved, const char *key)
{
    const json_t *v = json_object_get(resolved, key);
    assert(json_is_boolean(v));
    return json_is_true(v);
}

const char *sm_opt_str(const json_t *resolved, const char *key)
{
    const json_t *v = json_object_get(resolved, key);
    assert(json_is_string(v));
    return json_is_string(v) ? json_string_value(v) : "";
}

const json_t *sm_opt_list(const json_t *resolved, const char *key)
{
    const json_t *v = json_object_get(resolved, key);
    assert(json_is_array(v));
    return v;
}
