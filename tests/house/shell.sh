#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script of the repository, as ShellCheck reads it.
# Usage: shell.sh ROOT
ROOT=$1
command -v shellcheck > /dev/null || { echo "skipped: shellcheck is not installed"; exit 77; }
cd "$ROOT" || exit 2
# What a file is, its first line says, or its name.
scripts=$(find . -type f -not -path './.git/*' -not -path './build*' -not -path '*/node_modules/*' \
  -exec awk 'FNR == 1 { if (/^#!.*(bash|\/sh)/ || FILENAME ~ /\.sh$/) print FILENAME; nextfile }' {} +)
[ -n "$scripts" ] || { echo "no script found"; exit 1; }
# SC2034: a test sets SMELT and ROOT for the library that it sources.
# shellcheck disable=SC2086
shellcheck -S warning -s bash -e SC2034 $scripts && echo "$(wc -w <<< "$scripts") scripts"
