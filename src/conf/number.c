/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shortest decimal of a double, laid out as ECMAScript's Number::toString lays it out.
 *
 * The shortest digits are found by trying 1..17 of them and reading each back.  printf's
 * p digits are the p-digit decimal nearest to x; where x is a power of two the gap above
 * it is twice the gap below, so that the next decimal up may read back when the nearest
 * does not (2^-44 is 5.684341886080802e-14): it is tried as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

/* Digits d1..dk and the exponent n with x = 0.d1...dk * 10^n. */
typedef struct decimal {
    char digit[20];
    int k, n;
} decimal;

static bool reads_back(const char *text, double x)
{
    return strtod(text, NULL) == x;
}

/* Add one unit in the last place to the mantissa of "d.ddde+xx"; false when it carries
 * out of the first digit (then a shorter decimal would have been found before). */
static bool next_up(char *text)
{
    char *p = strchr(text, 'e');
    while (p-- > text) {
        if (*p < '0' || *p > '9')
            continue;
        if (*p != '9') {
            ++*p;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* x > 0 */
static void shortest(decimal *out, double x)
{
    char text[40], up[40];
    for (int p = 0; p < 17; p++) {
        snprintf(text, sizeof text, "%.*e", p, x);
        if (reads_back(text, x))
            break;
        memcpy(up, text, sizeof up);
        if (next_up(up) && reads_back(up, x)) {
            memcpy(text, up, sizeof text);
            break;
        }
    }
    const char *e = strchr(text, 'e');
    out->k = 0;
    for (const char *p = text; p < e; p++) /* skips the point, whatever the locale's */
        if (*p >= '0' && *p <= '9')
            out->digit[out->k++] = *p;
    while (out->k > 1 && out->digit[out->k - 1] == '0')
        out->k--;
    out->n = (int)strtol(e + 1, NULL, 10) + 1;
}

static char *put_digits(char *p, const char *digit, int n)
{
    memcpy(p, digit, (size_t)n);
    return p + n;
}

static char *put_zeros(char *p, int n)
{
    memset(p, '0', (size_t)n);
    return p + n;
}

/* The five cases of ECMA-262, Number::toString, steps 6 to 10. */
void sm_number_format(char out[SM_NUMBER_MAX], double x)
{
    decimal d;
    char *p = out;
    if (x == 0) { /* minus zero too */
        memcpy(out, "0", 2);
        return;
    }
    if (x < 0)
        *p++ = '-';
    shortest(&d, x < 0 ? -x : x);
    if (d.k <= d.n && d.n <= 21) {
        p = put_zeros(put_digits(p, d.digit, d.k), d.n - d.k);
    } else if (0 < d.n && d.n <= 21) {
        p = put_digits(p, d.digit, d.n);
        *p++ = '.';
        p = put_digits(p, d.digit + d.n, d.k - d.n);
    } else if (-6 < d.n && d.n <= 0) {
        p = put_zeros(put_digits(p, "0.", 2), -d.n);
        p = put_digits(p, d.digit, d.k);
    } else {
        *p++ = d.digit[0];
        if (d.k > 1) {
            *p++ = '.';
            p = put_digits(p, d.digit + 1, d.k - 1);
        }
        snprintf(p, 16, "e%+d", d.n - 1);
        return;
    }
    *p = 0;
}
