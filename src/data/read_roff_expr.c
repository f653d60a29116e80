/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Numbers, registers and conditions of roff.  Expressions are evaluated left to right
 * without precedence, as roff does; units are those of a terminal (240 units an inch).
 */
#include <string.h>

#include "read_roff.h"

enum { EXPR_DEPTH_MAX = 40 };

bool roff_register(const roff *r, const char *name, size_t n, long *out)
{
    static const struct {
        const char *name;
        long value;
    } builtin[] = {{".g", 1}, {".H", 24},   {".V", 40},     {".j", 0},     {".T", 1},
                   {".A", 0}, {".C", 0},    {".s", 10},     {".v", 40},    {".f", 1},
                   {".x", 1}, {".y", 22},   {"yr", 70},     {"mo", 1},     {"dy", 1},
                   {"dw", 1}, {"hours", 0}, {"minutes", 0}, {"seconds", 0}};
    *out = 0;
    const roff_def *d = roff_dict_find(&r->dict, name, n);
    if (d && d->has_value) {
        *out = d->value;
        return true;
    }
    if (n == 2 && name[0] == '.' && name[1] == '$') {
        for (int i = r->n_frame - 1; i >= 0; i--)
            if (r->frame[i].arg) {
                *out = r->frame[i].arg->n;
                break;
            }
        return true;
    }
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        if (strlen(builtin[i].name) == n && memcmp(builtin[i].name, name, n) == 0) {
            *out = builtin[i].value;
            return true;
        }
    return false;
}

typedef struct expr {
    const char *s;
    size_t n, i;
    int depth;
    int n_paren; /* open parentheses: only inside them blanks are allowed */
} expr;

static void skip_inner_blanks(expr *e)
{
    while (e->n_paren > 0 && e->i < e->n && e->s[e->i] == ' ')
        e->i++;
}

static long scale(expr *e, double v)
{
    if (e->i >= e->n)
        return (long)v;
    switch (e->s[e->i++]) {
    case 'i':
        return (long)(v * 240);
    case 'c':
        return (long)(v * 240 / 2.54);
    case 'P':
    case 'v':
        return (long)(v * 40);
    case 'm':
    case 'n':
        return (long)(v * 24);
    case 'p':
        return (long)(v * 240 / 72);
    case 'f':
        return (long)(v * 65536);
    case 'M':
        return (long)(v * 0.24);
    case 'u':
    case 's':
    case 'z':
        return (long)v;
    default:
        e->i--;
        return (long)v;
    }
}

static bool expression(expr *e, long *out);

static bool operand(expr *e, long *out)
{
    bool is_negative = false;
    skip_inner_blanks(e);
    while (e->i < e->n && (e->s[e->i] == '-' || e->s[e->i] == '+' || e->s[e->i] == '!'))
        is_negative ^= e->s[e->i++] == '-';
    if (e->i < e->n && e->s[e->i] == '(') {
        e->i++;
        e->n_paren++;
        bool ok = expression(e, out);
        skip_inner_blanks(e);
        e->n_paren--;
        if (!ok)
            return false;
        if (e->i < e->n && e->s[e->i] == ')')
            e->i++;
    } else {
        double v = 0, unit = 1;
        bool has_digit = false, in_fraction = false;
        for (; e->i < e->n; e->i++) {
            char c = e->s[e->i];
            if (c >= '0' && c <= '9') {
                has_digit = true;
                unit = in_fraction ? unit / 10 : unit;
                v = in_fraction ? v + unit * (c - '0') : v * 10 + (c - '0');
                v = v > 1e9 ? 1e9 : v;
            } else if (c == '.' && !in_fraction) {
                in_fraction = true;
            } else {
                break;
            }
        }
        if (!has_digit)
            return false;
        *out = scale(e, v);
    }
    *out = is_negative ? -*out : *out;
    return true;
}

static long apply(const char *op, size_t n_op, long a, long b)
{
    const long limit = 1000000000000;
    a = a > limit ? limit : a < -limit ? -limit : a;
    b = b > 1000000 ? 1000000 : b < -1000000 ? -1000000 : b;
    switch (op[0]) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return b ? a / b : 0;
    case '%':
        return b ? a % b : 0;
    case '<':
        return n_op == 1 ? a < b : op[1] == '=' ? a <= b : op[1] == '>' ? a != b : a < b;
    case '>':
        return n_op == 1 ? a > b : op[1] == '=' ? a >= b : a > b;
    case '=':
        return a == b;
    case '&':
        return a > 0 && b > 0;
    default:
        return a > 0 || b > 0;
    }
}

static bool expression(expr *e, long *out)
{
    if (e->depth >= EXPR_DEPTH_MAX)
        return false;
    e->depth++;
    bool ok = operand(e, out);
    skip_inner_blanks(e);
    while (ok && e->i < e->n && strchr("+-*/%<>=&:", e->s[e->i])) {
        const char *op = e->s + e->i;
        size_t n_op = 1;
        if (e->i + 1 < e->n && strchr("<>=", op[0]) && strchr("=>?<", op[1]))
            n_op = 2;
        e->i += n_op;
        long right;
        if (!operand(e, &right))
            break;
        *out = apply(op, n_op, *out, right);
        skip_inner_blanks(e);
    }
    e->depth--;
    return ok;
}

bool roff_number(long *out, const char *s, size_t n, size_t *used)
{
    expr e = {.s = s, .n = n};
    *out = 0;
    bool ok = expression(&e, out);
    *used = ok ? e.i : 0;
    return ok;
}

/* 'a'b': the delimiter is any character. */
static bool compare_strings(const char *s, size_t n, size_t *used)
{
    char delim = s[0];
    size_t mid = 1, end;
    while (mid < n && s[mid] != delim)
        mid++;
    for (end = mid + 1; end < n && s[end] != delim;)
        end++;
    *used = end < n ? end + 1 : n;
    if (mid >= n)
        return false;
    size_t len = mid - 1, right = (end < n ? end : n) - mid - 1;
    return len == right && memcmp(s + 1, s + mid + 1, len) == 0;
}

/* d name, r name, c char and the like. */
static bool test_name(const roff *r, const char *s, size_t n, size_t *used)
{
    size_t i = 1;
    while (i < n && s[i] == ' ')
        i++;
    size_t start = i;
    while (i < n && s[i] != ' ')
        i++;
    *used = i;
    long v;
    const roff_def *d = roff_dict_find(&r->dict, s + start, i - start);
    if (s[0] == 'd')
        return d && d->has_body;
    return s[0] == 'r' && roff_register(r, s + start, i - start, &v);
}

bool roff_condition(roff *r, const char *s, size_t n, size_t *used)
{
    size_t i = 0;
    bool wanted = true, result = false;
    long v;
    *used = 0;
    for (; i < n && (s[i] == '!' || s[i] == ' '); i++)
        wanted ^= s[i] == '!';
    if (i >= n) {
        *used = n;
        return false;
    }
    size_t rest = 0;
    if (strchr("no", s[i])) {
        result = true;
        rest = 1;
    } else if (strchr("tev", s[i])) {
        rest = 1;
    } else if (strchr("drcmFS", s[i])) {
        result = test_name(r, s + i, n - i, &rest);
    } else if (strchr("0123456789(+-.", s[i])) {
        result = roff_number(&v, s + i, n - i, &rest) && v > 0;
        rest = rest ? rest : 1;
    } else {
        result = compare_strings(s + i, n - i, &rest);
    }
    *used = i + rest;
    return result == wanted;
}
