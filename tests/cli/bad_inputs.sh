#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad inputs: every verb refuses what it cannot use with the right exit status (2: wrong
# usage or configuration, 1: failed) and one line that says what, where, got, want.
# Usage: bad_inputs.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

# ------------------------------------------------------------- before a workspace
bad 2 "unknown verb 'frobnicate'" frobnicate
bad 2 "unknown verb 'lineag' \(did you mean 'lineage'\?\)" lineag
bad 2 "unknown verb 'data ad' \(did you mean 'data add'\?\)" data ad
bad 2 "data: got no verb, want one of: data add, data curate" data
bad 2 "unknown option '--frob'" --frob status
bad 2 "status: unknown option '--jsn' \(did you mean '--json'\?\)" status --jsn
bad 2 "status: unknown option '-x'" status -x
bad 2 "train: unknown option '--hlep' \(did you mean '--help'\?\)" train --hlep
bad 2 "option '--n-steps': got no verb before it, want one" --n-steps 5 train
bad 2 "unknown verb 'dat' \(did you mean 'data'\?\)" dat add
bad 2 "--threads: missing its value, want N" status --threads
bad 2 "threads: got \"many\", want an integer from 0 to 256" status --threads many
bad 2 "threads: got 257, want an integer from 0 to 256" status --threads 257
bad 2 "threads: got -1, want" status --threads=-1
bad 2 "threads: got \"99999999999999999999\", want" status --threads 99999999999999999999
bad 2 "--json=yes: takes no value .--no-json switches it off" status --json=yes
bad 2 "--tied=false: takes no value .--no-tied switches" train --tied=false
bad 2 "status: unexpected 'words', want no words" status words
bad 1 "workspace|smelt init" status
bad 1 "workspace|smelt init" lineage docs
bad 1 "workspace|smelt init" verify
bad 1 "nowhere: no such directory" status --workspace nowhere
bad 2 "help: unknown verb 'nothing'" help nothing
bad 2 "help: unknown verb 'trian' \(did you mean 'train'\?\)" help trian
bad 2 "help: unknown verb 'data ad' \(did you mean 'data add'\?\)" help data ad
bad 2 "completions: got \"tcsh\", want one of bash\|zsh\|fish" help --completions tcsh
bad 2 "init: unexpected 'b'" init a b
touch file
bad 1 "file" init file

# -------------------------------------------------------------------- a workspace
smelt init >/dev/null || exit 2
bad 1 "\.smelt" init
bad 2 "lineage: got 0 words, want REF" lineage
bad 1 "nothing" lineage nothing
bad 1 "docs@v0|docs@" lineage docs@v0
bad 1 "" lineage ../../etc/passwd
bad 1 "" lineage deadbeef
bad 1 "" lineage "$(printf 'x%.0s' {1..300})"
bad 1 "nothing" verify nothing
bad 2 "replay: got 0 words, want REF" replay
bad 1 "nothing" replay nothing
bad 2 "replay: --seed is of --sample, which is not given" replay nothing --seed 7
bad 2 "replay: --heldout-docs is of --without, which is not given" replay nothing --heldout-docs 5
bad 2 "replay: --tokens is of --without, which is not given" replay nothing --sample 1 --tokens 5
bad 2 "replay: --retrain-tokenizer is of --without" replay nothing --retrain-tokenizer
bad 2 "train: --find-lr-steps is of --find-lr, which is not given" train set tok --find-lr-steps 20
bad 2 "unknown option '--hole' \(did you mean '--whole'\?\)" replay docs --hole
bad 2 "audit checkpoint: got 0 words, want FILE" audit checkpoint
bad 1 "No such file" audit checkpoint no/such/dir/file.json
bad 1 "No such file" audit verify --checkpoint none.json
echo '{' > half.json
bad 1 "half.json" audit verify --checkpoint half.json
bad 2 "last: got -1, want an integer from 0" audit show --last=-1
bad 2 "last: got \"x\", want an integer" audit show --last x
bad 2 "seconds: got \"nan\", want a number" bench --seconds nan
bad 2 "seconds: got 1e\+300, want a number from 0.01 to 60" bench --seconds 1e300

