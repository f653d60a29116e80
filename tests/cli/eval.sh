#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Evaluations: what counts as held out, and figures that have no interval.
# Usage: eval.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

figures() { # REF NAME:KEY...: what figures.json of an evaluation says of them
  smelt show "$1" figures.json | python3 -c "
import json, sys
f = json.load(sys.stdin)
print(*(f.get(name, {}).get(key) for name, key in (a.split(':') for a in sys.argv[1:])))" "${@:2}"
}

smelt init >/dev/null
tiny_corpus
for name in chown df du find kill less mount ping rm tar wc who; do
  man_page "$name" "do what is known of $name, ${name}d and un$name"
done
for name in one two three four; do # pages that no word of their NAME lines finds
  man_page "$name" "see $name"
  sed -i "s/^$name .*/$name \\\\- qzx$name xzq$name/" "corpus/$name.1"
done
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
# Training scored the same model on the first two of them (eval_docs) after its last step.
smelt eval tiny set --as first --heldout-docs 2 -q >/dev/null
figures first heldout.bpb:{value,low,high,n} > first.txt
smelt show tiny curve.jsonl > curve.jsonl
check "it is 1.96 standard errors to either side" python3 - <<'END'
import json
value, low, high, n = map(float, open("first.txt").read().split())
last = json.loads(open("curve.jsonl").readlines()[-1])
half = 1.96 * last["heldout_bpb_std_err"]
assert n == 2 and value == last["heldout_bpb"] and half > 0
assert abs(value - half - low) < 1e-12 and abs(value + half - high) < 1e-12
END
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
check "which they are depends on the seed" test "$(for seed in 1 2 3 4 5; do
  smelt eval tiny set idx --as "seed$seed" --no-unseen-only --questions 4 --seed $seed -q >/dev/null
  figures "seed$seed" bm25.mrr:value
done | sort -u | wc -l)" -gt 1
smelt data export set heldout.jsonl --part heldout -q >/dev/null
n=$(grep -c '"summary":"[^"]' heldout.jsonl)
check "some of them the model has not seen" test "$n" -ge 2
check "those alone are asked unless told otherwise" test "$(questions unseen)" = "$n $n $n $n"
smelt index seen-set --as seen-index -q >/dev/null
expect 0 "eval: 0 pages have a summary to ask for, so no retrieval figures" eval tiny set seen-index --as seen-pages
expect 0 "w_model +0\.0" show asked report.txt
expect 0 "^re-ranking with the model did not help measurably: off$" show asked report.txt

# ------------------------------------- minimal pairs count by what the file holds
pair() { # UID GOOD BAD
  printf '{"sentence_good": "%s", "sentence_bad": "%s", "UID": "%s"}\n' "$2" "$3" "$1"
}
{ pair a "The file is open." "The file are open."; pair a "A line ends." "A line end."; } > pairs.jsonl
expect 0 "^paired: evaluation " eval tiny set --as paired --pairs pairs.jsonl
check "each pair is scored" test "$(figures paired pairs.{accuracy,a}:n)" = "2 2"
mkdir moved && cp pairs.jsonl moved/other.jsonl
expect 0 "^moved: evaluation .*made before" eval tiny set --as moved --pairs moved/other.jsonl
pair b "It reads a file." "It read a file." >> pairs.jsonl
expect 0 "^longer: evaluation " eval tiny set --as longer --pairs pairs.jsonl
check "another file of that name is another evaluation" test "$(figures longer pairs.{accuracy,a,b}:n)" = "3 2 1"
expect 0 "^fewer: evaluation " eval tiny set --as fewer --pairs pairs.jsonl --max-pairs 1
check "and so is a part of it" test "$(figures fewer pairs.{accuracy,a,b}:n)" = "2 1 1"
expect 0 "longer: same bits" replay longer
expect 0 "^none: evaluation " eval tiny set --as none
check "without a file there are none" test "$(figures none pairs.accuracy:n)" = "None"

finish
