#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The loop on a tiny corpus: what is made, skipped, verified, replayed, interrupted; exit
# statuses and outputs for people and machines.
# Usage: good_paths.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

content() { smelt lineage "$1" --json | json "d['nodes'][-1]['content']"; }
# json EXPRESSION: evaluate on the JSON of standard input, called d
json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }

# As fish quotes: within '' only \' and \\ are special.  Each line behind the functions is a
# command of its own.
fish_parses() {
  smelt help --completions fish > smelt.fish && grep -q "^complete -c smelt" smelt.fish || return 1
  if command -v fish >/dev/null; then fish -n smelt.fish || return 1; fi
  ! sed '/^function/,/^end/d' smelt.fish | grep -vE "^#|^complete -c smelt([^'\\\\]|'([^'\\\\]|\\\\.)*')*\$"
}

# ------------------------------------------------------------------------- help
expect 0 "^usage: smelt VERB" --help
expect 0 "^verbs of data:" data --help
expect 0 "smelt data add ~/packages" data add --help
expect 0 "^usage: smelt data add" help data add
expect 0 "^verbs of data:" help data
expect 0 '"flag": "--n-steps"' help train --json
expect 0 '"verb": "data add"' help data --json
check "help --json is of every verb" test "$(smelt help --json | json "len(d['verbs'])")" = "$(smelt help --verbs | wc -l)"
expect 0 "^smelt [0-9]" --version
expect 2 "^usage: smelt VERB"
while read -r v; do
  # shellcheck disable=SC2086
  expect 0 "^example:" $v --help
done < <(smelt help --verbs)
check "the manual page is well-formed" bash -c '"$1" help --man | man --warnings -l - 2>&1 >/dev/null | { ! grep .; }' - "$SMELT"
if command -v mandoc >/dev/null; then
  check "mandoc has nothing to say of it" bash -c '"$1" help --man | mandoc -Tlint' - "$SMELT"
fi
# bash_completes WANT WORD...: the last word, or one of several, becomes WANT.
bash_completes() {
  local want=$1
  shift
  eval "$(smelt help --completions bash)"
  COMP_WORDS=("$SMELT" "$@") COMP_CWORD=$# COMPREPLY=()
  _smelt
  [ "${COMPREPLY[*]}" = "$want" ]
}
check "bash completions parse" bash -c '"$1" help --completions bash | bash -n' - "$SMELT"
check "bash completes a verb" bash_completes lineage lin
check "bash completes a verb of two words" bash_completes curate data cur
check "bash completes a flag" bash_completes --n-steps train --n-st
check "bash completes a value" bash_completes technical data curate --preset t
check "bash completes a verb to be explained" bash_completes lineage help lin
check "fish completions parse" fish_parses

# -------------------------------------------------------------------- workspace
expect 0 "made workspace" init
expect 0 "0 artifacts" status
expect 0 '"artifacts": \[\]' status --json
expect 0 "BEGIN PUBLIC KEY" key
expect 0 "^cpu" doctor
expect 0 '"rungs"' doctor --json
tiny_corpus
tiny_pipeline
expect 0 "3 of 3 steps would run" run tiny.yaml --to tok --dry-run
expect 0 "\[3/3\] tokenizer.train -> tok [0-9a-f]{12}: made in" run tiny.yaml --to tokenizer.train
expect 0 "\[7/7\] gate -> release [0-9a-f]{12}: made in" run tiny.yaml
expect 0 "\[4/7\] train -> tiny [0-9a-f]{12}: skipped \(made before\)" run tiny.yaml
expect 0 '"tiny": "[0-9a-f]{64}"' run tiny.yaml --json -q
check "a second run moves nothing" bash -c '[ "$("$1" status --json | grep -c tiny@)" = 2 ]' - "$SMELT"
expect 0 "tiny@v1 +model" status
expect 0 "^tiny$" status --refs
check "bash completes a ref" bash_completes release lineage rel
expect 0 "data.add" lineage tiny
expect 0 "^clean: " verify
expect 0 "^clean: " verify tiny
expect 0 "\"clean\": true" verify --json
expect 0 "^clean: .*chain and signatures hold" audit verify
expect 0 "wrote head.json" audit checkpoint head.json
expect 0 "checkpoint is part of it" audit verify --checkpoint head.json
expect 0 "artifact.commit" audit show --last 3 --event artifact.
expect 0 "workspace.init" audit show --last 0 --event workspace.
expect 0 "" lineage tiny --svg graph.svg --dot graph.dot --json-file graph.json
check "the drawings are files" test -s graph.svg -a -s graph.dot
check "the graph as a file is what --json prints" bash -c '"$1" lineage tiny --json | cmp - graph.json' - "$SMELT"
expect 0 "<svg" lineage tiny --svg -