# -------------------------------------------------------------------------- data
bad 2 "data add: got 0 words, want PATH\.\.\." data add
bad 1 "none: no such file or directory" data add none
mkdir empty
bad 2 "data.add.*" data add empty
bad 2 "unknown option '--pahts'" data add --pahts x
head -c 300 /dev/zero > zeros.tar.gz
bad 1 "zeros.tar.gz" data add zeros.tar.gz
printf 'some text for the archive\n%.0s' {1..200} > text.txt
tar cf whole.tar text.txt && gzip -k whole.tar && head -c 60 whole.tar.gz > cut.tar.gz
bad 1 "cut.tar.gz" data add cut.tar.gz
printf '!<arch>\ndebian-binary   0 0 0 100644 4 `\n2.0\n' > broken.deb
bad 2 "^smelt: data.add: no document in 1 file\(s\) below broken.deb" data add broken.deb
bad 2 "^smelt: data curate: in: got no source, want SOURCE\.\.\.$" data curate
bad 1 "in: .*nothing" data curate nothing
bad 2 "heldout_frac: got 2, want a number from 0 to 0.9" data curate nothing --heldout-frac 2
bad 2 "preset: got \"novel\", want one of technical\|web" data curate nothing --preset novel
bad 2 "data curate: in: got no source" data curate --steps nosuchstep
smelt data add text.txt --as plain -q >/dev/null
bad 2 "^smelt: data.curate: none of 1 documents is left to train on: licence.unknown 1; --allow-unknown-licence keeps" \
  data curate plain
bad 2 "none of 1 documents is left to train on: [a-z0-9_.]+ 1$" data curate plain --allow-unknown-licence

# ----------------------------------------------------------------- pipeline files
bad 2 "run: got 0 words, want PIPELINE.yaml" run
bad 1 "none.yaml: No such file" run none.yaml
bad 2 "empty: got a directory, want a regular file" run empty
yaml() { # yaml 'PATTERN' 'TEXT': a pipeline that is refused
  printf '%b' "$2" > bad.yaml
  bad 2 "$1" run bad.yaml
}
yaml "bad.yaml:1:1: got an empty document" ""
yaml "bad.yaml:1:1: want a mapping" "just text\n"
yaml "bad.yaml:1:1: got a byte that is not text" '\xff\xfe\n'
yaml "bad.yaml:1:11: " "pipeline: p\n\tsteps: []\n"
yaml "bad.yaml:3:[0-9]+: flow sequence" "pipeline: p\nsteps: [\n"
yaml "bad.yaml:2:1: got key 'pipeline' twice" "pipeline: p\npipeline: q\n"
yaml "bad.yaml:1:[0-9]+: got an anchor" "pipeline: &x p\nsteps: []\n"
yaml "bad.yaml:2:1: got a second document" "pipeline: p\n---\npipeline: q\n"
yaml "bad.yaml:1:1: pipeline: missing" "steps: []\n"
yaml "bad.yaml:2:8: steps: want a list" "pipeline: p\nsteps: []\n"
yaml "bad.yaml:2:1: unknown key 'stepz' \(did you mean 'steps'" "pipeline: p\nstepz: []\n"
yaml "bad.yaml:1:10: version: want 1" "version: 2\npipeline: p\nsteps: [x]\n"
yaml "bad.yaml:3:11: unknown step 'data.ad' \(did you mean 'data.add'" \
  "pipeline: p\nsteps:\n  - step: data.ad\n    as: x\n"
yaml "bad.yaml:3:5: as: want a name" "pipeline: p\nsteps:\n  - step: data.add\n"
yaml "bad.yaml:4:9: as: want a name" "pipeline: p\nsteps:\n  - step: data.add\n    as: a@v1\n"
yaml "bad.yaml:5:5: unknown key 'inn'" \
  "pipeline: p\nsteps:\n  - step: data.curate\n    as: x\n    inn: [y]\n"
yaml "bad.yaml:5:10: in: 'y' is neither an earlier step's result nor in the workspace" \
  "pipeline: p\nsteps:\n  - step: data.curate\n    as: x\n    in: [y]\n"
yaml "bad.yaml:5:29: heldout_frac: got 7, want a number from 0 to 0.9" \
  "pipeline: p\nsteps:\n  - step: data.curate\n    as: x\n    options: {heldout_frac: 7}\n"
yaml "bad.yaml:6:7: unknown option 'heldoutfrac' \(did you mean 'heldout_frac'" \
  "pipeline: p\nsteps:\n  - step: data.curate\n    as: x\n    options:\n      heldoutfrac: 0.1\n"
