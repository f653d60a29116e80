#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two of the same at once in one workspace: tracks in one directory and in two, bisections.  All
# end well, with the same result, and leave nothing behind.
# Usage: together.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"
tiny_text_workspace

# both NAME 'WORDS OF THE FIRST' 'WORDS OF THE SECOND': the same output from both
both() {
  local a b
  # shellcheck disable=SC2086
  (timeout 200 "$SMELT" $2 >one 2>one.err) & a=$!
  # shellcheck disable=SC2086
  (timeout 200 "$SMELT" $3 >two 2>two.err) & b=$!
  wait $a && wait $b || not_ok "$1: end" "$(tail -n 2 one.err two.err)"
  check "$1: the same result" cmp one two
}

cat >tracks.yaml <<'YAML'
name: pair
in: [set, tokenizer]
budget_steps: [12]
evals: 2
jobs: 2
halving: {eta: 2, rungs: 2}
options: {n_layer: 1, d_model: 32, n_head: 2, n_kv_head: 1, d_head: 16, n_ctx: 64, n_seq: 4,
  n_shard: 4, checkpoint_steps: 5, eval_docs: 1}
tracks: [{name: a, options: {d_ff: 64}}, {name: b, options: {d_ff: 128}}]
YAML
sed 's/n_layer: 1/n_layer: 2/' tracks.yaml >deep.yaml
both "tracks in one directory" "tracks tracks.yaml" "tracks tracks.yaml"
check "one waits and says so" grep -q "pair: another process is at work" one.err two.err
both "tracks in two directories" "tracks deep.yaml --out x" "tracks deep.yaml --out y"
check "the reports are the same" cmp x/report.json y/report.json
shape=(set tokenizer --n-layer 1 --d-model 32 --n-head 2 --n-kv-head 1 --d-head 16 --d-ff 64
  --n-ctx 64 --n-seq 4 --n-shard 4 --n-steps 12 --warmup-steps 2 --eval-docs 1 -q)
smelt train "${shape[@]}" --as good >/dev/null
smelt train "${shape[@]}" --as bad --lr 1e-6 --clip-norm 0.5 >/dev/null
both "bisections" "bisect good bad" "bisect good bad"
check "no lock and no scratch is left" test -z "$(ls -A .smelt/tmp)"
check "no lock is left beside a report" test -z "$(find . -name .lock)"
expect 0 "^clean: " verify
finish
