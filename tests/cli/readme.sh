#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The commands of the README's "On your own documents" and "More than a single run", as printed
# and in their order, each of which must succeed; only training is made shorter, tracks are
# planned, and the service is not started.
# Usage: readme.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

export HOME=$WORK/home PATH=$WORK/bin:$PATH SMELT
mkdir -p home/my-documents/notes bin examples
cp -r "$ROOT/examples/." examples
tiny_corpus
cp corpus/* "$ROOT"/tests/golden/text/* home/my-documents # of the latter some are held out
cat > home/my-documents/notes/minutes.txt <<'TXT'
Meeting of the water committee

We decided that the pump of the third line is replaced in spring, and that the old one is kept
as a spare. The valve beside it stays, because it was new last year. Mary asks three makers for
an offer and brings them along. It was also said that the well should be cleaned before the dry
season begins, which takes two people one day. The key of the shed hangs with the neighbours
from now on. Nobody spoke against the minutes of the last meeting, and the next one is in June.
TXT
cat > bin/smelt <<'SH'
#!/bin/sh
small="n_steps=4 n_layer=1 d_model=32 n_head=2 n_kv_head=1 d_head=16 d_ff=64 d_expert=32 d_shared=32 n_ctx=64 n_seq=4 n_shard=4 warmup_steps=1"
case $1 in
  train) for o in $small; do set -- "$@" "--$(echo "${o%=*}" | tr _ -)" "${o#*=}"; done ;;
  run) for o in $small; do set -- "$@" --set "train.$o"; done
       set -- "$@" --set tokenizer.train.vocab_size=500 ;;
  tracks) set -- "$@" --dry-run ;;
  serve) exit 0 ;;
esac
exec "$SMELT" "$@"
SH
chmod +x bin/smelt

# The fenced blocks of a section, continued lines joined.
commands() {
  sed -n "/^## $1/,/^## /p" "$ROOT/README.md" |
    sed -n '/^```/,/^```/{/^```/d;p}' | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}'
}
# run_commands SECTION LEAST: run them; there are at least so many.
run_commands() {
  commands "$1" > commands
  check "the README's '$1' has commands" test "$(grep -c '^smelt ' commands)" -ge "$2"
  while read -r line; do
    check "$line" bash -c "$line"
  done < commands
}
run_commands "On your own documents" 10
for rate in good:2e-3 bad:1e-6; do
  check "a ${rate%:*} model" "$WORK/bin/smelt" train mine mine-tokenizer --as "${rate%:*}-model" --lr "${rate#*:}"
done
run_commands "More than a single run" 5
finish