yaml "bad.yaml:5:21: min_chars: got \"many\", want an integer|bad.yaml:5:2[0-9]: min_chars" \
  "pipeline: p\nsteps:\n  - step: data.curate\n    as: x\n    options: {min_chars: many}\n"
yaml "bad.yaml:[0-9]+:[0-9]+: got integer 99999999999999999999, want at most 64 bits" \
  "pipeline: p\nsteps:\n  - step: train\n    as: x\n    options: {n_steps: 99999999999999999999}\n"
yaml "bad.yaml:[0-9]+:[0-9]+: got .nan, want a finite number" \
  "pipeline: p\nsteps:\n  - step: train\n    as: x\n    options: {lr: .nan}\n"
yaml "got more than 64 levels" "pipeline: p\nsteps: $(printf '[%.0s' {1..70})\n"
printf 'pipeline: p\nsteps:\n  - step: data.add\n    as: d\n    options: {paths: [text.txt]}\n' > good.yaml
bad 2 "--set: got 'x', want STEP.OPTION=VALUE" run good.yaml --set x
bad 2 "--set: got 'nosuch.paths', but no step is called 'nosuch'" run good.yaml --set nosuch.paths=x
bad 2 "--to: got 'nosuch', but no step is called 'nosuch'" run good.yaml --to nosuch
bad 2 "did you mean 'data.add'" run good.yaml --set data.ad.paths=x
bad 2 "^smelt: --set: [a-z]+: unknown option 'nosuch'" run good.yaml --set d.nosuch=1
bad 2 "^smelt: data curate: heldout_frac: got \"much\", want a number" data curate docs --heldout-frac much
bad 2 "^smelt: gate: --gate: missing, want a path" gate docs

# What is wrong further down is found before the first step runs.
first="pipeline: p\nsteps:\n  - {step: data.add, as: never, options: {paths: [text.txt]}}\n"
yaml "bad.yaml:4:[0-9]+: ref: got \"p1\+ds\", want NAME" "$first  - {step: data.curate, as: p1+ds, in: [never]}\n"
yaml "bad.yaml:4:[0-9]+: as: 'never' is the result of the step at bad.yaml:3:" \
  "$first  - {step: data.curate, as: never, in: [never]}\n"
yaml "bad.yaml:4:[0-9]+: .*paths.*" "$first  - {step: data.add, as: more}\n"
yaml "bad.yaml:4:[0-9]+: data.curate: in: got no source, want SOURCE\.\.\.$" "$first  - {step: data.curate, as: set}\n"
yaml "bad.yaml:4:[0-9]+: index: in: got no dataset.*, want DATASET" "$first  - {step: index, as: idx, in: [never]}\n"
yaml "bad.yaml:4:[0-9]+: data.add: in: got never \(a source\), want no input" \
  "$first  - {step: data.add, as: more, in: [never], options: {paths: [text.txt]}}\n"
printf '%b' "$first  - {step: gate, as: g, in: [never], options: {gate: no-gate.yaml}}\n" > bad.yaml
bad 1 "bad.yaml:4:[0-9]+: gate: no-gate.yaml: No such file" run bad.yaml
bad 1 "never: no such ref" show never

# ------------------------------------------------------------- names of results
bad 2 "data add: ref: got \"a\+b\", want NAME or NAME:TAG" data add text.txt --as a+b
bad 2 "data add: ref: got \"a\+b\"" data add text.txt --as a+b --dry-run
bad 2 "a version never moves" data add text.txt --as a@v1

