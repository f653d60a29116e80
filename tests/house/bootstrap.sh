#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which packages `bootstrap` asks apt for on Debian 12, Debian 13 and Ubuntu 24.04, with an
# os-release, an apt and a dpkg of our own: nothing is installed.
# Usage: tests/house/bootstrap.sh [ROOT]
set -u
ROOT=$(cd "${1:-$(dirname "$0")/../..}" && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/smelt-bootstrap-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
N=0 FAILED=0
ok() { N=$((N + 1)); echo "ok $N - $1"; }
not_ok() { N=$((N + 1)) FAILED=$((FAILED + 1)); echo "not ok $N - $1"; shift; printf '#   %s\n' "$@"; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got:  $3" "want: $2"; fi; }

release() { printf 'NAME="%s"\nID=%s\nVERSION_CODENAME=%s\n' "$2" "$1" "$3" > "$WORK/$3"; }
release debian 'Debian GNU/Linux' bookworm
release debian 'Debian GNU/Linux' trixie
release ubuntu Ubuntu noble

# Tools that note what they are asked; gcc is there already, universe if the file is.
mkdir "$WORK/bin"
# shellcheck disable=SC2016
{
  printf '#!/bin/sh\necho "apt-get $*" >> "%s/asked"\n' "$WORK" > "$WORK/bin/apt-get"
  printf '#!/bin/sh\ntest -e "%s/universe"\n' "$WORK" > "$WORK/bin/apt-cache"
  printf '#!/bin/sh\ncase $3 in gcc) echo "install ok installed";; *) exit 1;; esac\n' \
    > "$WORK/bin/dpkg-query"
  printf '#!/bin/sh\nexec "$@"\n' > "$WORK/bin/sudo"
}
chmod +x "$WORK"/bin/*
for tool in bash sh sed grep dirname env id cat test; do
  ln -s "$(command -v $tool)" "$WORK/bin/$tool" 2>/dev/null
done
touch "$WORK/universe"

# asked CODENAME WORD...: what `bootstrap packages WORD...` asks apt to install.
asked() {
  rm -f "$WORK/asked"
  SMELT_OS_RELEASE=$WORK/$1 PATH=$WORK/bin "$ROOT/bootstrap" packages "${@:2}" 2>"$WORK/said"
  sed -n 's/^apt-get -q install -y --no-install-recommends //p' "$WORK/asked" 2>/dev/null
}

BUILD="libc6-dev cmake ninja-build pkg-config libssl-dev libsqlite3-dev libarchive-dev libutf8proc-dev libgumbo-dev libxxhash-dev libfyaml-dev libjansson-dev libmicrohttpd-dev esbuild ca-certificates curl"
CHECK="$BUILD libcmocka-dev libpcre2-dev mandoc man-db bsdextrautils shellcheck python3 zstd xz-utils"
PAGE="chromium fonts-dejavu-core nodejs npm"
LONG="clang libclang-rt-dev llvm gcovr debootstrap libc++-dev"
for name in bookworm trixie noble; do
  page=" $PAGE"
  [ $name != noble ] || page=
  same "$name: build" "$BUILD" "$(asked $name build)"
  same "$name: check" "$CHECK$page" "$(asked $name check)"
  same "$name: long" "$CHECK$page $LONG" "$(asked $name long)"
done
same "the list of names" "gcc $BUILD" "$(asked noble build --list)"
same "--list asks apt for nothing" "" "$(cat "$WORK/asked" 2>/dev/null)"

rm "$WORK/universe"
same "noble without universe installs nothing" "" "$(asked noble build)"
if grep -q "component universe" "$WORK/said"; then ok "and says what is missing"; else
  not_ok "and says what is missing" "$(cat "$WORK/said")"
fi
same "a wrong task" "" "$(asked noble everything)"
if grep -q "got everything, want build, check or long" "$WORK/said"; then ok "is named"; else
  not_ok "is named" "$(cat "$WORK/said")"
fi

# refused PATTERN WORD...: bootstrap says so and asks apt for nothing.
refused() {
  rm -f "$WORK/asked"
  SMELT_OS_RELEASE=$WORK/bookworm PATH=$WORK/bin "$ROOT/bootstrap" "${@:2}" 2>"$WORK/said"
  if [ $? = 2 ] && [ ! -e "$WORK/asked" ] && grep -qe "$1" "$WORK/said"; then ok "refused: ${*:2}"; else
    not_ok "refused: ${*:2}" "$(head -n 2 "$WORK/said")"
  fi
}
refused "build: got twice, want nothing more" build twice
refused "check: got often, want nothing or --long" check often
refused "check: got often, want nothing more" check --long often
refused "packages: got --lst, want --list" packages --lst
refused "packages: got check, want nothing more" packages build check
refused "demo: got --small, want --tiny" demo --small
refused "demo: --source nowhere: cannot be read" demo --source nowhere
refused "demo: --like nowhere: no result of a demo" demo --like nowhere
refused "demo: --like $ROOT/LICENSE: no result of a demo" demo --like "$ROOT/LICENSE"
refused "demo: --like: got --tiny as well" demo --like x --tiny
printf ' "%s": "%s",\n' format smelt-demo/1 unix-moe 12 recipe large n_steps -3 > "$WORK/like.json"
refused "got recipe 'large' of '-3' steps, want full or small" demo --like "$WORK/like.json"

# Paths are those of whoever calls, wherever that is.
mkdir -p "$WORK/with blanks/documents"
cd "$WORK/with blanks" || exit 2
rm -f "$WORK/asked"
SMELT_OS_RELEASE=$WORK/bookworm PATH=$WORK/bin "$ROOT/bootstrap" demo --source documents >/dev/null 2>"$WORK/said"
if [ -e "$WORK/asked" ]; then ok "a path relative to where it is called"; else # it came to packages
  not_ok "a path relative to where it is called" "$(cat "$WORK/said")"
fi
echo "1..$N"
[ $FAILED = 0 ]
