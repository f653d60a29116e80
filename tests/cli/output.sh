#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is printed arrives or the exit status says that it did not, and under --json all of
# standard output is JSON, whatever bytes names and words have.
# Usage: output.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

# json STATUS EXPRESSION WORD...: want this exit status and JSON for which, as d, it holds
json() {
  local want=$1 expression=$2 status name
  shift 2
  name="smelt ${*@Q}"
  "$SMELT" "$@" >"$WORK/.json" 2>"$WORK/.err" </dev/null
  status=$?
  if [ "$status" != "$want" ]; then
    not_ok "$name" "exit status $status, want $want" "$(head -c 300 "$WORK/.err")"
  else
    check "$name" python3 -c "import json,sys
d = json.load(open(sys.argv[1], encoding='utf-8'))
assert $expression, d" "$WORK/.json"
  fi
}

# lost WORD...: with standard output on a full disk, status 1 and one line that says so
lost() {
  local err status
  err=$("$SMELT" "$@" 2>&1 >/dev/full </dev/null)
  status=$?
  if [ "$status" = 1 ] && [ "$err" = "smelt: standard output: cannot write" ]; then
    ok "smelt $* > /dev/full"
  else
    not_ok "smelt $* > /dev/full" "exit status $status, want 1" "$(head -c 300 <<<"$err")"
  fi
}

tiny_text_workspace
for words in version "status --json" "lineage tokenizer --json" "lineage tokenizer --svg -" \
  "help --man" "help --completions bash" "help --markdown train" --help "data show set"; do
  # shellcheck disable=SC2086
  lost $words
done
check "a reader that leaves is no error" bash -c 'set -o pipefail; "$1" help --man | head -n 1' - "$SMELT"

# ---------------------------------------------------- the form that was asked for
json 2 "d['error']['status'] == 'EINVAL'" --json status --bogus
json 2 "d['error']['status'] == 'EINVAL'" status --bogus --json
json 2 "d['error']['status'] == 'EINVAL'" statsu --json
check "nothing but --json asks for JSON" bash -c '! "$1" status --bogus -- --json 2>/dev/null | grep .' - "$SMELT"

# --------------------------------------------------------- bytes that are no text
bad=$(printf 'bad\377')
cut=x$(printf '\303\251%.0s' {1..100}) # a cut at an even number of bytes is within an é
mkdir "$bad"
json 0 "d['workspace'].startswith('bad\ufffd')" init "$bad" --json
cd "$bad" || exit 2
json 0 "'bad\ufffd' in d['file']" key --json
json 0 "'bad\ufffd' in d['workspace'] and 'bad\ufffd' in d['disk']['dir']" doctor --json
json 0 "d['artifacts'] == []" status --json
cd .. || exit 2
json 2 "'not UTF-8' in d['error']['message']" status --workspace "$bad" --json
json 0 "d['checkpoint'] == 'bad\ufffd.json'" audit checkpoint "$bad.json" --json
json 0 "d['file'] == 'bad\ufffd.jsonl'" data export docs "$bad.jsonl" --json
json 1 "'bad\ufffd' in d['error']['message']" lineage "$bad" --json
json 2 "'bad\ufffd' in d['error']['message']" "$bad" --json
json 2 "'\ufffd' in d['error']['message']" status "$cut" --json
json 2 "'not UTF-8' in d['error']['message']" data add "$bad/none" --json
touch ".smelt/objects/$bad"
json 1 "not d['clean'] and any('bad\ufffd' in f for f in d['findings'])" verify --json
rm ".smelt/objects/$bad"
json 0 "d['clean']" verify --json
finish
