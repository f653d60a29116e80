#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cmake without a preset builds as preset release does: optimised, assertions kept.
# Usage: tests/house/plain_cmake.sh ROOT CC
set -u
WORK=$(mktemp -d "${TMPDIR:-/tmp}/smelt-plain-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cached() { sed -n "s/^$1:[A-Z]*=//p" "$WORK/build/CMakeCache.txt"; }
echo 1..2
cmake -S "$1" -B "$WORK/build" -G Ninja -DCMAKE_C_COMPILER="$2" > "$WORK/said" 2>&1 &&
  echo "ok 1 - configured" || { echo "not ok 1 - configured"; sed 's/^/#   /' "$WORK/said"; exit 1; }
if [ "$(cached CMAKE_BUILD_TYPE) $(cached CMAKE_C_FLAGS_RELEASE)" = "Release -O2 -g" ]; then
  echo "ok 2 - as preset release"
else
  echo "not ok 2 - got $(cached CMAKE_BUILD_TYPE) $(cached CMAKE_C_FLAGS_RELEASE), want Release -O2 -g"
  exit 1
fi
