#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The public headers: each compiles alone and without a warning, as C17 and, where there is a
# compiler for it, as C++17; every function has a docstring; what libsmelt.so exports is what
# they declare.
# Usage: tests/house/headers.sh ROOT CC LIBSMELT.so
set -u
ROOT=$1 CC=$2 LIB=$3
N=0 FAILED=0
ok() { N=$((N + 1)); echo "ok $N - $1"; }
not_ok() { N=$((N + 1)) FAILED=$((FAILED + 1)); echo "not ok $N - $1"; shift; printf '#   %s\n' "$@"; }

# compiles HEADER COMPILER WORD...: a file that includes it, and nothing else.
compiles() {
  local name said
  name="$1 alone: ${*:2}"
  if said=$(echo "#include \"smelt/$1\"" | "${@:2}" -I"$ROOT/include" -Wall -Wextra -Wpedantic \
      -Wshadow -Wconversion -Wno-sign-conversion -Werror -fsyntax-only - 2>&1); then
    ok "$name"
  else
    not_ok "$name" "$(head -n 3 <<<"$said")"
  fi
}
for header in "$ROOT"/include/smelt/*.h; do
  compiles "${header##*/}" "$CC" -std=c17 -x c
  for cxx in g++ clang++; do
    command -v $cxx >/dev/null && compiles "${header##*/}" $cxx -std=c++17 -x c++
  done
done

# Functions (and tables) that no comment stands above; several under one comment share it.
undocumented() {
  awk 'FNR == 1 { said = 0 }
    /^SM_API/ { if (!said) print FILENAME ":" FNR ": " $0 }
    { said = /\*\/$/ || (said && (/^SM_API/ || /^ /)) }' "$ROOT"/include/smelt/*.h
}
if said=$(undocumented) && [ -z "$said" ]; then ok "every function is documented"; else
  not_ok "every function is documented" "$said"
fi

# Of every declaration that begins with SM_API the first name before a parenthesis, a bracket
# or its end.  `__assert_fail` is not of the headers: docs/architecture.md says why it is there.
declared() {
  cat "$ROOT"/include/smelt/*.h | sed -e 's:/\*.*\*/::' -e '/\/\*/,/\*\//d' | tr '\n' ' ' |
    grep -oE '\<SM_API [^;{]*' | grep -oE '\<sm_[a-z0-9_]+(\(|\[|$)' | tr -d ' ([' | sort -u
}
exported() { nm -D --defined-only "$LIB" | sed 's/.* //' | grep -v '^__assert_fail$' | sort -u; }
if [ -f "$LIB" ]; then
  if said=$(diff <(declared) <(exported)); then ok "what is declared is exported"; else
    not_ok "what is declared (<) is exported (>)" "$said"
  fi
fi
echo "1..$N"
[ $FAILED = 0 ]