# ---------------------------------------------------------- tokenizer and training
tiny_corpus
smelt data add corpus --as docs >/dev/null || exit 2
smelt data curate docs --as set --allow-unknown-licence --heldout-frac 0.2 >/dev/null || exit 2
smelt tokenizer train set --vocab-size 300 --as tok >/dev/null || exit 2
bad 2 "tokenizer train: in: got docs \(a source\), want DATASET|in: got no dataset" tokenizer train docs
bad 2 "vocab_size: got 5, want an integer from 257 to 1048576" tokenizer train set --vocab-size 5
bad 2 "vocab_size: got 1000000000000000000, want" tokenizer train set --vocab-size 1000000000000000000
bad 2 "pretok: got \"bert\", want one of gpt2\|o200k\|llama3" tokenizer train set --pretok bert
bad 2 "special token .* twice" tokenizer train set --special a --special a
bad 2 "tokenizer encode: got 0 words" tokenizer encode
bad 1 "nothing" tokenizer encode nothing text.txt
bad 1 "tokenizer.json" tokenizer encode set text.txt
bad 1 "No such file" tokenizer encode tok none.txt
echo '{"model": {"type": "BPE"' > tokenizer.json
bad 1 "tokenizer.json:[0-9]+:[0-9]+" tokenizer encode tokenizer.json text.txt
bad 2 "99999" tokenizer decode tok 99999
bad 2 "got '-5', want a token id" tokenizer decode tok -- -5
bad 2 "^smelt: train: in: got no dataset, want DATASET TOKENIZER" train
bad 2 "in: got no tokenizer \(given: set, a dataset\), want DATASET TOKENIZER" train set
bad 2 "in: got docs \(a source\), want DATASET TOKENIZER" train set tok docs
bad 2 "n_head|n_kv_head" train set tok --n-head 3 --n-kv-head 2
bad 2 "n_shard" train set tok --n-shard 3
bad 2 "d_head" train set tok --d-head 63
bad 2 "n_layer: got 0, want an integer from 1 to 512" train set tok --n-layer 0
bad 2 "lr: got \"inf\", want a number" train set tok --lr inf
bad 2 "numerics: got \"fp8/1\", want one of bf16/1\|f32/1" train set tok --numerics fp8/1
bad 2 "profile: got f32/1, want a file; .*--numerics" train set tok --profile f32/1
bad 1 "nowhere" train set tok --profile nowhere/trace.json
bad 2 "k_expert: got 2, want 1 with the sigmoid" train set tok --n-expert 4 --k-expert 2
bad 2 "warmup_steps" train set tok --n-steps 10 --warmup-steps 20
bad 1 "none.yaml: No such file" train none.yaml
printf 'in: [set, tok]\noptions:\n  n_layer: two\n' > config.yaml
bad 2 "config.yaml:3:12: n_layer: got \"two\", want an integer" train config.yaml
printf 'in: [set, tok]\noption: {}\n' > config.yaml
bad 2 "config.yaml:2:1: unknown key 'option'" train config.yaml
printf 'in: set\n' > config.yaml
bad 2 "config.yaml:1:5: in: want a list of names" train config.yaml
printf 'step: index\n' > config.yaml
bad 2 "config.yaml:1:7: step: want train" train config.yaml
SMELT_CPU=mmx bad 2 "mmx" train set tok
bad 2 "in: got no dataset, want DATASET" index
bad 2 "passage_words" index set --passage-words 0

# ------------------------------------------------- datasets, evaluation, answers
bad 1 "nothing" data show nothing
bad 2 "tok: got kind tokenizer, want a source or a dataset" data show tok
expect 2 "data show: got 2 results for standard output" data show set --html - --json
expect 2 "lineage: got 2 results for standard output" lineage set --svg - --json
bad 2 "n_samples: got 1000, want an integer from 0 to 100" data show set --n-samples 1000
bad 1 "No such file" data show set --html no/such/dir/x.html
bad 2 "data export: got 1 word, want REF FILE" data export set
bad 2 "part: got \"half\", want one of all" data export set x.jsonl --part half
bad 1 "no/such/dir" data export set no/such/dir/x.jsonl
bad 2 "data diff: got 1 word, want REF REF" data diff set
bad 2 "in: got no model" eval set
bad 2 "heldout_docs: got -1, want an integer" eval set --heldout-docs=-1
bad 2 "in: got no model" gate set --gate gate.yaml
bad 2 "ask: got 0 words, want QUESTION" ask
bad 1 "nothing" ask --model nothing "what is it?"
bad 2 "k: got 0, want an integer from 1 to 50" ask --k 0 "what is it?"
bad 1 "nothing" chat nothing
check "more connections than files" bash -c 'ulimit -n 200 && ! "$1" serve tok --max-connections 500 2>&1' - "$SMELT"
check "names how many are possible" grep -q "max_connections: got 500, want at most 104: " \
  <(ulimit -n 200 && smelt serve tok --max-connections 500 2>&1)
bad 2 "temperature: got -1, want|temperature" chat tok --temperature=-1
bad 1 "nothing" serve nothing
bad 2 "port: got 70000, want an integer from 0 to 65535" serve tok --port 70000
bad 2 "max_streams: got 0, want" serve tok --max-streams 0

[ "$N" -ge 60 ] || not_ok "at least 60 bad inputs" "got $N"
finish
