#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every example of `smelt VERB --help`, as printed, in a workspace that holds what they name:
# each must succeed.  Only what would take long is made shorter, and the service is stopped as
# soon as it listens.
# Usage: examples.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

export HOME=$WORK/home PATH=$WORK/bin:$PATH SMELT WORK
mkdir -p home/packages bin examples llama elsewhere
cp -r "$ROOT/examples/." examples
tiny_corpus
man_page lsof "list open files"
sed -i 's/^\.TH LSOF 1/.TH LSOF 8/' corpus/lsof.1
tiny_pipeline
# The names of the examples are those of examples/unix-manual.yaml.
sed -i -e 's/\<set\>/unix/; s/\<tok\>/unix-tokenizer/; s/\<idx\>/unix-index/' \
  -e 's/figures/unix-eval/; s/as: tiny/as: unix-moe/; s/\[tiny/[unix-moe/' \
  -e 's/as: release/as: unix-release/' tiny.yaml
tar -C corpus -cf home/packages/manuals.deb . # what it is its bytes say, not its name

# The program, but small: training, and what lasts as long.
cat > bin/smelt <<'SH'
#!/bin/bash
small="n_steps=4 n_layer=1 d_model=32 n_head=2 n_kv_head=1 d_head=16 d_ff=64 n_expert=2
  d_expert=32 d_shared=32 n_ctx=64 n_seq=4 n_shard=4 warmup_steps=1"
case "$1 $2" in
  "train "*) for o in $small; do set -- "$@" "--$(echo "${o%=*}" | tr _ -)" "${o#*=}"; done ;;
  "run "*)
    for o in $small; do set -- "$@" --set "train.$o"; done
    set -- "$@" --set tokenizer.train.vocab_size=500 --set curate.allow_unknown_licence=true
    set -- "$@" --set curate.heldout_frac=0.2 --set gate.gate=gate.yaml ;;
  "data curate") set -- "$@" --allow-unknown-licence --heldout-frac 0.2 ;;
  "tracks "*) set -- "$@" --dry-run ;;
  "bench "* | "bench") set -- "$@" --seconds 0.01 ;;
  "audit "*) set -- "${@/#\/mnt/$WORK}" ;;
  "init "*) cd "$WORK/elsewhere" ;;
  "serve "*)
    coproc service { exec "$SMELT" "${@/8080/0}" 2>&1; }
    while read -r line <&"${service[0]}"; do
      case $line in *http://*) kill "$service_PID" && wait "$service_PID"; exit 0 ;; esac
      echo "$line"
    done
    exit 1 ;;
esac
exec "$SMELT" "$@"
SH
chmod +x bin/smelt

check "the workspace" smelt init
check "the pipeline" smelt run tiny.yaml -q
check "a second version of each" smelt run tiny.yaml -q --set train.n_steps=6 \
  --set data.add.exclude=LICENSE.txt
smelt show unix-tokenizer tokenizer.json > llama/tokenizer.json
for b in {0..255}; do printf '%s %s\n' "$(printf "\\x$(printf %02x "$b")" | base64)" "$b"; done \
  > cl100k_base.tiktoken
smelt audit checkpoint elsewhere/audit.json > /dev/null
printf 'in: [unix, unix-tokenizer]\nas: unix-moe\noptions: {n_layer: 2}\n' > config.yaml

while read -r v; do
  # shellcheck disable=SC2086
  smelt $v --help | sed '1,/^example:$/d'
done < <(smelt help --verbs) > commands
check "there are examples" test "$(wc -l < commands)" -gt 50
while read -r line; do
  check "$line" bash -o pipefail -c "$line"
done < commands
finish
