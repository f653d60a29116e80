#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a workspace does when its files were changed under it.
# Usage: store.sh SMELT ROOT
SMELT=$1 ROOT=$2
. "$(dirname "$0")/lib.sh"

tiny_text_workspace

# ------------------------------------------------------------------- inputs of steps
object_of() { # REF FILE: the path of its object
  local id
  id=$(smelt show "$1" | awk -v f="$2" '$1 == f { print $NF }')
  compgen -G ".smelt/objects/${id:0:2}/${id:2}*" | grep -v '\.leaf$'
}
train=$(object_of set train.jsonl)
chmod u+w "$train"
flip "$train" 40
bad 1 'dataset [0-9a-f]{12}: train\.jsonl: object [0-9a-f]{64}: leaf 0 \(bytes 0\.\.[0-9]+\) does not match its hash' \
  tokenizer train set --vocab-size 300 --as other -q
bad 1 'no such ref' show other
expect 0 '' tokenizer train set --vocab-size 320 --as again -q # made already: sizes alone
flip "$train" 40
expect 0 '' tokenizer train set --vocab-size 300 --as other -q
expect 0 '^clean' verify

finish