# -------------------------------------------------------------------- same bits
M=$(content tiny)
expect 0 "tiny: same bits" replay tiny
expect 0 "train model [0-9a-f]{12}: same bits" replay tiny --whole
expect 0 "docs: same bits" replay docs
expect 0 "release: same bits" replay release
expect 0 "eval evaluation [0-9a-f]{12}: same bits" replay release --whole
for cpu in ref avx2 avx512 avx512bf16; do
  grep -q "\"$cpu\"" < <(smelt doctor --json) || continue
  for threads in 1 3; do
    SMELT_CPU=$cpu expect 0 "same bits" replay tiny --threads $threads
  done
done
rm -rf other && mkdir other && cp -r corpus tiny.yaml gate.yaml other
(cd other && smelt init >/dev/null && smelt run tiny.yaml -q --threads 1)
check "another workspace makes the same model" test "$M" = "$(cd other && content tiny)"
echo "A line that was not there." >> corpus/LICENSE.txt
expect 1 "another recipe" replay docs
sed -i '$d' corpus/LICENSE.txt

# ------------------------------------------------------------------- overrides
expect 0 "train -> tiny [0-9a-f]{12}: made" run tiny.yaml --set train.n_steps=6
check "another option makes another model" test "$M" != "$(content tiny)"
expect 0 "skipped" run tiny.yaml
check "the ref is back" test "$M" = "$(content tiny)"
expect 0 "tiny@v3" status
mkdir more && cp corpus/* more/ && printf 'Another document, about nothing in particular.\n%.0s' {1..30} > more/z.txt
expect 0 "data.add -> docs [0-9a-f]{12}: made" run tiny.yaml --source more

printf 'gate: strict\nrequire:\n  - {figure: heldout.bpb, max: 0.1}\n' > strict.yaml
expect 1 "release: its gate failed" run tiny.yaml --set gate.gate=strict.yaml
expect 1 "\"passed\": false" run tiny.yaml --set gate.gate=strict.yaml --json
expect 0 "" run tiny.yaml

# ------------------------------------------------------------------ single verbs
expect 0 "^docs: source" data add corpus --as docs
expect 0 "made before" data add corpus --as docs
expect 0 "^set: dataset" data curate docs --as set --allow-unknown-licence --heldout-frac 0.2
expect 0 "train +[0-9]+ documents" data show set
expect 0 "\"name\": \"set\"|\"set\"" data show set --json
expect 0 "wrote set.html" data show set --html set.html
expect 0 '"html": "set.html"' data show set --html set.html --json
check "the page needs no network" bash -c '! grep -E "src=.?http|<script src" set.html'
expect 0 "wrote [0-9]+ documents to out.jsonl" data export set out.jsonl --part train
check "- is standard output" bash -c '"$1" data export set - --part train | cmp - out.jsonl' - "$SMELT"
check "what a file holds stays before what is appended" bash -c 'echo first > both.jsonl && "$1" data export set - --part train >> both.jsonl && { echo first; cat out.jsonl; } | cmp - both.jsonl' - "$SMELT"
check "standard output can be shared" bash -c '{ echo a; "$1" data export set - --part train; echo b; } > shared.jsonl && { echo a; cat out.jsonl; echo b; } | cmp - shared.jsonl' - "$SMELT"
check "a closed standard output is an error" bash -c '! "$1" data export set - >&-' - "$SMELT"
check "a reader may leave" bash -c 'set -o pipefail; "$1" data export set - 2> left.txt | true; [ $? = 0 ] && [ ! -s left.txt ]' - "$SMELT"
check "the texts of all parts" bash -c '[ "$("$1" data export set - --format text | wc -c)" -gt "$("$1" data export set - --format text --part train | wc -c)" ]' - "$SMELT"
check "what was exported can be added" "$SMELT" data add out.jsonl --as out -q
expect 0 "same +[0-9]+" data diff set@v1 set
expect 0 "^tok: tokenizer" tokenizer train set --vocab-size 400 --as tok
expect 0 '"made_before": true' tokenizer train set --vocab-size 400 --as tok --json
expect 0 "total_bytes" train set tok --dry-run
expect 0 "\"expected_seconds\"" train tok set --dry-run --json
printf 'in: [set, tok]\nas: again\noptions:\n  {n_layer: 2, d_model: 32, n_head: 2, n_kv_head: 1, d_head: 16, d_ff: 64,\n   n_expert: 2, d_expert: 32, d_shared: 32, n_ctx: 64, n_seq: 4, n_shard: 4,\n   n_steps: 12, warmup_steps: 2, eval_docs: 2}\n' > config.yaml
expect 0 "^again: model .*made before" train config.yaml
check "the same recipe, the same model" test "$M" = "$(content again)"
expect 0 "phase +seconds" train config.yaml --n-steps 3 --as short --log-view
expect 0 "index [0-9a-f]{12}" index set
text='naïve — list open files'
check "encode and decode are inverse" bash -c '[ "$(printf %s "$2" | "$1" tokenizer encode tok | "$1" tokenizer decode tok)" = "$2" ]' - "$SMELT" "$text"
expect 0 '"text": ' tokenizer decode tok 1 2 --json
expect 0 '"text": "A.u0000B"' tokenizer decode tok 65 0 66 --json
check "a model has its tokenizer" bash -c '[ "$(printf %s "$2" | "$1" tokenizer encode tiny | "$1" tokenizer decode tiny)" = "$2" ]' - "$SMELT" "$text"
expect 0 "heldout.bpb" eval tiny set --heldout-docs 1 --as quick
expect 1 "gate FAILED" gate tiny figures --gate strict.yaml
check "the verdict is in the JSON" bash -c '"$1" gate tiny figures --gate strict.yaml --json | python3 -c "import json,sys; v = json.load(sys.stdin)[\"verdict\"]; assert v[\"passed\"] is False and v[\"checks\"]"' - "$SMELT"
bad 1 "none.yaml: No such file" gate tiny figures --gate none.yaml
printf 'gate: g\nrequire:\n  - {figure: x, max: many}\n' > wrong.yaml
bad 2 "wrong.yaml:3:[0-9]+: .*max.*want" gate tiny figures --gate wrong.yaml
printf 'gate: g\nrequire: [\n' > wrong.yaml
bad 2 "wrong.yaml:3:1: flow sequence" gate tiny figures --gate wrong.yaml
bad 2 "eval: in: got no dataset|in: got no dataset" eval tiny
bad 1 "refused: tiny: its gate failed" serve tiny --port 0
bad 1 "refused: tiny: its gate failed" chat tiny --prompt Some
bad 1 "refused: tiny: its gate failed" ask --model tiny --index idx "which program?"
expect 0 "^Some" chat tiny --prompt Some --max-tokens 4 --allow-ungated
expect 0 "chat.allow_ungated" audit show --last 1
expect 0 "lsfile" ask --model tiny --index idx --allow-ungated "which program lists open files?"
expect 0 "ask.allow_ungated" audit show --last 1

# chat ends, and says why, when nobody takes its answers or it is told to stop
chat() { timeout 60 "$SMELT" chat tiny --allow-ungated -q --max-tokens 2 "$@"; }
head -n 1 < <(yes Some | chat 2>piped.err; echo $? >piped.status) >/dev/null
until [ -s piped.status ]; do sleep 0.05; done
check "chat ends with its reader" grep -qx 1 piped.status
check "and says so" grep -q "^smelt: standard output: " piped.err
check "a full disk is an error" bash -c '! "$@" >/dev/full 2>&1 <<<Some' - "$SMELT" chat tiny --allow-ungated -q
check "a prompt that is too long is named by its line" grep -q \
  'standard input: line 2: prompt: got [0-9]* tokens, want at most' \
  <(printf 'Some\n%06000d\n' 0 | chat 2>&1 >/dev/null)
printf 'Some\nno \377\n' | chat --json >lines.out 2>lines.err
check "what is not UTF-8 has no JSON" test "${PIPESTATUS[1]}" = 2
check "the line and byte are named" grep -q "line 2: byte 4 is 0xff, want UTF-8" lines.err
check "the line before it was answered" grep -q '"prompt": "Some"' lines.out
mkfifo prompts
"$SMELT" chat tiny --allow-ungated -q --max-tokens 2 <prompts >idle.out 2>&1 &
exec 9>prompts
echo Some >&9
until [ -s idle.out ]; do sleep 0.05; done
kill -INT $!
for _ in {1..100}; do kill -0 $! 2>/dev/null || break; sleep 0.05; done
check "an idle chat ends when interrupted" bash -c "! kill -0 $!"
exec 9>&- # or it ends now
wait $!

expect 0 "gate passed" gate tiny figures idx --gate gate.yaml
expect 0 "lsfile" ask --model release "which program lists the files that are open?"
expect 0 "read .*GB/s" bench --seconds 0.02
expect 0 '"bf16_gflops"' bench --seconds 0.02 --json

# A page whose macros never end is kept as far as it was read, and listed.
mkdir endless && printf '.TH E 1\n.SH NAME\ne \\- a page\n.de A\nagain\n.A\n.A\n..\n.A\n' > endless/e.1
expect 0 "^endless: source" data add endless --as endless
expect 0 "e.1: .*its text is cut" data show endless

# ------------------------------------------------------------- unfinished recipes
(cd other && exec "$SMELT" run tiny.yaml -q --set train.n_steps=4000 >/dev/null 2>&1) &
unfinished=$!
for _ in $(seq 500); do
  compgen -G 'other/.smelt/tmp/scratch-*/ckpt-*' >/dev/null && break
  sleep 0.02
