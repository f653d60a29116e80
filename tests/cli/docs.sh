#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pages of docs/commands are what the program says of itself: one a verb, no other; and
# the commands on them, in the README and on the other pages name verbs and options that there
# are.
# Usage: docs.sh SMELT ROOT [--write]; --write makes them anew.
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

smelt help --verbs > verbs && [ -s verbs ] || exit 2
mkdir pages
smelt help --verbs > verbs || exit 2
while read -r v; do
  # shellcheck disable=SC2086
  smelt help --markdown $v > "pages/${v// /-}.md" || exit 2
done < verbs
{
  printf '# Commands\n\nMade by `tests/cli/docs.sh SMELT ROOT --write`; a test fails when they drift.\n\n'
  while read -r v; do
    printf -- '- [smelt %s](%s.md): %s\n' "$v" "${v// /-}" "$(sed -n 3p "pages/${v// /-}.md")"
  done < verbs
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
smelt help > help.txt && smelt help --man > man.txt
while read -r variable; do
  check "$variable is in the help" grep -qw "$variable" help.txt
  check "$variable is on a page" grep -qw "$variable" pages/help.md
  check "$variable is in the manual" grep -q "^\.B $variable" man.txt
done < <(grep -rhoE 'getenv\("[A-Z_]+' "$ROOT/src" "$ROOT/cmd" | cut -d'"' -f2 | sort -u)

# has_option PAGE FLAG: the verb has it, or every verb has.
has_option() { grep -qF -- "| \`$2\` |" "pages/$1.md" pages/help.md; }

# check_example WORD...: its verb, its flags, and what it sets of the steps of a pipeline.
check_example() {
  local verb=$2 word last='' key
  [ -f "pages/$2-${3:-}.md" ] && verb="$2-$3"
  [ -f "pages/$verb.md" ] || { echo "no verb $verb"; return 1; }
  for word in "$@"; do
    key=${word%%=*}
    if [ "$word" = --help ] || [ "$key" = STEP.OPTION ]; then
      continue
    elif [ "$last" = --set ] && ! grep -rqF -- "| \`${key##*.}\` |" pages; then
      echo "no step has $key"
      return 1
    elif [ "${word#--}" != "$word" ] && ! has_option "$verb" "$key"; then
      echo "$verb has no option $key"
      return 1
    fi
    last=$word
  done
}
# Commands in fenced blocks, continued lines joined, or alone between backquotes (where those
# with \n are what is signed).
commands_of() {
  sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' "$@" |
    sed -nE -e '/^```/,/^```/{s/^ *([A-Z_]+=[^ ]* )?(smelt [a-z][^|]*).*/\2/;s/  +#.*//;/^smelt /p;b' -e '}' \
      -e 's/`(smelt [a-z][^`|]*)`/\n\1\n/gp' | grep -E '^smelt [a-z][^\\]*$'
}
n_example=0
while read -r line; do
  set -f # an example may hold patterns
  # shellcheck disable=SC2086
  set -- $line
  set +f
  check "example: $line" check_example "$@"
  n_example=$((n_example + 1))
done < <(sed -n '/^## Example/,/^```$/p' pages/*.md | commands_of
  commands_of "$ROOT"/{README,CONTRIBUTING}.md "$ROOT"/docs/*.md "$ROOT"/docs/formats/*.md | sort -u)
check "there are examples" test "$n_example" -gt 100
for wrong in 'data curate docs --min-words 20' 'run p.yaml --set curate.min_words=20' 'bake x'; do
  # shellcheck disable=SC2086
  if check_example smelt $wrong >/dev/null; then not_ok "smelt $wrong is found wrong"; else ok "smelt $wrong is found wrong"; fi
done
finish
