#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Recorded computations call no libm: no object of the given archives may need a
# transcendental function.  sqrt and rounding are exact and allowed.
# usage: no_libm.sh ARCHIVE...
status=0
for archive in "$@"; do
    [ -f "$archive" ] || continue
    found=$(nm -u "$archive" 2>/dev/null | awk '{print $NF}' | sort -u | grep -E \
        '^(exp|exp2|exp10|expm1|log|log2|log10|log1p|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|pow|powf|fma|cbrt|hypot|erf|erfc|lgamma|tgamma)[fl]?(@.*)?$')
    if [ -n "$found" ]; then
        echo "$archive needs libm:" $found
        status=1
    fi
done
[ $status -eq 0 ] && echo "no libm in recorded computations: $# archives"
exit $status