done
expect 0 " running$" status --workspace other
expect 0 "removed the scratch of 0 unfinished recipes" doctor --clean-scratch --workspace other
kill -9 $unfinished
wait $unfinished 2>/dev/null
expect 0 " stopped$" status --workspace other
expect 0 "scratch_bytes +[0-9.]+ [kM]B" doctor --workspace other
expect 0 "removed the scratch of 1 unfinished recipe, [0-9.]+ [kM]B" doctor --clean-scratch --workspace other
check "nothing is left" bash -c '! compgen -G "other/.smelt/tmp/scratch-*/"'
expect 0 '"removed": 0' doctor --clean-scratch --workspace other --json

# ------------------------------------------------------- interruption and damage
interrupted() { # interrupted SIGNAL: training is cut short, then done again
  local i
  rm -rf cut && mkdir cut && cp -r corpus tiny.yaml gate.yaml cut && cd cut && smelt init >/dev/null
  sed -i 's/n_steps: 12/n_steps: 60/; /step: index/,$d' tiny.yaml
  smelt run tiny.yaml -q >/dev/null 2>&1 &
  local pid=$!
  for i in $(seq 200); do
    compgen -G '.smelt/tmp/scratch-*/curve.jsonl' >/dev/null && break
    sleep 0.02
  done
  sleep 0.1
  kill "-$1" $pid 2>/dev/null
  wait $pid 2>/dev/null
  smelt run tiny.yaml -q || { cd ..; return 1; }
  smelt verify >/dev/null || { cd ..; return 1; }
  content tiny > ../cut.content
  cd ..
}
(cd other && sed -i 's/n_steps: 12/n_steps: 60/; /step: index/,$d' tiny.yaml && smelt run tiny.yaml -q)
WANT=$(cd other && content tiny)
for signal in KILL INT TERM; do
  check "SIG$signal, then again" interrupted $signal
  check "the same model after SIG$signal" test "$WANT" = "$(cat cut.content)"
done

object=$(cd other && smelt verify tiny --json >/dev/null; find .smelt/objects -type f -size +20k ! -name '*.leaf' | head -n 1)
chmod u+w "other/$object"
flip "other/$object" 7000
name=$(basename "$(dirname "$object")")$(basename "$object")
expect 1 "${name:0:12}.*leaf 0|leaf 0.*${name:0:12}" verify --workspace other
expect 1 '"clean": false' verify --workspace other --json
finish
