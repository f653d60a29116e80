#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pages of docs/commands are what the program says of itself: one a verb, no other.
# Usage: docs.sh SMELT ROOT [--write]; --write makes them anew.
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

mkdir pages
while read -r v; do
  # shellcheck disable=SC2086
  smelt help --markdown $v > "pages/${v// /-}.md" || exit 2
done < <(smelt help --verbs)
{
  printf '# Commands\n\nMade by `tests/cli/docs.sh SMELT ROOT --write`; a test fails when they drift.\n\n'
  while read -r v; do
    printf -- '- [smelt %s](%s.md): %s\n' "$v" "${v// /-}" "$(sed -n 3p "pages/${v// /-}.md")"
  done < <(smelt help --verbs)
} > pages/README.md

if [ "${3:-}" = --write ]; then
  mkdir -p "$ROOT/docs/commands"
  rm -f "$ROOT"/docs/commands/*.md
  cp pages/*.md "$ROOT/docs/commands/"
  echo "wrote $(ls pages | wc -l) pages to docs/commands"
  exit 0
fi
for page in pages/*.md; do
  name=$(basename "$page")
  check "docs/commands/$name is what the program says" diff -u "$ROOT/docs/commands/$name" "$page"
done
for page in "$ROOT"/docs/commands/*.md; do
  check "docs/commands/$(basename "$page") is of a verb" test -f "pages/$(basename "$page")"
done
finish
