#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evaluations: what counts as held out, and figures that have no interval.
# Usage: eval.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

smelt init >/dev/null
tiny_corpus
tiny_pipeline
sed '/step: eval/,$d' tiny.yaml > to-index.yaml
smelt run to-index.yaml -q >/dev/null

# ---------------------------------------- held out is what the model has not seen
expect 0 "heldout.left_out 0" eval tiny set --as own
smelt data curate docs --allow-unknown-licence --heldout-frac 0.6 --as half -q >/dev/null
expect 0 "[1-9][0-9]* of [0-9]+ held-out documents left out: the model was trained on them" \
  eval tiny half --as other
expect 0 "heldout.left_out [1-9]" eval tiny half --as again --heldout-docs 1000
expect 0 "other: same bits" replay other
expect 0 "other: same bits" replay other --whole
smelt data export set train.jsonl --part train -q >/dev/null
ids=$(python3 -c "
import json
print([json.loads(line)['id'] for line in open('train.jsonl')])")
cat > seen.yaml <<YAML
pipeline: seen
steps:
  - {step: data.filter, as: seen, in: [docs], options: {only: $ids}}
  - step: data.curate
    as: seen-set
    in: [seen]
    options: {allow_unknown_licence: true, heldout_frac: 0.5}
YAML
smelt run seen.yaml -q >/dev/null
bad 2 "eval: dataset [0-9a-f]{12}: the model was trained on all of its [0-9]+ held-out documents, want one that it has not seen" \
  eval tiny seen-set --as none

# --------------------------------------------------- one document has no interval
interval() { # REF: keys of its heldout.bpb
  smelt eval tiny set --as "$1" --json -q "${@:2}" | python3 -c "
import json, sys
at = next(f['object'] for f in json.load(sys.stdin)['files'] if f['path'] == 'figures.json')
print(*json.load(open(f'.smelt/objects/{at[:2]}/{at[2:]}'))['heldout.bpb'])"
}
check "several documents have one" test "$(interval several)" = "value low high n unit"
check "one has none" test "$(interval one --heldout-docs 1)" = "value n unit"
printf 'gate: g\nrequire:\n  - {figure: heldout.bpb, max: 20, bound: high}\n' > high.yaml
expect 0 "gate passed" gate tiny several --gate high.yaml
expect 1 "FAIL  heldout.bpb +high, want <= 20  the figure has no such bound" gate tiny one --gate high.yaml

# ------------------------------------------ each page with a summary is a question
questions() { # REF: how many were asked, and whether a weight was chosen
  smelt eval tiny set idx --as "$1" --json -q "${@:2}" | python3 -c "
import json, sys
at = next(f['object'] for f in json.load(sys.stdin)['files'] if f['path'] == 'figures.json')
f = json.load(open(f'.smelt/objects/{at[:2]}/{at[2:]}'))
print(*(f[k]['n'] for k in ('bm25.mrr', 'lexical.recall_at_5', 'ask.mrr', 'w_model')))"
}
n=$(smelt data export set a.jsonl -q >/dev/null; python3 -c "
import json
print(sum(json.loads(line).get('summary', '') != '' for line in open('a.jsonl')))")
check "some pages have a summary" test "$n" -ge 4
check "all are asked" test "$(questions asked --no-unseen-only)" = "$n $n $n $n"
check "or as many as told" test "$(questions two --no-unseen-only --questions 2)" = "2 2 2 2"

finish
