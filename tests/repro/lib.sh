# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What tests/repro, tests/fault and tests/chroot share, on top of tests/cli/lib.sh: the tiny
# pipeline in a directory of its own, and the content ids that it makes.
# Source it with SMELT (the program) and ROOT (the repository) set.
# shellcheck source=tests/cli/lib.sh
. "$ROOT/tests/cli/lib.sh"

skip() { # WHAT WHY
  N=$((N + 1))
  echo "ok $N - $1 # SKIP $2"
}

# What the tiny pipeline reads, taken once, so that an edit of the repository meanwhile changes
# nothing: its own documentation and the manual pages beside this script.
INPUTS=$WORK/inputs
mkdir -p "$INPUTS/corpus"
cp "$ROOT/tests/repro/tiny.yaml" "$ROOT/tests/repro/gate.yaml" "$INPUTS"
cp "$ROOT"/tests/repro/pages/*.1 "$INPUTS/corpus"
cp "$ROOT/LICENSE" "$INPUTS/corpus/LICENSE.txt"
for f in "$ROOT"/docs/*.md "$ROOT"/docs/*/*.md; do
  cp "$f" "$INPUTS/corpus/$(tr / - <<<"${f#"$ROOT"/docs/}")"
done

# A directory with the inputs and an empty workspace.
tiny_workspace() { # DIR
  cp -r "$INPUTS" "$1"
  (cd "$1" && "$SMELT" init >/dev/null)
}

# Run the pipeline in DIR and print a line "NAME CONTENT-ID" for each result; the words after
# DIR are options of `smelt run`.  Nothing is printed when the run fails.
tiny_ids() { # DIR WORD...
  local dir=$1 out
  shift
  out=$(cd "$dir" && "$SMELT" run tiny.yaml --json -q "$@" 2>>"$WORK/errors") || return 1
  sed -nE 's/^ +"([a-z]+)": "([0-9a-f]{64})",?$/\1 \2/p' <<<"$out"
}

# same NAME WANT GOT: two lists of ids are equal, and not empty; else the differing names.
same() {
  if [ -n "$2" ] && [ "$2" = "$3" ]; then
    ok "$1"
  else
    not_ok "$1" "$(diff <(echo "$2") <(echo "$3") | head -n 8)" "$(tail -n 2 "$WORK/errors")"
  fi
}

# Can SMELT_CPU choose this rung on this processor?
has_rung() { # RUNG
  "$SMELT" doctor --json | grep -Eq "^ +\"$1\",?\$"
}
